import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { toBase64Url, toUtf8 } from '../../../src/lib/bytes.ts'
import { numericDate } from '../../../src/lib/numeric-date.ts'
import type { ClientId, Issuer } from '../../../src/parties.ts'
import { decodeCompactJwt, jwtType } from '../../../src/oauth/compact-jwt.ts'
import { governs, inspectIdJag, isSole, type IdJagExpectations } from '../../../src/oauth/id-jag.ts'
import { createTestKey, mint, signTexts, type Claims } from '../../support/keys.ts'
import { scopesOf } from '../support/proofs.ts'

const VECTORS = join(import.meta.dirname, '../../../../shared/spec/vectors.json')
const key = await createTestKey()

const API = 'https://api.ledgerly.example/v2'

const EXPECTED: IdJagExpectations = {
  issuer: 'https://login.northwind.example' as Issuer,
  audience: 'https://auth.ledgerly.example/' as Issuer,
  clientId: 'tailspin-gw' as ClientId,
  resources: [API],
  scopes: scopesOf('invoice.read', 'invoice.write'),
  details: undefined,
  now: numericDate(1_800_000_000),
}

const CLAIMS = {
  iss: EXPECTED.issuer,
  sub: '00u8k2mira',
  aud: EXPECTED.audience,
  client_id: EXPECTED.clientId,
  jti: 'jag-1',
  iat: EXPECTED.now,
  exp: EXPECTED.now + 300,
  resource: API,
  scope: 'invoice.read',
}

function nested(depth: number): unknown {
  return depth === 0 ? undefined : { sub: String(depth), act: nested(depth - 1) }
}

async function inspect(
  claims: Claims,
  header: Claims = {},
  expected: Partial<IdJagExpectations> = {},
): Promise<unknown> {
  const token = await mint(key, { ...CLAIMS, ...claims }, { typ: 'oauth-id-jag+jwt', ...header })
  const facts = inspectIdJag(token, { ...EXPECTED, ...expected })
  return facts.ok ? facts.value : facts.error.detail
}

describe('inspectIdJag() lets pass', () => {
  test('what was asked for, and tells what is in it', async () => {
    expect(await inspect({})).toEqual({
      jti: 'jag-1',
      expiresAt: 1_800_000_300,
      scopes: ['invoice.read'],
      actors: [],
      confirmation: { thumbprint: undefined },
    })
  })

  test.each<[string, Claims, Claims]>([
    ['an audience in a list of one', { aud: [EXPECTED.audience] }, {}],
    ['a type with its prefix, in any case', {}, { typ: 'application/OAuth-ID-JAG+jwt' }],
    ['no kid', {}, { kid: undefined }],
    ['nbf, act, sub_id and tenant', { nbf: 1, act: { sub: 'a' }, sub_profile: 'user', sub_id: {}, tenant: 't' }, {}],
    ['a resource in a list of one', { resource: [API] }, {}],
    ['no resource', { resource: undefined }, {}],
    ['a lifetime of a year', { exp: EXPECTED.now + 31_536_000 }, {}],
    ['a last second', { exp: EXPECTED.now + 1 }, {}],
  ])('%s', async (_what, claims, header) => {
    expect(await inspect(claims, header)).toMatchObject({ jti: 'jag-1', scopes: ['invoice.read'] })
  })

  test.each<[string, unknown, unknown]>([
    ['nobody', undefined, []],
    ['one party', { sub: 'a', iss: 'https://x' }, [{ sub: 'a', iss: 'https://x' }]],
    ['one without an issuer, as some servers write', { sub: 'a', sub_profile: 'ai_agent' }, [{ sub: 'a' }]],
    ['the newest first', { sub: 'b', act: { sub: 'a' } }, [{ sub: 'b' }, { sub: 'a' }]],
    ['four at most', nested(6), [{ sub: '6' }, { sub: '5' }, { sub: '4' }, { sub: '3' }]],
    ['nothing of what is no party', { iss: 'https://x', act: { sub: 'a' } }, []],
    ['nothing with a control character', { sub: 'a\nb' }, []],
    ['nothing too long', { sub: 'x'.repeat(256) }, []],
    ['nothing of a list', [{ sub: 'a' }], []],
    ['nothing of a text', 'a', []],
  ])('any act claim, and notes %s of it', async (_what, act, actors) => {
    expect(await inspect({ act })).toMatchObject({ actors })
  })

  test('an ID-JAG without a scope claim: then the scope is as asked', async () => {
    expect(await inspect({ scope: undefined })).toMatchObject({ scopes: undefined })
  })

  test('the scope array of the first draft as no scope claim at all', async () => {
    expect(await inspect({ scope: undefined, scopes: ['admin'] })).toMatchObject({ scopes: undefined })
  })

  test('scopes of the server’s own choice where none was asked (RFC 6749 section 3.3)', async () => {
    expect(await inspect({ scope: 'a b' }, {}, { scopes: [] })).toMatchObject({ scopes: ['a', 'b'] })
  })

  test('any resource where none is intended', async () => {
    expect(await inspect({ resource: 'https://x.test' }, {}, { resources: [] })).toMatchObject({ jti: 'jag-1' })
  })

  test('an ID-JAG without jti, or with one nobody would store, and tells none', async () => {
    expect(await inspect({ jti: undefined })).toMatchObject({ jti: undefined })
    expect(await inspect({ jti: 7 })).toMatchObject({ jti: undefined })
    expect(await inspect({ jti: 'x'.repeat(257) })).toMatchObject({ jti: undefined })
  })

  test.each<[string, unknown, string | undefined]>([
    ['of a key', { jkt: 'abc' }, 'abc'],
    ['of a key and a certificate', { jkt: 'abc', 'x5t#S256': 'def' }, 'abc'],
    ['of a certificate', { 'x5t#S256': 'def' }, undefined],
    ['that is odd', { jkt: 5 }, ''],
    ['that is none', 'abc', undefined],
  ])('a confirmation %s, and tells the thumbprint', async (_what, cnf, thumbprint) => {
    expect(await inspect({ cnf })).toMatchObject({ confirmation: { thumbprint } })
  })

  test('an encrypted ID-JAG, of which it can tell nothing', () => {
    const header = toBase64Url(toUtf8('{"alg":"ECDH-ES","enc":"A256GCM","typ":"oauth-id-jag+jwt"}'))
    const nothing = { jti: undefined, expiresAt: undefined, scopes: undefined, actors: [] }
    expect(inspectIdJag(`${header}..aXY.Y2lwaGVy.dGFn`, EXPECTED)).toEqual({ ok: true, value: nothing })
  })
})

