// Every fault of the plan of the security review (faults/plan.json), and the test that proves the defence against it: each
// fails when the defence is taken out. Files are in this folder unless a path says otherwise.
//
//   F01 IdP down                 here, "the identity provider is down"; outage.test.ts; unit/credentials/limits
//   F02 IdP hangs, drips         here, "hangs for one user"; gateway.5xx and token.5xx, "hang or dribble"
//   F03 RAS down, slow, 429      outage.test.ts; gateway.5xx, "RAS"; unit/credentials/limits, "a circuit"
//   F04 JWKS down                here, "the keys cannot be had"; unit/identity/jwks (an hour at most, then nobody)
//   F05 JWKS rotated, withdrawn  here, "a new key"; unit/identity/jwks (ten minutes)
//   F06 unknown key names        here, "a flood of unknown key names"
//   F07 KV get                   here, "reading from the store"; gateway.5xx, "the ground gives way"
//   F08 KV put, delete           here, "writing to the store", "deleting from the store"
//   F09 KV corrupt, swapped      cache.test.ts, "is not believed"; unit/credentials/credentials, freshness (other builds)
//   F10 KV stale after a revoke  here, "a stale store"; unit/revocation/tokens
//   F11 isolate lost             here, "an isolate is lost"
//   F12 Durable Objects away     here, "the objects"; contract/cloudflare-flight (hanging, slow, reached)
//   F13 clocks apart             here, "clocks"; unit/identity/id-token; unit/credentials/entry (margins)
//   F14 401 after an upstream's  gateway.5xx, "a resource that answers 401"; unit/gateway/replay
//       own revocation
//   F15 client gone              here, "a client that hangs up"; cache.test.ts, "some clients hang up"
//   F16 absurd Retry-After       gateway.5xx ("Retry-After 99999"); unit/credentials/limits (left alone for 10 s at most)
//   F17 sealing key rotated,     cache.test.ts, "a restart"; unit/credentials/credentials ("an older key"); here, "does not
//       wrong, missing           start"
//   F18 client secret rotated    here, "a client secret that is not taken any more"
//   F19 configuration broken     here, "does not start"; unit/config
//   F20 audit sink down          here, "the console"; contract/cloudflare, "never throws"
import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SECRETS } from '../support/counterparties.ts'
import { launchDisturbed, type DisturbedGateway } from '../support/disturbed.ts'
import { call, eventually } from '../support/http.ts'
import { createTestKey, idTokenClaims, mint } from '../support/keys.ts'
import { FOREIGN } from '../support/misbehaviour.ts'
import { expectProblem, expectTokenError } from '../support/refusals.ts'
import { JWT_BEARER_ASSERTION, openStage, type Answer, type Stage } from '../support/stage.ts'

let stage: Stage
let gateway: DisturbedGateway

const MAX_STALENESS_MS = 2_000

