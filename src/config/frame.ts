// Problems as a person reads them: file:line:column, the source line, a caret under the fault, help.
import type { Remark } from './problem.ts'

/** Longer lines (a minified file is one) are shown in part. */
const MAX_WIDTH = 100
const LEAD = 30

const COLOURS = { error: '\u001B[31m', warning: '\u001B[33m', place: '\u001B[36m', dim: '\u001B[2m', off: '\u001B[0m' }

type Paint = (colour: keyof typeof COLOURS, words: string) => string

/** One block for each problem. What may be a secret is shown as asterisks, on whatever line is shown. */
export function renderProblems(
  text: string,
  problems: readonly Remark[],
  options: { readonly color?: boolean } = {},
): string {
  const paint: Paint = (colour, words) => (options.color === true ? COLOURS[colour] + words + COLOURS.off : words)
  const lines = toLines(text)
  for (const { conceal } of problems) {
    const line = conceal && lines[conceal.line - 1]
    if (conceal === undefined || line === undefined) continue
    const start = conceal.column - 1
    const end = start + conceal.length
    lines[conceal.line - 1] = line.slice(0, start) + '*'.repeat(line.slice(start, end).length) + line.slice(end)
  }
  return problems.map((problem) => renderProblem(problem, lines[problem.line - 1] ?? '', paint)).join('\n\n')
}

export function toLines(text: string): string[] {
  return text.split(/\r\n|\n|\r/)
}

function renderProblem(problem: Remark, line: string, paint: Paint): string {
  const { column, severity, help } = problem
  const start = column > MAX_WIDTH ? column - 1 - LEAD : 0
  const shown = hideSecrets(line).slice(start, start + MAX_WIDTH)
  const indent = ' '.repeat(shown.slice(0, column - 1 - start).length)
  const caret = '^'.repeat(Math.max(1, Math.min(problem.length, shown.length - indent.length)))
  const number = String(problem.line)
  const gutter = ' '.repeat(number.length)
  const block = [
    `${paint('place', `${problem.fileName}:${number}:${column}`)} ${paint(severity, `${severity} ${problem.code}`)} ${problem.message}`,
    `${paint('dim', `${number} |`)} ${printable(shown)}`,
    `${paint('dim', `${gutter} |`)} ${indent}${paint(severity, caret)}`,
  ]
  const [first, ...more] = help?.split('\n') ?? []
  if (first !== undefined) block.push(`${paint('dim', `${gutter} =`)} ${first}`)
  block.push(...more.map((each) => `${gutter}   ${each}`))
  return block.join('\n')
}

/** A key that is not known may still be a secret's: `"client_secret": "…"`. Names of secrets are not secret. */
function hideSecrets(line: string): string {
  return line.replaceAll(SECRET_VALUE, (whole, key: string, value: string) =>
    /^[A-Z][A-Z0-9_]*$/.test(value) ? whole : `${key}"${'*'.repeat(value.length)}"`,
  )
}

const SECRET_VALUE =
  /("[^"]*(?:secret|password|passphrase|api_?key|private_?key|access_token|refresh_token)[^"]*"\s*:\s*)"((?:[^"\\]|\\.)*)"/gi

/** A terminal obeys control characters, and bidirectional marks turn a line around. */
function printable(line: string): string {
  return line.replaceAll('\t', ' ').replaceAll(/\p{Cc}|\p{Bidi_Control}/gu, '\uFFFD')
}
