// Warnings: what can be used but is hardly meant.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lintConfig, type ConfigProblem } from '../../../src/config/config.ts'
import { isBeneath } from '../../../src/config/lint-rules.ts'
import { compilePathPattern } from '../../../src/policy/path-pattern.ts'
import { broken, configOf, EXAMPLE } from './example.ts'

const NOW_MS = Date.UTC(2026, 10, 22)

/** The scope that the example's rule does not give is told where that is what a test is about. */
function warningsOf(text: string, about?: string): readonly ConfigProblem[] {
  const found = lintConfig(configOf(text), text, 'jagway.jsonc', NOW_MS)
  return found.filter(({ code }) => (about === undefined ? code !== 'CFG207' : code === about))
}

describe('lintConfig()', () => {
  it('has nothing to say about the example', () => {
    expect(warningsOf(EXAMPLE)).toEqual([])
  })

  it.each([
    [
      'a client that no rule allows anything',
      '"effect": "allow"',
      '"effect": "allow", "who": { "clients": ["people"] }',
      'CFG201',
      '14:5',
      '"bot"',
    ],
    [
      'a client whose only rule denies',
      '"effect": "allow"',
      '"effect": "allow", "who": { "clients": ["people"] } }, { "id": "no", "effect": "deny", "who": { "clients": ["bot"] }',
      'CFG201',
      '14:5',
      '"bot"',
    ],
    [
      'a client id that looks like a document of ours and is none',
      '"id": "gw-at-tasks"',
      '"id": "https://gw.example/clients/a/b.json"',
      'CFG206',
      '20:25',
      'no client document',
    ],
    [
      'one that is written otherwise',
      '"id": "gw-at-tasks"',
      '"id": "https://gw.example/client.json"',
      'CFG206',
      '20:25',
      'no client document',
    ],
    [
      'a client nobody can call as',
      '"bot": {',
      '"ghost": { "subject_tokens": ["main/gateway"] }, "bot": {',
      'CFG201',
      '14:5',
      'nobody can call as "ghost"',
    ],
    [
      'an edge client with authentication of its own',
      '"edge_client": "people"',
      '"edge_client": "bot"',
      'CFG205',
      '14:5',
      'becomes it without that',
    ],
    ['a resource that no rule allows', '"effect": "allow"', '"effect": "deny"', 'CFG202', '17:5', '"tasks"'],
    [
      'methods that do not bind a token',
      '"effect": "allow"',
      '"effect": "allow", "methods": ["GET"]',
      'CFG203',
      '27:41',
      'limited by its scopes alone',
    ],
    [
      'paths that do not bind a token',
      '"effect": "allow"',
      '"effect": "allow", "paths": ["/v1/*"]',
      'CFG203',
      '27:41',
      'limited by its scopes alone',
    ],
    [
      'groups that no identity provider tells',
      '"effect": "allow"',
      '"effect": "allow", "who": { "groups": ["a"] }',
      'CFG204',
      '27:50',
      'can never match',
    ],
  ])('warns of %s', (_what, piece, replacement, code, place, words) => {
    const found = warningsOf(broken(piece, replacement).text, code)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatchObject({ severity: 'warning', fileName: 'jagway.jsonc' })
    expect(`${found[0]?.line}:${found[0]?.column}`).toBe(place)
    expect(found[0]?.message).toContain(words)
  })

  it('warns of a kind of subject token that has more than one place to go', () => {
    const idp = (
      issuer: string,
    ) => `{ "issuer": "${issuer}", "clients": { "gw": { "id": "gw", "auth": { "method": "none" } } },
      "quirks": { "subject_token_types": ["id_token", "refresh_token"] } }`
    const two = broken(
      '"idps": {',
      `"idps": { "a": ${idp('https://a.example')}, "b": ${idp('https://b.example')},`,
    ).text
    const with2 = (refs: string, kinds = '"id_token", "refresh_token"') =>
      warningsOf(
        two.replace(
          /"bot": \{ "subject_tokens": \[[^\]]*\]/,
          `"bot": { "subject_token_types": [${kinds}], "subject_tokens": [${refs}]`,
        ),
      )
    const found = with2('"a/gw", "b/gw", "main/gateway"').filter(({ code }) => code === 'CFG212')
    expect(found).toMatchObject([{ path: ['clients', 'bot', 'subject_tokens'] }])
    expect(found[0]?.message).toContain('"refresh_token" are refused: "a/gw" and "b/gw" take them')
    expect(with2('"a/gw", "main/gateway"').filter(({ code }) => code === 'CFG212')).toEqual([])
    // A client that may not present them has nothing to choose.
    const quiet = with2('"a/gw", "b/gw"', '"id_token"').filter(({ code }) => code === 'CFG212')
    expect(quiet).toEqual([])
  })

  it('has nothing against methods where nobody can ask for a token', () => {
    const { text } = broken(
      '"effect": "allow"',
      '"effect": "allow", "who": { "clients": ["people"] }, "methods": ["GET"]',
    )
    expect(warningsOf(text).map(({ code }) => code)).toEqual(['CFG201'])
  })

  it('has nothing against methods and paths of a deny rule, which does bind tokens', () => {
    const deny = '{ "id": "no", "effect": "deny", "methods": ["DELETE"], "paths": ["/v1/x"] }, { "id": "all"'
    expect(warningsOf(broken('{ "id": "all"', deny).text)).toEqual([])
  })
})

