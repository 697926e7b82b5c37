// What makes an ID token, claim by claim, and what else an identity provider signs with the same keys.
import { describe, expect, test } from 'vitest'
import type { Principal } from '../../../src/model.ts'
import type { Idp } from '../../../src/parties.ts'
import { createTestKey, signTexts, type Claims } from '../../support/keys.ts'
import { createWorld, idp, idpClient, ISSUER, key, outcome, START, strangerKey, type World } from './world.ts'

async function verify(changes: Claims, header: Claims = {}, world: World = createWorld()): Promise<string> {
  return outcome(await world.identity.verifyAtEdge(`Bearer ${await world.token(changes, header)}`))
}

async function principalOf(
  changes: Claims,
  provider: Partial<Idp> = {},
  policyClaims: readonly string[] = [],
): Promise<Principal | string> {
  const world = createWorld({ idps: [idp(provider)], policyClaims })
  const result = await world.identity.verifyAtEdge(`Bearer ${await world.token(changes)}`)
  return result.ok ? result.value.principal : result.error.code
}

describe('verify() refuses, by header', () => {
  test.each([
    ['a key in the header', { jwk: key.publicJwk }, 'TOK101'],
    ['an address of keys', { jku: 'https://evil.test/keys' }, 'TOK101'],
    ['a certificate', { x5c: ['MIIB'] }, 'TOK101'],
    ['an address of certificates', { x5u: 'https://evil.test/x5u' }, 'TOK101'],
    ['critical parameters', { crit: ['exp'] }, 'TOK101'],
    ['an empty list of critical parameters', { crit: [] }, 'TOK101'],
    ['an unencoded payload', { b64: false }, 'TOK101'],
    ['compression', { zip: 'DEF' }, 'TOK101'],
    ['a content encryption', { enc: 'A128GCM' }, 'TOK101'],
    ['a nested token', { cty: 'JWT' }, 'TOK101'],
    ['an empty kid', { kid: '' }, 'TOK101'],
    ['a kid that is a number', { kid: 1 }, 'TOK101'],
    ['a kid that is null', { kid: null }, 'TOK101'],
    ['a kid of 257 characters', { kid: 'k'.repeat(257) }, 'TOK101'],
    ['no alg', { alg: undefined }, 'TOK101'],
    ['an alg that is a list', { alg: ['ES256'] }, 'TOK101'],
    ['a typ that is a list', { typ: ['JWT'] }, 'TOK101'],
    ['an unknown kid', { kid: 'idp-2' }, 'TOK102'],
    ['a kid in other letters', { kid: 'IDP-1' }, 'TOK102'],
    ['a kid of every object', { kid: 'constructor' }, 'TOK102'],
    ['the algorithm none', { alg: 'none' }, 'TOK102'],
    ['the algorithm HS256', { alg: 'HS256' }, 'TOK102'],
    ['an algorithm in lower case', { alg: 'es256' }, 'TOK102'],
    ['an algorithm that is not allowed for this issuer', { alg: 'ES384' }, 'TOK102'],
    ['an allowed algorithm the key is not for', { alg: 'RS256' }, 'TOK102'],
    ['the algorithm of every object', { alg: 'toString' }, 'TOK102'],
  ])('%s', async (_, header, code) => {
    expect(await verify({}, header)).toBe(code)
  })

  test.each([
    'at+jwt',
    'application/at+jwt',
    'AT+JWT',
    'oauth-id-jag+jwt',
    'application/OAuth-ID-JAG+JWT',
    'logout+jwt',
    'secevent+jwt',
    'dpop+jwt',
    'client-authentication+jwt',
    'token-introspection+jwt',
    'oauth-authz-req+jwt',
    'kb+jwt',
    '',
  ])('the type %j', async (typ) => {
    expect(await verify({}, { typ })).toBe('TOK105')
  })
})

test.each([undefined, 'JWT', 'jwt', 'application/jwt'])('verify() takes the type %j', async (typ) => {
  expect(await verify({}, { typ })).toBe('ok')
})

test('verify() takes a token with the thumbprint of a certificate beside its kid, as AD FS sends it, and ignores it', async () => {
  expect(await verify({}, { x5t: 'AAAA', 'x5t#S256': 'BBBB' })).toBe('ok')
})

