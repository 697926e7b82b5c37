// How long a token is used, and how the next one comes: ahead of the end, once, and at nobody's cost.
import { describe, expect, test } from 'vitest'
import { encodeEntry, lifetimeOf } from '../../../src/credentials/entry.ts'
import { createKeyRing } from '../../../src/credentials/credentials.ts'
import { nameParts } from '../../../src/credentials/token-key.ts'
import { fromUtf8, toUtf8 } from '../../../src/lib/bytes.ts'
import { plusSeconds } from '../../../src/lib/numeric-date.ts'
import { Secret } from '../../../src/lib/secret.ts'
import { edge, gate, sentTokens } from '../support/outcomes.ts'
import { createWorld, json, SECRETS, type World } from '../support/world.ts'
import { cost, permitFor, tokenFrom } from './acquire-world.ts'

const HOUR = 3600

describe('refreshing ahead', () => {
  test('100 requests at once are served the token in hand, and exactly one flight goes for the next', async () => {
    const world = createWorld()
    const isolates = [world, world.isolate('a'), world.isolate('b')]
    for (const from of isolates) {
      expect(await edge(world, { from })).toBe('200')
      await world.settle()
    }
    world.clock.advance(3515)
    const barrier = gate(world, 'idp')
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => edge(world, { from: isolates[index % 3] ?? world })),
    )
    await barrier.reached
    expect(new Set(answers)).toEqual(new Set(['200']))
    expect(new Set(sentTokens(world))).toEqual(new Set(['canary-access-alice-1']))
    barrier.open()
    await world.settle()
    expect(cost(world)).toEqual([2, 2])
  })

  test('that the identity provider hangs on delays nobody', async () => {
    const world = createWorld()
    await edge(world)
    await world.settle()
    world.clock.advance(3520)
    world.script.idp = () => new Promise(() => undefined)
    for (let count = 0; count < 20; count++) expect(await edge(world)).toBe('200')
    expect(new Set(sentTokens(world))).toEqual(new Set(['canary-access-alice-1']))
    expect(cost(world)).toEqual([2, 1])
  })

  test.each([
    ['an outage', () => json({}, { status: 503 })],
    ['a denial', () => json({ error: 'access_denied' }, { status: 400 })],
    ['nonsense', () => json({})],
    ['a broken connection', () => Promise.reject(new TypeError('reset'))],
  ])('that ends in %s costs nobody anything while the token is good', async (_what, script) => {
    const world = createWorld()
    await edge(world)
    await world.settle()
    world.clock.advance(3510)
    world.script.idp = script
    for (let second = 0; second < 60; second++) {
      expect(await edge(world)).toBe('200')
      await world.settle()
      world.clock.advance(1)
    }
    expect(world.backgroundFailures).toEqual([])
    expect(cost(world)[0]).toBeLessThanOrEqual(7)
  })

  test('costs the ninth ID-JAG of a working day, and no tenth, whatever the number of isolates', async () => {
    const world = createWorld()
    const isolates = Array.from({ length: 5 }, (_, index) => world.isolate(`colo-${index}`))
    // Eight hours of steady use, a request every 20 seconds somewhere, a new ID token every hour.
    let token = await world.idToken({ exp: world.clock.now() + 3700 })
    for (let second = 0; second < 8 * HOUR; second += 20) {
      if (second % HOUR === 0) token = await world.idToken({ exp: world.clock.now() + 3700 })
      const from = isolates[(second / 20) % isolates.length]
      expect(await edge(world, { token, ...(from === undefined ? {} : { from }) })).toBe('200')
      await world.settle()
      world.clock.advance(20)
    }
    expect(cost(world)[0]).toBeLessThanOrEqual(9)
    expect(cost(world)[1]).toBeLessThanOrEqual(9)
  })
})

