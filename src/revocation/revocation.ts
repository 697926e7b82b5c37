// Who has been cut off. Every request is decided with a snapshot of the revocations that is no older than
// `revocation.max_staleness`; where that cannot be had, nobody passes. The truth stands in one strongly consistent place,
// KV could not be: it may serve what it knew a minute ago.
import { ACCESS_SESSION_SECONDS } from '../administrator.ts'
import type { Config } from '../config/config.ts'
import type { RevocationSelector } from '../connection.ts'
import { withDeadline } from '../lib/deadline.ts'
import type { NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result, type Soon } from '../lib/result.ts'
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
  current(): Soon<RevocationSnapshot, Refusal>
  /** What the log says to a question that is put after this call, and shared with whoever else calls until then. Refuses with INT102. */
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

/** How long a refresh token is remembered that nobody shows any more; as long as it is, it is one sign-in. */
export const REFRESH_TOKEN_IDLE_SECONDS = 30 * 86_400

const SKEW_SECONDS = 60
/** Clocks apart, flights on their way, the longest `max_staleness`. */
const FORGET_MARGIN_SECONDS = 600

/**
 * When a cut-off need not be kept any longer, in milliseconds since the epoch: no token from before it is alive by then,
 * and no sign-in either, where it is about those.
 */
export function forgetAt(
  { idp, client, resource }: RevocationSelector,
  before: number,
  { admin, cache, idps }: Pick<Config, 'admin' | 'cache' | 'idps'>,
): number {
  const signIns = [...idps.values()].map(({ idToken, quirks }) =>
    // Its last use may have been by an introduction that is as old as those become.
    quirks.subjectTokens.has('refresh_token')
      ? REFRESH_TOKEN_IDLE_SECONDS + cache.maxTtlSeconds
      : idToken.maxAgeSeconds + SKEW_SECONDS,
  )
  // Who comes through Access has no identity provider here, and comes through no calling client.
  const reachesAccess = admin?.access !== undefined && idp === undefined && client === undefined
  if (reachesAccess) signIns.push(ACCESS_SESSION_SECONDS + SKEW_SECONDS)
  const lives = [cache.maxTtlSeconds, ...(resource === undefined ? signIns : [])]
  return before + (Math.max(...lives) + FORGET_MARGIN_SECONDS) * 1000
}

type News = NonNullable<Awaited<ReturnType<RevocationLog['read']>>>

type Answer = Result<RevocationSnapshot, Refusal>

/** One question to the log, from when it has been put. */
interface Reading {
  readonly askedAt: number
  readonly answer: Promise<Answer>
}

interface Held {
  readonly version: number
  /** When the log was asked, not when it answered: what happened in between may be missing. */
  readonly askedAt: number
  readonly result: Answer
}

// Asked again in the background after this share of the bound, so that no request waits for it.
const REFRESH_SHARE = 0.5
/** A background refresh that has not answered by then is no longer waited for by the next. */
const REFRESH_DEADLINE_MS = 2_000
/** The ground gives up sooner on a log that does not answer: after this, whoever put the question has gone with it. */
const READING_DEADLINE_MS = 2_000

const UNCERTAIN: Result<never, Refusal> = err({ code: 'INT102', retryAfterSeconds: 1 })

export function createRevocations(maxStalenessSeconds: number, ports: RevocationPorts): Revocations {
  const maxAgeMs = maxStalenessSeconds * 1000
  let held: Held | undefined
  let refreshStartedAt = Number.NEGATIVE_INFINITY

  /** The last that was put, until it is answered. */
  let reading: Reading | undefined
  /** The one that is put as soon as that is answered: it answers all who ask until then. */
  let next: Promise<Answer> | undefined

  async function read(askedAt: number): Promise<Answer> {
    const known = held
    try {
      const news = await ports.log.read(known?.version)
      const answer = news === undefined ? known && { ...known, askedAt } : heldOf(news, askedAt)
      // "As before" to who knows nothing of before is no answer.
      if (answer === undefined) return UNCERTAIN
      // Answers may overtake each other.
      if (held === undefined || held.askedAt <= askedAt) held = answer
      return answer.result
    } catch {
      return UNCERTAIN
    }
  }

  function begin(): Promise<Answer> {
    const askedAt = ports.clock.millis()
    const begun: Reading = { askedAt, answer: read(askedAt) }
    reading = begun
    ports.background(begun.answer)
    return begun.answer.finally(() => {
      if (reading === begun) reading = undefined
    })
  }

  async function beginAfter({ answer }: Reading): Promise<Answer> {
    await withDeadline(answer, READING_DEADLINE_MS)
    next = undefined
    return begin()
  }

  /** Waits for a question that another request has put, or is about to put; the platform may end that request with it. */
  async function follow(answer: Promise<Answer>, deadlineMs: number): Promise<Answer> {
    const landed = await withDeadline(answer, deadlineMs)
    if (landed !== undefined) return landed
    if (reading?.answer === answer) reading = undefined
    if (next === answer) next = undefined
    // The first of those who waited in vain asks, the others follow.
    return latest()
  }

  /**
   * There is one book for the whole deployment, so an isolate has one question before it at a time. One that has been put
   * says nothing of what happened since: whoever comes later gets the answer to the next.
   */
  function latest(): Promise<Answer> {
    if (next === undefined) {
      if (reading === undefined) return begin()
      next = beginAfter(reading)
      ports.background(next)
    }
    return follow(next, READING_DEADLINE_MS * 2)
  }

  return {
    latest,
    current() {
      const now = ports.clock.millis()
      const age = held === undefined ? Number.POSITIVE_INFINITY : now - held.askedAt
      if (held === undefined || age >= maxAgeMs) {
        if (reading === undefined || now - reading.askedAt >= maxAgeMs) return latest()
        return follow(reading.answer, READING_DEADLINE_MS)
      }
      if (
        age >= maxAgeMs * REFRESH_SHARE &&
        now - refreshStartedAt >= Math.min(REFRESH_DEADLINE_MS, maxAgeMs * REFRESH_SHARE)
      ) {
        refreshStartedAt = now
        void latest()
      }
      return held.result
    },
  }
}

function heldOf({ version, revocations }: News, askedAt: number): Held {
  return { version, askedAt, result: ok(createSnapshot(revocations)) }
}
