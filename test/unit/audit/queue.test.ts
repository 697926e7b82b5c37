// Events into a queue, and off it into a bucket: the limits of the platform on the way in, and that nothing is taken off which
// is not stored on the way out.
import { describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../../src/audit-event.ts'
import { createArchive, createQueueSink } from '../../../src/audit/audit.ts'
import { numericDate } from '../../../src/lib/numeric-date.ts'
import type { QueuedMessage } from '../../../src/ports.ts'

function eventOf(id: string, detail = ''): AuditEvent {
  return {
    v: 1,
    id,
    time: '2027-01-15T08:00:00.000Z',
    event: 'request.forward',
    outcome: 'allow',
    detail,
    config: '0123456789ab',
    trace_id: '0'.repeat(32),
    http: { method: 'GET', route: '/r/tasks/*', status: 200 },
    ms: { total: 1 },
  }
}

function idsOf(lines: readonly string[]): unknown[] {
  return lines.map((line) => JSON.parse(line).id)
}

/** A queue that takes what it is given, or does not; and time that passes at once. */
function createQueue(takes: () => boolean = () => true) {
  const batches: (readonly string[])[] = []
  const background: Promise<unknown>[] = []
  const sink = createQueueSink(
    {
      async send(lines) {
        if (!takes()) throw new Error('Too Many Requests')
        batches.push(lines)
      },
    },
    {
      background: (work) => void background.push(work),
      clock: { now: () => numericDate(1_800_000_000), epochMillis: () => 0, millis: () => 0 },
      sleep: async () => undefined,
      toLine: JSON.stringify,
    },
  )
  return { sink, batches, settle: async () => void (await Promise.all(background)) }
}

describe('the queue sink', () => {
  test('sends what has gathered, at most a hundred at a time', async () => {
    const { sink, batches, settle } = createQueue()
    for (let index = 0; index < 120; index++) sink.write(eventOf(String(index)))
    await settle()
    expect(batches.map((lines) => lines.length)).toEqual([100, 20])
    expect(idsOf(batches.flat())).toEqual(Array.from({ length: 120 }, (_, at) => String(at)))
  })

  test('keeps within 256 KB a batch, counted in bytes and with what the platform adds', async () => {
    const { sink, batches, settle } = createQueue()
    // Two bytes each: 40 events of some 20 KB.
    for (let index = 0; index < 40; index++) sink.write(eventOf(String(index), 'ä'.repeat(10_000)))
    await settle()
    expect(batches.length).toBeGreaterThan(3)
    for (const lines of batches) {
      const bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 100, 0)
      expect(bytes).toBeLessThan(256_000)
    }
    expect(idsOf(batches.flat())).toHaveLength(40)
  })

  test('counts an event that no message can hold as lost, and sends the others', async () => {
    const { sink, batches, settle } = createQueue()
    sink.write(eventOf('small'))
    sink.write(eventOf('large', 'x'.repeat(130_000)))
    sink.write(eventOf('small too'))
    await settle()
    expect(idsOf(batches.flat())).toEqual(['small', 'small too'])
    expect(sink.lost?.()).toBe(1)
  })

  test('sends nothing twice where the second of two batches is not taken, and the rest with the next event', async () => {
    let calls = 0
    const { sink, batches, settle } = createQueue(() => ++calls === 1 || calls > 4)
    for (let index = 0; index < 20; index++) sink.write(eventOf(String(index), 'x'.repeat(20_000)))
    await settle()
    expect(batches).toHaveLength(1)
    sink.write(eventOf('20'))
    await settle()
    expect(idsOf(batches.flat())).toEqual(Array.from({ length: 21 }, (_, at) => String(at)))
    expect(sink.lost?.()).toBe(0)
  })

  test('keeps two thousand while the queue takes none, and counts the rest as lost', async () => {
    const { sink, settle } = createQueue(() => false)
    for (let index = 0; index < 2_003; index++) sink.write(eventOf(String(index)))
    await settle()
    expect(sink.lost?.()).toBe(3)
  })

  test('accepts an event that the queue has taken, and no other', async () => {
    const { sink, batches } = createQueue()
    expect(await sink.accept?.(eventOf('a'))).toBe(true)
    expect(idsOf(batches.flat())).toEqual(['a'])
    expect(await createQueue(() => false).sink.accept?.(eventOf('a'))).toBe(false)
  })
})

