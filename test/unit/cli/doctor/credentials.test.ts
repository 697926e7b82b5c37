// Whether our credential is taken, and what of it is wrong: against token endpoints with habits of real ones.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTestKey } from '../../../support/keys.ts'
import { edit, isClient, openTown, SECRETS, visit, type Reply, type Seen, type Town } from './town.ts'

let town: Town

beforeAll(async () => {
  town = await openTown()
})
afterAll(() => town.close())
beforeEach(() => {
  town.mend()
})

const CREDENTIAL = '"method": "client_secret_basic", "secret": { "secret": "RAS_SECRET" }, "encoding": "form"'
const REFUSED: Reply = { status: 401, body: { error: 'invalid_client' } }
const TAKEN: Reply = { status: 400, body: { error: 'invalid_grant' } }

function atTheRas(answer: (seen: Seen) => Reply): void {
  town.script.set('ras /token', answer)
}

/** How often the authorization server was asked for a token as this client. */
function asked(id: string): number {
  return town.seen.filter(({ role, path, client }) => role === 'ras' && path === '/token' && client.id === id).length
}

describe('a credential that is refused', () => {
  it('is tried in the other encoding, and the one that works is named', async () => {
    const secret = 'CANARY+a b%&='
    // Decodes nothing: what arrives is compared as it is.
    atTheRas(({ client }) => (client.raw === `gw-at-tasks:${secret}` ? TAKEN : REFUSED))
    const examined = await visit(town, { secrets: { ...town.secrets, RAS_SECRET: secret } })
    expect(examined.placeOf('DOC108')).toEqual({ field: 'resources.tasks.client.auth.encoding', line: '"form"' })
    expect(examined.findings('DOC108')[0]?.help).toBe('write "encoding": "raw"')
    expect(examined.text + examined.json).not.toContain('CANARY')
  })

  it('is tried in the body', async () => {
    atTheRas((seen) => (seen.client.how === 'post' && isClient(seen) ? TAKEN : REFUSED))
    const examined = await visit(town)
    expect(examined.placeOf('DOC108')).toEqual({
      field: 'resources.tasks.client.auth.method',
      line: '"client_secret_basic"',
    })
    expect(examined.findings('DOC108')[0]?.help).toBe('write "method": "client_secret_post"')
  })

  it('is tried as Basic', async () => {
    const text = edit(town.config, CREDENTIAL, '"method": "client_secret_post", "secret": { "secret": "RAS_SECRET" }')
    atTheRas((seen) => (seen.client.how === 'basic' && isClient(seen) ? TAKEN : REFUSED))
    expect((await visit(town, { text })).findings('DOC108')[0]?.help).toBe('write "method": "client_secret_basic"')
  })

  it('is tried with the other audience of the assertion', async () => {
    const { privateJwk } = await createTestKey('gw')
    const text = edit(
      town.config,
      CREDENTIAL,
      '"method": "private_key_jwt", "key": { "secret": "RAS_SECRET" }, "alg": "ES256"',
    )
    const audience = ({ form }: Seen): unknown =>
      JSON.parse(Buffer.from(form.get('client_assertion')?.split('.')[1] ?? '', 'base64url').toString()).aud
    atTheRas((seen) => (audience(seen) === `${town.origin.ras}/token` ? TAKEN : REFUSED))
    const examined = await visit(town, { text, secrets: { ...town.secrets, RAS_SECRET: JSON.stringify(privateJwk) } })
    expect(examined.findings('DOC108')[0]?.help).toBe('write "audience": "token_endpoint"')
    expect(examined.placeOf('DOC108')?.field).toBe('resources.tasks.client.auth.audience')
    expect(examined.text + examined.json).not.toContain(String(privateJwk['d']))
  })

  it('is tried with the other type of the assertion', async () => {
    const { privateJwk } = await createTestKey('gw')
    const text = edit(
      town.config,
      CREDENTIAL,
      '"method": "private_key_jwt", "key": { "secret": "RAS_SECRET" }, "alg": "ES256"',
    )
    const typeOf = ({ form }: Seen): unknown =>
      JSON.parse(Buffer.from(form.get('client_assertion')?.split('.')[0] ?? '', 'base64url').toString()).typ
    atTheRas((seen) => (typeOf(seen) === 'JWT' ? TAKEN : REFUSED))
    const examined = await visit(town, { text, secrets: { ...town.secrets, RAS_SECRET: JSON.stringify(privateJwk) } })
    expect(examined.findings('DOC108')[0]?.help).toBe('write "typ": "JWT"')
  })

  it('is accepted by the previous of two secrets, which is amber', async () => {
    const text = edit(
      town.config,
      '"secret": { "secret": "RAS_SECRET" }',
      '"secret": [{ "secret": "NEW_SECRET" }, { "secret": "RAS_SECRET" }]',
    )
    const examined = await visit(town, { text, secrets: { ...town.secrets, NEW_SECRET: 'CANARY-new' } })
    expect(examined.codes).toEqual(['DOC218'])
    expect(examined.placeOf('DOC218')?.field).toBe('resources.tasks.client.auth.secret[0]')
    expect(examined.findings('DOC218')[0]?.message).toContain(
      'does not take NEW_SECRET of the client "gw-at-tasks" yet, and takes RAS_SECRET',
    )
    expect(examined.report.exitCode).toBe(0)
  })

  it('is compared with the advertised methods where nothing helps', async () => {
    town.metadata.ras = { token_endpoint_auth_methods_supported: ['tls_client_auth'] }
    atTheRas(() => REFUSED)
    const examined = await visit(town)
    expect(examined.findings('DOC108')[0]?.message).toContain(
      'it takes "tls_client_auth", and the file says "client_secret_basic"',
    )
    expect(examined.placeOf('DOC108')?.field).toBe('resources.tasks.client.auth.method')
    // Said once, not as a doubt beside.
    expect(examined.codes).toEqual(['DOC108'])
  })

  it('is told apart by what the token endpoint itself says of unknown clients', async () => {
    town.metadata.ras = { authorization_endpoint: undefined }
    const about = (seen: Seen): string =>
      seen.client.id === 'gw-at-tasks' ? 'bad secret' : `no client ${seen.client.id}`
    atTheRas((seen) => ({
      status: 401,
      body: { error: 'invalid_client', error_description: `${about(seen)}, trace ${crypto.randomUUID()}` },
    }))
    expect((await visit(town)).findings('DOC108')[0]?.message).toContain(
      'knows the client "gw-at-tasks" and refuses its secret',
    )
  })

  it('is not told apart by answers that differ every time', async () => {
    town.metadata.ras = { authorization_endpoint: undefined }
    atTheRas(() => ({ status: 401, body: { error: 'invalid_client', error_description: `case ${Math.random()}` } }))
    const [finding] = (await visit(town)).findings('DOC108')
    expect(finding?.message).toContain('tells nobody which')
    expect(JSON.stringify(finding)).not.toContain('case 0')
  })

  it('is not taken for unknown where there is no page that could tell', async () => {
    town.script.set('ras /authorize', () => ({ status: 404 }))
    atTheRas(() => REFUSED)
    expect((await visit(town)).findings('DOC108')[0]?.message).toContain('tells nobody which')
  })

  it('costs a handful of attempts and no more', async () => {
    atTheRas(() => REFUSED)
    await visit(town)
    expect(asked('gw-at-tasks')).toBe(3)
    expect(town.seen.filter(({ role, path }) => role === 'ras' && path === '/token')).toHaveLength(6)
  })
})

