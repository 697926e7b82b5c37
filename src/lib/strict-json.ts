// JSON as a security boundary needs it (RFC 8725 section 2.4 in spirit): one meaning per text. RFC 8259 grammar, no byte
// order mark, no repeated member, no `__proto__`, bounded depth. JSON.parse alone takes the last of two equal members.
import { visit } from 'jsonc-parser'
import { err, ok, type Result } from './result.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export type JsonProblem = 'not_json' | 'not_an_object' | 'repeated_member' | 'forbidden_member' | 'too_deep'

const MAX_DEPTH = 16

class Stop extends Error {
  readonly problem: JsonProblem

  constructor(problem: JsonProblem) {
    super(problem)
    this.problem = problem
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Parses a JSON text whose top level must be an object. */
export function parseJsonObject(text: string): Result<JsonObject, JsonProblem> {
  const parsed = parseJson(text)
  if (!parsed.ok) return parsed
  return isObject(parsed.value) ? ok(parsed.value) : err('not_an_object')
}

/** Parses any JSON text. */
export function parseJson(text: string): Result<unknown, JsonProblem> {
  try {
    // The walk comes first: it bounds the depth before anything recursive sees the text.
    walk(text)
    const value: unknown = JSON.parse(text)
    return ok(value)
  } catch (error) {
    return err(error instanceof Stop ? error.problem : 'not_json')
  }
}

/**
 * One text per value: members sorted by name, no white space (as RFC 8785). Undefined where a number cannot be told from its
 * neighbours. Only for what was parsed here, which bounds its depth.
 */
export function toCanonicalJson(value: unknown): string | undefined {
  if (typeof value === 'number') return isExact(value) ? JSON.stringify(value) : undefined
  if (Array.isArray(value)) return joined(value.map(toCanonicalJson), '[', ']')
  if (!isObject(value)) return JSON.stringify(value)
  const names = Object.keys(value).toSorted((a, b) => (a < b ? -1 : 1))
  const members = names.map((name) => {
    const text = toCanonicalJson(value[name])
    return text === undefined ? undefined : `${JSON.stringify(name)}:${text}`
  })
  return joined(members, '{', '}')
}

function joined(parts: readonly (string | undefined)[], open: string, close: string): string | undefined {
  return parts.includes(undefined) ? undefined : `${open}${parts.join(',')}${close}`
}

/** Beyond 2^53 several numbers are read as one, and 1e400 as none. */
function isExact(value: number): boolean {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
}

function walk(text: string): void {
  const open: Set<string>[] = []
  const enter = (): void => {
    if (open.length >= MAX_DEPTH) throw new Stop('too_deep')
    open.push(new Set())
  }
  const leave = (): void => {
    open.pop()
  }
  visit(
    text,
    {
      onObjectBegin: enter,
      onObjectEnd: leave,
      onArrayBegin: enter,
      onArrayEnd: leave,
      onObjectProperty: (name) => {
        if (name === '__proto__') throw new Stop('forbidden_member')
        const members = open.at(-1)
        if (members?.has(name)) throw new Stop('repeated_member')
        members?.add(name)
      },
      onError: () => {
        throw new Stop('not_json')
      },
    },
    { disallowComments: true, allowTrailingComma: false },
  )
}
