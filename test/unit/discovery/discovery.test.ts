import { describe, expect, test } from 'vitest'
import { REFUSAL_CODES } from '../../../src/refusal.ts'
import { createTestKey } from '../../support/keys.ts'
import { CLIENTS, createWorld, IDPS, NAMES, RESOURCES, type Json, type World } from '../support/world.ts'

async function get(world: World, path: string, init: RequestInit = {}): Promise<Response> {
  return world.app(new Request(path.startsWith('https:') ? path : NAMES.gateway + path, init))
}

async function document(world: World, path: string): Promise<Json> {
  const response = await get(world, path)
  expect([response.status, response.headers.get('content-type')?.split(';')[0]]).toEqual([200, 'application/json'])
  return response.json<Json>()
}

const SERVER = '/.well-known/oauth-authorization-server'
const RESOURCE = '/.well-known/oauth-protected-resource'

describe('our metadata as an authorization server (RFC 8414)', () => {
  test('says what the token endpoint can do, and nothing else', async () => {
    const known = {
      issuer: NAMES.gateway,
      token_endpoint: `${NAMES.gateway}/token`,
      grant_types_supported: ['urn:ietf:params:oauth:grant-type:token-exchange'],
      token_endpoint_auth_methods_supported: ['client_secret_basic'],
    }
    const world = createWorld()
    expect(await document(world, SERVER)).toEqual(known)
    expect(await document(world, '/.well-known/openid-configuration')).toEqual(known)
  })

  test('lists each method and each algorithm once', async () => {
    const { publicJwk } = await createTestKey()
    const jwt = (algorithms: string[]): Json => ({
      subject_tokens: ['corp/agent'],
      auth: { method: 'private_key_jwt', jwks: { keys: [publicJwk] }, algorithms },
    })
    const post = {
      subject_tokens: ['corp/agent'],
      auth: { method: 'client_secret_post', secret: { secret: 'AGENT_SECRET' } },
    }
    const world = createWorld({ clients: { ...CLIENTS, a: jwt(['ES256', 'PS256']), b: jwt(['ES256']), c: post } })
    expect(await document(world, SERVER)).toMatchObject({
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
      token_endpoint_auth_signing_alg_values_supported: ['ES256', 'PS256'],
    })
  })

  test('tells nobody which identity providers, clients or resources there are (J04 section 9.4)', async () => {
    const text = JSON.stringify(await document(createWorld(), SERVER))
    for (const word of ['corp', 'agent', 'browser-app', 'tasks', 'hidden', 'login.']) expect(text).not.toContain(word)
  })

  test('does not exist where no client can use the token endpoint, and neither does that', async () => {
    const world = createWorld({ clients: { 'browser-app': { subject_tokens: ['corp/web'] } }, rules: [] })
    for (const path of [SERVER, '/.well-known/openid-configuration', '/token'])
      expect((await get(world, path)).status).toBe(404)
    expect((await get(world, '/token', { method: 'POST', body: 'a=b' })).status).toBe(404)
  })
})

describe('the metadata of a resource (RFC 9728)', () => {
  test('stands between our host and its path, and names our own address of it', async () => {
    expect(await document(createWorld(), `${RESOURCE}/r/tasks`)).toEqual({
      resource: `${NAMES.gateway}/r/tasks`,
      authorization_servers: [NAMES.idp],
      scopes_supported: ['tasks.read', 'tasks.write'],
      bearer_methods_supported: ['header'],
      resource_name: 'tasks',
    })
  })

  test('stands on the resource’s own host where it has one', async () => {
    expect(await document(createWorld(), `https://notes.gw.test${RESOURCE}`)).toMatchObject({
      resource: 'https://notes.gw.test',
    })
  })

  test('has no empty lists', async () => {
    const clients = { agent: CLIENTS['agent'] }
    const corp = { ...(IDPS['corp'] as Json), clients: { agent: { id: 'agent-id', auth: { method: 'none' } } } }
    const resources = { tasks: { ...RESOURCES.tasks, scopes: [] } }
    const metadata = await document(
      createWorld({ idps: { corp }, clients, resources, rules: [] }),
      `${RESOURCE}/r/tasks`,
    )
    expect(Object.keys(metadata).toSorted()).toEqual(['bearer_methods_supported', 'resource', 'resource_name'])
  })

  test('does not betray the upstream or its authorization server', async () => {
    const text = JSON.stringify(await document(createWorld(), `${RESOURCE}/r/tasks`))
    expect(text).not.toContain('api.tasks.test')
    expect(text).not.toContain('as.tasks.test')
  })

  test('does not exist for resources without a door, nor anywhere else', async () => {
    const world = createWorld()
    for (const path of ['', '/', '/r', '/r/tasks/', '/r/tasks/x', '/r/hidden', '/hidden', '/notes']) {
      expect((await get(world, RESOURCE + path)).status).toBe(404)
    }
    expect(world.sink.events).toEqual([])
  })
})

describe('what anybody may know', () => {
  test('does not depend on the host that was asked, nor on any header', async () => {
    const world = createWorld()
    const init = { headers: { host: 'evil.test', 'x-forwarded-host': 'evil.test', forwarded: 'host=evil.test' } }
    for (const path of [SERVER, `${RESOURCE}/r/tasks`]) {
      const asked = await get(world, `https://evil.test${path}`, init)
      expect(await asked.text()).toBe(await (await get(world, path)).text())
    }
  })

  test('is read, not written', async () => {
    const world = createWorld()
    for (const path of [SERVER, `${RESOURCE}/r/tasks`, '/errors/CLI100']) {
      expect((await get(world, path, { method: 'POST', body: 'x' })).status).toBe(404)
      const head = await get(world, path, { method: 'HEAD' })
      expect([head.status, await head.text()]).toEqual([200, ''])
    }
  })
})

describe('the pages of refusal codes', () => {
  test.each(REFUSAL_CODES)('%s has one that says what happened and what to do', async (code) => {
    const response = await get(createWorld(), `/errors/${code}`)
    const text = await response.text()
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8'])
    expect(text).toMatch(new RegExp(`^${code}\\n\\nWhat happened: [^{}]+\\.\\nWhat to do: [^{}]+\\.\\n$`))
  })

  test.each(['XXX100', 'cli100', 'toString', '__proto__', 'constructor', '', 'CLI100/', 'CLI100/x', '%3Cscript%3E'])(
    'there is none for %j, and it is not repeated',
    async (code) => {
      const response = await get(createWorld(), `/errors/${code}`)
      expect(response.status).toBe(404)
      expect(await response.text()).not.toContain('script')
    },
  )
})
