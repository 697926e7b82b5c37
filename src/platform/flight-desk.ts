// One flight at a time for one key: who arrives while a token is being fetched waits for that token, who arrives later gets
// the kept one. The logic alone: storage, clock and work come in, so that both grounds run the very same code.
//
// Nothing in here is awaited between looking and taking off, so two arrivals can never both find the runway free.
import { plusSeconds, type NumericDate } from '../lib/numeric-date.ts'
import type { Background, Clock, KeptEntry, Landing, Memory, TokenJob, TokenWork } from '../ports.ts'
import { kindOf, type Refusal } from '../refusal.ts'
import { within } from './deadline.ts'

/**
 * How often an entry is replaced because its resource rejects it. A resource that rejects what its own authorization server
 * has just issued is misconfigured, and each of its 401s would otherwise cost two token requests.
 */
export const RENEWAL_INTERVAL_SECONDS = 60

/** How long nobody tries again to replace a rejected entry after that has failed. */
const RENEWAL_RETRY_SECONDS = 10

/** How long a flight may take before everybody who waits is told so and the next arrival takes off anew. */
export const FLIGHT_DEADLINE_MS = 13_000

/** For how many flights of others a joiner waits before it takes what there is: its own need, or the last flight's outcome. */
const MAX_FLIGHTS_WAITED_FOR = 2

/** What is remembered between flights. */
export interface FlightRecord {
  readonly kept: KeptEntry
  /** When an entry was last replaced because the resource rejected it. */
  readonly renewedAt: NumericDate | undefined
}

/** Where the record is kept. */
export interface FlightStorage {
  read(): FlightRecord | undefined
  /** Replaces the record and sees to it that `tidy()` is called at `forgetAt`: both or neither. */
  write(record: FlightRecord, forgetAt: NumericDate): Promise<void>
  clear(): Promise<void>
}

export interface FlightDeskGround {
  readonly work: TokenWork
  readonly storage: FlightStorage
  readonly clock: Clock
  readonly background: Background
  readonly deadlineMs?: number
}

type Outcome = Awaited<ReturnType<TokenWork>>

interface Flight {
  readonly subjectToken: string
  readonly outcome: Promise<Outcome>
}

/** A refusal that answers later arrivals for a while. Not stored: an object that was put to sleep may ask anew. */
interface RememberedRefusal {
  readonly refusal: Refusal
  readonly until: NumericDate
  /** Undefined: whatever ID token comes, it would be refused. */
  readonly subjectToken: string | undefined
  /** Undefined: whatever entry was rejected before. */
  readonly rejectedEntry: string | undefined
}

export class FlightDesk {
  readonly #ground: FlightDeskGround
  #flight: Flight | undefined
  #refused: RememberedRefusal | undefined

  constructor(ground: FlightDeskGround) {
    this.#ground = ground
  }

  /** Throws if the work throws or takes too long; so do the waiters, and the next arrival starts anew. */
  async join(job: TokenJob): Promise<Landing> {
    for (let waitedFor = 1; ; waitedFor++) {
      const now = this.#ground.clock.now()
      const record = this.#read(now)
      if (record !== undefined && isGoodEnough(record.kept, job, now))
        return toLanding({ kept: record.kept, ms: {} }, job, false)
      const refused = this.#refusalFor(job, now)
      if (refused !== undefined) return { landed: false, refusal: refused, ms: {} }
      const flight = this.#flight
      if (flight === undefined) {
        if (record !== undefined && isRejectedAgain(record, job, now))
          return { landed: false, refusal: rejects(job), ms: {} }
        return toLanding(await this.#takeOff(job, record), job, true)
      }
      const outcome = await flight.outcome
      // Another flight could only differ by what this joiner would bring along.
      const isFinal =
        waitedFor === MAX_FLIGHTS_WAITED_FOR || !couldDoBetter(outcome, flight, job, this.#ground.clock.now())
      if (isFinal) return toLanding(outcome, job, false)
    }
  }

  /** What is kept; it stays. */
  peek(): KeptEntry | undefined {
    return this.#read(this.#ground.clock.now())?.kept
  }

  /** Drops what is kept, and answers it. */
  async forget(): Promise<KeptEntry | undefined> {
    const record = this.#read(this.#ground.clock.now())
    this.#refused = undefined
    if (record !== undefined) await this.#ground.storage.clear()
    return record?.kept
  }

  /** Deletes what is of no more use. The storage calls for it, some time after the `forgetAt` of the last write. */
  async tidy(): Promise<void> {
    const record = this.#ground.storage.read()
    if (record === undefined) return
    if (this.#ground.clock.now() < forgetAt(record)) await this.#ground.storage.write(record, forgetAt(record))
    else await this.#ground.storage.clear()
  }

  /** An alarm may come late; what is due to be forgotten counts as forgotten. */
  #read(now: NumericDate): FlightRecord | undefined {
    const record = this.#ground.storage.read()
    return record !== undefined && now < forgetAt(record) ? record : undefined
  }

  #refusalFor(job: TokenJob, now: NumericDate): Refusal | undefined {
    const refused = this.#refused
    if (refused === undefined) return undefined
    if (now >= refused.until) this.#refused = undefined
    else {
      const sameToken = refused.subjectToken === undefined || refused.subjectToken === job.subject.token
      const sameRenewal = refused.rejectedEntry === undefined || refused.rejectedEntry === job.rejectedEntry
      if (sameToken && sameRenewal) return refused.refusal
    }
    return undefined
  }

  #takeOff(job: TokenJob, record: FlightRecord | undefined): Promise<Outcome> {
    const outcome = this.#fly(job, record)
    this.#flight = { subjectToken: job.subject.token, outcome }
    // The flight belongs to the desk, not to whoever asked first: it goes on when that one hangs up.
    this.#ground.background(outcome.catch(() => undefined))
    return outcome
  }

