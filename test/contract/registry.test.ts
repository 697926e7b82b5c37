// The contract of Registry, on both grounds. Every test has users and clients of its own.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import { numericDate, plusSeconds } from '../../src/lib/numeric-date.ts'
import type { Connection, TokenRecord } from '../../src/connection.ts'
import type { QuotaKey } from '../../src/ports.ts'
import { issuer } from './scripted-work.ts'

const ground = createGround()
const { registry } = ground
const DAY = 24 * 60 * 60

function fresh(): string {
  return crypto.randomUUID()
}

function now() {
  return numericDate(ground.now())
}

/** `YYYY-MM` of a moment some months ago. */
function month(ago = 0): string {
  const today = new Date(ground.now() * 1000)
  return new Date(Date.UTC(today.getUTCFullYear(), today.getUTCMonth() - ago, 1)).toISOString().slice(0, 7)
}

function use(options: Partial<QuotaKey> = {}): QuotaKey {
  return { idp: 'acme', tenant: undefined, user: fresh(), resource: 'orders', month: month(), ...options }
}

function connection(options: Partial<Connection> = {}): Connection {
  return {
    name: `t1:${fresh()}`,
    idp: 'acme',
    issuer: issuer('https://acme.example/t/1/'),
    user: fresh(),
    tenant: 'tenant 1',
    client: 'web',
    resource: 'orders',
    scopes: ['orders.read', 'orders.write'],
    firstIssuedAt: now(),
    lastIssuedAt: now(),
    expiresAt: plusSeconds(now(), 600),
    tokenExpiresAt: plusSeconds(now(), 600),
    earlierTokensUntil: undefined,
    count: 1,
    idJagJti: 'jti-1',
    ...options,
  }
}

function token(options: Partial<TokenRecord> = {}): TokenRecord {
  return {
    digest: fresh(),
    name: `t1.${fresh()}`,
    idp: 'acme',
    user: fresh(),
    client: 'agent',
    resource: 'orders',
    server: issuer('https://as.orders.example'),
    scopes: ['orders.read', 'orders.write'],
    obtainedAt: ground.epochMillis(),
    expiresAt: plusSeconds(now(), 600),
    keptUntil: plusSeconds(now(), 3600),
    ...options,
  }
}

async function used(of: QuotaKey): Promise<number> {
  const uses = await registry.quota(of.user, of.month)
  const mine = uses.find(
    ({ idp, tenant, resource }) => idp === of.idp && tenant === of.tenant && resource === of.resource,
  )
  return mine?.used ?? 0
}

describe('Registry.reserve() and release()', () => {
  test('of 200 parallel reserves with a limit of 50, exactly 50 are allowed', async () => {
    const place = use()
    const answers = await Promise.all(Array.from({ length: 200 }, () => registry.reserve(place, 50)))
    const allowed = answers.filter((answer) => answer.allowed)
    // Each of them was told another number: the count after it was counted.
    expect(allowed.map((answer) => answer.used).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, index) => index + 1),
    )
    expect(answers.filter((answer) => !answer.allowed)).toEqual(
      Array.from({ length: 150 }, () => ({ allowed: false, used: 50 })),
    )
    expect(await used(place)).toBe(50)
  })

  test('without a limit everything is counted and allowed', async () => {
    const place = use()
    const answers = await Promise.all(Array.from({ length: 20 }, () => registry.reserve(place, undefined)))
    expect(answers.every((answer) => answer.allowed)).toBe(true)
    expect(await used(place)).toBe(20)
  })

  test('a limit of zero allows nothing, and a limit that was lowered allows nothing more', async () => {
    expect(await registry.reserve(use(), 0)).toEqual({ allowed: false, used: 0 })
    const place = use()
    for (const expected of [1, 2, 3])
      expect(await registry.reserve(place, 3)).toEqual({ allowed: true, used: expected })
    expect(await registry.reserve(place, 2)).toEqual({ allowed: false, used: 3 })
  })

  test('what is released can be reserved again, once', async () => {
    const place = use()
    await Promise.all(Array.from({ length: 5 }, () => registry.reserve(place, 5)))
    await registry.release(place)
    const answers = await Promise.all(Array.from({ length: 10 }, () => registry.reserve(place, 5)))
    expect(answers.filter((answer) => answer.allowed)).toEqual([{ allowed: true, used: 5 }])
  })

  test('releasing never counts below zero', async () => {
    const place = use()
    await registry.release(place)
    await registry.reserve(place, 5)
    for (let time = 0; time < 3; time++) await registry.release(place)
    expect(await used(place)).toBe(0)
    expect(await registry.reserve(place, 1)).toEqual({ allowed: true, used: 1 })
  })

  test('provider, tenant, user, resource and month are counted apart', async () => {
    const place = use()
    await registry.reserve(place, 1)
    const others = [
      { idp: 'other' },
      { tenant: 'a/b' },
      { tenant: 'a' },
      { user: fresh() },
      { resource: 'tasks' },
      { month: month(1) },
    ]
    for (const other of others) {
      expect(await registry.reserve({ ...place, ...other }, 1)).toEqual({ allowed: true, used: 1 })
    }
    expect(await registry.reserve(place, 1)).toEqual({ allowed: false, used: 1 })
  })

  test('what one tenant gives back is not given back to another', async () => {
    const place = use({ tenant: 'a' })
    await registry.reserve(place, undefined)
    await registry.release({ ...place, tenant: 'b' })
    await registry.release({ ...place, tenant: undefined })
    expect([await used(place), await used({ ...place, tenant: 'b' })]).toEqual([1, 0])
  })

  test('fields are not glued together: what moves from one into the next is another place', async () => {
    const user = fresh()
    await registry.reserve(use({ user, idp: 'ab', resource: 'c' }), 1)
    expect(await registry.reserve(use({ user, idp: 'a', resource: 'bc' }), 1)).toEqual({ allowed: true, used: 1 })
  })
})

