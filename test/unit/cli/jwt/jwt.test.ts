// `jagway jwt`: kinds, what is wrong with each for what it is for, signatures, and what must not be shown.

import { execFile } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { judge } from '../../../../src/cli/jwt/judge.ts'
import { recognise } from '../../../../src/cli/jwt/kinds.ts'
import { readToken } from '../../../../src/cli/jwt/read.ts'
import { createTestKey, mint, type TestKey } from '../../../support/keys.ts'

const PROGRAM = join(import.meta.dirname, '../../../../src/cli/jagway.ts')
const NOW = 1_800_000_000
const TIMES = { iat: NOW - 10, exp: NOW + 290 }

function kindOf(header: Record<string, unknown>, claims: Record<string, unknown>): string {
  return recognise(header, claims).kind.id
}

describe('recognise()', () => {
  it.each([
    ['oauth-id-jag+jwt', 'id_jag'],
    ['application/oauth-id-jag+jwt', 'id_jag'],
    ['at+jwt', 'access_token'],
    ['AT+JWT', 'access_token'],
    ['client-authentication+jwt', 'client_assertion'],
    ['dpop+jwt', 'dpop_proof'],
    ['logout+jwt', 'logout_token'],
    ['secevent+jwt', 'security_event_token'],
    ['token-introspection+jwt', 'introspection_response'],
    ['oauth-authz-req+jwt', 'request_object'],
  ])('believes typ %s, whatever else is in it', (typ, kind) => {
    expect(kindOf({ typ }, { nonce: 'n', scope: 'x' })).toBe(kind)
  })

  it.each([
    ['an ID token by its nonce', { nonce: 'n', client_id: 'c' }, 'id_token'],
    ['an ID token by all it has', { iss: 'i', sub: 's', aud: 'a', exp: 1, iat: 1 }, 'id_token'],
    ['an ID token of Keycloak', { typ: 'ID', azp: 'a' }, 'id_token'],
    ['an access token of Keycloak', { typ: 'Bearer', azp: 'a', nonce: 'n' }, 'access_token_keycloak'],
    ['a refresh token of Keycloak', { typ: 'Refresh' }, 'refresh_token'],
    ['an access token of Entra ID, version 1', { appid: 'a', scp: 'x' }, 'access_token_entra'],
    ['an access token of Entra ID, version 2', { azp: 'a', azpacr: '1', scp: 'x', ver: '2.0' }, 'access_token_entra'],
    ['an access token of Okta', { cid: 'a', scp: ['x'], ver: 1, uid: 'u' }, 'access_token_okta'],
    ['an access token of Cognito', { token_use: 'access', client_id: 'c' }, 'access_token_cognito'],
    ['an ID token of Cognito', { token_use: 'id' }, 'id_token'],
    [
      'an access token of Auth0',
      { iss: 'i', sub: 's', aud: 'a', exp: 1, iat: 1, gty: 'x', scope: 'a' },
      'access_token_other',
    ],
    [
      'an access token by its client_id',
      { iss: 'i', sub: 's', aud: 'a', exp: 1, iat: 1, client_id: 'c' },
      'access_token_other',
    ],
    [
      'a logout token',
      { events: { 'http://schemas.openid.net/event/backchannel-logout': {} }, sub: 's' },
      'logout_token',
    ],
    ['a security event', { events: { 'urn:x': {} }, sub: 's' }, 'security_event_token'],
    ['an introspection response', { token_introspection: { active: true }, aud: 'a' }, 'introspection_response'],
    ['a DPoP proof', { htm: 'GET', htu: 'https://x', jti: 'j', iat: 1 }, 'dpop_proof'],
    ['a client assertion', { iss: 'c', sub: 'c', aud: 'a', exp: 1, iat: 1, jti: 'j' }, 'client_assertion'],
    [
      'a token of Cloudflare Access',
      { iss: 'https://acme.cloudflareaccess.com', aud: ['x'], nonce: 'n' },
      'cloudflare_access',
    ],
    ['an authorization request', { iss: 'c', aud: 'i', response_type: 'code' }, 'request_object'],
    ['nothing that is known', { hello: 'x' }, 'unknown'],
  ])('knows %s without a type', (_, claims, kind) => {
    expect(kindOf({ typ: 'JWT' }, claims)).toBe(kind)
  })
})

