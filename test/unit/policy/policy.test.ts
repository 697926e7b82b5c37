import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Action, Permit, VerifiedAssertion } from '../../../src/model.ts'
import type { Resource, Rule } from '../../../src/parties.ts'
import { createPolicy } from '../../../src/policy/policy.ts'
import { assertionOf, NOTHING_REVOKED, resourceOf, ruleOf, scopesOf, type Who } from '../support/proofs.ts'

const TASKS = resourceOf()
const NOTES = resourceOf({ name: 'notes', scopes: scopesOf('notes.read') })
const PLAIN = resourceOf({ name: 'plain', scopes: [] })
const ALL = [TASKS, NOTES, PLAIN]
const GET: Action = { kind: 'http', method: 'GET', path: '/v1/todos' }
const TOKEN: Action = { kind: 'token', scopes: undefined }

const NOW_MS = 1_800_000_000_000
const alice = await assertionOf()

interface Asked {
  readonly who?: VerifiedAssertion
  readonly resource?: Resource
  readonly action?: Action
}

/** The scopes of the permit, or the code of the refusal. */
function decide(rules: readonly Partial<Rule>[], { who = alice, resource = TASKS, action = GET }: Asked = {}): string {
  const policy = createPolicy(rules.map(ruleOf), [...ALL.filter(({ name }) => name !== resource.name), resource])
  const decided = policy.decide(who, resource, action, NOTHING_REVOKED, NOW_MS)
  return decided.ok ? decided.value.scopes.join(' ') : decided.error.code
}

function codeFor(rules: readonly Partial<Rule>[], asked: Asked = {}): string {
  const decided = decide(rules, asked)
  return /^[A-Z]{3}\d{3}$/.test(decided) ? decided : 'ok'
}

const ask = (...scopes: string[]): Action => ({ kind: 'token', scopes: scopesOf(...scopes) })
const http = (method: string, path: string): Action => ({ kind: 'http', method, path })

describe('decide()', () => {
  test('denies by default', () => {
    expect(codeFor([])).toBe('POL100')
    expect(codeFor([{ resources: ['notes'] }])).toBe('POL100')
    expect(codeFor([{ effect: 'deny', resources: ['notes'] }])).toBe('POL100')
  })

  test('allows where one rule allows, and names the first that did', () => {
    const rules = [
      ruleOf({ id: 'no', users: [{ idp: 'corp', subject: 'bob' }] }),
      ruleOf({ id: 'first' }),
      ruleOf({ id: 'second' }),
    ]
    const permit = createPolicy(rules, ALL).decide(alice, TASKS, GET, NOTHING_REVOKED, NOW_MS)
    expect(permit).toMatchObject({ ok: true, value: { rule: 'first', resource: TASKS, assertion: alice } })
  })

  test('lets a denial win, wherever it stands, and names it', () => {
    const deny = { id: 'stop', effect: 'deny' } as const
    for (const rules of [
      [{}, deny],
      [deny, {}],
    ]) {
      const decided = createPolicy(rules.map(ruleOf), ALL).decide(alice, TASKS, GET, NOTHING_REVOKED, NOW_MS)
      expect(decided).toMatchObject({ ok: false, error: { code: 'POL101', name: 'stop', also: ['everything'] } })
    }
  })

  test('does not let a denial for others win', () => {
    const others: Partial<Rule>[] = [
      { users: [{ idp: 'corp', subject: 'bob' }] },
      { groups: ['contractors'] },
      { clients: ['other'] },
      { resources: ['notes'] },
      { methods: ['DELETE'] },
      { paths: ['/v1/admin/**'] },
    ]
    for (const condition of others) expect(codeFor([{}, { effect: 'deny', ...condition }])).toBe('ok')
  })

  test('wants every condition of a rule to hold', () => {
    const whole: Partial<Rule> = {
      users: [{ idp: 'corp', subject: 'alice' }],
      clients: ['app'],
      resources: ['tasks'],
      methods: ['GET'],
      paths: ['/v1/*'],
    }
    expect(codeFor([whole])).toBe('ok')
    const wrong: Partial<Rule>[] = [
      { users: [{ idp: 'corp', subject: 'bob' }] },
      { groups: ['staff'] },
      { clients: ['other'] },
      { resources: ['notes'] },
      { methods: ['POST'] },
      { paths: ['/v2/*'] },
    ]
    for (const one of wrong) expect(codeFor([{ ...whole, ...one }])).toBe('POL100')
  })

  test('is pure: asked again, it says the same', () => {
    const policy = createPolicy([ruleOf()], ALL)
    expect(policy.decide(alice, TASKS, GET, NOTHING_REVOKED, NOW_MS)).toEqual(
      policy.decide(alice, TASKS, GET, NOTHING_REVOKED, NOW_MS),
    )
  })

  test('knows nothing of resources it was not made with', () => {
    expect(createPolicy([ruleOf()], [NOTES]).decide(alice, TASKS, GET, NOTHING_REVOKED, NOW_MS)).toEqual({
      ok: false,
      error: { code: 'POL100' },
    })
  })
})

