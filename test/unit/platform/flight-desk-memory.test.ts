// What a flight desk remembers and forgets: refusals, revoked entries, and what it is told to drop.
import { describe, expect, test } from 'vitest'
import type { Memory } from '../../../src/ports.ts'
import { createJob } from '../../contract/scripted-work.ts'
import { createDesk, sealedOf, type Outcome } from './desk.ts'

describe('FlightDesk.join(), when a refusal is to be remembered', () => {
  const refuse = (end: PromiseWithResolvers<Outcome> | undefined, remember?: Memory): void =>
    end?.resolve({ refusal: { code: 'IDP101' }, ms: {}, ...(remember === undefined ? {} : { remember }) })

  test('it is remembered to the second, from the landing on', async () => {
    const { desk, clock, flights } = createDesk()
    const first = desk.join(createJob())
    clock.advance(10)
    refuse(flights[0]?.end, { seconds: 30, sameTokenOnly: false })
    await first
    clock.advance(29)
    expect(await desk.join(createJob({ subjectToken: 'another' }))).toMatchObject({ landed: false, ms: {} })
    expect(flights).toHaveLength(1)
    clock.advance(1)
    const next = desk.join(createJob())
    expect(flights).toHaveLength(2)
    refuse(flights[1]?.end)
    await next
  })

  test('a refusal without a memory is not remembered for a moment', async () => {
    const { desk, flights } = createDesk()
    const first = desk.join(createJob())
    refuse(flights[0]?.end)
    await first
    void desk.join(createJob())
    expect(flights).toHaveLength(2)
  })

  test('50 who wait with other ID tokens are answered by what holds for all of them', async () => {
    const { desk, flights } = createDesk()
    const joins = Array.from({ length: 50 }, (_, index) => desk.join(createJob({ subjectToken: `token ${index}` })))
    refuse(flights[0]?.end, { seconds: 30, sameTokenOnly: false })
    for (const landing of await Promise.all(joins)) expect(landing).toMatchObject({ refusal: { code: 'IDP101' } })
    expect(flights).toHaveLength(1)
  })

  test('the ID token that was refused last is the one remembered', async () => {
    const { desk, flights } = createDesk()
    for (const [flight, subjectToken] of ['one', 'two'].entries()) {
      const join = desk.join(createJob({ subjectToken }))
      refuse(flights[flight]?.end, { seconds: 30, sameTokenOnly: true })
      await join
    }
    expect(await desk.join(createJob({ subjectToken: 'two' }))).toMatchObject({ landed: false, ms: {} })
    void desk.join(createJob({ subjectToken: 'one' }))
    expect(flights).toHaveLength(3)
  })

  test('a flight that breaks leaves what is remembered for others', async () => {
    const { desk, flights } = createDesk()
    const first = desk.join(createJob({ subjectToken: 'one' }))
    refuse(flights[0]?.end, { seconds: 30, sameTokenOnly: true })
    await first
    const second = desk.join(createJob({ subjectToken: 'two' }))
    flights[1]?.end.reject(new Error('broken'))
    await expect(second).rejects.toThrow('broken')
    expect(await desk.join(createJob({ subjectToken: 'one' }))).toMatchObject({ landed: false })
    expect(flights).toHaveLength(2)
  })
})

describe('FlightDesk.join(), when entries have been revoked', () => {
  test('what took off before the cut-off satisfies nobody who knows of it, and everybody who does not', async () => {
    const { desk, clock, flights, land } = createDesk()
    const unaware = desk.join(createJob())
    clock.advance(1)
    const tokensUntil = clock.epochMillis()
    clock.advance(1)
    const aware = Array.from({ length: 50 }, () => desk.join(createJob({ tokensUntil })))
    await land(0, 'a')
    expect(sealedOf(await unaware)).toBe(0)
    expect(flights).toHaveLength(2)
    expect(flights[1]?.job.tokensUntil).toBe(tokensUntil)
    const alsoUnaware = await desk.join(createJob())
    expect(sealedOf(alsoUnaware)).toBe(0)
    await land(1, 'b')
    expect((await Promise.all(aware)).map(sealedOf)).toEqual(aware.map(() => 1))
    expect(flights).toHaveLength(2)
  })

  test('an entry obtained at the moment of the cut-off is dead', async () => {
    const { desk, clock, flights, land } = createDesk()
    const first = desk.join(createJob())
    await land(0, 'a')
    await first
    const at = clock.epochMillis()
    expect(sealedOf(await desk.join(createJob({ tokensUntil: at - 1 })))).toBe(0)
    void desk.join(createJob({ tokensUntil: at }))
    expect(flights).toHaveLength(2)
  })

  test('replacing a revoked entry is no renewal: a rejection may follow it at once', async () => {
    const { desk, clock, flights, stored, land } = createDesk()
    const first = desk.join(createJob())
    await land(0, 'a')
    await first
    clock.advance(1)
    const second = desk.join(createJob({ tokensUntil: clock.epochMillis() - 1 }))
    await land(1, 'b')
    await second
    expect(stored.record?.renewedAt).toBeUndefined()
    const third = desk.join(createJob({ rejectedEntry: 'b' }))
    expect(flights).toHaveLength(3)
    await land(2, 'c')
    expect(sealedOf(await third)).toBe(2)
  })

  test('a cut-off that no flight can satisfy costs a joiner one flight, and a waiter two at most', async () => {
    const { desk, clock, flights, land } = createDesk()
    const tokensUntil = clock.epochMillis() + 60_000
    const joins = Array.from({ length: 50 }, () => desk.join(createJob({ tokensUntil })))
    await land(0, 'a')
    await land(1, 'b')
    expect((await Promise.all(joins)).map(sealedOf)).toEqual(joins.map((_, index) => (index === 0 ? 0 : 1)))
    expect(flights).toHaveLength(2)
  })
})

describe('FlightDesk.forget()', () => {
  test('drops the entry, its renewal and a remembered refusal, and answers the entry once', async () => {
    const { desk, stored, land } = createDesk()
    expect(await desk.forget()).toBeUndefined()
    const join = desk.join(createJob({ rejectedEntry: 'from KV' }))
    await land(0, 'a')
    await join
    expect(await desk.forget()).toMatchObject({ id: 'a', sealed: new Uint8Array([0]) })
    expect(stored.record).toBeUndefined()
    expect(await desk.forget()).toBeUndefined()
  })

  test('does not disturb a flight in the air: what it lands is kept, and judged by when it was obtained', async () => {
    const { desk, clock, flights, stored, land } = createDesk()
    const join = desk.join(createJob())
    clock.advance(1)
    expect(await desk.forget()).toBeUndefined()
    await land(0, 'a')
    expect(sealedOf(await join)).toBe(0)
    expect(stored.record?.kept.id).toBe('a')
    void desk.join(createJob({ tokensUntil: clock.epochMillis() - 1 }))
    expect(flights).toHaveLength(2)
  })
})
