// `jagway doctor`: goes out and looks whether what a configuration says is so: at the identity providers, the authorization
// servers, the APIs, and in what would be deployed. Says what to change, and where.

import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import process from 'node:process'
import { defineCommand } from 'citty'
import type { WorldState } from '../../dev/state.ts'
import { createLocator, lintConfig, parseConfig, saysLocal, type Config } from '../config/config.ts'
import { Secret } from '../lib/secret.ts'
import type { SecretName } from '../parties.ts'
import { examineDeployment } from './doctor/deployment.ts'
import { examine } from './doctor/examine.ts'
import { inWrangler, type Check } from './doctor/finding.ts'
import { createReport, toJson, toText, type Report, type Sheet } from './doctor/report.ts'
import { examineSecrets } from './doctor/secrets.ts'
import { openTools } from './doctor/tools.ts'
import { readWranglerFile } from './doctor/wrangler.ts'
import { EXIT, ExitError } from './exit.ts'
import { fromEnvironment, idTokenOf, plain, runningWorld, signInLocally } from './id-token.ts'
import { startProgress } from './progress.ts'
import { readSecrets } from './secrets-file.ts'
import { readInput } from './serve.ts'

export default defineCommand({
  meta: { name: 'doctor', description: 'Look whether the servers and the deployment are as the configuration says.' },
  args: {
    config: { type: 'string', valueHint: 'FILE', default: 'jagway.jsonc', description: 'The configuration' },
    secrets: {
      type: 'string',
      valueHint: 'FILE',
      description: 'Secrets: a JSON object, or lines NAME=value (default: the environment)',
    },
    wrangler: {
      type: 'string',
      valueHint: 'FILE',
      description: 'How the Worker is deployed (default: wrangler.toml, .jsonc or .json beside the configuration)',
    },
    token: { type: 'string', valueHint: '-', description: 'With - judge an ID token from standard input' },
    as: { type: 'string', valueHint: 'USER', description: 'Judge the ID token of this user of the local world' },
    probe: { type: 'boolean', description: 'Run the whole chain with that token; costs one ID-JAG per resource' },
    strict: { type: 'boolean', description: 'Amber counts as red' },
    json: { type: 'boolean', description: 'Print JSON' },
    local: { type: 'boolean', description: 'Allow http to this machine (default: when public_url is such an address)' },
  },
  async run({ args }) {
    if (args._.length > 0)
      throw new ExitError(EXIT.usage, `doctor takes no argument ${plain(args._.join(' '))}: the file is --config`)
    if (args.probe === true && args.token === undefined && args.as === undefined)
      throw new ExitError(
        EXIT.usage,
        '--probe runs the chain with a token: give --token - or, in the local world, --as',
      )
    const text = await readInput(args.config)
    const idToken: Order['idToken'] = (aboutWorld) =>
      idTokenOf(args, (user) => {
        if (!aboutWorld) throw new ExitError(EXIT.usage, NO_WORLD)
        return signInLocally(user)
      })
    const { strict, probe } = { strict: args.strict === true, probe: args.probe === true }
    const report = await diagnose({ ...args, text, idToken, strict, probe })
    const color = process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === ''
    console.log(args.json === true ? toJson(report) : toText(report, color))
    return report.exitCode
  },
})

const NO_WORLD = '--as works with the local world only: this configuration is not about one that runs'

export interface Order {
  readonly config: string
  readonly text: string
  readonly secrets?: string | undefined
  readonly wrangler?: string | undefined
  /** A user's ID token; undefined: none. `aboutWorld`: the configuration is about the local world that runs now. */
  readonly idToken: (aboutWorld: boolean) => Promise<string | undefined>
  readonly probe: boolean
  readonly strict: boolean
  readonly local?: boolean | undefined
}

export async function diagnose(order: Order): Promise<Report> {
  const { config: fileName, text, strict } = order
  const local = order.local ?? saysLocal(text)
  const sheet: Sheet = { fileName, text, locate: createLocator(text) }
  const options = { mode: local ? 'local' : 'production', strict } as const
  const parsed = parseConfig(text, { fileName, local })
  if (!parsed.ok) return createReport([], parsed.error, { ...options, sheets: { config: sheet } })
  const config = parsed.value
  const world = await worldOf(config)
  const secrets = await openSecrets(order.secrets, world)
  const token = await order.idToken(world !== undefined)
  const tools = openTools(config, text, local, secrets.valueOf)
  const deployment = await lookAtDeployment(order, config)
  const progress = startProgress(`looking at ${fileName}`)
  const checks = await examine(tools, { token, probe: order.probe }, progress.watch).finally(progress.stop)
  const all = [examineSecrets(tools, secrets.source), ...checks, ...deployment.checks]
  return createReport(all, lintConfig(config, text, fileName, Date.now()), {
    ...options,
    sheets: { config: sheet, wrangler: deployment.sheet },
  })
}

/** The local world, where it runs and the configuration is about it; its certificate is then trusted here. */
async function worldOf({ idpsByIssuer }: Config): Promise<WorldState | undefined> {
  return runningWorld(({ issuer }) => idpsByIssuer.has(issuer))
}

interface OpenSecrets {
  /** Where they come from, in words; undefined: nobody said. */
  readonly source: string | undefined
  readonly valueOf: (name: SecretName) => Secret | undefined
}

async function openSecrets(file: string | undefined, world: WorldState | undefined): Promise<OpenSecrets> {
  const values = file === undefined ? world?.secrets : readSecrets(file, await readInput(file))
  return {
    source: file ?? (world === undefined ? undefined : 'the local world'),
    valueOf: (name) => {
      const value = values !== undefined && Object.hasOwn(values, name) ? values[name] : fromEnvironment(name)
      return value === undefined ? undefined : new Secret(value)
    },
  }
}

interface Deployment {
  readonly checks: readonly Check[]
  readonly sheet: Sheet | undefined
}

async function lookAtDeployment(order: Order, config: Config): Promise<Deployment> {
  const fileName = order.wrangler ?? besides(order.config)
  if (fileName === undefined) return { checks: [], sheet: undefined }
  const text = await readInput(fileName)
  const read = readWranglerFile(fileName, text)
  if (read.ok) return { checks: examineDeployment(read.value, { config }), sheet: read.value }
  const message = `${basename(fileName)} cannot be read: there is a mistake here`
  const check: Check = {
    about: fileName,
    name: 'form',
    says: 'cannot be read',
    findings: [{ code: 'DOC117', message, places: [inWrangler([])] }],
  }
  return { checks: [check], sheet: { fileName, text, locate: () => read.error } }
}

function besides(config: string): string | undefined {
  const folder = dirname(config)
  return ['wrangler.toml', 'wrangler.jsonc', 'wrangler.json']
    .map((name) => join(folder, name))
    .find((file) => existsSync(file))
}
