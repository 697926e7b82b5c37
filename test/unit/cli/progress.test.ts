// The line that tells how far a command has come.

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { startProgress } from '../../../src/cli/progress.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function terminal(isTTY: boolean) {
  const written: string[] = []
  return { written, isTTY, write: (text: string) => written.push(text) }
}

it('appears after a moment, counts what is done, and leaves nothing behind', async () => {
  const out = terminal(true)
  const { watch, stop } = startProgress('looking', out)
  const { promise, resolve } = Promise.withResolvers<void>()
  const watched = Promise.all([watch(promise), watch(Promise.resolve())])
  await vi.advanceTimersByTimeAsync(300)
  expect(out.written).toEqual([])
  await vi.advanceTimersByTimeAsync(300)
  expect(out.written.at(-1)).toContain('looking 1/2')
  resolve()
  await watched
  stop()
  expect(out.written.at(-1)).toBe('\r\u001B[K')
  const { length } = out.written
  await vi.advanceTimersByTimeAsync(1_000)
  expect(out.written).toHaveLength(length)
})

it('says nothing where nobody looks', async () => {
  const out = terminal(false)
  const { watch, stop } = startProgress('looking', out)
  await watch(Promise.resolve())
  await vi.advanceTimersByTimeAsync(2_000)
  stop()
  expect(out.written).toEqual([])
})

it('says nothing of work that is done at once', async () => {
  const out = terminal(true)
  const { watch, stop } = startProgress('looking', out)
  await watch(Promise.resolve())
  stop()
  await vi.advanceTimersByTimeAsync(2_000)
  expect(out.written).toEqual([])
})
