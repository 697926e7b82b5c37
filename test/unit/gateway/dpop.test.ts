// Callers that bind their requests to a key (RFC 9449), through the whole in-memory house: what passes, what is answered, and
// that nothing of it goes on to the upstream.
import { describe, expect, test } from 'vitest'
import { proofBy, thumbprintOf, type ProofChanges } from '../../support/dpop.ts'
import { createTestKey } from '../../support/keys.ts'
import { CLIENTS, createWorld, json, NAMES, type Isolate, type Json, type World } from '../support/world.ts'

const mine = await createTestKey('mine')
const jkt = await thumbprintOf(mine)

interface Sent extends ProofChanges {
  readonly method?: string
  readonly headers?: Record<string, string>
  /** What the proof is for, where it is not the URL of the request. */
  readonly htu?: string
  readonly cnf?: unknown
  readonly from?: Isolate
}

async function send(world: World, url: string, sent: Sent = {}): Promise<Response> {
  const { method = 'GET', headers = {}, htu = url, cnf = { jkt }, from = world, ...changes } = sent
  const token = await world.idToken({ cnf })
  const proof = await proofBy(mine, method, htu, world.clock.now(), { token, ...changes })
  return from.app(new Request(url, { method, headers: { authorization: `DPoP ${token}`, dpop: proof, ...headers } }))
}

const TODOS = `${NAMES.gateway}/r/tasks/todos`

function demanding(changes: Json): World {
  return createWorld({ clients: { ...CLIENTS, 'browser-app': { subject_tokens: ['corp/web'], ...changes } } })
}

describe('a request with a bound ID token and its proof', () => {
  test('arrives with the resource’s own token, and without anything of the caller’s', async () => {
    const world = createWorld()
    expect((await send(world, TODOS)).status).toBe(200)
    const [seen] = world.seen('upstream')
    expect(seen?.headers.get('authorization')).toBe('Bearer canary-access-alice-1')
    expect([...(seen?.headers.keys() ?? [])]).not.toContain('dpop')
    expect(JSON.stringify([...(seen?.headers ?? [])])).not.toContain('eyJ')
  })

  test('is for the address the caller knows: under a path, at a host, with a query, before another front', async () => {
    const world = createWorld()
    expect((await send(world, `${NAMES.gateway}/r/tasks`)).status).toBe(200)
    expect((await send(world, 'https://notes.gw.test/a')).status).toBe(200)
    expect((await send(world, `${TODOS}?a=b`, { htu: TODOS })).status).toBe(200)
    expect((await send(world, 'https://inside.test/r/tasks/todos', { htu: TODOS })).status).toBe(200)
    expect(world.seen('upstream')).toHaveLength(4)
  })

  test.each<readonly [string, Sent]>([
    ['the upstream’s address', { htu: `${NAMES.api}/todos` }],
    ['another path', { htu: `${NAMES.gateway}/r/tasks/other` }],
    ['another method', { claims: { htm: 'POST' } }],
    ['another token', { token: 'x' }],
    ['another time', { claims: { iat: 1_799_999_000 } }],
  ])('is refused where the proof is for %s', async (_what, sent) => {
    const world = createWorld()
    const response = await send(world, TODOS, sent)
    expect([response.status, (await response.json<Json>())['code']]).toEqual([401, 'CLI114'])
    expect(response.headers.get('www-authenticate')).toMatch(
      /^DPoP error="invalid_dpop_proof", .*algs="ES256 ES384 EdDSA PS256 RS256", resource_metadata="/,
    )
    expect(world.seen()).toEqual([])
  })

  test('is refused the second time, in another isolate too', async () => {
    const world = createWorld()
    const claims = { jti: 'once' }
    expect((await send(world, TODOS, { claims })).status).toBe(200)
    for (const from of [world, world.isolate('elsewhere')])
      expect((await send(world, TODOS, { claims, from })).status).toBe(401)
    expect(world.seen('upstream')).toHaveLength(1)
  })

  test('is written down with the thumbprint of the key', async () => {
    const world = createWorld()
    await send(world, TODOS)
    expect(world.sink.events[0]?.client).toEqual({ id: 'browser-app', auth: 'edge', dpop_jkt: jkt })
    await world.app(new Request(TODOS, { headers: { authorization: `Bearer ${await world.idToken()}` } }))
    expect(world.sink.events[1]?.client).toEqual({ id: 'browser-app', auth: 'edge' })
  })

  test('shares its cached token with the same user who shows none', async () => {
    const world = createWorld()
    await send(world, TODOS)
    await world.app(new Request(TODOS, { headers: { authorization: `Bearer ${await world.idToken()}` } }))
    expect([world.seen('idp').length, world.seen('ras').length, world.seen('upstream').length]).toEqual([1, 1, 2])
  })

  test('hears of a missing scope in its own scheme', async () => {
    const world = createWorld()
    const challenge = { 'www-authenticate': 'Bearer error="insufficient_scope", scope="admin"' }
    world.script.upstream = () => json({}, { status: 403, headers: challenge })
    expect((await send(world, TODOS)).headers.get('www-authenticate')).toMatch(
      /^DPoP error="insufficient_scope", scope="admin", algs="ES256 /,
    )
  })
})

