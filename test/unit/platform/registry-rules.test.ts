// How long every registry remembers, and how it lists.
import { describe, expect, test } from 'vitest'
import { numericDate } from '../../../src/lib/numeric-date.ts'
import { oldestExpiry, oldestMonth } from '../../../src/platform/registry-rules.ts'

function at(text: string) {
  return numericDate(Date.parse(text) / 1000)
}

describe('oldestMonth()', () => {
  test('is 13 months back, over years and short months', () => {
    expect(oldestMonth(at('2026-11-22T00:00:00Z'))).toBe('2025-10')
    expect(oldestMonth(at('2027-01-31T23:59:59Z'))).toBe('2025-12')
    expect(oldestMonth(at('2027-02-01T00:00:00Z'))).toBe('2026-01')
    expect(oldestMonth(at('2028-02-29T12:00:00Z'))).toBe('2027-01')
    expect(oldestMonth(at('2026-03-31T12:00:00Z'))).toBe('2025-02')
  })
})

describe('oldestExpiry()', () => {
  test('is 90 days back', () => {
    expect(oldestExpiry(at('2026-11-22T08:00:00Z'))).toBe(at('2026-08-24T08:00:00Z'))
  })
})