test('inspectIdJag() tells by the claim what the identity provider has otherwise on record', async () => {
  const claimOf = async (claims: Claims): Promise<unknown> => {
    const facts = inspectIdJag(await mint(key, { ...CLAIMS, ...claims }, { typ: 'oauth-id-jag+jwt' }), EXPECTED)
    return facts.ok ? 'fine' : facts.error.claim
  }
  expect(await claimOf({ aud: 'https://elsewhere.test' })).toBe('aud')
  expect(await claimOf({ client_id: 'somebody' })).toBe('client_id')
  expect(await claimOf({ resource: 'https://elsewhere.test' })).toBe('resource')
  expect(await claimOf({ iss: 'https://elsewhere.test' })).toBeUndefined()
})

describe('inspectIdJag() stops', () => {
  test.each<[string, Claims, Claims]>([
    ['a JWT of type JWT', {}, { typ: 'JWT' }],
    ['an access token', {}, { typ: 'at+jwt' }],
    ['a JWT without a type', {}, { typ: undefined }],
    ['a type that only begins so', {}, { typ: 'oauth-id-jag+jwt2' }],
    ['no algorithm', {}, { alg: undefined }],
    ['alg none', {}, { alg: 'none' }],
    ['a symmetric signature', {}, { alg: 'HS256' }],
    ['another issuer', { iss: 'https://login.evil.example' }, {}],
    ['an issuer with a slash more', { iss: `${EXPECTED.issuer}/` }, {}],
    ['an audience without its slash', { aud: 'https://auth.ledgerly.example' }, {}],
    ['the token endpoint as audience', { aud: 'https://auth.ledgerly.example/token' }, {}],
    ['an audience of two', { aud: [EXPECTED.audience, 'https://other.example'] }, {}],
    ['an audience twice', { aud: [EXPECTED.audience, EXPECTED.audience] }, {}],
    ['an audience of none', { aud: [] }, {}],
    ['no audience', { aud: undefined }, {}],
    ['another client', { client_id: 'someone-else' }, {}],
    ['no client', { client_id: undefined }, {}],
    ['a client in a list', { client_id: ['tailspin-gw'] }, {}],
    ['what has expired this second', { exp: EXPECTED.now }, {}],
    ['what expired long ago', { exp: EXPECTED.now - 60 }, {}],
    ['no exp', { exp: undefined }, {}],
    ['exp as text', { exp: '1800000300' }, {}],
    ['another resource', { resource: 'https://api.evil.example' }, {}],
    ['a resource more', { resource: [API, 'https://api.evil.example'] }, {}],
    ['no resource in a list', { resource: [] }, {}],
    ['more scope than was asked', { scope: 'invoice.read admin' }, {}],
    ['a scope that is no text', { scope: ['invoice.read'] }, {}],
    ['a malformed scope', { scope: 'invoice.read  invoice.write' }, {}],
    ['a critical header', {}, { crit: ['x'], x: 1 }],
    ['a key of its own', {}, { jwk: {} }],
    ['a key address of its own', {}, { jku: 'https://evil.example' }],
  ])('%s', async (_what, claims, header) => {
    expect(await inspect(claims, header)).toBeTypeOf('string')
  })

  test('with its own words: nothing the token says is repeated', async () => {
    const canary = 'canary\r\n'
    for (const claims of [
      { iss: canary },
      { aud: canary },
      { client_id: canary },
      { resource: canary },
      { scope: canary },
    ]) {
      expect(await inspect(claims)).not.toContain('canary')
    }
    expect(await inspect({}, { typ: canary })).not.toContain('canary')
  })

  test.each(['', 'opaque-grant', 'a.b', 'a.b.c', 'a.b.c.d'])('what is no JWT: %j', (token) => {
    expect(inspectIdJag(token, EXPECTED).ok).toBe(false)
  })

  test('five segments that are no encrypted JWT', () => {
    expect(inspectIdJag('a.b.c.d.e', EXPECTED).ok).toBe(false)
    expect(inspectIdJag('....', EXPECTED).ok).toBe(false)
  })
})

