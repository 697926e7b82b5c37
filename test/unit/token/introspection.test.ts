// The introspection endpoint (RFC 7662): what a client learns of tokens that were handed to itself, and that it learns nothing
// of any other.
import { describe, expect, test } from 'vitest'
import { blockOut, cutOff } from '../support/outcomes.ts'
import { TASKS_AS } from '../admin/world.ts'
import { createShownWorld, refusalOf, type ShownWorld } from './shown-world.ts'

const INACTIVE = { active: false }

describe('an active token', () => {
  test('has exactly these members, and no cache keeps them', async () => {
    const world = await createShownWorld({ resource: { resource: 'https://api.example/' } })
    const token = await world.grant()
    const answer = await world.send('/introspect', { form: { token } })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
    expect([answer.headers.get('cache-control'), answer.headers.get('pragma')]).toEqual(['no-store', 'no-cache'])
    expect(await answer.json()).toEqual({
      active: true,
      scope: 'tasks.read',
      client_id: 'agent',
      token_type: 'Bearer',
      exp: world.clock.now() + 900,
      iat: world.clock.now(),
      aud: 'https://api.example/',
    })
  })

  test('has no audience where its resource has no indicator, and no scope where it has none', async () => {
    const world = await createShownWorld({ resource: { scopes: [] } })
    expect(Object.keys(Object(await world.introspect(await world.grant()))).toSorted()).toEqual([
      'active',
      'client_id',
      'exp',
      'iat',
      'token_type',
    ])
  })

  test('has the scope that was granted, not the one that was asked', async () => {
    const world = await createShownWorld({ resource: { scopes: ['a', 'b'] } })
    world.answers.set(`${TASKS_AS}/token`, () =>
      Response.json({ access_token: 'narrow', token_type: 'Bearer', expires_in: 900, scope: 'b' }),
    )
    expect(await world.introspect(await world.grant())).toMatchObject({ scope: 'b' })
  })

  test('stays what it is while it ages, in every isolate, and also when it has been replaced', async () => {
    const world = await createShownWorld()
    const first = await world.grant()
    const told = await world.introspect(first)
    world.clock.advance(815)
    await world.grant()
    expect(await world.grant()).not.toBe(first)
    expect(await world.introspect(first)).toEqual(told)
    expect(await world.introspect(first, { app: world.createInstance() })).toEqual(told)
    world.clock.advance(84)
    expect(await world.introspect(first)).toEqual(told)
    world.clock.advance(1)
    expect(await world.introspect(first)).toEqual(INACTIVE)
  })

  test('ends where its client was told that it ends, however long its server says that it lives', async () => {
    const world = await createShownWorld()
    world.answers.set(`${TASKS_AS}/token`, () =>
      Response.json({ access_token: 'lasting', token_type: 'Bearer', expires_in: 86_400 }),
    )
    const token = await world.grant()
    expect(await world.introspect(token)).toMatchObject({ exp: world.clock.now() + 3600 })
    world.clock.advance(3600)
    expect(await world.introspect(token)).toEqual(INACTIVE)
    // Its client can still revoke it where it lives on.
    expect((await world.revoke(token)).status).toBe(200)
    expect(world.revokedTokens()).toEqual([token])
  })

  test.each(['application/token-introspection+jwt', 'text/html', '*/*'])(
    'comes as JSON to who accepts %s',
    async (accept) => {
      const world = await createShownWorld()
      const token = await world.grant()
      const answer = await world.send('/introspect', { form: { token }, headers: { accept } })
      expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
      expect(await answer.json()).toMatchObject({ active: true })
    },
  )
})

