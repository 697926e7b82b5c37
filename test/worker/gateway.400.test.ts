// Proxied requests that could be read in more than one way, or ask for what is not forwarded. Refused before anybody is
// asked anything.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { expectNothingSent, expectProblem } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage
let token: string

beforeAll(async () => {
  stage = await openStage()
  token = await stage.world.corp.idToken()
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

test.each([
  '/v1/..%2fadmin',
  '/v1/todos%2f7',
  '/v1/todos%5c7',
  '/v1/todos%00',
  '/v1/todos;x=1',
  '/v1/todos%3b',
  '/v1//todos',
  '//v1/todos',
  '/v1/todos%252e',
  '/v1/%ff',
  '/v1/%zz',
  '/v1/todos%e2%80%ae',
  '/v1/%ef%bc%8e%ef%bc%8e/admin',
  '/v1/todos%3fx',
  '/v1/todos%23x',
])('the path %s is refused, not normalised', async (path) => {
  const answer = await stage.ask({ token, path: `/r/tasks${path}` })
  await expectProblem(answer, 'CLI109', 400)
  expectNothingSent(stage)
})

test.each(['TRACE'])('%s is never passed on: its answer would show the access token', async (method) => {
  await expectProblem(await stage.ask({ token, method }), 'CLI110', 405)
  expectNothingSent(stage)
})

test.each(['GET', 'HEAD'])('a %s with a body is refused in our words', async (method) => {
  const answer = await stage.ask({ token, method, body: '{"query":1}', headers: { 'content-length': '11' } })
  expect(answer.status).toBe(400)
  expect(answer.headers['proxy-status']).toContain('CLI115')
  expectNothingSent(stage)
})

test('a POST that wants to become a WebSocket is refused', async () => {
  const answer = await stage.ask({
    token,
    method: 'POST',
    body: 'x',
    headers: { connection: 'upgrade', upgrade: 'websocket' },
  })
  await expectProblem(answer, 'CLI113', 400)
  expectNothingSent(stage)
})

test('a token in the query string is refused even beside a good one', async () => {
  for (const path of ['/v1/todos?access_token=x', '/v1/todos?a=1&ACCESS_TOKEN=x', '/v1/todos?%61ccess_token=x']) {
    await expectProblem(await stage.ask({ token, path: `/r/tasks${path}` }), 'CLI100', 400)
  }
  expectNothingSent(stage)
})

test('dot segments are resolved by workerd before anybody sees them: policy judges what is left', async () => {
  for (const path of ['/v1/../admin', '/v1/%2e%2e/admin', '/v1/%2E./admin', '/v1/.%2e/admin'])
    await expectProblem(await stage.ask({ token, path: `/r/tasks${path}` }), 'POL100', 403)
  expectNothingSent(stage)
})

test.each(['websocket', 'WebSocket', 'h2c'])(
  'an upgrade to %s is refused where the resource has none',
  async (upgrade) => {
    const headers = {
      connection: 'Upgrade',
      upgrade,
      'sec-websocket-version': '13',
      'sec-websocket-key': 'a2tra2tra2tra2tra2traw==',
    }
    const answer = await stage.ask({ token, headers })
    await expectProblem(answer, 'CLI113', 400)
    expectNothingSent(stage)
  },
)

test('the refusal comes before the question who is asking', async () => {
  await expectProblem(await stage.ask({ path: '/r/tasks/v1/todos;x' }), 'CLI109', 400)
  expect(stage.world.corp.jwks.count).toBe(0)
})
