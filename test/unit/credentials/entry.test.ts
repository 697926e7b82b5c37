import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeEntry, encodeEntry, lifetimeOf, toCredential, type Entry } from '../../../src/credentials/entry.ts'
import { toUtf8, fromUtf8 } from '../../../src/lib/bytes.ts'
import { KeyPair } from '../../../src/lib/key-pair.ts'
import { numericDate } from '../../../src/lib/numeric-date.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { Issuer } from '../../../src/parties.ts'
import { scopesOf } from '../support/proofs.ts'

const NOW = numericDate(1_800_000_000)
const BOUNDS = { maxTtlSeconds: 3600, refreshBeforeSeconds: 60 }

describe('lifetimeOf()', () => {
  // Seconds after the issue: dies, is not used any more, is refreshed.
  test.each([
    ['an hour', 3600, BOUNDS, [3600, 3570, 3510]],
    ['ten minutes', 600, BOUNDS, [600, 570, 510]],
    ['five minutes', 300, BOUNDS, [300, 270, 210]],
    ['a minute: a tenth is the margin, a fifth the time ahead', 60, BOUNDS, [60, 54, 42]],
    ['twenty seconds', 20, BOUNDS, [20, 18, 14]],
    ['a second', 1, BOUNDS, [1, 0, -1]],
    ['no time at all', 0, BOUNDS, [0, 0, 0]],
    ['a day, of which an hour is used: then no margin is needed', 86_400, BOUNDS, [3600, 3600, 3540]],
    ['an hour, of which ten minutes are used', 3600, { ...BOUNDS, maxTtlSeconds: 600 }, [600, 600, 540]],
    [
      'ten seconds more than is used: what is left of the margin',
      3600,
      { ...BOUNDS, maxTtlSeconds: 3590 },
      [3590, 3570, 3510],
    ],
    ['an hour without refreshing ahead', 3600, { ...BOUNDS, refreshBeforeSeconds: 0 }, [3600, 3570, 3570]],
    ['an hour with a quarter of an hour ahead', 3600, { ...BOUNDS, refreshBeforeSeconds: 900 }, [3600, 3570, 2850]],
  ] as const)('of %s', (_what, lifetime, bounds, [expires, usable, refresh]) => {
    expect(lifetimeOf(NOW, lifetime, bounds)).toEqual({
      issuedAt: NOW,
      expiresAt: NOW + expires,
      tokenExpiresAt: NOW + lifetime,
      usableUntil: NOW + usable,
      refreshAt: NOW + refresh,
    })
  })

  test('never uses a token past its own life or past max_ttl, and refreshes before that', () => {
    const bounds = fc.record({
      maxTtlSeconds: fc.integer({ min: 60, max: 86_400 }),
      refreshBeforeSeconds: fc.integer({ min: 0, max: 900 }),
    })
    fc.assert(
      fc.property(fc.nat(400_000_000), bounds, (lifetime, limits) => {
        const { expiresAt, usableUntil, refreshAt } = lifetimeOf(NOW, lifetime, limits)
        expect(expiresAt - NOW).toBeLessThanOrEqual(Math.min(lifetime, limits.maxTtlSeconds))
        expect(usableUntil).toBeLessThanOrEqual(expiresAt)
        expect(refreshAt).toBeLessThanOrEqual(usableUntil)
        // A request must have time to arrive before the token itself dies.
        expect(usableUntil).toBeLessThanOrEqual(NOW + lifetime - Math.min(30, Math.floor(lifetime * 0.1)))
      }),
    )
  })
})

const KEY = await KeyPair.generate()

const ENTRY: Entry = {
  id: 'entry-1',
  identity: '1:1',
  token: new Secret('user:grant:secret'),
  server: 'https://as.test' as Issuer,
  key: undefined,
  scopes: scopesOf('a', 'b'),
  details: { json: '[{"type":"t"}]', types: ['t'] },
  ...lifetimeOf(NOW, 3600, BOUNDS),
  obtainedAt: NOW * 1000,
  loginAt: NOW,
  jti: 'jag-1',
  actors: [{ sub: 'agents/planner', iss: 'https://login.test' }, { sub: 'inner' }],
  idJag: {
    token: new Secret('e30.e30.sig'),
    key: undefined,
    expiresAt: numericDate(NOW + 300),
    scopes: scopesOf('a'),
    details: { json: '[{"type":"t"},{"type":"u"}]', types: ['t', 'u'] },
  },
}

