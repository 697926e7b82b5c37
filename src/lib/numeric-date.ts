// Time on the wire: seconds since the epoch (RFC 7519 section 2), never to be mixed with milliseconds.
import type { Brand } from './brand.ts'

/** Whole seconds since 1970-01-01T00:00:00Z (RFC 7519 section 2 NumericDate). */
export type NumericDate = Brand<number, 'NumericDate'>

/** Takes seconds since the epoch; fractions are cut. */
export function numericDate(seconds: number): NumericDate {
  return Math.floor(seconds) as NumericDate
}

/** A point in time moved by a number of seconds. */
export function plusSeconds(date: NumericDate, seconds: number): NumericDate {
  return numericDate(date + seconds)
}
