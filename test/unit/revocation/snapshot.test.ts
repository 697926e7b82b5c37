// What is revoked for whom: every combination of a selector against every subject it could be mistaken for.
import process from 'node:process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Revocation, RevocationSelector } from '../../../src/connection.ts'
import { createSnapshot, matches } from '../../../src/revocation/snapshot.ts'
import type { RevocationSubject, Standing } from '../../../src/revocation/revocation.ts'

const NOW = 1_800_000_000_000
const ALICE: RevocationSubject = { idp: 'corp', user: 'alice', client: 'app', resource: 'tasks' }
const CLEAR: Standing = { blockedBy: undefined, signInsUntil: 0, tokensUntil: 0 }

const cutoff = (selector: RevocationSelector, before = NOW, id = 'c'): Revocation => ({
  kind: 'cutoff',
  id,
  selector,
  before,
})
const block = (selector: RevocationSelector, until?: number, id = 'b'): Revocation => ({
  kind: 'block',
  id,
  selector,
  until,
})

/** Every selector that can be made of parts of alice's, the empty one left out: nobody may mean everybody. */
const SELECTORS: readonly RevocationSelector[] = Array.from({ length: 15 }, (_, index) => {
  const bits = index + 1
  return {
    ...(bits & 1 ? { idp: ALICE.idp } : {}),
    ...(bits & 2 ? { user: ALICE.user } : {}),
    ...(bits & 4 ? { client: ALICE.client } : {}),
    ...(bits & 8 ? { resource: ALICE.resource } : {}),
  }
})

/** Alice, and whoever differs from her in one part. */
const OTHERS: readonly (readonly [keyof RevocationSubject, RevocationSubject])[] = [
  ['idp', { ...ALICE, idp: 'partner' }],
  ['user', { ...ALICE, user: 'Alice' }],
  ['client', { ...ALICE, client: 'agent' }],
  ['resource', { ...ALICE, resource: 'notes' }],
]

describe('a selector', () => {
  test.each(SELECTORS)('%j reaches whom it names, and nobody who differs in a part it names', (selector) => {
    for (const revocation of [cutoff(selector), block(selector)]) {
      const snapshot = createSnapshot([revocation])
      expect(snapshot.standingOf(ALICE, NOW)).not.toEqual(CLEAR)
      for (const [part, subject] of OTHERS) {
        const isNamed = selector[part] !== undefined
        expect(matches(selector, subject)).toBe(!isNamed)
        const standing = snapshot.standingOf(subject, NOW)
        if (isNamed) expect(standing).toEqual(CLEAR)
        else expect(standing).not.toEqual(CLEAR)
      }
    }
  })

  test('is compared as text: no case, no trimming, no name of an object', () => {
    for (const user of ['ALICE', 'alice ', ' alice', 'álice', '__proto__', 'constructor', '']) {
      const snapshot = createSnapshot([cutoff({ user: 'alice' }), block({ user: 'alice' })])
      expect(snapshot.standingOf({ ...ALICE, user }, NOW)).toEqual(CLEAR)
    }
    const odd = createSnapshot([block({ user: '__proto__' })])
    expect(odd.standingOf({ ...ALICE, user: '__proto__' }, NOW).blockedBy).toBe('b')
    expect(odd.standingOf(ALICE, NOW)).toEqual(CLEAR)
  })
})

describe('a cut-off', () => {
  test.each(SELECTORS)('of %j kills tokens; sign-ins only where it is not about one resource', (selector) => {
    expect(createSnapshot([cutoff(selector)]).standingOf(ALICE, NOW)).toEqual({
      blockedBy: undefined,
      tokensUntil: NOW,
      signInsUntil: selector.resource === undefined ? NOW : 0,
    })
  })

  test('does not undo a later one, whatever their order', () => {
    const early = cutoff({ user: 'alice' }, NOW - 5000, 'early')
    const late = cutoff({ idp: 'corp' }, NOW, 'late')
    const resource = cutoff({ resource: 'tasks' }, NOW + 1000, 'resource')
    for (const all of [
      [early, late, resource],
      [resource, late, early],
      [late, resource, early],
    ])
      expect(createSnapshot(all).standingOf(ALICE, NOW)).toEqual({
        blockedBy: undefined,
        signInsUntil: NOW,
        tokensUntil: NOW + 1000,
      })
  })
})

