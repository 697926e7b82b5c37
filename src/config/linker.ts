// What all linking needs: the draft, where faults go, and the checks that more than one part of the file asks for.
import { didYouMean, quote, type ConfigPath, type Finding, type Report } from './problem.ts'
import type { Draft, Entries } from './shape.ts'
import { reachFault } from '../lib/reach.ts'

export interface Linker {
  readonly draft: Draft
  readonly local: boolean
  readonly report: Report
}

// Without a section the fault is that, and not every name that points into it.

export function checkClient({ draft, report }: Linker, name: string, path: ConfigPath, at?: Finding['at']): void {
  const { clients } = draft
  if (clients.size > 0 && !clients.has(name)) report(unknownName('client', name, clients, path, at))
}

export function checkResource({ draft, report }: Linker, name: string, path: ConfigPath): void {
  const { resources } = draft
  if (resources.size > 0 && !resources.has(name)) report(unknownName('resource', name, resources, path))
}

function unknownName(
  kind: string,
  name: string,
  known: Entries<unknown>,
  path: ConfigPath,
  at?: Finding['at'],
): Finding {
  const help = didYouMean(name, known.keys()) ?? knownNames(known.keys())
  return { code: 'CFG108', path, at, message: `there is no ${kind} ${quote(name)}`, help }
}

/** `known: "a", "b"`, as long as they are few enough to be read. */
export function knownNames(names: Iterable<string>): string | undefined {
  const all = [...names]
  return all.length === 0 || all.length > 8 ? undefined : `known: ${all.map(quote).join(', ')}`
}

export function checkReach({ local, report }: Linker, address: string | undefined, path: ConfigPath): void {
  const fault = address === undefined ? undefined : reachFault(address, local)
  if (fault !== undefined) report({ code: 'CFG107', path, message: fault })
}
