// `npm run check`: everything that is judged without running a test. One line per step; what a failed step had to say
// follows at the end.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { styleText } from 'node:util'
import { gzipSync } from 'node:zlib'
import { checkDependencies } from './dependencies.ts'
import { inspectHouse, type Problem } from './house.ts'

type Outcome = { readonly ok: boolean; readonly remark?: string; readonly output?: string }
type Step = { readonly name: string; readonly run: () => Outcome | Promise<Outcome> }

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const BUNDLE_BUDGET_BYTES = 128 * 1024
const AT_ONCE = Math.min(2, availableParallelism())

const steps: readonly Step[] = [
  { name: 'bundle', run: bundleBudget },
  { name: 'format', run: () => command('prettier', '--check', '--log-level', 'warn', '.') },
  { name: 'types: worker', run: () => command('tsc', '-p', 'tsconfig.worker.json') },
  { name: 'types: node', run: () => command('tsc', '-p', 'tsconfig.node.json') },
  { name: 'types: test', run: () => command('tsc', '-p', 'tsconfig.test.json') },
  { name: 'lint', run: () => command('oxlint') },
  { name: 'house', run: house },
  { name: 'dependencies', run: () => judged(checkDependencies(ROOT)) },
  { name: 'schema', run: () => command('node', 'scripts/schema.ts', '--check') },
  { name: 'errors', run: () => command('node', 'scripts/errors.ts', '--check') },
]

/** Runs a program of this project, found as npm finds it. */
function command(program: string, ...args: readonly string[]): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      PATH: [join(ROOT, 'node_modules', '.bin'), process.env['PATH']].join(delimiter),
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_HIDE_BANNER: 'true',
      CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    },
  })
  let output = ''
  const keep = (chunk: Buffer): void => void (output += chunk.toString())
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  child.on('error', (error) => resolve({ ok: false, output: `${program}: ${error.message}` }))
  child.on('close', (code) => resolve({ ok: code === 0, output }))
  return promise
}

function judged(problems: readonly Problem[]): Outcome {
  const lines = problems.map(({ path, line, message }) => `${path}:${line}  ${message}`)
  return { ok: problems.length === 0, output: lines.join('\n') }
}

function house(): Outcome {
  const { problems, casts, files } = inspectHouse(ROOT)
  return { ...judged(problems), remark: `${files} files, ${casts} casts in src/` }
}

/** Builds what `wrangler deploy` would upload, without an account, and weighs it compressed. */
async function bundleBudget(): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'jagway-bundle-'))
  try {
    const built = await command('wrangler', 'deploy', '--dry-run', '--outdir', folder)
    if (!built.ok) return built
    const modules = readdirSync(folder).filter((name) => !name.endsWith('.map') && name !== 'README.md')
    const bytes = modules.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).length, 0)
    const remark = `${(bytes / 1024).toFixed(1)} KB of ${BUNDLE_BUDGET_BYTES / 1024} KB gzip`
    return { ok: bytes > 0 && bytes < BUNDLE_BUDGET_BYTES, remark, output: `the Worker weighs ${remark}` }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`

async function report({ name, run }: Step): Promise<string | undefined> {
  const start = performance.now()
  const { ok, remark = '', output = '' } = await run()
  const mark = ok ? styleText('green', 'ok    ') : styleText('red', 'failed')
  console.log(`${mark}  ${name.padEnd(14)} ${seconds(start).padStart(7)}  ${remark}`.trimEnd())
  return ok ? undefined : `\n── ${name}\n${output.trimEnd()}`
}

const start = performance.now()
const waiting = [...steps]
const failures: string[] = []

async function work(): Promise<void> {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    const failure = await report(step)
    if (failure !== undefined) failures.push(failure)
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, work))
for (const failure of failures) console.error(failure)
const verdict = failures.length === 0 ? 'all well' : `${failures.length} failed`
console.log(`\ncheck: ${steps.length} steps, ${verdict}, ${seconds(start)}`)
process.exitCode = failures.length === 0 ? 0 : 1
