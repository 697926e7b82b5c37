// The work on subject tokens of the contract suite. As in scripted-work.ts the script travels in the job, and what a run saw
// travels back as its entry.
import { fromUtf8, toUtf8 } from '../../src/lib/bytes.ts'
import { plusSeconds } from '../../src/lib/numeric-date.ts'
import { isObject } from '../../src/lib/strict-json.ts'
import type { Clock, Landing, SubjectJob, SubjectWork } from '../../src/ports.ts'

/** `keep_and_throw`, `keep_and_refuse`: what has been kept stays kept. */
export type SubjectStep = 'land' | 'refuse' | 'refuse_for_a_while' | 'throw' | 'keep_and_throw' | 'keep_and_refuse'

interface Script {
  readonly step: SubjectStep
  readonly delayMs: number
  readonly rememberForSeconds: number
  /** Anything that makes it another wish. */
  readonly wish: string
}

/** What a run saw. */
export interface SubjectSight {
  /** Runs of this subject token so far, as they are remembered. */
  readonly run: number
  /** How many runs of this name were under way, this one included. */
  readonly atOnce: number
  readonly insteadOf: string | undefined
}

const underWay = new Map<string, number>()

export function createScriptedSubjectWork(clock: Clock): SubjectWork {
  return async (job, state, keep) => {
    const script = parseScript(job.identity)
    const atOnce = (underWay.get(job.name) ?? 0) + 1
    underWay.set(job.name, atOnce)
    try {
      const text = state && fromUtf8(state.sealed)
      const run = (text?.ok === true ? Number(text.value) : 0) + 1
      await new Promise((resolve) => setTimeout(resolve, script.delayMs))
      const ms = { exchange: run }
      if (script.step === 'throw') throw new Error(`run ${run} broke`)
      if (script.step === 'refuse') return { refusal: { code: 'IDP112', detail: `run ${run}` }, ms }
      if (script.step === 'refuse_for_a_while') {
        const remember = { seconds: script.rememberForSeconds, sameTokenOnly: true }
        return { refusal: { code: 'IDP101', detail: `run ${run}` }, ms, remember }
      }
      await keep({ sealed: toUtf8(String(run)), until: plusSeconds(clock.now(), script.rememberForSeconds) })
      if (script.step === 'keep_and_throw') throw new Error(`run ${run} broke`)
      if (script.step === 'keep_and_refuse') return { refusal: { code: 'IDP109', detail: `run ${run}` }, ms }
      const sight: SubjectSight = { run, atOnce, insteadOf: job.insteadOf }
      return { sealed: toUtf8(JSON.stringify(sight)), fresh: true, ms, quota: { used: run, limit: 9, warning: false } }
    } finally {
      underWay.set(job.name, (underWay.get(job.name) ?? 1) - 1)
    }
  }
}

export function createSubjectJob(
  script: Partial<Script> = {},
  changes: Partial<Omit<SubjectJob, 'identity'>> = {},
): SubjectJob {
  const whole: Script = { step: 'land', delayMs: 20, rememberForSeconds: 600, wish: 'tasks', ...script }
  return {
    name: `s1.${crypto.randomUUID()}`,
    olderNames: [],
    entryName: 's1.a.b.c.d',
    idp: 'acme',
    idpClient: 'web',
    resource: 'orders',
    caller: 'web',
    scopes: ['orders.read'],
    details: undefined,
    actor: undefined,
    place: 'place',
    kind: 'refresh_token',
    token: 'refresh',
    insteadOf: undefined,
    tokensUntil: 0,
    ...changes,
    identity: JSON.stringify(whole),
  }
}

/** What the run saw that made this entry; throws if nothing landed. */
export function subjectSightOf(landing: Landing): SubjectSight {
  if (!landing.landed) throw new Error(`nothing landed: ${landing.refusal.code}`)
  const text = fromUtf8(landing.sealed)
  const seen: unknown = text.ok ? JSON.parse(text.value) : undefined
  if (!isObject(seen)) throw new Error('the entry was damaged')
  const { run, atOnce, insteadOf } = seen
  return { run: Number(run), atOnce: Number(atOnce), insteadOf: typeof insteadOf === 'string' ? insteadOf : undefined }
}

const STEPS: readonly SubjectStep[] = [
  'land',
  'refuse',
  'refuse_for_a_while',
  'throw',
  'keep_and_throw',
  'keep_and_refuse',
]

function parseScript(text: string): Script {
  const script: unknown = JSON.parse(text)
  if (!isObject(script)) throw new Error('a script is an object')
  const step = STEPS.find((known) => known === script['step'])
  if (step === undefined) throw new Error('no such step')
  return {
    step,
    delayMs: Number(script['delayMs']),
    rememberForSeconds: Number(script['rememberForSeconds']),
    wish: String(script['wish']),
  }
}
