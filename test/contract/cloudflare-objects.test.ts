// What the real ground promises of its calls to its other objects beyond the ports' contracts: it runs in workerd only.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../../src/lib/digest.ts'
import { numericDate } from '../../src/lib/numeric-date.ts'
import type { Connection, Revocation, TokenRecord } from '../../src/connection.ts'
import { issuer } from './scripted-work.ts'

const ground = createGround()

function never(): Promise<never> {
  return new Promise(() => undefined)
}

describe.skipIf(ground.platform === undefined)('createReplayGuard()', () => {
  if (ground.platform === undefined) return
  const { createReplayGuard } = ground.platform.cloudflare

  test('sends a digest to the object of its first character, never the value', async () => {
    const sent: unknown[] = []
    const guard = createReplayGuard({
      getByName: (object) => ({
        async claim(digest, until) {
          sent.push({ object, digest, until })
          return true
        },
      }),
    })
    await guard.claim('a value', numericDate(1_800_000_000))
    const digest = await sha256('a value')
    expect(sent).toEqual([{ object: `replay-${digest[0]}`, digest, until: 1_800_000_000 }])
  })

  test('gives up on an object that hangs, so that the value counts as used', async () => {
    const guard = createReplayGuard({ getByName: () => ({ claim: never }) })
    await expect(guard.claim('a value', numericDate(1_800_000_000))).rejects.toThrow('the replay object took longer')
  })
})

describe.skipIf(ground.platform === undefined)('createRevocationLog()', () => {
  if (ground.platform === undefined) return
  const { createRevocationLog } = ground.platform.cloudflare
  const revocation: Revocation = { kind: 'cutoff', id: '1', selector: { user: 'alice' }, before: 5 }

  /** A book that answers with each of these in turn. */
  function createBook(answers: readonly unknown[]) {
    const calls: unknown[] = []
    const answer = (...call: readonly unknown[]): unknown => {
      const next = answers[calls.length]
      calls.push(call)
      if (next instanceof Error) throw next
      return next
    }
    const getByName = (name: string) => ({
      async read(version?: number) {
        const rows = answer(name, 'read', version)
        return Array.isArray(rows) ? { version: 9, rows } : undefined
      },
      async add(...given: readonly unknown[]) {
        answer(name, 'add', ...given)
        return true
      },
      async lift(id: string) {
        return answer(name, 'lift', id) === true
      },
    })
    return { calls, getByName }
  }

  test('there is one book, and each call asks it', async () => {
    const row = ['1', 'cutoff', null, 'alice', null, null, 5, null]
    const book = createBook([undefined, [row], undefined, true])
    const log = createRevocationLog(book)
    expect(await log.read(3)).toBeUndefined()
    expect(await log.read(undefined)).toEqual({ version: 9, revocations: [revocation] })
    expect(await log.add(revocation, 7, 5)).toBe(true)
    expect(await log.lift('1')).toBe(true)
    expect(book.calls).toEqual([
      ['book', 'read', 3],
      ['book', 'read', undefined],
      ['book', 'add', revocation, 7, 5],
      ['book', 'lift', '1'],
    ])
  })

  test('a book that hangs is given up on after a second', async () => {
    const log = createRevocationLog({ getByName: () => ({ read: never, add: never, lift: never }) })
    const ends = await Promise.allSettled([log.read(1), log.add(revocation, undefined), log.lift('1')])
    const reason = new Error('the revocation book took longer than 1000 ms')
    expect(ends).toEqual([1, 2, 3].map(() => ({ status: 'rejected', reason })))
  })

  test('a book that fails makes every call fail; what may be done twice is tried twice where the platform says so', async () => {
    const reset = Object.assign(new Error('reset because its code was updated'), { retryable: true })
    for (const error of [new Error('away'), Object.assign(new Error('overloaded'), { overloaded: true })]) {
      const log = createRevocationLog(createBook([error, error, error]))
      await expect(log.read(undefined)).rejects.toThrow(error)
      await expect(log.add(revocation, undefined)).rejects.toThrow(error)
      await expect(log.lift('1')).rejects.toThrow(error)
    }
    expect(await createRevocationLog(createBook([reset, []])).read(1)).toEqual({ version: 9, revocations: [] })
    await createRevocationLog(createBook([reset, undefined])).add(revocation, undefined)
    // Lifted the first time, it would not be there the second.
    await expect(createRevocationLog(createBook([reset, true])).lift('1')).rejects.toThrow('reset')
  })

  test('one row that cannot be read makes the whole answer a failure: to leave it out would be to lift it', async () => {
    const good = ['1', 'cutoff', null, 'alice', null, null, 5, null]
    const log = createRevocationLog(createBook([[good, ['2', 'freeze', null, 'bob', null, null, null, null]]]))
    await expect(log.read(undefined)).rejects.toThrow('a stored row has a kind that this version cannot read')
  })
})

