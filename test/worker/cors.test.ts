// Pages of another origin, on the built Worker: what a browser would ask, and what it gets to read.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { expectNothingSent, expectProblem, expectTokenError } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

const APP = 'http://127.0.0.1:5173'
const STRANGER = 'https://evil.example'
const PERMISSION = 'access-control-allow-origin'

let stage: Stage

beforeAll(async () => {
  stage = await openStage({ edit: (config) => ({ ...config, cors: { origins: ['https://app.example', APP] } }) })
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

const PREFLIGHT = {
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization,content-type',
}

test.each([
  '/r/tasks/v1/todos',
  '/r/tasks/v1//todos',
  '/token',
  '/.well-known/oauth-authorization-server',
  '/.well-known/oauth-protected-resource/r/tasks',
])('a preflight of a listed origin for %s is answered without a token, and asks nobody', async (path) => {
  const { gateway } = stage
  const answer = await fetch(`${gateway.url}${path}`, { method: 'OPTIONS', headers: { origin: APP, ...PREFLIGHT } })
  expect(answer.status).toBe(204)
  expect(answer.headers.get(PERMISSION)).toBe(APP)
  expect(answer.headers.get('access-control-allow-headers')).toContain('authorization')
  expect(answer.headers.has('access-control-allow-credentials')).toBe(false)
  expectNothingSent(stage)
})

test('a preflight of anybody else is refused as a request without a token, and permits nothing', async () => {
  const headers = { origin: STRANGER, ...PREFLIGHT }
  const answer = await stage.ask({ method: 'OPTIONS', headers })
  await expectProblem(answer, 'TOK100', 401)
  const atToken = await stage.ask({ path: '/token', method: 'OPTIONS', headers })
  await expectTokenError(atToken, 'CLI110', 405, 'invalid_request')
  for (const { headers: got } of [answer, atToken]) {
    expect(got[PERMISSION]).toBeUndefined()
    expect(got['vary']).toBe('Origin')
  }
  expectNothingSent(stage)
})

describe('a listed origin reads', () => {
  test('answers of the resource, whose own permissions stay behind', async () => {
    const { world } = stage
    world.tasks.api.script({
      body: 'x',
      headers: {
        'access-control-allow-origin': STRANGER,
        'access-control-allow-credentials': 'true',
        vary: 'Accept-Encoding',
        'mcp-session-id': 's1',
      },
    })
    const answer = await stage.ask({ token: await world.corp.idToken(), headers: { origin: APP } })
    expect(answer.status).toBe(200)
    expect(answer.headers).toMatchObject({ [PERMISSION]: APP, 'mcp-session-id': 's1' })
    expect(answer.headers['vary']).toMatch(/Accept-Encoding, ?Origin/)
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined()
    expect(answer.headers['access-control-expose-headers']).toContain('mcp-session-id')
    expect(world.tasks.api.last.headers['origin']).toBeUndefined()
  })

  test('refusals of a resource and of the token endpoint', async () => {
    const refused = await stage.ask({ headers: { origin: APP } })
    await expectProblem(refused, 'TOK100', 401)
    const token = await stage.grant({ form: { grant_type: 'password' }, headers: { origin: APP } })
    await expectTokenError(token, 'CLI103', 400, 'unsupported_grant_type')
    for (const { headers } of [refused, token]) {
      expect(headers[PERMISSION]).toBe(APP)
      expect(headers['access-control-expose-headers']).toContain('www-authenticate')
    }
  })

  test('tokens of the token endpoint', async () => {
    const granted = await stage.grant({ headers: { origin: APP } })
    expect(granted).toMatchObject({ status: 200, headers: { [PERMISSION]: APP } })
  })
})