interface Vectors {
  readonly id_jag: readonly { readonly name: string; readonly jwt: string }[]
}

/** What the client can and must see; signature, jti and iat are for the authorization server to judge. */
const SEEN_BY_THE_CLIENT: Readonly<Record<string, 'passes' | 'stopped'>> = {
  ok: 'passes',
  'ok-aud-array-of-one': 'passes',
  'ok-bound-needs-dpop': 'passes',
  'ok-resource-array': 'stopped',
  'ok-sub_id-saml': 'passes',
  'ok-act-without-iss': 'passes',
  'bad-typ-JWT': 'stopped',
  'bad-typ-at': 'stopped',
  'bad-aud-two': 'stopped',
  'bad-aud-no-slash': 'stopped',
  'bad-aud-token-endpoint': 'stopped',
  'bad-client_id': 'stopped',
  'bad-expired': 'stopped',
  'bad-future-iat': 'passes',
  'bad-missing-jti': 'passes',
  'bad-missing-sub': 'passes',
  'bad-missing-exp': 'stopped',
  'bad-rogue-key-same-kid': 'passes',
  'bad-unknown-iss': 'stopped',
  'bad-self-issued-iss': 'stopped',
  'bad-cnf-unsupported-method': 'passes',
  'bad-crit': 'stopped',
  'legacy-scopes-array': 'passes',
  'bad-alg-none': 'stopped',
  'bad-hs256-with-rsa-public-key': 'stopped',
  'bad-id-token-as-assertion': 'stopped',
  'bad-access-token-as-assertion': 'stopped',
}

describe('the ID-JAG vectors of the specification notes', () => {
  const known: Vectors = existsSync(VECTORS) ? JSON.parse(readFileSync(VECTORS, 'utf8')) : { id_jag: [] }
  const vectors = known.id_jag.map(({ name, jwt }) => [name, jwt] as const)

  test.skipIf(vectors.length === 0)('are the ones known here (skipped where ../shared is not)', () => {
    expect(vectors.map(([name]) => name).toSorted()).toEqual(Object.keys(SEEN_BY_THE_CLIENT).toSorted())
  })

  test.skipIf(vectors.length === 0).each(vectors)('%s', (name, jwt) => {
    expect(inspectIdJag(jwt, EXPECTED).ok ? 'passes' : 'stopped').toBe(SEEN_BY_THE_CLIENT[name])
  })
})

