// Proxied requests whose token does not say who the user is. The challenge names our metadata; nothing is sent anywhere.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createTestKey, mint, idTokenClaims, type Claims } from '../support/keys.ts'
import { expectNothingSent, expectProblem } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

const now = () => Math.floor(Date.now() / 1000)

describe('no token', () => {
  test('is answered by a challenge without an error, which names metadata and scopes', async () => {
    const answer = await stage.ask()
    await expectProblem(answer, 'TOK100', 401)
    expect(answer.headers['www-authenticate']).toBe(
      `Bearer scope="openid", resource_metadata="${stage.gateway.url}/.well-known/oauth-protected-resource/r/tasks"`,
    )
    expectNothingSent(stage)
  })

  test.each(['Basic YTpi', 'DPoP', 'Bearer', 'Bearer ', 'bearer', 'Token x'])(
    'nor is %j one',
    async (authorization) => {
      await expectProblem(await stage.ask({ headers: { authorization } }), 'TOK100', 401)
      expectNothingSent(stage)
    },
  )
})

describe('a token that is not one well-formed JWT', () => {
  test.each(['abc', 'a.b', 'a.b.c', 'e30.e30.', 'null', `${'x'.repeat(9000)}.y.z`])(
    '%.20s is refused',
    async (token) => {
      await expectProblem(await stage.ask({ token }), 'TOK101', 401)
      expectNothingSent(stage)
    },
  )

  test('two tokens in one header are none', async () => {
    const token = await stage.world.corp.idToken()
    for (const authorization of [`Bearer ${token}, Bearer ${token}`, `Bearer ${token} ${token}`])
      await expectProblem(await stage.ask({ headers: { authorization } }), 'TOK101', 401)
    expectNothingSent(stage)
  })
})

describe('a token that cannot be verified', () => {
  test('another key under the same name', async () => {
    const { world } = stage
    const forger = await createTestKey(world.corp.key.kid)
    const token = await mint(forger, idTokenClaims(now(), world.corp.issuer, 'gw'))
    const answer = await stage.ask({ token })
    await expectProblem(answer, 'TOK102', 401)
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer error="invalid_token", error_description="TOK102: /)
    expectNothingSent(stage)
  })

  test('a changed payload, also where the unchanged token was just accepted', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'victim' })
    expect((await stage.ask({ token })).status).toBe(200)
    world.calm()
    const [head, , signature] = token.split('.')
    const payload = btoa(JSON.stringify({ ...idTokenClaims(now(), world.corp.issuer, 'gw'), sub: 'admin' })).replace(
      /=+$/,
      '',
    )
    await expectProblem(await stage.ask({ token: `${head}.${payload}.${signature}` }), 'TOK102', 401)
    expectNothingSent(stage)
  })

  test('an issuer that is not configured, though its spelling is close', async () => {
    const { world } = stage
    for (const iss of [`${world.corp.issuer}/`, world.corp.issuer.toUpperCase(), world.evilOrigin]) {
      await expectProblem(await stage.ask({ token: await world.corp.idToken({ iss }) }), 'TOK102', 401)
    }
    expectNothingSent(stage)
  })

  test('the right issuer’s name under another issuer’s key', async () => {
    const { world } = stage
    const token = await mint(world.partner.key, idTokenClaims(now(), world.corp.issuer, 'gw'))
    await expectProblem(await stage.ask({ token }), 'TOK102', 401)
    expectNothingSent(stage)
  })
})

test.each<readonly [string, string, Claims, Claims]>([
  ['expired', 'TOK103', { iat: -400, exp: -100 }, {}],
  ['for another client', 'TOK104', { aud: 'somebody-else' }, {}],
  ['authorized for another party', 'TOK104', { azp: 'somebody-else' }, {}],
  ['an ID-JAG', 'TOK105', {}, { typ: 'oauth-id-jag+jwt' }],
  ['an access token', 'TOK105', { scope: 'read' }, { typ: 'at+jwt' }],
  ['a logout token', 'TOK105', { events: {} }, { typ: 'logout+jwt' }],
  ['not valid yet', 'TOK106', { iat: 600, exp: 900 }, {}],
  ['issued too long ago', 'TOK106', { iat: -4000, exp: 300 }, {}],
  ['of a client whose tokens are not accepted here', 'TOK108', { aud: 'mobile' }, {}],
])('a token that is %s is %s', async (_what, code, claims, header) => {
  const { world } = stage
  const dated = Object.fromEntries(
    Object.entries(claims).map(([name, value]) => [name, typeof value === 'number' ? now() + value : value]),
  )
  await expectProblem(await stage.ask({ token: await world.corp.idToken(dated, header) }), code, 401)
  expectNothingSent(stage)
})

test.each([undefined, 'umbrella', ['acme']])(
  'a token of the tenant %j is refused where acme is served',
  async (tenant) => {
    await expectProblem(await stage.ask({ token: await stage.world.partner.idToken({ tenant }) }), 'TOK107', 401)
    expectNothingSent(stage)
  },
)

