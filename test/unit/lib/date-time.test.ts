import { describe, expect, test } from 'vitest'
import { parseDate, parseDateTime } from '../../../src/lib/date-time.ts'

describe('parseDate()', () => {
  test('gives the beginning of a day in UTC', () => {
    expect(parseDate('2026-12-31')).toBe(Date.UTC(2026, 11, 31))
    expect(parseDate('2024-02-29')).toBe(Date.UTC(2024, 1, 29))
  })

  test.each([
    '',
    '2026-2-3',
    '2026-02-30',
    '2025-02-29',
    '2026-13-01',
    '2026-00-10',
    '20261231',
    '2026-12-31T00:00:00Z',
  ])('refuses %j', (text) => {
    expect(parseDate(text)).toBeUndefined()
  })
})

describe('parseDateTime()', () => {
  test('reads the offset, and fractions of a second to the millisecond', () => {
    expect(parseDateTime('2026-12-31T18:00:00Z')).toBe(Date.UTC(2026, 11, 31, 18))
    expect(parseDateTime('2026-12-31t18:00:00.1239+02:00')).toBe(Date.UTC(2026, 11, 31, 16, 0, 0, 123))
  })

  test.each(['2026-12-31', '2026-12-31T18:00Z', '2026-12-31T18:00:00', '2026-02-30T00:00:00Z', '2026-12-31T25:00:00Z'])(
    'refuses %j',
    (text) => {
      expect(parseDateTime(text)).toBeUndefined()
    },
  )
})
