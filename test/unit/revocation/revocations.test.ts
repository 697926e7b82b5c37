// How old the knowledge of what is revoked may be: a bound that no failure of the log can stretch.
import { describe, expect, test } from 'vitest'
import type { Revocation } from '../../../src/connection.ts'
import { createManualClock, createMemoryRevocationLog } from '../../../src/platform/memory.ts'
import type { RevocationLog } from '../../../src/ports.ts'
import { createRevocations, type Revocations } from '../../../src/revocation/revocation.ts'

const BLOCK: Revocation = { kind: 'block', id: 'b', selector: { user: 'alice' }, until: undefined }
const ALICE = { idp: 'corp', user: 'alice', client: 'app', resource: 'tasks' }

type News = Awaited<ReturnType<RevocationLog['read']>>

function createIsolate(maxStalenessSeconds: number) {
  const clock = createManualClock()
  const log = createMemoryRevocationLog({ clock })
  const versions: (number | undefined)[] = []
  const background: Promise<unknown>[] = []
  const counted: RevocationLog = {
    ...log,
    read: (version) => {
      versions.push(version)
      return log.read(version)
    },
  }
  const revocations = createRevocations(maxStalenessSeconds, {
    log: counted,
    clock,
    background: (work) => background.push(work),
  })
  return { clock, log, versions, background, revocations, asks: () => versions.length }
}

/** Whether alice passes, is blocked, or nobody can say. */
async function seen(revocations: Revocations): Promise<string> {
  const current = await revocations.current()
  if (!current.ok) return current.error.code
  return current.value.standingOf(ALICE, 0).blockedBy === undefined ? 'passes' : 'blocked'
}

describe('with a bound of 0s', () => {
  test('every request asks, and no answer is used twice', async () => {
    const { revocations, log, asks } = createIsolate(0)
    expect(await seen(revocations)).toBe('passes')
    await log.add(BLOCK, undefined)
    expect(await seen(revocations)).toBe('blocked')
    await log.lift('b')
    expect(await seen(revocations)).toBe('passes')
    expect(asks()).toBe(3)
  })

  test('nobody passes as soon as the log fails', async () => {
    const { revocations, log } = createIsolate(0)
    expect(await seen(revocations)).toBe('passes')
    log.faults.read = 'throw'
    expect(await seen(revocations)).toBe('INT102')
    log.faults.read = undefined
    expect(await seen(revocations)).toBe('passes')
  })
})

