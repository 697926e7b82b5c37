// Keeps an outage of somebody else's server from costing one call per request: after a run of failures calls are held back,
// and one at a time is let through to see whether the server is back.

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

  /** Whether a call may be made now. Whoever gets `true` must make it at once and report how it ended. */
  admits(): boolean {
    if (this.#failures < this.#bounds.failuresToOpen) return true
    const now = this.#millis()
    if (now < this.#nextTrialAt) return false
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
