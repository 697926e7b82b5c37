// Tokens that are kept: fetched once for everybody, never shared between those who may not share, unreadable where they lie.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SECRETS } from '../support/counterparties.ts'
import { eventually } from '../support/http.ts'
import { openStage, type Answer, type Stage } from '../support/stage.ts'

const INSTANCES = 4

let stage: Stage

beforeAll(async () => {
  stage = await openStage({ instances: INSTANCES })
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

const NONE = { exchanges: 0, redemptions: 0 }
const ONE = { exchanges: 1, redemptions: 1 }

async function origins(answers: readonly Answer[]): Promise<readonly unknown[]> {
  return Promise.all(answers.map(async (answer) => (await answer.event())['cache']))
}

describe('one token', () => {
  // The end-to-end suite does this with 1,000.
  test('serves the first request and the next 200, with one exchange and one redemption', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'many' })
    expect((await stage.ask({ token })).status).toBe(200)
    expect(world.legs()).toEqual(ONE)
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => stage.ask({ token })))
      expect(answers.every(({ status, json }) => status === 200 && json['sub'] === 'many')).toBe(true)
    }
    expect(world.legs()).toEqual(ONE)
    expect(world.forwarded()).toBe(201)
  })

  test('serves other isolates by way of the store, and the same user’s next login', async () => {
    const { world } = stage
    await stage.ask({ token: await world.corp.idToken({ sub: 'elsewhere' }) })
    await untilStored(1)
    world.calm()
    const token = await world.corp.idToken({ sub: 'elsewhere', nonce: 'another login' })
    const answers = await Promise.all([1, 2, 3].map((instance) => stage.ask({ token, instance })))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(await origins(answers)).toEqual(['kv', 'kv', 'kv'])
    expect(world.legs()).toEqual(NONE)
  })

  test('serves 200 cold requests at once over all instances, though some clients hang up, the first among them', async () => {
    const { world } = stage
    world.corp.token.script({ delayMs: 400 })
    const token = await world.corp.idToken({ sub: 'crowd' })
    const hangUp = new AbortController()
    const lost = [stage.ask({ token, signal: hangUp.signal })]
    await eventually(() => world.corp.token.count === 1)
    const rest = Array.from({ length: 197 }, (_, index) => stage.ask({ token, instance: index % INSTANCES }))
    lost.push(...[1, 2].map((instance) => stage.ask({ token, instance, signal: hangUp.signal })))
    await new Promise((done) => setTimeout(done, 100))
    hangUp.abort()
    expect((await Promise.allSettled(lost)).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    const answers = await Promise.all(rest)
    expect(new Set(answers.map(({ status, json }) => `${status} ${String(json['sub'])}`))).toEqual(
      new Set(['200 crowd']),
    )
    expect(world.legs()).toEqual(ONE)
    // One exchange, and everybody else waited for that one or found what it left.
    const found = await origins(answers)
    expect(found.filter((origin) => origin === 'exchange').length).toBeLessThanOrEqual(1)
  })

  test('is fetched again by nobody when the first attempt fails for all', async () => {
    const { world } = stage
    world.corp.token.script({ delayMs: 200 })
    world.tasks.token.script({ status: 503, headers: { 'retry-after': '9' } })
    const token = await world.corp.idToken({ sub: 'failing crowd' })
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => stage.ask({ token, instance: index % INSTANCES })),
    )
    // Who came while it flew shares its outcome; who came after takes off anew, and finds the server well.
    expect(answers.every(({ status }) => status === 503 || status === 200)).toBe(true)
    expect(world.legs().exchanges).toBeLessThanOrEqual(2)
  })
})

