import { describe, expect, test } from 'vitest'
import { Refreshing, type RefreshingBounds } from '../../../src/lib/refreshing.ts'
import { err, ok, type Result } from '../../../src/lib/result.ts'

const BOUNDS: RefreshingBounds = {
  freshMs: 1000,
  staleMs: 5000,
  failureCooldownMs: 100,
  renewCooldownMs: 300,
  deadlineMs: 30,
}

type Loaded = Result<string, string>

interface Source {
  readonly refreshing: Refreshing<string, string>
  /** How often it was asked. */
  readonly loads: () => number
  readonly kept: Promise<unknown>[]
  readonly pass: (ms: number) => void
  /** What the next loads do; `hang` never settles. */
  next: 'value' | 'failure' | 'hang'
}

function source(bounds: Partial<RefreshingBounds> = {}): Source {
  let now = 0
  let count = 0
  const kept: Promise<unknown>[] = []
  const load = async (): Promise<Loaded> => {
    count++
    const number = count
    if (made.next === 'hang') return new Promise<never>(() => undefined)
    const isFailure = made.next === 'failure'
    await new Promise((resolve) => setTimeout(resolve, 2))
    return isFailure ? err(`failure ${number}`) : ok(`value ${number}`)
  }
  const made: Source = {
    refreshing: new Refreshing(
      load,
      { ...BOUNDS, ...bounds },
      () => now,
      (work) => kept.push(work),
    ),
    loads: () => count,
    kept,
    pass: (ms) => {
      now += ms
    },
    next: 'value',
  }
  return made
}

const VALUE_1 = ok('value 1')

describe('Refreshing.get()', () => {
  test('asks once, and not again while the value is fresh', async () => {
    const { refreshing, loads, pass } = source()
    expect(await refreshing.get()).toEqual(VALUE_1)
    pass(999)
    expect(refreshing.get()).toEqual(VALUE_1)
    expect(loads()).toBe(1)
    pass(1)
    expect(await refreshing.get()).toEqual(ok('value 2'))
    expect(loads()).toBe(2)
  })

  test('answers with the failure where there is no value, and leaves the source alone for a while', async () => {
    const one = source()
    one.next = 'failure'
    expect(await one.refreshing.get()).toEqual(err('failure 1'))
    one.pass(99)
    expect(await one.refreshing.get()).toEqual(err('failure 1'))
    expect(one.loads()).toBe(1)
    one.pass(1)
    one.next = 'value'
    expect(await one.refreshing.get()).toEqual(ok('value 2'))
  })

  test('goes on with the old value while the source fails, asking once per cool-down', async () => {
    const one = source()
    await one.refreshing.get()
    one.next = 'failure'
    one.pass(1000)
    for (let step = 0; step < 10; step++) {
      expect(await one.refreshing.get()).toEqual(VALUE_1)
      one.pass(50)
    }
    expect(one.loads()).toBe(1 + 5)
  })

  test('does not use a value past its last age, whatever the source does', async () => {
    const one = source()
    await one.refreshing.get()
    one.next = 'failure'
    one.pass(4999)
    expect(await one.refreshing.get()).toEqual(VALUE_1)
    one.pass(1)
    expect(await one.refreshing.get()).toEqual(err('failure 2'))
    one.pass(100)
    expect(await one.refreshing.get()).toEqual(err('failure 3'))
  })

  test('forgets a failure as soon as the source is well again', async () => {
    const one = source()
    one.next = 'failure'
    await one.refreshing.get()
    one.pass(100)
    one.next = 'value'
    await one.refreshing.get()
    one.pass(1000)
    expect(await one.refreshing.get()).toEqual(ok('value 3'))
  })

  test('asks once for forty who come together', async () => {
    const { refreshing, loads } = source()
    const answers = await Promise.all(Array.from({ length: 40 }, async () => refreshing.get()))
    expect(answers).toEqual(Array.from({ length: 40 }, () => VALUE_1))
    expect(loads()).toBe(1)
  })

  test('tells forty who come together of one failure', async () => {
    const one = source()
    one.next = 'failure'
    const answers = await Promise.all(Array.from({ length: 40 }, async () => one.refreshing.get()))
    expect(answers.every((answer) => !answer.ok)).toBe(true)
    expect(one.loads()).toBe(1)
  })

  test('hands every load to the background, so that it outlives the request that began it', async () => {
    const { refreshing, kept, pass } = source()
    await refreshing.get()
    pass(1000)
    await refreshing.get()
    expect(await Promise.all(kept)).toEqual([VALUE_1, ok('value 2')])
  })
})

describe('Refreshing.get() behind a leader that died', () => {
  test('does not hang: whoever followed loads for itself', async () => {
    const one = source()
    one.next = 'hang'
    void one.refreshing.get()
    one.next = 'value'
    expect(await one.refreshing.get()).toEqual(ok('value 2'))
  })

  test('asks once more for forty followers, not forty times', async () => {
    const one = source()
    one.next = 'hang'
    void one.refreshing.get()
    one.next = 'value'
    const answers = await Promise.all(Array.from({ length: 40 }, async () => one.refreshing.get()))
    expect(answers.every((answer) => answer.ok)).toBe(true)
    expect(one.loads()).toBe(2)
  })

  test('does not wait at all for a load that is older than its deadline', async () => {
    const one = source({ deadlineMs: 60_000 })
    one.next = 'hang'
    void one.refreshing.get()
    one.next = 'value'
    one.pass(60_000)
    expect(await one.refreshing.get()).toEqual(ok('value 2'))
  })
})

describe('Refreshing.renew()', () => {
  test('asks although the value is fresh, but once per cool-down', async () => {
    const { refreshing, loads, pass } = source()
    await refreshing.get()
    expect(await refreshing.renew()).toEqual(ok('value 2'))
    for (let step = 0; step < 5; step++) {
      expect(await refreshing.renew()).toEqual(ok('value 2'))
      pass(59)
    }
    expect(loads()).toBe(2)
    pass(5)
    expect(await refreshing.renew()).toEqual(ok('value 3'))
  })

  test('asks once for forty who renew together', async () => {
    const { refreshing, loads } = source()
    await refreshing.get()
    await Promise.all(Array.from({ length: 40 }, async () => refreshing.renew()))
    expect(loads()).toBe(2)
  })

  test('does not ask a source that has just failed, and keeps the value', async () => {
    const one = source({ failureCooldownMs: 500 })
    await one.refreshing.get()
    one.next = 'failure'
    expect(await one.refreshing.renew()).toEqual(VALUE_1)
    one.pass(400)
    expect(await one.refreshing.renew()).toEqual(VALUE_1)
    expect(one.loads()).toBe(2)
  })
})
