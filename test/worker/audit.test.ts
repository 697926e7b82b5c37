// A collector of events beside the real Worker: what arrives there, and what does not leave here while it is down.
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { expectProblem, expectTokenError } from '../support/refusals.ts'
import { faultsOfEvents } from '../support/audit-schema.ts'
import { eventually } from '../support/http.ts'
import { openStage, type Stage } from '../support/stage.ts'

const KEY = 'the key of the collector, 32 bytes or more'

let stage: Stage
let status = 204
const bodies: { readonly text: string; readonly signature: string }[] = []

const collector = createServer((request, response) => {
  let text = ''
  request.setEncoding('utf8')
  request.on('data', (chunk: string) => (text += chunk))
  request.on('end', () => {
    bodies.push({ text, signature: String(request.headers['jagway-signature']) })
    response.writeHead(status).end()
  })
})

function events(): readonly Readonly<Record<string, unknown>>[] {
  return bodies.flatMap(({ text }) =>
    text
      .trimEnd()
      .split('\n')
      .map((line): Readonly<Record<string, unknown>> => JSON.parse(line)),
  )
}

beforeAll(async () => {
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  const address = collector.address() as AddressInfo
  stage = await openStage({
    secrets: { AUDIT_KEY: KEY },
    edit: (config) => ({
      ...config,
      audit: {
        sinks: ['console', 'http'],
        http: { url: `http://127.0.0.1:${address.port}/events`, key: { secret: 'AUDIT_KEY' } },
        required: true,
      },
    }),
  })
})

afterAll(async () => {
  await stage.close()
  collector.close()
})

beforeEach(() => {
  status = 204
  bodies.length = 0
  stage.world.calm()
})

test('a forwarded request is recorded before its token leaves, and again when it is over; signed, and without a secret', async () => {
  const answer = await stage.ask({ token: await stage.world.corp.idToken() })
  expect(answer.status).toBe(200)
  await eventually(() => events().length === 3)
  // The first is waited for, and so arrives before what was written down earlier.
  expect(events().map(({ event }) => event)).toEqual(['token.release', 'config.load', 'request.forward'])
  expect(new Set(events().map(({ trace_id: trace }) => trace)).size).toBe(1)
  expect(faultsOfEvents(events())).toEqual([])
  for (const { text, signature } of bodies) {
    const [, time = ''] = /^t=(\d+),v1=/.exec(signature) ?? []
    expect(signature).toBe(`t=${time},v1=${createHmac('sha256', KEY).update(`${time}.${text}`).digest('hex')}`)
    expect(stage.world.leaks(text)).toEqual([])
    expect(text).not.toContain(KEY)
  }
})

test('while the collector is down no request reaches an API and no token a client', async () => {
  status = 500
  const before = stage.world.forwarded()
  await expectProblem(await stage.ask({ token: await stage.world.corp.idToken() }), 'INT103', 503)
  expect(stage.world.forwarded()).toBe(before)
  const refused = await stage.grant()
  await expectTokenError(refused, 'INT103', 503, 'temporarily_unavailable')
  expect(refused.text).not.toContain('access_token')
})

test('what could not be sent then arrives when it is back: nothing is lost', async () => {
  status = 500
  await expectTokenError(await stage.grant(), 'INT103', 503, 'temporarily_unavailable')
  await eventually(() => bodies.length > 1)
  status = 204
  bodies.length = 0
  expect((await stage.grant()).status).toBe(200)
  await eventually(() => events().some(({ code }) => code === 'INT103'))
  expect(events().every(({ lost }) => lost === undefined)).toBe(true)
})