describe('nobody shares', () => {
  const doors: Readonly<Record<string, () => Promise<Answer>>> = {
    'alice at the edge': async () => stage.ask({ token: await stage.world.corp.idToken({ sub: 'alice' }) }),
    'bob at the edge': async () => stage.ask({ token: await stage.world.corp.idToken({ sub: 'bob' }) }),
    'Alice in other letters': async () => stage.ask({ token: await stage.world.corp.idToken({ sub: 'Alice' }) }),
    'alice of the partner': async () =>
      stage.ask({ token: await stage.world.partner.idToken({ sub: 'alice', tenant: 'acme' }) }),
    'alice by the desktop client': async () =>
      stage.ask({ token: await stage.world.corp.idToken({ sub: 'alice', aud: 'desktop' }) }),
    'alice at notes': async () =>
      stage.ask({ token: await stage.world.corp.idToken({ sub: 'alice' }), path: '/r/notes/v1/x' }),
    'alice with less scope': async () =>
      stage.ask({ token: await stage.world.corp.idToken({ sub: 'alice', groups: ['readers'] }) }),
    'alice by agent': async () =>
      stage.grant({ form: { subject_token: await stage.world.corp.idToken({ sub: 'alice' }) } }),
    'alice by agent-post': async () =>
      stage.grant({ client: 'agent-post', form: { subject_token: await stage.world.corp.idToken({ sub: 'alice' }) } }),
    'alice by agent, read alone': async () =>
      stage.grant({ form: { scope: 'read', subject_token: await stage.world.corp.idToken({ sub: 'alice' }) } }),
    'alice by agent, write alone': async () =>
      stage.grant({ form: { scope: 'write', subject_token: await stage.world.corp.idToken({ sub: 'alice' }) } }),
  }

  test.each(Object.keys(doors))('%s has a token of their own', async (who) => {
    const door = doors[who]
    const answer = await door?.()
    expect(answer?.status).toBe(200)
    expect(stage.world.legs()).toEqual(ONE)
  })

  test('and each finds their own again', async () => {
    const { world } = stage
    for (const door of Object.values(doors)) expect((await door()).status).toBe(200)
    expect(world.legs()).toEqual(NONE)
    const used = [...world.tasks.api.requests, ...world.notes.api.requests].map(
      ({ headers }) => headers['authorization'],
    )
    expect(new Set(used).size).toBe(used.length)
  })

  test('the order of scopes makes no other token', async () => {
    const form = { subject_token: await stage.world.corp.idToken({ sub: 'alice' }) }
    const one = await stage.grant({ form: { ...form, scope: 'write read' } })
    const other = await stage.grant({ form: { ...form, scope: 'read write' } })
    expect(one.json['access_token']).toBe(other.json['access_token'])
    expect(stage.world.legs()).toEqual(NONE)
  })

  test('every secret and token went where it belongs, and nowhere else', async () => {
    const { world } = stage
    for (const sub of ['tour 1', 'tour 2']) {
      const corp = await world.corp.idToken({ sub })
      const partner = await world.partner.idToken({ sub, tenant: 'acme' })
      for (const token of [corp, partner]) {
        for (const path of ['/r/tasks/v1/x', '/r/notes/v1/x'])
          expect((await stage.ask({ token, path })).status).toBe(200)
        expect((await stage.grant({ form: { subject_token: token } })).status).toBe(200)
      }
    }
    expect(world.legs()).toEqual({ exchanges: 12, redemptions: 12 })
    expect(world.strays()).toEqual([])
    // The other direction: the detector sees what is there.
    expect(world.leaks(world.corp.token.last.body)).toContain('an ID token')
    expect(world.leaks(world.tasks.api.requests.flatMap(({ rawHeaders }) => rawHeaders).join())).toContain(
      'an access token of tasks',
    )
    expect(world.evil.count).toBe(0)
  })
})