beforeAll(async () => {
  stage = await openStage({
    edit: (config) => ({
      ...config,
      revocation: { max_staleness: `${MAX_STALENESS_MS / 1000}s` },
      admin: { id_token: { revoke: { groups: ['corp/ops'] } } },
    }),
    launch: async (options) => {
      gateway = await launchDisturbed(options)
      return gateway
    },
  })
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

afterEach(() => gateway.disturb(null))

const ONE = { exchanges: 1, redemptions: 1 }
const wait = (ms: number) => new Promise((done) => setTimeout(done, ms))
const now = () => Math.floor(Date.now() / 1000)
const tokenOf = (sub: string = randomUUID()) => stage.world.corp.idToken({ sub })

/** A user whose token is in the memory of the isolate. */
async function warmUser(): Promise<string> {
  const token = await tokenOf()
  expect((await stage.ask({ token })).status).toBe(200)
  stage.world.calm()
  return token
}

/** Outside of the stage's books: nobody counts on an event of it. */
function askUnseen(token: string) {
  return call(`${gateway.url}/r/tasks/v1/todos`, { headers: { authorization: `Bearer ${token}` } })
}

async function revoke(selector: Readonly<Record<string, string>>): Promise<Answer> {
  return stage.ask({
    path: '/admin/api/revocations',
    method: 'POST',
    token: await stage.world.corp.idToken({ sub: 'sue', groups: ['ops'] }),
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(selector),
  })
}

async function timed<T>(work: Promise<T>): Promise<readonly [T, number]> {
  const start = Date.now()
  return [await work, Date.now() - start]
}

describe('a counterparty', () => {
  test.each([
    ['refuses', { status: 503 }, 'IDP112'],
    ['breaks connections', 'reset', 'IDP110'],
  ] as const)(
    'F01 the identity provider is down and %s: cold users are told when to come again, warm ones and others do not notice',
    async (_how, script, code) => {
      const { world } = stage
      const warm = await warmUser()
      world.corp.token.script(script, 3)
      const [answer, ms] = await timed(stage.ask({ token: await tokenOf() }))
      await expectProblem(answer, code, 503)
      expect(answer.headers['retry-after']).toMatch(/^\d+$/)
      expect(ms).toBeLessThan(5_000)
      expect(world.forwarded()).toBe(0)
      expect((await stage.ask({ token: warm })).status).toBe(200)
      const other = await world.partner.idToken({ sub: randomUUID(), tenant: 'acme' })
      expect((await stage.ask({ token: other })).status).toBe(200)
      expect(world.corp.token.count).toBe(1)
    },
  )

  test('F02 hangs for one user: others are served meanwhile, and that one is told within the deadline', async () => {
    const { world } = stage
    const warm = await warmUser()
    world.corp.token.script('hang')
    const hanging = timed(stage.ask({ token: await tokenOf() }))
    await eventually(() => world.corp.token.count === 1)
    const [served, ms] = await timed(Promise.all([warm, await tokenOf()].map((token) => stage.ask({ token }))))
    expect(served.map(({ status }) => status)).toEqual([200, 200])
    expect(ms).toBeLessThan(2_000)
    const [answer, waited] = await hanging
    await expectProblem(answer, 'IDP111', 504)
    expect(waited).toBeLessThan(6_000)
  })

  test('F18 a client secret that is not taken any more is told as ours to mend, without a retry, and never shown', async () => {
    const { world } = stage
    world.tasks.token.script({ status: 401, json: { error: 'invalid_client', error_description: FOREIGN } }, Infinity)
    const token = await tokenOf()
    for (let count = 0; count < 20; count++) {
      const answer = await stage.ask({ token })
      const event = await expectProblem(answer, 'RAS106', 502)
      expect(answer.text + JSON.stringify(event)).not.toContain(SECRETS.TASKS_SECRET)
      expect(answer.text + JSON.stringify(event)).not.toContain(FOREIGN)
    }
    expect(world.legs()).toEqual(ONE)
    expect(world.forwarded()).toBe(0)
  })
})

describe('keys', () => {
  test('F04 the keys cannot be had: what is known goes on, on a fresh isolate nobody is believed', async () => {
    const { world } = stage
    const token = await warmUser()
    world.corp.jwks.script('reset', Infinity)
    expect((await stage.ask({ token: await tokenOf() })).status).toBe(200)
    expect(world.corp.jwks.count).toBe(0)
    await gateway.reload()
    world.calm()
    world.corp.jwks.script('reset', Infinity)
    for (let count = 0; count < 5; count++) {
      const answer = await stage.ask({ token })
      await expectProblem(answer, 'IDP114', 503)
      expect(answer.headers['retry-after']).toMatch(/^\d+$/)
    }
    expect(world.forwarded()).toBe(0)
    // Nor is their owner asked by everybody.
    expect(world.corp.jwks.count).toBe(1)
    world.calm()
    await gateway.reload()
    expect((await stage.ask({ token })).status).toBe(200)
  })

  test('F05 a new key is taken after one more look, one that was withdrawn by no fresh isolate', async () => {
    const { world } = stage
    await warmUser()
    const next = await createTestKey('corp-next')
    const claims = { ...idTokenClaims(now(), world.corp.issuer, 'gw'), sub: randomUUID() }
    const token = world.guard(await mint(next, claims), 'an ID token', 'corp.token')
    world.corp.jwks.script({ json: { keys: [next.publicJwk] } }, Infinity)
    const answers = await Promise.all(Array.from({ length: 10 }, () => stage.ask({ token })))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200))
    expect(world.corp.jwks.count).toBe(1)
    await gateway.reload()
    await expectProblem(await stage.ask({ token: await tokenOf() }), 'TOK102', 401)
    world.calm()
    await gateway.reload()
  })

  test('F06 a flood of unknown key names on a fresh isolate costs their owner two requests at most', async () => {
    const { world } = stage
    await gateway.reload()
    const claims = idTokenClaims(now(), world.corp.issuer, 'gw')
    for (const wave of [1, 2, 3]) {
      const tokens = await Promise.all(
        Array.from({ length: 40 }, async (_, index) => mint(await createTestKey(`unknown-${wave}-${index}`), claims)),
      )
      const answers = await Promise.all(tokens.map((token) => stage.ask({ token })))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]))
    }
    expect(world.corp.jwks.count).toBeLessThanOrEqual(2)
    expect(world.legs().exchanges).toBe(0)
  })
})

