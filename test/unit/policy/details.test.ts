// Authorization details (RFC 9396): beyond scopes a rule has to name what it allows.
import { describe, expect, test } from 'vitest'
import type { Action } from '../../../src/model.ts'
import type { Rule } from '../../../src/parties.ts'
import { createPolicy } from '../../../src/policy/policy.ts'
import { assertionOf, NOTHING_REVOKED, resourceOf, ruleOf, scopesOf } from '../support/proofs.ts'

const RESOURCE = resourceOf({ detailTypes: ['payment', 'account'] })
const alice = await assertionOf()

const asking = (...types: string[]): Action => ({
  kind: 'token',
  scopes: undefined,
  details: { json: JSON.stringify(types.map((type) => ({ type }))), types },
})

/** The types of the permit, or the code of the refusal. */
function decide(rules: readonly Partial<Rule>[], action: Action): string {
  const policy = createPolicy(rules.map(ruleOf), [RESOURCE])
  const decided = policy.decide(alice, RESOURCE, action, NOTHING_REVOKED, 1_800_000_000_000)
  return decided.ok ? (decided.value.details?.types.join(' ') ?? 'none') : decided.error.code
}

describe('authorization details', () => {
  test('are not allowed by a rule that does not name their type, however wide it is', () => {
    expect(decide([{}], asking('payment'))).toBe('POL104')
    expect(decide([{ detailTypes: ['account'] }], asking('payment'))).toBe('POL104')
    expect(decide([{ detailTypes: ['account'] }], asking('account', 'payment'))).toBe('POL104')
    expect(decide([{ detailTypes: ['payment'] }], asking('payment'))).toBe('payment')
  })

  test('are allowed by all rules together', () => {
    const rules: Partial<Rule>[] = [{ detailTypes: ['payment'] }, { detailTypes: ['account'] }]
    expect(decide(rules, asking('account', 'payment'))).toBe('account payment')
    expect(decide([{}, { detailTypes: ['payment'], clients: ['other'] }], asking('payment'))).toBe('POL104')
  })

  test('that a rule denies are refused, and nothing else is by that rule', () => {
    const rules: Partial<Rule>[] = [
      { detailTypes: ['payment', 'account'] },
      { effect: 'deny', detailTypes: ['payment'] },
    ]
    expect(decide(rules, asking('payment'))).toBe('POL104')
    expect(decide(rules, asking('account'))).toBe('account')
    expect(decide(rules, { kind: 'token', scopes: undefined })).toBe('none')
    expect(decide(rules, { kind: 'http', method: 'GET', path: '/' })).toBe('none')
  })

  test('are denied with everything else by a rule that names neither scopes nor types', () => {
    expect(decide([{ detailTypes: ['payment'] }, { effect: 'deny' }], asking('payment'))).toBe('POL101')
    const scoped: Partial<Rule>[] = [{ detailTypes: ['payment'] }, { effect: 'deny', scopes: scopesOf('tasks.write') }]
    expect(decide(scoped, asking('payment'))).toBe('payment')
  })

  test('that a rule only watches pass, and the rule is remembered', () => {
    const watch = ruleOf({ id: 'watch', effect: 'shadow-deny', detailTypes: ['payment'] })
    const policy = createPolicy([ruleOf({ detailTypes: ['payment', 'account'] }), watch], [RESOURCE])
    const shadowOf = (action: Action): unknown => {
      const decided = policy.decide(alice, RESOURCE, action, NOTHING_REVOKED, 1_800_000_000_000)
      return decided.ok && decided.value.shadow
    }
    expect(shadowOf(asking('account', 'payment'))).toEqual(['watch'])
    expect(shadowOf(asking('account'))).toEqual([])
    expect(shadowOf({ kind: 'http', method: 'GET', path: '/' })).toEqual([])
  })

  test('that another login would get are worth one', () => {
    expect(decide([{}, { detailTypes: ['payment'], acr: ['phr'] }], asking('payment'))).toBe('POL103')
    expect(decide([{}, { detailTypes: ['account'], acr: ['phr'] }], asking('payment'))).toBe('POL104')
  })

  test('nobody asks for are in no permit', () => {
    expect(decide([{ detailTypes: ['payment'] }], { kind: 'token', scopes: undefined })).toBe('none')
  })
})
