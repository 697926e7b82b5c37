// Plain workerd, without Miniflare in front of it: the binary of the workerd package and a configuration of its own.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'

const COMPATIBILITY_DATE = '2026-10-23'
/** workerd keeps SQLite objects on a disk only; where there is one made of memory, it is taken. */
const MEMORY_DISK = '/dev/shm'
const OBJECTS = 'objects'
const START_TIMEOUT_MS = 20_000

export type Service = {
  readonly code: string
  /** Further modules of the text kind, by name. */
  readonly texts?: Readonly<Record<string, string>>
  readonly secrets?: Readonly<Record<string, string>>
  /** Binding to service. */
  readonly kv?: Readonly<Record<string, string>>
  /** Binding to class; the classes are the service's own unless `objectsOf` names another service. */
  readonly objects?: Readonly<Record<string, string>>
  readonly objectsOf?: string
  /** The service that `fetch` reaches instead of the network. */
  readonly outbound?: string
  readonly flags?: readonly string[]
}

export type Runtime = {
  /** The port of 127.0.0.1 each service listens at. */
  readonly port: (service: string) => number
  /** User and system time of the process so far, in seconds; undefined where there is no /proc. */
  readonly cpuSeconds: () => Promise<number | undefined>
  readonly stop: () => Promise<void>
}

export async function startRuntime(services: Readonly<Record<string, Service>>): Promise<Runtime> {
  const folder = await mkdtemp(join(existsSync(MEMORY_DISK) ? MEMORY_DISK : tmpdir(), 'jagway-bench-'))
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true })
  try {
    await mkdir(join(folder, OBJECTS))
    await writeFile(join(folder, 'config.capnp'), await configText(folder, services))
    const child = spawn(workerdBinary(), ['serve', 'config.capnp', '--control-fd=3'], {
      cwd: folder,
      // Audit events go the way of all console output here, to the null device: written, not kept.
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    })
    const end = (): void => {
      child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    }
    process.once('exit', end)
    const ports = await listening(child, Object.keys(services))
    return {
      port: (service) => ports.get(service) ?? 0,
      cpuSeconds: () => cpuSeconds(child.pid ?? 0),
      stop: async () => {
        process.off('exit', end)
        await stop(child)
        await remove()
      },
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** The workerd that Miniflare brings along is the one `jagway dev` and the tests run. */
function workerdBinary(): string {
  const fromMiniflare = createRequire(createRequire(import.meta.url).resolve('miniflare'))
  const workerd: { readonly default: string } = fromMiniflare('workerd')
  return workerd.default
}

async function configText(folder: string, services: Readonly<Record<string, Service>>): Promise<string> {
  const workers: string[] = []
  for (const [name, service] of Object.entries(services)) workers.push(await workerText(folder, name, service))
  workers.push(`(name = ${text(OBJECTS)}, disk = (path = ${text(OBJECTS)}, writable = true))`)
  const sockets = Object.keys(services).map(
    (name) => `(name = ${text(name)}, address = "127.0.0.1:0", http = (), service = ${text(name)})`,
  )
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [${workers.join(', ')}], sockets = [${sockets.join(', ')}]);
`
}

async function workerText(folder: string, name: string, service: Service): Promise<string> {
  await writeFile(join(folder, `${name}.mjs`), service.code)
  const modules = [`(name = "worker.mjs", esModule = embed ${text(`${name}.mjs`)})`]
  for (const [path, content] of Object.entries(service.texts ?? {}))
    modules.push(`(name = ${text(path)}, text = ${text(content)})`)
  const objects = Object.entries(service.objects ?? {})
  const own = service.objectsOf === undefined ? objects : []
  const elsewhere = service.objectsOf === undefined ? '' : `, serviceName = ${text(service.objectsOf)}`
  const bindings = [
    ...Object.entries(service.secrets ?? {}).map(
      ([binding, value]) => `(name = ${text(binding)}, text = ${text(value)})`,
    ),
    ...Object.entries(service.kv ?? {}).map(
      ([binding, store]) => `(name = ${text(binding)}, kvNamespace = ${text(store)})`,
    ),
    ...objects.map(
      ([binding, type]) =>
        `(name = ${text(binding)}, durableObjectNamespace = (className = ${text(type)}${elsewhere}))`,
    ),
  ]
  const parts = [
    `modules = [${modules.join(', ')}]`,
    `compatibilityDate = ${text(COMPATIBILITY_DATE)}`,
    `compatibilityFlags = [${(service.flags ?? []).map(text).join(', ')}]`,
    `bindings = [${bindings.join(', ')}]`,
    `durableObjectNamespaces = [${own.map(([, type]) => `(className = ${text(type)}, uniqueKey = ${text(`${name}-${type}`)}, enableSql = true)`).join(', ')}]`,
    ...(own.length === 0 ? [] : [`durableObjectStorage = (localDisk = ${text(OBJECTS)})`]),
    ...(service.outbound === undefined ? [] : [`globalOutbound = ${text(service.outbound)}`]),
  ]
  return `(name = ${text(name)}, worker = (${parts.join(', ')}))`
}

/** A text literal of Cap'n Proto; for printable ASCII and newlines it is written like JSON's. */
function text(value: string): string {
  return JSON.stringify(value)
}

/** workerd reports each socket it opens on the control descriptor, one JSON object a line. */
async function listening(child: ChildProcess, sockets: readonly string[]): Promise<Map<string, number>> {
  const ports = new Map<string, number>()
  let complaints = ''
  child.stderr?.on('data', (chunk: Buffer) => void (complaints = (complaints + chunk.toString()).slice(-4000)))
  const control = child.stdio[3]
  if (!(control instanceof Readable)) throw new Error('workerd has no control descriptor')
  const { promise, resolve, reject } = Promise.withResolvers<Map<string, number>>()
  const fail = (what: string): void => reject(new Error(`workerd ${what}\n${complaints}`))
  const timer = setTimeout(() => fail('did not start in time'), START_TIMEOUT_MS)
  child.once('error', (error) => fail(`cannot be run: ${error.message}`))
  child.once('exit', (code) => fail(`ended with ${code}`))
  createInterface({ input: control }).on('line', (line) => {
    const report: { readonly event?: string; readonly socket?: string; readonly port?: number } = JSON.parse(line)
    if (report.event !== 'listen' || report.socket === undefined || report.port === undefined) return
    ports.set(report.socket, report.port)
    if (sockets.every((socket) => ports.has(socket))) resolve(ports)
  })
  try {
    return await promise
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** proc(5): what each thread has spent on a CPU, in nanoseconds; `/proc/PID/stat` knows it to ten milliseconds only. */
async function cpuSeconds(pid: number): Promise<number | undefined> {
  try {
    const threads = await readdir(`/proc/${pid}/task`)
    const texts = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')))
    return texts.reduce((sum, spent) => sum + Number(spent.split(' ')[0]), 0) / 1e9
  } catch {
    return undefined
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((done) => child.once('exit', done))
  child.kill('SIGKILL')
  await ended
}