describe('who', () => {
  const asWho = async (changes: Partial<Who>, rule: Partial<Rule>): Promise<string> =>
    codeFor([rule], { who: await assertionOf(changes) })

  test('is a subject at one identity provider', async () => {
    const rule: Partial<Rule> = { users: [{ idp: 'corp', subject: 'alice' }] }
    expect(await asWho({}, rule)).toBe('ok')
    expect(await asWho({ subject: 'Alice' }, rule)).toBe('POL100')
    expect(await asWho({ subject: 'alice ' }, rule)).toBe('POL100')
    expect(await asWho({ idpName: 'partner', issuer: 'https://login.partner.test' }, rule)).toBe('POL100')
  })

  test('is a subject at any, where the rule names none', async () => {
    const rule: Partial<Rule> = { users: [{ idp: undefined, subject: 'alice' }] }
    expect(await asWho({ idpName: 'partner' }, rule)).toBe('ok')
    expect(await asWho({ subject: 'bob' }, rule)).toBe('POL100')
  })

  test('is one of several', async () => {
    const rule: Partial<Rule> = {
      users: [
        { idp: 'corp', subject: 'bob' },
        { idp: 'corp', subject: 'carol' },
        { idp: 'partner', subject: 'alice' },
      ],
    }
    expect(await asWho({ subject: 'carol' }, rule)).toBe('ok')
    expect(await asWho({ subject: 'alice', idpName: 'partner' }, rule)).toBe('ok')
    expect(await asWho({ subject: 'alice' }, rule)).toBe('POL100')
    expect(await asWho({ subject: 'bob', idpName: 'partner' }, rule)).toBe('POL100')
  })

  test('is a member of a group by its exact name', async () => {
    const rule: Partial<Rule> = { groups: ['staff', 'board'] }
    expect(await asWho({ groups: ['guests', 'board'] }, rule)).toBe('ok')
    expect(await asWho({ groups: ['Staff', 'staff2', 'sta'] }, rule)).toBe('POL100')
    expect(await asWho({ groups: [] }, rule)).toBe('POL100')
  })

  test('is a group and a user at once where the rule says both', async () => {
    const rule: Partial<Rule> = { users: [{ idp: 'corp', subject: 'alice' }], groups: ['staff'] }
    expect(await asWho({ groups: ['staff'] }, rule)).toBe('ok')
    expect(await asWho({ subject: 'bob', groups: ['staff'] }, rule)).toBe('POL100')
    expect(await asWho({}, rule)).toBe('POL100')
  })

  test('is the calling client, whoever the user is', async () => {
    const rule: Partial<Rule> = { clients: ['app', 'cron'] }
    expect(await asWho({ caller: 'cron' }, rule)).toBe('ok')
    expect(await asWho({ caller: 'App' }, rule)).toBe('POL100')
  })

  test('is not found by names that only objects have', async () => {
    const rule: Partial<Rule> = { users: [{ idp: 'corp', subject: 'alice' }], groups: ['staff'], clients: ['app'] }
    expect(await asWho({ subject: '__proto__', groups: ['constructor'], caller: 'toString' }, rule)).toBe('POL100')
  })
})

