// A value that is fetched, kept for a while, and fetched again: keys, metadata. It bounds how often the source is asked,
// whatever callers do, and survives the end of the request that started a fetch.
//
// On Workers a promise made in one request may be awaited in another only while its maker lives; a fetch that nobody
// keeps alive leaves its followers hanging for good. Therefore every load is handed to `background`, and followers wait
// no longer than `deadlineMs` before they load for themselves.
import { withDeadline } from './deadline.ts'
import type { Result } from './result.ts'

export interface RefreshingBounds {
  /** A value younger than this is used without asking. */
  readonly freshMs: number
  /** After that, while the source fails, the old value is used up to this age. */
  readonly staleMs: number
  /** After a failure the source is left alone for this long. */
  readonly failureCooldownMs: number
  /** `renew()` asks the source at most once in this time. */
  readonly renewCooldownMs: number
  /** How long one load may take. */
  readonly deadlineMs: number
}

interface Flight<T, P> {
  readonly promise: Promise<Result<T, P>>
  readonly startedAt: number
}

export class Refreshing<T, P> {
  readonly #load: () => Promise<Result<T, P>>
  readonly #bounds: RefreshingBounds
  readonly #millis: () => number
  readonly #background: (work: Promise<unknown>) => void
  #value: { readonly result: Result<T, P> & { ok: true }; readonly loadedAt: number } | undefined
  #failure: { readonly result: Result<T, P>; readonly at: number } | undefined
  #renewedAt = Number.NEGATIVE_INFINITY
  #flight: Flight<T, P> | undefined

  /** `load` must settle within `deadlineMs` and must not throw. */
  constructor(
    load: () => Promise<Result<T, P>>,
    bounds: RefreshingBounds,
    millis: () => number,
    background: (work: Promise<unknown>) => void,
  ) {
    this.#load = load
    this.#bounds = bounds
    this.#millis = millis
    this.#background = background
  }

  /** The value, from memory where it is fresh. Undefined answers do not exist: it is a value or the source's failure. */
  get(): Promise<Result<T, P>> | Result<T, P> {
    const now = this.#millis()
    if (this.#value !== undefined && now - this.#value.loadedAt < this.#bounds.freshMs) return this.#value.result
    if (this.#failure !== undefined && now - this.#failure.at < this.#bounds.failureCooldownMs) {
      return this.#staleValue(now) ?? this.#failure.result
    }
    return this.#reload()
  }

  /** Asks the source although the value is fresh, because something was not in it; bounded by the cool-downs. */
  renew(): Promise<Result<T, P>> | Result<T, P> {
    // A renewal under way answers all who want one: the old value is what they could not use.
    if (this.#flight !== undefined) return this.#reload()
    const now = this.#millis()
    if (now - this.#renewedAt < this.#bounds.renewCooldownMs) return this.get()
    if (this.#failure !== undefined && now - this.#failure.at < this.#bounds.failureCooldownMs) return this.get()
    this.#renewedAt = now
    return this.#reload()
  }

  #staleValue(now: number): Result<T, P> | undefined {
    const value = this.#value
    return value !== undefined && now - value.loadedAt < this.#bounds.staleMs ? value.result : undefined
  }

  async #reload(): Promise<Result<T, P>> {
    const running = this.#flight
    if (running !== undefined && this.#millis() - running.startedAt < this.#bounds.deadlineMs) {
      const landed = await withDeadline(running.promise, this.#bounds.deadlineMs)
      if (landed !== undefined) return landed
      if (this.#flight === running) this.#flight = undefined
      // The first of those who waited in vain leads anew, the others follow.
      return this.#reload()
    }
    const flight: Flight<T, P> = { promise: this.#run(), startedAt: this.#millis() }
    this.#flight = flight
    this.#background(flight.promise)
    try {
      return await flight.promise
    } finally {
      if (this.#flight === flight) this.#flight = undefined
    }
  }

  async #run(): Promise<Result<T, P>> {
    const result = await this.#load()
    const now = this.#millis()
    if (result.ok) {
      this.#value = { result, loadedAt: now }
      this.#failure = undefined
      return result
    }
    this.#failure = { result, at: now }
    return this.#staleValue(now) ?? result
  }
}
