// A Host that is none. Cloudflare lets none of these through; a gateway of one's own hears them.
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  const admin = { id_token: { clients: ['people'], view: { users: ['corp/root'] } } }
  stage = await openStage({ edit: (config) => ({ ...config, admin }) })
})

afterAll(() => stage.close())

/** The status line of what comes back for bytes that no client library would send. */
function statusOf(head: string, body = ''): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = connect(Number(new URL(stage.gateway.url).port), '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => (answer += chunk.toString('latin1')))
  socket.once('close', () => resolve(answer.split('\r\n')[0] ?? ''))
  socket.on('error', () => undefined)
  socket.write(`${head}\r\nConnection: close\r\n\r\n${body}`)
  return promise
}

test.each(['[', 'a b', 'a%', 'x:99999', '1.2.3.4.5', '<x>'])('%j is the mistake of whoever sends it', async (host) => {
  const form = 'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3'
  expect([
    await statusOf(`POST /token HTTP/1.1\r\nHost: ${host}\r\n${form}`, 'a=b'),
    await statusOf(`GET /admin/api/connections HTTP/1.1\r\nHost: ${host}`),
    await statusOf(`GET /errors/POL100 HTTP/1.1\r\nHost: ${host}`),
  ]).toEqual(Array.from({ length: 3 }, () => 'HTTP/1.1 400 Bad Request'))
})

test.each(['[', 'a b', 'x:99999'])(
  '%j before a resource is no fault either, with a proof and without',
  async (host) => {
    const token = await stage.world.corp.idToken()
    for (const more of ['', '\r\nDPoP: e30.e30.e30', '\r\nOrigin: https://x.test']) {
      const line = await statusOf(
        `GET /r/tasks/v1/todos HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}${more}`,
      )
      expect(line).not.toContain(' 500 ')
    }
  },
)
