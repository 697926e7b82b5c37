// What all linking needs: the draft, where faults go, and the checks that more than one part of the file asks for.
import { didYouMean, quote, type ConfigPath, type Finding, type Report } from './problem.ts'
import type { Draft } from './shape.ts'
import { reachFault } from '../lib/reach.ts'

export interface Linker {
  readonly draft: Draft
  readonly local: boolean
  readonly report: Report
}

export function checkClient({ draft, report }: Linker, name: string, path: ConfigPath, at?: Finding['at']): void {
  if (!draft.clients.has(name)) report(unknownName('client', name, draft.clients, path, at))
}

export function checkResource({ draft, report }: Linker, name: string, path: ConfigPath): void {
  if (!draft.resources.has(name)) report(unknownName('resource', name, draft.resources, path))
}

function unknownName(
  kind: 'client' | 'resource',
  name: string,
  known: ReadonlyMap<string, unknown>,
  path: ConfigPath,
  at?: Finding['at'],
): Finding {
  const help = didYouMean(name, known.keys()) ?? knownNames(known.keys())
  const restsOn = [[`${kind}s`, name]]
  return { code: 'CFG108', path, at, message: `there is no ${kind} ${quote(name)}`, help, restsOn }
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
