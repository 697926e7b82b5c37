// Vectors made by others, against the verifier that is really used: Wycheproof's JWS and JWK suites, and the tokens of the
// specification notes. Both lie beside the repository; without them these tests are skipped.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findKey, parseKeySet } from '../../../src/identity/key-set.ts'
import { isSignedBy } from '../../../src/identity/signature.ts'
import { fromBase64Url, toBase64Url, toUtf8 } from '../../../src/lib/bytes.ts'
import { isObject, type JsonObject } from '../../../src/lib/strict-json.ts'
import type { ClientId, Issuer, SigningAlgorithm } from '../../../src/parties.ts'
import { parseSignedJwt } from '../../../src/identity/compact-jwt.ts'
import { caller, createWorld, idp, idpClient, jwtAuth, outcome, START } from './world.ts'

const SHARED = join(import.meta.dirname, '../../../../shared')

function readShared(path: string): JsonObject | undefined {
  const file = join(SHARED, path)
  if (!existsSync(file)) return undefined
  const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return isObject(parsed) ? parsed : undefined
}

const ALL: readonly SigningAlgorithm[] = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'EdDSA',
]

interface Vector {
  readonly tcId: number
  readonly comment: string
  readonly jws: unknown
  readonly result: string
}

interface Group {
  readonly comment: string
  readonly public?: JsonObject
  readonly private: JsonObject
  readonly tests: readonly Vector[]
}

/** Wycheproof hands over private keys where it means their public half. */
function publicHalf(jwk: JsonObject): JsonObject {
  const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...rest } = jwk
  return rest
}

/**
 * What `verifyIdToken()` does up to and with the signature. The vectors sign the word `foo`, or nothing, where we want a
 * claims set; that one thing is lent to them: the form is judged with an empty object in its place.
 */
async function accepts(jws: unknown, keys: readonly JsonObject[]): Promise<boolean> {
  if (typeof jws !== 'string') return false
  const [header = '', payload = '', ...rest] = jws.split('.')
  if (!fromBase64Url(payload).ok) return false
  const jwt = parseSignedJwt([header, toBase64Url(toUtf8('{}')), ...rest].join('.'))
  if (!jwt.ok) return false
  const alg = ALL.find((allowed) => allowed === jwt.value.alg)
  const set = await parseKeySet({ keys }, ALL)
  if (alg === undefined || !set.ok) return false
  const key = findKey(set.value, jwt.value.kid, alg)
  return key !== undefined && isSignedBy(jws, key, alg)
}

