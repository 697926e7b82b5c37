// What somebody has in hand that is said to be a token, taken apart without trust. Milder than the Worker reads: whoever
// asks what is wrong with a token wants to see one that is.

import { fromBase64Url, fromUtf8 } from '../../lib/bytes.ts'
import { parseJsonObject, type JsonObject } from '../../lib/strict-json.ts'

export type Reading =
  | {
      readonly form: 'jws'
      readonly token: string
      readonly header: JsonObject
      readonly claims: JsonObject
      readonly notes: readonly string[]
    }
  /** Only its recipient can read what is inside. */
  | { readonly form: 'jwe'; readonly header: JsonObject; readonly notes: readonly string[] }
  | { readonly form: 'none'; readonly words: string }

export function readToken(input: string): Reading {
  const notes: string[] = []
  const trimmed = input.trim()
  const bare = trimmed.replace(/^(?:authorization:\s*)?(?:bearer|dpop)\s+/i, '')
  if (bare !== trimmed) notes.push('the scheme in front of it belongs to the header, not to the token')
  const token = bare.replaceAll(/\s+/g, '')
  if (token !== bare) notes.push('there is white space in it; a token has none')
  if (token === '') return { form: 'none', words: 'nothing at all' }
  const segments = token.split('.')
  const header = decode(segments[0])
  if (header === undefined || segments.length < 3 || token.includes('~')) return { form: 'none', words: guess(bare) }
  if (segments.length === 5) return { form: 'jwe', header, notes }
  const claims = decode(segments[1])
  if (segments.length !== 3)
    return { form: 'none', words: `something with ${segments.length} segments; a signed JWT has three` }
  if (claims === undefined)
    return { form: 'none', words: 'something like a JWT whose payload is not one JSON object in base64url' }
  return { form: 'jws', token, header, claims, notes }
}

function decode(segment: string | undefined): JsonObject | undefined {
  const bytes = fromBase64Url(segment ?? '')
  const text = bytes.ok ? fromUtf8(bytes.value) : bytes
  const object = text.ok ? parseJsonObject(text.value) : text
  return object.ok ? object.value : undefined
}

function guess(text: string): string {
  if (text.startsWith('{')) return guessJson(text)
  if (text.startsWith('<')) return 'XML; a SAML assertion is sent in base64url'
  if (/^(?:PHNhbW|PD94bWw|PEFzc2Vyd|PHNhbWwyO)/.test(text))
    return 'a SAML assertion, by its first letters; this is a command for JWTs'
  if (text.includes('~')) return 'an SD-JWT, by its tildes; nothing here takes one'
  if (/^[\w-]+\.[\w-]+\.$/.test(text)) return 'a JWT without a signature that cannot be read'
  return 'no JWT: an opaque token says nothing to anybody but the server that made it'
}

function guessJson(text: string): string {
  const object = parseJsonObject(text)
  const has = (name: string): boolean => object.ok && Object.hasOwn(object.value, name)
  if (has('active')) return 'the JSON of an introspection response (RFC 7662), not a token'
  if (has('access_token') || has('id_token')) return 'the answer of a token endpoint: give one of the tokens in it'
  return 'JSON, not a token'
}
