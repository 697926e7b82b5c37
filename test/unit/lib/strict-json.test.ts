import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isObject, parseJson, parseJsonObject, toCanonicalJson } from '../../../src/lib/strict-json.ts'

function problemOf(text: string): string {
  const parsed = parseJsonObject(text)
  return parsed.ok ? 'ok' : parsed.error
}

/** Any UTF-16, lone surrogates too. */
const anyUnits = fc.array(fc.nat(0xffff), { maxLength: 12 }).map((codes) => String.fromCharCode(...codes))

describe('parseJsonObject() reads what JSON says', () => {
  test('gives every kind of value', () => {
    const text = ' {"s":"\\u00e9\\n","n":-1.5e3,"t":true,"f":false,"z":null,"a":[1,[2]],"o":{"p":{}}}\r\n'
    expect(parseJsonObject(text)).toEqual({ ok: true, value: JSON.parse(text) })
  })

  test('gives what was written, whatever it was', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 6 })), (value) => {
        const text = JSON.stringify(value)
        fc.pre(!text.includes('__proto__'))
        expect(parseJsonObject(text)).toEqual({ ok: true, value: JSON.parse(text) })
      }),
    )
  })

  test('takes the same member name in different objects', () => {
    expect(problemOf('{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}],"c":{"b":1}}')).toBe('ok')
  })

  test('takes the names of methods as the ordinary members they are', () => {
    const parsed = parseJsonObject('{"constructor":1,"toString":2,"hasOwnProperty":3,"prototype":4}')
    expect(parsed).toEqual({ ok: true, value: { constructor: 1, toString: 2, hasOwnProperty: 3, prototype: 4 } })
  })

  test('takes sixteen levels and not one more', () => {
    const nested = (levels: number): string => '{"a":'.repeat(levels) + '1' + '}'.repeat(levels)
    const mixed = (levels: number): string => '{"a":' + '['.repeat(levels - 1) + ']'.repeat(levels - 1) + '}'
    expect([nested(16), mixed(16)].map(problemOf)).toEqual(['ok', 'ok'])
    expect([nested(17), mixed(17)].map(problemOf)).toEqual(['too_deep', 'too_deep'])
  })

  test('does not run out of stack on a hundred thousand levels, closed or not', () => {
    expect(problemOf('{"a":' + '['.repeat(100_000))).toBe('too_deep')
    expect(problemOf('{"a":' + '['.repeat(100_000) + ']'.repeat(100_000) + '}')).toBe('too_deep')
  })

  test('gives numbers as JSON.parse does: what is too large for one becomes infinite', () => {
    const parsed = parseJsonObject('{"n":1e999,"m":-1e999,"i":9007199254740993}')
    const value = { n: Number.POSITIVE_INFINITY, m: Number.NEGATIVE_INFINITY, i: 9007199254740992 }
    expect(parsed).toEqual({ ok: true, value })
  })
})

