// What keeps counterparties from being asked too much: refusals that are remembered, each for its kind, and circuits.
import { describe, expect, test } from 'vitest'
import { askEdge, broker, edge } from '../support/outcomes.ts'
import { claimsOf, createWorld, json, type Handler, type Json, type World } from '../support/world.ts'
import { cost, permitFor } from './acquire-world.ts'

const ALL = [{ id: 'all', effect: 'allow' }]
const refuses =
  (status: number, body: Json, headers: Record<string, string> = {}): Handler =>
  () =>
    json(body, { status, headers })

/** Asks ten times over two isolates; answers what came, once each. */
async function insist(world: World, token?: string): Promise<readonly string[]> {
  const other = world.isolate('other')
  const answers = new Set<string>()
  for (let count = 0; count < 10; count++) {
    const asked = { from: count % 2 === 0 ? world : other, ...(token === undefined ? {} : { token }) }
    answers.add(await edge(world, asked))
  }
  return [...answers]
}

describe('a refusal that will be the same in a moment is not asked for again', () => {
  // Who says what, as what it is told, for how long it is remembered.
  test.each<['idp' | 'ras', number, Json, string, number]>([
    ['idp', 400, { error: 'access_denied' }, '403 IDP102', 30],
    ['idp', 400, { error: 'unauthorized_client' }, '403 IDP102', 30],
    ['idp', 400, { error: 'invalid_target' }, '403 IDP103', 30],
    ['idp', 400, { error: 'invalid_scope' }, '403 IDP104', 30],
    ['idp', 401, { error: 'invalid_client' }, '502 IDP106', 10],
    ['idp', 404, {}, '502 IDP109', 10],
    ['idp', 200, {}, '502 IDP109', 10],
    ['ras', 400, { error: 'invalid_grant' }, '403 RAS101', 10],
    ['ras', 400, { error: 'access_denied' }, '403 RAS102', 30],
    ['ras', 400, { error: 'invalid_target' }, '403 RAS103', 30],
    ['ras', 400, { error: 'invalid_scope' }, '403 RAS104', 30],
    ['ras', 401, { error: 'invalid_client' }, '502 RAS106', 10],
    ['ras', 404, {}, '502 RAS109', 10],
    ['ras', 200, { access_token: 'x', token_type: 'DPoP' }, '502 RAS109', 10],
  ])('by the %s: %i %j as %s, for %i s', async (role, status, body, told, seconds) => {
    const world = createWorld()
    const honest = world.script[role]
    world.script[role] = refuses(status, body)
    expect(await insist(world)).toEqual([told])
    expect(cost(world)).toEqual([1, role === 'ras' ? 1 : 0])
    world.script[role] = honest
    world.clock.advance(seconds - 1)
    expect(await insist(world)).toEqual([told])
    expect(cost(world)).toEqual([1, role === 'ras' ? 1 : 0])
    world.clock.advance(1)
    expect(await edge(world)).toBe('200')
  })

  test('is remembered for its own user, client and resource, and for nobody else', async () => {
    const world = createWorld({ rules: ALL })
    const { idp } = world.script
    world.script.idp = refuses(400, { error: 'access_denied' })
    expect(await edge(world)).toBe('403 IDP102')
    world.script.idp = idp
    expect(await edge(world)).toBe('403 IDP102')
    expect(await edge(world, { claims: { sub: 'bob' } })).toBe('200')
    expect(await broker(world)).toBe('200')
  })

  test('does not end what is warm: a refusal met while refreshing ahead costs nobody the token in hand', async () => {
    const world = createWorld()
    expect(await edge(world)).toBe('200')
    world.clock.advance(3520)
    world.script.idp = refuses(400, { error: 'access_denied' })
    expect(await insist(world)).toEqual(['200'])
    await world.settle()
    expect(cost(world)[0]).toBeLessThanOrEqual(3)
  })
})

