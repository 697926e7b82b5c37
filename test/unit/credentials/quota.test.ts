// The ledger of ID-JAGs: what is counted, for whom, and who is told.
import { describe, expect, test } from 'vitest'
import { createRecordingSink } from '../../../src/platform/memory.ts'
import { broker, edge } from '../support/outcomes.ts'
import { createWorld, IDPS, json, type World } from '../support/world.ts'
import { cost, withReuse } from './acquire-world.ts'

const ALL = [{ id: 'all', effect: 'allow' }]
const limited = (limit: number, more = {}) =>
  createWorld({ rules: ALL, quota: { id_jags_per_user_resource_month: limit, ...more } })

const month = (world: World): string => new Date(world.clock.epochMillis()).toISOString().slice(0, 7)
const used = (world: World, user = 'alice') => world.registry.quota(user, month(world))

/** Ends every token, so that the next request has to obtain one. */
function pass(world: World): void {
  world.clock.advance(3600)
}

describe('an ID-JAG', () => {
  test('is counted once for its identity provider, user, resource and month, whoever calls', async () => {
    const world = limited(10)
    expect([await edge(world), await edge(world), await broker(world)]).toEqual(['200', '200', '200'])
    expect(await edge(world, { claims: { sub: 'bob' } })).toBe('200')
    expect(await used(world)).toEqual([{ idp: 'corp', resource: 'tasks', used: 2 }])
    expect(await used(world, 'bob')).toEqual([{ idp: 'corp', resource: 'tasks', used: 1 }])
  })

  test('is counted for the tenant of the user: nobody uses up what is meant for another of that name', async () => {
    const corp = { ...IDPS.corp, claims: { tenant: 'tid' } }
    const world = createWorld({ idps: { corp }, rules: ALL, quota: { id_jags_per_user_resource_month: 1 } })
    for (const tid of ['evil', 'acme']) {
      expect(await edge(world, { claims: { tid } })).toBe('200')
      pass(world)
      expect(await edge(world, { claims: { tid } })).toBe('403 LIM201')
    }
    expect(await used(world)).toEqual([
      { idp: 'corp', tenant: 'acme', resource: 'tasks', used: 1 },
      { idp: 'corp', tenant: 'evil', resource: 'tasks', used: 1 },
    ])
  })

  test('that the identity provider did not give is not counted', async () => {
    for (const [status, error] of [
      [400, 'access_denied'],
      [503, 'temporarily_unavailable'],
      [200, undefined],
    ] as const) {
      const world = limited(1)
      const { idp } = world.script
      world.script.idp = () => json({ error }, { status })
      expect(await edge(world)).not.toBe('200')
      await world.settle()
      expect(await used(world)).toEqual([])
      world.script.idp = idp
      world.clock.advance(30)
      expect(await edge(world)).toBe('200')
    }
  })

  test('that was given stays counted though nobody could redeem it', async () => {
    const world = limited(5)
    world.script.ras = () => json({ error: 'access_denied' }, { status: 400 })
    expect(await edge(world)).toBe('403 RAS102')
    await world.settle()
    expect(await used(world)).toEqual([{ idp: 'corp', resource: 'tasks', used: 1 }])
  })

  test('that is redeemed a second time is not counted again', async () => {
    const world = createWorld({ resources: withReuse(), quota: { id_jags_per_user_resource_month: 1 } })
    expect(await edge(world)).toBe('200')
    world.script.ras = (seen) => json({ access_token: `again-${seen.body.length}`, token_type: 'Bearer' })
    const { upstream } = world.script
    let rejected = false
    world.script.upstream = (seen) => {
      if (rejected) return upstream(seen)
      rejected = true
      return json({}, { status: 401 })
    }
    world.clock.advance(5)
    expect(await edge(world)).toBe('200')
    expect([cost(world), (await used(world))[0]?.used]).toEqual([[1, 2], 1])
  })
})

