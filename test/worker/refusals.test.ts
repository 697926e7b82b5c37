// Each refusal code has a test that provokes it. The tests of this folder name the code they provoke when they expect it;
// here it is counted that none is left out without a reason.
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { REFUSAL_CODES } from '../../src/refusal.ts'

/** Codes no test of this folder can provoke, and why. */
const REASONS: Readonly<Record<string, string>> = {
  UPS111: 'an upstream is given 100 seconds until its headers',
}

/** Both legs share the list in test/support/misbehaviour.ts: its codes are put together from the leg and a number. */
const MISBEHAVIOUR = /\bnumber: (\d{3})\b/g

test('every code is provoked, or has a reason not to be', () => {
  const folder = new URL('./', import.meta.url)
  const tests = readdirSync(folder).filter((name) => name.endsWith('.test.ts') && name !== 'refusals.test.ts')
  const named = tests.flatMap((name) =>
    [...readFileSync(new URL(name, folder), 'utf8').matchAll(/'([A-Z]{3}\d{3})'/g)].map(([, code = '']) => code),
  )
  const list = readFileSync(new URL('../support/misbehaviour.ts', folder), 'utf8')
  const shared = [...list.matchAll(MISBEHAVIOUR)].flatMap(([, number = '']) => [`IDP${number}`, `RAS${number}`])
  const provoked = new Set([...named, ...shared])

  const missing = REFUSAL_CODES.filter((code) => !provoked.has(code) && !Object.hasOwn(REASONS, code))
  expect(missing).toEqual([])
  const stale = Object.keys(REASONS).filter(
    (code) => provoked.has(code) || !REFUSAL_CODES.some((known) => known === code),
  )
  expect(stale).toEqual([])
})
