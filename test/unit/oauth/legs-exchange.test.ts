// Leg 1: ID token to ID-JAG. What is asked, and what is made of every kind of answer.
import { describe, expect, test } from 'vitest'
import type { ClientId, SecretName } from '../../../src/parties.ts'
import { scopesOf } from '../support/proofs.ts'
import {
  answer,
  API,
  endpointOf,
  exchange,
  exchanged,
  ID_JAG_TYPE,
  ID_TOKEN,
  IDP,
  inOrder,
  mintIdJag,
  NOW,
  RAS,
  SCOPES,
} from './legs-world.ts'

describe('exchangeForIdJag() asks', () => {
  test('exactly this, each parameter once', async () => {
    const { asked, code } = await exchange(answer(await exchanged()))
    expect(code).toBe('ok')
    expect(asked).toHaveLength(1)
    const [one] = asked
    expect([one?.url, one?.method]).toEqual([`${IDP}/oauth2/token`, 'POST'])
    expect(one?.headers['content-type']?.toLowerCase()).toBe('application/x-www-form-urlencoded;charset=utf-8')
    expect(one?.headers['accept']).toBe('application/json')
    expect(one?.headers).not.toHaveProperty('authorization')
    expect(inOrder(one?.parameters ?? [])).toEqual(
      inOrder([
        ['grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange'],
        ['requested_token_type', 'urn:ietf:params:oauth:token-type:id-jag'],
        ['subject_token', ID_TOKEN],
        ['subject_token_type', 'urn:ietf:params:oauth:token-type:id_token'],
        ['audience', RAS],
        ['resource', API],
        ['scope', 'invoice.read invoice.write'],
        ['client_id', 'gw-app'],
        ['client_secret', 's3cret'],
      ]),
    )
  })

  test('without scope and resource where there are none', async () => {
    const { asked } = await exchange(answer(await exchanged()), { scopes: [], resource: undefined })
    expect(asked[0]?.parameters.map(([name]) => name)).not.toContain('scope')
    expect(asked[0]?.parameters.map(([name]) => name)).not.toContain('resource')
  })

  test.each([
    'https://tenant.auth0.test/',
    'https://tenant.auth0.test',
    'HTTPS://Tenant.test:443/a/../b',
    'urn:ras:ledgerly',
  ])('for the audience and the resource as they are written: %s', async (text) => {
    const { asked } = await exchange(answer(await exchanged()), { audience: text, resource: text })
    const sent = new Map(asked[0]?.parameters)
    expect([sent.get('audience'), sent.get('resource')]).toEqual([text, text])
  })

  test('for the API only where the identity provider is told of it', async () => {
    const { asked, code } = await exchange(answer(await exchanged()), { sendResource: false })
    expect(code).toBe('ok')
    expect(asked[0]?.parameters.map(([name]) => name)).toContain('audience')
    expect(asked[0]?.parameters.map(([name]) => name)).not.toContain('resource')
  })

  test('of an older identity provider for the RAS as resource, and of neither audience nor API (8.11)', async () => {
    const reply = answer(await exchanged({}, { resource: undefined }))
    const { asked, code } = await exchange(reply, { target: 'legacy_resource' })
    expect(code).toBe('ok')
    const sent = asked[0]?.parameters ?? []
    expect(sent.filter(([name]) => name === 'resource')).toEqual([['resource', RAS]])
    expect(sent.map(([name]) => name)).not.toContain('audience')
    expect(JSON.stringify(sent)).not.toContain(API)
  })

  test('for the RAS by the name it has there, and takes an ID-JAG for its issuer alone', async () => {
    const audience = 'urn:ras:ledgerly'
    for (const [target, parameter] of [
      ['audience', 'audience'],
      ['legacy_resource', 'resource'],
    ] as const) {
      const changes = { audience, target, sendResource: false }
      const { asked, code } = await exchange(answer(await exchanged({}, { resource: undefined })), changes)
      expect([code, new Map(asked[0]?.parameters).get(parameter)]).toEqual(['ok', audience])
      expect(JSON.stringify(asked)).not.toContain(RAS)
      expect((await exchange(answer(await exchanged({}, { aud: audience })), changes)).code).toBe('IDP109')
    }
  })

  test('as an ID-JAG client by Basic, with its secret nowhere else', async () => {
    const idp = await endpointOf(
      IDP,
      'gw+app',
      { method: 'client_secret_basic', secrets: ['S' as SecretName], encoding: 'form' },
      'p+%&:é',
    )
    const [one] = (await exchange(answer(await exchanged()), { idp })).asked
    expect(atob(one?.headers['authorization']?.slice('Basic '.length) ?? '')).toBe('gw%2Bapp:p%2B%25%26%3A%C3%A9')
    const body = JSON.stringify(one?.parameters)
    expect(body).not.toContain('client_id')
    expect(body).not.toContain('client_secret')
    expect(JSON.stringify(one?.headers)).not.toContain('p+%&')
  })

  test('with the subject token in the body alone', async () => {
    const [one] = (await exchange(answer(await exchanged()))).asked
    expect(one?.url).not.toContain('eyJ')
    expect(JSON.stringify(one?.headers)).not.toContain(ID_TOKEN)
  })
})

