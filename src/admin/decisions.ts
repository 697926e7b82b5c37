// What was decided lately, how often, and what each rule had to do with it: the decision log as administrators ask for it.
// Nothing here is the record that auditors keep; how much is missing is said.
import type { Config } from '../config/config.ts'
import type { RevocationSelector } from '../connection.ts'
import type { Outcome } from '../decision.ts'
import { parseDateTime } from '../lib/date-time.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { toJson } from '../oauth/answers.ts'
import type { Clock, DecisionLog } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { malformed, parseSelector, readQuery, selectorOf, toTime } from './input.ts'

/** One question to the log. */
export interface Look {
  readonly ports: { readonly config: Config; readonly decisions: DecisionLog; readonly clock: Clock }
  readonly search: string
  readonly note: (record: {
    readonly selector?: RevocationSelector
    readonly counts?: Readonly<Record<string, number>>
  }) => void
}

const LIMIT = { default: 100, max: 500 } as const
const OUTCOMES: readonly Outcome[] = ['allow', 'deny', 'error']
/** The last of a page, as the next one is asked for. Its time is one of ours, and its id a request id. */
const PLACE = /^(\d{4}-\d{2}-\d{2}T[0-9:.]{8,12}Z)_(req_[0-9a-f]{32})$/
const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
const DAYS = { default: 90, max: 90 } as const

export async function listDecisions({ ports, search, note }: Look): Promise<Result<Response, Refusal>> {
  const query = readQuery(search, ['user', 'client', 'resource', 'outcome', 'before', 'limit'])
  if (!query.ok) return query
  const selector = parseSelector(selectorOf(query.value), ports.config)
  if (!selector.ok) return selector
  const written = query.value.get('outcome')
  const outcome = OUTCOMES.find((each) => each === written)
  if (written !== undefined && outcome === undefined) return malformed('outcome', 'not allow, deny or error')
  const place = query.value.get('before')
  const [, time, id] = PLACE.exec(place ?? '') ?? []
  const before = time === undefined || id === undefined ? undefined : { time, id }
  if (place !== undefined && before === undefined) return malformed('before', 'not the next of a page')
  const limit = parseNumber(query.value.get('limit'), LIMIT)
  if (limit === undefined) return malformed('limit', `not a number from 1 to ${LIMIT.max}`)

  note({ selector: selector.value })
  const filter = {
    ...selector.value,
    limit,
    ...(outcome === undefined ? {} : { outcome }),
    ...(before === undefined ? {} : { before }),
  }
  const found = await ports.decisions.list(filter).catch(() => undefined)
  if (found === undefined) return logFailed()
  note({ counts: { decisions: found.decisions.length } })
  const last = found.more ? found.decisions.at(-1) : undefined
  const next = last === undefined ? {} : { next: `${last.time}_${last.id}` }
  return ok(toJson({ decisions: found.decisions, more: found.more, ...next }))
}

/** By hours, each of them whole. */
export async function readCounters({ ports, search, note }: Look): Promise<Result<Response, Refusal>> {
  const query = readQuery(search, ['from', 'to'])
  if (!query.ok) return query
  const now = ports.clock.epochMillis()
  const to = timeOf(query.value.get('to'), now)
  if (to === undefined) return err({ code: 'ADM106', name: 'to' })
  const from = timeOf(query.value.get('from'), to - DAY_MS)
  if (from === undefined || from > to) return err({ code: 'ADM106', name: 'from' })
  const counted = await ports.decisions.count(toHour(from), toHour(to)).catch(() => undefined)
  if (counted === undefined) return logFailed()
  const { counts, losses, next } = counted
  note({ counts: { counters: counts.length } })
  const counters = counts.map(({ hour, outcome, code, client, resource, count }) => ({
    hour: fromHour(hour),
    outcome,
    ...(code === '' ? {} : { code }),
    ...(client === '' ? {} : { client }),
    ...(resource === '' ? {} : { resource }),
    count,
  }))
  return ok(
    toJson({
      from: fromHour(toHour(from)),
      to: fromHour(toHour(to)),
      counters,
      lost: { decisions: losses.uncounted, audit_events: losses.events },
      ...(next === undefined ? {} : { next: fromHour(next) }),
    }),
  )
}

/** Of those that are configured; what others were about in their time is of no use. */
export async function listRules({ ports, search, note }: Look): Promise<Result<Response, Refusal>> {
  const query = readQuery(search, ['days'])
  if (!query.ok) return query
  const days = parseNumber(query.value.get('days'), DAYS)
  if (days === undefined) return malformed('days', `not a number from 1 to ${DAYS.max}`)
  const from = toTime(ports.clock.epochMillis() - days * DAY_MS).slice(0, 10)
  const found = await ports.decisions.hits(from).catch(() => undefined)
  if (found === undefined) return logFailed()
  const hits = new Map(found.hits.map((each) => [each.rule, each]))
  const rules = ports.config.rules.map(({ id, effect }) => {
    const hit = hits.get(id)
    return { id, effect, hits: hit?.hits ?? 0, ...(hit === undefined ? {} : { last_hit: hit.lastHit }) }
  })
  note({ counts: { rules: rules.length } })
  const day = `${from}T00:00:00.000Z`
  const since = found.since !== undefined && found.since < day ? day : found.since
  return ok(toJson({ days, ...(since === undefined ? {} : { counted_since: since }), rules }))
}

function parseNumber(
  text: string | undefined,
  bounds: { readonly default: number; readonly max: number },
): number | undefined {
  if (text === undefined) return bounds.default
  const number = /^\d{1,4}$/.test(text) ? Number(text) : 0
  return number >= 1 && number <= bounds.max ? number : undefined
}

function timeOf(text: string | undefined, otherwise: number): number | undefined {
  return text === undefined ? otherwise : parseDateTime(text)
}

function toHour(epochMillis: number): string {
  return toTime(epochMillis).slice(0, 13)
}

function fromHour(hour: string): string {
  return `${hour}:00:00Z`
}

function logFailed(): Result<never, Refusal> {
  return err({ code: 'INT101', detail: 'the decision log failed', retryAfterSeconds: 1 })
}
