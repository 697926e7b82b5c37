// The house check run on small trees: a clean one, and the same with one fault planted in it.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { checkHouse, inspectHouse } from '../../../scripts/house.ts'

type Tree = Readonly<Record<string, string>>

/** Every kind of import that is allowed, and words in comments and strings that only look like faults. */
const CLEAN: Tree = {
  'src/worker.ts': `// The Worker.
import { createApp } from './app.ts'
import { cloudflare } from './platform/cloudflare.ts'
export default { fetch: (request: Request): Response => createApp(cloudflare).fetch(request) }
`,
  'src/app.ts': `// The routes.
import { handle } from './gateway/gateway.ts'
import type { Ground } from './ports.ts'
const app = handle
export function createApp(ground: Ground): Ground { return app.fetch(ground) }
`,
  'src/platform/cloudflare.ts': `// The ground.
import type { Ground } from '../ports.ts'
export const cloudflare: Ground = { fetch: (request) => fetch(request) }
`,
  'src/gateway/gateway.ts': `// The door of gateway/.
import { decide } from '../policy/policy.ts'
import type { Ground } from '../ports.ts'
import { path } from './path.ts'
export function handle(ground: Ground): Ground { return decide(path) === undefined ? ground : ground }
`,
  'src/gateway/path.ts': `// Paths. Not a call: fetch(nothing), as any, x!
import { hex } from '../lib/bytes.ts'
import { challenge } from '../oauth/challenge.ts'
export const path = hex + challenge + 'x as any; fetch(y); // @ts-nothing'
`,
  'src/policy/policy.ts': `// The door of policy/.
import { rule } from './rule.ts'
import type { Permit } from '../model.ts'
export function decide(path: string): Permit { return { path, rule } as Permit }
`,
  'src/policy/rule.ts': `/* A rule. */
export const rule = { id: 'a', tags: ['b'] } as const satisfies object
`,
  'src/oauth/challenge.ts': `// Challenges.
export const challenge = 'Bearer'
export { hex as digits } from '../lib/bytes.ts'
`,
  'src/lib/bytes.ts': `// Bytes.
export const hex = 'f'
`,
  'src/model.ts': `// The nouns.
export type Permit = { readonly path: string; readonly rule: unknown }
`,
  'src/ports.ts': `// The ground's shape.
import type { Permit } from './model.ts'
export type Ground = { readonly fetch: (request: Request) => Promise<Response>; readonly last?: Permit }
`,
  'src/cli/jagway.ts': `#!/usr/bin/env node
// The program.
import { decide } from '../policy/policy.ts'
console.log(decide('/'), await fetch('http://127.0.0.1'))
`,
  'dev/idp.ts': `import { decide } from '../src/policy/policy.ts'
export const idp = decide
`,
  'test/unit/gateway/path.test.ts': `import { path } from '../../../src/gateway/path.ts'
// @ts-expect-error a string is not a number
export const wrong: number = path
`,
}

const folders: string[] = []

