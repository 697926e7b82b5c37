// The manual of refusals: every code has a page, and a page leads nowhere else.
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { renderPage } from '../../../src/cli/pages/pages.ts'
import { isRefusalCode, pageOf, REFUSAL_CODES } from '../../../src/refusal.ts'

test.each(REFUSAL_CODES)('the page of %s says what happened, what to do, and who can', async (code) => {
  const page = await renderPage(code)
  const { says, fix } = pageOf(code)
  expect(page.startsWith(`# ${code}\n`)).toBe(true)
  expect(page).toContain(says.slice(1))
  expect(page).toContain(fix)
  expect(page).toContain('**Who can change it:** ')
  expect(page).toContain(`"type": "https://gw.example/errors/${code}"`)
  expect(page).not.toMatch(/undefined|\{name\}/)
  for (const [, other = ''] of page.matchAll(/\]\(([A-Z]{3}\d{3})\.md\)/g))
    expect(isRefusalCode(other), other).toBe(true)
})

test('docs/errors has a file for each code, and one for the list', () => {
  const files = readdirSync(new URL('../../../docs/errors/', import.meta.url))
  expect(files.toSorted()).toEqual([...REFUSAL_CODES.map((code) => `${code}.md`), 'README.md'].toSorted())
})
