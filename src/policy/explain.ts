// Why policy says what it says: every rule with the conditions that were asked of it, what they wanted and what there was. The
// verdict is that of `judge`, as for a decision, and each condition is asked by its own function; nothing is judged here a
// second time.
import type { Principal } from '../model.ts'
import type { ClaimValue, Resource, Rule, ScopeToken } from '../parties.ts'
import type { Refusal } from '../refusal.ts'
import { isUnclear, type Condition, type Criterion, type Question } from './criteria.ts'
import { concerns, type CompiledRule } from './rule-set.ts'
import type { Verdict } from './verdict.ts'

export interface Explanation {
  readonly decision: 'allow' | 'deny' | 'step_up'
  /** What keeps a sign-in from being asked about at all goes before what rules say. */
  readonly reason: Verdict['reason'] | 'blocked' | 'sign_in_ended'
  /** What a caller would be refused with. */
  readonly refusal: Refusal | undefined
  /** The rule that decided, where one did. */
  readonly rule: string | undefined
  /** What would be asked of the identity provider. */
  readonly scopes: readonly ScopeToken[]
  /** As `Permit.assurance`. */
  readonly assurance: string | undefined
  /** Shadow rules that would have changed it. */
  readonly shadow: readonly string[]
  /** All rules, in the order of the file. */
  readonly rules: readonly RuleFinding[]
}

export interface RuleFinding {
  readonly id: string
  readonly effect: Rule['effect']
  /** Whether it is about the question. */
  readonly holds: boolean
  /** In the order they are asked, up to the first that does not hold. */
  readonly conditions: readonly ConditionFinding[]
}

export interface ConditionFinding {
  readonly criterion: Criterion
  /** The claim that was looked at. */
  readonly claim?: string
  readonly holds: boolean
  /** What was there could not be compared with what was wanted: it holds for a rule that denies, and not for one that allows. */
  readonly unclear?: true
  readonly wanted: readonly ClaimValue[]
  /** Undefined: nothing was there. */
  readonly got: readonly ClaimValue[] | 'unreadable' | undefined
}

export function findingsOf(rules: readonly CompiledRule[], question: Question, resource: Resource): RuleFinding[] {
  return rules.map(({ rule, conditions }) => {
    const asked: ConditionFinding[] = []
    for (const finding of ask(rule, conditions, question, resource)) {
      asked.push(finding)
      if (!finding.holds) return { id: rule.id, effect: rule.effect, holds: false, conditions: asked }
    }
    return { id: rule.id, effect: rule.effect, holds: true, conditions: asked }
  })
}

function* ask(
  rule: Rule,
  conditions: readonly Condition[],
  question: Question,
  resource: Resource,
): Generator<ConditionFinding> {
  const { client } = question
  const looked = (criterion: Criterion, wanted: readonly string[] | undefined, got: string): ConditionFinding[] =>
    wanted === undefined ? [] : [{ criterion, holds: concerns(wanted, got), wanted, got: [got] }]
  yield* looked('resource', rule.resources, resource.name)
  yield* looked('client', rule.clients, client)
  for (const condition of conditions) {
    const { criterion, claim } = condition
    const { wanted, got } = compare(rule, condition, question)
    const unclear = got === 'unreadable' || (claim !== undefined && got !== undefined && isUnclear(got, wanted))
    yield {
      criterion,
      ...(criterion === 'claim' && claim !== undefined ? { claim } : {}),
      holds: condition.holds(question),
      ...(unclear ? { unclear } : {}),
      wanted,
      got,
    }
  }
}

/** What a condition wants, and what there is. */
function compare(
  rule: Rule,
  { criterion, claim = '' }: Condition,
  { principal, action, nowMs }: Question,
): Pick<ConditionFinding, 'wanted' | 'got'> {
  switch (criterion) {
    case 'until':
      return { wanted: [toTime(rule.until ?? 0)], got: [toTime(nowMs)] }
    case 'user':
      return { wanted: (rule.users ?? []).map((user) => toUser(user)), got: [toUser(principal)] }
    case 'group':
      return { wanted: rule.groups ?? [], got: readingOf(principal.groups) }
    case 'tenant':
      return { wanted: rule.tenants ?? [], got: principal.tenant === undefined ? undefined : [principal.tenant] }
    case 'claim':
      return { wanted: rule.claims?.get(claim) ?? [], got: principal.claims.get(claim) }
    case 'acr':
      return { wanted: rule.acr ?? [], got: principal.claims.get('acr') }
    case 'amr':
      return { wanted: rule.amr ?? [], got: principal.claims.get('amr') }
    case 'auth_age':
      return { wanted: [rule.maxAuthAgeSeconds ?? 0], got: ageOf(principal, nowMs) }
    case 'method':
      return { wanted: rule.methods ?? [], got: action.kind === 'http' ? [action.method] : undefined }
    case 'path':
      return { wanted: rule.paths ?? [], got: action.kind === 'http' ? [action.path] : undefined }
  }
}

function readingOf(groups: Principal['groups']): ConditionFinding['got'] {
  if (groups === undefined) return 'unreadable'
  return groups.length === 0 ? undefined : groups
}

function ageOf({ authTime }: Principal, nowMs: number): readonly number[] | undefined {
  return authTime === undefined ? undefined : [Math.floor(nowMs / 1000 - authTime)]
}

function toUser({ idp, subject }: { readonly idp: string | undefined; readonly subject: string }): string {
  return idp === undefined ? subject : `${idp}/${subject}`
}

function toTime(epochMillis: number): string {
  return new Date(epochMillis).toISOString()
}
