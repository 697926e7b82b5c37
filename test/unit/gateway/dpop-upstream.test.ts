// Requests to APIs whose tokens are bound to a key of ours (RFC 9449 section 7): the proof that goes along, nonces, and how
// often anybody is asked.
import { describe, expect, test } from 'vitest'
import { athOf, readProof } from '../../support/dpop.ts'
import {
  createWorld,
  json,
  NAMES,
  RESOURCES,
  type Isolate,
  type Json,
  type Seen,
  type World,
} from '../support/world.ts'

function boundWorld(more: Json = {}): World {
  return createWorld({ resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, dpop: 'require', ...more } } })
}

interface Sent extends RequestInit {
  readonly from?: Isolate
}

async function send(world: World, path = '/todos', { from = world, ...init }: Sent = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${await world.idToken()}`, ...Object.fromEntries(new Headers(init.headers)) }
  return from.app(new Request(`${NAMES.gateway}/r/tasks${path}`, { ...init, headers }))
}

async function codeOf(response: Response): Promise<string> {
  return (await response.json<{ code: string }>()).code
}

const proofIn = ({ headers }: Seen): ReturnType<typeof readProof> => readProof(headers.get('dpop'))

const nonces = (world: World): Promise<unknown[]> =>
  Promise.all(world.seen('upstream').map(async (seen) => (await proofIn(seen)).claims['nonce']))

const challenge = (value: string, headers: Record<string, string> = {}): Response =>
  new Response('canary', { status: 401, headers: { 'www-authenticate': value, ...headers } })

const nonceWanted = (nonce: string): Response => challenge('DPoP error="use_dpop_nonce"', { 'dpop-nonce': nonce })

/** The API wants this nonce in each proof. */
function demand(world: World, nonce: string): void {
  const { upstream } = world.script
  world.script.upstream = async (seen) =>
    (await proofIn(seen)).claims['nonce'] === nonce ? upstream(seen) : nonceWanted(nonce)
}

const cost = (world: World): readonly number[] =>
  (['idp', 'ras', 'upstream'] as const).map((role) => world.seen(role).length)

describe('a request to an API with bound tokens', () => {
  test('goes out with the token, and a proof for it, the method, and the API’s own address without query', async () => {
    const world = boundWorld()
    expect((await send(world, '/todos?done=no', { method: 'POST', body: 'x' })).status).toBe(200)
    const [seen] = world.seen('upstream')
    if (seen === undefined) throw new Error('nothing was forwarded')
    expect(seen.headers.get('authorization')).toBe('DPoP canary-access-alice-1')
    const { jkt, claims } = await proofIn(seen)
    expect(jkt).toBe((await readProof(world.seen('ras')[0]?.headers.get('dpop'))).jkt)
    expect(claims).toEqual({
      jti: expect.any(String),
      htm: 'POST',
      htu: `${NAMES.api}/todos`,
      iat: world.clock.now(),
      ath: athOf('canary-access-alice-1'),
    })
  })

  test('has a proof of its own each time, by the same key, from every isolate', async () => {
    const world = boundWorld()
    await send(world)
    await world.settle()
    await send(world)
    await send(world, '/todos', { from: world.isolate('elsewhere') })
    const proofs = await Promise.all(world.seen('upstream').map(proofIn))
    expect(new Set(proofs.map(({ claims }) => claims.jti)).size).toBe(3)
    expect(new Set(proofs.map(({ jkt }) => jkt)).size).toBe(1)
    expect(cost(world)).toEqual([1, 1, 3])
  })

  test('does not take over a proof of the caller, nor a header that looks like one', async () => {
    const world = boundWorld({ proxy: { path: '/r/tasks', upstream: NAMES.api, request_headers: ['x-app'] } })
    await send(world, '/todos', { headers: { 'x-app': 'a', connection: 'dpop' } })
    expect(world.seen('upstream')[0]?.headers.get('dpop')).not.toBeNull()
  })

  test('is a bearer request where the server binds nothing, and that is allowed', async () => {
    const world = boundWorld({ dpop: 'try' })
    world.alter('ras', { token_type: 'Bearer' })
    await send(world)
    const [seen] = world.seen('upstream')
    expect([seen?.headers.get('authorization'), seen?.headers.has('dpop')]).toEqual([
      'Bearer canary-access-alice-1',
      false,
    ])
  })

  test('of a WebSocket goes out with a proof, too', async () => {
    const world = boundWorld({ proxy: { path: '/r/tasks', upstream: NAMES.api, web_socket: true } })
    demand(world, 'n-1')
    await send(world, '/live', { headers: { upgrade: 'websocket' } })
    const [, seen] = world.seen('upstream')
    expect(seen?.headers.get('upgrade')).toBe('websocket')
    expect(await nonces(world)).toEqual([undefined, 'n-1'])
  })
})

describe('an API that wants a nonce', () => {
  test('is asked once more, and neither it nor its challenge reaches the caller', async () => {
    const world = boundWorld()
    demand(world, 'n-1')
    const response = await send(world)
    expect([response.status, await response.json()]).toEqual([200, { it: 'works' }])
    expect([response.headers.has('dpop-nonce'), response.headers.has('www-authenticate')]).toEqual([false, false])
    expect(await nonces(world)).toEqual([undefined, 'n-1'])
    expect(cost(world)).toEqual([1, 1, 2])
  })

  test('gets it at once the next time, for another user and resource path too', async () => {
    const world = boundWorld()
    demand(world, 'n-1')
    await send(world)
    const bob = await world.idToken({ sub: 'bob' })
    await world.app(new Request(`${NAMES.gateway}/r/tasks/x`, { headers: { authorization: `Bearer ${bob}` } }))
    expect(await nonces(world)).toEqual([undefined, 'n-1', 'n-1'])
  })

  test('may tell the next one in any answer', async () => {
    const world = boundWorld()
    world.script.upstream = () => json({}, { headers: { 'dpop-nonce': 'n-7' } })
    const response = await send(world)
    await send(world)
    expect(await nonces(world)).toEqual([undefined, 'n-7'])
    expect(response.headers.has('dpop-nonce')).toBe(false)
  })

  test('beside another challenge is understood', async () => {
    const world = boundWorld()
    const { upstream } = world.script
    world.script.upstream = async (seen) =>
      (await proofIn(seen)).claims['nonce'] === 'n-1'
        ? upstream(seen)
        : challenge('Bearer realm="x", DPoP algs="ES256", error="use_dpop_nonce"', { 'dpop-nonce': 'n-1' })
    expect((await send(world)).status).toBe(200)
  })

  test('gets a body again that was kept, also with a token that is fresh', async () => {
    const world = boundWorld()
    demand(world, 'n-1')
    const init = { method: 'POST', body: 'todo', headers: { 'content-length': '4' } }
    expect((await send(world, '/todos', init)).status).toBe(200)
    expect(world.seen('upstream').map(({ body }) => body)).toEqual(['todo', 'todo'])
  })

  test('does not get a body again that has streamed away, but the caller may send it again', async () => {
    const world = boundWorld()
    demand(world, 'n-1')
    const init = { method: 'POST', body: 'x'.repeat(70_000), headers: { 'content-length': '70000' } }
    const refused = await send(world, '/todos', init)
    expect([refused.status, refused.headers.get('retry-after'), await codeOf(refused)]).toEqual([503, '1', 'UPS102'])
    expect((await send(world, '/todos', init)).status).toBe(200)
    expect(cost(world)).toEqual([1, 1, 2])
  })

  test.each<readonly [string, () => Response, number]>([
    ['again and again', () => nonceWanted('n-2'), 2],
    ['without saying which', () => challenge('DPoP error="use_dpop_nonce"'), 1],
    ['that cannot be put into a proof', () => nonceWanted('a "b'), 1],
    ['and calls the proof bad', () => challenge('DPoP error="invalid_dpop_proof"', { 'dpop-nonce': 'n' }), 1],
  ])('%s is not asked for ever, and costs no new token', async (_what, reply, requests) => {
    const world = boundWorld()
    await send(world)
    const before = world.seen('upstream').length
    world.script.upstream = reply
    const response = await send(world)
    const text = await response.text()
    expect([response.status, JSON.parse(text)]).toMatchObject([502, { code: 'UPS113' }])
    expect(cost(world)).toEqual([1, 1, before + requests])
    expect(response.headers.has('dpop-nonce')).toBe(false)
    expect(text).not.toContain('canary')
  })

  test('and then another token gets a new proof by the new key, and no third nonce', async () => {
    const world = boundWorld()
    await send(world)
    await world.settle()
    world.clock.advance(5)
    world.script.upstream = async (seen) => {
      const { claims } = await proofIn(seen)
      if (seen.headers.get('authorization') !== 'DPoP canary-access-alice-1') return nonceWanted('n-2')
      return claims['nonce'] === 'n-1' ? challenge('DPoP error="invalid_token"') : nonceWanted('n-1')
    }
    const response = await send(world)
    expect([response.status, await codeOf(response)]).toEqual([502, 'UPS113'])
    expect(await nonces(world)).toEqual([undefined, undefined, 'n-1', 'n-1'])
    expect(cost(world)).toEqual([2, 2, 4])
    const keys = await Promise.all(world.seen('upstream').map(async (seen) => (await proofIn(seen)).jkt))
    expect([keys[1] === keys[2], keys[2] === keys[3]]).toEqual([true, false])
  })
})

describe('an API that rejects a bound token', () => {
  test('gets another one by another key, once', async () => {
    const world = boundWorld()
    await send(world)
    await world.settle()
    world.clock.advance(5)
    const { upstream } = world.script
    world.script.upstream = (seen) =>
      seen.headers.get('authorization') === 'DPoP canary-access-alice-1'
        ? challenge('DPoP error="invalid_token"')
        : upstream(seen)
    expect((await send(world)).status).toBe(200)
    expect(cost(world)).toEqual([2, 2, 3])
  })

  test('that is fresh is not asked again', async () => {
    const world = boundWorld()
    world.script.upstream = () => challenge('DPoP error="invalid_token"')
    const response = await send(world)
    expect([response.status, await codeOf(response)]).toEqual([502, 'UPS101'])
    expect(cost(world)).toEqual([1, 1, 1])
  })
})

test('an API with bearer tokens that speaks of nonces is passed on as it always was', async () => {
  const world = createWorld()
  world.script.upstream = () => nonceWanted('n-1')
  const response = await send(world)
  expect([response.status, await codeOf(response)]).toEqual([502, 'UPS101'])
  expect(cost(world)).toEqual([1, 1, 1])
})