describe('with a bound of 10s', () => {
  test('the first request waits, and none within the bound does', async () => {
    const { revocations, clock, asks } = createIsolate(10)
    expect(revocations.current()).toBeInstanceOf(Promise)
    await seen(revocations)
    clock.advance(4.9)
    for (let count = 0; count < 100; count++) expect(revocations.current()).not.toBeInstanceOf(Promise)
    expect(asks()).toBe(1)
  })

  test('from half of it on, one request asks in the background and nobody waits for it', async () => {
    const { revocations, clock, log, asks, background } = createIsolate(10)
    await seen(revocations)
    clock.advance(5)
    await log.add(BLOCK, undefined)
    const before = background.length
    for (let count = 0; count < 100; count++) expect(revocations.current()).not.toBeInstanceOf(Promise)
    expect([asks(), background.length - before]).toEqual([2, 1])
    await Promise.all(background)
    expect(await seen(revocations)).toBe('blocked')
  })

  test('no revocation is missed for longer, at whatever moment it comes and however requests fall', async () => {
    for (let at = 0; at <= 20; at += 0.5) {
      const { revocations, clock, log, background } = createIsolate(10)
      let revokedAt: number | undefined
      for (let time = 0; time <= 40; time += 0.5) {
        if (time === at) {
          await log.add(BLOCK, undefined)
          revokedAt = clock.millis()
        }
        const standing = await seen(revocations)
        await Promise.all(background)
        if (revokedAt !== undefined && clock.millis() - revokedAt >= 10_000) expect(standing).toBe('blocked')
        clock.advance(0.5)
      }
    }
  })

  test('an isolate that slept does not act on what it knew before', async () => {
    const { revocations, clock, log } = createIsolate(10)
    await seen(revocations)
    await log.add(BLOCK, undefined)
    clock.advance(10)
    expect(await seen(revocations)).toBe('blocked')
  })

  test('a log that fails costs nobody anything until the bound, and nobody passes after it', async () => {
    const { revocations, clock, log, background } = createIsolate(10)
    await seen(revocations)
    log.faults.read = 'throw'
    for (let second = 0; second < 10; second++) {
      expect(await seen(revocations)).toBe('passes')
      clock.advance(1)
    }
    expect(await seen(revocations)).toBe('INT102')
    await Promise.all(background)
    log.faults.read = undefined
    expect(await seen(revocations)).toBe('passes')
  })

  test('a log that hangs is not asked by every request in the background', async () => {
    const { revocations, clock, log, asks } = createIsolate(10)
    await seen(revocations)
    log.faults.read = 'hang'
    clock.advance(5)
    for (let count = 0; count < 100; count++) {
      expect(await seen(revocations)).toBe('passes')
      clock.advance(0.049)
    }
    // Five seconds, and a try is given up on after two.
    expect(asks() - 1).toBeLessThanOrEqual(3)
  })

  test('who knows a version names it, so that the log need not send everything again', async () => {
    const { revocations, clock, log, versions, background } = createIsolate(10)
    await seen(revocations)
    clock.advance(5)
    await seen(revocations)
    await Promise.all(background)
    clock.advance(4)
    // The answer "nothing new" counts as fresh: nobody has to wait.
    expect(revocations.current()).not.toBeInstanceOf(Promise)
    await log.add(BLOCK, undefined)
    expect(versions[0]).toBeUndefined()
    expect(versions[1]).toBeTypeOf('number')
  })
})

describe('a fresh isolate', () => {
  test('lets nobody pass while the log cannot be reached', async () => {
    const { revocations, log } = createIsolate(300)
    log.faults.read = 'throw'
    expect(await seen(revocations)).toBe('INT102')
  })

  test('does not take "nothing has changed" for "nothing is revoked"', async () => {
    const log: RevocationLog = {
      ...createMemoryRevocationLog({ clock: createManualClock() }),
      read: async () => undefined,
    }
    const revocations = createRevocations(10, { log, clock: createManualClock(), background: () => undefined })
    expect(await seen(revocations)).toBe('INT102')
  })
})

/** A log that answers when the test says so. */
function createSlowLog() {
  const clock = createManualClock()
  const answers: ((news: News) => void)[] = []
  const log: RevocationLog = {
    ...createMemoryRevocationLog({ clock }),
    read: () => new Promise((resolve) => answers.push(resolve)),
  }
  const isolate = (maxStalenessSeconds: number): Revocations =>
    createRevocations(maxStalenessSeconds, { log, clock, background: () => undefined })
  return { clock, answers, isolate }
}

const NOTHING: News = { version: 1, revocations: [] }
const BLOCKED: News = { version: 2, revocations: [BLOCK] }

