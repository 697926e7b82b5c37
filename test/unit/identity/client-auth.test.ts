// How calling clients prove who they are: one registered method each, one proof per request, one answer to all that fails.
import { describe, expect, test } from 'vitest'
import { clientAssertionClaims, createTestKey, mint, type Claims, type TestKey } from '../../support/keys.ts'
import type { SecretName } from '../../../src/parties.ts'
import {
  caller,
  clientKey,
  createWorld,
  json,
  jwtAuth,
  outcome,
  OWN_ISSUER,
  SECRET,
  secretAuth,
  START,
} from './world.ts'
import type { World } from './world.ts'

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

type Parameters = Readonly<Record<string, string>>

function authenticate(world: World, authorization: string | undefined, form: Parameters = {}) {
  return world.identity.authenticateClient({ authorization, form: new Map(Object.entries(form)) })
}

function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
}

const encoded = (text: string) => encodeURIComponent(text).replaceAll('%20', '+')

describe('authenticateClient() by HTTP Basic', () => {
  test('takes credentials as RFC 6749 wants them, form-urlencoded', async () => {
    const world = createWorld()
    const client = await authenticate(world, basic('basic', encoded(SECRET)))
    expect(client).toEqual({ ok: true, value: { name: 'basic', method: 'client_secret_basic' } })
  })

  test('takes credentials as half of the clients send them, raw', async () => {
    expect(outcome(await authenticate(createWorld(), basic('basic', SECRET)))).toBe('ok')
  })

  test('takes a scheme in any case, and its own id beside it', async () => {
    const world = createWorld()
    const header = basic('basic', SECRET)
    expect(outcome(await authenticate(world, header.replace('Basic', 'bAsIc')))).toBe('ok')
    expect(outcome(await authenticate(world, header, { client_id: 'basic' }))).toBe('ok')
  })

  test('reads an encoded secret in no other way than these two', async () => {
    const world = createWorld({ secret: 'a b' })
    expect(outcome(await authenticate(world, basic('basic', 'a+b')))).toBe('ok')
    expect(outcome(await authenticate(world, basic('basic', 'a%20b')))).toBe('ok')
    expect(outcome(await authenticate(world, basic('basic', 'a b')))).toBe('ok')
    expect(outcome(await authenticate(world, basic('basic', 'a%2520b')))).toBe('CLI101')
    expect(outcome(await authenticate(world, basic('basic', 'a%2Bb')))).toBe('CLI101')
  })

  test.each([
    ['an unknown client', basic('nobody', SECRET)],
    ['a client of every object', basic('__proto__', '')],
    ['another client of every object', basic('constructor', 'undefined')],
    ['a wrong secret', basic('basic', 'wrong')],
    ['an empty secret', basic('basic', '')],
    ['the beginning of the secret', basic('basic', SECRET.slice(0, -1))],
    ['more than the secret', basic('basic', `${SECRET}:x`)],
    ['the secret and NUL', basic('basic', `${SECRET}\u0000`)],
    ['a client id in other letters', basic('BASIC', SECRET)],
    ['a client that is registered for the body', basic('post', SECRET)],
    ['a client that is registered for assertions', basic('jwt', SECRET)],
    ['a client without authentication', basic('edge', '')],
    ['no credentials', 'Basic'],
    ['no base64', 'Basic !!!'],
    ['base64url', 'Basic YmFzaWM6c2VjcmV0-_'],
    ['no colon', `Basic ${btoa('basic')}`],
    ['no id', basic('', SECRET)],
    ['bytes that are not UTF-8', 'Basic 7aCAOng='],
    ['a list of credentials', `${basic('a', 'b')}, ${basic('basic', SECRET)}`],
    ['the scheme Digest', 'Digest username="basic"'],
    ['the secret as a bearer token', `Bearer ${SECRET}`],
    ['an empty header', ''],
  ])('refuses %s', async (_, header) => {
    expect(outcome(await authenticate(createWorld(), header))).toBe('CLI101')
  })

  test('takes one spelling of base64 only', async () => {
    const world = createWorld({ secret: 'b' })
    const header = basic('basic', 'b')
    expect(header).toBe('Basic YmFzaWM6Yg==')
    expect(outcome(await authenticate(world, header))).toBe('ok')
    // The same bytes: with unused bits set, and without the padding.
    expect(outcome(await authenticate(world, 'Basic YmFzaWM6Yh=='))).toBe('CLI101')
    expect(outcome(await authenticate(world, 'Basic YmFzaWM6Yg'))).toBe('CLI101')
  })

  test('refuses the id of another client beside it', async () => {
    const world = createWorld()
    expect(outcome(await authenticate(world, basic('basic', SECRET), { client_id: 'post' }))).toBe('CLI101')
  })

  test('never lets a percent sign turn one client into another', async () => {
    const clients = [caller('a b', secretAuth('client_secret_basic')), caller('a+b', secretAuth('client_secret_post'))]
    const world = createWorld({ clients })
    // Encoded, this is `a b`; raw, it is `a+b`, whose method is another one.
    const client = await authenticate(world, basic('a+b', encoded(SECRET)))
    expect(client.ok && client.value.name).toBe('a b')
  })
})

