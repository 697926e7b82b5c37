// `jagway dev`: the gateway with the local world beside it, everything on 127.0.0.1; saving the configuration reloads it.

import { watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineCommand } from 'citty'
import { DEV_CONFIG, GATEWAY_PORT, WORLD_PORTS } from '../../dev/ports.ts'
import { leaveEvent, leaveState, removeState } from '../../dev/state.ts'
import type { World } from '../../dev/world.ts'
import { EXIT, ExitError } from './exit.ts'
import type { ConfigSource, RunningGateway } from './launch.ts'
import { requestLine } from './request-line.ts'
import { launch, parsePort, readInput } from './serve.ts'
import { readSecrets } from './secrets-file.ts'
import { untilStopped } from './signals.ts'

const SETTLE_MS = 50

export default defineCommand({
  meta: { name: 'dev', description: 'Run the gateway with a local identity provider and two local APIs.' },
  args: {
    config: {
      type: 'string',
      valueHint: 'FILE',
      description:
        'The configuration; the local world is started when it speaks of it (default: the local world’s own)',
    },
    port: { type: 'string', valueHint: 'N', default: String(GATEWAY_PORT), description: 'The port of the gateway' },
    secrets: { type: 'string', valueHint: 'FILE', description: 'Further secrets: a JSON object, or lines NAME=value' },
    persist: { type: 'string', valueHint: 'DIR', description: 'Keep the token cache in this folder' },
  },
  async run({ args }) {
    if (args._.length > 0) throw new ExitError(EXIT.usage, `dev takes no argument ${args._.join(' ')}`)
    const port = parsePort(args.port)
    const file = args.config ?? fileURLToPath(DEV_CONFIG)
    const fileName = args.config ?? relative(process.cwd(), file)
    const source = await readInput(file)
    const further = args.secrets === undefined ? {} : readSecrets(args.secrets, await readInput(args.secrets))
    const world = speaksOfWorld(source) ? await openWorld() : undefined
    const configOf = (text: string) => ({
      fileName,
      text: (origin: string) => (world === undefined ? text : world.config(origin, text)),
    })
    let quiet = true
    try {
      const gateway = await launch({
        config: configOf(source),
        secrets: { ...world?.secrets(), ...further },
        port,
        ...(args.persist === undefined ? {} : { persist: args.persist }),
        onLog: (entry) => {
          if (!quiet) console.log(requestLine(entry))
          if (world !== undefined && entry.message.startsWith('{')) leaveEvent(entry.message)
        },
      })
      console.log(banner(gateway.url, world, fileName))
      quiet = false
      const stopWatching = watchFile(file, async () => {
        await reload(gateway, configOf(await readFile(file, 'utf8')))
      })
      await untilStopped(async () => {
        stopWatching()
        await Promise.all([gateway.close(), world?.close()])
      })
      return EXIT.ok
    } finally {
      await world?.close()
      if (world !== undefined) removeState()
    }
  },
})

function speaksOfWorld(text: string): boolean {
  return Object.values(WORLD_PORTS).some((port) => text.includes(`://127.0.0.1:${port}`))
}

async function openWorld(): Promise<World> {
  // Loaded only here: it brings an identity provider with it.
  const { startWorld } = await import('../../dev/world.ts')
  const world = await startWorld({ ports: WORLD_PORTS }).catch((error: unknown) => {
    if (error instanceof Error && error.name === 'PortInUse')
      throw new ExitError(EXIT.unreachable, `the local world cannot start: ${error.message}`)
    throw error
  })
  leaveState({
    process: process.pid,
    issuer: world.idp.issuer,
    certificate: world.certificate,
    loginClients: world.loginClients,
    secrets: world.secrets(),
  })
  return world
}

async function reload(gateway: RunningGateway, config: ConfigSource): Promise<void> {
  try {
    await gateway.reload({ config })
    console.log(`  reloaded ${config.fileName}`)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    console.error(`  ${config.fileName} is refused; the gateway goes on with the one before`)
  }
}

/** Watches the folder, because editors replace a file rather than write into it. */
function watchFile(file: string, changed: () => Promise<void>): () => void {
  let timer: NodeJS.Timeout | undefined
  let running = Promise.resolve()
  const watcher = watch(dirname(file), (_event, name) => {
    if (name !== null && name !== basename(file)) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      running = running.then(changed).catch((error: unknown) => {
        console.error(error instanceof Error ? error.message : error)
      })
    }, SETTLE_MS)
  })
  return () => {
    clearTimeout(timer)
    watcher.close()
  }
}

function banner(url: string, world: World | undefined, fileName: string): string {
  if (world === undefined) return `  jagway dev: ${fileName}\n  gateway   ${url}`
  const people = world.users.map(({ name, groups }) => `${name} (${briefly(groups)})`).join(', ')
  return [
    '  jagway dev: everything on 127.0.0.1, nothing leaves this machine',
    `  gateway   ${url}        users  ${people}`,
    `  idp       ${world.idp.issuer}       tasks  ${world.tasks.origin}   SaaS API with its own authorization server, speaks ID-JAG`,
    `                                         notes  ${world.notes.origin}   another, its authorization server is a Worker`,
    `  try:  curl -s ${url}/r/tasks/v1/todos -H "Authorization: Bearer $(npm run -s login -- ann)"`,
  ].join('\n')
}

/** Everyone is in `everyone`; it is said only of those who are in nothing else. */
function briefly(groups: readonly string[]): string {
  const telling = groups.filter((group) => group !== 'everyone')
  return (telling.length === 0 ? groups : telling).join(', ')
}
