// What every decision log agrees on, whatever it keeps its rows in: how long it remembers, which decisions are meant, and how
// what several shards say becomes one answer. It is a record of people's use of things: it is short.
import type { Decision, DecisionCount, Losses, RuleHits } from '../decision.ts'
import type { CountedHours, DecisionFilter } from '../ports.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const DECISION_RETENTION_DAYS = 7
const COUNT_RETENTION_DAYS = 90
/** More than the 90 days that are asked about, because the day that ends is one of them only in part. */
const HIT_RETENTION_DAYS = 100

/** RFC 3339: decisions from before this are forgotten. */
export function oldestDecision(nowMs: number): string {
  return new Date(nowMs - DECISION_RETENTION_DAYS * DAY_MS).toISOString()
}

/** Hours before this one are forgotten. */
export function oldestHour(nowMs: number): string {
  return new Date(nowMs - COUNT_RETENTION_DAYS * DAY_MS).toISOString().slice(0, 13)
}

/** Days before this one are forgotten. */
export function oldestDay(nowMs: number): string {
  return new Date(nowMs - HIT_RETENTION_DAYS * DAY_MS).toISOString().slice(0, 10)
}

export function isMeant(decision: Decision, { user, client, resource, outcome, before }: DecisionFilter): boolean {
  return (
    (user === undefined || decision.user?.sub === user) &&
    (client === undefined || decision.client === client) &&
    (resource === undefined || decision.resource === resource) &&
    (outcome === undefined || decision.outcome === outcome) &&
    (before === undefined || newestFirst(before, decision) < 0)
  )
}

type Place = Pick<Decision, 'time' | 'id'>

/** Of one second, by their ids: any order will do that is always the same. */
export function newestFirst(one: Place, other: Place): number {
  if (one.time !== other.time) return one.time > other.time ? -1 : 1
  return one.id === other.id ? 0 : one.id > other.id ? -1 : 1
}

/** At most `limit`, and whether that leaves any out. */
export function toDecisionPage(
  found: readonly Decision[],
  limit: number,
): { readonly decisions: readonly Decision[]; readonly more: boolean } {
  return { decisions: found.toSorted(newestFirst).slice(0, limit), more: found.length > limit }
}

/** What one shard says of some hours; it has said all of those before `next`. */
export interface HoursOfShard {
  readonly counts: readonly (DecisionCount & { readonly hour: string })[]
  readonly losses: readonly (Losses & { readonly hour: string })[]
  readonly next: string | undefined
}

export function mergeHours(shards: readonly HoursOfShard[]): CountedHours {
  const [next] = shards.flatMap((shard) => shard.next ?? []).toSorted()
  const isTold = ({ hour }: { readonly hour: string }): boolean => next === undefined || hour < next
  const counts = new Map<string, DecisionCount & { readonly hour: string }>()
  for (const each of shards.flatMap((shard) => shard.counts).filter(isTold)) {
    const key = [each.hour, each.outcome, each.code, each.client, each.resource].join(' ')
    counts.set(key, { ...each, count: each.count + (counts.get(key)?.count ?? 0) })
  }
  const losses = shards.flatMap((shard) => shard.losses).filter(isTold)
  return {
    counts: [...counts].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, each]) => each),
    losses: {
      uncounted: losses.reduce((sum, each) => sum + each.uncounted, 0),
      events: losses.reduce((sum, each) => sum + each.events, 0),
    },
    next,
  }
}

/** Each rule once. */
export function mergeHits(hits: readonly RuleHits[]): readonly RuleHits[] {
  const merged = new Map<string, RuleHits>()
  for (const each of hits) {
    const known = merged.get(each.rule)
    merged.set(each.rule, known === undefined ? each : bothOf(known, each))
  }
  return [...merged.values()]
}

function bothOf(one: RuleHits, other: RuleHits): RuleHits {
  const lastHit = one.lastHit > other.lastHit ? one.lastHit : other.lastHit
  return { rule: one.rule, hits: one.hits + other.hits, lastHit }
}
