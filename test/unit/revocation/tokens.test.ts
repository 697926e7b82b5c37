// What a revocation does to tokens that are kept, on their way, or in somebody's hand: at both doors, in every isolate,
// whatever memory and KV still hold.
import { describe, expect, test } from 'vitest'
import type { RevocationSelector } from '../../../src/connection.ts'
import { withReuse } from '../credentials/acquire-world.ts'
import { askEdge, blockOut, broker, cutOff, edge, gate, outcomeOf, sentTokens } from '../support/outcomes.ts'
import { createWorld, json, type World } from '../support/world.ts'

const AGENT_RULES = [{ id: 'all', effect: 'allow' }]

const legs = (world: World): readonly [number, number] => [world.seen('idp').length, world.seen('ras').length]

describe.each([
  ['the edge', edge, 'browser-app', '401'],
  ['the token endpoint', broker, 'agent', '400'],
] as const)('at %s', (_door, ask, client, refusedAs) => {
  const newWorld = () => createWorld({ rules: AGENT_RULES })

  test('a sign-in from before a cut-off brings nothing, however warm it is, and a new one brings a new token', async () => {
    const world = newWorld()
    const aud = client === 'agent' ? 'agent-id' : 'web-id'
    const token = await world.idToken({ aud })
    expect(await ask(world, { token })).toBe('200')
    await cutOff(world, { user: 'alice' })
    expect(await ask(world, { token })).toBe(`${refusedAs} TOK109`)
    expect(legs(world)).toEqual([1, 1])
    world.clock.advance(10)
    expect(await ask(world, { claims: { iat: world.clock.now() } })).toBe('200')
    expect(legs(world)).toEqual([2, 2])
  })

  test('a sign-in of the very second of the cut-off counts as one from before it', async () => {
    const world = newWorld()
    await cutOff(world, { user: 'alice' }, world.clock.epochMillis() + 1)
    expect(await ask(world, { claims: { iat: world.clock.now() } })).toBe(`${refusedAs} TOK109`)
    expect(legs(world)).toEqual([0, 0])
  })

  test('a cut-off of one resource ends the token there and leaves the sign-in alone', async () => {
    const world = newWorld()
    expect(await ask(world)).toBe('200')
    await world.settle()
    await cutOff(world, { user: 'alice', resource: 'tasks' })
    world.clock.advance(1)
    expect(await ask(world)).toBe('200')
    expect(legs(world)).toEqual([2, 2])
  })

  test.each<[RevocationSelector, boolean]>([
    [{ user: 'alice' }, true],
    [{ idp: 'corp' }, true],
    [{ client }, true],
    [{ resource: 'tasks' }, true],
    [{ idp: 'corp', user: 'alice', client, resource: 'tasks' }, true],
    [{ user: 'bob' }, false],
    [{ client: 'other' }, false],
    [{ resource: 'notes' }, false],
    [{ user: 'alice', resource: 'notes' }, false],
  ])('a block of %j keeps alice out: %j, before anybody is asked', async (selector, isBlocked) => {
    const world = newWorld()
    const id = await blockOut(world, selector)
    expect(await ask(world)).toBe(isBlocked ? `${client === 'agent' ? 400 : 403} POL110` : '200')
    expect(legs(world)).toEqual(isBlocked ? [0, 0] : [1, 1])
    await world.log.lift(id)
    expect(await ask(world)).toBe('200')
  })

  test('a block with an end is over at its end', async () => {
    const world = newWorld()
    await blockOut(world, { user: 'alice' }, world.clock.epochMillis() + 5000)
    world.clock.advance(4.9)
    expect(await ask(world)).toContain('POL110')
    world.clock.advance(0.1)
    expect(await ask(world)).toBe('200')
  })

  test('nobody passes where it cannot be known who is cut off, not even with what is in memory', async () => {
    const world = newWorld()
    expect(await ask(world)).toBe('200')
    world.log.faults.read = 'throw'
    expect(await ask(world)).toBe('503 INT102')
    expect(sentTokens(world).length).toBe(client === 'agent' ? 0 : 1)
  })

  test('who is cut off while their token is on its way does not get it', async () => {
    for (const [selector, refusal] of [
      [{ user: 'alice' }, `${refusedAs} TOK109`],
      [{ user: 'alice', resource: 'tasks' }, '503 INT101'],
    ] as const) {
      const world = newWorld()
      const barrier = gate(world, 'ras')
      const underWay = [ask(world), ask(world, { from: world.isolate('elsewhere') })]
      await barrier.reached
      world.clock.advance(1)
      await cutOff(world, selector)
      world.clock.advance(1)
      barrier.open()
      expect(await Promise.all(underWay)).toEqual([refusal, refusal])
      await world.settle()
      expect(sentTokens(world)).toEqual([])
      // What has landed is of no use to anybody, wherever it lies.
      for (const from of [world, world.isolate('third')])
        expect(await ask(world, { from, claims: { iat: world.clock.now() } })).toBe('200')
      expect(sentTokens(world)).not.toContain('canary-access-alice-1')
    }
  })

  test('a block that comes while a token is on its way stops it, too', async () => {
    const world = newWorld()
    const barrier = gate(world, 'idp')
    const underWay = ask(world)
    await barrier.reached
    await blockOut(world, { user: 'alice' })
    barrier.open()
    expect(await underWay).toContain('POL110')
    expect(sentTokens(world)).toEqual([])
  })
})