describe('decodeCompactJwt()', () => {
  const segment = (text: string): string => toBase64Url(toUtf8(text))
  const jwt = (header: string, payload = '{}', signature = 'c2ln'): string =>
    `${segment(header)}.${segment(payload)}.${signature}`

  test('reads header and payload', () => {
    const decoded = decodeCompactJwt(jwt('{"alg":"ES256"}', '{"a":[1]}'))
    expect(decoded).toEqual({ ok: true, value: { header: { alg: 'ES256' }, payload: { a: [1] } } })
  })

  test.each([
    ['two segments', 'e30.e30'],
    ['four segments', 'e30.e30.c2ln.x'],
    ['five segments', 'e30.e30.c2ln.x.y'],
    ['nothing', ''],
    ['a padded segment', `${btoa('{}')}.e30.c2ln`],
    ['unused bits that are set', 'e31.e30.c2ln'],
    ['white space', ' e30.e30.c2ln'],
    ['a line break at its end', 'e30.e30.c2ln\n'],
    ['no signature', 'e30.e30.'],
    ['a signature of another alphabet', 'e30.e30.a+b/'],
    ['a list as header', `${segment('[]')}.e30.c2ln`],
    ['a repeated header', jwt('{"alg":"none","alg":"ES256"}')],
    ['a repeated claim', jwt('{}', '{"sub":"a","sub":"b"}')],
    ['a claim of __proto__', jwt('{}', '{"__proto__":{}}')],
    ['a byte order mark', jwt('\uFEFF{}')],
    ['Latin-1', `${toBase64Url(new Uint8Array([0x7b, 0x22, 0xe9, 0x22, 0x3a, 0x31, 0x7d]))}.e30.c2ln`],
    ['more than 16 KiB', jwt('{}', `{"pad":"${'x'.repeat(13_000)}"}`)],
    ['crit', jwt('{"crit":["b64"],"b64":false}')],
    ['b64', jwt('{"b64":true}')],
    ['zip', jwt('{"zip":"DEF"}')],
    ['jwk', jwt('{"jwk":null}')],
    ['jku', jwt('{"jku":""}')],
    ['x5u', jwt('{"x5u":""}')],
    ['x5c', jwt('{"x5c":[]}')],
    ['a kid that is a number', jwt('{"kid":1}')],
    ['a kid of 257 characters', jwt(`{"kid":"${'k'.repeat(257)}"}`)],
  ])('refuses %s', (_what, token) => {
    expect(decodeCompactJwt(token).ok).toBe(false)
  })

  test('refuses even a signed token whose text could be read in two ways', async () => {
    const token = await signTexts(key, '{"alg":"ES256","typ":"oauth-id-jag+jwt"}', '{"aud":"a","aud":"b"}')
    expect(decodeCompactJwt(token)).toEqual({ ok: false, error: 'payload: repeated_member' })
  })

  test('jwtType() is the type in lower case without its prefix', () => {
    const types = [{ typ: 'JWT' }, { typ: 'application/AT+jwt' }, { typ: 'text/x' }, {}, { typ: 1 }].map((header) =>
      jwtType(header),
    )
    expect(types).toEqual(['jwt', 'at+jwt', 'text/x', undefined, undefined])
  })
})

describe('isSole() and governs()', () => {
  test('isSole() is the string, or a list of it alone', () => {
    expect([isSole('a', 'a'), isSole(['a'], 'a')]).toEqual([true, true])
    expect([
      isSole(['a', 'a'], 'a'),
      isSole([], 'a'),
      isSole('b', 'a'),
      isSole(undefined, 'a'),
      isSole([['a']], 'a'),
    ]).toEqual(Array.from({ length: 5 }, () => false))
  })

  test('governs() takes nothing that was not intended', () => {
    expect([
      governs('a', ['a']),
      governs(['a'], ['a']),
      governs(['b', 'a'], ['a', 'b']),
      governs(undefined, ['a']),
      governs(['x', 'y'], []),
    ]).toEqual(Array.from({ length: 5 }, () => true))
    expect([
      governs('b', ['a']),
      governs(['a', 'b'], ['a']),
      governs([], ['a']),
      governs(null, ['a']),
      governs({}, ['a']),
    ]).toEqual(Array.from({ length: 5 }, () => false))
  })
})
