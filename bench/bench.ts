// `npm run bench`: what jagway costs compared with a Worker that only passes requests on.
//
// Two workerd processes, nothing else: in one jagway as `wrangler deploy` uploads it, in the other the bare Worker. Both reach
// the same API, a Worker inside their own process, by `fetch`; so no network stands in the figures, and every microsecond of
// ours counts in full. Rounds alternate (bare, hot, bare, warm, bare, …) and each is divided by the two bare rounds around it,
// because the machine gets faster and slower in the course of a run. A figure is the median of these ratios.
//
//   hot   one caller with one token. Token and credential are in the memory of the isolate.
//   warm  callers whom the isolate does not remember, but whose credentials are in KV: verify, get, unseal, forward.
//
// For `warm`, 5,200 callers first go through another isolate that shares the KV, which is the real exchange 5,200 times. The
// measured isolate then sees them one after the other, and around again. It remembers 2,000 verified tokens and 5,000
// credentials and forgets the oldest first, so whoever comes around has just been forgotten. That it was so is counted by
// the other side: every warm request has read KV once, no hot one has, none of either has caused a token request, and all
// of them reached the API with a token of its own authorization server.
//
// The last line of standard output is the result as JSON. Exit code 1: some answer was not 200, or a count was not as above.

import process from 'node:process'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { load, type Load } from './load.ts'
import type { Runtime } from './runtime.ts'
import { deployedBundle, PREFIX, setStage, type Counts, type Stage } from './stage.ts'
import { createUsers } from './users.ts'

const CONNECTIONS = 16
const PATH = '/v1/items/4711'
/** More than an isolate remembers. */
const USERS = 5_200
const SETTLE_SECONDS = 1

type Plan = { readonly rounds: number; readonly seconds: number; readonly users: number; readonly quick: boolean }
type Mode = 'hot' | 'warm'
type Round = Load & { readonly cpuMicros: number | undefined }

/** One round of jagway between two of the bare Worker. */
type Comparison = { readonly before: Round; readonly own: Round; readonly after: Round }

function readPlan(): Plan {
  const { values } = parseArgs({
    options: { rounds: { type: 'string' }, seconds: { type: 'string' }, quick: { type: 'boolean', default: false } },
  })
  const { quick } = values
  const number = (text: string | undefined, otherwise: number): number => {
    const value = text === undefined ? otherwise : Number(text)
    if (!(value > 0)) throw new Error(`${text} is not a number greater than 0`)
    return value
  }
  return {
    rounds: Math.ceil(number(values.rounds, quick ? 1 : 9)),
    seconds: number(values.seconds, quick ? 0.3 : 1),
    // A smoke test uses nobody twice instead, and ends the round when all have been there.
    users: quick ? 400 : USERS,
    quick,
  }
}

async function measure(
  runtime: Runtime,
  service: string,
  seconds: number,
  next: () => Buffer | undefined,
): Promise<Round> {
  const before = await runtime.cpuSeconds()
  const round = await load({ port: runtime.port(service), connections: CONNECTIONS, seconds, next })
  const after = await runtime.cpuSeconds()
  const [failure] = round.failures
  if (failure !== undefined) throw new Error(`${service}: ${round.failures.length} answers were not 200\n${failure}`)
  if (before === undefined || after === undefined) return { ...round, cpuMicros: undefined }
  return { ...round, cpuMicros: ((after - before) / round.requests) * 1e6 }
}

/** Measures, and asks the other side whether the requests took the way they were meant to take. */
async function measureMode(stage: Stage, mode: Mode, seconds: number, next: () => Buffer | undefined): Promise<Round> {
  const before = await stage.counts()
  const round = await measure(stage.jagway, mode, seconds, next)
  const after = await stage.counts()
  const expected: Counts = {
    upstream: round.requests,
    foreign: 0,
    exchanges: 0,
    redemptions: 0,
    gets: mode === 'warm' ? round.requests : 0,
    misses: 0,
    puts: 0,
  }
  for (const name of Object.keys(expected)) {
    const seen = (after[name] ?? 0) - (before[name] ?? 0)
    if (seen !== expected[name])
      throw new Error(`${mode}: ${seen} ${name} in ${round.requests} requests, not ${expected[name]}`)
  }
  return round
}

