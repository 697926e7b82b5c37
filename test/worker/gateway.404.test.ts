// What is not there: no resource under the path, nothing at our own address.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectNothingSent } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
})

afterAll(() => stage.close())

test.each([
  '/',
  '/r',
  '/v1/todos',
  '/rtasks',
  '/R/tasks/v1/todos',
  '/tasks',
  '/admin',
  '/jwks/',
  '/authorize/x',
  '/errors/NOPE100',
  '/errors/__proto__',
  '/.env',
])('nothing stands at %s', async (path) => {
  const token = await stage.world.corp.idToken()
  const answer = await stage.ask({ token, path })
  expect(answer.status).toBe(404)
  expect(answer.headers['content-type']).toBe('application/problem+json')
  expect(answer.json).toMatchObject({ code: 'CLI106', status: 404 })
  // No event is written, so there is no id of one.
  expect(answer.json).not.toHaveProperty('request_id')
  expectNothingSent(stage)
})

test('a path that only begins like a resource is another one', async () => {
  const token = await stage.world.corp.idToken()
  const answer = await stage.ask({ token, path: '/r/tasks2/v1/todos' }).catch(() => undefined)
  expect(answer?.status).toBe(404)
  expectNothingSent(stage)
})