describe('exchangeForIdJag() takes', () => {
  test('the ID-JAG with what it says of itself', async () => {
    const token = await mintIdJag({ scope: 'invoice.read' })
    const { result } = await exchange(answer(await exchanged({ access_token: token })))
    if (!result.ok) throw new Error(result.error.code)
    const { token: secret, ...rest } = result.value
    expect(rest).toEqual({ jti: 'jag-1', expiresAt: NOW + 300, scopes: ['invoice.read'], actors: [], bound: false })
    expect(secret.reveal()).toBe(token)
    expect(JSON.stringify(result)).not.toContain(token.slice(-20))
  })

  test.each<[string, Record<string, unknown>]>([
    ['token_type N_A', { token_type: 'N_A' }],
    ['token_type n_a', { token_type: 'n_a' }],
    ['token_type Bearer', { token_type: 'Bearer' }],
    ['no token_type', { token_type: undefined }],
    ['no expires_in', { expires_in: undefined }],
    ['expires_in as text', { expires_in: '300' }],
    ['expires_in null', { expires_in: null }],
    ['expires_in in pieces', { expires_in: 299.5 }],
    ['expires_in zero', { expires_in: 0 }],
    ['expires_in negative', { expires_in: -1 }],
    ['expires_in huge', { expires_in: 1e300 }],
    ['expires_in junk', { expires_in: 'soon' }],
    ['no scope', { scope: undefined }],
    ['scope null', { scope: null }],
    ['a resource as asked', { resource: API }],
    ['a list of the one resource', { resource: [API] }],
    ['a refresh token, which it drops', { refresh_token: 'canary-refresh' }],
    ['members nobody knows', { 'not-before-policy': 0, session_state: 'x', ext: { a: [1] } }],
  ])('an answer with %s', async (_what, changes) => {
    const { result } = await exchange(answer(await exchanged(changes)))
    expect(result).toMatchObject({ ok: true, value: { jti: 'jag-1', expiresAt: NOW + 300, scopes: [...SCOPES] } })
    expect(JSON.stringify(result)).not.toContain('canary')
  })

  test.each(['application/json;charset=UTF-8', 'application/json; charset=utf-8'])('an answer of %s', async (type) => {
    expect((await exchange(answer(await exchanged(), 200, { 'content-type': type }))).code).toBe('ok')
  })

  test('the scope from the claim where it can be read, else from the answer, else as asked (A-19)', async () => {
    const scopesFor = async (claim: string | undefined, member: string | undefined): Promise<unknown> => {
      const { result } = await exchange(answer(await exchanged({ scope: member }, { scope: claim })))
      return result.ok && result.value.scopes
    }
    expect(await scopesFor('invoice.read', 'invoice.write')).toEqual(['invoice.read'])
    expect(await scopesFor(undefined, 'invoice.write')).toEqual(['invoice.write'])
    expect(await scopesFor(undefined, undefined)).toEqual(SCOPES)
  })

  test('the name of the RAS as the granted resource where that is what was asked, and only there', async () => {
    const reply = async (): Promise<Response> => answer(await exchanged({ resource: RAS }, { resource: RAS }))
    expect((await exchange(await reply(), { target: 'legacy_resource' })).code).toBe('ok')
    expect((await exchange(await reply(), { target: 'audience' })).code).toBe('IDP109')
  })

  test('an encrypted ID-JAG with the lifetime the answer tells, if it tells one', async () => {
    const jwe = `${btoa('{"alg":"dir","enc":"A256GCM"}').replaceAll('=', '')}..aXY.Y2lwaGVy.dGFn`
    const expiryFor = async (expiresIn: unknown): Promise<unknown> => {
      const { result } = await exchange(answer(await exchanged({ access_token: jwe, expires_in: expiresIn })))
      return result.ok ? result.value.expiresAt : result.error.code
    }
    expect(await expiryFor(120)).toBe(NOW + 120)
    expect(await expiryFor('120')).toBe(NOW + 120)
    expect(await expiryFor(undefined)).toBeUndefined()
    expect(await expiryFor('soon')).toBeUndefined()
    expect(await expiryFor(-5)).toBe(NOW)
  })
})

