// The second door, in the in-memory house: a client that proves who it is turns a user's ID token into an access token.
import { describe, expect, test } from 'vitest'
import type { Claims } from '../../support/keys.ts'
import {
  createWorld,
  json,
  NAMES,
  RESOURCES,
  RULES,
  SECRETS,
  type Isolate,
  type Json,
  type World,
} from '../support/world.ts'

type Parameters = Readonly<Record<string, string | undefined>>

interface Sent {
  readonly claims?: Claims
  readonly client?: string
  readonly secret?: string
  readonly headers?: Record<string, string>
  readonly method?: string
  readonly from?: Isolate
}

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'

/** A request by `agent` with a token of alice for the resource `tasks`, unless something else is said. */
async function ask(world: World, changes: Parameters = {}, sent: Sent = {}): Promise<Response> {
  const { client = 'agent', secret = SECRETS['AGENT_SECRET'] ?? '', from = world, method = 'POST' } = sent
  const parameters: Parameters = {
    grant_type: EXCHANGE,
    subject_token: await world.idToken({ aud: 'agent-id', ...sent.claims }),
    subject_token_type: ID_TOKEN,
    resource: NAMES.api,
    ...changes,
  }
  const body = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) body.set(name, value)
  const headers = { authorization: `Basic ${btoa(`${client}:${secret}`)}`, ...sent.headers }
  const hasBody = method !== 'GET' && method !== 'HEAD'
  return from.app(new Request(`${NAMES.gateway}/token`, { method, headers, ...(hasBody ? { body } : {}) }))
}

async function told(response: Response): Promise<Json> {
  return response.json<Json>()
}

/** Status, error word and code. */
async function refusalOf(response: Response): Promise<readonly unknown[]> {
  const { error, error_uri: page } = await told(response)
  return [response.status, error, String(page).split('/').at(-1)]
}

const cost = (world: World): number => world.seen('idp').length + world.seen('ras').length

describe('the token endpoint answers', () => {
  test('with exactly these members, and lets no cache keep them', async () => {
    const world = createWorld()
    const response = await ask(world)
    expect([response.status, await told(response)]).toEqual([
      200,
      {
        access_token: 'canary-access-alice-1',
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: 3600,
        scope: 'tasks.read tasks.write',
      },
    ])
    expect(Object.fromEntries(response.headers)).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' })
    expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    expect(world.seen('upstream')).toEqual([])
  })

  test('with what remains of a token that has aged', async () => {
    const world = createWorld()
    await ask(world)
    await world.settle()
    world.clock.advance(726)
    expect(await told(await ask(world))).toMatchObject({ access_token: 'canary-access-alice-1', expires_in: 2874 })
    expect(await told(await ask(world, {}, { from: world.isolate('elsewhere') }))).toMatchObject({ expires_in: 2874 })
    expect(cost(world)).toBe(2)
  })

  test('with no more than the configured life, however long the server says it lives', async () => {
    const world = createWorld({ cache: { max_ttl: '10m' } })
    world.alter('ras', { expires_in: 86_400 })
    expect(await told(await ask(world))).toMatchObject({ expires_in: 600 })
  })

  test('with the scope that was granted, and without any where there is none', async () => {
    const world = createWorld()
    world.alter('ras', { scope: 'tasks.read' })
    expect(await told(await ask(world))).toMatchObject({ scope: 'tasks.read' })
    const tasks = { ...RESOURCES.tasks, scopes: [] }
    expect(Object.keys(await told(await ask(createWorld({ resources: { ...RESOURCES, tasks } }))))).not.toContain(
      'scope',
    )
  })

  test('with the scope that was asked, and keeps it apart from the broader token', async () => {
    const world = createWorld()
    const broad = await told(await ask(world))
    const narrow = await told(await ask(world, { scope: 'tasks.read' }))
    expect(narrow).toMatchObject({ scope: 'tasks.read' })
    expect(narrow['access_token']).not.toBe(broad['access_token'])
    expect(world.seen('idp').map(({ form }) => form.get('scope'))).toEqual(['tasks.read tasks.write', 'tasks.read'])
  })

  test('without refresh token, ID token or anything else its server added', async () => {
    const world = createWorld()
    world.alter('ras', { id_token: 'canary-id', refresh_token: 'canary-refresh', extra: 'canary-extra' })
    expect(Object.keys(await told(await ask(world))).toSorted()).toEqual([
      'access_token',
      'expires_in',
      'issued_token_type',
      'scope',
      'token_type',
    ])
  })

  test('an agent and a browser with different tokens for the same user', async () => {
    const world = createWorld()
    const agent = await told(await ask(world))
    const request = new Request(`${NAMES.gateway}/r/tasks/x`, {
      headers: { authorization: `Bearer ${await world.idToken()}` },
    })
    await world.app(request)
    expect(world.seen('upstream')[0]?.headers.get('authorization')).not.toBe(`Bearer ${String(agent['access_token'])}`)
    expect(cost(world)).toBe(4)
  })
})

