// The first door, in the in-memory house: from a request with an ID token to the upstream's answer.
import { describe, expect, test } from 'vitest'
import type { Claims } from '../../support/keys.ts'
import {
  createWorld,
  json,
  NAMES,
  RESOURCES,
  type Isolate,
  type Json,
  type Role,
  type World,
} from '../support/world.ts'

interface Sent extends RequestInit {
  readonly claims?: Claims
  readonly token?: string | null
  readonly from?: Isolate
}

/** A request to the resource `tasks` by alice, unless something else is said. */
async function send(
  world: World,
  path = '/todos',
  { claims, token, from = world, ...init }: Sent = {},
): Promise<Response> {
  const bearer = token === undefined ? await world.idToken(claims) : token
  const headers = new Headers(init.headers)
  if (bearer !== null) headers.set('authorization', `Bearer ${bearer}`)
  const url = path.startsWith('https:') ? path : `${NAMES.gateway}/r/tasks${path}`
  return from.app(new Request(url, { ...init, headers }))
}

async function codeOf(response: Response): Promise<string> {
  return (await response.json<{ code: string }>()).code
}

const calls = (world: World): Record<Role, number> => ({
  idp: world.seen('idp').length,
  ras: world.seen('ras').length,
  upstream: world.seen('upstream').length,
})
const NONE = { idp: 0, ras: 0, upstream: 0 }

const unauthorized = (challenge = 'Bearer error="invalid_token"'): Response =>
  new Response('canary', { status: 401, headers: { 'www-authenticate': challenge } })

/** The upstream takes every token but the first one of alice. */
function rejectFirstToken(world: World): void {
  const { upstream } = world.script
  world.script.upstream = (seen) =>
    seen.headers.get('authorization') === 'Bearer canary-access-alice-1' ? unauthorized() : upstream(seen)
}

