// `npm run bench`: what jagway costs compared with a Worker that only passes requests on, and how sparing it is with tokens.
//
// Two workerd processes, nothing else: in one jagway as `wrangler deploy` uploads it, in the other the bare Worker. Both reach
// the same API, a Worker inside their own process, by `fetch`; so no network stands in the figures, and every microsecond of
// ours counts in full. Rounds alternate (bare, hot, bare, warm, bare, floor, bare, …) and each is divided by the two bare rounds around it,
// because the machine gets faster and slower in the course of a run. A figure is the median of these ratios.
//
//   cold    callers nobody has seen yet: verify, ask memory, KV and the flight object, count, exchange, redeem, forward.
//   hot     one caller with one token. Token and credential are in the memory of the isolate.
//   warm    callers whom the isolate does not remember, but whose credentials are in KV: verify, get, unseal, forward.
//   floor   a Worker that makes the calls into the platform that a gateway needs, and nothing else (inside/floor.ts).
//   burst   500 requests at once that miss the same token, half of them at another isolate.
//   economy ID-JAGs of a simulated working day, token requests of warm callers, and how long a revoked token is used.
//   policy  one decision by a thousand rules.
//
// `cold` sends 2,200 callers through one isolate, each once. For `warm` another isolate that shares the KV then sees them one
// after the other, and around again. It remembers 1,000 verified tokens and 2,000 credentials and forgets the oldest first, so
// whoever comes around has just been forgotten. That every round was what it is called is counted by the other side: reads
// and writes of KV, token requests, and that the API was reached with a token of its own authorization server.
//
// The last line of standard output is the result as JSON. Exit code 1: some answer was not 200, a count was not as it has to
// be, or a bound of the economy is broken.

import process from 'node:process'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { MAX_ID_JAGS, simulateDay } from './economy.ts'
import { load, type Load } from './load.ts'
import { MAX_P50_US, measurePolicy } from './policy.ts'
import { judgeRevocations, measureRevocations } from './revoke.ts'
import type { Runtime } from './runtime.ts'
import { deployedBundle, PREFIX, setBare, setGateway, type Counts, type GatewayStage } from './stage.ts'
import { createIssuer, getRequest } from './users.ts'

const CONNECTIONS = 16
const PATH = '/v1/items/4711'
/** More than an isolate remembers. */
const USERS = 2_200
const SETTLE_SECONDS = 1
/** With the first, which settles the isolate, they have all users among them. */
const COLD_ROUNDS = 9
const MAX_STALENESS = '10s'
const BURST_REQUESTS = 500
const BURSTS = 3
/** For writes that no answer waits for. */
const TIDY_MS = 3_000
const PACE_MS = 20
/** workerd puts an object away when nobody has called it for ten seconds; here it would do so on the time of other requests. */
const OBJECTS_END_MS = 13_000

type Plan = { readonly rounds: number; readonly seconds: number; readonly users: number; readonly quick: boolean }
type Mode = 'cold' | 'hot' | 'warm'
type Round = Load & { readonly cpuMicros: number | undefined }
type ModeRound = Round & { readonly tokenCalls: number }
/** What the other side has counted in one round. */
type Seen = (counted: string) => number
type Next = () => Buffer | undefined

/** One round, of jagway or of another Worker, between two of the bare Worker. */
type Comparison<R extends Round = Round> = { readonly before: Round; readonly own: R; readonly after: Round }

type Stage = {
  readonly gateway: GatewayStage<Mode>
  readonly bare: Runtime
}

/** What a request of a mode costs. */
const COSTS: Readonly<Record<Mode, Counts>> = {
  cold: { upstream: 1, foreign: 0, gets: 1, misses: 1, puts: 1, exchanges: 1, redemptions: 1 },
  hot: { upstream: 1, foreign: 0, gets: 0, misses: 0, puts: 0 },
  warm: { upstream: 1, foreign: 0, gets: 1, misses: 0, puts: 0 },
}

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
    rounds: Math.ceil(number(values.rounds, quick ? 1 : 15)),
    seconds: number(values.seconds, quick ? 0.3 : 1),
    // A smoke test uses nobody twice instead, and ends the round when all have been there.
    users: quick ? 400 : USERS,
    quick,
  }
}