describe('parseJsonObject() refuses what could be read in two ways', () => {
  test.each([
    ['at the top', '{"a":1,"a":1}'],
    ['with another value', '{"iss":"good","iss":"evil"}'],
    ['written with an escape', '{"a":1,"\\u0061":2}'],
    ['in an inner object', '{"o":{"a":1,"b":2,"a":3}}'],
    ['in an object in a list', '{"l":[0,{"a":1,"a":2}]}'],
    ['five levels down', '{"a":{"a":{"a":{"a":{"x":1,"x":1}}}}}'],
    ['as empty name', '{"":1,"":2}'],
    ['after an inner object of the same name', '{"a":{"a":1},"a":2}'],
  ])('a member that stands twice %s', (_where, text) => {
    expect(problemOf(text)).toBe('repeated_member')
  })

  test.each([
    '{"__proto__":{}}',
    '{"a":[{"__proto__":1}]}',
    '{"\\u005f\\u005fproto__":null}',
    '{"o":{"__proto__":{"x":1}}}',
  ])('the member __proto__: %s', (text) => {
    expect(problemOf(text)).toBe('forbidden_member')
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false)
  })

  test.each(['[]', '"text"', '1', 'null', 'true', '[{"a":1}]'])('a text whose top is no object: %s', (text) => {
    expect(problemOf(text)).toBe('not_an_object')
  })

  test.each([
    '',
    ' ',
    '\uFEFF{}',
    '{}\uFEFF',
    '{} {}',
    '{}x',
    '{"a":1,}',
    '{,}',
    '{"a":[1,]}',
    '{"a" 1}',
    '{a:1}',
    "{'a':1}",
    '{"a":\'b\'}',
    '{"a":/*c*/1}',
    '{"a":1}//c',
    '{"a":NaN}',
    '{"a":Infinity}',
    '{"a":undefined}',
    '{"a":True}',
    '{"a":01}',
    '{"a":+1}',
    '{"a":.5}',
    '{"a":1.}',
    '{"a":1e}',
    '{"a":0x1}',
    '{"a":1_000}',
    '{"a":"\n"}',
    '{"a":"\u0000"}',
    '{"a":"\\x41"}',
    '{"a":"\\u12"}',
    '{"a":"',
    '{"a"',
    '{',
    '}',
    '{"a":1]',
    '{"a":\u00a01}',
    '{"a":\u20281}',
  ])('what is not JSON: %j', (text) => {
    expect(problemOf(text)).toBe('not_json')
  })

  test('never throws, and never takes what JSON.parse does not', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"a"',
      '"',
      '\\',
      '\\u0061',
      '1',
      '-',
      'e',
      '/*',
      '*/',
      '//',
      '\n',
      '\uFEFF',
      'null',
    ]
    const text = fc.oneof(
      anyUnits,
      fc.array(fc.constantFrom(...pieces)).map((list) => list.join('')),
    )
    fc.assert(
      fc.property(text, (tried) => {
        const parsed = parseJsonObject(tried)
        if (parsed.ok) expect(parsed.value).toEqual(JSON.parse(tried))
      }),
      { numRuns: 500 },
    )
  })
})

describe('isObject()', () => {
  test('knows objects from lists, from null and from everything else', () => {
    expect([{}, { a: 1 }].every((value) => isObject(value))).toBe(true)
    expect([[], null, undefined, 'x', 1, true].some((value) => isObject(value))).toBe(false)
  })
})

describe('parseJson() and toCanonicalJson()', () => {
  test('give one text to one value, whatever its spelling', () => {
    const spellings = [
      '[{"b":[1,{"d":null,"c":"\\u0061"}],"a":1.50}]',
      ' [ {"a":15e-1, "b":[1.0,{"c":"a","d":null}]} ]\n',
    ]
    for (const text of spellings) {
      const value = parseJson(text)
      expect(value.ok && toCanonicalJson(value.value)).toBe('[{"a":1.5,"b":[1,{"c":"a","d":null}]}]')
    }
  })

  test('sort members by their code units, also those that look like numbers', () => {
    expect(toCanonicalJson({ b: 1, '10': 2, '9': 3, a: 4, B: 5, é: 6 })).toBe('{"10":2,"9":3,"B":5,"a":4,"b":1,"é":6}')
  })

  test('read what they have written as the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = toCanonicalJson(JSON.parse(JSON.stringify(value)))
        fc.pre(text !== undefined && !text.includes('__proto__'))
        expect(parseJson(text)).toEqual({ ok: true, value: JSON.parse(JSON.stringify(value)) })
      }),
    )
  })

  test.each(['9007199254740993', '-9007199254740992', '1e400', '[[{"a":-1e999}]]'])('have no text for %s', (text) => {
    const value = parseJson(text)
    expect(value.ok).toBe(true)
    expect(value.ok && toCanonicalJson(value.value)).toBeUndefined()
  })

  test.each(['', 'nope', '[1,]', '{"a":1,"a":2}', '[{"__proto__":1}]', '['.repeat(17) + ']'.repeat(17)])(
    'do not read %s',
    (text) => {
      expect(parseJson(text).ok).toBe(false)
    },
  )
})
