// Refresh tokens and SAML assertions as subject tokens, at the built Worker: one exchange for one token everywhere, no token
// where it does not belong, nothing readable where it is kept.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '../support/http.ts'
import { expectTokenError } from '../support/refusals.ts'
import { openStage, TOKEN_TYPE, type Answer, type Grant, type Stage } from '../support/stage.ts'

const INSTANCES = 4

let stage: Stage

beforeAll(async () => {
  const all = ['id_token', 'refresh_token', 'saml2']
  stage = await openStage({
    instances: INSTANCES,
    edit: (config) => {
      const { corp, partner } = config.idps
      const { agent, narrow } = config.clients
      return {
        ...config,
        idps: {
          ...config.idps,
          corp: { ...corp, quirks: { subject_token_types: all } },
          partner: { ...partner, quirks: { ...partner.quirks, subject_token_types: ['id_token', 'saml2'] } },
        },
        clients: {
          ...config.clients,
          agent: { ...agent, subject_token_types: all },
          narrow: { ...narrow, subject_token_types: all },
        },
      }
    },
  })
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

type Kind = 'refresh_token' | 'saml2'

function grant(token: string, kind: Kind = 'refresh_token', { form, ...more }: Grant = {}): Promise<Answer> {
  return stage.grant({ form: { subject_token: token, subject_token_type: TOKEN_TYPE + kind, ...form }, ...more })
}

const ONE = { exchanges: 1, redemptions: 1 }
const NONE = { exchanges: 0, redemptions: 0 }

async function openedBy(answer: Answer): Promise<unknown> {
  const response = await fetch(stage.world.tasks.upstream, {
    headers: { authorization: `Bearer ${String(answer.json['access_token'])}` },
  })
  return response.json()
}

describe('a refresh token', () => {
  test('becomes an access token of its user, and no token is seen where it does not belong', async () => {
    const { world } = stage
    const answer = await grant(world.corp.refreshToken({ sub: 'remembered', rotates: true }))
    expect(answer.status).toBe(200)
    expect(answer.json).not.toHaveProperty('refresh_token')
    expect(await openedBy(answer)).toMatchObject({ sub: 'remembered' })
    expect(world.legs()).toEqual(ONE)
    expect(world.strays()).toEqual([])
    expect(await answer.event()).toMatchObject({
      event: 'token.issue',
      outcome: 'allow',
      user: { sub: 'remembered' },
      subject: { kind: 'refresh_token', found: 'exchange' },
      cache: 'exchange',
      ms: { exchange: expect.any(Number), redeem: expect.any(Number) },
    })
  })

  test('that rotates is exchanged once for 200 requests at once in several isolates', async () => {
    const { world } = stage
    const token = world.corp.refreshToken({ sub: 'crowd', rotates: true })
    world.corp.token.script({ delayMs: 300 })
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => grant(token, 'refresh_token', { instance: index % INSTANCES })),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(answers.map(({ json }) => json['access_token'])).size).toBe(1)
    expect(world.legs()).toEqual(ONE)
    expect(world.corp.sessions.reuses).toBe(0)
  })

  test('that rotates is shown once after the other, whatever is asked for at the same time', async () => {
    const { world } = stage
    const token = world.corp.refreshToken({ sub: 'many wishes', rotates: true })
    const forms = [{}, { scope: 'read' }, { scope: 'write' }, { resource: world.notes.resource }]
    const answers = await Promise.all(
      [...forms, ...forms, ...forms].map((form, index) =>
        grant(token, 'refresh_token', { form, instance: index % INSTANCES }),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect(world.legs()).toEqual({ exchanges: 4, redemptions: 4 })
    expect(world.corp.sessions.reuses).toBe(0)
    // And goes on to be good, by way of the one that is good now.
    const again = await grant(token, 'refresh_token', { form: { scope: 'read write', audience: 'tasks' } })
    expect(again.status).toBe(200)
  })

  test('and its successor survive an isolate that starts anew', async () => {
    const { world } = stage
    const token = world.corp.refreshToken({ sub: 'restarted', rotates: true })
    world.tasks.token.script({ patch: { expires_in: 1 } }, 2)
    expect((await grant(token)).status).toBe(200)
    await stage.gateway.reload()
    await new Promise((done) => setTimeout(done, 1_100))
    expect((await grant(token)).status).toBe(200)
    expect(world.legs()).toEqual({ exchanges: 2, redemptions: 2 })
    expect(world.corp.sessions.reuses).toBe(0)
    const shown = world.corp.token.requests.map(({ form }) => form.get('subject_token'))
    expect(shown[0]).toBe(token)
    expect(shown[1]).not.toBe(token)
  })

  test('of one user never serves another, also where KV has been tampered with', async () => {
    const { world } = stage
    const store = await stage.gateway.tokens()
    const names = async () => (await store.list({ prefix: 's1.' })).keys.map(({ name }) => name)
    const before = await names()
    const tokens = ['victim', 'thief'].map((sub) => world.corp.refreshToken({ sub }))
    for (const token of tokens) expect((await grant(token)).status).toBe(200)
    await eventually(async () => (await names()).length === before.length + 2)
    const [one = '', other = ''] = (await names()).filter((name) => !before.includes(name))
    const [a, b] = [await store.get(one, 'arrayBuffer'), await store.get(other, 'arrayBuffer')]
    await store.put(one, b ?? new ArrayBuffer(0), { expirationTtl: 300 })
    await store.put(other, a ?? new ArrayBuffer(0), { expirationTtl: 300 })
    await stage.gateway.reload()
    for (const [index, sub] of ['victim', 'thief'].entries()) {
      const answer = await grant(tokens[index] ?? '')
      expect(await openedBy(answer)).toMatchObject({ sub })
      expect(await answer.event()).toMatchObject({ subject: { found: 'flight' } })
    }
  })

  test('leaves nothing in KV that can be read', async () => {
    const { world } = stage
    const token = world.corp.refreshToken({ sub: 'very-readable-user', rotates: true })
    await grant(token)
    const store = await stage.gateway.tokens()
    await eventually(async () => (await store.list({ prefix: 's1.' })).keys.length > 0)
    await new Promise((done) => setTimeout(done, 100))
    const parts: string[] = []
    for (const { name, metadata } of (await store.list()).keys) {
      expect(name).toMatch(/^[st]1(\.[A-Za-z0-9_-]{43}){4}$/)
      const value = Buffer.from((await store.get(name, 'arrayBuffer')) ?? new ArrayBuffer(0))
      parts.push(name, JSON.stringify(metadata ?? null), value.toString('latin1'))
    }
    const dump = parts.join('\n')
    expect(world.leaks(dump)).toEqual([])
    for (const text of ['very-readable-user', 'canary', 'eyJ', 'refresh', token]) expect(dump).not.toContain(text)
  })
})

describe('a SAML assertion', () => {
  test('becomes an access token of its user, in base64url and in base64', async () => {
    const { world } = stage
    const assertion = world.corp.assertion({ sub: 'asserted' })
    const answer = await grant(assertion, 'saml2', { client: 'narrow' })
    expect(await openedBy(answer)).toMatchObject({ sub: 'asserted' })
    const base64 = assertion.replaceAll('-', '+').replaceAll('_', '/')
    const again = await grant(base64, 'saml2', { client: 'narrow' })
    expect(again.json['access_token']).toBe(answer.json['access_token'])
    expect(world.legs()).toEqual(ONE)
    expect(world.strays()).toEqual([])
  })
})

describe('refused', () => {
  test('a token the identity provider does not take: log in again', async () => {
    const { world } = stage
    const token = world.corp.refreshToken({ sub: 'gone' })
    world.corp.sessions.end(token)
    const event = await expectTokenError(await grant(token), 'IDP101', 400, 'invalid_request')
    expect(event).toMatchObject({ subject: { kind: 'refresh_token' } })
    expect(event).not.toHaveProperty('user')
    await expectTokenError(await grant(token, 'refresh_token', { instance: 1 }), 'IDP101', 400, 'invalid_request')
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 0 })
  })

  test.each<[string, () => Promise<Answer>, string, string]>([
    ['a malformed assertion', () => grant('<saml/>', 'saml2'), 'TOK112', 'invalid_request'],
    ['a malformed refresh token', () => grant('a b'), 'TOK112', 'invalid_request'],
    [
      'a kind that the client may not present',
      () => grant('x', 'refresh_token', { client: 'agent-post' }),
      'CLI104',
      'invalid_request',
    ],
    ['a kind that two identity providers take', () => grant('YQ', 'saml2'), 'CLI116', 'invalid_request'],
    [
      'a resource that does not exist',
      () => grant('x', 'refresh_token', { form: { resource: 'https://x.example/' } }),
      'CLI106',
      'invalid_target',
    ],
    [
      'a scope no rule gives',
      () => grant('x', 'refresh_token', { client: 'narrow', form: { scope: 'write' } }),
      'POL102',
      'invalid_scope',
    ],
  ])('%s, before anybody is asked', async (_what, ask, code, error) => {
    await expectTokenError(await ask(), code, 400, error)
    expect(stage.world.legs()).toEqual(NONE)
  })

  test('an answer whose signature does not hold, in whatever way', async () => {
    const { world } = stage
    const scripts = [
      { idJag: {}, header: { kid: 'somebody-else' } },
      { idJag: {}, header: { typ: 'JWT' } },
      { idJag: { aud: world.evilOrigin } },
      { idJag: { client_id: 'somebody-else' } },
      { idJag: { iss: world.evilOrigin } },
    ]
    for (const [index, script] of scripts.entries()) {
      world.corp.token.script(script)
      const answer = await grant(world.corp.refreshToken({ sub: `forged ${index}` }))
      await expectTokenError(answer, 'IDP109', 502, 'server_error')
    }
    expect(world.legs()).toEqual({ exchanges: scripts.length, redemptions: 0 })
  })

  test('a user whom a rule denies, found out by the verified ID-JAG', async () => {
    const { world } = stage
    const answer = await grant(world.corp.refreshToken({ sub: 'mallory' }))
    const event = await expectTokenError(answer, 'POL101', 400, 'access_denied')
    expect(event).toMatchObject({ user: { sub: 'mallory' }, policy: { rule: 'not-mallory' } })
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 0 })
  })

  test('at a proxied resource: ID tokens and nothing else come there', async () => {
    const { world } = stage
    const answer = await stage.ask({ token: world.corp.refreshToken({ sub: 'edge' }) })
    expect(answer.status).toBe(401)
    expect(world.legs()).toEqual(NONE)
  })
})
