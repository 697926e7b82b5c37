// Rows that another version of this program may have stored or sent: read strictly, or not at all.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  fromDecision,
  toConnection,
  toCount,
  toDecision,
  toHits,
  toLosses,
  toRevocation,
  toTokenRecord,
  toUse,
  type Row,
} from '../../../src/platform/rows.ts'

const anyCell = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.constant(null))

/** Every row that differs from this one in a single cell. */
function damaged(row: Row, cells: readonly (string | number | null)[]): Row[] {
  return row.flatMap((_, index) => cells.map((cell) => row.with(index, cell)))
}

describe('toRevocation()', () => {
  test('reads both kinds, and names only what the row names', () => {
    expect(toRevocation(['1', 'cutoff', null, 'alice', null, null, 5, null])).toStrictEqual({
      kind: 'cutoff',
      id: '1',
      selector: { user: 'alice' },
      before: 5,
    })
    expect(toRevocation(['2', 'block', 'acme', 'bob', 'web', '', null, 7])).toStrictEqual({
      kind: 'block',
      id: '2',
      selector: { idp: 'acme', user: 'bob', client: 'web', resource: '' },
      until: 7,
    })
    expect(toRevocation(['3', 'block', null, null, 'web', null, null, null])).toStrictEqual({
      kind: 'block',
      id: '3',
      selector: { client: 'web' },
      until: undefined,
    })
  })

  test('throws for what it cannot read: a cut-off without a time, another kind, a short row', () => {
    const rows: Row[] = [
      [],
      ['1', 'cutoff'],
      ['1', 'cutoff', null, 'alice', null, null, null, null],
      ['1', 'cutoff', null, 'alice', null, null, Number.NaN, null],
      ['1', 'cutoff', null, 'alice', null, null, -1, null],
      ['1', 'block', null, 'alice', null, null, null, 'tomorrow'],
      ['1', 'freeze', null, 'alice', null, null, 5, 5],
      [1, 'cutoff', null, 'alice', null, null, 5, null],
      ['1', 'cutoff', null, 7, null, null, 5, null],
    ]
    for (const row of rows) expect(() => toRevocation(row)).toThrow('that this version cannot read')
  })

  test('whatever comes, it is a revocation of exactly that row or an exception', () => {
    fc.assert(
      fc.property(fc.array(anyCell, { maxLength: 10 }), fc.constantFrom('cutoff', 'block', 'other'), (cells, kind) => {
        const row = cells.length < 2 ? cells : cells.with(1, kind)
        try {
          const read = toRevocation(row)
          expect(read.kind).toBe(kind)
          expect([read.id, read.selector.user ?? null]).toEqual([row[0], row[3]])
        } catch (error) {
          expect(String(error)).toContain('that this version cannot read')
        }
      }),
    )
  })
})

describe('toConnection()', () => {
  const row: Row = [
    'n',
    'acme',
    'https://acme.example',
    'alice',
    't',
    'web',
    'orders',
    '["a","b"]',
    1,
    2,
    3,
    4,
    'j',
    5,
    6,
  ]

  test('reads a row', () => {
    expect(toConnection(row)).toStrictEqual({
      name: 'n',
      idp: 'acme',
      issuer: 'https://acme.example',
      user: 'alice',
      tenant: 't',
      client: 'web',
      resource: 'orders',
      scopes: ['a', 'b'],
      firstIssuedAt: 1,
      lastIssuedAt: 2,
      expiresAt: 3,
      tokenExpiresAt: 5,
      earlierTokensUntil: 6,
      count: 4,
      idJagJti: 'j',
    })
    expect(toConnection(row.with(4, null).with(12, null))).toMatchObject({ tenant: undefined, idJagJti: undefined })
  })

  test('reads what an earlier version has stored, and what an object of it sends', () => {
    const bare = { tokenExpiresAt: 3, earlierTokensUntil: undefined }
    expect(toConnection([...row.slice(0, 13), null, null])).toMatchObject(bare)
    expect(toConnection(row.slice(0, 13))).toMatchObject(bare)
  })

  test('throws for every cell of another type', () => {
    const nullable = new Set([4, 12, 13, 14])
    const numbers = new Set([8, 9, 10, 11, 13, 14])
    for (let index = 0; index < row.length; index++) {
      const wrong = [...(numbers.has(index) ? ['x', Number.NaN, -1] : [7]), ...(nullable.has(index) ? [] : [null])]
      for (const cell of wrong) expect(() => toConnection(row.with(index, cell))).toThrow('cannot read')
    }
  })

  test('throws for scopes that are no list of texts', () => {
    for (const scopes of ['', '{}', '"a"', '[1]', '["a",null]', '[["a"]]', '["a"', 'null']) {
      expect(() => toConnection(row.with(7, scopes))).toThrow()
    }
    expect(() => toConnection(row.with(2, ''))).toThrow('issuer')
  })
})

