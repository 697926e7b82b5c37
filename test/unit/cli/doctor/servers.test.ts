// What the doctor says of servers that are down, slow, confused or hostile, and of what they publish.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { examineClocks } from '../../../../src/cli/doctor/clocks.ts'
import type { Party } from '../../../../src/cli/doctor/tools.ts'
import { failureWords } from '../../../../src/cli/doctor/witness.ts'
import { configOf } from '../../config/example.ts'
import { createTestKey } from '../../../support/keys.ts'
import { edit, openTown, visit, type Reply, type Town } from './town.ts'

const DISCOVERY = '/.well-known/openid-configuration'

let town: Town

beforeAll(async () => {
  town = await openTown()
})
afterAll(() => town.close())
beforeEach(() => {
  town.mend()
})

/** The first message of a code. */
async function says(code: string, options: Parameters<typeof visit>[1] = {}): Promise<string | undefined> {
  return (await visit(town, options)).findings(code)[0]?.message
}

function script(place: string, reply: Reply): void {
  town.script.set(place, () => reply)
}

describe('metadata', () => {
  it.each([
    ['breaks off', { fault: 'cut' }, 'DOC101', 'the connection was cut'],
    [
      'redirects',
      { status: 302, headers: { location: 'https://login.example/x?code=CANARY' } },
      'DOC102',
      'a redirect to "https://login.example/x", and redirects are never followed',
    ],
    [
      'answers HTML',
      { raw: '<html>CANARY', headers: { 'content-type': 'text/html; charset=utf-8' } },
      'DOC102',
      'an HTML page, not JSON',
    ],
    [
      'answers another type',
      { raw: 'x', headers: { 'content-type': 'text/CANARY-like' } },
      'DOC102',
      '"text/canary-like", not JSON',
    ],
    ['answers no object', { raw: '[1]' }, 'DOC102', 'not_an_object'],
    ['answers too much', { raw: JSON.stringify({ a: 'x'.repeat(70_000) }) }, 'DOC102', 'more than 65536 bytes'],
    ['fails', { status: 503, raw: 'CANARY' }, 'DOC102', 'answers 503'],
  ] as const)(
    'says so of a server that %s',
    async (_, reply, code, words) => {
      script(`idp ${DISCOVERY}`, reply)
      const examined = await visit(town)
      expect(examined.findings(code)[0]?.message).toContain(words)
      expect(examined.placeOf(code)).toEqual({ field: 'idps.corp.issuer', line: `"${town.origin.idp}"` })
      expect(examined.text + examined.json).not.toContain('CANARY')
      // The rest of the town is examined all the same, and in the meantime.
      expect(examined.text).toContain('gw-at-tasks is accepted')
    },
    15_000,
  )

  it('waits for one that hangs or drips no longer than the gateway would, and ends with 3 where that is all', async () => {
    script(`idp ${DISCOVERY}`, { fault: 'hang' })
    script('ras /.well-known/oauth-authorization-server', { fault: 'drip' })
    const start = performance.now()
    const examined = await visit(town)
    expect(performance.now() - start).toBeLessThan(6_000)
    expect(examined.codes).toEqual(['DOC101'])
    expect(examined.findings('DOC101')).toMatchObject([
      { message: expect.stringContaining('no complete answer within 4000 ms'), unreachable: true },
      { message: expect.stringContaining('no complete answer within 4000 ms'), unreachable: true },
    ])
    expect(examined.report.exitCode).toBe(3)
    expect(examined.text).toContain('could not reach everything')
  }, 15_000)

  it('says so of a server that is not there', async () => {
    const examined = await visit(town, { text: edit(town.config, town.origin.idp, 'http://127.0.0.1:9') })
    expect(examined.findings('DOC101')[0]?.message).toMatch(
      /cannot be reached: (?:nobody listens there|the connection failed)$/,
    )
  })

  it('looks for the other document, and says so where there is neither', async () => {
    script(`idp ${DISCOVERY}`, { status: 404 })
    expect((await visit(town)).codes).toEqual([])
    script('idp /.well-known/oauth-authorization-server', { status: 404 })
    expect(await says('DOC102')).toContain('publishes no metadata')
  })

  it('needs none where the file says it all', async () => {
    script(`idp ${DISCOVERY}`, { status: 404 })
    script('idp /.well-known/oauth-authorization-server', { status: 404 })
    const issuer = `"issuer": "${town.origin.idp}",`
    const given = `${issuer} "token_endpoint": "${town.origin.idp}/token", "jwks_uri": "${town.origin.idp}/jwks",`
    const examined = await visit(town, { text: edit(town.config, issuer, given) })
    expect(examined.codes).toEqual([])
    expect(examined.text).toContain('none is needed: the configuration says it all')
    expect(examined.text).toContain('web-id is accepted')
  })

  it('tells another server from a slip', async () => {
    town.metadata.idp = { issuer: 'https://somebody.example' }
    const examined = await visit(town)
    expect(examined.findings('DOC103')[0]).toMatchObject({
      message: expect.stringContaining('"https://somebody.example" and not'),
      help: expect.stringContaining('another server'),
    })
    town.metadata.idp = { issuer: 7 }
    expect(await says('DOC103')).toContain('not a text')
    // Nothing of a document that claims another issuer is used.
    expect(town.seen.filter(({ role, path }) => role === 'idp' && path !== DISCOVERY)).toEqual([])
  })

  it('misses endpoints, and those that may not be called', async () => {
    town.metadata.ras = { token_endpoint: undefined }
    expect(await says('DOC104')).toBe('the metadata names no token_endpoint')
    town.metadata.ras = { token_endpoint: 'ftp://x.example/token' }
    expect(await says('DOC104')).toContain('"ftp://x.example/token" as token_endpoint, and that is no https address')
    town.metadata.ras = {}
    town.metadata.idp = { jwks_uri: undefined }
    expect(await says('DOC104')).toBe('the metadata names no jwks_uri')
  })

  it('compares a configured endpoint with the advertised one', async () => {
    const issuer = `"issuer": "${town.origin.ras}"`
    const text = edit(town.config, issuer, `${issuer}, "token_endpoint": "${town.origin.ras}/token"`)
    town.metadata.ras = { token_endpoint: `${town.origin.ras}/token/` }
    const examined = await visit(town, { text })
    expect(examined.findings('DOC213')[0]?.message).toContain('(a slash at the end)')
    expect(examined.placeOf('DOC213')?.field).toBe('resources.tasks.authorization_server.token_endpoint')
    expect(examined.report.exitCode).toBe(0)
  })

  it('is amber about a grant that is not advertised, since servers may hide it', async () => {
    town.metadata.idp = {
      grant_types_supported: ['authorization_code'],
      identity_chaining_requested_token_types_supported: undefined,
    }
    town.metadata.ras = { authorization_grant_profiles_supported: ['urn:x'] }
    const examined = await visit(town)
    expect(examined.findings('DOC201').map(({ message }) => message)).toEqual([
      expect.stringContaining(
        'grant_types_supported lacks urn:ietf:params:oauth:grant-type:token-exchange; identity_chaining_requested_token_types_supported is absent',
      ),
      expect.stringContaining(
        'authorization_grant_profiles_supported lacks urn:ietf:params:oauth:grant-profile:id-jag',
      ),
    ])
    expect(examined.report.exitCode).toBe(0)
    expect((await visit(town, { strict: true })).report.exitCode).toBe(1)
  })

  it('is amber about a groups claim that is not advertised', async () => {
    town.metadata.idp = { claims_supported: ['sub', 'roles'] }
    const examined = await visit(town)
    expect(examined.placeOf('DOC211')).toEqual({ field: 'idps.corp.claims.groups', line: '"groups"' })
  })

  it('wants DPoP advertised where the file requires it', async () => {
    const text = edit(
      town.config,
      '"scopes": ["todos.read", "todos.write"],',
      '"scopes": ["todos.read", "todos.write"], "dpop": "require",',
    )
    const examined = await visit(town, { text })
    expect(examined.placeOf('DOC214')).toEqual({ field: 'resources.tasks.dpop', line: '"require"' })
    town.metadata.ras = { dpop_signing_alg_values_supported: ['RS256'] }
    expect(await says('DOC214', { text })).toContain('the server lists "RS256"')
    town.metadata.ras = { dpop_signing_alg_values_supported: ['ES256'] }
    expect((await visit(town, { text })).codes).toEqual([])
  })
})

