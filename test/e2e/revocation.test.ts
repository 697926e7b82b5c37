// Revocation in the local world: two instances of the gateway under load, real authorization servers behind them. The old
// tokens stay good at the API wherever their revocation endpoint is made to fail, so that only the gateway's own cut-off
// can keep them from being used.

import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { startWorld, type World } from '../../dev/world.ts'
import { launchGateway, type RunningGateway } from '../../src/cli/launch.ts'

type Json = Record<string, unknown>

let world: World
let gateway: RunningGateway | undefined
/** Stopped before the gateway is, however a test ends. */
let running: Load | undefined

beforeAll(async () => {
  world = await startWorld()
})

afterAll(async () => {
  await world.close()
})

beforeEach(() => {
  world.traffic.clear()
})

afterEach(async () => {
  await running?.stop()
  running = undefined
  world.traffic.heal()
  await gateway?.close()
  gateway = undefined
})

async function start(maxStaleness: string): Promise<RunningGateway> {
  gateway = await launchGateway({
    config: {
      fileName: 'jagway.dev.jsonc',
      text: (origin) => world.config(origin).replace('"max_staleness": "10s"', `"max_staleness": "${maxStaleness}"`),
    },
    secrets: world.secrets(),
    instances: 2,
  })
  return gateway
}

/** The authorization server keeps its tokens valid, whatever it is asked. */
function keepTokensAlive(): void {
  world.traffic.fail('tasks-as', { status: 503 }, { path: '/token/revocation', times: Number.POSITIVE_INFINITY })
}

