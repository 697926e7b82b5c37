// Runs the gateway's Worker in workerd, through Miniflare: the one way in which `serve`, `dev` and the tests start it.

import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { getCACertificates } from 'node:tls'
import type { Json, Miniflare, MiniflareOptions } from 'miniflare'
import { parseConfig, placeUnmet, renderProblems, type AuditQueue, type Config, type Unmet } from '../config/config.ts'
import { workerBundle } from './bundle.ts'
import { startTlsFront, type KeyPair, type TlsFront } from './tls-front.ts'

export type { KeyPair } from './tls-front.ts'

export type ConfigSource = {
  readonly fileName: string
  /** A function receives the origin the gateway will have, for a `public_url` whose port is not known beforehand. */
  readonly text: string | ((origin: string) => string)
}

export type LogEntry = { readonly level: string; readonly message: string }

export type LaunchOptions = {
  readonly config: ConfigSource
  readonly secrets?: Readonly<Record<string, string>>
  /** Client certificates, by the name of the binding that has them. */
  readonly certificates?: Readonly<Record<string, KeyPair>>
  readonly host?: string
  /** 0, or none, takes any free port. */
  readonly port?: number
  /** With it the gateway answers https. */
  readonly https?: KeyPair
  /** A folder for the token cache and the Durable Objects; without it they live as long as the gateway. */
  readonly persist?: string
  /** So many isolates of the same Worker, sharing one token cache and one set of Durable Objects. */
  readonly instances?: number
  /** Called with each line the Worker writes to its console. The audit events are among them. */
  readonly onLog?: (entry: LogEntry) => void
}

/** What Miniflare hands out for the `TOKENS` binding. */
export type TokenNamespace = Awaited<ReturnType<Miniflare['getKVNamespace']>>
/** And for the bucket of audit events. */
export type EventBucket = Awaited<ReturnType<Miniflare['getR2Bucket']>>

export type RunningGateway = {
  /** The origin of the first instance, without a slash at its end. */
  readonly url: string
  /** The origins of all instances, the first one included. */
  readonly urls: readonly string[]
  readonly tokens: () => Promise<TokenNamespace>
  readonly archive: (binding: string) => Promise<EventBucket>
  /** Starts fresh isolates on the same ports; the token cache stays. A refused configuration leaves the old one running. */
  readonly reload: (changes?: Partial<Pick<LaunchOptions, 'config' | 'secrets'>>) => Promise<void>
  readonly close: () => Promise<void>
}

export type LaunchProblem = 'configuration' | 'address' | 'worker'

/** An expected failure to start, with a message meant for the person at the terminal. */
export class LaunchError extends Error {
  readonly problem: LaunchProblem
  constructor(problem: LaunchProblem, message: string) {
    super(message)
    this.name = 'LaunchError'
    this.problem = problem
  }
}

export const COMPATIBILITY_DATE = '2026-10-23'
const FIRST = 'gateway'
/** Binding to class, as in wrangler.toml. All instances call the objects of the first. */
export const OBJECTS = {
  FLIGHTS: 'Flight',
  REPLAYS: 'Replay',
  REVOCATIONS: 'RevocationBook',
  LEDGERS: 'Ledger',
  DECISIONS: 'DecisionBook',
} as const
const SEALING_KEY = 'JAGWAY_SEALING_KEY'
const SEALING_KEY_BYTES = 32

