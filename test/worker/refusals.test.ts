// Each refusal code has a test that provokes it. The tests of this folder name the code they provoke when they expect it;
// here it is counted that none is left out.
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { REFUSAL_CODES } from '../../src/refusal.ts'

/** Both legs share the list in test/support/misbehaviour.ts: its codes are put together from the leg and a number. */
const MISBEHAVIOUR = /\bnumber: (\d{3})\b/g

test('every code is provoked', () => {
  const folder = new URL('./', import.meta.url)
  const files = readdirSync(folder).map((name) => new URL(name, folder))
  // To be stopped by LIM204 takes 2,000 revocations, which only the memory ground gives in time.
  const named = [...files, new URL('../unit/token/revocation.test.ts', folder)].flatMap(codesIn)
  const list = readFileSync(new URL('../support/misbehaviour.ts', folder), 'utf8')
  const shared = [...list.matchAll(MISBEHAVIOUR)].flatMap(([, number = '']) => [`IDP${number}`, `RAS${number}`])
  const provoked = new Set([...named, ...shared])

  expect(REFUSAL_CODES.filter((code) => !provoked.has(code))).toEqual([])
})

/** As they stand in an expectation: alone, or after a status. This file names codes without provoking them. */
function codesIn(file: URL): readonly string[] {
  if (!file.pathname.endsWith('.test.ts') || file.pathname.endsWith('/refusals.test.ts')) return []
  return [...readFileSync(file, 'utf8').matchAll(/'(?:\d{3} )?([A-Z]{3}\d{3})(?:'|: )/g)].map(([, code = '']) => code)
}