describe('keys', () => {
  it.each([
    ['is not there', { status: 404 }, 'DOC105', 'which answers 404'],
    ['is a page', { raw: '<html>', headers: { 'content-type': 'text/html' } }, 'DOC105', 'an HTML page'],
    ['is too large', { raw: JSON.stringify({ keys: ['x'.repeat(70_000)] }) }, 'DOC105', 'more than 65536 bytes'],
    ['is no key set', { body: { key: [] } }, 'DOC105', 'without a list of keys'],
    ['is empty', { body: { keys: [] } }, 'DOC106', 'the key set is empty'],
  ] as const)(
    'says so of a key set that %s',
    async (_, reply, code, words) => {
      script('idp /jwks', reply)
      expect(await says(code)).toContain(words)
    },
    15_000,
  )

  it('alarms about a private key, and shows nothing of it', async () => {
    script('idp /jwks', { body: { keys: [town.key.privateJwk] } })
    const examined = await visit(town)
    expect(examined.findings('DOC105')[0]).toMatchObject({
      message: expect.stringContaining('private or symmetric keys'),
      help: expect.stringContaining('must be replaced at once'),
    })
    expect(examined.text + examined.json).not.toContain(String(town.key.privateJwk['d']))
  })

  it('names what is published where nothing fits the configured algorithms', async () => {
    const other = await createTestKey('idp-2', 'EdDSA')
    script('idp /jwks', { body: { keys: [other.publicJwk] } })
    const examined = await visit(town)
    expect(examined.findings('DOC106')[0]?.message).toContain('verifies ES256: they are "OKP Ed25519 (EdDSA)"')
    expect(examined.placeOf('DOC106')?.field).toBe('idps.corp.id_token.algorithms')
  })

  it('is amber about several keys without names', async () => {
    const [one, other] = [await createTestKey('a'), await createTestKey('b')]
    const nameless = [one, other].map(({ publicJwk }) => ({ ...publicJwk, kid: undefined }))
    script('idp /jwks', { body: { keys: nameless } })
    expect(await says('DOC210')).toContain('2 of 2 usable keys have no "kid"')
  })

  it('looks at the keys of calling clients as well', async () => {
    const secret = '"auth": { "method": "client_secret_basic", "secret": { "secret": "BOT_SECRET" } }'
    const text = edit(
      town.config,
      secret,
      `"auth": { "method": "private_key_jwt", "jwks_uri": "${town.origin.idp}/bot.json" }`,
    )
    const examined = await visit(town, { text })
    expect(examined.placeOf('DOC105')).toEqual({
      field: 'clients.bot.auth.jwks_uri',
      line: `"${town.origin.idp}/bot.json"`,
    })
  })
})

