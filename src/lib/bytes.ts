// Bytes to text and back, strictly: what does not decode to exactly one text is refused.
import { err, ok, type Result } from './result.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function toUtf8(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(encoder.encode(text))
}

/** Strict UTF-8: no replacement characters, no silently dropped byte order mark. */
export function fromUtf8(bytes: Uint8Array): Result<string, 'not_utf8'> {
  try {
    return ok(decoder.decode(bytes))
  } catch {
    return err('not_utf8')
  }
}

const BASE64URL = /^[A-Za-z0-9_-]*$/
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * Base64url without padding (RFC 7515 section 2), and only its canonical form: the unused bits of the last character
 * must be zero, so that one byte sequence has exactly one spelling.
 */
export function fromBase64Url(text: string): Result<Uint8Array<ArrayBuffer>, 'not_base64url'> {
  const rest = text.length % 4
  if (!BASE64URL.test(text) || rest === 1) return err('not_base64url')
  // Two characters carry 12 bits for 8, three carry 18 for 16: what is left over must be zero.
  const spare = rest === 2 ? 16 : rest === 3 ? 4 : 1
  if (ALPHABET.indexOf(text.charAt(text.length - 1)) % spare !== 0) return err('not_base64url')
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  const bytes = new Uint8Array(binary.length)
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index)
  return ok(bytes)
}

export function toBase64Url(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** Lower-case hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
