// Single claims, read strictly (RFC 7519 section 4.1). A claim that is there with another type than its own is not the same
// as a claim that is not there. jose reads `exp` of 1e400, a number as `sub` and more without a word.
import { err, ok, type Result } from '../lib/result.ts'
import type { JsonObject } from '../lib/strict-json.ts'
import type { ClaimReading } from '../model.ts'

/** How far two clocks may be apart. */
export const SKEW_SECONDS = 60

/** NumericDates from here on are milliseconds by mistake, or nonsense: 1e11 seconds is the year 5138. */
const MAX_NUMERIC_DATE = 1e11
const MAX_AUDIENCES = 10
const MAX_TEXT_CHARS = 255
const CONTROL = /\p{Cc}/u

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** An own member; names come from the configuration, and `constructor` is not a claim of everybody. */
export function claimOf(claims: JsonObject, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined
}

/** A NumericDate (RFC 7519 section 2); fractions are allowed there. */
export function timeOf(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 && value < MAX_NUMERIC_DATE ? value : undefined
}

/** The audiences (RFC 7519 section 4.1.3): one string or a few different ones. */
export function audiencesOf(value: unknown): readonly string[] | undefined {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (list.length === 0 || list.length > MAX_AUDIENCES || !list.every(isText)) return undefined
  return new Set(list).size === list.length ? list : undefined
}

/**
 * An identifier such as `sub`: at most 255 characters (OpenID Connect Core section 2), without control characters, and with
 * exactly one UTF-8 form. Weaker than OpenID Connect, which wants ASCII: real subjects are not always.
 */
export function identifierOf(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '' || value.length > MAX_TEXT_CHARS) return undefined
  return value.isWellFormed() && !CONTROL.test(value) ? value : undefined
}

export interface Times {
  readonly exp: number
  readonly iat: number | undefined
  readonly nbf: number | undefined
}

export type TimeProblem = { readonly kind: 'malformed' | 'expired' | 'early'; readonly detail: string }

/** `exp`, `nbf` and `iat` against the clock (RFC 7519 sections 4.1.4 to 4.1.6). `exp` is always required here. */
export function checkTimes(claims: JsonObject, now: number): Result<Times, TimeProblem> {
  const exp = timeOf(claims['exp'])
  if (exp === undefined) return err({ kind: 'malformed', detail: 'exp is missing or not a NumericDate' })
  const iat = timeOf(claims['iat'])
  if (iat === undefined && claims['iat'] !== undefined)
    return err({ kind: 'malformed', detail: 'iat is not a NumericDate' })
  const nbf = timeOf(claims['nbf'])
  if (nbf === undefined && claims['nbf'] !== undefined)
    return err({ kind: 'malformed', detail: 'nbf is not a NumericDate' })
  if (iat !== undefined && iat >= exp) return err({ kind: 'malformed', detail: 'exp is not after iat' })
  if (exp <= now - SKEW_SECONDS) return err({ kind: 'expired', detail: `expired ${Math.ceil(now - exp)} s ago` })
  if (iat !== undefined && iat > now + SKEW_SECONDS) {
    return err({ kind: 'early', detail: `iat is ${Math.ceil(iat - now)} s ahead of the clock of this gateway` })
  }
  if (nbf !== undefined && nbf > now + SKEW_SECONDS) {
    return err({ kind: 'early', detail: `nbf is ${Math.ceil(nbf - now)} s ahead of the clock of this gateway` })
  }
  return ok({ exp, iat, nbf })
}

/** Lists are read as any of their values; `amr` written as one text (ADFS) is a list of one. */
export function toClaimReading(claimed: unknown): ClaimReading {
  const list: readonly unknown[] = Array.isArray(claimed) ? claimed : [claimed]
  return list.every(isScalar) ? list : 'unreadable'
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}
