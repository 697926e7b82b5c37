// The ground for tests and laptops, in memory. It keeps the platform's limits, the unpleasant ones above all: KV's cached
// misses, its slow visibility and its floor are what the simulator of wrangler leaves out.
import * as v from 'valibot'
import { auditEventSchema, type AuditEvent } from '../audit-event.ts'
import { encodeFields, sha256 } from '../lib/digest.ts'
import { numericDate, type NumericDate } from '../lib/numeric-date.ts'
import type { RateLimit } from '../parties.ts'
import type {
  AuditSink,
  Background,
  Clock,
  Introductions,
  RateLimiter,
  ReplayGuard,
  SingleFlight,
  SubjectState,
  SubjectWork,
  TokenStore,
  TokenWork,
} from '../ports.ts'
import { injected, type Fault } from './faults.ts'
import { createLocalFlight } from './local-flight.ts'
import { SubjectDesk, type SubjectStorage } from './subject-desk.ts'

export type { Fault } from './faults.ts'
export { createMemoryDecisionLog, type MemoryDecisionLog } from './memory-decision-log.ts'
export { createMemoryRegistry, type MemoryRegistry } from './memory-registry.ts'
export { createMemoryRevocationLog, type MemoryRevocationLog } from './memory-revocation-log.ts'
export { systemClock } from './system-clock.ts'

// Workers KV as documented: developers.cloudflare.com/kv/platform/limits, /kv/concepts/how-kv-works, /kv/api.
const KV_CACHE_SECONDS = 60
const KV_MIN_LIFETIME_SECONDS = 60
const KV_WRITE_INTERVAL_MS = 1000
const KV_MAX_NAME_BYTES = 512
const KV_MAX_VALUE_BYTES = 25 * 1024 * 1024

/** A clock that moves when it is told to. */
export interface ManualClock extends Clock {
  /** Fractions of a second are allowed. */
  advance(seconds: number): void
}

export function createManualClock(start: NumericDate = numericDate(1_800_000_000)): ManualClock {
  let elapsedMs = 0
  return {
    now: () => numericDate(start + elapsedMs / 1000),
    epochMillis: () => start * 1000 + elapsedMs,
    millis: () => elapsedMs,
    advance(seconds): void {
      elapsedMs += seconds * 1000
    },
  }
}

export interface StoredEntry {
  readonly value: Uint8Array<ArrayBuffer>
  readonly expiresAt: NumericDate
}

export interface MemoryTokenStore {
  /** The store as it is seen from one location of the network. */
  at(location: string): TokenStore
  /** Names that exist, whatever any location still believes. */
  list(prefix?: string): string[]
  /** Everything that exists, whatever any location still believes. */
  dump(): ReadonlyMap<string, StoredEntry>
  /** Set by tests; hold for every location. */
  readonly faults: { get?: Fault | undefined; put?: Fault | undefined; delete?: Fault | undefined }
}

interface Copy {
  readonly entry: StoredEntry | undefined
  readonly takenAt: NumericDate
}

/**
 * Workers KV at its worst within its promises: a location sees its own writes at once and answers any other look-up from
 * its copy for a minute, be it a copy of a value or of an absence.
 */
