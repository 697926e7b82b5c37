// What may be presented only once: the `jti` of a client assertion (RFC 7523 section 3, point 7) and of a DPoP proof (RFC 9449
// section 11.1).
import { encodeFields, sha256 } from '../lib/digest.ts'
import { numericDate, plusSeconds } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { ReplayGuard } from '../ports.ts'
import type { Refusal } from '../refusal.ts'

/** Uses a value up; false: it was used before. `until`: when it could not be presented any more anyway. */
export async function isFirstUse(
  replay: ReplayGuard,
  value: readonly [kind: string, owner: string, id: string],
  until: number,
): Promise<Result<boolean, Refusal>> {
  try {
    // One second more than it could be presented: the guard may forget at the very second.
    return ok(await replay.claim(await sha256(encodeFields(value)), plusSeconds(numericDate(until), 1)))
  } catch {
    // Not knowing whether it was used counts as used, but the client is told to come again.
    return err({ code: 'INT101', detail: 'the replay guard failed', retryAfterSeconds: 1 })
  }
}
