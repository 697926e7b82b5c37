// What Workers KV does that its simulator in workerd does not: the memory ground has to, or no test would meet it.
import { describe, expect, test } from 'vitest'
import { toUtf8 } from '../../../src/lib/bytes.ts'
import { plusSeconds } from '../../../src/lib/numeric-date.ts'
import { createManualClock, createMemoryTokenStore } from '../../../src/platform/memory.ts'

const old = toUtf8('old')
const young = toUtf8('young')

function createNetwork() {
  const clock = createManualClock()
  const store = createMemoryTokenStore({ clock })
  return {
    clock,
    store,
    paris: store.at('paris'),
    tokyo: store.at('tokyo'),
    in10Minutes: () => plusSeconds(clock.now(), 600),
  }
}

describe('the memory token store, seen from two locations', () => {
  test('a miss is remembered for a minute: an entry written elsewhere stays unknown', async () => {
    const { clock, paris, tokyo, in10Minutes } = createNetwork()
    expect(await tokyo.get('n')).toBeUndefined()
    await paris.put('n', young, in10Minutes())
    expect(await paris.get('n')).toEqual(young)
    expect(await tokyo.get('n')).toBeUndefined()
    clock.advance(59)
    expect(await tokyo.get('n')).toBeUndefined()
    clock.advance(1)
    expect(await tokyo.get('n')).toEqual(young)
  })

  test('a location that never asked sees the entry at once', async () => {
    const { paris, tokyo, in10Minutes } = createNetwork()
    await paris.put('n', young, in10Minutes())
    expect(await tokyo.get('n')).toEqual(young)
  })

  test('asking again during the minute does not make the minute longer', async () => {
    const { clock, paris, tokyo, in10Minutes } = createNetwork()
    await tokyo.get('n')
    await paris.put('n', young, in10Minutes())
    for (let second = 0; second < 60; second++) {
      expect(await tokyo.get('n')).toBeUndefined()
      clock.advance(1)
    }
    expect(await tokyo.get('n')).toEqual(young)
  })

  test('a location answers with the old value for up to a minute after another was written elsewhere', async () => {
    const { clock, paris, tokyo, in10Minutes } = createNetwork()
    await paris.put('n', old, in10Minutes())
    await tokyo.get('n')
    clock.advance(2)
    await paris.put('n', young, in10Minutes())
    expect(await paris.get('n')).toEqual(young)
    expect(await tokyo.get('n')).toEqual(old)
    clock.advance(58)
    expect(await tokyo.get('n')).toEqual(young)
  })

  test('a deleted entry lives on elsewhere for up to a minute', async () => {
    const { clock, store, paris, tokyo, in10Minutes } = createNetwork()
    await paris.put('n', old, in10Minutes())
    await tokyo.get('n')
    await paris.delete('n')
    expect(await paris.get('n')).toBeUndefined()
    expect(await tokyo.get('n')).toEqual(old)
    expect(store.list()).toEqual([])
    clock.advance(60)
    expect(await tokyo.get('n')).toBeUndefined()
  })

  test('two views of one location are the same location', async () => {
    const { store, paris, in10Minutes } = createNetwork()
    expect(await paris.get('n')).toBeUndefined()
    await store.at('paris').put('n', young, in10Minutes())
    expect(await paris.get('n')).toEqual(young)
  })

  test('an entry vanishes at its expiry everywhere, however young the copies are', async () => {
    const { clock, store, paris, tokyo } = createNetwork()
    await paris.put('n', old, plusSeconds(clock.now(), 60))
    clock.advance(59)
    expect(await tokyo.get('n')).toEqual(old)
    expect(store.list()).toEqual(['n'])
    clock.advance(1)
    expect(await tokyo.get('n')).toBeUndefined()
    expect(await paris.get('n')).toBeUndefined()
    expect(store.dump().size).toBe(0)
  })
})

describe('the memory token store refuses what KV refuses', () => {
  test('a second write of one name within a second, wherever it comes from, and keeps the first', async () => {
    const { clock, paris, tokyo, in10Minutes } = createNetwork()
    await paris.put('n', old, in10Minutes())
    clock.advance(0.9)
    await expect(tokyo.put('n', young, in10Minutes())).rejects.toThrow('KV PUT failed: 429 Too Many Requests')
    expect(await paris.get('n')).toEqual(old)
    await paris.put('another', young, in10Minutes())
    clock.advance(0.1)
    await tokyo.put('n', young, in10Minutes())
    expect(await tokyo.get('n')).toEqual(young)
  })

  test('an entry that would live less than 60 seconds', async () => {
    const { clock, paris } = createNetwork()
    await expect(paris.put('n', old, plusSeconds(clock.now(), 59))).rejects.toThrow('at least 60 seconds in the future')
    await paris.put('n', old, plusSeconds(clock.now(), 60))
  })

  test('values beyond 25 MiB', async () => {
    const { paris, in10Minutes } = createNetwork()
    await expect(paris.put('n', new Uint8Array(25 * 1024 * 1024 + 1), in10Minutes())).rejects.toThrow(
      'KV PUT failed: 413',
    )
  })
})

describe('the memory token store, for tests', () => {
  test('list() and dump() tell what exists, by prefix and in order', async () => {
    const { store, paris, tokyo, in10Minutes } = createNetwork()
    await tokyo.put('t1:b', young, in10Minutes())
    await paris.put('t1:a', old, in10Minutes())
    await paris.put('other', old, in10Minutes())
    expect(store.list('t1:')).toEqual(['t1:a', 't1:b'])
    expect(store.dump().get('t1:b')).toEqual({ value: young, expiresAt: in10Minutes() })
    store.dump().get('t1:b')?.value.fill(0)
    expect(await tokyo.get('t1:b')).toEqual(young)
  })

  test('a fault set by a test lets that one kind of call throw, until it is taken away', async () => {
    const { store, paris, in10Minutes } = createNetwork()
    store.faults.get = 'throw'
    await paris.put('n', young, in10Minutes())
    await expect(paris.get('n')).rejects.toThrow('KV GET failed: 500')
    store.faults.get = undefined
    expect(await paris.get('n')).toEqual(young)
    store.faults.put = 'throw'
    store.faults.delete = 'throw'
    await expect(paris.put('m', young, in10Minutes())).rejects.toThrow()
    await expect(paris.delete('n')).rejects.toThrow()
    expect(store.list()).toEqual(['n'])
  })

  test('a fault can let a call hang for good', async () => {
    const { store, paris } = createNetwork()
    store.faults.get = 'hang'
    const late = new Promise((resolve) => setTimeout(resolve, 30, 'still waiting'))
    expect(await Promise.race([paris.get('n'), late])).toBe('still waiting')
  })
})
