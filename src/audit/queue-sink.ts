// Events into a queue of the platform: in batches within its limits, one message an event. What the queue has taken is kept until
// a consumer has it, so an event that it took is one that is accepted.
import type { AuditEvent } from '../audit-event.ts'
import { toUtf8 } from '../lib/bytes.ts'
import type { AuditSink, EventQueue } from '../ports.ts'
import { createBatches, type BatchPorts } from './batches.ts'

// developers.cloudflare.com/queues/platform/limits: 128 KB a message, 256 KB a batch, a KB being 1,000 bytes; about 100 bytes
// of each message are the platform's own.
const MAX_MESSAGE_BYTES = 127_000
const MAX_BATCH_BYTES = 250_000
const OVERHEAD_BYTES = 200

export function createQueueSink(queue: EventQueue, ports: BatchPorts): AuditSink {
  let tooLarge = 0

  /** As many calls as it takes; the first that fails ends it. */
  async function post(events: readonly AuditEvent[]): Promise<number> {
    let taken = 0
    let lines: string[] = []
    let bytes = 0
    const flush = async (next: number): Promise<boolean> => {
      if (lines.length > 0 && !(await send(lines))) return false
      lines = []
      bytes = 0
      taken = next
      return true
    }
    for (const [index, event] of events.entries()) {
      const line = ports.toLine(event)
      const size = toUtf8(line).byteLength + OVERHEAD_BYTES
      if (bytes + size > MAX_BATCH_BYTES && !(await flush(index))) return taken
      if (size > MAX_MESSAGE_BYTES) tooLarge += 1
      else {
        lines.push(line)
        bytes += size
      }
    }
    await flush(events.length)
    return taken
  }

  async function send(lines: readonly string[]): Promise<boolean> {
    try {
      await queue.send(lines)
      return true
    } catch {
      return false
    }
  }

  const batches = createBatches(post, ports)
  return {
    write: batches.write,
    accept: (event) => send([ports.toLine(event)]),
    lost: () => batches.lost() + tooLarge,
  }
}