async function measure(runtime: Runtime, service: string, seconds: number, next: Next): Promise<Round> {
  const before = await runtime.cpuSeconds()
  const round = await load({ ports: [runtime.port(service)], connections: CONNECTIONS, seconds, next })
  const after = await runtime.cpuSeconds()
  checkAnswers(service, round)
  const measured =
    before === undefined || after === undefined
      ? { ...round, cpuMicros: undefined }
      : { ...round, cpuMicros: ((after - before) / round.requests) * 1e6 }
  describe(service, measured)
  return measured
}

function checkAnswers(name: string, { failures }: Load): void {
  const [failure] = failures
  if (failure !== undefined) throw new Error(`${name}: ${failures.length} answers were not 200\n${failure}`)
}

/** Measures, and asks the other side whether the requests took the way they were meant to take. */
async function measureMode(stage: GatewayStage<Mode>, mode: Mode, seconds: number, next: Next): Promise<ModeRound> {
  const before = await stage.counts()
  const round = await measure(stage.runtime, mode, seconds, next)
  const end = performance.now() + TIDY_MS
  for (;;) {
    const seen = since(before, await stage.counts())
    const wrong = Object.entries(COSTS[mode]).find(([name, each]) => seen(name) !== each * round.requests)
    if (wrong === undefined) return { ...round, tokenCalls: seen('exchanges') + seen('redemptions') }
    const [name, each] = wrong
    if (performance.now() > end)
      throw new Error(`${mode}: ${seen(name)} ${name} in ${round.requests} requests, not ${each} for each`)
    await sleep(PACE_MS)
  }
}

function since(before: Counts, after: Counts): Seen {
  return (name) => (after[name] ?? 0) - (before[name] ?? 0)
}

async function run(plan: Plan): Promise<{ readonly result: object; readonly problems: readonly string[] }> {
  const issuer = await createIssuer()
  const request = async (user: string): Promise<Buffer> => getRequest(`${PREFIX}${PATH}`, await issuer.idToken(user))
  const [code, regular, strangers, slow] = await Promise.all([
    deployedBundle(),
    request('regular'),
    Promise.all(Array.from({ length: plan.users }, (_, index) => request(`user-${index}`))),
    Promise.all(Array.from({ length: plan.quick ? 1 : BURSTS }, (_, index) => request(`slow-${index}`))),
  ])
  const isolates = ['cold', 'hot', 'warm'] as const
  const [gateway, bare] = await Promise.all([
    setGateway({ code, jwks: issuer.jwks, isolates, maxStaleness: MAX_STALENESS }),
    setBare(),
  ])
  try {
    const direct = getRequest(PATH, await issuer.idToken('direct'))
    const coldRounds = await compareCold(plan, { gateway, bare }, direct, strangers)
    const [economy] = await Promise.all([measureEconomy(plan, code), sleep(plan.quick ? 0 : OBJECTS_END_MS)])
    const policy = await measurePolicy(1_000, plan.quick ? 2_000 : 20_000)
    console.error(`policy ${policy.rules} rules: p50 ${policy.p50_us} µs, p99 ${policy.p99_us} µs`)
    const compared = await compareKnown(plan, { gateway, bare }, { direct, regular, strangers })
    const bursts: Burst[] = []
    for (const one of slow) bursts.push(await burst(gateway, one))
    const ofBursts = summarizeBursts(bursts)
    const known = [...compared.hot, ...compared.warm].map(({ own }) => own)
    const tokenCalls = known.reduce((sum, round) => sum + round.tokenCalls, 0)
    const requests = known.reduce((sum, round) => sum + round.requests, 0)
    const problems = [...economy.problems]
    if (tokenCalls > 0) problems.push(`economy: ${tokenCalls} token requests for ${requests} hot and warm ones, not 0`)
    if (policy.p50_us > MAX_P50_US) problems.push(`policy: a decision takes ${policy.p50_us} µs, not ${MAX_P50_US}`)
    if (ofBursts.exchanges !== 1 || ofBursts.redemptions !== 1)
      problems.push(`burst: ${ofBursts.exchanges} exchanges and ${ofBursts.redemptions} redemptions, not one of each`)
    return {
      result: {
        hot: summary(compared.hot),
        warm: summary(compared.warm),
        cold: summary(coldRounds),
        floor: summary(compared.floor),
        burst: ofBursts,
        economy: {
          id_jags_per_user_resource_day: economy.idJags,
          token_calls_per_1000_requests: rounded((tokenCalls / requests) * 1000),
          burst_exchanges: ofBursts.exchanges,
          revoke_to_last_200_seconds: economy.lastSeconds,
          used_after_receipt_at_0s: economy.begunAfterReceipt,
        },
        policy,
        rounds: plan.rounds,
        bundle_gzip_bytes: gzipSync(code).length,
      },
      problems,
    }
  } finally {
    await Promise.all([gateway.stop(), bare.stop()])
  }
}

