// `jagway check` as it is run: what it prints, where, and how it ends.
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { check } from '../../../src/cli/check.ts'
import { broken, EXAMPLE } from '../config/example.ts'

const ROOT = join(import.meta.dirname, '../../..')
const LOCAL = EXAMPLE.replace('https://gw.example', 'http://127.0.0.1:8787')

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
    expect(await run(EXAMPLE)).toEqual({
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
    expect(JSON.parse((await run(EXAMPLE, '--json')).out)).toMatchObject({
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
    const { text } = broken('"effect": "allow"', '"effect": "allow", "methods": ["GET"]')
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

describe('check()', () => {
  it('does not warn about a file that cannot be used', () => {
    const { text } = broken('"effect": "allow"', '"effect": "alow", "methods": ["GET"]')
    const report = check(text, { fileName: 'x', strict: true, local: undefined })
    expect(report).toMatchObject({ exitCode: 1, mode: 'production', warnings: [], counts: undefined })
    expect(report.problems).toHaveLength(1)
  })
})
