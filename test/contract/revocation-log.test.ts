// The contract of RevocationLog, on both grounds. All tests share one log, as a deployment does: each looks at its own ids.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import type { Revocation, RevocationSelector } from '../../src/connection.ts'

const ground = createGround()
const { revocationLog } = ground

function freshId(): string {
  return crypto.randomUUID()
}

/** Of a user of its own unless told otherwise: cut-offs of one selector become one. */
function cutoff(id: string, selector: RevocationSelector = { user: id }, before = ground.epochMillis()): Revocation {
  return { kind: 'cutoff', id, selector, before }
}

function block(id: string, seconds?: number): Revocation {
  const until = seconds === undefined ? undefined : ground.epochMillis() + seconds * 1000
  return { kind: 'block', id, selector: { client: 'web' }, until }
}

async function readAll() {
  const news = await revocationLog.read(undefined)
  if (news === undefined) throw new Error('who knows nothing must be told everything')
  return news
}

async function find(id: string): Promise<Revocation | undefined> {
  return (await readAll()).revocations.find((revocation) => revocation.id === id)
}

describe('RevocationLog', () => {
  test('what was added is read at once, as it was given', async () => {
    const given: Revocation[] = [
      cutoff(freshId()),
      cutoff(freshId(), { idp: 'acme', user: 'zoë "☃"', client: 'web', resource: 'orders' }),
      cutoff(freshId(), { resource: '' }),
      block(freshId()),
      block(freshId(), 600),
    ]
    for (const revocation of given) await revocationLog.add(revocation, undefined)
    const { revocations } = await readAll()
    for (const revocation of given) expect(revocations).toContainEqual(revocation)
  })

  test('who knows the version is told nothing until something changes', async () => {
    await revocationLog.add(block(freshId()), undefined)
    const { version } = await readAll()
    expect(await revocationLog.read(version)).toBeUndefined()
    const id = freshId()
    await revocationLog.add(block(id), undefined)
    const news = await revocationLog.read(version)
    expect(news?.version).toBeGreaterThan(version)
    expect(news?.revocations.map((revocation) => revocation.id)).toContain(id)
  })

  test('who knows another version, be it a later one, is told everything', async () => {
    const { version, revocations } = await readAll()
    for (const other of [0, version - 1, version + 1]) {
      expect(await revocationLog.read(other)).toEqual({ version, revocations })
    }
  })

  test('the same id twice is one revocation, and the second time changes nothing', async () => {
    const id = freshId()
    const first = cutoff(id)
    await revocationLog.add(first, undefined)
    const { version } = await readAll()
    await revocationLog.add(first, undefined)
    await revocationLog.add(block(id), ground.epochMillis() + 1000)
    expect(await revocationLog.read(version)).toBeUndefined()
    expect(await find(id)).toEqual(first)
  })

  test('50 revocations at once are all in force', async () => {
    const ids = Array.from({ length: 50 }, freshId)
    await Promise.all(ids.map((id) => revocationLog.add(cutoff(id, { user: id }), undefined)))
    const found = (await readAll()).revocations.map((revocation) => revocation.id)
    expect(ids.filter((id) => !found.includes(id))).toEqual([])
  })

  test('a lifted block is gone, and can be lifted once', async () => {
    const id = freshId()
    await revocationLog.add(block(id), undefined)
    const { version } = await readAll()
    expect(await revocationLog.lift(id)).toBe(true)
    const news = await revocationLog.read(version)
    expect(news?.version).toBeGreaterThan(version)
    expect(news?.revocations.map((revocation) => revocation.id)).not.toContain(id)
    expect(await revocationLog.lift(id)).toBe(false)
  })

  test('lifting what is not there, or is a cut-off, does nothing', async () => {
    const id = freshId()
    await revocationLog.add(cutoff(id), undefined)
    const { version } = await readAll()
    expect(await revocationLog.lift(id)).toBe(false)
    expect(await revocationLog.lift(freshId())).toBe(false)
    expect(await revocationLog.lift('')).toBe(false)
    expect(await revocationLog.read(version)).toBeUndefined()
    expect(await find(id)).toBeDefined()
  })

  test('a block is over at its end, which is a change; so is the end of a cut-off', async () => {
    const ending = [freshId(), freshId(), freshId()]
    const lasting = [freshId(), freshId(), freshId()]
    const soon = ground.epochMillis() + 1500
    const later = ground.epochMillis() + 600_000
    await Promise.all([
      revocationLog.add(block(ending[0] ?? '', 1.5), undefined),
      revocationLog.add(block(ending[1] ?? '', 1.5), later),
      revocationLog.add(cutoff(ending[2] ?? ''), soon),
      revocationLog.add(block(lasting[0] ?? '', 600), undefined),
      revocationLog.add(cutoff(lasting[1] ?? ''), later),
      revocationLog.add(cutoff(lasting[2] ?? ''), undefined),
    ])
    const before = await readAll()
    const idsBefore = before.revocations.map(({ id }) => id)
    expect([...ending, ...lasting].filter((id) => !idsBefore.includes(id))).toEqual([])
    await ground.pass(2)
    const news = await revocationLog.read(before.version)
    expect(news?.version).toBeGreaterThan(before.version)
    const idsAfter = news?.revocations.map(({ id }) => id) ?? []
    expect(ending.filter((id) => idsAfter.includes(id))).toEqual([])
    expect(lasting.filter((id) => !idsAfter.includes(id))).toEqual([])
    expect(await revocationLog.lift(ending[0] ?? '')).toBe(false)
  })

  test('what has no effect any more when it comes is not in force', async () => {
    const id = freshId()
    await revocationLog.add(cutoff(id), ground.epochMillis() - 1)
    expect(await find(id)).toBeUndefined()
  })
})

