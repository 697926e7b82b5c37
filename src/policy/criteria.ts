// The conditions of a rule, one function each. A condition that is absent holds for everything.
import type { Action, Principal, Rule } from '../model.ts'
import { compilePathPattern } from './path-pattern.ts'

/** What a rule is asked about. */
export interface Question {
  readonly principal: Principal
  readonly client: string
  readonly action: Action
}

/** Which condition of a rule did not hold. */
export type Criterion = 'user' | 'group' | 'client' | 'method' | 'path'

interface Condition {
  readonly criterion: Criterion
  readonly holds: (question: Question) => boolean
}

/** The conditions of a rule in the order they are checked; resources are dealt with by the caller. */
export function compileConditions(rule: Rule): readonly Condition[] {
  const conditions: Condition[] = []
  if (rule.clients !== undefined) conditions.push({ criterion: 'client', holds: isClient(rule.clients) })
  if (rule.users !== undefined) conditions.push({ criterion: 'user', holds: isUser(rule.users) })
  if (rule.groups !== undefined) conditions.push({ criterion: 'group', holds: isInGroup(rule.groups) })
  if (rule.methods !== undefined) conditions.push({ criterion: 'method', holds: hasMethod(rule.methods) })
  if (rule.paths !== undefined) conditions.push({ criterion: 'path', holds: hasPath(rule.paths) })
  return conditions
}

function isClient(clients: readonly string[]): Condition['holds'] {
  const names = new Set(clients)
  return ({ client }) => names.has(client)
}

function isUser(users: NonNullable<Rule['users']>): Condition['holds'] {
  const anywhere = new Set(users.filter(({ idp }) => idp === undefined).map(({ subject }) => subject))
  const byIdp = new Map<string, Set<string>>()
  for (const { idp, subject } of users) {
    if (idp !== undefined) byIdp.set(idp, (byIdp.get(idp) ?? new Set()).add(subject))
  }
  return ({ principal }) =>
    anywhere.has(principal.subject) || (byIdp.get(principal.idp)?.has(principal.subject) ?? false)
}

function isInGroup(groups: readonly string[]): Condition['holds'] {
  const names = new Set(groups)
  return ({ principal }) => principal.groups.some((group) => names.has(group))
}

// Methods and paths bind requests that pass through the gateway. A token that is handed out can be used with any method
// and path, so for the action `token` these conditions hold: an allow rule then allows by its scopes alone, and a deny rule
// denies the token, because what it forbids could not be kept from happening.
function hasMethod(methods: readonly string[]): Condition['holds'] {
  const names = new Set(methods)
  return ({ action }) => action.kind === 'token' || names.has(action.method)
}

function hasPath(paths: readonly string[]): Condition['holds'] {
  const patterns = paths.map((path) => compilePathPattern(path))
  return ({ action }) => action.kind === 'token' || patterns.some((matches) => matches(action.path))
}
