// A request path that has one reading, or none at all. Servers disagree on encoded separators, dot segments, path
// parameters, double encoding and Unicode folding; a path on which they could disagree is refused, not normalised, so that
// the path policy decides on is the path every upstream sees (threat T25).
import { err, ok, type Result } from './result.ts'

/** RFC 3986 section 3.3 `pchar` and `/`, without `;`, which some servers cut off. */
const PLAIN = /^(?:\/[A-Za-z0-9\-._~!$&'()*+,=:@%]*)+$/
const ENCODED = /%[0-9A-Fa-f]{2}/

// What must not come out of an escape: separators, escapes, dots, delimiters that a later reader may act on; and letters,
// digits, `-` and `_`, which no client escapes: a server that does not decode would see another path.
const DANGEROUS = /[/\\.%;?#A-Za-z0-9_-]/
// Controls, format characters (bidi among them), surrogates, private use, unassigned, and every space but the plain one.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u

/** NTFS: `file::$DATA` is `file`, and so is a directory by the name of its index. */
const STREAM = /:[:$]/

/**
 * Checks a raw path (no query) and gives its decoded form for matching. A single `/` at the end is allowed; empty
 * segments elsewhere, `.` and `..` are not; nor are segments that end in a dot or a space, or have `::` or `:$` in them (data
 * streams), which some file systems read as shorter names.
 */
export function parseStrictPath(raw: string): Result<string, 'ambiguous'> {
  if (raw === '/') return ok(raw)
  if (!PLAIN.test(raw) || raw.includes('//') || /\.(?:\/|$)/.test(raw) || STREAM.test(raw)) return err('ambiguous')
  if (!raw.includes('%')) return ok(raw)
  const decoded: string[] = []
  for (const segment of raw.split('/')) {
    const text = decodeSegment(segment)
    if (text === undefined) return err('ambiguous')
    decoded.push(text)
  }
  return ok(decoded.join('/'))
}

function decodeSegment(segment: string): string | undefined {
  if (!segment.includes('%')) return segment
  if (segment.replaceAll(new RegExp(ENCODED, 'g'), '').includes('%')) return undefined
  const escaped = (segment.match(/(?:%[0-9A-Fa-f]{2})+/g) ?? []).map((run) => decodeRun(run))
  if (escaped.some((text) => text === undefined || DANGEROUS.test(text) || UNPRINTABLE.test(text))) return undefined
  const text = decodeRun(segment)
  if (text === undefined || text.endsWith(' ') || STREAM.test(text)) return undefined
  return text.normalize('NFKC') === text ? text : undefined
}

function decodeRun(run: string): string | undefined {
  try {
    return decodeURIComponent(run)
  } catch {
    return undefined
  }
}
