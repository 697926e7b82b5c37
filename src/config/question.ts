// A question to policy as a person writes it, in policy tests and for `jagway explain`: who asks, and one line of what for.
import { isMethod, UNFORWARDED_METHODS } from '../lib/http-methods.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { parseStrictPath } from '../lib/strict-path.ts'
import type { Action } from '../model.ts'
import type { ScopeToken } from '../parties.ts'
import { isScope } from './parts.ts'

/** Who asks, and what their ID token says. */
export interface Situation {
  /** The name of the identity provider. */
  readonly idp: string
  readonly user: string
  readonly tenant: string | undefined
  readonly groups: readonly string[]
  readonly client: string
  /** As they stand in the token. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly acr: string | undefined
  readonly amr: readonly string[] | undefined
  /** How long ago the user signed in; undefined: the token does not say. */
  readonly authAgeSeconds: number | undefined
}

/** What for. The resource is a name that may be unknown. */
export interface Asked {
  readonly resource: string
  readonly action: Action
}

const FORM = '"GET tasks /v1/todos" or "TOKEN tasks todos.read todos.write" is expected here'

/** What is wrong with it comes out in words. `detailTypes`: of authorization details, which only a token can be asked with. */
export function parseAsked(line: string, detailTypes: readonly string[] = []): Result<Asked, string> {
  const [verb = '', resource, ...rest] = line.split(' ')
  if (resource === undefined || resource === '') return err(FORM)
  return verb === 'TOKEN' ? parseToken(resource, rest, detailTypes) : parseHttp(verb, resource, rest, detailTypes)
}

function parseToken(resource: string, words: readonly string[], types: readonly string[]): Result<Asked, string> {
  const scopes = words.filter(isScope)
  if (scopes.length !== words.length) return err('scopes follow the resource, with single spaces between them')
  const asked: readonly ScopeToken[] | undefined = scopes.length === 0 ? undefined : scopes
  const details = types.length === 0 ? undefined : { json: JSON.stringify(types.map((type) => ({ type }))), types }
  return ok({ resource, action: { kind: 'token', scopes: asked, details } })
}

function parseHttp(
  method: string,
  resource: string,
  [path, ...more]: readonly string[],
  types: readonly string[],
): Result<Asked, string> {
  if (!isMethod(method) || path === undefined || more.length > 0) return err(FORM)
  if (UNFORWARDED_METHODS.has(method)) return err(`${method} is never passed on`)
  if (types.length > 0) return err('authorization details are asked for with a token: "TOKEN tasks"')
  if (!path.startsWith('/')) return err('the path is the one of the API, and begins with a slash')
  const decoded = parseStrictPath(path)
  if (!decoded.ok) return err('the path could be read in more than one way (or has a query): CLI109')
  return ok({ resource, action: { kind: 'http', method, path: decoded.value } })
}
