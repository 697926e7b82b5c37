// DPoP (RFC 9449) with other people's software: callers by openid-client and oauth4webapi, unmodified.

import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openHouse, type House } from './house.ts'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'

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
