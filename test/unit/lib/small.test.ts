// The pieces of lib/ that fit on a page: a bounded map, dates, results, secrets, trace contexts.
import { Console } from 'node:console'
import { Writable } from 'node:stream'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BoundedMap } from '../../../src/lib/bounded-map.ts'
import { numericDate, plusSeconds } from '../../../src/lib/numeric-date.ts'
import { Secret } from '../../../src/lib/secret.ts'
import { createTraceContext } from '../../../src/lib/trace-context.ts'

describe('BoundedMap', () => {
  test('forgets what was written longest ago, and nothing before it is full', () => {
    const map = new BoundedMap<string, number>(2)
    map.set('a', 1)
    map.set('b', 2)
    expect([map.get('a'), map.get('b')]).toEqual([1, 2])
    map.set('c', 3)
    expect([map.get('a'), map.get('b'), map.get('c'), map.size]).toEqual([undefined, 2, 3, 2])
  })

  test('keeps young what is written again, not what is read', () => {
    const map = new BoundedMap<string, number>(2)
    map.set('a', 1)
    map.set('b', 2)
    map.set('a', 3)
    map.get('b')
    map.set('c', 4)
    expect([map.get('a'), map.get('b'), map.get('c')]).toEqual([3, undefined, 4])
  })

  test('forgets what is deleted, and does not mind deleting what is not there', () => {
    const map = new BoundedMap<string, number>(2)
    map.set('a', 1)
    map.delete('a')
    map.delete('b')
    expect([map.get('a'), map.size]).toEqual([undefined, 0])
  })

  test('never holds more than its bound, and always the last thing written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.nat(9), { minLength: 1 }), (bound, keys) => {
        const map = new BoundedMap<number, number>(bound)
        for (const [index, key] of keys.entries()) {
          map.set(key, index)
          expect(map.size).toBeLessThanOrEqual(bound)
          expect(map.get(key)).toBe(index)
        }
      }),
    )
  })
})

describe('numericDate()', () => {
  test('cuts fractions, also when seconds are added', () => {
    expect([numericDate(1.9), plusSeconds(numericDate(10), 0.9), plusSeconds(numericDate(10), -0.1)]).toEqual([
      1, 10, 9,
    ])
  })
})

describe('Secret', () => {
  const secret = new Secret('canary-token')
  const holder = { token: secret, list: [secret], map: new Map([['token', secret]]) }

  test('is revealed by reveal() and by nothing else', () => {
    expect(secret.reveal()).toBe('canary-token')
  })

  const spoken: readonly (readonly [string, () => string])[] = [
    // oxlint-disable-next-line typescript/restrict-template-expressions -- the mistake this class is for
    ['a template', () => `${secret}`],
    ['String()', () => String(secret)],
    ['a sum', () => 'token: ' + String(secret)],
    ['JSON', () => JSON.stringify(secret)],
    ['JSON of what holds it', () => JSON.stringify({ ...holder, map: [...holder.map] })],
    ['inspect()', () => inspect(secret)],
    ['inspect() of what holds it', () => inspect(holder, { depth: 9 })],
    ['inspect() with everything shown', () => inspect(holder, { depth: 9, showHidden: true, getters: true })],
    [
      'inspect() without custom inspection',
      () => inspect(holder, { depth: 9, customInspect: false, showHidden: true }),
    ],
    ['its own names', () => Object.getOwnPropertyNames(secret).join()],
    ['its entries', () => JSON.stringify(Object.entries(secret))],
    ['a copy', () => inspect(Object.assign({}, secret))],
    ['a clone', () => inspect(structuredClone(secret))],
    ['toString of Object', () => Object.prototype.toString.call(secret)],
    ['an error about it', () => inspect(new Error(`bad ${String(secret)}`, { cause: holder }), { depth: 9 })],
  ]

  test.each(spoken)('does not show in %s', (_where, speak) => {
    expect(speak()).not.toContain('canary')
  })

  test('does not show on a console', () => {
    const written: string[] = []
    const stdout = new Writable({
      write(chunk, _encoding, done): void {
        written.push(String(chunk))
        done()
      },
    })
    const out = new Console({ stdout, inspectOptions: { depth: 9 } })
    for (const format of ['%s', '%o', '%O', '%j', '%d', '%i']) out.log(format, secret)
    out.log(secret, holder)
    out.dir(holder, { showHidden: true })
    out.table([holder])
    expect(written.join('\n')).not.toContain('canary')
    expect(written.join('\n')).toContain('[secret]')
  })
})

describe('createTraceContext()', () => {
  const CARRIED = '0af7651916cd43dd8448eb211c80319c'
  const FRESH = '5b8efff798038103d269b633813fc60c'

  test('carries a trace on under a new parent', () => {
    const { traceId, traceparent } = createTraceContext(`00-${CARRIED}-b7ad6b7169203331-01`, FRESH)
    expect(traceId).toBe(CARRIED)
    expect(traceparent).toBe(`00-${CARRIED}-${FRESH.slice(16)}-01`)
  })

  test.each([
    null,
    '',
    'x',
    `00-${CARRIED}-b7ad6b7169203331`,
    `00-${CARRIED.toUpperCase()}-b7ad6b7169203331-01`,
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-${CARRIED}-${'0'.repeat(16)}-01`,
    `00-${CARRIED}-b7ad6b7169203331-01-extra`,
    ` 00-${CARRIED}-b7ad6b7169203331-01`,
    `00-${CARRIED}-b7ad6b7169203331-01\r\nx-injected: 1`,
    `ff-${CARRIED}-b7ad6b7169203331-01`,
  ])('makes a new trace where %j is brought, and takes nothing of it over', (header) => {
    const { traceId, traceparent } = createTraceContext(header, FRESH)
    expect(traceId).toBe(FRESH)
    expect(traceparent).toBe(`00-${FRESH}-${FRESH.slice(16)}-00`)
  })
})
