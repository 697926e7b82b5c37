// DPoP proofs at both doors of identity (RFC 9449 section 4.3): what is taken, what is refused, and that a proof is used up
// only when everything else about it was good.
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { AuthenticatedClient, VerifiedAssertion } from '../../../src/model.ts'
import type { CallingClient, SecretName } from '../../../src/parties.ts'
import type { Refusal } from '../../../src/refusal.ts'
import type { Result } from '../../../src/lib/result.ts'
import { proofBy, publicJwkOf, thumbprintOf, type ProofChanges } from '../../support/dpop.ts'
import { createTestKey, mint, signTexts, type TestKey } from '../../support/keys.ts'
import { caller, createWorld, idp, idpClient, outcome, OWN_ISSUER, secretAuth, SECRET, type World } from './world.ts'

const TOKEN_URL = `${OWN_ISSUER}/token`
const URL_AT_EDGE = `${OWN_ISSUER}/r/tasks/todos`

const mine = await createTestKey('mine')
const other = await createTestKey('other')
const jkt = await thumbprintOf(mine)

const strict = (name: string, changes: Partial<CallingClient>): CallingClient => ({
  ...caller(name, secretAuth('client_secret_basic')),
  ...changes,
})

function worldOf(changes: Partial<CallingClient> = {}): World {
  return createWorld({ clients: [strict('basic', changes), { ...caller('edge'), ...changes }] })
}

type AtToken = ProofChanges & { readonly by?: TestKey; readonly method?: string; readonly url?: string }

/** At the token endpoint; the proof itself may be given. */
async function show(world: World, changes: AtToken | string = {}): Promise<Result<AuthenticatedClient, Refusal>> {
  const { by = mine, method = 'POST', url = TOKEN_URL, ...rest } = typeof changes === 'string' ? {} : changes
  const proof = typeof changes === 'string' ? changes : await proofBy(by, method, url, world.clock.seconds, rest)
  return world.identity.authenticateClient({
    authorization: `Basic ${btoa(`basic:${encodeURIComponent(SECRET)}`)}`,
    form: { get: () => undefined },
    proof: { proof, method: 'POST', url: TOKEN_URL },
  })
}

type AtEdge = ProofChanges & {
  readonly by?: TestKey
  readonly cnf?: unknown
  readonly scheme?: string
  readonly withProof?: boolean
  readonly url?: string
  readonly aud?: string
}

async function visit(world: World, changes: AtEdge = {}): Promise<Result<VerifiedAssertion, Refusal>> {
  const { by = mine, scheme = 'DPoP', withProof = true, url = URL_AT_EDGE, aud = 'web-id', ...rest } = changes
  const cnf = 'cnf' in changes ? changes.cnf : { jkt }
  const token = await world.token({ cnf, aud })
  const proof = await proofBy(by, 'GET', url, world.clock.seconds, { token, ...rest })
  const presented = { proof, method: 'GET', url: URL_AT_EDGE }
  return world.identity.verifyAtEdge(`${scheme} ${token}`, withProof ? presented : undefined)
}

