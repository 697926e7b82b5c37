// A published key set, judged at load (RFC 7517 section 5): what cannot be used is dropped, what must never have been
// published condemns the whole document. Keys are imported once, for the algorithms their owner is pinned to.
import { fromBase64Url } from '../lib/bytes.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { isObject, type JsonObject } from '../lib/strict-json.ts'
import type { SigningAlgorithm } from '../parties.ts'
import { importVerificationKey, thumbprintOf } from './signature.ts'

const MAX_KEYS = 100
const MAX_KID_CHARS = 256
// NIST SP 800-131A: no less. RFC 7518 section 3.3 says the same. More than 8192 only costs time.
const MIN_RSA_BITS = 2048
const MAX_RSA_BITS = 8192
/** 65537. Stricter than RFC 7518: every other public exponent in the field is a mistake or an attack (e = 1 verifies all). */
const RSA_EXPONENT = 'AQAB'

/** Private and symmetric parameters (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1). */
const SECRET_PARAMETERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const

type Shape = { readonly kty: 'RSA' } | { readonly kty: 'EC' | 'OKP'; readonly crv: string }

const RSA: Shape = { kty: 'RSA' }

/** Which keys an algorithm takes (RFC 7518 section 3.1, RFC 8037 section 3.1). */
const SHAPES: Readonly<Record<SigningAlgorithm, Shape>> = {
  RS256: RSA,
  RS384: RSA,
  RS512: RSA,
  PS256: RSA,
  PS384: RSA,
  PS512: RSA,
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
}

type UsableKey = ReadonlyMap<SigningAlgorithm, CryptoKey>

export interface KeySet {
  readonly keys: readonly UsableKey[]
  readonly byKid: ReadonlyMap<string, UsableKey>
}

/** Reads a key set for a set of allowed algorithms. The problem is our own wording. */
export async function parseKeySet(
  document: JsonObject,
  algorithms: readonly SigningAlgorithm[],
): Promise<Result<KeySet, string>> {
  const entries = document['keys']
  if (!Array.isArray(entries)) return err('a key set without a list of keys')
  if (entries.length > MAX_KEYS) return err(`a key set of more than ${MAX_KEYS} keys`)
  const published: JsonObject[] = []
  for (const entry of entries) {
    if (!isObject(entry)) return err('a key set with something that is not a key')
    if (isSecret(entry)) return err('a key set with private or symmetric keys')
    published.push(entry)
  }

  const keys: UsableKey[] = []
  const byKid = new Map<string, UsableKey>()
  for (const jwk of published) {
    const key = isForSignatures(jwk) ? await importKey(jwk, algorithms) : undefined
    if (key === undefined) continue
    const kid = jwk['kid']
    // Two keys by one name: whichever were taken, somebody else's choice would decide (RFC 7517 section 4.5).
    if (typeof kid === 'string' && byKid.has(kid)) return err('a key set with two keys of one kid')
    if (typeof kid === 'string') byKid.set(kid, key)
    keys.push(key)
  }
  return ok({ keys, byKid })
}

/** The key named so, or, where the token names none, the only one that fits. Kids are compared exactly. */
export function findKey(set: KeySet, kid: string | undefined, alg: SigningAlgorithm): CryptoKey | undefined {
  if (kid !== undefined) return set.byKid.get(kid)?.get(alg)
  const fitting = set.keys.filter((key) => key.has(alg))
  return fitting.length === 1 ? fitting[0]?.get(alg) : undefined
}

/** Whether a newer set could hold a key this one lacks: not where the kid is taken, or where several keys fit. */
export function mayLack(set: KeySet, kid: string | undefined, alg: SigningAlgorithm): boolean {
  return kid === undefined ? !set.keys.some((key) => key.has(alg)) : !set.byKid.has(kid)
}

/**
 * The key that a DPoP proof brings along (RFC 9449 section 4.3, points 5 to 7), and its thumbprint. Undefined: not a public
 * key that this algorithm can use.
 */
export async function importProofKey(
  jwk: unknown,
  alg: SigningAlgorithm,
): Promise<{ readonly key: CryptoKey; readonly thumbprint: string } | undefined> {
  if (!isObject(jwk) || isSecret(jwk) || !isForSignatures(jwk)) return undefined
  const key = (await importKey(jwk, [alg]))?.get(alg)
  const material = materialOf(jwk, SHAPES[alg])
  const thumbprint = key && material && (await thumbprintOf(material))
  return key === undefined || thumbprint === undefined ? undefined : { key, thumbprint }
}

function isSecret(jwk: JsonObject): boolean {
  return jwk['kty'] === 'oct' || SECRET_PARAMETERS.some((name) => Object.hasOwn(jwk, name))
}

/** RFC 7517 sections 4.2 and 4.3: for signatures, and for checking them. */
function isForSignatures(jwk: JsonObject): boolean {
  const { use, key_ops: operations, kid } = jwk
  if (use !== undefined && use !== 'sig') return false
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return false
  return kid === undefined || (typeof kid === 'string' && kid !== '' && kid.length <= MAX_KID_CHARS)
}

async function importKey(jwk: JsonObject, algorithms: readonly SigningAlgorithm[]): Promise<UsableKey | undefined> {
  const imported = new Map<SigningAlgorithm, CryptoKey>()
  for (const alg of algorithms) {
    // RFC 7517 section 4.4: a key that names an algorithm is for that one alone.
    if (jwk['alg'] !== undefined && jwk['alg'] !== alg) continue
    const material = materialOf(jwk, SHAPES[alg])
    const key = material === undefined ? undefined : await importVerificationKey(material, alg)
    if (key !== undefined) imported.set(alg, key)
  }
  return imported.size === 0 ? undefined : imported
}

interface Material {
  readonly kty: string
  readonly [parameter: string]: string
}

/** Only the parameters of the public key itself; whatever else is published beside them means nothing. */
function materialOf(jwk: JsonObject, shape: Shape): Material | undefined {
  const { kty, n, e, crv, x, y } = jwk
  if (kty !== shape.kty) return undefined
  if (shape.kty === 'RSA')
    return typeof n === 'string' && e === RSA_EXPONENT && isModulus(n) ? { kty: 'RSA', n, e } : undefined
  if (crv !== shape.crv || typeof x !== 'string') return undefined
  if (shape.kty === 'OKP') return { kty: 'OKP', crv: shape.crv, x }
  return typeof y === 'string' ? { kty: 'EC', crv: shape.crv, x, y } : undefined
}

function isModulus(n: string): boolean {
  const bytes = fromBase64Url(n)
  if (!bytes.ok) return false
  // RFC 7518 section 6.3.1.1: some libraries put a zero octet in front.
  const first = bytes.value.findIndex((byte) => byte !== 0)
  if (first < 0) return false
  const bits = (bytes.value.length - first) * 8 - (Math.clz32(bytes.value[first] ?? 0) - 24)
  return bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS
}