describe('authenticateClient() by the body', () => {
  test('takes id and secret of a client registered so', async () => {
    const client = await authenticate(createWorld(), undefined, { client_id: 'post', client_secret: SECRET })
    expect(client).toEqual({ ok: true, value: { name: 'post', method: 'client_secret_post' } })
  })

  test.each<[string, Parameters]>([
    ['nothing', {}],
    ['an id alone', { client_id: 'post' }],
    ['a secret alone', { client_secret: SECRET }],
    ['an empty secret', { client_id: 'post', client_secret: '' }],
    ['a wrong secret', { client_id: 'post', client_secret: 'wrong' }],
    ['an encoded secret', { client_id: 'post', client_secret: encoded(SECRET) }],
    ['an unknown client', { client_id: 'nobody', client_secret: SECRET }],
    ['a client registered for Basic', { client_id: 'basic', client_secret: SECRET }],
    ['another spelling of the parameter', { 'client_id[]': 'post', client_secret: SECRET }],
  ])('refuses %s', async (_, form) => {
    expect(outcome(await authenticate(createWorld(), undefined, form))).toBe('CLI101')
  })
})

test.each<[string, string | undefined, Parameters]>([
  ['Basic and a secret in the body', basic('basic', SECRET), { client_id: 'basic', client_secret: SECRET }],
  ['Basic and an assertion', basic('basic', SECRET), { client_assertion: 'x', client_assertion_type: JWT_BEARER }],
  ['a secret and an assertion', undefined, { client_id: 'post', client_secret: SECRET, client_assertion: 'x' }],
  ['Basic and the type of an assertion', basic('basic', SECRET), { client_assertion_type: JWT_BEARER }],
])('authenticateClient() refuses two proofs in one request: %s', async (_, header, form) => {
  expect(outcome(await authenticate(createWorld(), header, form))).toBe('CLI100')
})

test('authenticateClient() answers an unknown client, a wrong secret and a wrong method alike', async () => {
  const world = createWorld()
  const tries = [basic('nobody', 'x'), basic('basic', 'x'), basic('post', SECRET), basic('jwt', 'x')]
  const answers = await Promise.all(tries.map((header) => authenticate(world, header)))
  for (const answer of answers)
    expect({ ...answer, error: { code: answer.ok ? '' : answer.error.code } }).toEqual({
      ok: false,
      error: { code: 'CLI101' },
    })
  expect(JSON.stringify(answers)).not.toContain('nobody')
})

