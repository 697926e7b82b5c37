// What keeps counterparties from being asked too much: refusals that are remembered, circuits for outages, the quota.
import { SharedCircuit, type SharedBounds } from '../lib/circuit.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { Background, Clock, Memory, QuotaKey, QuotaUse, Registry } from '../ports.ts'
import { kindOf, type Refusal, type RefusalKind } from '../refusal.ts'

// A refusal that will be the same in a moment answers for a moment. An outage is not among them: whether a server is back is
// for the circuit to find out.
const REMEMBERED: Partial<Record<RefusalKind, Memory>> = {
  access_refused: { seconds: 30, sameTokenOnly: false },
  target_refused: { seconds: 30, sameTokenOnly: false },
  scope_refused: { seconds: 30, sameTokenOnly: false },
  details_refused: { seconds: 30, sameTokenOnly: false },
  grant_refused: { seconds: 10, sameTokenOnly: false },
  misconfigured: { seconds: 10, sameTokenOnly: false },
  misbehaved: { seconds: 10, sameTokenOnly: false },
  // The user can mend these: the next ID token is judged anew.
  login_refused: { seconds: 30, sameTokenOnly: true },
  step_up: { seconds: 30, sameTokenOnly: true },
}

export function memoryOf({ code, holdSeconds }: Refusal): Memory | undefined {
  if (holdSeconds !== undefined) return { seconds: holdSeconds, sameTokenOnly: false }
  return REMEMBERED[kindOf(code)]
}

// Twenty users who meet the outage at the same moment are twenty calls; after ten failures in a row, of three users at least,
// nobody else tries but one caller every few seconds. Recovery is noticed within twice the longest pause.
const CIRCUIT: SharedBounds = {
  failuresToOpen: 10,
  askersToOpen: 3,
  firstPauseMs: 500,
  maxPauseMs: 2_000,
  maxAskers: 1_000,
}

/**
 * One circuit per counterparty, in the memory of this isolate. `asker`: whose content the call carries, so that nobody's content
 * alone makes a server look out of order.
 */
export interface Circuits {
  /** Whether the counterparty is known to be out of order, for everybody or for this asker, and no trial is due. */
  isOpen(counterparty: string, asker: string): boolean
  /** Whether a call may be made now; whoever gets `true` makes it and reports. */
  admits(counterparty: string, asker: string): boolean
  /** How a call that was admitted has ended. */
  report(counterparty: string, asker: string, result: Result<unknown, Refusal>): void
}

export function createCircuits(clock: Clock): Circuits {
  // Counterparties come from the configuration only.
  const circuits = new Map<string, SharedCircuit>()
  const circuitOf = (counterparty: string): SharedCircuit => {
    const circuit = circuits.get(counterparty) ?? new SharedCircuit(CIRCUIT, () => clock.millis())
    circuits.set(counterparty, circuit)
    return circuit
  }
  return {
    isOpen: (counterparty, asker) => circuitOf(counterparty).isOpen(asker),
    admits: (counterparty, asker) => circuitOf(counterparty).admits(asker),
    report(counterparty, asker, result) {
      if (!result.ok && isOutage(result.error)) circuitOf(counterparty).failed(asker)
      else circuitOf(counterparty).succeeded(asker)
    },
  }
}

/** Not reached, not answered, or answered that it cannot: a malformed answer or a limit still shows a living server. */
export function isOutage({ code, throttled }: Refusal): boolean {
  if (throttled === true) return false
  const kind = kindOf(code)
  return kind === 'unavailable' || kind === 'timeout'
}

export interface QuotaLimits {
  readonly limit: number
  /** Share of the limit from which on events carry a warning. */
  readonly warnAt: number
}

/** One ID-JAG that is about to be obtained. */
export interface Use {
  readonly idp: string
  readonly tenant: string | undefined
  readonly user: string
  readonly resource: string
}

/**
 * Counts an ID-JAG before it is obtained; `release` gives the place back when none was. With a limit, a ledger that cannot be
 * reached refuses (INT101): the limit is a promise. Without one, it costs nobody a request.
 */
export async function reserve(
  use: Use,
  limits: QuotaLimits | undefined,
  ports: { readonly registry: Registry; readonly clock: Clock; readonly background: Background },
): Promise<Result<{ readonly quota: QuotaUse | undefined; readonly release: () => void }, Refusal>> {
  const counted = inMonth(use, ports.clock)
  const release = (): void => ports.background(ports.registry.release(counted).catch(() => undefined))
  const place = await ports.registry.reserve(counted, limits?.limit).catch(() => undefined)
  if (limits === undefined) return ok({ quota: undefined, release: place === undefined ? () => undefined : release })
  if (place === undefined) return err({ code: 'INT101', detail: 'the quota ledger failed', retryAfterSeconds: 1 })
  if (!place.allowed) return usedUp(use, place.used, limits)
  return ok({ quota: toQuotaUse(place.used, limits), release })
}

/**
 * Counts an ID-JAG that has been obtained before anybody knew for whom. Refuses with LIM201 where that was one too many, and
 * with INT101 where a limit cannot be compared with.
 */
export async function countObtained(
  use: Use,
  limits: QuotaLimits | undefined,
  ports: { readonly registry: Registry; readonly clock: Clock },
): Promise<Result<QuotaUse | undefined, Refusal>> {
  const place = await ports.registry.reserve(inMonth(use, ports.clock), undefined).catch(() => undefined)
  if (limits === undefined) return ok(undefined)
  if (place === undefined) return err({ code: 'INT101', detail: 'the quota ledger failed', retryAfterSeconds: 1 })
  return place.used > limits.limit ? usedUp(use, place.used, limits) : ok(toQuotaUse(place.used, limits))
}

function inMonth(use: Use, clock: Clock): QuotaKey {
  return { ...use, month: new Date(clock.epochMillis()).toISOString().slice(0, 7) }
}

function usedUp({ resource }: Use, used: number, { limit }: QuotaLimits): Result<never, Refusal> {
  return err({ code: 'LIM201', name: resource, detail: `${used} of ${limit} used` })
}

function toQuotaUse(used: number, { limit, warnAt }: QuotaLimits): QuotaUse {
  return { used, limit, warning: used >= limit * warnAt }
}
