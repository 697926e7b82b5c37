// The administration as it comes out of the built Worker, with the real objects behind it: each endpoint by outcome.

import { createServer, type Server } from 'node:http'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWTPayload } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchGateway, type RunningGateway } from '../../src/cli/launch.ts'

const IDP = 'https://idp.example'
const AUDIENCE = 'application-of-the-gateway'

let team: Server
let teamDomain: string
let key: CryptoKey
let gateway: RunningGateway
let events: Record<string, unknown>[]

beforeAll(async () => {
  const pair = await generateKeyPair('RS256', { extractable: true })
  key = pair.privateKey
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: '1', alg: 'RS256', use: 'sig' }
  team = createServer((request, response) => {
    const found = request.url === '/cdn-cgi/access/certs'
    response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: [jwk] }))
  })
  await new Promise<void>((done) => team.listen(0, '127.0.0.1', done))
  const address = team.address()
  teamDomain = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  events = []
  gateway = await launchGateway({
    config: { fileName: 'jagway.jsonc', text: (origin) => JSON.stringify(configOf(origin, [jwk], true)) },
    secrets: {},
    onLog: ({ message }) => {
      if (message.startsWith('{')) events.push(JSON.parse(message))
    },
  })
})

afterAll(async () => {
  await gateway?.close()
  await new Promise((done) => team.close(done))
})

function configOf(origin: string, keys: readonly object[], admin: boolean): object {
  return {
    version: 1,
    public_url: origin,
    idps: {
      main: {
        issuer: IDP,
        token_endpoint: `${IDP}/token`,
        jwks: { keys },
        claims: { groups: 'groups' },
        clients: { gateway: { id: 'gw', auth: { method: 'none' }, edge_client: 'people' } },
      },
    },
    clients: { people: { subject_tokens: ['main/gateway'] } },
    resources: {
      tasks: {
        kind: 'id-jag',
        authorization_server: { issuer: 'https://as.tasks.example' },
        client: { id: 'gw-at-tasks', auth: { method: 'none' } },
        scopes: ['read'],
        proxy: { path: '/r/tasks', upstream: 'https://api.tasks.example' },
      },
    },
    policy: { rules: [{ id: 'all', effect: 'allow' }] },
    ...(admin
      ? {
          admin: {
            access: { team_domain: teamDomain, audience: AUDIENCE },
            id_token: { view: { groups: ['help'] }, revoke: { groups: ['ops'] } },
          },
        }
      : {}),
  }
}

function sign(claims: JWTPayload): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ iat: now, exp: now + 600, ...claims }).setProtectedHeader({ alg: 'RS256', kid: '1' }).sign(key)
}

const idToken = (sub: string, groups: readonly string[]) => sign({ iss: IDP, aud: 'gw', sub, groups })