export async function launchGateway(options: LaunchOptions): Promise<RunningGateway> {
  const host = options.host ?? '127.0.0.1'
  const ports = await claimPorts(host, options.port ?? 0, options.instances ?? 1)
  // Behind a front of TLS the Workers listen on this machine alone.
  const sockets =
    options.https === undefined
      ? ports.map((port) => ({ host, port }))
      : (await claimPorts('127.0.0.1', 0, ports.length)).map((port) => ({ host: '127.0.0.1', port }))
  const scheme = options.https === undefined ? 'http' : 'https'
  const urls = ports.map((port) => `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`)
  const [url = ''] = urls
  const sealing = options.secrets?.[SEALING_KEY] ?? (await sealingKey(options.persist))
  const log = heldLog(options.onLog)
  const { Miniflare: Runtime, Log, LogLevel, convertV4MiniflareOptions } = await import('miniflare')

  const runtimeOptions = async (current: Pick<LaunchOptions, 'config' | 'secrets'>): Promise<MiniflareOptions> => {
    const { config, secrets } = current
    const text = typeof config.text === 'string' ? config.text : config.text(url)
    const bindings: Record<string, Json> = { [SEALING_KEY]: sealing, ...secrets }
    const certificates = options.certificates ?? {}
    const { rateLimits, audit } = checkConfiguration(text, config.fileName, bindings, certificates)
    const modules: { type: 'ESModule' | 'Text'; path: string; contents: string }[] = [
      { type: 'ESModule', path: 'worker.mjs', contents: await workerBundle() },
      { type: 'Text', path: 'jagway.jsonc', contents: text },
    ]
    return convertV4MiniflareOptions({
      cf: false,
      telemetry: { enabled: false },
      log: new Log(LogLevel.NONE),
      logRequests: false,
      handleStructuredLogs: (entry) => {
        log.write({ level: entry.level, message: entry.message })
      },
      // Requests go straight to the Worker's own socket: Miniflare's entry Worker rewrites Accept-Encoding and takes
      // paths and headers of its own. Nobody is told where it listens.
      host: '127.0.0.1',
      port: 0,
      ...(options.persist === undefined ? {} : { resourcePersistencePath: resolve(options.persist) }),
      workers: sockets.map((socket, index) => ({
        name: index === 0 ? FIRST : `${FIRST}-${index + 1}`,
        compatibilityDate: COMPATIBILITY_DATE,
        compatibilityFlags: ['global_fetch_strictly_public'],
        modulesRoot: process.cwd(),
        modules,
        bindings,
        kvNamespaces: { TOKENS: 'tokens' },
        serviceBindings: Object.fromEntries(
          Object.entries(certificates).map(([name, pair]) => [name, certifiedNetwork(pair)]),
        ),
        ratelimits: Object.fromEntries(
          [...rateLimits.values()].map(({ binding, limit, periodSeconds }) => [
            binding,
            { namespace_id: binding, simple: { limit, period: periodSeconds } },
          ]),
        ),
        ...auditTrail(audit.queue, index === 0),
        durableObjects: Object.fromEntries(
          Object.entries(OBJECTS).map(([binding, className]) => [
            binding,
            { className, useSQLite: true, ...(index === 0 ? {} : { scriptName: FIRST }) },
          ]),
        ),
        unsafeDirectSockets: [socket],
      })),
    })
  }

  let current: Pick<LaunchOptions, 'config' | 'secrets'> = options
  const runtime = new Runtime(await runtimeOptions(current))
  const fronts: TlsFront[] = []
  try {
    await runtime.ready
    for (const [index, { port: behind }] of sockets.entries()) {
      if (options.https === undefined) break
      fronts.push(await startTlsFront(options.https, { host, port: ports[index] ?? 0, behind }))
    }
    log.release()
  } catch (error) {
    await Promise.all(fronts.map((front) => front.close()))
    await runtime.dispose().catch(() => undefined)
    throw launchError(error)
  }

  return {
    url,
    urls,
    tokens: () => runtime.getKVNamespace('TOKENS', FIRST),
    archive: (binding) => runtime.getR2Bucket(binding, FIRST),
    reload: async (changes = {}) => {
      const next = { config: changes.config ?? current.config, secrets: changes.secrets ?? current.secrets ?? {} }
      const nextOptions = await runtimeOptions(next)
      log.hold()
      try {
        await runtime.setOptions(nextOptions)
        log.release()
      } catch (error) {
        log.hold()
        await runtime.setOptions(await runtimeOptions(current))
        log.release()
        throw launchError(error)
      }
      current = next
    },
    close: async () => {
      await Promise.all(fronts.map((front) => front.close()))
      await runtime.dispose()
    },
  }
}

/**
 * Parses the configuration before workerd starts. The Worker parses it again in its global scope, so nothing rests on
 * this: it only makes the answer to a mistake faster and cleaner.
 */
function checkConfiguration(
  text: string,
  fileName: string,
  secrets: Readonly<Record<string, unknown>>,
  certificates: Readonly<Record<string, unknown>>,
): Config {
  const parsed = parseConfig(text, { fileName, local: true })
  if (!parsed.ok) throw new LaunchError('configuration', renderProblems(text, parsed.error))
  const isThere = (name: string): boolean => Object.hasOwn(secrets, name)
  const unmet: readonly Unmet[] = [
    ...parsed.value.secretNames.filter((name) => !isThere(name)).map((name) => ({ kind: 'secret', name }) as const),
    ...parsed.value.certificateNames
      .filter((name) => !Object.hasOwn(certificates, name))
      .map((name) => ({ kind: 'certificate', name }) as const),
  ]
  if (unmet.length > 0) throw new LaunchError('configuration', renderProblems(text, placeUnmet(unmet, text, fileName)))
  return parsed.value
}

