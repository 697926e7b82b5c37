// Reads a body up to a bound. The bound counts decoded bytes, so that a small compressed body cannot become a large one
// (a 194 KB gzip body of 50 MB carries no Content-Length).
import { withDeadline } from './deadline.ts'
import { err, ok, type Result } from './result.ts'

export type BodyProblem = 'too_large' | 'broken'

/** For callers: more than anybody sends by mistake. */
export const DRAIN_BYTES = 16 * 1024 * 1024
const DRAIN_MS = 5_000

/**
 * Reads at most `maxBytes`; beyond that the stream is cancelled and nothing is returned. `drainBytes`: so much more is read and
 * thrown away before, for a few seconds at most. A caller that is still sending when the connection is closed on it would not
 * get to see the answer.
 */
export async function readLimited(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  drainBytes = 0,
): Promise<Result<Uint8Array<ArrayBuffer>, BodyProblem>> {
  if (body === null) return ok(new Uint8Array(0))
  const reader = body.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      length += value.byteLength
      if (length > maxBytes) {
        if (drainBytes > 0)
          await withDeadline(
            drain(reader, drainBytes).catch(() => undefined),
            DRAIN_MS,
          )
        await reader.cancel()
        return err('too_large')
      }
      chunks.push(value)
    }
  } catch {
    return err('broken')
  }
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
  }
  return ok(bytes)
}

async function drain(reader: ReadableStreamDefaultReader<Uint8Array>, maxBytes: number): Promise<void> {
  for (let left = maxBytes; left > 0;) {
    const { done, value } = await reader.read()
    if (done) return
    left -= value.byteLength
  }
}
