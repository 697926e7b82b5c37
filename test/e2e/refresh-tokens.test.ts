// Refresh tokens of a real OpenID Connect provider (oidc-provider, each good once) as subject tokens, sent by openid-client.

import * as openid from 'openid-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openHouse, type House } from './house.ts'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const REFRESH_TOKEN = 'urn:ietf:params:oauth:token-type:refresh_token'
const KINDS = '"subject_token_types": ["id_token", "refresh_token"]'

let house: House
let bot: openid.Configuration

beforeAll(async () => {
  house = await openHouse({
    instances: 2,
    edit: (text) =>
      text
        .replace(/"dev": \{\s*"issuer"/, `"dev": { "quirks": { ${KINDS} }, "issuer"`)
        .replace('"support-bot": {', `"support-bot": { ${KINDS},`),
  })
  const secret = house.world.secrets()['SUPPORT_BOT_SECRET'] ?? ''
  bot = await openid.discovery(
    new URL(house.gateway.url),
    'support-bot',
    undefined,
    openid.ClientSecretBasic(secret),
    // oxlint-disable-next-line typescript/no-deprecated -- http on loopback
    { execute: [openid.allowInsecureRequests], algorithm: 'oauth2' },
  )
})

afterAll(async () => {
  await house.close()
})

beforeEach(() => {
  house.world.traffic.clear()
})

function exchange(refreshToken: string, more: Record<string, string> = {}) {
  return openid.genericGrantRequest(bot, TOKEN_EXCHANGE, {
    subject_token: refreshToken,
    subject_token_type: REFRESH_TOKEN,
    resource: house.world.tasks.resource,
    ...more,
  })
}

/** What the identity provider was shown, in order. */
function shown(): readonly unknown[] {
  return house.world.traffic.of('idp', '/token').map(({ form }) => form?.['subject_token'])
}

describe('a refresh token of oidc-provider', () => {
  test('becomes an access token of its user, and goes on to be good although each is good once', async () => {
    const { refreshToken } = await house.world.signIn('ann')
    house.world.traffic.clear()
    const answer = await exchange(refreshToken, { scope: 'todos.read' })
    expect(answer).toMatchObject({ token_type: 'bearer', scope: 'todos.read' })
    expect(answer.refresh_token).toBeUndefined()
    const headers = { authorization: `Bearer ${answer.access_token}` }
    const todos = await fetch(`${house.world.tasks.origin}/v1/todos`, { headers })
    expect(await todos.json()).toMatchObject({ user: 'ann' })

    const again = await exchange(refreshToken, { scope: 'todos.read' })
    expect(again.access_token).toBe(answer.access_token)
    expect(shown()).toEqual([refreshToken])

    const others = await Promise.all([
      exchange(refreshToken),
      exchange(refreshToken, { scope: 'todos.write' }),
      exchange(refreshToken, { resource: house.world.notes.resource, scope: 'notes.read' }),
    ])
    expect(new Set(others.map(({ access_token: token }) => token)).size).toBe(3)
    const all = shown()
    expect([all.length, new Set(all).size]).toEqual([4, 4])
    for (const token of all) expect(house.output()).not.toContain(token)
    expect(house.events.at(-1)).toMatchObject({ user: { sub: 'ann' }, subject: { kind: 'refresh_token' } })
  })

  test('of somebody no rule allows is found out by its ID-JAG, and nothing is redeemed', async () => {
    const { refreshToken } = await house.world.signIn('kim')
    house.world.traffic.clear()
    await expect(exchange(refreshToken)).rejects.toMatchObject({ error: 'access_denied' })
    expect(shown()).toEqual([refreshToken])
    expect(house.world.traffic.of('tasks-as', '/token')).toEqual([])
  })

  test('whose session has ended, because somebody else has used it, is refused: sign in again', async () => {
    const { refreshToken } = await house.world.signIn('ann')
    await exchange(refreshToken, { scope: 'todos.read' })
    const idp = await openid.discovery(
      new URL(house.world.idp.issuer),
      'gateway',
      undefined,
      openid.ClientSecretBasic(house.world.secrets()['GATEWAY_IDP_SECRET'] ?? ''),
    )
    await expect(openid.refreshTokenGrant(idp, refreshToken)).rejects.toMatchObject({ error: 'invalid_grant' })
    await expect(exchange(refreshToken, { scope: 'todos.write' })).rejects.toMatchObject({
      error: 'invalid_request',
      error_description: expect.stringContaining('IDP101'),
    })
    const { refreshToken: next } = await house.world.signIn('ann')
    expect((await exchange(next, { scope: 'todos.write' })).access_token).toBeTypeOf('string')
  })
})
