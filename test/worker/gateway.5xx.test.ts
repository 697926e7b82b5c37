// Proxied requests that fail because somebody behind us fails. The caller is told whose fault it is and when to come again,
// in our words alone; nothing is sent further with half a result.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { launchDisturbed, type DisturbedGateway } from '../support/disturbed.ts'
import { FOREIGN, MISBEHAVIOUR, SLOW, statusOf, type Misbehaviour } from '../support/misbehaviour.ts'
import { expectProblem } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'
import { mint, idTokenClaims } from '../support/keys.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
})

afterAll(() => stage.close())

beforeEach(async () => {
  stage.world.calm()
  await recover()
})

/** A row of failures opens the circuit of a server; one that is well again in between does not. */
async function recover(): Promise<void> {
  const { world } = stage
  for (const [idp, path] of [
    [world.corp, '/r/tasks/v1/x'],
    [world.partner, '/r/notes/v1/x'],
  ] as const) {
    const token = await idp.idToken({ sub: randomUUID(), tenant: 'acme' })
    expect((await stage.ask({ token, path })).status).toBe(200)
  }
  world.calm()
}

/** The slow ones run beside each other, each with servers of its own. */
async function expectMisbehaviour(leg: 'IDP' | 'RAS', row: Misbehaviour): Promise<void> {
  const { world } = stage
  const [idp, saas, path] =
    leg === 'IDP' ? [world.corp, world.tasks, '/r/tasks/v1/x'] : [world.partner, world.notes, '/r/notes/v1/x']
  const endpoint = leg === 'IDP' ? idp.token : saas.token
  endpoint.script(row.script(world))
  const token = await idp.idToken({ sub: `${leg} ${row.what}`, tenant: 'acme' })
  const answer = await stage.ask({ token, path })
  const event = await expectProblem(answer, `${leg}${row.number}`, statusOf(row))
  if (row.retryAfter === undefined) expect(answer.headers['retry-after']).toBeUndefined()
  else expect(answer.headers['retry-after']).toMatch(row.retryAfter)
  expect(answer.text + JSON.stringify(event)).not.toContain(FOREIGN)
}

describe.each(['IDP', 'RAS'] as const)('%s', (leg) => {
  test.each(MISBEHAVIOUR.filter(({ only }) => only === undefined || only === leg))('$what', async (row) => {
    await expectMisbehaviour(leg, row)
    const { world } = stage
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: leg === 'IDP' ? 0 : 1 })
    expect(world.forwarded()).toBe(0)
    expect(world.evil.count).toBe(0)
    expect(world.strays()).toEqual([])
  })
})

test('servers that hang or dribble are given up on within their deadline', async () => {
  const start = Date.now()
  const [hangs, dribbles] = SLOW
  await Promise.all([expectMisbehaviour('IDP', hangs), expectMisbehaviour('RAS', dribbles)])
  expect(Date.now() - start).toBeLessThan(6_000)
  expect(stage.world.forwarded()).toBe(0)
})

test('after a failure the next request tries again, and is served', async () => {
  const { world } = stage
  const token = await world.corp.idToken({ sub: 'recovering' })
  world.corp.token.script({ status: 503 })
  await expectProblem(await stage.ask({ token }), 'IDP112', 503)
  expect((await stage.ask({ token })).status).toBe(200)
})

describe('out of reach', () => {
  test('the keys of an identity provider', async () => {
    const { world } = stage
    const claims = idTokenClaims(Math.floor(Date.now() / 1000), `${world.closedOrigin}/lost`, 'gw')
    const answer = await stage.ask({ token: await mint(world.corp.key, claims) })
    await expectProblem(answer, 'IDP114', 503)
    expect(answer.headers['retry-after']).toMatch(/^\d+$/)
    expect(world.legs()).toEqual({ exchanges: 0, redemptions: 0 })
  })

  test('an authorization server', async () => {
    const { world } = stage
    const answer = await stage.ask({ token: await world.corp.idToken(), path: '/r/gone-server/v1/x' })
    await expectProblem(answer, 'RAS110', 503)
    expect(answer.headers['retry-after']).toBe('5')
    expect(world.forwarded()).toBe(0)
  })

  test('the resource', async () => {
    const answer = await stage.ask({ token: await stage.world.corp.idToken(), path: '/r/gone/v1/x' })
    const event = await expectProblem(answer, 'UPS110', 502)
    expect(event).toMatchObject({ cache: 'exchange', policy: { effect: 'allow' } })
    expect(answer.text).not.toContain(new URL(stage.world.closedOrigin).port)
  })

  test.each([
    [522, 'UPS111', 504],
    [524, 'UPS111', 504],
    [520, 'UPS110', 502],
    [521, 'UPS110', 502],
    [523, 'UPS110', 502],
    [525, 'UPS110', 502],
    [526, 'UPS110', 502],
    [530, 'UPS110', 502],
  ])('a resource in whose place Cloudflare answers %i', async (status, code, told) => {
    const { world } = stage
    world.tasks.api.script({ status, body: FOREIGN })
    const answer = await stage.ask({ token: await world.corp.idToken() })
    await expectProblem(answer, code, told)
    expect(answer.headers['retry-after']).toBe('5')
    expect(answer.text).not.toContain(FOREIGN)
    expect(world.tasks.api.count).toBe(1)
  })

  test.each([519, 527, 599])('but a resource that answers %i itself is passed on', async (status) => {
    stage.world.tasks.api.script({ status })
    expect((await stage.ask({ token: await stage.world.corp.idToken() })).status).toBe(status)
  })

  test.each([600, 700, 999])('a resource that answers %i, which is no status', async (status) => {
    stage.world.tasks.api.script({ status })
    await expectProblem(await stage.ask({ token: await stage.world.corp.idToken() }), 'UPS109', 502)
  })

  test('a resource that breaks the connection', async () => {
    stage.world.tasks.api.script('reset')
    await expectProblem(await stage.ask({ token: await stage.world.corp.idToken() }), 'UPS110', 502)
    expect(stage.world.tasks.api.count).toBe(1)
  })
})

