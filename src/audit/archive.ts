// The consumer of the queue of events: what it is handed is written to a bucket, one event a line, and only then taken off the
// queue. A queue hands over at least once; whoever reads the archive tells an event that came twice by `id` and `event`.
import { encodeFields, sha256 } from '../lib/digest.ts'
import type { Bucket, QueuedMessage } from '../ports.ts'

export type Archive = (messages: readonly QueuedMessage[]) => Promise<void>

const FIRST_PAUSE_SECONDS = 2
const LONGEST_PAUSE_SECONDS = 3_600

/** Without a bucket messages are not meant to come; should they all the same, they are given back and not lost. */
export function createArchive(bucket: Bucket | undefined): Archive {
  return async (messages) => {
    const hours = Map.groupBy(messages, ({ timestamp }) => timestamp.toISOString().slice(0, 13))
    await Promise.all(
      [...hours].map(async ([hour, group]) => {
        const isStored = bucket !== undefined && (await store(bucket, hour, group))
        // Nothing is taken off the queue that is not in the bucket.
        for (const message of group) {
          if (isStored) message.ack()
          else message.retry({ delaySeconds: pauseAfter(message.attempts) })
        }
      }),
    )
  }
}

async function store(bucket: Bucket, hour: string, messages: readonly QueuedMessage[]): Promise<boolean> {
  try {
    // The same messages have the same name, so that a batch which is handed over again is the same object again.
    const id = await sha256(encodeFields([messages.map((message) => message.id)]))
    await bucket.put(`audit/${hour.replaceAll(/[-T]/g, '/')}/${id}.ndjson`, messages.map(toLine).join(''))
    return true
  } catch {
    return false
  }
}

/** One line each, whoever wrote the message. */
function toLine({ body }: QueuedMessage): string {
  return `${typeof body === 'string' && !/[\r\n]/.test(body) ? body : JSON.stringify(body ?? null)}\n`
}

function pauseAfter(attempts: number): number {
  return Math.min(FIRST_PAUSE_SECONDS * 2 ** (attempts - 1), LONGEST_PAUSE_SECONDS)
}
