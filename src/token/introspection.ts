// The introspection endpoint (RFC 7662): a client learns about tokens that were handed to itself, and of any other only that
// it is not active. JSON only: whoever asks for a signed answer (RFC 9701) gets this one.
//
// Left out is what is not ours to say: `iss` and `sub`, because the token was issued by somebody else, who may call the user
// by another name; `jti`, which only they know. Whether the token has been revoked there is not known here either.
import type { Facts } from '../audit/audit.ts'
import type { TokenRecord } from '../connection.ts'
import { ok, type Result } from '../lib/result.ts'
import { toJson } from '../oauth/answers.ts'
import type { Clock } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import type { Revocations } from '../revocation/revocation.ts'
import { nonceHeader } from './client-request.ts'
import { readShown, type ShownPorts } from './shown.ts'

export interface IntrospectionPorts extends ShownPorts {
  readonly revocations: Revocations
  readonly clock: Clock
}

export async function introspect(
  ports: IntrospectionPorts,
  request: Request,
  facts: Facts,
): Promise<Result<Response, Refusal>> {
  const shown = await readShown(ports, request, '/introspect', facts)
  if (!shown.ok) return shown
  const { client, possession } = shown.value
  const active = possession.kind === 'own' ? await findActive(ports, possession.records) : ok(undefined)
  if (!active.ok) return active
  if (possession.kind === 'own') facts.shown = active.value === undefined ? 'inactive' : 'active'
  // Section 2.2: of an inactive token nothing else is said, not even why.
  const body = active.value === undefined ? { active: false } : toBody(ports, active.value)
  return ok(toJson(body, 200, { pragma: 'no-cache', ...nonceHeader(client) }))
}

/**
 * The record by which it is active: not at the end that its client was told, not cut off, nobody blocked, and of a server
 * that its resource still has. Refuses with INT102.
 */
async function findActive(
  { config, revocations, clock }: IntrospectionPorts,
  records: readonly TokenRecord[],
): Promise<Result<TokenRecord | undefined, Refusal>> {
  const revoked = await revocations.current()
  if (!revoked.ok) return revoked
  const now = clock.now()
  return ok(
    records.find((record) => {
      const { blockedBy, tokensUntil } = revoked.value.standingOf(record, clock.epochMillis())
      const { server, obtainedAt, expiresAt, resource } = record
      const isServed = config.resources.get(resource)?.authorizationServer.issuer === server
      return isServed && blockedBy === undefined && obtainedAt > tokensUntil && expiresAt > now
    }),
  )
}

function toBody({ config }: IntrospectionPorts, record: TokenRecord): Readonly<Record<string, unknown>> {
  const { scopes, client, resource, obtainedAt, expiresAt } = record
  const audience = config.resources.get(resource)?.resource
  return {
    active: true,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    client_id: client,
    token_type: 'Bearer',
    exp: expiresAt,
    iat: Math.floor(obtainedAt / 1000),
    ...(audience === undefined ? {} : { aud: audience }),
  }
}
