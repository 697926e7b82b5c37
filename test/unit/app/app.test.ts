// The edge of the house: which door a request comes to, what becomes of faults, and one event for each decision.
import { describe, expect, test, vi } from 'vitest'
import { createRecordingSink } from '../../../src/platform/memory.ts'
import { createWorld, NAMES, RESOURCES, SECRETS, type World, type WorldOptions } from '../support/world.ts'

async function get(world: World, url: string, init: RequestInit = {}): Promise<Response> {
  return world.app(new Request(url.startsWith('https:') ? url : NAMES.gateway + url, init))
}

async function asAlice(world: World, url: string, init: RequestInit = {}): Promise<Response> {
  return get(world, url, { ...init, headers: { authorization: `Bearer ${await world.idToken()}` } })
}

function postToken(world: World, body: string, secret = SECRETS['AGENT_SECRET'] ?? ''): Promise<Response> {
  const headers = {
    authorization: `Basic ${btoa(`agent:${secret}`)}`,
    'content-type': 'application/x-www-form-urlencoded',
  }
  return get(world, '/token', { method: 'POST', headers, body })
}

describe('a request that belongs to nothing', () => {
  test.each(['/', '/x', '/r', '/r/tasksx', '/token/', '/TOKEN', '/errors', '/admin', '/.well-known/x', '/favicon.ico'])(
    '%s is told so as a problem, and asks nobody',
    async (path) => {
      const world = createWorld()
      const response = await asAlice(world, path)
      expect([response.status, response.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
      const told = await response.json()
      expect(told).toMatchObject({ code: 'CLI106', status: 404 })
      // There is no event that an id could lead to.
      expect(told).not.toHaveProperty('request_id')
      expect(['www-authenticate', 'jagway-request-id'].filter((name) => response.headers.has(name))).toEqual([])
      expect([world.seen(), world.sink.events, world.strays]).toEqual([[], [], []])
    },
  )
})

describe('a host that belongs to a resource', () => {
  test.each(['/token', '/errors/CLI100', '/.well-known/oauth-authorization-server', '/r/tasks/x'])(
    'is all that resource’s: %s is not ours there',
    async (path) => {
      const world = createWorld()
      expect((await asAlice(world, `https://notes.gw.test${path}`)).status).toBe(200)
      expect(world.seen('upstream').map(({ url }) => url)).toEqual([`https://api.notes.test${path}`])
    },
  )
})

describe('an event', () => {
  test('is written once for each decision, whatever it was, and carries the id the caller was told', async () => {
    const world = createWorld()
    const answers = [
      await asAlice(world, '/r/tasks/x'),
      await get(world, '/r/tasks/x'),
      await asAlice(world, '/r/tasks/a//b'),
      await asAlice(world, 'https://notes.gw.test/x'),
      await postToken(world, 'grant_type=x'),
      await postToken(world, 'a=b', 'wrong'),
      await get(world, '/token'),
    ]
    expect(world.sink.events.map(({ http }) => http.status)).toEqual(answers.map(({ status }) => status))
    const ids = world.sink.events.map(({ id }) => id)
    expect(new Set(ids).size).toBe(answers.length)
    for (const [at, answer] of answers.entries()) {
      const told = await answer.json<{ request_id?: string }>()
      if (answer.status >= 400) expect(told.request_id).toBe(ids[at])
    }
  })

  test('is not written for what anybody may know', async () => {
    const world = createWorld()
    const path = '/.well-known/oauth-authorization-server'
    for (const known of [path, '/errors/CLI100', '/nowhere']) await get(world, known)
    const refused = [await get(world, path, { method: 'POST' }), await get(world, '/authorize')]
    expect(refused.map(({ status }) => status)).toEqual([405, 400])
    for (const answer of refused) expect(await answer.text()).not.toMatch(/req_|request_id/)
    expect(world.sink.events).toEqual([])
  })

  test('goes to every sink; without any, requests are served all the same', async () => {
    const sinks = [createRecordingSink(), createRecordingSink()]
    const world = createWorld({ sinks })
    await asAlice(world, '/r/tasks/x')
    expect(sinks.map(({ events }) => events.length)).toEqual([1, 1])
    expect((await asAlice(createWorld({ sinks: [] }), '/r/tasks/x')).status).toBe(200)
  })

  test('carries the caller’s trace where it brings one', async () => {
    const world = createWorld()
    const trace = 'ab'.repeat(16)
    await get(world, '/r/tasks/x', { headers: { traceparent: `00-${trace}-${'cd'.repeat(8)}-00` } })
    await get(world, '/r/tasks/x', { headers: { traceparent: 'nonsense' } })
    expect(world.sink.events.map(({ trace_id }) => trace_id === trace)).toEqual([true, false])
  })
})

describe('an answer of ours', () => {
  test('says by which id it is on record, and how long it took to those alone who have proven who they are', async () => {
    const world = createWorld({ rules: [{ id: 'nobody', effect: 'deny' }] })
    const told = ({ headers }: Response) => [headers.get('jagway-request-id'), headers.get('server-timing')]
    const refusedUnknown = await get(world, '/r/tasks/x')
    const refusedClient = await postToken(world, 'a=b', 'wrong')
    const refusedAlice = await asAlice(world, '/r/tasks/x')
    const refusedAgent = await postToken(world, 'grant_type=x')
    const ids = world.sink.events.map(({ id }) => id)
    expect([refusedUnknown, refusedClient, refusedAlice, refusedAgent].map(told)).toEqual([
      [ids[0], null],
      [ids[1], null],
      [ids[2], 'total;dur=0'],
      [ids[3], 'total;dur=0'],
    ])
  })

  test('is told from one of an API, to which neither is added', async () => {
    const world = createWorld()
    const { headers } = await asAlice(world, '/r/tasks/x')
    expect(headers.get('x-upstream')).toBe('yes')
    expect([headers.get('jagway-request-id'), headers.get('server-timing')]).toEqual([null, null])
  })
})

describe('a fault', () => {
  // A secret that is there at the start and gone later: reading it throws, and nobody expects that.
  const broken: WorldOptions = { cache: { sealing_keys: [{ secret: 'CANARY_SECRET_NAME' }] } }

  test('becomes 500 with an id and without a word of what happened, at both doors', async () => {
    const world = createWorld(broken)
    const idToken = await world.idToken({ aud: 'agent-id' })
    const body = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: idToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      resource: NAMES.api,
    })
    for (const response of [await asAlice(world, '/r/tasks/x'), await postToken(world, body.toString())]) {
      const text = await response.text()
      expect(response.status).toBe(500)
      expect(text).toContain('INT100')
      expect(text).toMatch(/req_[0-9a-f]{32}/)
      expect(text + JSON.stringify([...response.headers])).not.toMatch(/CANARY|is not set|Error:|\.ts\b/)
    }
    expect(world.seen('upstream')).toEqual([])
  })

  test('is written down with its kind and its place, and without its message', async () => {
    const world = createWorld(broken)
    await asAlice(world, '/r/tasks/x')
    const [event] = world.sink.events
    expect(event).toMatchObject({ code: 'INT100', outcome: 'error', http: { status: 500 } })
    expect(event?.detail).toMatch(/^Error at /)
    expect(JSON.stringify(event)).not.toMatch(/CANARY|is not set/)
  })

  test('is written down outside of a decision too, under an event of its own', async () => {
    const auth = { method: 'private_key_jwt', key: { secret: 'CANARY_SECRET_NAME' }, alg: 'ES256' }
    const tasks = { ...RESOURCES.tasks, client: { id: 'gw-at-tasks', auth } }
    const world = createWorld({ resources: { ...RESOURCES, tasks } })
    const response = await get(world, '/.well-known/jwks.json')
    const told: unknown = await response.json()
    const [event, ...others] = world.sink.events
    expect([response.status, told, others]).toMatchObject([500, { code: 'INT100', request_id: event?.id }, []])
    expect(response.headers.get('jagway-request-id')).toBe(event?.id)
    expect(event).toMatchObject({
      event: 'request.fault',
      code: 'INT100',
      outcome: 'error',
      http: { method: 'GET', route: '/*', status: 500 },
    })
    expect(event?.detail).toMatch(/^Error at /)
    expect(JSON.stringify([event, told])).not.toMatch(/CANARY|is not set/)
  })

  test('in the making of its own record still has an answer, without an id', async () => {
    const world = createWorld()
    const entropy = vi.spyOn(crypto, 'randomUUID').mockImplementation(() => {
      throw new Error('CANARY')
    })
    const response = await asAlice(world, '/r/tasks/x').finally(() => entropy.mockRestore())
    const told: unknown = await response.json()
    expect([response.status, told]).toMatchObject([500, { code: 'INT100' }])
    expect(told).not.toHaveProperty('request_id')
    expect(JSON.stringify(told)).not.toContain('CANARY')
    expect([world.seen('upstream'), world.sink.events]).toEqual([[], []])
  })

  test('of a sink costs neither the answer nor the event in another sink, and is told as a loss', async () => {
    const sink = createRecordingSink()
    const write = (): never => {
      throw new Error('CANARY')
    }
    const world = createWorld({ sinks: [{ write }, sink] })
    expect((await asAlice(world, '/r/tasks/x')).status).toBe(200)
    expect((await asAlice(world, '/r/tasks/x')).status).toBe(200)
    // That the isolate has started was lost as well.
    expect(sink.events.map(({ event, lost }) => [event, lost])).toEqual([
      ['request.forward', 1],
      ['request.forward', 2],
    ])
  })
})
