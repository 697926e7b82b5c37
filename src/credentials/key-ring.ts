// Names and seals of stored entries. Storage is not trusted: whoever reads it learns no token, no user and no address;
// whoever writes to it can at most cause a miss (threats T02 to T04).
import { derivationFor, deriveDigestKey, importSecret } from '../lib/derivation.ts'
import { hmac } from '../lib/digest.ts'
import { toUtf8 } from '../lib/bytes.ts'
import type { SecretName } from '../parties.ts'
import type { Secrets } from '../ports.ts'

/** What a name is made of. Each part becomes a keyed digest of its own, so that entries can be listed by their first parts. */
export interface NameParts {
  readonly user: string
  readonly client: string
  readonly resource: string
  readonly identity: string
}

/** What the names about a subject token are made of. */
export interface SubjectParts {
  readonly client: string
  readonly idpClient: string
  /** Kind and token. It becomes a keyed digest; nobody who reads names can try tokens against it. */
  readonly token: string
  readonly identity: string
}

export interface SubjectNames {
  /** Of all that is known of the token. */
  readonly subject: string
  /** Of one introduction. */
  readonly entry: string
}

export interface KeyRing {
  /** The name under every key, the sealing one first: entries written before a rotation are found under the old names. */
  names(parts: NameParts): Promise<readonly [string, ...string[]]>
  /** What a token is known by, under every key, the sealing one first. */
  digests(token: string): Promise<readonly [string, ...string[]]>
  /** Likewise, of what is kept about a subject token. */
  subjectNames(parts: SubjectParts): Promise<readonly [SubjectNames, ...SubjectNames[]]>
  /** AES-256-GCM with a random 96-bit IV under the first key, bound to `name`. */
  seal(name: string, plain: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>
  /** Undefined: cut, flipped, moved to another name, or sealed by a key that is not ours. */
  open(name: string, sealed: Uint8Array<ArrayBuffer>): Promise<Uint8Array | undefined>
}

interface RingKey {
  /** First bytes of a digest: finds the key without trying all. */
  readonly id: Uint8Array<ArrayBuffer>
  readonly sealing: CryptoKey
  readonly naming: CryptoKey
  /** Digests of clients and resources: as few as the configuration has, and part of every name. */
  readonly digests: Map<string, string>
}

// Layout of a sealed value: version, key id, IV, ciphertext with tag.
const VERSION = 1
const KEY_ID_BYTES = 4
const IV_BYTES = 12
const HEADER_BYTES = 1 + KEY_ID_BYTES + IV_BYTES
const MAX_SEALED_BYTES = 128 * 1024

/** `sealingKeys`: the first seals, all open. */
export function createKeyRing(sealingKeys: readonly SecretName[], secrets: Secrets): KeyRing {
  const [first, ...older] = sealingKeys
  if (first === undefined) throw new Error('there is no sealing key')
  let loaded: readonly [RingKey, ...RingKey[]] | undefined
  // A promise is not shared between requests: reading a secret may be I/O that belongs to one of them.
  const ring = async (): Promise<readonly [RingKey, ...RingKey[]]> => {
    if (loaded !== undefined) return loaded
    loaded = [await derive(first, secrets), ...(await Promise.all(older.map((name) => derive(name, secrets))))]
    return loaded
  }
  return {
    async names(parts) {
      const [current, ...rest] = await ring()
      return [await nameUnder(current, parts), ...(await Promise.all(rest.map((key) => nameUnder(key, parts))))]
    },
    async digests(token) {
      const [current, ...rest] = await ring()
      const under = ({ naming }: RingKey): Promise<string> => hmac(naming, `token ${token}`)
      return [await under(current), ...(await Promise.all(rest.map(under)))]
    },
    async subjectNames(parts) {
      const [current, ...rest] = await ring()
      const others = await Promise.all(rest.map((key) => subjectNamesUnder(key, parts)))
      return [await subjectNamesUnder(current, parts), ...others]
    },
    async seal(name, plain) {
      const [key] = await ring()
      const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES))
      const box = new Uint8Array(await crypto.subtle.encrypt(algorithm(iv, name), key.sealing, plain))
      const sealed = new Uint8Array(HEADER_BYTES + box.length)
      sealed.set([VERSION])
      sealed.set(key.id, 1)
      sealed.set(iv, 1 + KEY_ID_BYTES)
      sealed.set(box, HEADER_BYTES)
      return sealed
    },
    async open(name, sealed) {
      if (sealed.length <= HEADER_BYTES || sealed.length > MAX_SEALED_BYTES || sealed[0] !== VERSION) return undefined
      const key = (await ring()).find(({ id }) => id.every((byte, index) => byte === sealed[1 + index]))
      if (key === undefined) return undefined
      const iv = sealed.slice(1 + KEY_ID_BYTES, HEADER_BYTES)
      try {
        return new Uint8Array(await crypto.subtle.decrypt(algorithm(iv, name), key.sealing, sealed.slice(HEADER_BYTES)))
      } catch {
        return undefined
      }
    },
  }
}

function algorithm(
  iv: Uint8Array<ArrayBuffer>,
  name: string,
): { name: 'AES-GCM'; iv: Uint8Array<ArrayBuffer>; additionalData: Uint8Array<ArrayBuffer> } {
  return { name: 'AES-GCM', iv, additionalData: toUtf8(`jagway entry ${VERSION} ${name}`) }
}

/** One Worker secret becomes a key for seals and a key for names. */
async function derive(name: SecretName, secrets: Secrets): Promise<RingKey> {
  const secret = await importSecret((await secrets(name)).reveal())
  const [sealing, naming, id] = await Promise.all([
    crypto.subtle.deriveKey(derivationFor('seal'), secret, { name: 'AES-GCM', length: 256 }, false, [
      'encrypt',
      'decrypt',
    ]),
    deriveDigestKey(secret, 'name'),
    crypto.subtle.deriveBits(derivationFor('key id'), secret, KEY_ID_BYTES * 8),
  ])
  return { id: new Uint8Array(id), sealing, naming, digests: new Map() }
}

async function nameUnder(key: RingKey, { user, client, resource, identity }: NameParts): Promise<string> {
  // The label keeps equal texts in different places from having equal digests.
  const parts = await Promise.all([
    hmac(key.naming, `user ${user}`),
    configuredDigest(key, `client ${client}`),
    configuredDigest(key, `resource ${resource}`),
    hmac(key.naming, `identity ${identity}`),
  ])
  return `t1.${parts.join('.')}`
}

async function subjectNamesUnder(
  key: RingKey,
  { client, idpClient, token, identity }: SubjectParts,
): Promise<SubjectNames> {
  const parts = await Promise.all([
    configuredDigest(key, `subject client ${client}`),
    configuredDigest(key, `subject at ${idpClient}`),
    hmac(key.naming, `subject token ${token}`),
  ])
  const subject = `s1.${parts.join('.')}`
  return { subject, entry: `${subject}.${await hmac(key.naming, `subject identity ${identity}`)}` }
}

async function configuredDigest({ naming, digests }: RingKey, text: string): Promise<string> {
  const known = digests.get(text)
  if (known !== undefined) return known
  const digest = await hmac(naming, text)
  digests.set(text, digest)
  return digest
}
