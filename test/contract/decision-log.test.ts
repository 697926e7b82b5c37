// The contract of DecisionLog, on both grounds. Every test has clients and rules of its own, because the log is one.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import type { Decision, DecisionCount, HourOfDecisions } from '../../src/decision.ts'
import type { DecisionBatch } from '../../src/ports.ts'

const ground = createGround()
const { decisionLog: log } = ground
const HOUR = 60 * 60
const DAY = 24 * HOUR
const START = ground.epochMillis()

function fresh(): string {
  return crypto.randomUUID()
}

/** RFC 3339, so many seconds before all this. */
function time(secondsAgo = 0): string {
  return new Date(START - secondsAgo * 1000).toISOString()
}

function hour(secondsAgo = 0): string {
  return time(secondsAgo).slice(0, 13)
}

function decision(more: Partial<Decision> = {}): Decision {
  return { id: `req_${fresh()}`, time: time(), event: 'request.forward', outcome: 'allow', ms: 3, ...more }
}

function count(more: Partial<DecisionCount> = {}): DecisionCount {
  return { outcome: 'allow', code: '', client: 'web', resource: 'orders', count: 1, ...more }
}

function batch(
  decisions: readonly Decision[],
  hours: readonly Partial<HourOfDecisions>[] = [],
  keep = 500,
): DecisionBatch {
  const nothing = { hour: hour(), counts: [], hits: [], losses: { uncounted: 0, events: 0 } }
  return { since: time(), decisions, keep, hours: hours.map((each) => ({ ...nothing, ...each })) }
}

describe('DecisionLog.list()', () => {
  test('gives back what was added, the newest first, of several batches', async () => {
    const client = fresh()
    const full = decision({
      client,
      outcome: 'deny',
      code: 'POL101',
      user: { issuer: 'https://idp.example', sub: 'ann', tenant: 'acme' },
      resource: 'orders',
      rule: 'no-contractors',
      time: time(5),
    })
    const older = decision({ client, time: time(60) })
    const newer = decision({ client, time: time(1), user: { issuer: 'https://idp.example', sub: 'bo' } })
    await log.add(batch([older]))
    await log.add(batch([full, newer]))
    expect(await log.list({ client, limit: 10 })).toStrictEqual({ decisions: [newer, full, older], more: false })
  })

  test('leaves out what does not fit, part by part', async () => {
    const client = fresh()
    const user = { issuer: 'https://idp.example', sub: fresh() }
    const given = decision({ client, user, resource: 'orders', outcome: 'deny' })
    await log.add(batch([given, decision({ client, resource: 'notes' })]))
    for (const filter of [{ user: user.sub }, { client, resource: 'orders' }, { client, outcome: 'deny' }] as const)
      expect((await log.list({ ...filter, limit: 10 })).decisions).toStrictEqual([given])
    for (const filter of [{ user: fresh() }, { client, resource: 'mail' }, { client, outcome: 'error' }] as const)
      expect(await log.list({ ...filter, limit: 10 })).toStrictEqual({ decisions: [], more: false })
  })

  test('ends at the limit, and goes on behind any decision, of one second too', async () => {
    const client = fresh()
    const at = time(10)
    const all = Array.from({ length: 5 }, () => decision({ client, time: at }))
    await log.add(batch(all.slice(0, 2)))
    await log.add(batch(all.slice(2)))
    const seen: Decision[] = []
    for (let pages = 0; pages < 5; pages++) {
      const last = seen.at(-1)
      const page = await log.list({ client, limit: 2, ...(last === undefined ? {} : { before: last }) })
      seen.push(...page.decisions)
      expect(page.more).toBe(seen.length < 5)
      if (!page.more) break
    }
    expect(seen).toHaveLength(5)
    expect(new Set(seen.map(({ id }) => id))).toEqual(new Set(all.map(({ id }) => id)))
  })

  test('knows nothing that is older than seven days', async () => {
    const client = fresh()
    const young = decision({ client, time: time(7 * DAY - 60) })
    await log.add(batch([decision({ client, time: time(7 * DAY + 60) }), young]))
    expect((await log.list({ client, limit: 10 })).decisions).toStrictEqual([young])
  })
})

