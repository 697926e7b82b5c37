// The file as text: its tree with positions, its value, and the faults that show before any meaning does: syntax, repeated
// keys, names that JavaScript treats as its own.
import { createScanner, parseTree, type Node, type ParseError } from 'jsonc-parser'
import { toLines } from './frame.ts'
import { quote, type ConfigPath, type ConfigProblem, type Finding, type Span } from './problem.ts'

/** Deeper than any configuration; keeps the recursion below bounded. */
const MAX_DEPTH = 32
const EXTENT_OF_A_BRACE = 1

const FORBIDDEN_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

export interface Source {
  readonly fileName: string
  readonly text: string
  readonly root: Node | undefined
  /** No object in it has a key that JavaScript treats as its own. */
  readonly value: unknown
}

export interface Reading {
  readonly source: Source
  /** The text is not JSON: nothing further can be said about it. */
  readonly unreadable: readonly ConfigProblem[]
  readonly problems: readonly ConfigProblem[]
}

export function readSource(original: string, fileName: string): Reading {
  // Some editors begin a file with a byte order mark; a space in its place keeps every position.
  const text = original.replace(/^\uFEFF/, ' ')
  const empty: Source = { fileName, text, root: undefined, value: undefined }
  const deep = tooDeepAt(text)
  if (deep !== undefined) {
    return { source: empty, unreadable: [syntaxProblem(empty, deep, 1, 'nested too deeply')], problems: [] }
  }
  const errors: ParseError[] = []
  const root = parseTree(text, errors, { allowTrailingComma: true, disallowComments: false })
  const slips = errors.filter(({ error }) => SYNTAX_WORDS[error] === MISSING_COMMA)
  if (errors.length > slips.length || root === undefined) {
    const unreadable = errors.map(({ error, offset, length }) =>
      syntaxProblem(empty, offset, length, SYNTAX_WORDS[error] ?? 'this is not JSON'),
    )
    if (unreadable.length === 0) unreadable.push(syntaxProblem(empty, 0, 0, 'the file is empty'))
    // What follows a slip on the same line is mostly the parser looking for its way back.
    const firstOfLine = unreadable.filter(({ line }, index) => line !== unreadable[index - 1]?.line)
    return { source: empty, unreadable: firstOfLine, problems: [] }
  }
  const found: { readonly node: Node; readonly finding: Finding }[] = []
  const value = toValue(root, [], (node, finding) => found.push({ node, finding }))
  const source: Source = { fileName, text, root, value }
  const problems = [
    ...slips.map(({ offset, length }) => syntaxProblem(source, offset, length, MISSING_COMMA)),
    ...found.map(({ node, finding }) => problemAt(source, node.offset, node.length, finding)),
  ]
  return { source, unreadable: [], problems }
}

/** Gives a finding its place. What is missing is shown at the key of the object it is missing from. */
export function place(source: Source, finding: Finding): ConfigProblem {
  const { node, value } = nodeAt(source, finding)
  const problem = problemAt(source, node?.offset ?? 0, node === undefined ? 0 : extentOf(node), finding)
  if (finding.conceal !== true || value === undefined) return problem
  return { ...problem, conceal: { ...positionOf(source.text, value.offset), length: value.length } }
}

/** Where a property stands; of one that is not written, what encloses it. */
export function locate(source: Source, where: Pick<Finding, 'path' | 'at'>): Span {
  const { node } = nodeAt(source, where)
  return { ...positionOf(source.text, node?.offset ?? 0), length: node === undefined ? 0 : extentOf(node) }
}

function nodeAt(
  source: Source,
  { path, at }: Pick<Finding, 'path' | 'at'>,
): { readonly node: Node | undefined; readonly value: Node | undefined } {
  const { key, value, nearest } = find(source.root, path)
  return { node: (at === 'key' ? key : value) ?? nearest, value }
}

function problemAt(source: Source, offset: number, length: number, finding: Finding): ConfigProblem {
  return {
    code: finding.code,
    severity: finding.code.startsWith('CFG2') ? 'warning' : 'error',
    message: finding.message,
    help: finding.help,
    fileName: source.fileName,
    path: finding.path,
    ...positionOf(source.text, offset),
    length,
    conceal: undefined,
  }
}

