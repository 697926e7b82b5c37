// Conditions on what the identity provider says of the user and of the login, on time, and rules that only watch.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Action, Permit, VerifiedAssertion } from '../../../src/model.ts'
import type { ClaimValue, Resource, Rule } from '../../../src/parties.ts'
import { createPolicy } from '../../../src/policy/policy.ts'
import type { Refusal } from '../../../src/refusal.ts'
import { assertionOf, NOTHING_REVOKED, resourceOf, ruleOf, scopesOf, type Who } from '../support/proofs.ts'

const TASKS = resourceOf()
const GET: Action = { kind: 'http', method: 'GET', path: '/v1/todos' }
const TOKEN: Action = { kind: 'token', scopes: undefined }
const NOW_S = 1_800_000_000
const MINUTE = 60

const ask = (...scopes: string[]): Action => ({ kind: 'token', scopes: scopesOf(...scopes) })

interface Asked {
  readonly who?: VerifiedAssertion
  readonly action?: Action
  readonly resource?: Resource
  readonly at?: number
}

function decide(rules: readonly Partial<Rule>[], asked: Asked = {}) {
  const { who = alice, action = GET, resource = TASKS, at = NOW_S } = asked
  return createPolicy(rules.map(ruleOf), [resource]).decide(who, resource, action, NOTHING_REVOKED, at * 1000)
}

function permitOf(rules: readonly Partial<Rule>[], asked?: Asked): Permit {
  const decided = decide(rules, asked)
  if (!decided.ok) throw new Error(decided.error.code)
  return decided.value
}

function refusalOf(rules: readonly Partial<Rule>[], asked?: Asked): Refusal | 'ok' {
  const decided = decide(rules, asked)
  return decided.ok ? 'ok' : decided.error
}

function codeOf(rules: readonly Partial<Rule>[], asked?: Asked): string {
  const refusal = refusalOf(rules, asked)
  return refusal === 'ok' ? 'ok' : refusal.code
}

const alice = await assertionOf()
const withClaims = (claims: Who['claims']): Promise<VerifiedAssertion> => assertionOf({ claims })
const claims = (wanted: Readonly<Record<string, readonly ClaimValue[]>>): Partial<Rule> => ({
  claims: new Map(Object.entries(wanted)),
})

describe('a tenant', () => {
  test('is one of those the rule names, and no tenant is none of them', async () => {
    const rule: Partial<Rule> = { tenants: ['acme', 'initech'] }
    expect(codeOf([rule], { who: await assertionOf({ tenant: 'initech' }) })).toBe('ok')
    expect(codeOf([rule], { who: await assertionOf({ tenant: 'ACME' }) })).toBe('POL100')
    expect(codeOf([rule], { who: alice })).toBe('POL100')
    expect(codeOf([{}, { effect: 'deny', ...rule }], { who: alice })).toBe('ok')
  })
})