describe('DecisionLog.count()', () => {
  /** Far from the hours of other tests, and not yet forgotten. */
  let days = 80
  function quietHour(): number {
    days -= 2
    return days * DAY
  }

  test('adds up what is counted of the same thing in the same hour', async () => {
    const ago = quietHour()
    const denied = count({ outcome: 'deny', code: 'POL100', count: 2 })
    await log.add(batch([], [{ hour: hour(ago), counts: [count({ count: 3 }), denied] }]))
    await log.add(batch([], [{ hour: hour(ago), counts: [count({ count: 4 })] }]))
    const counted = await log.count(hour(ago), hour(ago))
    expect(counted).toStrictEqual({
      counts: [
        { ...count({ count: 7 }), hour: hour(ago) },
        { ...denied, hour: hour(ago) },
      ],
      losses: { uncounted: 0, events: 0 },
      next: undefined,
    })
  })

  test('tells the hours apart, in their order, and only those that are asked for', async () => {
    const ago = quietHour()
    const hours = [ago - HOUR, ago, ago - 2 * HOUR, ago + HOUR].map((each) => ({ hour: hour(each), counts: [count()] }))
    await log.add(batch([], hours))
    const { counts } = await log.count(hour(ago), hour(ago - HOUR))
    expect(counts.map((each) => each.hour)).toEqual([hour(ago), hour(ago - HOUR)])
  })

  test('says what is missing', async () => {
    const ago = quietHour()
    await log.add(batch([], [{ hour: hour(ago), losses: { uncounted: 2, events: 0 } }]))
    await log.add(batch([], [{ hour: hour(ago), losses: { uncounted: 1, events: 5 } }]))
    expect((await log.count(hour(ago), hour(ago))).losses).toStrictEqual({ uncounted: 3, events: 5 })
    expect((await log.count(hour(ago - HOUR), hour(ago - HOUR))).losses).toStrictEqual({ uncounted: 0, events: 0 })
  })
})

describe('DecisionLog.hits()', () => {
  test('adds up by rules, over batches and days, from a day on', async () => {
    const rule = fresh()
    const another = fresh()
    const hit = (ago: number, hits: number, name = rule) => ({
      hour: hour(ago),
      hits: [{ rule: name, hits, lastHit: time(ago) }],
    })
    await log.add(batch([], [hit(3 * DAY, 2), hit(60, 5)]))
    await log.add(batch([], [hit(3 * DAY + 60, 7), hit(60, 1, another)]))
    const of = async (from: string) => (await log.hits(from)).hits.filter((each) => [rule, another].includes(each.rule))
    const found = await of(time(4 * DAY).slice(0, 10))
    expect(found.toSorted((one, other) => other.hits - one.hits)).toStrictEqual([
      { rule, hits: 14, lastHit: time(60) },
      { rule: another, hits: 1, lastHit: time(60) },
    ])
    expect(await of(time(60).slice(0, 10))).toContainEqual({ rule, hits: 5, lastHit: time(60) })
    // Of the first batch of all.
    await log.add({ ...batch([]), since: '2000-01-01T00:00:00.000Z' })
    expect((await log.hits(time().slice(0, 10))).since).toBe(time())
  })
})

describe('DecisionLog.add()', () => {
  test('keeps the last decisions, as many as it is told at least, and no batch beyond', async () => {
    const client = fresh()
    const added = (ago: number) => [decision({ client, time: time(ago) }), decision({ client, time: time(ago - 1) })]
    const [one, two, three] = [added(30), added(20), added(10)]
    for (const each of [one, two, three]) await log.add(batch(each, [], 3))
    const listed = (await log.list({ client, limit: 10 })).decisions
    expect(listed).toStrictEqual([...two, ...three].toReversed())
  })

  test('keeps of one batch no more than it is told, and none where it is to keep none', async () => {
    const client = fresh()
    const all = Array.from({ length: 4 }, (_, index) => decision({ client, time: time(10 - index) }))
    await log.add(batch(all, [], 2))
    expect((await log.list({ client, limit: 10 })).decisions).toStrictEqual(all.slice(2).toReversed())
    await log.add(batch(all, [], 0))
    expect((await log.list({ client, limit: 10 })).decisions).toEqual([])
  })
})