const RULE = '{ "id": "all", "effect": "allow", "resources": ["tasks"], "scopes": ["read"] }'
const withRules = (...rules: readonly string[]): string => broken(RULE, rules.join(', ')).text
const messages = (text: string, code: string): readonly string[] => warningsOf(text, code).map(({ message }) => message)

describe('a rule that can never match', () => {
  it.each([
    ['a tenant where no identity provider names one', '"tenants": ["acme"]', 'serves any of these tenants'],
    [
      'users of an identity provider whose tokens its clients do not present',
      '"users": ["other/ann"]',
      'present no ID tokens',
    ],
  ])('is told: %s', (_what, condition, words) => {
    const other =
      '"other": { "issuer": "https://other.example", "clients": { "c": { "id": "c", "auth": { "method": "none" } } } },'
    const text = withRules(`{ "id": "a", "effect": "allow", "who": { ${condition} } }`).replace(
      '"main": {',
      `${other} "main": {`,
    )
    expect(messages(text, 'CFG204')).toEqual([expect.stringContaining(words)])
  })

  it('is not told of a tenant that is served, nor of a user who can come', () => {
    const served = '"issuer": "https://idp.example", "claims": { "tenant": "t" }, "tenants": ["acme", "umbrella"]'
    const rule = '{ "id": "a", "effect": "allow", "who": { "tenants": ["acme", "lost"], "users": ["main/ann"] } }'
    expect(messages(withRules(rule).replace('"issuer": "https://idp.example"', served), 'CFG204')).toEqual([])
    const only = withRules('{ "id": "a", "effect": "allow", "who": { "tenants": ["lost"] } }')
    expect(messages(only.replace('"issuer": "https://idp.example"', served), 'CFG204')).toHaveLength(1)
  })
})

describe('a rule that makes no difference', () => {
  const allow = (id: string, rest = ''): string => `{ "id": "${id}", "effect": "allow"${rest} }`
  const RATE = '"rate": { "binding": "L", "limit": 5, "period": "10s" }'
  const deny = (id: string, rest = ''): string => `{ "id": "${id}", "effect": "deny"${rest} }`

  it.each<[string, readonly string[], readonly string[]]>([
    [
      'what a rule denies altogether',
      [allow('a', ', "who": { "users": ["ann"] }'), deny('d')],
      ['"a" makes no difference: "d" denies'],
    ],
    [
      'what a wider rule allows',
      [allow('w'), allow('n', ', "methods": ["GET"], "scopes": ["read"]')],
      ['"n" makes no difference: "w" allows'],
    ],
    ['the second of two equal rules', [allow('one'), allow('two')], ['"two" makes no difference: "one" allows']],
    [
      'a class within classes',
      [allow('w', ', "who": { "acr": ["a", "b"] }'), allow('n', ', "who": { "acr": ["b"] }')],
      ['"n"'],
    ],
    [
      'paths beneath a path',
      [deny('w', ', "paths": ["/v1/**"]'), deny('n', ', "paths": ["/v1/x", "/v1/y/*"]')],
      ['"n"'],
    ],
    [
      'claims of fewer values',
      [
        allow('w', ', "who": { "claims": { "d": ["x", "y"] } }'),
        allow('n', ', "who": { "claims": { "d": ["x"], "e": [1] } }'),
      ],
      ['"n"'],
    ],
    [
      'a younger login',
      [allow('w', ', "who": { "max_auth_age": "1h" }'), allow('n', ', "who": { "max_auth_age": "5m" }')],
      ['"n"'],
    ],
    [
      'all scopes of a rule denied',
      [allow('n', ', "scopes": ["read"]'), allow('w', ', "scopes": ["write"]'), deny('d', ', "scopes": ["read"]')],
      ['"n" makes no difference: "d" denies'],
    ],
    [
      'a shadow beneath a denial',
      [
        allow('a'),
        deny('d', ', "methods": ["GET", "PUT"]'),
        '{ "id": "s", "effect": "shadow-deny", "methods": ["GET"] }',
      ],
      ['"s" makes no difference: "d" denies'],
    ],
    [
      'a rate behind the others',
      [allow('w'), allow('n', `, "methods": ["GET"], ${RATE}`)],
      ['"n" makes no difference'],
    ],
    [
      'all clients by name',
      [allow('w', ', "who": { "clients": ["people", "bot"] }'), allow('n')],
      ['"n" makes no difference: "w" allows'],
    ],
  ])('is told: %s', (_what, rules, words) => {
    const found = messages(withRules(...rules), 'CFG211')
    expect(found).toHaveLength(words.length)
    words.forEach((word, index) => expect(found[index]).toContain(word))
  })

  it.each<[string, readonly string[]]>([
    ['other users', [allow('a', ', "who": { "users": ["ann"] }'), deny('d', ', "who": { "users": ["bo"] }')]],
    ['a part of the scopes', [allow('a', ', "scopes": ["read", "write"]'), deny('d', ', "scopes": ["write"]')]],
    ['more scopes', [allow('w', ', "scopes": ["read"]'), allow('n', ', "who": { "groups": ["x"] }')]],
    ['the path above', [allow('w', ', "paths": ["/v1/*"]'), allow('n', ', "paths": ["/v1"]')]],
    [
      'an end before the other',
      [allow('w', ', "until": "2027-06-01"'), allow('n', ', "until": "2027-07-01", "methods": ["GET"]')],
    ],
    ['one that is over', [allow('w', ', "until": "2020-01-01"'), allow('n')]],
    ['a shadow over what is allowed', [allow('a'), '{ "id": "s", "effect": "shadow-deny" }']],
    ['a rate before the others', [allow('n', `, "methods": ["GET"], ${RATE}`), allow('w')]],
    ['no rate before one', [allow('n', ', "methods": ["GET"]'), allow('w', `, ${RATE}`)]],
    ['a login', [allow('w', ', "who": { "acr": ["a"] }'), allow('n', ', "who": { "acr": ["b"] }')]],
  ])('is not told of %s', (_what, rules) => {
    expect(messages(withRules(...rules), 'CFG211')).toEqual([])
  })

  it('is not told of patterns that match a path the other does not', () => {
    const segment = fc.constantFrom('a', 'b', '*')
    const pattern = fc
      .tuple(fc.array(segment, { maxLength: 3 }), fc.constantFrom('', '/', '/*', '/**'))
      .map(([segments, end]) => `/${segments.join('/')}`.replace(/\/$/, '') + end || '/')
    const path = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 4 }).map((segments) => segments)
    let covered = 0
    fc.assert(
      fc.property(pattern, pattern, path, (narrow, wide, segments) => {
        if (!isBeneath(narrow, wide)) return
        covered += 1
        if (compilePathPattern(narrow)(segments)) expect(compilePathPattern(wide)(segments)).toBe(true)
      }),
      { numRuns: 5000 },
    )
    expect(covered).toBeGreaterThan(200)
  })
})

