// The endpoint that decides without acting: what it says, to whom, and that nothing happens.
import { beforeEach, describe, expect, test } from 'vitest'
import { ADMIN, bodyOf, createWorld, GATEWAY, IDP, TASKS_AS, type World } from './world.ts'

const EXPLAIN = '/admin/api/explain'
const RULES = [
  { id: 'canary-readers', effect: 'allow', who: { groups: ['readers'] }, resources: ['tasks'], methods: ['GET'] },
  { id: 'canary-strong', effect: 'allow', who: { acr: ['urn:phr'], max_auth_age: '5m' }, resources: ['notes'] },
  { id: 'canary-interns', effect: 'deny', who: { claims: { kind: ['intern'] } } },
  { id: 'canary-watch', effect: 'shadow-deny', resources: ['tasks'] },
]

let world: World
let viewer: string

beforeEach(async () => {
  world = await createWorld({ rules: RULES })
  viewer = await world.idToken('kim', ['help'])
})

const ask = async (request: string, as: object = {}, more: object = {}) => {
  const question = { request, as: { user: 'ann', client: 'people', ...as }, ...more }
  const answer = await world.ask('POST', EXPLAIN, viewer, question)
  return { status: answer.status, body: await bodyOf(answer) }
}

describe('POST /admin/api/explain', () => {
  test('says what policy would say, by which rule, and each condition that was asked', async () => {
    const { status, body } = await ask('GET tasks /v1/todos', { groups: ['readers'] })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      decision: 'allow',
      reason: 'rule_allows',
      rule: 'canary-readers',
      scopes: ['tasks.read'],
      shadow: ['canary-watch'],
      rules: [
        {
          id: 'canary-readers',
          holds: true,
          conditions: [
            { criterion: 'resource', holds: true },
            { criterion: 'group', holds: true, wanted: ['readers'], got: ['readers'] },
            { criterion: 'method', holds: true, wanted: ['GET'], got: ['GET'] },
          ],
        },
        {
          id: 'canary-strong',
          holds: false,
          conditions: [{ criterion: 'resource', wanted: ['notes'], got: ['tasks'] }],
        },
        { id: 'canary-interns', holds: false, conditions: [{ criterion: 'claim', claim: 'kind', wanted: ['intern'] }] },
        { id: 'canary-watch', holds: true },
      ],
    })
  })

  test('names the refusal, and what another login would have to be', async () => {
    expect((await ask('POST tasks /v1/todos', { groups: ['readers'] })).body).toMatchObject({
      decision: 'deny',
      reason: 'no_rule_allows',
      code: 'POL100',
      scopes: [],
    })
    const weak = await ask('GET notes /v1', { acr: 'urn:pwd', auth_age: 10 })
    expect(weak.body).toMatchObject({
      decision: 'step_up',
      code: 'POL103',
      rule: 'canary-strong',
      step_up: { acr_values: 'urn:phr', max_age: 300 },
    })
    expect(weak.body).not.toHaveProperty('chain')
    expect((await ask('GET notes /v1', { acr: 'urn:phr', auth_age: 10 })).body).toMatchObject({ decision: 'allow' })
  })

  test('says how often the rule allows it, and counts nothing by that', async () => {
    const rate = { binding: 'NEVER_BOUND', limit: 3, period: '60s' }
    world = await createWorld({ rules: RULES.map((rule) => (rule.effect === 'allow' ? { ...rule, rate } : rule)) })
    const allowed = await ask('GET tasks /v1/todos', { groups: ['readers'] })
    expect(allowed.body).toMatchObject({ decision: 'allow', rate: { limit: 3, period_seconds: 60 } })
    for (let time = 0; time < 5; time++)
      expect(await ask('GET tasks /v1/todos', { groups: ['readers'] })).toEqual(allowed)
    const denied = await ask('GET tasks /v1/todos', { groups: ['readers'], claims: { kind: 'intern' } })
    expect(denied.body).not.toHaveProperty('rate')
  })

  test('says of a claim of another type that it cannot be judged', async () => {
    const { body } = await ask('GET tasks /v1', { groups: ['readers'], claims: { kind: { of: 'intern' } } })
    expect(body).toMatchObject({ decision: 'deny', code: 'POL101', rule: 'canary-interns' })
    const condition = { criterion: 'claim', claim: 'kind', holds: true, unclear: true, got: 'unreadable' }
    expect(body['rules']).toMatchObject([{}, {}, { conditions: [condition] }, {}])
  })

  test('knows what is revoked', async () => {
    await world.ask('POST', '/admin/api/blocks', await world.idToken('sue'), { user: 'ann' })
    const { body } = await ask('GET tasks /v1', { groups: ['readers'] })
    expect(body).toMatchObject({ decision: 'deny', reason: 'blocked', code: 'POL110', scopes: [] })
    expect(body).not.toHaveProperty('chain')
  })

  test('answers for another time', async () => {
    const later = new Date(world.clock.epochMillis() + 3_600_000).toISOString()
    const rules = [{ id: 'short', effect: 'allow', until: new Date(world.clock.epochMillis() + 60_000).toISOString() }]
    world = await createWorld({ rules })
    viewer = await world.idToken('kim', ['help'])
    expect((await ask('GET tasks /v1')).body).toMatchObject({ decision: 'allow' })
    expect((await ask('GET tasks /v1', {}, { at: later })).body).toMatchObject({ decision: 'deny', code: 'POL100' })
  })

  test('does nothing: no server is asked but for keys, nothing is stored, nobody is counted', async () => {
    for (const request of ['GET tasks /v1/todos', 'TOKEN tasks', 'GET notes /v1'])
      await ask(request, { groups: ['readers'], acr: 'urn:phr', auth_age: 1 })
    expect(new Set(world.seen.map(({ url }) => url))).toEqual(new Set([`${IDP}/jwks`]))
    expect(world.tokens.list()).toEqual([])
    expect(await world.registry.list({ selector: {}, limit: 10 })).toEqual({ connections: [], more: false })
  })

  test('leaves a record of who asked about whom', async () => {
    await ask('GET tasks /v1', { groups: ['readers'] })
    expect(world.sink.events.at(-1)).toMatchObject({
      event: 'policy.explain',
      outcome: 'allow',
      admin: {
        actor: { via: 'id_token', issuer: IDP, sub: 'kim' },
        selector: { idp: 'main', user: 'ann', client: 'people', resource: 'tasks' },
      },
    })
  })
})