describe('the store', () => {
  test('holds nothing that can be read', async () => {
    const { world } = stage
    const sub = 'very-readable-subject'
    const email = 'reader@readable.example'
    const token = await world.corp.idToken({ sub, email, name: 'Readable Name' })
    await stage.ask({ token })
    await untilStored(1)
    const dump = await dumpOfStore()
    expect(dump.length).toBeGreaterThan(500)
    const { issuer } = world.corp
    for (const text of [
      sub,
      email,
      'Readable',
      issuer,
      world.tasks.issuer,
      world.tasks.resource,
      'at-tasks-',
      'eyJhbGciOi',
      'Bearer',
      'people',
      'jagway-at',
    ]) {
      for (const form of [
        text,
        encodeURIComponent(text),
        btoa(text).replace(/=+$/, ''),
        Buffer.from(text).toString('hex'),
      ])
        expect(dump.includes(form), `${text} as ${form}`).toBe(false)
    }
    expect(world.leaks(dump)).toEqual([])
  })

  test('has names of digests, and forgets its entries in time', async () => {
    const store = await stage.gateway.tokens()
    const { keys } = await store.list()
    const now = Date.now() / 1000
    for (const { name, expiration = 0, metadata } of keys) {
      expect(name).toMatch(/^t1(\.[A-Za-z0-9_-]{43}){4}$/)
      expect(expiration).toBeGreaterThan(now)
      expect(expiration).toBeLessThan(now + 600)
      expect(metadata ?? undefined).toBeUndefined()
    }
  })

  const damages: Readonly<Record<string, (value: Uint8Array, other: Uint8Array) => Uint8Array>> = {
    'moved here from another user': (_value, other) => other,
    'cut in half': (value) => value.slice(0, value.length >> 1),
    'cut by one byte': (value) => value.slice(0, -1),
    'longer by one byte': (value) => Uint8Array.of(...value, 0),
    'flipped in its version': (value) => flipped(value, 0),
    'flipped in its key id': (value) => flipped(value, 2),
    'flipped in its IV': (value) => flipped(value, 9),
    'flipped in its middle': (value) => flipped(value, value.length >> 1),
    'flipped in its last byte': (value) => flipped(value, value.length - 1),
    empty: () => new Uint8Array(0),
    zeros: (value) => new Uint8Array(value.length),
    JSON: () => new TextEncoder().encode('{"v":1,"token":"x"}'),
    'a megabyte': () => new Uint8Array(1_000_000).fill(65),
  }

  test('is not believed: damaged and moved values are misses, never errors, never somebody else’s token', async () => {
    const { world } = stage
    const store = await stage.gateway.tokens()
    const victims: { readonly sub: string; readonly name: string; readonly value: Uint8Array }[] = []
    for (const [index, what] of Object.keys(damages).entries()) {
      const before = new Set((await store.list()).keys.map(({ name }) => name))
      const sub = `victim ${index} ${what}`
      await stage.ask({ token: await world.corp.idToken({ sub }) })
      const name = await newName(before)
      victims.push({ sub, name, value: new Uint8Array((await store.get(name, 'arrayBuffer')) ?? new ArrayBuffer(0)) })
    }
    for (const [index, damage] of Object.values(damages).entries()) {
      const { name = '', value = new Uint8Array() } = victims[index] ?? {}
      const other = victims[(index + 1) % victims.length]?.value ?? new Uint8Array()
      await store.put(name, damage(value, other), { expirationTtl: 300 })
    }
    await stage.gateway.reload()
    world.calm()
    for (const { sub } of victims) {
      const answer = await stage.ask({ token: await world.corp.idToken({ sub }) })
      expect({ status: answer.status, sub: answer.json['sub'] }).toEqual({ status: 200, sub })
      // Not from the store. The flight still had its own copy, so nobody had to be asked.
      expect(await answer.event(), sub).toMatchObject({ cache: 'flight' })
    }
    expect(world.legs()).toEqual(NONE)
  })
})

