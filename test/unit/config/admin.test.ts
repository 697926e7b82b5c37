// Who holds rights in the administration: a group is a group of one identity provider.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'

/** A configuration with the identity providers idp1 and idp2, and an administration. */
const TWO_IDPS = await readFile(join(import.meta.dirname, '../../fixtures/catalogue.jsonc'), 'utf8')

function parseWith(group: string): ReturnType<typeof parseConfig> {
  const text = TWO_IDPS.replace('"revoke": { "groups": ["idp1/admins"] }', `"revoke": { "groups": ["${group}"] }`)
  return parseConfig(text, { fileName: 'jagway.jsonc', local: true })
}

test('parseConfig() refuses an admin group that each of several identity providers may have', () => {
  const parsed = parseWith('security')
  expect(parsed.ok).toBe(false)
  expect(parsed).toMatchObject({ error: [{ code: 'CFG108', help: 'say whose: "idp1/security" or "idp2/security"' }] })
})

test('parseConfig() takes a group of one of them, even with a slash in its name', () => {
  const parsed = parseWith('idp2/ops/security')
  expect(parsed).toMatchObject({
    ok: true,
    value: { admin: { idToken: { revoke: { groups: [{ idp: 'idp2', name: 'ops/security' }] } } } },
  })
})
