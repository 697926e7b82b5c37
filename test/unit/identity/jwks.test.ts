// How often the owner of keys is asked, how long keys are believed, and what happens while the owner cannot be reached.
import { describe, expect, test, vi } from 'vitest'
import { createKeyProvider, type KeyProvider } from '../../../src/identity/jwks.ts'
import type { KeySource } from '../../../src/parties.ts'
import { createDiscovery } from '../../../src/oauth/metadata.ts'
import { createTestKey } from '../../support/keys.ts'
import { ISSUER, json, key, TestClock } from './world.ts'

const KEYS_URL = 'https://keys.corp.test/jwks'
const FETCHED: KeySource = { kind: 'fetched', jwksUri: KEYS_URL }
const DISCOVERED: KeySource = { kind: 'discovered', issuer: ISSUER }
const second = await createTestKey('idp-2')

interface Owner {
  readonly clock: TestClock
  readonly keys: KeyProvider
  /** Every address that was asked. */
  readonly fetched: string[]
  answer: (request: Request) => Response | Promise<Response>
}

function createOwner(source: KeySource = FETCHED): Owner {
  const clock = new TestClock()
  const fetched: string[] = []
  const ports = {
    clock,
    background: () => undefined,
    fetch: async (request: Request) => {
      fetched.push(request.url)
      return owner.answer(request)
    },
  }
  const keys = createKeyProvider(source, ['ES256'], { ...ports, discovery: createDiscovery(ports, { local: false }) })
  const owner: Owner = { clock, keys, fetched, answer: () => json({ keys: [key.publicJwk] }) }
  return owner
}

async function ask({ keys }: Owner, kid: string | undefined = 'idp-1'): Promise<string> {
  const found = await keys.keyFor(kid, 'ES256')
  if (found.ok) return 'found'
  return found.error.kind
}

const down = () => Promise.reject(new Error('connection refused'))

describe('a cold key provider', () => {
  test('makes one request for forty callers', async () => {
    const owner = createOwner()
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(owner)))
    expect(new Set(answers)).toEqual(new Set(['found']))
    expect(owner.fetched).toEqual([KEYS_URL])
  })

  test('makes one request for forty callers while the owner is down, and no further one for ten seconds', async () => {
    const owner = createOwner()
    owner.answer = down
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(owner)))
    expect(new Set(answers)).toEqual(new Set(['unavailable']))
    owner.clock.pass(9)
    expect(await ask(owner)).toBe('unavailable')
    expect(owner.fetched).toHaveLength(1)
    owner.clock.pass(1)
    owner.answer = () => json({ keys: [key.publicJwk] })
    expect(await ask(owner)).toBe('found')
    expect(owner.fetched).toHaveLength(2)
  })

  test('says when to try again', async () => {
    const owner = createOwner()
    owner.answer = down
    const found = await owner.keys.keyFor('idp-1', 'ES256')
    expect(found).toMatchObject({ ok: false, error: { kind: 'unavailable', retryAfterSeconds: 10 } })
  })

  test('finds the keys by the metadata of the issuer, with one request for each document', async () => {
    const owner = createOwner(DISCOVERED)
    owner.answer = ({ url }) =>
      url === KEYS_URL ? json({ keys: [key.publicJwk] }) : json({ issuer: ISSUER, jwks_uri: KEYS_URL })
    await Promise.all(Array.from({ length: 40 }, () => ask(owner)))
    expect(await ask(owner)).toBe('found')
    expect(owner.fetched).toEqual([`${ISSUER}/.well-known/openid-configuration`, KEYS_URL])
  })

  test('is unavailable where the metadata names no keys', async () => {
    const owner = createOwner(DISCOVERED)
    owner.answer = () => json({ issuer: ISSUER })
    expect(await ask(owner)).toBe('unavailable')
    expect(owner.fetched).toHaveLength(1)
  })
})

describe('a warm key provider', () => {
  test('asks again after ten minutes, not before', async () => {
    const owner = createOwner()
    await ask(owner)
    owner.clock.pass(599)
    await ask(owner)
    expect(owner.fetched).toHaveLength(1)
    owner.clock.pass(1)
    await ask(owner)
    expect(owner.fetched).toHaveLength(2)
  })

  test('refuses a withdrawn key ten minutes later', async () => {
    const owner = createOwner()
    await ask(owner)
    owner.answer = () => json({ keys: [second.publicJwk] })
    owner.clock.pass(600)
    expect(await ask(owner)).toBe('unknown_key')
  })

  test('believes an owner who withdraws every key', async () => {
    const owner = createOwner()
    await ask(owner)
    owner.answer = () => json({ keys: [] })
    owner.clock.pass(600)
    expect(await ask(owner)).toBe('unknown_key')
  })

  test('keeps its keys for an hour while the owner is down, and not a second longer', async () => {
    const owner = createOwner()
    await ask(owner)
    owner.answer = down
    owner.clock.pass(3_599)
    expect(await ask(owner)).toBe('found')
    owner.clock.pass(1)
    expect(await ask(owner)).toBe('unavailable')
  })

  test.each([
    ['a private key', () => json({ keys: [key.privateJwk] })],
    ['a symmetric key', () => json({ keys: [key.publicJwk, { kty: 'oct', k: 'c2VjcmV0', kid: 'x' }] })],
    ['two keys of one kid', () => json({ keys: [key.publicJwk, { ...second.publicJwk, kid: 'idp-1' }] })],
    [
      '101 keys',
      () => json({ keys: Array.from({ length: 101 }, (_, index) => ({ ...key.publicJwk, kid: `${index}` })) }),
    ],
    ['something that is not a key', () => json({ keys: [null] })],
    ['no list of keys', () => json({ keys: {} })],
    ['no keys at all', () => json({})],
    [
      'a repeated member',
      () => new Response('{"keys":[],"keys":[]}', { headers: { 'content-type': 'application/json' } }),
    ],
    ['another media type', () => new Response('{"keys":[]}', { headers: { 'content-type': 'text/html' } })],
    ['more than 64 KiB', () => json({ keys: [], pad: 'x'.repeat(65_536) })],
    ['the status 500', () => json({ keys: [] }, { status: 500 })],
    ['the status 201', () => json({ keys: [] }, { status: 201 })],
    ['a redirect', () => new Response(null, { status: 302, headers: { location: 'https://evil.test/keys' } })],
  ])('keeps the last good set when the new document has %s', async (_, answer) => {
    const owner = createOwner()
    await ask(owner)
    owner.answer = answer
    owner.clock.pass(600)
    expect(await ask(owner)).toBe('found')
    expect(owner.fetched).toEqual([KEYS_URL, KEYS_URL])
    owner.clock.pass(3_000)
    expect(await ask(owner)).toBe('unavailable')
  })

  test('says of stale keys that they are not fresh, so that nothing is remembered by them', async () => {
    const owner = createOwner()
    await ask(owner)
    owner.answer = down
    owner.clock.pass(1_200)
    const found = await owner.keys.keyFor('idp-1', 'ES256')
    expect(found.ok && found.value.freshUntilMs < owner.clock.millis()).toBe(true)
  })
})

