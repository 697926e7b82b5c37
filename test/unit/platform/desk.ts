// A flight desk whose flights land when the test says so.
import { plusSeconds, type NumericDate } from '../../../src/lib/numeric-date.ts'
import { FlightDesk, type FlightRecord } from '../../../src/platform/flight-desk.ts'
import { createManualClock } from '../../../src/platform/memory.ts'
import type { Landing, TokenJob, TokenWork } from '../../../src/ports.ts'

export type Outcome = Awaited<ReturnType<TokenWork>>

export function createDesk(options: { deadlineMs?: number; work?: TokenWork } = {}) {
  const clock = createManualClock()
  const flights: {
    job: TokenJob
    kept: string | undefined
    obtainedAt: number
    end: PromiseWithResolvers<Outcome>
  }[] = []
  const background: Promise<unknown>[] = []
  const stored: { record: FlightRecord | undefined; forgetAt: NumericDate | undefined; broken: boolean } = {
    record: undefined,
    forgetAt: undefined,
    broken: false,
  }
  const desk = new FlightDesk({
    clock,
    background: (work) => background.push(work),
    work:
      options.work ??
      ((job, kept) => {
        const end = Promise.withResolvers<Outcome>()
        flights.push({ job, kept: kept?.id, obtainedAt: clock.epochMillis(), end })
        return end.promise
      }),
    storage: {
      read: () => stored.record,
      async write(record, forgetAt) {
        if (stored.broken) throw new Error('storage is broken')
        Object.assign(stored, { record, forgetAt })
      },
      async clear() {
        Object.assign(stored, { record: undefined, forgetAt: undefined })
      },
    },
    ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
  })
  const land = async (flight: number, id: string, usableForSeconds = 600): Promise<void> => {
    const usableUntil = plusSeconds(clock.now(), usableForSeconds)
    const obtainedAt = flights[flight]?.obtainedAt ?? 0
    const kept = { id, sealed: new Uint8Array([flight]), usableUntil, obtainedAt }
    flights[flight]?.end.resolve({ kept, ms: { redeem: 5 } })
    await settled()
  }
  return { desk, clock, flights, background, stored, land }
}

/** Lets everything go on that can. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0))
}

export function sealedOf(landing: Landing): number | undefined {
  return landing.landed ? landing.sealed[0] : undefined
}