/** Where we differ from Wycheproof, and why. Everything with a symmetric key is refused by intent besides. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  'JWS 346': 'the key says PS256, the token PS384 (RFC 7517 section 4.4)',
  'JWS 350': 'the key says PS256, the token PS384 (RFC 7517 section 4.4)',
  'JWS 347': 'P-521 is not supported, and the key says ES521',
  'JWS 351': 'P-521 is not supported, and the key says ES521',
  // The one weakness we accept: a modulus with the ROCA fingerprint (CVE-2017-15361) is not looked for.
  'JWK 7': 'an RSA key made by a broken generator',
}

async function differences(suite: string, group: Group, published: readonly JsonObject[]): Promise<string[]> {
  const found: string[] = []
  for (const { tcId, comment, jws, result } of group.tests) {
    const accepted = await accepts(jws, published.map(publicHalf))
    if (accepted === (result === 'valid')) continue
    const bySymmetricKey = published.every(({ kty }) => kty === 'oct')
    const expected = DIFFERENCES[`${suite} ${tcId}`] !== undefined || (!accepted && bySymmetricKey)
    if (!expected) found.push(`${tcId} ${comment}: ${result}, but ${accepted ? 'accepted' : 'refused'}`)
  }
  return found
}

const jwsSuite = readShared('security/wycheproof/json_web_signature_test.json')
const jwkSuite = readShared('security/wycheproof/json_web_key_test.json')

function groupsOf(suite: JsonObject | undefined): readonly Group[] {
  return (suite?.['testGroups'] as readonly Group[] | undefined) ?? []
}

describe.skipIf(jwsSuite === undefined)(
  'Wycheproof JWS (skipped where ../shared/security/wycheproof is absent)',
  () => {
    test.each(groupsOf(jwsSuite).map((group, index) => [`${index} ${group.comment}`, group] as const))(
      'the verifier judges as group %s says',
      async (_, group) => expect(await differences('JWS', group, [group.public ?? group.private])).toEqual([]),
    )
  },
)

describe.skipIf(jwkSuite === undefined)(
  'Wycheproof JWK (skipped where ../shared/security/wycheproof is absent)',
  () => {
    test.each(groupsOf(jwkSuite).map((group, index) => [`${index} ${group.comment}`, group] as const))(
      'the verifier judges as group %s says',
      async (_, group) => {
        const published = (group.public ?? group.private)['keys'] as readonly JsonObject[]
        expect(await differences('JWK', group, published)).toEqual([])
      },
    )
  },
)

interface SpecVectors {
  readonly clock: number
  readonly names: { readonly IDP: string; readonly idp_client_id: string }
  readonly jwks: { readonly idp: { keys: JsonObject[] }; readonly client: { keys: JsonObject[] } }
  readonly tokens: Readonly<Record<string, string>>
  readonly id_jag: readonly { readonly name: string; readonly jwt: string }[]
}

const NOTHING: SpecVectors = {
  clock: 0,
  names: { IDP: '', idp_client_id: '' },
  jwks: { idp: { keys: [] }, client: { keys: [] } },
  tokens: {},
  id_jag: [],
}

const spec = readShared('spec/vectors.json') as SpecVectors | undefined

describe.skipIf(spec === undefined)(
  'the specification notes (skipped where ../shared/spec/vectors.json is absent)',
  () => {
    const { names, jwks, tokens, id_jag: assertions } = spec ?? NOTHING
    const idJags = assertions.filter(({ name }) => name !== 'bad-id-token-as-assertion')
    // The assertions of these notes are for the IdP; here we stand in its place.
    const createSpecWorld = () =>
      createWorld({
        publicUrl: names.IDP,
        idps: [
          idp({
            issuer: names.IDP as Issuer,
            keys: { kind: 'static', jwks: jwks.idp },
            clients: new Map([['app', { ...idpClient('app', 'edge'), id: names.idp_client_id as ClientId }]]),
          }),
        ],
        clients: [caller(names.idp_client_id, jwtAuth({ kind: 'static', jwks: jwks.client }))],
      })
    const verify = async (token = '') => outcome(await createSpecWorld().identity.verifyAtEdge(`Bearer ${token}`))

    test('their ID token is accepted at their clock', async () => {
      expect(spec?.clock).toBe(START)
      expect(await verify(tokens['id_token'])).toBe('ok')
    })

    test.each(Object.keys(tokens).filter((name) => name !== 'id_token'))(
      'their %s is not an ID token',
      async (name) => {
        expect(await verify(tokens[name])).toMatch(/^TOK10[125]$/)
      },
    )

    test.each(idJags.map(({ name, jwt }) => [name, jwt] as const))(
      'their ID-JAG %s is not an ID token',
      async (_, jwt) => {
        expect(await verify(jwt)).toMatch(/^TOK10[1-5]$/)
      },
    )

    test.each([
      ['client_assertion_idp', 'ok'],
      ['client_assertion_idp_legacy_aud_token_endpoint', 'CLI101'],
      ['client_assertion_ras', 'CLI101'],
      ['id_token', 'CLI101'],
      ['access_token', 'CLI101'],
      ['dpop_proof_idp_token', 'CLI101'],
    ])('their %s as a client assertion gives %s', async (name, expected) => {
      const form = new Map([
        ['client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'],
        ['client_assertion', tokens[name] ?? ''],
      ])
      const { identity } = createSpecWorld()
      expect(outcome(await identity.authenticateClient({ authorization: undefined, form }))).toBe(expected)
    })
  },
)
