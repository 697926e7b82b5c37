// What an access token looks like is between the API and its authorization server: both kinds that oidc-provider issues pass
// through, and are replaced once their server takes them back.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openHouse, type House } from './house.ts'

/** A JWT in compact form. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/

describe.each(['jwt', 'opaque'] as const)('access tokens of the format %s', (accessTokens) => {
  let house: House

  beforeAll(async () => {
    house = await openHouse({ accessTokens })
  })

  afterAll(() => house.close())

  beforeEach(() => {
    house.world.traffic.clear()
  })

  async function tokenOf(user: string): Promise<string> {
    const response = await fetch(`${house.gateway.url}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa('support-bot:dev-support-bot')}` },
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: await house.world.login(user),
        subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
        resource: house.world.tasks.resource,
      }),
    })
    expect(response.status).toBe(200)
    const body: unknown = await response.json()
    return typeof body === 'object' && body !== null && 'access_token' in body ? String(body.access_token) : ''
  }

  test('come through the broker as they were issued, and open the API', async () => {
    const token = await tokenOf('ann')
    expect(JWT.test(token)).toBe(accessTokens === 'jwt')
    const answer = await fetch(`${house.world.tasks.origin}/v1/todos`, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ user: 'ann' })
    const asked = house.world.traffic.of('tasks-as', '/token/introspection')
    expect(asked.length > 0).toBe(accessTokens === 'opaque')
  })

  test('open the API through the gateway, are kept, and are replaced once the server no longer takes them', async () => {
    const authorization = `Bearer ${await house.world.login('ann', 'gateway')}`
    const ask = async () => fetch(`${house.gateway.url}/r/tasks/v1/todos`, { headers: { authorization } })
    expect([(await ask()).status, (await ask()).status]).toEqual([200, 200])
    expect(house.world.traffic.of('tasks-as', '/token')).toHaveLength(1)

    house.world.traffic.clear()
    house.world.tasks.revokeAll()
    expect((await ask()).status).toBe(200)
    expect(house.world.traffic.of('tasks-as', '/token')).toHaveLength(1)
    const sent = house.world.traffic.of('tasks-api', '/v1/todos').map(({ headers }) => headers['authorization'])
    expect(new Set(sent).size).toBe(2)
  })
})
