// Authorization details (RFC 9396): what is asked for beyond scopes. Read strictly, kept and sent as one canonical text, so that
// what was decided on, what an entry is bound to and what a server is asked are the same.
import { isObject, parseJson, toCanonicalJson } from '../lib/strict-json.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { AuthorizationDetails } from '../model.ts'

const MAX_LENGTH = 16 * 1024
const MAX_ENTRIES = 20
const TYPE = /^[^\p{C}]{1,256}$/u

/** Reads the parameter (section 2): a JSON array of objects, each with its `type`. The problem is our own wording. */
export function parseAuthorizationDetails(text: string): Result<AuthorizationDetails, string> {
  if (text.length > MAX_LENGTH) return err(`longer than ${MAX_LENGTH} characters`)
  const value = parseJson(text)
  return value.ok ? toAuthorizationDetails(value.value) : err(`not strict JSON (${value.error})`)
}

/**
 * What a server says it has granted (section 7): types that were asked, of which there may be less. Undefined: it says
 * nothing, or nothing was asked; then whatever it says is not ours to use.
 */
export function parseGrantedDetails(
  member: unknown,
  asked: AuthorizationDetails | undefined,
): Result<AuthorizationDetails | undefined, string> {
  if (asked === undefined || member === undefined || member === null) return ok(undefined)
  const granted = toAuthorizationDetails(member)
  if (!granted.ok) return err(`the granted authorization_details are ${granted.error}`)
  const foreign = granted.value.types.some((type) => !asked.types.includes(type))
  return foreign ? err('authorization_details of a type that was not asked') : granted
}

function toAuthorizationDetails(value: unknown): Result<AuthorizationDetails, string> {
  if (!Array.isArray(value)) return err('not an array')
  if (value.length > MAX_ENTRIES) return err(`more than ${MAX_ENTRIES} entries`)
  const types = new Set<string>()
  for (const entry of value) {
    const type = isObject(entry) && Object.hasOwn(entry, 'type') ? entry['type'] : undefined
    if (typeof type !== 'string' || !TYPE.test(type)) return err('not objects with a type each')
    types.add(type)
  }
  const json = toCanonicalJson(value)
  if (json === undefined) return err('with a number that cannot be read exactly')
  if (json.length > MAX_LENGTH) return err(`longer than ${MAX_LENGTH} characters`)
  return ok({ json, types: [...types].toSorted() })
}