/** Lets everything run that waits for nothing but its turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0))
}

async function isBlocked(answer: ReturnType<Revocations['latest']>): Promise<boolean> {
  const latest = await answer
  if (!latest.ok) throw new Error(latest.error.code)
  return latest.value.standingOf(ALICE, 0).blockedBy !== undefined
}

describe('many who ask at once', () => {
  test('share two questions: the one before them, and one that is put after all of them', async () => {
    const { answers, isolate } = createSlowLog()
    const revocations = isolate(0)
    const first = revocations.latest()
    const others = Array.from({ length: 100 }, () => revocations.latest())
    await turn()
    expect(answers).toHaveLength(1)
    // What happens now may be missing from the answer to the first: it is not for those who came later.
    answers[0]?.(NOTHING)
    expect(await isBlocked(first)).toBe(false)
    await turn()
    expect(answers).toHaveLength(2)
    answers[1]?.(BLOCKED)
    expect(await Promise.all(others.map(isBlocked))).toEqual(others.map(() => true))
    await turn()
    expect(answers).toHaveLength(2)
  })

  test('never get the answer to a question that was put before they asked', async () => {
    const { answers, isolate } = createSlowLog()
    const revocations = isolate(0)
    const first = revocations.latest()
    const second = revocations.latest()
    answers[0]?.(NOTHING)
    await turn()
    // The second question is under way: the third is not answered by it either.
    const third = revocations.latest()
    answers[1]?.(NOTHING)
    await turn()
    expect([answers.length, await isBlocked(first), await isBlocked(second)]).toEqual([3, false, false])
    answers[2]?.(BLOCKED)
    expect(await isBlocked(third)).toBe(true)
  })

  test('within the bound share the question that is under way', async () => {
    const { clock, answers, isolate } = createSlowLog()
    const revocations = isolate(10)
    const first = seen(revocations)
    clock.advance(9.9)
    const second = seen(revocations)
    clock.advance(0.1)
    const third = seen(revocations)
    answers[0]?.(NOTHING)
    expect([await first, await second]).toEqual(['passes', 'passes'])
    await turn()
    answers[1]?.(BLOCKED)
    expect([await third, answers.length]).toEqual(['blocked', 2])
  })

  test('all hear that the log has failed, and the next is asked anew', async () => {
    const { revocations, log, asks } = createIsolate(0)
    log.faults.read = 'throw'
    const ends = await Promise.all(Array.from({ length: 50 }, () => seen(revocations)))
    expect(new Set(ends)).toEqual(new Set(['INT102']))
    expect(asks()).toBe(2)
    log.faults.read = undefined
    expect(await seen(revocations)).toBe('passes')
  })

  test('do not wait for ever for a question whose request was ended, and then share one again', async () => {
    const { answers, isolate } = createSlowLog()
    const revocations = isolate(10)
    void seen(revocations)
    const others = Array.from({ length: 20 }, () => seen(revocations))
    const strict = Array.from({ length: 20 }, () => revocations.latest())
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    expect(answers.length).toBeLessThanOrEqual(3)
    for (let asked = 1; asked < 4; asked++) {
      answers[asked]?.(BLOCKED)
      await turn()
    }
    expect(new Set(await Promise.all(others))).toEqual(new Set(['blocked']))
    expect(new Set(await Promise.all(strict.map(isBlocked)))).toEqual(new Set([true]))
    expect(answers.length).toBeLessThanOrEqual(4)
  })
})

test('an answer that was overtaken does not replace what was asked for later', async () => {
  const { clock, answers, isolate } = createSlowLog()
  const revocations = isolate(10)
  const first = seen(revocations)
  clock.advance(1)
  const second = revocations.latest()
  // The second has waited for the first for as long as it does.
  await new Promise((resolve) => setTimeout(resolve, 2_100))
  answers[1]?.(BLOCKED)
  expect(await isBlocked(second)).toBe(true)
  answers[0]?.(NOTHING)
  // The first asked before the block; what it was told is its own answer and nobody else's.
  expect(await first).toBe('passes')
  expect(await seen(revocations)).toBe('blocked')
})

test('latest() asks the log, however fresh the snapshot is, and the answer serves the others', async () => {
  const { revocations, log, asks } = createIsolate(10)
  await seen(revocations)
  await log.add(BLOCK, undefined)
  expect(await seen(revocations)).toBe('passes')
  const latest = await revocations.latest()
  expect(latest.ok && latest.value.standingOf(ALICE, 0).blockedBy).toBe('b')
  expect([await seen(revocations), asks()]).toEqual(['blocked', 2])
})
