// The house check: the rules of docs/architecture.md that a script can hold. `npm run check` runs it; so does
// `node scripts/house.ts` alone, which also prints the number of casts.

import process from 'node:process'
import type { Node } from 'typescript/unstable/ast'
import * as is from 'typescript/unstable/ast/is'
import { lineOf, walk, withSources, type Import, type Source } from './sources.ts'

export type Problem = { readonly path: string; readonly line: number; readonly message: string }
export type Report = { readonly problems: readonly Problem[]; readonly casts: number; readonly files: number }

/** A file imports from lower floors only, never from its own. */
const FLOORS: readonly (readonly string[])[] = [
  [
    'parties.ts',
    'model.ts',
    'administrator.ts',
    'quirks.ts',
    'connection.ts',
    'audit-event.ts',
    'decision.ts',
    'ports.ts',
    'refusal.ts',
    'refusal-catalogue.ts',
    'refusal-behind.ts',
    'refusal-kind.ts',
    'lib',
  ],
  ['oauth', 'config'],
  ['identity', 'revocation', 'limits'],
  ['policy'],
  ['issuer', 'audit'],
  ['credentials'],
  ['gateway', 'token', 'discovery', 'admin'],
  ['app.ts'],
  ['worker.ts', 'platform'],
]

/** Beside the Worker: the program may use every room, the client none; no room knows either. */
const OUTBUILDINGS: readonly string[] = ['cli', 'client']

/** The files of a room that may be imported from outside it; a room that is not named here has the one door room/room.ts. */
const DOORS: Readonly<Record<string, readonly string[] | 'every file'>> = {
  lib: 'every file',
  oauth: 'every file',
  platform: ['cloudflare.ts', 'memory.ts'],
}

