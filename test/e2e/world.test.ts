// The local world itself: both ways from an ID token to an API, driven by openid-client and oauth4webapi without the
// gateway, and the refusals a gateway must expect from such counterparties.

import { randomUUID } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startWorld, type World } from '../../dev/world.ts'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag'
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'

type Fields = Record<string, string>
type Answer = { readonly status: number; readonly body: Record<string, unknown> }

let world: World
let ann: string

beforeAll(async () => {
  world = await startWorld()
  ann = await world.login('ann')
})

afterAll(async () => {
  await world.close()
})

beforeEach(() => {
  world.traffic.clear()
  world.traffic.heal()
})

/** What stands behind each resource, and how the gateway is known there. */
function saas(name: 'tasks' | 'notes') {
  const { TASKS_CLIENT_SECRET = '', NOTES_CLIENT_SECRET = '' } = world.secrets()
  return name === 'tasks'
    ? { ...world.tasks, client: 'acme-gateway', secret: TASKS_CLIENT_SECRET, scope: 'todos.read', path: '/v1/todos' }
    : {
        ...world.notes,
        client: 'acme-gateway-notes',
        secret: NOTES_CLIENT_SECRET,
        scope: 'notes.read',
        path: '/v1/notes',
      }
}

async function post(url: string, client: string, secret: string, fields: Fields | URLSearchParams): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${client}:${secret}`)}` },
    body: new URLSearchParams(fields),
  })
  const body: unknown = await response.json()
  return { status: response.status, body: typeof body === 'object' && body !== null ? { ...body } : {} }
}

function exchangeFields(overrides: Fields = {}): Fields {
  return {
    grant_type: TOKEN_EXCHANGE,
    requested_token_type: ID_JAG,
    subject_token: ann,
    subject_token_type: ID_TOKEN,
    audience: world.tasks.issuer,
    resource: world.tasks.resource,
    scope: 'todos.read',
    ...overrides,
  }
}

function exchange(fields: Fields | URLSearchParams): Promise<Answer> {
  return post(`${world.idp.issuer}/token`, 'gateway', world.secrets()['GATEWAY_IDP_SECRET'] ?? '', fields)
}

async function idJag(overrides: Fields = {}): Promise<string> {
  const { body } = await exchange(exchangeFields(overrides))
  return String(body['access_token'])
}

function redeem(assertion: string, fields: Fields = {}): Promise<Answer> {
  const { client, secret } = saas('tasks')
  return post(`${world.tasks.issuer}/token`, client, secret, { grant_type: JWT_BEARER, assertion, ...fields })
}

/** An ID-JAG signed with the IdP's real key, with claims of the test's choice; undefined leaves one out. */
function forged(
  claims: Record<string, unknown>,
  header: { typ?: string } = { typ: 'oauth-id-jag+jwt' },
): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const all = {
    iss: world.idp.issuer,
    sub: 'ann',
    aud: world.tasks.issuer,
    client_id: 'acme-gateway',
    jti: randomUUID(),
    iat: now,
    exp: now + 300,
    resource: world.tasks.resource,
    scope: 'todos.read',
    ...claims,
  }
  const present: JWTPayload = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  return world.idp.sign(header, present)
}

async function tasksToken(scope = 'todos.read todos.write', user = ann): Promise<string> {
  const { body } = await redeem(await idJag({ scope, subject_token: user }))
  return String(body['access_token'])
}

