// What jose does here: importing a public key, checking a signature (RFC 7515 section 5.2), and thumbprints. The algorithm is
// always the caller's, pinned by configuration; never the token's alone (RFC 8725 section 3.1).
import { calculateJwkThumbprint, compactVerify, importJWK, type JWK } from 'jose'
import type { SigningAlgorithm } from '../parties.ts'

/** Undefined: not a key this algorithm can use, for instance a point that is not on its curve. */
export async function importVerificationKey(jwk: JWK, alg: SigningAlgorithm): Promise<CryptoKey | undefined> {
  return foreign(async () => {
    const key = await importJWK(jwk, alg)
    return key instanceof Uint8Array ? undefined : key
  })
}

/** Of a public key (RFC 7638, SHA-256). */
export async function thumbprintOf(jwk: JWK): Promise<string | undefined> {
  return foreign(() => calculateJwkThumbprint(jwk))
}

/** Whether the token carries a signature of this key by this algorithm. */
export async function isSignedBy(token: string, key: CryptoKey, alg: SigningAlgorithm): Promise<boolean> {
  const verified = await foreign(() => compactVerify(token, key, { algorithms: [alg] }))
  return verified !== undefined
}

/**
 * Where jose's exceptions end. Everything is caught, not only its own errors: it throws plain TypeErrors for weak keys, and
 * WebCrypto throws DOMExceptions through it. Whatever it was, there is no valid signature.
 */
async function foreign<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch {
    return undefined
  }
}
