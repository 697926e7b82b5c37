// A circuit: an outage costs a handful of calls, and its end is noticed soon.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Circuit, SharedCircuit } from '../../../src/lib/circuit.ts'

const BOUNDS = { failuresToOpen: 3, firstPauseMs: 1000, maxPauseMs: 4000 }

function createCircuit() {
  let now = 0
  const circuit = new Circuit(BOUNDS, () => now)
  const fail = (times = 1): void => {
    for (let count = 0; count < times; count++) circuit.failed()
  }
  const pass = (ms: number): void => {
    now += ms
  }
  return { circuit, fail, pass }
}

describe('a closed circuit', () => {
  test('does not open before the failures in a row that it is told', () => {
    const { circuit, fail } = createCircuit()
    fail(2)
    expect(circuit.admits()).toBe(true)
    fail()
    expect(circuit.admits()).toBe(false)
  })

  test('does not count failures that a success lies between', () => {
    const { circuit, fail } = createCircuit()
    for (let round = 0; round < 20; round++) {
      fail(2)
      circuit.succeeded()
    }
    expect(circuit.admits()).toBe(true)
  })
})

describe('an open circuit', () => {
  test('lets nobody through before its pause is over, and then one', () => {
    const { circuit, fail, pass } = createCircuit()
    fail(3)
    pass(999)
    expect(circuit.admits()).toBe(false)
    pass(1)
    expect([circuit.admits(), circuit.admits(), circuit.admits()]).toEqual([true, false, false])
  })

  test('waits twice as long after each trial that fails, and never longer than its bound', () => {
    const { circuit, fail, pass } = createCircuit()
    fail(3)
    for (const pause of [1000, 2000, 4000, 4000, 4000]) {
      pass(pause - 1)
      expect(circuit.admits()).toBe(false)
      pass(1)
      expect(circuit.admits()).toBe(true)
      fail()
    }
  })

  test('does not stay open after a trial that succeeds, nor remember how long it paused', () => {
    const { circuit, fail, pass } = createCircuit()
    fail(3)
    pass(1000)
    expect(circuit.admits()).toBe(true)
    circuit.succeeded()
    expect([circuit.admits(), circuit.admits()]).toEqual([true, true])
    fail(3)
    pass(1000)
    expect(circuit.admits()).toBe(true)
  })

  test('is not shut for ever by a trial that never reports', () => {
    const { circuit, fail, pass } = createCircuit()
    fail(3)
    pass(1000)
    expect(circuit.admits()).toBe(true)
    pass(999)
    expect(circuit.admits()).toBe(false)
    pass(1)
    expect(circuit.admits()).toBe(true)
  })
})

test('whatever happens, it opens again within its longest pause, and an outage costs no more than that allows', () => {
  const step = fc.record({ wait: fc.nat(3000), fails: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { circuit, fail, pass } = createCircuit()
      for (const { wait, fails } of steps) {
        pass(wait)
        if (!circuit.admits()) continue
        if (fails) fail()
        else circuit.succeeded()
      }
      pass(BOUNDS.maxPauseMs)
      expect(circuit.admits()).toBe(true)
    }),
  )
  const { circuit, fail, pass } = createCircuit()
  let calls = 0
  for (let ms = 0; ms < 60_000; ms += 10) {
    if (circuit.admits()) {
      calls++
      fail()
    }
    pass(10)
  }
  expect(calls).toBeLessThanOrEqual(3 + 2 + 60_000 / 4000)
})

describe('a circuit that many share', () => {
  function createShared() {
    let now = 0
    const circuit = new SharedCircuit({ ...BOUNDS, askersToOpen: 3, maxAskers: 5 }, () => now)
    const fail = (asker: string, times = 1): void => {
      for (let count = 0; count < times; count++) circuit.failed(asker)
    }
    const pass = (ms: number): void => {
      now += ms
    }
    return { circuit, fail, pass }
  }

  test('holds back the one whose calls fail, and nobody else', () => {
    const { circuit, fail, pass } = createShared()
    fail('bob', 100)
    expect([circuit.isOpen('bob'), circuit.admits('bob')]).toEqual([true, false])
    expect([circuit.isOpen('ann'), circuit.admits('ann')]).toEqual([false, true])
    pass(4000)
    expect([circuit.admits('bob'), circuit.admits('bob')]).toEqual([true, false])
  })

  test('opens for everybody when several fail and nobody succeeds', () => {
    const { circuit, fail } = createShared()
    fail('bob', 3)
    fail('cy')
    expect(circuit.admits('ann')).toBe(true)
    fail('di')
    expect([circuit.isOpen('ann'), circuit.admits('ann')]).toEqual([true, false])
  })

  test('does not add up failures that a success of anybody lies between, but goes on holding back whom it held', () => {
    const { circuit, fail } = createShared()
    fail('bob', 3)
    fail('cy')
    circuit.succeeded('ann')
    fail('di', 2)
    expect(circuit.admits('ann')).toBe(true)
    expect(circuit.admits('bob')).toBe(false)
    circuit.succeeded('bob')
    expect(circuit.admits('bob')).toBe(true)
  })

  test('lets those try first who have not failed yet', () => {
    const { circuit, fail, pass } = createShared()
    for (const asker of ['bob', 'cy', 'di']) fail(asker)
    pass(1000)
    expect(circuit.admits('bob')).toBe(false)
    expect(circuit.admits('ann')).toBe(true)
    circuit.succeeded('ann')
    expect(circuit.admits('bob')).toBe(true)
  })

  test('is tried by those who have failed where nobody else comes, within twice the pause', () => {
    const { circuit, fail, pass } = createShared()
    for (const asker of ['bob', 'cy', 'di']) fail(asker)
    pass(1999)
    expect(circuit.admits('bob')).toBe(false)
    pass(1)
    expect([circuit.admits('bob'), circuit.admits('cy')]).toEqual([true, false])
  })

  test('remembers no more askers than it may', () => {
    const { circuit, fail } = createShared()
    fail('bob', 3)
    for (let index = 0; index < 5; index++) {
      fail(`user-${index}`)
      circuit.succeeded(`other-${index}`)
    }
    // Whoever was forgotten is asked about anew.
    expect(circuit.admits('bob')).toBe(true)
  })
})
