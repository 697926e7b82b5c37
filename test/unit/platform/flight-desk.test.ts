// What the contract suite cannot show of the flight desk without waiting for minutes or breaking the ground.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { plusSeconds } from '../../../src/lib/numeric-date.ts'
import { FLIGHT_DEADLINE_MS, RENEWAL_INTERVAL_SECONDS } from '../../../src/platform/flight-desk.ts'
import type { Landing, TokenJob } from '../../../src/ports.ts'
import { createJob } from '../../contract/scripted-work.ts'
import { createDesk, sealedOf, settled } from './desk.ts'

describe('FlightDesk.join(), when the resource rejects entries', () => {
  test('renews at most once in the interval, and again after it', async () => {
    const { desk, clock, flights, land } = createDesk()
    const join = async (rejectedEntry: string | undefined): Promise<Landing> => desk.join(createJob({ rejectedEntry }))

    const first = join(undefined)
    await land(0, 'a')
    await first
    // The first entry was no renewal: it may be replaced at once.
    const second = join('a')
    await land(1, 'b')
    expect(await second).toMatchObject({ landed: true, fresh: true })

    clock.advance(RENEWAL_INTERVAL_SECONDS - 1)
    expect(await join('b')).toMatchObject({ landed: false, refusal: { code: 'UPS101' }, ms: {} })
    expect(flights).toHaveLength(2)

    clock.advance(1)
    const third = join('b')
    await land(2, 'c')
    expect(sealedOf(await third)).toBe(2)
    expect(await join('c')).toMatchObject({ landed: false, refusal: { code: 'UPS101' } })
    expect(flights).toHaveLength(3)
  })

  test('remembers the renewal longer than a short-lived entry', async () => {
    const { desk, clock, flights, stored, land } = createDesk()
    const renewal = desk.join(createJob({ rejectedEntry: 'from KV', minRemainingSeconds: 0 }))
    await land(0, 'a', 10)
    await renewal
    expect(stored.forgetAt).toBe(plusSeconds(clock.now(), RENEWAL_INTERVAL_SECONDS))
    clock.advance(30)
    expect(await desk.join(createJob({ rejectedEntry: 'a' }))).toMatchObject({ refusal: { code: 'UPS101' } })
    expect(flights).toHaveLength(1)
  })

  test('an entry that merely ran out is replaced at any time, and that is no renewal', async () => {
    const { desk, clock, flights, stored, land } = createDesk()
    const renewal = desk.join(createJob({ rejectedEntry: 'a' }))
    await land(0, 'b', 61)
    await renewal
    const renewedAt = clock.now()
    clock.advance(10)
    const next = desk.join(createJob({ rejectedEntry: 'a' }))
    await land(1, 'c')
    expect(sealedOf(await next)).toBe(1)
    expect(flights[1]?.kept).toBe('b')
    expect(stored.record?.renewedAt).toBe(renewedAt)
  })

  test('a refused renewal is no renewal, and is tried again only after a while', async () => {
    const { desk, flights, land, clock } = createDesk()
    const first = desk.join(createJob())
    await land(0, 'a')
    await first
    const refused = desk.join(createJob({ rejectedEntry: 'a' }))
    flights[1]?.end.resolve({ refusal: { code: 'IDP110' }, ms: {} })
    expect(await refused).toMatchObject({ landed: false, refusal: { code: 'IDP110' } })
    const tooSoon = await desk.join(createJob({ rejectedEntry: 'a' }))
    expect(tooSoon).toMatchObject({ landed: false, refusal: { code: 'IDP110' } })
    expect(flights).toHaveLength(2)
    // Whoever does not reject the entry goes on with it meanwhile.
    expect(sealedOf(await desk.join(createJob()))).toBe(0)
    clock.advance(10)
    const again = desk.join(createJob({ rejectedEntry: 'a' }))
    await land(2, 'b')
    expect(sealedOf(await again)).toBe(2)
  })

  test('who rejects what the flight in the air is about to land gets one flight that knows of it', async () => {
    const { desk, flights, land } = createDesk()
    const unaware = desk.join(createJob())
    const rejecting = desk.join(createJob({ rejectedEntry: 'a' }))
    await land(0, 'a')
    expect(sealedOf(await unaware)).toBe(0)
    expect(flights[1]?.job.rejectedEntry).toBe('a')
    await land(1, 'b')
    expect(sealedOf(await rejecting)).toBe(1)
  })

  test('who comes during a renewal waits for it, whatever was rejected', async () => {
    const { desk, flights, land } = createDesk()
    const first = desk.join(createJob())
    await land(0, 'a')
    await first
    const joins = ['a', undefined, 'older'].map((rejectedEntry) => desk.join(createJob({ rejectedEntry })))
    expect(flights).toHaveLength(2)
    // Nobody but the first had a reason to wait: the kept entry is good enough for them.
    expect(sealedOf((await joins[1]) ?? fail())).toBe(0)
    expect(sealedOf((await joins[2]) ?? fail())).toBe(0)
    await land(1, 'b')
    expect(sealedOf((await joins[0]) ?? fail())).toBe(1)
  })
})