describe('methods and paths', () => {
  test('bind a proxied request', () => {
    const rule: Partial<Rule> = { methods: ['GET', 'HEAD'], paths: ['/v1/*', '/health'] }
    const asked: [string, string, string][] = [
      ['GET', '/v1/todos', 'ok'],
      ['HEAD', '/health', 'ok'],
      ['POST', '/v1/todos', 'POL100'],
      ['get', '/v1/todos', 'POL100'],
      ['GET', '/v1', 'POL100'],
      ['GET', '/v2/todos', 'POL100'],
      ['GET', '/v1admin', 'POL100'],
    ]
    for (const [method, path, code] of asked) expect(codeFor([rule], { action: http(method, path) })).toBe(code)
  })

  test('forbid a part of what another rule allows', () => {
    const rules: Partial<Rule>[] = [
      { paths: ['/v1/**'] },
      { effect: 'deny', paths: ['/v1/admin/**'], methods: ['POST', 'DELETE'] },
    ]
    expect(codeFor(rules, { action: http('GET', '/v1/admin/keys') })).toBe('ok')
    expect(codeFor(rules, { action: http('DELETE', '/v1/admin/keys') })).toBe('POL101')
    expect(codeFor(rules, { action: http('DELETE', '/v1/admin') })).toBe('POL101')
  })

  test('do not narrow a token that is handed out: its holder can use it anywhere', () => {
    expect(codeFor([{ methods: ['GET'], paths: ['/v1/public/**'] }], { action: TOKEN })).toBe('ok')
  })

  test('of a denial keep such a token from being handed out: what it forbids could not be kept from happening', () => {
    expect(codeFor([{}, { effect: 'deny', methods: ['DELETE'] }], { action: TOKEN })).toBe('POL101')
    expect(codeFor([{}, { effect: 'deny', paths: ['/v1/admin/**'] }], { action: TOKEN })).toBe('POL101')
    expect(codeFor([{}, { effect: 'deny', methods: ['DELETE'] }], { action: GET })).toBe('ok')
  })
})

