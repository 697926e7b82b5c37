// How often: whom a limit is about, at both doors, in the in-memory house.
import { describe, expect, test } from 'vitest'
import type { RateLimit } from '../../../src/parties.ts'
import { createLimits } from '../../../src/limits/limits.ts'
import { CLIENTS, createWorld, NAMES, SECRETS, type Isolate, type Json, type World } from '../support/world.ts'

const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:id_token'

/** `agent` and `browser-app` may do something three times in ten seconds; `other` as often as it likes. */
function limited(): World {
  const rate_limit = { binding: 'SOME_LIMIT', limit: 3, period: '10s' }
  const clients = Object.fromEntries(
    Object.entries(CLIENTS).map(([name, client]) => [
      name,
      name === 'other' || typeof client !== 'object' ? client : { ...client, rate_limit },
    ]),
  )
  return createWorld({ clients })
}

async function exchange(world: World, from: Isolate = world, client = 'agent'): Promise<Response> {
  const secret = client === 'agent' ? SECRETS['AGENT_SECRET'] : SECRETS['OTHER_SECRET']
  const aud = client === 'agent' ? 'agent-id' : 'web-id'
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await world.idToken({ aud }),
    subject_token_type: TOKEN_TYPE,
    resource: NAMES.api,
  })
  const headers = { authorization: `Basic ${btoa(`${client}:${secret}`)}` }
  return from.app(new Request(`${NAMES.gateway}/token`, { method: 'POST', headers, body }))
}

async function forwarded(world: World, sub = 'alice'): Promise<Response> {
  const headers = { authorization: `Bearer ${await world.idToken({ sub })}` }
  return world.app(new Request(`${NAMES.gateway}/r/tasks/x`, { headers }))
}

async function statuses(times: number, request: () => Promise<Response>): Promise<readonly number[]> {
  const found: number[] = []
  for (let time = 0; time < times; time++) found.push((await request()).status)
  return found
}

describe('the limit of a client at the token endpoint', () => {
  test('stops it with 429 in the words of RFC 6749, and says when to come again', async () => {
    const world = limited()
    expect(await statuses(3, () => exchange(world))).toEqual([200, 200, 200])
    const before = world.seen().length
    const refused = await exchange(world)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '10'])
    expect(await refused.json<Json>()).toMatchObject({
      error: 'temporarily_unavailable',
      error_description: expect.stringMatching(/^LIM202: /),
    })
    expect(world.seen()).toHaveLength(before)
    expect(world.sink.events.at(-1)).toMatchObject({ code: 'LIM202', outcome: 'deny', client: { id: 'agent' } })
  })

  test('holds in every isolate, and is over when its time is', async () => {
    const world = limited()
    await statuses(3, () => exchange(world))
    expect((await exchange(world, world.isolate('elsewhere'))).status).toBe(429)
    world.clock.advance(10)
    expect((await exchange(world)).status).toBe(200)
  })

  test('leaves alone who has none, and is not used up by who does not authenticate', async () => {
    const world = limited()
    expect(await statuses(5, () => exchange(world, world, 'other'))).not.toContain(429)
    const nobody = () => {
      const headers = { authorization: `Basic ${btoa('agent:a wrong secret')}` }
      const body = new URLSearchParams({ grant_type: 'x' })
      return world.app(new Request(`${NAMES.gateway}/token`, { method: 'POST', headers, body }))
    }
    expect(await statuses(5, nobody)).toEqual([401, 401, 401, 401, 401])
    expect((await exchange(world)).status).toBe(200)
  })

  test('is not enforced while the counter is out of order, and the auditor is told so', async () => {
    const world = limited()
    world.limiter.faults.take = 'throw'
    expect(await statuses(5, () => exchange(world))).toEqual([200, 200, 200, 200, 200])
    expect(world.sink.events.map(({ uncounted }) => uncounted)).toEqual([true, true, true, true, true])
    world.limiter.faults.take = undefined
    await exchange(world)
    expect(world.sink.events.at(-1)).not.toHaveProperty('uncounted')
  })
})