describe('a refusal that the user can mend', () => {
  test.each<[Json, string]>([
    [{ error: 'invalid_grant' }, '401 IDP101'],
    [{ error: 'insufficient_user_authentication' }, '401 IDP105'],
    [{ error: 'login_required' }, '401 IDP105'],
  ])('(%j) is remembered for the same ID token only', async (body, told) => {
    const world = createWorld()
    const honest = world.script.idp
    const token = await world.idToken({ nonce: 'before' })
    world.script.idp = refuses(400, body)
    expect(await insist(world, token)).toEqual([told])
    expect(cost(world)).toEqual([1, 0])
    world.script.idp = honest
    // No waiting for who has signed in again, and still nothing for who has not.
    expect(await edge(world, { token })).toBe(told)
    expect(await edge(world, { token: await world.idToken({ nonce: 'after' }) })).toBe('200')
    expect(cost(world)).toEqual([2, 1])
  })
})

describe('an outage', () => {
  test.each<['idp' | 'ras', Handler, string]>([
    ['idp', refuses(503, {}), '503 IDP112'],
    ['idp', refuses(500, { error: 'access_denied' }), '503 IDP112'],
    ['idp', () => Promise.reject(new TypeError('connection reset')), '503 IDP110'],
    ['ras', refuses(502, {}), '503 RAS112'],
    ['ras', refuses(400, { error: 'temporarily_unavailable' }), '503 RAS112'],
    ['ras', () => Promise.reject(new TypeError('connection reset')), '503 RAS110'],
  ])('of the %s is not remembered: who comes after its end is served', async (role, script, told) => {
    const world = createWorld()
    const honest = world.script[role]
    world.script[role] = script
    expect(await edge(world)).toBe(told)
    world.script[role] = honest
    expect(await edge(world)).toBe('200')
  })

  test.each([
    ['1', 1],
    ['3', 3],
    ['0', 1],
    ['10', 10],
    ['3600', 10],
    ['99999999', 10],
  ])('that says Retry-After %s is left alone for %i s, by this user and nobody longer', async (header, seconds) => {
    for (const role of ['idp', 'ras'] as const) {
      const world = createWorld()
      const honest = world.script[role]
      world.script[role] = refuses(429, {}, { 'retry-after': header })
      const told = `503 ${role.toUpperCase()}112`
      expect(await insist(world)).toEqual([told])
      const spent = cost(world)
      expect(spent).toEqual([1, role === 'ras' ? 1 : 0])
      world.script[role] = honest
      world.clock.advance(seconds - 0.1)
      expect(await edge(world)).toBe(told)
      expect(cost(world)).toEqual(spent)
      world.clock.advance(0.1)
      expect(await edge(world)).toBe('200')
    }
  })

  test.each(['soon', '-4', '', '1e3', 'Wed, 21 Oct 2015 07:28:00 GMT'])(
    'that says Retry-After %j is never left alone for longer than a second',
    async (header) => {
      const world = createWorld()
      const honest = world.script.ras
      world.script.ras = refuses(503, {}, { 'retry-after': header })
      expect(await edge(world)).toBe('503 RAS112')
      world.script.ras = honest
      world.clock.advance(1)
      expect(await edge(world)).toBe('200')
    },
  )
})

