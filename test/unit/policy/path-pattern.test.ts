import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compilePathPattern, toSegments } from '../../../src/policy/path-pattern.ts'

const compile = (pattern: string): ((path: string) => boolean) => {
  const matches = compilePathPattern(pattern)
  return (path) => matches(toSegments(path))
}

describe('compilePathPattern()', () => {
  test.each<[string, string[], string[]]>([
    ['/', ['/'], ['/a', '/a/']],
    ['/v1/todos', ['/v1/todos', '/v1/todos/'], ['/v1', '/v1/todos/1', '/v1/todosx', '/V1/todos', '/v1/todo', '/']],
    ['/v1/todos/', ['/v1/todos', '/v1/todos/'], ['/v1/todos/1']],
    [
      '/v1/*/comments',
      ['/v1/a/comments', '/v1/a b/comments/'],
      ['/v1/comments', '/v1/a/b/comments', '/v1/a/comments/1'],
    ],
    ['/v1/*', ['/v1/a', '/v1/a/', '/v1/a/b/c'], ['/v1', '/v1/', '/v1x', '/v1x/a', '/v2/a', '/']],
    ['/v1/**', ['/v1', '/v1/', '/v1/a', '/v1/a/b/c'], ['/v1x', '/v', '/', '/v2']],
    ['/*', ['/a', '/a/b', '/a/'], ['/']],
    ['/**', ['/', '/a', '/a/b/c/'], []],
    ['/*/admin/**', ['/v1/admin', '/v2/admin/keys'], ['/admin', '/v1/adminx', '/v1/x/admin']],
    ['/v1/a*', ['/v1/a*'], ['/v1/ab', '/v1/a']],
    ['/v1/.*', ['/v1/.*'], ['/v1/ab', '/v1/x']],
    ['/(a+)+$', ['/(a+)+$'], ['/aaaa']],
    ['/v1/ü', ['/v1/ü'], ['/v1/u']],
  ])('%s', (pattern, inside, outside) => {
    const matches = compile(pattern)
    expect(inside.filter((path) => !matches(path))).toEqual([])
    expect(outside.filter((path) => matches(path))).toEqual([])
  })

  test('matches what is beneath a prefix segment by segment, never by characters', () => {
    const segment = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', 'ü'), minLength: 1, maxLength: 3 })
    const segments = fc.array(segment, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(segments, segments, (prefix, path) => {
        const isBeneath = path.length > prefix.length && prefix.every((one, index) => one === path[index])
        const isSame = path.join('/') === prefix.join('/')
        const actual = `/${path.join('/')}`
        expect(compile(`/${prefix.join('/')}/*`)(actual)).toBe(isBeneath)
        expect(compile(`/${prefix.join('/')}/**`)(actual)).toBe(isBeneath || isSame)
        expect(compile(`/${prefix.join('/')}`)(actual)).toBe(isSame)
      }),
    )
  })

  test('takes linear time, however the pattern and the path look', () => {
    const start = performance.now()
    const matches = compile(`${'/*'.repeat(2000)}/x`)
    expect(matches('/a'.repeat(20_000))).toBe(false)
    expect(performance.now() - start).toBeLessThan(200)
  })
})
