// The contract of SingleFlight, on both grounds: one desk, once in memory and once inside the Durable Object.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import type { Landing, TokenJob } from '../../src/ports.ts'
import { createJob, idOf, sightOf } from './scripted-work.ts'

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

describe('SingleFlight', () => {
  test('200 parallel joins of one name run the work once, and all of them land', async () => {
    const landings = await joinTimes(200, freshName(), createJob({ script: { delayMs: 200 } }))
    expect(landings.map((landing) => sightOf(landing).run)).toEqual(Array.from({ length: 200 }, () => 1))
    expect(countFresh(landings)).toBe(1)
  })

  test('only the one who led is told how long the legs took', async () => {
    const landings = await joinTimes(5, freshName(), createJob({ script: { delayMs: 100 } }))
    for (const landing of landings) {
      const isLeader = landing.landed && landing.fresh
      expect(landing.ms).toEqual(isLeader ? { exchange: 1, redeem: 1 } : {})
    }
  })

  test('only the one who led is told what it cost', async () => {
    const name = freshName()
    const job = createJob({ script: { delayMs: 100 } })
    const landings = await joinTimes(5, name, job)
    const later = await singleFlight.join(name, job)
    for (const landing of [...landings, later]) {
      const isLeader = landing.landed && landing.fresh
      expect('quota' in landing ? landing.quota : undefined).toEqual(
        isLeader ? { used: 1, limit: 100, warning: false } : undefined,
      )
    }
    expect(countFresh([...landings, later])).toBe(1)
  })

  test('two names fly apart', async () => {
    const script = { key: crypto.randomUUID(), delayMs: 100 }
    const landings = await Promise.all([
      singleFlight.join(freshName(), createJob({ script })),
      singleFlight.join(freshName(), createJob({ script })),
    ])
    expect(new Set(landings.map((landing) => sightOf(landing).run))).toEqual(new Set([1, 2]))
    expect(countFresh(landings)).toBe(2)
  })

  test('who comes after the landing gets the kept entry, without work', async () => {
    const name = freshName()
    const job = createJob()
    expect(await singleFlight.join(name, job)).toMatchObject({ landed: true, fresh: true })
    const second = await singleFlight.join(name, job)
    expect(second).toMatchObject({ landed: true, fresh: false, ms: {} })
    expect(sightOf(second).run).toBe(1)
  })

  test('a kept entry that has run out is replaced, and counts as forgotten', async () => {
    const name = freshName()
    const job = createJob({ minRemainingSeconds: 1, script: { usableForSeconds: 2 } })
    await singleFlight.join(name, job)
    await ground.pass(3)
    const second = await singleFlight.join(name, job)
    expect(second).toMatchObject({ landed: true, fresh: true })
    expect(sightOf(second)).toMatchObject({ run: 2, kept: undefined })
  })

  test('a kept entry is good only for who needs no more than what remains of it', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID(), usableForSeconds: 100 }
    await singleFlight.join(name, createJob({ script }))
    const modest = await singleFlight.join(name, createJob({ script, minRemainingSeconds: 30 }))
    expect(sightOf(modest).run).toBe(1)
    const demanding = await singleFlight.join(name, createJob({ script, minRemainingSeconds: 200 }))
    expect(sightOf(demanding).run).toBe(2)
  })

  test('the work is told which entry is kept', async () => {
    const name = freshName()
    const key = crypto.randomUUID()
    const first = await singleFlight.join(name, createJob({ script: { key } }))
    expect(sightOf(first).kept).toBeUndefined()
    const second = await singleFlight.join(name, createJob({ script: { key }, rejectedEntry: idOf(key, 1) }))
    expect(sightOf(second).kept).toBe(idOf(key, 1))
  })

  test('the work gets the whole job of the one who led', async () => {
    const job = createJob({ subjectToken: 'e.y.J', rejectedEntry: 'something else' })
    expect(sightOf(await singleFlight.join(freshName(), job))).toMatchObject({
      subjectToken: 'e.y.J',
      rejectedEntry: 'something else',
    })
  })
})

