// The door of the room, and where events go: to every sink that is configured; and, where the configuration requires it,
// first to those that can say that they have one for good.
import type { AuditEvent } from '../audit-event.ts'
import type { Config } from '../config/config.ts'
import { toHex, toUtf8 } from '../lib/bytes.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { Rule } from '../parties.ts'
import type { AuditSink, Clock } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { toOcsf } from './ocsf.ts'
import { toEvent, toLoadEvent, toUnnamed, type Ending, type Facts, type Setting } from './event.ts'

export type { Facts } from './event.ts'
export { createArchive } from './archive.ts'
export { createDecisionSink } from './decision-sink.ts'
export { createHttpSink } from './http-sink.ts'
export { createQueueSink } from './queue-sink.ts'
export { toSpanAttributes } from './span.ts'

/** How an event is written, by the name of the format. One line each. */
export const FORMATS = {
  jagway: (event: AuditEvent): string => JSON.stringify(event),
  ocsf: (event: AuditEvent): string => JSON.stringify(toOcsf(event)),
}

export interface Recorder {
  /** Writes the event of a decision that is over. */
  write(facts: Facts, ending: Pick<Ending, 'status' | 'refusal' | 'totalMs'>): void
  /**
   * Before a token leaves: has the decision recorded, for good. Undefined: that is not required. Refuses with INT103 where no
   * sink has accepted the event in time; the refusal is recorded as any other.
   */
  readonly release: ((facts: Facts) => Promise<Result<undefined, Refusal>>) | undefined
}

/** The digits of the configuration's digest that its events carry. */
const HASH_DIGITS = 12

/** Tells one configuration from another: what `sha256sum` says of the file begins with it. */
export async function hashConfig(text: string): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', toUtf8(text)))).slice(0, HASH_DIGITS)
}

export function createRecorder(
  sinks: readonly AuditSink[],
  clock: Clock,
  { audit, rules, cache }: Pick<Config, 'audit' | 'rules' | 'cache'>,
  configHash: string,
): Recorder {
  const setting: Setting = { configHash, groupsOfRules: groupsOf(rules), sealingKeys: cache.sealingKeys }
  /** Events that a sink has failed to take at all. */
  let untaken = 0
  const write = (event: AuditEvent, unnamed?: readonly string[]): void => {
    for (const sink of sinks) {
      try {
        sink.write(event, unnamed)
      } catch {
        // It must cost neither the other sinks their event nor the caller the answer.
        untaken += 1
      }
    }
  }
  let announced = false
  /** No sink can be reached before the first request is there. */
  const announce = (facts: Facts): void => {
    announced = true
    write(toLoadEvent(facts, clock.now(), setting))
  }
  const lost = (): number => sinks.reduce((sum, sink) => sum + (sink.lost?.() ?? 0), untaken)
  return {
    write(facts, ending) {
      if (sinks.length === 0) return
      if (!announced) announce(facts)
      const event = toEvent(facts, { ...ending, now: clock.now(), lost: lost() }, setting)
      write(event, toUnnamed(facts, ending.refusal))
    },
    release: audit.required
      ? async (facts) => {
          if (!announced) announce(facts)
          const ending = { status: undefined, refusal: undefined, totalMs: 0, now: clock.now(), lost: lost() }
          const event = toEvent(facts, ending, setting)
          const answers = await Promise.all(sinks.flatMap((sink) => sink.accept?.(event) ?? []))
          const accepted = answers.length > 0 && !answers.includes(false)
          return accepted ? ok(undefined) : err({ code: 'INT103', retryAfterSeconds: 5 })
        }
      : undefined,
  }
}

function groupsOf(rules: readonly Rule[]): Setting['groupsOfRules'] {
  return new Map(rules.flatMap(({ id, groups }) => (groups === undefined ? [] : [[id, new Set(groups)]])))
}
