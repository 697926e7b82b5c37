// A signed JWT before its signature is checked: the strict compact form (`oauth/compact-jwt.ts`), and the three header
// parameters this room reads (RFC 7515 section 4.1). ID tokens, client assertions and DPoP proofs begin here alike.
import { err, ok, type Result } from '../lib/result.ts'
import type { JsonObject } from '../lib/strict-json.ts'
import { decodeCompactJwt, jwtType } from '../oauth/compact-jwt.ts'

export interface SignedJwt {
  readonly alg: string
  /** Undefined: the token does not name its key. */
  readonly kid: string | undefined
  /** In lower case, without `application/`. */
  readonly typ: string | undefined
  /** The key a DPoP proof brings along; any other token that has one is refused. */
  readonly jwk: unknown
  readonly claims: JsonObject
}

/**
 * Parameters of encrypted and nested tokens, beside those the strict form refuses already. `x5t` is not among them: Entra ID
 * and AD FS send it beside `kid`, and nothing here chooses a key by it.
 */
const NOT_OF_A_JWS = ['enc', 'cty'] as const

/** The problem is our own wording and holds nothing of the token. */
export function parseSignedJwt(token: string, expected?: 'proof'): Result<SignedJwt, string> {
  const decoded = decodeCompactJwt(token, expected)
  if (!decoded.ok) return decoded
  const { header, payload } = decoded.value
  for (const name of NOT_OF_A_JWS) {
    if (Object.hasOwn(header, name)) return err(`header: ${name} is not accepted`)
  }
  const { alg, kid, typ, jwk } = header
  if (typeof alg !== 'string') return err('header: alg is not a string')
  if (kid !== undefined && (typeof kid !== 'string' || kid === '')) return err('header: kid is not a string')
  if (typ !== undefined && typeof typ !== 'string') return err('header: typ is not a string')
  return ok({ alg, kid, typ: jwtType(header), jwk, claims: payload })
}
