import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nameParts, rasClientFor } from '../../../src/credentials/token-key.ts'
import { assertionOf, permitOf, resourceOf, scopesOf } from '../support/proofs.ts'

/** Everything a token depends on. */
interface Tuple {
  readonly issuer: string
  readonly tenant: string | undefined
  readonly subject: string
  readonly act: string | undefined
  readonly caller: string
  readonly idpClient: string
  readonly idpClientId: string
  readonly resourceName: string
  readonly rasIssuer: string
  readonly rasClientId: string
  readonly resource: string | undefined
  readonly scopes: readonly string[]
}

const FIRST: Tuple = {
  issuer: 'https://login.corp.test',
  tenant: undefined,
  subject: 'alice',
  act: undefined,
  caller: 'app',
  idpClient: 'web',
  idpClientId: 'web-id',
  resourceName: 'tasks',
  rasIssuer: 'https://as.tasks.test/',
  rasClientId: 'gw',
  resource: 'https://api.tasks.test/v1',
  scopes: ['a', 'b'],
}

const ALL_SCOPES = ['a', 'b', 'a:b', '1:a', ':', '[2]']

async function partsOf(tuple: Tuple): Promise<ReturnType<typeof nameParts>> {
  const { issuer, tenant, subject, act, caller, idpClient, idpClientId } = tuple
  const { resourceName, resource, rasIssuer, rasClientId } = tuple
  const claims = act === undefined ? {} : { act: { sub: act } }
  const assertion = await assertionOf({ issuer, tenant, subject, claims, caller, idpClient, idpClientId })
  const target = resourceOf({ name: resourceName, resource, rasIssuer, rasClientId, scopes: scopesOf(...ALL_SCOPES) })
  return nameParts(permitOf(assertion, target, scopesOf(...tuple.scopes)))
}

const meaning = (tuple: Tuple): string => JSON.stringify({ ...tuple, scopes: [...new Set(tuple.scopes)].toSorted() })

// Few texts, so that fields are often equal, and all of them made of what a delimiter could be.
const text = fc.constantFrom('a', 'b', 'a:b', ':', '1:a', '1:a1:b', '-;', '[1]1:a', 'a|b', 'a/b', 'ü', 'a ', '0:')
const optional = fc.option(text, { nil: undefined })
const tuple: fc.Arbitrary<Tuple> = fc.record({
  issuer: text,
  tenant: optional,
  subject: text,
  act: optional,
  caller: text,
  idpClient: text,
  idpClientId: text,
  resourceName: text,
  rasIssuer: text,
  rasClientId: text,
  resource: optional,
  scopes: fc.subarray(ALL_SCOPES),
})

/** The same tuple with at most two fields taken from another. */
const pair = fc.tuple(tuple, tuple, fc.subarray(Object.keys(FIRST), { maxLength: 2 })).map(([left, other, fields]) => {
  const taken = Object.entries(other).filter(([name]) => fields.includes(name))
  const right: Tuple = { ...left, ...Object.fromEntries(taken) }
  return [left, right] as const
})

describe('the identity of a token', () => {
  test('is equal exactly if everything is equal that the token depends on', async () => {
    await fc.assert(
      fc.asyncProperty(pair, async ([left, right]) => {
        const [a, b] = [await partsOf(left), await partsOf(right)]
        expect(a.identity === b.identity).toBe(meaning(left) === meaning(right))
      }),
      { numRuns: 300 },
    )
  })

  test.each<[string, Partial<Tuple>]>([
    ['issuer', { issuer: 'https://login.corp.test/' }],
    ['tenant', { tenant: 'acme' }],
    ['subject', { subject: 'Alice' }],
    ['actor', { act: 'bot' }],
    ['calling client', { caller: 'agent' }],
    ['IdP client', { idpClient: 'agent' }],
    ['IdP client id', { idpClientId: 'agent-id' }],
    ['resource', { resourceName: 'notes' }],
    ['authorization server', { rasIssuer: 'https://as.tasks.test' }],
    ['RAS client id', { rasClientId: 'gw2' }],
    ['resource indicator', { resource: undefined }],
    ['set of scopes, fewer', { scopes: ['a'] }],
    ['set of scopes, none', { scopes: [] }],
    ['set of scopes, others', { scopes: ['a:b'] }],
  ])('differs with another %s', async (_field, changes) => {
    expect((await partsOf({ ...FIRST, ...changes })).identity).not.toBe((await partsOf(FIRST)).identity)
  })

  test('does not depend on the login it comes from: a new ID token is no new entry', async () => {
    const resource = resourceOf()
    const [first, second] = [await assertionOf(), await assertionOf({ groups: ['staff'] })]
    expect(first.subject.token.reveal()).not.toBe(second.subject.token.reveal())
    expect(nameParts(permitOf(second, resource))).toEqual(nameParts(permitOf(first, resource)))
  })

  test('does not care in which order scopes were asked for', async () => {
    expect(await partsOf({ ...FIRST, scopes: ['b', 'a'] })).toEqual(await partsOf(FIRST))
  })

  test('takes the client that redeems for this caller, where the resource has one', async () => {
    const resource = resourceOf({ rasClientId: 'common', rasClientsByCaller: { app: 'own' } })
    const ownPermit = permitOf(await assertionOf({ caller: 'app' }), resource)
    expect([rasClientFor(resource, 'app').id, rasClientFor(resource, 'other').id]).toEqual(['own', 'common'])
    expect(nameParts(ownPermit).identity).toContain('own')
  })
})

describe('the parts of a name', () => {
  test('keep user, client and resource apart, so that each can be listed', async () => {
    const first = await partsOf(FIRST)
    const narrow = await partsOf({ ...FIRST, scopes: ['a'] })
    expect([narrow.user, narrow.client, narrow.resource]).toEqual([first.user, first.client, first.resource])
    const agent = await partsOf({ ...FIRST, caller: 'agent' })
    expect([agent.user === first.user, agent.client === first.client]).toEqual([true, false])
    const bob = await partsOf({ ...FIRST, subject: 'bob' })
    expect([bob.user === first.user, bob.client === first.client]).toEqual([false, true])
  })
})
