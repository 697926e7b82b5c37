// What the span of a request says in the platform's own traces, seen by a consumer of these beside the built Worker.
import { createServer } from 'node:net'
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { workerBundle } from '../../src/cli/bundle.ts'
import { OBJECTS, type LaunchOptions, type RunningGateway } from '../../src/cli/launch.ts'
import { eventually } from '../support/http.ts'
import { openStage, type Stage } from '../support/stage.ts'

/** Prints the attributes of each invocation's root span. */
const TAIL = `
export default {
  tailStream: ({ event: { spanId } }) => ({ event, spanContext }) => {
    if (event.type !== 'attributes' || (spanContext.spanId ?? spanId) !== spanId) return
    console.log('SPAN ' + JSON.stringify(event.info))
  },
}
`

const attributes: Record<string, unknown>[] = []
let stage: Stage

beforeAll(async () => {
  stage = await openStage({
    edit: (config) => ({ ...config, audit: { sinks: ['console', 'trace'] } }),
    launch: launchTraced,
  })
})

afterAll(() => stage.close())

/** The attributes with the request's id among them, once they are there; it is the last of them. */
async function spanOf(id: unknown): Promise<Readonly<Record<string, unknown>>> {
  const mine = () => attributes.filter((one) => one['jagway.request_id'] === id)
  await eventually(() => mine().length > 0)
  return mine()[0] ?? {}
}

test('the span of a forwarded request has its route and what was decided, and nobody’s name', async () => {
  const answer = await stage.ask({ path: '/r/tasks/v1/todos/of-somebody', token: await stage.world.corp.idToken() })
  expect(answer.status).toBe(200)
  const event = await answer.event()
  expect(await spanOf(event['id'])).toEqual({
    'http.route': '/r/tasks/*',
    'jagway.request_id': event['id'],
    'jagway.trace_id': event.trace_id,
    'jagway.event': 'request.forward',
    'jagway.outcome': 'allow',
    'jagway.config': event['config'],
    'jagway.resource': 'tasks',
    'jagway.client': 'people',
    'jagway.rule': 'people',
    'jagway.cache': 'exchange',
  })
})

test('the span of a refusal has its code as the type of the error', async () => {
  const answer = await stage.ask({ token: await stage.world.corp.idToken({ sub: 'mallory' }) })
  expect(answer.status).toBe(403)
  expect(await spanOf(answer.json['request_id'])).toMatchObject({
    'error.type': 'POL101',
    'jagway.event': 'policy.decide',
    'jagway.outcome': 'deny',
    'jagway.rule': 'not-mallory',
  })
  expect(stage.world.leaks(JSON.stringify(attributes))).toEqual([])
  expect(JSON.stringify(attributes)).not.toMatch(/"mallory|of-somebody/)
})

async function launchTraced({ config, secrets, onLog }: LaunchOptions): Promise<RunningGateway> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const { text } = config
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      telemetry: { enabled: false },
      log: new Log(LogLevel.NONE),
      logRequests: false,
      handleStructuredLogs: ({ level, message }) => {
        if (message.startsWith('SPAN ')) noteAttributes(JSON.parse(message.slice(5)))
        else onLog?.({ level, message })
      },
      host: '127.0.0.1',
      port: 0,
      workers: [
        {
          name: 'gateway',
          compatibilityDate: '2026-10-23',
          modulesRoot: process.cwd(),
          modules: [
            { type: 'ESModule', path: 'worker.mjs', contents: await workerBundle() },
            { type: 'Text', path: 'jagway.jsonc', contents: typeof text === 'string' ? text : text(url) },
          ],
          bindings: { ...secrets, JAGWAY_SEALING_KEY: 'a sealing key for this run alone' },
          kvNamespaces: { TOKENS: 'tokens' },
          durableObjects: Object.fromEntries(
            Object.entries(OBJECTS).map(([name, className]) => [name, { className, useSQLite: true }]),
          ),
          streamingTails: ['tail'],
          unsafeDirectSockets: [{ host: '127.0.0.1', port }],
        },
        {
          name: 'tail',
          compatibilityDate: '2026-10-23',
          compatibilityFlags: ['streaming_tail_worker', 'experimental'],
          modules: [{ type: 'ESModule', path: 'tail.mjs', contents: TAIL }],
        },
      ],
    }),
  )
  await runtime.ready
  const notHere = (): Promise<never> => Promise.reject(new Error('not in this arrangement'))
  return { url, urls: [url], tokens: notHere, archive: notHere, reload: notHere, close: () => runtime.dispose() }
}

/** Each attribute comes alone; those of one span follow each other, its route first. */
function noteAttributes(info: readonly { readonly name: string; readonly value: unknown }[]): void {
  for (const { name, value } of info) {
    if (name === 'http.route') attributes.push({})
    const last = attributes.at(-1)
    if (last !== undefined) last[name] = value
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<number>()
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
  })
  return promise
}