describe('expires_in', () => {
  /** For how long the token of the first request is used by requests every second. */
  async function usedFor(expiresIn: unknown, limit: number): Promise<number> {
    const world = createWorld({ cache: { refresh_before: '0s' } })
    world.alter('ras', { expires_in: expiresIn })
    const permit = await permitFor(world)
    const first = await tokenFrom(world, permit)
    for (let second = 1; second <= limit; second++) {
      world.clock.advance(1)
      if ((await tokenFrom(world, permit)) !== first) return second
    }
    return limit
  }

  test.each([
    ['absent: five minutes are assumed, with a margin', undefined, 270],
    ['null', null, 270],
    ['a number', 120, 108],
    ['digits in a string', '120', 108],
    ['a fraction', 120.9, 108],
    ['zero', 0, 1],
    ['negative', -3600, 1],
    ['words', 'an hour', 1],
    ['true', true, 1],
    ['a list', [3600], 1],
    ['an object', { seconds: 3600 }, 1],
    ['digits too long to be any', '9'.repeat(20), 1],
    ['hexadecimal', '0xfff', 1],
  ])('%s', async (_what, value, seconds) => {
    expect(await usedFor(value, 400)).toBe(seconds)
  })

  test.each([1e9, '999999999999', Number.MAX_SAFE_INTEGER])(
    'of %s is used for max_ttl and not a second longer',
    async (value) => {
      const world = createWorld({ cache: { max_ttl: '10m', refresh_before: '0s' } })
      world.alter('ras', { expires_in: value })
      const first = await tokenFrom(world, await permitFor(world))
      world.clock.advance(599)
      expect(await tokenFrom(world, await permitFor(world))).toBe(first)
      world.clock.advance(1)
      expect(await tokenFrom(world, await permitFor(world))).not.toBe(first)
    },
  )
})

describe('an entry of another build', () => {
  async function keep(
    world: World,
    change: (entry: Record<string, unknown>) => Record<string, unknown>,
  ): Promise<void> {
    const ring = createKeyRing(world.config.cache.sealingKeys, async (name) => new Secret(SECRETS[name] ?? ''))
    const permit = await permitFor(world)
    const [name] = await ring.names(nameParts(permit))
    const text = fromUtf8(
      encodeEntry({
        id: 'x',
        identity: nameParts(permit).identity,
        token: new Secret('of-another-build'),
        server: permit.resource.authorizationServer.issuer,
        key: undefined,
        scopes: permit.scopes,
        details: undefined,
        obtainedAt: world.clock.epochMillis(),
        loginAt: world.clock.now(),
        jti: undefined,
        actors: [],
        idJag: undefined,
        ...lifetimeOf(world.clock.now(), HOUR, { maxTtlSeconds: HOUR, refreshBeforeSeconds: 60 }),
      }),
    )
    if (!text.ok) throw new Error(text.error)
    const entry: Record<string, unknown> = JSON.parse(text.value)
    const sealed = await ring.seal(name, toUtf8(JSON.stringify(change(entry))))
    await world.store.at('home').put(name, sealed, plusSeconds(world.clock.now(), HOUR))
  }

  test('of this one is read', async () => {
    const world = createWorld()
    await keep(world, (entry) => entry)
    expect(await tokenFrom(world, await permitFor(world))).toBe('of-another-build')
  })

  test.each<[string, (entry: Record<string, unknown>) => Record<string, unknown>]>([
    ['an early one (v1 knew no obtained_at)', (entry) => ({ ...without(entry, 'obtained_at'), v: 1 })],
    ['the previous one (v3 knew no logins)', (entry) => ({ ...without(entry, 'login_at'), v: 3 })],
    ['the next one', (entry) => ({ ...entry, v: 5 })],
    ['one that says nothing of its version', (entry) => without(entry, 'v')],
    ['one with more in it', (entry) => ({ ...entry, cnf: 'x' })],
  ])('of %s is a clean miss: a new token, no error, and the new entry takes its place', async (_what, change) => {
    const world = createWorld()
    await keep(world, change)
    world.clock.advance(2)
    expect(await edge(world)).toBe('200')
    expect(sentTokens(world)).toEqual(['canary-access-alice-1'])
    await world.settle()
    expect(await edge(world, { from: world.isolate('home') })).toBe('200')
    expect(cost(world)).toEqual([1, 1])
  })

  test('is not used for longer than max_ttl allows now, whatever it was stored with', async () => {
    const world = createWorld({ cache: { max_ttl: '1m' } })
    await keep(world, (entry) => entry)
    world.clock.advance(60)
    expect(await tokenFrom(world, await permitFor(world))).toBe('canary-access-alice-1')
  })
})

function without(entry: Record<string, unknown>, member: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(entry).filter(([name]) => name !== member))
}
