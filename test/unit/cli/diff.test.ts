// `jagway diff`: which policy tests and which decisions another file would change.
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compare, type Difference } from '../../../src/cli/diff.ts'
import { createMatrix } from '../../../src/cli/matrix.ts'
import { configOf, EXAMPLE } from '../config/example.ts'

const NOW_MS = Date.UTC(2026, 10, 22)
const STAFF = { id: 'staff', effect: 'allow', who: { groups: ['staff'] }, methods: ['GET'], paths: ['/v1/*'] }
const TEST = {
  name: 'staff read',
  as: { user: 'ann', groups: ['staff'], client: 'people' },
  request: 'GET tasks /v1/x',
  expect: 'allow',
}

function fileOf(rules: readonly object[], tests: readonly object[] = [], changes: object = {}): string {
  const file = JSON.parse(EXAMPLE)
  file.idps.main.claims = { groups: 'groups' }
  file.policy = { rules, tests }
  return JSON.stringify({ ...file, ...changes })
}

function differ(before: string, after: string): Difference {
  return compare(configOf(before), configOf(after), NOW_MS)
}

describe('compare()', () => {
  test('finds nothing between a file and itself, nor where only the words differ', () => {
    const same = differ(fileOf([STAFF], [TEST]), fileOf([STAFF], [TEST]))
    expect(same).toMatchObject({ tests: [], decisions: [], changed: 0, added: [], removed: [] })
    expect(same.compared).toBe(same.possible)
    expect(same.compared).toBeGreaterThan(50)
    // Another rule with the same effect is no other decision.
    const renamed = differ(fileOf([STAFF]), fileOf([{ ...STAFF, id: 'people' }]))
    expect(renamed.changed).toBe(0)
  })

  test('finds each decision that changes, and the tests with it', () => {
    const deny = { id: 'not-ann', effect: 'deny', who: { users: ['ann'] } }
    const { tests, decisions, changed } = differ(fileOf([STAFF], [TEST]), fileOf([STAFF, deny], [TEST]))
    expect(tests).toEqual([
      {
        name: 'staff read',
        expect: 'allow',
        before: 'allow read write (staff)',
        after: 'deny POL101 (not-ann)',
        holds: false,
      },
    ])
    expect(changed).toBe(decisions.length)
    expect(decisions).toContainEqual({
      request: 'GET tasks /v1/x',
      client: 'people',
      as: 'main/ann [staff]',
      before: 'allow read write (staff)',
      after: 'deny POL101 (not-ann)',
    })
    // What was refused before is still refused, by another rule, which is no change; and it is only about ann.
    expect(decisions.filter(({ before }) => before.startsWith('deny'))).toEqual([])
    expect(new Set(decisions.map(({ as }) => as))).toEqual(new Set(['main/ann [staff]']))
  })

  test.each<[string, object, object, string]>([
    ['a method', { methods: ['GET'] }, { methods: ['GET', 'DELETE'] }, 'DELETE tasks /somewhere-else'],
    ['a path', { paths: ['/v1/*'] }, { paths: ['/v1/**'] }, 'GET tasks /v1'],
    ['a scope', { scopes: ['read'] }, { scopes: ['read', 'write'] }, 'TOKEN tasks write'],
    [
      'a client',
      { who: { clients: ['people'] } },
      { who: { clients: ['people', 'bot'] } },
      'GET tasks /somewhere-else',
    ],
    ['a claim', {}, { who: { claims: { kind: ['x'] } } }, 'TOKEN tasks'],
    ['a tenant', {}, { who: { tenants: ['acme'] } }, 'TOKEN tasks'],
    ['a login', {}, { who: { acr: ['phr'] } }, 'TOKEN tasks'],
    [
      'the age of a login',
      { who: { max_auth_age: '1h' } },
      { who: { max_auth_age: '5m' } },
      'GET tasks /somewhere-else',
    ],
    ['an end', {}, { until: '2020-01-01' }, 'TOKEN tasks'],
  ])('sees %s', (_what, before, after, request) => {
    const rule = { id: 'one', effect: 'allow' }
    const { decisions } = differ(fileOf([{ ...rule, ...before }]), fileOf([{ ...rule, ...after }]))
    expect(decisions.map((each) => each.request)).toContain(request)
  })

  test('knows clients and resources that only one file has', () => {
    const before = fileOf([STAFF])
    const file = JSON.parse(before)
    const mail = structuredClone(file.resources.tasks)
    mail.proxy.path = '/r/mail'
    const after = JSON.stringify({ ...file, resources: { ...file.resources, mail } })
    const { decisions } = differ(before, after)
    expect(decisions).toContainEqual(
      expect.objectContaining({ request: 'GET mail /v1/x', before: 'not there', after: 'allow read write (staff)' }),
    )
  })

  test('tells tests that came and went', () => {
    const other = { ...TEST, name: 'another' }
    expect(differ(fileOf([STAFF], [TEST]), fileOf([STAFF], [other]))).toMatchObject({
      added: ['another'],
      removed: ['staff read'],
      tests: [],
      changed: 0,
    })
  })

  test('asks a bounded number of questions, spread over everything, and says so', () => {
    const rules = Array.from({ length: 60 }, (_, index) => ({
      id: `r${index}`,
      effect: 'allow',
      who: { groups: [`g${index}`], claims: { [`c${index % 7}`]: [index] } },
      paths: [`/v1/${index}/*`],
    }))
    const config = configOf(fileOf(rules))
    const matrix = createMatrix([config, config])
    expect(matrix.size).toBeGreaterThan(1_000_000)
    const cells = [...matrix.cells(2_000)]
    expect(cells).toHaveLength(2_000)
    expect(new Set(cells.map((cell) => JSON.stringify(cell))).size).toBe(2_000)
    expect(new Set(cells.map(({ as }) => as.client)).size).toBe(2)
    expect(new Set(cells.map(({ as }) => as.groups[0])).size).toBeGreaterThan(30)
    const { compared, possible } = compare(config, config, NOW_MS, 3_000)
    expect(compared).toBe(3_000)
    expect(possible).toBe(matrix.size)
  })
})

