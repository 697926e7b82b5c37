// Discovery: which documents are asked for, and what a document must say to be believed.
import { describe, expect, test } from 'vitest'
import { numericDate } from '../../../src/lib/numeric-date.ts'
import type { Issuer } from '../../../src/parties.ts'
import { createDiscovery, wellKnownUrl, type Discovery } from '../../../src/oauth/metadata.ts'

const ISSUER = 'https://as.test/tenant' as Issuer
const OIDC = 'https://as.test/tenant/.well-known/openid-configuration'
const OAUTH2 = 'https://as.test/.well-known/oauth-authorization-server/tenant'

interface Site {
  readonly discovery: Discovery
  readonly asked: string[]
  answer: (url: string) => Response
  pass(seconds: number): void
}

function createSite(options: { local?: boolean } = {}): Site {
  let millis = 0
  const asked: string[] = []
  const ports = {
    clock: { now: () => numericDate(millis / 1000), epochMillis: () => millis, millis: () => millis },
    background: () => undefined,
    fetch: async (request: Request) => {
      asked.push(request.url)
      return site.answer(request.url)
    },
  }
  const site: Site = {
    discovery: createDiscovery(ports, { local: options.local ?? false }),
    asked,
    answer: () => document({ issuer: ISSUER }),
    pass: (seconds) => {
      millis += seconds * 1000
    },
  }
  return site
}

function document(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } })
}

const notFound = () => new Response('nothing here', { status: 404 })

async function found(site: Site, issuer = ISSUER): Promise<string> {
  const metadata = await site.discovery.metadataOf(issuer, 'oauth2')
  return metadata.ok ? 'found' : metadata.error.kind
}

test.each([
  [
    'https://as.test',
    'https://as.test/.well-known/openid-configuration',
    'https://as.test/.well-known/oauth-authorization-server',
  ],
  [
    'https://as.test/',
    'https://as.test/.well-known/openid-configuration',
    'https://as.test/.well-known/oauth-authorization-server',
  ],
  [
    'https://as.test/a/b',
    'https://as.test/a/b/.well-known/openid-configuration',
    'https://as.test/.well-known/oauth-authorization-server/a/b',
  ],
  [
    'https://as.test/a/',
    'https://as.test/a/.well-known/openid-configuration',
    'https://as.test/.well-known/oauth-authorization-server/a',
  ],
  [
    'https://as.test:8443/a',
    'https://as.test:8443/a/.well-known/openid-configuration',
    'https://as.test:8443/.well-known/oauth-authorization-server/a',
  ],
])('the documents of %s stand where the RFCs say', (issuer, oidc, oauth2) => {
  expect(wellKnownUrl(issuer as Issuer, 'oidc')).toBe(oidc)
  expect(wellKnownUrl(issuer as Issuer, 'oauth2')).toBe(oauth2)
})

