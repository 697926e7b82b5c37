// How long a revoked token goes on being used: `node bench/revoke.ts --trials 50 --max-staleness 10s`, and in small a part of
// `npm run bench`.
//
// Two isolates of the deployed Worker share the Durable Objects and KV. In each trial one user sends requests to both at a
// steady pace, an administrator revokes through the administration, and the API, which tells the number of the token it was
// shown, says which answers still went out with the old one. Odd trials revoke the user's token for one resource, so that the
// same ID token brings a new one at once; even trials revoke the user, who is then refused.
//
// Exit code 1: with `--max-staleness 0s`, a request that began after the receipt was answered 200 with the old token; else,
// such an answer arrived later after the receipt than the bound allows; or a revocation that was not seen to work.

import process from 'node:process'
import { parseArgs } from 'node:util'
import { bodyOf, isOk, openLines } from './load.ts'
import { ADMINS, deployedBundle, PREFIX, setGateway, type GatewayStage } from './stage.ts'
import { createIssuer, getRequest, postRequest, type Issuer } from './users.ts'

export type RevocationPlan = {
  readonly code: string
  readonly trials: number
  readonly maxStalenessSeconds: number
  /** Each user asks each isolate this often. */
  readonly paceMs: number
}

export type RevocationFigures = {
  /** From the receipt to the arrival of the last 200 with the old token: of every trial. */
  readonly lastSeconds: readonly number[]
  /** Requests that began after the receipt and were answered 200 with the old token. */
  readonly begunAfterReceipt: number
  /** All requests that began after a receipt. */
  readonly requestsAfterReceipt: number
}

type Isolate = 'one' | 'two'

type TrialFigures = { lastSeconds: number; begunAfterReceipt: number; requestsAfterReceipt: number }

type Answer = { readonly startedAt: number; readonly endedAt: number; readonly token: string | undefined }

const PATH = `${PREFIX}/v1/token`
const REVOCATIONS = '/admin/api/revocations'
const DEFAULT_PACE_MS = 40
const SLOW_PACE_MS = 1_000
/** How long the load goes on after the bound has passed: long enough to see that it did. */
const AFTERMATH_MS = 1_000
const FIRST_REVOCATION_MS = 300
/** Even shares of the bound, in an order without a rhythm. */
const GOLDEN = (Math.sqrt(5) - 1) / 2

export async function measureRevocations(plan: RevocationPlan): Promise<RevocationFigures> {
  const issuer = await createIssuer()
  const stage = await setGateway<Isolate>({
    code: plan.code,
    jwks: issuer.jwks,
    isolates: ['one', 'two'],
    maxStaleness: `${plan.maxStalenessSeconds}s`,
  })
  try {
    const admin = await issuer.idToken('root', { groups: [ADMINS] })
    const metronome = createMetronome(plan.paceMs)
    try {
      // Trials overlap, each with a user of its own. At a slow pace they do not spread: then they would keep each other's
      // isolate awake, and its knowledge young.
      const spreadMs = plan.paceMs >= SLOW_PACE_MS ? 0 : Math.max(100, plan.maxStalenessSeconds * 90)
      const trials = Array.from({ length: plan.trials }, async (_, index) => {
        await sleep(index * spreadMs)
        return runTrial(index, plan, stage, issuer, admin, metronome)
      })
      const results = await Promise.all(trials)
      return {
        lastSeconds: results.map(({ lastSeconds }) => lastSeconds),
        begunAfterReceipt: results.reduce((sum, { begunAfterReceipt }) => sum + begunAfterReceipt, 0),
        requestsAfterReceipt: results.reduce((sum, { requestsAfterReceipt }) => sum + requestsAfterReceipt, 0),
      }
    } finally {
      metronome.stop()
    }
  } finally {
    await stage.stop()
  }
}

/** What is wrong with the figures, if anything is. */
export function judgeRevocations(figures: RevocationFigures, maxStalenessSeconds: number): string | undefined {
  if (maxStalenessSeconds === 0) {
    const { begunAfterReceipt } = figures
    return begunAfterReceipt === 0
      ? undefined
      : `revocation: ${begunAfterReceipt} requests that began after the receipt were answered with the old token`
  }
  const last = Math.max(...figures.lastSeconds)
  return last <= maxStalenessSeconds
    ? undefined
    : `revocation: the old token was used ${last.toFixed(3)} s after the receipt, not at most ${maxStalenessSeconds}`
}