type Fate = 'acknowledged' | { readonly delaySeconds: number }

/** Messages as a consumer has them, and what it did with each. */
function createMessages(messages: readonly (Pick<QueuedMessage, 'id' | 'body'> & { at: string; attempts?: number })[]) {
  const fates: Record<string, Fate> = {}
  return {
    fates,
    messages: messages.map(({ id, body, at, attempts = 1 }): QueuedMessage => ({
      id,
      body,
      attempts,
      timestamp: new Date(at),
      ack: () => void (fates[id] = 'acknowledged'),
      retry: (options) => void (fates[id] = options),
    })),
  }
}

function createStore(fails: (name: string) => boolean = () => false) {
  const objects = new Map<string, string>()
  return {
    objects,
    bucket: {
      async put(name: string, text: string) {
        if (fails(name)) throw new Error('internal error')
        if (!objects.has(name)) objects.set(name, text)
      },
    },
  }
}

describe('the archive', () => {
  const LATE = '2026-11-22T09:59:59.900Z'
  const NEXT = '2026-11-22T10:00:00.100Z'

  test('stores an object for each hour, one message a line, and then takes the messages off the queue', async () => {
    const { objects, bucket } = createStore()
    const { messages, fates } = createMessages([
      { id: 'a', body: '{"id":1}', at: LATE },
      { id: 'b', body: '{"id":2}', at: LATE },
      { id: 'c', body: '{"id":3}', at: NEXT },
    ])
    await createArchive(bucket)(messages)
    // The hours are stored at the same time, so either may be first.
    expect(objects.size).toBe(2)
    expect(Object.fromEntries([...objects].map(([name, text]) => [name.slice(0, 20), text]))).toEqual({
      'audit/2026/11/22/09/': '{"id":1}\n{"id":2}\n',
      'audit/2026/11/22/10/': '{"id":3}\n',
    })
    expect(fates).toEqual({ a: 'acknowledged', b: 'acknowledged', c: 'acknowledged' })
  })

  test('gives back what could not be stored, and that alone', async () => {
    const { bucket } = createStore((name) => name.startsWith('audit/2026/11/22/10/'))
    const { messages, fates } = createMessages([
      { id: 'a', body: '{}', at: LATE },
      { id: 'b', body: '{}', at: NEXT },
    ])
    await createArchive(bucket)(messages)
    expect(fates).toEqual({ a: 'acknowledged', b: { delaySeconds: 2 } })
  })

  test('gives everything back where there is no bucket', async () => {
    const { messages, fates } = createMessages([{ id: 'a', body: '{}', at: LATE }])
    await createArchive(undefined)(messages)
    expect(fates).toEqual({ a: { delaySeconds: 2 } })
  })

  test('gives a bucket that goes on failing ever longer to recover, an hour at most', async () => {
    const { bucket } = createStore(() => true)
    const { messages, fates } = createMessages(
      [1, 2, 5, 12, 100].map((attempts) => ({ id: String(attempts), body: '{}', at: LATE, attempts })),
    )
    await createArchive(bucket)(messages)
    expect(fates).toEqual(
      Object.fromEntries(
        [
          [1, 2],
          [2, 4],
          [5, 32],
          [12, 3_600],
          [100, 3_600],
        ].map(([attempts, delaySeconds]) => [attempts, { delaySeconds }]),
      ),
    )
  })

  test('gives the same messages the same name in whatever order they come, and others another', async () => {
    const { objects, bucket } = createStore()
    const archive = createArchive(bucket)
    const a = { id: 'a', body: '{"id":1}', at: LATE }
    const b = { id: 'b', body: '{"id":2}', at: LATE }
    await archive(createMessages([a, b]).messages)
    await archive(createMessages([b, a]).messages)
    expect(objects.size).toBe(1)
    await archive(createMessages([a]).messages)
    expect(objects.size).toBe(2)
  })

  test('writes one line for each message, whoever sent it and whatever is in it', async () => {
    const { objects, bucket } = createStore()
    const bodies = ['{"a":1}\n{"forged":true}', { b: 2 }, undefined]
    await createArchive(bucket)(createMessages(bodies.map((body, at) => ({ id: String(at), body, at: LATE }))).messages)
    const [text = ''] = objects.values()
    expect(text).toBe(`${JSON.stringify('{"a":1}\n{"forged":true}')}\n{"b":2}\nnull\n`)
  })
})
