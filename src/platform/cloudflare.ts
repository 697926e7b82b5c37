// The real ground: each port of ports.ts made from the platform's binding, and every call bounded in time.
import { waitUntil } from 'cloudflare:workers'
import { sha256 } from '../lib/digest.ts'
import type { NumericDate } from '../lib/numeric-date.ts'
import { Secret } from '../lib/secret.ts'
import type { SecretName } from '../model.ts'
import type {
  AuditSink,
  Background,
  Fetch,
  Forward,
  Landing,
  ReplayGuard,
  Secrets,
  SingleFlight,
  TokenJob,
  TokenStore,
} from '../ports.ts'
import { within } from './deadline.ts'

export type { Env } from './env.ts'
export { flightClass } from './flight.ts'
export { Replay } from './replay.ts'
export { systemClock } from './system-clock.ts'

/**
 * How long a location answers from its own copy, misses included. The least KV allows (30 s since 2026-01-30): a miss that
 * came before the write is forgotten soonest, and so is a deleted entry.
 */
export const CACHE_TTL_SECONDS = 30

/** KV answers in milliseconds or is not well; a flight is the better answer then. */
const STORE_TIMEOUT_MS = 1000
/** A little more than a flight may take (FLIGHT_DEADLINE_MS), so that the flight's own complaint arrives. */
const FLIGHT_TIMEOUT_MS = 14_000
const REPLAY_TIMEOUT_MS = 3000
const SECRET_TIMEOUT_MS = 1000

/** The part of a KV binding that is used. */
export interface KvBinding {
  get(name: string, options: { type: 'arrayBuffer'; cacheTtl: number }): Promise<ArrayBuffer | null>
  put(name: string, value: Uint8Array, options: { expiration: number }): Promise<void>
  delete(name: string): Promise<void>
}

/** A namespace of Durable Objects that are called by name. */
export interface ObjectsByName<Rpc> {
  getByName(name: string): Rpc
}

export function createTokenStore(kv: KvBinding): TokenStore {
  return {
    async get(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
      const options = { type: 'arrayBuffer', cacheTtl: CACHE_TTL_SECONDS } as const
      const value = await within(kv.get(name, options), STORE_TIMEOUT_MS, 'KV get')
      return value === null ? undefined : new Uint8Array(value)
    },
    put(name: string, value: Uint8Array, expiresAt: NumericDate): Promise<void> {
      return within(kv.put(name, value, { expiration: expiresAt }), STORE_TIMEOUT_MS, 'KV put')
    },
    delete(name: string): Promise<void> {
      return within(kv.delete(name), STORE_TIMEOUT_MS, 'KV delete')
    },
  }
}

export function createSingleFlight(
  namespace: ObjectsByName<{ join(job: TokenJob): Promise<Landing> }>,
  timeoutMs = FLIGHT_TIMEOUT_MS,
): SingleFlight {
  return {
    join(name: string, job: TokenJob): Promise<Landing> {
      // A stub is bound to the request that made it; one kept for the next would throw there.
      const call = async (): Promise<Landing> => namespace.getByName(name).join(job)
      return within(withOneRetry(call), timeoutMs, 'the flight object')
    },
  }
}

export function createReplayGuard(
  namespace: ObjectsByName<{ claim(digest: string, until: number): Promise<boolean> }>,
): ReplayGuard {
  return {
    async claim(value: string, until: NumericDate): Promise<boolean> {
      const digest = await sha256(value)
      // The first character of a base64url digest: 64 objects, each good for about 1,000 claims a second.
      return within(
        namespace.getByName(`replay-${digest.slice(0, 1)}`).claim(digest, until),
        REPLAY_TIMEOUT_MS,
        'the replay object',
      )
    },
  }
}

/** Of the request or the object that is being served when the work is handed over. */
export function createBackground(): Background {
  return (work) => waitUntil(work)
}

export function createFetch(): Fetch {
  return (request) => fetch(request)
}

export function createForward(): Forward {
  return (url, init) => fetch(url, init)
}

export function createConsoleSink(): AuditSink {
  return {
    write(event): void {
      try {
        // oxlint-disable-next-line no-console -- standard output is where Workers Logs, Logpush and tail read events.
        console.log(JSON.stringify(event))
      } catch {
        // An event that cannot be written must not cost the answer it is about.
      }
    },
  }
}

type Bindings = Readonly<Record<string, unknown>>

/** Reads strings (`wrangler secret put`) and Secrets Store bindings alike. */
export function createSecrets(env: Bindings): Secrets {
  return async (name) => {
    const value = env[name]
    const text = isStoreBinding(value) ? await within(value.get(), SECRET_TIMEOUT_MS, 'the Secrets Store') : value
    if (typeof text !== 'string' || text === '') throw new Error(`the secret ${name} is not set`)
    return new Secret(text)
  }
}

/** The names that have no value here. What a Secrets Store holds is seen only when it is asked. */
export function missingSecrets(env: Bindings, names: Iterable<SecretName>): string[] {
  const isThere = (value: unknown): boolean => isStoreBinding(value) || (typeof value === 'string' && value !== '')
  return [...new Set(names)].filter((name) => !isThere(env[name]))
}

function isStoreBinding(value: unknown): value is { get(): Promise<unknown> } {
  return typeof value === 'object' && value !== null && 'get' in value && typeof value.get === 'function'
}

/** A new version of the Worker resets its objects; the platform marks the error of a call that can simply be made again. */
async function withOneRetry<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    const isRetryable = error instanceof Error && 'retryable' in error && error.retryable === true
    if (!isRetryable || ('overloaded' in error && error.overloaded === true)) throw error
    return call()
  }
}