describe('a credential that is not refused', () => {
  it('is in doubt where a client that does not exist is answered in the same way', async () => {
    atTheRas(() => TAKEN)
    const examined = await visit(town)
    expect(examined.findings('DOC204')[0]?.message).toContain('it looks at the token first')
    expect(examined.report.exitCode).toBe(0)
  })

  it('is in doubt while the server is busy', async () => {
    atTheRas(() => ({ status: 429 }))
    expect((await visit(town)).findings('DOC204')[0]?.message).toContain('answers 429')
  })

  it('may not use the grant', async () => {
    atTheRas((seen) => (isClient(seen) ? { status: 400, body: { error: 'unauthorized_client' } } : REFUSED))
    const examined = await visit(town)
    expect(examined.codes).toEqual(['DOC217'])
    expect(examined.findings('DOC217')[0]?.help).toContain('the jwt-bearer grant')
  })

  it('counts as refused where every unknown client is an unauthorized one', async () => {
    atTheRas(() => ({ status: 400, body: { error: 'unauthorized_client' } }))
    expect((await visit(town)).codes).toEqual(['DOC108'])
  })

  it('is of no use where the grant is not supported', async () => {
    town.script.set('idp /token', () => ({ status: 400, body: { error: 'unsupported_grant_type' } }))
    const examined = await visit(town)
    expect(examined.findings('DOC109')[0]?.message).toContain('does not support token exchange')
    expect(examined.placeOf('DOC109')?.field).toBe('idps.corp.clients.web.id')
  })

  it.each([
    [404, { status: 404 }, 'that is no token endpoint'],
    ['a page', { raw: '<html>', headers: { 'content-type': 'text/html' } }, 'an HTML page'],
    [
      'a redirect',
      { status: 307, headers: { location: '/login?secret=CANARY' } },
      '/login", and redirects are never followed',
    ],
  ] as const)('is not judged by %s', async (_, reply, words) => {
    atTheRas(() => reply)
    const examined = await visit(town)
    expect(examined.findings('DOC109')[0]?.message).toContain(words)
    expect(examined.text).not.toContain('CANARY')
  })

  it('is not sent after a redirect', async () => {
    atTheRas(() => ({ status: 307, headers: { location: `${town.origin.api}/steal` } }))
    await visit(town)
    expect(town.seen.filter(({ path }) => path === '/steal')).toEqual([])
  })

  it('alarms where something that is no token is exchanged for one', async () => {
    atTheRas(() => ({ body: { access_token: 'CANARY', token_type: 'Bearer' } }))
    const examined = await visit(town)
    expect(examined.codes).toEqual(['DOC110'])
    expect(examined.text + examined.json).not.toContain('CANARY')
  })

  it('is amber where the metadata lists neither its method nor its algorithm', async () => {
    town.metadata.idp = { token_endpoint_auth_methods_supported: ['private_key_jwt'] }
    const examined = await visit(town)
    expect(examined.placeOf('DOC202')?.field).toBe('idps.corp.clients.web.auth.method')
    expect(examined.report.exitCode).toBe(0)
    const { privateJwk } = await createTestKey('gw')
    const text = edit(
      town.config,
      CREDENTIAL,
      '"method": "private_key_jwt", "key": { "secret": "RAS_SECRET" }, "alg": "ES256"',
    )
    town.metadata.idp = {}
    town.metadata.ras = { token_endpoint_auth_signing_alg_values_supported: ['RS256'] }
    atTheRas(({ client }) => (client.id === 'gw-at-tasks' ? TAKEN : REFUSED))
    const signed = await visit(town, { text, secrets: { ...town.secrets, RAS_SECRET: JSON.stringify(privateJwk) } })
    expect(signed.placeOf('DOC202')).toEqual({ field: 'resources.tasks.client.auth.alg', line: '"ES256"' })
  })

  it('cannot be used at all: a key that is none', async () => {
    const text = edit(
      town.config,
      CREDENTIAL,
      '"method": "private_key_jwt", "key": { "secret": "RAS_SECRET" }, "alg": "ES256"',
    )
    const examined = await visit(town, { text })
    expect(examined.findings('DOC115')[0]?.message).toBe('the secret RAS_SECRET does not hold a private key for ES256')
    expect(examined.text + examined.json).not.toContain(SECRETS.RAS_SECRET)
  })
})

