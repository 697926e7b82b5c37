// Who has been cut off. Every request is decided with a snapshot of the revocations that is no older than
// `revocation.max_staleness`; where that cannot be had, nobody passes. The truth stands in one strongly consistent place,
// KV could not be: it may serve what it knew a minute ago.
import type { NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { Background, Clock, RevocationLog } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { createSnapshot, type RevocationSnapshot, type Standing } from './snapshot.ts'

export { createSnapshot } from './snapshot.ts'
export type { RevocationSnapshot, RevocationSubject, Standing } from './snapshot.ts'

export interface RevocationPorts {
  readonly log: RevocationLog
  readonly clock: Clock
  readonly background: Background
}

export interface Revocations {
  /** A snapshot within the bound, without a wait where there is one in memory. Refuses with INT102. */
  current(): Promise<Result<RevocationSnapshot, Refusal>> | Result<RevocationSnapshot, Refusal>
  /** What the log says now. Refuses with INT102. */
  latest(): Promise<Result<RevocationSnapshot, Refusal>>
}

/**
 * What a standing means for a sign-in: answers up to when access tokens are dead, in milliseconds since the epoch. Refuses
 * with POL110 or TOK109.
 */
export function judgeStanding(
  { blockedBy, signInsUntil, tokensUntil }: Standing,
  signedInAt: NumericDate,
): Result<number, Refusal> {
  if (blockedBy !== undefined) return err({ code: 'POL110', detail: `block ${blockedBy}` })
  // `iat` has whole seconds: a sign-in in the very second of the cut-off counts as before it.
  return signedInAt * 1000 <= signInsUntil ? err({ code: 'TOK109' }) : ok(tokensUntil)
}

type News = NonNullable<Awaited<ReturnType<RevocationLog['read']>>>

interface Held {
  readonly version: number
  /** When the log was asked, not when it answered: what happened in between may be missing. */
  readonly askedAt: number
  readonly result: Result<RevocationSnapshot, Refusal>
}

// Asked again in the background after this share of the bound, so that no request waits for it.
const REFRESH_SHARE = 0.5
/** A background refresh that has not answered by then is no longer waited for by the next. */
const REFRESH_DEADLINE_MS = 2_000

const UNCERTAIN: Result<never, Refusal> = err({ code: 'INT102', retryAfterSeconds: 1 })

export function createRevocations(maxStalenessSeconds: number, ports: RevocationPorts): Revocations {
  const maxAgeMs = maxStalenessSeconds * 1000
  let held: Held | undefined
  let refreshStartedAt = Number.NEGATIVE_INFINITY

  async function ask(): Promise<Result<RevocationSnapshot, Refusal>> {
    const askedAt = ports.clock.millis()
    const known = held
    try {
      const news = await ports.log.read(known?.version)
      const next = news === undefined ? known && { ...known, askedAt } : heldOf(news, askedAt)
      // "As before" to who knows nothing of before is no answer.
      if (next === undefined) return UNCERTAIN
      // Answers may overtake each other.
      if (held === undefined || held.askedAt <= askedAt) held = next
      return next.result
    } catch {
      return UNCERTAIN
    }
  }

  return {
    latest: ask,
    current() {
      if (held === undefined) return ask()
      const now = ports.clock.millis()
      const age = now - held.askedAt
      if (age >= maxAgeMs) return ask()
      if (
        age >= maxAgeMs * REFRESH_SHARE &&
        now - refreshStartedAt >= Math.min(REFRESH_DEADLINE_MS, maxAgeMs * REFRESH_SHARE)
      ) {
        refreshStartedAt = now
        ports.background(ask())
      }
      return held.result
    },
  }
}

function heldOf({ version, revocations }: News, askedAt: number): Held {
  return { version, askedAt, result: ok(createSnapshot(revocations)) }
}
