// Where administrators look decisions up: counted here, in the memory of the isolate, and sent on every few seconds. On the way
// of a request an event costs a few look-ups in maps; whatever takes longer is done when a batch leaves. A sink of its own, not
// one of the configuration: nothing waits for it, and what it loses it counts.
import type { AuditEvent } from '../audit-event.ts'
import type { Decision, DecisionCount, HourOfDecisions, RuleHits } from '../decision.ts'
import type { AuditSink, Background, Clock, DecisionBatch, DecisionLog } from '../ports.ts'
import { createSender } from './sender.ts'

export interface DecisionSinkPorts {
  readonly log: Pick<DecisionLog, 'add'>
  readonly background: Background
  readonly clock: Clock
  /** Waits; a test waits differently. */
  readonly sleep: (ms: number) => Promise<void>
}

/** Decisions wait so long for others to go with them. */
export const GATHER_MS = 3_000
/** Batches that one piece of work in the background sends before another has to go on. */
const MAX_ROUNDS = 5
/** Of one hour. All names in them are configured, so only a configuration can be too large for it. */
const MAX_KEYS = 2_000
/** Hours that wait; more than one only around a full hour, or where nothing can be sent. */
const MAX_HOURS = 3

type Kind = Omit<DecisionCount, 'count'>

interface Hour {
  readonly hour: string
  readonly counts: Map<string, { readonly kind: Kind; count: number }>
  readonly hits: Map<string, { hits: number; lastHit: string }>
  uncounted: number
  lostEvents: number
}

/** `keep`: so many of the last decisions are kept. */
export function createDecisionSink({ log, background, clock, sleep }: DecisionSinkPorts, keep: number): AuditSink {
  /** A ring once it is full. */
  let recent: AuditEvent[] = []
  let since = ''
  let written = 0
  let hours: Hour[] = []
  let current: Hour | undefined
  let eventsLost = 0
  const send = createSender({ background, clock }, sendAll)

  function hourOf(hour: string): Hour {
    const known = hours.find((each) => each.hour === hour)
    if (known !== undefined) return known
    const made: Hour = { hour, counts: new Map(), hits: new Map(), uncounted: 0, lostEvents: 0 }
    hours.push(made)
    if (hours.length > MAX_HOURS) {
      const dropped = hours.shift()
      current = undefined
      if (dropped !== undefined) lose(dropped, made)
    }
    return made
  }

  function takeBatch(): DecisionBatch {
    const oldest = written % Math.max(1, keep)
    const inOrder = recent.length < keep ? recent : [...recent.slice(oldest), ...recent.slice(0, oldest)]
    const batch = { since, decisions: inOrder.map(toDecision), keep, hours: hours.map(toHour) }
    recent = []
    written = 0
    hours = []
    current = undefined
    return batch
  }

  async function sendAll(over: () => void): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS && hours.length > 0; round++) {
      await sleep(GATHER_MS)
      if (hours.length === 0) break
      const taken = hours
      const batch = takeBatch()
      try {
        await log.add(batch)
      } catch {
        // It may have arrived all the same: sent again it could count twice.
        for (const hour of taken) lose(hour, hourOf(hour.hour))
      }
    }
    over()
  }

  return {
    write(event, unnamed = []) {
      // What administrators look at is in the audit log; here it would push out what they look for.
      if (event.admin !== undefined || event.event === 'config.load') return
      const { time } = event
      if (current === undefined || !time.startsWith(current.hour)) current = hourOf(time.slice(0, 13))
      count(current, event)
      for (const rule of unnamed) hit(current.hits, rule, time)
      if (event.lost !== undefined && event.lost > eventsLost) {
        current.lostEvents += event.lost - eventsLost
        eventsLost = event.lost
      }
      if (recent.length < keep) recent.push(event)
      else if (keep > 0) recent[written % keep] = event
      if (written === 0) since = time
      written += 1
      send()
    },
  }
}

function count(hour: Hour, { time, outcome, code = '', client, resource, policy }: AuditEvent): void {
  const { counts, hits } = hour
  const [clientId, resourceId] = [client?.id ?? '', resource?.id ?? '']
  // None of these names can have a space in it.
  const key = `${outcome} ${code} ${clientId} ${resourceId}`
  const known = counts.get(key)
  if (known !== undefined) known.count += 1
  else if (counts.size < MAX_KEYS) {
    counts.set(key, { kind: { outcome, code, client: clientId, resource: resourceId }, count: 1 })
  } else hour.uncounted += 1
  if (policy === undefined) return
  if (policy.rule !== undefined) hit(hits, policy.rule, time)
  if (policy.also !== undefined) for (const rule of policy.also) hit(hits, rule, time)
  if (policy.shadow !== undefined) for (const rule of policy.shadow) hit(hits, rule, time)
}

function hit(hits: Hour['hits'], rule: string, time: string): void {
  const known = hits.get(rule)
  if (known === undefined) hits.set(rule, { hits: 1, lastHit: time })
  else {
    known.hits += 1
    known.lastHit = time
  }
}

/** What is known of one hour is gone; how much that was is told of another, or of the same from now on. */
function lose({ counts, uncounted, lostEvents }: Hour, teller: Hour): void {
  teller.uncounted += [...counts.values()].reduce((sum, each) => sum + each.count, uncounted)
  teller.lostEvents += lostEvents
}

function toHour({ hour, counts, hits, uncounted, lostEvents }: Hour): HourOfDecisions {
  return {
    hour,
    counts: [...counts.values()].map(({ kind, count: times }): DecisionCount => ({ ...kind, count: times })),
    hits: [...hits].map(([rule, each]): RuleHits => ({ rule, ...each })),
    losses: { uncounted, events: lostEvents },
  }
}

function toDecision({ id, time, event, outcome, code, user, client, resource, policy, ms }: AuditEvent): Decision {
  return {
    id,
    time,
    event,
    outcome,
    ...(code === undefined ? {} : { code }),
    ...(user === undefined ? {} : { user: toUser(user) }),
    ...(client === undefined ? {} : { client: client.id }),
    ...(resource === undefined ? {} : { resource: resource.id }),
    ...(policy?.rule === undefined ? {} : { rule: policy.rule }),
    ms: ms.total,
  }
}

function toUser({ issuer, sub, tenant }: NonNullable<AuditEvent['user']>): NonNullable<Decision['user']> {
  return { issuer, sub, ...(tenant === undefined ? {} : { tenant }) }
}
