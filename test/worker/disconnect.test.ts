// A caller that hangs up in the middle. In production that cancels the request; in a local workerd a closed socket does
// not, but a caller Worker that aborts its service-binding fetch does, so such a Worker stands before the gateway here.
import { createServer } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { workerBundle } from '../../src/cli/bundle.ts'
import type { LaunchOptions, RunningGateway } from '../../src/cli/launch.ts'
import { eventually } from '../support/http.ts'
import { openStage, type Stage } from '../support/stage.ts'

const CALLER = `export default {
  async fetch(request, env) {
    const patience = Number(request.headers.get('x-patience') ?? 0)
    if (patience === 0) return env.GATEWAY.fetch(request)
    try {
      return await env.GATEWAY.fetch(request, { signal: AbortSignal.timeout(patience) })
    } catch {
      return new Response('hung up', { status: 499 })
    }
  },
}`

let stage: Stage

beforeAll(async () => {
  stage = await openStage({ launch: launchBehindCaller })
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

test('who waits for the keys with a caller that hangs up is served, by one fetch', async () => {
  const { world } = stage
  world.corp.jwks.script({ delayMs: 800 })
  const { gone, served } = await oneLeavesTwentyStay(await world.corp.idToken({ sub: 'keys' }))
  expect(gone).toBe(499)
  expect(served).toEqual(new Set([200]))
  expect(world.corp.jwks.count).toBe(1)
})

test('who waits for a token with a caller that hangs up is served, by one exchange and one redemption', async () => {
  const { world } = stage
  world.corp.token.script({ delayMs: 800 })
  const { gone, served } = await oneLeavesTwentyStay(await world.corp.idToken({ sub: 'token' }))
  expect(gone).toBe(499)
  expect(served).toEqual(new Set([200]))
  expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
})

test('what a caller has set off is on record although the caller has left', async () => {
  const { world } = stage
  const token = await world.corp.idToken({ sub: 'record' })
  expect((await stage.ask({ token })).status).toBe(200)
  world.tasks.api.script({ delayMs: 800 })
  const left = await stage.ask({ token, method: 'POST', body: '{}', headers: { 'x-patience': '200' } })
  expect(left.status).toBe(499)
  expect(await left.event()).toMatchObject({
    event: 'request.forward',
    user: { sub: 'record' },
    http: { method: 'POST' },
  })
  await eventually(() => world.tasks.api.count === 2)
})

async function oneLeavesTwentyStay(token: string): Promise<{ gone: number; served: ReadonlySet<number> }> {
  const leaves = stage.ask({ token, headers: { 'x-patience': '250' } })
  await new Promise((resolve) => setTimeout(resolve, 60))
  const stay = Array.from({ length: 20 }, async () => (await stage.ask({ token })).status)
  return { gone: (await leaves).status, served: new Set(await Promise.all(stay)) }
}

async function launchBehindCaller(options: LaunchOptions): Promise<RunningGateway> {
  const { convertV4MiniflareOptions, Log, LogLevel, Miniflare } = await import('miniflare')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const { text } = options.config
  const objects = {
    FLIGHTS: 'Flight',
    REPLAYS: 'Replay',
    REVOCATIONS: 'RevocationBook',
    LEDGERS: 'Ledger',
    DECISIONS: 'DecisionBook',
  }
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      telemetry: { enabled: false },
      log: new Log(LogLevel.NONE),
      logRequests: false,
      handleStructuredLogs: ({ level, message }) => options.onLog?.({ level, message }),
      host: '127.0.0.1',
      port: 0,
      workers: [
        {
          name: 'caller',
          compatibilityDate: '2026-10-23',
          modules: [{ type: 'ESModule', path: 'caller.mjs', contents: CALLER }],
          serviceBindings: { GATEWAY: 'gateway' },
          unsafeDirectSockets: [{ host: '127.0.0.1', port }],
        },
        {
          name: 'gateway',
          compatibilityDate: '2026-10-23',
          modulesRoot: process.cwd(),
          modules: [
            { type: 'ESModule', path: 'worker.mjs', contents: await workerBundle() },
            { type: 'Text', path: 'jagway.jsonc', contents: typeof text === 'string' ? text : text(url) },
          ],
          bindings: { ...options.secrets },
          kvNamespaces: { TOKENS: 'tokens' },
          durableObjects: Object.fromEntries(
            Object.entries(objects).map(([name, className]) => [name, { className, useSQLite: true }]),
          ),
        },
      ],
    }),
  )
  await runtime.ready
  const notHere = (): Promise<never> => Promise.reject(new Error('not in this arrangement'))
  return { url, urls: [url], tokens: notHere, archive: notHere, reload: notHere, close: () => runtime.dispose() }
}

async function freePort(): Promise<number> {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<number>()
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    server.close(() => resolve(port))
  })
  return promise
}