describe('authenticateClient() while a secret is being replaced', () => {
  const names = ['NEW_SECRET' as SecretName, 'OLD_SECRET' as SecretName]
  const clients = [
    caller('basic', { method: 'client_secret_basic', secrets: names }),
    caller('post', { method: 'client_secret_post', secrets: names }),
  ]
  const world = (secret: string, previous: string): World => createWorld({ clients, secret, previous })

  test.each([
    ['the current one', 'new-secret', 'ok'],
    ['the one before', 'old-secret', 'ok'],
    ['a third', 'older-secret', 'CLI101'],
    ['both', 'new-secretold-secret', 'CLI101'],
    ['none', '', 'CLI101'],
  ])('takes %s: %s is %s', async (_which, presented, expected) => {
    const house = world('new-secret', 'old-secret')
    expect(outcome(await authenticate(house, basic('basic', presented)))).toBe(expected)
    const form = { client_id: 'post', client_secret: presented }
    expect(outcome(await authenticate(house, undefined, form))).toBe(expected)
  })

  test('is opened by neither of two empty ones', async () => {
    expect(outcome(await authenticate(world('', ''), basic('basic', '')))).toBe('CLI101')
    expect(outcome(await authenticate(world('new-secret', ''), basic('basic', '')))).toBe('CLI101')
  })
})

test('a secret that is configured empty opens nothing', async () => {
  const world = createWorld({ secret: '' })
  expect(outcome(await authenticate(world, basic('basic', '')))).toBe('CLI101')
})