/** Everybody is new exactly once, so the rounds share them out. The first of these settles the isolate. */
async function compareCold(
  plan: Plan,
  { gateway, bare }: Stage,
  direct: Buffer,
  strangers: readonly Buffer[],
): Promise<readonly Comparison[]> {
  const compared: Comparison[] = []
  const bareRound = (): Promise<Round> => measure(bare, 'bare', plan.seconds, () => direct)
  const coldRound = (requests: readonly Buffer[]): Promise<ModeRound> => {
    const queue = requests.values()
    return measureMode(gateway, 'cold', Infinity, () => queue.next().value)
  }
  const share = Math.ceil(strangers.length / (plan.quick ? 2 : COLD_ROUNDS + 1))
  await coldRound(strangers.slice(0, share))
  if (!plan.quick) await bareRound()
  let before = await bareRound()
  for (let start = share; start < strangers.length; start += share) {
    const own = await coldRound(strangers.slice(start, start + share))
    const after = await bareRound()
    compared.push({ before, own, after })
    before = after
  }
  return compared
}

type Requests = { readonly direct: Buffer; readonly regular: Buffer; readonly strangers: readonly Buffer[] }

type Compared = {
  readonly hot: readonly Comparison<ModeRound>[]
  readonly warm: readonly Comparison<ModeRound>[]
  readonly floor: readonly Comparison[]
}

async function compareKnown(
  plan: Plan,
  { gateway, bare }: Stage,
  { direct, regular, strangers }: Requests,
): Promise<Compared> {
  let turn = 0
  const lastTurn = plan.quick ? strangers.length : Infinity
  const stranger: Next = () => (turn < lastTurn ? strangers[turn++ % strangers.length] : undefined)
  const bareRound = (seconds: number): Promise<Round> => measure(bare, 'bare', seconds, () => direct)
  const modes = {
    hot: (seconds: number) => measureMode(gateway, 'hot', seconds, () => regular),
    warm: (seconds: number) => measureMode(gateway, 'warm', seconds, stranger),
    floor: (seconds: number) => measure(bare, 'floor', seconds, () => regular),
  }
  await introduce(gateway.port('hot'), regular)
  if (!plan.quick) for (const settle of [bareRound, ...Object.values(modes)]) await settle(SETTLE_SECONDS)
  let before = await bareRound(plan.seconds)
  const between = async <R extends Round>(round: (seconds: number) => Promise<R>): Promise<Comparison<R>> => {
    const own = await round(plan.seconds)
    const comparison = { before, own, after: await bareRound(plan.seconds) }
    before = comparison.after
    return comparison
  }
  const compared: { [Name in keyof Compared]: Compared[Name][number][] } = { hot: [], warm: [], floor: [] }
  for (let round = 0; round < plan.rounds; round++) {
    compared.hot.push(await between(modes.hot))
    compared.warm.push(await between(modes.warm))
    compared.floor.push(await between(modes.floor))
  }
  return compared
}

