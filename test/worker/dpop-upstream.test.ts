// Tokens that are bound to a key of the gateway (RFC 9449), in the built Worker: with servers that bind, with servers that bend
// the rules, and with nonces. The honest API here takes a bound token only with a proof of its key, for its own address, once.
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Endpoint, Script } from '../support/counterparties.ts'
import { readProof } from '../support/dpop.ts'
import { expectProblem, expectTokenError } from '../support/refusals.ts'
import { openStage, type Answer, type Stage } from '../support/stage.ts'

let stage: Stage

// `tasks` must be bound throughout, `notes` may be.
beforeAll(async () => {
  stage = await openStage({
    instances: 2,
    edit: (config) => ({
      ...config,
      idps: {
        ...config.idps,
        corp: { ...config.idps.corp, quirks: { dpop: 'require' } },
        partner: { ...config.idps.partner, quirks: { dpop: 'try' } },
      },
      resources: {
        ...config.resources,
        tasks: {
          ...config.resources.tasks,
          dpop: 'require',
          proxy: { ...config.resources.tasks.proxy, web_socket: true },
        },
        notes: { ...config.resources.notes, dpop: 'try' },
      },
    }),
  })
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

let users = 0

/** Each time somebody nobody has a token for. */
const somebody = () => stage.world.corp.idToken({ sub: `user-${users++}` })
const partner = () => stage.world.partner.idToken({ sub: `partner-${users++}`, tenant: 'acme' })

const nonceWanted = (nonce: string): Script => ({
  status: 400,
  headers: { 'dpop-nonce': nonce },
  json: { error: 'use_dpop_nonce' },
})

const challenge = (value: string, headers: Record<string, string> = {}): Script => ({
  status: 401,
  headers: { 'www-authenticate': value, ...headers },
})

const proofsAt = ({ requests }: Endpoint) => Promise.all(requests.map(({ headers }) => readProof(headers['dpop'])))

const expectServed = (answer: Answer): void => {
  expect([answer.status, answer.headers['dpop-nonce'], answer.headers['www-authenticate']]).toEqual([
    200,
    undefined,
    undefined,
  ])
  expect(stage.world.strays()).toEqual([])
}

describe('servers that bind', () => {
  test('are proven one key from the sign-in to the API', async () => {
    const { world } = stage
    expectServed(await stage.ask({ token: await somebody(), path: '/r/tasks/v1/todos?done=no' }))
    const proofs = (await Promise.all([world.corp.token, world.tasks.token, world.tasks.api].map(proofsAt))).flat()
    expect(proofs).toHaveLength(3)
    expect(new Set(proofs.map(({ jkt }) => jkt)).size).toBe(1)
    expect(proofs.map(({ claims }) => claims['htu'])).toEqual([
      `${world.corp.issuer}/token`,
      `${world.tasks.issuer}/token`,
      `${world.tasks.upstream}/v1/todos`,
    ])
    expect(world.tasks.api.last.headers['authorization']).toMatch(/^DPoP at-tasks-/)
  })

  test('serve the second request from the cache, in another isolate with the same key', async () => {
    const { world } = stage
    const token = await somebody()
    for (const instance of [0, 0, 1]) expectServed(await stage.ask({ token, instance }))
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    expect(new Set((await proofsAt(world.tasks.api)).map(({ jkt }) => jkt)).size).toBe(1)
  })

  test('serve uploads', async () => {
    const body = 'x'.repeat(100_000)
    expectServed(await stage.ask({ token: await somebody(), method: 'POST', body }))
    expect(stage.world.tasks.api.last.body).toBe(body)
  })

  test('serve WebSockets', async () => {
    const { world } = stage
    world.tasks.onUpgrade = accept
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const socket = new WebSocket(`${stage.gateway.url.replace('http', 'ws')}/r/tasks/v1/live`, {
      headers: { authorization: `Bearer ${await somebody()}` },
    })
    socket.addEventListener('open', () => resolve(undefined))
    socket.addEventListener('error', () => reject(new Error('no WebSocket')))
    await promise
    socket.close()
    const { headers } = world.tasks.api.last
    expect(headers['authorization']).toMatch(/^DPoP at-tasks-/)
    expect((await readProof(headers['dpop'])).claims).toMatchObject({
      htm: 'GET',
      htu: `${world.tasks.upstream}/v1/live`,
    })
  })

  test('do not have their tokens handed out', async () => {
    const refused = await stage.grant()
    await expectTokenError(refused, 'LIM203', 400, 'invalid_target')
    expect(stage.world.legs()).toEqual({ exchanges: 0, redemptions: 0 })
    const form = { subject_token: await partner(), resource: stage.world.notes.resource }
    const after = await stage.grant({ form })
    await expectTokenError(after, 'LIM203', 400, 'invalid_target')
    expect(after.text).not.toContain('at-notes-')
    expect(stage.world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
  })
})

describe('an identity provider', () => {
  test.each<readonly [string, Script]>([
    ['that does not bind the ID-JAG', { idJag: { cnf: undefined } }],
    ['that binds it to another key', { idJag: { cnf: { jkt: 'x'.repeat(43) } } }],
    ['that binds it to a certificate', { idJag: { cnf: { 'x5t#S256': 'x'.repeat(43) } } }],
    ['that calls the proof bad', { status: 400, json: { error: 'invalid_dpop_proof' } }],
    ['that wants a nonce and does not say which', { status: 400, json: { error: 'use_dpop_nonce' } }],
  ])('%s is not believed, and nothing is redeemed', async (_what, script) => {
    stage.world.corp.token.script(script)
    await expectProblem(await stage.ask({ token: await somebody() }), 'IDP113', 502)
    expect(stage.world.legs()).toEqual({ exchanges: 1, redemptions: 0 })
    expect(stage.world.forwarded()).toBe(0)
  })

  test('that need not bind may leave it', async () => {
    stage.world.partner.token.script({ idJag: { cnf: undefined } })
    expectServed(await stage.ask({ token: await partner(), path: '/r/notes/v1/x' }))
  })

  test('that need not bind, and binds to another key, is not believed', async () => {
    stage.world.partner.token.script({ idJag: { cnf: { jkt: 'x'.repeat(43) } } })
    await expectProblem(await stage.ask({ token: await partner(), path: '/r/notes/v1/x' }), 'IDP113', 502)
    expect(stage.world.legs().redemptions).toBe(0)
  })
})

describe('an authorization server', () => {
  test('that answers with a bearer token is not believed, and the token is not used', async () => {
    stage.world.tasks.token.script({ patch: { token_type: 'Bearer' } })
    await expectProblem(await stage.ask({ token: await somebody() }), 'RAS113', 502)
    expect(stage.world.forwarded()).toBe(0)
  })

  test('that need not bind may answer with a bearer token, which is then used as one', async () => {
    const { world } = stage
    world.partner.token.script({ idJag: { cnf: undefined } })
    world.notes.token.script({ patch: { token_type: 'Bearer' } })
    world.notes.api.script({ json: { fine: true } })
    expectServed(await stage.ask({ token: await partner(), path: '/r/notes/v1/x' }))
    expect(world.notes.api.last.headers['authorization']).toMatch(/^Bearer at-notes-/)
    expect(world.notes.api.last.headers).not.toHaveProperty('dpop')
  })

  test('that calls the proof bad is asked once', async () => {
    stage.world.tasks.token.script({ status: 400, json: { error: 'invalid_dpop_proof' } })
    await expectProblem(await stage.ask({ token: await somebody() }), 'RAS113', 502)
    expect(stage.world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
  })
})

describe('nonces', () => {
  test('of an identity provider and an authorization server are put into a second proof, and then into every first', async () => {
    const { world } = stage
    world.corp.token.script(nonceWanted('idp-1'))
    world.tasks.token.script(nonceWanted('ras-1'))
    expectServed(await stage.ask({ token: await somebody() }))
    expect(world.legs()).toEqual({ exchanges: 2, redemptions: 2 })
    for (const [endpoint, nonce] of [
      [world.corp.token, 'idp-1'],
      [world.tasks.token, 'ras-1'],
    ] as const) {
      const [first, second] = await proofsAt(endpoint)
      expect(second?.claims['nonce']).toBe(nonce)
      expect(first?.claims.jti).not.toBe(second?.claims.jti)
      expect(endpoint.requests[0]?.body).toBe(endpoint.requests[1]?.body)
    }
    world.calm()
    expectServed(await stage.ask({ token: await somebody() }))
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    expect((await proofsAt(world.corp.token))[0]?.claims['nonce']).toBe('idp-1')
  })

  test('that a server wants without end are given once', async () => {
    const { world } = stage
    world.corp.token.script(nonceWanted('loop'), 9)
    await expectProblem(await stage.ask({ token: await somebody() }), 'IDP113', 502)
    expect(world.legs()).toEqual({ exchanges: 2, redemptions: 0 })
    world.calm()
    world.tasks.token.script(nonceWanted('loop'), 9)
    await expectProblem(await stage.ask({ token: await somebody() }), 'RAS113', 502)
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 2 })
    expect(world.forwarded()).toBe(0)
  })

  test('of an API are put into a second proof, with the body of the request', async () => {
    const { world } = stage
    world.tasks.api.script(challenge('DPoP error="use_dpop_nonce"', { 'dpop-nonce': 'api-1' }))
    expectServed(await stage.ask({ token: await somebody(), method: 'POST', body: 'todo' }))
    expect(world.tasks.api.requests.map(({ body }) => body)).toEqual(['todo', 'todo'])
    expect((await proofsAt(world.tasks.api)).map(({ claims }) => claims['nonce'])).toContain('api-1')
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
  })

  test('of an API that wants them without end are given once, and its words stay here', async () => {
    const { world } = stage
    world.tasks.api.script(challenge('DPoP error="use_dpop_nonce", realm="FOREIGN"', { 'dpop-nonce': 'api-2' }), 9)
    const answer = await stage.ask({ token: await somebody() })
    await expectProblem(answer, 'UPS113', 502)
    expect(world.tasks.api.count).toBe(2)
    expect(answer.rawHeaders.join('\n')).not.toMatch(/FOREIGN|api-2|dpop-nonce/i)
  })

  test('of an API do not pass for a nonce of ours', async () => {
    const { world } = stage
    world.tasks.api.script({ json: {}, headers: { 'dpop-nonce': 'api-3' } })
    expectServed(await stage.ask({ token: await somebody() }))
  })
})

describe('an API', () => {
  test('that rejects the token gets another one, with another key, once', async () => {
    const { world } = stage
    const token = await somebody()
    expectServed(await stage.ask({ token }))
    world.calm()
    world.tasks.api.script(challenge('DPoP error="invalid_token"'))
    expectServed(await stage.ask({ token }))
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    expect(new Set((await proofsAt(world.tasks.api)).map(({ jkt }) => jkt)).size).toBe(2)
  })

  test('that calls the proof bad is not asked again, and costs no token', async () => {
    const { world } = stage
    const token = await somebody()
    expectServed(await stage.ask({ token }))
    world.calm()
    world.tasks.api.script(challenge('DPoP error="invalid_dpop_proof"'))
    await expectProblem(await stage.ask({ token }), 'UPS113', 502)
    expect([world.legs(), world.tasks.api.count]).toEqual([{ exchanges: 0, redemptions: 0 }, 1])
  })
})

/** The handshake alone. */
function accept(request: IncomingMessage, socket: Duplex): void {
  const key = request.headers['sec-websocket-key'] ?? ''
  const answer = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  socket.on('error', () => undefined)
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${answer}\r\n\r\n`,
  )
}