describe('Registry.quota()', () => {
  test('answers what one user used in one month, by provider and resource', async () => {
    const user = fresh()
    await registry.reserve(use({ user }), undefined)
    await registry.reserve(use({ user }), undefined)
    await registry.reserve(use({ user, resource: 'tasks' }), undefined)
    await registry.reserve(use({ user, idp: 'other' }), undefined)
    await registry.reserve(use({ user, month: month(1) }), undefined)
    await registry.reserve(use(), undefined)
    expect(await registry.quota(user, month())).toEqual([
      { idp: 'acme', resource: 'orders', used: 2 },
      { idp: 'acme', resource: 'tasks', used: 1 },
      { idp: 'other', resource: 'orders', used: 1 },
    ])
    expect(await registry.quota(user, month(1))).toEqual([{ idp: 'acme', resource: 'orders', used: 1 }])
    expect(await registry.quota(fresh(), month())).toEqual([])
  })

  test('is about this user, whatever other user keeps the same shard', async () => {
    // 80 users on 64 shards: some share one.
    const users = Array.from({ length: 80 }, fresh)
    await Promise.all(users.map((user) => registry.reserve(use({ user }), 1)))
    const answers = await Promise.all(users.map((user) => registry.quota(user, month())))
    expect(answers).toEqual(users.map(() => [{ idp: 'acme', resource: 'orders', used: 1 }]))
  })

  test('months older than 13 months are forgotten', async () => {
    const user = fresh()
    await registry.reserve(use({ user, month: month(13) }), undefined)
    await registry.reserve(use({ user, month: month(14) }), undefined)
    await ground.cleanUp(user)
    expect(await registry.quota(user, month(13))).toHaveLength(1)
    expect(await registry.quota(user, month(14))).toEqual([])
  })
})

