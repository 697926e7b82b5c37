import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseStrictPath } from '../../../src/lib/strict-path.ts'

/** The bad-input catalogue; it is there where the project is built, not in every copy of it. */
const CATALOGUE = join(import.meta.dirname, '../../../../shared/security/catalogue/cases.json')

/**
 * Every way an upstream could plausibly read a path: separators folded, parameters cut off, empty and dot segments removed,
 * a NUL taken for the end, Unicode folded, and all of it after up to three decodings.
 */
function readings(raw: string): Set<string> {
  const found = new Set<string>()
  let path = raw
  for (let depth = 0; depth < 4; depth++) {
    for (const text of [path, path.normalize('NFKC')]) for (const reading of forms(text)) found.add(decoded(reading))
    const next = decoded(path)
    if (next === path) break
    path = next
  }
  return found
}

function forms(text: string): string[] {
  const slashes = text.replaceAll('\\', '/')
  const bare = text.replaceAll(/;[^/]*/g, '')
  const all = slashes.replaceAll(/;[^/]*/g, '').replaceAll(/\/{2,}/g, '/')
  return [text, slashes, bare, all, text.replace(/\0.*$/s, '')].map(withoutDots)
}

function withoutDots(text: string): string {
  const kept: string[] = []
  for (const segment of text.split('/')) {
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
  }
  const path = kept.join('/')
  return path.startsWith('/') ? path : `/${path}`
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text.replaceAll(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  }
}

/** Any UTF-16, lone surrogates too. */
const anyUnits = fc.array(fc.nat(0xffff), { maxLength: 12 }).map((codes) => String.fromCharCode(...codes))

describe('parseStrictPath() accepts', () => {
  test.each([
    ['/', '/'],
    ['/v1/todos', '/v1/todos'],
    ['/v1/todos/', '/v1/todos/'],
    ['/v1/public/~root', '/v1/public/~root'],
    ['/v1/.git/config', '/v1/.git/config'],
    ['/v1/..a/b..c', '/v1/..a/b..c'],
    ['/v1/item:1', '/v1/item:1'],
    ["/a-b_c.d~e!f$g&h'i(j)k*l+m,n=o:p@q", "/a-b_c.d~e!f$g&h'i(j)k*l+m,n=o:p@q"],
    ['/v1/a%20b', '/v1/a b'],
    ['/v1/caf%C3%A9', '/v1/café'],
    ['/v1/%E6%97%A5%E6%9C%AC', '/v1/日本'],
    ['/v1/%F0%9F%98%80', '/v1/😀'],
    ['/v1/%7Eroot%21', '/v1/~root!'],
  ])('%s as %s', (raw, path) => {
    expect(parseStrictPath(raw)).toEqual({ ok: true, value: path })
  })
})

describe('parseStrictPath() refuses', () => {
  test.each([
    ['nothing', ''],
    ['no slash in front', 'v1'],
    ['a star', '*'],
    ['two slashes in front', '//v1'],
    ['an authority', '//evil.test/v1'],
    ['an empty segment', '/v1//x'],
    ['two slashes at the end', '/v1//'],
    ['a dot segment', '/v1/./x'],
    ['a dot segment at the end', '/v1/.'],
    ['a double dot segment', '/v1/../x'],
    ['a double dot segment at the end', '/v1/..'],
    ['encoded dots', '/v1/%2e%2e/x'],
    ['half encoded dots', '/v1/.%2E/x'],
    ['one encoded dot', '/v1/admin%2e'],
    ['an encoded slash', '/v1/a%2fb'],
    ['an encoded slash in capitals', '/v1/a%2Fb'],
    ['a backslash', '/v1\\x'],
    ['an encoded backslash', '/v1/..%5cx'],
    ['a path parameter', '/v1/..;/x'],
    ['a session id', '/v1/x;jsessionid=1'],
    ['an encoded semicolon', '/v1/x%3ba'],
    ['an encoded letter', '/v1/%61dmin'],
    ['a dot at the end of a name', '/v1/secrets./a'],
    ['three dots', '/v1/...'],
    ['a space at the end of a name', '/v1/secrets%20/a'],
    ['a data stream', '/v1/item::$DATA'],
    ['a data stream behind escapes', '/v1/item%3A%3A$DATA'],
    ['a data stream half behind an escape', '/v1/item:%3A$DATA'],
    ['the index of a directory', '/v1/secrets:$i30:$INDEX_ALLOCATION/x'],
    ['the index of a directory behind an escape', '/v1/secrets%3A$i30:$INDEX_ALLOCATION/x'],
    ['an encoded digit', '/v%31/admin'],
    ['an encoded question mark', '/v1/x%3fy'],
    ['an encoded hash', '/v1/x%23y'],
    ['a hash', '/v1/x#y'],
    ['a double encoding', '/v1/%252e%252e/x'],
    ['a triple encoding', '/v1/%25252e'],
    ['an encoded letter encoded again', '/v1/%2561'],
    ['a lone percent', '/v1/100%'],
    ['half an escape', '/v1/%4'],
    ['an escape of no hexadecimal', '/v1/%zz'],
    ['the escape of IIS', '/v1/%u002e'],
    ['a NUL', '/v1/x%00'],
    ['a tab', '/v1/x%09'],
    ['a line break', '/v1/%0d%0aX-Injected:%20y'],
    ['a delete', '/v1/x%7f'],
    ['a C1 control', '/v1/x%C2%85'],
    ['an overlong dot', '/v1/%c0%ae%c0%ae/x'],
    ['an overlong slash', '/v1/..%c0%af'],
    ['three bytes for a dot', '/v1/%e0%80%ae'],
    ['a lone byte', '/v1/%E9'],
    ['a surrogate', '/v1/%ED%A0%80'],
    ['a full-width slash', '/v1/..%ef%bc%8fx'],
    ['full-width dots', '/v1/%EF%BC%8E%EF%BC%8E/x'],
    ['a one-dot leader', '/v1/%E2%80%A4%E2%80%A4/x'],
    ['a ligature', '/v1/o%EF%AC%83ce'],
    ['a character that is composed of two', '/v1/e%CC%81'],
    ['a character that two escapes and a letter compose', '/v1/caf%65%CC%81'],
    ['a right-to-left override', '/v1/%E2%80%AEx'],
    ['a zero-width space', '/v1/ad%E2%80%8Bmin'],
    ['a soft hyphen', '/v1/ad%C2%ADmin'],
    ['a byte order mark', '/v1/%EF%BB%BFx'],
    ['a no-break space', '/v1/a%C2%A0b'],
    ['a line separator', '/v1/a%E2%80%A8b'],
    ['a private character', '/v1/%EE%80%80'],
    ['an unassigned character', '/v1/%CD%B8'],
    ['a raw space', '/v1/a b'],
    ['a raw letter outside ASCII', '/v1/café'],
    ['a quote', '/v1/"x"'],
    ['a brace', '/v1/{x}'],
    ['a caret', '/v1/^'],
    ['a pipe', '/v1/a|b'],
    ['a bracket', '/v1/[x]'],
    ['a question mark', '/v1?x'],
    ['a line break in the raw text', '/v1/x\n'],
  ])('%s: %j', (_what, raw) => {
    expect(parseStrictPath(raw)).toEqual({ ok: false, error: 'ambiguous' })
  })

  test('a long hostile path in linear time', () => {
    const start = performance.now()
    for (const piece of ['/a', '/%2e%2e', '%41', '/..', '%', '/%C3']) parseStrictPath(`/v1${piece.repeat(20_000)}`)
    expect(performance.now() - start).toBeLessThan(1_000)
  })
})

