// Both legs with proofs of possession (RFC 9449, draft-ietf-oauth-identity-assertion-authz-grant section 9.8.1): what is sent,
// what is taken for bound, and how often anybody is asked.
import { describe, expect, test } from 'vitest'
import { KeyPair } from '../../../src/lib/key-pair.ts'
import { createNonceMemory, type NonceMemory } from '../../../src/oauth/dpop.ts'
import type { Binding } from '../../../src/oauth/legs.ts'
import { createManualClock } from '../../../src/platform/memory.ts'
import type { OutboundAuth, SecretName } from '../../../src/parties.ts'
import { readProof } from '../../support/dpop.ts'
import { createTestKey } from '../../support/keys.ts'
import { answer, endpointOf, exchange, exchanged, IDP, RAS, redeem, redeemed, type Asked } from './legs-world.ts'

const key = await KeyPair.generate()
const jkt = await key.thumbprint()
const JWE = 'eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSJ9..aXY.Y2lwaGVy.dGFn'

function bindingOf(required = false, nonces: NonceMemory = createNonceMemory()): Binding {
  return { prover: { key, nonces, clock: createManualClock() }, required }
}

const nonceWanted = (nonce: string, status = 400): Response =>
  answer({ error: 'use_dpop_nonce' }, status, { 'dpop-nonce': nonce })

/** Answers in this order. */
function inTurn(...answers: readonly Response[]): () => Response {
  const left = [...answers]
  return () => left.shift() ?? answer({ error: 'asked too often' }, 500)
}

const proofs = (asked: readonly Asked[]): ReturnType<typeof readProof>[] =>
  asked.map(({ headers }) => readProof(headers['dpop']))

describe('exchangeForIdJag() with a key', () => {
  test('proves possession of it, for the token endpoint, and finds it in the ID-JAG', async () => {
    const { result, asked } = await exchange(answer(await exchanged({}, { cnf: { jkt } })), {
      binding: bindingOf(true),
    })
    expect(result.ok && result.value.bound).toBe(true)
    const [proof] = await Promise.all(proofs(asked))
    expect(proof).toMatchObject({ jkt, claims: { htm: 'POST', htu: asked[0]?.url, iat: 1_800_000_000 } })
    expect(proof?.claims).not.toHaveProperty('ath')
  })

  test.each<readonly [string, Record<string, unknown>, boolean, string, boolean | undefined]>([
    ['a confirmation of our key, where it may be', { cnf: { jkt } }, false, 'ok', true],
    ['no confirmation, where it may be', {}, false, 'ok', false],
    ['no confirmation, where it must be', {}, true, 'IDP113', undefined],
    ['a confirmation of another key', { cnf: { jkt: 'x'.repeat(43) } }, false, 'IDP113', undefined],
    ['a confirmation of another key, where it must be', { cnf: { jkt: 'x'.repeat(43) } }, true, 'IDP113', undefined],
    ['a confirmation of a certificate, where it must be ours', { cnf: { 'x5t#S256': jkt } }, true, 'IDP113', undefined],
    ['a confirmation that is odd', { cnf: { jkt: [jkt] } }, false, 'IDP113', undefined],
  ])('an ID-JAG with %s: %4$s', async (_what, claims, required, code, bound) => {
    const leg = await exchange(answer(await exchanged({}, claims)), { binding: bindingOf(required) })
    expect([leg.code, leg.result.ok ? leg.result.value.bound : undefined]).toEqual([code, bound])
    expect(leg.asked).toHaveLength(1)
  })

  test('takes one that it cannot read to be bound, also where it must be', async () => {
    const { result } = await exchange(answer(await exchanged({ access_token: JWE })), { binding: bindingOf(true) })
    expect(result.ok && result.value.bound).toBe(true)
  })

  test('without one sends no proof, and takes no ID-JAG that is bound to somebody’s', async () => {
    const plain = await exchange(answer(await exchanged({ access_token: JWE })))
    expect(plain.asked[0]?.headers).not.toHaveProperty('dpop')
    expect(plain.result.ok && plain.result.value.bound).toBe(false)
    expect((await exchange(answer(await exchanged({}, { cnf: { jkt } })))).code).toBe('IDP113')
  })
})

describe('redeemIdJag() with a key', () => {
  test('proves possession of it, by the grant type the server wants', async () => {
    for (const redeemGrant of ['jwt-bearer', 'jwt-dpop'] as const) {
      const changes = { binding: bindingOf(true), redeemGrant }
      const { result, asked } = await redeem(answer(redeemed({ token_type: 'DPoP' })), changes)
      expect(result.ok && result.value.bound).toBe(true)
      expect(asked[0]?.parameters).toContainEqual(['grant_type', `urn:ietf:params:oauth:grant-type:${redeemGrant}`])
      expect(await proofs(asked)[0]).toMatchObject({ jkt, claims: { htm: 'POST', htu: asked[0]?.url } })
    }
  })

  test.each<readonly [string, unknown, boolean, string, boolean | undefined]>([
    ['DPoP in small letters', 'dpop', true, 'ok', true],
    ['Bearer, where it may be', 'Bearer', false, 'ok', false],
    ['Bearer, where it must be bound', 'Bearer', true, 'RAS113', undefined],
    ['nothing', undefined, false, 'RAS109', undefined],
    ['something else', 'mac', false, 'RAS109', undefined],
  ])('a token of type %s: %4$s', async (_what, type, required, code, bound) => {
    const leg = await redeem(answer(redeemed({ token_type: type })), { binding: bindingOf(required) })
    expect([leg.code, leg.result.ok ? leg.result.value.bound : undefined]).toEqual([code, bound])
  })

  test('without one sends no proof and the common grant type, and takes no token that is bound', async () => {
    const leg = await redeem(answer(redeemed({ token_type: 'DPoP' })), { redeemGrant: 'jwt-dpop' })
    expect(leg.code).toBe('RAS109')
    expect(leg.asked[0]?.headers).not.toHaveProperty('dpop')
    expect(leg.asked[0]?.parameters).toContainEqual(['grant_type', 'urn:ietf:params:oauth:grant-type:jwt-bearer'])
  })
})

