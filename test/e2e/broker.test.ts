// The broker as other people's software uses it: openid-client and oauth4webapi, unmodified, by its published metadata.

import { importJWK } from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openHouse, type House } from './house.ts'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

let house: House
let ann: string

beforeAll(async () => {
  house = await openHouse()
  ann = await house.world.login('ann')
})

afterAll(async () => {
  await house.close()
})

beforeEach(() => {
  house.world.traffic.clear()
})

function exchangeOf(subjectToken: string, more: Record<string, string> = {}) {
  return { subject_token: subjectToken, subject_token_type: ID_TOKEN, resource: house.world.tasks.resource, ...more }
}

function asSupportBot() {
  return openid.discovery(
    new URL(house.gateway.url),
    'support-bot',
    undefined,
    openid.ClientSecretBasic(house.world.secrets()['SUPPORT_BOT_SECRET'] ?? ''),
    // oxlint-disable-next-line typescript/no-deprecated -- http on loopback
    { execute: [openid.allowInsecureRequests], algorithm: 'oauth2' },
  )
}

describe('openid-client', () => {
  test('discovers the broker and exchanges an ID token for an access token that opens the resource', async () => {
    const config = await asSupportBot()
    expect(config.serverMetadata()).toMatchObject({
      issuer: house.gateway.url,
      token_endpoint: `${house.gateway.url}/token`,
    })
    const answer = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeOf(ann, { scope: 'todos.read' }))
    expect(answer).toMatchObject({ token_type: 'bearer', issued_token_type: ACCESS_TOKEN, scope: 'todos.read' })
    expect(answer.refresh_token).toBeUndefined()
    const todos = await fetch(`${house.world.tasks.origin}/v1/todos`, {
      headers: { authorization: `Bearer ${answer.access_token}` },
    })
    expect(todos.status).toBe(200)
    expect(await todos.json()).toMatchObject({ user: 'ann' })
  })

  test('a second request is answered from the cache, with what remains of the life', async () => {
    const config = await asSupportBot()
    const first = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeOf(ann))
    house.world.traffic.clear()
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    const second = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeOf(ann))
    expect(second.access_token).toBe(first.access_token)
    expect(second.expires_in).toBeLessThan(first.expires_in ?? 0)
    expect(house.world.traffic.entries).toEqual([])
  })

  test('OpenID discovery finds the same document', async () => {
    const config = await openid.discovery(new URL(house.gateway.url), 'support-bot', undefined, openid.None(), {
      // oxlint-disable-next-line typescript/no-deprecated -- http on loopback
      execute: [openid.allowInsecureRequests],
    })
    expect(config.serverMetadata().token_endpoint).toBe(`${house.gateway.url}/token`)
  })
})

describe('openid-client, with a token in hand', () => {
  test('introspects it, revokes it where it was issued too, and gets another one', async () => {
    const config = await asSupportBot()
    expect(config.serverMetadata()).toMatchObject({
      revocation_endpoint: `${house.gateway.url}/revoke`,
      introspection_endpoint: `${house.gateway.url}/introspect`,
    })
    const { access_token: token } = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeOf(ann))
    const direct = async () =>
      (await fetch(`${house.world.tasks.origin}/v1/todos`, { headers: { authorization: `Bearer ${token}` } })).status
    expect(await openid.tokenIntrospection(config, token)).toMatchObject({
      active: true,
      client_id: 'support-bot',
      token_type: 'Bearer',
      aud: house.world.tasks.resource,
    })
    expect(await direct()).toBe(200)
    house.world.traffic.clear()
    await openid.tokenRevocation(config, token, { token_type_hint: 'access_token' })
    expect(house.world.traffic.of('tasks-as', '/token/revocation')).toHaveLength(1)
    expect(await direct()).toBe(401)
    expect(await openid.tokenIntrospection(config, token)).toEqual({ active: false })
    const next = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeOf(ann))
    expect(next.access_token).not.toBe(token)
    expect(house.output()).not.toContain(token)
  })

  test('is told by a 503 that its authorization server could not be asked, and may ask again', async () => {
    const config = await asSupportBot()
    const { access_token: token } = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, exchangeOf(ann))
    house.world.traffic.fail('tasks-as', { status: 503 }, { path: '/token/revocation', times: 1 })
    await expect(openid.tokenRevocation(config, token)).rejects.toMatchObject({ cause: { status: 503 } })
    await openid.tokenRevocation(config, token)
    const headers = { authorization: `Bearer ${token}` }
    expect((await fetch(`${house.world.tasks.origin}/v1/todos`, { headers })).status).toBe(401)
  })
})

