// The form of a signed JWT before anything is believed: it never throws, and no second spelling passes.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseSignedJwt } from '../../../src/identity/compact-jwt.ts'
import { toBase64Url, toUtf8 } from '../../../src/lib/bytes.ts'
import { createWorld, outcome } from './world.ts'

const encode = (text: string) => toBase64Url(toUtf8(text))
const compact = (header: string, claims = '{}') => `${encode(header)}.${encode(claims)}.AAAA`

test('reads alg, kid, typ and claims', () => {
  const token = compact('{"alg":"ES256","kid":"k","typ":"application/AT+JWT"}', '{"sub":"alice"}')
  const value = { alg: 'ES256', kid: 'k', typ: 'at+jwt', claims: { sub: 'alice' } }
  expect(parseSignedJwt(token)).toEqual({ ok: true, value })
})

test('never throws, whatever the text', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[A-Za-z0-9_.=-]{0,80}$/))
  fc.assert(fc.property(text, (token) => typeof parseSignedJwt(token).ok === 'boolean'))
})

test('never throws, whatever the JSON', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 20 }), fc.json(), (header, claims) => {
      expect(parseSignedJwt(compact(header, claims)).ok).toBe(false)
    }),
  )
})

test('refuses every header with a parameter of the wrong type', () => {
  const names = fc.constantFrom('alg', 'kid', 'typ')
  const values = fc.jsonValue().filter((value) => typeof value !== 'string')
  fc.assert(
    fc.property(names, values, (name, value) => {
      expect(parseSignedJwt(compact(JSON.stringify({ alg: 'ES256', [name]: value }))).ok).toBe(false)
    }),
  )
})

describe('a good token changed in one place', async () => {
  const world = createWorld()
  const token = await world.token()
  const verify = async (changed: string) => outcome(await world.identity.verifyAtEdge(`Bearer ${changed}`))

  test('is never accepted, wherever and whatever the change', async () => {
    const character = fc.string({ minLength: 0, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length), fc.nat(2), character, async (at, removed, inserted) => {
        const changed = token.slice(0, at) + inserted + token.slice(at + removed)
        // White space around the credential is the header's, not the token's.
        if (changed.trimStart() === token) return
        expect(await verify(changed)).not.toBe('ok')
      }),
      { numRuns: 500 },
    )
  })

  const [header = '', claims = '', signature = ''] = token.split('.')
  test.each([
    ['padding after the header', `${header}=.${claims}.${signature}`],
    ['padding after the payload', `${header}.${claims}==.${signature}`],
    ['padding after the signature', `${token}==`],
    ['a fourth segment', `${token}.AAAA`],
    ['a dot at its end', `${token}.`],
    ['a dot before it', `.${token}`],
    ['no signature', `${header}.${claims}.`],
    ['no signature segment', `${header}.${claims}`],
    ['no payload', `${header}..${signature}`],
    ['percent-encoded dots', token.replaceAll('.', '%2E')],
    ['another base64 of the whole', encode(token)],
    ['the flattened JSON serialization', JSON.stringify({ protected: header, payload: claims, signature })],
    ['upper case', token.toUpperCase()],
    [
      'set unused bits in its signature',
      `${header}.${claims}.${signature.slice(0, -1)}${oddSibling(signature.at(-1))}`,
    ],
  ])('is refused with %s', async (_, changed) => {
    expect(await verify(changed)).toBe('TOK101')
  })
})

/** The base64url character that differs in the lowest, unused bit. */
function oddSibling(character = 'A'): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return alphabet[alphabet.indexOf(character) ^ 1] ?? ''
}

test('a token of more than 16 KiB is refused unread', async () => {
  const world = createWorld()
  const large = await world.token({ pad: 'x'.repeat(12_100) })
  expect(large.length).toBeGreaterThan(16_384)
  expect(outcome(await world.identity.verifyAtEdge(`Bearer ${large}`))).toBe('TOK101')
  const fits = await world.token({ pad: 'x'.repeat(11_000) })
  expect(outcome(await world.identity.verifyAtEdge(`Bearer ${fits}`))).toBe('ok')
})
