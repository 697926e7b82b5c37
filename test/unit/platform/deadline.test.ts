import { describe, expect, test, vi } from 'vitest'
import { forwardWithin } from '../../../src/platform/deadline.ts'
import type { Forward } from '../../../src/ports.ts'

const URL_OF_UPSTREAM = 'https://api.tasks.test/x'

describe('forwardWithin()', () => {
  test('answers 524 in the place of an upstream that does not answer', async () => {
    const forward = forwardWithin(() => new Promise(() => undefined), 5)
    expect((await forward(URL_OF_UPSTREAM, { body: null })).status).toBe(524)
  })

  test('leaves an answer in time as it is, and no timer behind', async () => {
    vi.useFakeTimers()
    try {
      const answer = new Response('x')
      expect(await forwardWithin(() => Promise.resolve(answer), 1_000)(URL_OF_UPSTREAM, {})).toBe(answer)
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('leaves a failure as it is, and no timer behind', async () => {
    vi.useFakeTimers()
    try {
      const refused: Forward = () => Promise.reject(new TypeError('refused'))
      await expect(forwardWithin(refused, 1_000)(URL_OF_UPSTREAM, {})).rejects.toThrow('refused')
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('gives an upload that streams all the time it takes', async () => {
    const { promise, resolve } = Promise.withResolvers<Response>()
    const sent = forwardWithin(() => promise, 1)(URL_OF_UPSTREAM, { body: new ReadableStream() })
    await new Promise((done) => setTimeout(done, 20))
    resolve(new Response('x'))
    expect((await sent).status).toBe(200)
  })
})