describe('an unknown kid', () => {
  test('is found at once after a key change, by every caller, with one more request', async () => {
    const owner = createOwner()
    await ask(owner)
    owner.answer = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      return json({ keys: [second.publicJwk, key.publicJwk] })
    }
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(owner, 'idp-2')))
    expect(new Set(answers)).toEqual(new Set(['found']))
    expect(owner.fetched).toHaveLength(2)
  })

  test('costs two requests in thirty seconds at most, however many there are', async () => {
    const owner = createOwner()
    await Promise.all(Array.from({ length: 40 }, () => ask(owner, crypto.randomUUID())))
    for (let index = 0; index < 40; index++) expect(await ask(owner, crypto.randomUUID())).toBe('unknown_key')
    expect(owner.fetched).toHaveLength(2)
    owner.clock.pass(29)
    await ask(owner, crypto.randomUUID())
    expect(owner.fetched).toHaveLength(2)
    owner.clock.pass(1)
    await Promise.all(Array.from({ length: 40 }, () => ask(owner, crypto.randomUUID())))
    expect(owner.fetched).toHaveLength(3)
  })

  test('is not asked for again within two minutes of being missed', async () => {
    const owner = createOwner()
    await ask(owner, 'gone')
    expect(owner.fetched).toHaveLength(2)
    owner.clock.pass(119)
    await ask(owner, 'gone')
    expect(owner.fetched).toHaveLength(2)
    owner.clock.pass(1)
    await ask(owner, 'gone')
    expect(owner.fetched).toHaveLength(3)
  })

  test('does not disturb known keys while the owner is down', async () => {
    const owner = createOwner()
    await ask(owner)
    owner.answer = down
    expect(await ask(owner, 'idp-2')).toBe('unknown_key')
    expect(await ask(owner)).toBe('found')
    expect(owner.fetched).toHaveLength(2)
  })

  test('asks nobody where the kid is taken by a key of another kind, or where no kid leaves a choice', async () => {
    const owner = createOwner()
    const rsa = await createTestKey('rsa', 'RS256')
    owner.answer = () => json({ keys: [key.publicJwk, second.publicJwk, rsa.publicJwk] })
    expect(await ask(owner)).toBe('found')
    expect((await owner.keys.keyFor(undefined, 'ES256')).ok).toBe(false)
    expect((await owner.keys.keyFor('idp-1', 'RS256')).ok).toBe(false)
    expect(owner.fetched).toHaveLength(1)
  })
})

describe('a load whose request has died', () => {
  async function withDeadLoad(): Promise<Owner> {
    const owner = createOwner()
    await ask(owner)
    owner.answer = () => new Promise<Response>(() => undefined)
    void ask(owner, 'idp-2')
    await vi.waitFor(() => expect(owner.fetched).toHaveLength(2))
    owner.answer = () => json({ keys: [key.publicJwk, second.publicJwk] })
    return owner
  }

  test('does not keep those who wait for it longer than its deadline', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const owner = await withDeadLoad()
      const follower = ask(owner, 'idp-2')
      await vi.advanceTimersByTimeAsync(5_000)
      expect(await follower).toBe('unknown_key')
      expect(await ask(owner)).toBe('found')
    } finally {
      vi.useRealTimers()
    }
  })

  test('does not keep anybody from loading again after its deadline', async () => {
    const owner = await withDeadLoad()
    owner.clock.pass(30)
    expect(await ask(owner, 'idp-2')).toBe('found')
    expect(owner.fetched).toHaveLength(3)
  })
})

test('keys from the configuration ask nobody and never grow old', async () => {
  const owner = createOwner({ kind: 'static', jwks: { keys: [key.publicJwk] } })
  expect(await ask(owner)).toBe('found')
  owner.clock.pass(86_400)
  expect(await ask(owner)).toBe('found')
  expect(await ask(owner, 'idp-2')).toBe('unknown_key')
  expect(owner.fetched).toEqual([])
})
