// What is written down about each decision: exactly this, and never a secret.
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { hashConfig } from '../../../src/audit/audit.ts'
import type { AuditEvent } from '../../../src/audit-event.ts'
import { faultsOfEvents } from '../../support/audit-schema.ts'
import { CONFIG_HASH, createWorld, json, NAMES, RULES, SECRETS, type Json, type World } from '../support/world.ts'

async function forward(world: World, claims: Json = {}, path = '/todos'): Promise<AuditEvent> {
  const headers = { authorization: `Bearer ${await world.idToken(claims)}` }
  await (await world.app(new Request(`${NAMES.gateway}/r/tasks${path}`, { headers }))).text()
  return lastOf(world)
}

async function issue(world: World, changes: Record<string, string> = {}, claims: Json = {}): Promise<AuditEvent> {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await world.idToken({ aud: 'agent-id', ...claims }),
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    resource: NAMES.api,
    ...changes,
  })
  const headers = { authorization: `Basic ${btoa(`agent:${SECRETS['AGENT_SECRET'] ?? ''}`)}` }
  await (await world.app(new Request(`${NAMES.gateway}/token`, { method: 'POST', headers, body }))).text()
  return lastOf(world)
}

function lastOf(world: World): AuditEvent {
  const event = world.sink.events.at(-1)
  if (event === undefined) throw new Error('nothing was written down')
  return event
}

const COMMON = {
  v: 1,
  id: expect.stringMatching(/^req_[0-9a-f]{32}$/),
  time: '2027-01-15T08:00:00.000Z',
  config: CONFIG_HASH,
  trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
}
const ALICE = { issuer: NAMES.idp, sub: 'alice' }
const BROWSER = { id: 'browser-app', auth: 'edge' }
const AGENT = { id: 'agent', auth: 'client_secret_basic' }
const TASKS = { id: 'tasks', kind: 'id-jag', aud: NAMES.ras }
const BOTH = ['tasks.read', 'tasks.write']
const TOKEN = { ttl_s: 3600, id_jag_jti: expect.stringMatching(/^jag-/) }