describe('exchangeForIdJag() refuses', () => {
  test.each<[string, Record<string, unknown>]>([
    ['an access token', { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token', token_type: 'Bearer' }],
    ['a refresh token', { issued_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }],
    ['a type in capitals', { issued_token_type: ID_JAG_TYPE.toUpperCase() }],
    ['a type in a list', { issued_token_type: [ID_JAG_TYPE] }],
    ['no type', { issued_token_type: undefined }],
    ['no token', { access_token: undefined }],
    ['a null token', { access_token: null }],
    ['a number', { access_token: 5 }],
    ['an empty token', { access_token: '' }],
    ['a list', { access_token: ['x'] }],
    ['an object', { access_token: { a: 1 } }],
    ['true', { access_token: true }],
    ['a token with a space', { access_token: 'a b' }],
    ['a token with a header in it', { access_token: 'a\r\nX-Injected: y' }],
    ['a token with NUL', { access_token: 'a\u0000b' }],
    ['a token outside ASCII', { access_token: 'tök€n' }],
    ['a token of 17 KiB', { access_token: 't'.repeat(17 * 1024) }],
    ['an opaque token', { access_token: 'opaque-grant' }],
    ['the word undefined', { access_token: 'undefined' }],
    ['another resource', { resource: 'https://api.evil.test' }],
    ['a resource more', { resource: [API, 'https://api.evil.test'] }],
    ['no resource in a list', { resource: [] }],
    ['an error beside the token', { error: 'invalid_grant' }],
    ['a null error beside the token', { error: null }],
  ])('%s, with IDP109', async (_what, changes) => {
    const { result, code } = await exchange(answer(await exchanged(changes)))
    expect(code).toBe('IDP109')
    expect(JSON.stringify(result)).not.toMatch(/evil|X-Injected|tök|opaque/)
  })

  test.each<[string, Record<string, unknown>]>([
    ['for another authorization server', { aud: 'https://other.test' }],
    ['for another client', { client_id: 'someone-else' }],
    ['of another issuer', { iss: 'https://evil.test' }],
    ['for more scope', { scope: 'invoice.read admin' }],
    ['for another resource', { resource: 'https://api.evil.test' }],
    ['that has expired', { exp: NOW - 1 }],
  ])('an ID-JAG %s, with IDP109', async (_what, claims) => {
    expect((await exchange(answer(await exchanged({}, claims)))).code).toBe('IDP109')
  })

  test('an ID-JAG for another API also where the request named none', async () => {
    const elsewhere = 'https://api.evil.test'
    for (const target of ['audience', 'legacy_resource'] as const) {
      const changes = { target, sendResource: false }
      expect((await exchange(answer(await exchanged({}, { resource: elsewhere })), changes)).code).toBe('IDP109')
      const told = answer(await exchanged({ resource: elsewhere }, { resource: undefined }))
      expect((await exchange(told, changes)).code).toBe('IDP109')
    }
  })

  test('scope that was not asked, where only the answer tells of it', async () => {
    for (const scope of ['admin', 'invoice.read admin', '*', 1, ['invoice.read'], 's '.repeat(3000)]) {
      expect((await exchange(answer(await exchanged({ scope }, { scope: undefined })))).code).toBe('IDP109')
    }
  })

  test('the empty scope where scope was asked: nothing was granted, and nothing may come of it', async () => {
    expect((await exchange(answer(await exchanged({}, { scope: '' })))).code).toBe('IDP104')
    expect((await exchange(answer(await exchanged({ scope: '' }, { scope: undefined })))).code).toBe('IDP104')
    expect((await exchange(answer(await exchanged({}, { scope: '' })), { scopes: [] })).code).toBe('ok')
  })

  test('what is no JSON object, is two things at once, too large or elsewhere, with IDP109', async () => {
    const good = await exchanged()
    const twice = `{"issued_token_type":"${ID_JAG_TYPE}","access_token":"a","access_token":${JSON.stringify(good['access_token'])}}`
    for (const body of [
      '',
      'OK',
      '[]',
      'null',
      '<html>',
      twice,
      '{"__proto__":{"access_token":"p"}}',
      `{"a":"${'x'.repeat(70_000)}"}`,
    ]) {
      expect((await exchange(answer(body))).code).toBe('IDP109')
    }
    expect((await exchange(answer(good, 200, { 'content-type': 'text/html' }))).code).toBe('IDP109')
    for (const status of [301, 302, 303, 307, 308]) {
      const { code, asked } = await exchange(answer(good, status, { location: 'https://evil.test/token' }))
      expect([code, asked.length]).toEqual(['IDP109', 1])
    }
    expect((await exchange(new Response(null, { status: 204 }))).code).toBe('IDP109')
  })

  test('silence and refused connections, with a word on when to try again', async () => {
    const down = await exchange(() => Promise.reject(new TypeError('ECONNREFUSED canary')))
    expect(down.result).toEqual({
      ok: false,
      error: { code: 'IDP110', detail: 'the connection failed', retryAfterSeconds: 5 },
    })
  })
})

describe('exchangeForIdJag() understands the error', () => {
  test.each([
    ['invalid_grant', 'IDP101'],
    ['invalid_request', 'IDP101'],
    ['access_denied', 'IDP102'],
    ['unauthorized_client', 'IDP102'],
    ['invalid_target', 'IDP103'],
    ['invalid_scope', 'IDP104'],
    ['insufficient_user_authentication', 'IDP105'],
    ['login_required', 'IDP105'],
    ['interaction_required', 'IDP105'],
    ['invalid_client', 'IDP106'],
    ['unsupported_grant_type', 'IDP106'],
    ['invalid_authorization_details', 'IDP106'],
    ['invalid_dpop_proof', 'IDP113'],
    ['use_dpop_nonce', 'IDP113'],
    ['temporarily_unavailable', 'IDP112'],
    ['server_error', 'IDP112'],
    ['slow_down', 'IDP112'],
    ['actor_unauthorized', 'IDP109'],
    ['constructor', 'IDP109'],
    ['', 'IDP109'],
    ['canary <script>', 'IDP109'],
  ])('%s as %s, whatever else it says', async (error, code) => {
    for (const status of [400, 404, 422]) {
      const refused = await exchange(
        answer({ error, error_description: 'canary', error_uri: 'https://canary.test' }, status),
      )
      expect(refused.code).toBe(code)
      expect(JSON.stringify(refused.result)).not.toContain('canary')
      expect(refused.asked).toHaveLength(1)
    }
  })

  test.each([
    [401, '<html>', 'IDP106'],
    [401, '{"error":"unauthorized_client"}', 'IDP106'],
    [400, '{"error":"unauthorized_client"}', 'IDP102'],
    [403, '', 'IDP102'],
    [400, '[]', 'IDP109'],
    [404, 'Not Found', 'IDP109'],
    [405, '{}', 'IDP109'],
    [401, '{"error":"invalid_grant"}', 'IDP101'],
    [403, '{"error":"invalid_client"}', 'IDP106'],
    [401, '{"error":"x","error":"invalid_grant"}', 'IDP106'],
    [403, '{"error":5}', 'IDP102'],
    [429, '{"error":"invalid_grant"}', 'IDP112'],
    [500, '{"error":"invalid_grant"}', 'IDP112'],
    [502, '<html>', 'IDP112'],
    [503, '', 'IDP112'],
    [200, '{"error":"invalid_grant"}', 'IDP109'],
  ])('status %i with %s as %s', async (status, body, code) => {
    expect((await exchange(answer(body, status))).code).toBe(code)
  })

  test('and hands on what a stronger login needs, checked', async () => {
    const stepUpOf = async (members: Record<string, unknown>): Promise<unknown> => {
      const { result } = await exchange(answer({ error: 'insufficient_user_authentication', ...members }, 400))
      return result.ok ? undefined : result.error.stepUp
    }
    expect(await stepUpOf({ acr_values: 'urn:mfa urn:hwk', max_age: 300 })).toEqual({
      acrValues: 'urn:mfa urn:hwk',
      maxAgeSeconds: 300,
    })
    expect(await stepUpOf({})).toEqual({})
    expect(await stepUpOf({ acr_values: 'a"b', max_age: -1 })).toEqual({})
    expect(await stepUpOf({ acr_values: 'a\r\nX: y', max_age: '300' })).toEqual({})
    expect(await stepUpOf({ acr_values: '', max_age: 1.5 })).toEqual({})
    expect(await stepUpOf({ acr_values: 'a'.repeat(513), max_age: 1e300 })).toEqual({})
    expect(await stepUpOf({ acr_values: ['urn:mfa'], max_age: null })).toEqual({})
  })

  test.each([
    ['7', 7],
    ['0', 1],
    ['999', 120],
    [undefined, 5],
    ['soon', 5],
    ['', 5],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 1],
  ])('and Retry-After %s as %i seconds', async (header, seconds) => {
    const { result } = await exchange(answer('', 503, header === undefined ? {} : { 'retry-after': header }))
    expect(result).toMatchObject({ ok: false, error: { retryAfterSeconds: seconds } })
  })

  test('and a date in Retry-After as the seconds until then', async () => {
    const asked = Date.now()
    const { result } = await exchange(answer('', 503, { 'retry-after': new Date(asked + 60_000).toUTCString() }))
    const told = result.ok ? undefined : result.error.retryAfterSeconds
    // The header has no fractions, and asking has taken its time.
    expect(told).toBeLessThanOrEqual(60)
    expect(told).toBeGreaterThanOrEqual(59 - Math.ceil((Date.now() - asked) / 1000))
  })
})

test('the identity provider’s client and the authorization server’s client are not mixed up', async () => {
  const idp = await endpointOf(IDP, 'at-the-idp', { method: 'none' })
  const { asked, code } = await exchange(answer(await exchanged({}, { client_id: 'at-the-ras' })), {
    idp,
    rasClientId: 'at-the-ras' as ClientId,
    scopes: scopesOf('invoice.read', 'invoice.write'),
  })
  expect(code).toBe('ok')
  expect(new Map(asked[0]?.parameters).get('client_id')).toBe('at-the-idp')
  expect(JSON.stringify(asked)).not.toContain('at-the-ras')
})
