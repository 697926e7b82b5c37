// Who acts for the user by the word of the token itself (RFC 8693 section 4.1). It changes what is issued, so it is read as
// strictly as the subject: what cannot be read must not pass for the user alone.
import { err, ok, type Result } from '../lib/result.ts'
import { isObject, toCanonicalJson } from '../lib/strict-json.ts'
import type { ActingParty, Delegation } from '../model.ts'

const MAX_DEPTH = 4
const MAX_LENGTH = 4 * 1024
/** It goes into audit events: short, and nothing that cannot be seen. */
const PARTY = /^[^\p{C}]{1,255}$/u

/** Undefined: nobody. The problem is our own wording. */
export function readDelegation(claimed: unknown): Result<Delegation | undefined, string> {
  if (claimed === undefined) return ok(undefined)
  const chain: ActingParty[] = []
  for (let act: unknown = claimed; act !== undefined; act = act['act']) {
    if (!isObject(act)) return err('is not an object')
    if (chain.length === MAX_DEPTH) return err(`is nested more than ${MAX_DEPTH} deep`)
    const { sub, iss } = act
    if (!isParty(sub)) return err('has no sub that is an identifier')
    if (iss !== undefined && !isParty(iss)) return err('has an iss that is no identifier')
    chain.push(iss === undefined ? { sub } : { sub, iss })
  }
  // Whatever else stands in there may change the token as well.
  const json = toCanonicalJson(claimed)
  if (json === undefined) return err('has a number that cannot be read exactly')
  return json.length > MAX_LENGTH ? err(`is longer than ${MAX_LENGTH} characters`) : ok({ json, chain })
}

function isParty(value: unknown): value is string {
  return typeof value === 'string' && PARTY.test(value)
}
