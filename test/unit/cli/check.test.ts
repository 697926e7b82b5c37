// `jagway check` as it is run: what it prints, where, and how it ends.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { check } from '../../../src/cli/check.ts'
import { broken, EXAMPLE } from '../config/example.ts'

const ROOT = join(import.meta.dirname, '../../..')
/** The example without the scope that no rule gives. */
const CLEAN = EXAMPLE.replace('"scopes": ["read", "write"]', '"scopes": ["read"]')
const LOCAL = CLEAN.replace('https://gw.example', 'http://127.0.0.1:8787')

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jagway-check-'))
})
afterAll(() => rm(folder, { recursive: true }))

interface Run {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function jagway(...args: readonly string[]): Promise<Run> {
  const { promise, resolve } = Promise.withResolvers<Run>()
  execFile(
    process.execPath,
    [join(ROOT, 'src/cli/jagway.ts'), 'check', ...args],
    { cwd: folder },
    (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err })
    },
  )
  return await promise
}

async function run(text: string, ...args: readonly string[]): Promise<Run> {
  await writeFile(join(folder, 'jagway.jsonc'), text)
  return await jagway(...args)
}

describe('jagway check', () => {
  it('says what is in a file that can be used, on standard output, and ends with 0', async () => {
    expect(await run(CLEAN)).toEqual({
      code: 0,
      out: 'jagway.jsonc: 1 idp, 2 clients, 1 resource, 1 rule, 2 secrets: ok\n',
      err: '',
    })
  })

  it('shows every problem in its place on standard error and ends with 1', async () => {
    const { code, out, err } = await run(broken('"effect": "allow"', '"effect": "alow"').text)
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toContain('jagway.jsonc:27:32 error CFG104 one of "allow", "deny", "shadow-deny" is expected here')
    expect(err).toContain('= did you mean "allow"?')
    expect(err).toContain('jagway.jsonc: 1 problem: not ok')
    expect(err).not.toContain('\u001B')
  })

  it('ends with 2 when there is no such file, and when an option is not known', async () => {
    expect(await jagway('nowhere.jsonc')).toMatchObject({ code: 2, out: '' })
    expect(await jagway('--frmat', 'json')).toMatchObject({ code: 2, out: '' })
    expect(await run(EXAMPLE, '--format', 'xml')).toMatchObject({ code: 2, out: '' })
    expect(await run(EXAMPLE, 'jagway.jsonc', 'another.jsonc')).toMatchObject({ code: 2, out: '' })
  })

  it('writes the same as JSON, and nothing else', async () => {
    const { code, out, err } = await run(broken('"version": 1', '"version": 2').text, '--format', 'json')
    expect({ code, err }).toEqual({ code: 1, err: '' })
    expect(JSON.parse(out)).toEqual({
      file: 'jagway.jsonc',
      mode: 'production',
      ok: false,
      problems: [
        {
          code: 'CFG104',
          severity: 'error',
          message: 'version 1 is the only one there is',
          path: ['version'],
          line: 2,
          column: 14,
          length: 1,
        },
      ],
    })
    expect(JSON.parse((await run(CLEAN, '--json')).out)).toMatchObject({
      ok: true,
      counts: { rules: 1 },
      problems: [],
    })
  })

  it('writes annotations for GitHub, one line each', async () => {
    const { out } = await run(broken('"effect": "allow"', '"effect": "alow"').text, '--format', 'github')
    expect(out).toBe(
      '::error file=jagway.jsonc,line=27,col=32,endColumn=38,title=CFG104::one of "allow", "deny", "shadow-deny" is expected here%0Adid you mean "allow"?\n',
    )
  })

  it('shows warnings and ends with 0, or with 1 under --strict', async () => {
    const { text } = broken('"effect": "allow"', '"effect": "allow", "methods": ["GET"]', CLEAN)
    const lax = await run(text)
    expect(lax).toMatchObject({ code: 0, out: expect.stringContaining('1 warning: ok') })
    expect(lax.err).toContain('warning CFG203')
    const strict = await run(text, '--strict')
    expect(strict).toMatchObject({ code: 1, out: '', err: expect.stringContaining('1 warning: not ok') })
  })

  it('takes a file for a local run where its public URL says so, and says that it did', async () => {
    expect((await run(LOCAL)).out).toContain('jagway.jsonc (local): ')
    expect(await run(LOCAL, '--no-local')).toMatchObject({
      code: 1,
      err: expect.stringContaining('for local runs only'),
    })
  })

  it('takes a file for a local run when told to', async () => {
    const { text } = broken('"https://idp.example"', '"http://127.0.0.1:9000"')
    expect(await run(text)).toMatchObject({ code: 1 })
    expect(await run(text, '--local')).toMatchObject({ code: 0, out: expect.stringContaining('(local)') })
  })
})