describe('the store', () => {
  test.each([
    { on: 'get', throw: FOREIGN },
    { on: 'get', hang: true },
    { on: 'get', delay: 400 },
    { on: 'get', value: null },
  ] as const)('F07 reading from the store fails (%j): a fresh token, a second later at most', async (fault) => {
    gateway.disturb(fault)
    const [answer, ms] = await timed(stage.ask({ token: await tokenOf() }))
    expect(answer.status).toBe(200)
    expect(await answer.event()).toMatchObject({ cache: 'exchange' })
    expect(ms).toBeLessThan(1_900)
    expect(stage.world.legs()).toEqual(ONE)
  })

  test.each([
    { on: 'put', throw: FOREIGN },
    { on: 'put', hang: true },
    { on: 'put', delay: 900 },
  ] as const)('F08 writing to the store fails (%j): nobody waits for it, and nothing is said', async (fault) => {
    gateway.disturb(fault)
    const token = await tokenOf()
    const [answer, ms] = await timed(stage.ask({ token }))
    expect(answer.status).toBe(200)
    expect(ms).toBeLessThan(800)
    expect((await stage.ask({ token })).status).toBe(200)
    expect(stage.world.legs()).toEqual(ONE)
  })

  test.each([
    { on: 'delete', throw: FOREIGN },
    { on: 'delete', hang: true },
  ] as const)('F08 deleting from the store fails (%j): what was revoked is dead all the same', async (fault) => {
    const sub = randomUUID()
    const token = await tokenOf(sub)
    expect((await stage.ask({ token })).status).toBe(200)
    gateway.disturb(fault)
    expect((await revoke({ user: sub })).status).toBe(200)
    gateway.disturb(null)
    await wait(MAX_STALENESS_MS)
    await expectProblem(await stage.ask({ token }), 'TOK109', 401)
  })

  test('F10 a stale store after a revocation: the old token is used by nobody', async () => {
    const { world } = stage
    const sub = randomUUID()
    const token = await tokenOf(sub)
    expect((await stage.ask({ token })).status).toBe(200)
    const store = await gateway.tokens()
    await eventually(async () => (await store.list()).keys.length > 0)
    await gateway.reload()
    // Read once, so that a copy is at hand; then everything that is written is not seen any more.
    expect((await stage.ask({ token })).status).toBe(200)
    gateway.disturb({ on: 'get', stale: true })
    expect((await revoke({ user: sub, resource: 'tasks' })).status).toBe(200)
    await wait(MAX_STALENESS_MS)
    expect((await stage.ask({ token })).status).toBe(200)
    const used = world.tasks.api.requests.map(({ headers }) => headers['authorization'])
    expect([used.length, new Set(used).size, used[0] === used[2]]).toEqual([3, 2, false])
    expect(world.legs()).toEqual({ exchanges: 2, redemptions: 2 })
  })
})

