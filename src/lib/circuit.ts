// Keeps an outage of somebody else's server from costing one call per request: after a run of failures calls are held back,
// and one at a time is let through to see whether the server is back.
import { BoundedMap } from './bounded-map.ts'

export interface CircuitBounds {
  /** So many failures without a success between them open the circuit. */
  readonly failuresToOpen: number
  /** The first pause between two trials; it doubles with each trial that fails. */
  readonly firstPauseMs: number
  readonly maxPauseMs: number
}

export class Circuit {
  readonly #bounds: CircuitBounds
  readonly #millis: () => number
  #failures = 0
  #pauseMs = 0
  #nextTrialAt = 0

  constructor(bounds: CircuitBounds, millis: () => number) {
    this.#bounds = bounds
    this.#millis = millis
  }

  /** Whether a call would be held back now; claims nothing. */
  isOpen(): boolean {
    return this.#failures >= this.#bounds.failuresToOpen && this.#millis() < this.#nextTrialAt
  }

  /**
   * Whether a call may be made now. Whoever gets `true` must make it at once and report how it ended. `isLast`: lets others
   * try first, for one pause more.
   */
  admits(isLast = false): boolean {
    if (this.#failures < this.#bounds.failuresToOpen) return true
    const now = this.#millis()
    if (now < this.#nextTrialAt + (isLast ? this.#pauseMs : 0)) return false
    // The others go on waiting while this one tries; should it never report, the next trial is due after the same pause.
    this.#nextTrialAt = now + this.#pauseMs
    return true
  }

  succeeded(): void {
    this.#failures = 0
    this.#pauseMs = 0
  }

  failed(): void {
    this.#failures += 1
    if (this.#failures < this.#bounds.failuresToOpen) return
    const { firstPauseMs, maxPauseMs } = this.#bounds
    this.#pauseMs = this.#pauseMs === 0 ? firstPauseMs : Math.min(this.#pauseMs * 2, maxPauseMs)
    this.#nextTrialAt = this.#millis() + this.#pauseMs
  }
}

export interface SharedBounds extends CircuitBounds {
  /** So many different askers must have failed since anybody has succeeded. */
  readonly askersToOpen: number
  /** Of so many askers it is remembered that they failed. */
  readonly maxAskers: number
}

/**
 * For a server that many ask, not all of them with good intent: what it cannot answer for one of them alone holds back that one
 * alone. Several who fail, one after the other and nobody succeeding, are an outage for everybody; and while that lasts, whoever
 * has not failed yet tries before those who have.
 */
export class SharedCircuit {
  readonly #bounds: SharedBounds
  readonly #millis: () => number
  readonly #whole: Circuit
  readonly #alone: BoundedMap<string, Circuit>
  /** Since anybody has succeeded. */
  readonly #failing = new Set<string>()

  constructor(bounds: SharedBounds, millis: () => number) {
    this.#bounds = bounds
    this.#millis = millis
    this.#whole = new Circuit(bounds, millis)
    this.#alone = new BoundedMap(bounds.maxAskers)
  }

  /** Whether a call of this asker would be held back now; claims nothing. */
  isOpen(asker: string): boolean {
    return this.#alone.get(asker)?.isOpen() === true || (this.#isOutage() && this.#whole.isOpen())
  }

  /** Whether this asker may make a call now. Whoever gets `true` must make it at once and report how it ended. */
  admits(asker: string): boolean {
    const alone = this.#alone.get(asker)
    if (alone?.isOpen() === true) return false
    if (this.#isOutage() && !this.#whole.admits(this.#failing.has(asker))) return false
    return alone?.admits() ?? true
  }

  succeeded(asker: string): void {
    this.#alone.delete(asker)
    this.#failing.clear()
    this.#whole.succeeded()
  }

  failed(asker: string): void {
    const alone = this.#alone.get(asker) ?? new Circuit(this.#bounds, this.#millis)
    alone.failed()
    this.#alone.set(asker, alone)
    if (this.#failing.size < this.#bounds.maxAskers) this.#failing.add(asker)
    this.#whole.failed()
  }

  #isOutage(): boolean {
    return this.#failing.size >= this.#bounds.askersToOpen
  }
}