async function ask(method: string, path: string, headers: Record<string, string>, body?: unknown, url = gateway.url) {
  const response = await fetch(`${url}/admin/api/${path}`, {
    method,
    headers: { ...(method === 'GET' ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
}

async function as(sub: string, groups: readonly string[]) {
  return { authorization: `Bearer ${await idToken(sub, groups)}` }
}

describe('200 and 204', () => {
  test('lists, quota, a revocation and a block', async () => {
    const ops = await as('sue', ['ops'])
    expect(await ask('GET', 'connections', ops)).toMatchObject({ status: 200, body: { connections: [], more: false } })
    expect(await ask('GET', 'quota?user=ann', ops)).toMatchObject({ status: 200, body: { user: 'ann', used: [] } })
    const revoked = await ask('POST', 'revocations', ops, { user: 'ann', resource: 'tasks' })
    expect(revoked).toMatchObject({
      status: 200,
      body: { connections: [], counts: { connections: 0 }, sign_ins_ended: false },
    })
    const { effective_by: by, before } = revoked.body
    expect(Date.parse(by) - Date.parse(before)).toBeGreaterThanOrEqual(10_000)
    const block = await ask('POST', 'blocks', ops, { user: 'bob' })
    expect(block.status).toBe(201)
    expect(await ask('GET', 'revocations', ops)).toMatchObject({
      status: 200,
      body: {
        cutoffs: [{ id: revoked.body.id, selector: { user: 'ann', resource: 'tasks' }, before }],
        blocks: [{ id: block.body.id, selector: { user: 'bob' } }],
      },
    })
    expect(await ask('GET', 'connections', await as('bob', ['ops']))).toMatchObject({
      status: 403,
      body: { code: 'POL110' },
    })
    expect(await ask('DELETE', `blocks/${block.body.id}`, ops)).toMatchObject({ status: 204, body: undefined })
    expect((await ask('GET', 'connections', await as('bob', ['ops']))).status).toBe(200)
  })

  test('by a token of Cloudflare Access', async () => {
    const claims = { iss: teamDomain, aud: [AUDIENCE], email: 'kim@acme.example', type: 'app' }
    const by = async (more: JWTPayload) => ({ 'cf-access-jwt-assertion': await sign({ ...claims, ...more }) })
    expect((await ask('GET', 'connections', await by({}))).status).toBe(200)
    expect((await ask('GET', 'connections', await by({ aud: ['another'] }))).status).toBe(401)
    expect((await ask('POST', 'blocks', await by({}), { user: 'bob' })).body).toMatchObject({ code: 'ADM102' })
  })
})

test('400, 401, 403, 404, 405, 413 and 415 are problems with a code, and no cache keeps them', async () => {
  const ops = await as('sue', ['ops'])
  const answers = [
    await ask('POST', 'revocations', ops, []),
    await ask('POST', 'revocations', ops, { user: 'ann', resource: 'nothing' }),
    await ask('POST', 'blocks', ops, { user: 'ann', until: '2020-01-01T00:00:00Z' }),
    await ask('POST', 'revocations', ops, {}),
    await ask('POST', 'blocks', ops, { user: 'sue' }),
    await ask('GET', 'connections', {}),
    await ask('GET', 'connections', await as('bob', ['everyone'])),
    await ask('POST', 'revocations', { ...ops, origin: 'https://evil.example' }, { user: 'ann' }),
    await ask('GET', 'nothing', ops),
    await ask('PUT', 'connections', ops),
    await ask('POST', 'revocations', ops, { user: 'x'.repeat(20_000) }),
    await ask('POST', 'revocations', { ...ops, 'content-type': 'text/plain' }, { user: 'ann' }),
  ]
  expect(answers.map(({ status, body }) => `${status} ${body.code}`)).toEqual([
    '400 ADM100',
    '400 ADM105',
    '400 ADM106',
    '400 ADM107',
    '400 ADM108',
    '401 ADM101',
    '403 ADM102',
    '403 ADM103',
    '404 ADM104',
    '405 CLI110',
    '413 LIM101',
    '415 ADM109',
  ])
  for (const { headers, status } of answers) {
    expect(headers.get('content-type')).toBe('application/problem+json')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.has('www-authenticate')).toBe(status === 401)
  }
  // None of the refused orders has left anything in force.
  const { body } = await ask('GET', 'revocations', ops)
  expect(JSON.stringify(body.cutoffs)).not.toMatch(/nothing/)
  expect(body.blocks).toEqual([])
})

test('404 for everything where there is no administration', async () => {
  const bare = await launchGateway({
    config: {
      fileName: 'jagway.jsonc',
      text: (origin) => JSON.stringify(configOf(origin, [{ kty: 'RSA', n: 'AQAB', e: 'AQAB' }], false)),
    },
    secrets: {},
  })
  try {
    for (const path of ['connections', 'revocations', 'nothing']) {
      expect(await ask('GET', path, {}, undefined, bare.url)).toMatchObject({ status: 404, body: { code: 'CLI106' } })
    }
  } finally {
    await bare.close()
  }
})

test('every request leaves one audit event that says who did what, and holds no token', async () => {
  events.length = 0
  const ops = await as('sue', ['ops'])
  await ask('POST', 'revocations', ops, { user: 'zoe', dry_run: true })
  for (let waited = 0; events.length === 0 && waited < 50; waited += 1)
    await new Promise((done) => setTimeout(done, 20))
  expect(events).toMatchObject([
    {
      v: 1,
      event: 'connection.revoke',
      outcome: 'allow',
      http: { method: 'POST', status: 200 },
      admin: {
        actor: { via: 'id_token', issuer: IDP, sub: 'sue' },
        selector: { user: 'zoe' },
        dry_run: true,
        counts: { connections: 0 },
      },
    },
  ])
  expect(JSON.stringify(events)).not.toContain(ops.authorization.slice(-30))
})
