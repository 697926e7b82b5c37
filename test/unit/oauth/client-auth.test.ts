import { calculateJwkThumbprint, compactVerify, decodeJwt, decodeProtectedHeader, exportPKCS8, importJWK } from 'jose'
import type { ClientAuth } from 'oauth4webapi'
import { describe, expect, test } from 'vitest'
import { fromUtf8 } from '../../../src/lib/bytes.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { CertificateName, OutboundAuth, SecretName, SigningAlgorithm } from '../../../src/parties.ts'
import { asActor, createClientAuths, type ClientAuths } from '../../../src/oauth/client-auth.ts'
import type { Fetch, Secrets } from '../../../src/ports.ts'
import { createTestKey } from '../../support/keys.ts'

const ISSUER = 'https://as.test/'
const ENDPOINT = 'https://as.test/token'
const SECRET = 'THE_SECRET' as SecretName

/** No certificate is bound. */
function authsWith(secrets: Secrets): ClientAuths {
  const certificates = (name: string): never => {
    throw new Error(`no certificate ${name}`)
  }
  return createClientAuths({ secrets, certificates })
}

interface Sent {
  readonly headers: Record<string, string>
  readonly body: Record<string, string>
}

async function prepare(auth: OutboundAuth, secret = ''): Promise<ClientAuth> {
  const made = await authsWith(async () => new Secret(secret)).prepare(auth, ENDPOINT)
  if (!made.ok) throw new Error(made.error)
  return made.value.authenticate
}

async function send(authenticate: ClientAuth, clientId: string): Promise<Sent> {
  const body = new URLSearchParams()
  const headers = new Headers()
  await authenticate({ issuer: ISSUER, token_endpoint: ENDPOINT }, { client_id: clientId }, body, headers)
  return { headers: Object.fromEntries(headers), body: Object.fromEntries(body) }
}

/** Both halves of Basic credentials as they were before any decoding, as bytes of UTF-8. */
function basicOf({ headers }: Sent): string {
  const encoded = /^Basic (\S+)$/.exec(headers['authorization'] ?? '')?.[1] ?? ''
  const text = fromUtf8(Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0)))
  if (!text.ok) throw new Error(text.error)
  return text.value
}

const ODD_ID = 'gw:+%&=ü 1'
const ODD_SECRET = 'p+%&=:"é 日/2~'

