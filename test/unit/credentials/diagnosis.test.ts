// Why a server refused: every comparison alone, and the order in which they speak.
import { describe, expect, test } from 'vitest'
import { diagnose, explained, slipIn, type Published, type Sent } from '../../../src/credentials/diagnosis.ts'
import { ok, err } from '../../../src/lib/result.ts'
import type { Discovery, ServerMetadata } from '../../../src/oauth/metadata.ts'
import type { Issuer, ScopeToken } from '../../../src/parties.ts'
import { assertionOf, idpOf, resourceOf } from '../support/proofs.ts'

const NOW = 1_800_000_000
const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag'

const SENT: Sent = {
  role: 'authorization server',
  issuer: 'https://as.tasks.test',
  clientId: 'gw-at-tasks',
  authMethod: 'client_secret_basic',
  grantType: GRANT,
  resource: 'https://api.tasks.test/v1',
  scopes: ['tasks.read', 'tasks.write'],
  wants: 'a user who is known',
  fields: {
    server: 'resources.tasks.authorization_server.issuer',
    client: 'resources.tasks.client',
    resource: 'resources.tasks.resource',
    scopes: 'resources.tasks.scopes',
  },
}

const FINE = { answeredAt: NOW, issuedAt: NOW - 5, expiresAt: NOW + 295 }
const listing = (lists: ServerMetadata['lists']): Published => ({ lists })

/** Each as it would be found if everything after it were wrong as well. */
const FINDINGS: readonly (readonly [string, Published, typeof FINE, string, string])[] = [
  [
    'a slash at the end of the issuer',
    { otherIssuer: 'https://as.tasks.test/' },
    { ...FINE, issuedAt: NOW + 600 },
    'https://as.tasks.test/, as its metadata says',
    'https://as.tasks.test (resources.tasks.authorization_server.issuer; a slash at the end)',
  ],
  [
    'the case of the issuer',
    { otherIssuer: 'https://AS.tasks.test' },
    FINE,
    'https://AS.tasks.test, as its metadata says',
    'https://as.tasks.test (resources.tasks.authorization_server.issuer; upper and lower case)',
  ],
  [
    'a grant type that is not listed',
    listing({ grantTypes: ['authorization_code'], scopes: ['other'] }),
    { ...FINE, issuedAt: NOW + 600 },
    `an authorization server that lists the grant type ${GRANT}`,
    'metadata without it',
  ],
  [
    'a profile that is not listed',
    listing({ grantTypes: [GRANT], grantProfiles: ['urn:other'] }),
    FINE,
    `an authorization server that lists ${PROFILE}`,
    'metadata without it',
  ],
  [
    'a method of authentication that is not listed',
    listing({ authMethods: ['private_key_jwt'] }),
    FINE,
    'a method of client authentication that the authorization server lists',
    'client_secret_basic (resources.tasks.client.auth)',
  ],
  [
    'a clock that is behind',
    listing({ scopes: ['other'] }),
    { ...FINE, issuedAt: NOW + 600 },
    'clocks that agree',
    'a token issued 600 s ahead of the clock of the authorization server',
  ],
  [
    'a clock that is ahead',
    listing({ scopes: ['other'] }),
    { ...FINE, expiresAt: NOW - 305 },
    'a token that is still valid',
    'one that expired 305 s ago by the clock of the authorization server',
  ],
  [
    'a resource that is not listed',
    listing({ resources: ['https://api.tasks.test/v1/'], scopes: ['other'] }),
    FINE,
    'a resource that the authorization server lists',
    'https://api.tasks.test/v1 (resources.tasks.resource; a slash at the end)',
  ],
  [
    'a scope that is not listed',
    listing({ scopes: ['tasks.read', 'tasks.edit'] }),
    FINE,
    'scopes that the authorization server lists',
    'tasks.write (resources.tasks.scopes)',
  ],
]

