// A JWT in compact form (RFC 7515 section 7.1), read strictly and without trust: one spelling, one meaning. Verification
// is somebody else's work; this only makes sure that what is verified and what is read are the same bytes.
import { fromBase64Url, fromUtf8 } from '../lib/bytes.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { parseJsonObject, type JsonObject } from '../lib/strict-json.ts'
import { MAX_TOKEN_LENGTH } from './vocabulary.ts'

export interface CompactJwt {
  readonly header: JsonObject
  readonly payload: JsonObject
}

/** Why a text is not a JWT in the strict sense; our own words, fit for an auditor. */
export type JwtProblem = string

// RFC 8725 section 3.10: a token must not choose its own key. `crit`, `b64` and `zip` change what the bytes mean.
const FORBIDDEN_HEADERS = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64', 'zip'] as const
const MAX_KID_LENGTH = 256

/** `expected` 'proof': a DPoP proof, the one kind of token that brings its key along (RFC 9449 section 4.2). */
export function decodeCompactJwt(token: string, expected: 'token' | 'proof' = 'token'): Result<CompactJwt, JwtProblem> {
  if (token.length > MAX_TOKEN_LENGTH) return err(`longer than ${MAX_TOKEN_LENGTH} characters`)
  const parts = token.split('.')
  const [first, second, third] = parts
  if (parts.length !== 3 || first === undefined || second === undefined || third === undefined) {
    return err('not three segments')
  }
  const header = decodeSegment(first)
  if (!header.ok) return err(`header: ${header.error}`)
  const payload = decodeSegment(second)
  if (!payload.ok) return err(`payload: ${payload.error}`)
  if (third === '' || !fromBase64Url(third).ok) return err('signature: not canonical base64url')
  for (const name of FORBIDDEN_HEADERS) {
    if (name === 'jwk' && expected === 'proof') continue
    if (Object.hasOwn(header.value, name)) return err(`header: ${name} is not accepted`)
  }
  const kid = header.value['kid']
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH))
    return err('header: kid is not a short string')
  return ok({ header: header.value, payload: payload.value })
}

/** Whether a text has the form of an encrypted JWT (RFC 7516 section 7.1), which only its recipient can read. */
export function isEncryptedJwt(token: string): boolean {
  const segments = token.split('.')
  if (segments.length !== 5 || !segments.every((segment) => fromBase64Url(segment).ok)) return false
  const header = decodeSegment(segments[0] ?? '')
  return header.ok && typeof header.value['enc'] === 'string'
}

function decodeSegment(segment: string): Result<JsonObject, string> {
  const bytes = fromBase64Url(segment)
  if (!bytes.ok) return err('not canonical base64url')
  const text = fromUtf8(bytes.value)
  return text.ok ? parseJsonObject(text.value) : err('not UTF-8')
}

/** `typ` for comparison: lower case, without the optional `application/` (RFC 7515 section 4.1.9). */
export function jwtType(header: JsonObject): string | undefined {
  const typ = header['typ']
  return typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : undefined
}
