// A resource server that nobody in the JavaScript world had a hand in: Apache with mod_oauth2 verifies the access tokens that
// the authorization server of the resource issued for our ID-JAGs, by the keys it publishes.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { freePort, LOOPBACK, startServer, type RunningServer } from '../../dev/server.ts'
import { createTasksAuthorizationServer } from '../../dev/tasks-as.ts'
import { Traffic } from '../../dev/traffic.ts'
import { openHouse, type House } from '../e2e/house.ts'
import { DOCUMENT, MISSING, startApache, type Apache } from './apache.ts'

if (MISSING !== undefined) console.warn(`skipped: ${MISSING}`)

const CLIENT = { id: 'gateway-at-apache', secret: 'gateway-at-apache-secret' }
const SCOPES = ['todos.read', 'todos.write']

describe.skipIf(MISSING !== undefined)('Apache with mod_oauth2 behind the gateway', () => {
  const traffic = new Traffic()
  let house: House
  let apache: Apache
  let authorizationServer: RunningServer

  beforeAll(async () => {
    house = await openHouse({
      extend: async (world) => {
        const port = await freePort()
        const resource = `http://${LOOPBACK}:${port}/api`
        authorizationServer = await startServer({ port: 0, traffic, roleOf: () => 'tasks-as' })
        const { origin: issuer } = authorizationServer
        const as = await createTasksAuthorizationServer({
          issuer,
          resource,
          trusted: world.idp,
          client: CLIENT,
          accessTokenSeconds: 600,
        })
        authorizationServer.handle((request, response, exchange) => as.handle(request, response, exchange))
        apache = await startApache(port, { issuer, audience: resource, jwksUri: `${issuer}/jwks` })
        const connection = { audience: issuer, clientIdThere: CLIENT.id, resources: [resource], scopes: SCOPES }
        world.idp.connect({ ...connection, client: 'gateway' })
        const entry = {
          kind: 'id-jag',
          authorization_server: { issuer },
          resource,
          client: { id: CLIENT.id, auth: { method: 'client_secret_basic', secret: { secret: 'APACHE_SECRET' } } },
          scopes: SCOPES,
          proxy: { path: '/r/apache', upstream: apache.origin },
        }
        const rule = { id: 'apache', effect: 'allow', who: { groups: ['engineering'] }, resources: ['apache'] }
        return {
          edit: (text) =>
            text
              .replace('"resources": {', (section) => `${section} "apache": ${JSON.stringify(entry)},`)
              .replace('"rules": [', (section) => `${section} ${JSON.stringify(rule)},`),
          secrets: { APACHE_SECRET: CLIENT.secret },
          close: async () => {
            await apache.close()
            await authorizationServer.close()
          },
        }
      },
    })
  })

  afterAll(() => house.close())

  beforeEach(() => {
    house.world.traffic.clear()
    traffic.clear()
  })

  const ask = (origin: string, token?: string) =>
    fetch(`${origin}/api/hello.json`, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
  const throughGateway = (token?: string) => ask(`${house.gateway.url}/r/apache`, token)

  test('takes the token that comes with a request, and sees the user', async () => {
    const answer = await throughGateway(await house.world.login('ann'))
    expect([answer.status, await answer.json()]).toEqual([200, DOCUMENT])
    expect(answer.headers.get('x-user')).toBe('ann')
    expect(traffic.of('tasks-as', '/token')).toHaveLength(1)
  })

  test('takes the token that the broker hands out', async () => {
    const response = await fetch(`${house.gateway.url}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa('support-bot:dev-support-bot')}` },
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: await house.world.login('ann'),
        subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
        audience: 'apache',
      }),
    })
    expect(response.status).toBe(200)
    const body: unknown = await response.json()
    const token = typeof body === 'object' && body !== null && 'access_token' in body ? String(body.access_token) : ''
    const answer = await ask(apache.origin, token)
    expect([answer.status, answer.headers.get('x-user')]).toEqual([200, 'ann'])
    const forged = await ask(apache.origin, `${token.slice(0, -8)}AAAAAAAA`)
    expect(forged.status).toBe(401)
  })

  test('refuses the ID token that the gateway takes, and never gets to see it', async () => {
    const idToken = await house.world.login('ann')
    expect((await ask(apache.origin, idToken)).status).toBe(401)
    expect((await throughGateway(idToken)).status).toBe(200)
    expect(await apache.complaints()).not.toContain(idToken)
  })

  test('is not asked for those whom policy or the gateway refuses, and its own challenge stays behind', async () => {
    const tokenless = await throughGateway()
    expect(tokenless.status).toBe(401)
    expect(tokenless.headers.get('www-authenticate')).toContain(`resource_metadata="${house.gateway.url}/`)
    const denied = await throughGateway(await house.world.login('kim'))
    expect(denied.status).toBe(403)
    for (const { headers } of [tokenless, denied]) expect(headers.has('x-user')).toBe(false)
    expect(traffic.of('tasks-as', '/token')).toHaveLength(0)
  })
})
