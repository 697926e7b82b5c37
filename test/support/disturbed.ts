// A gateway whose ground fails when told to: the token store, the objects, the console, the platform's cryptography. The
// Worker is the built one, unchanged. A module that workerd evaluates before it puts other objects in the place of the
// bindings, and those ask this process what to do at each call.
import { createServer } from 'node:net'
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare, Response } from 'miniflare'
import { workerBundle } from '../../src/cli/bundle.ts'
import type { LaunchOptions, RunningGateway } from '../../src/cli/launch.ts'

export type Fault = {
  /**
   * `get`, `put`, `delete` of the token store, `*` for all three; the objects `flight`, `replay`, `revocations`, `ledger`,
   * `decisions`, and `objects` for all five; `audit`, the console; `queue`, `bucket` of audit events;
   * `sign` of WebCrypto.
   */
  readonly on: string
  readonly throw?: string
  /** As the platform marks what an object's own code has thrown: it was reached. */
  readonly remote?: boolean
  /** The answer instead of the real one. */
  readonly value?: null
  readonly delay?: number
  readonly hang?: boolean
  /** What is thrown, is thrown when the work is done already. */
  readonly late?: boolean
  /** What was read before, whatever was written since. */
  readonly stale?: boolean
}

export type DisturbedGateway = RunningGateway & {
  readonly disturb: (fault: Fault | null) => void
  /** How often a part of the ground has been called, disturbed or not. */
  readonly asked: (on: string) => number
}

const ENTRY = `
import './faults.mjs'
export { default, DecisionBook, Flight, Ledger, Replay, RevocationBook } from './worker.mjs'
`

const FAULTS = `
import { env } from 'cloudflare:workers'
const wait = (ms) => new Promise((done) => setTimeout(done, ms))
const GROUPS = { '*': ['get', 'put', 'delete'], objects: ['flight', 'replay', 'revocations', 'ledger', 'decisions'] }
let last = null
async function disturbed(on, work) {
  const fault = await (await env.FAULTS.fetch('http://faults/' + on)).json()
  last = fault
  if (fault === null || (fault.on !== on && !GROUPS[fault.on]?.includes(on))) return work()
  if (fault.delay !== undefined) await wait(fault.delay)
  if (fault.hang) await wait(60_000)
  if (fault.late) await work()
  if (fault.throw !== undefined) throw Object.assign(new Error(fault.throw), fault.remote ? { remote: true } : {})
  return 'value' in fault ? fault.value : work(fault)
}
function replace(target, name, value) {
  Object.defineProperty(target, name, { value, configurable: true })
  if (target[name] !== value) throw new Error(name + ' could not be replaced')
}
const { TOKENS: store } = env
const copies = new Map()
replace(env, 'TOKENS', {
  get: (name, options) =>
    disturbed('get', async (fault) => {
      if (fault?.stale && copies.has(name)) return copies.get(name)
      const value = await store.get(name, options)
      copies.set(name, value)
      return value
    }),
  put: (name, value, options) => disturbed('put', () => store.put(name, value, options)),
  delete: (name) => disturbed('delete', () => store.delete(name)),
})
for (const [binding, on] of [['FLIGHTS', 'flight'], ['REPLAYS', 'replay'], ['REVOCATIONS', 'revocations'], ['LEDGERS', 'ledger'], ['DECISIONS', 'decisions']]) {
  const objects = env[binding]
  const calls = (name) => ({ get: (_, method) => (...args) => disturbed(on, () => objects.getByName(name)[method](...args)) })
  replace(env, binding, { getByName: (name) => new Proxy({}, calls(name)) })
}
const { AUDIT_QUEUE: queue, AUDIT_BUCKET: bucket } = env
replace(env, 'AUDIT_QUEUE', { sendBatch: (messages) => disturbed('queue', () => queue.sendBatch(messages)) })
replace(env, 'AUDIT_BUCKET', {
  createMultipartUpload: () => undefined,
  put: (...args) => disturbed('bucket', () => bucket.put(...args)),
})
const log = console.log
// Writing is not asked for by anything that could wait: the fault is the one that the request met before.
replace(console, 'log', (...args) => {
  if (last?.on === 'audit') throw new Error('the console is full')
  log.apply(console, args)
})
const sign = SubtleCrypto.prototype.sign
replace(SubtleCrypto.prototype, 'sign', function (...args) {
  return disturbed('sign', () => sign.apply(this, args))
})
`

/** Like `launchGateway`, for one instance without https. */
export async function launchDisturbed({ config, secrets, port = 0, onLog }: LaunchOptions): Promise<DisturbedGateway> {
  let fault: Fault | null = null
  let current = secrets
  const asked = new Map<string, number>()
  const bundle = await workerBundle()
  const url = `http://127.0.0.1:${port === 0 ? await freePort() : port}`
  const text = typeof config.text === 'string' ? config.text : config.text(url)
  const settings = () =>
    convertV4MiniflareOptions({
      cf: false,
      telemetry: { enabled: false },
      log: new Log(LogLevel.NONE),
      logRequests: false,
      handleStructuredLogs: ({ level, message }) => onLog?.({ level, message }),
      host: '127.0.0.1',
      port: 0,
      workers: [
        {
          name: 'gateway',
          compatibilityDate: '2026-10-23',
          modulesRoot: process.cwd(),
          modules: [
            { type: 'ESModule', path: 'entry.mjs', contents: ENTRY },
            { type: 'ESModule', path: 'faults.mjs', contents: FAULTS },
            { type: 'ESModule', path: 'worker.mjs', contents: bundle },
            { type: 'Text', path: 'jagway.jsonc', contents: text },
          ],
          bindings: { ...current },
          kvNamespaces: { TOKENS: 'tokens' },
          queueProducers: { AUDIT_QUEUE: 'audit' },
          queueConsumers: { audit: { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 100 } },
          r2Buckets: { AUDIT_BUCKET: 'audit' },
          serviceBindings: {
            FAULTS: (request) => {
              const on = new URL(request.url).pathname.slice(1)
              asked.set(on, (asked.get(on) ?? 0) + 1)
              return Response.json(fault)
            },
          },
          durableObjects: {
            FLIGHTS: { className: 'Flight', useSQLite: true },
            REPLAYS: { className: 'Replay', useSQLite: true },
            REVOCATIONS: { className: 'RevocationBook', useSQLite: true },
            LEDGERS: { className: 'Ledger', useSQLite: true },
            DECISIONS: { className: 'DecisionBook', useSQLite: true },
          },
          unsafeDirectSockets: [{ host: '127.0.0.1', port: Number(new URL(url).port) }],
        },
      ],
    })
  const runtime = new Miniflare(settings())
  await runtime.ready.catch(async (error: unknown) => {
    await runtime.dispose()
    throw error
  })
  return {
    url,
    urls: [url],
    tokens: () => runtime.getKVNamespace('TOKENS', 'gateway'),
    archive: (binding) => runtime.getR2Bucket(binding, 'gateway'),
    reload: async (changes = {}) => {
      if (changes.secrets !== undefined) current = changes.secrets
      await runtime.setOptions(settings())
    },
    close: () => runtime.dispose(),
    disturb: (next) => {
      fault = next
    },
    asked: (on) => asked.get(on) ?? 0,
  }
}

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done))
  const address = probe.address()
  await new Promise((done) => probe.close(done))
  return typeof address === 'object' && address !== null ? address.port : 0
}