describe('authenticateClient() with a proof', () => {
  test('says which key was proven', async () => {
    const client = await show(worldOf())
    expect(client.ok && [client.value.name, client.value.key]).toEqual([
      'basic',
      { thumbprint: jkt, nextNonce: undefined },
    ])
  })

  test.each(['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'] as const)('takes one signed by %s', async (alg) => {
    const by = await createTestKey('k', alg)
    const client = await show(worldOf(), { by })
    expect(client.ok && client.value.key?.thumbprint).toBe(await thumbprintOf(by))
  })

  test('takes the type with its full name, and a key with its names', async () => {
    expect(outcome(await show(worldOf(), { header: { typ: 'application/DPoP+jwt', jwk: mine.publicJwk } }))).toBe('ok')
  })

  test.each([
    [TOKEN_URL, 'as it is'],
    [`${TOKEN_URL}?x=y#z`, 'with a query and a fragment, which do not count'],
    ['HTTPS://JAGWAY.test:443/token', 'with a host in other letters and the default port'],
    [`${OWN_ISSUER}/%74oken`, 'with an escape that need not be one'],
    [`${OWN_ISSUER}/a/../token`, 'with dot segments'],
  ])('takes %s: the URL %s', async (url) => {
    expect(outcome(await show(worldOf(), { url }))).toBe('ok')
  })

  test.each<readonly [string, AtToken]>([
    ['another type', { header: { typ: 'JWT' } }],
    ['no type', { header: { typ: undefined } }],
    ['no algorithm', { header: { alg: 'none' } }],
    ['a symmetric algorithm', { header: { alg: 'HS256' } }],
    ['an algorithm that is not accepted', { header: { alg: 'ES512' } }],
    ['the name of another algorithm', { header: { alg: 'ES384' } }],
    ['no key', { header: { jwk: undefined } }],
    ['a key that is not an object', { header: { jwk: 'x' } }],
    ['a key with its private part', { header: { jwk: mine.privateJwk } }],
    ['a symmetric key', { header: { jwk: { kty: 'oct', k: 'eA' } } }],
    ['a key for encryption', { header: { jwk: { ...publicJwkOf(mine), use: 'enc' } } }],
    ['a key of another algorithm', { header: { jwk: { ...publicJwkOf(mine), alg: 'ES384' } } }],
    ['a point that is not on the curve', { header: { jwk: { ...publicJwkOf(mine), y: publicJwkOf(other)['y'] } } }],
    ['the signature of another key', { signer: other }],
    ['a reference to keys', { header: { jku: 'https://evil.test/jwks' } }],
    ['critical parameters', { header: { crit: ['x'] } }],
    ['no jti', { claims: { jti: undefined } }],
    ['an empty jti', { claims: { jti: '' } }],
    ['a jti of 257 characters', { claims: { jti: 'j'.repeat(257) } }],
    ['a jti that is a number', { claims: { jti: 1 } }],
    ['no method', { claims: { htm: undefined } }],
    ['another method', { method: 'GET' }],
    ['the method in small letters', { method: 'post' }],
    ['no URL', { claims: { htu: undefined } }],
    ['another path', { url: `${OWN_ISSUER}/other` }],
    ['a slash more', { url: `${TOKEN_URL}/` }],
    ['another host', { url: 'https://evil.test/token' }],
    ['another scheme', { url: 'http://jagway.test/token' }],
    ['another port', { url: 'https://jagway.test:8443/token' }],
    ['a user in the URL', { url: 'https://me@jagway.test/token' }],
    ['a URL with a control character', { url: 'https://jagway.test/to\nken' }],
    ['a URL with a backslash', { url: 'https:\\\\jagway.test\\token' }],
    ['a relative URL', { url: '/token' }],
    ['an escaped slash in the URL', { url: `${OWN_ISSUER}%2Ftoken` }],
    ['no iat', { claims: { iat: undefined } }],
    ['an iat that is text', { claims: { iat: '1800000000' } }],
    ['an iat in milliseconds', { claims: { iat: 1_800_000_000_000 } }],
    ['a nonce that is a number', { claims: { nonce: 1 } }],
  ])('refuses %s, and uses nothing up', async (_what, changes) => {
    const world = worldOf()
    expect(outcome(await show(world, changes))).toBe('CLI114')
    expect([...world.claimed]).toEqual([])
    expect(world.fetched).toEqual([])
  })

  test.each(['', 'x.y.z', 'e30.e30.', 'a.b', `${'x'.repeat(9000)}.y.z`])('refuses %.20j', async (proof) => {
    expect(outcome(await show(worldOf(), proof))).toBe('CLI114')
  })

  test('refuses two headers, as they reach us: joined by a comma', async () => {
    const world = worldOf()
    const proofs = [
      await proofBy(mine, 'POST', TOKEN_URL, world.clock.seconds),
      await proofBy(mine, 'POST', TOKEN_URL, world.clock.seconds),
    ]
    expect(outcome(await show(world, proofs.join(', ')))).toBe('CLI114')
    expect(outcome(await show(world, `${proofs[0]}, `))).toBe('CLI114')
    expect(world.claimed.size).toBe(0)
  })

  test('refuses a member that stands twice, whatever JSON.parse makes of it', async () => {
    const header = JSON.stringify({ alg: 'ES256', typ: 'dpop+jwt', jwk: publicJwkOf(mine) })
    const claims = `{"jti":"1","htm":"GET","htm":"POST","htu":"${TOKEN_URL}","iat":${worldOf().clock.seconds}}`
    expect(outcome(await show(worldOf(), await signTexts(mine, header, claims)))).toBe('CLI114')
  })

  test('refuses an RSA key of 1024 bits', async () => {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const { kty, n, e } = weak.publicKey.export({ format: 'jwk' })
    const privateKey = weak.privateKey.toCryptoKey(algorithm, false, ['sign'])
    const by: TestKey = { ...mine, alg: 'RS256', privateKey }
    expect(outcome(await show(worldOf(), { by, header: { jwk: { kty, n, e } } }))).toBe('CLI114')
  })

  test.each([
    [-60, 'ok'],
    [-61, 'CLI114'],
    [60, 'ok'],
    [61, 'CLI114'],
  ])('with an iat %i seconds from now: %s', async (seconds, verdict) => {
    const world = worldOf()
    expect(outcome(await show(world, { claims: { iat: world.clock.seconds + seconds } }))).toBe(verdict)
  })

  test('refuses the same proof a second time, and the same jti in another one', async () => {
    const world = worldOf()
    const proof = await proofBy(mine, 'POST', TOKEN_URL, world.clock.seconds, { claims: { jti: 'once' } })
    expect(outcome(await show(world, proof))).toBe('ok')
    expect(outcome(await show(world, proof))).toBe('CLI114')
    expect(outcome(await show(world, { claims: { jti: 'once' } }))).toBe('CLI114')
    expect(outcome(await show(world, { by: other, claims: { jti: 'once' } }))).toBe('ok')
  })

  test('remembers a jti for as long as the proof would be good, and stores neither it nor the key', async () => {
    const world = worldOf()
    await show(world, { claims: { jti: 'readable', iat: world.clock.seconds + 60 } })
    const [[digest = '', until = 0] = []] = world.claimed
    expect(until).toBe(world.clock.seconds + 121)
    expect(digest).toMatch(/^[\w-]{43}$/)
  })

  test('tells to come again where it cannot know whether a proof was used', async () => {
    const world = worldOf()
    world.claimFails = true
    expect(await show(world)).toMatchObject({ error: { code: 'INT101', retryAfterSeconds: 1 } })
  })

  test('does not look at the proof of somebody who cannot authenticate', async () => {
    const world = worldOf()
    const proof = await proofBy(mine, 'POST', TOKEN_URL, world.clock.seconds)
    const refused = await world.identity.authenticateClient({
      authorization: `Basic ${btoa('basic:wrong')}`,
      form: { get: () => undefined },
      proof: { proof, method: 'POST', url: TOKEN_URL },
    })
    expect(outcome(refused)).toBe('CLI101')
    expect(world.claimed.size).toBe(0)
  })

  test('is demanded of a client that must bind', async () => {
    const world = worldOf({ dpop: 'required' })
    const authorization = `Basic ${btoa(`basic:${encodeURIComponent(SECRET)}`)}`
    const bare = await world.identity.authenticateClient({ authorization, form: { get: () => undefined } })
    expect(outcome(bare)).toBe('CLI120')
    expect(outcome(await show(world))).toBe('ok')
  })
})