describe('metadataOf()', () => {
  test('gives the endpoints exactly as the document has them', async () => {
    const site = createSite()
    site.answer = () =>
      document({
        issuer: ISSUER,
        token_endpoint: 'https://AS.test:443/t?x=1',
        jwks_uri: 'https://keys.test/',
        other: 1,
      })
    expect(await site.discovery.metadataOf(ISSUER, 'oidc')).toEqual({
      ok: true,
      value: { issuer: ISSUER, tokenEndpoint: 'https://AS.test:443/t?x=1', jwksUri: 'https://keys.test/', lists: {} },
    })
    expect(site.asked).toEqual([OIDC])
  })

  test('gives the aliases for clients with a certificate, each that can be used (RFC 8705 section 5)', async () => {
    const aliasesOf = async (aliases: unknown): Promise<unknown> => {
      const site = createSite()
      site.answer = () =>
        document({ issuer: ISSUER, token_endpoint: 'https://as.test/t', mtls_endpoint_aliases: aliases })
      const metadata = await site.discovery.metadataOf(ISSUER, 'oauth2')
      return metadata.ok ? metadata.value.mtls : metadata.error
    }
    const token_endpoint = 'https://mtls.as.test/t'
    const revocation_endpoint = 'https://mtls.as.test/r'
    expect(await aliasesOf({ token_endpoint, revocation_endpoint, other: 1 })).toEqual({
      tokenEndpoint: token_endpoint,
      revocationEndpoint: revocation_endpoint,
    })
    for (const bad of [
      'http://mtls.as.test/t',
      'https://u:p@mtls.as.test',
      7,
      null,
      'data:,x',
      'https://127.0.0.1/t',
    ]) {
      const only = { tokenEndpoint: undefined, revocationEndpoint: revocation_endpoint }
      expect(await aliasesOf({ token_endpoint: bad, revocation_endpoint })).toEqual(only)
    }
    for (const none of [undefined, null, [], 'https://mtls.as.test', 7]) expect(await aliasesOf(none)).toBeUndefined()
  })

  test('gives no endpoint the document does not have', async () => {
    const metadata = await createSite().discovery.metadataOf(ISSUER, 'oauth2')
    expect(metadata).toEqual({
      ok: true,
      value: { issuer: ISSUER, tokenEndpoint: undefined, jwksUri: undefined, lists: {} },
    })
  })

  test('knows what the server says it takes, and nothing of lists that are none', async () => {
    const site = createSite()
    site.answer = () =>
      document({
        issuer: ISSUER,
        grant_types_supported: ['urn:ietf:params:oauth:grant-type:jwt-bearer'],
        scopes_supported: ['a', 7],
        protected_resources: 'https://api.test',
        token_endpoint_auth_methods_supported: [],
      })
    const metadata = await site.discovery.metadataOf(ISSUER, 'oauth2')
    expect(metadata.ok && metadata.value.lists).toEqual({ grantTypes: ['urn:ietf:params:oauth:grant-type:jwt-bearer'] })
  })

  test.each([
    [`${ISSUER}/`, `${ISSUER}/`],
    [ISSUER.toUpperCase(), ISSUER.toUpperCase()],
    ['https://evil.test', undefined],
    [`${ISSUER} `, undefined],
    [7, undefined],
  ])('is not taken in by an issuer of %o, and names it only where it was a slip', async (issuer, named) => {
    const site = createSite()
    site.answer = () => document({ issuer })
    const metadata = await site.discovery.metadataOf(ISSUER, 'oauth2')
    expect(metadata).toMatchObject({ ok: false, error: { kind: 'unusable' } })
    expect(!metadata.ok && metadata.error.otherIssuer).toBe(named)
  })

  test.each([
    ['oidc', [OIDC, OAUTH2]],
    ['oauth2', [OAUTH2, OIDC]],
  ] as const)('asks for the other document where the %s one does not exist', async (prefer, order) => {
    const site = createSite()
    site.answer = (url) => (url === order[0] ? notFound() : document({ issuer: ISSUER }))
    expect((await site.discovery.metadataOf(ISSUER, prefer)).ok).toBe(true)
    expect(site.asked).toEqual(order)
  })

  test.each([401, 403, 405, 429, 500, 503])('does not ask for the other document after status %i', async (status) => {
    const site = createSite()
    site.answer = () => document({ issuer: ISSUER }, status)
    expect(await found(site)).toBe('unusable')
    expect(site.asked).toEqual([OAUTH2])
  })

  test('asks for both documents and no more where neither exists', async () => {
    const site = createSite()
    site.answer = notFound
    expect(await found(site)).toBe('unusable')
    expect(site.asked).toEqual([OAUTH2, OIDC])
  })

  test('follows no redirect', async () => {
    const site = createSite()
    site.answer = () => new Response(null, { status: 301, headers: { location: 'https://evil.test/' } })
    expect(await found(site)).toBe('unusable')
    expect(site.asked).toEqual([OAUTH2])
  })

  test.each([
    ['another issuer', { issuer: 'https://evil.test' }],
    ['its issuer with a slash at its end', { issuer: `${ISSUER}/` }],
    ['its issuer in other letters', { issuer: 'https://AS.test/tenant' }],
    ['its issuer with a port', { issuer: 'https://as.test:443/tenant' }],
    ['its issuer in a list', { issuer: [ISSUER] }],
    ['no issuer', {}],
    ['a token endpoint over http', { issuer: ISSUER, token_endpoint: 'http://as.test/token' }],
    ['a token endpoint that is data', { issuer: ISSUER, token_endpoint: 'data:application/json,{}' }],
    ['a token endpoint with a user', { issuer: ISSUER, token_endpoint: 'https://user@as.test/token' }],
    ['a token endpoint with a fragment', { issuer: ISSUER, token_endpoint: 'https://as.test/token#' }],
    ['a token endpoint without a host', { issuer: ISSUER, token_endpoint: '/token' }],
    ['a token endpoint that is not text', { issuer: ISSUER, token_endpoint: 7 }],
    ['a token endpoint at an address', { issuer: ISSUER, token_endpoint: 'https://169.254.169.254/token' }],
    ['a token endpoint at a disguised address', { issuer: ISSUER, token_endpoint: 'https://0x7f.1/token' }],
    ['a token endpoint at an IPv6 address', { issuer: ISSUER, token_endpoint: 'https://[fd00::1]/token' }],
    ['keys on this machine', { issuer: ISSUER, jwks_uri: 'https://localhost/keys' }],
    ['keys on this machine, with a dot', { issuer: ISSUER, jwks_uri: 'https://localhost./keys' }],
    ['keys on a name of this machine', { issuer: ISSUER, jwks_uri: 'https://x.localhost/keys' }],
    ['keys over http', { issuer: ISSUER, jwks_uri: 'http://as.test/keys' }],
    ['keys in a file', { issuer: ISSUER, jwks_uri: 'file:///etc/passwd' }],
  ])('refuses a document with %s', async (_, body) => {
    const site = createSite()
    site.answer = () => document(body)
    expect(await found(site)).toBe('unusable')
  })

  test('puts nothing of a document into the problem', async () => {
    const site = createSite()
    site.answer = () => document({ issuer: 'https://CANARY.test' })
    expect(JSON.stringify(await site.discovery.metadataOf(ISSUER, 'oidc'))).not.toContain('CANARY')
  })

  test.each(['http://127.0.0.1:4000', 'http://localhost:4000', 'http://[::1]:4000'])(
    'takes %s in a local run only',
    async (url) => {
      const issuer = url as Issuer
      const [local, deployed] = [createSite({ local: true }), createSite()]
      local.answer = () => document({ issuer, jwks_uri: `${url}/keys` })
      expect(await found(local, issuer)).toBe('found')
      expect(await found(deployed, issuer)).toBe('unusable')
      expect(deployed.asked).toEqual([])
    },
  )

  test('takes http of no other machine in a local run', async () => {
    const site = createSite({ local: true })
    site.answer = () => document({ issuer: ISSUER, jwks_uri: 'http://192.168.0.1/keys' })
    expect(await found(site)).toBe('unusable')
  })
})

