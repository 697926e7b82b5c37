// The rules as they are asked: compiled once, and sorted by the resource, the client and, where there are many, by the users and
// groups they can be about, so that a request looks at few rules that speak of others.
import type { Principal } from '../model.ts'
import type { Resource, Rule, ScopeToken } from '../parties.ts'
import { compileConditions, type Condition } from './criteria.ts'

export interface CompiledRule {
  readonly rule: Rule
  readonly conditions: readonly Condition[]
}

/** A rule at one resource. */
export interface LocalRule extends CompiledRule {
  /** Its place in the file. */
  readonly order: number
  /** Those of the resource's scopes that it names, or all; sorted. None where a rule denies types of details alone. */
  readonly scopes: readonly ScopeToken[]
}

/** What can be about one client at one resource. */
export interface RuleSet {
  /** Every rule that can be about this user is in one of these lists, perhaps in two; each list has the order of the file. */
  about(principal: Principal): readonly (readonly LocalRule[])[]
  /** All of them, in the order of the file. */
  readonly rules: readonly LocalRule[]
  /** All of the resource, sorted. */
  readonly scopes: readonly ScopeToken[]
  /** Milliseconds since the epoch: until then some rule allows this client something here. */
  readonly openUntil: number
  /** What of the user and the login these rules ask for. */
  readonly asks: { readonly groups: boolean; readonly amr: boolean }
}

export interface RuleIndex {
  /** In the order of the file. */
  readonly all: readonly CompiledRule[]
  ruleSet(resource: Resource, client: string): RuleSet
}

/** Up to so many rules are asked one by one. */
const FEW = 16

const NOTHING = toRuleSet([], [])

export function createRuleIndex(rules: readonly Rule[], resources: Iterable<Resource>): RuleIndex {
  const all = rules.map((rule) => ({ rule, conditions: compileConditions(rule) }))
  const byResource = new Map<string, readonly LocalRule[]>()
  for (const resource of resources) {
    const own = all.filter(({ rule }) => concerns(rule.resources, resource.name))
    byResource.set(
      resource.name,
      own.map((compiled, order) => ({ ...compiled, order, scopes: scopesAt(compiled.rule, resource) })),
    )
  }
  // Both names come from the configuration, so there are few.
  const sets = new Map<string, Map<string, RuleSet>>()
  return {
    all,
    ruleSet({ name, scopes }, client) {
      const known = sets.get(name)?.get(client)
      if (known !== undefined) return known
      const local = byResource.get(name)
      if (local === undefined) return NOTHING
      const made = toRuleSet(
        local.filter(({ rule }) => concerns(rule.clients, client)),
        scopes,
      )
      sets.set(name, (sets.get(name) ?? new Map<string, RuleSet>()).set(client, made))
      return made
    },
  }
}

/** An absent condition holds for everything. */
export function concerns(names: readonly string[] | undefined, name: string): boolean {
  return names === undefined || names.includes(name)
}

function scopesAt({ effect, scopes, detailTypes }: Rule, resource: Resource): readonly ScopeToken[] {
  if (effect !== 'allow' && scopes === undefined && detailTypes !== undefined) return []
  return resource.scopes.filter((scope) => scopes === undefined || scopes.includes(scope)).toSorted()
}

function toRuleSet(rules: readonly LocalRule[], scopes: readonly ScopeToken[]): RuleSet {
  const allowing = rules.filter(({ rule }) => rule.effect === 'allow')
  return {
    rules,
    about: rules.length > FEW ? createGates(rules) : () => [rules],
    scopes: scopes.toSorted(),
    openUntil: Math.max(...allowing.map(({ rule }) => rule.until ?? Number.POSITIVE_INFINITY)),
    asks: {
      groups: allowing.some(({ rule }) => rule.groups !== undefined),
      amr: rules.some(({ rule }) => rule.amr !== undefined),
    },
  }
}

/** Rules that name users or groups are looked up by these. */
function createGates(rules: readonly LocalRule[]): RuleSet['about'] {
  const open: LocalRule[] = []
  const byUser = new Map<string, LocalRule[]>()
  const byGroup = new Map<string, LocalRule[]>()
  const put = (gates: Map<string, LocalRule[]>, name: string, rule: LocalRule): void => {
    const behind = gates.get(name)
    if (behind === undefined) gates.set(name, [rule])
    else if (behind.at(-1) !== rule) behind.push(rule)
  }
  for (const local of rules) {
    const { users, groups } = local.rule
    if (users !== undefined) for (const { subject } of users) put(byUser, subject, local)
    else if (groups !== undefined) {
      // Behind this gate everybody is in one of its groups.
      const gated = { ...local, conditions: local.conditions.filter(({ criterion }) => criterion !== 'group') }
      for (const group of groups) put(byGroup, group, gated)
    } else open.push(local)
  }
  return ({ subject, groups }) => {
    const lists: (readonly LocalRule[])[] = [open]
    const own = byUser.get(subject)
    if (own !== undefined) lists.push(own)
    // In which groups nobody knows: those that deny one are about this user, those that allow one are not.
    if (groups === undefined) lists.push([...byGroup.values()].flat().filter(({ rule }) => rule.effect !== 'allow'))
    for (const group of groups ?? []) {
      const shared = byGroup.get(group)
      if (shared !== undefined) lists.push(shared)
    }
    return lists
  }
}