describe('Registry.record() and list()', () => {
  test('a connection is listed as it was recorded', async () => {
    const whole = connection({ user: 'zoë "☃" \u0000%_', scopes: ['a', 'b,"c"'] })
    const bare = connection({ tenant: undefined, idJagJti: undefined, scopes: [] })
    for (const given of [whole, bare]) {
      await registry.record(given)
      const { connections, more } = await registry.list({ selector: { user: given.user }, limit: 10 })
      expect(connections).toEqual([given])
      expect(more).toBe(false)
    }
  })

  test('recorded again, it keeps when it began and counts; the rest is the latest', async () => {
    const first = connection()
    await registry.record(first)
    const again = {
      ...first,
      firstIssuedAt: plusSeconds(now(), 300),
      lastIssuedAt: plusSeconds(now(), 300),
      expiresAt: plusSeconds(now(), 900),
      idJagJti: 'jti-2',
      count: 77,
    }
    await registry.record(again)
    await registry.record(again)
    const { connections } = await registry.list({ selector: { user: first.user }, limit: 10 })
    const kept = { firstIssuedAt: first.firstIssuedAt, earlierTokensUntil: first.tokenExpiresAt, count: 3 }
    expect(connections).toEqual([{ ...again, ...kept }])
  })

  test('it remembers until when tokens may live that were replaced, by the one that lives longest', async () => {
    const issued = now()
    const first = connection({ lastIssuedAt: issued, tokenExpiresAt: plusSeconds(issued, 900) })
    const listed = async () => (await registry.list({ selector: { user: first.user }, limit: 10 })).connections
    await registry.record(first)
    expect(await listed()).toMatchObject([{ tokenExpiresAt: plusSeconds(issued, 900), earlierTokensUntil: undefined }])
    const ends: readonly (readonly [seconds: number, earlier: number])[] = [
      [3600, 900],
      [600, 3600],
      [700, 3600],
    ]
    for (const [seconds, earlier] of ends) {
      // What is given of earlier ones is not looked at.
      await registry.record({
        ...first,
        tokenExpiresAt: plusSeconds(first.lastIssuedAt, seconds),
        earlierTokensUntil: plusSeconds(first.lastIssuedAt, 999_999),
      })
      expect(await listed()).toMatchObject([
        {
          tokenExpiresAt: plusSeconds(first.lastIssuedAt, seconds),
          earlierTokensUntil: plusSeconds(first.lastIssuedAt, earlier),
        },
      ])
    }
  })

  test('50 records of one connection at once are counted all', async () => {
    const given = connection()
    await Promise.all(Array.from({ length: 50 }, () => registry.record(given)))
    const { connections } = await registry.list({ selector: { user: given.user }, limit: 10 })
    expect(connections).toEqual([{ ...given, earlierTokensUntil: given.tokenExpiresAt, count: 50 }])
  })

  test('every part of a selector must fit', async () => {
    const client = fresh()
    const [alice, bob] = [fresh(), fresh()]
    const all = [
      connection({ client, user: alice }),
      connection({ client, user: alice, resource: 'tasks' }),
      connection({ client, user: bob, idp: 'other' }),
      connection({ client: fresh(), user: alice }),
    ]
    for (const given of all) await registry.record(given)
    const names = async (selector: Parameters<typeof registry.list>[0]['selector']): Promise<string[]> => {
      const { connections } = await registry.list({ selector, limit: 100 })
      return connections.map(({ name }) => name).toSorted()
    }
    const expected = (...indices: readonly number[]) => indices.map((index) => String(all[index]?.name)).toSorted()
    expect(await names({ client })).toEqual(expected(0, 1, 2))
    expect(await names({ user: alice })).toEqual(expected(0, 1, 3))
    expect(await names({ user: alice, client })).toEqual(expected(0, 1))
    expect(await names({ client, resource: 'tasks' })).toEqual(expected(1))
    expect(await names({ client, idp: 'other' })).toEqual(expected(2))
    expect(await names({ user: bob, client, idp: 'other', resource: 'orders' })).toEqual(expected(2))
    expect(await names({ user: bob, idp: 'acme' })).toEqual([])
  })

  test('of many users, the newest come first, and whether there are more is told', async () => {
    const client = fresh()
    const all = Array.from({ length: 100 }, (_, index) =>
      connection({ client, lastIssuedAt: plusSeconds(now(), (index * 37) % 100) }),
    )
    await Promise.all(all.map((given) => registry.record(given)))
    const newest = all.toSorted((one, other) => other.lastIssuedAt - one.lastIssuedAt).map(({ name }) => name)
    for (const limit of [1, 10, 99, 100, 1000]) {
      const { connections, more } = await registry.list({ selector: { client }, limit })
      expect(connections.map(({ name }) => name)).toEqual(newest.slice(0, limit))
      expect(more).toBe(limit < 100)
    }
    expect(await registry.list({ selector: { client }, limit: 0 })).toEqual({ connections: [], more: true })
  })

  test('of one user, too, the newest come first', async () => {
    const user = fresh()
    const all = Array.from({ length: 20 }, (_, index) =>
      connection({ user, lastIssuedAt: plusSeconds(now(), (index * 7) % 20) }),
    )
    await Promise.all(all.map((given) => registry.record(given)))
    const newest = all.toSorted((one, other) => other.lastIssuedAt - one.lastIssuedAt).map(({ name }) => name)
    for (const limit of [1, 3, 20]) {
      const { connections, more } = await registry.list({ selector: { user }, limit })
      expect(connections.map(({ name }) => name)).toEqual(newest.slice(0, limit))
      expect(more).toBe(limit < 20)
    }
  })

  test('the same moment does not make the order depend on chance', async () => {
    const [user, client, lastIssuedAt] = [fresh(), fresh(), now()]
    const all = Array.from({ length: 20 }, (_, index) =>
      connection({ client, lastIssuedAt, user: index < 10 ? user : fresh() }),
    )
    await Promise.all(all.map((given) => registry.record(given)))
    for (const [selector, given] of [[{ client }, all] as const, [{ user }, all.slice(0, 10)] as const]) {
      const { connections } = await registry.list({ selector, limit: 4 })
      const names = given.map(({ name }) => name).toSorted()
      expect(connections.map(({ name }) => name)).toEqual(names.slice(0, 4))
    }
  })

  test('who expired more than 90 days ago is forgotten', async () => {
    const user = fresh()
    const kept = connection({ user, expiresAt: plusSeconds(now(), -89 * DAY) })
    await registry.record(kept)
    await registry.record(connection({ user, expiresAt: plusSeconds(now(), -91 * DAY) }))
    await ground.cleanUp(user)
    const { connections } = await registry.list({ selector: { user }, limit: 10 })
    expect(connections).toEqual([kept])
  })
})