function callTasks(token: string, method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`${world.tasks.origin}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

describe('login', () => {
  test('gives an RS256 ID token with the user’s groups, issued to the client that asked', () => {
    expect(decodeProtectedHeader(ann)).toMatchObject({ alg: 'RS256' })
    expect(decodeJwt(ann)).toMatchObject({
      iss: world.idp.issuer,
      sub: 'ann',
      aud: 'gateway',
      groups: ['engineering', 'everyone'],
      email: 'ann@acme.example',
      acr: 'urn:acme:acr:password',
      auth_time: expect.any(Number),
    })
  })

  test('works for the client that authenticates with a key', async () => {
    expect(decodeJwt(await world.login('kim', 'assistant'))).toMatchObject({ sub: 'kim', aud: 'assistant' })
  })

  test('refuses a user who does not exist', async () => {
    await expect(world.login('eve')).rejects.toThrow('did not sign eve in')
  })
})

describe.each(['tasks', 'notes'] as const)('the way to %s', (name) => {
  test('leads from an ID token over an ID-JAG and an access token to the API', async () => {
    const target = saas(name)
    const idp = await openid.discovery(
      new URL(world.idp.issuer),
      'gateway',
      undefined,
      openid.ClientSecretBasic(world.secrets()['GATEWAY_IDP_SECRET'] ?? ''),
    )
    const { grant_type, ...fields } = exchangeFields({
      audience: target.issuer,
      resource: target.resource,
      scope: target.scope,
    })
    const granted = await openid.genericGrantRequest(idp, grant_type ?? '', fields)
    expect(granted).toMatchObject({ issued_token_type: ID_JAG, token_type: 'n_a', expires_in: 300 })
    expect(decodeProtectedHeader(granted.access_token)).toMatchObject({ typ: 'oauth-id-jag+jwt' })
    expect(decodeJwt(granted.access_token)).toMatchObject({
      iss: world.idp.issuer,
      sub: 'ann',
      aud: target.issuer,
      client_id: target.client,
      resource: target.resource,
      scope: target.scope,
      auth_time: expect.any(Number),
    })

    // oxlint-disable-next-line typescript/no-deprecated -- marked so to stand out; this is loopback
    const options = { [oauth.allowInsecureRequests]: true }
    const issuer = new URL(target.issuer)
    const server = await oauth.processDiscoveryResponse(
      issuer,
      await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' }),
    )
    expect(server).toMatchObject({
      authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'],
      grant_types_supported: expect.arrayContaining([JWT_BEARER]),
    })
    const redeemed = await oauth.genericTokenEndpointRequest(
      server,
      { client_id: target.client },
      oauth.ClientSecretBasic(target.secret),
      JWT_BEARER,
      { assertion: granted.access_token, scope: target.scope },
      options,
    )
    const token = await oauth.processGenericTokenEndpointResponse(server, { client_id: target.client }, redeemed)
    expect(token).toMatchObject({ token_type: 'bearer', scope: target.scope, expires_in: expect.any(Number) })

    const answer = await fetch(`${target.origin}${target.path}`, {
      headers: { authorization: `Bearer ${token.access_token}` },
    })
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ user: 'ann' })
  })

  test('takes an ID-JAG once', async () => {
    const target = saas(name)
    const assertion = await idJag({ audience: target.issuer, resource: target.resource, scope: target.scope })
    const fields = { grant_type: JWT_BEARER, assertion }
    expect((await post(`${target.issuer}/token`, target.client, target.secret, fields)).status).toBe(200)
    expect(await post(`${target.issuer}/token`, target.client, target.secret, fields)).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    })
  })

  test('challenges a call without a token and names the metadata of the resource', async () => {
    const target = saas(name)
    const answer = await fetch(`${target.origin}${target.path}`)
    expect(answer.status).toBe(401)
    const challenge = answer.headers.get('www-authenticate') ?? ''
    expect(challenge).not.toContain('error=')
    const [, metadata = ''] = /resource_metadata="([^"]+)"/.exec(challenge) ?? []
    expect(await (await fetch(metadata)).json()).toMatchObject({
      resource: target.resource,
      authorization_servers: [target.issuer],
    })
  })
})

describe('the identity provider refuses to exchange', () => {
  const wrong: readonly (readonly [string, Fields, string])[] = [
    ['an unknown audience', { audience: 'https://elsewhere.example' }, 'invalid_target'],
    ['a resource of another audience', { resource: 'https://elsewhere.example/v1' }, 'invalid_target'],
    ['a scope outside its table', { scope: 'todos.read todos.admin' }, 'invalid_scope'],
    ['for another kind of token', { requested_token_type: ID_TOKEN }, 'invalid_request'],
    ['another kind of subject token', { subject_token_type: ID_JAG }, 'invalid_request'],
    ['an unreadable subject token', { subject_token: 'a.b.c' }, 'invalid_grant'],
  ]
  test.each(wrong)('%s', async (_name, overrides, error) => {
    expect(await exchange(exchangeFields(overrides))).toMatchObject({ status: 400, body: { error } })
  })

  test('an ID token of another client', async () => {
    const subject_token = await world.login('ann', 'assistant')
    expect((await exchange(exchangeFields({ subject_token }))).body).toMatchObject({ error: 'invalid_grant' })
  })

  test('an expired ID token', async () => {
    const now = Math.floor(Date.now() / 1000)
    const subject_token = await world.idp.sign({}, { ...decodeJwt(ann), iat: now - 7200, exp: now - 3600 })
    expect((await exchange(exchangeFields({ subject_token }))).body).toMatchObject({ error: 'invalid_grant' })
  })

  test('an ID-JAG given as the identity assertion', async () => {
    const subject_token = await forged({ aud: 'gateway' })
    expect((await exchange(exchangeFields({ subject_token }))).body).toMatchObject({ error: 'invalid_grant' })
  })

  test('two audiences at once', async () => {
    const fields = new URLSearchParams(exchangeFields())
    fields.append('audience', world.notes.issuer)
    expect((await exchange(fields)).body).toMatchObject({ error: 'invalid_request' })
  })

  test('a client that does not prove who it is', async () => {
    expect(await post(`${world.idp.issuer}/token`, 'gateway', 'wrong', exchangeFields())).toMatchObject({
      status: 401,
      body: { error: 'invalid_client' },
    })
  })
})

describe('the authorization server of tasks refuses an ID-JAG', () => {
  const past = () => Math.floor(Date.now() / 1000) - 600
  const wrong: readonly (readonly [string, () => Promise<string>])[] = [
    ['for another audience', () => forged({ aud: `${world.tasks.issuer}/` })],
    ['for two audiences', () => forged({ aud: [world.tasks.issuer, world.notes.issuer] })],
    ['of another client', () => forged({ client_id: 'someone-else' })],
    ['of an unknown issuer', () => forged({ iss: 'https://elsewhere.example' })],
    ['that has expired', () => forged({ iat: past(), exp: past() + 300 })],
    ['from the future', () => forged({ iat: past() + 1200, exp: past() + 1500 })],
    ['that lives too long', () => forged({ exp: past() + 7200 })],
    ['without a jti', () => forged({ jti: undefined })],
    ['for a resource it does not serve', () => forged({ resource: 'https://elsewhere.example' })],
    ['of an unknown user', () => forged({ sub: 'eve' })],
    ['that is of another type', () => forged({}, {})],
    ['whose signature is cut', async () => (await forged({})).slice(0, -8)],
  ]
  test.each(wrong)('%s', async (_name, assertion) => {
    expect(await redeem(await assertion())).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
  })

  test('but takes one in order', async () => {
    expect(await redeem(await forged({}))).toMatchObject({ status: 200, body: { scope: 'todos.read' } })
  })

  test('when more scope is asked for than it carries', async () => {
    const answer = await redeem(await idJag(), { scope: 'todos.read todos.write' })
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_scope' } })
  })
})

describe('the todos API', () => {
  test('keeps each user’s own todos through their life', async () => {
    const token = await tasksToken()
    const made = await callTasks(token, 'POST', '/v1/todos', { title: 'Write the README' })
    expect(made.status).toBe(201)
    const path = made.headers.get('location') ?? ''
    expect(await (await callTasks(token, 'PATCH', path, { done: true })).json()).toMatchObject({ done: true })
    expect(await (await callTasks(token, 'GET', path)).json()).toMatchObject({ title: 'Write the README', done: true })

    const kim = await tasksToken('todos.read', await world.login('kim'))
    expect((await callTasks(kim, 'GET', path)).status).toBe(404)
    expect((await callTasks(token, 'DELETE', path)).status).toBe(204)
    expect((await callTasks(token, 'GET', path)).status).toBe(404)
  })

  test('asks for the scope that is missing', async () => {
    const answer = await callTasks(await tasksToken('todos.read'), 'POST', '/v1/todos', { title: 'x' })
    expect(answer.status).toBe(403)
    expect(answer.headers.get('www-authenticate')).toContain('error="insufficient_scope", scope="todos.write"')
  })

  test('sends events as they happen', async () => {
    const answer = await callTasks(await tasksToken('todos.read'), 'GET', '/v1/events')
    expect(answer.headers.get('content-type')).toBe('text/event-stream')
    const reader = answer.body?.getReader()
    const first = await reader?.read()
    expect(new TextDecoder().decode(first?.value)).toContain('data: {"count":1}')
    await reader?.cancel()
  })

  test('forgets every token when told to', async () => {
    const token = await tasksToken()
    world.tasks.revokeAll()
    const answer = await callTasks(token, 'GET', '/v1/todos')
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"')
  })
})

describe('traffic', () => {
  test('keeps what each server received', async () => {
    await callTasks(await tasksToken('todos.read'), 'GET', '/v1/todos?done=false')
    expect(world.traffic.of('idp', '/token')).toMatchObject([
      { method: 'POST', form: { requested_token_type: ID_JAG } },
    ])
    expect(world.traffic.of('tasks-as', '/token')).toMatchObject([{ status: 200, form: { grant_type: JWT_BEARER } }])
    expect(world.traffic.of('tasks-api')).toMatchObject([{ path: '/v1/todos?done=false', status: 200 }])
  })

  test.each(['tasks', 'notes'] as const)('makes %s fail as often as asked', async (name) => {
    const { origin, path } = saas(name)
    world.traffic.fail(`${name}-api`, { status: 503, headers: { 'retry-after': '7' } }, { path })
    const failed = await fetch(`${origin}${path}`)
    expect([failed.status, failed.headers.get('retry-after')]).toEqual([503, '7'])
    expect((await fetch(`${origin}${path}`)).status).toBe(401)
  })

  test.each(['tasks', 'notes'] as const)('makes %s hang', async (name) => {
    const { origin, path } = saas(name)
    world.traffic.fail(`${name}-api`, { hang: true })
    await expect(fetch(`${origin}${path}`, { signal: AbortSignal.timeout(300) })).rejects.toThrow('timeout')
  })
})

test('two worlds live side by side', async () => {
  const other = await startWorld()
  try {
    expect(decodeJwt(await other.login('bo'))).toMatchObject({ iss: other.idp.issuer, sub: 'bo' })
    expect(other.config('http://127.0.0.1:1')).toContain(other.tasks.resource)
    expect(other.config('http://127.0.0.1:1')).not.toContain('127.0.0.1:8788')
  } finally {
    await other.close()
  }
})
