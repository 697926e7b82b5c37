// What the rules say of one question. The one evaluation there is: `decide` makes a permit or a refusal of its verdict,
// `explain` shows it. Default deny, and a deny always wins.
import type { Action } from '../model.ts'
import type { Resource, Rule, ScopeToken } from '../parties.ts'
import type { Refusal } from '../refusal.ts'
import { isOfLogin, type Condition, type ConditionCriterion, type Question } from './criteria.ts'
import type { LocalRule, RuleSet } from './rule-set.ts'

/** With the ids of the other rules that were about it and allow or deny; undefined: there are none. */
export type Verdict = Reason & { readonly also?: readonly string[] }

/** Every reason for yes and for no. */
type Reason =
  | {
      readonly reason: 'rule_allows'
      readonly rule: string
      readonly scopes: readonly ScopeToken[]
      readonly shadow: readonly string[]
    }
  | { readonly reason: 'rule_denies'; readonly rule: string }
  | { readonly reason: 'no_rule_allows' }
  /** More was asked for than the rules that allow give, less those that deny. */
  | { readonly reason: 'scope_not_allowed' }
  /** The resource has scopes, and every one of them is denied or in no rule that allows. */
  | { readonly reason: 'no_scope_left' }
  /** A type of authorization details was asked for that no rule allows, or that one denies. */
  | { readonly reason: 'details_not_allowed' }
  /** Another login would do, and nothing else is missing. */
  | { readonly reason: 'login_too_weak'; readonly rule: string; readonly stepUp: NonNullable<Refusal['stepUp']> }
  /** No rule allows this client anything here, whoever the user is. */
  | { readonly reason: 'not_open_to_client' }

const NONE: readonly string[] = []

export function judge(set: RuleSet, question: Question, resource: Resource): Verdict {
  const { action, nowMs } = question
  // Before any denial: its name would betray the resource.
  if (action.kind === 'token' && nowMs >= set.openUntil) return { reason: 'not_open_to_client' }
  const { allowing, denying, shadowing, wanting } = sift(set, question)
  const scales: Scales = { allowing, denying, set, resource, action }
  const verdict = weigh(scales)
  if (verdict.reason !== 'rule_allows') return withOthers(stepUp(wanting, scales) ?? verdict, scales)
  const shadow = shadowing.length === 0 ? NONE : shadowOver(verdict.scopes, shadowing, typesOf(action))
  return withOthers(shadow === NONE ? verdict : { ...verdict, shadow }, scales)
}

function withOthers(reason: Reason, { allowing, denying }: Scales): Verdict {
  const named = 'rule' in reason ? reason.rule : undefined
  // Nearly always: one rule was about it, and it is named.
  if (denying.length === 0 && allowing.length <= 1 && allowing[0]?.rule.id === named) return reason
  const ids = [...allowing, ...denying].map(({ rule }) => rule.id).filter((id) => id !== named)
  return ids.length === 0 ? reason : { ...reason, also: ids }
}

/**
 * The best that can come of it, whoever the user turns out to be: every rule that allows might be about them, and only those
 * that deny everybody are.
 */
export function foresee(set: RuleSet, action: Action, resource: Resource, nowMs: number): Verdict {
  if (nowMs >= set.openUntil) return { reason: 'not_open_to_client' }
  const inForce = set.rules.filter(({ rule }) => rule.until === undefined || nowMs < rule.until)
  const allowing = inForce.filter(({ rule }) => rule.effect === 'allow')
  const denying = inForce.filter(({ rule, conditions }) => rule.effect === 'deny' && conditions.every(isOfNobody))
  return weigh({ allowing, denying, set, resource, action })
}

/** Conditions that are not about the user; a token in hand satisfies those on methods and paths. */
function isOfNobody({ criterion }: Condition): boolean {
  return criterion === 'until' || criterion === 'method' || criterion === 'path'
}

/** The rules that fit by their effect, and those that allow and would fit after another login; in the order of the file. */
interface Sifted {
  readonly allowing: LocalRule[]
  readonly denying: LocalRule[]
  readonly shadowing: LocalRule[]
  readonly wanting: LocalRule[]
}

function sift(set: RuleSet, question: Question): Sifted {
  const sifted: Sifted = { allowing: [], denying: [], shadowing: [], wanting: [] }
  const lists = set.about(question.principal)
  for (const list of lists) {
    for (const local of list) {
      const pile = pileFor(local, firstFailed(local, question), sifted)
      if (pile !== undefined && !pile.includes(local)) pile.push(local)
    }
  }
  const { allowing, denying, shadowing, wanting } = sifted
  if (lists.length > 1) for (const pile of [allowing, denying, shadowing, wanting]) pile.sort(byOrder)
  return sifted
}

function byOrder(one: LocalRule, other: LocalRule): number {
  return one.order - other.order
}

