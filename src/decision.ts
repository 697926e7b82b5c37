// The decision log: what an administrator can look up of decisions without the audit log. Types only. It is a part of what the
// audit events say, so nothing that is left out there can be in here.
import type { AuditEvent } from './audit-event.ts'

export type Outcome = AuditEvent['outcome']

/** One decision, as far as it is kept. */
export interface Decision extends Pick<AuditEvent, 'id' | 'time' | 'outcome' | 'code'> {
  readonly user?: Pick<NonNullable<AuditEvent['user']>, 'issuer' | 'sub' | 'tenant'>
  /** The stage that decided. */
  readonly event: string
  readonly client?: string
  readonly resource?: string
  /** The rule that decided. */
  readonly rule?: string
  readonly ms: number
}

/** How often something was decided. Empty: there was none. */
export interface DecisionCount {
  readonly outcome: Outcome
  readonly code: string
  readonly client: string
  readonly resource: string
  readonly count: number
}

/** How often a rule was about a request. */
export interface RuleHits {
  readonly rule: string
  readonly hits: number
  /** RFC 3339, UTC. */
  readonly lastHit: string
}

/** What is missing. */
export interface Losses {
  /** Decisions that are neither in the log nor counted. */
  readonly uncounted: number
  /** Audit events that a sink has lost. */
  readonly events: number
}

/** All that was decided in one hour. */
export interface HourOfDecisions {
  /** `YYYY-MM-DDTHH`, UTC. */
  readonly hour: string
  readonly counts: readonly DecisionCount[]
  readonly hits: readonly RuleHits[]
  readonly losses: Losses
}