describe('the identity provider wants the user to sign in again', () => {
  test.each(['invalid_grant', 'invalid_request'])('%s', async (error) => {
    const { world } = stage
    world.corp.token.script({ status: 400, json: { error, error_description: 'FOREIGN words' } })
    const answer = await stage.ask({ token: await world.corp.idToken({ sub: `again ${error}` }) })
    const event = await expectProblem(answer, 'IDP101', 401)
    expect(answer.headers['www-authenticate']).toContain('error="invalid_token"')
    expect(answer.text).not.toContain('FOREIGN')
    expect(JSON.stringify(event)).not.toContain('FOREIGN')
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 0 })
    expect(world.forwarded()).toBe(0)
  })

  test.each(['insufficient_user_authentication', 'login_required', 'interaction_required'])('%s', async (error) => {
    const { world } = stage
    world.corp.token.script({ status: 400, json: { error, acr_values: 'urn:mfa', max_age: 300 } })
    const answer = await stage.ask({ token: await world.corp.idToken({ sub: `step ${error}` }) })
    await expectProblem(answer, 'IDP105', 401)
    const challenge = answer.headers['www-authenticate'] ?? ''
    expect(challenge).toContain('error="insufficient_user_authentication"')
    expect(challenge).toContain('acr_values="urn:mfa"')
    expect(challenge).toContain('max_age="300"')
    expect(world.forwarded()).toBe(0)
  })

  test('step-up members that would break out of the header are left out', async () => {
    const { world } = stage
    const json = {
      error: 'insufficient_user_authentication',
      acr_values: 'a", error="x\r\nX-Injected: 1',
      max_age: '5',
    }
    world.corp.token.script({ status: 400, json })
    const answer = await stage.ask({ token: await world.corp.idToken({ sub: 'injected' }) })
    await expectProblem(answer, 'IDP105', 401)
    expect(answer.headers['www-authenticate']).not.toMatch(/acr_values|max_age/)
    expect(answer.headers['x-injected']).toBeUndefined()
  })

  test('so does an authorization server', async () => {
    const { world } = stage
    world.tasks.token.script({ status: 400, json: { error: 'insufficient_user_authentication', max_age: 0 } })
    const answer = await stage.ask({ token: await world.corp.idToken({ sub: 'ras step' }) })
    await expectProblem(answer, 'RAS105', 401)
    expect(answer.headers['www-authenticate']).toContain('max_age="0"')
    expect(world.forwarded()).toBe(0)
  })

  test('so does a resource, and its challenge becomes ours', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'ups step' })
    await stage.ask({ token })
    world.calm()
    world.tasks.api.script({
      status: 401,
      headers: {
        'www-authenticate':
          'Bearer error="insufficient_user_authentication", acr_values="urn:mfa", max_age="60", resource_metadata="http://evil.example"',
      },
    })
    const answer = await stage.ask({ token })
    await expectProblem(answer, 'UPS103', 401)
    const challenge = answer.headers['www-authenticate'] ?? ''
    expect(challenge).toContain('acr_values="urn:mfa"')
    expect(challenge).not.toContain('evil.example')
    // No new token helps against that, so none is fetched.
    expect(world.legs()).toEqual({ exchanges: 0, redemptions: 0 })
    expect(world.tasks.api.count).toBe(1)
  })
})

test.each(['acr_values="a\\", error=\\"b"', 'acr_values="ä"', 'max_age="soon"', 'max_age="-1"', 'acr_values=""'])(
  'what a resource wishes for with %s is left out of our challenge',
  async (member) => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'odd step' })
    await stage.ask({ token })
    const challenge = Buffer.from(`Bearer error="insufficient_user_authentication", ${member}`).toString('latin1')
    world.tasks.api.script({ status: 401, headers: { 'www-authenticate': challenge } })
    const answer = await stage.ask({ token })
    await expectProblem(answer, 'UPS103', 401)
    expect(answer.headers['www-authenticate']).not.toMatch(/acr_values|max_age/)
  },
)

test('forty requests with forty tokens fetch the keys of their issuer once', async () => {
  const { world } = stage
  await stage.gateway.reload()
  world.calm()
  const tokens = await Promise.all(
    Array.from({ length: 40 }, (_, index) => world.corp.idToken({ sub: `many-${index}` })),
  )
  const answers = await Promise.all(tokens.map((token) => stage.ask({ token })))
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 40 }, () => 200))
  expect(world.corp.jwks.count).toBe(1)
})

test('forty unknown key names cost one more fetch at most', async () => {
  const { world } = stage
  await stage.ask({ token: await world.corp.idToken() })
  world.calm()
  const forger = await createTestKey('unknown')
  const claims = idTokenClaims(now(), world.corp.issuer, 'gw')
  const tokens = await Promise.all(
    Array.from({ length: 40 }, (_, index) => mint(forger, claims, { kid: `unknown-${index}` })),
  )
  const answers = await Promise.all(tokens.map((token) => stage.ask({ token })))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]))
  expect(world.corp.jwks.count).toBeLessThanOrEqual(1)
})