describe('a token that is not active says nothing else', () => {
  const CASES: readonly (readonly [string, (world: ShownWorld, token: string) => Promise<unknown>])[] = [
    ['after its client has revoked it', (world, token) => world.revoke(token)],
    ['after an administrator has cut off its user', (world) => cutOff(world, { user: 'ann' })],
    ['after an administrator has cut off its client', (world) => cutOff(world, { client: 'agent' })],
    ['after an administrator has cut off its resource', (world) => cutOff(world, { resource: 'tasks' })],
    ['while its user is blocked', (world) => blockOut(world, { user: 'ann' })],
    ['while its client is blocked', (world) => blockOut(world, { client: 'agent' })],
  ]

  test.each(CASES)('%s', async (_when, end) => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const token = await world.grant()
    expect(await world.introspect(token)).toMatchObject({ active: true })
    world.clock.advance(1)
    await end(world, token)
    expect(await world.introspect(token)).toEqual(INACTIVE)
    expect(world.sink.events.at(-1)).toMatchObject({ event: 'token.introspect', outcome: 'allow' })
  })

  test('within the bound where an isolate has not heard of it, and at once where it has', async () => {
    const world = await createShownWorld()
    const app = world.createInstance()
    const token = await world.grant()
    expect(await world.introspect(token, { app })).toMatchObject({ active: true })
    world.clock.advance(1)
    await cutOff(world, { user: 'ann' })
    world.clock.advance(9)
    expect(await world.introspect(token, { app })).toEqual(INACTIVE)
  })

  test('but only until a block is lifted', async () => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const token = await world.grant()
    const id = await blockOut(world, { user: 'ann' })
    expect(await world.introspect(token)).toEqual(INACTIVE)
    await world.log.lift(id)
    expect(await world.introspect(token)).toMatchObject({ active: true })
  })

  test('where it is another client’s, an edge client’s, nobody’s or no access token; the answers are the same bytes but for their ids', async () => {
    const world = await createShownWorld()
    await world.use('ann')
    const tokens = [
      await world.grant({ client: 'other' }),
      world.sentTokens()[0] ?? '',
      'access-token-99',
      await world.idToken('ann'),
      'x'.repeat(50_000),
      '\u00E9',
    ]
    const answers = []
    for (const token of tokens) {
      const answer = await world.send('/introspect', { form: { token } })
      const headers = [...answer.headers]
        .flat()
        .join('\n')
        .replace(/req_\w+/, 'its id')
      answers.push(`${answer.status}\n${await answer.text()}\n${headers}`)
    }
    expect(answers[0]).toMatch(/^200\n\{"active":false\}\n/)
    expect(new Set(answers).size).toBe(1)
    const states = world.sink.events.flatMap(({ event, shown }) => (event === 'token.introspect' ? [shown] : []))
    expect(states).toEqual(['foreign', 'unknown', 'unknown', 'unknown', 'unknown', 'unknown'])
    expect(world.revokedTokens()).toEqual([])
  })
})

describe('it is not answered', () => {
  test('while it cannot be told what is revoked', async () => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const token = await world.grant()
    world.log.faults.read = 'throw'
    const refused = await world.send('/introspect', { form: { token } })
    expect(await refusalOf(refused)).toEqual([503, 'temporarily_unavailable', 'INT102'])
  })

  test('while it cannot be told whose the token is', async () => {
    const world = await createShownWorld()
    const token = await world.grant()
    world.registry.faults.findToken = 'throw'
    const refused = await world.send('/introspect', { form: { token } })
    expect(await refusalOf(refused)).toEqual([503, 'temporarily_unavailable', 'INT101'])
  })
})

describe.each(['/revoke', '/introspect'])('a request to %s', (path) => {
  test.each<[string, Parameters<ShownWorld['send']>[1], readonly unknown[]]>([
    ['without a token', { form: {} }, [400, 'invalid_request', 'CLI100']],
    ['with an empty token', { form: { token: '' } }, [400, 'invalid_request', 'CLI100']],
    ['with two tokens', { body: 'token=a&token=b' }, [400, 'invalid_request', 'CLI100']],
    ['with a broken escape', { body: 'token=%zz' }, [400, 'invalid_request', 'CLI100']],
    [
      'with JSON',
      { body: '{"token":"a"}', headers: { 'content-type': 'application/json' } },
      [400, 'invalid_request', 'LIM102'],
    ],
    ['of 70,000 bytes', { form: { token: 'x'.repeat(70_000) } }, [413, 'invalid_request', 'LIM101']],
    ['of a client that does not exist', { client: 'nobody', form: { token: 'a' } }, [401, 'invalid_client', 'CLI101']],
    [
      'of a client that cannot authenticate',
      { client: 'people', form: { token: 'a' } },
      [401, 'invalid_client', 'CLI101'],
    ],
    [
      'with a wrong secret',
      { form: { token: 'a' }, headers: { authorization: `Basic ${btoa('agent:wrong')}` } },
      [401, 'invalid_client', 'CLI101'],
    ],
    [
      'without authentication',
      { body: 'token=a&client_id=agent', headers: { authorization: '' } },
      [401, 'invalid_client', 'CLI101'],
    ],
  ])('%s is refused, and nothing is looked up', async (_what, request, expected) => {
    const world = await createShownWorld()
    world.registry.faults.findToken = 'hang'
    expect(await refusalOf(await world.send(path, request))).toEqual(expected)
    expect(world.seen).toEqual([])
  })

  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])('by %s is told that there is POST', async (method) => {
    const world = await createShownWorld()
    const refused = await world.send(path, { method })
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'POST'])
  })

  test('with the token in the URL is refused, and the token stands in no event', async () => {
    const world = await createShownWorld()
    const token = await world.grant()
    expect(await refusalOf(await world.send(`${path}?token=${token}`, {}))).toEqual([400, 'invalid_request', 'CLI100'])
    expect(JSON.stringify(world.sink.events)).not.toContain(token)
    expect(await world.introspect(token)).toMatchObject({ active: true })
  })

  test('of a client that must prove possession of a key is refused without the proof', async () => {
    const auth = { method: 'client_secret_basic', secret: { secret: 'AGENT' } }
    const agent = { subject_tokens: ['main/gateway'], auth, dpop: 'required' }
    const world = await createShownWorld({ moreClients: { agent } })
    expect((await refusalOf(await world.send(path, { form: { token: 'a' } }))).at(-1)).toBe('CLI120')
  })
})
