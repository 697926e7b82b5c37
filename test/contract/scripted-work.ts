// The work behind the single flight of the contract suite. Its script travels in the job, because on the real ground the
// work runs inside a Durable Object that no test can reach into; what it saw travels back as the sealed entry.
import { fromUtf8, toUtf8 } from '../../src/lib/bytes.ts'
import { numericDate, plusSeconds } from '../../src/lib/numeric-date.ts'
import { isObject } from '../../src/lib/strict-json.ts'
import type { Issuer } from '../../src/parties.ts'
import type { Clock, Landing, Memory, TokenJob, TokenWork } from '../../src/ports.ts'

/** What one run of the work does. `same`: lands with the id of the run before. */
export type Step = 'land' | 'same' | 'refuse' | 'refuse_login' | 'throw'

export interface Script {
  /** Runs are counted by this. */
  readonly key: string
  /** One per run; the last one holds for all further runs. */
  readonly steps: readonly [Step, ...Step[]]
  readonly delayMs: number
  readonly usableForSeconds: number
  /** For its refusals. */
  readonly remember?: Memory
}

/** What a run saw. */
export interface Sight {
  readonly run: number
  readonly kept: string | undefined
  readonly subjectToken: string
  readonly rejectedEntry: string | undefined
  /** When the run began, in milliseconds since the epoch. */
  readonly obtainedAt: number
}

const runs = new Map<string, number>()

export function createScriptedWork(clock: Clock): TokenWork {
  return async (job, kept) => {
    const script = parseScript(job.identity)
    const run = (runs.get(script.key) ?? 0) + 1
    runs.set(script.key, run)
    const obtainedAt = clock.epochMillis()
    await new Promise((resolve) => setTimeout(resolve, script.delayMs))
    const step = script.steps[Math.min(run, script.steps.length) - 1] ?? script.steps[0]
    const ms = { exchange: run, redeem: 1 }
    if (step === 'throw') throw new Error(`run ${run} broke`)
    const remember = script.remember === undefined ? {} : { remember: script.remember }
    if (step === 'refuse')
      return { refusal: { code: 'IDP112', detail: `run ${run}`, retryAfterSeconds: 7 }, ms, ...remember }
    if (step === 'refuse_login') return { refusal: { code: 'IDP101', detail: `run ${run}` }, ms, ...remember }
    const { subject, rejectedEntry } = job
    const { token: subjectToken } = subject
    const sight: Sight = { run, kept: kept?.id, subjectToken, rejectedEntry, obtainedAt }
    return {
      kept: {
        id: idOf(script.key, step === 'same' ? run - 1 : run),
        sealed: toUtf8(JSON.stringify(sight)),
        usableUntil: plusSeconds(clock.now(), script.usableForSeconds),
        obtainedAt,
      },
      ms,
      quota: { used: run, limit: 100, warning: false },
    }
  }
}

/** The id of the entry that a run lands. */
export function idOf(key: string, run: number): string {
  return `${key}#${run}`
}

export interface JobOptions extends Partial<Omit<TokenJob, 'identity' | 'subject'>> {
  readonly subjectToken?: string
  readonly script?: Partial<Script>
}

/** A job for a key of its own, unless a key is given. */
export function createJob(options: JobOptions = {}): TokenJob {
  const { script, subjectToken = 'header.payload.signature', ...job } = options
  const whole: Script = { key: crypto.randomUUID(), steps: ['land'], delayMs: 20, usableForSeconds: 600, ...script }
  return {
    name: 't1:user:client:resource',
    idp: 'acme',
    idpClient: 'acme/web',
    resource: 'orders',
    caller: 'web',
    scopes: ['orders.read'],
    details: undefined,
    actor: undefined,
    subject: { kind: 'id_token', token: subjectToken },
    minRemainingSeconds: 60,
    rejectedEntry: undefined,
    forLogin: false,
    place: 'place',
    signedInAt: numericDate(0),
    manner: '',
    loginAt: numericDate(0),
    tokensUntil: 0,
    owner: { issuer: issuer('https://acme.example'), user: 'alice', tenant: undefined },
    ...job,
    identity: JSON.stringify(whole),
  }
}

/** What the run saw that made this entry; throws if nothing landed. */
export function sightOf(landing: Landing): Sight {
  if (!landing.landed) throw new Error(`nothing landed: ${landing.refusal.code}`)
  const text = fromUtf8(landing.sealed)
  const seen: unknown = text.ok ? JSON.parse(text.value) : undefined
  if (!isObject(seen)) throw new Error('the entry was damaged')
  const { run, kept, subjectToken, rejectedEntry, obtainedAt } = seen
  return {
    run: Number(run),
    kept: textOf(kept),
    subjectToken: String(subjectToken),
    rejectedEntry: textOf(rejectedEntry),
    obtainedAt: Number(obtainedAt),
  }
}

export function issuer(text: string): Issuer {
  if (!isIssuer(text)) throw new Error('this cannot happen')
  return text
}

/** Any text may stand for an issuer here. */
function isIssuer(_text: string): _text is Issuer {
  return true
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function parseScript(identity: string): Script {
  const script: Script = JSON.parse(identity)
  return script
}
