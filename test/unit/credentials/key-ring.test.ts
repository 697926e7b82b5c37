import { beforeAll, describe, expect, test } from 'vitest'
import { createKeyRing, type KeyRing, type NameParts } from '../../../src/credentials/key-ring.ts'
import { fromUtf8, toUtf8 } from '../../../src/lib/bytes.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { SecretName } from '../../../src/parties.ts'
import type { Secrets } from '../../../src/ports.ts'

const PARTS: NameParts = {
  user: 'canary-user',
  client: 'canary-client',
  resource: 'canary-resource',
  identity: 'canary-identity',
}
const SECRETS: Secrets = async (name) => new Secret(`the value of ${name}, forty characters of it`)

const ringOf = (...names: string[]): KeyRing =>
  createKeyRing(
    names.map((name) => name as SecretName),
    SECRETS,
  )

const ring = ringOf('NEW')
const NAME = 't1.a.b.c.d'
const PLAIN = toUtf8('{"token":"canary-token"}')
let sealed: Uint8Array<ArrayBuffer>

beforeAll(async () => {
  sealed = await ring.seal(NAME, PLAIN)
})

const opens = async (name: string, value: Uint8Array<ArrayBuffer>, by = ring): Promise<boolean> =>
  (await by.open(name, value)) !== undefined

describe('a sealed entry', () => {
  test('is opened under its name by its key', async () => {
    const opened = await ring.open(NAME, sealed)
    expect(opened && fromUtf8(opened)).toEqual({ ok: true, value: '{"token":"canary-token"}' })
    expect(await ringOf('NEW').open(NAME, sealed)).toEqual(opened)
  })

  test('shows nothing of what is in it', () => {
    expect(new TextDecoder().decode(sealed)).not.toMatch(/token|canary/)
  })

  test('is never the same twice', async () => {
    const again = await ring.seal(NAME, PLAIN)
    expect(again).not.toEqual(sealed)
    expect(again.slice(0, 5)).toEqual(sealed.slice(0, 5))
    expect(again.slice(5, 17)).not.toEqual(sealed.slice(5, 17))
  })

  test('is not opened under any other name', async () => {
    for (const name of ['', 't1.a.b.c.e', 't1.b.a.c.d', `${NAME} `, NAME.toUpperCase(), 'T1.a.b.c.d']) {
      expect(await opens(name, sealed)).toBe(false)
    }
  })

  test('is not opened with any one bit flipped, wherever it is', async () => {
    for (let index = 0; index < sealed.length; index++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = new Uint8Array(sealed)
        flipped[index] = (flipped[index] ?? 0) ^ (1 << bit)
        expect(await opens(NAME, flipped)).toBe(false)
      }
    }
  })

  test('is not opened cut to any length, or with something behind it', async () => {
    for (let length = 0; length < sealed.length; length++)
      expect(await opens(NAME, sealed.slice(0, length))).toBe(false)
    expect(await opens(NAME, new Uint8Array([...sealed, 0]))).toBe(false)
    expect(await opens(NAME, new Uint8Array([...sealed, ...sealed]))).toBe(false)
  })

  test('is not opened by another key, not even one that claims its id', async () => {
    expect(await opens(NAME, sealed, ringOf('OTHER'))).toBe(false)
    const claimed = await ringOf('OTHER').seal(NAME, PLAIN)
    claimed.set(sealed.slice(1, 5), 1)
    expect(await opens(NAME, claimed)).toBe(false)
  })

  test('is not even tried where it is larger than any entry', async () => {
    expect(await opens(NAME, await ring.seal(NAME, new Uint8Array(128 * 1024 - 33)))).toBe(true)
    expect(await opens(NAME, await ring.seal(NAME, new Uint8Array(128 * 1024)))).toBe(false)
  })
})

