// `jagway doctor` as a process: what it prints, where, and how it ends. And what the manual says of it.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DOCTOR_CODES } from '../../../../src/cli/doctor/finding.ts'
import { edit, openTown, SECRETS, WRANGLER, type Town } from './town.ts'

const PROGRAM = join(import.meta.dirname, '../../../../src/cli/jagway.ts')

let town: Town
let folder = ''

beforeAll(async () => {
  town = await openTown()
  folder = await mkdtemp(join(tmpdir(), 'jagway-doctor-'))
})
afterAll(async () => {
  await town.close()
  await rm(folder, { recursive: true })
})
beforeEach(async () => {
  town.mend()
  await put('jagway.jsonc', town.config)
  await put(
    'secrets.env',
    Object.entries(SECRETS)
      .map(([name, value]) => `${name}=${value}`)
      .join('\n'),
  )
})

function put(name: string, text: string): Promise<void> {
  return writeFile(join(folder, name), text)
}

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

function doctor(args: readonly string[], env: Record<string, string> = {}, input = ''): Promise<Ended> {
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [PROGRAM, 'doctor', ...args],
      { cwd: folder, env: { PATH: process.env['PATH'], JAGWAY_STATE_DIR: folder, ...env } },
      (error, out, err) => {
        done({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err })
      },
    )
    child.stdin?.end(input)
  })
}

// Each starts a process or a few, on a machine that may be busy.
describe('jagway doctor', { timeout: 40_000 }, () => {
  it('prints each check, a summary, and nothing on standard error, without colours, and ends with 0', async () => {
    const { code, out, err } = await doctor(['--secrets', 'secrets.env'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain('idps.corp.clients.web\n  green  credential         web-id is accepted\n')
    expect(out.trimEnd().split('\n').at(-1)).toBe('jagway.jsonc (local): 14 green, 0 amber, 0 red: ok')
    expect(out).not.toContain('\u001B')
  })

  it('takes secrets from the environment, and wrangler.toml from beside the configuration', async () => {
    await put('wrangler.toml', WRANGLER)
    const { code, out } = await doctor([], SECRETS)
    await rm(join(folder, 'wrangler.toml'))
    expect(code).toBe(0)
    expect(out).toContain('3 of 3 known')
    expect(out).toContain('wrangler.toml\n  green  bindings')
    expect(out).not.toContain('CANARY')
  })

  it('shows what is wrong in its place in the file, with what to write, and ends with 1', async () => {
    const text = edit(town.config, `"issuer": "${town.origin.ras}"`, `"issuer": "${town.origin.ras}/"`)
    const line = text.slice(0, text.indexOf(`${town.origin.ras}/`)).split('\n').length
    await put('jagway.jsonc', text)
    const { code, out } = await doctor(['--secrets', 'secrets.env'])
    expect(code).toBe(1)
    expect(out).toContain(`\njagway.jsonc:${line}:43 error DOC103 `)
    expect(out).toMatch(/\n\d+ \| +"authorization_server": .*\n {3}\| {43}\^+\n {3}= write "http/)
    expect(out).toContain('2 red, 2 not looked at: not ok')
  })

  it('reads a token from standard input and shows nothing of it', async () => {
    const token = await town.idToken({ exp: 1_700_000_000, iat: 1_600_000_000 })
    const { code, out, err } = await doctor(['--token', '-', '--secrets', 'secrets.env'], {}, `${token}\n`)
    expect(code).toBe(1)
    expect(out).toContain('DOC119 TOK103')
    for (const segment of token.split('.')) expect(out + err).not.toContain(segment)
  })

  it('writes the same as JSON, and nothing else', async () => {
    const { code, out, err } = await doctor(['--json'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const report: unknown = JSON.parse(out)
    expect(report).toMatchObject({ file: 'jagway.jsonc', mode: 'local', ok: true, counts: { red: 0, amber: 0 } })
    town.metadata.idp = { issuer: `${town.origin.idp}/` }
    const wrong: unknown = JSON.parse((await doctor(['--json'])).out)
    expect(wrong).toMatchObject({ ok: false })
    expect(Object.keys(Object(wrong))).toEqual(['file', 'mode', 'ok', 'counts', 'checks'])
    const checks: unknown = Object(wrong).checks
    expect(checks).toContainEqual({
      about: 'idps.corp',
      check: 'metadata',
      status: 'red',
      says: expect.any(String),
      findings: [
        {
          code: 'DOC103',
          severity: 'error',
          message: expect.any(String),
          help: expect.any(String),
          unreachable: false,
          places: [
            {
              file: 'jagway.jsonc',
              field: 'idps.corp.issuer',
              line: 6,
              column: 17,
              length: town.origin.idp.length + 2,
            },
          ],
        },
      ],
    })
  })

  it('does not go out for a file that cannot be used', async () => {
    await put('jagway.jsonc', edit(town.config, '"effect": "allow"', '"effect": "alow"'))
    const { code, out } = await doctor([])
    expect(code).toBe(1)
    expect(out).toContain('jagway.jsonc:37:32 error CFG104 one of "allow", "deny"')
    expect(town.seen).toEqual([])
  })

  it.each([
    ['an argument', ['jagway.jsonc'], 'the file is --config'],
    ['a file that is not there', ['--config', 'nowhere.jsonc'], 'there is no file nowhere.jsonc'],
    ['secrets that are not there', ['--secrets', 'nowhere'], 'there is no file nowhere'],
    ['a wrangler file that is not there', ['--wrangler', 'nowhere.toml'], 'there is no file nowhere.toml'],
    ['a token on the command line', ['--token', 'eyJ'], '--token takes only -'],
    ['a probe without a token', ['--probe'], '--probe runs the chain with a token'],
    ['a user of a world that it is not about', ['--as', 'ann'], '--as works with the local world only'],
    ['an unknown option', ['--frm'], 'there is no option --frm'],
  ])('ends with 2 for %s', async (_, args, words) => {
    expect(await doctor(args)).toMatchObject({ code: 2, out: '', err: expect.stringContaining(words) })
    expect(town.seen).toEqual([])
  })

  it('ends with 3 where something cannot be reached and nothing else is wrong', async () => {
    town.script.set('api /v1', () => ({ status: 503 }))
    expect((await doctor([])).code).toBe(3)
  })
})

describe('the codes of the doctor', () => {
  const tests = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
    .join('\n')
  const manual = readFileSync(join(import.meta.dirname, '../../../../docs/doctor.md'), 'utf8').replaceAll(/ +/g, ' ')

  it.each(Object.entries(DOCTOR_CODES))('%s is in the manual, and a test provokes it', (code, title) => {
    expect(manual).toContain(`| ${code} | ${title} |`)
    expect(tests).toContain(`'${code}'`)
  })
})
