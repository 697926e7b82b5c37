// `jagway serve`: the Worker alone, in workerd, on this machine.

import { readFile } from 'node:fs/promises'
import { defineCommand } from 'citty'
import { EXIT, ExitError } from './exit.ts'
import {
  launchGateway,
  LaunchError,
  type KeyPair,
  type LaunchOptions,
  type LogEntry,
  type RunningGateway,
} from './launch.ts'
import { parseKeyPairs, readSecrets } from './secrets-file.ts'
import { untilStopped } from './signals.ts'

/** Where http may be spoken: nobody but this machine hears it. */
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost'])

export default defineCommand({
  meta: { name: 'serve', description: 'Run the gateway in workerd, with a configuration and secrets of your own.' },
  args: {
    config: { type: 'string', valueHint: 'FILE', default: 'jagway.jsonc', description: 'The configuration' },
    port: { type: 'string', valueHint: 'N', default: '8787', description: 'The port; 0 takes a free one' },
    host: { type: 'string', valueHint: 'ADDRESS', default: '127.0.0.1', description: 'The address to listen on' },
    secrets: { type: 'string', valueHint: 'FILE', description: 'Secrets: a JSON object, or lines NAME=value' },
    certificates: {
      type: 'string',
      valueHint: 'FILE',
      description: 'Client certificates: { "BINDING": { "cert": FILE, "key": FILE } }',
    },
    persist: { type: 'string', valueHint: 'DIR', description: 'Keep the token cache in this folder' },
    'https-key': { type: 'string', valueHint: 'FILE', description: 'Answer https: the private key, PEM' },
    'https-cert': { type: 'string', valueHint: 'FILE', description: 'Answer https: the certificates, PEM' },
  },
  async run({ args }) {
    if (args._.length > 0) throw new ExitError(EXIT.usage, `serve takes no argument ${args._.join(' ')}`)
    const key = args['https-key']
    const cert = args['https-cert']
    if ((key === undefined) !== (cert === undefined))
      throw new ExitError(EXIT.usage, '--https-key and --https-cert belong together')
    if (key === undefined && !LOOPBACK.has(args.host)) {
      const message = `--host ${args.host} can be reached from elsewhere: give --https-key and --https-cert with it`
      throw new ExitError(EXIT.usage, message)
    }
    let lines: string[] | undefined = []
    const print = ({ level, message }: LogEntry) => {
      if (level === 'warn' || level === 'error') console.error(message)
      else if (lines === undefined) console.log(message)
      else lines.push(message)
    }
    const gateway = await launch({
      config: { fileName: args.config, text: await readInput(args.config) },
      secrets: args.secrets === undefined ? {} : readSecrets(args.secrets, await readInput(args.secrets)),
      ...(args.certificates === undefined ? {} : { certificates: await readCertificates(args.certificates) }),
      host: args.host,
      port: parsePort(args.port),
      ...(args.persist === undefined ? {} : { persist: args.persist }),
      ...(key === undefined || cert === undefined
        ? {}
        : { https: { key: await readInput(key), cert: await readInput(cert) } }),
      onLog: print,
    })
    console.log(`ready ${gateway.url}`)
    for (const line of lines) console.log(line)
    lines = undefined
    await untilStopped(() => gateway.close())
    return EXIT.ok
  },
})

/** The files named in it are found from where the program was started, as every other. */
async function readCertificates(file: string): Promise<Record<string, KeyPair>> {
  const written = parseKeyPairs(file, await readInput(file))
  const read = async ({ cert, key }: KeyPair): Promise<KeyPair> => ({
    cert: await readInput(cert),
    key: await readInput(key),
  })
  const entries = Object.entries(written).map(async ([name, pair]) => [name, await read(pair)] as const)
  return Object.fromEntries(await Promise.all(entries))
}

/** Gives every expected failure to start its exit code. */
export async function launch(options: LaunchOptions): Promise<RunningGateway> {
  try {
    return await launchGateway(options)
  } catch (error) {
    if (error instanceof LaunchError)
      throw new ExitError(error.problem === 'address' ? EXIT.unreachable : EXIT.problems, error.message)
    throw error
  }
}

export async function readInput(file: string): Promise<string> {
  if (file === '') throw new ExitError(EXIT.usage, 'an option wants a file name and has none')
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw new ExitError(EXIT.usage, missing ? `there is no file ${file}` : `cannot read ${file}`)
  }
}

export function parsePort(text: string): number {
  const port = Number(text)
  if (!/^[0-9]{1,5}$/.test(text) || port > 65_535)
    throw new ExitError(EXIT.usage, `--port wants a number from 0 to 65535, not ${text}`)
  return port
}
