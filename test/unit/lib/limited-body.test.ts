import { describe, expect, test } from 'vitest'
import { readLimited } from '../../../src/lib/limited-body.ts'

interface Source {
  readonly stream: ReadableStream<Uint8Array>
  readonly handedOut: number[]
  readonly cancelled: () => boolean
}

/** A body in pieces; `undefined` breaks the connection. It notes what was taken from it. */
function source(...pieces: (number[] | undefined)[]): Source {
  const handedOut: number[] = []
  let isCancelled = false
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller): void {
        if (handedOut.length >= pieces.length) return controller.close()
        const piece = pieces[handedOut.length]
        handedOut.push(piece?.length ?? -1)
        if (piece === undefined) controller.error(new Error('connection reset'))
        else controller.enqueue(new Uint8Array(piece))
      },
      cancel(): void {
        isCancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  return { stream, handedOut, cancelled: () => isCancelled }
}

describe('readLimited()', () => {
  test('reads no body as no bytes', async () => {
    expect(await readLimited(null, 0)).toEqual({ ok: true, value: new Uint8Array(0) })
  })

  test('puts pieces together in order, empty ones too', async () => {
    const { stream } = source([1, 2], [], [3], [])
    expect(await readLimited(stream, 10)).toEqual({ ok: true, value: new Uint8Array([1, 2, 3]) })
  })

  test('takes exactly the bound', async () => {
    const { stream, cancelled } = source([1, 2], [3, 4])
    expect(await readLimited(stream, 4)).toEqual({ ok: true, value: new Uint8Array([1, 2, 3, 4]) })
    expect(cancelled()).toBe(false)
  })

  test('takes nothing of one byte more, stops there and hangs up', async () => {
    const body = source([1, 2], [3, 4, 5], [6], [7])
    expect(await readLimited(body.stream, 4)).toEqual({ ok: false, error: 'too_large' })
    expect(body.cancelled()).toBe(true)
    expect(body.handedOut).toEqual([2, 3])
  })

  test('does not take half a body for a whole one', async () => {
    expect(await readLimited(source([1, 2], undefined).stream, 10)).toEqual({ ok: false, error: 'broken' })
  })

  test('counts bytes after decompression', async () => {
    const zeros = new Response(new Uint8Array(1_000_000)).body
    if (zeros === null) throw new Error('a response with a body has a body')
    const small = new Uint8Array(await new Response(zeros.pipeThrough(new CompressionStream('gzip'))).arrayBuffer())
    expect(small.length).toBeLessThan(2_000)
    const bomb = new Response(small).body?.pipeThrough(new DecompressionStream('gzip')) ?? null
    expect(await readLimited(bomb, 64 * 1024)).toEqual({ ok: false, error: 'too_large' })
  })
})