  async #fly(job: TokenJob, record: FlightRecord | undefined): Promise<Outcome> {
    // An async function, so that even work that throws at once does so after the flight has been entered above.
    const work = async (): Promise<Outcome> => this.#ground.work(job, record?.kept)
    try {
      const outcome = await within(work(), this.#ground.deadlineMs ?? FLIGHT_DEADLINE_MS, 'the flight')
      if ('kept' in outcome) await this.#keep(outcome.kept, job, record)
      else this.#remember(outcome.refusal, outcome.remember, job)
      return outcome
    } finally {
      this.#flight = undefined
    }
  }

  #remember(refusal: Refusal, memory: Memory | undefined, job: TokenJob): void {
    const { rejectedEntry } = job
    // A renewal that failed is not tried again at once, whatever it failed of: the entry is still rejected, request by request.
    const renewal = rejectedEntry === undefined ? undefined : { seconds: RENEWAL_RETRY_SECONDS, sameTokenOnly: false }
    const kept = memory ?? renewal
    if (kept === undefined) return
    this.#refused = {
      refusal,
      until: plusSeconds(this.#ground.clock.now(), kept.seconds),
      subjectToken: kept.sameTokenOnly ? job.subject.token : undefined,
      rejectedEntry: memory === undefined ? rejectedEntry : undefined,
    }
  }

  async #keep(kept: KeptEntry, job: TokenJob, before: FlightRecord | undefined): Promise<void> {
    // Replacing an entry that merely ran out is no renewal, whatever else the joiner saw rejected.
    const isRenewal = job.rejectedEntry !== undefined && (before === undefined || before.kept.id === job.rejectedEntry)
    const record = { kept, renewedAt: isRenewal ? this.#ground.clock.now() : before?.renewedAt }
    await this.#ground.storage.write(record, forgetAt(record))
  }
}

function isGoodEnough(kept: KeptEntry, job: TokenJob, now: NumericDate): boolean {
  return (
    kept.id !== job.rejectedEntry &&
    kept.obtainedAt > job.tokensUntil &&
    kept.usableUntil - now >= job.minRemainingSeconds
  )
}

function isRejectedAgain(record: FlightRecord, job: TokenJob, now: NumericDate): boolean {
  if (record.kept.id !== job.rejectedEntry || record.renewedAt === undefined) return false
  return now < plusSeconds(record.renewedAt, RENEWAL_INTERVAL_SECONDS)
}

function couldDoBetter(outcome: Outcome, flight: Flight, job: TokenJob, now: NumericDate): boolean {
  if ('kept' in outcome && (outcome.kept.id === job.rejectedEntry || outcome.kept.obtainedAt <= job.tokensUntil)) {
    return true
  }
  if (flight.subjectToken === job.subject.token) return false
  return 'kept' in outcome ? !isGoodEnough(outcome.kept, job, now) : isAboutTheLogin(outcome.refusal)
}

/** A refusal that another, newer ID token of the same user may not meet. */
function isAboutTheLogin(refusal: Refusal): boolean {
  const kind = kindOf(refusal.code)
  return kind === 'login_refused' || kind === 'bad_token' || kind === 'step_up'
}

/** The times belong to the one who led: counted once, they add up. */
function toLanding(outcome: Outcome, job: TokenJob, fresh: boolean): Landing {
  const ms = fresh ? outcome.ms : {}
  if ('refusal' in outcome) return { landed: false, refusal: outcome.refusal, ms }
  // An authorization server may give the same token again as long as it lives; the resource would reject it again.
  if (outcome.kept.id === job.rejectedEntry) return { landed: false, refusal: rejects(job), ms }
  const landing = { landed: true, sealed: outcome.kept.sealed, fresh, ms } as const
  return fresh && outcome.quota !== undefined ? { ...landing, quota: outcome.quota } : landing
}

function rejects(job: TokenJob): Refusal {
  return { code: 'UPS101', name: job.resource, detail: 'a renewed entry was rejected, or renewing gave the same entry' }
}

function forgetAt(record: FlightRecord): NumericDate {
  const { kept, renewedAt } = record
  if (renewedAt === undefined) return kept.usableUntil
  const renewable = plusSeconds(renewedAt, RENEWAL_INTERVAL_SECONDS)
  return renewable > kept.usableUntil ? renewable : kept.usableUntil
}
