// Events on their way out of an isolate: gathered into batches, tried again, kept within bounds, and never in the way of an
// answer.
import type { AuditEvent } from '../audit-event.ts'
import type { AuditSink, Background, Clock } from '../ports.ts'
import { createSender } from './sender.ts'

export interface BatchPorts {
  /** An event as one line. */
  readonly toLine: (event: AuditEvent) => string
  readonly background: Background
  readonly clock: Clock
  /** Waits; a test waits differently. */
  readonly sleep: (ms: number) => Promise<void>
}

/** Says how many of the events have been taken for good, from the first one on. Never throws. */
export type Post = (events: readonly AuditEvent[]) => Promise<number>

/** Events wait so long for others to go with them. */
const GATHER_MS = 250
const MAX_BATCH = 100
const MAX_WAITING = 2_000
/** Between the tries for one batch. */
const PAUSES_MS = [500, 2_000]

export function createBatches(post: Post, ports: BatchPorts): Required<Pick<AuditSink, 'write' | 'lost'>> {
  const waiting: AuditEvent[] = []
  let lost = 0
  const send = createSender(ports, sendAll)

  function keep(events: readonly AuditEvent[]): void {
    waiting.unshift(...events)
    const tooMany = waiting.length - MAX_WAITING
    if (tooMany > 0) lost += waiting.splice(0, tooMany).length
  }

  async function sendAll(over: () => void): Promise<void> {
    await ports.sleep(GATHER_MS)
    while (waiting.length > 0) {
      const left = await deliver(waiting.splice(0, MAX_BATCH))
      if (left.length === 0) continue
      keep(left)
      break
    }
    over()
  }

  /** Answers what nobody has taken. */
  async function deliver(batch: readonly AuditEvent[]): Promise<readonly AuditEvent[]> {
    let left = batch
    for (const pause of PAUSES_MS) {
      left = left.slice(await post(left))
      if (left.length === 0) return left
      await ports.sleep(pause)
    }
    return left.slice(await post(left))
  }

  return {
    write(event) {
      if (waiting.length < MAX_WAITING) waiting.push(event)
      else lost += 1
      send()
    },
    lost: () => lost,
  }
}
