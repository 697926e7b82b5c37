// Proxied requests that are answered by the resource: what reaches it, what comes back, and what stays behind.
import { createHash } from 'node:crypto'
import { request as startRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { eventually, open } from '../support/http.ts'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage({
    edit: (config) => {
      const { tasks } = config.resources
      return {
        ...config,
        resources: { ...config.resources, tasks: { ...tasks, proxy: { ...tasks.proxy, ...UPGRADES } } },
      }
    },
  })
})

const UPGRADES = { web_socket: true }

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

describe('the first request', () => {
  test('exchanges once, redeems once, and is answered with the resource’s own token', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'first' })
    const answer = await stage.ask({ token, path: '/r/tasks/v1/todos?done=false&tag=a%20b' })
    expect(answer.status).toBe(200)
    expect(answer.json).toEqual({
      server: 'tasks',
      method: 'GET',
      path: '/v1/todos?done=false&tag=a%20b',
      sub: 'first',
      scope: 'read write',
      client: 'jagway-at-tasks',
    })
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    expect(world.forwarded()).toBe(1)
    expect(world.strays()).toEqual([])
  })

  test('asks the identity provider as RFC 8693 and the ID-JAG draft want it', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'wire' })
    await stage.ask({ token })
    const { form, headers, method } = world.corp.token.last
    expect(method).toBe('POST')
    expect(headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/)
    expect(Object.fromEntries(form)).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      requested_token_type: 'urn:ietf:params:oauth:token-type:id-jag',
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      audience: world.tasks.issuer,
      resource: world.tasks.resource,
      scope: 'read write',
    })
    const redemption = world.tasks.token.last
    expect([...redemption.form.keys()].toSorted()).toEqual(['assertion', 'grant_type', 'scope'])
    expect(redemption.form.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer')
    expect(redemption.form.get('scope')).toBe('read write')
  })

  test('writes one event that says who, what, by which rule and from where the token came', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'audited' })
    const cold = await (await stage.ask({ token })).event()
    expect(cold).toMatchObject({
      v: 1,
      event: 'request.forward',
      outcome: 'allow',
      user: { issuer: world.corp.issuer, sub: 'audited' },
      client: { id: 'people', auth: 'edge' },
      resource: { id: 'tasks', kind: 'id-jag', aud: world.tasks.issuer },
      scopes: { asked: ['read', 'write'], granted: ['read', 'write'] },
      policy: { effect: 'allow', rule: 'people' },
      http: { method: 'GET', status: 200 },
      cache: 'exchange',
      token: { id_jag_jti: expect.stringMatching(/^jti-/) },
      ms: { total: expect.any(Number), exchange: expect.any(Number), redeem: expect.any(Number) },
    })
    expect(cold).not.toHaveProperty('code')
    const warm = await (await stage.ask({ token })).event()
    expect(warm).toMatchObject({ cache: 'memory', outcome: 'allow' })
  })

  test('counts an upstream’s own error as allowed: the decision was ours, the status is not', async () => {
    const { world } = stage
    const token = await world.corp.idToken()
    world.tasks.api.script({ status: 404, json: { message: 'no such todo' } })
    const answer = await stage.ask({ token })
    expect(answer.status).toBe(404)
    expect(answer.json).toEqual({ message: 'no such todo' })
    expect(answer.headers['proxy-status']).toBeUndefined()
    expect(await answer.event()).toMatchObject({ outcome: 'allow', http: { status: 404 } })
  })
})

