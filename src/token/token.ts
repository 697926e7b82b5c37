// The second door: a client that has authenticated shows a user's ID token and receives an access token for one resource
// (RFC 8693). Reads from top to bottom as the four stages of trust. What a client may ask about tokens it has received stands
// beside it: revocation.ts and introspection.ts.
import type { Facts, Recorder } from '../audit/audit.ts'
import type { Credentials } from '../credentials/credentials.ts'
import { encodeFields, sha256 } from '../lib/digest.ts'
import type { NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { Actor, Credential, Permit, Resource } from '../model.ts'
import { toJson } from '../oauth/answers.ts'
import { parseTokenRequest, type TokenRequest } from '../oauth/token-request.ts'
import { TOKEN_TYPE } from '../oauth/vocabulary.ts'
import type { Policy } from '../policy/policy.ts'
import type { Clock } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import type { Revocations } from '../revocation/revocation.ts'
import { nonceHeader, readClientRequest, type ClientEndpoint, type ClientPorts } from './client-request.ts'
import { introspect, type IntrospectionPorts } from './introspection.ts'
import { revoke, type RevocationPorts } from './revocation.ts'

export type { ClientEndpoint } from './client-request.ts'

export interface TokenPorts extends ClientPorts {
  readonly policy: Policy
  readonly revocations: Revocations
  readonly credentials: Credentials
  readonly recorder: Pick<Recorder, 'release'>
  readonly clock: Clock
}

/** The endpoints of clients that authenticate, by their paths. */
export interface ClientEndpoints {
  readonly token: ClientEndpoint
  readonly revoke: ClientEndpoint
  readonly introspect: ClientEndpoint
}

export function createClientEndpoints(ports: TokenPorts & RevocationPorts & IntrospectionPorts): ClientEndpoints {
  return {
    token: (request, facts) => answer(ports, request, facts),
    revoke: (request, facts) => revoke(ports, request, facts),
    introspect: (request, facts) => introspect(ports, request, facts),
  }
}

async function answer(ports: TokenPorts, request: Request, facts: Facts): Promise<Result<Response, Refusal>> {
  const asked = await readClientRequest(ports, request, '/token', facts)
  if (!asked.ok) return asked
  const { form, client } = asked.value

  const wanted = parseTokenRequest(form)
  if (!wanted.ok) return wanted
  const resource = findResource(ports, client.name, wanted.value)
  if (resource.ok) facts.resource = resource.value
  if (wanted.value.scopes !== undefined) facts.asked = wanted.value.scopes

  const assertion = await ports.identity.verifyForClient(wanted.value.subjectToken.reveal(), client)
  if (!assertion.ok) return assertion
  facts.assertion = assertion.value
  // Not earlier: whoever shows no good token must not learn which resources there are (threat T42).
  if (!resource.ok) return resource
  const foreign = wanted.value.details?.types.some((type) => !resource.value.detailTypes.includes(type)) === true
  if (foreign) return err({ code: 'CLI117', got: 'a type that the resource does not take' })
  // F-12: an actor that the identity provider is not told of would be a claim without a proof.
  if (wanted.value.actor !== undefined && assertion.value.idpClient.quirks.actorToken !== 'caller')
    return err({ code: 'CLI111', detail: `${assertion.value.idpClient.ref} takes none of a caller` })
  const actor = wanted.value.actor && (await withDigest(wanted.value.actor))
  if (actor !== undefined) facts.actorType = actor.type

  const decide = async (): Promise<Result<Permit, Refusal>> => {
    const revoked = await ports.revocations.current()
    if (!revoked.ok) return revoked
    const { scopes, details } = wanted.value
    const action = { kind: 'token', scopes, details, actor } as const
    return ports.policy.decide(assertion.value, resource.value, action, revoked.value, ports.clock.epochMillis())
  }
  const permit = await decide()
  if (!permit.ok) return permit
  facts.permit = permit.value
  const underRule = ports.limits.ofRule(permit.value)
  if (underRule !== undefined) {
    const counted = await underRule
    if (!counted.ok) return counted
    if (counted.value === 'unknown') facts.uncounted = true
  }
  // F-8: whoever gets such a token could not use it. Where that is known beforehand it costs nobody an ID-JAG.
  if (resource.value.dpop === 'require') return keptBack(resource.value)

  const acquired = await ports.credentials.acquire(permit.value)
  if (!acquired.ok) return acquired
  const { credential, origin, idJagJti, actors, ms, quota, oldKey, obtainedAt } = acquired.value
  const { expiresAt, scopes: granted } = credential
  facts.credential = { origin, idJagJti, actors, ms, quota, oldKey, expiresAt, scopes: granted }
  if (credential.kind === 'dpop') return keptBack(resource.value)
  const { release } = ports.recorder
  const released = await release?.(facts)
  if (released?.ok === false) return released
  if (origin === 'exchange' || origin === 'flight' || released !== undefined) {
    // A flight takes its time, and so does a sink: who is cut off meanwhile does not get what was brought.
    const still = await decide()
    if (!still.ok) return still
    if (obtainedAt <= still.value.tokensUntil)
      return err({ code: 'INT101', detail: 'revoked in flight', retryAfterSeconds: 1 })
  }
  return ok(toTokenResponse(credential, ports.clock.now(), nonceHeader(client)))
}

async function withDigest({ token, type }: NonNullable<TokenRequest['actor']>): Promise<Actor> {
  return { token, type, digest: await sha256(encodeFields([type, token.reveal()])) }
}

function keptBack({ name }: Resource): Result<never, Refusal> {
  return err({ code: 'LIM203', name, detail: 'bound to a key of ours' })
}

/**
 * The one resource that is meant: by its resource indicator (RFC 8707), by the issuer of its authorization server, or by
 * its name here as RFC 8693 section 2.1 logical name; only those that are open to the client are looked at. Strings are compared, never URLs; nothing a caller names is fetched.
 */
function findResource(
  { config, policy, clock }: TokenPorts,
  client: string,
  { resource, audience }: TokenRequest,
): Result<Resource, Refusal> {
  const now = clock.epochMillis()
  const found = [...config.resources.values()].filter(
    (candidate) =>
      policy.isOpenTo(client, candidate, now) &&
      (resource === undefined || candidate.resource === resource) &&
      (audience === undefined || audience === candidate.name || audience === candidate.authorizationServer.issuer),
  )
  const [first, second] = found
  if (first === undefined) return err({ code: 'CLI106', detail: 'unknown here, or not open to this client' })
  return second === undefined ? ok(first) : err({ code: 'CLI107', detail: 'several resources fit' })
}

/** RFC 8693 section 2.2.1. `expires_in` is what remains: a cached token has aged. No refresh token, ever. */
function toTokenResponse(
  credential: Extract<Credential, { kind: 'bearer' }>,
  now: NumericDate,
  headers: Readonly<Record<string, string>>,
): Response {
  // RFC 9396 section 7: as granted, which may be less than was asked.
  const details: unknown = credential.details && JSON.parse(credential.details.json)
  const body = {
    access_token: credential.token.reveal(),
    issued_token_type: TOKEN_TYPE.accessToken,
    token_type: 'Bearer',
    expires_in: Math.max(0, credential.expiresAt - now),
    ...(credential.scopes.length === 0 ? {} : { scope: credential.scopes.join(' ') }),
    ...(details === undefined ? {} : { authorization_details: details }),
  }
  return toJson(body, 200, { pragma: 'no-cache', ...headers })
}