async function run(plan: Plan): Promise<object> {
  const [code, users] = await Promise.all([deployedBundle(), createUsers(plan.users, `${PREFIX}${PATH}`)])
  const { requests } = users
  const stage = await setStage(code, users.jwks)
  try {
    const [known] = requests
    const direct = users.toRequest(PATH)
    const cold = requests.values()
    const seeding = await measure(stage.jagway, 'seeding', Infinity, () => cold.next().value)
    describe('cold', seeding)
    let turn = 0
    const lastTurn = plan.quick ? requests.length : Infinity
    const stranger = (): Buffer | undefined => (turn < lastTurn ? requests[turn++ % requests.length] : undefined)

    const bare = (seconds: number): Promise<Round> => measure(stage.bare, 'bare', seconds, () => direct)
    const modes: Readonly<Record<Mode, (seconds: number) => Promise<Round>>> = {
      hot: (seconds) => measureMode(stage, 'hot', seconds, () => known),
      warm: (seconds) => measureMode(stage, 'warm', seconds, stranger),
    }
    await introduce(stage, known)
    if (!plan.quick) for (const settle of [bare, modes.hot, modes.warm]) await settle(SETTLE_SECONDS)

    const compared: Readonly<Record<Mode, Comparison[]>> = { hot: [], warm: [] }
    let before = await bare(plan.seconds)
    describe('bare', before)
    for (let round = 0; round < plan.rounds; round++) {
      for (const mode of ['hot', 'warm'] as const) {
        const own = await modes[mode](plan.seconds)
        describe(mode, own)
        const after = await bare(plan.seconds)
        describe('bare', after)
        compared[mode].push({ before, own, after })
        before = after
      }
    }
    return {
      hot: summary(compared.hot),
      warm: summary(compared.warm),
      rounds: plan.rounds,
      bundle_gzip_bytes: gzipSync(code).length,
    }
  } finally {
    await stage.stop()
  }
}

/** One request at a time until the isolate knows the caller. */
async function introduce(stage: Stage, known: Buffer | undefined): Promise<void> {
  const first = [known].values()
  await load({ port: stage.jagway.port('hot'), connections: 1, seconds: Infinity, next: () => first.next().value })
}

function summary(comparisons: readonly Comparison[]): object {
  const ratio = (of: (round: Round) => number | undefined): number | null => {
    const ratios = comparisons.map(
      ({ before, own, after }) => (2 * (of(own) ?? NaN)) / ((of(before) ?? NaN) + (of(after) ?? NaN)),
    )
    const value = median(ratios)
    return Number.isNaN(value) ? null : rounded(value)
  }
  return {
    throughput_ratio: ratio(({ requests, seconds }) => requests / seconds),
    cpu_ratio: ratio(({ cpuMicros }) => cpuMicros),
    p50_ms: rounded(median(comparisons.map(({ own }) => own.p50Ms))),
    p99_ms: rounded(median(comparisons.map(({ own }) => own.p99Ms))),
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}

function describe(name: string, { requests, seconds, cpuMicros, p50Ms, p99Ms }: Round): void {
  const columns = [
    `${Math.round(requests / seconds)} req/s`,
    cpuMicros === undefined ? '' : `${Math.round(cpuMicros)} µs CPU`,
    `p50 ${p50Ms.toFixed(2)} ms`,
    `p99 ${p99Ms.toFixed(2)} ms`,
  ]
  console.error(name.padEnd(6), ...columns.map((column) => column.padStart(13)))
}

// `exit` takes the child processes along.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
try {
  console.log(JSON.stringify(await run(readPlan())))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