describe('request headers', () => {
  test('pass by an allow-list, and those the configuration names', async () => {
    const { world } = stage
    const passed = {
      accept: 'application/json',
      'accept-language': 'de',
      'content-type': 'application/json',
      'idempotency-key': 'k1',
      'if-none-match': '"a"',
      'mcp-session-id': 's1',
      range: 'bytes=0-9',
      'user-agent': 'agent/1',
      'x-project': 'p1',
    }
    const token = await world.corp.idToken()
    await stage.ask({ token, method: 'POST', body: '{}', headers: passed })
    expect(world.tasks.api.last.headers).toMatchObject(passed)
  })

  test('that speak for somebody, or belong to one connection, stay behind', async () => {
    const { world } = stage
    const withheld = {
      cookie: 'session=SPOOF',
      forwarded: 'for=SPOOF',
      'x-forwarded-for': 'SPOOF',
      'x-forwarded-user': 'SPOOF',
      'x-forwarded-access-token': 'SPOOF',
      'x-real-ip': 'SPOOF',
      'x-user': 'SPOOF',
      'x-api-key': 'SPOOF',
      'x-http-method-override': 'SPOOF',
      'x-original-url': 'SPOOF',
      'cf-access-jwt-assertion': 'SPOOF',
      'proxy-authorization': 'SPOOF',
      'x-project_': 'SPOOF',
      te: 'trailers',
      via: 'SPOOF',
    }
    const token = await world.corp.idToken()
    await stage.ask({ token, headers: withheld })
    const { rawHeaders, headers } = world.tasks.api.last
    expect(rawHeaders.join('\n')).not.toContain('SPOOF')
    expect(headers['te']).toBeUndefined()
    expect(headers['host']).toBe(new URL(world.tasks.upstream).host)
  })

  test('nominated by Connection stay behind even where they would pass', async () => {
    const { world } = stage
    const token = await world.corp.idToken()
    await stage.ask({
      token,
      headers: { connection: 'close, X-Project, If-None-Match', 'x-project': 'SPOOF', 'if-none-match': '"SPOOF"' },
    })
    expect(world.tasks.api.last.rawHeaders.join('\n')).not.toContain('SPOOF')
  })

  test('carry one Authorization: the resource’s token, never the caller’s', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'replaced' })
    await stage.ask({ token })
    const { rawHeaders } = world.tasks.api.last
    const values = rawHeaders.filter((_, index) => rawHeaders[index - 1]?.toLowerCase() === 'authorization')
    expect(values).toEqual([expect.stringMatching(/^Bearer at-tasks-/)])
    expect(world.strays()).toEqual([])
  })

  test('carry on the trace with a new parent', async () => {
    const { world } = stage
    const token = await world.corp.idToken()
    const { trace_id: trace } = await (await stage.ask({ token })).event()
    const sent = world.tasks.api.last.headers['traceparent'] ?? ''
    expect(sent).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`))
    expect(sent).not.toContain('00f067aa0ba902b7')
  })
})

describe('answers', () => {
  test('keep status, body and harmless headers, and lose what would speak for our origin', async () => {
    const { world } = stage
    const token = await world.corp.idToken()
    world.tasks.api.script({
      status: 201,
      body: 'made',
      headers: {
        'x-request-cost': '3',
        etag: '"v1"',
        'set-cookie': ['a=1; Path=/', 'b=2', 'c=3'],
        'access-control-allow-origin': '*',
        'access-control-allow-credentials': 'true',
        'strict-transport-security': 'max-age=1',
        'clear-site-data': '"*"',
        'cache-control': 'public, max-age=600',
        connection: 'close, x-hop',
        'x-hop': '1',
      },
    })
    const answer = await stage.ask({ token })
    expect(answer.status).toBe(201)
    expect(answer.text).toBe('made')
    expect(answer.headers).toMatchObject({ 'x-request-cost': '3', etag: '"v1"', 'cache-control': 'no-store' })
    for (const name of [
      'set-cookie',
      'access-control-allow-origin',
      'access-control-allow-credentials',
      'strict-transport-security',
      'clear-site-data',
      'x-hop',
    ])
      expect(answer.headers[name], name).toBeUndefined()
  })

  test('keep a cache directive that is already private', async () => {
    const { world } = stage
    world.tasks.api.script({ body: '', headers: { 'cache-control': 'private, max-age=60' } })
    const answer = await stage.ask({ token: await world.corp.idToken() })
    expect(answer.headers['cache-control']).toBe('private, max-age=60')
  })

  test('HEAD, 204 and 304 have no body and keep their headers', async () => {
    const { world } = stage
    const token = await world.corp.idToken()
    world.tasks.api.script({ status: 200, headers: { 'content-length': '1234', etag: '"h"' }, body: '' })
    const head = await stage.ask({ token, method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, text: '', headers: { 'content-length': '1234', etag: '"h"' } })
    expect(world.tasks.api.last.method).toBe('HEAD')

    world.tasks.api.script({ status: 204 })
    expect(await stage.ask({ token, method: 'DELETE' })).toMatchObject({ status: 204, text: '' })

    world.tasks.api.script({ status: 304, headers: { etag: '"same"' } })
    const notModified = await stage.ask({ token, headers: { 'if-none-match': '"same"' } })
    expect(notModified).toMatchObject({ status: 304, text: '', headers: { etag: '"same"' } })
    expect(world.tasks.api.last.headers['if-none-match']).toBe('"same"')
  })

  test('a compressed body passes as it is', async () => {
    const { world } = stage
    const packed = gzipSync('{"todos":[]}'.repeat(500))
    world.tasks.api.script({
      body: packed,
      headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' },
    })
    const answer = await stage.ask({ token: await world.corp.idToken(), headers: { 'accept-encoding': 'gzip' } })
    expect(answer.headers['content-encoding']).toBe('gzip')
    expect(answer.bytes.equals(packed)).toBe(true)
  })

  test.each([300, 301, 302, 303, 307, 308])(
    'a %i within the upstream is passed on with our address, not followed',
    async (status) => {
      const { world } = stage
      world.tasks.api.script({ status, headers: { location: `${world.tasks.upstream}/v1/todos/7?x=1` } })
      const answer = await stage.ask({ token: await world.corp.idToken() })
      expect(answer.status).toBe(status)
      expect(answer.headers['location']).toBe(`${stage.gateway.url}/r/tasks/v1/todos/7?x=1`)
      expect(world.tasks.api.count).toBe(1)
    },
  )

  test('a relative redirect leads through us too', async () => {
    const { world } = stage
    world.tasks.api.script({ status: 302, headers: { location: '../v2/todos' } })
    const answer = await stage.ask({ token: await world.corp.idToken() })
    expect(answer.headers['location']).toBe(`${stage.gateway.url}/r/tasks/v2/todos`)
  })

  test.each([302, 307, 308])(
    'a %i to another origin over http loses its target and takes no token along',
    async (status) => {
      const { world } = stage
      world.tasks.api.script({ status, headers: { location: `${world.evilOrigin}/landing` } })
      const answer = await stage.ask({ token: await world.corp.idToken(), method: 'POST', body: 'x' })
      expect(answer.status).toBe(status)
      expect(answer.headers['location']).toBeUndefined()
      expect(world.evil.count).toBe(0)
    },
  )

  test('a redirect to another origin over https is the caller’s to follow', async () => {
    const { world } = stage
    world.tasks.api.script({ status: 302, headers: { location: 'https://files.example/one?sig=1' } })
    const answer = await stage.ask({ token: await world.corp.idToken() })
    expect(answer.headers['location']).toBe('https://files.example/one?sig=1')
  })
})

describe('streams', () => {
  test('an event arrives before the stream ends', async () => {
    const { world } = stage
    const end = Promise.withResolvers<undefined>()
    world.tasks.api.script(async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: one\n\n')
      await end.promise
      response.end('data: two\n\n')
    })
    const token = await world.corp.idToken()
    const headers = { authorization: `Bearer ${token}`, accept: 'text/event-stream' }
    const response = await open(`${stage.gateway.url}/r/tasks/v1/events`, { headers })
    const parts: string[] = []
    for await (const chunk of response) {
      parts.push(String(chunk))
      // Only now may the upstream go on: had anybody waited for the whole body, this would never be reached.
      end.resolve(undefined)
    }
    expect(parts[0]).toBe('data: one\n\n')
    expect(parts.join('')).toBe('data: one\n\ndata: two\n\n')
  })

  test('an upload of 20 MB reaches the upstream while it is still being sent', async () => {
    const { world } = stage
    const arrived = Promise.withResolvers<undefined>()
    const hash = createHash('sha256')
    let size = 0
    let framing = ''
    world.tasks.api.script(async (request, response) => {
      framing = request.headers['content-length'] ?? request.headers['transfer-encoding'] ?? ''
      for await (const chunk of request) {
        size += Buffer.from(chunk).length
        hash.update(Buffer.from(chunk))
        arrived.resolve(undefined)
      }
      response.end('stored')
    })
    const chunk = Buffer.alloc(1_000_000, 'upload')
    const answer = await stage.ask({
      token: await world.corp.idToken(),
      method: 'POST',
      headers: { 'content-length': String(20 * chunk.length), 'content-type': 'application/octet-stream' },
      body: async (write) => {
        await write(chunk)
        // The rest is sent only after the upstream has the beginning.
        await arrived.promise
        for (let sent = 1; sent < 20; sent++) await write(chunk)
      },
    })
    expect(answer.text).toBe('stored')
    expect(size).toBe(20_000_000)
    const expected = createHash('sha256')
    for (let sent = 0; sent < 20; sent++) expected.update(chunk)
    expect(hash.digest('hex')).toBe(expected.digest('hex'))
    expect(['20000000', 'chunked']).toContain(framing)
  })

  test('a WebSocket is passed through where the resource has it', async () => {
    const { world } = stage
    world.tasks.onUpgrade = echo
    const token = await world.corp.idToken()
    const spoken = await speak(stage.gateway.url, '/r/tasks/v1/live', token, 'hello')
    expect(spoken).toBe('hello')
    const { headers, rawHeaders } = world.tasks.api.last
    expect(headers['authorization']).toMatch(/^Bearer at-tasks-/)
    expect(rawHeaders.join('\n')).not.toContain(token)
  })
})

describe('a token the resource no longer takes', () => {
  test('is replaced once, and the request is sent again', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'renewed' })
    await stage.ask({ token })
    world.calm()
    world.tasks.api.script({ status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })
    const answer = await stage.ask({ token })
    expect(answer.status).toBe(200)
    expect(answer.json).toMatchObject({ sub: 'renewed' })
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    expect(world.tasks.api.count).toBe(2)
    const sent = world.tasks.api.requests.map(({ headers }) => headers['authorization'])
    expect(new Set(sent).size).toBe(2)
    expect(await answer.event()).toMatchObject({ outcome: 'allow', cache: 'exchange' })
  })

  test('is replaced too where the flight had kept it, long after it was issued', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'kept' })
    await stage.ask({ token })
    // The store forgets, and so does the isolate; the flight does not.
    const store = await stage.gateway.tokens()
    await eventually(async () => (await store.list()).keys.length > 0)
    for (const { name } of (await store.list()).keys) await store.delete(name)
    await stage.gateway.reload()
    world.calm()
    world.tasks.api.script({ status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })
    const answer = await stage.ask({ token })
    expect({ status: answer.status, sub: answer.json['sub'] }).toEqual({ status: 200, sub: 'kept' })
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    expect(world.tasks.api.count).toBe(2)
  })

  test('is replaced for a POST without a body as well', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'bodyless' })
    await stage.ask({ token })
    world.calm()
    world.tasks.api.script({ status: 401 })
    const answer = await stage.ask({ token, method: 'POST', headers: { 'content-length': '0' } })
    expect({ status: answer.status, method: answer.json['method'] }).toEqual({ status: 200, method: 'POST' })
    expect(world.tasks.api.count).toBe(2)
    expect(world.tasks.api.last.headers['content-length']).toBe('0')
  })

  test('is forgotten everywhere: the next request uses the new one', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'renewed' })
    await stage.ask({ token })
    expect(world.legs()).toEqual({ exchanges: 0, redemptions: 0 })
    expect(world.tasks.api.count).toBe(1)
  })
})

/** A WebSocket server of a few lines: it sends every short frame back unmasked. */
function echo(request: IncomingMessage, socket: Duplex): void {
  const key = request.headers['sec-websocket-key'] ?? ''
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  socket.on('error', () => undefined)
  socket.on('data', (frame: Buffer) => {
    const length = (frame[1] ?? 0) & 0x7f
    const mask = frame.subarray(2, 6)
    const payload = frame.subarray(6, 6 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0))
    socket.write(Buffer.concat([Buffer.from([frame[0] ?? 0, length]), payload]))
  })
}

function speak(url: string, path: string, token: string, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const headers = {
    authorization: `Bearer ${token}`,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': Buffer.alloc(16, 'k').toString('base64'),
  }
  const sent = startRequest(`${url}${path}`, { headers, agent: false })
  sent.on('error', reject)
  sent.on('response', ({ statusCode }) => reject(new Error(`no upgrade but ${statusCode}`)))
  sent.on('upgrade', (_response, socket, head) => {
    socket.on('error', () => undefined)
    const read = (frame: Buffer) => {
      const length = (frame[1] ?? 0) & 0x7f
      resolve(frame.subarray(2, 2 + length).toString())
      socket.destroy()
    }
    if (head.length > 0) read(head)
    else socket.once('data', read)
    const payload = Buffer.from(text)
    socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]))
  })
  sent.end()
  return promise
}
