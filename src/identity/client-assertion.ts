// Client authentication by a signed assertion: private_key_jwt (RFC 7523 sections 2.2 and 3, OpenID Connect Core section 9).
import { err, ok, type Result } from '../lib/result.ts'
import type { JsonObject } from '../lib/strict-json.ts'
import type { CallingClient } from '../parties.ts'
import type { Clock, ReplayGuard } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { audiencesOf, checkTimes, isText, SKEW_SECONDS } from './claims.ts'
import { parseSignedJwt } from './compact-jwt.ts'
import type { KeyProvider } from './jwks.ts'
import { isFirstUse } from './once.ts'
import { isSignedBy } from './signature.ts'

/** The draft rfc7523bis gives such assertions a type; most clients send none, and it must not be required. */
const TYPES: readonly (string | undefined)[] = [undefined, 'jwt', 'client-authentication+jwt']
/** Single use makes a longer life harmless; an hour is the longest that client libraries in the field ask for. */
const MAX_LIFETIME_SECONDS = 3_600
const MAX_JTI_CHARS = 256

/** A calling client that authenticates by assertion, with the keys it may sign with. */
export interface AssertingClient {
  readonly client: CallingClient
  readonly auth: Extract<NonNullable<CallingClient['auth']>, { method: 'private_key_jwt' }>
  readonly keys: KeyProvider
}

export interface AssertionRules {
  /** Our own issuer identifier. */
  readonly issuer: string
  readonly clients: ReadonlyMap<string, AssertingClient>
  readonly clock: Clock
  readonly replay: ReplayGuard
}

/** The client that signed the assertion. Its `jti` is used up only after everything else was found good. */
export async function verifyClientAssertion(
  assertion: string,
  rules: AssertionRules,
): Promise<Result<CallingClient, Refusal>> {
  const jwt = parseSignedJwt(assertion)
  if (!jwt.ok) return refuse(jwt.error)
  const { typ, kid, claims } = jwt.value
  if (!TYPES.includes(typ)) return refuse('typ names another kind of token')

  // RFC 7523 section 3, points 1 and 2: issuer and subject are both the client.
  const { iss, sub } = claims
  const registered = typeof iss === 'string' && iss === sub ? rules.clients.get(iss) : undefined
  if (registered === undefined) return refuse('iss and sub are not one client that authenticates so')
  const alg = registered.auth.algorithms.find((allowed) => allowed === jwt.value.alg)
  if (alg === undefined) return refuse('an algorithm that is not registered for this client')
  const found = await registered.keys.keyFor(kid, alg)
  if (!found.ok) {
    if (found.error.kind === 'unknown_key') return refuse('a key this client has not registered')
    const { detail, retryAfterSeconds } = found.error
    return err({ code: 'INT101', detail: `the client's keys: ${detail}`, retryAfterSeconds })
  }
  if (!(await isSignedBy(assertion, found.value.key, alg))) return refuse('a signature that does not hold')

  // The sole audience is our issuer, never the token endpoint: an assertion meant for another server must not work here
  // (RFC 7523 as amended by draft-ietf-oauth-rfc7523bis, after CVE-2025-27371).
  const audiences = audiencesOf(claims['aud'])
  if (audiences?.length !== 1 || audiences[0] !== rules.issuer) return refuse('aud is not this issuer alone')
  const until = checkLifetime(claims, rules.clock.now())
  if (!until.ok) return until
  const { jti } = claims
  if (!isText(jti) || jti.length > MAX_JTI_CHARS) return refuse('jti is missing or odd')
  const fresh = await isFirstUse(rules.replay, ['client-assertion', registered.client.name, jti], until.value)
  if (!fresh.ok) return fresh
  return fresh.value ? ok(registered.client) : refuse('jti was used before')
}

/** Until when the assertion could be presented again. */
function checkLifetime(claims: JsonObject, now: number): Result<number, Refusal> {
  const times = checkTimes(claims, now)
  if (!times.ok) return refuse(times.error.detail)
  const { exp } = times.value
  return exp > now + MAX_LIFETIME_SECONDS ? refuse('exp is more than an hour ahead') : ok(exp + SKEW_SECONDS)
}

function refuse(detail: string): Result<never, Refusal> {
  return err({ code: 'CLI101', detail: `client assertion: ${detail}` })
}
