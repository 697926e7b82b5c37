// Token requests of a client that did not prove who it is. One answer for every reason, and a challenge where Basic was tried.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SECRETS } from '../support/counterparties.ts'
import { launchDisturbed, type DisturbedGateway } from '../support/disturbed.ts'
import { clientAssertionClaims, createTestKey, mint, type Claims } from '../support/keys.ts'
import { expectNothingSent, expectTokenError } from '../support/refusals.ts'
import { basic, JWT_BEARER_ASSERTION, openStage, type Form, type Stage } from '../support/stage.ts'

let stage: Stage
let gateway: DisturbedGateway
let token: string

beforeAll(async () => {
  stage = await openStage({
    launch: async (options) => {
      gateway = await launchDisturbed(options)
      return gateway
    },
  })
  token = await stage.world.corp.idToken()
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

const now = () => Math.floor(Date.now() / 1000)

const refused = async (headers: Record<string, string>, form: Form = {}) => {
  const answer = await stage.grant({ client: 'nobody', headers, form: { subject_token: token, ...form } })
  await expectTokenError(answer, 'CLI101', 401, 'invalid_client')
  expectNothingSent(stage)
  return answer
}

describe('Basic', () => {
  test.each([
    ['a wrong secret', basic('agent', 'wrong')],
    ['a secret cut short', basic('agent', SECRETS.AGENT_SECRET.slice(0, -1))],
    ['an empty secret', basic('agent', '')],
    ['the secret of another client', basic('agent', SECRETS.POST_SECRET)],
    ['an unknown client', basic('nobody', SECRETS.AGENT_SECRET)],
    ['a client without authentication of its own', basic('people', '')],
    ['a name every object has', basic('constructor', 'x')],
    ['a client that is to use parameters', basic('agent-post', SECRETS.POST_SECRET)],
    ['no colon', `Basic ${btoa('agent')}`],
    ['no base64', 'Basic ***'],
    ['base64 with another spelling', `Basic ${btoa('agent:x').replace(/=+$/, '')}`],
  ])('%s', async (_what, authorization) => {
    const answer = await refused({ authorization })
    expect(answer.headers['www-authenticate']).toBe('Basic realm="jagway", charset="UTF-8"')
  })

  test('all of these read alike', async () => {
    const answers = [
      await refused({ authorization: basic('agent', 'wrong') }),
      await refused({ authorization: basic('nobody', 'wrong') }),
      await refused({ authorization: basic('agent-jwt', 'wrong') }),
    ]
    const texts = answers.map(({ text, json }) => text.replace(String(json['request_id']), ''))
    expect(new Set(texts).size).toBe(1)
  })

  test('the user’s own ID token is no client authentication', async () => {
    const answer = await refused({ authorization: `Bearer ${token}` })
    expect(answer.headers['www-authenticate']).toBeUndefined()
  })
})

describe('parameters', () => {
  test.each<readonly [string, Form]>([
    ['nothing at all', {}],
    ['a name alone', { client_id: 'agent' }],
    ['a wrong secret', { client_id: 'agent-post', client_secret: 'wrong' }],
    ['a secret without a name', { client_secret: SECRETS.POST_SECRET }],
    ['a client that is to use Basic', { client_id: 'agent', client_secret: SECRETS.AGENT_SECRET }],
  ])('%s', async (_what, form) => {
    const answer = await refused({}, form)
    expect(answer.headers['www-authenticate']).toBeUndefined()
  })

  test('two ways at once are a malformed request', async () => {
    const answer = await stage.grant({ form: { subject_token: token, client_secret: SECRETS.AGENT_SECRET } })
    await expectTokenError(answer, 'CLI100', 400, 'invalid_request')
  })

  test('another name beside a good proof', async () => {
    await refused({ authorization: basic('agent', SECRETS.AGENT_SECRET) }, { client_id: 'agent-post' })
  })
})

describe('assertions', () => {
  const assertion = async (claims: Claims = {}, header: Claims = {}, key = stage.agentKey) => ({
    client_assertion_type: JWT_BEARER_ASSERTION,
    client_assertion: await mint(key, { ...clientAssertionClaims(now(), 'agent-jwt', gateway.url), ...claims }, header),
  })

  test.each<readonly [string, () => Claims, Claims]>([
    ['for the token endpoint instead of the issuer', () => ({ aud: `${gateway.url}/token` }), {}],
    ['for two audiences', () => ({ aud: [gateway.url, 'https://elsewhere.example'] }), {}],
    ['of another issuer', () => ({ iss: 'agent' }), {}],
    ['about somebody else', () => ({ sub: 'agent' }), {}],
    ['of an unknown client', () => ({ iss: 'nobody', sub: 'nobody' }), {}],
    ['that has expired', () => ({ iat: now() - 200, exp: now() - 100 }), {}],
    ['without an end', () => ({ exp: undefined }), {}],
    ['that lives for a day', () => ({ exp: now() + 86_400 }), {}],
    ['without jti', () => ({ jti: undefined }), {}],
    ['that is an ID token', () => ({}), { typ: 'id+jwt' }],
    ['without signature', () => ({}), { alg: 'none' }],
  ])('%s', async (_what, claims, header) => {
    await refused({}, await assertion(claims(), header))
  })

  test('under another key of the same name', async () => {
    await refused({}, await assertion({}, {}, await createTestKey('agent-key')))
  })

  test('of another type', async () => {
    await refused(
      {},
      { ...(await assertion()), client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' },
    )
  })

  test('the second time', async () => {
    const form = { subject_token: token, ...(await assertion()) }
    expect((await stage.grant({ client: 'nobody', form })).status).toBe(200)
    stage.world.calm()
    await refused({}, form)
  })

  test('twenty times at once is once', async () => {
    const form = { subject_token: token, ...(await assertion()) }
    const answers = await Promise.all(Array.from({ length: 20 }, () => stage.grant({ client: 'nobody', form })))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(19)
  })

  test('whose keys cannot be had are not the client’s fault', async () => {
    const form = { subject_token: token, ...(await assertion({ iss: 'agent-lost', sub: 'agent-lost' })) }
    const answer = await stage.grant({ client: 'nobody', form })
    await expectTokenError(answer, 'INT101', 503, 'temporarily_unavailable')
    expect(answer.headers['retry-after']).toMatch(/^\d+$/)
    expectNothingSent(stage)
  })

  test('that cannot be checked for replay are not taken', async () => {
    gateway.disturb({ on: 'replay', throw: 'FOREIGN' })
    const answer = await stage.grant({ client: 'nobody', form: { subject_token: token, ...(await assertion()) } })
    gateway.disturb(null)
    const event = await expectTokenError(answer, 'INT101', 503, 'temporarily_unavailable')
    expect(JSON.stringify(event)).not.toContain('FOREIGN')
    expectNothingSent(stage)
  })
})

test('authentication comes before everything the request asks for', async () => {
  await refused(
    { authorization: basic('agent', 'wrong') },
    { grant_type: 'password', resource: 'https://nowhere.example/' },
  )
})