describe('a bound subject token', () => {
  const clients = [{ ...strict('basic', {}), subjectTokens: new Set(['corp/web']) }]

  test.each<readonly [string, TestKey | undefined, string]>([
    ['with a proof of its key', mine, 'ok'],
    ['with a proof of another key', other, 'TOK110'],
    ['without a proof', undefined, 'TOK110'],
  ])('%s: %3$s', async (_what, by, verdict) => {
    const world = createWorld({ clients })
    const client = by === undefined ? await authenticated(world) : await show(world, { by })
    if (!client.ok) throw new Error(client.error.code)
    const verified = await world.identity.verifyForClient(await world.token({ cnf: { jkt } }), client.value)
    expect(outcome(verified)).toBe(verdict)
  })

  test('is judged anew though it was verified a moment ago', async () => {
    const world = createWorld({ clients })
    const [good, bad] = [await show(world), await show(world, { by: other })]
    if (!good.ok || !bad.ok) throw new Error('no client')
    const token = await world.token({ cnf: { jkt } })
    expect(outcome(await world.identity.verifyForClient(token, good.value))).toBe('ok')
    expect(outcome(await world.identity.verifyForClient(token, bad.value))).toBe('TOK110')
  })

  async function authenticated(world: World): Promise<Result<AuthenticatedClient, Refusal>> {
    const authorization = `Basic ${btoa(`basic:${encodeURIComponent(SECRET)}`)}`
    return world.identity.authenticateClient({ authorization, form: { get: () => undefined } })
  }

  test.each<readonly [string, unknown]>([
    ['a certificate', { 'x5t#S256': jkt }],
    ['a key and a certificate', { jkt, 'x5t#S256': jkt }],
    ['a whole key', { jwk: publicJwkOf(mine) }],
    ['a thumbprint that is none', { jkt: 'abc' }],
    ['a thumbprint that is a number', { jkt: 1 }],
    ['nothing', {}],
    ['null', null],
    ['text', jkt],
  ])('is refused where it is bound to %s, with and without a proof', async (_what, cnf) => {
    const world = worldOf()
    expect(outcome(await visit(world, { cnf }))).toBe('TOK105')
    expect(outcome(await visit(world, { cnf, scheme: 'Bearer', withProof: false }))).toBe('TOK105')
    expect(world.claimed.size).toBe(0)
  })
})