describe('judge()', () => {
  const problemsOf = (header: Record<string, unknown>, claims: Record<string, unknown>, token = 'e30.e30.AA') =>
    judge(recognise(header, claims).kind, token, header, claims, NOW).map(
      ({ severity, message }) => `${severity}: ${message}`,
    )
  const ES = { alg: 'ES256', kid: 'k' }
  const ID = { iss: 'i', sub: 's', aud: 'a', nonce: 'n', ...TIMES }
  const JAG = { iss: 'i', sub: 's', aud: 'a', client_id: 'c', jti: 'j', ...TIMES }
  const JAG_HEADER = { ...ES, typ: 'oauth-id-jag+jwt' }
  const PROOF = { jti: 'j', htm: 'GET', htu: 'https://x/', iat: NOW }
  const PROOF_HEADER = { alg: 'ES256', typ: 'dpop+jwt', jwk: { kty: 'EC' } }

  it.each([
    ['alg none', { alg: 'none' }, ID, 'error: alg is none'],
    ['a symmetric alg', { alg: 'HS256', kid: 'k' }, ID, 'error: alg is HS256'],
    ['no kid', { alg: 'ES256' }, ID, 'warning: kid is missing'],
    ['a missing claim', ES, { ...ID, sub: undefined, iat: undefined }, 'error: sub, iat are missing'],
    ['an end that is over', ES, { ...ID, iat: NOW - 900, exp: NOW - 600 }, 'error: it expired 10 min ago'],
    ['an end that is just over', ES, { ...ID, exp: NOW - 30, iat: NOW - 90 }, 'warning: it expired 30 s ago'],
    ['a beginning to come', ES, { ...ID, nbf: NOW + 3_600 }, 'error: it is not valid for another 60 min (nbf)'],
    [
      'an issue in the future',
      ES,
      { ...ID, iat: NOW + 600, exp: NOW + 900 },
      'error: it was issued 10 min in the future',
    ],
    ['milliseconds', ES, { ...ID, exp: NOW * 1000 }, 'error: exp is in milliseconds'],
    ['a time that is a text', ES, { ...ID, exp: '1800000290' }, 'error: exp is not a number of seconds'],
    ['an end before its beginning', ES, { ...ID, iat: NOW + 20, exp: NOW + 10 }, 'error: exp is not after iat'],
    ['two audiences without azp', ES, { ...ID, aud: ['a', 'b'] }, 'error: aud has several entries'],
    ['an audience that is no text', ES, { ...ID, aud: [] }, 'error: aud is not a text'],
    ['an ID-JAG for two servers', JAG_HEADER, { ...JAG, aud: ['a', 'b'] }, 'error: aud has 2 entries'],
    ['an ID-JAG for an hour', JAG_HEADER, { ...JAG, exp: NOW + 3_600 }, 'error: it lives for 60 min'],
    ['an ID-JAG without a client', JAG_HEADER, { ...JAG, client_id: undefined }, 'error: client_id is missing'],
    [
      'an access token without a client',
      { ...ES, typ: 'at+jwt' },
      { iss: 'i', sub: 's', aud: 'a', jti: 'j', ...TIMES },
      'error: client_id is missing',
    ],
    [
      'a client assertion of two names',
      { ...ES, typ: 'client-authentication+jwt' },
      { iss: 'c', sub: 'd', aud: 'a', jti: 'j', ...TIMES },
      'error: iss and sub must both',
    ],
    [
      'a client assertion without its type',
      ES,
      { iss: 'c', sub: 'c', aud: 'a', jti: 'j', ...TIMES },
      'warning: typ is not client-authentication+jwt',
    ],
    ['a DPoP proof without a key', { ...PROOF_HEADER, jwk: undefined }, PROOF, 'error: the header has no jwk'],
    [
      'a DPoP proof with a private key',
      { ...PROOF_HEADER, jwk: { kty: 'EC', d: 'CANARY' } },
      PROOF,
      'error: the jwk in the header is a private key',
    ],
    ['a DPoP proof for a query', PROOF_HEADER, { ...PROOF, htu: 'https://x/?a' }, 'warning: htu is "https://x/?a"'],
    [
      'a logout token with a nonce',
      { ...ES, typ: 'logout+jwt' },
      { ...ID, jti: 'j', events: {} },
      'error: nonce must not be in such a token',
    ],
    [
      'a logout token of nobody',
      { ...ES, typ: 'logout+jwt' },
      { iss: 'i', aud: 'a', iat: NOW, jti: 'j', events: {} },
      'error: neither sub nor sid',
    ],
    [
      'an introspection response with an end',
      { ...ES, typ: 'token-introspection+jwt' },
      { iss: 'i', aud: 'a', token_introspection: {}, ...TIMES },
      'error: exp must not be',
    ],
    ['a form that the gateway does not take', ES, ID, 'error: the gateway does not take its form: signature'],
  ])('finds %s', (_, header, claims, words) => {
    const token = words.includes('form') ? 'e30.e30.*' : 'e30.e30.AA'
    const present = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
    const found = problemsOf(header, present, token)
    expect(found).toContainEqual(expect.stringContaining(words))
    expect(found.join()).not.toContain('CANARY')
  })

  it.each([
    ['ID token', ES, ID],
    ['ID-JAG', JAG_HEADER, JAG],
    ['DPoP proof', PROOF_HEADER, PROOF],
  ])('has nothing to say against a good %s', (_, header, claims) => {
    expect(problemsOf(header, claims)).toEqual([])
  })
})

