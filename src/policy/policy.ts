// Stage three of trust: may they do that? Default deny, and a deny always wins. Pure: the same question gets the same
// answer, whatever is cached anywhere; it is asked on every request, warm or cold. Permits are made here and nowhere else.
import { err, ok, type Result } from '../lib/result.ts'
import type {
  Action,
  AuthenticatedClient,
  ClaimReading,
  Permit,
  Principal,
  Prospect,
  VerifiedAssertion,
} from '../model.ts'
import type { ClaimValue, Resource, Rule } from '../parties.ts'
import type { Refusal } from '../refusal.ts'
import { judgeStanding, type RevocationSnapshot } from '../revocation/revocation.ts'
import { findingsOf, type Explanation } from './explain.ts'
import type { Question } from './criteria.ts'
import { createRuleIndex, type RuleSet } from './rule-set.ts'
import { foresee, judge, type Verdict } from './verdict.ts'

export type { Explanation } from './explain.ts'

export interface Policy {
  /** Whether any rule allows this client anything at the resource; else it must look as if the resource did not exist. */
  isOpenTo(client: string, resource: Resource, nowMs: number): boolean
  /**
   * Whether a client may be given anything of what it asks for, whoever the user turns out to be. Refuses with CLI106, POL101,
   * POL102 or POL104, as `decide` would every user.
   */
  foresee(
    client: AuthenticatedClient,
    resource: Resource,
    action: Extract<Action, { kind: 'token' }>,
    nowMs: number,
  ): Result<Prospect, Refusal>
  /**
   * Decides on one action at one resource, with what is revoked at `nowMs` (milliseconds since the epoch). Refuses with
   * TOK109 (the sign-in was ended), POL110 (blocked), POL100 (no rule allows), POL101 (a rule denies, by its name),
   * POL102 (a scope is not allowed), POL103 (another login would do), POL104 (authorization details are not allowed), or CLI106
   * where a token is asked for a resource that no rule opens to this client: that must look like a resource that does not
   * exist (threat T42).
   */
  decide(
    assertion: VerifiedAssertion,
    resource: Resource,
    action: Action,
    revoked: RevocationSnapshot,
    nowMs: number,
  ): Result<Permit, Refusal>
  /** What `decide` would say, and why; of somebody who need not have proven anything, so no permit comes of it. */
  explain(asking: Asking, resource: Resource, action: Action, revoked: RevocationSnapshot, nowMs: number): Explanation
}

/** Who asks. */
export interface Asking {
  readonly principal: Principal
  readonly client: string
}

export function createPolicy(rules: readonly Rule[], resources: Iterable<Resource>): Policy {
  const index = createRuleIndex(rules, resources)
  return {
    isOpenTo: (client, resource, nowMs) => nowMs < index.ruleSet(resource, client).openUntil,
    foresee(client, resource, action, nowMs) {
      const set = index.ruleSet(resource, client.name)
      const verdict = foresee(set, action, resource, nowMs)
      if (verdict.reason !== 'rule_allows') return err(toRefusal(verdict, undefined, set))
      const { details, actor } = action
      return ok(prospect({ client, resource, scopes: verdict.scopes, details, actor }))
    },
    decide(assertion, resource, action, revoked, nowMs) {
      const { principal, caller } = assertion
      const asking = { principal, client: caller.name }
      const tokensUntil = standing(asking, resource, revoked, nowMs)
      if (!tokensUntil.ok) return tokensUntil
      const set = index.ruleSet(resource, caller.name)
      const verdict = judge(set, { ...asking, action, nowMs }, resource)
      if (verdict.reason !== 'rule_allows') return err(toRefusal(verdict, principal, set))
      const { scopes, rule, shadow, also = [] } = verdict
      const { details, actor } = action.kind === 'token' ? action : {}
      const assurance = assuranceOf(principal, set)
      return ok(
        permit({
          assertion,
          resource,
          scopes,
          details,
          actor,
          rule,
          shadow,
          also,
          tokensUntil: tokensUntil.value,
          assurance,
        }),
      )
    },
    explain(asking, resource, action, revoked, nowMs) {
      const question = { ...asking, action, nowMs }
      const told = { ...NOTHING_GIVEN, ...verdictOn(question, resource, revoked) }
      // Most of the work, and not everybody looks.
      return Object.defineProperty({ ...told, rules: [] }, 'rules', {
        enumerable: true,
        get: () => findingsOf(index.all, question, resource),
      })
    },
  }

  function verdictOn(question: Question, resource: Resource, revoked: RevocationSnapshot) {
    const { principal, client, nowMs } = question
    const stands = standing(question, resource, revoked, nowMs)
    if (!stands.ok) {
      const reason = stands.error.code === 'TOK109' ? 'sign_in_ended' : 'blocked'
      return { decision: 'deny', reason, refusal: stands.error } as const
    }
    const set = index.ruleSet(resource, client)
    const verdict = judge(set, question, resource)
    if (verdict.reason === 'rule_allows')
      return { decision: 'allow', ...verdict, assurance: assuranceOf(principal, set) } as const
    const { reason } = verdict
    const rule = 'rule' in verdict ? verdict.rule : undefined
    const decision = reason === 'login_too_weak' ? 'step_up' : 'deny'
    return { decision, reason, refusal: toRefusal(verdict, principal, set), rule } as const
  }
}

