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

const PROOF_ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256']
const SERVER = '/.well-known/oauth-authorization-server'
const RESOURCE = '/.well-known/oauth-protected-resource'

const OPENID = '/.well-known/openid-configuration'
const AUTHORIZE = '/authorize?response_type=code&client_id=evil&redirect_uri=https%3A%2F%2Fevil.test%2Fcb&state=canary'

describe('our metadata as an authorization server (RFC 8414)', () => {
  const known = {
    issuer: NAMES.gateway,
    authorization_endpoint: `${NAMES.gateway}/authorize`,
    token_endpoint: `${NAMES.gateway}/token`,
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
    grant_types_supported: ['urn:ietf:params:oauth:grant-type:token-exchange'],
    token_endpoint_auth_methods_supported: ['client_secret_basic'],
    revocation_endpoint: `${NAMES.gateway}/revoke`,
    revocation_endpoint_auth_methods_supported: ['client_secret_basic'],
    introspection_endpoint: `${NAMES.gateway}/introspect`,
    introspection_endpoint_auth_methods_supported: ['client_secret_basic'],
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
  }

  test('says what the token endpoint can do, and what clients in the field insist on', async () => {
    expect(await document(createWorld(), SERVER)).toEqual(known)
  })

  test('stands under its OpenID name with what is required there, and the key set it names can be had', async () => {
    const world = createWorld()
    expect(await document(world, OPENID)).toEqual({
      ...known,
      jwks_uri: `${NAMES.gateway}/jwks`,
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    })
    expect(await document(world, '/jwks')).toEqual({ keys: [] })
  })

  test('lists no grant type that would lead to the authorization endpoint, and no scopes', async () => {
    const { grant_types_supported: grants, ...others } = await document(createWorld(), SERVER)
    expect(grants).toHaveLength(1)
    expect(others).not.toHaveProperty('scopes_supported')
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
    for (const path of [SERVER, OPENID, '/token', '/jwks', AUTHORIZE]) expect((await get(world, path)).status).toBe(404)
    expect((await get(world, '/token', { method: 'POST', body: 'a=b' })).status).toBe(404)
  })
})

describe('the metadata of a resource (RFC 9728)', () => {
  test('stands between our host and its path, and names our own address of it', async () => {
    expect(await document(createWorld(), `${RESOURCE}/r/tasks`)).toEqual({
      resource: `${NAMES.gateway}/r/tasks`,
      authorization_servers: [NAMES.idp],
      scopes_supported: ['openid', 'tasks.read', 'tasks.write'],
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
      resource_name: 'tasks',
    })
  })

  test('tells the types of authorization details the resource takes', async () => {
    const tasks = { ...RESOURCES.tasks, authorization_details_types: ['task_list'] }
    const world = createWorld({ resources: { ...RESOURCES, tasks } })
    expect(await document(world, `${RESOURCE}/r/tasks`)).toMatchObject({
      authorization_details_types_supported: ['task_list'],
    })
  })

  test('says that nothing passes without a proof where that is so, and then asks for one', async () => {
    const bound = (dpop: string): Json => ({
      ...CLIENTS,
      'browser-app': { ...(CLIENTS['browser-app'] as Json), dpop },
    })
    const required = createWorld({ clients: bound('required') })
    const optional = createWorld({ clients: bound('optional') })
    expect(await document(required, `${RESOURCE}/r/tasks`)).toMatchObject({ dpop_bound_access_tokens_required: true })
    expect(await document(optional, `${RESOURCE}/r/tasks`)).not.toHaveProperty('dpop_bound_access_tokens_required')
    expect((await get(required, '/r/tasks/x')).headers.get('www-authenticate')).toMatch(/^DPoP .*algs="ES256 /)
    expect((await get(optional, '/r/tasks/x')).headers.get('www-authenticate')).toMatch(/^Bearer /)
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

  test('asks for `openid` alone where the resource has no scopes, and once where it is one of them', async () => {
    for (const scopes of [[], ['openid']]) {
      const world = createWorld({ resources: { tasks: { ...RESOURCES.tasks, scopes } }, rules: [] })
      expect(await document(world, `${RESOURCE}/r/tasks`)).toMatchObject({ scopes_supported: ['openid'] })
    }
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

  test.each([SERVER, OPENID, '/jwks', `${RESOURCE}/r/tasks`, `https://notes.gw.test${RESOURCE}`, '/errors/CLI100'])(
    'is read, not written: %s',
    async (path) => {
      const world = createWorld()
      const whole = await get(world, path)
      const head = await get(world, path, { method: 'HEAD' })
      expect([head.status, await head.text()]).toEqual([200, ''])
      expect([...head.headers]).toEqual([...whole.headers])

      const options = await get(world, path, { method: 'OPTIONS' })
      expect([options.status, await options.text()]).toEqual([204, ''])
      expect(options.headers.get('allow')).toBe('GET, HEAD, OPTIONS')
      for (const method of ['POST', 'PUT', 'DELETE', 'QUERY']) {
        const written = await get(world, path, { method, body: 'x' })
        expect([written.status, written.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS'])
        expect(await written.json()).toMatchObject({ code: 'CLI110' })
      }
      expect([world.seen(), world.sink.events]).toEqual([[], []])
    },
  )

  test('is open to no other origin while no origin is configured', async () => {
    for (const path of [SERVER, `${RESOURCE}/r/tasks`]) {
      const { headers } = await get(createWorld(), path, { headers: { origin: 'https://app.test' } })
      expect([...headers.keys()].filter((name) => name.startsWith('access-control') || name === 'vary')).toEqual([])
    }
  })
})

describe('the authorization endpoint', () => {
  test.each(['GET', 'HEAD', 'POST', 'OPTIONS'])(
    'tells whoever is sent there by %s that nobody signs in here',
    async (method) => {
      const world = createWorld()
      const response = await get(world, AUTHORIZE, { method, ...(method === 'POST' ? { body: 'state=canary' } : {}) })
      expect([response.status, response.headers.get('content-type')]).toEqual([400, 'text/plain; charset=utf-8'])
      expect(response.headers.get('proxy-status')).toBe('jagway; error=http_request_denied; details="CLI130"')
      const text = await response.text()
      if (method !== 'HEAD') expect(text).toMatch(/^CLI130: nobody signs in here\. .+\n\n.+\/errors\/CLI130\n$/)
      expect([world.seen(), world.sink.events, world.strays]).toEqual([[], [], []])
    },
  )

  test('sends nobody anywhere and repeats nothing', async () => {
    const { headers, text } = await get(createWorld(), `${AUTHORIZE}&prompt=%3Cscript%3E`).then(async (response) => ({
      headers: response.headers,
      text: await response.text(),
    }))
    for (const name of ['location', 'refresh', 'set-cookie']) expect(headers.has(name)).toBe(false)
    expect(text + JSON.stringify([...headers])).not.toMatch(/evil|canary|script/)
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
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