function reveal(entry: Entry | undefined): unknown {
  return (
    entry && {
      ...entry,
      token: entry.token.reveal(),
      key: entry.key?.reveal(),
      idJag: entry.idJag && {
        ...entry.idJag,
        token: entry.idJag.token.reveal(),
        key: entry.idJag.key?.reveal(),
      },
    }
  )
}

describe('encodeEntry() and decodeEntry()', () => {
  test('give an entry back, with and without what is optional', () => {
    expect(reveal(decodeEntry(encodeEntry(ENTRY)))).toEqual(reveal(ENTRY))
    const bare: Entry = { ...ENTRY, scopes: [], jti: undefined, idJag: undefined }
    expect(reveal(decodeEntry(encodeEntry(bare)))).toEqual(reveal(bare))
    const bound: Entry = { ...ENTRY, key: KEY, idJag: ENTRY.idJag && { ...ENTRY.idJag, key: KEY } }
    expect(reveal(decodeEntry(encodeEntry(bound)))).toEqual(reveal(bound))
  })

  test('do not take what is not exactly an entry of this version', () => {
    const text = fromUtf8(encodeEntry(ENTRY))
    if (!text.ok) throw new Error(text.error)
    const good: Record<string, unknown> = JSON.parse(text.value)
    const decode = (changes: Record<string, unknown>): Entry | undefined =>
      decodeEntry(toUtf8(JSON.stringify({ ...good, ...changes })))
    expect(decode({})).toBeDefined()
    const optional = ['jti', 'id_jag', 'details']
    for (const name of Object.keys(good).filter((each) => !optional.includes(each))) {
      expect(decode({ [name]: undefined })).toBeUndefined()
      expect(decode({ [name]: null })).toBeUndefined()
      expect(decode({ [name]: {} })).toBeUndefined()
    }
    const bad: Record<string, unknown>[] = [
      { v: 3 },
      { v: 5 },
      { v: '4' },
      { key: {} },
      { key: { x: 'x', y: 'y', d: 5 } },
      { key: { ...KEY.reveal(), kty: 'EC' } },
      { extra: 1 },
      { token: '' },
      { token: 'a\r\nb' },
      { token: 5 },
      { server: '' },
      { scopes: ['a b'] },
      { scopes: 'a' },
      { usable_until: '1' },
      { id_jag: { token: 'x' } },
      { id_jag: null },
      { jti: 5 },
      { details: [] },
      { details: { json: '[]' } },
    ]
    for (const changes of bad) expect(decode(changes)).toBeUndefined()
  })

  test('never throw on bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(decodeEntry(bytes)).toBeUndefined()
      }),
    )
    for (const text of ['', '{}', '[]', '{"v":3,"v":3}', 'null']) expect(decodeEntry(toUtf8(text))).toBeUndefined()
  })
})

describe('toCredential()', () => {
  test('tells what is needed to use the token, and shows it to nobody', () => {
    const credential = toCredential(ENTRY, 'tasks')
    const { token, ...rest } = credential
    expect(rest).toEqual({
      kind: 'bearer',
      resource: 'tasks',
      entryId: 'entry-1',
      scopes: ['a', 'b'],
      details: { json: '[{"type":"t"}]', types: ['t'] },
      expiresAt: NOW + 3600,
    })
    expect(token.reveal()).toBe('user:grant:secret')
    expect(JSON.stringify(credential)).not.toContain('grant')
  })

  test('brings the key of a bound token along, and shows that to nobody either', () => {
    const credential = toCredential({ ...ENTRY, key: KEY }, 'tasks')
    expect(credential).toMatchObject({ kind: 'dpop', key: KEY })
    for (const text of [JSON.stringify(credential), inspect(credential, { depth: 9, showHidden: true })])
      expect(text).not.toContain(KEY.reveal().d)
  })
})
