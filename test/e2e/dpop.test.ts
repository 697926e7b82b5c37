// DPoP (RFC 9449) with other people's software: callers by openid-client and oauth4webapi; identity provider and authorization
// server by oidc-provider, with its nonces; proofs at the API judged by oauth4webapi.

import { decodeJwt } from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Role } from '../../dev/traffic.ts'
import { readProof } from '../support/dpop.ts'
import { openHouse, type House } from './house.ts'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'

/** All of them bind: the identity provider, the tasks server and its API. */
function binding(text: string, use: 'try' | 'require'): string {
  return text
    .replace(/"dev": \{\s*"issuer"/, `"dev": { "quirks": { "dpop": "${use}" }, "issuer"`)
    .replace(/"tasks": \{\s*"kind"/, `"tasks": { "dpop": "${use}", "kind"`)
}

function callTasks(house: House, token: string): Promise<Response> {
  return fetch(`${house.gateway.url}/r/tasks/v1/todos?done=no`, { headers: { authorization: `Bearer ${token}` } })
}

describe('a broker whose client must prove a key, with nonces', () => {
  let house: House
  let ann: string

  beforeAll(async () => {
    house = await openHouse({
      edit: (text) =>
        text.replace('"support-bot": {', '"support-bot": { "dpop": "required", "dpop_nonce": "required",'),
    })
    ann = await house.world.login('ann')
  })

  afterAll(async () => {
    await house.close()
  })

  beforeEach(() => {
    house.world.traffic.clear()
  })

  const exchange = () => ({
    subject_token: ann,
    subject_token_type: ID_TOKEN,
    resource: house.world.tasks.resource,
  })
  const secret = () => house.world.secrets()['SUPPORT_BOT_SECRET'] ?? ''

  test('serves openid-client, which learns the nonce by itself, more than once', async () => {
    const config = await openid.discovery(
      new URL(house.gateway.url),
      'support-bot',
      undefined,
      openid.ClientSecretBasic(secret()),
      // oxlint-disable-next-line typescript/no-deprecated -- http on loopback
      { execute: [openid.allowInsecureRequests], algorithm: 'oauth2' },
    )
    expect(config.serverMetadata().dpop_signing_alg_values_supported).toContain('ES256')
    const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))
    for (const _ of [1, 2]) {
      const answer = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, exchange(), { DPoP })
      expect(answer.access_token).toEqual(expect.any(String))
    }
    await expect(openid.genericGrantRequest(config, TOKEN_EXCHANGE, exchange())).rejects.toMatchObject({
      error: 'invalid_request',
    })
  })

  test.each(['ES256', 'RS256', 'PS256'] as const)('serves oauth4webapi with a key for %s', async (alg) => {
    // oxlint-disable-next-line typescript/no-deprecated -- http on loopback
    const insecure = { [oauth.allowInsecureRequests]: true }
    const issuer = new URL(house.gateway.url)
    const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
    const as = await oauth.processDiscoveryResponse(issuer, found)
    const client = { client_id: 'support-bot' }
    const DPoP = oauth.DPoP({}, await oauth.generateKeyPair(alg))
    const ask = async () => {
      const auth = oauth.ClientSecretBasic(secret())
      const options = { DPoP, ...insecure }
      const response = await oauth.genericTokenEndpointRequest(as, client, auth, TOKEN_EXCHANGE, exchange(), options)
      return oauth.processGenericTokenEndpointResponse(as, client, response)
    }
    const refused: unknown = await ask().catch((error: unknown) => error)
    expect(oauth.isDPoPNonceError(refused)).toBe(true)
    expect((await ask()).token_type).toBe('bearer')
  })
})