describe('at the limit', () => {
  test('nothing is exchanged, and both doors say LIM201 in their own words', async () => {
    const world = limited(2)
    expect([await edge(world), await broker(world)]).toEqual(['200', '200'])
    pass(world)
    expect([await edge(world), await broker(world)]).toEqual(['403 LIM201', '400 LIM201'])
    expect(cost(world)).toEqual([2, 2])
    expect((await used(world))[0]?.used).toBe(2)
    // Others have their own.
    expect(await edge(world, { claims: { sub: 'bob' } })).toBe('200')
  })

  test('a token that is still good goes on serving', async () => {
    const world = limited(1)
    for (let count = 0; count < 20; count++) {
      expect(await edge(world, { from: world.isolate(`at-${count}`) })).toBe('200')
      await world.settle()
      world.clock.advance(170)
    }
    expect(cost(world)).toEqual([1, 1])
  })

  test('a burst does not get past it', async () => {
    const world = limited(1)
    const asked = ['browser-app', 'agent', 'browser-app', 'agent'].map((client) =>
      client === 'agent' ? broker(world) : edge(world),
    )
    await Promise.all(asked)
    expect(cost(world)[0]).toBe(1)
    expect((await used(world))[0]?.used).toBe(1)
  })

  test('the next month starts anew', async () => {
    const world = limited(1)
    expect(await edge(world)).toBe('200')
    pass(world)
    expect(await edge(world)).toBe('403 LIM201')
    const now = new Date(world.clock.epochMillis())
    const next = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1)
    world.clock.advance((next - world.clock.epochMillis()) / 1000 - 1)
    expect(await edge(world)).toBe('403 LIM201')
    world.clock.advance(1)
    expect(await edge(world)).toBe('200')
  })
})

describe('a ledger that fails', () => {
  test('refuses where there is a limit: it is a promise', async () => {
    const world = limited(5)
    world.registry.faults.reserve = 'throw'
    expect(await edge(world)).toBe('503 INT101')
    expect(cost(world)).toEqual([0, 0])
    world.registry.faults.reserve = undefined
    expect(await edge(world)).toBe('200')
  })

  test('costs nobody anything where there is none', async () => {
    const world = createWorld()
    Object.assign(world.registry.faults, { reserve: 'throw', release: 'throw', record: 'throw' })
    expect(await edge(world)).toBe('200')
    await world.settle()
    expect(world.backgroundFailures).toEqual([])
  })
})

describe('the audit event', () => {
  test('tells the figures where an ID-JAG was obtained, and only there; the warning from its share on', async () => {
    const sink = createRecordingSink()
    const world = createWorld({
      sinks: [sink],
      quota: { id_jags_per_user_resource_month: 4, warn_at: 0.75 },
    })
    for (let count = 0; count < 5; count++) {
      await edge(world)
      await edge(world)
      pass(world)
    }
    expect(sink.events.map(({ quota }) => quota)).toEqual([
      { used: 1, limit: 4, warning: false },
      undefined,
      { used: 2, limit: 4, warning: false },
      undefined,
      { used: 3, limit: 4, warning: true },
      undefined,
      { used: 4, limit: 4, warning: true },
      undefined,
      undefined,
      undefined,
    ])
    expect(sink.events.at(-1)).toMatchObject({ code: 'LIM201', outcome: 'deny', detail: '4 of 4 used' })
  })

  test('warns of nothing where nothing is limited', async () => {
    const sink = createRecordingSink()
    const world = createWorld({ sinks: [sink] })
    await edge(world)
    expect(sink.events[0]).not.toHaveProperty('quota')
    expect((await used(world))[0]?.used).toBe(1)
  })
})

test('a month is a month of UTC', async () => {
  const world = limited(1)
  // 2027-01-31T23:59:59Z and a second later.
  const last = Date.UTC(2027, 0, 31, 23, 59, 59)
  world.clock.advance((last - world.clock.epochMillis()) / 1000)
  expect(month(world)).toBe('2027-01')
  expect(await edge(world)).toBe('200')
  world.clock.advance(1)
  expect(await used(world)).toEqual([])
})
