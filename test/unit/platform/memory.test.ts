// The small pieces of the memory ground: clock, sink, background, and the faults tests inject.
import { describe, expect, test } from 'vitest'
import { toUtf8 } from '../../../src/lib/bytes.ts'
import { numericDate, plusSeconds } from '../../../src/lib/numeric-date.ts'
import {
  createCollectingBackground,
  createManualClock,
  createMemoryRegistry,
  createMemoryReplayGuard,
  createMemoryRevocationLog,
  createMemorySingleFlight,
  createRecordingSink,
} from '../../../src/platform/memory.ts'
import type { Connection, Revocation } from '../../../src/connection.ts'
import { createJob, issuer } from '../../contract/scripted-work.ts'

describe('createManualClock()', () => {
  test('moves both readings, and only when told to', () => {
    const clock = createManualClock(numericDate(1000))
    expect([clock.now(), clock.millis()]).toEqual([1000, 0])
    clock.advance(0.25)
    expect([clock.now(), clock.millis()]).toEqual([1000, 250])
    clock.advance(59.75)
    expect([clock.now(), clock.millis()]).toEqual([1060, 60_000])
  })
})

describe('createCollectingBackground()', () => {
  test('settle() waits for all work, also for work that work hands over', async () => {
    const { background, settle, failures } = createCollectingBackground()
    const done: string[] = []
    const work = async (name: string): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      done.push(name)
    }
    background(work('first').then(() => background(work('second'))))
    background(work('third').then(() => Promise.reject(new Error('broke'))))
    await settle()
    expect(done.toSorted()).toEqual(['first', 'second', 'third'])
    expect(failures).toEqual([new Error('broke')])
    await settle()
  })
})

describe('createRecordingSink()', () => {
  test('keeps events in order, and apart that an isolate has started', () => {
    const sink = createRecordingSink()
    const event = {
      v: 1,
      time: '2026-11-22T08:00:00Z',
      event: 'token.issue',
      outcome: 'allow',
      config: '0123456789ab',
      trace_id: 't',
      http: { method: 'POST', route: '/token', status: 200 },
      ms: { total: 3 },
    } as const
    sink.write({ ...event, id: '0', event: 'config.load' })
    sink.write({ ...event, id: '1' })
    sink.write({ ...event, id: '2' })
    expect(sink.events.map(({ id }) => id)).toEqual(['1', '2'])
    expect(sink.loads.map(({ id }) => id)).toEqual(['0'])
  })
})

describe('createMemorySingleFlight()', () => {
  test('copies what crosses it: nobody can reach into the kept entry', async () => {
    const clock = createManualClock()
    const kept = { id: 'a', sealed: toUtf8('sealed'), usableUntil: plusSeconds(clock.now(), 600), obtainedAt: 1 }
    const flight = createMemorySingleFlight({ clock, work: async () => ({ kept, ms: {} }) })
    for (let round = 0; round < 3; round++) {
      const landing = await flight.join('n', createJob())
      if (!landing.landed) throw new Error('nothing landed')
      expect(landing.sealed).toEqual(toUtf8('sealed'))
      landing.sealed.fill(0)
    }
  })

  test('copies what crosses it: those who waited together do not share bytes', async () => {
    const clock = createManualClock()
    const kept = { id: 'a', sealed: toUtf8('sealed'), usableUntil: plusSeconds(clock.now(), 600), obtainedAt: 1 }
    const flight = createMemorySingleFlight({ clock, work: async () => ({ kept, ms: {} }) })
    const [one, other] = await Promise.all([flight.join('n', createJob()), flight.join('n', createJob())])
    if (!one.landed || !other.landed) throw new Error('nothing landed')
    one.sealed.fill(0)
    expect(other.sealed).toEqual(toUtf8('sealed'))
  })

  test('a fault lets join() throw without any work', async () => {
    const flight = createMemorySingleFlight({
      clock: createManualClock(),
      work: async () => Promise.reject(new Error('this must not run')),
    })
    flight.faults.join = 'throw'
    await expect(flight.join('n', createJob())).rejects.toThrow('Durable Object failed')
  })
})

