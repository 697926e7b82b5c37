// Counters of requests. Who names the same binding counts with the same counter, so all must mean the same by it.
import type { RateLimit } from '../parties.ts'
import type { Linker } from './linker.ts'
import { quote, type ConfigPath } from './problem.ts'

export interface UsedLimit {
  readonly limit: RateLimit | undefined
  readonly path: ConfigPath
}

/** Every counter by its binding. */
export function linkLimits(
  { report }: Linker,
  used: readonly UsedLimit[],
  secrets: readonly string[],
): ReadonlyMap<string, RateLimit> {
  const limits = new Map<string, RateLimit>()
  for (const { limit, path } of used) {
    if (limit === undefined) continue
    const { binding } = limit
    const known = limits.get(binding) ?? limit
    limits.set(binding, known)
    if (known.limit !== limit.limit || known.periodSeconds !== limit.periodSeconds) {
      const message = `${quote(binding)} has another limit or period elsewhere in this file`
      const help = 'limit and period belong to the binding: give this one a binding of its own, or the same numbers'
      report({ code: 'CFG112', path, message, help, restsOn: used.map((each) => each.path) })
    }
    if (secrets.includes(binding)) {
      const message = `${quote(binding)} is the name of a secret in this file`
      report({
        code: 'CFG112',
        path: [...path, 'binding'],
        message,
        help: 'a binding of the Worker is one or the other',
      })
    }
  }
  return limits
}