describe('verifyAtEdge() with the scheme DPoP', () => {
  test('says who the user is and which key was proven', async () => {
    const assertion = await visit(worldOf())
    expect(assertion.ok && [assertion.value.principal.subject, assertion.value.caller.key?.thumbprint]).toEqual([
      'alice',
      jkt,
    ])
    expect(assertion.ok && assertion.value.caller.method).toBe('edge')
  })

  test.each<readonly [string, AtEdge, string]>([
    ['in other letters', { scheme: 'dpop' }, 'ok'],
    ['without a proof', { withProof: false }, 'CLI114'],
    ['with a proof of another key', { by: other }, 'TOK110'],
    ['with a proof for another token', { token: 'abc' }, 'CLI114'],
    ['with a proof for no token', { claims: { ath: undefined } }, 'CLI114'],
    ['with a proof for another URL', { url: `${OWN_ISSUER}/r/tasks/other` }, 'CLI114'],
    ['with a token that is not bound', { cnf: undefined }, 'TOK111'],
    ['with a token for another client', { aud: 'stranger' }, 'TOK104'],
    ['with a token of a client that has no place here', { aud: 'broker-id' }, 'TOK108'],
  ])('%s: %3$s', async (_what, changes, verdict) => {
    const world = worldOf()
    expect(outcome(await visit(world, changes))).toBe(verdict)
    expect(world.claimed.size).toBe(verdict === 'ok' ? 1 : 0)
  })

  test('asks for a new proof for each request, remembered token or not', async () => {
    const world = worldOf()
    const token = await world.token({ cnf: { jkt } })
    const proof = await proofBy(mine, 'GET', URL_AT_EDGE, world.clock.seconds, { token })
    const send = (): ReturnType<World['identity']['verifyAtEdge']> =>
      world.identity.verifyAtEdge(`DPoP ${token}`, { proof, method: 'GET', url: URL_AT_EDGE })
    expect(outcome(await send())).toBe('ok')
    expect(outcome(await send())).toBe('CLI114')
  })

  test('two tokens in one header are none', async () => {
    const world = worldOf()
    const token = await world.token({ cnf: { jkt } })
    const proof = await proofBy(mine, 'GET', URL_AT_EDGE, world.clock.seconds, { token })
    const presented = { proof, method: 'GET', url: URL_AT_EDGE }
    expect(outcome(await world.identity.verifyAtEdge(`DPoP ${token}, DPoP ${token}`, presented))).toBe('TOK101')
    expect(outcome(await world.identity.verifyAtEdge(undefined, presented))).toBe('TOK100')
  })
})