export function createMemoryTokenStore(options: { readonly clock: Clock }): MemoryTokenStore {
  const { clock } = options
  const entries = new Map<string, StoredEntry>()
  const lastWrites = new Map<string, number>()
  const locations = new Map<string, Map<string, Copy>>()
  const faults: MemoryTokenStore['faults'] = {}

  // Expiry wins over every copy.
  const alive = (entry: StoredEntry | undefined): StoredEntry | undefined =>
    entry !== undefined && clock.now() < entry.expiresAt ? entry : undefined

  const sweep = (): void => {
    for (const [name, entry] of entries) if (alive(entry) === undefined) entries.delete(name)
  }

  const viewOf = (copies: Map<string, Copy>): TokenStore => ({
    async get(name) {
      await injected(faults.get, 'KV GET')
      checkName(name, 'GET')
      const now = clock.now()
      let copy = copies.get(name)
      if (copy === undefined || now - copy.takenAt >= KV_CACHE_SECONDS) {
        copy = { entry: alive(entries.get(name)), takenAt: now }
        copies.set(name, copy)
      }
      const entry = alive(copy.entry)
      return entry === undefined ? undefined : new Uint8Array(entry.value)
    },
    async put(name, value, expiresAt) {
      await injected(faults.put, 'KV PUT')
      checkName(name, 'PUT')
      const now = clock.now()
      if (expiresAt < now + KV_MIN_LIFETIME_SECONDS) {
        throw new Error(
          `KV PUT failed: 400 Invalid expiration of ${expiresAt}. Expiration times must be at least 60 seconds in the future.`,
        )
      }
      if (value.byteLength > KV_MAX_VALUE_BYTES) {
        throw new Error(
          `KV PUT failed: 413 Value length of ${value.byteLength} exceeds limit of ${KV_MAX_VALUE_BYTES}.`,
        )
      }
      const lastWrite = lastWrites.get(name)
      if (lastWrite !== undefined && clock.millis() - lastWrite < KV_WRITE_INTERVAL_MS) {
        throw new Error('KV PUT failed: 429 Too Many Requests')
      }
      lastWrites.set(name, clock.millis())
      const entry = { value: new Uint8Array(value), expiresAt }
      entries.set(name, entry)
      copies.set(name, { entry, takenAt: now })
    },
    async delete(name) {
      await injected(faults.delete, 'KV DELETE')
      checkName(name, 'DELETE')
      entries.delete(name)
      copies.set(name, { entry: undefined, takenAt: clock.now() })
    },
  })

  return {
    faults,
    at(location) {
      const copies = locations.get(location) ?? new Map<string, Copy>()
      locations.set(location, copies)
      return viewOf(copies)
    },
    list(prefix = '') {
      sweep()
      return [...entries.keys()].filter((name) => name.startsWith(prefix)).toSorted()
    },
    dump() {
      sweep()
      return new Map([...entries].map(([name, entry]) => [name, { ...entry, value: new Uint8Array(entry.value) }]))
    },
  }
}

function checkName(name: string, method: string): void {
  if (name === '') throw new TypeError('Key name cannot be empty.')
  if (name === '.' || name === '..') throw new TypeError(`"${name}" is not allowed as a key name.`)
  const bytes = new TextEncoder().encode(name).length
  if (bytes <= KV_MAX_NAME_BYTES) return
  throw new Error(
    `KV ${method} failed: 414 UTF-8 encoded length of ${bytes} exceeds key length limit of ${KV_MAX_NAME_BYTES}.`,
  )
}

export interface MemorySingleFlight extends SingleFlight {
  /** Set by tests. */
  readonly faults: { join?: Fault | undefined }
}

export interface MemorySingleFlightOptions {
  readonly work: TokenWork
  readonly clock: Clock
  readonly background?: Background
  readonly deadlineMs?: number
}

/** The flight objects of the whole network. */
export function createMemorySingleFlight(options: MemorySingleFlightOptions): MemorySingleFlight {
  const local = createLocalFlight({ background: () => undefined, ...options })
  const faults: MemorySingleFlight['faults'] = {}
  return {
    faults,
    async join(name, job) {
      await injected(faults.join, 'Durable Object')
      // Jobs and landings are copied on their way, there and back, as a remote call copies them.
      return structuredClone(await local.join(name, structuredClone(job)))
    },
    async peek(name) {
      await injected(faults.join, 'Durable Object')
      return local.peek(name)
    },
    async forget(name) {
      await injected(faults.join, 'Durable Object')
      return local.forget(name)
    },
  }
}

export interface MemoryIntroductions extends Introductions {
  /** What is remembered of subject tokens, by name, as it is stored. */
  dump(): ReadonlyMap<string, SubjectState>
  /** Set by tests. */
  readonly faults: { introduce?: Fault | undefined }
}

