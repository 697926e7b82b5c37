// Files that a local run takes its secrets and certificates from; what stands in them is repeated in no message.
import { describe, expect, test } from 'vitest'
import { parseKeyPairs, readSecrets } from '../../../src/cli/secrets-file.ts'

describe('parseKeyPairs()', () => {
  test('says where each certificate and its key are', () => {
    const pair = { cert: 'a.pem', key: 'b.pem' }
    expect(parseKeyPairs('c.json', JSON.stringify({ ONE: pair, TWO: { ...pair, note: 'x' } }))).toEqual({
      ONE: pair,
      TWO: pair,
    })
    expect(parseKeyPairs('c.json', '{}')).toEqual({})
  })

  test.each([
    ['{ "ONE": "canary.pem" }', 'c.json: ONE must be { "cert": FILE, "key": FILE }'],
    ['{ "ONE": { "cert": "canary.pem" } }', 'c.json: ONE must be'],
    ['{ "ONE": { "cert": "canary.pem", "key": 7 } }', 'c.json: ONE must be'],
    ['{ "ONE": null }', 'c.json: ONE must be'],
    ['["canary.pem"]', 'c.json: 0 must be'],
    ['"canary.pem"', 'c.json is not a JSON object'],
    ['-----BEGIN canary', 'c.json is not a JSON object'],
  ])('refuses %s', (text, words) => {
    expect(() => parseKeyPairs('c.json', text)).toThrow(words)
    expect(() => parseKeyPairs('c.json', text)).not.toThrow('canary')
  })
})

test('readSecrets() takes both forms, and repeats nothing of a broken one', () => {
  expect(readSecrets('s', '{ "A": "1" }')).toEqual({ A: '1' })
  expect(readSecrets('s', 'A=1\nB="2"\n')).toEqual({ A: '1', B: '2' })
  expect(() => readSecrets('s', '{ "A": 7 }')).toThrow('the value of A must be a string')
  expect(() => readSecrets('s', '{ "A": canary')).toThrow('s is not a JSON object')
})