function positionOf(text: string, offset: number): Pick<Span, 'line' | 'column'> {
  const before = toLines(text.slice(0, offset))
  return { line: before.length, column: (before.at(-1) ?? '').length + 1 }
}

/** Scalars and keys are shown whole, of objects and arrays only the opening brace. */
function extentOf(node: Node): number {
  return node.type === 'object' || node.type === 'array' ? EXTENT_OF_A_BRACE : node.length
}

interface Found {
  readonly key?: Node | undefined
  readonly value?: Node | undefined
  /** The key, or without one the value, of what encloses it or would. */
  readonly nearest: Node | undefined
}

function find(root: Node | undefined, path: ConfigPath): Found {
  let found: Found = { value: root, nearest: root }
  for (const segment of path) {
    const { nearest } = found
    const [key, value]: readonly (Node | undefined)[] =
      typeof segment === 'number' ? [undefined, found.value?.children?.[segment]] : membersOf(found.value, segment)
    if (value === undefined) return { nearest }
    found = { key, value, nearest: key ?? value }
  }
  return found
}

function membersOf(object: Node | undefined, name: string): readonly Node[] {
  const property = object?.children?.find((child) => child.type === 'property' && child.children?.[0]?.value === name)
  return property?.children ?? []
}

type Notice = (node: Node, finding: Finding) => void

function toValue(node: Node, path: ConfigPath, notice: Notice): unknown {
  if (node.type === 'array') return (node.children ?? []).map((item, index) => toValue(item, [...path, index], notice))
  if (node.type !== 'object') {
    const scalar: unknown = node.value
    return scalar
  }
  const members = new Map<string, unknown>()
  for (const property of node.children ?? []) {
    const [key, value] = property.children ?? []
    if (key === undefined || value === undefined) continue
    const name = String(key.value)
    const here = [...path, name]
    if (FORBIDDEN_NAMES.has(name)) {
      notice(key, { code: 'CFG105', path: here, message: `${quote(name)} cannot be used as a name` })
    } else if (members.has(name)) {
      const help = 'JSON readers disagree about which of the two counts; keep one'
      notice(key, { code: 'CFG101', path: here, message: `the key ${quote(name)} stands here a second time`, help })
    } else {
      members.set(name, toValue(value, here, notice))
    }
  }
  return Object.fromEntries(members)
}

function tooDeepAt(text: string): number | undefined {
  const scanner = createScanner(text, true)
  let depth = 0
  for (;;) {
    const token: number = scanner.scan()
    if (token === TOKEN.endOfFile) return undefined
    if (token === TOKEN.openBrace || token === TOKEN.openBracket) depth++
    if (token === TOKEN.closeBrace || token === TOKEN.closeBracket) depth--
    if (depth > MAX_DEPTH) return scanner.getTokenOffset()
  }
}

// jsonc-parser declares these as const enums, which a compiler that looks at one file at a time cannot read.
const TOKEN = { openBrace: 1, closeBrace: 2, openBracket: 3, closeBracket: 4, endOfFile: 17 }

/** The only slip after which the parser goes on as if nothing had happened. */
const MISSING_COMMA = 'a comma is expected here'

const SYNTAX_WORDS: Readonly<Record<number, string>> = {
  1: 'this is not a JSON value',
  2: 'this is not a JSON number',
  3: 'a key in double quotes is expected here',
  4: 'a value is expected here',
  5: 'a colon is expected here',
  6: MISSING_COMMA,
  7: 'a closing brace } is expected here',
  8: 'a closing bracket ] is expected here',
  9: 'nothing more is expected after the end',
  11: 'this comment is not closed',
  12: 'this string is not closed',
  13: 'this number is not complete',
  14: 'this \\u escape is not complete',
  15: 'this escape is not known to JSON',
  16: 'a control character must be escaped in a string',
}

function syntaxProblem(source: Source, offset: number, length: number, message: string): ConfigProblem {
  return problemAt(source, offset, length, { code: 'CFG100', path: [], message })
}
