// Tokens that clients show: revoked and introspected in workerd, over two isolates and real objects. What is noted of them is
// looked for in everything the gateway has stored.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { expectTokenError } from '../support/refusals.ts'
import { basic, openStage, type Answer, type Grant, type Stage } from '../support/stage.ts'
import { SECRETS } from '../support/counterparties.ts'

let stage: Stage
const folder = mkdtempSync(join(tmpdir(), 'jagway-shown-'))

beforeAll(async () => {
  stage = await openStage({
    instances: 2,
    persist: folder,
    edit: (config) => ({ ...config, revocation: { max_staleness: '0s' } }),
  })
  stage.world.tasks.offerRevocation()
})

afterAll(async () => {
  await stage.close()
  rmSync(folder, { recursive: true })
})

beforeEach(() => stage.world.calm())

type Show = { readonly client?: 'agent' | 'narrow'; readonly instance?: number; readonly form?: Record<string, string> }

function show(path: '/revoke' | '/introspect', token: string, options: Show = {}): Promise<Answer> {
  const { client = 'agent', instance = 0, form = {} } = options
  return stage.ask({
    path,
    method: 'POST',
    instance,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: basic(client, SECRETS.AGENT_SECRET),
    },
    body: new URLSearchParams({ token, ...form }).toString(),
  })
}

async function granted(sub: string, options: Grant = {}): Promise<string> {
  const subject_token = await stage.world.corp.idToken({ sub })
  const answer = await stage.grant({ ...options, form: { subject_token, ...options.form } })
  expect(answer.status).toBe(200)
  return String(answer.json['access_token'])
}

describe('POST /revoke', () => {
  test('ends a token that was handed out a moment ago, everywhere, and revokes it where it was issued', async () => {
    const { world } = stage
    const subject_token = await world.corp.idToken({ sub: 'ann' })
    const token = await granted('ann', { form: { subject_token } })
    expect(await granted('ann', { form: { subject_token }, instance: 1 })).toBe(token)
    const answer = await show('/revoke', token, { instance: 1 })
    expect([answer.status, answer.text, answer.headers['cache-control']]).toEqual([200, '', 'no-store'])
    expect(world.tasks.revocation.requests.map(({ form }) => form.get('token'))).toEqual([token])
    expect(await answer.event()).toMatchObject({
      event: 'token.revoke',
      outcome: 'allow',
      shown: 'revoked',
      client: { id: 'agent' },
      user: { issuer: world.corp.issuer, sub: 'ann' },
      resource: { id: 'tasks' },
    })
    const next = await Promise.all([0, 1].map((instance) => granted('ann', { form: { subject_token }, instance })))
    expect(next).not.toContain(token)
    expect(new Set(next).size).toBe(1)
    expect(world.strays()).toEqual([])
  })

  test('answers alike, and does nothing, for a token of another client and for one that nobody knows', async () => {
    const { world } = stage
    const token = await granted('bob', { client: 'narrow', form: { scope: 'read' } })
    const headersOf = ({ rawHeaders }: Answer) =>
      rawHeaders.filter((_, index, all) => !['Date', 'jagway-request-id'].includes(all[index - 1] ?? ''))
    const foreign = await show('/revoke', token)
    const unknown = await show('/revoke', 'at-nobody-knows')
    expect([foreign.status, foreign.text, headersOf(foreign)]).toEqual([
      unknown.status,
      unknown.text,
      headersOf(unknown),
    ])
    expect(foreign.status).toBe(200)
    expect(await foreign.event()).toMatchObject({ event: 'token.revoke', shown: 'foreign', client: { id: 'agent' } })
    expect(await foreign.event()).not.toHaveProperty('user')
    expect(world.tasks.revocation.count).toBe(0)
    expect((await show('/introspect', token, { client: 'narrow' })).json).toMatchObject({ active: true })
    expect(await granted('bob', { client: 'narrow', form: { scope: 'read' } })).toBe(token)
  })

  test('is a 503 while the authorization server fails, and works when asked again', async () => {
    const { world } = stage
    const token = await granted('carol')
    world.tasks.revocation.script({ status: 500 })
    const refused = await show('/revoke', token)
    const event = await expectTokenError(refused, 'RAS115', 503, 'temporarily_unavailable', 'token.revoke')
    expect(event).toMatchObject({ resource: { id: 'tasks' }, user: { sub: 'carol' } })
    expect(refused.headers['retry-after']).toBe('5')
    expect((await show('/introspect', token, { instance: 1 })).json).toEqual({ active: false })
    expect((await show('/revoke', token, { instance: 1 })).status).toBe(200)
    expect(world.tasks.revocation.count).toBe(2)
    expect((await show('/revoke', token)).status).toBe(200)
    expect(world.tasks.revocation.count).toBe(2)
  })

  test('refuses who does not say who it is, and every method but POST', async () => {
    const answer = await stage.ask({
      path: '/revoke',
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'token=a&client_id=agent',
    })
    await expectTokenError(answer, 'CLI101', 401, 'invalid_client', 'token.revoke')
    for (const path of ['/revoke', '/introspect']) {
      const refused = await stage.ask({ path, method: 'GET' })
      expect([refused.status, refused.headers['allow']]).toEqual([405, 'POST'])
    }
  })
})

describe('POST /introspect', () => {
  test('tells a client of its own token, in every isolate', async () => {
    const { world } = stage
    const token = await granted('erin', { form: { scope: 'read' } })
    for (const instance of [0, 1]) {
      const answer = await show('/introspect', token, { instance })
      const { exp, iat, ...rest } = answer.json
      expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store'])
      expect(rest).toEqual({
        active: true,
        scope: 'read',
        client_id: 'agent',
        token_type: 'Bearer',
        aud: world.tasks.resource,
      })
      expect(Number(exp) - Number(iat)).toBeGreaterThanOrEqual(599)
      expect(Number(exp) - Number(iat)).toBeLessThanOrEqual(602)
      expect(await answer.event()).toMatchObject({ event: 'token.introspect', shown: 'active', user: { sub: 'erin' } })
    }
  })

  test('says of any other that it is not active, and of one that went to an API through us', async () => {
    const { world } = stage
    await stage.ask({ token: await world.corp.idToken({ sub: 'frank' }) })
    const sent = world.tasks.api.last.headers['authorization']?.replace('Bearer ', '') ?? ''
    for (const token of [
      sent,
      await granted('frank', { client: 'narrow', form: { scope: 'read' } }),
      'at-nobody-knows',
    ]) {
      const answer = await show('/introspect', token, { form: { token_type_hint: 'refresh_token' } })
      expect([answer.status, answer.json]).toEqual([200, { active: false }])
    }
  })
})

test('no token stands in anything the gateway has stored', async () => {
  const tokens = [await granted('grace'), await granted('heidi')]
  expect((await show('/revoke', tokens[0] ?? '')).status).toBe(200)
  const stored = filesIn(folder).map((file) => readFileSync(file).toString('latin1'))
  expect(stored.length).toBeGreaterThan(4)
  // The records are there: whose token it is can be read, as in the list of connections.
  expect(stored.some((text) => text.includes('heidi'))).toBe(true)
  for (const text of stored) expect(stage.world.leaks(text)).toEqual([])
  for (const token of tokens) expect(stored.some((text) => text.includes(token))).toBe(false)
})

function filesIn(path: string): readonly string[] {
  return readdirSync(path).flatMap((name) => {
    const inside = join(path, name)
    return statSync(inside).isDirectory() ? filesIn(inside) : [inside]
  })
}
