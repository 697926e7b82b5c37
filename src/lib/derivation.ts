// Keys derived from a secret text, a different one for each use (HKDF-SHA-256, RFC 5869).
import { toUtf8 } from './bytes.ts'

/** A secret to derive keys from. */
export async function importSecret(text: string): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', toUtf8(text), 'HKDF', false, ['deriveKey', 'deriveBits'])
}

interface Derivation {
  readonly name: 'HKDF'
  readonly hash: 'SHA-256'
  readonly salt: Uint8Array<ArrayBuffer>
  readonly info: Uint8Array<ArrayBuffer>
}

/** What tells the keys of one secret apart. */
export function derivationFor(use: string): Derivation {
  return { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info: toUtf8(`jagway ${use} v1`) }
}

/** A key for keyed digests (HMAC-SHA-256). */
export async function deriveDigestKey(secret: CryptoKey, use: string): Promise<CryptoKey> {
  const digests = { name: 'HMAC', hash: 'SHA-256', length: 256 }
  return crypto.subtle.deriveKey(derivationFor(use), secret, digests, false, ['sign'])
}