async function runTrial(
  index: number,
  { maxStalenessSeconds, paceMs }: RevocationPlan,
  stage: GatewayStage<Isolate>,
  issuer: Issuer,
  admin: string,
  metronome: Metronome,
): Promise<TrialFigures> {
  const user = `user-${index}`
  const request = getRequest(PATH, await issuer.idToken(user))
  const ports = [stage.port('one'), stage.port('two')]
  const old = await introduce(ports, request)
  // The server does not keep a connection that rests for seconds.
  const lines = paceMs >= SLOW_PACE_MS ? [] : await openLines(ports)
  const broken = Promise.race(lines.map((line) => line.broken))
  const answers = ports.map((): Answer[] => [])
  const beat = (): void => {
    for (const [at, port] of ports.entries()) {
      const line = lines[at]
      if (line?.isBusy === true) continue
      const startedAt = performance.now()
      const answered = (answer: Buffer): void => {
        const token = isOk(answer) ? bodyOf(answer) : undefined
        answers[at]?.push({ startedAt, endedAt: performance.now(), token })
      }
      if (line === undefined) void askAlone(port, request).then(answered)
      else line.ask(request, answered)
    }
  }
  const whole = async (): Promise<TrialFigures> => {
    const period = Math.max(maxStalenessSeconds * 500, paceMs)
    await sleep(FIRST_REVOCATION_MS + paceMs + period * ((index * GOLDEN) % 1))
    const selector = index % 2 === 0 ? { user } : { user, resource: 'items' }
    const receipt = await askAlone(ports[index % ports.length] ?? 0, postRequest(REVOCATIONS, admin, selector))
    const receiptAt = performance.now()
    if (!isOk(receipt)) throw new Error(`the revocation was refused\n${receipt.toString('latin1', 0, 800)}`)
    await sleep(maxStalenessSeconds * 1000 + Math.max(AFTERMATH_MS, 2 * paceMs))
    return judgeTrial(answers, old, receiptAt)
  }
  const leave = metronome.join(beat)
  try {
    return await Promise.race([broken, whole()])
  } finally {
    leave()
    for (const line of lines) line.close()
  }
}

/** One request at each isolate; both must have brought the same token. */
async function introduce(ports: readonly number[], request: Buffer): Promise<string> {
  const tokens = new Set<string>()
  for (const port of ports) {
    const answer = await askAlone(port, request)
    if (!isOk(answer)) throw new Error(`not a 200 before the revocation\n${answer.toString('latin1', 0, 400)}`)
    tokens.add(bodyOf(answer))
  }
  const [token] = tokens
  if (token === undefined || tokens.size > 1) throw new Error('two isolates, two tokens')
  return token
}

function judgeTrial(answers: readonly (readonly Answer[])[], old: string, receiptAt: number): TrialFigures {
  for (const ofIsolate of answers) {
    const last = ofIsolate.at(-1)
    if (last === undefined || last.token === old) throw new Error('the load has not seen the end of the old token')
    if (!ofIsolate.some(({ endedAt, token }) => endedAt < receiptAt && token === old))
      throw new Error('the load had not begun before the receipt')
  }
  const all = answers.flat()
  const withOld = all.filter(({ token }) => token === old)
  return {
    lastSeconds: Math.max(0, ...withOld.map(({ endedAt }) => (endedAt - receiptAt) / 1000)),
    begunAfterReceipt: withOld.filter(({ startedAt }) => startedAt > receiptAt).length,
    requestsAfterReceipt: all.filter(({ startedAt }) => startedAt > receiptAt).length,
  }
}

/** On a connection of its own. */
async function askAlone(port: number, request: Buffer): Promise<Buffer> {
  const [line] = await openLines([port])
  if (line === undefined) throw new Error('no connection')
  try {
    return await Promise.race([line.broken, new Promise<Buffer>((done) => line.ask(request, done))])
  } finally {
    line.close()
  }
}

type Metronome = { readonly join: (beat: () => void) => () => void; readonly stop: () => void }

/** One beat for all trials. */
function createMetronome(paceMs: number): Metronome {
  const beats = new Set<() => void>()
  const timer = setInterval(() => {
    for (const beat of beats) beat()
  }, paceMs)
  return {
    join(beat) {
      beats.add(beat)
      return () => beats.delete(beat)
    },
    stop: () => clearInterval(timer),
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      trials: { type: 'string', default: '50' },
      'max-staleness': { type: 'string', default: '10s' },
      'pace-ms': { type: 'string', default: String(DEFAULT_PACE_MS) },
    },
  })
  const [, seconds] = /^(\d+)s$/.exec(values['max-staleness']) ?? []
  const numbers = { trials: Number(values.trials), seconds: Number(seconds), paceMs: Number(values['pace-ms']) }
  if (!(numbers.trials >= 1 && numbers.seconds >= 0 && numbers.paceMs >= 1))
    throw new Error('usage: node bench/revoke.ts [--trials 50] [--max-staleness 10s] [--pace-ms 40]')
  const figures = await measureRevocations({
    code: await deployedBundle(),
    trials: numbers.trials,
    maxStalenessSeconds: numbers.seconds,
    paceMs: numbers.paceMs,
  })
  const last = figures.lastSeconds.toSorted((a, b) => a - b)
  const rounded = (value: number | undefined): number => Math.round((value ?? 0) * 1000) / 1000
  console.log(
    JSON.stringify({
      trials: last.length,
      max_staleness_seconds: numbers.seconds,
      pace_ms: numbers.paceMs,
      revoke_to_last_200_seconds: {
        median: rounded(last[Math.floor(last.length / 2)]),
        max: rounded(last.at(-1)),
      },
      begun_after_receipt: figures.begunAfterReceipt,
      requests_after_receipt: figures.requestsAfterReceipt,
    }),
  )
  const problem = judgeRevocations(figures, numbers.seconds)
  if (problem !== undefined) throw new Error(problem)
}

if (import.meta.main) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  try {
    await main()
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
