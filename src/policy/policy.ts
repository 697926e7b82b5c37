// Stage three of trust: may they do that? Default deny, and a deny always wins. Pure: the same question gets the same
// answer, whatever is cached anywhere; it is asked on every request, warm or cold. Permits are made here and nowhere else.
import { encodeFields } from '../lib/digest.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { Action, ClaimReading, Permit, Principal, Resource, Rule, VerifiedAssertion } from '../model.ts'
import type { Refusal } from '../refusal.ts'
import { judgeStanding, type RevocationSnapshot } from '../revocation/revocation.ts'
import { createRuleIndex, type RuleSet } from './rule-set.ts'
import { judge } from './verdict.ts'

export interface Policy {
  /** Whether any rule allows this client anything at the resource; else it must look as if the resource did not exist. */
  isOpenTo(client: string, resource: Resource, nowMs: number): boolean
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
}

export function createPolicy(rules: readonly Rule[], resources: Iterable<Resource>): Policy {
  const index = createRuleIndex(rules, resources)
  return {
    isOpenTo: (client, resource, nowMs) => nowMs < index.ruleSet(resource, client).openUntil,
    decide(assertion, resource, action, revoked, nowMs) {
      const tokensUntil = standing(assertion, resource, revoked, nowMs)
      if (!tokensUntil.ok) return tokensUntil
      return decide(
        index.ruleSet(resource, assertion.caller.name),
        assertion,
        resource,
        action,
        tokensUntil.value,
        nowMs,
      )
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

function decide(
  set: RuleSet,
  assertion: VerifiedAssertion,
  resource: Resource,
  action: Action,
  tokensUntil: number,
  nowMs: number,
): Result<Permit, Refusal> {
  const { principal, caller } = assertion
  const verdict = judge(set, { principal, client: caller.name, action, nowMs }, resource)
  switch (verdict.reason) {
    case 'rule_allows': {
      const { scopes, rule, shadow } = verdict
      const { details, actor } = action.kind === 'token' ? action : {}
      const assurance = assuranceOf(principal, set)
      return ok(permit({ assertion, resource, scopes, details, actor, rule, shadow, tokensUntil, assurance }))
    }
    case 'rule_denies':
      return err({ code: 'POL101', name: verdict.rule })
    case 'no_rule_allows':
      return err({ code: 'POL100', ...missingGroups(principal, set) })
    case 'scope_not_allowed':
    case 'no_scope_left':
      return err({ code: 'POL102' })
    case 'details_not_allowed':
      return err({ code: 'POL104' })
    case 'login_too_weak':
      return err({ code: 'POL103', name: verdict.rule, stepUp: verdict.stepUp })
    case 'not_open_to_client':
      return err({ code: 'CLI106', detail: 'no rule opens it to this client' })
  }
}

/** The most common reason of all: the identity provider puts no groups into its ID tokens. */
function missingGroups({ groups, idp }: Principal, { asks }: RuleSet): Pick<Refusal, 'expected' | 'got'> {
  if (!asks.groups || groups.length > 0) return {}
  return { expected: `groups, in the claim that idps.${idp}.claims.groups names`, got: 'a token without any' }
}

/** Of the login only what rules here ask for: anything more would make every login another token. */
function assuranceOf({ claims }: Principal, { asks }: RuleSet): string | undefined {
  if (!asks.acr && !asks.amr) return undefined
  return encodeFields([
    asks.acr ? toField(claims.get('acr')) : undefined,
    asks.amr ? toField(claims.get('amr')) : undefined,
  ])
}

function toField(reading: ClaimReading | undefined): readonly string[] | undefined {
  return reading === undefined || reading === 'unreadable' ? undefined : reading.map((value) => JSON.stringify(value))
}

function permit(facts: Omit<Permit, keyof Permit & symbol>): Permit {
  return facts as Permit
}