describe('readToken()', () => {
  it.each([
    ['', 'nothing at all'],
    ['some-opaque-token', 'no JWT: an opaque token'],
    ['{"access_token":"x"}', 'the answer of a token endpoint'],
    ['{"active":true}', 'an introspection response (RFC 7662)'],
    ['{"a":1}', 'JSON, not a token'],
    ['<saml2:Assertion/>', 'XML'],
    ['PHNhbWwyOkFzc2VydGlvbg', 'a SAML assertion'],
    ['eyJhbGciOiJFUzI1NiJ9.e30.AA~x', 'an SD-JWT, by its tildes'],
    ['eyJhbGciOiJFUzI1NiJ9.bm90IGpzb24.AA', 'whose payload is not one JSON object'],
    ['eyJhbGciOiJFUzI1NiJ9.e30.a.b', 'something with 4 segments'],
  ])('says what %s is', (text, words) => {
    const reading = readToken(text)
    expect(reading.form === 'none' ? reading.words : reading.form).toContain(words)
  })

  it('takes one out of a header, or out of wrapped lines, and says so', () => {
    expect(readToken('Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.e30.AA')).toMatchObject({
      form: 'jws',
      notes: [expect.stringContaining('scheme')],
    })
    expect(readToken('eyJhbGciOiJFUzI1NiJ9.\n  e30.AA\n')).toMatchObject({
      form: 'jws',
      notes: [expect.stringContaining('white space')],
    })
  })

  it('tells an encrypted one', () => {
    expect(readToken('eyJlbmMiOiJBMjU2R0NNIn0.a.b.c.d')).toMatchObject({ form: 'jwe', header: { enc: 'A256GCM' } })
  })
})