/** Who looks behind doors: tests of a room's insides, and whoever needs the schema rather than a configuration. */
const BEHIND_DOORS: readonly { readonly from: RegExp; readonly to: RegExp }[] = [
  { from: /^test\/(unit|contract)\//, to: /^src\// },
  { from: /^(test|scripts|dev|bench)\//, to: /^src\/(cli|client)\// },
  { from: /^(test|scripts)\//, to: /^src\/config\/schema\.ts$/ },
]

/** Where a cast may stand, and how many: each makes a brand or a proof. */
const MAKERS: Readonly<Record<string, number>> = {
  'src/lib/numeric-date.ts': 1,
  'src/identity/identity.ts': 3,
  'src/policy/policy.ts': 2,
  'src/credentials/entry.ts': 1,
  'src/credentials/introduction-entry.ts': 1,
}

/** The only room that may cast to a proof; this holds for tests too, which replace the ground and never a room. */
const PROOFS: Readonly<Record<string, string>> = {
  Permit: 'src/policy/',
  Prospect: 'src/policy/',
  Introduction: 'src/credentials/',
  VerifiedAssertion: 'src/identity/',
  AuthenticatedClient: 'src/identity/',
  Credential: 'src/credentials/',
  AdminCaller: 'src/identity/',
}

/** Where something called `fetch` may be called. Everything else asks one of these, which know about redirects and limits. */
const FETCHERS: readonly string[] = [
  'src/oauth/counterparty.ts',
  'src/gateway/forward.ts',
  'src/platform/cloudflare.ts',
  'src/worker.ts',
  'src/cli/',
  'src/client/',
]

const MAX_LINES = 400
const VAGUE_NAME = /(?:^|-)(utils?|helpers?|managers?|services?|common|misc)$/
const FORBIDDEN_COMMENT = /@ts-(ignore|expect-error|nocheck)/g

export function checkHouse(root: string): readonly Problem[] {
  return inspectHouse(root).problems
}

export function inspectHouse(root: string): Report {
  return withSources(root, (sources) => {
    const casts = sources.filter(inSource).map((source) => ({ source, at: castsOf(source) }))
    const problems = [
      ...sources.flatMap((source) => source.imports.flatMap((used) => importProblems(source, used))),
      ...cycleProblems(sources),
      ...sources.flatMap(fileProblems),
      ...sources.flatMap(expressionProblems),
      ...casts.flatMap(({ source, at }) => castCountProblems(source, at)),
    ]
    return {
      problems: problems.toSorted((a, b) => a.path.localeCompare(b.path) || a.line - b.line),
      casts: casts.reduce((sum, { at }) => sum + at.length, 0),
      files: sources.length,
    }
  })
}

function inSource(source: Source): boolean {
  return source.path.startsWith('src/')
}

/** The room of a path: the folder or file right under src/; undefined outside src/. */
function roomOf(path: string): string | undefined {
  const [top, room] = path.split('/')
  return top === 'src' ? room : undefined
}

function floorOf(room: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(room))
}

function importProblems(source: Source, used: Import): Problem[] {
  const { target } = used
  if (target === undefined) return []
  const to = roomOf(target)
  const from = roomOf(source.path)
  const problem = (message: string): Problem[] => [{ path: source.path, line: used.line, message }]

  if (to === undefined) {
    // `jagway dev` starts the local world; the program is in no bundle either.
    const leaves = (from === 'cli' ? /^(test|bench|scripts)\// : /^(dev|test|bench|scripts)\//).test(target)
    return from !== undefined && leaves ? problem(`src/ never imports ${target}`) : []
  }
  if (to === from || mayLookBehind(source.path, target)) return []
  if (from !== undefined) {
    const complaint = floorComplaint(from, to)
    if (complaint !== undefined) return problem(`${complaint} (${target})`)
  }
  return isDoor(to, target) ? [] : problem(`${target} is not a door of ${to}/`)
}

function mayLookBehind(from: string, to: string): boolean {
  return BEHIND_DOORS.some((rule) => rule.from.test(from) && rule.to.test(to))
}

function floorComplaint(from: string, to: string): string | undefined {
  if (OUTBUILDINGS.includes(to) && !OUTBUILDINGS.includes(from)) return `the Worker does not know ${to}/`
  if (from === 'cli') return undefined
  if (from === 'client') return 'client/ depends on nothing else'
  const [upper, lower] = [floorOf(from), floorOf(to)]
  if (upper === -1) return `${from} stands on no floor: give it one in scripts/house.ts`
  if (lower === -1) return `${to} stands on no floor: give it one in scripts/house.ts`
  if (lower > upper) return `imports point down only: ${from} is on floor ${upper}, ${to} on ${lower}`
  if (lower < upper) return undefined
  if (from === 'worker.ts') return undefined
  // The ground floor's nouns know each other (never in a circle); lib/ knows no domain word.
  if (lower === 0) return from === 'lib' ? `lib/ knows no domain word: it does not import ${to}` : undefined
  return `rooms on one floor do not know each other: ${from} and ${to}`
}

function isDoor(room: string, target: string): boolean {
  const inside = target.split('/').slice(2).join('/')
  if (inside === '') return true
  const doors = DOORS[room] ?? [`${room}.ts`]
  return doors === 'every file' || doors.includes(inside)
}

/** Depth first; a file that is met again on the way down closes a cycle. Each file belongs to at most one report. */
function cycleProblems(sources: readonly Source[]): Problem[] {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const done = new Set<string>()
  const problems: Problem[] = []
  const visit = (source: Source, way: readonly Source[]): void => {
    for (const used of source.imports) {
      const next = byPath.get(used.target ?? '')
      if (next === undefined || done.has(next.path)) continue
      const start = way.indexOf(next)
      if (start === -1) visit(next, [...way, next])
      else {
        const names = [...way.slice(start), next].map(({ path }) => path)
        problems.push({ path: source.path, line: used.line, message: `import cycle: ${names.join(' → ')}` })
      }
    }
    done.add(source.path)
  }
  for (const source of sources) if (!done.has(source.path)) visit(source, [source])
  return problems
}

function fileProblems(source: Source): Problem[] {
  const { path, tree } = source
  const problems: Problem[] = []
  const segments = path.split('/').map((segment) => segment.split('.')[0] ?? '')
  const vague = segments.find((segment) => VAGUE_NAME.test(segment))
  if (vague !== undefined) problems.push({ path, line: 1, message: `"${vague}" says nothing: name what it does` })

  const lines = tree.text.split('\n').length - (tree.text.endsWith('\n') ? 1 : 0)
  const long = lines > MAX_LINES && !path.startsWith('test/')
  if (long)
    problems.push({ path, line: MAX_LINES + 1, message: `${lines} lines; past ${MAX_LINES} a file wants splitting` })

  if (!inSource(source)) return problems
  const opening = tree.text.replace(/^#!.*\n/, '').trimStart()
  if (!/^\/[/*]/.test(opening)) problems.push({ path, line: 1, message: 'a file opens with a comment: what it is for' })

  const statements = [...tree.statements]
  const passesOn = statements.some((statement) => is.isExportDeclaration(statement))
  const nothingElse = statements.every(
    (statement) => is.isExportDeclaration(statement) || is.isImportDeclaration(statement),
  )
  if (passesOn && nothingElse) problems.push({ path, line: 1, message: 'a barrel: it only exports what others make' })
  return problems
}

function castsOf({ tree }: Source): number[] {
  const lines: number[] = []
  walk(tree, (node) => {
    if (castType(node) !== undefined) lines.push(lineOf(tree, node))
  })
  return lines
}

function castCountProblems({ path }: Source, at: readonly number[]): Problem[] {
  const allowed = MAKERS[path] ?? 0
  const line = at[allowed]
  if (line === undefined) return []
  const message =
    allowed === 0
      ? 'no cast here: `as` stands only in the makers'
      : `a maker with at most ${allowed} casts has ${at.length}`
  return [{ path, line, message }]
}

/** The text of the type that an expression is cast to; `as const` is no cast. */
function castType(node: Node): string | undefined {
  if (!is.isAsExpression(node) && !is.isTypeAssertion(node)) return undefined
  const type = node.type.getText()
  return type === 'const' ? undefined : type
}

/** What no expression may do. Tests are free to expect a compile error, and are held to the proofs all the same. */
function expressionProblems(source: Source): Problem[] {
  const { path, tree } = source
  const problems: Problem[] = []
  const add = (node: Node, message: string): void => void problems.push({ path, line: lineOf(tree, node), message })

  walk(tree, (node) => {
    const type = castType(node)
    // Also where the name is qualified, or wrapped: `model.Permit`, `Readonly<Permit>`.
    const proof = Object.keys(PROOFS).find((name) => type !== undefined && new RegExp(`\\b${name}\\b`).test(type))
    const room = proof === undefined ? undefined : PROOFS[proof]
    if (room !== undefined && !path.startsWith(room)) add(node, `only ${room} makes a ${type}`)
    // A type predicate makes a proof as well as a cast does.
    const claimed = is.isTypePredicateNode(node) ? node.type?.getText() : undefined
    const owner = claimed === undefined ? undefined : PROOFS[claimed]
    if (owner !== undefined && !path.startsWith(owner)) add(node, `only ${owner} makes a ${claimed}`)
    if (type === 'any') add(node, 'never `as any`')
    if (is.isAsExpression(node) && castType(node.expression) === 'unknown') add(node, 'never `as unknown as`')
    if (is.isNonNullExpression(node)) add(node, 'never `!`: find out what happens when it is absent')
    if (inSource(source) && callsFetch(node) && !FETCHERS.some((place) => path.startsWith(place))) {
      add(node, 'fetch is called only in the places scripts/house.ts names')
    }
  })
  if (path.startsWith('test/')) return problems
  for (const match of tree.text.matchAll(FORBIDDEN_COMMENT)) {
    const line = tree.getLineAndCharacterOfPosition(match.index).line + 1
    if (path !== 'scripts/house.ts') problems.push({ path, line, message: `never ${match[0]}` })
  }
  return problems
}

function callsFetch(node: Node): boolean {
  if (!is.isCallExpression(node)) return false
  // The router's own dispatch; it goes nowhere.
  if (node.expression.getText() === 'app.fetch') return false
  const called = is.isPropertyAccessExpression(node.expression) ? node.expression.name : node.expression
  return is.isIdentifier(called) && called.text === 'fetch'
}

if (import.meta.main) {
  const { problems, casts, files } = inspectHouse(process.cwd())
  for (const { path, line, message } of problems) console.error(`${path}:${line}  ${message}`)
  console.log(`house: ${files} files, ${casts} casts in src/, ${problems.length} problems`)
  process.exitCode = problems.length === 0 ? 0 : 1
}