describe('a circuit', () => {
  const users = Array.from({ length: 20 }, (_, index) => `user-${index}`)

  async function crowd(world: World, rounds: number): Promise<readonly string[]> {
    const answers: string[] = []
    for (let round = 0; round < rounds; round++) {
      answers.push(...(await Promise.all(users.map((sub) => edge(world, { claims: { sub } })))))
      world.clock.advance(0.1)
    }
    return answers
  }

  test.each([
    ['ras', 'answers 503', refuses(503, {}), 'RAS112'],
    ['ras', 'breaks the connection', () => Promise.reject(new TypeError('reset')), 'RAS11'],
    ['idp', 'answers 503', refuses(503, {}), 'IDP112'],
  ] as const)('keeps 1,000 cold requests of 20 users from a %s that %s', async (role, _what, script, told) => {
    const world = createWorld({ rules: ALL })
    await Promise.all(['warm-1', 'warm-2'].map((sub) => edge(world, { claims: { sub } })))
    const honest = world.script[role]
    world.script[role] = script
    const before = cost(world)
    const answers = await crowd(world, 50)
    expect(answers).toHaveLength(1000)
    expect(answers.every((answer) => answer.startsWith(`503 ${told}`))).toBe(true)
    const [exchanges, redemptions] = [cost(world)[0] - before[0], cost(world)[1] - before[1]]
    expect(role === 'ras' ? redemptions : exchanges).toBeLessThanOrEqual(40)
    // Nor is an ID-JAG paid for that cannot be redeemed.
    expect(exchanges).toBeLessThanOrEqual(40)
    for (const sub of ['warm-1', 'warm-2']) expect(await edge(world, { claims: { sub } })).toBe('200')

    world.script[role] = honest
    const back = world.clock.millis()
    while ((await edge(world, { claims: { sub: 'user-0' } })) !== '200') world.clock.advance(0.1)
    expect(world.clock.millis() - back).toBeLessThanOrEqual(5000)
    expect(new Set(await crowd(world, 1))).toEqual(new Set(['200']))
    // Everybody has their own again.
    world.script.upstream = ({ headers }) => json({ token: headers.get('authorization') })
    for (const sub of users) {
      const { token } = await (await askEdge(world, { claims: { sub } })).json<{ token: string }>()
      expect(token).toContain(`canary-access-${sub}-`)
    }
  })

  test('of one counterparty does not stand in the way of another', async () => {
    const world = createWorld({ rules: ALL })
    const { ras } = world.script
    world.script.ras = (seen) => (seen.url.includes('as.tasks.test') ? json({}, { status: 503 }) : ras(seen))
    await crowd(world, 2)
    const notes = (sub: string) =>
      world
        .idToken({ sub })
        .then((token) =>
          world.app(new Request('https://notes.gw.test/x', { headers: { authorization: `Bearer ${token}` } })),
        )
    for (const sub of users) expect((await notes(sub)).status).toBe(200)
  })

  test('is not opened by refusals: a server that says no is well', async () => {
    const world = createWorld({ rules: ALL })
    const { idp } = world.script
    world.script.idp = refuses(400, { error: 'access_denied' })
    await crowd(world, 2)
    world.script.idp = idp
    expect(await edge(world, { claims: { sub: 'somebody' } })).toBe('200')
  })

  test('that is open asks no ledger for a place, and tells when to come again', async () => {
    const world = createWorld({ rules: ALL, quota: { id_jags_per_user_resource_month: 5 } })
    world.script.idp = refuses(503, {})
    await crowd(world, 1)
    // It would be an INT101 if the ledger were asked.
    world.registry.faults.reserve = 'throw'
    const acquired = await world.credentials.acquire(await permitFor(world))
    expect(acquired).toMatchObject({ error: { code: 'IDP112', retryAfterSeconds: 4 } })
  })
})

describe('one whose calls fail does not make a server look out of order', () => {
  /** The identity provider fails for one of them, whatever it is asked. */
  function failingFor(user: string): World {
    const world = createWorld({ rules: ALL })
    const honest = world.script.idp
    world.script.idp = (seen) =>
      claimsOf(seen.form.get('subject_token') ?? '')['sub'] === user
        ? json({ error: 'server_error' }, { status: 500 })
        : honest(seen)
    return world
  }
  const askAs = async (world: World, sub: string): Promise<string> =>
    edge(world, { token: await world.idToken({ sub }) })

  test('others are served, however often that one has asked', async () => {
    const world = failingFor('bob')
    for (let count = 0; count < 20; count++) expect(await askAs(world, 'bob')).toMatch(/^50\d IDP112$/)
    expect(cost(world)).toEqual([10, 0])
    expect(await askAs(world, 'alice')).toBe('200')
  })

  test('and that one takes no trial away from them when several have failed', async () => {
    const world = failingFor('bob')
    const forBob = world.script.idp
    world.script.idp = refuses(500, { error: 'server_error' })
    for (const user of ['bob', 'cy', 'di']) for (let count = 0; count < 4; count++) await askAs(world, user)
    expect(await askAs(world, 'alice')).toBe('503 IDP112')
    world.script.idp = forBob
    const told: string[] = []
    for (let half = 0; half < 4; half++) {
      world.clock.advance(0.5)
      await askAs(world, 'bob')
      told.push(await askAs(world, 'alice'))
    }
    expect(told).toContain('200')
  })
})
