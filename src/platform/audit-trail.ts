// Where audit events leave to on this platform: a queue, and behind it a bucket of R2; and the span of the request.
import { tracing } from 'cloudflare:workers'
import type { AuditEvent } from '../audit-event.ts'
import type { AuditSink, Bucket, EventQueue } from '../ports.ts'
import { within } from './deadline.ts'

/** A request may be waiting for it. */
const QUEUE_TIMEOUT_MS = 2_000
const BUCKET_TIMEOUT_MS = 20_000

type Bindings = Readonly<Record<string, unknown>>

export function createEventQueue(env: Bindings, binding: string): EventQueue {
  return {
    async send(lines) {
      const queue = env[binding]
      if (!isQueue(queue)) throw new Error(`the queue ${binding} is not bound`)
      const messages = lines.map((body) => ({ body, contentType: 'text' }) as const)
      await within(queue.sendBatch(messages), QUEUE_TIMEOUT_MS, 'the queue')
    },
  }
}

/** Onto the span of the invocation, where the platform records one: nothing of ours is open when an event is written. */
export function createSpanSink(
  toAttributes: (event: AuditEvent) => Readonly<Record<string, string | undefined>> | undefined,
): AuditSink {
  return {
    write(event) {
      const span = tracing.getActiveSpan()
      const attributes = span?.isTraced === true ? toAttributes(event) : undefined
      if (attributes !== undefined) span?.setAttributes(attributes)
    },
  }
}

/** What is there already is as it should be, and a bucket may be locked against changes. */
const IF_ABSENT = { 'if-none-match': '*' }

export function createBucket(env: Bindings, binding: string): Bucket {
  return {
    async put(name, text) {
      const bucket = env[binding]
      if (!isBucket(bucket)) throw new Error(`the bucket ${binding} is not bound`)
      const options = { onlyIf: new Headers(IF_ABSENT), httpMetadata: { contentType: 'application/x-ndjson' } }
      await within(bucket.put(name, text, options), BUCKET_TIMEOUT_MS, 'the bucket')
    },
  }
}

/** The names under which no queue, or no bucket, is bound here. `trail` undefined: none is wanted. */
export function missingTrail(
  env: Bindings,
  trail: { readonly binding: string; readonly bucket: string | undefined } | undefined,
): { readonly kind: 'queue' | 'bucket'; readonly name: string }[] {
  if (trail === undefined) return []
  const { binding, bucket } = trail
  return [
    ...(isQueue(env[binding]) ? [] : [{ kind: 'queue', name: binding } as const]),
    ...(bucket === undefined || isBucket(env[bucket]) ? [] : [{ kind: 'bucket', name: bucket } as const]),
  ]
}

function isQueue(value: unknown): value is Pick<Queue<string>, 'sendBatch'> {
  return typeof value === 'object' && value !== null && 'sendBatch' in value && typeof value.sendBatch === 'function'
}

/** A namespace of KV has a `put` as well. */
function isBucket(value: unknown): value is Pick<R2Bucket, 'put'> {
  return typeof value === 'object' && value !== null && 'put' in value && 'createMultipartUpload' in value
}