describe('an accepted path', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '/',
      '/',
      '/',
      '.',
      '..',
      '%2e',
      '%2f',
      '%5c',
      '\\',
      ';',
      ';a=b',
      '%3b',
      '%25',
      '%',
      '%00',
      '%20',
      '%41',
    ),
    fc.constantFrom(
      'a',
      'admin',
      'v1',
      'public',
      '%61',
      '%C3%A9',
      '%EF%BC%8F',
      '%CC%81',
      'e',
      '%c0%ae',
      '+',
      '~',
      '@',
      ':',
    ),
    fc.nat(255).map((byte) => `%${byte.toString(16).padStart(2, '0')}`),
    anyUnits.map((text) => encodeURIComponent(text.toWellFormed())),
  )
  const path = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`)

  test('has one reading, whoever reads it, however often it is decoded', () => {
    fc.assert(
      fc.property(path, (raw) => {
        const parsed = parseStrictPath(raw)
        if (parsed.ok) expect([...readings(raw)]).toEqual([parsed.value])
      }),
      { numRuns: 3000 },
    )
  })

  test('is not changed by a URL parser', () => {
    fc.assert(
      fc.property(path, (raw) => {
        if (parseStrictPath(raw).ok) expect(new URL(`https://api.test${raw}`).href).toBe(`https://api.test${raw}`)
      }),
      { numRuns: 2000 },
    )
  })

  test('is met often enough for these properties to say something', () => {
    const accepted = fc.sample(path, 2000).filter((raw) => parseStrictPath(raw).ok)
    expect(accepted.length).toBeGreaterThan(100)
  })
})

interface PathCase {
  readonly id: string
  readonly family: string
  readonly steps: readonly { readonly path?: string }[]
}

describe('the PATH cases of the bad-input catalogue', () => {
  const known: { cases: PathCase[] } = existsSync(CATALOGUE)
    ? JSON.parse(readFileSync(CATALOGUE, 'utf8'))
    : { cases: [] }
  const paths = known.cases
    .filter(({ family }) => family === 'PATH')
    .flatMap(({ id, steps }) => steps.flatMap(({ path: text }) => (text === undefined ? [] : [[id, text] as const])))
  const isPublic = (reading: string): boolean => /^\/v1\/public(?:\/|$)/.test(reading)

  test.skipIf(paths.length === 0)(
    'are there (skipped where ../shared is not: it is no part of this repository)',
    () => {
      expect(paths.length).toBeGreaterThanOrEqual(100)
    },
  )

  test.skipIf(paths.length === 0).each(paths)(
    '%s is refused, or every reading of it is the one policy sees',
    (_id, text) => {
      const raw = text.split('?')[0] ?? ''
      const parsed = parseStrictPath(raw)
      expect(parsed.ok ? 'one reading' : parsed.error).toMatch(/^(?:one reading|ambiguous)$/)
      if (!parsed.ok) return
      expect([...readings(raw)]).toEqual([parsed.value])
      expect([...readings(raw)].every(isPublic)).toBe(isPublic(parsed.value))
    },
  )
})