describe('a block', () => {
  test('holds without an end until it is lifted, with one until then and not a millisecond longer', () => {
    expect(createSnapshot([block({ user: 'alice' })]).standingOf(ALICE, Number.MAX_SAFE_INTEGER).blockedBy).toBe('b')
    const timed = createSnapshot([block({ user: 'alice' }, NOW)])
    expect(timed.standingOf(ALICE, NOW - 1).blockedBy).toBe('b')
    expect(timed.standingOf(ALICE, NOW).blockedBy).toBeUndefined()
  })

  test('that is over does not hide one that is not', () => {
    const snapshot = createSnapshot([
      block({ user: 'alice' }, NOW - 1, 'over'),
      block({ client: 'app' }, NOW + 1, 'on'),
    ])
    expect(snapshot.standingOf(ALICE, NOW).blockedBy).toBe('on')
  })

  test('ends neither sign-ins nor tokens: who is let in again goes on where they were', () => {
    expect(createSnapshot([block({ user: 'alice' })]).standingOf(ALICE, NOW)).toMatchObject({
      signInsUntil: 0,
      tokensUntil: 0,
    })
  })
})

test('nothing revoked is nothing revoked', () => {
  expect(createSnapshot([]).standingOf(ALICE, NOW)).toEqual(CLEAR)
})

test('the index by user never answers otherwise than looking at everything would', () => {
  const part = fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined })
  const selector = fc
    .record({ idp: part, user: part, client: part, resource: part })
    .map((parts): RevocationSelector =>
      Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)),
    )
  const revocation = fc.oneof(
    fc.tuple(selector, fc.nat(100)).map(([parts, before]) => cutoff(parts, before, `c${before}`)),
    fc.tuple(selector, fc.option(fc.nat(100), { nil: undefined })).map(([parts, until]) => block(parts, until)),
  )
  const letter = fc.constantFrom('a', 'b', 'c')
  const subject = fc.record({ idp: letter, user: letter, client: letter, resource: letter })
  fc.assert(
    fc.property(fc.array(revocation, { maxLength: 12 }), subject, fc.nat(100), (all, who, now) => {
      const meant = all.filter((one) => matches(one.selector, who))
      const cutoffs = meant.flatMap((one) => (one.kind === 'cutoff' ? [one] : []))
      const standing = createSnapshot(all).standingOf(who, now)
      expect(standing.tokensUntil).toBe(Math.max(0, ...cutoffs.map(({ before }) => before)))
      expect(standing.signInsUntil).toBe(
        Math.max(0, ...cutoffs.flatMap((one) => (one.selector.resource === undefined ? [one.before] : []))),
      )
      const isBlocked = meant.some((one) => one.kind === 'block' && (one.until === undefined || now < one.until))
      expect(standing.blockedBy !== undefined).toBe(isBlocked)
    }),
    { numRuns: 500 },
  )
})

test('twenty thousand users cut off cost a request no walk through all of them', () => {
  const snapshot = createSnapshot(
    Array.from({ length: 20_000 }, (_, index) => cutoff({ user: `user-${index}` }, NOW, `c${index}`)),
  )
  // Of the process and not of the clock, which other programs use up as well.
  const start = process.cpuUsage()
  // A walk would be 400 million comparisons.
  for (let index = 0; index < 20_000; index++) snapshot.standingOf({ ...ALICE, user: `user-${index}` }, NOW)
  expect(process.cpuUsage(start).user).toBeLessThan(500_000)
  expect(snapshot.standingOf({ ...ALICE, user: 'user-19999' }, NOW).tokensUntil).toBe(NOW)
  expect(snapshot.standingOf(ALICE, NOW)).toEqual(CLEAR)
})