describe('the resource that is meant', () => {
  // Two resources of one server, two that share an indicator, and one without any.
  const resource = (name: string, issuer: string, indicator?: string): Json => ({
    kind: 'id-jag',
    authorization_server: { issuer, token_endpoint: `https://${name}.as.test/token` },
    client: { id: `gw-${name}`, auth: { method: 'none' } },
    scopes: [],
    ...(indicator === undefined ? {} : { resource: indicator }),
  })
  const resources = {
    one: resource('one', 'https://shared.test', 'https://api.test/1'),
    two: resource('two', 'https://shared.test', 'https://api.test/2'),
    twin: resource('twin', 'https://twin.test', 'https://api.test/2'),
    bare: resource('bare', 'https://bare.test/'),
  }

  test.each<[string | undefined, string | undefined, string]>([
    ['https://api.test/1', undefined, 'gw-one'],
    ['https://api.test/2', undefined, 'CLI107'],
    ['https://api.test/2', 'two', 'gw-two'],
    ['https://api.test/2', 'twin', 'gw-twin'],
    ['https://api.test/2', 'https://twin.test', 'gw-twin'],
    ['https://api.test/2', 'https://shared.test', 'gw-two'],
    ['https://api.test/1', 'two', 'CLI106'],
    ['https://api.test/1', 'https://twin.test', 'CLI106'],
    [undefined, 'one', 'gw-one'],
    [undefined, 'bare', 'gw-bare'],
    [undefined, 'https://bare.test/', 'gw-bare'],
    [undefined, 'https://shared.test', 'CLI107'],
    [undefined, undefined, 'CLI107'],
    ['https://api.test/1/', undefined, 'CLI106'],
    ['https://API.test/1', undefined, 'CLI106'],
    ['https://api.test/1#x', undefined, 'CLI106'],
    [undefined, 'https://bare.test', 'CLI106'],
    [undefined, 'One', 'CLI106'],
    [undefined, '__proto__', 'CLI106'],
    ['one', undefined, 'CLI106'],
    ['https://169.254.169.254/', undefined, 'CLI106'],
    ['*', undefined, 'CLI106'],
  ])('by resource %s and audience %s is %s', async (indicator, audience, found) => {
    const world = createWorld({ resources, rules: [{ id: 'all', effect: 'allow', resources: Object.keys(resources) }] })
    const response = await ask(world, { resource: indicator, audience })
    if (found.startsWith('gw-')) {
      expect(world.seen('ras').map(({ form }) => form.get('client_id'))).toEqual([found])
      expect(response.status).toBe(200)
    } else {
      expect(await refusalOf(response)).toEqual([400, 'invalid_target', found])
      expect(cost(world)).toBe(0)
    }
    expect(world.strays).toEqual([])
  })
})