describe('the event of', () => {
  test('a forwarded request that needed an exchange', async () => {
    expect(await forward(createWorld())).toEqual({
      ...COMMON,
      event: 'request.forward',
      outcome: 'allow',
      user: ALICE,
      client: BROWSER,
      resource: TASKS,
      scopes: { asked: BOTH, granted: BOTH },
      policy: { effect: 'allow', rule: 'alice-tasks' },
      http: { method: 'GET', route: '/r/tasks/*', status: 200 },
      cache: 'exchange',
      token: TOKEN,
      ms: { total: 0, exchange: 0, redeem: 0, upstream: 0 },
    })
  })

  test('a forwarded request that found its token, and what remained of it', async () => {
    const world = createWorld()
    await forward(world)
    world.clock.advance(100)
    expect(await forward(world)).toMatchObject({
      cache: 'memory',
      token: { ttl_s: 3500 },
      ms: { total: 0, upstream: 0 },
    })
    expect(lastOf(world).ms).not.toHaveProperty('exchange')
    await world.settle()
    const headers = { authorization: `Bearer ${await world.idToken()}` }
    await world.isolate('elsewhere').app(new Request(`${NAMES.gateway}/r/tasks/x`, { headers }))
    expect(lastOf(world)).toMatchObject({ cache: 'kv' })
  })

  test('a token that was handed out, with what was asked and what was granted', async () => {
    const world = createWorld()
    world.alter('ras', { scope: 'tasks.read' })
    expect(await issue(world, { scope: 'tasks.write tasks.read' })).toEqual({
      ...COMMON,
      event: 'token.issue',
      outcome: 'allow',
      user: ALICE,
      client: AGENT,
      resource: TASKS,
      scopes: { asked: BOTH, granted: ['tasks.read'] },
      policy: { effect: 'allow', rule: 'alice-tasks' },
      http: { method: 'POST', route: '/token', status: 200 },
      cache: 'exchange',
      token: TOKEN,
      ms: { total: 0, exchange: 0, redeem: 0 },
    })
  })

  test('a token that could not be verified: nobody is named', async () => {
    expect(await forward(createWorld(), { aud: 'stranger' })).toEqual({
      ...COMMON,
      event: 'subject.verify',
      outcome: 'deny',
      code: 'TOK104',
      detail: expect.any(String),
      resource: TASKS,
      http: { method: 'GET', route: '/r/tasks/*', status: 401 },
      ms: { total: 0 },
    })
  })

  test('a client that could not prove who it is', async () => {
    const world = createWorld()
    const headers = { authorization: `Basic ${btoa('agent:canary-wrong')}` }
    await world.app(
      new Request(`${NAMES.gateway}/token`, { method: 'POST', headers, body: new URLSearchParams({ a: 'b' }) }),
    )
    expect(lastOf(world)).toEqual({
      ...COMMON,
      event: 'subject.verify',
      outcome: 'deny',
      code: 'CLI101',
      detail: expect.any(String),
      http: { method: 'POST', route: '/token', status: 401 },
      ms: { total: 0 },
    })
  })

  test('a denial by default', async () => {
    expect(await forward(createWorld(), { sub: 'carol' })).toEqual({
      ...COMMON,
      event: 'policy.decide',
      outcome: 'deny',
      code: 'POL100',
      user: { ...ALICE, sub: 'carol' },
      client: BROWSER,
      resource: TASKS,
      policy: { effect: 'deny' },
      http: { method: 'GET', route: '/r/tasks/*', status: 403 },
      ms: { total: 0 },
    })
  })

  test('a denial by a rule, by its name', async () => {
    const world = createWorld({ rules: [...RULES, { id: 'stop', effect: 'deny', who: { users: ['corp/alice'] } }] })
    expect(await forward(world)).toMatchObject({
      event: 'policy.decide',
      code: 'POL101',
      policy: { effect: 'deny', rule: 'stop' },
    })
  })

  test('a scope that is not allowed, with what was asked', async () => {
    expect(await issue(createWorld(), { scope: 'tasks.read admin' })).toMatchObject({
      event: 'policy.decide',
      code: 'POL102',
      scopes: { asked: ['admin', 'tasks.read'] },
      policy: { effect: 'deny' },
    })
  })

  test('a refusal by the identity provider: policy had allowed it', async () => {
    const world = createWorld()
    world.script.idp = () => json({ error: 'access_denied', error_description: 'canary' }, { status: 400 })
    expect(await forward(world)).toEqual({
      ...COMMON,
      event: 'id_jag.request',
      outcome: 'deny',
      code: 'IDP102',
      detail:
        'expected a user who may use this client there, and a client that may ask for this resource; status 400, error access_denied',
      user: ALICE,
      client: BROWSER,
      resource: TASKS,
      scopes: { asked: BOTH },
      policy: { effect: 'allow', rule: 'alice-tasks' },
      http: { method: 'GET', route: '/r/tasks/*', status: 403 },
      ms: { total: 0 },
    })
  })

  test('a server that is out of order: an error, not a denial', async () => {
    const world = createWorld()
    world.script.ras = () => json({}, { status: 503 })
    expect(await issue(world)).toMatchObject({
      event: 'token.redeem',
      outcome: 'error',
      code: 'RAS112',
      detail: 'status 503',
    })
    world.script.upstream = () => Promise.reject(new Error('canary'))
    world.script.ras = () => json({ access_token: 'canary', token_type: 'Bearer' })
    expect(await forward(world)).toMatchObject({
      event: 'request.forward',
      outcome: 'error',
      code: 'UPS110',
      cache: 'exchange',
    })
  })

  test('a user of a tenant names the tenant', async () => {
    const corp = {
      issuer: NAMES.idp,
      token_endpoint: NAMES.idpToken,
      jwks: createWorld().config.idps.get('corp')?.keys,
      claims: { tenant: 'tid' },
      clients: { web: { id: 'web-id', auth: { method: 'none' }, edge_client: 'browser-app' } },
    }
    const { jwks } = { jwks: corp.jwks?.kind === 'static' ? corp.jwks.jwks : undefined }
    const world = createWorld({
      idps: { corp: { ...corp, jwks } },
      clients: { 'browser-app': { subject_tokens: ['corp/web'] } },
      rules: [{ id: 'all', effect: 'allow', resources: ['tasks'] }],
    })
    expect((await forward(world, { tid: 'acme' })).user).toEqual({ ...ALICE, tenant: 'acme' })
  })
})

describe('of the groups of a user', () => {
  const who = { groups: ['staff', 'nobody-is-in'] }
  const groups = ['canary-hobby', 'staff']

  test('those are recorded that the rule names which allowed, and no others', async () => {
    const world = createWorld({ rules: [{ id: 'staff', effect: 'allow', who }] })
    const event = await forward(world, { groups })
    expect(event.user).toEqual({ ...ALICE, groups: ['staff'] })
    expect(JSON.stringify(event)).not.toContain('canary-hobby')
  })

  test('and those that the rule names which denied', async () => {
    const world = createWorld({ rules: [...RULES, { id: 'no-staff', effect: 'deny', who }] })
    expect(await forward(world, { groups })).toMatchObject({ code: 'POL101', user: { ...ALICE, groups: ['staff'] } })
  })

  test('none, where the rule that decided names none', async () => {
    const world = createWorld({ rules: [...RULES, { id: 'no-others', effect: 'deny', who: { groups: ['other'] } }] })
    expect((await forward(world, { groups })).user).toEqual(ALICE)
  })
})