describe('verifyAtEdge() with the scheme Bearer', () => {
  test.each<readonly [string, AtEdge, Partial<CallingClient>, string]>([
    ['and a bound token', { withProof: false }, {}, 'TOK110'],
    ['a bound token and a good proof', {}, {}, 'CLI114'],
    ['an unbound token and a proof', { cnf: undefined }, {}, 'CLI114'],
    [
      'an unbound token of a client that must bind',
      { cnf: undefined, withProof: false },
      { dpop: 'required' },
      'CLI120',
    ],
    ['and an unbound token', { cnf: undefined, withProof: false }, {}, 'ok'],
  ])('%s: %4$s', async (_what, changes, client, verdict) => {
    const world = worldOf(client)
    for (const _ of [1, 2]) expect(outcome(await visit(world, { ...changes, scheme: 'Bearer' }))).toBe(verdict)
    expect(world.claimed.size).toBe(0)
  })

  test('a token once shown with a proof is no bearer token afterwards', async () => {
    const world = worldOf()
    const token = await world.token({ cnf: { jkt } })
    const proof = await proofBy(mine, 'GET', URL_AT_EDGE, world.clock.seconds, { token })
    const presented = { proof, method: 'GET', url: URL_AT_EDGE }
    expect(outcome(await world.identity.verifyAtEdge(`DPoP ${token}`, presented))).toBe('ok')
    expect(outcome(await world.identity.verifyAtEdge(`Bearer ${token}`))).toBe('TOK110')
  })
})

