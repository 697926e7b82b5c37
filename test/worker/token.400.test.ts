// Token requests that are refused: malformed, not allowed, or refused further on. RFC 6749 section 5.2 in the words of
// RFC 8693; a request that is refused by itself makes nobody send anything.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { expectNothingSent, expectTokenError } from '../support/refusals.ts'
import { openStage, TOKEN_TYPE, type Form, type Stage } from '../support/stage.ts'

let stage: Stage
let token: string

beforeAll(async () => {
  stage = await openStage()
  token = await stage.world.corp.idToken()
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

const now = () => Math.floor(Date.now() / 1000)

describe('the form', () => {
  const urlencoded = { 'content-type': 'application/x-www-form-urlencoded' }
  const post = async (options: {
    readonly body?: string
    readonly headers?: Record<string, string>
    readonly path?: string
  }) => {
    const { authorization } = { authorization: `Basic ${btoa('agent:CANARY-agent-secret')}` }
    return stage.ask({
      method: 'POST',
      path: '/token',
      ...options,
      headers: { ...urlencoded, authorization, ...options.headers },
    })
  }

  test.each([
    ['a repeated parameter', 'grant_type=a&grant_type=a'],
    ['a repeated parameter, once empty', 'grant_type=a&grant_type='],
    ['a broken escape', 'grant_type=%zz'],
    ['bytes that are not UTF-8', 'grant_type=%ff'],
    ['a control character', 'grant_type=a%00b'],
    ['a parameter without a name', '=x'],
    ['65 parameters', Array.from({ length: 65 }, (_, index) => `p${index}=1`).join('&')],
    ['no grant type', 'subject_token=x'],
    ['nothing', ''],
  ])('%s', async (_what, body) => {
    await expectTokenError(await post({ body }), 'CLI100', 400, 'invalid_request')
    expectNothingSent(stage)
  })

  test('parameters in the query string', async () => {
    await expectTokenError(await post({ body: 'a=b', path: '/token?grant_type=x' }), 'CLI100', 400, 'invalid_request')
  })

  test.each([70_000, 1_000_000, 12_000_000])('a body of %i bytes, to whoever goes on sending too', async (size) => {
    // The answer gets lost where the connection is closed on bytes that nobody has read; not every time.
    for (let count = 0; count < (size > 1e6 ? 8 : 1); count++) {
      const answer = await post({ body: `subject_token=${'x'.repeat(size)}` })
      await expectTokenError(answer, 'LIM101', 413, 'invalid_request')
    }
    expectNothingSent(stage)
  })

  test.each([
    { 'content-type': 'application/json' },
    { 'content-type': 'multipart/form-data; boundary=b' },
    { 'content-type': 'application/x-www-form-urlencoded; charset=iso-8859-1' },
    { 'content-type': '' },
    { 'content-encoding': 'gzip' },
  ])('the media type %j', async (headers) => {
    await expectTokenError(await post({ body: '{}', headers }), 'LIM102', 400, 'invalid_request')
  })

  test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('the method %s', async (method) => {
    const answer = await stage.ask({ method, path: '/token' })
    await expectTokenError(answer, 'CLI110', 405, 'invalid_request')
    expectNothingSent(stage)
  })
})

describe('what is asked', () => {
  test.each<readonly [string, Form, string, string]>([
    ['another grant', { grant_type: 'client_credentials' }, 'CLI103', 'unsupported_grant_type'],
    [
      'a grant in other letters',
      { grant_type: 'URN:ietf:params:oauth:grant-type:token-exchange' },
      'CLI103',
      'unsupported_grant_type',
    ],
    ['no subject token', { subject_token: undefined }, 'CLI100', 'invalid_request'],
    ['no subject token type', { subject_token_type: undefined }, 'CLI100', 'invalid_request'],
    ['an access token as subject', { subject_token_type: `${TOKEN_TYPE}access_token` }, 'CLI104', 'invalid_request'],
    ['an ID-JAG as subject', { subject_token_type: `${TOKEN_TYPE}id-jag` }, 'CLI104', 'invalid_request'],
    ['an ID-JAG in return', { requested_token_type: `${TOKEN_TYPE}id-jag` }, 'CLI105', 'invalid_request'],
    ['a refresh token in return', { requested_token_type: `${TOKEN_TYPE}refresh_token` }, 'CLI105', 'invalid_request'],
    ['an actor', { actor_token: 'x', actor_token_type: `${TOKEN_TYPE}id_token` }, 'CLI111', 'invalid_request'],
    ['an unknown resource', { resource: 'https://nowhere.example/' }, 'CLI106', 'invalid_target'],
    ['a resource with another slash', { resource: 'http://127.0.0.1' }, 'CLI106', 'invalid_target'],
    ['a resource and the name of another', { audience: 'notes' }, 'CLI106', 'invalid_target'],
    ['no resource', { resource: undefined }, 'CLI107', 'invalid_target'],
    ['two resources', { resource: ['https://a.example/', 'https://b.example/'] }, 'CLI107', 'invalid_target'],
    ['two audiences', { audience: ['tasks', 'notes'] }, 'CLI107', 'invalid_target'],
    ['a scope with a quote', { scope: 'read "write"' }, 'CLI108', 'invalid_scope'],
    ['a scope with two spaces', { scope: 'read  write' }, 'CLI108', 'invalid_scope'],
    ['a scope the resource does not have', { scope: 'admin' }, 'POL102', 'invalid_scope'],
    ...(
      [
        ['authorization details that are no JSON', 'x', 'CLI117'],
        ['authorization details the resource does not take', '[{"type":"payment"}]', 'CLI117'],
        ['authorization details no rule allows', '[{"type":"export"}]', 'POL104'],
      ] as const
    ).map(
      ([what, details, code]) =>
        [what, { authorization_details: details }, code, 'invalid_authorization_details'] as const,
    ),
  ])('%s', async (_what, form, code, error) => {
    const answer = await stage.grant({ form: { subject_token: token, ...form } })
    await expectTokenError(answer, code, 400, error)
    expectNothingSent(stage)
  })

  test('a server that several resources share, by its issuer alone', async () => {
    const form = { subject_token: token, resource: undefined, audience: stage.world.notes.issuer }
    await expectTokenError(await stage.grant({ form }), 'CLI107', 400, 'invalid_target')
  })

  test('a resource that is forbidden to this client looks like one that does not exist', async () => {
    const forbidden = await stage.grant({
      client: 'narrow',
      form: { subject_token: token, resource: stage.world.notes.resource },
    })
    const unknown = await stage.grant({
      client: 'narrow',
      form: { subject_token: token, resource: 'https://nowhere.example/' },
    })
    await expectTokenError(forbidden, 'CLI106', 400, 'invalid_target')
    await expectTokenError(unknown, 'CLI106', 400, 'invalid_target')
    const bare = ({ json }: typeof forbidden) => ({ ...json, request_id: undefined })
    expect(bare(forbidden)).toEqual(bare(unknown))
    expectNothingSent(stage)
  })
})

describe('the subject token', () => {
  test.each<readonly [string, () => Promise<string> | string, string]>([
    ['not a JWT', () => 'abc', 'TOK101'],
    ['of another key', async () => `${token.slice(0, -4)}AAAA`, 'TOK102'],
    ['expired', () => stage.world.corp.idToken({ iat: now() - 500, exp: now() - 200 }), 'TOK103'],
    ['for another client', () => stage.world.corp.idToken({ aud: 'somebody-else' }), 'TOK104'],
    ['an access token', () => stage.world.corp.idToken({}, { typ: 'at+jwt' }), 'TOK105'],
    ['from the future', () => stage.world.corp.idToken({ iat: now() + 600, exp: now() + 900 }), 'TOK106'],
    ['of another tenant', () => stage.world.partner.idToken({ tenant: 'umbrella' }), 'TOK107'],
    ['of a client this caller may not stand for', () => stage.world.corp.idToken({ aud: 'mobile' }), 'CLI112'],
  ])('is %s', async (_what, subject, code) => {
    const answer = await stage.grant({ form: { subject_token: await subject() } })
    await expectTokenError(answer, code, 400, 'invalid_request')
    expectNothingSent(stage)
  })

  test('is good, but its user is denied', async () => {
    const form = { subject_token: await stage.world.corp.idToken({ sub: 'mallory' }) }
    const event = await expectTokenError(await stage.grant({ form }), 'POL101', 400, 'access_denied')
    expect(event).toMatchObject({ client: { id: 'agent' }, user: { sub: 'mallory' }, policy: { rule: 'not-mallory' } })
    expectNothingSent(stage)
  })
})

describe('refused further on', () => {
  test.each([
    ['IDP', 'invalid_grant', 'IDP101', 'invalid_request'],
    ['IDP', 'access_denied', 'IDP102', 'access_denied'],
    ['IDP', 'invalid_target', 'IDP103', 'invalid_target'],
    ['IDP', 'invalid_scope', 'IDP104', 'invalid_scope'],
    ['RAS', 'invalid_grant', 'RAS101', 'invalid_grant'],
    ['RAS', 'access_denied', 'RAS102', 'access_denied'],
    ['RAS', 'invalid_target', 'RAS103', 'invalid_target'],
    ['RAS', 'invalid_scope', 'RAS104', 'invalid_scope'],
  ])('%s says %s', async (leg, word, code, error) => {
    const { world } = stage
    const endpoint = leg === 'IDP' ? world.corp.token : world.tasks.token
    endpoint.script({ status: 400, json: { error: word, error_description: 'FOREIGN', acr_values: 'x' } })
    const answer = await stage.grant({ form: { subject_token: await world.corp.idToken({ sub: code }) } })
    const event = await expectTokenError(answer, code, 400, error)
    expect(answer.text + JSON.stringify(event)).not.toContain('FOREIGN')
    expect(answer.json).not.toHaveProperty('acr_values')
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: leg === 'IDP' ? 0 : 1 })
  })

  test.each([
    ['IDP', 'IDP107'],
    ['RAS', 'RAS107'],
  ])('%s does not take the authorization details', async (leg, code) => {
    const { world } = stage
    const endpoint = leg === 'IDP' ? world.corp.token : world.tasks.token
    endpoint.script({ status: 400, json: { error: 'invalid_authorization_details' } })
    const form = { subject_token: await world.corp.idToken({ sub: code }), authorization_details: '[{"type":"list"}]' }
    await expectTokenError(await stage.grant({ form }), code, 400, 'invalid_authorization_details')
  })

  test.each(['IDP', 'RAS'])('%s wants a stronger login, and its wishes are passed on', async (leg) => {
    const { world } = stage
    const endpoint = leg === 'IDP' ? world.corp.token : world.tasks.token
    endpoint.script({
      status: 400,
      json: { error: 'insufficient_user_authentication', acr_values: 'urn:mfa', max_age: 60 },
    })
    const answer = await stage.grant({ form: { subject_token: await world.corp.idToken({ sub: `step ${leg}` }) } })
    await expectTokenError(answer, `${leg}105`, 400, 'insufficient_user_authentication')
    expect(answer.json).toMatchObject({ acr_values: 'urn:mfa', max_age: 60 })
  })
})
