// The same question asked twice: of the room, with its index and its gates, and of the sentences of docs/configuration.md
// written down as plainly as can be. Any number of rules, among which a few users and groups come again and again.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Action, VerifiedAssertion } from '../../../src/model.ts'
import type { Resource, Rule, ScopeToken } from '../../../src/parties.ts'
import { createPolicy } from '../../../src/policy/policy.ts'
import { createSnapshot } from '../../../src/revocation/revocation.ts'
import { assertionOf, NOTHING_REVOKED, resourceOf, ruleOf, scopesOf } from '../support/proofs.ts'

const NOW_MS = 1_800_000_000_000
const TASKS = resourceOf({ scopes: scopesOf('b', 'a') })
const NOTES = resourceOf({ name: 'notes', scopes: scopesOf('a', 'c') })
const RESOURCES = [TASKS, NOTES]
const LEVELS = ['low', 'high']

const PEOPLE = await Promise.all(
  ['ann', 'bo'].flatMap((subject) =>
    [[], ['g1'], ['g1', 'g2']].flatMap((groups) =>
      ['app', 'bot'].map((caller, index) =>
        assertionOf({
          subject,
          groups,
          caller,
          claims: { acr: LEVELS[index], kind: index === 0 ? 'x' : { no: 'text' } },
        }),
      ),
    ),
  ),
)

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 2 })
const some = <T>(...values: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...values], { minLength: 1 })

const rule: fc.Arbitrary<Omit<Rule, 'id'>> = fc.record({
  effect: fc.constantFrom('allow', 'allow', 'allow', 'deny', 'shadow-deny'),
  users: maybe(
    some({ idp: 'corp', subject: 'ann' }, { idp: undefined, subject: 'bo' }, { idp: 'partner', subject: 'ann' }),
  ),
  groups: maybe(some('g1', 'g2', 'g3')),
  clients: maybe(some('app', 'bot', 'other')),
  tenants: fc.constant(undefined),
  claims: maybe(some('x', 'y').map((values) => new Map([['kind', values]]))),
  acr: maybe(some(...LEVELS)),
  amr: fc.constant(undefined),
  maxAuthAgeSeconds: fc.constant(undefined),
  until: maybe(fc.constantFrom(NOW_MS, NOW_MS + 1)),
  resources: maybe(some('tasks', 'notes')),
  scopes: maybe(some(...scopesOf('a', 'b', 'c'))),
  detailTypes: maybe(some('payment', 'account')),
  methods: maybe(some('GET', 'POST')),
  paths: maybe(some('/v1/*', '/v2/*')),
  rate: fc.constant(undefined),
})

/** Many of these leave something to be decided: each is about somebody, and hardly any denies everything. */
const ruleOfMany = fc
  .tuple(rule, some('g1', 'g2', 'g3'), fc.integer({ min: 0, max: 30 }))
  .map(([one, groups, dice]): Omit<Rule, 'id'> => ({
    ...one,
    effect: dice === 0 ? 'deny' : one.effect === 'deny' ? 'shadow-deny' : one.effect,
    groups: one.users === undefined ? groups : one.groups,
    acr: dice % 3 === 0 ? one.acr : undefined,
  }))

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    kind: fc.constant('http'),
    method: fc.constantFrom('GET', 'DELETE'),
    path: fc.constantFrom('/v1/a', '/v3'),
  }),
  fc.record({
    kind: fc.constant('token'),
    scopes: maybe(some(...scopesOf('a', 'b'))),
    details: maybe(some('payment', 'account').map((types) => ({ json: '[]', types }))),
  }),
)

const question = fc.record({
  rules: fc
    .oneof(fc.array(rule, { maxLength: 8 }), fc.array(ruleOfMany, { minLength: 20, maxLength: 60, size: 'max' }))
    .map((all): Rule[] => all.map((each, index) => ruleOf({ ...each, id: `r${index}` }))),
  who: fc.constantFrom(...PEOPLE),
  resource: fc.constantFrom(...RESOURCES),
  action,
})