describe('Registry.noteToken(), findToken() and forgetToken()', () => {
  test('a token is found at once, as it was noted, by its digest alone', async () => {
    const given = [token(), token({ user: 'zoë "☃"', scopes: [] })]
    for (const record of given) {
      await registry.noteToken(record)
      expect(await registry.findToken(record.digest)).toEqual([record])
    }
    expect(await registry.findToken(fresh())).toEqual([])
    expect(await registry.findToken('')).toEqual([])
  })

  test('every digest has its place, whatever its first character is', async () => {
    const firsts = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.split('')
    const all = firsts.map((first) => token({ digest: first + fresh() }))
    await Promise.all(all.map((record) => registry.noteToken(record)))
    expect(await Promise.all(all.map(({ digest }) => registry.findToken(digest)))).toEqual(
      all.map((record) => [record]),
    )
  })

  test('noted again under the same name, what was obtained last counts, as it was first noted; under another name both do', async () => {
    const first = token({ name: 'a' })
    const again = { ...first, obtainedAt: first.obtainedAt + 5, scopes: ['orders.read'] }
    const elsewhere = { ...first, name: 'b', client: 'other' }
    const late = { ...again, scopes: [], keptUntil: plusSeconds(again.keptUntil, 60) }
    for (const record of [first, again, elsewhere, first, late]) await registry.noteToken(record)
    expect(await registry.findToken(first.digest)).toEqual([again, elsewhere])
  })

  test('what is forgotten for one client is left to the others, and so are its other tokens', async () => {
    const mine = token()
    const alsoMine = { ...mine, name: fresh() }
    const theirs = { ...mine, name: fresh(), client: 'other' }
    const another = token()
    for (const record of [mine, alsoMine, theirs, another]) await registry.noteToken(record)
    await registry.forgetToken(mine.digest, 'agent')
    expect(await registry.findToken(mine.digest)).toEqual([theirs])
    expect(await registry.findToken(another.digest)).toEqual([another])
    await registry.forgetToken(mine.digest, 'agent')
    await registry.forgetToken(fresh(), 'agent')
    expect(await registry.findToken(mine.digest)).toEqual([theirs])
  })

  test('nothing is found once its time is over', async () => {
    const record = token({ keptUntil: plusSeconds(now(), 2) })
    await registry.noteToken(record)
    expect(await registry.findToken(record.digest)).toEqual([record])
    await ground.pass(3)
    expect(await registry.findToken(record.digest)).toEqual([])
  })
})

