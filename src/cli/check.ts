// `jagway check`: everything that can be said about a configuration without running it.

import process from 'node:process'
import { defineCommand } from 'citty'
import {
  lintConfig,
  parseConfig,
  placeFindings,
  renderProblems,
  saysLocal,
  type Config,
  type ConfigProblem,
} from '../config/config.ts'
import { EXIT, ExitError, type ExitCode } from './exit.ts'
import { runPolicyTests, toFindings } from './policy-tests.ts'
import { readInput } from './serve.ts'

const FORMATS = ['pretty', 'json', 'github'] as const
type Format = (typeof FORMATS)[number]

export default defineCommand({
  meta: {
    name: 'check',
    description: 'Check a configuration: its form, its references, its policy tests, and what is hardly meant.',
  },
  args: {
    file: { type: 'positional', required: false, default: 'jagway.jsonc', description: 'The configuration' },
    format: { type: 'string', valueHint: FORMATS.join('|'), default: 'pretty', description: 'How to report' },
    json: { type: 'boolean', description: 'The same as --format json' },
    strict: { type: 'boolean', description: 'Warnings are errors' },
    local: { type: 'boolean', description: 'Allow http to this machine (default: when public_url is such an address)' },
  },
  async run({ args }) {
    if (args._.length > 1)
      throw new ExitError(EXIT.usage, `check takes one file, not also ${args._.slice(1).join(' ')}`)
    const format = parseFormat(args.json === true ? 'json' : args.format)
    const text = await readInput(args.file)
    const report = check(text, { fileName: args.file, strict: args.strict === true, local: args.local })
    const color = process.stderr.isTTY && (process.env['NO_COLOR'] ?? '') === ''
    const { out, err } = print(text, report, format, color)
    if (err !== '') console.error(err)
    if (out !== '') console.log(out)
    return report.exitCode
  },
})

export interface CheckOptions {
  readonly fileName: string
  readonly strict: boolean
  /** Undefined: as the file's own `public_url` says. */
  readonly local: boolean | undefined
}

export interface CheckReport {
  readonly fileName: string
  readonly mode: 'local' | 'production'
  readonly problems: readonly ConfigProblem[]
  readonly warnings: readonly ConfigProblem[]
  /** What is in the file, if it can be used. */
  readonly counts: Readonly<Record<(typeof COUNTED)[number], number>> | undefined
  readonly exitCode: ExitCode
}

const COUNTED = ['idps', 'clients', 'resources', 'rules', 'tests', 'secrets'] as const

export function check(text: string, options: CheckOptions): CheckReport {
  const { fileName } = options
  const local = options.local ?? saysLocal(text)
  const parsed = parseConfig(text, { fileName, local })
  const mode = local ? 'local' : 'production'
  if (!parsed.ok) {
    return { fileName, mode, problems: parsed.error, warnings: [], counts: undefined, exitCode: EXIT.problems }
  }
  const now = Date.now()
  const problems = placeFindings(toFindings(runPolicyTests(parsed.value, now)), text, fileName)
  const warnings = lintConfig(parsed.value, text, fileName, now)
  const exitCode = problems.length > 0 || (options.strict && warnings.length > 0) ? EXIT.problems : EXIT.ok
  return { fileName, mode, problems, warnings, counts: count(parsed.value), exitCode }
}

function count(config: Config): NonNullable<CheckReport['counts']> {
  const { idps, clients, resources, rules, tests, secretNames } = config
  return {
    idps: idps.size,
    clients: clients.size,
    resources: resources.size,
    rules: rules.length,
    tests: tests.length,
    secrets: secretNames.length,
  }
}

interface Printed {
  readonly out: string
  readonly err: string
}

function print(text: string, report: CheckReport, format: Format, color: boolean): Printed {
  const all = [...report.problems, ...report.warnings]
  switch (format) {
    case 'json':
      return { out: toJson(report), err: '' }
    case 'github':
      return { out: all.map(toAnnotation).join('\n'), err: summary(report) }
    case 'pretty': {
      const frames = renderProblems(text, all, { color })
      const verdict = summary(report)
      if (report.exitCode === EXIT.ok) return { out: verdict, err: frames === '' ? '' : `${frames}\n` }
      return { out: '', err: `${frames}\n\n${verdict}` }
    }
  }
}

function summary({ fileName, mode, problems, warnings, counts, exitCode }: CheckReport): string {
  const counted = COUNTED.filter((what) => what !== 'tests' || (counts?.tests ?? 0) > 0)
  const parts = counts === undefined ? [] : counted.map((what) => quantity(counts[what], what.slice(0, -1)))
  if (problems.length > 0) parts.push(quantity(problems.length, 'problem'))
  if (warnings.length > 0) parts.push(quantity(warnings.length, 'warning'))
  return `${fileName}${mode === 'local' ? ' (local)' : ''}: ${parts.join(', ')}: ${exitCode === EXIT.ok ? 'ok' : 'not ok'}`
}

function quantity(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

function toJson({ fileName, mode, problems, warnings, counts, exitCode }: CheckReport): string {
  const found = [...problems, ...warnings].map(({ code, severity, message, help, path, line, column, length }) => ({
    code,
    severity,
    message,
    help,
    path,
    line,
    column,
    length,
  }))
  return JSON.stringify({ file: fileName, mode, ok: exitCode === EXIT.ok, counts, problems: found }, undefined, 2)
}

/** A workflow command that GitHub shows at the line of the pull request. */
function toAnnotation({ code, severity, message, help, fileName, line, column, length }: ConfigProblem): string {
  const place = `file=${toProperty(fileName)},line=${line},col=${column},endColumn=${column + Math.max(1, length)}`
  const words = help === undefined ? message : `${message}\n${help}`
  return `::${severity} ${place},title=${code}::${toData(words)}`
}

function toData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function toProperty(text: string): string {
  return toData(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}

function parseFormat(word: string): Format {
  const format = FORMATS.find((known) => known === word)
  if (format === undefined) throw new ExitError(EXIT.usage, `--format is ${FORMATS.join(', ')}; not ${word}`)
  return format
}