interface Question {
  readonly rules: readonly Rule[]
  readonly who: VerifiedAssertion
  readonly resource: Resource
  readonly action: Action
}

/** Whether a rule is about the question; `login`: leaving out how the user signed in. */
function fits(one: Rule, { who: { principal, caller }, resource, action: wanted }: Question, login: boolean): boolean {
  const isHttp = wanted.kind === 'http'
  const kind = principal.claims.get('kind')
  const kinds = one.claims?.get('kind')
  return (
    (one.until === undefined || NOW_MS < one.until) &&
    (one.resources?.includes(resource.name) ?? true) &&
    (one.clients?.includes(caller.name) ?? true) &&
    (one.users?.some(({ idp, subject }) => subject === principal.subject && (idp ?? principal.idp) === principal.idp) ??
      true) &&
    (one.groups?.some((group) => principal.groups?.includes(group) ?? one.effect !== 'allow') ?? true) &&
    (kinds === undefined ||
      (kind === 'unreadable' ? one.effect !== 'allow' : kind?.some((value) => kinds.includes(value)) === true)) &&
    (!isHttp || one.methods === undefined || one.methods.includes(wanted.method)) &&
    (!isHttp || one.paths === undefined || one.paths.some((path) => wanted.path.startsWith(path.slice(0, -1)))) &&
    (!login || one.acr === undefined || one.acr.some((acr) => principal.claims.get('acr')?.includes(acr) === true))
  )
}

/** What the manual says, in its order. */
function expected(asked: Question): string {
  const { rules, who, resource, action: wanted } = asked
  const open = rules.some(
    ({ effect, until, clients, resources }) =>
      effect === 'allow' &&
      (until === undefined || NOW_MS < until) &&
      (clients?.includes(who.caller.name) ?? true) &&
      (resources?.includes(resource.name) ?? true),
  )
  if (wanted.kind === 'token' && !open) return 'CLI106'
  const fitting = rules.filter((one) => fits(one, asked, true))
  const outcome = weigh(fitting, asked)
  if (!outcome.startsWith('POL10') || outcome === 'POL101') return outcome
  const waiting = rules.filter((one) => one.effect === 'allow' && !fits(one, asked, true) && fits(one, asked, false))
  for (const one of waiting) {
    const satisfied = waiting.filter(
      ({ acr }) => acr === undefined || (one.acr?.every((each) => acr.includes(each)) ?? false),
    )
    if (!weigh([...fitting, ...satisfied], asked).startsWith('POL')) return `POL103 ${one.id} ${one.acr?.join(' ')}`
  }
  return outcome
}

function weigh(fitting: readonly Rule[], { resource, action: wanted }: Question): string {
  const of = (effect: Rule['effect']): Rule[] => fitting.filter((one) => one.effect === effect)
  const covers = (one: Rule, scope: ScopeToken): boolean => one.scopes?.includes(scope) ?? true
  const deniesAll = (one: Rule): boolean => one.scopes === undefined && one.detailTypes === undefined
  const denies = (one: Rule, scope: ScopeToken): boolean => deniesAll(one) || one.scopes?.includes(scope) === true
  if (of('deny').some(deniesAll)) return 'POL101'
  if (of('allow').length === 0) return 'POL100'
  const left = resource.scopes
    .filter((scope) => of('allow').some((one) => covers(one, scope)))
    .filter((scope) => !of('deny').some((one) => denies(one, scope)))
  const granted = wanted.kind === 'token' ? (wanted.scopes ?? left) : left
  if (granted.length === 0 || granted.some((scope) => !left.includes(scope))) return 'POL102'
  const types = wanted.kind === 'token' ? (wanted.details?.types ?? []) : []
  const names = (effect: Rule['effect'], type: string): boolean =>
    of(effect).some(({ detailTypes }) => detailTypes?.includes(type))
  if (types.some((type) => !names('allow', type) || names('deny', type))) return 'POL104'
  const watching = of('shadow-deny').filter(
    (one) => granted.some((scope) => denies(one, scope)) || types.some((type) => one.detailTypes?.includes(type)),
  )
  const first = fitting.find(({ effect }) => effect === 'allow')
  return `${first?.id} ${granted.toSorted().join(' ')} [${watching.map(({ id }) => id).join(' ')}]`
}

