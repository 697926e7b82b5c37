// The dependency rule run on small trees.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { checkDependencies } from '../../../scripts/dependencies.ts'

const folders: string[] = []

function problemsOf(files: Readonly<Record<string, string>>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'dependencies-'))
  folders.push(root)
  const all: Readonly<Record<string, string>> = {
    'package.json': JSON.stringify({ dependencies: { a: '1', '@b/c': '1', d: '1' }, devDependencies: { e: '1' } }),
    'docs/dependencies.md':
      '# D\n\n## In the Worker\n\n- **a** why\n- **@b/c** why\n\n## In the program\n\n- **d** why\n- **e** why\n',
    'src/app.ts': "import { x } from '@b/c/deep'\nexport { y } from 'a'\nexport const z = x\n",
    'src/cli/run.ts':
      "import process from 'node:process'\nconst d = await import('d')\nexport const r = [process, d]\n",
    ...files,
  }
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return checkDependencies(root).map(({ path, line, message }) => `${path}:${line} ${message}`)
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

test('checkDependencies() accepts what is declared and explained', () => {
  expect(problemsOf({})).toEqual([])
})

test("checkDependencies() finds the program's dependency imported in the Worker, but not for a type", () => {
  expect(
    problemsOf({ 'src/x.ts': "import type { T } from 'd'\nimport { t } from 'd'\nexport const x: T = t\n" }),
  ).toEqual(['src/x.ts:2 d has no reason under "In the Worker" in docs/dependencies.md'])
})

test('checkDependencies() finds an import that is no runtime dependency', () => {
  expect(problemsOf({ 'src/cli/x.ts': "export * from 'e'\nexport * from 'f/g'\n" })).toEqual([
    'src/cli/x.ts:1 e is not among "dependencies" in package.json',
    'src/cli/x.ts:2 f is not among "dependencies" in package.json',
  ])
})

test('checkDependencies() finds a dependency without a reason, and a reason without a dependency', () => {
  const text = '## In the Worker\n\n- **a** why\n- **@b/c** why\n- **gone** why\n- **d**\n\n## Others\n\n- **e** why\n'
  expect(problemsOf({ 'docs/dependencies.md': text })).toEqual([
    'docs/dependencies.md:1 no reason is given for d',
    'docs/dependencies.md:5 gone is no dependency (any more)',
  ])
})
