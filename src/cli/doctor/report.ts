// What was found, for a person and for a program.

import { styleText } from 'node:util'
import { renderProblems, type ConfigPath, type ConfigProblem, type Remark, type Span } from '../../config/config.ts'
import { EXIT, type ExitCode } from '../exit.ts'
import { plain } from '../id-token.ts'
import { colourOf, isRed, toDotted, type Check, type Colour, type Finding, type Place } from './finding.ts'

/** One of the files that places are in. */
export interface Sheet {
  readonly fileName: string
  readonly text: string
  readonly locate: (path: ConfigPath, at?: 'key' | 'value') => Span
}

interface Placed extends Span {
  readonly file: string
  /** `idps.okta.issuer` */
  readonly field: string
}

interface PlacedFinding {
  readonly code: string
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly help: string | undefined
  readonly places: readonly Placed[]
  readonly unreachable: boolean
}

interface PlacedCheck {
  readonly about: string
  readonly name: string
  readonly colour: Colour
  readonly says: string
  readonly findings: readonly PlacedFinding[]
}

export interface Report {
  readonly fileName: string
  readonly mode: 'local' | 'production'
  readonly checks: readonly PlacedCheck[]
  readonly counts: Readonly<Record<Colour, number>>
  readonly exitCode: ExitCode
  readonly sheets: readonly Sheet[]
}

export interface ReportOptions {
  readonly mode: Report['mode']
  readonly strict: boolean
  readonly sheets: { readonly config: Sheet; readonly wrangler?: Sheet | undefined }
}

/** `problems`: what the parser and the linter of the configuration say; they have their places already. */
export function createReport(
  checks: readonly Check[],
  problems: readonly ConfigProblem[],
  { mode, strict, sheets }: ReportOptions,
): Report {
  const sheetOf = ({ file }: Place): Sheet => (file === 'wrangler' ? (sheets.wrangler ?? sheets.config) : sheets.config)
  const placed = [ofFile(problems), ...checks.map((check) => placeAll(check, sheetOf))]
  const counts: Record<Colour, number> = { green: 0, amber: 0, red: 0, skipped: 0 }
  for (const { colour } of placed) counts[colour]++
  const reds = placed.flatMap(({ findings }) => findings.filter(({ severity }) => severity === 'error'))
  const bad = reds.some(({ unreachable }) => !unreachable) || (strict && counts.amber > 0)
  return {
    fileName: sheets.config.fileName,
    mode,
    checks: placed,
    counts,
    exitCode: bad ? EXIT.problems : reds.length > 0 ? EXIT.unreachable : EXIT.ok,
    sheets: Object.values(sheets).filter((sheet) => sheet !== undefined),
  }
}

function ofFile(problems: readonly ConfigProblem[]): PlacedCheck {
  const errors = problems.filter(({ severity }) => severity === 'error').length
  const findings = problems.map(({ code, severity, message, help, fileName, path, line, column, length }) => ({
    code,
    severity,
    message,
    help,
    places: [{ file: fileName, field: toDotted(path), line, column, length }],
    unreachable: false,
  }))
  return {
    about: 'the file',
    name: 'form',
    colour: errors > 0 ? 'red' : problems.length > 0 ? 'amber' : 'green',
    says: errors > 0 ? 'cannot be used' : 'can be used',
    findings,
  }
}

function placeAll(check: Check, sheetOf: (place: Place) => Sheet): PlacedCheck {
  const { about, name, says } = check
  return {
    about,
    name,
    says,
    colour: colourOf(check),
    findings: check.findings.map((finding) => placeOne(finding, sheetOf)),
  }
}

function placeOne(
  { code, message, help, places, unreachable }: Finding,
  sheetOf: (place: Place) => Sheet,
): PlacedFinding {
  return {
    code,
    severity: isRed(code) ? 'error' : 'warning',
    message,
    help,
    places: places.map((place) => {
      const { fileName, locate } = sheetOf(place)
      return { file: fileName, field: toDotted(place.path), ...locate(place.path, place.at) }
    }),
    unreachable: unreachable ?? false,
  }
}

export function toJson({ fileName, mode, checks, counts, exitCode }: Report): string {
  const document = {
    file: fileName,
    mode,
    ok: exitCode === EXIT.ok,
    counts,
    checks: checks.map(({ about, name, colour, says, findings }) => ({
      about,
      check: name,
      status: colour,
      says,
      findings: findings.map(({ code, severity, message, help, places, unreachable }) => ({
        code,
        severity,
        message,
        help,
        unreachable,
        places,
      })),
    })),
  }
  return JSON.stringify(document, undefined, 2)
}

const PAINT = { green: 'green', amber: 'yellow', red: 'red', skipped: 'dim' } as const
const WORDS = { green: 'green', amber: 'amber', red: 'red', skipped: '-' } as const

export function toText(report: Report, color: boolean): string {
  const { checks } = report
  const width = Math.max(...checks.map(({ name }) => name.length))
  const groups = Map.groupBy(checks, ({ about }) => about)
  const table = [...groups].map(([about, own]) => {
    const rows = own.map(({ name, colour, says }) => {
      const mark = WORDS[colour].padEnd(6)
      return `  ${color ? styleText(PAINT[colour], mark, { validateStream: false }) : mark} ${name.padEnd(width)}  ${plain(says)}`.trimEnd()
    })
    return [plain(about), ...rows].join('\n')
  })
  const remarks = report.sheets.flatMap((sheet) => remarksOn(sheet, checks))
  const frames = remarks.map(({ sheet, remark }) => renderProblems(sheet.text, [remark], { color }))
  return [...table, ...frames, summary(report)].join('\n\n')
}

/** In the order of the file, each at the first of its places; the others are named. */
function remarksOn(sheet: Sheet, checks: readonly PlacedCheck[]): { readonly sheet: Sheet; readonly remark: Remark }[] {
  return checks
    .flatMap(({ findings }) => findings)
    .flatMap(({ code, severity, message, help, places: [first, ...more] }) => {
      if (first === undefined || first.file !== sheet.fileName) return []
      const also = more.map(({ file, line, column, field }) => `see also ${file}:${line}:${column} ${field}`)
      const remark: Remark = {
        code,
        severity,
        message: plain(message),
        help:
          [help, ...also]
            .filter((words) => words !== undefined)
            .map(plain)
            .join('; ') || undefined,
        fileName: first.file,
        line: first.line,
        column: first.column,
        length: first.length,
        conceal: undefined,
      }
      return [{ sheet, remark }]
    })
    .toSorted((a, b) => a.remark.line - b.remark.line || a.remark.column - b.remark.column)
}

function summary({ fileName, mode, counts, exitCode }: Report): string {
  const parts = [`${counts.green} green`, `${counts.amber} amber`, `${counts.red} red`]
  if (counts.skipped > 0) parts.push(`${counts.skipped} not looked at`)
  const verdict = exitCode === EXIT.ok ? 'ok' : exitCode === EXIT.unreachable ? 'could not reach everything' : 'not ok'
  return `${fileName}${mode === 'local' ? ' (local)' : ''}: ${parts.join(', ')}: ${verdict}`
}
