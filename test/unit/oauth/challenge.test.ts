import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseWwwAuthenticate, toWwwAuthenticate, type Challenge } from '../../../src/oauth/challenge.ts'

const METADATA = 'https://gw.test/.well-known/oauth-protected-resource/r/tasks'
const NOTHING = { error: undefined, scopes: [], acrValues: undefined, maxAgeSeconds: undefined }

/** Any UTF-16, lone surrogates too. */
const anyUnits = fc.array(fc.nat(0xffff), { maxLength: 12 }).map((codes) => String.fromCharCode(...codes))

describe('toWwwAuthenticate()', () => {
  test('without a token names the metadata and no error (RFC 6750 section 3.1)', () => {
    expect(toWwwAuthenticate({ scopes: ['a', 'b'], resourceMetadata: METADATA })).toBe(
      `Bearer scope="a b", resource_metadata="${METADATA}"`,
    )
  })

  test('writes every member in its place', () => {
    const challenge: Challenge = {
      error: 'insufficient_user_authentication',
      errorDescription: 'sign in again',
      scopes: ['a'],
      acrValues: 'urn:mfa urn:hwk',
      maxAgeSeconds: 0,
      resourceMetadata: METADATA,
    }
    expect(toWwwAuthenticate(challenge)).toBe(
      'Bearer error="insufficient_user_authentication", error_description="sign in again", scope="a", ' +
        `acr_values="urn:mfa urn:hwk", max_age="0", resource_metadata="${METADATA}"`,
    )
  })

  test('leaves out what is empty', () => {
    expect(
      toWwwAuthenticate({ error: 'invalid_token', errorDescription: '', scopes: [], resourceMetadata: METADATA }),
    ).toBe(`Bearer error="invalid_token", resource_metadata="${METADATA}"`)
  })

  test('cannot be made to write another header, parameter or challenge by any text', () => {
    const text = fc.oneof(
      anyUnits,
      fc
        .array(fc.constantFrom('"', '\\', '\r\n', '\n', ', ', 'x="y"', 'Basic realm=', '\u0000', 'é', 'a'))
        .map((list) => list.join('')),
    )
    fc.assert(
      fc.property(text, text, text, (errorDescription, acrValues, scope) => {
        const header = toWwwAuthenticate({
          error: 'invalid_token',
          errorDescription,
          acrValues,
          scopes: [scope],
          resourceMetadata: METADATA,
        })
        expect(header).toMatch(/^Bearer (?:[a-z_]+="[\x20-\x21\x23-\x5B\x5D-\x7E]*"(?:, |$))+$/)
        const names = [...header.matchAll(/(?:^Bearer |", )([a-z_]+)="/g)].map(([, name]) => name)
        expect(new Set(names).size).toBe(names.length)
        expect(names.at(-1)).toBe('resource_metadata')
        expect(() => new Headers({ 'www-authenticate': header })).not.toThrow()
      }),
      { numRuns: 500 },
    )
  })
})

describe('parseWwwAuthenticate()', () => {
  test.each([
    [
      'Bearer error="insufficient_scope", scope="a b", resource_metadata="https://evil.test"',
      { ...NOTHING, error: 'insufficient_scope', scopes: ['a', 'b'] },
    ],
    ['bearer error=invalid_token', { ...NOTHING, error: 'invalid_token' }],
    ['DPoP algs="ES256", error="invalid_token"', { ...NOTHING, error: 'invalid_token' }],
    [
      'Bearer error="insufficient_user_authentication", acr_values="urn:a urn:b", max_age="300"',
      { error: 'insufficient_user_authentication', scopes: [], acrValues: 'urn:a urn:b', maxAgeSeconds: 300 },
    ],
    [
      'Bearer error="insufficient_user_authentication",max_age=0',
      { ...NOTHING, error: 'insufficient_user_authentication', maxAgeSeconds: 0 },
    ],
    ['BEARER ERROR = "insufficient_scope" , SCOPE = "x"', { ...NOTHING, error: 'insufficient_scope', scopes: ['x'] }],
    ['Basic realm="x", Bearer error="invalid_token"', { ...NOTHING, error: 'invalid_token' }],
  ])('reads %s', (header, read) => {
    expect(parseWwwAuthenticate(header)).toEqual(read)
  })

  test.each([
    null,
    '',
    'Bearer',
    'Basic realm="x"',
    'Basic error="invalid_token"',
    'Negotiate',
    'NotBearer error="invalid_token"',
    'Bearer error="access_denied"',
    'Bearer error="INVALID_TOKEN"',
    'Bearer error_description="error=invalid_token"',
    `Bearer error="invalid_token", x="${'y'.repeat(4096)}"`,
  ])('makes nothing of %.60s', (header) => {
    expect(parseWwwAuthenticate(header)).toEqual(NOTHING)
  })

  test('does not take what another scheme says for what Bearer says', () => {
    const header =
      'Digest realm="x", error="insufficient_user_authentication", Bearer error="insufficient_scope", scope="a"'
    expect(parseWwwAuthenticate(header)).toEqual({ ...NOTHING, error: 'insufficient_scope', scopes: ['a'] })
  })

  test('leaves out single members that are odd, and keeps the rest', () => {
    const odd = 'Bearer error="insufficient_user_authentication", scope="a \\"b c", acr_values="\\"", max_age="-1"'
    expect(parseWwwAuthenticate(odd)).toEqual({
      ...NOTHING,
      error: 'insufficient_user_authentication',
      scopes: ['a', 'c'],
    })
    expect(parseWwwAuthenticate('Bearer max_age="99999999999"').maxAgeSeconds).toBeUndefined()
    expect(parseWwwAuthenticate(`Bearer acr_values="${'a'.repeat(513)}"`).acrValues).toBeUndefined()
  })

  test('takes the first of two equal members', () => {
    expect(parseWwwAuthenticate('Bearer error="insufficient_scope", error="invalid_token"').error).toBe(
      'insufficient_scope',
    )
  })

  test('gives back what was written, and never throws', () => {
    const scope = fc.string({ unit: fc.constantFrom('a', ':', '.', '/', ','), minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(fc.array(scope), fc.nat(999_999_999), (scopes, maxAgeSeconds) => {
        const header = toWwwAuthenticate({ error: 'invalid_token', scopes, maxAgeSeconds, resourceMetadata: METADATA })
        expect(parseWwwAuthenticate(header)).toEqual({
          error: 'invalid_token',
          scopes,
          acrValues: undefined,
          maxAgeSeconds,
        })
      }),
    )
    fc.assert(
      fc.property(anyUnits, (text) => {
        const { scopes, acrValues } = parseWwwAuthenticate(`Bearer ${text}`)
        for (const value of [...scopes, acrValues ?? '']) expect(value).toMatch(/^[\x20-\x21\x23-\x5B\x5D-\x7E]*$/)
      }),
      { numRuns: 300 },
    )
  })

  test('reads a hostile header in linear time', () => {
    const start = performance.now()
    for (const piece of ['a="', 'a=', '"\\', 'Bearer ', ' ', '='])
      parseWwwAuthenticate(`Bearer ${piece.repeat(1300)}`.slice(0, 4096))
    expect(performance.now() - start).toBeLessThan(500)
  })
})
