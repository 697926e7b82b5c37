// All that is done with one subject token, one thing after the other. Identity providers that rotate refresh tokens take two uses
// of one at the same time for theft, and end the session. The logic alone: storage, clock and work come in, so that both
// grounds run the very same code.
import { BoundedMap } from '../lib/bounded-map.ts'
import { encodeFields } from '../lib/digest.ts'
import { plusSeconds, type NumericDate } from '../lib/numeric-date.ts'
import type { Background, Clock, Landing, SubjectJob, SubjectState, SubjectWork } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { within } from './deadline.ts'
import { FLIGHT_DEADLINE_MS } from './flight-desk.ts'

/** Where it is kept what is remembered. */
export interface SubjectStorage {
  read(): SubjectState | undefined
  /** Replaces what is remembered and sees to it that `tidy()` is called at its end: both or neither. */
  write(state: SubjectState): Promise<void>
  clear(): Promise<void>
}

export interface SubjectDeskGround {
  readonly work: SubjectWork
  readonly storage: SubjectStorage
  readonly clock: Clock
  readonly background: Background
  readonly deadlineMs?: number
}

/** Different things that are asked for at the same time; each waits for those before it. */
const MAX_WAITING = 16
const MAX_REMEMBERED_REFUSALS = 32

type Outcome = Awaited<ReturnType<SubjectWork>>

export class SubjectDesk {
  readonly #ground: SubjectDeskGround
  readonly #flights = new Map<string, Promise<Outcome>>()
  readonly #refused = new BoundedMap<string, { readonly refusal: Refusal; readonly until: NumericDate }>(
    MAX_REMEMBERED_REFUSALS,
  )
  /** Settled when nothing is under way. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(ground: SubjectDeskGround) {
    this.#ground = ground
  }

  /** Throws if the work throws, or takes too long for whoever asks; the work itself goes on to its end. */
  async introduce(job: SubjectJob): Promise<Landing> {
    const refused = this.#refused.get(job.identity)
    if (refused !== undefined && this.#ground.clock.now() < refused.until)
      return { landed: false, refusal: refused.refusal, ms: {} }
    const wish = encodeFields([job.identity, job.insteadOf, String(job.tokensUntil)])
    const running = this.#flights.get(wish)
    const outcome = await within(
      running ?? this.#takeOff(wish, job),
      this.#ground.deadlineMs ?? FLIGHT_DEADLINE_MS,
      'the exchange of a subject token',
    )
    return toLanding(outcome, running === undefined)
  }

  /** What is remembered, for whoever looks after the same token under another name now. */
  async recall(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.#read()?.sealed
  }

  /** Deletes what is of no more use. The storage calls for it. */
  async tidy(): Promise<void> {
    const state = this.#ground.storage.read()
    if (state === undefined) return
    if (this.#read() === undefined) await this.#ground.storage.clear()
    else await this.#ground.storage.write(state)
  }

  #read(): SubjectState | undefined {
    const state = this.#ground.storage.read()
    return state !== undefined && this.#ground.clock.now() < state.until ? state : undefined
  }

  // Nothing is awaited between looking for a flight and entering this one.
  #takeOff(wish: string, job: SubjectJob): Promise<Outcome> {
    if (this.#flights.size >= MAX_WAITING) throw new Error('too much is asked of one subject token')
    const outcome = this.#turn.then(() => this.#work(job)).finally(() => this.#flights.delete(wish))
    this.#flights.set(wish, outcome)
    // The next one waits for the end of the work itself, not for somebody's patience with it.
    this.#turn = outcome.catch(() => undefined)
    this.#ground.background(this.#turn)
    return outcome
  }

  async #work(job: SubjectJob): Promise<Outcome> {
    const { work, storage, clock } = this.#ground
    const outcome = await work(job, this.#read(), (state) => storage.write(state))
    if ('refusal' in outcome && outcome.remember !== undefined) {
      const until = plusSeconds(clock.now(), outcome.remember.seconds)
      this.#refused.set(job.identity, { refusal: outcome.refusal, until })
    }
    return outcome
  }
}

/** The times and the quota belong to the one who led: counted once, they add up. */
function toLanding(outcome: Outcome, led: boolean): Landing {
  if ('refusal' in outcome) return { landed: false, refusal: outcome.refusal, ms: led ? outcome.ms : {} }
  const { sealed, fresh, ms, quota } = outcome
  if (!led) return { landed: true, sealed, fresh: false, ms: {} }
  return quota === undefined ? { landed: true, sealed, fresh, ms } : { landed: true, sealed, fresh, ms, quota }
}
