// Scopes of a resource against those that its authorization server and its API publish. A list may be incomplete (RFC 8414
// section 2), so a scope that is not in it is amber; one that is a slip away from a published one is red.

import { didYouMean, quote } from '../../config/config.ts'
import type { JsonObject } from '../../lib/strict-json.ts'
import type { Resource } from '../../parties.ts'
import { inConfig, toDotted, type Check, type Finding } from './finding.ts'
import { some, textsOf } from './words.ts'

export function examineScopes(
  { name, scopes }: Resource,
  server: JsonObject | undefined,
  api: JsonObject | undefined,
): Check {
  const path = ['resources', name, 'scopes']
  const lists = [server, api].flatMap((document) => textsOf(document?.['scopes_supported']) ?? [])
  const about = toDotted(path.slice(0, 2))
  if (lists.length === 0 || scopes.length === 0) {
    const says = scopes.length === 0 ? 'none' : 'no list of scopes is published'
    return { about, name: 'scopes', says, findings: [], skipped: true }
  }
  const published = new Set(lists)
  const unknown = scopes.flatMap((scope, index) => (published.has(scope) ? [] : [{ scope, index }]))
  const findings = unknown.map(({ scope, index }): Finding => {
    const meant = [...published].find((other) => isSlip(scope, other))
    const message = `the scope ${quote(scope)} is not among those published: ${some([...published])}`
    return {
      code: meant === undefined ? 'DOC203' : 'DOC118',
      message,
      help:
        meant === undefined
          ? (didYouMean(scope, published) ?? 'a list may be incomplete')
          : `did you mean ${quote(meant)}?`,
      places: [inConfig([...path, index])],
    }
  })
  const says =
    findings.length === 0 ? `all ${scopes.length} published` : `${unknown.length} of ${scopes.length} not published`
  return { about, name: 'scopes', says, findings }
}

/** One letter more, less, other or swapped, or only another case or separator. */
function isSlip(left: string, right: string): boolean {
  const even = (text: string): string => text.toLowerCase().replaceAll(/[.:/_-]/g, '.')
  if (even(left) === even(right)) return true
  const [short, long] = left.length <= right.length ? [left, right] : [right, left]
  if (long.length - short.length > 1 || short.length < 4) return false
  let start = 0
  while (start < short.length && short[start] === long[start]) start++
  if (short.length < long.length) return short.slice(start) === long.slice(start + 1)
  // v1 and v2 are two things.
  const letters = /^\p{L}{2}$/u.test(`${short[start]}${long[start]}`)
  const rest = letters && short.slice(start + 1) === long.slice(start + 1)
  const swapped =
    short[start] === long[start + 1] &&
    short[start + 1] === long[start] &&
    short.slice(start + 2) === long.slice(start + 2)
  return rest || swapped
}