/** The objects of the whole network that each look after one subject token. */
export function createMemoryIntroductions(options: {
  readonly work: SubjectWork
  readonly clock: Clock
  readonly background: Background
  readonly deadlineMs?: number
  /** What others have left. */
  readonly remembered?: ReadonlyMap<string, SubjectState> | undefined
}): MemoryIntroductions {
  const desks = new Map<string, SubjectDesk>()
  const states = new Map(options.remembered)
  const faults: MemoryIntroductions['faults'] = {}
  const deskOf = (name: string): SubjectDesk => {
    const storage: SubjectStorage = {
      read: () => structuredClone(states.get(name)),
      async write(state) {
        states.set(name, structuredClone(state))
      },
      async clear() {
        states.delete(name)
      },
    }
    const desk = desks.get(name) ?? new SubjectDesk({ ...options, storage })
    desks.set(name, desk)
    return desk
  }
  return {
    faults,
    dump: () => new Map(states),
    async introduce(name, job) {
      await injected(faults.introduce, 'Durable Object')
      return structuredClone(await deskOf(name).introduce(structuredClone(job)))
    },
    async recall(name) {
      await injected(faults.introduce, 'Durable Object')
      return deskOf(name).recall()
    },
  }
}

export interface MemoryReplayGuard extends ReplayGuard {
  /** Set by tests. */
  readonly faults: { claim?: Fault | undefined }
}

export function createMemoryReplayGuard(options: { readonly clock: Clock }): MemoryReplayGuard {
  const claims = new Map<string, NumericDate>()
  const faults: MemoryReplayGuard['faults'] = {}
  return {
    faults,
    async claim(value, until) {
      await injected(faults.claim, 'Durable Object')
      const digest = await sha256(value)
      const now = options.clock.now()
      if (until <= now) return false
      const claimedUntil = claims.get(digest)
      if (claimedUntil !== undefined && now < claimedUntil) return false
      claims.set(digest, until)
      return true
    },
  }
}

export interface MemoryRateLimiter extends RateLimiter {
  /** Set by tests. */
  readonly faults: { take?: Fault | undefined }
}

/** Counts as wrangler's simulator does: exactly, in windows that begin when the clock says a whole number of periods. */
export function createMemoryRateLimiter(options: {
  readonly clock: Clock
  readonly limits: Iterable<RateLimit>
}): MemoryRateLimiter {
  const limits = new Map([...options.limits].map((limit) => [limit.binding, limit]))
  const counts = new Map<string, number>()
  const faults: MemoryRateLimiter['faults'] = {}
  return {
    faults,
    async take(binding, key) {
      await injected(faults.take, 'rate limiter')
      const limit = limits.get(binding)
      if (limit === undefined) throw new Error(`the rate limit ${binding} is not bound`)
      const window = encodeFields([binding, String(Math.floor(options.clock.now() / limit.periodSeconds)), key])
      const count = counts.get(window) ?? 0
      if (count >= limit.limit) return false
      counts.set(window, count + 1)
      return true
    },
  }
}

export interface RecordingSink extends AuditSink {
  readonly events: readonly AuditEvent[]
  /** That isolates have started is no decision, and kept apart. */
  readonly loads: readonly AuditEvent[]
}

export function createRecordingSink(): RecordingSink {
  const events: AuditEvent[] = []
  const loads: AuditEvent[] = []
  return {
    events,
    loads,
    write(event): void {
      // As whoever reads it reads it: what is undefined is not there.
      const read = v.parse(auditEventSchema, JSON.parse(JSON.stringify(event)))
      if (read.event === 'config.load') loads.push(read)
      else events.push(read)
    },
  }
}

export interface CollectingBackground {
  readonly background: Background
  /** Resolves when all work handed over has ended, work that such work hands over included. */
  readonly settle: () => Promise<void>
  /** Why work failed; the platform would only log it. */
  readonly failures: readonly unknown[]
}

export function createCollectingBackground(): CollectingBackground {
  const pending = new Set<Promise<unknown>>()
  const failures: unknown[] = []
  return {
    failures,
    background(work): void {
      const watched = work
        .catch((error: unknown) => {
          failures.push(error)
        })
        .finally(() => pending.delete(watched))
      pending.add(watched)
    },
    async settle(): Promise<void> {
      while (pending.size > 0) await Promise.all(pending)
    },
  }
}