function plant(changes: Tree): string {
  const root = mkdtempSync(join(tmpdir(), 'house-'))
  folders.push(root)
  for (const [path, text] of Object.entries({ ...CLEAN, ...changes })) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

function problemsOf(changes: Tree): string[] {
  return checkHouse(plant(changes)).map(({ path, line, message }) => `${path}:${line} ${message}`)
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

describe('checkHouse()', () => {
  test('finds nothing in a clean tree, and counts its one cast', () => {
    const report = inspectHouse(plant({}))
    expect(report.problems).toEqual([])
    expect(report.casts).toBe(1)
    expect(report.files).toBe(Object.keys(CLEAN).length)
  })

  test('finds an import cycle inside a room and names every file of it, once', () => {
    const found = problemsOf({
      'src/policy/rule.ts': "// A rule.\n\nimport { when } from './time.ts'\nexport const rule = when\n",
      'src/policy/time.ts': "// Times.\nimport type { Zone } from './zone.ts'\nexport const when: Zone = 1\n",
      'src/policy/zone.ts': "// Zones.\nexport type Zone = typeof import('./rule.ts').rule\n",
    })
    expect(found).toEqual([
      'src/policy/zone.ts:2 import cycle: src/policy/rule.ts → src/policy/time.ts → src/policy/zone.ts → src/policy/rule.ts',
    ])
  })

  test('finds an import that points up, also when it is only for a type', () => {
    const text =
      "// A rule.\n\nimport type { handle } from '../gateway/gateway.ts'\nexport type Rule = typeof handle\nexport const rule = 1\n"
    // The same import closes a cycle, gateway → policy → gateway.
    const found = problemsOf({ 'src/policy/rule.ts': text })
    expect(found).toContain(
      'src/policy/rule.ts:3 imports point down only: policy is on floor 3, gateway on 6 (src/gateway/gateway.ts)',
    )
    expect(found.some((problem) => problem.includes('import cycle'))).toBe(true)
  })

  test('finds an import of a room on the same floor', () => {
    const found = problemsOf({
      'src/token/token.ts': "// Tokens.\nexport const token = import('../gateway/gateway.ts')\n",
    })
    expect(found).toEqual([
      'src/token/token.ts:2 rooms on one floor do not know each other: token and gateway (src/gateway/gateway.ts)',
    ])
  })

  test('finds an import through the wall', () => {
    const found = problemsOf({
      'src/app.ts':
        "// Routes.\n\n\nexport { rule, rule as other } from './policy/rule.ts'\nexport function createApp() {}\n",
    })
    expect(found).toEqual(['src/app.ts:4 src/policy/rule.ts is not a door of policy/'])
  })

  test('lets only tests of the insides and the schema script look behind a door', () => {
    const schema = '// The schema.\nexport const configSchema = 1\n'
    const looks = "import { configSchema } from '../src/config/schema.ts'\nexport const s = configSchema\n"
    const wall = "import { path } from '../../src/gateway/path.ts'\nexport const p = path\n"
    expect(
      problemsOf({
        'src/config/schema.ts': schema,
        'scripts/schema.ts': looks,
        'dev/schema.ts': looks,
        'test/e2e/a.ts': wall,
      }),
    ).toEqual([
      'dev/schema.ts:1 src/config/schema.ts is not a door of config/',
      'test/e2e/a.ts:1 src/gateway/path.ts is not a door of gateway/',
    ])
  })

  test('keeps lib/ free of the nouns, the Worker free of the program, and the client free of everything', () => {
    const found = problemsOf({
      'src/lib/clock.ts': "// Clock.\nimport type { Permit } from '../model.ts'\nexport type Clock = Permit\n",
      'src/admin/admin.ts': "// Pages.\nimport { run } from '../cli/jagway.ts'\nexport const admin = run\n",
      'src/client/client.ts': "// Client.\nimport { hex } from '../lib/bytes.ts'\nexport const client = hex\n",
    })
    expect(found).toEqual([
      'src/admin/admin.ts:2 the Worker does not know cli/ (src/cli/jagway.ts)',
      'src/client/client.ts:2 client/ depends on nothing else (src/lib/bytes.ts)',
      'src/lib/clock.ts:2 lib/ knows no domain word: it does not import model.ts (src/model.ts)',
    ])
  })

  test('finds the Worker importing the local world, which the program may start, and a room without a floor', () => {
    const found = problemsOf({
      'src/cli/dev.ts': "// Dev.\nexport const world = import('../../dev/idp.ts')\n",
      'src/audit/audit.ts': "// Audit.\nimport { idp } from '../../dev/idp.ts'\nexport const audit = idp\n",
      'src/attic/attic.ts': "// Attic.\nimport { hex } from '../lib/bytes.ts'\nexport const attic = hex\n",
    })
    expect(found).toEqual([
      'src/attic/attic.ts:2 attic stands on no floor: give it one in scripts/house.ts (src/lib/bytes.ts)',
      'src/audit/audit.ts:2 src/ never imports dev/idp.ts',
    ])
  })

  test('finds a Permit made outside policy/, in a test as well', () => {
    const found = problemsOf({
      'src/gateway/path.ts':
        "// Paths.\nimport type { Permit } from '../model.ts'\nexport const path = ''\nexport const permit = { path } as Permit\n",
      'test/unit/forged.ts':
        "import type { AuthenticatedClient } from '../../src/model.ts'\nexport const client = {} as AuthenticatedClient\n",
    })
    expect(found).toEqual([
      'src/gateway/path.ts:4 only src/policy/ makes a Permit',
      'src/gateway/path.ts:4 no cast here: `as` stands only in the makers',
      'test/unit/forged.ts:2 only src/identity/ makes a AuthenticatedClient',
    ])
  })

  test('finds a proof made by a predicate, and a cast to a wrapped or qualified one', () => {
    const found = problemsOf({
      'test/unit/forged.ts':
        "import type * as model from '../../src/model.ts'\nimport type { Permit } from '../../src/model.ts'\nexport const isPermit = (value: unknown): value is Permit => value !== null\nexport const one = {} as model.Permit\nexport const two = {} as Readonly<Permit>\n",
    })
    expect(found).toEqual([
      'test/unit/forged.ts:3 only src/policy/ makes a Permit',
      'test/unit/forged.ts:4 only src/policy/ makes a model.Permit',
      'test/unit/forged.ts:5 only src/policy/ makes a Readonly<Permit>',
    ])
  })

  test('finds one cast too many in a maker', () => {
    const found = problemsOf({
      'src/lib/numeric-date.ts':
        '// Dates.\nexport const a = 1 as Seconds\nexport const b = 2 as Seconds\ntype Seconds = number & { s: 1 }\n',
    })
    expect(found).toEqual(['src/lib/numeric-date.ts:3 a maker with at most 1 casts has 2'])
  })

  test('finds `as any`, `as unknown as`, `!` and compiler suppressions outside src/ too', () => {
    const text =
      'export const a = 1 as any\nexport const b = a as unknown as string\nexport const c = b!\n// @ts-ignore\nexport const d: string = 1\n'
    expect(problemsOf({ 'dev/a.ts': text })).toEqual([
      'dev/a.ts:1 never `as any`',
      'dev/a.ts:2 never `as unknown as`',
      'dev/a.ts:3 never `!`: find out what happens when it is absent',
      'dev/a.ts:4 never @ts-ignore',
    ])
  })

  test('finds a barrel, and lets a file with one statement of its own pass', () => {
    const text = "// All of it.\nexport { rule } from './rule.ts'\nexport type { Permit } from '../model.ts'\n"
    expect(problemsOf({ 'src/policy/all.ts': text })).toEqual([
      'src/policy/all.ts:1 a barrel: it only exports what others make',
    ])
    expect(problemsOf({ 'src/policy/all.ts': `${text}export const own = 1\n` })).toEqual([])
  })

  test('finds a file of 401 lines, and lets one of 400 pass', () => {
    const lines = (count: number): string => `// Long.\n${'export {}\n'.repeat(count - 2)}export const x = 1\n`
    expect(problemsOf({ 'src/lib/long.ts': lines(401) })).toEqual([
      'src/lib/long.ts:401 401 lines; past 400 a file wants splitting',
    ])
    expect(problemsOf({ 'src/lib/long.ts': lines(400) })).toEqual([])
  })

  test('finds fetch called anywhere but in the places named for it', () => {
    const text =
      '// Keys.\nexport const keys = (ground: { fetch: typeof fetch }) => ground.fetch("https://idp.example")\n'
    expect(problemsOf({ 'src/identity/jwks.ts': text })).toEqual([
      'src/identity/jwks.ts:2 fetch is called only in the places scripts/house.ts names',
    ])
    expect(problemsOf({ 'src/oauth/counterparty.ts': text })).toEqual([])
  })

  test('finds vague names and files that do not say what they are for', () => {
    const bare = 'export const x = 1\n'
    expect(
      problemsOf({ 'dev/utils/a.ts': bare, 'src/lib/token-helper.ts': `// X.\n${bare}`, 'src/lib/x.ts': bare }),
    ).toEqual([
      'dev/utils/a.ts:1 "utils" says nothing: name what it does',
      'src/lib/token-helper.ts:1 "token-helper" says nothing: name what it does',
      'src/lib/x.ts:1 a file opens with a comment: what it is for',
    ])
  })
})