describe('SingleFlight, when the work refuses', () => {
  test('a refusal reaches everybody who waits, as it is', async () => {
    const landings = await joinTimes(20, freshName(), createJob({ script: { steps: ['refuse'], delayMs: 100 } }))
    for (const landing of landings) {
      expect(landing).toMatchObject({
        landed: false,
        refusal: { code: 'IDP112', detail: 'run 1', retryAfterSeconds: 7 },
      })
    }
  })

  test('a refusal is not kept: who comes later tries again', async () => {
    const name = freshName()
    const job = createJob({ script: { steps: ['refuse', 'land'] } })
    expect((await singleFlight.join(name, job)).landed).toBe(false)
    expect(sightOf(await singleFlight.join(name, job)).run).toBe(2)
  })

  test('a refusal leaves the kept entry where it is', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID(), steps: ['land', 'refuse'] as const, usableForSeconds: 100 }
    await singleFlight.join(name, createJob({ script }))
    const refused = await singleFlight.join(name, createJob({ script, minRemainingSeconds: 200 }))
    expect(refused).toMatchObject({ landed: false, refusal: { code: 'IDP112' } })
    expect(sightOf(await singleFlight.join(name, createJob({ script }))).run).toBe(1)
  })

  test('a refused login of one ID token is not the answer to another: its bearers fly once more, together', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID(), steps: ['refuse_login', 'land'] as const, delayMs: 100 }
    const old = singleFlight.join(name, createJob({ script, subjectToken: 'old' }))
    const others = joinTimes(10, name, createJob({ script, subjectToken: 'new' }))
    expect(await old).toMatchObject({ landed: false, refusal: { code: 'IDP101' } })
    expect((await others).map((landing) => sightOf(landing))).toEqual(
      Array.from({ length: 10 }, () => expect.objectContaining({ run: 2, subjectToken: 'new' })),
    )
  })
})

describe('SingleFlight, when a refusal is to be remembered', () => {
  const forAll = { seconds: 2, sameTokenOnly: false }
  const forToken = { seconds: 2, sameTokenOnly: true }

  test('it answers whoever comes in that time, whatever ID token they bring, and nobody after it', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID(), steps: ['refuse', 'land'] as const, remember: forAll }
    const first = await singleFlight.join(name, createJob({ script }))
    expect(first).toMatchObject({ landed: false, ms: { exchange: 1 } })
    const others = await Promise.all([
      ...Array.from({ length: 10 }, () => singleFlight.join(name, createJob({ script }))),
      singleFlight.join(name, createJob({ script, subjectToken: 'another' })),
    ])
    for (const landing of others) {
      expect(landing).toMatchObject({ landed: false, refusal: { code: 'IDP112', detail: 'run 1' } })
      expect(landing.ms).toEqual({})
    }
    await ground.pass(3)
    expect(sightOf(await singleFlight.join(name, createJob({ script }))).run).toBe(2)
  })

  test('it answers the bearers of the same ID token only, if it is about that one', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID(), steps: ['refuse_login', 'land'] as const, remember: forToken }
    await singleFlight.join(name, createJob({ script, subjectToken: 'old' }))
    const again = await singleFlight.join(name, createJob({ script, subjectToken: 'old' }))
    expect(again).toMatchObject({ landed: false, refusal: { code: 'IDP101', detail: 'run 1' }, ms: {} })
    expect(sightOf(await singleFlight.join(name, createJob({ script, subjectToken: 'new' })))).toMatchObject({
      run: 2,
      subjectToken: 'new',
    })
    // What is kept now is good for the same user's older ID token, too.
    expect(sightOf(await singleFlight.join(name, createJob({ script, subjectToken: 'old' }))).run).toBe(2)
  })

  test('it is the answer of one name only', async () => {
    const script = { key: crypto.randomUUID(), steps: ['refuse', 'land'] as const, remember: forAll }
    await singleFlight.join(freshName(), createJob({ script }))
    expect(sightOf(await singleFlight.join(freshName(), createJob({ script }))).run).toBe(2)
  })

  test('a kept entry that is still good comes before it', async () => {
    const name = freshName()
    const script = {
      key: crypto.randomUUID(),
      steps: ['land', 'refuse'] as const,
      remember: forAll,
      usableForSeconds: 100,
    }
    await singleFlight.join(name, createJob({ script }))
    const demanding = createJob({ script, minRemainingSeconds: 200 })
    expect((await singleFlight.join(name, demanding)).landed).toBe(false)
    expect(await singleFlight.join(name, demanding)).toMatchObject({
      landed: false,
      refusal: { detail: 'run 2' },
      ms: {},
    })
    expect(sightOf(await singleFlight.join(name, createJob({ script }))).run).toBe(1)
  })
})

describe('SingleFlight, when the work throws', () => {
  test('everybody who waits gets an error, and the next one takes off anew', async () => {
    const name = freshName()
    const job = createJob({ script: { steps: ['throw', 'land'], delayMs: 100 } })
    const ends = await Promise.allSettled(Array.from({ length: 20 }, () => singleFlight.join(name, job)))
    expect(ends.map((end) => end.status)).toEqual(Array.from({ length: 20 }, () => 'rejected'))
    const later = await singleFlight.join(name, job)
    expect(later).toMatchObject({ landed: true, fresh: true })
    expect(sightOf(later).run).toBe(2)
  })
})