function decided({ rules, who, resource, action: wanted }: Question): string {
  const result = createPolicy(rules, RESOURCES).decide(who, resource, wanted, NOTHING_REVOKED, NOW_MS)
  if (result.ok)
    return `${result.value.rule} ${result.value.scopes.toSorted().join(' ')} [${result.value.shadow.join(' ')}]`
  const { code, name, stepUp } = result.error
  return stepUp === undefined ? code : `${code} ${name} ${stepUp.acrValues}`
}

describe('explain()', () => {
  const nowRevoked = fc.constantFrom(
    NOTHING_REVOKED,
    createSnapshot([{ kind: 'block', id: 'b', selector: { user: 'ann' }, until: undefined }]),
    createSnapshot([{ kind: 'cutoff', id: 'c', selector: { user: 'bo' }, before: NOW_MS }]),
  )

  test('never disagrees with decide(), nor with itself', () => {
    fc.assert(
      fc.property(question, nowRevoked, ({ rules, who, resource, action: wanted }, revoked) => {
        const policy = createPolicy(rules, RESOURCES)
        const result = policy.decide(who, resource, wanted, revoked, NOW_MS)
        const asking = { principal: who.principal, client: who.caller.name }
        const told = policy.explain(asking, resource, wanted, revoked, NOW_MS)
        if (result.ok) {
          const { rule: decider, scopes, shadow } = result.value
          expect(told).toMatchObject({
            decision: 'allow',
            reason: 'rule_allows',
            refusal: undefined,
            rule: decider,
            scopes,
            shadow,
          })
        } else {
          expect(told.refusal).toEqual(result.error)
          expect(told.decision).toBe(result.error.stepUp === undefined ? 'deny' : 'step_up')
        }
        expect(told.rules.map(({ id }) => id)).toEqual(rules.map(({ id }) => id))
        const also = result.ok ? result.value.also : (result.error.also ?? [])
        const about = told.rules.filter(
          ({ holds, effect, id }) => holds && effect !== 'shadow-deny' && id !== told.rule,
        )
        const isAsked = !['TOK109', 'POL110', 'CLI106'].includes(result.ok ? '' : result.error.code)
        expect(also.toSorted()).toEqual(isAsked ? about.map(({ id }) => id).toSorted() : [])
        const wrong = told.rules.filter(({ holds, conditions }, index) => {
          const one = rules[index]
          const failed = conditions.filter((each) => !each.holds)
          const fit = one !== undefined && fits(one, { rules, who, resource, action: wanted }, true)
          return holds !== fit || failed.length !== (fit ? 0 : 1) || (conditions.at(-1)?.holds ?? true) !== fit
        })
        expect(wrong).toEqual([])
      }),
      { numRuns: 1000 },
    )
  })
})

describe('decide()', () => {
  test('says of any rules and any question what the manual says', () => {
    const outcomes = new Map<string, number>()
    fc.assert(
      fc.property(question, (asked) => {
        const want = expected(asked)
        const kind = /^(?:POL|CLI)\d{3}/.exec(want)?.[0] ?? 'allow'
        outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1)
        expect(decided(asked)).toBe(want)
      }),
      { numRuns: 3000 },
    )
    // What never came up has not been compared.
    expect([...outcomes.keys()].toSorted()).toEqual([
      'CLI106',
      'POL100',
      'POL101',
      'POL102',
      'POL103',
      'POL104',
      'allow',
    ])
  })
})
