// The decision log in memory: the same answers as one book of the real ground, to the same questions.
import type { Decision, DecisionCount, Losses, RuleHits } from '../decision.ts'
import type { Clock, DecisionLog } from '../ports.ts'
import {
  isMeant,
  mergeHits,
  mergeHours,
  oldestDay,
  oldestDecision,
  oldestHour,
  toDecisionPage,
} from './decision-rules.ts'
import { injected, type Fault } from './faults.ts'

export interface MemoryDecisionLog extends DecisionLog {
  /** Set by tests. */
  readonly faults: { [method in keyof DecisionLog]?: Fault | undefined }
}

export function createMemoryDecisionLog({ clock }: { readonly clock: Clock }): MemoryDecisionLog {
  let batches: (readonly Decision[])[] = []
  let counts: (DecisionCount & { readonly hour: string })[] = []
  let losses: (Losses & { readonly hour: string })[] = []
  let hits: (RuleHits & { readonly day: string })[] = []
  let since: string | undefined
  const faults: MemoryDecisionLog['faults'] = {}

  const forget = (): void => {
    const now = clock.epochMillis()
    batches = batches.filter((batch) => batch.some(({ time }) => time >= oldestDecision(now)))
    counts = counts.filter(({ hour }) => hour >= oldestHour(now))
    losses = losses.filter(({ hour }) => hour >= oldestHour(now))
    hits = hits.filter(({ day }) => day >= oldestDay(now))
  }

  return {
    faults,
    async add(batch) {
      await injected(faults.add, 'Durable Object')
      const { decisions, keep, hours } = structuredClone(batch)
      since ??= batch.since
      for (const { hour, counts: counted, hits: hit, losses: lost } of hours) {
        counts.push(...counted.map((each) => ({ ...each, hour })))
        hits.push(...hit.map((each) => ({ ...each, day: hour.slice(0, 10) })))
        losses.push({ ...lost, hour })
      }
      batches.push(decisions.slice(Math.max(0, decisions.length - keep)))
      const isOld = (index: number): boolean => batches.slice(index + 1).flat().length >= keep
      batches = batches.filter((_, index) => !isOld(index))
    },
    async list(filter) {
      await injected(faults.list, 'Durable Object')
      forget()
      const oldest = oldestDecision(clock.epochMillis())
      const found = batches.flat().filter((decision) => decision.time >= oldest && isMeant(decision, filter))
      return structuredClone(toDecisionPage(found, filter.limit))
    },
    async count(from, to) {
      await injected(faults.count, 'Durable Object')
      forget()
      const isAsked = ({ hour }: { readonly hour: string }): boolean => hour >= from && hour <= to
      return mergeHours([{ counts: counts.filter(isAsked), losses: losses.filter(isAsked), next: undefined }])
    },
    async hits(from) {
      await injected(faults.hits, 'Durable Object')
      forget()
      const asked = hits
        .filter(({ day }) => day >= from)
        .map(({ rule, hits: times, lastHit }) => ({ rule, hits: times, lastHit }))
      return { hits: mergeHits(asked), since }
    },
  }
}
