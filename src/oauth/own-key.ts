// A private key of ours, as a secret holds it: a JWK (RFC 7517) or a PKCS #8 PEM. Its public half is what others verify us by.
import { calculateJwkThumbprint, exportJWK, importJWK, importPKCS8, type JWK } from 'jose'
import { parseJsonObject, type JsonObject } from '../lib/strict-json.ts'
import type { SigningAlgorithm } from '../parties.ts'

export interface OwnKey {
  readonly key: CryptoKey
  /** As given, or the RFC 7638 thumbprint. */
  readonly kid: string
  /** The certificate that a JWK says it belongs to (RFC 7517 section 4.9); some servers find the key by it. */
  readonly certificate: string | undefined
  readonly publicJwk: JWK
}

/** Undefined: no private key for the algorithm. */
export async function importOwnKey(text: string, alg: SigningAlgorithm): Promise<OwnKey | undefined> {
  try {
    const parsed = parseJsonObject(text)
    const given: JsonObject = parsed.ok ? parsed.value : {}
    const key = parsed.ok ? await importJWK(given, alg) : await importPKCS8(text, alg, { extractable: true })
    if (!(key instanceof CryptoKey) || key.type !== 'private') return undefined
    const publicMembers = publicHalf(parsed.ok ? given : await exportJWK(key))
    const kid = textOf(given['kid']) ?? (await calculateJwkThumbprint(publicMembers))
    return {
      key,
      kid,
      certificate: textOf(given['x5t#S256']),
      publicJwk: { ...publicMembers, kid, use: 'sig', alg },
    }
  } catch {
    return undefined
  }
}

/** Named one by one (RFC 7518 section 6, RFC 8037 section 2): a member nobody knows must not be given away. */
function publicHalf(jwk: Readonly<Record<string, unknown>>): JWK {
  const members = ['kty', 'crv', 'x', 'y', 'n', 'e'].flatMap((name) => {
    const value = textOf(jwk[name])
    return value === undefined ? [] : [[name, value] as const]
  })
  return Object.fromEntries(members)
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