describe('metadata of an authorization server', () => {
  test.each([
    ['500', () => ({ status: 500 })],
    ['another issuer', () => ({ patch: { issuer: 'https://elsewhere.example' } })],
    ['an endpoint that is no URL of the net', () => ({ patch: { token_endpoint: 'file:///etc/passwd' } })],
    ['an endpoint without https elsewhere', () => ({ patch: { token_endpoint: 'http://elsewhere.example/token' } })],
    ['a redirect', () => ({ status: 302, headers: { location: `${stage.world.evilOrigin}/` } })],
  ])('that is %s leaves no way to ask', async (_what, script) => {
    // A failure is remembered for ten seconds; a fresh isolate remembers nothing.
    await stage.gateway.reload()
    const { world } = stage
    world.notes.metadata.script(script(), 2)
    const answer = await stage.ask({
      token: await world.corp.idToken({ sub: `found ${_what}` }),
      path: '/r/found/v1/x',
    })
    await expectProblem(answer, 'RAS114', 503)
    expect(world.legs()).toEqual({ exchanges: 0, redemptions: 0 })
    expect(world.forwarded()).toBe(0)
    expect(world.evil.count).toBe(0)
  })

  test('that is in order is used', async () => {
    await stage.gateway.reload()
    const { world } = stage
    const answer = await stage.ask({ token: await world.corp.idToken({ sub: 'finder' }), path: '/r/found/v1/x' })
    expect(answer.status).toBe(200)
    expect(world.notes.metadata.count).toBe(1)
  })
})

describe('a resource that answers 401', () => {
  const unauthorized = {
    status: 401,
    headers: { 'www-authenticate': `Bearer error="invalid_token", error_description="${FOREIGN}"` },
  }

  test('to a token that was only just issued is not asked again', async () => {
    const { world } = stage
    world.tasks.api.script(unauthorized, Infinity)
    const answer = await stage.ask({ token: await world.corp.idToken({ sub: 'fresh 401' }) })
    await expectProblem(answer, 'UPS101', 502)
    expect(answer.headers['www-authenticate']).toBeUndefined()
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    expect(world.tasks.api.count).toBe(1)
  })

  test('always, costs one renewal and one more attempt, and after that nothing for a minute', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'always 401' })
    await stage.ask({ token })
    world.calm()
    world.tasks.api.script(unauthorized, Infinity)
    const answer = await stage.ask({ token })
    await expectProblem(answer, 'UPS101', 502)
    expect(answer.text).not.toContain(FOREIGN)
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    expect(world.tasks.api.count).toBe(2)

    for (let round = 0; round < 5; round++) await expectProblem(await stage.ask({ token }), 'UPS101', 502)
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    expect(world.tasks.api.count).toBe(7)
  })

  test('to a request with a large body gets a new token, but not the body a second time', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'post 401' })
    await stage.ask({ token })
    world.calm()
    world.tasks.api.script(unauthorized)
    const body = 'p'.repeat(65_537)
    const answer = await stage.ask({ token, method: 'POST', body, headers: { 'content-length': body.length } })
    await expectProblem(answer, 'UPS102', 503)
    expect(answer.headers['retry-after']).toBe('1')
    expect(world.tasks.api.count).toBe(1)
    const again = await stage.ask({ token, method: 'POST', body })
    expect(again.status).toBe(200)
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
  })
})

describe('the ground gives way', () => {
  let shaken: Stage
  let gateway: DisturbedGateway

  beforeAll(async () => {
    shaken = await openStage({
      launch: async (options) => {
        gateway = await launchDisturbed(options)
        return gateway
      },
    })
  })

  afterAll(() => shaken.close())

  test.each([
    { on: '*', throw: FOREIGN },
    { on: 'get', hang: true },
    { on: 'put', hang: true },
    { on: 'get', value: null },
  ])('the store: $on', async (fault) => {
    gateway.disturb(fault)
    const answer = await shaken.ask({ token: await shaken.world.corp.idToken({ sub: `kv ${JSON.stringify(fault)}` }) })
    gateway.disturb(null)
    expect(answer.status).toBe(200)
    expect(await answer.event()).toMatchObject({ outcome: 'allow', cache: 'exchange' })
  })

  test('the flight', async () => {
    // What the object's own code throws may have cost an ID-JAG: nobody flies in its stead.
    gateway.disturb({ on: 'flight', throw: FOREIGN, remote: true })
    const token = await shaken.world.corp.idToken({ sub: 'no flight' })
    const answer = await shaken.ask({ token })
    gateway.disturb(null)
    const event = await expectProblem(answer, 'INT101', 503)
    expect(answer.headers['retry-after']).toBe('1')
    expect(answer.text + JSON.stringify(event)).not.toContain(FOREIGN)
    expect((await shaken.ask({ token })).status).toBe(200)
  })

  test('something nobody thought of: an id, and not a word more', async () => {
    gateway.disturb({ on: 'sign', throw: FOREIGN })
    const answer = await shaken.ask({ token: await shaken.world.corp.idToken({ sub: 'no crypto' }) })
    gateway.disturb(null)
    const event = await expectProblem(answer, 'INT100', 500)
    expect(answer.text + JSON.stringify(event)).not.toContain(FOREIGN)
    expect(answer.json['request_id']).toMatch(/^req_[0-9a-f]{32}$/)
    expect(answer.text).not.toMatch(/\bat \w|\.[mt]?js/)
  })
})