describe('F12 the objects', () => {
  test('of flights are away: the isolate flies itself, once for everybody', async () => {
    gateway.disturb({ on: 'flight', throw: FOREIGN })
    const token = await tokenOf()
    const answers = await Promise.all(Array.from({ length: 20 }, () => stage.ask({ token })))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(stage.world.legs()).toEqual(ONE)
  })

  test.each([{ throw: FOREIGN }, { hang: true }])(
    'of revocations are away (%j): warm users are served within the bound, nobody after it, everybody when they are back',
    async (fault) => {
      const token = await warmUser()
      gateway.disturb({ on: 'revocations', ...fault })
      expect((await stage.ask({ token })).status).toBe(200)
      await wait(MAX_STALENESS_MS)
      stage.world.calm()
      const [answer, ms] = await timed(stage.ask({ token }))
      await expectProblem(answer, 'INT102', 503)
      expect(answer.headers['retry-after']).toBe('1')
      expect(ms).toBeLessThan(2_000)
      await expectTokenError(
        await stage.grant({ form: { subject_token: token } }),
        'INT102',
        503,
        'temporarily_unavailable',
      )
      expect(stage.world.forwarded()).toBe(0)
      gateway.disturb(null)
      expect((await stage.ask({ token })).status).toBe(200)
    },
  )

  test('of revocations are away: a revocation is refused, not silently lost', async () => {
    expect((await revoke({ user: 'nobody-1' })).status).toBe(200)
    gateway.disturb({ on: 'revocations', throw: FOREIGN })
    const answer = await revoke({ user: 'nobody-2' })
    expect([answer.status, answer.json['code']]).toEqual([503, 'INT102'])
  })

  test('of one-time values are away: a client assertion counts as used', async () => {
    const { world, agentKey } = stage
    const assertion = () =>
      mint(agentKey, {
        iss: 'agent-jwt',
        sub: 'agent-jwt',
        aud: gateway.url,
        jti: randomUUID(),
        iat: now(),
        exp: now() + 60,
      })
    const form = async () => ({
      subject_token: await world.corp.idToken({ sub: randomUUID() }),
      client_assertion_type: JWT_BEARER_ASSERTION,
      client_assertion: await assertion(),
    })
    expect((await stage.grant({ client: 'agent-jwt', form: await form() })).status).toBe(200)
    world.calm()
    gateway.disturb({ on: 'replay', throw: FOREIGN })
    const answer = await stage.grant({ client: 'agent-jwt', form: await form() })
    await expectTokenError(answer, 'INT101', 503, 'temporarily_unavailable')
    expect(answer.text).not.toContain(FOREIGN)
    expect(world.legs()).toEqual({ exchanges: 0, redemptions: 0 })
  })

  test('of the ledger are away: without a limit nobody notices', async () => {
    gateway.disturb({ on: 'ledger', throw: FOREIGN })
    expect((await stage.ask({ token: await tokenOf() })).status).toBe(200)
  })

  test('are all away: who is warm is served within the bound', async () => {
    const token = await warmUser()
    gateway.disturb({ on: 'objects', throw: FOREIGN })
    expect((await stage.ask({ token })).status).toBe(200)
    expect(stage.world.legs()).toEqual({ exchanges: 0, redemptions: 0 })
  })
})