const AUDIT_TRAIL = 'jagway-audit'

/** The queue of audit events and the bucket behind it, by the names the configuration gives them. One instance is the consumer. */
function auditTrail(queue: AuditQueue | undefined, isConsumer: boolean) {
  if (queue === undefined) return {}
  const { binding, bucket } = queue
  return {
    queueProducers: { [binding]: AUDIT_TRAIL },
    ...(bucket === undefined ? {} : { r2Buckets: { [bucket]: AUDIT_TRAIL } }),
    ...(bucket === undefined || !isConsumer
      ? {}
      : { queueConsumers: { [AUDIT_TRAIL]: { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 100 } } }),
  }
}

/** What stands in for a binding of `mtls_certificates`, which exists in the cloud alone: the same, made by workerd itself. */
function certifiedNetwork({ key, cert }: KeyPair) {
  const keypair = { privateKey: key, certificateChain: cert }
  const tlsOptions = { keypair, trustedCertificates: getCACertificates('default') }
  return { network: { allow: ['public', 'private'], tlsOptions } }
}

/** Holds lines back while a Worker starts: what a Worker that failed to start has said is in the error already. */
function heldLog(sink: LaunchOptions['onLog']) {
  let held: LogEntry[] | undefined = []
  return {
    write: (entry: LogEntry) => {
      if (held === undefined) sink?.(entry)
      else held.push(entry)
    },
    hold: () => {
      held = []
    },
    release: () => {
      const lines = held ?? []
      held = undefined
      for (const line of lines) sink?.(line)
    },
  }
}

/** A random key for this run; with a folder the folder keeps it, so that a restart can read its own cache. */
async function sealingKey(persist: string | undefined): Promise<string> {
  const fresh = randomBytes(SEALING_KEY_BYTES).toString('base64url')
  if (persist === undefined) return fresh
  const file = join(persist, 'sealing-key')
  await mkdir(persist, { recursive: true, mode: 0o700 })
  try {
    await writeFile(file, `${fresh}\n`, { mode: 0o600, flag: 'wx' })
    return fresh
  } catch {
    await chmod(file, 0o600)
    return (await readFile(file, 'utf8')).trim()
  }
}

/** Ports are chosen before the start because the configuration's `public_url` may have to name the first one. */
async function claimPorts(host: string, first: number, count: number): Promise<number[]> {
  const probes = Array.from({ length: count }, () => createServer())
  try {
    return await Promise.all(
      probes.map(
        (probe, index) =>
          new Promise<number>((done, fail) => {
            const port = index === 0 ? first : 0
            probe.once('error', (error) => {
              fail(new LaunchError('address', addressMessage(host, port, error)))
            })
            probe.listen({ host, port, exclusive: true }, () => {
              const address = probe.address()
              done(typeof address === 'object' && address !== null ? address.port : port)
            })
          }),
      ),
    )
  } finally {
    await Promise.all(probes.map((probe) => new Promise((done) => probe.close(done))))
  }
}

function addressMessage(host: string, port: number, error: Error): string {
  if ('code' in error && error.code === 'EADDRINUSE')
    return `port ${port} on ${host} is in use by another program: stop it, or give another one with --port`
  if ('code' in error && error.code === 'EACCES') return `port ${port} on ${host} needs rights this user does not have`
  return `cannot listen on ${host}, port ${port}: ${error.message}`
}

/** Turns workerd's report of a Worker that threw while starting into that Worker's own words. */
function launchError(error: unknown): Error {
  if (!(error instanceof Error)) return new LaunchError('worker', String(error))
  if (error.message.includes('Address already in use')) return new LaunchError('address', error.message)
  const thrown = error.message
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [messageOf(line)] : []))
    .find((message) => message.includes('Uncaught'))
  if (thrown === undefined) return new LaunchError('worker', error.message)
  const message = thrown
    .replace(/^service [^ ]+: Uncaught (?:[A-Z][A-Za-z]*: )?/, '')
    .replace(/(?:\n\s+at [^\n]*)+\s*$/, '')
  return new LaunchError('configuration', message)
}

function messageOf(line: string): string {
  try {
    const entry: unknown = JSON.parse(line)
    if (typeof entry === 'object' && entry !== null && 'message' in entry) return String(entry.message)
  } catch {
    // Not one of workerd's structured lines.
  }
  return ''
}
