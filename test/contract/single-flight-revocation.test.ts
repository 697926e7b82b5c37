// The contract of SingleFlight where entries are revoked or forgotten, on both grounds.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import type { Landing, TokenJob } from '../../src/ports.ts'
import { createJob, sightOf } from './scripted-work.ts'

const ground = createGround()
const { singleFlight } = ground

function freshName(): string {
  return crypto.randomUUID()
}

function joinTimes(count: number, name: string, job: TokenJob): Promise<Landing[]> {
  return Promise.all(Array.from({ length: count }, () => singleFlight.join(name, job)))
}

function countFresh(landings: readonly Landing[]): number {
  return landings.filter((landing) => landing.landed && landing.fresh).length
}

describe('SingleFlight, when entries have been revoked', () => {
  test('a kept entry from before is not good enough, and what replaces it is for all', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID(), delayMs: 100 }
    const first = sightOf(await singleFlight.join(name, createJob({ script })))
    await ground.pass(0.1)
    const job = createJob({ script, tokensUntil: first.obtainedAt + 1 })
    const landings = await joinTimes(20, name, job)
    expect(new Set(landings.map((landing) => sightOf(landing).run))).toEqual(new Set([2]))
    expect(countFresh(landings)).toBe(1)
    expect(sightOf(await singleFlight.join(name, createJob({ script }))).run).toBe(2)
  })

  test('an entry obtained at the very moment of the cut-off is dead; one from later is not', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID() }
    const { obtainedAt } = sightOf(await singleFlight.join(name, createJob({ script })))
    await ground.pass(0.1)
    const before = await singleFlight.join(name, createJob({ script, tokensUntil: obtainedAt - 1 }))
    expect(sightOf(before).run).toBe(1)
    const dead = await singleFlight.join(name, createJob({ script, tokensUntil: obtainedAt }))
    expect(sightOf(dead).run).toBe(2)
  })

  test('the flight in the air took off before: who knows of it waits for the next, together', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID(), delayMs: 200 }
    const unaware = singleFlight.join(name, createJob({ script }))
    await ground.pass(0.1)
    const tokensUntil = ground.epochMillis()
    await ground.pass(0.01)
    const aware = joinTimes(20, name, createJob({ script, tokensUntil }))
    expect(sightOf(await unaware)).toMatchObject({ run: 1 })
    const sights = (await aware).map((landing) => sightOf(landing))
    expect(new Set(sights.map(({ run }) => run))).toEqual(new Set([2]))
    for (const { obtainedAt } of sights) expect(obtainedAt).toBeGreaterThan(tokensUntil)
    expect(countFresh(await aware)).toBe(1)
  })

  test('a cut-off in the future makes nobody fly in circles', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID(), delayMs: 100 }
    const tokensUntil = ground.epochMillis() + 600_000
    const landings = await joinTimes(20, name, createJob({ script, tokensUntil }))
    // Nothing better can be had; whoever asked judges what came.
    expect(Math.max(...landings.map((landing) => sightOf(landing).run))).toBe(2)
  })
})

describe('SingleFlight.peek()', () => {
  test('answers what is kept, as often as it is asked, and the next one gets that', async () => {
    const name = freshName()
    const job = createJob()
    const landing = await singleFlight.join(name, job)
    for (let count = 0; count < 3; count++) {
      expect(await singleFlight.peek(name)).toEqual(landing.landed && landing.sealed)
    }
    expect(await singleFlight.join(name, job)).toMatchObject({ landed: true, fresh: false })
    expect(await singleFlight.forget(name)).toEqual(landing.landed && landing.sealed)
  })

  test('answers nothing where nothing is kept, or not any more', async () => {
    const name = freshName()
    expect(await singleFlight.peek(name)).toBeUndefined()
    await singleFlight.join(name, createJob())
    await singleFlight.forget(name)
    expect(await singleFlight.peek(name)).toBeUndefined()
    await singleFlight.join(name, createJob({ minRemainingSeconds: 0, script: { usableForSeconds: 1 } }))
    await ground.pass(2)
    expect(await singleFlight.peek(name)).toBeUndefined()
  })
})

describe('SingleFlight.forget()', () => {
  test('answers what was kept, sealed as it was, and the next one takes off', async () => {
    const name = freshName()
    const job = createJob()
    const landing = await singleFlight.join(name, job)
    expect(await singleFlight.forget(name)).toEqual(landing.landed && landing.sealed)
    const next = await singleFlight.join(name, job)
    expect(next).toMatchObject({ landed: true, fresh: true })
    expect(sightOf(next)).toMatchObject({ run: 2, kept: undefined })
  })

  test('answers nothing where nothing is kept, or not any more', async () => {
    const name = freshName()
    expect(await singleFlight.forget(name)).toBeUndefined()
    await singleFlight.join(name, createJob())
    await singleFlight.forget(name)
    expect(await singleFlight.forget(name)).toBeUndefined()
    await singleFlight.join(name, createJob({ minRemainingSeconds: 0, script: { usableForSeconds: 1 } }))
    await ground.pass(2)
    expect(await singleFlight.forget(name)).toBeUndefined()
  })

  test('forgets a remembered refusal as well', async () => {
    const name = freshName()
    const remember = { seconds: 60, sameTokenOnly: false }
    const job = createJob({ script: { steps: ['refuse', 'land'], remember } })
    await singleFlight.join(name, job)
    expect((await singleFlight.join(name, job)).landed).toBe(false)
    await singleFlight.forget(name)
    expect(sightOf(await singleFlight.join(name, job)).run).toBe(2)
  })

  test('leaves other names alone', async () => {
    const [name, other] = [freshName(), freshName()]
    const job = createJob()
    await singleFlight.join(other, job)
    await singleFlight.forget(name)
    expect(await singleFlight.join(other, job)).toMatchObject({ landed: true, fresh: false })
  })
})

describe.skipIf(ground.platform === undefined)('Flight, the Durable Object, where entries are revoked', () => {
  const { platform } = ground
  if (platform === undefined) return

  test('knows when a kept entry was obtained, taken out of memory or not', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID() }
    const { obtainedAt } = sightOf(await singleFlight.join(name, createJob({ script })))
    await platform.evict(name)
    const older = await singleFlight.join(name, createJob({ script, tokensUntil: obtainedAt - 1 }))
    expect(sightOf(older).run).toBe(1)
    const newer = await singleFlight.join(name, createJob({ script, tokensUntil: obtainedAt }))
    expect(sightOf(newer).run).toBe(2)
  })

  test('stores nothing once it was told to forget', async () => {
    const name = freshName()
    await singleFlight.join(name, createJob())
    expect(await platform.stored(name)).toBe(1)
    await singleFlight.forget(name)
    expect(await platform.stored(name)).toBe(0)
    await platform.evict(name)
    expect(await singleFlight.forget(name)).toBeUndefined()
  })
})