describe('a request that may pass', () => {
  test('reaches the upstream with the resource’s own token, and with nothing of the caller’s', async () => {
    const world = createWorld()
    const idToken = await world.idToken()
    const response = await send(world, '/todos?done=no', {
      token: idToken,
      headers: { cookie: 'session=canary', 'x-app': 'a', 'x-user': 'mallory', forwarded: 'for=1' },
    })
    expect([response.status, await response.json()]).toEqual([200, { it: 'works' }])
    expect(response.headers.get('x-upstream')).toBe('yes')
    const [asked] = world.seen('upstream')
    expect([asked?.method, asked?.url]).toEqual(['GET', `${NAMES.api}/todos?done=no`])
    expect(Object.keys(Object.fromEntries(asked?.headers ?? [])).toSorted()).toEqual([
      'authorization',
      'traceparent',
      'x-app',
    ])
    expect(asked?.headers.get('authorization')).toBe('Bearer canary-access-alice-1')
    expect(JSON.stringify([...(asked?.headers ?? [])])).not.toContain(idToken.slice(-30))
    expect(calls(world)).toEqual({ idp: 1, ras: 1, upstream: 1 })
    expect(world.strays).toEqual([])
  })

  test('costs nothing but the upstream call when the token is there', async () => {
    const world = createWorld()
    for (let count = 0; count < 5; count++) expect((await send(world)).status).toBe(200)
    expect(calls(world)).toEqual({ idp: 1, ras: 1, upstream: 5 })
  })

  test.each(['/', '', '?x=1', '/a%20b', '/caf%C3%A9?q=%2F..%2F&x=a+b', '/%40?', '/x?a=1&a=2', '/todos/'])(
    'keeps the bytes of its path and query: %j',
    async (rest) => {
      const world = createWorld()
      expect((await send(world, rest)).status).toBe(200)
      expect(world.seen('upstream')[0]?.url).toBe(NAMES.api + rest)
    },
  )

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('carries its body along: %s', async (method) => {
    const world = createWorld()
    const body = JSON.stringify({ title: 'x'.repeat(100_000) })
    await send(world, '/todos', { method, body, headers: { 'content-type': 'application/json' } })
    expect(world.seen('upstream').map((seen) => [seen.method, seen.body, seen.headers.get('content-type')])).toEqual([
      [method, body, 'application/json'],
    ])
  })

  test('gets its answer while the upstream is still writing it', async () => {
    const world = createWorld()
    let writer: ReadableStreamDefaultController<Uint8Array> | undefined
    const stream = new ReadableStream<Uint8Array>({
      start(controller): void {
        writer = controller
        controller.enqueue(new TextEncoder().encode('event: one\n\n'))
      },
    })
    world.script.upstream = () => new Response(stream, { headers: { 'content-type': 'text/event-stream' } })
    const reader = (await send(world)).body?.getReader()
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('event: one\n\n')
    writer?.enqueue(new TextEncoder().encode('event: two\n\n'))
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('event: two\n\n')
    writer?.close()
    expect((await reader?.read())?.done).toBe(true)
  })

  test('reaches a resource that has a host of its own', async () => {
    const world = createWorld()
    expect((await send(world, 'https://notes.gw.test/v1/n?x')).status).toBe(200)
    expect(world.seen('upstream')[0]?.url).toBe('https://api.notes.test/v1/n?x')
  })

  test('carries a trace on', async () => {
    const world = createWorld()
    await send(world, '/x', { headers: { traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01` } })
    expect(world.seen('upstream')[0]?.headers.get('traceparent')).toMatch(
      /^00-(?:ab){16}-(?!(?:cd){8})[0-9a-f]{16}-01$/,
    )
  })

  test('asks to become a WebSocket only where the resource allows it', async () => {
    const tasks = { ...RESOURCES.tasks, proxy: { ...RESOURCES.tasks.proxy, web_socket: true } }
    const world = createWorld({ resources: { ...RESOURCES, tasks } })
    await send(world, '/live', { headers: { upgrade: 'websocket', 'sec-websocket-key': 'k' } })
    expect(Object.fromEntries(world.seen('upstream')[0]?.headers ?? [])).toMatchObject({
      upgrade: 'websocket',
      'sec-websocket-key': 'k',
    })
    expect(await codeOf(await send(world, '/live', { headers: { upgrade: 'h2c' } }))).toBe('CLI113')
  })

  test('of one user is never answered with the token of another, however many come at once', async () => {
    const world = createWorld({ rules: [{ id: 'all', effect: 'allow', resources: ['tasks'] }] })
    world.script.upstream = async ({ headers }) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
      return json({ token: headers.get('authorization') })
    }
    const isolates = [world, world.isolate('a')]
    const users = Array.from({ length: 60 }, (_, at) => `user${at % 15}`)
    const answers = await Promise.all(
      users.map(async (sub, at) => {
        const answer = await send(world, '/me', { claims: { sub }, from: isolates[at % 2] ?? world })
        return (await answer.json<{ token: string }>()).token
      }),
    )
    expect(answers.map((token) => /^Bearer canary-access-(user\d+)-\d+$/.exec(token)?.[1])).toEqual(users)
    expect(calls(world)).toMatchObject({ idp: 15, ras: 15 })
  })
})

describe('a request that may not pass', () => {
  const tokenless: Sent = { token: null }

  test.each<[string, string, Sent, number, string]>([
    ['without a token', '/todos', tokenless, 401, 'TOK100'],
    ['with another scheme', '/todos', { token: null, headers: { authorization: 'Basic YTpi' } }, 401, 'TOK100'],
    ['with nonsense', '/todos', { token: 'nonsense' }, 401, 'TOK101'],
    ['with an expired token', '/todos', { claims: { iat: 1_799_990_000, exp: 1_799_990_300 } }, 401, 'TOK103'],
    ['with a token for somebody else', '/todos', { claims: { aud: 'stranger' } }, 401, 'TOK104'],
    ['with a token for a client that has no place here', '/todos', { claims: { aud: 'agent-id' } }, 401, 'TOK108'],
    ['with a token of another issuer', '/todos', { claims: { iss: 'https://evil.test' } }, 401, 'TOK102'],
    ['by somebody no rule names', '/todos', { claims: { sub: 'carol' } }, 403, 'POL100'],
    ['with a path of two readings', '/a/%2e%2fb', {}, 400, 'CLI109'],
    ['with a path of two readings and no token', '/a//b', tokenless, 400, 'CLI109'],
    ['with an encoded slash', '/a%2Fb', {}, 400, 'CLI109'],
    ['with a token in its query', '/todos?access_token=eyJ', {}, 400, 'CLI100'],
    ['with a token further back in its query', '/todos?a=b&Access_Token=eyJ', {}, 400, 'CLI100'],
    ['with a DPoP proof beside a bearer token', '/todos', { headers: { dpop: 'eyJ' } }, 401, 'CLI114'],
    ['with an upgrade', '/todos', { headers: { upgrade: 'websocket' } }, 400, 'CLI113'],
    ['to nowhere', 'https://gw.test/r/nowhere', {}, 404, 'CLI106'],
    ['to a resource without a door', 'https://gw.test/r/hidden', {}, 404, 'CLI106'],
  ])('%s goes no further', async (_what, path, sent, status, code) => {
    const world = createWorld()
    const response = await send(world, path, sent)
    expect([response.status, await codeOf(response)]).toEqual([status, code])
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(calls(world)).toEqual(NONE)
    expect(world.strays).toEqual([])
    await world.settle()
    expect(world.store.list()).toEqual([])
  })

  test('is stopped by a denial, by method and path, before anybody is asked', async () => {
    const rules: Json[] = [
      { id: 'read', effect: 'allow', resources: ['tasks'], methods: ['GET'], paths: ['/v1/**'] },
      { id: 'no-admin', effect: 'deny', paths: ['/v1/admin/**'] },
    ]
    const world = createWorld({ rules })
    for (const [method, path, code] of [
      ['POST', '/v1/x', 'POL100'],
      ['GET', '/v2/x', 'POL100'],
      ['GET', '/v1/admin', 'POL101'],
      ['GET', '/v1/admin/%40keys', 'POL101'],
    ] as const) {
      expect(await codeOf(await send(world, path, { method }))).toBe(code)
    }
    expect(calls(world)).toEqual(NONE)
    expect((await send(world, '/v1/x')).status).toBe(200)
  })

  test('hears where to look for tokens (RFC 9728 section 5.1)', async () => {
    const metadata = `${NAMES.gateway}/.well-known/oauth-protected-resource/r/tasks`
    const { headers } = await send(createWorld(), '/todos', tokenless)
    expect(headers.get('www-authenticate')).toBe(`Bearer scope="openid", resource_metadata="${metadata}"`)
  })
})

describe('a refusal on the way', () => {
  test.each<[Role, number, Json, number, string]>([
    ['idp', 400, { error: 'invalid_grant' }, 401, 'IDP101'],
    ['idp', 400, { error: 'access_denied' }, 403, 'IDP102'],
    ['idp', 400, { error: 'insufficient_user_authentication', max_age: 60 }, 401, 'IDP105'],
    ['idp', 401, { error: 'invalid_client' }, 502, 'IDP106'],
    ['idp', 200, {}, 502, 'IDP109'],
    ['idp', 503, {}, 503, 'IDP112'],
    ['ras', 400, { error: 'invalid_grant' }, 403, 'RAS101'],
    ['ras', 400, { error: 'access_denied' }, 403, 'RAS102'],
    ['ras', 401, { error: 'invalid_client' }, 502, 'RAS106'],
    ['ras', 200, {}, 502, 'RAS109'],
    ['ras', 429, {}, 503, 'RAS112'],
  ])(
    'of the %s (%i %j) is told as %i %s, in our words, and not to the upstream',
    async (role, status, body, told, code) => {
      const world = createWorld()
      world.script[role] = () =>
        json(
          { ...body, error_description: 'canary' },
          { status, headers: { 'www-authenticate': 'Basic realm="canary"', 'set-cookie': 'canary' } },
        )
      const response = await send(world)
      expect(response.status).toBe(told)
      const text = `${await response.text()}${JSON.stringify([...response.headers])}`
      expect(text).toContain(code)
      expect(text).not.toContain('canary')
      expect(response.headers.has('retry-after')).toBe(told === 503)
      expect(calls(world).upstream).toBe(0)
    },
  )

  test('asks for a stronger login in the words of RFC 9470', async () => {
    const world = createWorld()
    world.script.idp = () =>
      json({ error: 'insufficient_user_authentication', max_age: 60, acr_values: 'urn:mfa' }, { status: 400 })
    const challenge = (await send(world)).headers.get('www-authenticate')
    expect(challenge).toContain('error="insufficient_user_authentication"')
    expect(challenge).toContain('acr_values="urn:mfa", max_age="60"')
  })

  test('of the connection to the upstream is told as 502, with a word on when to try again', async () => {
    const world = createWorld()
    world.script.upstream = () => Promise.reject(new TypeError('ECONNREFUSED 10.0.0.7 canary'))
    const response = await send(world)
    expect([response.status, response.headers.get('retry-after')]).toEqual([502, '5'])
    expect(response.headers.get('proxy-status')).toContain('details="UPS110"')
    expect(await response.text()).not.toContain('canary')
  })
})

describe('a token the upstream rejects', () => {
  test('is replaced once, and the request sent once more', async () => {
    const world = createWorld()
    await send(world)
    rejectFirstToken(world)
    world.clock.advance(5)
    const response = await send(world, '/todos?x=1')
    expect(response.status).toBe(200)
    expect(world.seen('upstream').map((seen) => [seen.url, seen.headers.get('authorization')])).toEqual([
      [`${NAMES.api}/todos`, 'Bearer canary-access-alice-1'],
      [`${NAMES.api}/todos?x=1`, 'Bearer canary-access-alice-1'],
      [`${NAMES.api}/todos?x=1`, 'Bearer canary-access-alice-2'],
    ])
    expect(calls(world)).toMatchObject({ idp: 2, ras: 2 })
    expect((await send(world)).status).toBe(200)
    expect(calls(world)).toEqual({ idp: 2, ras: 2, upstream: 4 })
  })

  test('is not replaced when it has only just been issued', async () => {
    const world = createWorld()
    world.script.upstream = () => unauthorized()
    const response = await send(world)
    expect([response.status, await codeOf(response)]).toEqual([502, 'UPS101'])
    expect(calls(world)).toEqual({ idp: 1, ras: 1, upstream: 1 })
  })

  test('does not start a loop: two calls, one exchange, then a minute of peace for the identity provider', async () => {
    const world = createWorld()
    await send(world)
    world.script.upstream = () => unauthorized()
    world.clock.advance(5)
    expect(await codeOf(await send(world))).toBe('UPS101')
    expect(calls(world)).toEqual({ idp: 2, ras: 2, upstream: 3 })
    for (let count = 0; count < 10; count++) expect(await codeOf(await send(world))).toBe('UPS101')
    expect(calls(world)).toEqual({ idp: 2, ras: 2, upstream: 13 })
  })

  test('is replaced also where it came from the flight, which may have kept it for long', async () => {
    const world = createWorld()
    await send(world)
    await world.settle()
    rejectFirstToken(world)
    world.clock.advance(1800)
    // A new isolate that cannot read KV: the flight still knows the token of half an hour ago.
    world.store.faults.get = 'throw'
    expect((await send(world, '/todos', { from: world.isolate('new') })).status).toBe(200)
    expect(calls(world)).toEqual({ idp: 2, ras: 2, upstream: 3 })
  })

  test('is replaced, but a body that is gone is not sent twice', async () => {
    const world = createWorld()
    await send(world)
    rejectFirstToken(world)
    world.clock.advance(5)
    const post: Sent = { method: 'POST', body: 'once' }
    const response = await send(world, '/todos', post)
    expect([response.status, response.headers.get('retry-after'), await codeOf(response)]).toEqual([503, '1', 'UPS102'])
    expect(world.seen('upstream').filter(({ method }) => method === 'POST')).toHaveLength(1)
    expect((await send(world, '/todos', post)).status).toBe(200)
    expect(calls(world)).toMatchObject({ idp: 2, ras: 2 })
  })

  test('is not replaced where only a stronger login would help', async () => {
    const world = createWorld()
    await send(world)
    world.script.upstream = () =>
      unauthorized(
        'Bearer realm="canary", error="insufficient_user_authentication", acr_values="urn:mfa", max_age=0, resource_metadata="https://canary.test"',
      )
    const response = await send(world)
    expect(response.status).toBe(401)
    const challenge = response.headers.get('www-authenticate') ?? ''
    expect(challenge).toContain('error="insufficient_user_authentication"')
    expect(challenge).toContain('acr_values="urn:mfa", max_age="0"')
    expect(challenge + (await response.text())).not.toContain('canary')
    expect(calls(world)).toEqual({ idp: 1, ras: 1, upstream: 2 })
  })

  test('that cannot be replaced is told by the reason', async () => {
    const world = createWorld()
    await send(world)
    world.script.upstream = () => unauthorized()
    world.script.idp = () => json({ error: 'invalid_grant' }, { status: 400 })
    world.clock.advance(5)
    const response = await send(world)
    expect([response.status, await codeOf(response)]).toEqual([401, 'IDP101'])
    expect(calls(world).upstream).toBe(2)
  })
})

describe('the upstream’s answer', () => {
  test.each([200, 201, 204, 206, 304, 400, 404, 409, 418, 422, 429, 500, 503])(
    'passes with its status %i, without our mark',
    async (status) => {
      const world = createWorld()
      const isBare = status === 204 || status === 304
      world.script.upstream = () =>
        new Response(isBare ? null : 'its body', { status, headers: { etag: '"x"', 'retry-after': '9' } })
      const response = await send(world)
      expect([response.status, await response.text(), response.headers.get('retry-after')]).toEqual([
        status,
        isBare ? '' : 'its body',
        '9',
      ])
      expect(response.headers.has('proxy-status')).toBe(false)
    },
  )

  test('of a redirect is not followed, and leads through us again', async () => {
    const world = createWorld()
    for (const [location, told] of [
      ['/v1/elsewhere?x', `${NAMES.gateway}/r/tasks/elsewhere?x`],
      ['https://files.test/x', 'https://files.test/x'],
      ['http://169.254.169.254/', null],
    ]) {
      world.script.upstream = () => new Response(null, { status: 302, headers: { location: location ?? '' } })
      const response = await send(world)
      expect([response.status, response.headers.get('location')]).toEqual([302, told])
    }
    expect(calls(world).upstream).toBe(3)
    expect(world.strays).toEqual([])
  })

  test('of too little scope names our metadata, not the upstream’s', async () => {
    const world = createWorld()
    const challenge =
      'Bearer error="insufficient_scope", scope="tasks.admin", resource_metadata="https://canary.test", error_description="canary"'
    world.script.upstream = () => new Response('no', { status: 403, headers: { 'www-authenticate': challenge } })
    const response = await send(world)
    expect(response.headers.get('www-authenticate')).toBe(
      `Bearer error="insufficient_scope", scope="tasks.admin", resource_metadata="${NAMES.gateway}/.well-known/oauth-protected-resource/r/tasks"`,
    )
    expect([response.status, await response.text()]).toEqual([403, 'no'])
  })

  test('loses every other challenge, every cookie and what would speak for our origin', async () => {
    const world = createWorld()
    world.script.upstream = () =>
      new Response('no', {
        status: 403,
        headers: {
          'www-authenticate': 'Basic realm="canary"',
          'set-cookie': 'canary=1',
          'access-control-allow-origin': '*',
          'strict-transport-security': 'max-age=1',
          'cache-control': 'public, max-age=600',
        },
      })
    const { headers } = await send(world)
    expect(Object.fromEntries(headers)).toEqual({
      'cache-control': 'no-store',
      'content-type': 'text/plain;charset=UTF-8',
    })
  })

  test('to HEAD is judged and forwarded as HEAD, not as GET', async () => {
    const world = createWorld({ rules: [{ id: 'head', effect: 'allow', resources: ['tasks'], methods: ['HEAD'] }] })
    const response = await send(world, '/todos', { method: 'HEAD' })
    // That no body leaves is the runtime's business.
    expect([response.status, world.seen('upstream')[0]?.method]).toEqual([200, 'HEAD'])
    expect((await send(world)).status).toBe(403)
  })
})
