// The exact strings of the protocols, and the scope grammar. Facts only.
import type { ScopeToken, SigningAlgorithm } from '../parties.ts'
import { err, ok, type Result } from '../lib/result.ts'

export const GRANT_TYPE = {
  /** RFC 8693 section 2.1 */
  tokenExchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  /** RFC 7523 section 2.1 */
  jwtBearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  /** draft-parecki-oauth-jwt-dpop-grant */
  jwtDpop: 'urn:ietf:params:oauth:grant-type:jwt-dpop',
} as const

/** draft-ietf-oauth-identity-assertion-authz-grant sections 7.2 and 8 */
export const GRANT_PROFILE = { idJag: 'urn:ietf:params:oauth:grant-profile:id-jag' } as const

/** RFC 8693 section 3; `id-jag` by draft-ietf-oauth-identity-assertion-authz-grant (with a hyphen, unlike `id_token`). */
export const TOKEN_TYPE = {
  accessToken: 'urn:ietf:params:oauth:token-type:access_token',
  idToken: 'urn:ietf:params:oauth:token-type:id_token',
  refreshToken: 'urn:ietf:params:oauth:token-type:refresh_token',
  saml2: 'urn:ietf:params:oauth:token-type:saml2',
  idJag: 'urn:ietf:params:oauth:token-type:id-jag',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
} as const

/** draft-ietf-oauth-identity-assertion-authz-grant section 7.2: a grant profile in metadata. */
export const ID_JAG_PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag'

/** RFC 7523 section 2.2 */
export const CLIENT_ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** JWS `typ` values, without the `application/` prefix that RFC 7515 section 4.1.9 makes optional. */
export const JWT_TYPE = {
  idJag: 'oauth-id-jag+jwt',
  /** draft-ietf-oauth-rfc7523bis */
  clientAssertion: 'client-authentication+jwt',
  /** RFC 9449 section 4.2 */
  dpopProof: 'dpop+jwt',
} as const

/** How a DPoP proof may be signed (RFC 9449 section 4.2: asymmetric). */
export const PROOF_ALGORITHMS: readonly SigningAlgorithm[] = ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256']

/** Access tokens and assertions longer than this are refused, whoever sends them. */
export const MAX_TOKEN_LENGTH = 16 * 1024

const MAX_SCOPE_LENGTH = 4096
const SCOPE_TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]+$/

/** RFC 6749 section 3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`. */
export function isScopeToken(text: string): text is ScopeToken {
  return SCOPE_TOKEN.test(text)
}

/**
 * Reads a scope value: tokens separated by single spaces, each counted once, sorted. The empty text has no tokens: it
 * means that nothing is asked, or that nothing was granted.
 */
export function parseScope(text: string): Result<readonly ScopeToken[], 'malformed'> {
  if (text === '') return ok([])
  if (text.length > MAX_SCOPE_LENGTH) return err('malformed')
  const tokens = new Set<ScopeToken>()
  for (const token of text.split(' ')) {
    if (!isScopeToken(token)) return err('malformed')
    tokens.add(token)
  }
  return ok([...tokens].toSorted())
}

/** RFC 6750 section 2.1 `b68token`, widened to what real servers issue: printable ASCII without space (RFC 6749 appendix A.12). */
export function isAccessToken(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TOKEN_LENGTH && /^[\x21-\x7E]+$/.test(value)
}