describe('an end', () => {
  it.each([
    ['2026-11-21', 'CFG208', '"all" is over'],
    ['2026-11-22', 'CFG209', 'over in 1 day'],
    ['2026-12-21', 'CFG209', 'over in 30 days'],
  ])('of %s is told as %s', (until, code, words) => {
    const { text, line, column } = broken('"effect": "allow"', `"effect": "allow", "until": ›"${until}"`)
    expect(warningsOf(text).filter((each) => each.code === 'CFG208' || each.code === 'CFG209')).toMatchObject([
      { code, line, column, message: expect.stringContaining(words) },
    ])
  })

  it('far away is not', () => {
    const { text } = broken('"effect": "allow"', '"effect": "allow", "until": "2026-12-22"')
    expect(warningsOf(text)).toEqual([])
  })

  it('that is past takes its client and its resource with it', () => {
    const { text } = broken('"effect": "allow"', '"effect": "allow", "until": "2020-01-01"')
    expect(warningsOf(text).map(({ code }) => code)).toEqual(['CFG201', 'CFG201', 'CFG202', 'CFG208'])
  })
})

describe('what is never granted', () => {
  it('is a scope that no rule gives, at its place', () => {
    expect(warningsOf(EXAMPLE, 'CFG207')).toMatchObject([
      { line: 21, column: 26, message: 'no rule ever grants "write"' },
    ])
    expect(warningsOf(withRules('{ "id": "all", "effect": "allow" }'), 'CFG207')).toEqual([])
  })

  it('is a type of authorization details that no rule names', () => {
    const { text } = broken('"scopes": ["read", "write"]', '"scopes": ["read"], "authorization_details_types": ["pay"]')
    expect(messages(text, 'CFG207')).toEqual(['no rule ever grants "pay"'])
  })
})

describe('an administration by ID tokens', () => {
  const admin = (more: string): string =>
    broken('"policy": {', `"admin": { "id_token": { ${more}"view": { "users": ["ann"] } } }, "policy": {`).text
  const another = (text: string): string =>
    text
      .replace(
        '"edge_client": "people" }',
        '"edge_client": "people" }, "bot": { "id": "b", "auth": { "method": "none" }, "edge_client": "bot" }',
      )
      .replace('"bot": { "subject_tokens": ["main/gateway"]', '"bot": { "subject_tokens": ["main/gateway", "main/bot"]')

  it('through any of several clients is told', () => {
    expect(warningsOf(another(admin('')), 'CFG210')).toMatchObject([
      { help: expect.stringContaining('"people", "bot"') },
    ])
    expect(warningsOf(another(admin('"clients": ["people"], ')), 'CFG210')).toEqual([])
    expect(warningsOf(admin(''), 'CFG210')).toEqual([])
  })
})
