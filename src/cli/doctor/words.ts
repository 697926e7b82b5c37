// How the doctor says in what two texts differ that should be one, and what came in place of an answer.

import { quote } from '../../config/config.ts'
import { slipBetween } from '../../lib/slip.ts'
import type { CallProblem } from '../../oauth/counterparty.ts'
import { titleOf, type Refusal } from '../../refusal.ts'
import type { Witness } from './witness.ts'

/** `"a" and not "b" (a slash at the end)` */
export function toDifference(theirs: string, ours: string): string {
  const slip = slipBetween(theirs, ours)
  return `${quote(theirs)} and not ${quote(ours)}${slip === undefined ? '' : ` (${slip})`}`
}

/** Why an address gave nothing that can be used. */
export function toProblemWords(url: string, problem: CallProblem, witness: Witness): string {
  if (problem.kind === 'timeout') return problem.detail
  if (problem.kind === 'unreachable') return witness.failureOf(url) ?? problem.detail
  const redirect = witness.redirectOf(url)
  if (problem.detail.startsWith('a redirect') && redirect !== undefined && URL.canParse(redirect, url)) {
    const { origin, pathname } = new URL(redirect, url)
    return `a redirect to ${quote(origin + pathname)}, and redirects are never followed`
  }
  const type = witness.contentTypeOf(url)?.split(';', 1)[0]?.trim().toLowerCase()
  if (problem.detail.startsWith('a media type')) {
    return type === undefined
      ? 'an answer without a media type'
      : `${type === 'text/html' ? 'an HTML page' : quote(type)}, not JSON`
  }
  return problem.detail
}

/** The members of a JSON list that are texts; undefined: there is no such list. */
export function textsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : undefined
}

/** `"a", "b" and 3 more` */
export function some(words: readonly string[], most = 6): string {
  const shown = words
    .slice(0, most)
    .map((word) => quote(word))
    .join(', ')
  return words.length > most ? `${shown} and ${words.length - most} more` : shown
}

/** A span of time as a person says it: `45 s`, `10 min`, `3 h`, `12 days`. */
export function toDuration(seconds: number): string {
  const span = Math.abs(seconds)
  if (span < 120) return `${Math.round(span)} s`
  if (span < 120 * 60) return `${Math.round(span / 60)} min`
  if (span < 48 * 3600) return `${Math.round(span / 3600)} h`
  return `${Math.round(span / 86_400)} days`
}

/** A refusal as the auditor reads it, without what to do. */
export function toRefusalWords(refusal: Refusal): string {
  const { code, expected, got, detail } = refusal
  const parts = [expected && `expected ${expected}`, got && `got ${got}`, detail].filter(Boolean)
  return [`${code}: ${titleOf(refusal)}`, ...parts].join('; ')
}