describe('policy tests', () => {
  const withTests = (...tests: readonly object[]): string =>
    CLEAN.replace(
      '"policy": {',
      `"policy": {\n    "tests": [\n${tests.map((each) => `      ${JSON.stringify(each)}`).join(',\n')}\n    ],`,
    )
  const reads = { name: 'bots read', as: { user: 'ann', client: 'bot' }, request: 'TOKEN tasks', expect: 'allow' }

  it('that hold are counted and otherwise not spoken of', async () => {
    const exact = { ...reads, name: 'exactly', rule: 'all', scopes: ['read'] }
    const never = { ...reads, name: 'never', request: 'TOKEN tasks admin', expect: 'deny', code: 'POL102' }
    expect(await run(withTests(reads, exact, never))).toEqual({
      code: 0,
      out: 'jagway.jsonc: 1 idp, 2 clients, 1 resource, 1 rule, 3 tests, 2 secrets: ok\n',
      err: '',
    })
  })

  it('that do not hold are shown in their place with the explanation, and end with 1', async () => {
    const { code, out, err } = await run(
      withTests(reads, { ...reads, name: 'nobody writes', request: 'POST tasks /v1', expect: 'deny' }),
    )
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toContain('jagway.jsonc:28:102 error CFG301 policy test "nobody writes": expected deny, got allow')
    expect(err).toContain('= ALLOW  POST tasks /v1  as ann [] via bot      allowed by all')
    expect(err).toContain('● all  allow  every condition holds')
    expect(err).toContain('3 tests'.replace('3', '2'))
    expect(err).toContain('1 problem: not ok')
  })

  it.each<[string, object, string]>([
    ['another rule', { rule: 'all', request: 'TOKEN tasks', as: { user: 'ann', client: 'people' } }, ''],
    ['another decision', { expect: 'step_up' }, 'expected step_up, got allow'],
    ['other scopes', { scopes: [] }, 'expected no scopes, got the scopes read'],
    ['another code', { request: 'TOKEN tasks admin', expect: 'deny', code: 'POL100' }, 'expected POL100, got POL102'],
  ])('are compared with what was expected: %s', (_what, changes, words) => {
    const report = check(withTests({ ...reads, ...changes }), { fileName: 'x', strict: false, local: undefined })
    expect(report.problems.map(({ message }) => message)).toEqual(
      words === '' ? [] : [`policy test "bots read": ${words}`],
    )
  })

  it('are asked at the time they say, or now', () => {
    const ends = (at: string | undefined, expected: string) => {
      const text = withTests({ ...reads, expect: expected, ...(at === undefined ? {} : { at }) })
      const dated = text.replace('"effect": "allow"', '"effect": "allow", "until": "2020-06-30"')
      return check(dated, { fileName: 'x', strict: false, local: undefined }).problems
    }
    expect(ends('2020-06-30', 'allow')).toEqual([])
    expect(ends('2020-07-01', 'deny')).toEqual([])
    expect(ends(undefined, 'deny')).toEqual([])
  })

  it('that are broken keep the file from being used', async () => {
    const { code, err } = await run(withTests(reads, { ...reads, name: 'x', as: { user: 'ann', client: 'bto' } }))
    expect(code).toBe(1)
    expect(err).toContain('error CFG108 there is no client "bto"')
    expect(err).toContain('did you mean "bot"?')
  })

  it('are asked before a deployment', async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    expect(scripts.predeploy).toBe('node src/cli/jagway.ts check')
  })
})

describe('check()', () => {
  it('tells all faults of a file of many in one run, each with line and column', async () => {
    const many = await readFile(join(ROOT, 'test/fixtures/many-faults.jsonc'), 'utf8')
    const marks = many
      .split('\n')
      .flatMap((line, index) =>
        [...line.matchAll(/\/\* (CFG\d{3}) \*\/ /g)].map(
          (mark) => `${index + 1}:${mark.index + mark[0].length + 1} ${mark[1]}`,
        ),
      )
    const { code, err } = await run(many)
    expect(code).toBe(1)
    const told = [...err.matchAll(/^jagway\.jsonc:(\d+:\d+) error (CFG\d{3}) /gm)].map(
      ([, place, faulty]) => `${place} ${faulty}`,
    )
    expect(told).toEqual(marks)
    expect(told.length).toBeGreaterThanOrEqual(20)
  })

  it('does not warn about a file that cannot be used', () => {
    const { text } = broken('"effect": "allow"', '"effect": "alow", "methods": ["GET"]')
    const report = check(text, { fileName: 'x', strict: true, local: undefined })
    expect(report).toMatchObject({ exitCode: 1, mode: 'production', warnings: [], counts: undefined })
    expect(report.problems).toHaveLength(1)
  })
})