describe('the name of an entry', () => {
  test('tells nothing of user, client and resource, and fits into KV', async () => {
    const [name] = await ring.names(PARTS)
    expect(name).toMatch(/^t1(?:\.[A-Za-z0-9_-]{43}){4}$/)
    expect(name).not.toContain('canary')
  })

  test('is the same every time, and another under another key', async () => {
    expect(await ringOf('NEW').names(PARTS)).toEqual(await ring.names(PARTS))
    expect(await ringOf('OTHER').names(PARTS)).not.toEqual(await ring.names(PARTS))
  })

  test('has one digest for each part, so that one user or one user’s client can be listed', async () => {
    const segments = async (changes: Partial<NameParts>): Promise<string[]> =>
      (await ring.names({ ...PARTS, ...changes }))[0].split('.')
    const base = await segments({})
    const differsIn = (other: readonly string[]): number[] =>
      other.flatMap((part, at) => (part === base[at] ? [] : [at]))
    expect(differsIn(await segments({ user: 'x' }))).toEqual([1])
    expect(differsIn(await segments({ client: 'x' }))).toEqual([2])
    expect(differsIn(await segments({ resource: 'x' }))).toEqual([3])
    expect(differsIn(await segments({ identity: 'x' }))).toEqual([4])
  })

  test('does not show that two parts are equal', async () => {
    const [name] = await ring.names({ user: 'x', client: 'x', resource: 'x', identity: 'x' })
    expect(new Set(name.split('.')).size).toBe(5)
  })
})

describe('a rotated ring', () => {
  const rotated = ringOf('NEW', 'OLD')

  test('writes under the new key and finds what the old one wrote', async () => {
    const [oldName] = await ringOf('OLD').names(PARTS)
    const [newName] = await ringOf('NEW').names(PARTS)
    expect(await rotated.names(PARTS)).toEqual([newName, oldName])
    expect(await opens(oldName, await ringOf('OLD').seal(oldName, PLAIN), rotated)).toBe(true)
    expect(await opens(newName, await rotated.seal(newName, PLAIN), ringOf('NEW'))).toBe(true)
    expect(await opens(newName, await rotated.seal(newName, PLAIN), ringOf('OLD'))).toBe(false)
  })

  test('does not open any more what a key wrote that is gone', async () => {
    expect(await opens(NAME, await ringOf('OLD').seal(NAME, PLAIN), ringOf('NEW'))).toBe(false)
  })

  test('does not let an old entry pass under a new name', async () => {
    const [newName, oldName = ''] = await rotated.names(PARTS)
    expect(await opens(newName, await ringOf('OLD').seal(oldName, PLAIN), rotated)).toBe(false)
  })
})

describe('the secrets of a ring', () => {
  test('are read once; that one reading failed does not spoil the ring', async () => {
    let reads = 0
    const flaky = createKeyRing(['NEW' as SecretName], async (name) => {
      reads++
      if (reads === 1) throw new Error('the Secrets Store is away')
      return SECRETS(name)
    })
    await expect(flaky.names(PARTS)).rejects.toThrow('away')
    expect(await flaky.names(PARTS)).toEqual(await ring.names(PARTS))
    await flaky.seal(NAME, PLAIN)
    expect(reads).toBe(2)
  })

  test('are needed: a ring without any is a mistake of ours', () => {
    expect(() => ringOf()).toThrow('no sealing key')
  })
})

describe('the digest of a token', () => {
  test('is the same wherever it is made, and is neither the token nor anything of a name', async () => {
    const [digest] = await ring.digests('canary-token')
    expect(digest).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(await ringOf('NEW').digests('canary-token')).toEqual([digest])
    expect(await ring.digests('canary-tokem')).not.toEqual([digest])
    // Not even the digest that the same text has as a part of a name.
    const parts = { user: 'canary-token', client: 'canary-token', resource: 'canary-token', identity: 'canary-token' }
    expect((await ring.names(parts))[0].split('.')).not.toContain(digest)
  })

  test('cannot be made without the key', async () => {
    expect(await ringOf('OTHER').digests('canary-token')).not.toEqual(await ring.digests('canary-token'))
  })

  test('is made under every key, the first of them first, so that rotation loses none', async () => {
    const [old] = await ringOf('OLD').digests('canary-token')
    const [current] = await ringOf('NEW').digests('canary-token')
    expect(await ringOf('NEW', 'OLD').digests('canary-token')).toEqual([current, old])
    expect(await ringOf('OLD', 'NEW').digests('canary-token')).toEqual([old, current])
  })
})
