// An explanation as a person reads it: what goes along with the requests of the chain.
import { expect, test } from 'vitest'
import { toText, type Answer } from '../../../src/cli/explanation.ts'

const GRANT = 'urn:ietf:params:oauth:grant-type:'
type Chain = NonNullable<Answer['chain']>

function linesOf(chain: Partial<Chain>): readonly string[] {
  const leg = { issuer: 'https://as.example', client_id: 'gw', parameters: {} }
  const answer: Answer = {
    decision: 'allow',
    reason: 'rule_allows',
    rule: 'all',
    scopes: [],
    shadow: [],
    rules: [],
    chain: {
      notes: [],
      redeem: leg,
      cache: { key: {}, max_ttl_seconds: 3600, refresh_before_seconds: 60 },
      ...chain,
    },
  }
  const lines = toText(answer, 'ann', 'GET tasks /').split('\n')
  return lines.map((line) => line.trim())
}

test.each([
  ['sent', 'jwt-dpop', 'with a DPoP proof'],
  ['if_bound', 'jwt-bearer', 'with a DPoP proof, if the ID-JAG is bound to our key'],
  [
    'if_taken',
    'jwt-dpop',
    `with a DPoP proof, unless the metadata of the server says that it takes none with ES256; without one grant_type=${GRANT}jwt-bearer`,
  ],
])('a proof (%s) stands below the parameters of its request (%s)', (proof, grant, words) => {
  const parameters = { grant_type: `${GRANT}${grant}` }
  const lines = linesOf({ redeem: { issuer: 'https://as.example', client_id: 'gw', parameters, proof } })
  expect(lines[lines.indexOf(`grant_type=${GRANT}${grant}`) + 1]).toBe(words)
})

test('without a proof there is no word of it, and an actor token has its note', () => {
  const lines = linesOf({ notes: ['actor_is_client', 'actor_of_caller'] })
  expect(lines.join('\n')).not.toContain('DPoP')
  expect(lines.filter((line) => line.startsWith('note'))).toEqual([
    'note      the assertion that authenticates our client is sent as actor_token, too',
    'note      an actor_token of the caller is passed on with its type, where there is one',
  ])
})