function pileFor({ rule }: LocalRule, failed: ConditionCriterion | undefined, sifted: Sifted): LocalRule[] | undefined {
  if (failed !== undefined) return rule.effect === 'allow' && isOfLogin(failed) ? sifted.wanting : undefined
  switch (rule.effect) {
    case 'allow':
      return sifted.allowing
    case 'deny':
      return sifted.denying
    case 'shadow-deny':
      return sifted.shadowing
  }
}

/** What keeps a rule from being about the question. How the user signed in is asked last. */
function firstFailed({ conditions }: LocalRule, question: Question): ConditionCriterion | undefined {
  for (const { criterion, holds } of conditions) if (!holds(question)) return criterion
  return undefined
}

/** The rules that fit, and what they are weighed for. */
interface Scales {
  readonly allowing: readonly LocalRule[]
  readonly denying: readonly LocalRule[]
  readonly set: RuleSet
  readonly resource: Resource
  readonly action: Action
}

function weigh(scales: Scales): Reason {
  const { allowing, denying, resource, action } = scales
  const denial = denying.find(({ rule }) => deniesAll(rule))
  if (denial !== undefined) return { reason: 'rule_denies', rule: denial.rule.id }
  const [first] = allowing
  if (first === undefined) return { reason: 'no_rule_allows' }
  const allowed = scopesOf(first, scales)
  const asked = action.kind === 'token' ? action.scopes : undefined
  if (asked?.some((scope) => !allowed.includes(scope)) === true) return { reason: 'scope_not_allowed' }
  // A resource without scopes is asked for without any; one with scopes of which none is left is denied.
  if (asked === undefined && allowed.length === 0 && resource.scopes.length > 0) return { reason: 'no_scope_left' }
  // A token of such details can do what its scopes do not say, so a rule must name their types.
  const names = ({ rule }: LocalRule, type: string): boolean => rule.detailTypes?.includes(type) ?? false
  const isAllowed = (type: string): boolean =>
    allowing.some((local) => names(local, type)) && !denying.some((local) => names(local, type))
  if (!typesOf(action).every(isAllowed)) return { reason: 'details_not_allowed' }
  return { reason: 'rule_allows', rule: first.rule.id, scopes: asked ?? allowed, shadow: NONE }
}

/** A rule that denies and names scopes or types of details denies these; any other denies everything. */
function deniesAll({ scopes, detailTypes }: Rule): boolean {
  return scopes === undefined && detailTypes === undefined
}

/** The types of authorization details (RFC 9396) that are asked for. */
function typesOf(action: Action): readonly string[] {
  return action.kind === 'token' ? (action.details?.types ?? NONE) : NONE
}

/** What all rules that allow give together, less what any rule denies. Sorted. */
function scopesOf(first: LocalRule, { allowing, denying, set }: Scales): readonly ScopeToken[] {
  if (allowing.length === 1 && denying.length === 0) return first.scopes
  return set.scopes.filter(
    (scope) =>
      allowing.some(({ scopes }) => scopes.includes(scope)) && !denying.some(({ scopes }) => scopes.includes(scope)),
  )
}

/** RFC 9470: the first rule that another login would satisfy, if that alone would turn the no into a yes. */
function stepUp(wanting: readonly LocalRule[], scales: Scales): Reason | undefined {
  for (const wanted of wanting) {
    const allowing = [...scales.allowing, ...wanting.filter((other) => isSatisfiedWith(other, wanted))]
    if (weigh({ ...scales, allowing }).reason !== 'rule_allows') continue
    const { id, acr, maxAuthAgeSeconds: maxAgeSeconds } = wanted.rule
    return {
      reason: 'login_too_weak',
      rule: id,
      stepUp: {
        ...(acr === undefined ? {} : { acrValues: acr.join(' ') }),
        ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
      },
    }
  }
  return undefined
}

/** Whether every login that does for one rule does for the other. */
function isSatisfiedWith({ rule: other }: LocalRule, { rule }: LocalRule): boolean {
  const isWithin = (mine: readonly string[] | undefined, its: readonly string[] | undefined): boolean =>
    its === undefined || (mine?.every((value) => its.includes(value)) ?? false)
  const isYounger =
    other.maxAuthAgeSeconds === undefined || (rule.maxAuthAgeSeconds ?? Infinity) <= other.maxAuthAgeSeconds
  return isWithin(rule.acr, other.acr) && isWithin(rule.amr, other.amr) && isYounger
}

function shadowOver(
  granted: readonly ScopeToken[],
  shadowing: readonly LocalRule[],
  types: readonly string[],
): readonly string[] {
  const hit = shadowing.filter(
    ({ rule, scopes }) =>
      deniesAll(rule) ||
      scopes.some((scope) => granted.includes(scope)) ||
      types.some((type) => rule.detailTypes?.includes(type)),
  )
  return hit.map(({ rule }) => rule.id)
}
