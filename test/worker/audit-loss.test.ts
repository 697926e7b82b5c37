// A collector of events that stays down for longer than events are kept: nobody who asks notices, and how many are lost is told
// in the record itself and to administrators.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/http.ts'
import { openStage, type Stage } from '../support/stage.ts'

/** So many wait in an isolate, and one batch is on its way. */
const KEPT = 2_000 + 100
const BEYOND = 200
const AT_ONCE = 50

let stage: Stage
let status = 500
const collected: Readonly<Record<string, unknown>>[] = []

const collector = createServer((request, response) => {
  let text = ''
  request.setEncoding('utf8')
  request.on('data', (chunk: string) => (text += chunk))
  request.on('end', () => {
    if (status === 204) for (const line of text.trimEnd().split('\n')) collected.push(JSON.parse(line))
    response.writeHead(status).end()
  })
})

beforeAll(async () => {
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  const { port } = collector.address() as AddressInfo
  stage = await openStage({
    secrets: { AUDIT_KEY: 'the key of the collector, 32 bytes or more' },
    edit: (config) => ({
      ...config,
      admin: { id_token: { view: { groups: ['corp/help'] } } },
      audit: {
        sinks: ['console', 'http'],
        http: { url: `http://127.0.0.1:${port}/events`, key: { secret: 'AUDIT_KEY' } },
      },
    }),
  })
})

afterAll(async () => {
  await stage.close()
  collector.close()
})

test('what is lost while the collector is down is in a later event and in the counters', async () => {
  const url = `${stage.gateway.url}/r/tasks/v1/todos`
  const refused = async (): Promise<number> => {
    const answer = await fetch(url)
    await answer.arrayBuffer()
    return answer.status
  }
  for (let sent = 0; sent < KEPT + BEYOND; sent += AT_ONCE)
    expect(new Set(await Promise.all(Array.from({ length: AT_ONCE }, refused)))).toEqual(new Set([401]))

  // Nothing waits for the collector where it is not required, and the record of this request says what is missing.
  const first = await stage.ask({ token: await stage.world.corp.idToken() })
  expect(first.status).toBe(200)
  const told = Number((await first.event())['lost'])
  expect(told).toBeGreaterThan(0)
  expect(told).toBeLessThanOrEqual(BEYOND + AT_ONCE + 2)

  status = 204
  await eventually(async () => {
    await refused()
    return collected.some((event) => Number(event['lost']) >= told)
  }, 15_000)

  const help = await stage.world.corp.idToken({ sub: 'kim', groups: ['help'] })
  const counted = async (): Promise<unknown> => {
    const { json } = await stage.ask({ path: '/admin/api/counters', token: help })
    const total: unknown = json['lost']
    return typeof total === 'object' && total !== null ? { ...total } : {}
  }
  const last = () => Math.max(...stage.events.map((event) => Number(event['lost'] ?? 0)))
  await eventually(
    async () => JSON.stringify(await counted()) === JSON.stringify({ decisions: 0, audit_events: last() }),
    15_000,
  )
}, 60_000)