describe('scopes', () => {
  it('is amber about one that is not published and not nearly so', async () => {
    const examined = await visit(town, { text: edit(town.config, '"todos.write"', '"admin"') })
    expect(examined.placeOf('DOC203')).toEqual({ field: 'resources.tasks.scopes[1]', line: '"admin"' })
    expect(examined.report.exitCode).toBe(0)
  })

  it.each(['todos.wirte', 'todos.writ', 'Todos.Write', 'todos:write', 'todos.wrate'])(
    'takes %s for a slip',
    async (scope) => {
      expect((await visit(town, { text: edit(town.config, 'todos.write', scope) })).codes).toEqual(['DOC118'])
    },
  )

  it('does not take v1 for a slip of v2, nor a word for a neighbour', async () => {
    town.metadata.ras = { scopes_supported: ['v2.read', 'mail.send'] }
    const text = edit(edit(town.config, '"todos.read"', '"v1.read"'), '"todos.write"', '"mail.read"')
    expect((await visit(town, { text })).codes).toEqual(['DOC203'])
  })

  it('counts what the API publishes, and skips where nobody publishes anything', async () => {
    town.metadata.ras = { scopes_supported: undefined }
    const skipped = await visit(town)
    expect(skipped.text).toContain('no list of scopes is published')
    expect(skipped.report.counts.skipped).toBe(1)
    town.metadata.api = { scopes_supported: ['todos.read'] }
    expect((await visit(town)).codes).toEqual(['DOC203'])
  })
})

