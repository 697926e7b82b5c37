// The door of the room, and where events go: to every sink that is configured; and, where the configuration requires it, first to those that can say
// that they have one for good.
import { err, ok, type Result } from '../lib/result.ts'
import type { AuditSink, Clock } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { toEvent, type Ending, type Facts } from './event.ts'

export type { Facts } from './event.ts'
export { createHttpSink } from './http-sink.ts'

export interface Recorder {
  /** Writes the event of a decision that is over. */
  write(facts: Facts, ending: Pick<Ending, 'status' | 'refusal' | 'totalMs'>): void
  /**
   * Before a token leaves: has the decision recorded, for good. Undefined: that is not required. Refuses with INT103 where no
   * sink has accepted the event in time; the refusal is recorded as any other.
   */
  readonly release: ((facts: Facts) => Promise<Result<undefined, Refusal>>) | undefined
}

export function createRecorder(sinks: readonly AuditSink[], clock: Clock, required: boolean): Recorder {
  const lost = (): number => sinks.reduce((sum, sink) => sum + (sink.lost?.() ?? 0), 0)
  return {
    write(facts, ending) {
      if (sinks.length === 0) return
      const event = toEvent(facts, { ...ending, now: clock.now(), lost: lost() })
      for (const sink of sinks) sink.write(event)
    },
    release: required
      ? async (facts) => {
          const event = toEvent(facts, {
            status: undefined,
            refusal: undefined,
            totalMs: 0,
            now: clock.now(),
            lost: lost(),
          })
          const answers = await Promise.all(sinks.flatMap((sink) => sink.accept?.(event) ?? []))
          const accepted = answers.length > 0 && !answers.includes(false)
          return accepted ? ok(undefined) : err({ code: 'INT103', retryAfterSeconds: 5 })
        }
      : undefined,
  }
}