describe('what follows', () => {
  test('is what a request then really does', async () => {
    const { body } = await ask('GET tasks /v1', { groups: ['readers'] })
    const chain = body['chain']
    expect(chain).toMatchObject({ notes: [], exchange: { client: 'main/gateway', client_id: 'gw', idp: 'main' } })
    const token = await world.idToken('ann', ['readers'])
    const headers = { authorization: `Bearer ${token}` }
    expect((await world.app(new Request(`${GATEWAY}/r/tasks/v1`, { headers }))).status).toBe(200)
    for (const [leg, url] of [
      ['exchange', `${IDP}/token`],
      ['redeem', `${TASKS_AS}/token`],
    ] as const) {
      const sent = world.seen.find((each) => each.url === url)?.body ?? new URLSearchParams()
      const told = legOf(chain, leg)
      expect(Object.entries(told).map(([name, value]) => [name, sent.get(name), value])).toEqual(
        Object.entries(told).map(([name, value]) => [name, value, value]),
      )
      // And nothing else is sent but tokens and our own authentication.
      const rest = [...sent.keys()].filter((name) => !Object.hasOwn(told, name))
      expect(rest.filter((name) => !['subject_token', 'assertion', 'client_id'].includes(name))).toEqual([])
    }
    expect(chain).toMatchObject({ forward: { method: 'GET', url: 'https://api.tasks.example/v1' } })
    expect(world.seen.at(-1)?.url).toBe('https://api.tasks.example/v1')
  })

  test('names the parts of the key, never a digest or a token', async () => {
    const { body } = await ask('GET tasks /v1', { groups: ['readers'] })
    expect(body['chain']).toMatchObject({
      cache: {
        key: { issuer: IDP, subject: 'ann', client: 'people', resource: 'tasks', scopes: 'tasks.read' },
        max_ttl_seconds: 3600,
        refresh_before_seconds: 60,
      },
    })
    expect(JSON.stringify(body)).not.toMatch(/[A-Za-z0-9_-]{43}/)
  })

  test('says where nobody could come in that way', async () => {
    const { body } = await ask('TOKEN tasks', { groups: ['readers'] })
    expect(body['chain']).toMatchObject({ notes: ['no_authentication'] })
    expect(body['chain']).not.toHaveProperty('exchange')
  })
})

