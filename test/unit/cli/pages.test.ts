// The manual of refusals: every code has a page, and a page leads nowhere else.
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { doorsOf, renderPage } from '../../../src/cli/pages/pages.ts'
import { CONFIG_CODES } from '../../../src/config/config.ts'
import { isRefusalCode, pageOf, REFUSAL_CODES, type RefusalCode } from '../../../src/refusal.ts'

test.each(REFUSAL_CODES)('the page of %s says what happened, what to do, and who can', async (code) => {
  const page = await renderPage(code)
  const { says, fix } = pageOf(code)
  expect(page.startsWith(`# ${code}\n`)).toBe(true)
  expect(page).toContain(says.slice(1))
  expect(page).toContain(fix)
  expect(page).toContain('**Who can change it:** ')
  expect(page).toContain(`https://gw.example/errors/${code}`)
  expect(page).not.toMatch(/undefined|\{name\}/)
  for (const [, other = ''] of page.matchAll(/\]\(([A-Z]{3}\d{3})\.md\)/g))
    expect(isRefusalCode(other), other).toBe(true)
})

/** What is decided before anybody behind us is asked, by one door alone. Tests of the Worker compare the rest as it happens. */
test.each<[RefusalCode, string, string]>([
  ['CLI103', 'At the token endpoint, 400 `unsupported_grant_type`', 'resource'],
  ['LIM203', 'At the token endpoint, 400 `invalid_target`', 'resource'],
  ['LIM204', 'At the revocation endpoint, 503 `temporarily_unavailable`', 'resource'],
  ['CLI109', 'At a resource, 400:', 'token'],
  ['UPS101', 'At a resource, 502:', 'token'],
  ['ADM105', 'In the administration, 400, as a problem:', 'resource'],
  ['CLI130', 'At `/authorize`, 400:', 'resource'],
])('the page of %s shows the answer at its door (%s) and at no other', async (code, shown, other) => {
  const page = await renderPage(code)
  expect(page).toContain(`\n${shown}`)
  expect(page).not.toContain(other === 'token' ? 'token endpoint' : 'At a resource')
  expect(doorsOf(code)).not.toContain(other)
})

test('the page of an answer without an event shows no request id', async () => {
  expect(await renderPage('CLI106')).not.toContain('"request_id"')
  expect(await renderPage('CLI130')).not.toContain('req_')
})

test('docs/errors has a file for each code, and one for the list', () => {
  const files = readdirSync(new URL('../../../docs/errors/', import.meta.url))
  const codes = [...REFUSAL_CODES, ...Object.keys(CONFIG_CODES)]
  expect(files.toSorted()).toEqual([...codes.map((code) => `${code}.md`), 'README.md'].toSorted())
})