async function post(
  path: string,
  token: string,
  body: unknown,
): Promise<{ readonly status: number; readonly body: Json }> {
  // By the instance that the load meets second: what one does, all must hear of.
  const url = gateway?.urls[1] ?? ''
  const response = await fetch(`${url}/admin/api/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: response.status, body: await jsonOf(response) }
}

async function jsonOf(response: Response): Promise<Json> {
  const body: unknown = await response.json()
  return typeof body === 'object' && body !== null ? { ...body } : {}
}

type Sample = {
  readonly user: string
  readonly startedAt: number
  readonly endedAt: number
  readonly status: number
  /** The access token that the API saw last for this request. */
  readonly token: string | undefined
}

let counter = 0

async function ask(url: string, user: string, idToken: string, resource: 'tasks' | 'notes' = 'tasks'): Promise<Sample> {
  const path = resource === 'tasks' ? `/v1/todos?n=${(counter += 1)}` : `/v1/notes?n=${(counter += 1)}`
  const startedAt = Date.now()
  const response = await fetch(`${url}/r/${resource}${path}`, { headers: { authorization: `Bearer ${idToken}` } })
  await response.arrayBuffer()
  const sent = world.traffic.of(`${resource}-api`).filter((entry) => entry.path === path)
  return { user, startedAt, endedAt: Date.now(), status: response.status, token: sent.at(-1)?.headers['authorization'] }
}

type Load = {
  readonly samples: readonly Sample[]
  /** Waits for so many samples of such a kind: how fast they come is the machine's affair. */
  readonly seen: (count: number, kind: (sample: Sample) => boolean) => Promise<void>
  readonly stop: () => Promise<readonly Sample[]>
}

/** Asks without a pause, at every instance, until it is stopped. */
function load(idTokens: Readonly<Record<string, string>>): Load {
  const samples: Sample[] = []
  const stopped = new AbortController()
  const loops = (gateway?.urls ?? []).flatMap((url) =>
    Object.entries(idTokens).map(async ([user, idToken]) => {
      while (!stopped.signal.aborted) {
        samples.push(await ask(url, user, idToken))
        await sleep(10)
      }
    }),
  )
  running = {
    samples,
    seen: (count, kind) =>
      vi.waitFor(() => expect(samples.filter(kind).length).toBeGreaterThanOrEqual(count), {
        timeout: 20_000,
        interval: 10,
      }),
    async stop(): Promise<readonly Sample[]> {
      stopped.abort()
      await Promise.all(loops)
      return samples
    },
  }
  return running
}

/** Sign-ins of the very second of a cut-off count as before it. */
async function nextSecond(): Promise<void> {
  await sleep(1000 - (Date.now() % 1000) + 20)
}

describe('with a bound of 10 s', () => {
  test.each([{ user: 'ann' }, { user: 'ann', resource: 'tasks' }])(
    'no instance uses the old token later than that after the receipt of %j',
    async (selector) => {
      await start('10s')
      keepTokensAlive()
      const [ann, bo] = [await world.login('ann'), await world.login('bo')]
      const under = load({ ann, bo })
      for (const who of ['ann', 'bo']) await under.seen(20, ({ user, status }) => user === who && status === 200)
      const old = new Set(under.samples.filter(({ user }) => user === 'ann').map(({ token }) => token))
      const kept = new Set(under.samples.filter(({ user }) => user === 'bo').map(({ token }) => token))
      expect([old.size, kept.size]).toEqual([1, 1])

      const receipt = await post('revocations', ann, selector)
      const receivedAt = Date.now()
      expect(receipt).toMatchObject({ status: 200, body: { counts: { connections: 1, failed: 1 } } })
      const effectiveBy = Date.parse(String(receipt.body['effective_by']))
      expect(effectiveBy).toBeLessThanOrEqual(receivedAt + 10_000)
      await sleep(effectiveBy + 500 - Date.now())
      await under.seen(50, ({ startedAt }) => startedAt >= effectiveBy)
      const samples = await under.stop()

      const used = samples.filter(({ user, token }) => user === 'ann' && old.has(token))
      const last = Math.max(...used.map(({ startedAt }) => startedAt))
      console.log(`last use of the old token: ${last - receivedAt} ms after the receipt of ${JSON.stringify(selector)}`)
      expect(used.filter(({ startedAt }) => startedAt >= effectiveBy)).toEqual([])
      expect(used.filter(({ endedAt }) => endedAt > receivedAt + 10_000)).toEqual([])
      // With the sign-in over nobody comes in; with the resource alone cut, a new token does its work.
      const after = samples.filter(({ user, startedAt }) => user === 'ann' && startedAt >= effectiveBy)
      expect(new Set(after.map(({ status }) => status))).toEqual(new Set(['resource' in selector ? 200 : 401]))
      // Nobody else noticed anything.
      const others = samples.filter(({ user }) => user === 'bo')
      expect(new Set(others.map(({ status, token }) => `${status} ${token}`))).toEqual(new Set([`200 ${[...kept][0]}`]))
    },
    60_000,
  )
})

describe('with a bound of 0 s', () => {
  test('not one request that starts after the receipt gets in', async () => {
    await start('0s')
    keepTokensAlive()
    const bo = await world.login('bo')
    for (let trial = 0; trial < 5; trial += 1) {
      await nextSecond()
      const ann = await world.login('ann')
      const under = load({ ann, bo })
      await under.seen(8, ({ user, status }) => user === 'ann' && status === 200)
      expect(await post('revocations', ann, { user: 'ann' })).toMatchObject({
        status: 200,
        body: { sign_ins_ended: true },
      })
      const receivedAt = Date.now()
      const isLate = ({ user, startedAt }: Sample) => user === 'ann' && startedAt > receivedAt
      await under.seen(20, isLate)
      const samples = await under.stop()
      const late = samples.filter(isLate)
      expect(new Set(late.map(({ status }) => status))).toEqual(new Set([401]))
      expect(new Set(samples.filter(({ user }) => user === 'bo').map(({ status }) => status))).toEqual(new Set([200]))
    }
  })

  test('an exchange under way at that moment brings nothing that is used afterwards', async () => {
    await start('0s')
    keepTokensAlive()
    const admin = await world.login('ann')
    const spent = new Set<string | undefined>()
    let underWay = 0
    for (let trial = 0; trial < 12; trial += 1) {
      world.traffic.clear()
      const [first = '', second = ''] = gateway?.urls ?? []
      const asking = ask(first, 'ann', admin)
      // As soon as the identity provider has been asked, the take-off is behind it.
      while (world.traffic.of('idp', '/token').length === 0) await sleep(1)
      const redeemedBefore = world.traffic.of('tasks-api').length > 0
      const receipt = await post('revocations', admin, { user: 'ann', resource: 'tasks' })
      expect(receipt.status).toBe(200)
      const startedAt = world.traffic.of('idp', '/token')[0]?.time ?? 0
      expect(startedAt).toBeLessThanOrEqual(Date.parse(String(receipt.body['before'])))
      if (!redeemedBefore) underWay += 1
      const [here, there] = await Promise.all([ask(first, 'ann', admin), ask(second, 'ann', admin)])
      spent.add((await asking).token)
      expect([here.status, there.status]).toEqual([200, 200])
      expect(spent.has(here.token)).toBe(false)
      expect(spent.has(there.token)).toBe(false)
      // The next trial begins cold again.
      await post('revocations', admin, { user: 'ann', resource: 'tasks' })
      for (const { token } of [here, there]) spent.add(token)
    }
    console.log(`${underWay} of 12 revocations met an exchange under way`)
    expect(underWay).toBeGreaterThan(0)
  })

  test('a block holds for the next request and its end for the one after, on every instance', async () => {
    const { urls } = await start('0s')
    const [ann, bo] = [await world.login('ann'), await world.login('bo')]
    const statuses = async () => Promise.all(urls.map(async (url) => (await ask(url, 'bo', bo)).status))
    expect(await statuses()).toEqual([200, 200])
    const { body } = await post('blocks', ann, { user: 'bo', client: 'people' })
    expect(await statuses()).toEqual([403, 403])
    const lifted = await fetch(`${urls[0]}/admin/api/blocks/${String(body['id'])}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${ann}`, 'content-type': 'application/json' },
    })
    expect(lifted.status).toBe(204)
    expect(await statuses()).toEqual([200, 200])
  })
})

describe('RFC 7009', () => {
  test('both authorization servers revoke the token, and their APIs refuse it', async () => {
    const { urls } = await start('10s')
    const [url = ''] = urls
    const ann = await world.login('ann')
    const used = [await ask(url, 'ann', ann), await ask(url, 'ann', ann, 'notes')]
    expect(used.map(({ status }) => status)).toEqual([200, 200])
    const direct = async () => {
      const calls = [`${world.tasks.origin}/v1/todos`, `${world.notes.origin}/v1/notes`].map(async (api, index) =>
        fetch(api, { headers: { authorization: used[index]?.token ?? '' } }),
      )
      return (await Promise.all(calls)).map(({ status }) => status)
    }
    expect(await direct()).toEqual([200, 200])
    const { body } = await post('revocations', ann, { user: 'ann' })
    expect(body).toMatchObject({ more: false, counts: { connections: 2, revoked: 2 } })
    expect(await direct()).toEqual([401, 401])
    expect(JSON.stringify(body)).not.toContain(String(used[0]?.token).slice(-30))
    expect((await (await gateway?.tokens())?.list())?.keys).toEqual([])
  })
})

test('the program lists, revokes and blocks, and shows what was decided', async () => {
  const { url } = await start('0s')
  const ann = await world.login('ann')
  const jagway = (...args: readonly string[]): Promise<string> =>
    new Promise((done) => {
      const program = fileURLToPath(new URL('../../src/cli/jagway.ts', import.meta.url))
      const env = { PATH: process.env['PATH'], JAGWAY_URL: url, JAGWAY_ADMIN_TOKEN: ann }
      execFile(process.execPath, [program, ...args], { env }, (error, out, err) => {
        done(`${String(error?.code ?? 0)} ${out}${err}`)
      })
    })
  const bo = await world.login('bo')
  expect((await ask(url, 'bo', bo)).status).toBe(200)
  expect(await jagway('connections', '--user', 'bo')).toMatch(
    /^0 USER .*\ndev\/bo +people +tasks +todos\.read .* active\n$/,
  )
  expect(await jagway('revoke', '--user', 'bo')).toMatch(
    /^0 revoked {2}user bo[^]* token revoked at its authorization server\n$/,
  )
  expect((await ask(url, 'bo', bo)).status).toBe(401)
  const [, id = ''] = /unblock (\S+)\n$/.exec(await jagway('block', '--user', 'kim')) ?? []
  expect((await ask(url, 'kim', await world.login('kim'), 'notes')).status).toBe(403)
  expect(await jagway('unblock', id)).toBe(`0 lifted  ${id}\n`)
  expect((await ask(url, 'kim', await world.login('kim'), 'notes')).status).toBe(200)
  expect(await jagway('revoke', '--client', 'nobody')).toMatch(/^1 ADM105: client does not name anything/)
  // What came of all that, some seconds later.
  await vi.waitFor(
    async () => expect(await jagway('decisions', '--user', 'kim')).toMatch(/^0 TIME .*\n(?:.* kim .*\n){2}$/),
    { timeout: 15_000, interval: 500 },
  )
  expect(await jagway('decisions', '--user', 'kim', '--outcome', 'deny')).toMatch(/ deny +POL110 +kim +people +notes /)
  expect(await jagway('rules')).toMatch(
    /\nsupport-reads-tasks +allow +1 +20.*\n(?:.*\n)*no-events-for-contractors +deny +0 +never\n/,
  )
})
