// Pages of other origins: which may read what, and that the administration is never among it.
import { describe, expect, test } from 'vitest'
import { createWorld as createAdminWorld, GATEWAY } from '../admin/world.ts'
import { createWorld, json, NAMES, SECRETS, type World } from '../support/world.ts'

const APP = 'https://app.test'
const CORS = { origins: [APP, 'https://other.test:8443'] }
const STRANGERS = [
  'https://evil.test',
  'https://app.test.evil.test',
  'https://APP.test',
  'http://app.test',
  'https://app.test:443',
  'https://app.test/',
  'https://other.test',
  'https://app.test, https://evil.test',
  'null',
  '*',
  '',
]

/** One of each: resources, their metadata, the token endpoint, and what else is ours. */
const PLACES = [
  '/r/tasks/todos',
  'https://notes.gw.test/x',
  '/token',
  '/authorize',
  '/jwks',
  '/errors/CLI100',
  '/nowhere',
  '/.well-known/oauth-authorization-server',
  '/.well-known/openid-configuration',
  '/.well-known/oauth-protected-resource/r/tasks',
  'https://notes.gw.test/.well-known/oauth-protected-resource',
]

function ask(world: World, place: string, init: RequestInit = {}): Promise<Response> {
  return world.app(new Request(place.startsWith('https:') ? place : NAMES.gateway + place, init))
}

function preflight(world: World, place: string, origin: string): Promise<Response> {
  const headers = {
    origin,
    'access-control-request-method': 'PATCH',
    'access-control-request-headers': 'authorization,x-app',
  }
  return ask(world, place, { method: 'OPTIONS', headers })
}

function corsOf({ headers }: Response): readonly string[] {
  return [...headers.keys()].filter((name) => name.startsWith('access-control-'))
}

describe('a preflight', () => {
  test.each(PLACES)('of a listed origin is answered by us, without a token: %s', async (place) => {
    const world = createWorld({ cors: CORS })
    const answer = await preflight(world, place, APP)
    expect([answer.status, await answer.text()]).toEqual([204, ''])
    expect(answer.headers.get('access-control-allow-origin')).toBe(APP)
    expect(answer.headers.get('access-control-allow-methods')).toContain('PATCH')
    expect(answer.headers.get('access-control-allow-headers')).toMatch(/^authorization, .*\*$/)
    expect(answer.headers.get('access-control-max-age')).toBe('7200')
    expect(answer.headers.get('vary')).toBe('Origin')
    expect([world.seen(), world.sink.events]).toEqual([[], []])
  })

  test.each(STRANGERS)('of %j is answered as if there were no CORS', async (origin) => {
    const configured = createWorld({ cors: CORS })
    for (const place of PLACES) {
      const answer = await preflight(configured, place, origin)
      expect(answer.status).toBe((await preflight(createWorld(), place, origin)).status)
      expect(corsOf(answer)).toEqual([])
      expect(answer.headers.get('vary')).toBe('Origin')
    }
    expect(configured.seen()).toEqual([])
  })

  test('is one only with its own header: another OPTIONS goes to the resource, with a token', async () => {
    const world = createWorld({ cors: CORS })
    const headers = { origin: APP, authorization: `Bearer ${await world.idToken()}` }
    expect((await ask(world, '/r/tasks/todos', { method: 'OPTIONS', headers })).status).toBe(200)
    expect(world.seen('upstream').map(({ method }) => method)).toEqual(['OPTIONS'])
    expect((await ask(world, '/r/tasks/todos', { method: 'OPTIONS', headers: { origin: APP } })).status).toBe(401)
  })
})

