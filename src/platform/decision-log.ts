// The decision log on the real ground: a shard for each isolate to write to, all of them to be read.
import type { DecisionLog } from '../ports.ts'
import { within } from './deadline.ts'
import { mergeHits, mergeHours, toDecisionPage } from './decision-rules.ts'
import type { DecisionBookMethods } from './env.ts'
import { toCount, toDecision, toHits, toLosses } from './rows.ts'

/** Each takes a batch every three seconds of some thousand isolates. */
const SHARDS = 8
const TIMEOUT_MS = 2_000

export function createDecisionLog(namespace: { getByName(name: string): DecisionBookMethods }): DecisionLog {
  const book = (shard: number) => namespace.getByName(`decisions-${shard}`)
  const askAll = <T>(ask: (shard: DecisionBookMethods) => Promise<T>): Promise<T[]> =>
    within(
      // A shard that does not answer fails them all: what a list leaves out, nobody misses.
      Promise.all(Array.from({ length: SHARDS }, async (_, shard) => ask(book(shard)))),
      TIMEOUT_MS,
      'the decision books',
    )
  // Not before the first batch: in global scope there is nothing random.
  let own: number | undefined
  return {
    async add(batch) {
      own ??= Math.floor(Math.random() * SHARDS)
      await within(book(own).add(batch), TIMEOUT_MS, 'the decision book')
    },
    async list(filter) {
      const found = await askAll((shard) => shard.list(filter))
      return toDecisionPage(found.flat().map(toDecision), filter.limit)
    },
    async count(from, to) {
      const told = await askAll((shard) => shard.count(from, to))
      return mergeHours(
        told.map(({ counts, losses, next }) => ({
          counts: counts.map(toCount),
          losses: losses.map(toLosses),
          next: next ?? undefined,
        })),
      )
    },
    async hits(from) {
      const told = await askAll((shard) => shard.hits(from))
      const [since] = told.flatMap((each) => each.since ?? []).toSorted()
      return { hits: mergeHits(told.flatMap(({ rows }) => rows.map(toHits))), since }
    },
  }
}
