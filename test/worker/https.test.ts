// The gateway behind `--https-key` and `--https-cert`: TLS, and nothing of the runtime's own between it and the Worker.
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { connect as connectPlainly } from 'node:net'
import { connect } from 'node:tls'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchGateway } from '../../src/cli/launch.ts'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage
let token: string
let ca: string
let pair: { readonly key: string; readonly cert: string }

beforeAll(async () => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    keySize: 2048,
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  })
  ca = cert
  pair = { key, cert }
  stage = await openStage({ instances: 2, launch: (options) => launchGateway({ ...options, https: pair }) })
  token = await stage.world.corp.idToken()
})

afterAll(() => stage.close())

async function ask(instance: number, path: string, headers: Record<string, string> = {}): Promise<[number, string]> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const url = `${stage.gateway.urls[instance] ?? ''}${path}`
  const sent = request(url, { ca, agent: false, headers: { authorization: `Bearer ${token}`, ...headers } }, resolve)
  sent.on('error', reject)
  sent.end()
  const answer = await promise
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(Buffer.from(chunk))
  return [answer.statusCode ?? 0, Buffer.concat(chunks).toString('utf8')]
}

test('answers https on every instance', async () => {
  expect(stage.gateway.urls.map((url) => new URL(url).protocol)).toEqual(['https:', 'https:'])
  for (const instance of [0, 1]) {
    const [status, text] = await ask(instance, '/r/tasks/v1/todos')
    expect([status, JSON.parse(text)]).toEqual([200, expect.objectContaining({ sub: 'alice' })])
  }
})

test.each(['MF-Original-URL', 'MF-Route-Override', 'MF-CF-Blob', 'X-Forwarded-Host'])(
  'no %s of a caller chooses another URL',
  async (name) => {
    stage.world.calm()
    const [status] = await ask(0, '/r/tasks/v1/todos', { [name]: 'https://evil.example/r/notes/v1/todos' })
    expect(status).toBe(200)
    expect([stage.world.tasks.api.count, stage.world.notes.api.count]).toEqual([1, 0])
    expect(Object.keys(stage.world.tasks.api.last.headers)).not.toContain(name.toLowerCase())
  },
)

test.each(['/cdn-cgi/mf/reload', '/cdn-cgi/explorer', '/cdn-cgi/handler/scheduled'])(
  'nothing is at %s',
  async (path) => {
    expect((await ask(0, path))[0]).toBe(404)
  },
)

test('a caller that speaks no TLS, or breaks off, harms nobody', async () => {
  const { port } = new URL(stage.gateway.url)
  const { promise, resolve } = Promise.withResolvers<void>()
  const socket = connect({ port: Number(port), host: '127.0.0.1', ca })
  socket.once('secureConnect', () => {
    socket.write('GET /r/tasks/v1/todos HTTP/1.1\r\nHost: x\r\n')
    socket.destroy()
  })
  socket.once('close', () => resolve())
  socket.on('error', () => undefined)
  await promise
  await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)
  expect((await ask(0, '/r/tasks/v1/todos'))[0]).toBe(200)
})

test('is not kept from closing by a connection whose handshake never comes', async () => {
  const { world } = stage
  const other = await openStage({ world, launch: (options) => launchGateway({ ...options, https: pair }) })
  const { port } = new URL(other.gateway.url)
  const silent = connectPlainly(Number(port), '127.0.0.1')
  silent.on('error', () => undefined)
  await new Promise<void>((done) => silent.once('connect', done))
  const start = performance.now()
  await other.close({ keepWorld: true })
  expect(performance.now() - start).toBeLessThan(15_000)
})