describe('an answer', () => {
  test.each(PLACES)('may be read by a listed origin, refusals too: %s', async (place) => {
    const answer = await ask(createWorld({ cors: CORS }), place, { headers: { origin: APP } })
    expect(answer.headers.get('access-control-allow-origin')).toBe(APP)
    expect(answer.headers.get('access-control-expose-headers')).toMatch(
      /^www-authenticate, dpop-nonce, retry-after, .*\*$/,
    )
    expect(answer.headers.get('vary')).toBe('Origin')
  })

  test('of a resource may be read as well, with a token and without one', async () => {
    const world = createWorld({ cors: CORS })
    const authorization = `Bearer ${await world.idToken()}`
    const good = await ask(world, '/r/tasks/todos', { headers: { origin: APP, authorization } })
    const bad = await ask(world, '/r/tasks/todos', { headers: { origin: APP } })
    expect([good.status, bad.status]).toEqual([200, 401])
    for (const { headers } of [good, bad]) expect(headers.get('access-control-allow-origin')).toBe(APP)
    expect(bad.headers.get('www-authenticate')).toContain('resource_metadata=')
  })

  test('of the token endpoint may be read as well, and faults too', async () => {
    const body = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      resource: NAMES.api,
    })
    for (const broken of [false, true]) {
      const cache = broken ? { sealing_keys: [{ secret: 'NOT_THERE' }] } : {}
      const world = createWorld({ cors: CORS, cache })
      body.set('subject_token', await world.idToken({ aud: 'agent-id' }))
      const headers = { origin: APP, authorization: `Basic ${btoa(`agent:${SECRETS['AGENT_SECRET']}`)}` }
      const answer = await ask(world, '/token', { method: 'POST', headers, body })
      expect(answer.status).toBe(broken ? 500 : 200)
      expect(answer.headers.get('access-control-allow-origin')).toBe(APP)
    }
  })

  test.each(STRANGERS)('gives %j no permission, nor anybody who says no origin', async (origin) => {
    const world = createWorld({ cors: CORS })
    for (const place of PLACES) {
      for (const headers of [{ origin }, undefined]) {
        const answer = await ask(world, place, headers === undefined ? {} : { headers })
        expect(corsOf(answer)).toEqual([])
        // A cache between us must not hand the answer for one origin to another.
        expect(answer.headers.get('vary')).toBe('Origin')
      }
    }
  })

  test('never allows credentials or everybody, whatever the upstream says, and keeps its Vary', async () => {
    const world = createWorld({ cors: CORS })
    const loud = {
      'access-control-allow-origin': '*',
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': 'x-secret',
      'access-control-allow-private-network': 'true',
      'access-control-allow-local-network': 'true',
      'timing-allow-origin': '*',
      vary: 'Accept',
    }
    world.script.upstream = () => json({}, { headers: loud })
    const authorization = `Bearer ${await world.idToken()}`
    const listed = await ask(world, '/r/tasks/x', { headers: { origin: APP, authorization } })
    expect(listed.headers.get('access-control-allow-origin')).toBe(APP)
    expect(corsOf(listed).toSorted()).toEqual(['access-control-allow-origin', 'access-control-expose-headers'])
    expect(listed.headers.get('access-control-expose-headers')).not.toContain('x-secret')
    expect(listed.headers.get('vary')).toBe('Accept, Origin')
    expect(listed.headers.has('timing-allow-origin')).toBe(false)
    const stranger = await ask(world, '/r/tasks/x', { headers: { origin: 'https://evil.test', authorization } })
    expect(corsOf(stranger)).toEqual([])
  })

  test('is the same as ever while no origin is configured', async () => {
    const world = createWorld()
    for (const place of PLACES) {
      const answer = await ask(world, place, { headers: { origin: APP } })
      expect([...corsOf(answer), answer.headers.get('vary')]).toEqual([null])
    }
  })
})

describe('the administration', () => {
  test.each([
    '/admin/api/connections',
    '/admin/api/revocations',
    '/%61dmin/api/connections',
    '/admin/api',
    '/admin',
    '/admin/x',
  ])('is open to no other origin: %s', async (path) => {
    const origins = [APP, GATEWAY]
    const world = await createAdminWorld({ cors: { origins } })
    const sue = await world.idToken('sue')
    for (const origin of origins) {
      const asked = { origin, 'access-control-request-method': 'GET' }
      const answers = [
        await world.ask('OPTIONS', path, asked),
        await world.ask('GET', path, { origin, authorization: `Bearer ${sue}` }),
        await world.ask('GET', path, { origin }),
      ]
      for (const answer of answers) {
        expect(answer.status).not.toBe(204)
        expect(corsOf(answer)).toEqual([])
      }
    }
  })

  test('is none of it where there is none', async () => {
    const world = await createAdminWorld({ admin: null, cors: { origins: [APP] } })
    expect(corsOf(await world.ask('GET', '/admin/api/connections', { origin: APP }))).toEqual([])
  })
})