// Each starts a process or a few, on a machine that may be busy.
describe('jagway jwt', { timeout: 40_000 }, () => {
  let folder = ''
  let key: TestKey
  let server: Server
  let origin = ''

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'jagway-jwt-'))
    key = await createTestKey('idp-1')
    server = createServer((request, response) => {
      const body = request.url === '/jwks' ? { keys: [key.publicJwk] } : {}
      response
        .writeHead(request.url === '/jwks' ? 200 : 404, { 'content-type': 'application/json' })
        .end(JSON.stringify(body))
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const address = server.address()
    origin = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
    await writeFile(join(folder, 'jwks.json'), JSON.stringify({ keys: [key.publicJwk] }))
    await writeFile(
      join(folder, 'jagway.jsonc'),
      JSON.stringify({
        version: 1,
        public_url: 'http://127.0.0.1:8787',
        idps: {
          corp: {
            issuer: origin,
            jwks_uri: `${origin}/jwks`,
            token_endpoint: `${origin}/token`,
            clients: { web: { id: 'web-id', auth: { method: 'none' }, edge_client: 'people' } },
          },
        },
        clients: {
          people: { subject_tokens: ['corp/web'] },
          agent: { subject_tokens: ['corp/web'], auth: { method: 'private_key_jwt', jwks: { keys: [key.publicJwk] } } },
        },
        resources: {
          tasks: {
            kind: 'id-jag',
            authorization_server: { issuer: origin },
            client: { id: 'c', auth: { method: 'none' } },
            scopes: [],
          },
        },
        policy: { rules: [{ id: 'all', effect: 'allow' }] },
      }),
    )
  })
  afterAll(async () => {
    await new Promise((done) => server.close(done))
    await rm(folder, { recursive: true })
  })

  interface Ended {
    readonly code: number
    readonly out: string
    readonly err: string
  }

  function jwt(args: readonly string[], input = ''): Promise<Ended> {
    return new Promise((done) => {
      const child = execFile(
        process.execPath,
        [PROGRAM, 'jwt', ...args],
        { cwd: folder, env: { PATH: process.env['PATH'], JAGWAY_STATE_DIR: folder } },
        (error, out, err) => {
          done({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err })
        },
      )
      child.stdin?.end(input)
    })
  }

  const now = (): number => Math.floor(Date.now() / 1000)
  const idToken = (more: Record<string, unknown> = {}): Promise<string> =>
    mint(key, { iss: origin, sub: 'ann', aud: 'web-id', nonce: 'n', iat: now() - 5, exp: now() + 3_600, ...more })

  it('shows what is in a token, with its times, and neither the token nor its signature', async () => {
    const token = await idToken({ nested: await idToken(), odd: 'a\u001B[2J' })
    const { code, out, err } = await jwt([], token)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain('an ID token (OpenID Connect Core section 2), because it has nonce')
    expect(out).toMatch(/ {2}exp +\d+ {2}\d{4}-\d\d-\d\dT.*Z, in 60 min\n/)
    expect(out).toContain('signature  not checked')
    expect(out).toMatch(/ {2}nested +\[a token\]\n/)
    for (const segment of token.split('.')) expect(out).not.toContain(segment)
    expect(out).not.toContain('\u001B')
    expect((await jwt([token, '--raw'])).out).toContain(token)
  })

  it('verifies by the keys of a configuration, and says what the gateway would say', async () => {
    const good = await jwt(['--config', 'jagway.jsonc'], await idToken())
    expect(good.code).toBe(0)
    expect(good.out).toContain(`signature  holds: by the key "idp-1" of ${origin}/jwks`)
    expect(good.out).toContain('gateway    accepts it: it says that "ann" has signed in at corp/web')
    const expired = await jwt(['--config', 'jagway.jsonc'], await idToken({ iat: now() - 7_200, exp: now() - 3_600 }))
    expect(expired.code).toBe(1)
    expect(expired.out).toContain('the gateway refuses it: TOK103')
    const assertion = await mint(key, {
      iss: 'agent',
      sub: 'agent',
      aud: 'http://127.0.0.1:8787',
      jti: 'j',
      iat: now(),
      exp: now() + 60,
    })
    expect((await jwt(['--config', 'jagway.jsonc'], assertion)).out).toContain(
      'accepts it: it authenticates the client agent',
    )
    const stranger = await createTestKey('idp-1')
    const forged = await mint(stranger, {
      iss: origin,
      sub: 'ann',
      aud: 'web-id',
      nonce: 'n',
      iat: now(),
      exp: now() + 60,
    })
    const refused = await jwt(['--config', 'jagway.jsonc', '--json'], forged)
    expect(refused.code).toBe(1)
    expect(JSON.parse(refused.out)).toMatchObject({
      ok: false,
      signature: { status: 'does not hold' },
      verdict: { accepted: false, code: 'TOK102' },
    })
  })

  it('does not call an access token wrong for not being an ID token', async () => {
    const token = await mint(
      key,
      { iss: origin, sub: 'ann', aud: 'api', client_id: 'c', jti: 'j', scope: 'x', iat: now(), exp: now() + 60 },
      { typ: 'at+jwt' },
    )
    const { code, out } = await jwt(['--config', 'jagway.jsonc'], token)
    expect(code).toBe(0)
    expect(out).toContain('warning  as a subject token the gateway refuses it: TOK105')
  })

  it('verifies by keys from a file or an address', async () => {
    const token = await idToken()
    expect((await jwt(['--jwks', 'jwks.json'], token)).out).toContain(
      'signature  holds: by the key "idp-1" of jwks.json',
    )
    expect((await jwt(['--jwks', `${origin}/jwks`], token)).out).toContain('signature  holds')
    expect(await jwt(['--jwks', `${origin}/nowhere`], token)).toMatchObject({
      code: 3,
      out: expect.stringContaining('answers 404'),
    })
    expect(await jwt(['--jwks', 'http://keys.example/'], token)).toMatchObject({ code: 2, out: '' })
  })

  it('verifies a DPoP proof by the key it carries', async () => {
    const { kid: _, ...jwk } = key.publicJwk
    const proof = await mint(
      key,
      { jti: 'j', htm: 'POST', htu: 'https://x/token', iat: now() },
      { typ: 'dpop+jwt', jwk, kid: undefined },
    )
    expect(await jwt([], proof)).toMatchObject({
      code: 0,
      out: expect.stringContaining('signature  holds: by the key in its own header'),
    })
  })

  it('writes JSON without the token', async () => {
    const token = await idToken()
    const { out } = await jwt(['--json'], token)
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      kind: 'id_token',
      header: { alg: 'ES256' },
      claims: { sub: 'ann' },
      times: { exp: { in_seconds: expect.any(Number) } },
      signature: { status: 'not checked' },
      problems: [],
    })
    expect(out).not.toContain(token.split('.')[2])
    expect(JSON.parse((await jwt(['--json', '--raw'], token)).out)).toMatchObject({ raw: token })
  })

  it('ends with 1 for what is no JWT, and with 2 for what it was not asked for', async () => {
    expect(await jwt(['opaque'])).toEqual({
      code: 1,
      out: 'this is no JWT: an opaque token says nothing to anybody but the server that made it\n',
      err: '',
    })
    expect(await jwt(['a', 'b'])).toMatchObject({ code: 2 })
    expect(await jwt(['--config', 'x', '--jwks', 'y'])).toMatchObject({ code: 2 })
  })
})
