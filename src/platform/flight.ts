// The Durable Object that makes a single flight single everywhere: one object per key, named by the key's digest. It keeps
// the last entry, sealed as it came, because KV may go on answering "no such name" for a minute after a write. Objects of the
// same class, under other names, each look after one subject token.
import { DurableObject } from 'cloudflare:workers'
import { numericDate, type NumericDate } from '../lib/numeric-date.ts'
import { isObject } from '../lib/strict-json.ts'
import type { Clock, KeptEntry, Landing, SubjectJob, SubjectState, SubjectWork, TokenJob, TokenWork } from '../ports.ts'
import type { Env } from './env.ts'
import { FlightDesk, type FlightRecord, type FlightStorage } from './flight-desk.ts'
import { SubjectDesk, type SubjectStorage } from './subject-desk.ts'
import { systemClock } from './system-clock.ts'

const RECORD = 'record'
const SUBJECT = 'subject'

/** What is done in such an object. */
export interface FlightWork {
  readonly token: TokenWork
  readonly subject: SubjectWork
}

/**
 * The class for `export class Flight extends flightClass(…) {}`. `workFor` is called once per object, and an isolate has
 * many: what is expensive to build should be built once per isolate.
 */
export function flightClass(workFor: (env: Env) => FlightWork, clock: Clock = systemClock) {
  return class extends DurableObject {
    readonly #desk: FlightDesk
    readonly #subjects: SubjectDesk

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env)
      const { token, subject } = workFor(env)
      const ground = { clock, background: (work: Promise<unknown>) => ctx.waitUntil(work) }
      this.#desk = new FlightDesk({ ...ground, work: token, storage: flightStorage(ctx.storage) })
      this.#subjects = new SubjectDesk({ ...ground, work: subject, storage: subjectStorage(ctx.storage) })
    }

    join(job: TokenJob): Promise<Landing> {
      return this.#desk.join(job)
    }

    async peek(): Promise<Uint8Array<ArrayBuffer> | undefined> {
      return this.#desk.peek()?.sealed
    }

    async forget(): Promise<Uint8Array<ArrayBuffer> | undefined> {
      return (await this.#desk.forget())?.sealed
    }

    introduce(job: SubjectJob): Promise<Landing> {
      return this.#subjects.introduce(job)
    }

    recall(): Promise<Uint8Array<ArrayBuffer> | undefined> {
      return this.#subjects.recall()
    }

    override async alarm(): Promise<void> {
      await this.#desk.tidy()
      await this.#subjects.tidy()
    }
  }
}

function flightStorage(storage: DurableObjectStorage): FlightStorage {
  return {
    read: () => parseRecord(storage.kv.get(RECORD)),
    // Writes without an await between them are committed together, and no answer leaves before they are.
    write(record, forgetAt) {
      storage.kv.put(RECORD, record)
      return storage.setAlarm(forgetAt * 1000)
    },
    clear: () => storage.deleteAll(),
  }
}

function subjectStorage(storage: DurableObjectStorage): SubjectStorage {
  return {
    read: () => parseState(storage.kv.get(SUBJECT)),
    async write(state) {
      storage.kv.put(SUBJECT, state)
      await storage.setAlarm(state.until * 1000)
      // The token that was there before is withdrawn already: what takes its place must be on disk before anything else happens.
      await storage.sync()
    },
    clear: () => storage.deleteAll(),
  }
}

function parseState(stored: unknown): SubjectState | undefined {
  if (!isObject(stored)) return undefined
  const { sealed, until } = stored
  const end = parseDate(until)
  if (!(sealed instanceof Uint8Array) || end === undefined) return undefined
  return { sealed: new Uint8Array(sealed), until: end }
}

/** What another version of this program may have stored is read as strictly as anything foreign. */
function parseRecord(stored: unknown): FlightRecord | undefined {
  if (!isObject(stored)) return undefined
  const { kept, renewedAt } = stored
  const entry = parseKept(kept)
  if (entry === undefined) return undefined
  return { kept: entry, renewedAt: parseDate(renewedAt) }
}

function parseKept(stored: unknown): KeptEntry | undefined {
  if (!isObject(stored)) return undefined
  const { id, sealed, usableUntil, obtainedAt } = stored
  const until = parseDate(usableUntil)
  if (typeof id !== 'string' || !(sealed instanceof Uint8Array) || until === undefined) return undefined
  if (typeof obtainedAt !== 'number') return undefined
  return { id, sealed: new Uint8Array(sealed), usableUntil: until, obtainedAt }
}

function parseDate(stored: unknown): NumericDate | undefined {
  return typeof stored === 'number' ? numericDate(stored) : undefined
}
