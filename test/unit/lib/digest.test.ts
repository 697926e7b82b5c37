import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeFields, equalSecrets, hmac, sha256, type Field } from '../../../src/lib/digest.ts'
import { toUtf8 } from '../../../src/lib/bytes.ts'

/** Any UTF-16, lone surrogates too. */
const anyUnits = fc.array(fc.nat(0xffff), { maxLength: 12 }).map((codes) => String.fromCharCode(...codes))

// Texts that look like the encoding itself: lengths, marks, brackets.
const anyText = fc.oneof(
  fc.constantFrom('', '-', '-;', ';', ':', '0:', '1:a', '2:a:', '[0]', '[1]1:a', '[2]', 'a', 'b', 'a:b', '1', '12'),
  fc.string({ unit: fc.constantFrom('0', '1', '2', ':', ';', '-', '[', ']', 'a', '\u0000', '😀'), maxLength: 6 }),
  anyUnits,
)
const field: fc.Arbitrary<Field> = fc.oneof(anyText, fc.array(anyText, { maxLength: 4 }), fc.constant(undefined))
const fields = fc.array(field, { maxLength: 5 })

/** What a list of fields means: order and repetition within a set do not count. */
function meaning(list: readonly Field[]): string {
  return JSON.stringify(
    list.map((each) => {
      if (each === undefined) return { absent: true }
      return typeof each === 'string' ? each : [...new Set(each)].toSorted()
    }),
  )
}

describe('encodeFields()', () => {
  test('gives two lists the same text exactly if they mean the same', () => {
    fc.assert(
      fc.property(fields, fields, (left, right) => {
        expect(encodeFields(left) === encodeFields(right)).toBe(meaning(left) === meaning(right))
      }),
      { numRuns: 3000 },
    )
  })

  test('gives a list cut in another way another text', () => {
    fc.assert(
      fc.property(anyText, anyText, anyText, anyText, (a, b, c, d) => {
        fc.pre(a !== c || b !== d)
        expect(encodeFields([a, b])).not.toBe(encodeFields([c, d]))
        expect(encodeFields([[a, b], c])).not.toBe(encodeFields([[a, b, c]]))
      }),
    )
  })

  test('does not care for the order of a set, or for what stands in it twice', () => {
    fc.assert(
      fc.property(fc.array(anyText), field, (set, next) => {
        expect(encodeFields([set.toReversed(), next])).toBe(encodeFields([set, next]))
        expect(encodeFields([[...set, ...set], next])).toBe(encodeFields([set, next]))
      }),
    )
  })

  test('does not let a repeated element of a set swallow the next field', () => {
    expect(encodeFields([['a', 'a'], 'b'])).not.toBe(encodeFields([['a', 'b']]))
  })

  test('tells absent, empty text, empty set and a set of the empty text apart', () => {
    const empties: Field[] = [undefined, '', [], ['']]
    expect(new Set(empties.map((each) => encodeFields([each]))).size).toBe(4)
    expect(encodeFields([])).not.toBe(encodeFields([undefined]))
  })
})

describe('digests', () => {
  test('sha256() agrees with FIPS 180-4', async () => {
    expect(await sha256('abc')).toBe('ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0')
  })

  test('hmac() agrees with RFC 4231 case 2, and needs the key', async () => {
    const keyOf = (secret: string): Promise<CryptoKey> =>
      crypto.subtle.importKey('raw', toUtf8(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
    const text = 'what do ya want for nothing?'
    expect(await hmac(await keyOf('Jefe'), text)).toBe('W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM')
    expect(await hmac(await keyOf('jefe'), text)).not.toBe(await hmac(await keyOf('Jefe'), text))
  })

  test('equalSecrets() is equality', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.string(), async (left, right) => {
        expect(await equalSecrets(left, right)).toBe(left === right)
        expect(await equalSecrets(left, left)).toBe(true)
      }),
      { numRuns: 50 },
    )
    expect(await equalSecrets('secret', 'secret ')).toBe(false)
    expect(await equalSecrets('secret', 'Secret')).toBe(false)
  })
})