describe('createMemoryReplayGuard()', () => {
  test('a fault lets claim() throw, and nothing is claimed', async () => {
    const clock = createManualClock()
    const guard = createMemoryReplayGuard({ clock })
    guard.faults.claim = 'throw'
    await expect(guard.claim('jti', plusSeconds(clock.now(), 60))).rejects.toThrow('Durable Object failed')
    guard.faults.claim = undefined
    expect(await guard.claim('jti', plusSeconds(clock.now(), 60))).toBe(true)
  })
})

describe('createMemoryRevocationLog()', () => {
  const block: Revocation = { kind: 'block', id: '1', selector: { user: 'alice' }, until: undefined }

  test('a fault lets a call throw, without any effect', async () => {
    const log = createMemoryRevocationLog({ clock: createManualClock() })
    log.faults.add = 'throw'
    await expect(log.add(block, undefined)).rejects.toThrow('Durable Object failed')
    log.faults.add = undefined
    expect(await log.read(undefined)).toMatchObject({ revocations: [] })
    await log.add(block, undefined)
    Object.assign(log.faults, { read: 'throw', lift: 'throw' })
    await expect(log.read(undefined)).rejects.toThrow('Durable Object failed')
    await expect(log.lift('1')).rejects.toThrow('Durable Object failed')
    Object.assign(log.faults, { read: undefined, lift: undefined })
    expect(await log.read(undefined)).toMatchObject({ revocations: [block] })
  })

  test('copies what crosses it', async () => {
    const log = createMemoryRevocationLog({ clock: createManualClock() })
    const given = { ...block, selector: { user: 'alice' } }
    await log.add(given, undefined)
    given.selector.user = 'bob'
    expect(await log.read(undefined)).toMatchObject({ revocations: [block] })
  })
})

describe('createMemoryRegistry()', () => {
  const use = { idp: 'acme', tenant: undefined, user: 'alice', resource: 'orders', month: '2027-01' }
  const connection: Connection = {
    name: 'n',
    idp: 'acme',
    issuer: issuer('https://acme.example'),
    user: 'alice',
    tenant: undefined,
    client: 'web',
    resource: 'orders',
    scopes: ['a'],
    firstIssuedAt: numericDate(1),
    lastIssuedAt: numericDate(1),
    expiresAt: numericDate(1_900_000_000),
    tokenExpiresAt: numericDate(1_900_000_000),
    earlierTokensUntil: undefined,
    count: 1,
    idJagJti: undefined,
  }

  test('a fault lets a call throw, without any effect', async () => {
    const registry = createMemoryRegistry({ clock: createManualClock() })
    await registry.reserve(use, 5)
    for (const method of ['reserve', 'release', 'record', 'list', 'quota'] as const) registry.faults[method] = 'throw'
    const calls = [
      registry.reserve(use, 5),
      registry.release(use),
      registry.record(connection),
      registry.list({ selector: {}, limit: 5 }),
      registry.quota('alice', use.month),
    ]
    for (const call of await Promise.allSettled(calls)) {
      expect(call).toEqual({
        status: 'rejected',
        reason: new Error('Durable Object failed: 500 Internal Server Error'),
      })
    }
    for (const method of ['reserve', 'release', 'record', 'list', 'quota'] as const) registry.faults[method] = undefined
    expect(await registry.quota('alice', use.month)).toEqual([{ idp: 'acme', resource: 'orders', used: 1 }])
    expect(await registry.list({ selector: {}, limit: 5 })).toEqual({ connections: [], more: false })
  })

  test('forgets in time, by the clock it was given', async () => {
    const clock = createManualClock()
    const registry = createMemoryRegistry({ clock })
    await registry.reserve(use, undefined)
    await registry.record({ ...connection, expiresAt: clock.now() })
    const days = 24 * 60 * 60
    clock.advance(90 * days)
    expect((await registry.list({ selector: {}, limit: 5 })).connections).toHaveLength(1)
    clock.advance(1)
    expect((await registry.list({ selector: {}, limit: 5 })).connections).toEqual([])
    expect(await registry.quota('alice', use.month)).toHaveLength(1)
    clock.advance(400 * days)
    expect(await registry.quota('alice', use.month)).toEqual([])
  })
})
