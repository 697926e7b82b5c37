// What the platform does to a request and an answer on their way, on the built Worker: the cases in which a proxy is easily
// not transparent, or too much so. The plain ones stand in gateway.200.test.ts.
import { createHash } from 'node:crypto'
import { request as startRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { open } from '../support/http.ts'
import { openStage, type Stage } from '../support/stage.ts'

const MEGABYTE = 1_000_000
/** What may be on its way between two programs that do not read: buffers of sockets and of the runtime, at both hops. */
const IN_FLIGHT_BYTES = 24 * MEGABYTE
const SIZE = 50 * MEGABYTE

let stage: Stage
let token: string

beforeAll(async () => {
  stage = await openStage({
    edit: (config) => {
      const { tasks } = config.resources
      const proxy = { ...tasks.proxy, cookies: ['lb', 'pref'], web_socket: true }
      return { ...config, resources: { ...config.resources, tasks: { ...tasks, proxy } } }
    },
  })
  token = await stage.world.corp.idToken()
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

/** Waits until a number has not changed for a while. */
async function settled(read: () => number, quietMs = 400): Promise<number> {
  let last = read()
  for (let since = Date.now(); Date.now() - since < quietMs;) {
    await new Promise((done) => setTimeout(done, 20))
    if (read() !== last) {
      last = read()
      since = Date.now()
    }
  }
  return last
}

describe('a request', () => {
  test('gets no header that the caller did not send, but a trace and what the platform adds', async () => {
    await stage.ask({ token })
    const { headers } = stage.world.tasks.api.last
    const ours = ['authorization', 'host', 'traceparent']
    // The runtime says who calls, and that no cache may answer, for that is how the request is made.
    const platform = ['cache-control', 'cf-worker', 'pragma']
    expect(Object.keys(headers).toSorted()).toEqual([...ours, ...platform].toSorted())
  })

  test('keeps its length, and is chunked where it had none', async () => {
    const { api } = stage.world.tasks
    await stage.ask({ token, method: 'POST', body: 'x'.repeat(100), headers: { 'content-length': '100' } })
    expect(api.last.headers['content-length']).toBe('100')
    expect(api.last.body).toHaveLength(100)
    const answer = await stage.ask({ token, method: 'POST', body: async (write) => write(Buffer.from('chunks')) })
    expect(answer.status).toBe(200)
    expect(api.last.headers).toMatchObject({ 'transfer-encoding': 'chunked' })
    expect(api.last.body).toBe('chunks')
  })

  test('is compressed as it came', async () => {
    const packed = gzipSync('{"title":"x"}')
    let received = Buffer.alloc(0)
    stage.world.tasks.api.script(async (request, response) => {
      for await (const chunk of request) received = Buffer.concat([received, Buffer.from(chunk)])
      response.end()
    })
    await stage.ask({ token, method: 'POST', body: packed, headers: { 'content-encoding': 'gzip' } })
    expect(received.equals(packed)).toBe(true)
  })

  test('loses its trailers and nothing else', async () => {
    const answer = await sayRaw(
      `POST /r/tasks/v1/todos HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer ${token}\r\nTE: trailers\r\nTrailer: X-Late\r\n` +
        'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nbody\r\n0\r\nX-Late: SPOOF\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    const { body, rawHeaders } = stage.world.tasks.api.last
    expect(body).toBe('body')
    expect(rawHeaders.join('\n')).not.toMatch(/SPOOF|trailer/i)
  })

  test('that waits for "100 Continue" gets it and goes on', async () => {
    const headers = { authorization: `Bearer ${token}`, expect: '100-continue', 'content-length': '4' }
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const sent = startRequest(`${stage.gateway.url}/r/tasks/v1/todos`, { method: 'POST', headers, agent: false })
    sent.on('continue', () => sent.end('body'))
    sent.on('response', resolve)
    sent.on('error', reject)
    sent.flushHeaders()
    const response = await promise
    expect(response.statusCode).toBe(200)
    response.resume()
    expect(stage.world.tasks.api.last.body).toBe('body')
    expect(stage.world.tasks.api.last.headers['expect']).toBeUndefined()
  })

  test('of 50 MB is held back while the upstream does not read, and arrives whole', async () => {
    const reading = Promise.withResolvers<undefined>()
    const hash = createHash('sha256')
    let size = 0
    stage.world.tasks.api.script(async (request, response) => {
      await reading.promise
      for await (const chunk of request) {
        size += Buffer.from(chunk).length
        hash.update(Buffer.from(chunk))
      }
      response.end('stored')
    })
    const chunk = Buffer.alloc(MEGABYTE, 'upload')
    let written = 0
    const answer = stage.ask({
      token,
      method: 'PUT',
      headers: { 'content-length': String(SIZE) },
      body: async (write) => {
        for (; written < SIZE; written += chunk.length) await write(chunk)
      },
    })
    const held = await settled(() => written)
    expect(held).toBeGreaterThan(0)
    expect(held).toBeLessThan(IN_FLIGHT_BYTES)
    reading.resolve(undefined)
    expect((await answer).text).toBe('stored')
    expect(size).toBe(SIZE)
    const expected = createHash('sha256')
    for (let sent = 0; sent < SIZE; sent += chunk.length) expected.update(chunk)
    expect(hash.digest('hex')).toBe(expected.digest('hex'))
  })
})

describe('an answer', () => {
  test('of 50 MB is held back while the caller does not read, and arrives whole', async () => {
    let written = 0
    stage.world.tasks.api.script(async (_request, response) => {
      response.writeHead(200, { 'content-length': String(SIZE) })
      const chunk = Buffer.alloc(MEGABYTE, 'download')
      for (; written < SIZE; written += chunk.length)
        if (!response.write(chunk)) await new Promise((done) => response.once('drain', done))
      response.end()
    })
    const response = await open(`${stage.gateway.url}/r/tasks/v1/export`, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect(response.headers['content-length']).toBe(String(SIZE))
    const held = await settled(() => written)
    expect(held).toBeLessThan(IN_FLIGHT_BYTES)
    let size = 0
    for await (const chunk of response) size += Buffer.from(chunk).length
    expect(size).toBe(SIZE)
  })

  test('is compressed as it came, whether the caller asked for that or not', async () => {
    const packed = gzipSync('{"todos":[]}'.repeat(100))
    for (const headers of [{}, { 'accept-encoding': 'identity' }, { 'accept-encoding': 'br' }]) {
      stage.world.tasks.api.script({ body: packed, headers: { 'content-encoding': 'gzip' } })
      const answer = await stage.ask({ token, headers })
      expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip' })
      expect(answer.bytes.equals(packed)).toBe(true)
    }
  })

  test('of a compressed document to HEAD says what GET would', async () => {
    const headers = { 'content-encoding': 'gzip', 'content-length': '4321' }
    stage.world.tasks.api.script({ headers, body: '' })
    expect(await stage.ask({ token, method: 'HEAD' })).toMatchObject({ status: 200, text: '', headers })
  })

  test.each([
    ['a part', { range: 'bytes=5-9' }, 206, { 'content-range': 'bytes 5-9/100', 'content-length': '5' }, 'parts'],
    ['two parts', { range: 'bytes=0-1,4-5' }, 206, { 'content-type': 'multipart/byteranges; boundary=B' }, '--B--'],
    ['no such part', { range: 'bytes=900-' }, 416, { 'content-range': 'bytes */100' }, ''],
  ] as const)('with %s of a document passes with what says which', async (_what, asked, status, headers, body) => {
    stage.world.tasks.api.script({ status, headers: { ...headers, 'accept-ranges': 'bytes' }, body })
    const answer = await stage.ask({ token, headers: { ...asked, 'if-range': '"v1"' } })
    expect(answer).toMatchObject({ status, text: body, headers: { ...headers, 'accept-ranges': 'bytes' } })
    expect(stage.world.tasks.api.last.headers).toMatchObject({ ...asked, 'if-range': '"v1"' })
  })

  test.each([100, 102, 103])('that is preceded by a %i is the final one', async (status) => {
    stage.world.tasks.api.script(async (_request, response) => {
      interim(response, status)
      response.writeHead(201, { 'x-final': 'yes' }).end('made')
    })
    const answer = await stage.ask({ token, method: 'POST', body: '{}' })
    expect(answer).toMatchObject({ status: 201, text: 'made', headers: { 'x-final': 'yes' } })
  })

  test.each([204, 205, 304])('with %i has no body, whatever the upstream sends along', async (status) => {
    stage.world.tasks.api.script(async (_request, response) => {
      response.socket?.end(`HTTP/1.1 ${status} Odd\r\nETag: "e"\r\nConnection: close\r\n\r\nSMUGGLED`)
    })
    const answer = await stage.ask({ token })
    expect(answer.status).toBe(status)
    expect(answer.headers['etag']).toBe('"e"')
    expect(answer.text).toBe('')
  })

  test('loses its trailers and nothing else', async () => {
    stage.world.tasks.api.script(async (_request, response) => {
      response.writeHead(200, { trailer: 'x-late', 'transfer-encoding': 'chunked' })
      response.write('body')
      response.addTrailers({ 'x-late': 'yes' })
      response.end()
    })
    const response = await open(`${stage.gateway.url}/r/tasks/v1/x`, { headers: { authorization: `Bearer ${token}` } })
    const parts: string[] = []
    for await (const chunk of response) parts.push(String(chunk))
    expect([parts.join(''), response.headers['trailer'], response.trailers]).toEqual(['body', undefined, {}])
  })

  test('keeps headers that are given several times', async () => {
    stage.world.tasks.api.script({
      body: '',
      headers: {
        link: ['</a>; rel=next', '</b>; rel=prev'],
        vary: 'Accept, Accept-Language',
        'x-many': ['1', '2'],
      },
    })
    const { headers } = await stage.ask({ token })
    expect(headers).toMatchObject({
      link: '</a>; rel=next, </b>; rel=prev',
      vary: 'Accept, Accept-Language',
      'x-many': '1, 2',
    })
  })

  test('loses the challenges of the upstream and of proxies before it', async () => {
    stage.world.tasks.api.script({
      status: 407,
      headers: { 'proxy-authenticate': 'Basic realm="evil"', 'www-authenticate': 'Basic realm="evil"' },
    })
    const answer = await stage.ask({ token })
    expect(answer.status).toBe(407)
    expect(answer.rawHeaders.join('\n')).not.toContain('evil')
  })

  test.each([300, 304, 305, 306])('with %i and nothing to say where is passed on', async (status) => {
    stage.world.tasks.api.script({ status })
    expect((await stage.ask({ token })).status).toBe(status)
    expect(stage.world.tasks.api.count).toBe(1)
  })
})

describe('cookies', () => {
  test('that the resource names cross in both directions, and no other', async () => {
    const { api } = stage.world.tasks
    api.script({
      body: '',
      headers: {
        'set-cookie': [
          'lb=1; Domain=127.0.0.1; Path=/; HttpOnly; SameSite=Strict',
          'session=SPOOF; Path=/',
          'pref=a; Path=/v1; Max-Age=60',
          '__Host-gw=SPOOF; Path=/; Secure',
        ],
      },
    })
    const answer = await stage.ask({ token, headers: { cookie: 'lb=0; session=SPOOF; gw=SPOOF; pref=b' } })
    const set = answer.rawHeaders.filter((_, at) => answer.rawHeaders[at - 1]?.toLowerCase() === 'set-cookie')
    expect(set).toEqual(['lb=1; Path=/r/tasks; HttpOnly; SameSite=Strict', 'pref=a; Path=/r/tasks/v1; Max-Age=60'])
    expect(api.last.headers['cookie']).toBe('lb=0; pref=b')
  })

  test('sent in two headers hide no other behind the seam', async () => {
    const answer = await sayRaw(
      `GET /r/tasks/v1/todos HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer ${token}\r\nCookie: lb=0\r\nCookie: session=SPOOF\r\n` +
        'Connection: close\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(stage.world.tasks.api.last.rawHeaders.join('\n')).not.toContain('SPOOF')
  })

  test('of a resource that names none stay behind', async () => {
    stage.world.notes.api.script({ body: '', headers: { 'set-cookie': 'lb=1' } })
    const answer = await stage.ask({ token, path: '/r/notes/v1/notes', headers: { cookie: 'lb=0' } })
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(stage.world.notes.api.last.headers['cookie']).toBeUndefined()
  })
})

describe('an upgrade', () => {
  test('that the upstream refuses is answered as it answers', async () => {
    stage.world.tasks.onUpgrade = (_request, socket) => {
      socket.end('HTTP/1.1 403 No\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nX-Why: full\r\n\r\nnot so')
    }
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': Buffer.alloc(16, 'k').toString('base64'),
      'sec-websocket-protocol': 'chat, superchat',
    }
    const answer = await stage.ask({ token, headers, path: '/r/tasks/v1/live' })
    expect(answer).toMatchObject({ status: 403, text: 'not so', headers: { 'x-why': 'full' } })
    expect(stage.world.tasks.api.last.headers).toMatchObject({ 'sec-websocket-protocol': 'chat, superchat' })
  })
})

/** One exchange in plain bytes: what no HTTP client would send. */
async function sayRaw(text: string): Promise<string> {
  const { port } = new URL(stage.gateway.url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.end(text)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

function interim(response: ServerResponse, status: number): void {
  if (status === 100) response.writeContinue()
  else if (status === 102) response.writeProcessing()
  else response.writeEarlyHints({ link: '</style.css>; rel=preload' })
}
