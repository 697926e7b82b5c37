// Flights within one isolate: what the memory ground has for a network, and what remains of single flight while the Durable
// Objects cannot be reached.
import { BoundedMap } from '../lib/bounded-map.ts'
import type { Background, Clock, SingleFlight, TokenWork } from '../ports.ts'
import { FlightDesk, type FlightRecord, type FlightStorage } from './flight-desk.ts'

export interface LocalFlightOptions {
  readonly work: TokenWork
  readonly clock: Clock
  readonly background: Background
  readonly deadlineMs?: number
}

const MAX_DESKS = 5_000

/** One desk per name. */
export function createLocalFlight(options: LocalFlightOptions): SingleFlight {
  const desks = new BoundedMap<string, FlightDesk>(MAX_DESKS)
  return {
    join(name, job) {
      const desk = desks.get(name) ?? new FlightDesk({ ...options, storage: memoryFlightStorage() })
      desks.set(name, desk)
      return desk.join(job)
    },
    async peek(name) {
      return desks.get(name)?.peek()?.sealed
    },
    async forget(name) {
      return (await desks.get(name)?.forget())?.sealed
    },
  }
}

/** No alarm is needed: the desk does not read what should have been forgotten. */
function memoryFlightStorage(): FlightStorage {
  let record: FlightRecord | undefined
  return {
    read: () => structuredClone(record),
    async write(next) {
      record = structuredClone(next)
    },
    async clear() {
      record = undefined
    },
  }
}
