// Leg 2: ID-JAG to access token. What is asked, and what is made of every kind of answer.
import { describe, expect, test } from 'vitest'
import { decodeProtectedHeader, decodeJwt } from 'jose'
import type { SecretName } from '../../../src/parties.ts'
import { createTestKey } from '../../support/keys.ts'
import { scopesOf } from '../support/proofs.ts'
import { answer, API, endpointOf, exchange, idJagOf, inOrder, RAS, redeem, redeemed, SCOPES } from './legs-world.ts'

describe('redeemIdJag() asks', () => {
  test('exactly this, each parameter once', async () => {
    const { asked, code } = await redeem(answer(redeemed()))
    expect(code).toBe('ok')
    expect(asked.map(({ url, method }) => [url, method])).toEqual([['https://auth.ledgerly.test/oauth2/token', 'POST']])
    expect(inOrder(asked[0]?.parameters ?? [])).toEqual(
      inOrder([
        ['grant_type', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
        ['assertion', 'the.id.jag'],
        ['scope', 'invoice.read invoice.write'],
        ['client_id', 'tailspin-gw'],
        ['client_secret', 's3cret'],
      ]),
    )
  })

  test('for the scope of the ID-JAG, not for that of the rule', async () => {
    const { asked } = await redeem(answer(redeemed({ scope: undefined })), { idJag: idJagOf(scopesOf('invoice.read')) })
    expect(new Map(asked[0]?.parameters).get('scope')).toBe('invoice.read')
  })

  test.each([
    [true, true, ['scope', 'resource']],
    [true, false, ['scope']],
    [false, true, ['resource']],
    [false, false, []],
  ])('with scope %s and resource %s as the server needs it', async (sendScope, sendResource, names) => {
    const { asked } = await redeem(answer(redeemed()), { sendScope, sendResource })
    const sent = new Map(asked[0]?.parameters)
    expect(['scope', 'resource'].filter((name) => sent.has(name))).toEqual(names)
    if (sendResource) expect(sent.get('resource')).toBe(API)
  })

  test('for no scope where the ID-JAG has none, and for no resource where none is known', async () => {
    const { asked } = await redeem(answer(redeemed({ scope: undefined })), {
      idJag: idJagOf([]),
      resource: undefined,
      sendResource: true,
    })
    expect(asked[0]?.parameters.map(([name]) => name)).not.toContain('scope')
    expect(asked[0]?.parameters.map(([name]) => name)).not.toContain('resource')
  })

  test('by an assertion for the authorization server’s issuer, with its slash (D-5)', async () => {
    const key = await createTestKey('ts-auth-1')
    const keys = ['K' as SecretName]
    const typ = 'client-authentication+jwt'
    const auth = { method: 'private_key_jwt', keys, alg: 'ES256', audience: 'issuer', typ } as const
    const ras = await endpointOf(RAS, 'tailspin-gw', auth, JSON.stringify(key.privateJwk))
    const assertions = new Set<string>()
    for (let count = 0; count < 3; count++) {
      const sent = new Map((await redeem(answer(redeemed()), { ras })).asked[0]?.parameters)
      const assertion = sent.get('client_assertion') ?? ''
      expect(decodeProtectedHeader(assertion)).toEqual({
        alg: 'ES256',
        kid: 'ts-auth-1',
        typ: 'client-authentication+jwt',
      })
      expect(decodeJwt(assertion)).toMatchObject({ iss: 'tailspin-gw', sub: 'tailspin-gw', aud: RAS })
      assertions.add(String(decodeJwt(assertion).jti))
      expect(sent.has('client_secret')).toBe(false)
    }
    expect(assertions.size).toBe(3)
  })
})

describe('redeemIdJag() takes', () => {
  test('the token with its scope and lifetime', async () => {
    const { result } = await redeem(answer(redeemed({ scope: 'invoice.read' })))
    if (!result.ok) throw new Error(result.error.code)
    const { token, ...rest } = result.value
    expect(rest).toEqual({ scopes: ['invoice.read'], lifetimeSeconds: 3600, bound: false })
    expect(token.reveal()).toBe('canary-access')
    expect(JSON.stringify(result)).not.toContain('canary')
  })

  test.each(['Bearer', 'bearer', 'BEARER'])('the token type %s', async (type) => {
    expect((await redeem(answer(redeemed({ token_type: type })))).code).toBe('ok')
  })

  test.each(['user:grant:secret', `eyJ.${'a'.repeat(4096)}.sig`, 'x=='])('a token such as %.20s', async (token) => {
    const { result } = await redeem(answer(redeemed({ access_token: token })))
    expect(result.ok && result.value.token.reveal()).toBe(token)
  })

  const YEAR = 366 * 24 * 3600
  test.each<[string, unknown, number]>([
    ['missing', undefined, 300],
    ['null', null, 300],
    ['a number', 3600, 3600],
    ['a short number', 20, 20],
    ['text', '3600', 3600],
    ['text with a fraction', '59.5', 59],
    ['a fraction', 59.5, 59],
    ['zero', 0, 0],
    ['negative', -1, 0],
    ['very negative', -9e15, 0],
    ['negative text', '-5', 0],
    ['huge', 2 ** 53, YEAR],
    ['absurd', 1e300, YEAR],
    ['infinite', '1e999', 0],
    ['junk', 'soon', 0],
    ['empty text', '', 0],
    ['text with a space', ' 60', 0],
    ['hexadecimal', '0x3c', 0],
    ['true', true, 0],
    ['a list', [3600], 0],
    ['an object', {}, 0],
  ])('expires_in that is %s', async (_what, expiresIn, seconds) => {
    const { result } = await redeem(answer(redeemed({ expires_in: expiresIn })))
    expect(result.ok && result.value.lifetimeSeconds).toBe(seconds)
  })

  test.each([0, 60, 86_400])('no expires_in as %i seconds where the configuration says so', async (seconds) => {
    for (const absent of [undefined, null]) {
      const { result } = await redeem(answer(redeemed({ expires_in: absent })), { defaultTtlSeconds: seconds })
      expect(result.ok && result.value.lifetimeSeconds).toBe(seconds)
    }
    const { result } = await redeem(answer(redeemed({ expires_in: 120 })), { defaultTtlSeconds: seconds })
    expect(result.ok && result.value.lifetimeSeconds).toBe(120)
  })

  test('a raw number too large for JavaScript as the longest life there is', async () => {
    const { result } = await redeem(answer('{"access_token":"a","token_type":"Bearer","expires_in":1e999}'))
    expect(result.ok && result.value.lifetimeSeconds).toBe(YEAR)
  })

  test.each<[string, Record<string, unknown>]>([
    ['a refresh token, which it drops', { refresh_token: 'canary-refresh' }],
    ['an id token, which it drops', { id_token: 'canary-id' }],
    ['members nobody knows', { 'not-before-policy': 0, issued_token_type: 'x', ext: {} }],
    ['the resource asked for', { resource: API }],
    ['scope null', { scope: null }],
    ['no scope', { scope: undefined }],
  ])('an answer with %s', async (_what, changes) => {
    const { result } = await redeem(answer(redeemed(changes)))
    expect(result).toMatchObject({ ok: true, value: { scopes: [...SCOPES], lifetimeSeconds: 3600 } })
    expect(Object.keys(result.ok ? result.value : {}).toSorted()).toEqual([
      'bound',
      'details',
      'lifetimeSeconds',
      'scopes',
      'token',
    ])
  })

  test('more scope than was asked where the server is known to add its own, and says so', async () => {
    const more = redeemed({ scope: 'openid invoice.read' })
    expect((await redeem(answer(more))).code).toBe('RAS109')
    const { result } = await redeem(answer(more), { extraScopes: 'accept' })
    expect(result.ok && result.value.scopes).toEqual(['invoice.read', 'openid'])
    expect((await redeem(answer(redeemed({ scope: '' })), { extraScopes: 'accept' })).code).toBe('RAS104')
    expect((await redeem(answer(redeemed({ scope: 'a  b' })), { extraScopes: 'accept' })).code).toBe('RAS109')
  })

  test('whatever scope the server chose where the ID-JAG names none', async () => {
    const { result } = await redeem(answer(redeemed({ scope: 'b a' })), { idJag: idJagOf([]) })
    expect(result.ok && result.value.scopes).toEqual(['a', 'b'])
  })
})

describe('redeemIdJag() refuses', () => {
  test.each<[string, Record<string, unknown>]>([
    ['no token', { access_token: undefined }],
    ['a null token', { access_token: null }],
    ['a number', { access_token: 5 }],
    ['an empty token', { access_token: '' }],
    ['a token with a space', { access_token: 'a b' }],
    ['a token with a header in it', { access_token: 'a\r\nX-Injected: y' }],
    ['a token with NUL', { access_token: 'a\u0000b' }],
    ['a token outside ASCII', { access_token: 'tök€n' }],
    ['a token of 17 KiB', { access_token: 't'.repeat(17 * 1024) }],
    ['no token_type', { token_type: undefined }],
    ['token_type N_A', { token_type: 'N_A' }],
    ['token_type mac', { token_type: 'mac' }],
    ['a token bound to a key', { token_type: 'DPoP' }],
    ['token_type null', { token_type: null }],
    ['token_type empty', { token_type: '' }],
    ['token_type in a list', { token_type: ['Bearer'] }],
    ['token_type with a space', { token_type: 'Bearer ' }],
    ['a number as token_type', { token_type: 1 }],
    ['another resource', { resource: 'https://api.evil.test' }],
    ['a resource more', { resource: [API, 'https://api.evil.test'] }],
    ['more scope than was asked', { scope: 'invoice.read admin' }],
    ['a wildcard', { scope: '*' }],
    ['scope in a list', { scope: ['invoice.read'] }],
    ['a number as scope', { scope: 1 }],
    ['a malformed scope', { scope: 'invoice.read  invoice.write' }],
    ['an error beside the token', { error: 'invalid_grant' }],
    ['an empty error beside the token', { error: '' }],
  ])('%s, with RAS109', async (_what, changes) => {
    const { result, code } = await redeem(answer(redeemed(changes)))
    expect(code).toBe('RAS109')
    expect(JSON.stringify(result)).not.toMatch(/evil|X-Injected|tök|canary|admin/)
  })

  test('the empty scope where scope was asked: nothing was granted', async () => {
    expect((await redeem(answer(redeemed({ scope: '' })))).code).toBe('RAS104')
    expect((await redeem(answer(redeemed({ scope: '' })), { idJag: idJagOf([]) })).code).toBe('ok')
  })

  test('what is no JSON object, is two things at once, too large or elsewhere, with RAS109', async () => {
    const twice = '{"access_token":"a","access_token":"b","token_type":"Bearer"}'
    for (const body of [
      '',
      'OK',
      '[]',
      '<html>',
      twice,
      '{"__proto__":{"access_token":"p"},"token_type":"Bearer"}',
      `{"a":"${'x'.repeat(70_000)}"}`,
    ]) {
      expect((await redeem(answer(body))).code).toBe('RAS109')
    }
    expect((await redeem(answer(redeemed(), 200, { 'content-type': 'text/plain' }))).code).toBe('RAS109')
    for (const status of [302, 307, 308]) {
      const { code, asked } = await redeem(answer(redeemed(), status, { location: 'https://evil.test/token' }))
      expect([code, asked.length]).toEqual(['RAS109', 1])
    }
  })

  test('a refused connection, with a word on when to try again', async () => {
    const { result } = await redeem(() => Promise.reject(new TypeError('ECONNREFUSED canary')))
    expect(result).toEqual({
      ok: false,
      error: { code: 'RAS110', detail: 'the connection failed', retryAfterSeconds: 5 },
    })
  })
})

describe('redeemIdJag() understands the error', () => {
  test.each([
    ['invalid_grant', 'RAS101'],
    ['access_denied', 'RAS102'],
    ['invalid_target', 'RAS103'],
    ['invalid_scope', 'RAS104'],
    ['invalid_authorization_details', 'RAS106'],
    ['insufficient_user_authentication', 'RAS105'],
    ['interaction_required', 'RAS105'],
    ['invalid_client', 'RAS106'],
    ['unauthorized_client', 'RAS106'],
    ['unsupported_grant_type', 'RAS106'],
    ['invalid_request', 'RAS106'],
    ['invalid_dpop_proof', 'RAS113'],
    ['use_dpop_nonce', 'RAS113'],
    ['temporarily_unavailable', 'RAS112'],
    ['server_error', 'RAS112'],
    ['slow_down', 'RAS112'],
    ['interaction_pending', 'RAS109'],
    ['toString', 'RAS109'],
    ['canary', 'RAS109'],
  ])('%s as %s, and asks once', async (error, code) => {
    const refused = await redeem(
      answer({ error, error_description: 'canary', interaction_uri: 'https://canary.test' }, 400),
    )
    expect(refused.code).toBe(code)
    expect(JSON.stringify(refused.result)).not.toContain('canary')
    expect(refused.asked).toHaveLength(1)
  })

  test.each([
    [401, '<html>', 'RAS106'],
    [403, '', 'RAS102'],
    [400, '{}', 'RAS109'],
    [404, '', 'RAS109'],
    [401, '{"error":"invalid_grant"}', 'RAS101'],
    [429, '{"error":"invalid_grant"}', 'RAS112'],
    [500, '', 'RAS112'],
    [503, '{"error":"invalid_client"}', 'RAS112'],
    [200, '{"error":"server_error"}', 'RAS109'],
  ])('status %i with %s as %s', async (status, body, code) => {
    expect((await redeem(answer(body, status, { 'www-authenticate': 'Basic realm="canary"' }))).code).toBe(code)
  })

  test('and hands on what a stronger login needs', async () => {
    const { result } = await redeem(
      answer({ error: 'insufficient_user_authentication', max_age: 0, acr_values: 'urn:x' }, 400),
    )
    expect(result).toMatchObject({ error: { code: 'RAS105', stepUp: { maxAgeSeconds: 0, acrValues: 'urn:x' } } })
  })
})

test('neither leg waits longer than four seconds for a server that does not answer', async () => {
  const silence = (): Promise<Response> => new Promise(() => undefined)
  const start = performance.now()
  const legs = await Promise.all([exchange(silence), redeem(silence)])
  expect(legs.map(({ code }) => code)).toEqual(['IDP111', 'RAS111'])
  expect(performance.now() - start).toBeLessThan(6_000)
})
