// What the documents claim of tests: each that is named is there, and no threat and no rule is left out.
import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const ROOT = new URL('../../../', import.meta.url)

function read(name: string): string {
  return readFileSync(new URL(name, ROOT), 'utf8')
}

test.each(['docs/threat-model.md', 'docs/conformance.md', 'SECURITY.md'])(
  'every test that %s names is there',
  (name) => {
    const named = [...read(name).matchAll(/`(test\/[^`]*)`/g)].map(([, path = '']) => path)
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter((path) => !existsSync(new URL(path, ROOT)))).toEqual([])
  },
)

test('the threat model answers for each threat, with a test or a reason', () => {
  const rows = [...read('docs/threat-model.md').matchAll(/^\| (T\d\d) +\|(.*)\|(.*)\|(.*)\|$/gm)]
  expect(rows.map(([, id]) => id)).toEqual(Array.from({ length: 60 }, (_, at) => `T${String(at + 1).padStart(2, '0')}`))
  for (const [, id, , defence = '', shown = ''] of rows) {
    expect(shown.includes('`test/') || defence.includes('Later issue'), id).toBe(true)
  }
})

test('the rules of each role are all there', () => {
  const text = read('docs/conformance.md')
  const ids = [...text.matchAll(/^\| ([ADEF]-\d+(?:(?:, | to )[ADEF]-\d+)*) +\|/gm)].flatMap(([, cell = '']) =>
    expand(cell),
  )
  const wanted = { A: 36, D: 13, E: 9, F: 13 }
  expect(ids.toSorted()).toEqual(
    Object.entries(wanted)
      .flatMap(([role, count]) => Array.from({ length: count }, (_, at) => `${role}-${at + 1}`))
      .toSorted(),
  )
})

/** `A-26 to A-29, A-32` is five rules. */
function expand(cell: string): readonly string[] {
  return cell.split(', ').flatMap((part) => {
    const [from = '', to = from] = part.split(' to ')
    const [role = '', first = ''] = from.split('-')
    const last = Number(to.split('-')[1])
    return Array.from({ length: last - Number(first) + 1 }, (_, at) => `${role}-${Number(first) + at}`)
  })
}