test('verify() takes a token without kid where one key fits, and refuses it where two do', async () => {
  const second = await createTestKey('idp-2')
  const one = createWorld({ idps: [idp({ keys: { kind: 'static', jwks: { keys: [key.publicJwk] } } })] })
  const two = createWorld({
    idps: [idp({ keys: { kind: 'static', jwks: { keys: [key.publicJwk, second.publicJwk] } } })],
  })
  expect(await verify({}, { kid: undefined }, one)).toBe('ok')
  expect(await verify({}, { kid: undefined }, two)).toBe('TOK102')
})

test('verify() refuses a stranger who signs under the name of a published key', async () => {
  const world = createWorld()
  const token = await world.token({}, {}, strangerKey)
  expect(outcome(await world.identity.verifyAtEdge(`Bearer ${token}`))).toBe('TOK102')
})

describe('verify() refuses another kind of token in the shape of an ID token', () => {
  test.each([
    ['an access token with scope', { scope: 'openid read', client_id: 'web-id', jti: '1' }],
    ['an access token that names its client only (RFC 9068)', { client_id: 'web-id', jti: '1', nonce: undefined }],
    ['an access token of Entra ID', { scp: 'User.Read' }],
    ['an application token of Entra ID', { roles: ['Read'], azpacr: '1', azp: 'web-id' }],
    ['an access token of Okta', { cid: 'web-id', scp: ['openid'] }],
    ['an access token of Keycloak', { typ: 'Bearer', azp: 'web-id' }],
    ['a refresh token of Keycloak', { typ: 'Refresh' }],
    ['an access token of Cognito', { token_use: 'access' }],
    ['a logout token', { events: { 'http://schemas.openid.net/event/backchannel-logout': {} }, nonce: undefined }],
    ['a DPoP proof', { htm: 'POST', htu: 'https://jagway.test/token' }],
    ['a token bound to a certificate', { cnf: { 'x5t#S256': '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } }],
    ['a token with authorization details', { authorization_details: [{ type: 'x' }] }],
    ['an introspection response', { token_introspection: { active: true } }],
  ])('%s', async (_, changes) => {
    expect(await verify(changes)).toBe('TOK105')
  })
})

describe('verify() takes ID tokens as real providers issue them', () => {
  const t = { iat: START - 5, exp: START + 3_600 }
  test.each([
    [
      'Okta',
      { ...t, ver: 1, jti: 'ID.x', amr: ['pwd', 'mfa'], idp: '00o1', at_hash: 'q', nonce: 'n', email: 'a@corp.test' },
    ],
    [
      'Entra ID (v2.0)',
      {
        ...t,
        nbf: START - 5,
        aio: 'x',
        name: 'A',
        oid: '0-0',
        preferred_username: 'a@corp.test',
        rh: '0.x',
        tid: '9',
        uti: 'u',
        ver: '2.0',
        roles: ['r'],
        auth_time: undefined,
        nonce: undefined,
      },
    ],
    [
      'Auth0 (ten hours)',
      { iat: START - 5, exp: START + 36_000, sid: 's', nickname: 'a', updated_at: '2026-01-01T00:00:00Z' },
    ],
    ['Keycloak', { ...t, jti: 'j', typ: 'ID', azp: 'web-id', session_state: 's', at_hash: 'h', acr: '1', sid: 's' }],
    [
      'Google',
      {
        ...t,
        azp: 'web-id',
        at_hash: 'h',
        hd: 'corp.test',
        email_verified: true,
        auth_time: undefined,
        nonce: undefined,
      },
    ],
    ['oidc-provider', { ...t, at_hash: 'h', auth_time: undefined, nonce: undefined }],
    ['Zitadel', { ...t, aud: ['web-id', 'project-1'], azp: 'web-id', client_id: 'web-id', amr: ['pwd'] }],
    ['Amazon Cognito', { ...t, token_use: 'id', 'cognito:username': 'a', event_id: 'e' }],
    ['a provider that writes the bare minimum', { ...t, auth_time: undefined, nonce: undefined }],
  ])('%s', async (_, changes) => {
    expect(await verify(changes)).toBe('ok')
  })
})

describe('verify() judges claims after the signature', () => {
  test.each<[string, Claims, string]>([
    // Whose token.
    ['no iss', { iss: undefined }, 'TOK102'],
    ['an iss that is a list', { iss: [ISSUER] }, 'TOK102'],
    ['an iss with a slash at its end', { iss: `${ISSUER}/` }, 'TOK102'],
    ['an iss in other letters', { iss: ISSUER.toUpperCase() }, 'TOK102'],
    ['an iss with a port', { iss: `${ISSUER}:443` }, 'TOK102'],
    ['an iss of every object', { iss: '__proto__' }, 'TOK102'],
    // For whom.
    ['no aud', { aud: undefined }, 'TOK101'],
    ['an aud that is a number', { aud: 1 }, 'TOK101'],
    ['an aud that is an object', { aud: { 'web-id': true } }, 'TOK101'],
    ['an empty aud', { aud: '' }, 'TOK101'],
    ['an empty list of audiences', { aud: [] }, 'TOK101'],
    ['a list in the list of audiences', { aud: [['web-id']] }, 'TOK101'],
    ['null in the list of audiences', { aud: ['web-id', null] }, 'TOK101'],
    ['one audience twice', { aud: ['web-id', 'web-id'], azp: 'web-id' }, 'TOK101'],
    ['eleven audiences', { aud: ['web-id', ...'a b c d e f g h i j'.split(' ')], azp: 'web-id' }, 'TOK101'],
    ['another client as audience', { aud: 'other-id' }, 'TOK104'],
    ['an audience that begins alike', { aud: 'web-id2' }, 'TOK104'],
    ['an audience in other letters', { aud: 'WEB-ID' }, 'TOK104'],
    ['several audiences without azp', { aud: ['web-id', 'other-id'] }, 'TOK104'],
    ['several audiences with the azp of another client', { aud: ['web-id', 'other-id'], azp: 'other-id' }, 'TOK104'],
    ['two of our own clients as audience', { aud: ['web-id', 'broker-id'], azp: 'web-id' }, 'TOK104'],
    ['the azp of another client', { azp: 'other-id' }, 'TOK104'],
    ['an empty azp', { azp: '' }, 'TOK104'],
    ['an azp that is a list', { azp: ['web-id'] }, 'TOK104'],
    ['an azp that is null', { azp: null }, 'TOK104'],
    ['the client_id of another client', { client_id: 'other-id' }, 'TOK104'],
    ['several audiences with our azp', { aud: ['web-id', 'other-id'], azp: 'web-id' }, 'ok'],
    ['a list of one audience', { aud: ['web-id'] }, 'ok'],
    // About whom.
    ['no sub', { sub: undefined }, 'TOK101'],
    ['an empty sub', { sub: '' }, 'TOK101'],
    ['a sub that is a number', { sub: 12_345 }, 'TOK101'],
    ['a sub that is an object', { sub: { id: 'alice' } }, 'TOK101'],
    ['a sub that is a list', { sub: ['alice'] }, 'TOK101'],
    ['a sub of 256 characters', { sub: 'a'.repeat(256) }, 'TOK101'],
    ['a sub with NUL', { sub: 'alice\u0000bob' }, 'TOK101'],
    ['a sub with a line break', { sub: 'alice\r\nX-Injected: 1' }, 'TOK101'],
    ['a sub with a C1 control', { sub: 'alice\u0085' }, 'TOK101'],
    ['a sub of 255 characters', { sub: 'a'.repeat(255) }, 'ok'],
    ['a sub outside ASCII', { sub: 'Zoë|auth0:1' }, 'ok'],
    // When.
    ['no exp', { exp: undefined }, 'TOK101'],
    ['an exp that is text', { exp: '9999999999' }, 'TOK101'],
    ['an exp that is null', { exp: null }, 'TOK101'],
    ['a negative exp', { exp: -1 }, 'TOK101'],
    ['an exp in milliseconds', { exp: START * 1000 }, 'TOK101'],
    ['no iat', { iat: undefined }, 'TOK101'],
    ['an iat that is text', { iat: '1' }, 'TOK101'],
    ['an nbf that is text', { nbf: '1' }, 'TOK101'],
    ['an iat after exp', { iat: START + 50, exp: START + 40 }, 'TOK101'],
    ['a lifetime of more than a month', { exp: START + 32 * 86_400 }, 'TOK101'],
    ['an auth_time in milliseconds', { auth_time: START * 1000 }, 'TOK101'],
    ['an auth_time that is text', { auth_time: 'yesterday' }, 'TOK101'],
    ['an exp of a minute ago', { exp: START - 60, iat: START - 400 }, 'TOK103'],
    ['an exp of two minutes ago', { exp: START - 120, iat: START - 500 }, 'TOK103'],
    ['an iat more than a minute ahead', { iat: START + 61 }, 'TOK106'],
    ['an nbf more than a minute ahead', { nbf: START + 61 }, 'TOK106'],
    ['an iat of more than an hour ago', { iat: START - 3_660 }, 'TOK106'],
    ['an exp of less than a minute ago', { exp: START - 59, iat: START - 400 }, 'ok'],
    ['an iat a minute ahead', { iat: START + 60 }, 'ok'],
    ['an nbf a minute ahead', { nbf: START + 60 }, 'ok'],
    ['times with fractions', { iat: START - 5.5, exp: START + 100.25 }, 'ok'],
  ])('%s', async (_, changes, code) => {
    expect(await verify(changes)).toBe(code)
  })

  test.each([
    ['an infinite exp', `{"iss":"${ISSUER}","sub":"a","aud":"web-id","iat":${START},"exp":1e400}`],
    ['sub twice', `{"iss":"${ISSUER}","sub":"mallory","sub":"a","aud":"web-id","iat":${START},"exp":${START + 60}}`],
    ['a __proto__', `{"iss":"${ISSUER}","sub":"a","aud":"web-id","iat":${START},"exp":${START + 60},"__proto__":{}}`],
    [
      'a lone surrogate in sub',
      `{"iss":"${ISSUER}","sub":"a\\ud800","aud":"web-id","iat":${START},"exp":${START + 60}}`,
    ],
    ['a byte order mark', `\uFEFF{"iss":"${ISSUER}","sub":"a","aud":"web-id","iat":${START},"exp":${START + 60}}`],
    ['a list', '[]'],
  ])('verify() refuses a payload with %s', async (_, payload) => {
    const { identity } = createWorld()
    const token = await signTexts(key, JSON.stringify({ alg: 'ES256', kid: 'idp-1' }), payload)
    expect(outcome(await identity.verifyAtEdge(`Bearer ${token}`))).toBe('TOK101')
  })

  test('verify() tells nothing about claims of a token nobody signed', async () => {
    const world = createWorld()
    const wrong = { aud: 'other-id', exp: START - 9_999, iat: START - 10_000, sub: '' }
    const token = await world.token(wrong, {}, strangerKey)
    expect(outcome(await world.identity.verifyAtEdge(`Bearer ${token}`))).toBe('TOK102')
  })
})

/** An `act` claim, outermost first. */
function actorsOf(sub: string, ...others: readonly string[]): Claims {
  const [next, ...rest] = others
  return next === undefined ? { sub } : { sub, act: actorsOf(next, ...rest) }
}

describe('the principal', () => {
  const named = { claims: { groups: 'groups', tenant: 'tid' } }
  const served = { ...named, tenants: new Set(['acme', 'initech']) }

  test.each<[string, Claims, Partial<Idp>, unknown]>([
    ['has the tenant of the configured claim', { tid: 'acme' }, named, { tenant: 'acme' }],
    ['has no tenant where no claim is configured', { tid: 'acme' }, {}, { tenant: undefined }],
    ['has no tenant where the claim is absent and none are listed', {}, named, { tenant: undefined }],
    ['has a listed tenant', { tid: 'initech' }, served, { tenant: 'initech' }],
    ['has no groups where none are claimed', {}, named, { groups: [] }],
    ['has several groups', { groups: ['staff', 'admins'] }, named, { groups: ['staff', 'admins'] }],
    ['has one group written as text', { groups: 'staff' }, named, { groups: ['staff'] }],
    ['has no groups where no claim is configured', { groups: ['staff'] }, {}, { groups: [] }],
    [
      'has none of the claims that policy does not ask for',
      { acr: 'urn:corp:mfa', level: 3 },
      {},
      { claims: new Map() },
    ],
    [
      'has no claims that every object has',
      {},
      { claims: { groups: 'constructor', tenant: 'toString' } },
      { groups: [], tenant: undefined },
    ],
    ['acts alone where the token says so', {}, {}, { act: undefined }],
    [
      'has everybody who acts for the user, the one who presents the token first, and the claim whole',
      { act: { sub: 'bot', act: { sub: 'planner', iss: 'https://b.test' }, a: 1 } },
      {},
      {
        act: {
          chain: [{ sub: 'bot' }, { sub: 'planner', iss: 'https://b.test' }],
          json: '{"a":1,"act":{"iss":"https://b.test","sub":"planner"},"sub":"bot"}',
        },
      },
    ],
    [
      'has up to four actors',
      { act: actorsOf('a', 'b', 'c', 'd') },
      {},
      { act: { chain: ['a', 'b', 'c', 'd'].map((sub) => ({ sub })) } },
    ],
    ['has the exact expiry, without the skew', { exp: START - 30 }, {}, { expiresAt: START - 30 }],
  ])('%s', async (_, changes, provider, expected) => {
    const iat = START - 400
    expect(await principalOf({ iat, ...changes }, provider)).toMatchObject(expected as object)
  })

  test.each<[string, Claims, Partial<Idp>, string]>([
    ['a tenant that is not served', { tid: 'globex' }, served, 'TOK107'],
    ['no tenant where tenants are listed', {}, served, 'TOK107'],
    ['a list of tenants', { tid: ['acme', 'globex'] }, served, 'TOK107'],
    ['a tenant that is a number, even where none are listed', { tid: 7 }, named, 'TOK107'],
    ['groups that are not text', { groups: ['staff', 7] }, named, 'TOK101'],
    [
      'groups that stand elsewhere',
      { _claim_names: { groups: 'src1' }, _claim_sources: { src1: {} } },
      named,
      'TOK101',
    ],
    ['groups that are too many for the token', { hasgroups: true }, named, 'TOK101'],
    ['groups that are an object', { groups: { staff: true } }, named, 'TOK101'],
    ['an actor that is a text', { act: 'bot' }, {}, 'TOK101'],
    ['an actor that is null', { act: null }, {}, 'TOK101'],
    ['a list of actors', { act: [{ sub: 'bot' }] }, {}, 'TOK101'],
    ['an actor without a subject', { act: { iss: ISSUER } }, {}, 'TOK101'],
    ['an actor whose subject is a number', { act: { sub: 7 } }, {}, 'TOK101'],
    ['an actor whose subject cannot be seen', { act: { sub: 'bot\u200b' } }, {}, 'TOK101'],
    ['an actor whose issuer is empty', { act: { sub: 'bot', iss: '' } }, {}, 'TOK101'],
    ['an actor behind an actor that is none', { act: { sub: 'bot', act: 'other' } }, {}, 'TOK101'],
    ['five actors', { act: actorsOf('a', 'b', 'c', 'd', 'e') }, {}, 'TOK101'],
    ['an actor with a number that cannot be read exactly', { act: { sub: 'bot', n: 2 ** 60 } }, {}, 'TOK101'],
    ['an actor of many words', { act: { sub: 'bot', note: 'x'.repeat(4096) } }, {}, 'TOK101'],
  ])('does not exist for %s', async (_, changes, provider, code) => {
    expect(await principalOf(changes, provider)).toBe(code)
  })
})

describe('the claims that policy asks for', () => {
  test.each<[string, unknown, unknown]>([
    ['a text', 'eng', ['eng']],
    ['an empty text', '', ['']],
    ['a number', 3, [3]],
    ['a boolean', false, [false]],
    ['a list', ['eng', 3, true], ['eng', 3, true]],
    ['an empty list', [], []],
    ['an object', { name: 'eng' }, 'unreadable'],
    ['null', null, 'unreadable'],
    ['a list of lists', [['eng']], 'unreadable'],
    ['a list with null in it', ['eng', null], 'unreadable'],
  ])('are kept as they are compared: %s', async (_, department, reading) => {
    const principal = await principalOf({ department, other: 'x' }, {}, ['department'])
    expect(principal).toMatchObject({ claims: new Map([['department', reading]]) })
  })

  test('are not there where the token has none, whatever every object has', async () => {
    const principal = await principalOf({}, {}, ['department', 'constructor', 'toString'])
    expect(principal).toMatchObject({ claims: new Map() })
  })

  test('cannot be read where the token only says where they stand (OpenID Connect Core section 5.6.2)', async () => {
    const elsewhere = { _claim_names: { department: 'src1' }, _claim_sources: { src1: {} } }
    const principal = await principalOf(elsewhere, {}, ['department', 'level'])
    expect(principal).toMatchObject({ claims: new Map([['department', 'unreadable']]) })
  })
})

test('verify() picks the IdP client by audience, and only among those of the issuer', async () => {
  const partner = idp({
    name: 'partner',
    issuer: 'https://login.partner.test' as typeof ISSUER,
    clients: new Map([['app', idpClient('app', 'edge', 'partner')]]),
  })
  const world = createWorld({ idps: [idp(), partner] })
  expect(await verify({ aud: 'app-id' }, {}, world)).toBe('TOK104')
  expect(await verify({ aud: 'app-id', iss: partner.issuer }, {}, world)).toBe('ok')
})
