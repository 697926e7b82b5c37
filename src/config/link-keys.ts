// Where verification keys come from. Of key sets written into the file only what makes them dangerous or ambiguous is
// judged here: what a key must be to verify a signature is identity's business.
import type { KeySource, PublicKeys } from '../parties.ts'
import { checkReach, type Linker } from './linker.ts'
import { quote, type ConfigPath } from './problem.ts'
import type { KeySetEntry } from './schema.ts'

/** RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1: members that only a private or a symmetric key has. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** Keys that are given, or undefined where none are. */
export function linkKeys(
  linker: Linker,
  entry: { readonly jwks?: KeySetEntry; readonly jwks_uri?: string },
  path: ConfigPath,
): KeySource | undefined {
  checkReach(linker, entry.jwks_uri, [...path, 'jwks_uri'])
  if (entry.jwks !== undefined && entry.jwks_uri !== undefined) {
    const message = 'keys are given twice: as "jwks" and as "jwks_uri"'
    linker.report({ code: 'CFG112', path: [...path, 'jwks'], at: 'key', message, help: 'keep one of the two' })
  }
  if (entry.jwks !== undefined) return { kind: 'static', jwks: linkKeySet(linker, entry.jwks, [...path, 'jwks']) }
  return entry.jwks_uri === undefined ? undefined : { kind: 'fetched', jwksUri: entry.jwks_uri }
}

function linkKeySet({ report }: Linker, { keys }: KeySetEntry, path: ConfigPath): PublicKeys {
  if (keys.length === 0) {
    report({ code: 'CFG111', path: [...path, 'keys'], message: 'a key set without keys verifies nothing' })
  }
  const kids = new Set<string>()
  for (const [index, key] of keys.entries()) {
    const here = [...path, 'keys', index]
    for (const member of PRIVATE_MEMBERS) {
      if (!Object.hasOwn(key, member)) continue
      const message = `the key has the private member ${quote(member)}`
      const help = 'only public keys belong here; this one has been written down and must be replaced'
      report({ code: 'CFG111', path: [...here, member], at: 'key', message, help, conceal: true })
    }
    const { kty, kid } = key
    if (typeof kty !== 'string') report({ code: 'CFG111', path: here, message: 'the key has no "kty"' })
    if (kid === undefined) continue
    const kidPath = [...here, 'kid']
    if (typeof kid !== 'string') report({ code: 'CFG111', path: kidPath, message: 'a "kid" is a string' })
    else if (kids.has(kid)) report({ code: 'CFG109', path: kidPath, message: `two keys with the "kid" ${quote(kid)}` })
    else kids.add(kid)
  }
  return { keys }
}
