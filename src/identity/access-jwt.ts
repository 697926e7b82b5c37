// Who comes through Cloudflare Access. Two forms: a policy on a hostname puts a signed token into Cf-Access-Jwt-Assertion
// (developers.cloudflare.com/cloudflare-one/access-controls/applications/http-apps/authorization-cookie/validating-json); a
// policy on the Worker itself sends no header and tells the runtime, `ctx.access`. Cookies are never looked at.
import { numericDate, type NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { isObject, type JsonObject } from '../lib/strict-json.ts'
import { ACCESS_SESSION_SECONDS, type AdminAccess } from '../administrator.ts'
import type { AccessSession } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { audiencesOf, checkTimes, claimOf, identifierOf, SKEW_SECONDS, timeOf } from './claims.ts'
import { parseSignedJwt } from './compact-jwt.ts'
import { createKeyProvider, type KeyPorts, type KeyProvider } from './jwks.ts'
import { isSignedBy } from './signature.ts'

export interface AccessIdentity {
  readonly email: string
  /** Undefined: not told. */
  readonly issuedAt: NumericDate | undefined
}

export interface AccessVerifier {
  /** `session` is the platform's word and goes before the header, which somebody could try to forge. */
  verify(assertion: string | undefined, session: AccessSession | undefined): Promise<Result<AccessIdentity, Refusal>>
}

/** Access signs with nothing else. */
const ALGORITHM = 'RS256'

type AccessApplication = Pick<NonNullable<AdminAccess['access']>, 'teamDomain' | 'audience'>

export function createAccessVerifier(application: AccessApplication, ports: KeyPorts): AccessVerifier {
  const source = { kind: 'fetched', jwksUri: `${application.teamDomain}/cdn-cgi/access/certs` } as const
  const keys = createKeyProvider(source, [ALGORITHM], ports)
  return {
    async verify(assertion, session) {
      if (session !== undefined) return readSession(session, application.audience, ports.clock.now())
      if (assertion === undefined) return refuse('neither an Access token nor an Access session')
      return verifyAssertion(assertion, application, keys, ports.clock.now())
    },
  }
}

async function verifyAssertion(
  token: string,
  { teamDomain, audience }: AccessApplication,
  keys: KeyProvider,
  now: number,
): Promise<Result<AccessIdentity, Refusal>> {
  const jwt = parseSignedJwt(token)
  if (!jwt.ok) return refuse(`Access token: ${jwt.error}`)
  const { typ, kid, alg, claims } = jwt.value
  if (typ !== undefined && typ !== 'jwt') return refuse('Access token: typ names another kind of token')
  if (alg !== ALGORITHM) return refuse('Access token: an algorithm that Access does not use')
  if (claims['iss'] !== teamDomain) return refuse('Access token: another issuer')
  const found = await keys.keyFor(kid, ALGORITHM)
  if (!found.ok) {
    if (found.error.kind === 'unknown_key') return refuse('Access token: a key the team domain does not publish')
    const { detail, retryAfterSeconds } = found.error
    return err({ code: 'INT101', detail: `the keys of Access: ${detail}`, retryAfterSeconds })
  }
  if (!(await isSignedBy(token, found.value.key, ALGORITHM)))
    return refuse('Access token: a signature that does not hold')

  // Every application of the team has tokens of the same issuer and keys; the audience alone tells them apart.
  if (audiencesOf(claims['aud'])?.includes(audience) !== true) return refuse('Access token: another audience')
  const times = checkTimes(claims, now)
  if (!times.ok) return refuse(`Access token: ${times.error.detail}`)
  const { iat } = times.value
  if (iat === undefined) return refuse('Access token: iat is missing')
  // `org` is the team's own session, `app` one of an application.
  const type = claimOf(claims, 'type')
  if (type !== undefined && type !== 'app') return refuse('Access token: not of an application')
  return withEmail(claims, iat, now)
}

async function readSession(
  session: AccessSession,
  audience: string,
  now: number,
): Promise<Result<AccessIdentity, Refusal>> {
  if (session.aud !== audience) return refuse('Access session: another audience')
  try {
    const identity = await session.getIdentity()
    if (!isObject(identity)) return refuse('Access session: nobody is logged in')
    // When somebody has logged in. Nothing promises that it is there, and 0 stands for nothing too.
    const told = claimOf(identity, 'iat')
    const iat = told === 0 ? undefined : told
    const since = timeOf(iat)
    if (iat !== undefined && (since === undefined || since > now + SKEW_SECONDS))
      return refuse('Access session: iat is not a time in the past')
    return withEmail(identity, since, now)
  } catch {
    return err({ code: 'INT101', detail: 'Access did not say who is logged in', retryAfterSeconds: 1 })
  }
}

/** Service tokens have none, and nothing else here says which person it is. Weaker than `sub`; it is what Access rules name. */
function withEmail(claims: JsonObject, since: number | undefined, now: number): Result<AccessIdentity, Refusal> {
  const email = identifierOf(claimOf(claims, 'email'))
  if (email === undefined) return refuse('Access: no e-mail address')
  // Longer than any cut-off is kept: one that has ended it may be forgotten.
  if (since !== undefined && since <= now - ACCESS_SESSION_SECONDS - SKEW_SECONDS)
    return refuse('Access: a session of more than 24 hours; log out of Access and in again')
  return ok({ email, issuedAt: since === undefined ? undefined : numericDate(since) })
}

function refuse(detail: string): Result<never, Refusal> {
  return err({ code: 'ADM101', detail })
}
