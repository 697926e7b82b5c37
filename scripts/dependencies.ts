// The dependency rule: what src/ imports at run time is a dependency, and every dependency has its reason written down in
// docs/dependencies.md. The Worker's own stand in a section of their own, because each of them is shipped to every user.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { withSources } from './sources.ts'
import type { Problem } from './house.ts'

const DOCUMENT = 'docs/dependencies.md'
const WORKER_SECTION = 'In the Worker'
const PROGRAM = /^src\/cli\//
/** Part of the platform, on either side. */
const BUILT_IN = /^(node|cloudflare):/

export function checkDependencies(root: string): readonly Problem[] {
  const reasons = reasonsIn(readFileSync(join(root, DOCUMENT), 'utf8'))
  const declared = dependenciesIn(readFileSync(join(root, 'package.json'), 'utf8'))
  const unexplained = declared
    .filter(({ name }) => !reasons.some((reason) => reason.name === name))
    .map(({ name }) => ({ path: DOCUMENT, line: 1, message: `no reason is given for ${name}` }))
  const orphaned = reasons
    .filter(({ name }) => !declared.some((dependency) => dependency.name === name))
    .map(({ name, line }) => ({ path: DOCUMENT, line, message: `${name} is no dependency (any more)` }))

  const imported = withSources(root, (sources) =>
    sources.flatMap(({ path, imports }) =>
      imports.flatMap(({ specifier, target, typeOnly, line }): Problem[] => {
        if (!path.startsWith('src/') || target !== undefined || typeOnly || BUILT_IN.test(specifier)) return []
        const name = packageOf(specifier)
        if (!declared.some((dependency) => dependency.name === name && dependency.kind === 'run time'))
          return [{ path, line, message: `${name} is not among "dependencies" in package.json` }]
        const explained = reasons.some((reason) => reason.name === name && reason.section === WORKER_SECTION)
        if (PROGRAM.test(path) || explained) return []
        return [{ path, line, message: `${name} has no reason under "${WORKER_SECTION}" in ${DOCUMENT}` }]
      }),
    ),
  )
  return [...unexplained, ...orphaned, ...imported]
}

type Reason = { readonly name: string; readonly section: string; readonly line: number }

/** List items of the form "- **name** …", with the heading they stand under. */
function reasonsIn(markdown: string): Reason[] {
  let section = ''
  return markdown.split('\n').flatMap((text, index) => {
    section = /^## (.+)$/.exec(text)?.[1] ?? section
    const name = /^- \*\*([^*]+)\*\* \S/.exec(text)?.[1]
    return name === undefined ? [] : [{ name, section, line: index + 1 }]
  })
}

type Dependency = { readonly name: string; readonly kind: 'run time' | 'other' }

const namesSchema = v.optional(v.record(v.string(), v.string()), {})
const manifestSchema = v.object({
  dependencies: namesSchema,
  optionalDependencies: namesSchema,
  devDependencies: namesSchema,
})

function dependenciesIn(packageJson: string): Dependency[] {
  const { dependencies, ...others } = v.parse(manifestSchema, JSON.parse(packageJson))
  return [
    ...Object.keys(dependencies).map((name) => ({ name, kind: 'run time' as const })),
    ...Object.values(others).flatMap((names) => Object.keys(names).map((name) => ({ name, kind: 'other' as const }))),
  ]
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