describe('FlightDesk.join(), never flies in circles', () => {
  test('an entry that lives too short is the answer for all who brought the same ID token', async () => {
    const { desk, flights, land } = createDesk()
    const joins = Array.from({ length: 50 }, () => desk.join(createJob({ minRemainingSeconds: 60 })))
    await land(0, 'a', 5)
    const landings = await Promise.all(joins)
    expect(landings.map(sealedOf)).toEqual(landings.map(() => 0))
    expect(flights).toHaveLength(1)
  })

  test('50 different ID tokens and entries that live too short make two flights, not 50', async () => {
    const { desk, flights, land } = createDesk()
    const joins = Array.from({ length: 50 }, (_, index) => desk.join(createJob({ subjectToken: `token ${index}` })))
    await land(0, 'a', 5)
    expect(flights).toHaveLength(2)
    expect(flights[1]?.job.subject.token).toBe('token 1')
    await land(1, 'b', 5)
    const landings = await Promise.all(joins)
    expect(landings.map(sealedOf)).toEqual(landings.map((_, index) => (index === 0 ? 0 : 1)))
    expect(flights).toHaveLength(2)
  })

  test('50 different ID tokens whose login is refused make two flights, not 50', async () => {
    const { desk, flights } = createDesk()
    const joins = Array.from({ length: 50 }, (_, index) => desk.join(createJob({ subjectToken: `token ${index}` })))
    flights[0]?.end.resolve({ refusal: { code: 'IDP101' }, ms: {} })
    await settled()
    flights[1]?.end.resolve({ refusal: { code: 'IDP105' }, ms: {} })
    const landings = await Promise.all(joins)
    const codes = landings.map((landing) => (landing.landed ? 'landed' : landing.refusal.code))
    expect(codes).toEqual(codes.map((_, index) => (index === 0 ? 'IDP101' : 'IDP105')))
    expect(flights).toHaveLength(2)
  })

  test('a refusal that has nothing to do with the login is the answer for every ID token', async () => {
    const { desk, flights } = createDesk()
    const joins = ['one', 'two'].map((subjectToken) => desk.join(createJob({ subjectToken })))
    flights[0]?.end.resolve({ refusal: { code: 'RAS106' }, ms: {} })
    for (const landing of await Promise.all(joins)) expect(landing).toMatchObject({ refusal: { code: 'RAS106' } })
    expect(flights).toHaveLength(1)
  })
})

describe('FlightDesk.join(), when something breaks', () => {
  test('a flight that takes too long fails for all who wait; the next arrival takes off; the late entry is dropped', async () => {
    const { desk, flights, stored, land } = createDesk({ deadlineMs: 20 })
    const ends = await Promise.allSettled([desk.join(createJob()), desk.join(createJob())])
    expect(ends).toEqual(
      [1, 2].map(() => ({ status: 'rejected', reason: new Error('the flight took longer than 20 ms') })),
    )
    const next = desk.join(createJob())
    expect(flights).toHaveLength(2)
    await land(0, 'late')
    expect(stored.record).toBeUndefined()
    await land(1, 'b')
    expect(sealedOf(await next)).toBe(1)
    expect(stored.record?.kept.id).toBe('b')
  })

  test('the deadline of a flight lies before that of its callers', () => {
    expect(FLIGHT_DEADLINE_MS).toBe(13_000)
  })

  test('work that throws before its first await poisons nothing', async () => {
    let runs = 0
    const { desk } = createDesk({
      work: () => {
        runs++
        throw new Error('broken at once')
      },
    })
    await expect(desk.join(createJob())).rejects.toThrow('broken at once')
    await expect(desk.join(createJob())).rejects.toThrow('broken at once')
    expect(runs).toBe(2)
  })

  test('what is handed to the background never rejects', async () => {
    const { desk, background, flights } = createDesk()
    const join = desk.join(createJob())
    flights[0]?.end.reject(new Error('broken'))
    await expect(join).rejects.toThrow('broken')
    expect(background).toHaveLength(1)
    expect(await background[0]).toBeUndefined()
  })

  test('storage that breaks is a fault for those who wait, and the next arrival takes off', async () => {
    const { desk, flights, stored, land } = createDesk()
    stored.broken = true
    const join = desk.join(createJob())
    const failed = expect(join).rejects.toThrow('storage is broken')
    await land(0, 'a')
    await failed
    stored.broken = false
    const next = desk.join(createJob())
    await land(1, 'b')
    expect(sealedOf(await next)).toBe(1)
    expect(flights).toHaveLength(2)
  })
})

