// The request body of a token endpoint (RFC 6749 section 3.2 and appendix B), read strictly. The platform's own form
// parser turns `%zz` into `zz`, takes NUL and repeated parameters, and throws on odd media types.
import { fromUtf8 } from '../lib/bytes.ts'
import { DRAIN_BYTES, readLimited } from '../lib/limited-body.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { Refusal } from '../refusal.ts'

const MAX_BODY_BYTES = 64 * 1024
const MAX_PARAMETERS = 64
// The byte order mark counts: it is invisible, and some parsers drop it.
const CONTROL = /[\p{Cc}\uFEFF]/u

/** The white space of JSON, which people send for their own eyes. */
const CONTROL_BUT_SPACE = /[^\P{Cc}\t\n\r]|\uFEFF/u

/** RFC 9396 section 2: the only parameter with a JSON text. */
const JSON_PARAMETER = 'authorization_details'

/** RFC 8693 section 2.1: the only parameters that may stand more than once. */
const REPEATABLE = new Set(['resource', 'audience'])

/** Decoded parameters. Those sent without a value are treated as if they were not sent (RFC 6749 section 3.2). */
export class Form {
  readonly #values: ReadonlyMap<string, readonly string[]>

  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values
  }

  get(name: string): string | undefined {
    return this.#values.get(name)?.[0]
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }
}

/** Reads the form of a POST request. Refuses with CLI100, LIM101 or LIM102. */
export async function readForm(request: Request): Promise<Result<Form, Refusal>> {
  if (new URL(request.url).search !== '') {
    return err({ code: 'CLI100', got: 'parameters in the query string' })
  }
  if (!isFormMediaType(request.headers.get('content-type'))) return err({ code: 'LIM102' })
  if (request.headers.has('content-encoding')) return err({ code: 'LIM102', detail: 'content-encoding' })
  const body = await readLimited(request.body, MAX_BODY_BYTES, DRAIN_BYTES)
  if (!body.ok) return err({ code: body.error === 'too_large' ? 'LIM101' : 'CLI100', detail: `body ${body.error}` })
  const text = fromUtf8(body.value)
  if (!text.ok) return err({ code: 'CLI100', got: 'body is not UTF-8' })
  return parseForm(text.value)
}

function isFormMediaType(header: string | null): boolean {
  if (header === null) return false
  const [type, ...parameters] = header.split(';').map((part) => part.trim().toLowerCase())
  if (type !== 'application/x-www-form-urlencoded') return false
  // RFC 6749 appendix B fixes UTF-8; a parameter that says otherwise would be a second meaning.
  return parameters.every((parameter) => !parameter.startsWith('charset=') || /^charset="?utf-8"?$/.test(parameter))
}

/** Parses `name=value&…` with exact percent-decoding. */
export function parseForm(text: string): Result<Form, Refusal> {
  const values = new Map<string, string[]>()
  if (text === '') return ok(new Form(values))
  const pairs = text.split('&')
  if (pairs.length > MAX_PARAMETERS) return err({ code: 'CLI100', got: 'too many parameters' })
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    const name = decode(equals < 0 ? pair : pair.slice(0, equals))
    const value = decode(equals < 0 ? '' : pair.slice(equals + 1), name === JSON_PARAMETER)
    if (name === undefined || value === undefined || name === '')
      return err({ code: 'CLI100', got: 'a malformed parameter' })
    const known = values.get(name)
    if (known === undefined) values.set(name, value === '' ? [] : [value])
    else if (REPEATABLE.has(name)) known.push(...(value === '' ? [] : [value]))
    else return err({ code: 'CLI100', got: 'a repeated parameter' })
  }
  return ok(new Form(values))
}

/** One decoding of one text: `+` is a space, `%` needs two hexadecimal digits, the bytes must be UTF-8, no controls. */
export function decode(text: string, isJson = false): string | undefined {
  try {
    // decodeURIComponent throws on a bad escape and on bytes that are not UTF-8.
    const decoded = decodeURIComponent(text.replaceAll('+', ' '))
    return (isJson ? CONTROL_BUT_SPACE : CONTROL).test(decoded) ? undefined : decoded
  } catch {
    return undefined
  }
}
