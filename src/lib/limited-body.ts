// Reads a body up to a bound. The bound counts decoded bytes, so that a small compressed body cannot become a large one
// (a 194 KB gzip body of 50 MB carries no Content-Length).
import { err, ok, type Result } from './result.ts'

export type BodyProblem = 'too_large' | 'broken'

/** Reads at most `maxBytes`; beyond that the stream is cancelled and nothing is returned. */
export async function readLimited(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
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