describe('scopes', () => {
  test('are all of the resource where neither rule nor caller says less, sorted', () => {
    const resource = resourceOf({ scopes: scopesOf('b', 'a', 'c') })
    expect(decide([{}], { resource })).toBe('a b c')
    expect(decide([{}], { resource, action: TOKEN })).toBe('a b c')
  })

  test('are narrowed by the rule, also to a part the resource does not have', () => {
    expect(decide([{ scopes: scopesOf('tasks.read') }])).toBe('tasks.read')
    expect(decide([{ scopes: scopesOf('tasks.read', 'admin') }])).toBe('tasks.read')
  })

  test('are those of all rules that allow, together', () => {
    expect(decide([{ scopes: scopesOf('tasks.read') }, { scopes: scopesOf('tasks.write') }])).toBe(
      'tasks.read tasks.write',
    )
    expect(decide([{ scopes: scopesOf('tasks.read') }, { scopes: scopesOf('tasks.write'), clients: ['other'] }])).toBe(
      'tasks.read',
    )
  })

  test('that a rule denies are gone, and only those', () => {
    const rules: Partial<Rule>[] = [{}, { effect: 'deny', scopes: scopesOf('tasks.write') }]
    expect(decide(rules)).toBe('tasks.read')
    expect(decide(rules, { action: ask('tasks.read') })).toBe('tasks.read')
    expect(decide(rules, { action: ask('tasks.write') })).toBe('POL102')
    expect(decide([...rules, { scopes: scopesOf('tasks.write') }])).toBe('tasks.read')
  })

  test('of which none is left are a denial, unless the resource has none', () => {
    expect(decide([{}, { effect: 'deny', scopes: scopesOf('tasks.read', 'tasks.write') }])).toBe('POL102')
    expect(decide([{ scopes: scopesOf('admin') }])).toBe('POL102')
    expect(decide([{}], { resource: PLAIN })).toBe('')
    expect(decide([{}], { resource: PLAIN, action: ask('anything') })).toBe('POL102')
  })

  test('that a caller asks for are given exactly, or not at all', () => {
    expect(decide([{}], { action: ask('tasks.read') })).toBe('tasks.read')
    expect(decide([{}], { action: ask('tasks.read', 'admin') })).toBe('POL102')
    expect(decide([{ scopes: scopesOf('tasks.read') }], { action: ask('tasks.read', 'tasks.write') })).toBe('POL102')
    // A rule cannot give what the resource does not have.
    expect(decide([{ scopes: scopesOf('admin') }], { action: ask('admin') })).toBe('POL102')
  })

  test('never exceed the resource, the rules that allow, or what was asked, and never touch what is denied', () => {
    const scopes = fc.subarray(['a', 'b', 'c', 'd']).map((list) => scopesOf(...list))
    const rule = fc.record({ effect: fc.constantFrom('allow', 'deny'), scopes: fc.option(scopes, { nil: undefined }) })
    fc.assert(
      fc.property(
        scopes,
        fc.array(rule, { maxLength: 4 }),
        fc.option(scopes, { nil: undefined }),
        (own, rules, asked) => {
          const resource = resourceOf({ scopes: own })
          const policy = createPolicy(
            rules.map((each) => ruleOf(each)),
            [resource],
          )
          const decided = policy.decide(alice, resource, { kind: 'token', scopes: asked }, NOTHING_REVOKED, NOW_MS)
          if (!decided.ok) return
          const allowing = rules.filter(({ effect }) => effect === 'allow')
          expect(allowing.length).toBeGreaterThan(0)
          for (const scope of decided.value.scopes) {
            expect(own).toContain(scope)
            expect(allowing.some((each) => each.scopes?.includes(scope) ?? true)).toBe(true)
            expect(rules.some((each) => each.effect === 'deny' && (each.scopes?.includes(scope) ?? true))).toBe(false)
          }
          if (asked !== undefined) expect(decided.value.scopes).toEqual(asked)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('a resource that is not open to a client', () => {
  const rules: Partial<Rule>[] = [{ clients: ['other'] }]

  test('does not exist for it at the token endpoint', () => {
    expect(codeFor(rules, { action: TOKEN })).toBe('CLI106')
    expect(codeFor([], { action: TOKEN })).toBe('CLI106')
  })

  test('exists at its own door, where whoever asks can see it anyway', () => {
    expect(codeFor(rules)).toBe('POL100')
  })

  test('does not betray itself by a rule that denies', () => {
    expect(codeFor([...rules, { effect: 'deny' }], { action: TOKEN })).toBe('CLI106')
    expect(codeFor([{ effect: 'deny' }, ...rules], { action: TOKEN })).toBe('CLI106')
    expect(codeFor([{ effect: 'deny', scopes: scopesOf('tasks.read') }, ...rules], { action: TOKEN })).toBe('CLI106')
  })

  test('is open as soon as one rule names the client, or no client at all, whoever the user is', () => {
    const bob: Partial<Rule> = { users: [{ idp: 'corp', subject: 'bob' }] }
    expect(codeFor([{ clients: ['app'], ...bob }], { action: TOKEN })).toBe('POL100')
    expect(codeFor([bob], { action: TOKEN })).toBe('POL100')
    expect(codeFor([bob, { effect: 'deny' }], { action: TOKEN })).toBe('POL101')
  })
})

describe('a Permit', () => {
  test('cannot be written down anywhere else: it does not compile', () => {
    // @ts-expect-error the mark of the proof is exported by nobody
    const forged: Permit = { assertion: alice, resource: TASKS, scopes: TASKS.scopes, rule: 'mine' }
    // @ts-expect-error and so is that of the assertion
    const vouched: VerifiedAssertion = {
      principal: alice.principal,
      caller: alice.caller,
      idpClient: alice.idpClient,
      subject: alice.subject,
    }
    expect([forged.rule, vouched.principal.subject]).toEqual(['mine', 'alice'])
  })
})
