// What can be wrong with a configuration: one problem, its codes, and the guess at what was meant.

/**
 * The CFG family: 1xx keep the file from being used; 2xx are warnings of `jagway check`, 3xx its errors in a file that can be
 * used. The titles are for the manual, and not in the Worker.
 */
export const CONFIG_CODES = {
  CFG100: 'the file is not JSON with comments',
  CFG101: 'a key stands twice in one object',
  CFG102: 'a key is not known',
  CFG103: 'something required is missing',
  CFG104: 'a value is not one of those allowed here',
  CFG105: 'a name is not allowed',
  CFG106: 'a secret must be named, not written down',
  CFG107: 'an address cannot be used',
  CFG108: 'a reference leads nowhere',
  CFG109: 'something that must be unique is given twice',
  CFG110: 'a place at our door is taken or reserved',
  CFG111: 'a key set cannot be used',
  CFG112: 'two settings contradict each other',
  CFG113: 'a secret has no value here',
  CFG114: 'a sealing key is too short',
  CFG115: 'a binding is missing',
  CFG201: 'a client can never get anything',
  CFG202: 'a resource can never be used',
  CFG203: 'a rule binds proxied requests only',
  CFG204: 'a rule can never match',
  CFG205: 'a client is reachable without its own authentication',
  CFG206: 'a client id leads to no document of ours',
  CFG207: 'a scope is never granted',
  CFG208: 'a rule is over',
  CFG209: 'a rule is over soon',
  CFG210: 'administrators may come through any client',
  CFG211: 'a rule makes no difference',
  CFG212: 'a kind of subject token has several places to go',
  CFG301: 'a policy test does not hold',
} as const

export type ConfigCode = keyof typeof CONFIG_CODES

/** Where something stands in the file: keys and array positions from the top. */
export type ConfigPath = readonly (string | number)[]

/** A piece of one line. Counted from 1, columns in UTF-16 units. */
export interface Span {
  readonly line: number
  readonly column: number
  readonly length: number
}

/** Something to say about a place in a file; whose codes they are does not matter here. */
export interface Remark extends Span {
  readonly code: string
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly help: string | undefined
  readonly fileName: string
  /** A piece of the text that may be a secret and must not be shown. */
  readonly conceal: Span | undefined
}

export interface ConfigProblem extends Remark {
  readonly code: ConfigCode
  readonly path: ConfigPath
}

/** A problem before it has a place in the text. */
export interface Finding {
  readonly code: ConfigCode
  readonly path: ConfigPath
  /** Which part of the property at `path` is at fault. */
  readonly at?: 'key' | 'value' | undefined
  readonly message: string
  readonly help?: string | undefined
  /** The value at `path` may be a secret. */
  readonly conceal?: boolean
  /** Other places it is judged by: where one of them is malformed, nothing can be said. */
  readonly restsOn?: readonly ConfigPath[]
}

export type Report = (finding: Finding) => void

/** `did you mean "x"?`, if one of the known words is close enough to be meant. */
export function didYouMean(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase(), bestDistance)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best === undefined ? undefined : `did you mean ${quote(best)}?`
}

/** A word from the file as it may stand in a message: quoted, escaped and of bounded length. */
export function quote(word: string): string {
  const short = word.length > 60 ? `${word.slice(0, 57)}...` : word
  // JSON escapes some of what a terminal obeys; this is the rest.
  return JSON.stringify(short).replaceAll(
    /\p{Cc}|\p{Bidi_Control}/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Insertions, deletions, replacements and swaps of neighbours; `limit` when it is at least that many. */
function editDistance(left: string, right: string, limit: number): number {
  if (Math.abs(left.length - right.length) >= limit) return limit
  let beforeLast: number[] = []
  let last = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const current = [i]
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1]
      let cost = Math.min((last[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1)
      }
      current.push(cost)
    }
    beforeLast = last
    last = current
  }
  return last[right.length] ?? limit
}
