// Keys and tokens for tests: real signatures over whatever header and payload a test wants, well-formed or not.
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { toBase64Url, toUtf8 } from '../../src/lib/bytes.ts'
import type { SigningAlgorithm } from '../../src/parties.ts'

export interface TestKey {
  readonly kid: string
  readonly alg: SigningAlgorithm
  /** As its owner would publish it, with `kid`, `alg` and `use`. */
  readonly publicJwk: JWK & Record<string, unknown>
  /** Never to be published; for tests that publish it all the same. */
  readonly privateJwk: JWK & Record<string, unknown>
  readonly privateKey: CryptoKey
}

export type Claims = Readonly<Record<string, unknown>>

export async function createTestKey(kid = 'key-1', alg: SigningAlgorithm = 'ES256'): Promise<TestKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const names = { kid, alg, use: 'sig' }
  return {
    kid,
    alg,
    publicJwk: { ...(await exportJWK(publicKey)), ...names },
    privateJwk: { ...(await exportJWK(privateKey)), ...names },
    privateKey,
  }
}

const SIGNING: Readonly<Record<string, { name: string; hash?: string; saltLength?: number }>> = {
  RS: { name: 'RSASSA-PKCS1-v1_5' },
  PS256: { name: 'RSA-PSS', saltLength: 32 },
  PS384: { name: 'RSA-PSS', saltLength: 48 },
  PS512: { name: 'RSA-PSS', saltLength: 64 },
  ES256: { name: 'ECDSA', hash: 'SHA-256' },
  ES384: { name: 'ECDSA', hash: 'SHA-384' },
  EdDSA: { name: 'Ed25519' },
}

/** Signs any two texts as header and payload of a compact JWS, whatever they say. */
export async function signTexts(key: TestKey, header: string, payload: string): Promise<string> {
  const signed = `${toBase64Url(toUtf8(header))}.${toBase64Url(toUtf8(payload))}`
  const algorithm = SIGNING[key.alg] ?? SIGNING[key.alg.slice(0, 2)] ?? { name: 'none' }
  const signature = await crypto.subtle.sign(algorithm, key.privateKey, toUtf8(signed))
  return `${signed}.${toBase64Url(new Uint8Array(signature))}`
}

/** A JWT with the key's own `alg` and `kid`; a header parameter or a claim of `undefined` is left out. */
export function mint(key: TestKey, claims: Claims, header: Claims = {}): Promise<string> {
  return signTexts(key, JSON.stringify({ alg: key.alg, typ: 'JWT', kid: key.kid, ...header }), JSON.stringify(claims))
}

/** The claims of an ordinary ID token, issued five seconds before `now` for five minutes. */
export function idTokenClaims(now: number, issuer: string, audience: string): Record<string, unknown> {
  return {
    iss: issuer,
    sub: 'alice',
    aud: audience,
    iat: now - 5,
    exp: now + 300,
    auth_time: now - 10,
    nonce: 'n-0S6_WzA2Mj',
  }
}

/** The claims of a client assertion as RFC 7523 wants it, for one minute. */
export function clientAssertionClaims(now: number, client: string, audience: string): Record<string, unknown> {
  return { iss: client, sub: client, aud: audience, jti: crypto.randomUUID(), iat: now, exp: now + 60 }
}
