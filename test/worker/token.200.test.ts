// Tokens handed out at the token endpoint: to whom, for what, in which words (RFC 8693 section 2.2.1).
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SECRETS } from '../support/counterparties.ts'
import { clientAssertionClaims, mint } from '../support/keys.ts'
import { basic, JWT_BEARER_ASSERTION, openStage, TOKEN_TYPE, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

test('an ID token becomes an access token that the resource takes', async () => {
  const { world } = stage
  const answer = await stage.grant({ form: { subject_token: await world.corp.idToken({ sub: 'broker' }) } })
  expect(answer.status).toBe(200)
  expect(answer.json).toEqual({
    access_token: expect.stringMatching(/^at-tasks-/),
    issued_token_type: `${TOKEN_TYPE}access_token`,
    token_type: 'Bearer',
    expires_in: expect.any(Number),
    scope: 'read write',
  })
  expect(answer.json['expires_in']).toBeGreaterThan(590)
  expect(answer.json['expires_in']).toBeLessThanOrEqual(600)
  expect(answer.headers).toMatchObject({
    'cache-control': 'no-store',
    pragma: 'no-cache',
    'x-content-type-options': 'nosniff',
    'jagway-request-id': (await answer.event())['id'],
    'server-timing': expect.stringMatching(/^exchange;dur=\d+, redeem;dur=\d+, total;dur=\d+$/),
  })
  expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
  expect(world.forwarded()).toBe(0)

  const used = await fetch(world.tasks.upstream, {
    headers: { authorization: `Bearer ${String(answer.json['access_token'])}` },
  })
  expect(await used.json()).toMatchObject({ sub: 'broker' })
  expect(world.strays()).toEqual([])
})

test('expires_in is what remains, from the cache too', async () => {
  const form = { subject_token: await stage.world.corp.idToken({ sub: 'ageing' }) }
  const first = await stage.grant({ form })
  await new Promise((done) => setTimeout(done, 2_100))
  const second = await stage.grant({ form })
  expect(second.json['access_token']).toBe(first.json['access_token'])
  expect(Number(second.json['expires_in'])).toBeLessThanOrEqual(Number(first.json['expires_in']) - 2)
  expect(await second.event()).toMatchObject({ event: 'token.issue', outcome: 'allow', cache: 'memory' })
  expect(stage.world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
})

test('a refresh token or an ID token in the answer of the server behind goes no further', async () => {
  const { world } = stage
  world.tasks.token.script({
    patch: { refresh_token: world.guard('rt-1234567890', 'a refresh token', 'nobody'), id_token: 'e30' },
  })
  const answer = await stage.grant({ form: { subject_token: await world.corp.idToken({ sub: 'refresher' }) } })
  expect(answer.status).toBe(200)
  expect(Object.keys(answer.json).toSorted()).toEqual([
    'access_token',
    'expires_in',
    'issued_token_type',
    'scope',
    'token_type',
  ])
})

test('authorization details reach the identity provider, and come back as the server behind has granted them', async () => {
  const { world } = stage
  const form = {
    subject_token: await world.corp.idToken({ sub: 'detailed' }),
    authorization_details: '[ { "type": "list", "name": "home" } ]',
  }
  world.tasks.token.script({ patch: { authorization_details: [{ type: 'list', name: 'home', id: 7 }] } })
  const answer = await stage.grant({ form })
  expect(answer.status).toBe(200)
  expect(answer.json['authorization_details']).toEqual([{ type: 'list', name: 'home', id: 7 }])
  expect(world.corp.token.last.form.get('authorization_details')).toBe('[{"name":"home","type":"list"}]')
  const again = await stage.grant({ form })
  expect(again.json['authorization_details']).toEqual([{ type: 'list', name: 'home', id: 7 }])
  const without = await stage.grant({ form: { subject_token: form.subject_token } })
  expect(without.json).not.toHaveProperty('authorization_details')
  expect(without.json['access_token']).not.toBe(answer.json['access_token'])
  expect(world.legs()).toEqual({ exchanges: 2, redemptions: 2 })
})

test('an actor token reaches the identity provider that takes it, whole, and its chain the record', async () => {
  const { world } = stage
  const jwt = world.guard('actor.of.caller', 'an actor token', 'partner.token')
  const form = {
    subject_token: await world.partner.idToken({ sub: 'acted for', tenant: 'acme' }),
    actor_token: jwt,
    actor_token_type: `${TOKEN_TYPE}jwt`,
  }
  world.partner.token.script({ idJag: { act: { sub: 'agents/planner', iss: world.partner.issuer } } })
  const answer = await stage.grant({ form })
  expect(answer.status).toBe(200)
  expect(world.partner.token.last.form.get('actor_token')).toBe(jwt)
  expect(await answer.event()).toMatchObject({
    actor: { token_type: `${TOKEN_TYPE}jwt`, chain: [{ sub: 'agents/planner', iss: world.partner.issuer }] },
  })
  const { subject_token: subject } = form
  const alone = await stage.grant({ form: { subject_token: subject } })
  expect(alone.json['access_token']).not.toBe(answer.json['access_token'])
  expect(await alone.event()).not.toHaveProperty('actor')
  expect(world.legs()).toEqual({ exchanges: 2, redemptions: 2 })
  expect(world.strays()).toEqual([])
})

describe('the client', () => {
  test('authenticates by Basic, form-urlencoded or not', async () => {
    const subject = await stage.world.corp.idToken({ sub: 'basic' })
    for (const authorization of [
      basic('agent', SECRETS.AGENT_SECRET),
      `basic ${btoa(`agent:${SECRETS.AGENT_SECRET}`)}`,
    ]) {
      const answer = await stage.grant({
        client: 'nobody',
        headers: { authorization },
        form: { subject_token: subject },
      })
      expect(answer.status).toBe(200)
      expect(await answer.event()).toMatchObject({ client: { id: 'agent', auth: 'client_secret_basic' } })
    }
  })

  test('authenticates by parameters', async () => {
    const answer = await stage.grant({
      client: 'agent-post',
      form: { subject_token: await stage.world.corp.idToken() },
    })
    expect(answer.status).toBe(200)
    expect(await answer.event()).toMatchObject({ client: { id: 'agent-post', auth: 'client_secret_post' } })
  })

  test.each(['client-authentication+jwt', 'JWT', undefined])(
    'authenticates by an assertion of type %s',
    async (typ) => {
      const claims = clientAssertionClaims(Math.floor(Date.now() / 1000), 'agent-jwt', stage.gateway.url)
      const answer = await stage.grant({
        client: 'nobody',
        form: {
          subject_token: await stage.world.corp.idToken(),
          client_assertion_type: JWT_BEARER_ASSERTION,
          client_assertion: await mint(stage.agentKey, claims, { typ }),
        },
      })
      expect(answer.status).toBe(200)
      expect(await answer.event()).toMatchObject({ client: { id: 'agent-jwt', auth: 'private_key_jwt' } })
    },
  )
})

describe('the resource', () => {
  test.each([
    ['its indicator', () => ({ resource: stage.world.tasks.resource })],
    ['its name here', () => ({ resource: undefined, audience: 'tasks' })],
    ['both, where they mean one', () => ({ resource: stage.world.tasks.resource, audience: 'tasks' })],
    ['the same twice', () => ({ resource: [stage.world.tasks.resource, stage.world.tasks.resource] })],
    [
      'its indicator and the issuer of its server',
      () => ({ resource: stage.world.tasks.resource, audience: stage.world.tasks.issuer }),
    ],
  ])('is named by %s', async (_what, form) => {
    const answer = await stage.grant({
      form: { ...form(), subject_token: await stage.world.corp.idToken({ sub: 'namer' }) },
    })
    expect(answer.status).toBe(200)
    expect(answer.json['access_token']).toMatch(/^at-tasks-/)
    expect(await answer.event()).toMatchObject({ resource: { id: 'tasks' } })
  })
})

describe('the scope', () => {
  test('that is asked is the scope that is given, and no more', async () => {
    const { world } = stage
    const answer = await stage.grant({
      form: { scope: 'read', subject_token: await world.corp.idToken({ sub: 'less' }) },
    })
    expect(answer.json['scope']).toBe('read')
    expect(world.corp.token.last.form.get('scope')).toBe('read')
    expect(world.tasks.token.last.form.get('scope')).toBe('read')
  })

  test('that is not asked is what policy gives', async () => {
    const answer = await stage.grant({ client: 'narrow', form: { subject_token: await stage.world.corp.idToken() } })
    expect(answer.json['scope']).toBe('read')
  })

  test('that the server cut down is told as it is', async () => {
    const { world } = stage
    world.tasks.token.script({ patch: { scope: 'read' } })
    const answer = await stage.grant({ form: { subject_token: await world.corp.idToken({ sub: 'cut' }) } })
    expect(answer.json['scope']).toBe('read')
    expect(await answer.event()).toMatchObject({ scopes: { asked: ['read', 'write'], granted: ['read'] } })
  })

  test('that the identity provider cut down is not asked for again', async () => {
    const { world } = stage
    world.corp.token.script({ idJag: { scope: 'read' } })
    const answer = await stage.grant({ form: { subject_token: await world.corp.idToken({ sub: 'cut before' }) } })
    expect(world.tasks.token.last.form.get('scope')).toBe('read')
    expect(answer.json['scope']).toBe('read')
  })
})

test('a parameter nobody knows is ignored, one without a value is not there', async () => {
  const form = { subject_token: await stage.world.corp.idToken(), foo: 'bar', audience: '', scope: '' }
  expect((await stage.grant({ form })).status).toBe(200)
})