describe('SingleFlight, when a resource rejects the entry', () => {
  test('50 who were rejected with the same entry share one renewal', async () => {
    const name = freshName()
    const key = crypto.randomUUID()
    await singleFlight.join(name, createJob({ script: { key } }))
    const job = createJob({ script: { key, delayMs: 100 }, rejectedEntry: idOf(key, 1) })
    const landings = await joinTimes(50, name, job)
    expect(new Set(landings.map((landing) => sightOf(landing).run))).toEqual(new Set([2]))
    expect(countFresh(landings)).toBe(1)
    // Late comers with the same old entry, from isolates that had not heard.
    const late = await singleFlight.join(name, job)
    expect(late).toMatchObject({ landed: true, fresh: false })
    expect(sightOf(late).run).toBe(2)
  })

  test('who rejects an entry that is not the kept one gets the kept one', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID() }
    await singleFlight.join(name, createJob({ script }))
    const landing = await singleFlight.join(name, createJob({ script, rejectedEntry: 'an older one' }))
    expect(landing).toMatchObject({ landed: true, fresh: false })
  })

  test('an entry that was just renewed is not renewed again: the resource rejects what is fresh', async () => {
    const name = freshName()
    const key = crypto.randomUUID()
    const rejecting = (run: number): TokenJob => createJob({ script: { key }, rejectedEntry: idOf(key, run) })
    await singleFlight.join(name, createJob({ script: { key } }))
    expect(sightOf(await singleFlight.join(name, rejecting(1))).run).toBe(2)
    expect(await singleFlight.join(name, rejecting(2))).toMatchObject({
      landed: false,
      refusal: { code: 'UPS101', name: 'orders' },
    })
    // Nobody else is hurt.
    expect(sightOf(await singleFlight.join(name, createJob({ script: { key } }))).run).toBe(2)
  })

  test('a renewal that gives the same entry again is the same refusal', async () => {
    const name = freshName()
    const script = { key: crypto.randomUUID(), steps: ['land', 'same', 'land'] as const }
    await singleFlight.join(name, createJob({ script }))
    const renewal = createJob({ script, rejectedEntry: idOf(script.key, 1) })
    expect(await singleFlight.join(name, renewal)).toMatchObject({ landed: false, refusal: { code: 'UPS101' } })
    expect(await singleFlight.join(name, renewal)).toMatchObject({ landed: false, refusal: { code: 'UPS101' }, ms: {} })
  })
})

describe.skipIf(ground.platform === undefined)('Flight, the Durable Object', () => {
  const { platform } = ground
  if (platform === undefined) return

  test('keeps the entry when it is taken out of memory', async () => {
    const name = freshName()
    const job = createJob()
    await singleFlight.join(name, job)
    await platform.evict(name)
    const landing = await singleFlight.join(name, job)
    expect(landing).toMatchObject({ landed: true, fresh: false })
    expect(sightOf(landing).run).toBe(1)
  })

  test('remembers when it renewed, taken out of memory or not', async () => {
    const name = freshName()
    const key = crypto.randomUUID()
    await singleFlight.join(name, createJob({ script: { key } }))
    await singleFlight.join(name, createJob({ script: { key }, rejectedEntry: idOf(key, 1) }))
    await platform.evict(name)
    const again = await singleFlight.join(name, createJob({ script: { key }, rejectedEntry: idOf(key, 2) }))
    expect(again).toMatchObject({ landed: false, refusal: { code: 'UPS101' } })
  })

  test('deletes everything when the entry has run out, and not before', async () => {
    const name = freshName()
    await singleFlight.join(name, createJob({ minRemainingSeconds: 0, script: { usableForSeconds: 2 } }))
    expect(await platform.ring(name)).toBe(true)
    expect(await platform.stored(name)).toBe(1)
    await ground.pass(3)
    expect(await platform.stored(name)).toBe(0)
  })

  test('a remembered refusal is gone when it is taken out of memory: it is a kindness, not a promise', async () => {
    const name = freshName()
    const remember = { seconds: 60, sameTokenOnly: false }
    const job = createJob({ script: { steps: ['refuse', 'land'], remember } })
    await singleFlight.join(name, job)
    expect(await platform.stored(name)).toBe(0)
    await platform.evict(name)
    expect(sightOf(await singleFlight.join(name, job)).run).toBe(2)
  })

  test('stores nothing when the work refuses', async () => {
    const name = freshName()
    await singleFlight.join(name, createJob({ script: { steps: ['refuse'] } }))
    expect(await platform.stored(name)).toBe(0)
  })

  test('flies on when the one who led hangs up', async () => {
    const name = freshName()
    const job = createJob({ script: { delayMs: 1000 } })
    const hungUp = platform.joinAndHangUp(name, job, 300)
    await ground.pass(0.1)
    const follower = singleFlight.join(name, job)
    await hungUp
    expect(sightOf(await follower).run).toBe(1)
    expect(await follower).toMatchObject({ landed: true, fresh: false })
  })

  test('flies on when the one who led hangs up and nobody else waits', async () => {
    const name = freshName()
    const job = createJob({ script: { delayMs: 600 } })
    await platform.joinAndHangUp(name, job, 200)
    await ground.pass(1)
    expect(await singleFlight.join(name, job)).toMatchObject({ landed: true, fresh: false })
  })
})