describe('the API', () => {
  it('trusts another authorization server than the configured one', async () => {
    town.metadata.api = { authorization_servers: [`${town.origin.ras}/`, 'https://other.example'] }
    const examined = await visit(town)
    expect(examined.findings('DOC113')[0]?.message).toContain('(a slash at the end)')
    expect(examined.placeOf('DOC113')?.field).toBe('resources.tasks.authorization_server.issuer')
    town.metadata.api = { authorization_servers: ['https://other.example'] }
    expect(await says('DOC113')).toContain('takes tokens of "https://other.example", not of')
  })

  it('answers without a token', async () => {
    script('api /v1', { body: { todos: [] } })
    const examined = await visit(town)
    expect(examined.codes).toEqual(['DOC215'])
    expect(examined.report.exitCode).toBe(0)
  })

  it('is down, or nowhere', async () => {
    script('api /v1', { status: 502 })
    const down = await visit(town)
    expect(down.placeOf('DOC101')?.field).toBe('resources.tasks.proxy.upstream')
    expect(down.report.exitCode).toBe(3)
  })

  it('is not waited for when it streams', async () => {
    script('api /v1', { status: 403, fault: 'drip' })
    const start = performance.now()
    expect((await visit(town)).text).toContain('answers 403')
    expect(performance.now() - start).toBeLessThan(3_000)
  })
})

describe('clocks', () => {
  it('is amber below what is tolerated', async () => {
    town.clock.ras = 40
    const examined = await visit(town)
    expect(examined.codes).toEqual(['DOC205'])
    expect(examined.findings('DOC205')[0]?.message).toContain('is 40 s ahead')
  })

  it('suspects this machine where all servers agree with each other and not with it', async () => {
    town.clock.idp = 600
    town.clock.ras = 601
    const examined = await visit(town)
    expect(examined.codes).toEqual(['DOC207'])
    expect(examined.findings('DOC207')[0]?.message).toContain('the clock of this machine is 10 min behind')
    expect(examined.report.exitCode).toBe(0)
  })

  it('blames no clock for a slow answer', () => {
    const config = configOf(town.config, true)
    const issuer = config.idps.get('corp')?.issuer
    if (issuer === undefined) throw new Error('there is no corp')
    const party: Party = {
      kind: 'identity provider',
      issuer,
      tokenEndpoint: undefined,
      discoversKeys: true,
      paths: [['idps', 'corp']],
    }
    const clockOf = () => ({ offsetSeconds: 61, marginSeconds: 50 })
    const [check] = examineClocks([party], { clockOf })
    expect(check?.findings).toEqual([])
  })
})

describe('failureWords()', () => {
  it.each([
    ['ENOTFOUND', 'there is no such host name'],
    ['CERT_HAS_EXPIRED', 'its certificate has expired'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'it does not speak TLS as it is spoken here'],
    ['ELSE', 'the connection failed'],
  ])('says what %s means, and never what was thrown', (code, words) => {
    const cause = Object.assign(new Error('CANARY'), { code })
    expect(failureWords(new TypeError('fetch failed CANARY', { cause }))).toBe(words)
    expect(failureWords('CANARY')).toBe('the connection failed')
  })
})