/** One request at a time until the isolate knows the caller. */
async function introduce(port: number, regular: Buffer): Promise<void> {
  const first = [regular].values()
  checkAnswers('hot', await load({ ports: [port], connections: 1, seconds: Infinity, next: () => first.next().value }))
}

type Burst = {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly exchanges: number
  readonly redemptions: number
}

/** All at once, at two isolates; the identity provider takes long enough for everybody to meet. */
async function burst(stage: GatewayStage<Mode>, request: Buffer): Promise<Burst> {
  const before = await stage.counts()
  const queue = Array.from({ length: BURST_REQUESTS }, () => request).values()
  const round = await load({
    ports: [stage.port('hot'), stage.port('warm')],
    connections: BURST_REQUESTS,
    seconds: Infinity,
    next: () => queue.next().value,
  })
  checkAnswers('burst', round)
  const seen = since(before, await stage.counts())
  if (seen('misses') !== BURST_REQUESTS || seen('upstream') !== BURST_REQUESTS)
    throw new Error(`burst: ${seen('misses')} of ${BURST_REQUESTS} missed, ${seen('upstream')} reached the API`)
  describe('burst', { ...round, cpuMicros: undefined })
  const { p50Ms, p99Ms } = round
  return { p50Ms, p99Ms, exchanges: seen('exchanges'), redemptions: seen('redemptions') }
}

/** The worst of the counts, the median of the times. */
function summarizeBursts(bursts: readonly Burst[]) {
  return {
    requests: BURST_REQUESTS,
    exchanges: Math.max(...bursts.map(({ exchanges }) => exchanges)),
    redemptions: Math.max(...bursts.map(({ redemptions }) => redemptions)),
    p50_ms: rounded(median(bursts.map(({ p50Ms }) => p50Ms))),
    p99_ms: rounded(median(bursts.map(({ p99Ms }) => p99Ms))),
  }
}

type Economy = {
  readonly idJags: number
  readonly lastSeconds: number
  readonly begunAfterReceipt: number
  readonly problems: readonly string[]
}

async function measureEconomy({ quick }: Plan, code: string): Promise<Economy> {
  const day = await simulateDay(
    quick ? { users: 2, resources: 2, isolates: 4 } : { users: 6, resources: 4, isolates: 4 },
  )
  console.error(
    `day    ${day.requests} requests, ${day.idJags} ID-JAGs, at most ${day.idJagsPerUserResource} per user and resource`,
  )
  const trials = quick ? 1 : 3
  const revoke = async (maxStalenessSeconds: number) => {
    const figures = await measureRevocations({ code, trials, maxStalenessSeconds, paceMs: PACE_MS })
    const last = Math.max(...figures.lastSeconds)
    console.error(
      `revoke max_staleness ${maxStalenessSeconds}s: last 200 after ${last.toFixed(3)} s,`,
      `${figures.begunAfterReceipt} of ${figures.requestsAfterReceipt} requests after a receipt with the old token`,
    )
    return { last, figures, problem: judgeRevocations(figures, maxStalenessSeconds) }
  }
  const bounded = await revoke(quick ? 1 : 2)
  const asked = await revoke(0)
  const tooMany =
    day.idJagsPerUserResource > MAX_ID_JAGS
      ? `economy: ${day.idJagsPerUserResource} ID-JAGs for one user and resource in a day, not at most ${MAX_ID_JAGS}`
      : undefined
  return {
    idJags: day.idJagsPerUserResource,
    lastSeconds: rounded(bounded.last),
    begunAfterReceipt: asked.figures.begunAfterReceipt,
    problems: [tooMany, bounded.problem, asked.problem].filter((problem) => problem !== undefined),
  }
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

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
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
  const { result, problems } = await run(readPlan())
  for (const problem of problems) console.error(problem)
  console.log(JSON.stringify(result))
  if (problems.length > 0) process.exitCode = 1
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
