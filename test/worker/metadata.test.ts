// What anybody may read: our metadata, each resource's metadata, the pages of refusal codes. None of it depends on who asks
// or under which name.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { REFUSAL_CODES } from '../../src/refusal.ts'
import { expectNothingSent, expectProblem } from '../support/refusals.ts'
import { openStage, TOKEN_EXCHANGE, type Stage } from '../support/stage.ts'

const WELL_KNOWN = '/.well-known/oauth-protected-resource'

/** What OpenID Connect Discovery section 3 requires beside RFC 8414. */
const openIdMembers = (issuer: string) => ({
  jwks_uri: `${issuer}/jwks`,
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
})

describe('a gateway with a token endpoint', () => {
  let stage: Stage

  beforeAll(async () => {
    stage = await openStage()
  })

  afterAll(() => stage.close())

  test.each(['oauth-authorization-server', 'openid-configuration'])('describes it at %s', async (document) => {
    const answer = await stage.ask({ path: `/.well-known/${document}` })
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toMatch(/^application\/json/)
    const methods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
    const algorithms = ['ES256', 'EdDSA', 'PS256', 'RS256']
    expect(answer.json).toEqual({
      issuer: stage.gateway.url,
      authorization_endpoint: `${stage.gateway.url}/authorize`,
      token_endpoint: `${stage.gateway.url}/token`,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      grant_types_supported: [TOKEN_EXCHANGE],
      token_endpoint_auth_methods_supported: methods,
      token_endpoint_auth_signing_alg_values_supported: algorithms,
      revocation_endpoint: `${stage.gateway.url}/revoke`,
      revocation_endpoint_auth_methods_supported: methods,
      revocation_endpoint_auth_signing_alg_values_supported: algorithms,
      introspection_endpoint: `${stage.gateway.url}/introspect`,
      introspection_endpoint_auth_methods_supported: methods,
      introspection_endpoint_auth_signing_alg_values_supported: algorithms,
      dpop_signing_alg_values_supported: ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'],
      ...(document === 'openid-configuration' ? openIdMembers(stage.gateway.url) : {}),
    })
  })

  test('tells whoever is sent to the authorization endpoint that nobody signs in here, and sends nobody on', async () => {
    const path = '/authorize?response_type=code&redirect_uri=https%3A%2F%2Fevil.example%2Fcb&state=evil.example'
    const code = 'CLI130'
    for (const method of ['GET', 'POST']) {
      const answer = await stage.ask({
        path,
        method,
        headers: { cookie: 'evil.example', referer: 'https://evil.example' },
      })
      expect([answer.status, answer.headers['content-type']]).toEqual([400, 'text/plain; charset=utf-8'])
      expect(answer.headers['proxy-status']).toContain(`details="${code}"`)
      expect(answer.headers['location']).toBeUndefined()
      expect(answer.text).toMatch(new RegExp(`^${code}: nobody signs in here`))
      expect(answer.text + answer.rawHeaders.join('\n')).not.toContain('evil.example')
    }
  })

  test.each(['/.well-known/oauth-authorization-server', `${WELL_KNOWN}/r/tasks`, '/errors/CLI100', '/jwks'])(
    'answers HEAD and OPTIONS for %s, and lets nobody write it',
    async (path) => {
      const whole = await stage.ask({ path })
      const head = await stage.ask({ path, method: 'HEAD' })
      expect(head).toMatchObject({ status: 200, text: '', headers: { 'content-type': whole.headers['content-type'] } })
      const options = await stage.ask({ path, method: 'OPTIONS' })
      expect(options).toMatchObject({ status: 204, text: '', headers: { allow: 'GET, HEAD, OPTIONS' } })
      const written = await stage.ask({ path, method: 'PUT', body: 'x' })
      expect(written).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD, OPTIONS' } })
      expect(written.json['code']).toBe('CLI110')
    },
  )

  test('describes each resource where RFC 9728 looks for it', async () => {
    const answer = await stage.ask({ path: `${WELL_KNOWN}/r/tasks` })
    expect(answer.status).toBe(200)
    expect(answer.json).toEqual({
      resource: `${stage.gateway.url}/r/tasks`,
      authorization_servers: [stage.world.corp.issuer, stage.world.partner.issuer, `${stage.world.closedOrigin}/lost`],
      scopes_supported: ['openid', 'read', 'write'],
      authorization_details_types_supported: ['list', 'export'],
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'],
      resource_name: 'tasks',
    })
  })

  test.each([WELL_KNOWN, `${WELL_KNOWN}/r`, `${WELL_KNOWN}/r/nothing`, `${WELL_KNOWN}/r/tasks/v1`])(
    'describes nothing at %s',
    async (path) => {
      expect((await stage.ask({ path })).status).toBe(404)
    },
  )

  test.each([{ host: 'evil.example' }, { 'x-forwarded-host': 'evil.example' }, { forwarded: 'host=evil.example' }])(
    'is called as it is configured, whatever %j says',
    async (headers) => {
      for (const path of [
        '/.well-known/oauth-authorization-server',
        `${WELL_KNOWN}/r/tasks`,
        '/r/tasks/v1/todos',
        '/nowhere',
      ]) {
        const answer = await stage.ask({ path, headers })
        expect(answer.text + answer.rawHeaders.join('\n')).not.toContain('evil.example')
      }
    },
  )

  test('has a page for every code', async () => {
    const pages = await Promise.all(REFUSAL_CODES.map((code) => stage.ask({ path: `/errors/${code}` })))
    for (const [index, page] of pages.entries()) {
      expect(page.status).toBe(200)
      expect(page.headers['content-type']).toBe('text/plain; charset=utf-8')
      expect(page.text).toMatch(new RegExp(`^${REFUSAL_CODES[index]}\n\nWhat happened: .+\\.\nWhat to do: .+\n$`))
      expect(page.text).not.toMatch(/[{}]|undefined/)
    }
  })

  test('gives a refusal the address of its page', async () => {
    const answer = await stage.ask()
    await expectProblem(answer, 'TOK100', 401)
    const page = await fetch(String(answer.json['type']))
    expect(await page.text()).toMatch(/^TOK100\n/)
  })

  test('sends nothing anywhere for any of this', () => {
    expectNothingSent(stage)
    expect(stage.world.corp.jwks.count).toBe(0)
  })
})

