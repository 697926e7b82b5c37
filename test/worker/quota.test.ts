// The quota of ID-JAGs in real objects: one ledger for all isolates and both doors, and nothing exchanged past the limit.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { expectNothingSent, expectProblem, expectTokenError } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage({
    instances: 2,
    edit: (config) => ({ ...config, quota: { id_jags_per_user_resource_month: 3, warn_at: 0.6 } }),
  })
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

/** Tokens of no life: every request has to obtain one. */
function short(): void {
  stage.world.tasks.token.script({ patch: { expires_in: 0 } }, Infinity)
}

test('is one for both doors and all isolates; at the limit both say so, and nobody is asked', async () => {
  short()
  const token = await stage.world.corp.idToken({ sub: 'spender' })
  const form = { subject_token: token }
  const first = await stage.ask({ token })
  expect(await first.event()).toMatchObject({ quota: { used: 1, limit: 3, warning: false } })
  const second = await stage.grant({ form, instance: 1 })
  expect(await second.event()).toMatchObject({ quota: { used: 2, limit: 3, warning: true } })
  const third = await stage.ask({ token, instance: 1 })
  expect([first.status, second.status, third.status]).toEqual([200, 200, 200])
  stage.world.calm()
  for (const instance of [0, 1]) {
    const event = await expectProblem(await stage.ask({ token, instance }), 'LIM201', 403)
    expect(event).toMatchObject({ outcome: 'deny', detail: '3 of 3 used' })
    expect(event).not.toHaveProperty('quota')
    await expectTokenError(await stage.grant({ form, instance }), 'LIM201', 400, 'access_denied')
  }
  expectNothingSent(stage)
})

test('is not passed by a burst over both isolates and doors', async () => {
  short()
  const token = await stage.world.corp.idToken({ sub: 'burst' })
  const answers = await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const instance = index % 2
      return index % 4 < 2 ? stage.ask({ token, instance }) : stage.grant({ form: { subject_token: token }, instance })
    }),
  )
  expect(stage.world.corp.token.count).toBeLessThanOrEqual(3)
  expect(answers.every(({ status }) => status === 200 || status === 403 || status === 400)).toBe(true)
})

test('of one user leaves others and other resources alone', async () => {
  const { world } = stage
  const spender = await world.corp.idToken({ sub: 'spender' })
  expect((await stage.ask({ token: spender, path: '/r/notes/v1/x' })).status).toBe(200)
  expect((await stage.ask({ token: await world.corp.idToken({ sub: 'saver' }) })).status).toBe(200)
  const partner = await world.partner.idToken({ sub: 'spender', tenant: 'acme' })
  expect((await stage.ask({ token: partner })).status).toBe(200)
})
