import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseForm, readForm, type Form } from '../../../src/oauth/form.ts'
import type { Result } from '../../../src/lib/result.ts'
import type { Refusal } from '../../../src/refusal.ts'
import { parseTokenRequest } from '../../../src/oauth/token-request.ts'

const CATALOGUE = join(import.meta.dirname, '../../../../shared/security/catalogue/cases.json')
const FORM = 'application/x-www-form-urlencoded'

function codeOf(result: Result<Form, Refusal>): string {
  return result.ok ? 'ok' : result.error.code
}

function formOf(text: string): Form {
  const form = parseForm(text)
  if (!form.ok) throw new Error(form.error.got)
  return form.value
}

function post(
  body: BodyInit | null,
  headers: Record<string, string> = { 'content-type': FORM },
  url = 'https://gw.test/token',
): Request {
  return new Request(url, { method: 'POST', body, headers })
}

/** Any UTF-16, lone surrogates too. */
const anyUnits = fc.array(fc.nat(0xffff), { maxLength: 12 }).map((codes) => String.fromCharCode(...codes))

describe('parseForm()', () => {
  test('decodes names and values once: plus is a space, escapes are UTF-8', () => {
    const form = formOf('a=b+c&d%20e=%2B%26%3D%25&f=caf%C3%A9&g=x=y=z&h=%2541')
    expect(['a', 'd e', 'f', 'g', 'h'].map((name) => form.get(name))).toEqual(['b c', '+&=%', 'café', 'x=y=z', '%41'])
  })

  test('treats a parameter without a value as if it were not there', () => {
    const form = formOf('code=&scope&a=1')
    expect([form.get('code'), form.get('scope'), form.get('a'), form.all('code')]).toEqual([
      undefined,
      undefined,
      '1',
      [],
    ])
  })

  test('takes an empty body as no parameters', () => {
    expect(formOf('').get('grant_type')).toBeUndefined()
  })

  test('lets resource and audience stand several times, in order', () => {
    const form = formOf('resource=b&audience=x&resource=a&audience=y')
    expect([form.all('resource'), form.all('audience')]).toEqual([
      ['b', 'a'],
      ['x', 'y'],
    ])
  })

  test.each(['resource=&resource=a', 'resource=a&resource='])(
    'drops an empty resource wherever it stands: %s',
    (text) => {
      expect(formOf(text).all('resource')).toEqual(['a'])
    },
  )

  test('does not find names that only objects have', () => {
    const form = formOf('a=1')
    expect(['__proto__', 'constructor', 'toString'].map((name) => form.get(name))).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(formOf('__proto__=x').get('__proto__')).toBe('x')
  })

  test.each([
    ['twice with the same value', 'scope=a&scope=a'],
    ['twice with different values', 'scope=a&scope=b'],
    ['twice, first without a value', 'scope=&scope=b'],
    ['twice, then without a value', 'scope=b&scope='],
    ['twice, once written with escapes', 'scope=a&sc%6Fpe=b'],
    ['twice, never with a value', 'scope&scope'],
  ])('refuses a parameter that stands %s', (_how, text) => {
    expect(parseForm(text)).toEqual({ ok: false, error: { code: 'CLI100', got: 'a repeated parameter' } })
  })

  test.each([
    '=x',
    '=',
    '&',
    '&&&&',
    'a=1&',
    '&a=1',
    'a=1&&b=2',
    'a=%',
    'a=%4',
    'a=%zz',
    '%zz=a',
    'a=%c0%ae',
    'a=%E9',
    'a=%ED%A0%80',
    'a=%00',
    'a=\u0000',
    'a=%0d%0aX-Injected:%20y',
    'a=\n',
    'a=%7f',
    'a=%C2%85',
    'a%09=b',
    '\uFEFFgrant_type=x',
    'a=%EF%BB%BFb',
  ])('refuses %j, and repeats none of it', (text) => {
    expect(parseForm(text)).toEqual({ ok: false, error: { code: 'CLI100', got: 'a malformed parameter' } })
  })

  test('takes sixty-four parameters and not one more', () => {
    const many = (count: number): string => Array.from({ length: count }, (_, index) => `p${index}=1`).join('&')
    expect([codeOf(parseForm(many(64))), codeOf(parseForm(many(65)))]).toEqual(['ok', 'CLI100'])
  })

  const printable = anyUnits.filter((text) => text.isWellFormed() && !/[\p{Cc}\uFEFF]/u.test(text))
  const nonEmpty = printable.filter((text) => text !== '')

  test('gives back whatever a client has encoded', () => {
    fc.assert(
      fc.property(fc.dictionary(nonEmpty, nonEmpty, { maxKeys: 20 }), (values) => {
        const form = formOf(new URLSearchParams(Object.entries(values)).toString())
        for (const [name, value] of Object.entries(values)) expect(form.get(name)).toBe(value)
      }),
    )
  })

  test('never throws, and agrees with the platform on what it takes', () => {
    const pieces = fc.constantFrom(
      'a',
      'b',
      '=',
      '&',
      '+',
      '%',
      '%41',
      '%zz',
      '%C3%A9',
      '%00',
      ';',
      '"',
      '\uFEFF',
      '\ud800',
    )
    const text = fc.oneof(
      anyUnits,
      fc.array(pieces).map((list) => list.join('')),
    )
    fc.assert(
      fc.property(text, (body) => {
        const form = parseForm(body)
        expect(codeOf(form)).toMatch(/^(?:ok|CLI100)$/)
        if (!form.ok || !body.isWellFormed()) return
        for (const [name, value] of new URLSearchParams(body)) {
          if (value !== '') expect(form.value.all(name)).toContain(value)
        }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('readForm()', () => {
  test.each([
    FORM,
    FORM.toUpperCase(),
    `${FORM};charset=UTF-8`,
    `${FORM} ; charset="utf-8"`,
    `${FORM};charset=utf-8;x=y`,
    `${FORM}; a="b;c`,
  ])('reads a body of %s', async (type) => {
    expect(codeOf(await readForm(post('a=1', { 'content-type': type })))).toBe('ok')
  })

  test.each([
    'application/json',
    'multipart/form-data; boundary=b',
    'text/plain',
    '',
    `application/json, ${FORM}`,
    `${FORM}, application/json`,
    `${FORM}%00`,
    `${FORM}; charset=utf-16`,
    `${FORM}; charset=utf-7`,
    `${FORM}; charset=utf-8; charset=iso-8859-1`,
    'application/xml',
    'x-www-form-urlencoded',
  ])('refuses a body of %j without looking at it', async (type) => {
    const request = post('grant_type=x', type === '' ? {} : { 'content-type': type })
    if (type === '') request.headers.delete('content-type')
    expect(codeOf(await readForm(request))).toBe('LIM102')
    expect(request.bodyUsed).toBe(false)
  })

  test('refuses an encoded body', async () => {
    const request = post('a=1', { 'content-type': FORM, 'content-encoding': 'gzip' })
    expect(codeOf(await readForm(request))).toBe('LIM102')
  })

  test.each(['?grant_type=x', '?x', '?access_token=eyJ'])('refuses parameters in the query: %s', async (query) => {
    const read = await readForm(post('a=1', { 'content-type': FORM }, `https://gw.test/token${query}`))
    expect(read).toEqual({ ok: false, error: { code: 'CLI100', got: 'parameters in the query string' } })
  })

  test('takes 64 KiB and not one byte more', async () => {
    const body = (bytes: number): string => `a=${'b'.repeat(bytes - 2)}`
    expect(codeOf(await readForm(post(body(64 * 1024))))).toBe('ok')
    expect(codeOf(await readForm(post(body(64 * 1024 + 1))))).toBe('LIM101')
  })

  test('refuses a body that is not UTF-8 or breaks off', async () => {
    expect(codeOf(await readForm(post(new Uint8Array([0x61, 0x3d, 0xe9]))))).toBe('CLI100')
    const broken = new ReadableStream({ pull: (controller) => controller.error(new Error('reset')) })
    // Node wants to be told that a body is a stream.
    const streaming = { method: 'POST', headers: { 'content-type': FORM }, body: broken, duplex: 'half' }
    const request = new Request('https://gw.test/token', streaming)
    expect(await readForm(request)).toEqual({ ok: false, error: { code: 'CLI100', detail: 'body broken' } })
  })

  test('reads a request without a body as no parameters', async () => {
    expect(codeOf(await readForm(post(null)))).toBe('ok')
  })
})

type Piece = string | { readonly $rep?: readonly [string, number]; readonly $cat?: readonly Piece[] }

interface OauthCase {
  readonly id: string
  readonly family: string
  readonly title: string
  readonly steps: readonly { readonly rawBody?: Piece }[]
}

function textOf(piece: Piece): string {
  if (typeof piece === 'string') return piece
  if (piece.$rep !== undefined) return piece.$rep[0].repeat(piece.$rep[1])
  return (piece.$cat ?? []).map(textOf).join('')
}

describe('the raw bodies of the bad-input catalogue', () => {
  const known: { cases: OauthCase[] } = existsSync(CATALOGUE)
    ? JSON.parse(readFileSync(CATALOGUE, 'utf8'))
    : { cases: [] }
  const bodies = known.cases
    .filter(({ family }) => family === 'OAUTH')
    .flatMap(({ id, title, steps }) =>
      steps.flatMap(({ rawBody }) => (rawBody === undefined ? [] : [[`${id} ${title}`, textOf(rawBody)] as const])),
    )

  test.skipIf(bodies.length === 0)(
    'are there (skipped where ../shared is not: it is no part of this repository)',
    () => {
      expect(bodies.length).toBeGreaterThan(10)
    },
  )

  test.skipIf(bodies.length === 0).each(bodies)(
    '%s gets no further than the parser of requests',
    async (_title, body) => {
      const form = await readForm(post(body))
      const wanted = form.ok ? parseTokenRequest(form.value) : form
      expect(wanted.ok ? 'ok' : wanted.error.code).toMatch(/^(?:CLI1\d\d|LIM101)$/)
    },
  )
})