describe('the start of an isolate', () => {
  test('is recorded once, before its first decision, with the configuration and the names of its keys', async () => {
    const world = createWorld()
    await forward(world)
    await issue(world)
    const [first] = world.sink.events
    expect(world.sink.loads).toEqual([
      {
        ...COMMON,
        event: 'config.load',
        outcome: 'allow',
        id: first?.id,
        trace_id: first?.trace_id,
        http: { method: 'GET', route: '/r/tasks/*' },
        sealing_keys: ['JAGWAY_SEALING_KEY'],
        ms: { total: 0 },
      },
    ])
    await world.isolate('elsewhere').app(new Request(`${NAMES.gateway}/r/tasks/x`))
    expect(world.sink.loads).toHaveLength(2)
  })

  test('is told by the digits that sha256sum says of the file', async () => {
    const text = '{ "version": 1 } // ä'
    expect(await hashConfig(text)).toBe(createHash('sha256').update(text).digest('hex').slice(0, 12))
  })
})

test('that an older sealing key is still needed is recorded where a token is read that it sealed', async () => {
  const old = createWorld({ cache: { sealing_keys: [{ secret: 'OLD_SEALING_KEY' }] } })
  expect(await forward(old)).not.toHaveProperty('old_key')
  await old.settle()
  const cache = { sealing_keys: [{ secret: 'JAGWAY_SEALING_KEY' }, { secret: 'OLD_SEALING_KEY' }] }
  const rotated = createWorld({ cache })
  for (const [name, { value, expiresAt }] of old.store.dump())
    await rotated.store.at('home').put(name, value, expiresAt)
  expect(await forward(rotated)).toMatchObject({ cache: 'kv', old_key: true })
  expect(rotated.sink.loads[0]?.sealing_keys).toEqual(['JAGWAY_SEALING_KEY', 'OLD_SEALING_KEY'])
})

describe('no event', () => {
  /** Whatever a counterparty says that it should not have said. */
  const loud: Json = {
    error_description: 'canary',
    error_uri: 'https://canary.test',
    refresh_token: 'canary-refresh',
    canary: 'canary',
  }

  test('of any flow holds a token, a secret or a word of somebody else', async () => {
    const world = createWorld()
    const { idp, ras, upstream } = world.script
    const reset = (): void => {
      Object.assign(world.script, { idp, ras, upstream })
      world.clock.advance(4000)
    }
    await forward(world)
    await forward(world)
    await issue(world)
    await issue(world, { scope: 'canary canary-scope-nobody-has' })
    await issue(world, { subject_token: 'canary' })
    await issue(world, { grant_type: 'canary' })
    await issue(world, { subject_token_type: 'canary' })
    await issue(world, { resource: 'https://canary.test' })
    await issue(world, { audience: 'canary' })
    await forward(world, { aud: 'canary' })
    await forward(world, { iss: 'https://canary.test' })
    await forward(world, { groups: 'canary', acr: 'canary', email: 'canary' })
    await forward(world, {}, '/canary%2f?canary=1')
    await forward(world, {}, '/canary?access_token=canary')
    for (const role of ['idp', 'ras'] as const) {
      const answers: (() => Response)[] = [
        () => json({ error: 'canary', ...loud }, { status: 400 }),
        () => json({ error: 'invalid_grant', ...loud }, { status: 400 }),
        () => json({ error: 'insufficient_user_authentication', acr_values: 'canary"', ...loud }, { status: 400 }),
        () =>
          json({ access_token: 'canary', token_type: 'canary', issued_token_type: 'canary', scope: 'canary', ...loud }),
        () => json({ access_token: 'canary\r\n', ...loud }),
        () =>
          new Response('canary', { status: 500, headers: { 'www-authenticate': 'canary', 'retry-after': 'canary' } }),
        () => new Response('{"canary":1,"canary":2}', { headers: { 'content-type': 'application/json' } }),
        () => new Response('canary', { headers: { 'content-type': 'text/canary' } }),
        () => new Response(null, { status: 302, headers: { location: 'https://canary.test' } }),
        () => {
          throw new Error('canary')
        },
      ]
      for (const answer of answers) {
        reset()
        world.script[role] = answer
        await forward(world)
        await issue(world)
      }
    }
    reset()
    world.script.upstream = () => {
      throw new Error('canary')
    }
    await forward(world)
    world.script.upstream = () =>
      new Response('canary', { status: 401, headers: { 'www-authenticate': 'Bearer error="canary"' } })
    await forward(world)
    await world.settle()

    const events = [...world.sink.loads, ...world.sink.events]
    expect(faultsOfEvents(events)).toEqual([])
    expect(events.length).toBeGreaterThan(50)
    expect(new Set(events.map(({ code }) => code)).size).toBeGreaterThan(15)
    // The scopes a client asked for are what an auditor wants to see; they are the one thing of a caller in here.
    const text = JSON.stringify(events.map(({ scopes: _scopes, ...rest }) => rest))
    expect(text).not.toContain('canary')
    expect(text).not.toContain('eyJ')
    for (const secret of Object.values(SECRETS)) expect(text).not.toContain(secret)
    for (const { body } of world.seen()) {
      const token = new URLSearchParams(body).get('subject_token') ?? new URLSearchParams(body).get('assertion')
      if (token !== null) expect(text).not.toContain(token.split('.').at(-1))
    }
  })
})
