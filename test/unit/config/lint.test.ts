// Warnings: what can be used but is hardly meant.
import { describe, expect, it } from 'vitest'
import { lintConfig, type ConfigProblem } from '../../../src/config/config.ts'
import { broken, configOf, EXAMPLE } from './example.ts'

function warningsOf(text: string): readonly ConfigProblem[] {
  return lintConfig(configOf(text), text, 'jagway.jsonc')
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
    const found = warningsOf(broken(piece, replacement).text).filter((warning) => warning.code === code)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatchObject({ severity: 'warning', fileName: 'jagway.jsonc' })
    expect(`${found[0]?.line}:${found[0]?.column}`).toBe(place)
    expect(found[0]?.message).toContain(words)
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