describe.each(['try', 'require'] as const)('an identity provider, a server and an API that bind, by %s', (use) => {
  let house: House

  beforeAll(async () => {
    house = await openHouse({ proofNonces: true, edit: (text) => binding(text, use) })
  })

  afterAll(async () => {
    await house.close()
  })

  beforeEach(() => {
    house.world.traffic.clear()
  })

  const entries = (role: Role) => house.world.traffic.of(role).filter(({ headers }) => headers['dpop'] !== undefined)

  test('are reached with proofs by one key, after each has told its nonce', async () => {
    const ann = await house.world.login('ann')
    house.world.traffic.clear()
    const answer = await callTasks(house, ann)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ user: 'ann' })
    const [idp, as, api] = [entries('idp'), entries('tasks-as'), entries('tasks-api')]
    // Each wanted its nonce once.
    expect([idp, as, api].map((each) => each.map(({ status }) => status))).toEqual([
      [400, 200],
      [400, 200],
      [401, 200],
    ])
    const proofs = await Promise.all([...idp, ...as, ...api].map(({ headers }) => readProof(headers['dpop'])))
    expect(new Set(proofs.map((proof) => proof.jkt)).size).toBe(1)
    const token = api[1]?.headers['authorization'] ?? ''
    expect(token).toMatch(/^DPoP ey/)
    const cnf = { jkt: proofs[0]?.jkt }
    expect(decodeJwt(token.slice(5))['cnf']).toEqual(cnf)
    expect(decodeJwt(String(as[1]?.form?.['assertion']))['cnf']).toEqual(cnf)
  })

  test('are asked for no more than they have to be, once their nonces are known', async () => {
    const bo = await house.world.login('bo')
    house.world.traffic.clear()
    for (const _ of [1, 2]) expect((await callTasks(house, bo)).status).toBe(200)
    expect([entries('idp').length, entries('tasks-as').length, entries('tasks-api').length]).toEqual([1, 1, 2])
  })

  test('have a token revoked as any other', async () => {
    const ann = await house.world.login('ann')
    const bo = await house.world.login('bo')
    expect((await callTasks(house, bo)).status).toBe(200)
    const revoked = await fetch(`${house.gateway.url}/admin/api/revocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ann}`, 'content-type': 'application/json' },
      body: JSON.stringify({ user: 'bo' }),
    })
    expect(revoked.status).toBe(200)
    expect(await revoked.json()).toMatchObject({
      connections: [{ user: { sub: 'bo' }, authorization_server: 'revoked' }],
    })
  })

  test('do not have their tokens handed out', async () => {
    const config = await openid.discovery(
      new URL(house.gateway.url),
      'support-bot',
      undefined,
      openid.ClientSecretBasic(house.world.secrets()['SUPPORT_BOT_SECRET'] ?? ''),
      // oxlint-disable-next-line typescript/no-deprecated -- http on loopback
      { execute: [openid.allowInsecureRequests], algorithm: 'oauth2' },
    )
    const parameters = {
      subject_token: await house.world.login('ann'),
      subject_token_type: ID_TOKEN,
      resource: house.world.tasks.resource,
    }
    await expect(openid.genericGrantRequest(config, TOKEN_EXCHANGE, parameters)).rejects.toMatchObject({
      error: 'invalid_target',
      error_description: expect.stringMatching(/^LIM203: /),
    })
  })
})

describe('a server by workers-oauth-provider, which does not know DPoP', () => {
  test.each([
    ['try', 200, undefined],
    ['require', 502, 'RAS113'],
  ] as const)('by %s: %i', async (use, status, code) => {
    const house = await openHouse({
      edit: (text) => text.replace(/"notes": \{\s*"kind"/, `"notes": { "dpop": "${use}", "kind"`),
    })
    try {
      const answer = await fetch(`${house.gateway.url}/r/notes/v1/notes`, {
        headers: { authorization: `Bearer ${await house.world.login('ann')}` },
      })
      expect(answer.status).toBe(status)
      if (code !== undefined) expect(await answer.json()).toMatchObject({ code })
      const used = house.world.traffic.of('notes-api')
      expect(used.map(({ headers }) => [headers['authorization']?.split(' ')[0], headers['dpop']])).toEqual(
        status === 200 ? [['Bearer', undefined]] : [],
      )
    } finally {
      await house.close()
    }
  })
})