describe('cut-offs of one selector', () => {
  const of = (selector: RevocationSelector, revocations: readonly Revocation[]) =>
    revocations.filter((each) => JSON.stringify(each.selector) === JSON.stringify(selector))

  test.each<[string, (user: string) => RevocationSelector]>([
    ['a user', (user) => ({ user })],
    ['everything', (user) => ({ idp: 'acme', user, client: 'web', resource: 'orders' })],
    ['a client', (client) => ({ client })],
  ])('that names %s are one: the one that reaches furthest, in whatever order they come', async (_what, selectorOf) => {
    const selector = selectorOf(freshId())
    const now = ground.epochMillis()
    const [first, furthest] = [freshId(), freshId()]
    await revocationLog.add(cutoff(first, selector, now - 3000), undefined)
    await revocationLog.add(cutoff(furthest, selector, now), undefined)
    await revocationLog.add(cutoff(freshId(), selector, now - 1000), undefined)
    await revocationLog.add(cutoff(freshId(), selector, now), undefined)
    const { revocations } = await readAll()
    expect(of(selector, revocations)).toEqual([cutoff(furthest, selector, now)])
    expect(await find(first)).toBeUndefined()
  })

  test('do not pile up, however many there are', async () => {
    const selector = { idp: 'acme', user: freshId(), client: 'web', resource: 'orders' }
    const now = ground.epochMillis()
    const before = (await readAll()).revocations.length
    for (let count = 0; count < 200; count++)
      await revocationLog.add(cutoff(freshId(), selector, now + count), undefined)
    const { revocations } = await readAll()
    expect(revocations).toHaveLength(before + 1)
    expect(of(selector, revocations)).toMatchObject([{ before: now + 199 }])
  })

  test('are told of only when more is dead than before', async () => {
    const selector = { user: freshId() }
    const now = ground.epochMillis()
    await revocationLog.add(cutoff(freshId(), selector, now), now + 600_000)
    const { version } = await readAll()
    await revocationLog.add(cutoff(freshId(), selector, now - 5), now + 700_000)
    expect(await revocationLog.read(version)).toBeUndefined()
    await revocationLog.add(cutoff(freshId(), selector, now + 1), now + 600_000)
    expect((await revocationLog.read(version))?.version).toBeGreaterThan(version)
  })

  test('stay for as long as any of them was to stay', async () => {
    const now = ground.epochMillis()
    const soon = now + 1500
    const later = now + 600_000
    const [grown, kept, lasting, short] = [freshId(), freshId(), freshId(), freshId()].map((user) => ({ user }))
    for (const [selector, first, second] of [
      [grown, soon, later],
      [kept, later, soon],
      [lasting, undefined, soon],
      [short, soon, soon - 500],
    ] as const) {
      await revocationLog.add(cutoff(freshId(), selector, now), first)
      // Both orders: the one that reaches less far, and the one that reaches further.
      await revocationLog.add(cutoff(freshId(), selector, selector === lasting ? now + 1 : now - 1), second)
    }
    await ground.pass(2)
    const { revocations } = await readAll()
    const left = [grown, kept, lasting, short].map((selector) => of(selector ?? {}, revocations).length)
    expect(left).toEqual([1, 1, 1, 0])
  })

  test('leave others alone: a part that is named is not a part that is left out', async () => {
    const user = freshId()
    const selectors = [
      { user },
      { idp: 'acme', user },
      { user, client: 'web' },
      { user, resource: 'orders' },
      { client: user },
    ]
    const ids = selectors.map(() => freshId())
    for (const [index, selector] of selectors.entries()) {
      expect(await revocationLog.add(cutoff(ids[index] ?? '', selector), undefined)).toBe(true)
    }
    const found = (await readAll()).revocations.map(({ id }) => id)
    expect(ids.filter((id) => !found.includes(id))).toEqual([])
  })

  test('do not touch a block of the same selector', async () => {
    const [id, selector] = [freshId(), { client: freshId() }]
    await revocationLog.add({ kind: 'block', id, selector, until: undefined }, undefined)
    await revocationLog.add(cutoff(freshId(), selector), undefined)
    await revocationLog.add(cutoff(freshId(), selector, ground.epochMillis() + 1), undefined)
    expect(of(selector, (await readAll()).revocations)).toHaveLength(2)
    expect(await revocationLog.lift(id)).toBe(true)
  })

  test('never fall victim to an id that is taken', async () => {
    const [id, selector] = [freshId(), { user: freshId() }]
    const now = ground.epochMillis()
    await revocationLog.add(block(id), undefined)
    const held = cutoff(freshId(), selector, now)
    await revocationLog.add(held, undefined)
    await revocationLog.add(cutoff(id, selector, now + 1), undefined)
    expect(of(selector, (await readAll()).revocations)).toEqual([held])
  })
})