describe('client_secret_basic', () => {
  test('of encoding form sends both halves form-urlencoded (RFC 6749 section 2.3.1), and nothing in the body', async () => {
    const sent = await send(
      await prepare({ method: 'client_secret_basic', secrets: [SECRET], encoding: 'form' }, ODD_SECRET),
      ODD_ID,
    )
    const [id = '', secret = '', ...rest] = basicOf(sent).split(':')
    expect(rest).toEqual([])
    expect([id, secret].join('')).toMatch(/^[\x21-\x7E]*$/)
    const decode = (text: string): string => new URLSearchParams(`x=${text}`).get('x') ?? ''
    expect([decode(id), decode(secret)]).toEqual([ODD_ID, ODD_SECRET])
    expect(sent.body).toEqual({})
  })

  test('of encoding raw sends both halves as they are, in UTF-8', async () => {
    const sent = await send(
      await prepare({ method: 'client_secret_basic', secrets: [SECRET], encoding: 'raw' }, ODD_SECRET),
      'gw+%&ü',
    )
    expect(basicOf(sent)).toBe(`gw+%&ü:${ODD_SECRET}`)
    expect(sent.body).toEqual({})
  })

  test.each(['a', 'ab', 'abc', 'abcd', '???>>>', 'ÿÿ'])(
    'of encoding raw is padded base64 of the ordinary alphabet: %s',
    async (secret) => {
      const sent = await send(
        await prepare({ method: 'client_secret_basic', secrets: [SECRET], encoding: 'raw' }, secret),
        'id',
      )
      expect(sent.headers['authorization']).toMatch(
        /^Basic (?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
      )
      expect(basicOf(sent)).toBe(`id:${secret}`)
    },
  )
})

describe('client_secret_post and none', () => {
  test('post sends id and secret in the body alone', async () => {
    const sent = await send(await prepare({ method: 'client_secret_post', secrets: [SECRET] }, ODD_SECRET), ODD_ID)
    expect(sent).toEqual({ headers: {}, body: { client_id: ODD_ID, client_secret: ODD_SECRET } })
  })

  test('none sends the id alone, and asks for no secret', async () => {
    const made = await authsWith(() => Promise.reject(new Error('asked'))).prepare({ method: 'none' }, ENDPOINT)
    if (!made.ok) throw new Error(made.error)
    expect(await send(made.value.authenticate, 'public')).toEqual({ headers: {}, body: { client_id: 'public' } })
  })
})

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA'] as const

type PrivateKeyJwt = Extract<OutboundAuth, { method: 'private_key_jwt' }>

function privateKeyJwt(alg: SigningAlgorithm, changes: Partial<PrivateKeyJwt> = {}): PrivateKeyJwt {
  const typ = 'client-authentication+jwt'
  return { method: 'private_key_jwt', keys: [SECRET], alg, audience: 'issuer', typ, ...changes }
}

describe('private_key_jwt', () => {
  test.each(ALGORITHMS)('signs by %s, names its key and its type, and can be verified', async (alg) => {
    const key = await createTestKey('key-7', alg)
    const { headers, body } = await send(await prepare(privateKeyJwt(alg), JSON.stringify(key.privateJwk)), 'gw')
    expect(headers).toEqual({})
    const { client_assertion: assertion = '', ...rest } = body
    expect(rest).toEqual({
      client_id: 'gw',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    })
    expect(decodeProtectedHeader(assertion)).toEqual({ alg, kid: 'key-7', typ: 'client-authentication+jwt' })
    const { payload } = await compactVerify(assertion, await importJWK(key.publicJwk, alg))
    expect(JSON.parse(new TextDecoder().decode(payload))).toMatchObject({ iss: 'gw', sub: 'gw', aud: ISSUER })
  })

  test('names the issuer as its one audience, verbatim; the token endpoint only where the configuration says so', async () => {
    const jwk = JSON.stringify((await createTestKey()).privateJwk)
    const audienceOf = async (audience: 'issuer' | 'token_endpoint'): Promise<unknown> => {
      const { body } = await send(await prepare(privateKeyJwt('ES256', { audience }), jwk), 'gw')
      return decodeJwt(body['client_assertion'] ?? '').aud
    }
    expect(await audienceOf('issuer')).toBe(ISSUER)
    expect(await audienceOf('token_endpoint')).toBe(ENDPOINT)
  })

  test('makes a fresh jti for every request, and lives for a minute at most', async () => {
    const authenticate = await prepare(privateKeyJwt('ES256'), JSON.stringify((await createTestKey()).privateJwk))
    const seen = new Set<unknown>()
    for (let count = 0; count < 20; count++) {
      const claims = decodeJwt((await send(authenticate, 'gw')).body['client_assertion'] ?? '')
      seen.add(claims.jti)
      expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBeLessThanOrEqual(60)
      expect(Math.abs((claims.iat ?? 0) - Date.now() / 1000)).toBeLessThan(5)
      // A clock a second behind ours would refuse it.
      expect(claims.nbf).toBeUndefined()
    }
    expect(seen.size).toBe(20)
    expect([...seen].every((jti) => typeof jti === 'string' && jti.length >= 22)).toBe(true)
  })

  test.each(['ES256', 'RS256', 'EdDSA'] as const)('names a %s key without a kid by its thumbprint', async (alg) => {
    const key = await createTestKey('unused', alg)
    const { kid: _left, ...jwk } = key.privateJwk
    const kid = await calculateJwkThumbprint(key.publicJwk)
    for (const text of [await exportPKCS8(key.privateKey), JSON.stringify(jwk), JSON.stringify({ ...jwk, kid: '' })]) {
      const { body } = await send(await prepare(privateKeyJwt(alg), text), 'gw')
      expect(decodeProtectedHeader(body['client_assertion'] ?? '')).toMatchObject({ alg, kid })
      await compactVerify(body['client_assertion'] ?? '', await importJWK(key.publicJwk, alg))
    }
  })

  test.each([
    ['client-authentication+jwt', 'client-authentication+jwt'],
    ['JWT', 'JWT'],
    ['none', undefined],
  ] as const)('of typ %s has the header %s', async (typ, header) => {
    const jwk = JSON.stringify((await createTestKey()).privateJwk)
    const { body } = await send(await prepare(privateKeyJwt('ES256', { typ }), jwk), 'gw')
    expect(decodeProtectedHeader(body['client_assertion'] ?? '').typ).toBe(header)
  })

  test('names the certificate that its key says it belongs to', async () => {
    const jwk = { ...(await createTestKey()).privateJwk, 'x5t#S256': 'b3duLWNlcnRpZmljYXRl' }
    const { body } = await send(await prepare(privateKeyJwt('ES256'), JSON.stringify(jwk)), 'gw')
    expect(decodeProtectedHeader(body['client_assertion'] ?? '')).toHaveProperty('x5t#S256', 'b3duLWNlcnRpZmljYXRl')
  })

  test('says which secret is no key for the algorithm, and nothing of what it holds', async () => {
    const key = await createTestKey('canary-kid')
    const bad = [
      'canary',
      '',
      '{"kty":"oct","k":"Y2FuYXJ5","kid":"canary"}',
      '{"kty":"EC","canary":1}',
      JSON.stringify(key.publicJwk),
      JSON.stringify({ ...key.privateJwk, crv: 'P-384' }),
      '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----',
    ]
    for (const text of bad) {
      const made = await authsWith(async () => new Secret(text)).prepare(privateKeyJwt('ES256'), ENDPOINT)
      expect(made).toEqual({ ok: false, error: 'the secret THE_SECRET does not hold a private key for ES256' })
    }
    const rsa = await authsWith(async () => new Secret(JSON.stringify(key.privateJwk))).prepare(
      privateKeyJwt('RS256'),
      ENDPOINT,
    )
    expect(rsa).toEqual({ ok: false, error: 'the secret THE_SECRET does not hold a private key for RS256' })
  })
})

describe.each(['tls_client_auth', 'self_signed_tls_client_auth'] as const)('%s', (method) => {
  const auth: OutboundAuth = { method, certificate: 'THE_CERT' as CertificateName }

  test('sends the id alone, by the way that has the certificate, and asks for no secret', async () => {
    const certified: Fetch = () => Promise.reject(new Error('not called'))
    const asked: string[] = []
    const certificates = (name: string): Fetch => {
      asked.push(name)
      return certified
    }
    const secrets = (): never => {
      throw new Error('no secret is needed')
    }
    const made = await createClientAuths({ secrets, certificates }).prepare(auth, ENDPOINT)
    if (!made.ok) throw new Error(made.error)
    expect(await send(made.value.authenticate, 'gw')).toEqual({ headers: {}, body: { client_id: 'gw' } })
    expect([made.value.certified === certified, asked]).toEqual([true, ['THE_CERT']])
    expect(await made.value.other()).toBeUndefined()
  })
})

test('whoever authenticates otherwise takes the ordinary way', async () => {
  const made = await authsWith(async () => new Secret('s')).prepare(
    { method: 'client_secret_post', secrets: [SECRET] },
    ENDPOINT,
  )
  expect(made.ok && made.value.certified).toBeUndefined()
})

describe('asActor()', () => {
  test('sends the very assertion that authenticates as the actor token, a fresh one each time', async () => {
    const key = JSON.stringify((await createTestKey()).privateJwk)
    const made = await authsWith(async () => new Secret(key)).prepare(
      privateKeyJwt('ES256', { keys: [SECRET, SECRET] }),
      ENDPOINT,
    )
    if (!made.ok) throw new Error(made.error)
    const acting = asActor(made.value)
    const other = await acting.other()
    if (other === undefined) throw new Error('there is another')
    const sent = [await send(acting.authenticate, 'gw'), await send(acting.authenticate, 'gw'), await send(other, 'gw')]
    for (const { body } of sent) {
      expect(body['actor_token']).toBe(body['client_assertion'])
      expect(body['actor_token_type']).toBe('urn:ietf:params:oauth:token-type:jwt')
    }
    expect(new Set(sent.map(({ body }) => body['actor_token'])).size).toBe(3)
  })

  test('never sends anything else in its place', async () => {
    const made = await authsWith(async () => new Secret('canary')).prepare(
      { method: 'client_secret_post', secrets: [SECRET] },
      ENDPOINT,
    )
    if (!made.ok) throw new Error(made.error)
    await expect(send(asActor(made.value).authenticate, 'gw')).rejects.toThrow('without an assertion')
  })
})
