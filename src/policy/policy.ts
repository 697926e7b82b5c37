// Stage three of trust: may they do that? Default deny, and a deny always wins. Pure: the same question gets the same
// answer, whatever is cached anywhere; it is asked on every request, warm or cold. Permits are made here and nowhere else.
import { err, ok, type Result } from '../lib/result.ts'
import type { Action, Permit, Resource, Rule, ScopeToken, VerifiedAssertion } from '../model.ts'
import type { Refusal } from '../refusal.ts'
import { judgeStanding, type RevocationSnapshot } from '../revocation/revocation.ts'
import { compileConditions, type Criterion, type Question } from './criteria.ts'

export interface Policy {
  /** Whether any rule allows this client anything at the resource; else it must look as if the resource did not exist. */
  isOpenTo(client: string, resource: Resource): boolean
  /**
   * Decides on one action at one resource, with what is revoked at `nowMs` (milliseconds since the epoch). Refuses with
   * TOK109 (the sign-in was ended), POL110 (blocked), POL100 (no rule allows), POL101 (a rule denies, by its name),
   * POL102 (a scope is not allowed), POL104 (authorization details are not allowed), or CLI106 where a token is asked for a resource that no rule opens to this client:
   * that must look like a resource that does not exist (threat T42).
   */
  decide(
    assertion: VerifiedAssertion,
    resource: Resource,
    action: Action,
    revoked: RevocationSnapshot,
    nowMs: number,
  ): Result<Permit, Refusal>
}

interface CompiledRule {
  readonly rule: Rule
  readonly firstFailed: (question: Question) => Criterion | undefined
}

export function createPolicy(rules: readonly Rule[], resources: Iterable<Resource>): Policy {
  const byResource = new Map<string, readonly CompiledRule[]>()
  const compiled = rules.map((rule) => compile(rule))
  for (const { name } of resources) {
    byResource.set(
      name,
      compiled.filter(({ rule }) => rule.resources === undefined || rule.resources.includes(name)),
    )
  }
  return {
    isOpenTo: (client, { name }) => (byResource.get(name) ?? []).some(({ rule }) => opensTo(rule, client)),
    decide(assertion, resource, action, revoked, nowMs) {
      const tokensUntil = standing(assertion, resource, revoked, nowMs)
      if (!tokensUntil.ok) return tokensUntil
      return decide(byResource.get(resource.name) ?? [], assertion, resource, action, tokensUntil.value)
    },
  }
}

/** Whether anybody has been cut off here; answers up to when the access tokens of this subject are dead. */
function standing(
  { principal, caller }: VerifiedAssertion,
  resource: Resource,
  revoked: RevocationSnapshot,
  nowMs: number,
): Result<number, Refusal> {
  const subject = { idp: principal.idp, user: principal.subject, client: caller.name, resource: resource.name }
  return judgeStanding(revoked.standingOf(subject, nowMs), principal.issuedAt)
}

function opensTo({ effect, clients }: Rule, client: string): boolean {
  return effect === 'allow' && (clients === undefined || clients.includes(client))
}

function compile(rule: Rule): CompiledRule {
  const conditions = compileConditions(rule)
  return { rule, firstFailed: (question) => conditions.find(({ holds }) => !holds(question))?.criterion }
}

function decide(
  rules: readonly CompiledRule[],
  assertion: VerifiedAssertion,
  resource: Resource,
  action: Action,
  tokensUntil: number,
): Result<Permit, Refusal> {
  const question: Question = { principal: assertion.principal, client: assertion.caller.name, action }
  const grantable = new Set<ScopeToken>()
  const forbidden = new Set<ScopeToken>()
  const allowedTypes = new Set<string>()
  const forbiddenTypes = new Set<string>()
  let allowedBy: string | undefined
  let deniedBy: string | undefined
  let openToClient = false
  for (const { rule, firstFailed } of rules) {
    const failed = firstFailed(question)
    if (rule.effect === 'deny') {
      if (failed !== undefined) continue
      // A rule that names scopes or types denies these; any other denies everything.
      if (rule.scopes === undefined && rule.detailTypes === undefined) deniedBy ??= rule.id
      for (const scope of rule.scopes ?? []) forbidden.add(scope)
      for (const type of rule.detailTypes ?? []) forbiddenTypes.add(type)
    } else {
      openToClient ||= failed !== 'client'
      if (failed !== undefined) continue
      allowedBy ??= rule.id
      for (const scope of rule.scopes ?? resource.scopes) grantable.add(scope)
      for (const type of rule.detailTypes ?? []) allowedTypes.add(type)
    }
  }
  // Before any denial: its name would betray the resource.
  if (action.kind === 'token' && !openToClient)
    return err({ code: 'CLI106', detail: 'no rule opens it to this client' })
  if (deniedBy !== undefined) return err({ code: 'POL101', name: deniedBy })
  if (allowedBy === undefined) return err({ code: 'POL100' })
  const scopes = grant(resource, grantable.difference(forbidden), action)
  if (!scopes.ok) return scopes
  const details = action.kind === 'token' ? action.details : undefined
  // A token of such details can do what its scopes do not say, so a rule must name their types.
  if (details?.types.some((type) => !allowedTypes.has(type) || forbiddenTypes.has(type)) === true)
    return err({ code: 'POL104' })
  return ok(permit({ assertion, resource, scopes: scopes.value, details, rule: allowedBy, tokensUntil }))
}

/** The scopes to ask for: those asked by the caller if every one is allowed, else all that are allowed. Sorted. */
function grant(
  resource: Resource,
  allowed: ReadonlySet<ScopeToken>,
  action: Action,
): Result<readonly ScopeToken[], Refusal> {
  if (action.kind === 'token' && action.scopes !== undefined) {
    const excess = action.scopes.filter((scope) => !resource.scopes.includes(scope) || !allowed.has(scope))
    return excess.length > 0 ? err({ code: 'POL102' }) : ok(action.scopes)
  }
  const scopes = resource.scopes.filter((scope) => allowed.has(scope)).toSorted()
  // A resource without scopes is asked for without any; one with scopes of which none is left is denied.
  return scopes.length === 0 && resource.scopes.length > 0 ? err({ code: 'POL102' }) : ok(scopes)
}

function permit(facts: Omit<Permit, keyof Permit & symbol>): Permit {
  return facts as Permit
}
