// What servers behind us may know of us as their client: public keys, and the documents that our ids lead to.
import { calculateJwkThumbprint, compactVerify, createLocalJWKSet, exportPKCS8, type JSONWebKeySet } from 'jose'
import { describe, expect, test } from 'vitest'
import { createClientKeys } from '../../../src/discovery/discovery.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { SecretName, SigningAlgorithm } from '../../../src/parties.ts'
import { createTestKey } from '../../support/keys.ts'
import { permitFor, tokenFrom } from '../credentials/acquire-world.ts'
import { createWorld, IDPS, NAMES, RESOURCES, type Json, type World } from '../support/world.ts'

const KEYS = '/.well-known/jwks.json'
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

const clientKey = await createTestKey('gw-1')
const nextKey = await createTestKey('gw-2')
const secrets = { OWN_KEY: JSON.stringify(clientKey.privateJwk), NEXT_KEY: JSON.stringify(nextKey.privateJwk) }

function keyAuth(...names: string[]): Json {
  return { method: 'private_key_jwt', key: names.map((secret) => ({ secret })), alg: 'ES256' }
}

/** Our client at the authorization server of tasks. */
function worldWith(client: Json): World {
  return createWorld({ secrets, resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, client } } })
}

function get(world: World, path: string, init: RequestInit = {}): Promise<Response> {
  return world.app(new Request(NAMES.gateway + path, init))
}

interface Held {
  readonly name: string
  readonly alg: SigningAlgorithm
}

/** The published keys of these secrets. */
async function published(
  held: readonly Held[],
  texts: Readonly<Record<string, string>>,
): Promise<JSONWebKeySet['keys']> {
  const ownKeys = held.map(({ name, alg }) => ({ name: name as SecretName, alg }))
  const answer = createClientKeys({ ownKeys }, async (name) => new Secret(texts[name] ?? ''))
  return (await (await answer?.())?.json<JSONWebKeySet>())?.keys ?? []
}

describe('our keys as a client', () => {
  test('are not there where nobody signs with any', async () => {
    expect((await get(createWorld(), KEYS)).status).toBe(404)
    expect(createClientKeys({ ownKeys: [] }, () => Promise.reject(new Error('asked')))).toBeUndefined()
  })

  test('are public, all of a rotation, for minutes in every cache, and only to be read', async () => {
    const world = worldWith({ id: 'gw-at-tasks', auth: keyAuth('NEXT_KEY', 'OWN_KEY') })
    const response = await get(world, KEYS)
    expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'public, max-age=300'])
    expect(await response.json()).toEqual({ keys: [nextKey.publicJwk, clientKey.publicJwk] })
    expect((await get(world, KEYS, { method: 'HEAD' })).status).toBe(200)
    expect((await get(world, KEYS, { method: 'POST' })).status).toBe(405)
    expect([world.seen(), world.strays]).toEqual([[], []])
  })

  test('verify the assertions that are sent, by their kid', async () => {
    const world = worldWith({ id: 'gw-at-tasks', auth: keyAuth('NEXT_KEY', 'OWN_KEY') })
    await tokenFrom(world, await permitFor(world))
    const assertion = world.seen('ras')[0]?.form.get('client_assertion') ?? ''
    const keys = createLocalJWKSet(await (await get(world, KEYS)).json<JSONWebKeySet>())
    expect((await compactVerify(assertion, keys)).protectedHeader.kid).toBe('gw-2')
  })

  test.each(['RS256', 'PS384', 'ES256', 'ES384', 'EdDSA'] as const)('have no private member: %s', async (alg) => {
    const key = await createTestKey('k', alg)
    const { kid: _left, ...jwk } = key.privateJwk
    const texts = {
      JWK: JSON.stringify({ ...key.privateJwk, kid: 'named', canary: 'canary', x5c: ['canary'] }),
      UNNAMED: JSON.stringify(jwk),
      PEM: await exportPKCS8(key.privateKey),
    }
    const thumbprint = await calculateJwkThumbprint(key.publicJwk)
    for (const [name, kid] of [
      ['JWK', 'named'],
      ['UNNAMED', thumbprint],
      ['PEM', thumbprint],
    ] as const) {
      const [only, ...others] = await published([{ name, alg }], texts)
      expect(only).toEqual({ ...key.publicJwk, kid })
      expect(others).toEqual([])
      expect(Object.keys(only ?? {}).filter((member) => PRIVATE.includes(member))).toEqual([])
    }
    expect(JSON.stringify(await published([{ name: 'JWK', alg }], texts))).not.toContain('canary')
  })

  test('are published once where one signs by two algorithms, and leave out what is no key', async () => {
    const key = await createTestKey('rsa', 'RS256')
    const { alg: _left, ...unbound } = key.publicJwk
    const texts = { RSA: JSON.stringify(key.privateJwk), COPY: JSON.stringify(key.privateJwk), JUNK: 'canary' }
    const twice = [
      { name: 'RSA', alg: 'RS256' },
      { name: 'JUNK', alg: 'ES256' },
      { name: 'RSA', alg: 'PS256' },
    ] as const
    expect(await published(twice, texts)).toEqual([unbound])
    const copies = [
      { name: 'RSA', alg: 'RS256' },
      { name: 'COPY', alg: 'RS256' },
    ] as const
    expect(await published(copies, texts)).toEqual([key.publicJwk])
  })

  test('are read from the secrets once, and again where that failed', async () => {
    let asked = 0
    const answer = createClientKeys({ ownKeys: [{ name: 'K' as SecretName, alg: 'ES256' }] }, async () => {
      asked++
      if (asked === 1) throw new Error('the store is away')
      return new Secret(JSON.stringify(clientKey.privateJwk))
    })
    await expect(answer?.()).rejects.toThrow('away')
    for (let count = 0; count < 3; count++)
      expect(await (await answer?.())?.json()).toMatchObject({ keys: [{ kid: 'gw-1' }] })
    expect(asked).toBe(2)
  })
})

