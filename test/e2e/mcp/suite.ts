// Runs the MCP conformance suite as its users do, by its program, and reads the checks it wrote.

import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as v from 'valibot'

export type Check = { readonly scenario: string; readonly id: string; readonly status: string; readonly error: string }

export type SuiteRun = {
  readonly exitCode: number | null
  readonly output: string
  /** In the order in which the suite made them, by scenario. */
  readonly checks: readonly Check[]
}

const PROGRAM = join(
  dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json')),
  'dist/index.js',
)

const checksSchema = v.array(v.object({ id: v.string(), status: v.string(), errorMessage: v.optional(v.string(), '') }))

/** Some checks give a server half a second, which a busy machine may need for itself. */
const TRIES = 3

export function isGood({ status }: Check): boolean {
  return status === 'SUCCESS' || status === 'INFO'
}

/** What a server is asked, and what is known beforehand not to be there. */
export type Examination = { readonly url: string; readonly revision: string; readonly notOffered: RegExp }

/** All server scenarios of a revision of the protocol. */
export async function examine({ url, revision }: Examination): Promise<readonly Check[]> {
  const { checks } = await runSuite(['server', '--url', url, '--requirements', revision])
  return checks
}

/** Runs the scenarios again that found fault with something, alone: a fault that is one is found again. */
export async function reexamine(
  { url, revision, notOffered }: Examination,
  checks: readonly Check[],
): Promise<readonly Check[]> {
  let last = checks
  for (let count = 1; count < TRIES; count++) {
    const doubtful = last.filter((check) => !isGood(check) && !notOffered.test(check.scenario))
    for (const scenario of new Set(doubtful.map((check) => check.scenario))) {
      const name = scenario.replace(/^server-/, '')
      const again = await runSuite(['server', '--url', url, '--scenario', name, '--spec-version', revision])
      const at = last.findIndex((check) => check.scenario === scenario)
      last = last.flatMap((check, index) => {
        if (check.scenario !== scenario) return [check]
        return index === at ? again.checks : []
      })
    }
  }
  return last
}

export async function runSuite(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<SuiteRun> {
  const folder = await mkdtemp(join(tmpdir(), 'jagway-mcp-'))
  try {
    const child = spawn(process.execPath, [PROGRAM, ...args, '--output-dir', folder], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', ...env },
    })
    let output = ''
    const keep = (chunk: Buffer) => void (output += chunk.toString())
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const exitCode = await new Promise<number | null>((done, fail) => {
      child.once('error', fail)
      child.once('close', done)
    })
    return { exitCode, output, checks: await readChecks(folder) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function readChecks(folder: string): Promise<readonly Check[]> {
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('checks.json')).toSorted()
  const read = files.map(async (file) => {
    // Folders are named after the scenario and the time.
    const scenario = dirname(file).replace(/-\d{4}-\d{2}-\d{2}T.*$/, '')
    const checks = v.parse(checksSchema, JSON.parse(await readFile(join(folder, file), 'utf8')))
    return checks.map(({ id, status, errorMessage }) => ({ scenario, id, status, error: errorMessage }))
  })
  return (await Promise.all(read)).flat()
}
