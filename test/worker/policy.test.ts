// Policy on the wire: conditions on what the identity provider says of the user and of the login, what a caller is told that
// only has to sign in again (RFC 9470), and what rules leave in the record.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { expectNothingSent, expectProblem, expectTokenError } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

const STRONG = { acr: 'urn:phr', amr: ['hwk', 'mfa'] } as const

let stage: Stage

beforeAll(async () => {
  stage = await openStage({
    edit: (config) => ({
      ...config,
      policy: {
        rules: [
          { id: 'people-read', effect: 'allow', resources: ['tasks'], scopes: ['read'], methods: ['GET'] },
          {
            id: 'strong-writes',
            effect: 'allow',
            who: { clients: ['people', 'agent'], acr: ['urn:phr', 'urn:phrh'], max_auth_age: '5m' },
            resources: ['tasks'],
          },
          {
            id: 'notes-of-engineers',
            effect: 'allow',
            who: { claims: { department: ['eng'], level: [3, 4] } },
            resources: ['notes'],
          },
          { id: 'no-interns', effect: 'deny', who: { claims: { employment: ['intern'] } } },
          { id: 'over', effect: 'deny', until: '2020-12-31' },
          { id: 'watch-writes', effect: 'shadow-deny', resources: ['tasks'], methods: ['POST'] },
          { id: 'watch-acme', effect: 'shadow-deny', who: { tenants: ['acme'] } },
        ],
      },
    }),
  })
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

const secondsAgo = (seconds: number) => Math.floor(Date.now() / 1000) - seconds

describe('a login that is too weak or too old', () => {
  test('is told so at the resource, with the class and the age that would do, and nothing is sent anywhere', async () => {
    for (const login of [{}, { acr: 'urn:pwd', auth_time: secondsAgo(5) }, { ...STRONG, auth_time: secondsAgo(400) }]) {
      const token = await stage.world.corp.idToken({ sub: 'weak', auth_time: undefined, ...login })
      const answer = await stage.ask({ token, method: 'POST', body: 'x' })
      const event = await expectProblem(answer, 'POL103', 401)
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer error="insufficient_user_authentication", /)
      expect(answer.headers['www-authenticate']).toContain('acr_values="urn:phr urn:phrh", max_age="300"')
      expect(answer.json['detail']).toContain('rule strong-writes wants a stronger or newer login')
      expect(event).toMatchObject({ policy: { effect: 'deny', rule: 'strong-writes' } })
      expectNothingSent(stage)
    }
  })

  test('is told so at the token endpoint, in its own words', async () => {
    const token = await stage.world.corp.idToken({ sub: 'weak', acr: 'urn:pwd', auth_time: secondsAgo(5) })
    const answer = await stage.grant({ form: { subject_token: token, scope: 'write' } })
    await expectTokenError(answer, 'POL103', 400, 'insufficient_user_authentication')
    expect(answer.json).toMatchObject({ acr_values: 'urn:phr urn:phrh', max_age: 300 })
    expectNothingSent(stage)
  })

  test('passes where no rule asks for more', async () => {
    const token = await stage.world.corp.idToken({ sub: 'weak' })
    expect((await stage.ask({ token })).status).toBe(200)
  })

  test('once it is strong and new enough, passes, with a token that the weaker one never gets', async () => {
    const { world } = stage
    const login = { sub: 'climber', acr: 'urn:pwd', auth_time: secondsAgo(5) }
    const weak = await world.corp.idToken(login)
    const strong = await world.corp.idToken({ ...login, ...STRONG })
    expect((await stage.ask({ token: strong, method: 'POST', body: 'x' })).status).toBe(200)
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    // Both may read. The token of the stronger login is wider, and was issued for it.
    expect((await stage.ask({ token: weak })).status).toBe(200)
    expect(world.legs()).toEqual({ exchanges: 2, redemptions: 2 })
    // Another login of the same strength is not another token.
    expect((await stage.ask({ token: await world.corp.idToken({ ...login, ...STRONG }) })).status).toBe(200)
    expect(world.legs()).toEqual({ exchanges: 2, redemptions: 2 })
  })
})

describe('claims', () => {
  test.each<[string, Record<string, unknown>, number]>([
    ['that fit', { department: 'eng', level: 3 }, 200],
    ['that fit in a list', { department: ['ops', 'eng'], level: [4] }, 200],
    ['of which one does not fit', { department: 'eng', level: 5 }, 403],
    ['of which one is not there', { department: 'eng' }, 403],
    ['of another type', { department: 'eng', level: '3' }, 403],
    ['that are objects', { department: { name: 'eng' }, level: 3 }, 403],
  ])('%s', async (what, claims, status) => {
    const token = await stage.world.corp.idToken({ sub: what, ...claims })
    const answer = await stage.ask({ path: '/r/notes/v1/notes', token })
    expect(answer.status).toBe(status)
    if (status === 200) return
    await expectProblem(answer, 'POL100', 403)
    expectNothingSent(stage)
  })

  test('that cannot be judged do not get around a rule that denies', async () => {
    for (const employment of ['intern', ['intern'], { type: 'intern' }, 7]) {
      const token = await stage.world.corp.idToken({ sub: 'intern', employment })
      await expectProblem(await stage.ask({ token }), 'POL101', 403)
    }
    expectNothingSent(stage)
    const token = await stage.world.corp.idToken({ sub: 'no intern', employment: 'employee' })
    expect((await stage.ask({ token })).status).toBe(200)
  })
})

describe('rules that only watch', () => {
  test('pass what they would deny, and are named in the record of it', async () => {
    const { world } = stage
    const token = await world.corp.idToken({ sub: 'watched', ...STRONG, auth_time: secondsAgo(5) })
    const answer = await stage.ask({ token, method: 'POST', body: 'x' })
    expect(answer.status).toBe(200)
    expect(await answer.event()).toMatchObject({
      outcome: 'allow',
      policy: { effect: 'allow', rule: 'strong-writes', shadow: ['watch-writes'] },
    })
    const read = await stage.ask({ token })
    expect(await read.event()).toMatchObject({ policy: { effect: 'allow', rule: 'people-read' } })
    expect(JSON.stringify(await read.event())).not.toContain('shadow')
  })

  test('see the tenant', async () => {
    const answer = await stage.ask({ token: await stage.world.partner.idToken({ sub: 'tenant', tenant: 'acme' }) })
    expect(answer.status).toBe(200)
    expect(await answer.event()).toMatchObject({ policy: { rule: 'people-read', shadow: ['watch-acme'] } })
  })
})

test('the scopes of all rules that allow are asked for, and of no other', async () => {
  const { world } = stage
  const login = { sub: 'union', ...STRONG, auth_time: secondsAgo(5) }
  await stage.ask({ token: await world.corp.idToken(login) })
  await stage.ask({ token: await world.corp.idToken({ ...login, sub: 'narrow', acr: 'urn:pwd' }) })
  const asked = world.corp.token.requests.map(({ form }) => form.get('scope'))
  expect(asked).toEqual(['read write', 'read'])
})
