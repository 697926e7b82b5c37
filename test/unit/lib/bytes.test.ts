import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromBase64Url, fromUtf8, toBase64Url, toUtf8 } from '../../../src/lib/bytes.ts'

/** Any UTF-16, lone surrogates too. */
const anyUnits = fc.array(fc.nat(0xffff), { maxLength: 12 }).map((codes) => String.fromCharCode(...codes))

describe('fromBase64Url() and toBase64Url()', () => {
  test('give any bytes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = toBase64Url(bytes)
        expect(text).toMatch(/^[A-Za-z0-9_-]*$/)
        expect(fromBase64Url(text)).toEqual({ ok: true, value: new Uint8Array(bytes) })
      }),
    )
  })

  test('agree with the vectors of RFC 4648 section 10, without padding', () => {
    const vectors = { '': '', f: 'Zg', fo: 'Zm8', foo: 'Zm9v', foob: 'Zm9vYg', fooba: 'Zm9vYmE', foobar: 'Zm9vYmFy' }
    for (const [text, encoded] of Object.entries(vectors)) {
      expect(toBase64Url(toUtf8(text))).toBe(encoded)
      expect(fromBase64Url(encoded)).toEqual({ ok: true, value: toUtf8(text) })
    }
    expect(toBase64Url(new Uint8Array([0xfb, 0xff]))).toBe('-_8')
  })

  test('give each byte sequence one spelling: what decodes is exactly what encoding gives', () => {
    const unit = fc.constantFrom('A', 'B', 'Q', 'g', 'w', '_', '-', '9', '=', '+', '/', ' ', '\n', 'é')
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), (text) => {
        const bytes = fromBase64Url(text)
        if (bytes.ok) expect(toBase64Url(bytes.value)).toBe(text)
      }),
      { numRuns: 500 },
    )
  })

  test.each(['Zh', 'Zm9', 'Zm8=', 'Zg==', 'Z', 'Zm9vY', 'Zm+v', 'Zm/v', ' Zg', 'Zg ', 'Zg\n', 'Zg.', 'Zé'])(
    'refuse %j: unused bits, padding, the other alphabet, white space',
    (text) => {
      expect(fromBase64Url(text)).toEqual({ ok: false, error: 'not_base64url' })
    },
  )
})

describe('fromUtf8()', () => {
  test('gives any well-formed text back', () => {
    fc.assert(
      fc.property(anyUnits, (text) => {
        expect(fromUtf8(toUtf8(text.toWellFormed()))).toEqual({ ok: true, value: text.toWellFormed() })
      }),
    )
  })

  test('does not drop a byte order mark without a word', () => {
    expect(fromUtf8(new Uint8Array([0xef, 0xbb, 0xbf, 0x7b]))).toEqual({ ok: true, value: '\uFEFF{' })
  })

  test.each([
    ['an overlong dot', [0xc0, 0xae]],
    ['an overlong slash', [0xe0, 0x80, 0xaf]],
    ['half a character', [0xc3]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a character past the last one', [0xf4, 0x90, 0x80, 0x80]],
    ['a lone continuation', [0x80]],
    ['Latin-1', [0x72, 0xe9]],
  ])('refuses %s instead of replacing it', (_what, bytes) => {
    expect(fromUtf8(new Uint8Array(bytes))).toEqual({ ok: false, error: 'not_utf8' })
  })
})
