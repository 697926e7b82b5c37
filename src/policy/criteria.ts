// The conditions of a rule, one function each. A condition that is absent holds for everything.
import type { Action, ClaimReading, Principal } from '../model.ts'
import type { ClaimValue, Rule } from '../parties.ts'
import { compilePathPattern, toSegments } from './path-pattern.ts'

/** What a rule is asked about. */
export interface Question {
  readonly principal: Principal
  readonly client: string
  readonly action: Action
  /** Milliseconds since the epoch. */
  readonly nowMs: number
  /** The path of the action, cut by the first pattern that looks at it. */
  segments?: readonly string[]
}

/** What of a rule did not fit. `resource` and `client` are looked up before any condition is asked. */
export type Criterion = 'resource' | 'client' | ConditionCriterion

/** The conditions in the order in which they are asked: how the user signed in comes last. */
export type ConditionCriterion = 'until' | 'user' | 'group' | 'tenant' | 'claim' | 'method' | 'path' | LoginCriterion

/** What another login of the same user could change (RFC 9470). */
export type LoginCriterion = 'acr' | 'amr' | 'auth_age'

export interface Condition {
  readonly criterion: ConditionCriterion
  /** The claim that is looked at. */
  readonly claim?: string
  /** What cannot be judged holds for a rule that denies, and does not for one that allows: nothing opens by mistake. */
  readonly holds: (question: Question) => boolean
}

export function compileConditions(rule: Rule): readonly Condition[] {
  const { until, users, groups, tenants, claims, methods, paths, acr, amr, maxAuthAgeSeconds } = rule
  const conditions: Condition[] = []
  const add = (criterion: ConditionCriterion, holds: Condition['holds']): void =>
    void conditions.push({ criterion, holds })
  const addClaim = (criterion: ConditionCriterion, claim: string, values: readonly ClaimValue[]): void =>
    void conditions.push({ criterion, claim, holds: hasClaim(claim, values, rule.effect !== 'allow') })

  if (until !== undefined) add('until', ({ nowMs }) => nowMs < until)
  if (users !== undefined) add('user', isUser(users))
  if (groups !== undefined) add('group', isInGroup(groups, rule.effect !== 'allow'))
  if (tenants !== undefined) add('tenant', isOfTenant(tenants))
  for (const [claim, values] of claims ?? []) addClaim('claim', claim, values)
  if (methods !== undefined) add('method', hasMethod(methods))
  if (paths !== undefined) add('path', hasPath(paths))
  if (acr !== undefined) addClaim('acr', 'acr', acr)
  if (amr !== undefined) addClaim('amr', 'amr', amr)
  if (maxAuthAgeSeconds !== undefined) add('auth_age', isFresh(maxAuthAgeSeconds))
  return conditions
}

/** Whether another login could make it hold. */
export function isOfLogin(criterion: Criterion): criterion is LoginCriterion {
  return criterion === 'acr' || criterion === 'amr' || criterion === 'auth_age'
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

function isInGroup(groups: readonly string[], ifUnknown: boolean): Condition['holds'] {
  const names = new Set(groups)
  return ({ principal }) => principal.groups?.some((group) => names.has(group)) ?? ifUnknown
}

function isOfTenant(tenants: readonly string[]): Condition['holds'] {
  const names = new Set(tenants)
  return ({ principal: { tenant } }) => tenant !== undefined && names.has(tenant)
}

function hasClaim(name: string, wanted: readonly ClaimValue[], ifUnclear: boolean): Condition['holds'] {
  const values = new Set(wanted)
  return ({ principal }) => {
    const reading = principal.claims.get(name)
    if (reading === undefined) return false
    if (reading !== 'unreadable' && reading.some((value) => values.has(value))) return true
    return ifUnclear && isUnclear(reading, wanted)
  }
}

/** Whether a claim is of another type than what it would be compared with: it is neither one of the values nor none. */
export function isUnclear(reading: ClaimReading, wanted: readonly ClaimValue[]): boolean {
  if (reading === 'unreadable') return true
  return reading.some((value) => !wanted.some((one) => typeof one === typeof value))
}

/** Clocks may be apart: a login that seems to lie in the future by more than that is no login. */
const SKEW_SECONDS = 60

function isFresh(maxAgeSeconds: number): Condition['holds'] {
  return ({ principal: { authTime }, nowMs }) => {
    if (authTime === undefined) return false
    const ageSeconds = nowMs / 1000 - authTime
    return ageSeconds <= maxAgeSeconds && ageSeconds >= -SKEW_SECONDS
  }
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
  return (question) => {
    const { action } = question
    if (action.kind === 'token') return true
    const segments = (question.segments ??= toSegments(action.path))
    return patterns.some((matches) => matches(segments))
  }
}