describe('a gateway whose clients cannot authenticate, with a resource at a host of its own', () => {
  let stage: Stage

  beforeAll(async () => {
    stage = await openStage({
      edit: (config) => {
        const { people, desktop } = config.clients
        const { tasks, notes } = config.resources
        const proxy = { host: 'tasks.test', upstream: tasks.proxy.upstream }
        return {
          ...config,
          clients: { people, desktop },
          resources: { tasks: { ...tasks, proxy }, notes },
          policy: { rules: [{ id: 'all', effect: 'allow', who: { clients: ['people'] } }] },
        }
      },
    })
  })

  afterAll(() => stage.close())

  beforeEach(() => stage.world.calm())

  const host = () => ({ host: `tasks.test:${new URL(stage.gateway.url).port}` })

  test('has no token endpoint, and does not speak of one', async () => {
    for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration', '/nowhere'])
      expect((await stage.ask({ path })).status).toBe(404)
    const answer = await fetch(`${stage.gateway.url}/token`, { method: 'POST', body: 'grant_type=x' })
    expect(answer.status).toBe(404)
  })

  test('describes the resource at its host, and challenges with that address', async () => {
    const port = new URL(stage.gateway.url).port
    const metadata = await stage.ask({ path: WELL_KNOWN, headers: host() })
    expect(metadata.json).toMatchObject({ resource: `http://tasks.test:${port}`, resource_name: 'tasks' })
    const answer = await stage.ask({ path: '/v1/todos', headers: host() })
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toContain(`resource_metadata="http://tasks.test:${port}${WELL_KNOWN}"`)
  })

  test('forwards every path of that host, also those that are ours elsewhere', async () => {
    const token = await stage.world.corp.idToken()
    for (const path of ['/', '/token', '/errors/TOK100', '/r/notes/v1/x']) {
      const headers = { ...host(), authorization: `Bearer ${token}` }
      const answer = await stage.ask({ path: path === '/' ? '/?x=1' : `${path}?x=1`, headers })
      expect(answer.json).toMatchObject({ server: 'tasks', path: `${path}?x=1` })
    }
    expect(stage.world.notes.api.count).toBe(0)
  })

  test.each(['tasks.test.evil.example', 'evil.tasks.test', 'tasks.test@evil.example', 'x'])(
    'does not take %s for it',
    async (name) => {
      const token = await stage.world.corp.idToken()
      const answer = await stage.ask({ token, path: '/v1/todos', headers: { host: name } })
      expect([400, 404]).toContain(answer.status)
      expectNothingSent(stage)
    },
  )
})