describe('the token endpoint refuses', () => {
  test.each<[string, Parameters, Sent, number, string, string]>([
    ['a wrong secret', {}, { secret: 'wrong' }, 401, 'invalid_client', 'CLI101'],
    ['an unknown client', {}, { client: 'nobody' }, 401, 'invalid_client', 'CLI101'],
    [
      'a client without authentication of its own',
      {},
      { client: 'browser-app', secret: '' },
      401,
      'invalid_client',
      'CLI101',
    ],
    ['no grant type', { grant_type: undefined }, {}, 400, 'invalid_request', 'CLI100'],
    ['another grant type', { grant_type: 'client_credentials' }, {}, 400, 'unsupported_grant_type', 'CLI103'],
    ['another subject token type', { subject_token_type: 'urn:x' }, {}, 400, 'invalid_request', 'CLI104'],
    ['another requested type', { requested_token_type: 'urn:x' }, {}, 400, 'invalid_request', 'CLI105'],
    ['an actor token', { actor_token: 'x', actor_token_type: ID_TOKEN }, {}, 400, 'invalid_request', 'CLI111'],
    ['an actor token without its type', { actor_token: 'x' }, {}, 400, 'invalid_request', 'CLI100'],
    ['a type of actor token alone', { actor_token_type: ID_TOKEN }, {}, 400, 'invalid_request', 'CLI100'],
    ['a malformed scope', { scope: 'a  b' }, {}, 400, 'invalid_scope', 'CLI108'],
    ['a scope no rule gives', { scope: 'tasks.read admin' }, {}, 400, 'invalid_scope', 'POL102'],
    ['an unknown resource', { resource: 'https://x.test' }, {}, 400, 'invalid_target', 'CLI106'],
    ['a subject token that is none', { subject_token: 'x' }, {}, 400, 'invalid_request', 'TOK101'],
    [
      'an expired subject token',
      {},
      { claims: { iat: 1_799_990_000, exp: 1_799_990_300 } },
      400,
      'invalid_request',
      'TOK103',
    ],
    ['a subject token of another of our clients', {}, { claims: { aud: 'web-id' } }, 400, 'invalid_request', 'CLI112'],
    ['a user no rule names', {}, { claims: { sub: 'carol' } }, 400, 'access_denied', 'POL100'],
    ['GET', {}, { method: 'GET' }, 405, 'invalid_request', 'CLI110'],
    ['PUT', {}, { method: 'PUT' }, 405, 'invalid_request', 'CLI110'],
    ['a DPoP proof that is none', {}, { headers: { dpop: 'eyJ' } }, 400, 'invalid_dpop_proof', 'CLI114'],
    ['JSON', {}, { headers: { 'content-type': 'application/json' } }, 400, 'invalid_request', 'LIM102'],
  ])('%s, and asks nobody', async (_what, changes, sent, status, error, code) => {
    const world = createWorld()
    const response = await ask(world, changes, sent)
    expect(await refusalOf(response)).toEqual([status, error, code])
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('www-authenticate')?.startsWith('Basic ') ?? false).toBe(status === 401)
    expect(cost(world)).toBe(0)
  })

  test('a denial of an administrator, by its name', async () => {
    const rules = [...RULES, { id: 'stop-alice', effect: 'deny', who: { users: ['corp/alice'] } }]
    expect((await told(await ask(createWorld({ rules }))))['error_description']).toContain(
      'rule stop-alice denies this',
    )
  })

  test('what the servers behind it refuse, in our words', async () => {
    const rows = [
      ['idp', { error: 'invalid_grant' }, 400, 'invalid_request', 'IDP101'],
      [
        'idp',
        { error: 'insufficient_user_authentication', max_age: 300 },
        400,
        'insufficient_user_authentication',
        'IDP105',
      ],
      ['ras', { error: 'access_denied' }, 400, 'access_denied', 'RAS102'],
      ['ras', { error: 'invalid_target' }, 400, 'invalid_target', 'RAS103'],
      ['ras', { error: 'invalid_grant' }, 400, 'invalid_grant', 'RAS101'],
    ] as const
    for (const [role, body, status, error, code] of rows) {
      const world = createWorld()
      world.script[role] = () => json({ ...body, error_description: 'canary' }, { status: 400 })
      const response = await ask(world)
      const copy = response.clone()
      expect(await refusalOf(response)).toEqual([status, error, code])
      expect(await copy.text()).not.toContain('canary')
    }
    const world = createWorld()
    world.script.ras = () => json({}, { status: 503, headers: { 'retry-after': '9' } })
    const response = await ask(world)
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '9'])
  })

  test('hands on what a stronger login needs', async () => {
    const world = createWorld()
    world.script.idp = () =>
      json({ error: 'insufficient_user_authentication', max_age: 300, acr_values: 'urn:mfa' }, { status: 400 })
    expect(await told(await ask(world))).toMatchObject({ max_age: 300, acr_values: 'urn:mfa' })
  })
})

describe('a resource that is not open to a client (T42)', () => {
  const hidden = RESOURCES.hidden.resource

  test('looks like one that does not exist', async () => {
    const world = createWorld()
    const [secret, absent] = [
      await ask(world, { resource: hidden }),
      await ask(world, { resource: 'https://absent.test' }),
    ]
    expect(secret.status).toBe(absent.status)
    const { request_id: _id, ...one } = await told(secret)
    const { request_id: _other, ...two } = await told(absent)
    expect(one).toEqual(two)
    expect(cost(world)).toBe(0)
  })

  test('looks so also to a client that shows no good token', async () => {
    const world = createWorld()
    for (const [changes, sent] of [
      [{ subject_token: 'nonsense' }, {}],
      [{}, { claims: { aud: 'web-id' } }],
      [{}, { claims: { iat: 1_799_990_000, exp: 1_799_990_300 } }],
    ] as const) {
      const secret = await refusalOf(await ask(world, { ...changes, resource: hidden }, sent))
      const absent = await refusalOf(await ask(world, { ...changes, resource: 'https://absent.test' }, sent))
      expect(secret).toEqual(absent)
    }
  })

  test('looks so also where a rule denies', async () => {
    const world = createWorld({ rules: [...RULES, { id: 'stop', effect: 'deny', who: { users: ['corp/alice'] } }] })
    expect(await refusalOf(await ask(world, { resource: hidden }))).toEqual(
      await refusalOf(await ask(world, { resource: 'https://absent.test' })),
    )
  })
})