describe('diagnose()', () => {
  test.each(FINDINGS)('finds %s', (_what, published, witness, expected, got) => {
    expect(diagnose('RAS101', SENT, published, witness)).toEqual({ expected, got })
  })

  test('says what the server mostly wants where nothing is found', () => {
    const all = { grantTypes: [GRANT], grantProfiles: [PROFILE], authMethods: [SENT.authMethod], scopes: SENT.scopes }
    expect(diagnose('RAS101', SENT, listing(all), FINE)).toEqual({ expected: SENT.wants })
    expect(
      diagnose('RAS101', SENT, undefined, { answeredAt: undefined, issuedAt: undefined, expiresAt: undefined }),
    ).toEqual({
      expected: SENT.wants,
    })
  })

  test('names the client of an invalid_client, and no secret', () => {
    expect(diagnose('RAS106', SENT, undefined, FINE)).toEqual({
      expected: 'a client id and a credential that are registered there',
      got: 'gw-at-tasks by client_secret_basic (resources.tasks.client)',
    })
  })

  test('compares what an identity provider says it issues', () => {
    const sent: Sent = {
      ...SENT,
      role: 'identity provider',
      grantType: 'urn:ietf:params:oauth:grant-type:token-exchange',
    }
    const lists = { tokenTypes: ['urn:ietf:params:oauth:token-type:access_token'], grantProfiles: ['urn:other'] }
    expect(diagnose('IDP101', sent, listing(lists), FINE)?.expected).toBe(
      'an identity provider that lists urn:ietf:params:oauth:token-type:id-jag',
    )
  })

  test.each(['RAS103', 'IDP103'] as const)('%s names the target as it was sent', (code) => {
    expect(diagnose(code, SENT, undefined, FINE)?.got).toBe(
      'https://as.tasks.test (resources.tasks.authorization_server.issuer) with https://api.tasks.test/v1 (resources.tasks.resource)',
    )
  })

  test.each(['RAS104', 'IDP104'] as const)('%s names the scopes that were asked', (code) => {
    expect(diagnose(code, SENT, undefined, FINE)?.got).toBe('tasks.read tasks.write (resources.tasks.scopes)')
  })

  test.each(['RAS105', 'RAS109', 'RAS112', 'IDP112'] as const)('%s needs no other reason than its own', (code) => {
    expect(diagnose(code, SENT, { otherIssuer: 'https://as.tasks.test/' }, FINE)).toBeUndefined()
  })
})

describe('explained()', () => {
  const asked: string[] = []
  const discovery = (answer: Awaited<ReturnType<Discovery['metadataOf']>>): { readonly discovery: Discovery } => ({
    discovery: {
      metadataOf: async (issuer, prefer) => {
        asked.push(`${prefer} ${issuer}`)
        return answer
      },
    },
  })

  const SILENT = ok({
    issuer: 'x' as Issuer,
    tokenEndpoint: undefined,
    jwksUri: undefined,
    revocationEndpoint: undefined,
    proofAlgorithms: undefined,
    lists: {},
  })

  async function parties() {
    const { idpClient } = await assertionOf()
    const resource = resourceOf({ rasIssuer: 'https://as.tasks.test' })
    return { idp: idpOf(), idpClient, resource, rasClient: resource.client, scopes: ['tasks.read' as ScopeToken] }
  }

  test('compares a target that the identity provider does not know with the authorization server itself', async () => {
    const slip = err({
      kind: 'unusable',
      detail: 'metadata of another issuer',
      otherIssuer: 'https://as.tasks.test/',
    } as const)
    const refusal = await explained({ code: 'IDP103', witness: FINE }, await parties(), discovery(slip))
    expect(refusal).toEqual({
      code: 'IDP103',
      expected: 'https://as.tasks.test/, as its metadata says',
      got: 'https://as.tasks.test (resources.tasks.authorization_server.issuer; a slash at the end)',
    })
    expect(asked.splice(0)).toEqual(['oauth2 https://as.tasks.test'])
  })

  test('asks nobody where there was no answer', async () => {
    const refusal = { code: 'RAS110', retryAfterSeconds: 5 } as const
    expect(await explained(refusal, await parties(), discovery(SILENT))).toEqual(refusal)
    expect(asked).toEqual([])
  })

  test.each([
    ['aud', 'the audience', 'the one configured (resources.tasks.authorization_server.issuer)'],
    ['client_id', 'the client', 'gw-at-tasks (resources.tasks.client.id)'],
    ['resource', 'the resource', 'the one configured (resources.tasks.resource)'],
  ] as const)('names the field that an ID-JAG does not fit by its %s, and asks nobody', async (claim, wanted, got) => {
    asked.length = 0
    const refusal = await explained({ code: 'IDP109', detail: 'd', claim }, await parties(), discovery(SILENT))
    expect(refusal).toEqual({ code: 'IDP109', detail: 'd', expected: `${wanted} that the ID-JAG names`, got })
    expect(asked).toEqual([])
  })

  test('does not wait long for metadata', async () => {
    const never: Discovery = { metadataOf: () => new Promise(() => undefined) }
    const start = performance.now()
    const refusal = await explained({ code: 'RAS101', witness: FINE }, await parties(), { discovery: never })
    expect(performance.now() - start).toBeLessThan(3_000)
    expect(refusal.expected).toBe('a user who is known')
    expect('witness' in refusal).toBe(false)
  })
})

test('slipIn() repeats another issuer only where it is ours but for a slip', () => {
  const field = 'idps.corp.issuer'
  expect(slipIn({ kind: 'unusable', detail: 'metadata of another issuer' }, 'https://a.test', field)).toEqual({
    detail: 'metadata of another issuer',
  })
  expect(slipIn({ kind: 'unusable', detail: 'd', otherIssuer: 'https://a.test/' }, 'https://a.test', field)).toEqual({
    detail: 'd',
    expected: 'https://a.test/, as its metadata says',
    got: 'https://a.test (idps.corp.issuer; a slash at the end)',
  })
})
