// The project's TypeScript files as syntax trees, made by the compiler's own parser. Nothing is resolved or type-checked:
// tsc and the linter do that.

import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, posix, resolve } from 'node:path'
import { SyntaxKind, type Node, type SourceFile } from 'typescript/unstable/ast'
import * as is from 'typescript/unstable/ast/is'
import { API } from 'typescript/unstable/sync'

export type Import = {
  /** The specifier as written. */
  readonly specifier: string
  /** A path from the project's root where the specifier is relative. */
  readonly target: string | undefined
  readonly typeOnly: boolean
  readonly line: number
}

export type Source = {
  /** From the project's root, with forward slashes. */
  readonly path: string
  readonly tree: SourceFile
  readonly imports: readonly Import[]
}

const FOLDERS = ['src', 'dev', 'scripts', 'bench', 'test', 'types']
const PROJECT_FILE = 'tsconfig.sources.json'

export function lineOf(tree: SourceFile, node: Node): number {
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1
}

export function walk(node: Node, visit: (node: Node) => void): void {
  visit(node)
  node.forEachChild((child) => walk(child, visit))
}

/** Parses every .ts file under the project's folders and hands them to `look`; the trees are gone when it returns. */
export function withSources<T>(root: string, look: (sources: readonly Source[]) => T): T {
  const base = resolve(root)
  const paths = FOLDERS.flatMap((folder) => typeScriptFiles(base, folder)).toSorted()
  if (paths.length === 0) return look([])
  // A project that exists only in memory, so that any folder can be looked at.
  const projectFile = join(base, PROJECT_FILE)
  const project = JSON.stringify({
    compilerOptions: { noResolve: true, noLib: true, types: [], noEmit: true, allowImportingTsExtensions: true },
    files: paths,
  })
  const api = new API({
    cwd: base,
    fs: {
      readFile: (path) => (path === projectFile ? project : undefined),
      fileExists: (path) => (path === projectFile ? true : undefined),
    },
  })
  try {
    const program = api.updateSnapshot({ openProjects: [projectFile] }).getProject(projectFile)?.program
    if (program === undefined) throw new Error(`the compiler did not open ${projectFile}`)
    return look(
      paths.map((path) => {
        const tree = program.getSourceFile(join(base, path))
        if (tree === undefined) throw new Error(`the compiler did not parse ${path}`)
        return { path, tree, imports: importsOf(path, tree) }
      }),
    )
  } finally {
    api.close()
  }
}

function typeScriptFiles(base: string, folder: string): string[] {
  if (!existsSync(join(base, folder))) return []
  return readdirSync(join(base, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : typeScriptFiles(base, path)
    return entry.name.endsWith('.ts') ? [path] : []
  })
}

function importsOf(path: string, tree: SourceFile): Import[] {
  const found: Import[] = []
  walk(tree, (node) => {
    const specifier = specifierOf(node)
    if (specifier === undefined) return
    found.push({
      specifier: specifier.text,
      target: specifier.text.startsWith('.') ? posix.join(dirname(path), specifier.text) : undefined,
      typeOnly: isTypeOnly(node),
      line: lineOf(tree, node),
    })
  })
  return found
}

/** The specifier of an import, an export … from, a dynamic import or an import type; undefined for any other node. */
function specifierOf(node: Node): { readonly text: string } | undefined {
  if (is.isImportDeclaration(node)) return asText(node.moduleSpecifier)
  if (is.isExportDeclaration(node)) return asText(node.moduleSpecifier)
  if (is.isCallExpression(node) && is.isImportExpression(node.expression)) return asText(node.arguments[0])
  if (is.isImportTypeNode(node) && is.isLiteralTypeNode(node.argument)) return asText(node.argument.literal)
  return undefined
}

function asText(node: Node | undefined): { readonly text: string } | undefined {
  if (node === undefined) return undefined
  return is.isStringLiteral(node) || is.isNoSubstitutionTemplateLiteral(node) ? node : undefined
}

function isTypeOnly(node: Node): boolean {
  if (is.isImportTypeNode(node)) return true
  if (is.isExportDeclaration(node)) return node.isTypeOnly
  return is.isImportDeclaration(node) && node.importClause?.phaseModifier === SyntaxKind.TypeKeyword
}