describe('the limit of a client at the edge', () => {
  test('is one for each of its users, so that none of them uses it up for the others', async () => {
    const world = limited()
    expect(await statuses(4, () => forwarded(world))).toEqual([200, 200, 200, 429])
    expect(await statuses(4, () => forwarded(world, 'bob'))).toEqual([200, 200, 200, 429])
    expect(world.seen('upstream')).toHaveLength(6)
  })

  test('refuses with a problem that says when to come again, and asks nobody', async () => {
    const world = limited()
    await statuses(3, () => forwarded(world))
    const before = world.seen().length
    const refused = await forwarded(world)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '10'])
    expect(await refused.json<Json>()).toMatchObject({ code: 'LIM202', status: 429 })
    expect(refused.headers.has('www-authenticate')).toBe(false)
    expect(world.seen()).toHaveLength(before)
  })

  test('is not used up by whoever shows no good token', async () => {
    const world = limited()
    const anonymous = () => world.app(new Request(`${NAMES.gateway}/r/tasks/x`))
    expect(await statuses(5, anonymous)).toEqual([401, 401, 401, 401, 401])
    expect((await forwarded(world)).status).toBe(200)
  })
})

describe('the rate of a rule', () => {
  const rate = { binding: 'RULE_LIMIT', limit: 2, period: '10s' }
  const rules = [
    { id: 'no-writes', effect: 'deny', methods: ['POST'] },
    { id: 'slow', effect: 'allow', who: { users: ['corp/alice', 'corp/bob'] }, resources: ['tasks'], rate },
    { id: 'rest', effect: 'allow', resources: ['tasks'] },
  ]
  const slow = () => createWorld({ rules })

  test('is for each user through each client alone, at both doors', async () => {
    const world = createWorld({ rules: rules.slice(1) })
    expect(await statuses(3, () => forwarded(world))).toEqual([200, 200, 429])
    expect(await statuses(3, () => forwarded(world, 'bob'))).toEqual([200, 200, 429])
    // Alice again, through two more clients.
    expect(await statuses(3, () => exchange(world))).toEqual([200, 200, 429])
    expect(await statuses(3, () => exchange(world, world, 'other'))).toEqual([200, 200, 429])
  })

  test('refuses in its own words before anybody is asked for a token, and leaves the rule in the record', async () => {
    const world = slow()
    await statuses(2, () => forwarded(world))
    const before = world.seen().length
    const refused = await forwarded(world)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '10'])
    const { code, detail } = await refused.json<{ code: string; detail: string }>()
    expect(code).toBe('LIM205')
    expect(detail).toMatch(/the rule slow has allowed too many requests.* raise rate of the rule slow\./)
    expect(world.seen()).toHaveLength(before)
    expect(world.sink.events.at(-1)).toMatchObject({ code, outcome: 'deny', policy: { effect: 'allow', rule: 'slow' } })
    world.clock.advance(10)
    expect((await forwarded(world)).status).toBe(200)
  })

  test('is asked only once a rule has allowed, and is not about whom another rule allows first', async () => {
    const world = slow()
    const denied = async (): Promise<Response> => {
      const headers = { authorization: `Bearer ${await world.idToken({ sub: 'alice' })}` }
      return world.app(new Request(`${NAMES.gateway}/r/tasks/x`, { method: 'POST', headers }))
    }
    expect(await statuses(4, denied)).toEqual([403, 403, 403, 403])
    expect(await statuses(4, () => forwarded(world, 'carol'))).toEqual([200, 200, 200, 200])
    expect((await forwarded(world)).status).toBe(200)
  })

  test('is not enforced while the counter is out of order, and the auditor is told so', async () => {
    const world = slow()
    world.limiter.faults.take = 'throw'
    expect(await statuses(4, () => forwarded(world))).toEqual([200, 200, 200, 200])
    expect(world.sink.events.map(({ uncounted }) => uncounted)).toEqual([true, true, true, true])
  })
})

describe('createLimits()', () => {
  const limit: RateLimit = { binding: 'SOME_LIMIT', limit: 3, periodSeconds: 10 }

  test('asks nobody, and lets nobody wait, where a client has no limit', async () => {
    const world = createWorld()
    world.limiter.faults.take = 'hang'
    expect((await exchange(world)).status).toBe(200)
    expect((await forwarded(world)).status).toBe(200)
  })

  test('gives the platform a digest: no name, and another one for every other list of fields', async () => {
    const keys: string[] = []
    const limits = createLimits(createWorld().config, {
      async take(_binding, key) {
        keys.push(key)
        return true
      },
    })
    for (const fields of [['a', 'bc'], ['ab', 'c'], ['a', undefined, 'bc'], ['alice@corp.test']])
      expect(await limits.count(limit, fields)).toBe('within')
    expect(new Set(keys).size).toBe(4)
    expect(keys.every((key) => /^[A-Za-z0-9_-]{43}$/.test(key))).toBe(true)
  })
})