describe('nonces', () => {
  const required = { dpopNonce: 'required' } as const

  async function nonceOf(world: World, changes: AtToken = {}): Promise<string> {
    const refused = await show(world, changes)
    const { code, dpopNonce } = refused.ok ? { code: 'ok', dpopNonce: undefined } : refused.error
    expect([code, typeof dpopNonce]).toEqual(['CLI121', 'string'])
    return dpopNonce ?? ''
  }

  test('are demanded where they are required, given out, and good in the next proof', async () => {
    const world = worldOf(required)
    const nonce = await nonceOf(world)
    expect(world.claimed.size).toBe(0)
    const client = await show(world, { claims: { nonce } })
    expect(client.ok && client.value.key?.nextNonce).toBe(nonce)
  })

  test('are demanded at the edge as well', async () => {
    const world = worldOf(required)
    const refused = await visit(world)
    const nonce = refused.ok ? undefined : refused.error.dpopNonce
    expect(outcome(refused)).toBe('CLI121')
    const assertion = await visit(world, { claims: { nonce } })
    expect(assertion.ok && assertion.value.caller.key?.nextNonce).toBe(nonce)
  })

  test('of somebody else are refused, also where none is required', async () => {
    for (const world of [worldOf(required), worldOf()])
      expect(await nonceOf(world, { claims: { nonce: 'stale' } })).toMatch(/^[\w-]{43}$/)
  })

  test('that are not required may be there, and no next one is told', async () => {
    const world = worldOf()
    const nonce = await nonceOf(world, { claims: { nonce: 'stale' } })
    const client = await show(world, { claims: { nonce } })
    expect(client.ok && client.value.key).toEqual({ thumbprint: jkt, nextNonce: undefined })
  })

  test('are good for one to two minutes', async () => {
    const world = worldOf(required)
    const nonce = await nonceOf(world)
    world.clock.pass(60)
    const later = await show(world, { claims: { nonce } })
    expect(later.ok && later.value.key?.nextNonce).not.toBe(nonce)
    world.clock.pass(60)
    expect(await nonceOf(world, { claims: { nonce } })).not.toBe(nonce)
  })

  test('are the same in every isolate, and others under another key', async () => {
    const [one, another] = [worldOf(required), worldOf(required)]
    const foreign = createWorld({ clients: [strict('basic', required)], secret: 'another secret' })
    const nonce = await nonceOf(one)
    expect(await nonceOf(another)).toBe(nonce)
    const authorization = `Basic ${btoa('basic:another%20secret')}`
    const proof = await proofBy(mine, 'POST', TOKEN_URL, foreign.clock.seconds, { claims: { nonce } })
    const refused = await foreign.identity.authenticateClient({
      authorization,
      form: { get: () => undefined },
      proof: { proof, method: 'POST', url: TOKEN_URL },
    })
    expect(refused).toMatchObject({ error: { code: 'CLI121' } })
  })

  test.each([
    [-300, 'ok'],
    [-301, 'CLI114'],
    [300, 'ok'],
    [301, 'CLI114'],
  ])('let a clock be %i seconds off: %s', async (seconds, verdict) => {
    const world = worldOf(required)
    const nonce = await nonceOf(world)
    const iat = world.clock.seconds + seconds
    expect(outcome(await show(world, { claims: { nonce, iat } }))).toBe(verdict)
    expect([...world.claimed.values()]).toEqual(verdict === 'ok' ? [iat + 301] : [])
  })
})

describe('an administrator', () => {
  test('may show a bound ID token with a proof, and none as a bearer token', async () => {
    const holders = { users: [{ idp: undefined, subject: 'alice' }], groups: [] }
    const world = createWorld({
      clients: [caller('edge')],
      idps: [idp({ clients: new Map([['web', idpClient('web', 'edge')]]) })],
      admin: {
        access: undefined,
        idToken: { clients: undefined, tenants: undefined, view: holders, revoke: holders },
        decisionsKept: 0,
      },
    })
    const token = await world.token({ cnf: { jkt } })
    const url = `${OWN_ISSUER}/admin/api/connections`
    const ask = async (authorization: string, proof?: string): Promise<string> => {
      const request = new Request(`${url}?user=x`, {
        headers: { authorization, ...(proof === undefined ? {} : { dpop: proof }) },
      })
      return outcome(await world.identity.verifyAdmin(request, undefined))
    }
    const proof = await proofBy(mine, 'GET', url, world.clock.seconds, { token })
    expect(await ask(`Bearer ${token}`)).toBe('TOK110')
    expect(await ask(`DPoP ${token}`)).toBe('CLI114')
    expect(await ask(`DPoP ${token}`, proof)).toBe('ok')
    expect(await ask(`DPoP ${token}`, proof)).toBe('CLI114')
  })
})

test('a proof is no ID token and no client assertion', async () => {
  const world = worldOf()
  const proof = await proofBy(mine, 'POST', TOKEN_URL, world.clock.seconds)
  expect(outcome(await world.identity.verifyAtEdge(`Bearer ${proof}`))).toBe('TOK101')
  const unnamed = await mint(
    mine,
    { htm: 'POST', htu: TOKEN_URL, jti: '1', iat: world.clock.seconds },
    { jwk: undefined },
  )
  expect(outcome(await world.identity.verifyAtEdge(`Bearer ${unnamed}`))).not.toBe('ok')
})

test('without a sealing key there are no nonces', async () => {
  const world = createWorld({ clients: [strict('basic', { dpopNonce: 'required' })], sealingKeys: [] as SecretName[] })
  await expect(show(world)).rejects.toThrow('no sealing key')
})