describe('toTokenRecord()', () => {
  const row: Row = ['d', 'n', 'acme', 'alice', 'agent', 'orders', 'https://as.example', '["a"]', 1.5, 2, 3]

  test('reads a row', () => {
    expect(toTokenRecord(row)).toStrictEqual({
      digest: 'd',
      name: 'n',
      idp: 'acme',
      user: 'alice',
      client: 'agent',
      resource: 'orders',
      server: 'https://as.example',
      scopes: ['a'],
      obtainedAt: 1.5,
      expiresAt: 2,
      keptUntil: 3,
    })
  })

  test('throws for every cell of another type, and for a row that is too short', () => {
    for (const wrong of damaged(row, [null])) expect(() => toTokenRecord(wrong)).toThrow('cannot read')
    for (let index = 0; index < row.length; index++) {
      expect(() => toTokenRecord(row.with(index, index < 8 ? 7 : 'x'))).toThrow('cannot read')
      expect(() => toTokenRecord(row.slice(0, index))).toThrow('cannot read')
    }
  })
})

describe('toUse()', () => {
  test('reads a row, or throws', () => {
    const row: Row = ['acme', 'orders', 3]
    expect(toUse(row)).toStrictEqual({ idp: 'acme', tenant: undefined, resource: 'orders', used: 3 })
    expect(toUse(['acme/a/b', 'orders', 3])).toMatchObject({ idp: 'acme', tenant: 'a/b' })
    for (const wrong of damaged(row, [null])) expect(() => toUse(wrong)).toThrow('cannot read')
  })
})

describe('toDecision()', () => {
  const full = {
    id: 'req_1',
    time: '2027-01-15T08:00:00.000Z',
    event: 'policy.decide',
    outcome: 'deny',
    code: 'POL101',
    user: { issuer: 'https://idp.example', sub: 'ann', tenant: 'acme' },
    client: 'web',
    resource: 'orders',
    rule: 'no',
    ms: 3,
  } as const

  test('reads what fromDecision() has written', () => {
    const { code: _code, user: _user, client: _client, resource: _resource, rule: _rule, ...bare } = full
    const untenanted = { ...full, user: { issuer: 'https://idp.example', sub: 'ann' } }
    for (const decision of [full, bare, untenanted]) expect(toDecision(fromDecision(decision))).toStrictEqual(decision)
  })

  test('throws for every cell of another type, for another outcome, and for a row that is too short', () => {
    const row = fromDecision(full)
    for (let index = 0; index < row.length; index++) {
      expect(() => toDecision(row.with(index, index < 11 ? 7 : 'x'))).toThrow('cannot read')
      expect(() => toDecision(row.slice(0, index))).toThrow('cannot read')
    }
    expect(() => toDecision(row.with(3, 'maybe'))).toThrow('outcome')
  })
})

describe('toCount(), toHits() and toLosses()', () => {
  test('read a row, or throw', () => {
    const counted: Row = ['2027-01-15T08', 'allow', '', 'web', 'orders', 3]
    expect(toCount(counted)).toStrictEqual({
      hour: '2027-01-15T08',
      outcome: 'allow',
      code: '',
      client: 'web',
      resource: 'orders',
      count: 3,
    })
    const hit: Row = ['all', 3, '2027-01-15T08:00:00.000Z']
    expect(toHits(hit)).toStrictEqual({ rule: 'all', hits: 3, lastHit: '2027-01-15T08:00:00.000Z' })
    const lost: Row = ['2027-01-15T08', 1, 2]
    expect(toLosses(lost)).toStrictEqual({ hour: '2027-01-15T08', uncounted: 1, events: 2 })
    for (const wrong of damaged(counted, [null])) expect(() => toCount(wrong)).toThrow('cannot read')
    for (const wrong of damaged(hit, [null])) expect(() => toHits(wrong)).toThrow('cannot read')
    for (const wrong of damaged(lost, [null])) expect(() => toLosses(wrong)).toThrow('cannot read')
  })
})