describe('oauth4webapi', () => {
  // oxlint-disable-next-line typescript/no-deprecated -- http on loopback
  const insecure = { [oauth.allowInsecureRequests]: true }

  async function discover() {
    const issuer = new URL(house.gateway.url)
    const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
    return oauth.processDiscoveryResponse(issuer, response)
  }

  test('authenticates by private_key_jwt and exchanges an ID token of its own client', async () => {
    const as = await discover()
    const client = { client_id: 'assistant' }
    const key = await importJWK(house.world.assistantKey, 'ES256')
    if (!(key instanceof CryptoKey)) throw new Error('the key of the assistant is no CryptoKey')
    const auth = oauth.PrivateKeyJwt({ key, kid: house.world.assistantKey.kid ?? '' })
    const token = await house.world.login('ann', 'assistant')
    const response = await oauth.genericTokenEndpointRequest(
      as,
      client,
      auth,
      TOKEN_EXCHANGE,
      exchangeOf(token),
      insecure,
    )
    const answer = await oauth.processGenericTokenEndpointResponse(as, client, response)
    expect(answer.token_type).toBe('bearer')
    expect(answer.expires_in).toBeGreaterThan(0)

    const introspected = async (text: string) =>
      oauth.processIntrospectionResponse(
        as,
        client,
        await oauth.introspectionRequest(as, client, auth, text, { ...insecure, requestJwtResponse: true }),
      )
    expect(await introspected(answer.access_token)).toMatchObject({ active: true, client_id: 'assistant' })
    // A token of another client: neither learned about nor ended.
    const bot = await asSupportBot()
    const { access_token: theirs } = await openid.genericGrantRequest(bot, TOKEN_EXCHANGE, exchangeOf(ann))
    expect(await introspected(theirs)).toEqual({ active: false })
    for (const text of [theirs, answer.access_token]) {
      const revoked = await oauth.revocationRequest(as, client, auth, text, insecure)
      expect(await oauth.processRevocationResponse(revoked)).toBeUndefined()
    }
    expect(await introspected(answer.access_token)).toEqual({ active: false })
    expect(await openid.tokenIntrospection(bot, theirs)).toMatchObject({ active: true })
  })

  test('reads our refusals as OAuth errors', async () => {
    const as = await discover()
    const client = { client_id: 'support-bot' }
    const refused = async (secret: string, parameters: Record<string, string>) => {
      const auth = oauth.ClientSecretBasic(secret)
      const response = await oauth.genericTokenEndpointRequest(as, client, auth, TOKEN_EXCHANGE, parameters, insecure)
      return oauth.processGenericTokenEndpointResponse(as, client, response)
    }
    const secret = house.world.secrets()['SUPPORT_BOT_SECRET'] ?? ''
    await expect(refused(secret, exchangeOf(ann, { resource: 'https://nowhere.example/' }))).rejects.toMatchObject({
      error: 'invalid_target',
      status: 400,
    })
    await expect(refused(secret, exchangeOf(`${ann}x`))).rejects.toMatchObject({ error: 'invalid_request' })
    await expect(refused(secret, exchangeOf(ann, { scope: 'todos.admin' }))).rejects.toMatchObject({
      error: 'invalid_scope',
    })
    const kim = await house.world.login('kim')
    house.world.traffic.clear()
    await expect(refused(secret, exchangeOf(kim))).rejects.toMatchObject({ error: 'access_denied' })
    await expect(refused('wrong', exchangeOf(ann))).rejects.toThrow()
    expect(house.world.traffic.entries).toEqual([])
  })
})