describe('a token that was cut off', () => {
  test('is not used by an isolate that has it in memory, nor by one that reads it from a stale KV', async () => {
    const world = createWorld()
    const warm = world.isolate('warm')
    const far = world.isolate('far')
    expect(await edge(world)).toBe('200')
    await world.settle()
    expect([await edge(world, { from: warm }), await edge(world, { from: far })]).toEqual(['200', '200'])
    await cutOff(world, { user: 'alice', resource: 'tasks' })
    world.clock.advance(1)
    // `far` and any new isolate there go on reading the old entry for a minute.
    const isolates = [world, warm, far, world.isolate('far'), world.isolate('new')]
    const answers = await Promise.all(isolates.map((from) => edge(world, { from })))
    expect(answers).toEqual(isolates.map(() => '200'))
    expect(sentTokens(world).slice(3)).not.toContain('canary-access-alice-1')
    expect(legs(world)).toEqual([2, 2])
  })

  test('does not come out of the flight again, which keeps it for those who miss it in KV', async () => {
    const world = createWorld()
    expect(await edge(world)).toBe('200')
    world.store.faults.get = 'throw'
    await cutOff(world, { resource: 'tasks' })
    world.clock.advance(1)
    expect(await edge(world, { from: world.isolate('blind') })).toBe('200')
    expect(sentTokens(world)).toEqual(['canary-access-alice-1', 'canary-access-alice-2'])
  })

  test('does not take down the tokens of others', async () => {
    const world = createWorld()
    expect([await edge(world), await edge(world, { claims: { sub: 'bob' } })]).toEqual(['200', '200'])
    await cutOff(world, { user: 'alice' })
    expect(await edge(world, { claims: { sub: 'bob' } })).toBe('200')
    expect(legs(world)).toEqual([2, 2])
  })

  test('leaves no ID-JAG behind that could be redeemed again', async () => {
    const world = createWorld({ resources: withReuse() })
    expect(await edge(world)).toBe('200')
    await cutOff(world, { user: 'alice', resource: 'tasks' })
    world.clock.advance(1)
    expect(await edge(world)).toBe('200')
    expect(new Set(world.seen('ras').map(({ form }) => form.get('assertion'))).size).toBe(2)
  })
})

describe('a token that the upstream rejects', () => {
  test('is not replaced for somebody who was cut off while the upstream took its time', async () => {
    const world = createWorld()
    const token = await world.idToken()
    expect(await edge(world, { token })).toBe('200')
    world.clock.advance(5)
    world.script.upstream = () =>
      json({}, { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })
    const barrier = gate(world, 'upstream')
    const underWay = askEdge(world, { token })
    await barrier.reached
    await cutOff(world, { user: 'alice' })
    barrier.open()
    expect(await outcomeOf(await underWay)).toBe('401 TOK109')
    expect(legs(world)).toEqual([1, 1])
    expect(sentTokens(world)).toHaveLength(2)
  })
})

test('with a bound of 10s an isolate goes by a cut-off 10 s later at the latest, without waiting for the log before', async () => {
  const world = createWorld({ maxStaleness: '10s' })
  const other = world.isolate('other')
  const token = await world.idToken()
  expect([await edge(world, { token }), await edge(world, { token, from: other })]).toEqual(['200', '200'])
  const before = await cutOff(world, { user: 'alice' })
  for (let second = 0; second < 15; second++) {
    for (const from of [world, other]) {
      const answer = await edge(world, { token, from })
      if (world.clock.epochMillis() - before >= 10_000) expect(answer).toBe('401 TOK109')
    }
    await world.settle()
    world.clock.advance(1)
  }
  // New tokens come from the flight, which asks the log itself: a stale isolate cannot obtain one.
  expect(legs(world)).toEqual([1, 1])
})

test('a stale isolate obtains no new token for somebody who has been cut off', async () => {
  const world = createWorld({ maxStaleness: '5m' })
  // It knows that nothing is revoked, and believes so for five minutes.
  expect(await edge(world, { claims: { sub: 'bob' } })).toBe('200')
  const token = await world.idToken()
  await cutOff(world, { user: 'alice' })
  expect(await edge(world, { token })).toBe('401 TOK109')
  await blockOut(world, { user: 'bob' })
  world.store.faults.get = 'throw'
  expect(legs(world)).toEqual([1, 1])
})