describe('time', () => {
  test('a token that may not be kept is used for those who waited for it, and not again', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'unkept' })
    world.tasks.token.script({ patch: { expires_in: 0 } }, 2)
    expect((await stage.ask({ token })).status).toBe(200)
    expect((await stage.ask({ token })).status).toBe(200)
    expect(world.legs()).toEqual({ exchanges: 2, redemptions: 2 })
  })

  test('a token that has come to its end is not used once more', async () => {
    const { world } = stage
    world.tasks.token.script({ patch: { expires_in: 2 } })
    const token = await world.corp.idToken({ sub: 'ended' })
    await stage.ask({ token })
    await new Promise((done) => setTimeout(done, 2_100))
    const answer = await stage.ask({ token })
    expect(await answer.event()).toMatchObject({ cache: 'exchange' })
    const used = world.tasks.api.requests.map(({ headers }) => headers['authorization'])
    expect(new Set(used).size).toBe(2)
    expect(world.legs()).toEqual({ exchanges: 2, redemptions: 2 })
  })

  test.each([-5, 'soon', null, true, [600]])('a lifetime of %j is never taken for a long one', async (lifetime) => {
    const { world } = stage
    world.tasks.token.script({ patch: { expires_in: lifetime } })
    const answer = await stage.grant({
      form: { subject_token: await world.corp.idToken({ sub: `lifetime ${JSON.stringify(lifetime)}` }) },
    })
    expect(answer.status).toBe(200)
    expect(answer.json['expires_in']).toBeLessThanOrEqual(300)
  })

  test('a token is replaced ahead of its end, while requests are served with the old one', async () => {
    const { world } = stage
    world.tasks.token.script({ patch: { expires_in: 10 } })
    const token = await world.corp.idToken({ sub: 'ahead' })
    await stage.ask({ token })
    // Usable for nine seconds, to be replaced after seven.
    await new Promise((done) => setTimeout(done, 7_200))
    world.calm()
    world.corp.token.script({ delayMs: 300 })
    const start = Date.now()
    const answer = await stage.ask({ token })
    expect(Date.now() - start).toBeLessThan(300)
    expect(await answer.event()).toMatchObject({ cache: 'memory' })
    await eventually(() => world.tasks.token.count === 1)
    await new Promise((done) => setTimeout(done, 2_500))
    expect((await stage.ask({ token })).status).toBe(200)
    expect(world.legs()).toEqual(ONE)
  })
})

describe('a restart', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'jagway-cache-'))
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  test('with the same store asks nobody, also under a new sealing key while the old one still opens', async () => {
    const first = await openStage({ persist: folder })
    const { world } = first
    const token = await world.corp.idToken({ sub: 'survivor' })
    await first.ask({ token })
    await eventually(() => world.legs().redemptions === 1)
    const store = await first.gateway.tokens()
    await eventually(async () => (await store.list()).keys.length === 1)
    await first.close({ keepWorld: true })
    world.calm()

    const second = await openStage({ persist: folder, world })
    const answer = await second.ask({ token })
    expect(answer.status).toBe(200)
    expect(await answer.event()).toMatchObject({ cache: 'kv' })
    expect(world.legs()).toEqual(NONE)
    await second.close({ keepWorld: true })

    const rotated = await openStage({
      persist: folder,
      world,
      edit: (config) => ({
        ...config,
        cache: { sealing_keys: [{ secret: 'NEXT_KEY' }, { secret: 'JAGWAY_SEALING_KEY' }] },
      }),
      secrets: { NEXT_KEY: 'CANARY-next-sealing-key-0123456789abcdefghij' },
    })
    const after = await rotated.ask({ token })
    expect(after.status).toBe(200)
    expect(await after.event()).toMatchObject({ cache: 'kv' })
    expect(world.legs()).toEqual(NONE)
    await rotated.close({ keepWorld: true })

    const replaced = await openStage({
      persist: folder,
      world,
      secrets: { JAGWAY_SEALING_KEY: SECRETS.JAGWAY_SEALING_KEY.replace('CANARY', 'CANARX') },
    })
    const cold = await replaced.ask({ token })
    expect(cold.status).toBe(200)
    expect(world.legs()).toEqual(ONE)
    await replaced.close()
  })
})

/** Stored in the background, a moment after the answer. */
async function untilStored(atLeast: number): Promise<void> {
  const store = await stage.gateway.tokens()
  await eventually(async () => (await store.list()).keys.length >= atLeast)
  await new Promise((done) => setTimeout(done, 50))
}

async function newName(before: ReadonlySet<string>): Promise<string> {
  const store = await stage.gateway.tokens()
  let found: string | undefined
  await eventually(async () => {
    found = (await store.list()).keys.find(({ name }) => !before.has(name))?.name
    return found !== undefined
  })
  return found ?? ''
}

async function dumpOfStore(): Promise<string> {
  const store = await stage.gateway.tokens()
  const { keys } = await store.list()
  const parts = await Promise.all(
    keys.map(async ({ name, metadata }) => {
      const value = Buffer.from((await store.get(name, 'arrayBuffer')) ?? new ArrayBuffer(0))
      return [name, JSON.stringify(metadata ?? null), value.toString('latin1')].join('\n')
    }),
  )
  return parts.join('\n')
}

function flipped(value: Uint8Array, index: number): Uint8Array {
  return value.with(index, (value[index] ?? 0) ^ 0x20)
}