const NOTHING_GIVEN = { refusal: undefined, rule: undefined, scopes: [], assurance: undefined, shadow: [] } as const

/** Whether anybody has been cut off here; answers up to when the access tokens of this subject are dead. */
function standing(
  { principal, client }: Asking,
  resource: Resource,
  revoked: RevocationSnapshot,
  nowMs: number,
): Result<number, Refusal> {
  const subject = { idp: principal.idp, user: principal.subject, client, resource: resource.name }
  return judgeStanding(revoked.standingOf(subject, nowMs), principal.issuedAt)
}

function toRefusal(
  verdict: Exclude<Verdict, { readonly reason: 'rule_allows' }>,
  principal: Principal | undefined,
  set: RuleSet,
): Refusal {
  const also = verdict.also === undefined ? {} : { also: verdict.also }
  const about = principal === undefined ? {} : missingGroups(principal, set)
  switch (verdict.reason) {
    case 'rule_denies':
      return { code: 'POL101', name: verdict.rule, ...(principal?.groups === undefined ? about : {}), ...also }
    case 'no_rule_allows':
      return { code: 'POL100', ...about, ...also }
    case 'scope_not_allowed':
    case 'no_scope_left':
      return { code: 'POL102', ...also }
    case 'details_not_allowed':
      return { code: 'POL104', ...also }
    case 'login_too_weak':
      return { code: 'POL103', name: verdict.rule, stepUp: verdict.stepUp, ...also }
    case 'not_open_to_client':
      return { code: 'CLI106', detail: 'no rule opens it to this client' }
  }
}

/** The most common reason of all: the identity provider puts no groups into its tokens. */
function missingGroups({ groups, idp }: Principal, { asks }: RuleSet): Pick<Refusal, 'expected' | 'got'> {
  if (!asks.groups || (groups !== undefined && groups.length > 0)) return {}
  const got = groups === undefined ? 'an ID-JAG without it' : 'a token without any'
  return { expected: `groups, in the claim that idps.${idp}.claims.groups names`, got }
}

/**
 * Of the login its strength, which an API may demand on its own (RFC 9470), and else only what rules here ask for: with its
 * time every login would be another token.
 */
function assuranceOf({ acr, claims }: Principal, { asks }: RuleSet): string | undefined {
  if (asks.amr) return `{"acr":${acr ?? null},"amr":${JSON.stringify(sorted(claims.get('amr')))}}`
  return acr && `{"acr":${acr}}`
}

/** Null: not said, or nothing that could be compared. */
function sorted(reading: ClaimReading = 'unreadable'): readonly ClaimValue[] | null {
  return reading === 'unreadable' ? null : reading.toSorted((one, other) => (String(one) < String(other) ? -1 : 1))
}

function prospect(facts: Omit<Prospect, keyof Prospect & symbol>): Prospect {
  return facts as Prospect
}

function permit(facts: Omit<Permit, keyof Permit & symbol>): Permit {
  return facts as Permit
}