describe('the memory of metadata', () => {
  test('makes one request for forty callers, and asks again after an hour', async () => {
    const site = createSite()
    await Promise.all(Array.from({ length: 40 }, () => found(site)))
    site.pass(3_599)
    await found(site)
    expect(site.asked).toHaveLength(1)
    site.pass(1)
    await found(site)
    expect(site.asked).toHaveLength(2)
  })

  test('keeps a document for a day while the server is down, and not longer', async () => {
    const site = createSite()
    await found(site)
    site.answer = () => new Response(null, { status: 503 })
    site.pass(24 * 3_600 - 1)
    expect(await found(site)).toBe('found')
    site.pass(1)
    expect(await found(site)).toBe('unusable')
  })

  test('keeps the last good document when another issuer takes its place', async () => {
    const site = createSite()
    await found(site)
    site.answer = () => document({ issuer: 'https://evil.test' })
    site.pass(3_600)
    expect(await found(site)).toBe('found')
  })

  test('leaves a failing server alone for ten seconds', async () => {
    const site = createSite()
    site.answer = () => new Response(null, { status: 503 })
    await found(site)
    site.pass(9)
    await found(site)
    expect(site.asked).toHaveLength(1)
    site.pass(1)
    await found(site)
    expect(site.asked).toHaveLength(2)
  })
})
