import { describe, expect, test } from 'vitest'
import { toJson, toProblem, toTokenError, type AnswerContext } from '../../../src/oauth/answers.ts'
import { REFUSAL_CODES, toResourceVoice, toTokenVoice, type Refusal } from '../../../src/refusal.ts'

const CONTEXT: AnswerContext = { requestId: 'req_1', errorPages: 'https://gw.test/errors/', inFull: true }
const RESOURCE = {
  metadataUrl: 'https://gw.test/.well-known/oauth-protected-resource/r/tasks',
  scopes: ['a', 'b'],
  dpop: false,
}
const FULL = {
  name: 'tasks',
  detail: 'canary',
  retryAfterSeconds: 7,
  stepUp: { acrValues: 'urn:mfa', maxAgeSeconds: 60 },
} as const satisfies Omit<Refusal, 'code'>

describe('toProblem()', () => {
  test.each(REFUSAL_CODES)(
    '%s is a problem document no cache keeps, with our mark, and without the detail',
    async (code) => {
      const response = toProblem({ code, ...FULL }, CONTEXT, RESOURCE)
      const { headers } = response
      const text = await response.text()
      expect(response.status).toBe(toResourceVoice(code).status)
      expect(headers.get('content-type')).toBe('application/problem+json')
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('retry-after')).toBe('7')
      expect(headers.get('proxy-status')).toMatch(new RegExp(`^jagway; error=[a-z_]+; details="${code}"$`))
      expect(JSON.parse(text)).toMatchObject({
        type: `https://gw.test/errors/${code}`,
        status: response.status,
        code,
        request_id: 'req_1',
      })
      expect(text + JSON.stringify([...headers])).not.toContain('canary')
    },
  )

  test.each(REFUSAL_CODES)('%s has a challenge that names our metadata exactly where one is due', (code) => {
    const challenge = toProblem({ code }, CONTEXT, RESOURCE).headers.get('www-authenticate')
    const kind = toResourceVoice(code).challenge
    if (kind === 'none') return expect(challenge).toBeNull()
    const proven = toResourceVoice(code).scheme === 'DPoP'
    expect(challenge).toMatch(
      proven ? /^DPoP error="[a-z_]+", .*algs="ES256 ES384 EdDSA PS256 RS256"/ : /^Bearer (?!.*algs)/,
    )
    expect(challenge?.endsWith(`resource_metadata="${RESOURCE.metadataUrl}"`)).toBe(true)
    expect(challenge?.includes('error=')).toBe(kind !== 'bare')
    return expect(challenge).toContain(kind === 'insufficient_scope' ? ' scope="a b",' : ' scope="openid",')
  })

  test('says nothing of a missing token but where to look and what to ask for there (RFC 6750 section 3.1)', () => {
    expect(toProblem({ code: 'TOK100' }, CONTEXT, RESOURCE).headers.get('www-authenticate')).toBe(
      `Bearer scope="openid", resource_metadata="${RESOURCE.metadataUrl}"`,
    )
  })

  test('challenges whoever has used the scheme DPoP by that scheme', () => {
    expect(toProblem({ code: 'TOK103' }, CONTEXT, { ...RESOURCE, dpop: true }).headers.get('www-authenticate')).toMatch(
      /^DPoP error="invalid_token", .*algs="ES256 /,
    )
    expect(toProblem({ code: 'TOK100' }, CONTEXT, { ...RESOURCE, dpop: true }).headers.get('www-authenticate')).toBe(
      `DPoP scope="openid", algs="ES256 ES384 EdDSA PS256 RS256", resource_metadata="${RESOURCE.metadataUrl}"`,
    )
  })

  test('brings the nonce along where one is wanted (RFC 9449 section 9)', () => {
    const { headers } = toProblem({ code: 'CLI121', dpopNonce: 'n-1' }, CONTEXT, RESOURCE)
    expect(headers.get('dpop-nonce')).toBe('n-1')
    expect(headers.get('www-authenticate')).toMatch(/^DPoP error="use_dpop_nonce", /)
  })

  test('hands on what a stronger login needs (RFC 9470 section 3)', () => {
    const { headers } = toProblem(
      { code: 'IDP105', stepUp: { acrValues: 'urn:mfa', maxAgeSeconds: 0 } },
      CONTEXT,
      RESOURCE,
    )
    expect(headers.get('www-authenticate')).toContain('error="insufficient_user_authentication"')
    expect(headers.get('www-authenticate')).toContain('acr_values="urn:mfa", max_age="0"')
  })

  test('challenges nobody where no resource is known', () => {
    expect(toProblem({ code: 'TOK100' }, CONTEXT, undefined).headers.has('www-authenticate')).toBe(false)
  })
})

describe('toTokenError()', () => {
  test.each(REFUSAL_CODES)('%s is an OAuth error no cache keeps, without the detail', async (code) => {
    const response = toTokenError({ code, ...FULL }, CONTEXT, false)
    const text = await response.text()
    const { status, error } = toTokenVoice(code)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('pragma')).toBe('no-cache')
    expect(JSON.parse(text)).toEqual({
      error,
      error_description: expect.stringContaining(`${code}: `),
      error_uri: `https://gw.test/errors/${code}`,
      request_id: 'req_1',
      acr_values: 'urn:mfa',
      max_age: 60,
    })
    expect(text).not.toContain('canary')
  })

  test('challenges for Basic exactly where Basic was tried and failed (RFC 6749 section 5.2)', () => {
    const challengeOf = (code: Refusal['code'], basic: boolean): string | null =>
      toTokenError({ code }, CONTEXT, basic).headers.get('www-authenticate')
    expect(challengeOf('CLI101', true)).toBe('Basic realm="jagway", charset="UTF-8"')
    expect(challengeOf('CLI101', false)).toBeNull()
    expect(challengeOf('TOK103', true)).toBeNull()
  })

  test('says which method is allowed where another was used (RFC 9110 section 15.5.6)', () => {
    expect(toTokenError({ code: 'CLI110' }, CONTEXT, false).headers.get('allow')).toBe('POST')
    expect(toTokenError({ code: 'CLI100' }, CONTEXT, false).headers.has('allow')).toBe(false)
  })
})

describe('toJson()', () => {
  test('cannot be kept, framed or taken for something else', async () => {
    const response = toJson({ a: 1 }, 201, { 'x-more': 'yes' })
    expect([response.status, await response.json()]).toEqual([201, { a: 1 }])
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-more': 'yes',
    })
  })
})