describe('a client whose id is an address of ours', () => {
  const id = `${NAMES.gateway}/clients/acme-gateway.json`
  const document = {
    client_id: id,
    client_name: 'acme-gateway',
    client_uri: NAMES.gateway,
    redirect_uris: [id],
    grant_types: ['urn:ietf:params:oauth:grant-type:token-exchange', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
    response_types: [],
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: `${NAMES.gateway}${KEYS}`,
    token_endpoint_auth_signing_alg: 'ES256',
    authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'],
  }

  test('has its document there, and is who sends the assertion', async () => {
    const world = worldWith({ id, auth: keyAuth('OWN_KEY') })
    const response = await get(world, '/clients/acme-gateway.json')
    expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'public, max-age=3600'])
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toEqual(document)
    expect((await get(world, '/clients/other.json')).status).toBe(404)
    expect((await get(world, '/clients/acme-gateway')).status).toBe(404)
    await tokenFrom(world, await permitFor(world)).catch(() => undefined)
    expect(world.seen('ras')[0]?.form.get('client_id')).toBe(id)
  })

  test('that is public names no keys', async () => {
    const world = worldWith({ id, auth: { method: 'none' } })
    const { jwks_uri: _uri, token_endpoint_auth_signing_alg: _alg, ...rest } = document
    expect(await (await get(world, '/clients/acme-gateway.json')).json()).toEqual({
      ...rest,
      token_endpoint_auth_method: 'none',
    })
    expect((await get(world, KEYS)).status).toBe(404)
  })

  test('may be one client at several servers, by several algorithms', async () => {
    const rsa = await createTestKey('rsa', 'RS256')
    const corp = IDPS['corp'] as Json & { clients: Json }
    const auth = { method: 'private_key_jwt', key: { secret: 'RSA' }, alg: 'RS256' }
    const world = createWorld({
      secrets: { ...secrets, RSA: JSON.stringify(rsa.privateJwk) },
      idps: { corp: { ...corp, clients: { ...corp.clients, web: { id, auth, edge_client: 'browser-app' } } } },
      resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, client: { id, auth: keyAuth('OWN_KEY') } } },
    })
    const { token_endpoint_auth_signing_alg: _alg, ...rest } = document
    expect(await (await get(world, '/clients/acme-gateway.json')).json()).toEqual(rest)
  })
})
