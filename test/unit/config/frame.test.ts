// Problems as a person sees them, and what nobody must see.
import { describe, expect, it } from 'vitest'
import { renderProblems } from '../../../src/config/config.ts'
import { didYouMean } from '../../../src/config/problem.ts'
import { broken, EXAMPLE, problemsOf } from './example.ts'

function rendered(text: string, color = false): string {
  return renderProblems(text, problemsOf(text), { color })
}

describe('renderProblems()', () => {
  it('shows the place, the line, a caret under the fault and what may be meant', () => {
    const { text } = broken('"effect": "allow"', '"efect": "allow"')
    expect(rendered(text)).toBe(
      [
        'jagway.jsonc:27:7 error CFG103 the key "effect" is missing here',
        '27 |       { "id": "all", "efect": "allow", "resources": ["tasks"], "scopes": ["read"] }',
        '   |       ^',
        '',
        'jagway.jsonc:27:22 error CFG102 the key "efect" is not known here',
        '27 |       { "id": "all", "efect": "allow", "resources": ["tasks"], "scopes": ["read"] }',
        '   |                      ^^^^^^^',
        '   = did you mean "effect"?',
      ].join('\n'),
    )
  })

  it('keeps the caret under the fault behind tabs', () => {
    const { text } = broken('  "version": 1', '\t\t"version": 2')
    expect(rendered(text).split('\n').slice(1, 3)).toEqual(['2 |   "version": 2,', '  |              ^'])
  })

  it('shows a part of a long line', () => {
    const minified = JSON.stringify(JSON.parse(EXAMPLE.replace('"effect": "allow"', '"effect": "alow"')))
    const [, line = '', caret = ''] = rendered(minified).split('\n')
    expect(line.length).toBeLessThan(110)
    expect(line.slice(caret.indexOf('^'), caret.lastIndexOf('^') + 1)).toBe('"alow"')
  })

  it('colours only when asked to', () => {
    const { text } = broken('"version": 1', '"version": 2')
    expect(rendered(text)).not.toContain('\u001B')
    expect(rendered(text, true)).toContain('\u001B[31merror CFG104\u001B[0m')
  })

  it('does not pass control characters on to a terminal', () => {
    const { text } = broken('"kind": "id-jag"', '"kind": "id-jag", "x\u202E\u009B": 1')
    expect(rendered(text)).not.toMatch(/[\u202E\u009B]/)
  })

  it.each([
    ['a secret in place of its name', '{ "secret": "BOT" }', '"hunter2-hunter2"'],
    ['a secret in a reference', '{ "secret": "BOT" }', '{ "secret": "hunter2-hunter2" }'],
    ['a secret in a reference of another kind', '{ "secret": "BOT" }', '{ "value": "hunter2-hunter2" }'],
    [
      'a secret under a key that is not known',
      '"kind": "id-jag"',
      '"kind": "id-jag", "client_secret": "hunter2-hunter2"',
    ],
    ['a secret beside another fault', '"kind": "id-jag"', '"kind": "id-jagg", "apiKey": "hunter2-hunter2"'],
    ['a number as a secret', '{ "secret": "BOT" }', '20250000007'],
    [
      'a private key',
      '"auth": { "method": "client_secret_basic", "secret": { "secret": "BOT" } }',
      '"auth": { "method": "private_key_jwt", "jwks": { "keys": [{ "kty": "EC", "d": "hunter2-hunter2" }] } }',
    ],
  ])('never shows %s', (_what, piece, replacement) => {
    const { text } = broken(piece, replacement)
    expect(problemsOf(text).length).toBeGreaterThan(0)
    expect(rendered(text)).not.toMatch(/hunter2|2025/)
    expect(JSON.stringify(problemsOf(text))).not.toMatch(/hunter2|2025/)
  })
})

describe('didYouMean()', () => {
  it.each([
    ['isuer', ['issuer', 'id'], 'issuer'],
    ['Scopes', ['scopes'], 'scopes'],
    ['taks', ['tasks', 'task-list'], 'tasks'],
    ['ab', ['ba'], 'ba'],
    ['client_secret_basics', ['client_secret_post', 'client_secret_basic'], 'client_secret_basic'],
  ])('finds what %s is meant to be', (word, known, meant) => {
    expect(didYouMean(word, known)).toBe(`did you mean "${meant}"?`)
  })

  it('does not guess wildly', () => {
    expect(didYouMean('plugins', ['issuer', 'clients', 'tenants'])).toBeUndefined()
    expect(didYouMean('x', [])).toBeUndefined()
  })
})