describe('a nonce', () => {
  test.each([400, 401])('that is wanted (%i) is put into a new proof, once', async (status) => {
    const good = answer(await exchanged({}, { cnf: { jkt } }))
    const { code, asked } = await exchange(inTurn(nonceWanted('n-1', status), good), { binding: bindingOf() })
    expect(code).toBe('ok')
    const [first, second] = await Promise.all(proofs(asked))
    expect(asked).toHaveLength(2)
    expect([first?.claims['nonce'], second?.claims['nonce']]).toEqual([undefined, 'n-1'])
    expect(first?.claims.jti).not.toBe(second?.claims.jti)
  })

  test('that is wanted comes with a new client assertion', async () => {
    const { privateJwk } = await createTestKey('own')
    const auth: OutboundAuth = {
      method: 'private_key_jwt',
      keys: ['K' as SecretName],
      alg: 'ES256',
      audience: 'issuer',
      typ: 'none',
    }
    const ras = await endpointOf(RAS, 'tailspin-gw', auth, JSON.stringify(privateJwk))
    const { asked } = await redeem(inTurn(nonceWanted('n-1'), answer(redeemed({ token_type: 'DPoP' }))), {
      ras,
      binding: bindingOf(),
    })
    const assertions = asked.map(({ parameters }) => new Map(parameters).get('client_assertion') ?? '')
    expect(new Set(assertions).size).toBe(2)
    expect(assertions.every((each) => each.length > 100)).toBe(true)
  })

  test('wanted again and again is given once', async () => {
    const { code, asked } = await exchange(() => nonceWanted('n-2'), { binding: bindingOf() })
    expect([code, asked.length]).toEqual(['IDP113', 2])
    const leg = await redeem(() => nonceWanted('n-2', 401), { binding: bindingOf() })
    expect([leg.code, leg.asked.length]).toEqual(['RAS113', 2])
  })

  test.each<readonly [string, Response]>([
    ['without saying which', answer({ error: 'use_dpop_nonce' }, 400)],
    ['that is odd', answer({ error: 'use_dpop_nonce' }, 400, { 'dpop-nonce': 'a "b' })],
    ['together with a token', answer({ error: 'use_dpop_nonce', access_token: 'x' }, 200, { 'dpop-nonce': 'n' })],
    ['in a header only', answer({ error: 'invalid_grant' }, 400, { 'dpop-nonce': 'n' })],
    ['by a server that is down', answer({ error: 'temporarily_unavailable' }, 503, { 'dpop-nonce': 'n' })],
  ])('that is wanted %s is not tried', async (_what, reply) => {
    expect((await exchange(() => reply, { binding: bindingOf() })).asked).toHaveLength(1)
  })

  test('where no key is used is nobody’s business', async () => {
    const { code, asked } = await exchange(() => nonceWanted('n-1'))
    expect([code, asked.length]).toEqual(['IDP113', 1])
  })

  test('is remembered for the next request, from a success as well', async () => {
    const nonces = createNonceMemory()
    const binding = bindingOf(false, nonces)
    await exchange(answer(await exchanged(), 200, { 'dpop-nonce': 'n-1' }), { binding })
    const { asked } = await exchange(answer(await exchanged(), 200, { 'dpop-nonce': 'n-2' }), { binding })
    expect((await proofs(asked)[0])?.claims['nonce']).toBe('n-1')
    expect(nonces.of(asked[0]?.url ?? '')).toBe('n-2')
  })

  test('of the one server is not shown to the other', async () => {
    const nonces = createNonceMemory()
    const binding = bindingOf(false, nonces)
    await exchange(answer(await exchanged(), 200, { 'dpop-nonce': 'n-1' }), { binding })
    const { asked } = await redeem(answer(redeemed()), { binding })
    expect((await proofs(asked)[0])?.claims).not.toHaveProperty('nonce')
  })

  test('does not give a server more time', async () => {
    const clock = createManualClock()
    const prover = { key, nonces: createNonceMemory(), clock }
    const started = Date.now()
    let count = 0
    const { code, asked } = await exchange(
      () => {
        count++
        clock.advance(3.9)
        return count === 1 ? nonceWanted('n') : new Promise<Response>(() => undefined)
      },
      { binding: { prover, required: false } },
    )
    expect([code, asked.length]).toEqual(['IDP111', 2])
    expect(Date.now() - started).toBeLessThan(2_000)
  })
})

test('a token endpoint with a query is proven without it', async () => {
  const idp = {
    ...(await endpointOf(IDP, 'gw-app', { method: 'none' })),
    tokenEndpoint: 'https://login.test/token?x=y',
  }
  const { asked } = await exchange(answer(await exchanged()), { idp, binding: bindingOf() })
  expect((await proofs(asked)[0])?.claims['htu']).toBe('https://login.test/token')
})