describe.skipIf(ground.platform === undefined)('DecisionBook, the Durable Object', () => {
  const { platform } = ground
  if (platform === undefined) return
  const { decisions } = platform

  /** A log whose shards nobody else has. */
  function ownLog() {
    const prefix = fresh()
    const book = (shard: number) => decisions.book(`${prefix}-decisions-${shard}`)
    const own = platform?.cloudflare.createDecisionLog({ getByName: (name) => decisions.book(`${prefix}-${name}`) })
    if (own === undefined) throw new Error('no platform')
    return { book, own, name: (shard: number) => `${prefix}-decisions-${shard}` }
  }

  test('is asked with all others, and what they say is one answer', async () => {
    const { book, own } = ownLog()
    expect(await own.hits('2020-01-01')).toStrictEqual({ hits: [], since: undefined })
    const [first, second] = [decision({ time: time(9) }), decision({ time: time(8) })]
    const hits = [{ rule: 'all', hits: 2, lastHit: time(8) }]
    await book(0).add(batch([first], [{ counts: [count()], hits, losses: { uncounted: 1, events: 1 } }]))
    await book(7).add(batch([second], [{ counts: [count({ count: 4 })], hits, losses: { uncounted: 1, events: 1 } }]))
    expect(await own.list({ limit: 1 })).toStrictEqual({ decisions: [second], more: true })
    expect(await own.list({ limit: 2 })).toStrictEqual({ decisions: [second, first], more: false })
    expect(await own.count(hour(), hour())).toMatchObject({
      counts: [{ count: 5 }],
      losses: { uncounted: 2, events: 2 },
    })
    expect((await own.hits('2020-01-01')).hits).toStrictEqual([{ rule: 'all', hits: 4, lastHit: time(8) }])
  })

  test('gets what one isolate gathers, and keeps it when it is taken out of memory', async () => {
    const { own, name } = ownLog()
    for (const ago of [3, 2, 1]) await own.add(batch([decision({ time: time(ago) })], [{ counts: [count()] }]))
    const used: number[] = []
    for (let shard = 0; shard < 8; shard++) {
      if ((await decisions.sql(name(shard), 'SELECT 1 FROM batches')) > 0) used.push(shard)
      await decisions.evict(name(shard))
    }
    expect(used).toHaveLength(1)
    expect((await own.list({ limit: 10 })).decisions).toHaveLength(3)
    expect((await own.count(hour(), hour())).counts).toMatchObject([{ count: 3 }])
  })

  test('answers whole hours, page by page, however many rows an hour has', async () => {
    const { book, own } = ownLog()
    const crowd = (length: number, ago: number) => ({
      hour: hour(ago),
      counts: Array.from({ length }, (_, index) => count({ client: `client-${index}` })),
    })
    await book(1).add(batch([], [crowd(2_500, 4 * HOUR), crowd(10, 3 * HOUR), crowd(1_995, 2 * HOUR), crowd(4, HOUR)]))
    await book(2).add(batch([], [crowd(5, 4 * HOUR), crowd(5, HOUR)]))
    const pages: string[] = []
    let from: string | undefined = hour(5 * HOUR)
    while (from !== undefined && pages.length < 9) {
      const page = await own.count(from, hour())
      const total = page.counts.reduce((sum, each) => sum + each.count, 0)
      pages.push(`${[...new Set(page.counts.map((each) => each.hour))].join(' ')}: ${total}`)
      from = page.next
    }
    expect(pages).toEqual([`${hour(4 * HOUR)}: 2505`, `${hour(3 * HOUR)}: 10`, `${hour(2 * HOUR)} ${hour(HOUR)}: 2004`])
  })

  test('forgets by its alarm what is too old, and wakes again only while something is left', async () => {
    const { book, name } = ownLog()
    const old = (days: number) => ({
      hour: hour(days * DAY),
      counts: [count()],
      hits: [{ rule: 'all', hits: 1, lastHit: time(days * DAY) }],
      losses: { uncounted: 1, events: 0 },
    })
    const rows = async () => ({
      batches: await decisions.sql(name(0), 'SELECT 1 FROM batches'),
      counts: await decisions.sql(name(0), 'SELECT 1 FROM counts'),
      hits: await decisions.sql(name(0), 'SELECT 1 FROM hits'),
      losses: await decisions.sql(name(0), 'SELECT 1 FROM losses'),
    })
    await book(0).add(batch([decision({ time: time(6 * DAY) })], [old(89), old(91), old(99), old(101)]))
    expect(await decisions.ring(name(0))).toBe(true)
    expect(await rows()).toEqual({ batches: 1, counts: 1, hits: 3, losses: 1 })
    for (const [table, column] of [
      ['batches', 'newest'],
      ['counts', 'hour'],
      ['hits', 'day'],
      ['losses', 'hour'],
    ] as const)
      await decisions.sql(name(0), `UPDATE OR REPLACE ${table} SET ${column} = '2020'`)
    expect(await decisions.ring(name(0))).toBe(true)
    expect(await rows()).toEqual({ batches: 0, counts: 0, hits: 0, losses: 0 })
    expect(await decisions.ring(name(0))).toBe(false)
  })

  test('forgets the oldest hours beyond so many rows, whatever their age', async () => {
    const { book, name } = ownLog()
    await book(0).add(batch([], [{ hour: hour(2 * HOUR), counts: [count()] }]))
    await decisions.sql(
      name(0),
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
       INSERT INTO counts SELECT ?, 'allow', '', i, '', 1 FROM n`,
      hour(HOUR),
    )
    await decisions.ring(name(0))
    expect(await decisions.sql(name(0), 'SELECT 1 FROM counts WHERE hour = ?', hour(2 * HOUR))).toBe(0)
    expect(await decisions.sql(name(0), 'SELECT 1 FROM counts')).toBe(100_000)
  })
})