describe('secrets', () => {
  it.each([
    ['ends with a line break', `${SECRETS.RAS_SECRET}\n`, 'white space'],
    ['stands in quotes', `"${SECRETS.RAS_SECRET}"`, 'stands in quotes'],
    ['is a placeholder', 'changeme', 'is a placeholder'],
  ])('is amber about one that %s, without showing it', async (_, value, words) => {
    const examined = await visit(town, { secrets: { ...town.secrets, RAS_SECRET: value } })
    expect(examined.findings('DOC208')[0]?.message).toContain(words)
    expect(examined.text + examined.json).not.toContain(SECRETS.RAS_SECRET)
  })

  it('judges the sealing key by its length and its looks', async () => {
    const short = await visit(town, { secrets: { ...town.secrets, JAGWAY_SEALING_KEY: 'CANARY-too-short' } })
    // A local run makes one itself; a configuration of its own name is judged everywhere.
    expect(short.codes).toEqual([])
    const text = edit(town.config, '"policy": {', '"cache": { "sealing_keys": [{ "secret": "SEAL" }] },\n  "policy": {')
    const named = await visit(town, { text, secrets: { ...town.secrets, SEAL: 'CANARY-too-short' } })
    expect(named.placeOf('DOC115')?.field).toBe('cache.sealing_keys[0]')
    const dull = await visit(town, { text, secrets: { ...town.secrets, SEAL: 'abababababababababababababababab' } })
    expect(dull.findings('DOC208')[0]?.message).toContain('does not look random')
  })

  it('are not looked for where nobody says where they are', async () => {
    const examined = await visit(town, { secrets: undefined, secretsFile: false })
    expect(examined.text).toContain('none known here: give --secrets FILE')
    expect(examined.text).toContain('not tried: RAS_SECRET has no value here')
    expect(examined.report.exitCode).toBe(0)
    expect(town.seen.filter(({ path }) => path === '/token')).toEqual([])
  })
})
