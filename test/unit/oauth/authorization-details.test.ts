import { describe, expect, test } from 'vitest'
import { parseAuthorizationDetails, parseGrantedDetails } from '../../../src/oauth/authorization-details.ts'
import { parseForm } from '../../../src/oauth/form.ts'

const payment = { type: 'payment', amount: '10.00' }
const account = { type: 'account', actions: ['read'] }

function parsed(value: unknown) {
  return parseAuthorizationDetails(typeof value === 'string' ? value : JSON.stringify(value))
}

describe('parseAuthorizationDetails()', () => {
  test('reads an array of objects as one canonical text, with its types sorted', () => {
    expect(parsed([payment, account, payment])).toEqual({
      ok: true,
      value: {
        json: '[{"amount":"10.00","type":"payment"},{"actions":["read"],"type":"account"},{"amount":"10.00","type":"payment"}]',
        types: ['account', 'payment'],
      },
    })
  })

  test('gives one text to all spellings, and keeps the order of the entries', () => {
    const spelled = parsed('[ {"amount":"10.00" ,"ty\\u0070e":"payment"}\n]')
    expect(spelled).toEqual(parsed([payment]))
    expect(parsed([account, payment])).not.toEqual(parsed([payment, account]))
  })

  test.each<[string, unknown]>([
    ['no JSON', 'payment'],
    ['an object', payment],
    ['null', null],
    ['a number', 5],
    ['an array of texts', ['payment']],
    ['an array in the array', [[payment]]],
    ['an entry without a type', [{ amount: 1 }]],
    ['a type that is inherited', '[{"__proto__":{"type":"payment"}}]'],
    ['an empty type', [{ type: '' }]],
    ['a type that is a number', [{ type: 5 }]],
    ['a type with a line break', [{ type: 'a\nb' }]],
    ['a type of 257 characters', [{ type: 'x'.repeat(257) }]],
    ['a type given twice', '[{"type":"a","type":"b"}]'],
    ['a number nobody can hold', '[{"type":"payment","amount":9007199254740993}]'],
    ['21 entries', Array.from({ length: 21 }, () => payment)],
    ['more than 16 KiB', [{ type: 'payment', note: 'x'.repeat(16_400) }]],
    ['17 levels', `[{"type":"payment","a":${'['.repeat(15)}${']'.repeat(15)}}]`],
    ['two texts', '[] []'],
  ])('refuses %s', (_what, value) => {
    expect(parsed(value).ok).toBe(false)
  })

  test('may come with the line breaks of pretty print, where no other parameter may', () => {
    const text = encodeURIComponent(JSON.stringify([payment], undefined, '\t'))
    const form = parseForm(`authorization_details=${text}`)
    expect(form.ok && parsed(form.value.get('authorization_details'))).toEqual(parsed([payment]))
    expect(parseForm(`subject_token=${text}`).ok).toBe(false)
    for (const control of ['%00', '%0B', '%7F', '%EF%BB%BF', '%C2%85'])
      expect(parseForm(`authorization_details=%5B${control}%5D`).ok).toBe(false)
  })
})

describe('parseGrantedDetails()', () => {
  const asked = { json: '[{"type":"payment"}]', types: ['payment'] }

  test('reads what was granted of what was asked, enriched or less of it', () => {
    expect(parseGrantedDetails([{ ...payment, id: 7 }], asked)).toEqual({
      ok: true,
      value: { json: '[{"amount":"10.00","id":7,"type":"payment"}]', types: ['payment'] },
    })
    expect(parseGrantedDetails([], asked)).toEqual({ ok: true, value: { json: '[]', types: [] } })
  })

  test('is undefined where the server says nothing, and where nothing was asked', () => {
    for (const silence of [undefined, null])
      expect(parseGrantedDetails(silence, asked)).toEqual({ ok: true, value: undefined })
    expect(parseGrantedDetails([account], undefined)).toEqual({ ok: true, value: undefined })
  })

  test.each<[string, unknown]>([
    ['another type', [payment, account]],
    ['a text', JSON.stringify([payment])],
    ['an object', payment],
    ['false', false],
  ])('refuses %s', (_what, member) => {
    expect(parseGrantedDetails(member, asked).ok).toBe(false)
  })
})
