// Rate limits by the platform's counters, in workerd: one for a client that authenticates, one for each user at the edge.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { expectNothingSent, expectProblem, expectTokenError } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage({
    instances: 2,
    edit: (config) => ({
      ...config,
      clients: {
        ...config.clients,
        people: { ...config.clients.people, rate_limit: { binding: 'PEOPLE_LIMIT', limit: 4, period: '60s' } },
        agent: { ...config.clients.agent, rate_limit: { binding: 'AGENT_LIMIT', limit: 4, period: '60s' } },
      },
      policy: {
        rules: config.policy.rules.map((rule) =>
          rule.id === 'narrow' ? { ...rule, rate: { binding: 'NARROW_LIMIT', limit: 2, period: '60s' } } : rule,
        ),
      },
    }),
  })
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

/** Asks until refused: at most the limit twice, should a period end in between. */
async function spend(ask: () => Promise<{ readonly status: number }>): Promise<void> {
  for (let time = 0; time < 9; time++) {
    const { status } = await ask()
    if (status === 429) return
    expect(status).toBe(200)
  }
  throw new Error('never refused')
}

test('a client beyond its limit is refused at the token endpoint, in every isolate, before anybody is asked', async () => {
  await spend(() => stage.grant())
  stage.world.calm()
  const answer = await stage.grant({ instance: 1 })
  await expectTokenError(answer, 'LIM202', 429, 'temporarily_unavailable')
  expect(answer.headers['retry-after']).toBe('60')
  expectNothingSent(stage)
  // Another client of the same secret is another client.
  expect((await stage.grant({ client: 'narrow' })).status).toBe(200)
})

test('a user beyond the rate of a rule is refused in every isolate, in words of that rule, and others are not', async () => {
  const form = { subject_token: await stage.world.corp.idToken({ sub: 'hurried' }) }
  await spend(() => stage.grant({ client: 'narrow', form }))
  stage.world.calm()
  const answer = await stage.grant({ client: 'narrow', form, instance: 1 })
  const event = await expectTokenError(answer, 'LIM205', 429, 'temporarily_unavailable')
  expect(answer.headers['retry-after']).toBe('60')
  expect(answer.json['error_description']).toContain('the rule narrow')
  expect(event['policy']).toEqual({ effect: 'allow', rule: 'narrow' })
  expectNothingSent(stage)
  const other = { subject_token: await stage.world.corp.idToken({ sub: 'leisurely' }) }
  expect((await stage.grant({ client: 'narrow', form: other })).status).toBe(200)
})

test('a user beyond the limit of an edge client is refused, and others of that client are not', async () => {
  const token = await stage.world.corp.idToken({ sub: 'hasty' })
  await spend(() => stage.ask({ token }))
  stage.world.calm()
  const answer = await stage.ask({ token, instance: 1 })
  await expectProblem(answer, 'LIM202', 429)
  expect(answer.headers['retry-after']).toBe('60')
  expectNothingSent(stage)
  expect((await stage.ask({ token: await stage.world.corp.idToken({ sub: 'patient' }) })).status).toBe(200)
})
