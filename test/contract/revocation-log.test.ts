// The contract of RevocationLog, on both grounds. All tests share one log, as a deployment does: each looks at its own ids.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import type { Revocation, RevocationSelector } from '../../src/model.ts'

const ground = createGround()
const { revocationLog } = ground

function freshId(): string {
  return crypto.randomUUID()
}

function cutoff(id: string, selector: RevocationSelector = { user: 'alice' }): Revocation {
  return { kind: 'cutoff', id, selector, before: ground.epochMillis() }
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
      cutoff(freshId(), { user: 'alice' }),
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