describe('FlightDesk.join(), whatever happens in whatever order', () => {
  type Event =
    | {
        readonly kind: 'join'
        readonly subjectToken: string
        readonly rejected: number
        readonly min: number
        /** Whether everything from before this moment has been revoked. */
        readonly cut: boolean
      }
    | { readonly kind: 'land'; readonly id: number; readonly usableForSeconds: number }
    | { readonly kind: 'refuse' | 'throw' | 'tidy' | 'forget' }
    | { readonly kind: 'pass'; readonly seconds: number }

  const anyEvent: fc.Arbitrary<Event> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('join' as const),
        subjectToken: fc.constantFrom('one', 'two', 'three'),
        rejected: fc.integer({ min: 0, max: 4 }),
        min: fc.constantFrom(0, 60, 300),
        cut: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('land' as const),
        id: fc.integer({ min: 1, max: 4 }),
        usableForSeconds: fc.constantFrom(-5, 0, 30, 100, 600),
      }),
    },
    fc.record({ kind: fc.constantFrom('refuse' as const, 'throw' as const, 'tidy' as const, 'forget' as const) }),
    fc.record({ kind: fc.constant('pass' as const), seconds: fc.constantFrom(1, 30, 61, 700) }),
  )

  test('one flight at a time, one leader each, an answer for everybody, never the rejected entry nor a revoked one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyEvent, { maxLength: 40 }), async (events) => {
        const { desk, clock, flights, stored, land } = createDesk()
        let ended = 0
        const answers: { readonly job: TokenJob; readonly answer: Promise<Landing | undefined> }[] = []
        const inTheAir = (): boolean => flights.length > ended
        for (const event of events) {
          if (event.kind === 'join') {
            const rejectedEntry = event.rejected === 0 ? undefined : `${event.rejected}`
            const tokensUntil = event.cut ? clock.epochMillis() - 1 : 0
            const job = createJob({ ...event, minRemainingSeconds: event.min, rejectedEntry, tokensUntil })
            answers.push({ job, answer: desk.join(job).catch(() => undefined) })
          } else if (event.kind === 'pass') clock.advance(event.seconds)
          else if (event.kind === 'tidy') await desk.tidy()
          else if (event.kind === 'forget') await desk.forget()
          else if (inTheAir()) {
            const flight = ended++
            if (event.kind === 'land') await land(flight, `${event.id}`, event.usableForSeconds)
            else if (event.kind === 'throw') flights[flight]?.end.reject(new Error('broke'))
            else flights[flight]?.end.resolve({ refusal: { code: 'IDP101' }, ms: { exchange: 1 } })
          }
          await settled()
          expect(flights.length - ended).toBeLessThanOrEqual(1)
        }
        for (; inTheAir(); await settled()) await land(ended++, 'last')
        const landings = await Promise.all(answers.map(async ({ job, answer }) => ({ job, landing: await answer })))
        for (const { job, landing } of landings) {
          if (!landing?.landed) continue
          // Nothing that was revoked before they asked reaches anybody.
          expect(flights[landing.sealed[0] ?? -1]?.obtainedAt).toBeGreaterThan(job.tokensUntil)
          if (landing.fresh) continue
          const made = flights[landing.sealed[0] ?? -1]
          expect(made).toBeDefined()
          expect(landing.ms).toEqual({})
          expect(job.rejectedEntry).not.toBe(
            stored.record?.kept.sealed[0] === landing.sealed[0] && stored.record?.kept.id,
          )
        }
        const leaders = landings.filter(({ landing }) => landing?.landed === true && landing.fresh)
        expect(new Set(leaders.map(({ landing }) => landing?.landed === true && landing.sealed[0])).size).toBe(
          leaders.length,
        )
        expect(flights.length).toBeLessThanOrEqual(answers.length)
      }),
      { numRuns: 100 },
    )
  })
})

describe('FlightDesk.tidy()', () => {
  test('forgets nothing early and everything when it is due', async () => {
    const { desk, clock, stored, land } = createDesk()
    const join = desk.join(createJob())
    await land(0, 'a', 100)
    await join
    expect(stored.forgetAt).toBe(plusSeconds(clock.now(), 100))
    clock.advance(99)
    await desk.tidy()
    expect(stored.record?.kept.id).toBe('a')
    clock.advance(1)
    await desk.tidy()
    expect(stored.record).toBeUndefined()
    await desk.tidy()
  })

  test('what is due counts as forgotten even when nobody has tidied', async () => {
    const { desk, clock, flights, stored, land } = createDesk()
    const join = desk.join(createJob())
    await land(0, 'a', 100)
    await join
    clock.advance(100)
    const next = desk.join(createJob({ minRemainingSeconds: 0 }))
    expect(stored.record?.kept.id).toBe('a')
    expect(flights[1]?.kept).toBeUndefined()
    await land(1, 'b')
    await next
  })
})

function fail(): never {
  throw new Error('there is no such join')
}