describe.skipIf(ground.platform === undefined)('createRegistry()', () => {
  if (ground.platform === undefined) return
  const { createRegistry } = ground.platform.cloudflare
  const use = { idp: 'acme', tenant: undefined, user: 'alice', resource: 'orders', month: '2026-11' }
  const connection: Connection = {
    name: 't1:1',
    idp: 'acme',
    issuer: issuer('https://acme.example'),
    user: 'alice',
    tenant: undefined,
    client: 'web',
    resource: 'orders',
    scopes: [],
    firstIssuedAt: numericDate(1),
    lastIssuedAt: numericDate(2),
    expiresAt: numericDate(3),
    tokenExpiresAt: numericDate(3),
    earlierTokensUntil: undefined,
    count: 1,
    idJagJti: undefined,
  }
  const token: TokenRecord = {
    digest: 'abc',
    name: 't1:1',
    idp: 'acme',
    user: 'alice',
    client: 'web',
    resource: 'orders',
    server: issuer('https://as.orders.example'),
    scopes: [],
    obtainedAt: 1,
    expiresAt: numericDate(3),
    keptUntil: numericDate(4),
  }
  const row = ['t1:1', 'acme', 'https://acme.example', 'alice', null, 'web', 'orders', '[]', 1, 2, 3, 1, null]

  /** Ledgers that first throw each of these errors. */
  function createLedgers(errors: readonly Error[] = []) {
    const left = [...errors]
    const calls: { ledger: string; method: string; given: readonly unknown[] }[] = []
    const getByName = (ledger: string) => {
      const note = (method: string, ...given: readonly unknown[]): void => {
        calls.push({ ledger, method, given })
        const error = left.shift()
        if (error !== undefined) throw error
      }
      return {
        async reserve(...given: readonly unknown[]) {
          note('reserve', ...given)
          return { allowed: true, used: 1 }
        },
        async release(...given: readonly unknown[]) {
          note('release', ...given)
        },
        async record(...given: readonly unknown[]) {
          note('record', ...given)
        },
        async list(...given: readonly unknown[]) {
          note('list', ...given)
          return [row]
        },
        async quota(...given: readonly unknown[]) {
          note('quota', ...given)
          return [['acme', 'orders', 3]]
        },
        async noteToken(...given: readonly unknown[]) {
          note('noteToken', ...given)
        },
        async findToken(...given: readonly unknown[]) {
          note('findToken', ...given)
          return []
        },
        async forgetToken(...given: readonly unknown[]) {
          note('forgetToken', ...given)
        },
      }
    }
    return { calls, getByName }
  }

  test('all that is about a user goes to one of 64 ledgers, picked by the subject alone', async () => {
    const ledgers = createLedgers()
    const registry = createRegistry(ledgers)
    await registry.reserve(use, 50)
    await registry.reserve({ ...use, idp: 'other', resource: 'tasks' }, undefined)
    await registry.release(use)
    await registry.record(connection)
    expect(await registry.quota('alice', '2026-11')).toEqual([{ idp: 'acme', resource: 'orders', used: 3 }])
    expect(await registry.list({ selector: { user: 'alice' }, limit: 5 })).toEqual({
      connections: [connection],
      more: false,
    })
    const ledger = `user-${(await sha256('alice')).slice(0, 1)}`
    expect(ledgers.calls.map((call) => call.ledger)).toEqual(ledgers.calls.map(() => ledger))
    expect(ledgers.calls.map((call) => call.method)).toEqual([
      'reserve',
      'reserve',
      'release',
      'record',
      'quota',
      'list',
    ])
    expect(ledgers.calls.at(-1)?.given).toEqual([{ selector: { user: 'alice' }, limit: 6 }])
  })

  test('what is noted of a token goes to one of 64 other ledgers, by its digest', async () => {
    const ledgers = createLedgers()
    const registry = createRegistry(ledgers)
    await registry.noteToken(token)
    expect(await registry.findToken('Xyz')).toEqual([])
    await registry.forgetToken('-yz', 'web')
    expect(ledgers.calls).toEqual([
      { ledger: 'token-a', method: 'noteToken', given: [token] },
      { ledger: 'token-X', method: 'findToken', given: ['Xyz'] },
      { ledger: 'token--', method: 'forgetToken', given: ['-yz', 'web'] },
    ])
  })

  test('a list without a user asks every ledger that a user can meet', async () => {
    const ledgers = createLedgers()
    const { connections, more } = await createRegistry(ledgers).list({ selector: { client: 'web' }, limit: 5 })
    expect([connections.length, more]).toEqual([5, true])
    expect(new Set(ledgers.calls.map((call) => call.ledger)).size).toBe(64)
    expect(ledgers.calls).toHaveLength(64)
    const digests = await Promise.all(Array.from({ length: 500 }, (_, index) => sha256(`user ${index}`)))
    const asked = ledgers.calls.map((call) => call.ledger)
    expect(digests.map((digest) => `user-${digest.slice(0, 1)}`).filter((name) => !asked.includes(name))).toEqual([])
  })

  test('one ledger that fails makes the list fail', async () => {
    const registry = createRegistry(createLedgers([new Error('away')]))
    await expect(registry.list({ selector: {}, limit: 5 })).rejects.toThrow('away')
  })

  test('what only reads is tried again where the platform says so; what counts is not', async () => {
    const reset = Object.assign(new Error('reset because its code was updated'), { retryable: true })
    const of = (...errors: readonly Error[]) => createRegistry(createLedgers(errors))
    expect((await of(reset).list({ selector: { user: 'alice' }, limit: 5 })).connections).toHaveLength(1)
    expect(await of(reset).quota('alice', '2026-11')).toHaveLength(1)
    await expect(of(reset).reserve(use, 5)).rejects.toThrow('reset')
    await expect(of(reset).release(use)).rejects.toThrow('reset')
    await expect(of(reset).record(connection)).rejects.toThrow('reset')
    // Twice is the same as once.
    await of(reset).noteToken(token)
    expect(await of(reset).findToken('abc')).toEqual([])
    await of(reset).forgetToken('abc', 'web')
  })

  test('ledgers that hang are given up on after two seconds', async () => {
    const counting = { reserve: never, release: never, record: never, list: never, quota: never }
    const ledger = { ...counting, noteToken: never, findToken: never, forgetToken: never }
    const registry = createRegistry({ getByName: () => ledger })
    const ends = await Promise.allSettled([
      registry.reserve(use, undefined),
      registry.release(use),
      registry.record(connection),
      registry.list({ selector: {}, limit: 5 }),
      registry.quota('alice', '2026-11'),
      registry.noteToken(token),
      registry.findToken('abc'),
      registry.forgetToken('abc', 'web'),
    ])
    const reason = new Error('the ledger object took longer than 2000 ms')
    expect(ends).toEqual(ends.map(() => ({ status: 'rejected', reason })))
  })
})
