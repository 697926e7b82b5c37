// What the real ground promises of its calls to flight objects beyond the ports' contracts: it runs in workerd only.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import type { Landing, SingleFlight } from '../../src/ports.ts'
import { createJob, createScriptedWork, sightOf } from './scripted-work.ts'

const ground = createGround()

function fail(): never {
  throw new Error('this runs on the platform only')
}

function never(): Promise<never> {
  return new Promise(() => undefined)
}

describe.skipIf(ground.platform === undefined)('createSingleFlight()', () => {
  if (ground.platform === undefined) return
  const { createSingleFlight, createLocalFlight, systemClock } = ground.platform.cloudflare
  const landing: Landing = { landed: true, sealed: new Uint8Array([1]), fresh: true, ms: {} }
  const fromStandIn: Landing = { ...landing, sealed: new Uint8Array([2]) }

  /** Objects that answer with each of these in turn. */
  function createObjects(answers: readonly (Landing | Error)[]) {
    const calls: string[] = []
    const getByName = (name: string) => ({
      async join() {
        const answer = answers[calls.length]
        calls.push(name)
        if (answer === undefined || answer instanceof Error) throw answer ?? new Error('called too often')
        return answer
      },
      peek: async () => undefined,
      forget: async () => undefined,
    })
    return { calls, getByName }
  }

  function createStandIn() {
    const calls: string[] = []
    const standIn: SingleFlight = {
      async join(name) {
        calls.push(name)
        return fromStandIn
      },
      async peek(name) {
        calls.push(`peek ${name}`)
        return new Uint8Array([3])
      },
      async forget(name) {
        calls.push(`forget ${name}`)
        return new Uint8Array([2])
      },
    }
    return { calls, standIn }
  }

  test('gives up on an object that hangs', async () => {
    const flight = createSingleFlight({ getByName: () => ({ join: never, peek: never, forget: never }) }, undefined, 20)
    await expect(flight.join('n', createJob())).rejects.toThrow('the flight object took longer than 20 ms')
  })

  test('calls again, once, when the platform says that this is safe', async () => {
    const reset = Object.assign(new Error('reset because its code was updated'), { retryable: true })
    const once = createObjects([reset, landing])
    expect(await createSingleFlight(once).join('n', createJob())).toEqual(landing)
    expect(once.calls).toEqual(['n', 'n'])
    const twice = createObjects([reset, reset, landing])
    await expect(createSingleFlight(twice).join('n', createJob())).rejects.toThrow('reset')
  })

  test('does not call again when the work threw or the object is overloaded', async () => {
    const overloaded = Object.assign(new Error('overloaded'), { retryable: true, overloaded: true })
    for (const error of [new Error('the work broke'), overloaded]) {
      const objects = createObjects([error, landing])
      await expect(createSingleFlight(objects).join('n', createJob())).rejects.toThrow(error)
      expect(objects.calls).toHaveLength(1)
    }
  })

  test('while objects cannot be reached, the stand-in flies', async () => {
    const overloaded = Object.assign(new Error('overloaded'), { overloaded: true })
    const reset = Object.assign(new Error('reset because its code was updated'), { retryable: true })
    for (const errors of [[new Error('Network connection lost.')], [overloaded], [reset, reset]]) {
      const { calls, standIn } = createStandIn()
      const objects = createObjects([...errors, landing])
      const flight = createSingleFlight(objects, standIn)
      expect(await flight.join('n', createJob())).toEqual(fromStandIn)
      expect(calls).toEqual(['n'])
      // And no longer than that.
      expect(await flight.join('n', createJob())).toEqual(landing)
      expect(calls).toEqual(['n'])
    }
    const { calls, standIn } = createStandIn()
    const broken = {
      getByName: (): never => {
        throw new Error('no such binding')
      },
    }
    expect(await createSingleFlight(broken, standIn).join('n', createJob())).toEqual(fromStandIn)
    expect(calls).toEqual(['n'])
  })

  test('the stand-in does not fly after an object that was reached: that one may have flown', async () => {
    const { calls, standIn } = createStandIn()
    const thrown = Object.assign(new Error('the work broke'), { remote: true })
    await expect(createSingleFlight(createObjects([thrown]), standIn).join('n', createJob())).rejects.toThrow(thrown)
    // This is how the platform marks what an object's own code throws.
    const real = createSingleFlight(ground.platform?.flights ?? fail(), standIn)
    const job = createJob({ script: { steps: ['throw'] } })
    await expect(real.join(crypto.randomUUID(), job)).rejects.toThrow('run 1 broke')
    expect(calls).toEqual([])
  })

  test('the stand-in does not fly after a failure that was slow, nor after the deadline', async () => {
    const { calls, standIn } = createStandIn()
    const slow = {
      getByName: () => ({
        async join(): Promise<Landing> {
          await ground.pass(2.1)
          throw new Error('Network connection lost.')
        },
        peek: never,
        forget: never,
      }),
    }
    await expect(createSingleFlight(slow, standIn).join('n', createJob())).rejects.toThrow('Network connection lost.')
    const hanging = { getByName: () => ({ join: never, peek: never, forget: never }) }
    await expect(createSingleFlight(hanging, standIn, 2100).join('n', createJob())).rejects.toThrow('took longer')
    expect(calls).toEqual([])
  })

  test('a stand-in that hangs is given up on, too', async () => {
    const standIn: SingleFlight = { join: never, peek: never, forget: never }
    const flight = createSingleFlight(createObjects([]), standIn, 20)
    await expect(flight.join('n', createJob())).rejects.toThrow('the flight of this isolate took longer than 20 ms')
  })

  test('the local flight is a stand-in: while the objects are away, 50 who join here share one flight', async () => {
    const work = createScriptedWork(systemClock)
    const local = createLocalFlight({ work, clock: systemClock, background: () => undefined })
    const flight = createSingleFlight(createObjects([]), local)
    const job = createJob({ script: { delayMs: 100 } })
    const landings = await Promise.all(Array.from({ length: 50 }, () => flight.join('n', job)))
    expect(new Set(landings.map((one) => sightOf(one).run))).toEqual(new Set([1]))
    expect(landings.filter((one) => one.landed && one.fresh)).toHaveLength(1)
  })

  test('forget() asks the object and the stand-in, and fails where the object fails', async () => {
    const { calls, standIn } = createStandIn()
    const of = (forget: () => Promise<Uint8Array<ArrayBuffer> | undefined>) =>
      createSingleFlight({ getByName: () => ({ join: never, peek: never, forget }) }, standIn)
    expect(await of(async () => new Uint8Array([1])).forget('n')).toEqual(new Uint8Array([1]))
    expect(await of(async () => undefined).forget('n')).toEqual(new Uint8Array([2]))
    await expect(of(async () => Promise.reject(new Error('away'))).forget('n')).rejects.toThrow('away')
    await expect(of(never).forget('n')).rejects.toThrow('the flight object took longer than 1000 ms')
    // What the stand-in keeps is there for whoever asks again.
    expect(calls).toEqual(['forget n', 'forget n'])
  })

  test('peek() asks the stand-in where the object keeps nothing, and fails where the object fails', async () => {
    const { calls, standIn } = createStandIn()
    const of = (peek: () => Promise<Uint8Array<ArrayBuffer> | undefined>) =>
      createSingleFlight({ getByName: () => ({ join: never, peek, forget: never }) }, standIn)
    expect(await of(async () => new Uint8Array([1])).peek('n')).toEqual(new Uint8Array([1]))
    expect(calls).toEqual([])
    expect(await of(async () => undefined).peek('n')).toEqual(new Uint8Array([3]))
    await expect(of(async () => Promise.reject(new Error('away'))).peek('n')).rejects.toThrow('away')
    await expect(of(never).peek('n')).rejects.toThrow('the flight object took longer than 1000 ms')
    expect(calls).toEqual(['peek n'])
  })
})