describe.skipIf(ground.platform === undefined)('Ledger, the Durable Object', () => {
  const { platform } = ground
  if (platform === undefined) return

  test('keeps everything when it is taken out of memory', async () => {
    const given = connection()
    const place = use({ user: given.user })
    await registry.record(given)
    await registry.reserve(place, 2)
    await platform.evictLedger(given.user)
    expect(await registry.list({ selector: { user: given.user }, limit: 10 })).toMatchObject({ connections: [given] })
    expect(await registry.reserve(place, 2)).toEqual({ allowed: true, used: 2 })
    expect(await registry.reserve(place, 2)).toEqual({ allowed: false, used: 2 })
  })

  test('goes on with what its first version has stored', async () => {
    const given = connection()
    // Begins with the table of that version, in an object that has not been used.
    const columns = `name TEXT PRIMARY KEY, idp TEXT NOT NULL, issuer TEXT NOT NULL, user TEXT NOT NULL, tenant TEXT,
      client TEXT NOT NULL, resource TEXT NOT NULL, scopes TEXT NOT NULL, first_issued_at INTEGER NOT NULL,
      last_issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, count INTEGER NOT NULL, id_jag_jti TEXT`
    await platform.sqlInLedger(given.user, 'DROP TABLE connections')
    await platform.sqlInLedger(given.user, `CREATE TABLE connections (${columns}) WITHOUT ROWID, STRICT`)
    await platform.sqlInLedger(
      given.user,
      "INSERT INTO connections VALUES (?, 'acme', 'https://acme.example/t/1/', ?, 'tenant 1', 'web', 'orders', '[]', 1, 1, ?, 1, NULL)",
      given.name,
      given.user,
      given.expiresAt,
    )
    await platform.evictLedger(given.user)
    const listed = async () => (await registry.list({ selector: { user: given.user }, limit: 10 })).connections
    expect(await listed()).toMatchObject([{ tokenExpiresAt: given.expiresAt, earlierTokensUntil: undefined, count: 1 }])
    await registry.record(given)
    expect(await listed()).toMatchObject([{ earlierTokensUntil: given.expiresAt, count: 2 }])
    await platform.evictLedger(given.user)
    expect(await listed()).toMatchObject([{ earlierTokensUntil: given.expiresAt, count: 2 }])
  })

  test('keeps tokens when it is taken out of memory, and deletes them by its alarm when their time is over', async () => {
    const first = fresh().slice(0, 1)
    const kept = token({ digest: first + fresh() })
    const ending = token({ digest: first + fresh(), keptUntil: plusSeconds(now(), -1) })
    for (const record of [kept, ending]) await registry.noteToken(record)
    await platform.tokens.evict(kept.digest)
    expect(await registry.findToken(kept.digest)).toEqual([kept])
    const rows = async () =>
      Promise.all(
        [kept, ending].map(({ digest }) =>
          platform.tokens.sql(digest, 'SELECT 1 FROM tokens WHERE digest = ?', digest),
        ),
      )
    expect(await rows()).toEqual([1, 1])
    expect(await platform.tokens.ring(kept.digest)).toBe(true)
    expect(await rows()).toEqual([1, 0])
    // And goes on while something is left.
    expect(await platform.tokens.ring(kept.digest)).toBe(true)
    await registry.forgetToken(kept.digest, kept.client)
  })

  test('a record that this version cannot read is an error and not an unknown token', async () => {
    const record = token()
    await registry.noteToken(record)
    await platform.tokens.sql(record.digest, "UPDATE tokens SET scopes = '{}' WHERE digest = ?", record.digest)
    await expect(registry.findToken(record.digest)).rejects.toThrow('scopes')
  })

  test('goes on cleaning up while something is left, and deletes from both tables', async () => {
    const user = fresh()
    await registry.record(connection({ user, expiresAt: plusSeconds(now(), -91 * DAY) }))
    await registry.reserve(use({ user, month: month(14) }), undefined)
    const rows = async () => [
      await platform.sqlInLedger(user, 'SELECT 1 FROM connections WHERE user = ?', user),
      await platform.sqlInLedger(user, 'SELECT 1 FROM quota WHERE user = ?', user),
    ]
    expect(await rows()).toEqual([1, 1])
    await registry.reserve(use({ user }), undefined)
    expect(await platform.ringLedger(user)).toBe(true)
    expect(await rows()).toEqual([0, 1])
    expect(await platform.ringLedger(user)).toBe(true)
  })

  test('a row that this version cannot read makes the list fail: what it leaves out, nobody would miss', async () => {
    const given = connection()
    await registry.record(given)
    await platform.sqlInLedger(given.user, "UPDATE connections SET scopes = '{}' WHERE name = ?", given.name)
    await expect(registry.list({ selector: { user: given.user }, limit: 10 })).rejects.toThrow('scopes')
    await platform.sqlInLedger(given.user, 'DELETE FROM connections WHERE name = ?', given.name)
  })
})