describe('authenticateClient() by a signed assertion', () => {
  async function assert(
    world: World,
    changes: Claims = {},
    options: { header?: Claims; by?: TestKey; form?: Parameters } = {},
  ) {
    const claims = { ...clientAssertionClaims(world.clock.seconds, 'jwt', OWN_ISSUER), ...changes }
    const form = {
      client_assertion_type: JWT_BEARER,
      client_assertion: await mint(options.by ?? clientKey, claims, options.header),
      ...options.form,
    }
    return authenticate(world, undefined, form)
  }

  test.each([undefined, 'JWT', 'client-authentication+jwt'])('takes one of the type %j', async (typ) => {
    const world = createWorld()
    const client = await assert(world, {}, { header: { typ } })
    expect(client).toEqual({ ok: true, value: { name: 'jwt', method: 'private_key_jwt' } })
    expect(world.claimed.size).toBe(1)
  })

  test('takes our issuer as a list of one, its own id beside it, and no iat', async () => {
    const world = createWorld()
    expect(outcome(await assert(world, { aud: [OWN_ISSUER] }))).toBe('ok')
    expect(outcome(await assert(world, { iat: undefined }, { form: { client_id: 'jwt' } }))).toBe('ok')
  })

  test('takes each only once, until it could no longer be presented', async () => {
    const world = createWorld()
    expect(outcome(await assert(world, { jti: 'one' }))).toBe('ok')
    expect(outcome(await assert(world, { jti: 'one' }))).toBe('CLI101')
    expect([...world.claimed.values()]).toEqual([START + 60 + 60 + 1])
    expect(JSON.stringify([...world.claimed.keys()])).not.toContain('one')
  })

  test('takes one of twenty that come at once', async () => {
    const world = createWorld()
    const answers = await Promise.all(Array.from({ length: 20 }, () => assert(world, { jti: 'one' })))
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1)
  })

  test('keeps the jti of two clients apart', async () => {
    const otherKey = await createTestKey('client-2')
    const keysOf = (by: TestKey) => jwtAuth({ kind: 'static', jwks: { keys: [by.publicJwk] } })
    const world = createWorld({ clients: [caller('jwt', keysOf(clientKey)), caller('other', keysOf(otherKey))] })
    expect(outcome(await assert(world, { jti: 'one' }))).toBe('ok')
    expect(outcome(await assert(world, { jti: 'one', iss: 'other', sub: 'other' }, { by: otherKey }))).toBe('ok')
    expect(outcome(await assert(world, { iss: 'other', sub: 'other' }))).toBe('CLI101')
  })

  test.each<[string, Claims]>([
    ['for the token endpoint', { aud: `${OWN_ISSUER}/token` }],
    ['for our issuer with a slash', { aud: `${OWN_ISSUER}/` }],
    ['for us and somebody else', { aud: [OWN_ISSUER, 'https://evil.test'] }],
    ['for somebody else', { aud: 'https://evil.test' }],
    ['for nobody', { aud: undefined }],
    ['that has expired', { exp: START - 60, iat: START - 120 }],
    ['without exp', { exp: undefined }],
    ['with an exp in more than an hour', { exp: START + 3_601 }],
    ['that is not valid yet', { nbf: START + 61 }],
    ['of the future', { iat: START + 61, exp: START + 120 }],
    ['without jti', { jti: undefined }],
    ['with an empty jti', { jti: '' }],
    ['with a jti that is a number', { jti: 7 }],
    ['with an endless jti', { jti: 'j'.repeat(257) }],
    ['with another iss', { iss: 'basic' }],
    ['with another sub', { sub: 'basic' }],
    ['with the iss and sub of a client that has a secret', { iss: 'basic', sub: 'basic' }],
    ['with the iss and sub of nobody', { iss: '__proto__', sub: '__proto__' }],
    ['without iss and sub', { iss: undefined, sub: undefined }],
  ])('refuses one %s, and uses up no jti', async (_, changes) => {
    const world = createWorld()
    expect(outcome(await assert(world, changes))).toBe('CLI101')
    expect(world.claimed.size).toBe(0)
  })

  test.each<[string, Claims]>([
    ['of the type of an ID-JAG', { typ: 'oauth-id-jag+jwt' }],
    ['of the type of an access token', { typ: 'at+jwt' }],
    ['of the type of a DPoP proof', { typ: 'dpop+jwt' }],
    ['with its own key', { jwk: clientKey.publicJwk }],
    ['with the algorithm none', { alg: 'none' }],
    ['with the algorithm HS256', { alg: 'HS256' }],
    ['with an algorithm that is not registered', { alg: 'RS256' }],
    ['by a key that is not registered', { kid: 'client-2' }],
  ])('refuses one %s', async (_, header) => {
    const world = createWorld()
    expect(outcome(await assert(world, {}, { header }))).toBe('CLI101')
    expect(world.claimed.size).toBe(0)
  })

  test('refuses one a stranger signed under the name of the key', async () => {
    const world = createWorld()
    const by = await createTestKey('client-1')
    expect(outcome(await assert(world, {}, { by }))).toBe('CLI101')
    expect(world.claimed.size).toBe(0)
  })

  test.each<[string, Parameters]>([
    [
      'another type of assertion',
      { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' },
    ],
    ['no type', { client_assertion_type: '' }],
    ['no assertion', { client_assertion: '' }],
    ['an ID token of nobody', { client_assertion: 'a.b.c' }],
    ['the id of another client', { client_id: 'basic' }],
  ])('refuses %s', async (_, form) => {
    expect(outcome(await assert(createWorld(), {}, { form }))).toBe('CLI101')
  })

  test('refuses while it cannot be known whether it was used, and says so', async () => {
    const world = createWorld()
    world.claimFails = true
    expect(outcome(await assert(world))).toBe('INT101')
  })

  test('fetches keys from the registered address, once', async () => {
    const keys = { kind: 'fetched', jwksUri: 'https://agent.test/keys' } as const
    const world = createWorld({ clients: [caller('jwt', jwtAuth(keys))] })
    world.answer = () => json({ keys: [clientKey.publicJwk] })
    expect(outcome(await assert(world))).toBe('ok')
    expect(outcome(await assert(world))).toBe('ok')
    expect(world.fetched).toEqual(['https://agent.test/keys'])
  })

  test('is unavailable, not wrong, while those keys cannot be had', async () => {
    const keys = { kind: 'fetched', jwksUri: 'https://agent.test/keys' } as const
    const world = createWorld({ clients: [caller('jwt', jwtAuth(keys))] })
    const answer = await assert(world)
    expect(answer).toMatchObject({ ok: false, error: { code: 'INT101', retryAfterSeconds: 10 } })
  })
})