describe('without the right', () => {
  test('is refused with 403, and no rule is named, whatever is asked', async () => {
    const nobody = await world.idToken('bob', ['everyone'])
    for (const question of [
      { request: 'GET tasks /v1', as: { user: 'ann', client: 'people', groups: ['readers'] } },
      { request: 'nonsense' },
      'not JSON',
    ]) {
      const answer = await world.ask('POST', EXPLAIN, nobody, question)
      const text = await answer.text()
      expect(answer.status).toBe(403)
      expect(text).toContain('ADM102')
      expect(text).not.toMatch(/canary|readers|intern/)
    }
    expect((await world.ask('POST', EXPLAIN, {}, {})).status).toBe(401)
  })

  test('does not exist where there is no administration', async () => {
    const bare = await createWorld({ admin: null })
    const answer = await bare.ask('POST', EXPLAIN, await bare.idToken('sue'), {})
    expect({ status: answer.status, code: (await bodyOf(answer))['code'] }).toEqual({ status: 404, code: 'CLI106' })
  })

  test('is the right of nobody who comes through a client that is not listed', async () => {
    const token = { ...ADMIN.id_token, clients: ['people'] }
    const listed = await createWorld({ admin: { id_token: token } })
    expect((await listed.ask('GET', '/admin/api/connections', await listed.idToken('sue'))).status).toBe(200)
    const clients = { ...token, clients: ['ops-console'] }
    const other = await createWorld({ admin: { id_token: clients }, moreClients: { 'ops-console': {} } })
    const answer = await other.ask('GET', '/admin/api/connections', await other.idToken('sue'))
    expect({ status: answer.status, code: (await bodyOf(answer))['code'] }).toEqual({ status: 403, code: 'ADM102' })
  })
})

describe('a question that is none', () => {
  test.each<[string, unknown, string, string]>([
    ['no request', { as: { user: 'ann', client: 'people' } }, 'ADM100', 'request'],
    ['no line of a request', { request: 'tasks', as: { user: 'ann', client: 'people' } }, 'ADM100', 'request'],
    ['a query', { request: 'GET tasks /v1?x', as: { user: 'ann', client: 'people' } }, 'ADM100', 'request'],
    [
      'a method that is never passed on',
      { request: 'TRACE tasks /', as: { user: 'ann', client: 'people' } },
      'ADM100',
      'request',
    ],
    ['nobody', { request: 'GET tasks /' }, 'ADM100', 'as'],
    ['an empty subject', { request: 'GET tasks /', as: { user: '', client: 'people' } }, 'ADM100', 'as.user'],
    ['an unknown member', { request: 'GET tasks /', as: { user: 'ann', client: 'people', x: 1 } }, 'ADM100', 'as.x'],
    ['an unknown client', { request: 'GET tasks /', as: { user: 'ann', client: 'bot' } }, 'ADM105', 'as.client'],
    ['an unknown resource', { request: 'GET mail /', as: { user: 'ann', client: 'people' } }, 'ADM105', 'request'],
    [
      'an unknown identity provider',
      { request: 'GET tasks /', as: { user: 'ann', client: 'people', idp: 'x' } },
      'ADM105',
      'as.idp',
    ],
    ['no time', { request: 'GET tasks /', as: { user: 'ann', client: 'people' }, at: 'soon' }, 'ADM106', 'at'],
  ])('is refused: %s', async (_what, question, code, part) => {
    const answer = await world.ask('POST', EXPLAIN, viewer, question)
    const body = await bodyOf(answer)
    expect({ status: answer.status, code: body['code'] }).toEqual({ status: 400, code })
    expect(body['detail']).toContain(part)
  })

  test('comes with another method or from another site', async () => {
    expect((await world.ask('GET', EXPLAIN, viewer)).status).toBe(405)
    const headers = { authorization: `Bearer ${viewer}`, origin: 'https://evil.example' }
    expect((await world.ask('POST', EXPLAIN, headers, {})).status).toBe(403)
  })
})

function legOf(chain: unknown, leg: 'exchange' | 'redeem'): Readonly<Record<string, string>> {
  const found: unknown = Reflect.get(Object(chain), leg)
  const parameters: unknown = Reflect.get(Object(found), 'parameters')
  return Object.fromEntries(Object.entries(Object(parameters)).map(([name, value]) => [name, String(value)]))
}