describe('jagway diff', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'jagway-diff-'))
    await writeFile(join(folder, 'old.jsonc'), fileOf([STAFF], [TEST]))
    await writeFile(join(folder, 'new.jsonc'), fileOf([{ ...STAFF, methods: ['POST'] }], [TEST]))
    await writeFile(join(folder, 'broken.jsonc'), EXAMPLE.replace('"allow"', '"alow"'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const diff = (...args: readonly string[]) =>
    new Promise<{ code: number; out: string; err: string }>((done) => {
      const program = join(import.meta.dirname, '../../../src/cli/jagway.ts')
      execFile(process.execPath, [program, 'diff', ...args], { cwd: folder }, (error, out, err) =>
        done({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
      )
    })

  test('says what changes and ends with 1, or that nothing does and ends with 0', async () => {
    const changed = await diff('old.jsonc', 'new.jsonc')
    expect(changed.code).toBe(1)
    expect(changed.out).toContain('policy tests: 1 with another answer')
    expect(changed.out).toContain('! "staff read": allow read write (staff) → deny POL100, expected is allow')
    expect(changed.out).toContain('GET tasks /v1/x  via people: allow read write (staff) → deny POL100  for main/')
    expect(await diff('old.jsonc', 'old.jsonc')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^policy tests: no answer changes\ndecisions: none changes, \d+ compared\n$/),
    })
  })

  test('says the same as JSON', async () => {
    const { code, out } = await diff('old.jsonc', 'new.jsonc', '--json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      tests: [{ name: 'staff read', holds: false }],
      changed: expect.any(Number),
    })
  })

  test('shows what is wrong with a file that cannot be used, and compares nothing', async () => {
    const { code, out, err } = await diff('old.jsonc', 'broken.jsonc')
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toContain('broken.jsonc:27:32 error CFG104')
    expect(await diff('old.jsonc')).toMatchObject({ code: 2 })
  })
})
