// Whatever a sink has received of whatever happened (the console, a collector, the queue and the bucket behind it), in our own
// words and in those of OCSF: no secret and no token is in it, and nothing that others have written into paths, queries, headers, bodies
// and errors.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchGateway } from '../../src/cli/launch.ts'
import { SECRETS } from '../support/counterparties.ts'
import { eventually } from '../support/http.ts'
import { basic, openStage, TOKEN_TYPE, type Answer, type Stage } from '../support/stage.ts'

const KEY = 'CANARY-the-key-of-the-collector-0123456789'
const BUCKET = 'AUDIT_BUCKET'
/** In every secret of the stage, and in all that a scenario makes others say. */
const CANARY = /canary/i

/** What a server says that should not have said it. */
const LOUD = {
  error_description: 'CANARY-description',
  error_uri: 'https://CANARY.test/',
  access_token: 'CANARY-token',
  refresh_token: 'CANARY-refresh',
  id_token: 'CANARY.id.token',
  canary: 'CANARY',
}

type Scenario = readonly [name: string, status: number, run: (stage: Stage) => Promise<Answer>]

const user = (stage: Stage, sub: string) => stage.world.corp.idToken({ sub, email: 'CANARY@corp.test', name: 'CANARY' })

const SCENARIOS: readonly Scenario[] = [
  ['a request that is forwarded', 200, async (stage) => stage.ask({ token: await user(stage, 'ann') })],
  [
    'a path, a query, headers and a body of a caller',
    200,
    async (stage) =>
      stage.ask({
        path: '/r/tasks/v1/CANARY-path?q=CANARY-query',
        method: 'POST',
        body: 'CANARY-body',
        headers: { 'x-project': 'CANARY-header', cookie: 'CANARY=1', tracestate: 'canary=1', 'user-agent': 'CANARY' },
        token: await user(stage, 'ann'),
      }),
  ],
  ['no token', 401, (stage) => stage.ask()],
  ['a token that is none', 401, (stage) => stage.ask({ token: 'CANARY.not.jwt' })],
  [
    'a token of a stranger',
    401,
    async (stage) => stage.ask({ token: await stage.world.corp.idToken({ aud: 'CANARY-client', jti: 'CANARY' }) }),
  ],
  ['a token in a query', 400, (stage) => stage.ask({ path: '/r/tasks/v1/x?access_token=CANARY-in-query' })],
  ['a path that cannot be compared', 400, (stage) => stage.ask({ path: '/r/tasks/v1/a%2fCANARY' })],
  ['a denial', 403, async (stage) => stage.ask({ token: await user(stage, 'mallory') })],
  [
    'a token that is handed out',
    200,
    async (stage) => stage.grant({ form: { subject_token: await user(stage, 'bo') } }),
  ],
  ['a wrong secret', 401, (stage) => stage.grant({ headers: { authorization: basic('agent', 'CANARY-wrong') } })],
  ['a request that cannot be read', 400, (stage) => stage.grant({ form: { grant_type: 'CANARY-grant' } })],
  [
    'a target nobody knows',
    400,
    (stage) => stage.grant({ form: { resource: 'https://CANARY.test/', audience: 'CANARY' } }),
  ],
  [
    'an actor token that goes nowhere',
    400,
    (stage) => stage.grant({ form: { actor_token: 'CANARY-actor', actor_token_type: `${TOKEN_TYPE}jwt` } }),
  ],
  [
    'a token to revoke',
    200,
    (stage) =>
      stage.ask({
        path: '/revoke',
        method: 'POST',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          authorization: basic('agent', SECRETS.AGENT_SECRET),
        },
        body: 'token=CANARY-shown',
      }),
  ],
  [
    'an identity provider that says too much',
    403,
    async (stage) => {
      stage.world.corp.token.script({ status: 400, json: { ...LOUD, error: 'access_denied' } })
      return stage.ask({ token: await user(stage, 'cid') })
    },
  ],
  [
    'an authorization server that says too much',
    403,
    async (stage) => {
      stage.world.tasks.token.script({ status: 400, json: { ...LOUD, error: 'invalid_grant' } })
      return stage.ask({ token: await user(stage, 'dee') })
    },
  ],
  [
    'an authorization server that answers with anything',
    502,
    async (stage) => {
      stage.world.tasks.token.script({ status: 200, body: '<html>CANARY</html>', headers: { 'x-canary': 'CANARY' } })
      return stage.ask({ token: await user(stage, 'eve') })
    },
  ],
  [
    'an authorization server that is out of order',
    503,
    async (stage) => {
      stage.world.tasks.token.script({ status: 500, body: 'CANARY-stack-trace' })
      return stage.ask({ token: await user(stage, 'fay') })
    },
  ],
  [
    'an API that rejects every token',
    502,
    async (stage) => {
      const headers = { 'www-authenticate': 'Bearer error="invalid_token", error_description="CANARY-challenge"' }
      stage.world.tasks.api.script({ status: 401, headers, body: 'CANARY-answer' }, 2)
      return stage.ask({ token: await user(stage, 'guy') })
    },
  ],
  [
    'an API that breaks off',
    502,
    async (stage) => {
      stage.world.tasks.api.script('reset')
      return stage.ask({ token: await user(stage, 'ann') })
    },
  ],
  [
    'an API that is not there',
    502,
    async (stage) => stage.ask({ path: '/r/gone/v1/x', token: await user(stage, 'ann') }),
  ],
]

describe.each(['jagway', 'ocsf'] as const)('in the format %s', (format) => {
  const received = { console: '', collector: '' }
  const collector = createServer((request, response) => {
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => (received.collector += chunk))
    request.on('end', () => response.writeHead(204).end())
  })
  let stage: Stage

  beforeAll(async () => {
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
    const address = collector.address() as AddressInfo
    stage = await openStage({
      archive: BUCKET,
      secrets: { COLLECTOR_KEY: KEY },
      edit: (config) => ({
        ...config,
        audit: {
          sinks: ['console', 'http', 'queue', 'trace'],
          format,
          http: { url: `http://127.0.0.1:${address.port}/events`, key: { secret: 'COLLECTOR_KEY' } },
          queue: { binding: 'AUDIT_QUEUE', bucket: BUCKET },
        },
      }),
      launch: (options) => launchGateway({ ...options, onLog: ({ message }) => (received.console += `${message}\n`) }),
    })
  })

  afterAll(async () => {
    await stage.gateway.close()
    stage.world.close()
    collector.close()
  })

  test('every sink has every event, and none has a canary', async () => {
    for (const [name, status, run] of SCENARIOS) {
      stage.world.calm()
      expect({ name, status: (await run(stage)).status }).toEqual({ name, status })
    }
    // One for each, and one for the start of the isolate.
    const count = SCENARIOS.length + 1
    const linesOf = (text: string) => text.split('\n').filter((line) => line.startsWith('{'))
    await eventually(async () => linesOf(await stage.archived()).length >= count, 15_000)
    await eventually(() => linesOf(received.collector).length >= count)
    const sinks = { ...received, bucket: await stage.archived() }
    for (const [sink, text] of Object.entries(sinks)) {
      const canaries = text.split('\n').filter((line) => CANARY.test(line))
      const found = { sink, count: linesOf(text).length, leaks: stage.world.leaks(text), canaries }
      expect(found).toEqual({ sink, count, leaks: [], canaries: [] })
    }
  })
})