describe('a caller that does not prove what it should', () => {
  test.each<readonly [string, Json, (token: string, proof: string) => Record<string, string>, unknown, string]>([
    ['a bound token as Bearer', {}, (token) => ({ authorization: `Bearer ${token}` }), { jkt }, 'TOK110'],
    ['the scheme DPoP without proof', {}, (token) => ({ authorization: `DPoP ${token}` }), { jkt }, 'CLI114'],
    [
      'the scheme DPoP with a token that is not bound',
      {},
      (token, proof) => ({ authorization: `DPoP ${token}`, dpop: proof }),
      undefined,
      'TOK111',
    ],
    [
      'a bearer token where it must bind',
      { dpop: 'required' },
      (token) => ({ authorization: `Bearer ${token}` }),
      undefined,
      'CLI120',
    ],
  ])('%s is refused by the scheme DPoP', async (_what, changes, headersOf, cnf, code) => {
    const world = demanding(changes)
    const token = await world.idToken({ cnf })
    const proof = await proofBy(mine, 'GET', TODOS, world.clock.now(), { token })
    const response = await world.app(new Request(TODOS, { headers: headersOf(token, proof) }))
    expect([response.status, (await response.json<Json>())['code']]).toEqual([401, code])
    expect(response.headers.get('www-authenticate')).toMatch(/^DPoP error="[a-z_]+", .*algs="ES256 /)
    expect(world.seen()).toEqual([])
  })

  test('hears of an expired token in the scheme it has used', async () => {
    const world = createWorld()
    const token = await world.idToken({ cnf: { jkt }, iat: 1_799_990_000, exp: 1_799_990_300 })
    const proof = await proofBy(mine, 'GET', TODOS, world.clock.now(), { token })
    const response = await world.app(new Request(TODOS, { headers: { authorization: `DPoP ${token}`, dpop: proof } }))
    expect(response.headers.get('www-authenticate')).toMatch(/^DPoP error="invalid_token", error_description="TOK103/)
  })
})

describe('a nonce', () => {
  test('is asked for by the challenge, taken, and renewed with the answer', async () => {
    const world = demanding({ dpop_nonce: 'required' })
    const refused = await send(world, TODOS)
    expect(refused.status).toBe(401)
    expect(refused.headers.get('www-authenticate')).toMatch(/^DPoP error="use_dpop_nonce", /)
    const nonce = refused.headers.get('dpop-nonce')
    expect(nonce).toMatch(/^[\w-]{43}$/)
    expect(world.seen()).toEqual([])
    world.script.upstream = () => json({}, { headers: { 'dpop-nonce': 'of-the-upstream' } })
    const taken = await send(world, TODOS, { claims: { nonce } })
    expect([taken.status, taken.headers.get('dpop-nonce')]).toEqual([200, nonce])
  })

  test('of the upstream never reaches a caller', async () => {
    const world = createWorld()
    world.script.upstream = () => json({}, { headers: { 'dpop-nonce': 'of-the-upstream' } })
    expect((await send(world, TODOS)).headers.has('dpop-nonce')).toBe(false)
  })
})