describe('the room of a client', () => {
  test('bounds how many cut-offs name it, and nothing is done beyond', async () => {
    const client = freshId()
    const add = (user: string, before = ground.epochMillis()) =>
      revocationLog.add(cutoff(freshId(), { user, client }, before), undefined, 3)
    const users = [freshId(), freshId(), freshId()]
    for (const user of users) expect(await add(user)).toBe(true)
    const { version } = await readAll()
    expect(await add(freshId())).toBe(false)
    expect(await revocationLog.read(version)).toBeUndefined()
    // What takes the place of another one needs no room.
    expect(await add(users[0] ?? '', ground.epochMillis() + 1)).toBe(true)
    // Other clients, and whoever is not bound, have their own.
    expect(await revocationLog.add(cutoff(freshId(), { client: freshId() }), undefined, 3)).toBe(true)
    expect(await revocationLog.add(cutoff(freshId(), { user: freshId(), client }), undefined)).toBe(true)
  })
})

test('a block may last ten years', async () => {
  const id = freshId()
  await revocationLog.add(block(id, 3_653 * 24 * 60 * 60), undefined)
  expect(await find(id)).toMatchObject({ kind: 'block' })
  expect(await revocationLog.lift(id)).toBe(true)
})

describe.skipIf(ground.platform === undefined)('RevocationBook, the Durable Object', () => {
  const { platform } = ground
  if (platform === undefined) return

  test('knows everything, and its version, when it was taken out of memory', async () => {
    const revocation = cutoff(freshId())
    await revocationLog.add(revocation, undefined)
    const before = await readAll()
    await platform.evictBook()
    expect(await revocationLog.read(before.version)).toBeUndefined()
    expect(await readAll()).toEqual(before)
    await revocationLog.add(block(freshId()), undefined)
    expect((await readAll()).version).toBeGreaterThan(before.version)
  })

  test('deletes what is over by its alarm, and nothing else', async () => {
    const [ending, lasting] = [freshId(), freshId()]
    await revocationLog.add(block(ending, 1), undefined)
    await revocationLog.add(block(lasting), undefined)
    const rows = (id: string) => platform.sqlInBook('SELECT 1 FROM revocations WHERE id = ?', id)
    const { version } = await readAll()
    await platform.ringBook()
    expect([await rows(ending), await rows(lasting)]).toEqual([1, 1])
    expect(await revocationLog.read(version)).toBeUndefined()
    // Nobody reads: the alarm comes by itself.
    await ground.pass(2)
    expect([await rows(ending), await rows(lasting)]).toEqual([0, 1])
    expect((await revocationLog.read(version))?.version).toBeGreaterThan(version)
  })

  test('a block that is over counts as gone, whether the alarm has come or not', async () => {
    const id = freshId()
    const past = ground.epochMillis() - 1
    await platform.sqlInBook(
      "INSERT INTO revocations (id, kind, client, until_ms, forget_at_ms) VALUES (?, 'block', 'web', ?, ?)",
      id,
      past,
      past,
    )
    expect(await revocationLog.lift(id)).toBe(false)
    expect(await platform.sqlInBook('SELECT 1 FROM revocations WHERE id = ?', id)).toBe(0)
  })

  test('never comes by the same version twice, even if it lost everything', async () => {
    await Promise.all(Array.from({ length: 50 }, () => revocationLog.add(block(freshId()), undefined)))
    const before = await readAll()
    await platform.wipeBook()
    const after = await readAll()
    expect(after.revocations).toEqual([])
    expect(after.version).toBeGreaterThan(before.version)
    expect(await revocationLog.read(before.version)).toEqual(after)
  })

  test('what another version has stored and this one cannot read makes reading fail, and is forgotten in its time', async () => {
    const id = freshId()
    await platform.sqlInBook(
      'INSERT INTO revocations (id, kind, user, forget_at_ms) VALUES (?, ?, ?, ?)',
      id,
      'freeze',
      'alice',
      ground.epochMillis() + 1500,
    )
    await expect(revocationLog.read(undefined)).rejects.toThrow('a stored row has a kind that this version cannot read')
    await ground.pass(2)
    expect(await find(id)).toBeUndefined()
  })
})