describe('a claim', () => {
  test.each<[string, unknown, readonly ClaimValue[], boolean]>([
    ['a text', 'eng', ['ops', 'eng'], true],
    ['another text', 'Eng', ['ops', 'eng'], false],
    ['a list with one of the values', ['sales', 'eng'], ['eng'], true],
    ['a list without any', ['sales', 'hr'], ['eng'], false],
    ['an empty list', [], ['eng'], false],
    ['a number', 3, [1, 3], true],
    ['a boolean', true, [true], true],
    ['the other boolean', false, [true], false],
    ['a number written as text', '3', [3], false],
    ['true written as text', 'true', [true], false],
    ['an object', { name: 'eng' }, ['eng'], false],
    ['null', null, ['eng'], false],
    ['a list with an object in it', ['eng', {}], ['eng'], false],
    ['a list of several types, one of them right', ['sales', 7], ['sales'], true],
  ])('%s', async (_, value, wanted, holds) => {
    const who = await withClaims({ department: value })
    expect(codeOf([claims({ department: wanted })], { who })).toBe(holds ? 'ok' : 'POL100')
  })

  test('that is not there does not hold, for an allow rule or a deny rule', async () => {
    const who = await withClaims({ other: 'eng' })
    expect(codeOf([claims({ department: ['eng'] })], { who })).toBe('POL100')
    expect(codeOf([{}, { effect: 'deny', ...claims({ department: ['eng'] }) }], { who })).toBe('ok')
  })

  test.each<[string, unknown]>([
    ['an object', { name: 'contractor' }],
    ['a number where a text was meant', 7],
    ['a list with a number in it', ['employee', 7]],
    ['null', null],
  ])(
    'that cannot be judged, %s, opens nothing: it does not allow, and does not keep a rule from denying',
    async (_, value) => {
      const who = await withClaims({ kind: value })
      expect(codeOf([claims({ kind: ['contractor'] })], { who })).toBe('POL100')
      expect(codeOf([{}, { effect: 'deny', ...claims({ kind: ['contractor'] }) }], { who })).toBe('POL101')
    },
  )

  test('is one of several, all of which must hold', async () => {
    const who = await withClaims({ department: 'eng', level: 4 })
    expect(codeOf([claims({ department: ['eng'], level: [4, 5] })], { who })).toBe('ok')
    expect(codeOf([claims({ department: ['eng'], level: [5] })], { who })).toBe('POL100')
  })

  test('with a name that every object has is no claim of everybody', async () => {
    const who = await withClaims({ constructor: undefined })
    expect(codeOf([claims({ constructor: ['Object'], toString: ['x'] })], { who })).toBe('POL100')
  })

  test('never holds by a value of another type, whatever the values are', () => {
    const value = fc.oneof(fc.constantFrom('1', 'true', '', 'a'), fc.integer({ min: 0, max: 2 }), fc.boolean())
    return fc.assert(
      fc.asyncProperty(
        fc.array(value, { maxLength: 4 }),
        fc.array(value, { minLength: 1, maxLength: 4 }),
        async (has, wanted) => {
          const who = await withClaims({ c: has })
          const holds = has.some((one) => wanted.some((other) => Object.is(one, other)))
          expect(codeOf([claims({ c: wanted })], { who })).toBe(holds ? 'ok' : 'POL100')
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('until', () => {
  const END_S = NOW_S + 10
  const rule: Partial<Rule> = { until: END_S * 1000 }

  test('ends a rule that allows, and at that very moment', () => {
    expect(codeOf([rule], { at: END_S - 0.001 })).toBe('ok')
    expect(codeOf([rule], { at: END_S })).toBe('POL100')
  })

  test('ends a rule that denies', () => {
    expect(codeOf([{}, { effect: 'deny', ...rule }], { at: END_S - 1 })).toBe('POL101')
    expect(codeOf([{}, { effect: 'deny', ...rule }], { at: END_S })).toBe('ok')
  })

  test('makes a resource disappear for a client that no other rule lets in', () => {
    const policy = createPolicy([ruleOf(rule)], [TASKS])
    expect(policy.isOpenTo('app', TASKS, END_S * 1000 - 1)).toBe(true)
    expect(policy.isOpenTo('app', TASKS, END_S * 1000)).toBe(false)
    expect(codeOf([rule], { action: TOKEN, at: END_S })).toBe('CLI106')
    expect(codeOf([rule, { users: [{ idp: 'corp', subject: 'bob' }] }], { action: TOKEN, at: END_S })).toBe('POL100')
  })
})

const strong = await withClaims({ acr: 'phr', amr: ['hwk', 'mfa'], auth_time: NOW_S - MINUTE })
const weak = await withClaims({ acr: 'pwd', amr: ['pwd'], auth_time: NOW_S - 10 * MINUTE })
const unsaid = await withClaims({ acr: undefined, amr: undefined, auth_time: undefined })

describe('how the user signed in', () => {
  test.each<[string, Partial<Rule>, Refusal['stepUp']]>([
    ['a class', { acr: ['phr', 'phrh'] }, { acrValues: 'phr phrh' }],
    ['a method', { amr: ['mfa'] }, {}],
    ['an age', { maxAuthAgeSeconds: 5 * MINUTE }, { maxAgeSeconds: 300 }],
    ['all of them', { acr: ['phr'], amr: ['mfa'], maxAuthAgeSeconds: 60 }, { acrValues: 'phr', maxAgeSeconds: 60 }],
  ])('%s: what another login would satisfy is asked for', (_, rule, stepUp) => {
    expect(codeOf([{ id: 'strong', ...rule }], { who: strong })).toBe('ok')
    for (const who of [weak, unsaid])
      expect(refusalOf([{ id: 'strong', ...rule }], { who })).toEqual({ code: 'POL103', name: 'strong', stepUp })
  })

  test('one method written as text is a list of one', async () => {
    expect(codeOf([{ amr: ['mfa'] }], { who: await withClaims({ amr: 'mfa' }) })).toBe('ok')
  })

  test('a class or method of another type is not one of those wanted', async () => {
    for (const wrong of [{ acr: 2 }, { acr: { value: 'phr' } }, { acr: null }])
      expect(codeOf([{ acr: ['phr'] }], { who: await withClaims(wrong) })).toBe('POL103')
    expect(codeOf([{ amr: ['mfa'] }], { who: await withClaims({ amr: { mfa: true } }) })).toBe('POL103')
  })

  test('the age is counted to the second asked for, and a login in the future is none', async () => {
    const rule: Partial<Rule> = { maxAuthAgeSeconds: 300 }
    const at = (seconds: number): Promise<VerifiedAssertion> => withClaims({ auth_time: NOW_S + seconds })
    expect(codeOf([rule], { who: await at(-300) })).toBe('ok')
    expect(codeOf([rule], { who: await at(-301) })).toBe('POL103')
    expect(codeOf([rule], { who: await at(59) })).toBe('ok')
    expect(codeOf([rule], { who: await at(61) })).toBe('POL103')
  })

  test('is not asked for where something else is missing as well', () => {
    const others: Partial<Rule>[] = [
      { users: [{ idp: 'corp', subject: 'bob' }] },
      { groups: ['staff'] },
      { tenants: ['acme'] },
      { clients: ['other'] },
      { methods: ['POST'] },
      { paths: ['/v2/*'] },
      { until: NOW_S * 1000 },
      claims({ department: ['eng'] }),
    ]
    for (const other of others) expect(codeOf([{ acr: ['phr'], ...other }], { who: weak })).toBe('POL100')
  })

  test('is not asked for where a rule denies, or where the scope would be missing all the same', () => {
    const rule: Partial<Rule> = { acr: ['phr'] }
    expect(refusalOf([rule, { id: 'stop', effect: 'deny' }], { who: weak })).toEqual({ code: 'POL101', name: 'stop' })
    const read: Partial<Rule> = { ...rule, scopes: scopesOf('tasks.read') }
    expect(codeOf([read], { who: weak, action: ask('tasks.read') })).toBe('POL103')
    expect(codeOf([read], { who: weak, action: ask('tasks.write') })).toBe('POL100')
    const denied: Partial<Rule> = { effect: 'deny', scopes: scopesOf('tasks.read', 'tasks.write') }
    expect(codeOf([rule, denied], { who: weak })).toBe('POL100')
  })

  test('is not asked for where another rule allows without', () => {
    const read: Partial<Rule> = { id: 'read', scopes: scopesOf('tasks.read') }
    const write: Partial<Rule> = { id: 'write', scopes: scopesOf('tasks.write'), acr: ['phr'] }
    expect(permitOf([write, read], { who: weak })).toMatchObject({ rule: 'read', scopes: ['tasks.read'] })
    expect(permitOf([write, read], { who: strong }).scopes).toEqual(['tasks.read', 'tasks.write'])
    // Whoever wants the scope that only the stronger login has hears how to get it.
    const wanted = refusalOf([read, write], { who: weak, action: ask('tasks.read', 'tasks.write') })
    expect(wanted).toEqual({ code: 'POL103', name: 'write', also: ['read'], stepUp: { acrValues: 'phr' } })
  })

  test('is asked for by the first rule that it would satisfy, together with those it satisfies as well', () => {
    const rules: Partial<Rule>[] = [
      { id: 'never', acr: ['other'], scopes: scopesOf('admin') },
      { id: 'read', acr: ['phr'], scopes: scopesOf('tasks.read') },
      { id: 'write', acr: ['phr', 'phrh'], scopes: scopesOf('tasks.write') },
    ]
    expect(refusalOf(rules, { who: weak })).toMatchObject({ name: 'read', stepUp: { acrValues: 'phr' } })
    expect(refusalOf(rules, { who: weak, action: ask('tasks.read', 'tasks.write') })).toMatchObject({
      name: 'read',
      stepUp: { acrValues: 'phr' },
    })
    // The other way round is no promise: a login of the class phrh would not do for the rule `read`.
    const [, read, write] = rules
    expect(
      codeOf([write ?? {}, { ...read, acr: ['other'] }], { who: weak, action: ask('tasks.read', 'tasks.write') }),
    ).toBe('POL100')
  })

  test('does not betray a resource to a client that no rule lets in', () => {
    expect(codeOf([{ acr: ['phr'], clients: ['other'] }], { who: weak, action: TOKEN })).toBe('CLI106')
  })

  test('in a rule that denies is a plain denial', () => {
    expect(codeOf([{}, { effect: 'deny', amr: ['pwd'] }], { who: weak })).toBe('POL101')
    expect(codeOf([{}, { effect: 'deny', amr: ['pwd'] }], { who: strong })).toBe('ok')
  })

  test.each<[string, Partial<Rule>[]]>([
    ['asked for', [{}, { acr: ['phr'], clients: ['app'] }]],
    ['not asked for here, but perhaps by the API', [{}]],
  ])('is part of what a token was issued for by its strength: %s', async (_, rule) => {
    const [one, other] = [permitOf(rule, { who: strong }), permitOf(rule, { who: weak })]
    expect(one.assurance).not.toBe(other.assurance)
    expect(permitOf(rule, { who: await withClaims({ acr: 'phr', amr: ['pwd'] }) }).assurance).toBe(one.assurance)
    expect(permitOf(rule, { who: await withClaims({}) }).assurance).toBeUndefined()
  })

  test('is part of it by its methods, where a rule for this client asks for them', async () => {
    const [one, other] = [await withClaims({ amr: ['otp'] }), await withClaims({ amr: ['pwd'] })]
    const assurances = (rules: Partial<Rule>[]) => [one, other].map((who) => permitOf(rules, { who }).assurance)
    const [first, second] = assurances([{}, { amr: ['otp'], clients: ['app'] }])
    expect(first).not.toBe(second)
    expect(assurances([{}, { amr: ['otp'], clients: ['other'] }])).toEqual([undefined, undefined])
  })
})

describe('a shadow rule', () => {
  const shadow: Partial<Rule> = { id: 'watch', effect: 'shadow-deny' }

  test('denies nothing, and is remembered where it would have', () => {
    expect(permitOf([{}, shadow])).toMatchObject({ rule: 'everything', shadow: ['watch'] })
    expect(permitOf([{}, shadow], { action: TOKEN }).shadow).toEqual(['watch'])
    expect(permitOf([{}]).shadow).toEqual([])
  })

  test('is not remembered where it would not have', () => {
    for (const rule of [{ methods: ['DELETE'] }, { groups: ['staff'] }, { until: 1 }, { scopes: scopesOf('admin') }])
      expect(permitOf([{}, { ...shadow, ...rule }]).shadow).toEqual([])
    const write: Partial<Rule> = { ...shadow, scopes: scopesOf('tasks.write') }
    expect(permitOf([{}, write], { action: ask('tasks.read') }).shadow).toEqual([])
    expect(permitOf([{}, write])).toMatchObject({ scopes: ['tasks.read', 'tasks.write'], shadow: ['watch'] })
  })

  test('allows nothing and opens nothing by itself', () => {
    expect(codeOf([shadow])).toBe('POL100')
    expect(codeOf([shadow], { action: TOKEN })).toBe('CLI106')
    expect(codeOf([{}, shadow, { effect: 'deny' }])).toBe('POL101')
  })
})
