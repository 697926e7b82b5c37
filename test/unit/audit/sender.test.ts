// Who sends: one at a time, and never nobody while something waits.
import { describe, expect, test } from 'vitest'
import { createDecisionSink } from '../../../src/audit/audit.ts'
import { createBatches } from '../../../src/audit/batches.ts'
import type { AuditEvent } from '../../../src/audit-event.ts'
import { createCollectingBackground, createManualClock } from '../../../src/platform/memory.ts'
import type { AuditSink, DecisionBatch } from '../../../src/ports.ts'

const EVENT: AuditEvent = {
  v: 1,
  id: 'req_1',
  time: '2027-01-15T08:00:00.000Z',
  event: 'request.forward',
  outcome: 'allow',
  config: '0123456789ab',
  trace_id: 't',
  http: { method: 'GET', route: '/*', status: 200 },
  ms: { total: 1 },
}

/** Writes an event, and another so many turns after the first was taken. Answers how many were taken in the end. */
async function takenWith(turns: number, create: (taken: (count: number) => Promise<void>) => Pick<AuditSink, 'write'>) {
  let taken = 0
  let isSecond = false
  const sink: Pick<AuditSink, 'write'> = create(async (count) => {
    taken += count
    if (isSecond) return
    isSecond = true
    const later = async (): Promise<void> => {
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      sink.write(EVENT)
    }
    void later()
  })
  sink.write(EVENT)
  for (let wait = 0; wait < 20; wait++) await new Promise((resolve) => setImmediate(resolve))
  return taken
}

const ports = () => {
  const { background } = createCollectingBackground()
  return { background, clock: createManualClock(), sleep: () => Promise.resolve(), toLine: () => '' }
}

/** A sender that ends knows of whatever was written before; what is written after finds none, and begins another. */
describe.each(Array.from({ length: 25 }, (_, turns) => turns))(
  'an event written %i turns after another was taken',
  (turns) => {
    test('is sent without a third one, in batches', async () => {
      const taken = await takenWith(turns, (took) => {
        const post = async (events: readonly AuditEvent[]): Promise<number> => {
          await took(events.length)
          return events.length
        }
        return createBatches(post, ports())
      })
      expect(taken).toBe(2)
    })

    test('is sent without a third one, to the decision log', async () => {
      const taken = await takenWith(turns, (took) => {
        const add = ({ decisions }: DecisionBatch): Promise<void> => took(decisions.length)
        return createDecisionSink({ ...ports(), log: { add } }, 10)
      })
      expect(taken).toBe(2)
    })
  },
)