describe('the machinery', () => {
  test('F11 an isolate is lost amid traffic: some connections are, and nothing else', async () => {
    const { world } = stage
    const users = await Promise.all(Array.from({ length: 10 }, () => tokenOf()))
    world.corp.token.script({ delayMs: 200 }, 10)
    const traffic = Promise.allSettled(
      Array.from({ length: 50 }, (_, index) => askUnseen(users[index % users.length] ?? '')),
    )
    await eventually(() => world.corp.token.count > 0)
    await gateway.reload()
    for (const one of await traffic) if (one.status === 'fulfilled') expect(one.value.status).toBe(200)
    world.calm()
    const again = await Promise.all([...users, ...users, ...users].map((token) => stage.ask({ token })))
    expect(new Set(again.map(({ status }) => status))).toEqual(new Set([200]))
    // What was lost is built anew, once.
    expect(world.legs().exchanges).toBeLessThanOrEqual(users.length)
    expect(world.strays()).toEqual([])
  })

  test.each([
    [50, 200],
    [-3_000, 200],
    [300, 401],
    [-4_000, 401],
  ])('F13 clocks: an ID token issued %i s from now is answered with %i', async (offset, status) => {
    const iat = now() + offset
    const token = await stage.world.corp.idToken({ sub: randomUUID(), iat, exp: Math.max(iat, now()) + 300 })
    const answer = await stage.ask({ token })
    expect(answer.status).toBe(status)
    if (status === 401) await expectProblem(answer, 'TOK106', 401)
  })

  test('F15 a client that hangs up: the flight lands for the next request', async () => {
    const { world } = stage
    const token = await tokenOf()
    world.corp.token.script({ delayMs: 300 })
    const hangUp = new AbortController()
    const lost = call(`${gateway.url}/r/tasks/v1/todos`, {
      headers: { authorization: `Bearer ${token}` },
      signal: hangUp.signal,
    })
    await eventually(() => world.corp.token.count === 1)
    hangUp.abort()
    await expect(lost).rejects.toThrow()
    expect((await stage.ask({ token })).status).toBe(200)
    expect(world.legs()).toEqual(ONE)
  })

  test('F20 the console takes no more: requests are answered as ever', async () => {
    gateway.disturb({ on: 'audit' })
    const token = await tokenOf()
    expect((await askUnseen(token)).status).toBe(200)
    expect((await askUnseen('nonsense')).status).toBe(401)
    const lines = stage.output().length
    await askUnseen(token)
    expect(stage.output().length).toBe(lines)
  })
})

describe('does not start', () => {
  const launch = (text: string, secrets: Readonly<Record<string, string>>) =>
    launchDisturbed({ config: { fileName: 'broken.jsonc', text }, secrets })
  const config = (origin: string, more: object = {}) =>
    JSON.stringify({
      version: 1,
      public_url: 'https://gw.example',
      idps: {
        corp: { issuer: origin, clients: { gw: { id: 'gw', auth: { method: 'none' }, edge_client: 'people' } } },
      },
      clients: { people: { subject_tokens: ['corp/gw'] } },
      resources: {
        tasks: {
          kind: 'id-jag',
          authorization_server: { issuer: origin },
          client: { id: 'gw', auth: { method: 'none' } },
          scopes: ['read'],
          proxy: { path: '/r/tasks', upstream: origin },
        },
      },
      policy: { rules: [{ id: 'all', effect: 'allow' }] },
      ...more,
    })

  test.each([
    ['F17 without its sealing key', {}, {}, 'JAGWAY_SEALING_KEY'],
    ['F17 with a sealing key that could be guessed', {}, { JAGWAY_SEALING_KEY: 'short' }, 'JAGWAY_SEALING_KEY'],
    [
      'F19 with a rule about nothing there is',
      { policy: { rules: [{ id: 'x', effect: 'allow', resources: ['tsaks'] }] } },
      SECRETS,
      'tsaks',
    ],
    ['F19 with a field it does not know', { cachee: {} }, SECRETS, 'cachee'],
    ['F19 with a value that cannot be', { cache: { max_ttl: 'soon' } }, SECRETS, 'max_ttl'],
  ])('%s: nothing is served, and the message names what is wrong', async (_what, more, secrets, named) => {
    const started = launch(config('https://idp.example', more), { ...secrets })
    await expect(started.then((running) => running.close())).rejects.toThrow(named)
  })
})
