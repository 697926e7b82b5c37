// The real ground: each port of ports.ts made from the platform's binding, and every call bounded in time.
import { waitUntil } from 'cloudflare:workers'
import type { AuditEvent } from '../audit-event.ts'
import { sha256 } from '../lib/digest.ts'
import type { NumericDate } from '../lib/numeric-date.ts'
import { Secret } from '../lib/secret.ts'
import type { CertificateName, SecretName } from '../parties.ts'
import type {
  AuditSink,
  Background,
  Certificates,
  Fetch,
  Forward,
  Introductions,
  Landing,
  RateLimiter,
  Registry,
  ReplayGuard,
  RevocationLog,
  Secrets,
  SingleFlight,
  TokenJob,
  TokenStore,
} from '../ports.ts'
import { forwardWithin, within } from './deadline.ts'
import type { FlightMethods, LedgerMethods, ReplayMethods, RevocationBookMethods, SubjectMethods } from './env.ts'
import { toPage } from './registry-rules.ts'
import { toConnection, toRevocation, toTokenRecord, toUse } from './rows.ts'
import { systemClock } from './system-clock.ts'

export { createBucket, createEventQueue, createSpanSink, missingTrail } from './audit-trail.ts'
export type { Env } from './env.ts'
export { DecisionBook } from './decision-book.ts'
export { createDecisionLog } from './decision-log.ts'
export { flightClass } from './flight.ts'
export { Ledger } from './ledger.ts'
export { Replay } from './replay.ts'
export { RevocationBook } from './revocation-book.ts'
export { createLocalFlight } from './local-flight.ts'
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
/** Where nobody passes without an answer, a slow one is worth little more than none. */
const REVOCATIONS_TIMEOUT_MS = 1000
const REGISTRY_TIMEOUT_MS = 2000
const SECRET_TIMEOUT_MS = 1000
/** The counter is on the same machine; one that has to be waited for is out of order. */
const LIMITER_TIMEOUT_MS = 250

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

/** An object that fails this fast has not begun to fly; what fails later may have cost an ID-JAG already. */
const UNREACHABLE_WITHIN_MS = 2_000

/** `standIn` flies while the objects cannot be reached: one flight per isolate is better than none at all. */
export function createSingleFlight(
  namespace: ObjectsByName<FlightMethods>,
  standIn?: SingleFlight,
  timeoutMs = FLIGHT_TIMEOUT_MS,
): SingleFlight {
  return {
    async join(name: string, job: TokenJob): Promise<Landing> {
      // A stub is bound to the request that made it; one kept for the next would throw there.
      const call = async (): Promise<Landing> => namespace.getByName(name).join(job)
      const start = systemClock.millis()
      try {
        return await within(withOneRetry(call), timeoutMs, 'the flight object')
      } catch (error) {
        if (standIn === undefined || wasReached(error) || systemClock.millis() - start > UNREACHABLE_WITHIN_MS)
          throw error
        // It may be the flight of a request that was cut off: its waiters must not wait for ever.
        return within(standIn.join(name, job), timeoutMs, 'the flight of this isolate')
      }
    },
    async peek(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
      const call = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => namespace.getByName(name).peek()
      const kept = await within(withOneRetry(call), STORE_TIMEOUT_MS, 'the flight object')
      return kept ?? (await standIn?.peek(name))
    },
    async forget(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
      const call = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => namespace.getByName(name).forget()
      // Where the object fails, all stays as it is: whoever asks again finds it.
      const kept = await within(withOneRetry(call), STORE_TIMEOUT_MS, 'the flight object')
      const keptHere = await standIn?.forget(name)
      return kept ?? keptHere
    },
  }
}

/** Nothing stands in for these objects: two isolates that show one refresh token would end the session of its user. */
export function createIntroductions(
  namespace: ObjectsByName<SubjectMethods>,
  timeoutMs = FLIGHT_TIMEOUT_MS,
): Introductions {
  return {
    introduce(name, job) {
      return within(
        withOneRetry(async () => namespace.getByName(name).introduce(job)),
        timeoutMs,
        'the object of a subject token',
      )
    },
    recall(name) {
      const call = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => namespace.getByName(name).recall()
      return within(withOneRetry(call), STORE_TIMEOUT_MS, 'the object of a subject token')
    },
  }
}

export function createReplayGuard(namespace: ObjectsByName<ReplayMethods>): ReplayGuard {
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

/** There is one book in a deployment. */
const BOOK = 'book'

export function createRevocationLog(namespace: ObjectsByName<RevocationBookMethods>): RevocationLog {
  const bounded = <T>(call: () => Promise<T>): Promise<T> =>
    within(call(), REVOCATIONS_TIMEOUT_MS, 'the revocation book')
  return {
    async read(version) {
      const call = async () => namespace.getByName(BOOK).read(version)
      const news = await bounded(() => withOneRetry(call))
      return news && { version: news.version, revocations: news.rows.map(toRevocation) }
    },
    add(revocation, forgetAt, room) {
      // Doing it twice is doing it once: an id is added only if it is not there.
      return bounded(() => withOneRetry(async () => namespace.getByName(BOOK).add(revocation, forgetAt, room)))
    },
    lift(id) {
      return bounded(async () => namespace.getByName(BOOK).lift(id))
    },
  }
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * 64 ledgers by user. The subject alone picks one, without the identity provider: whoever asks about a user may not know
 * the provider, and two users of one subject in one shard are told apart by its rows.
 */
export function createRegistry(namespace: ObjectsByName<LedgerMethods>): Registry {
  const ledger = (shard: string) => namespace.getByName(`user-${shard}`)
  // A digest already: its first character is one of 64.
  const tokens = (digest: string) => namespace.getByName(`token-${digest.slice(0, 1)}`)
  const bounded = <T>(call: () => Promise<T>): Promise<T> => within(call(), REGISTRY_TIMEOUT_MS, 'the ledger object')
  return {
    // None of these three is made twice: each would count once more.
    reserve(use, limit) {
      return bounded(async () => ledger(await shardOf(use.user)).reserve(use, limit))
    },
    release(use) {
      return bounded(async () => ledger(await shardOf(use.user)).release(use))
    },
    record(connection) {
      return bounded(async () => ledger(await shardOf(connection.user)).record(connection))
    },
    async list({ selector, limit }) {
      const shards = selector.user === undefined ? BASE64URL.split('') : [await shardOf(selector.user)]
      // One more than is wanted shows whether there are more. A shard that does not answer fails the list: what a list
      // leaves out, nobody misses.
      const asked = { selector, limit: Math.max(0, limit) + 1 }
      const answers = await bounded(() =>
        Promise.all(shards.map((shard) => withOneRetry(async () => ledger(shard).list(asked)))),
      )
      return toPage(answers.flat().map(toConnection), limit)
    },
    async quota(user, month) {
      const rows = await bounded(() => withOneRetry(async () => ledger(await shardOf(user)).quota(user, month)))
      return rows.map(toUse)
    },
    noteToken(record) {
      return bounded(() => withOneRetry(async () => tokens(record.digest).noteToken(record)))
    },
    async findToken(digest) {
      const rows = await bounded(() => withOneRetry(async () => tokens(digest).findToken(digest)))
      return rows.map(toTokenRecord)
    },
    forgetToken(digest, client) {
      return bounded(() => withOneRetry(async () => tokens(digest).forgetToken(digest, client)))
    },
  }
}

/** The first character of a base64url digest: one of 64. */
async function shardOf(text: string): Promise<string> {
  return (await sha256(text)).slice(0, 1)
}

/** Of the request or the object that is being served when the work is handed over. */
export function createBackground(): Background {
  return (work) => waitUntil(work)
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

export function createFetch(): Fetch {
  return (request) => fetch(request)
}

/** For an upstream's headers, where nobody but us measures it; what follows them may take as long as it likes. */
const UPSTREAM_TIMEOUT_MS = 100_000

/**
 * `local`: in a workerd of one's own, which would wait for ever. Cloudflare ends the wait by itself, and a timer or a signal
 * of ours would cost every request.
 */
export function createForward(local: boolean): Forward {
  const forward: Forward = (url, init) => fetch(url, init)
  return local ? forwardWithin(forward, UPSTREAM_TIMEOUT_MS) : forward
}

/** `toLine`: an event as one line. */
export function createConsoleSink(toLine: (event: AuditEvent) => string): AuditSink {
  return {
    write(event): void {
      // oxlint-disable-next-line no-console -- standard output is where Workers Logs, Logpush and tail read events.
      console.log(toLine(event))
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

/** What is bound under names of our own, told as wrangler.toml has it; what is not there. */
export function missingBindings(env: Bindings): string[] {
  const objects = ['FLIGHTS', 'REPLAYS', 'REVOCATIONS', 'LEDGERS', 'DECISIONS'].filter(
    (name) => !has(env[name], 'getByName'),
  )
  return [
    ...(has(env['TOKENS'], 'put') ? [] : ['[[kv_namespaces]] with binding = "TOKENS"']),
    ...objects.map((name) => `[[durable_objects.bindings]] with name = "${name}"`),
  ]
}

function has(binding: unknown, method: string): boolean {
  return typeof binding === 'object' && binding !== null && method in binding
}

/** A shorter sealing key could be guessed by whoever reads KV; 32 random bytes are recommended. */
const MIN_SEALING_KEY_CHARS = 16

/** The names of sealing keys that are too short to be any. */
export function weakSealingKeys(env: Bindings, names: readonly SecretName[]): string[] {
  return names.filter((name) => {
    const value = env[name]
    return typeof value === 'string' && value.length < MIN_SEALING_KEY_CHARS
  })
}

/** The names that have no value here. What a Secrets Store holds is seen only when it is asked. */
export function missingSecrets(env: Bindings, names: Iterable<SecretName>): string[] {
  const isThere = (value: unknown): boolean => isStoreBinding(value) || (typeof value === 'string' && value !== '')
  return [...new Set(names)].filter((name) => !isThere(env[name]))
}

/** What a binding of `mtls_certificates` is: it makes requests, and shows its certificate to whoever asks for one. */
export function createCertificates(env: Bindings): Certificates {
  return (name) => (request) => {
    const binding = env[name]
    if (!isFetcher(binding)) throw new Error(`the certificate ${name} is not bound`)
    return binding.fetch(request)
  }
}

/** The names under which nothing is bound that could make a request. */
export function missingCertificates(env: Bindings, names: readonly CertificateName[]): string[] {
  return names.filter((name) => !isFetcher(env[name]))
}

function isFetcher(value: unknown): value is { fetch(request: Request): Promise<Response> } {
  return typeof value === 'object' && value !== null && 'fetch' in value && typeof value.fetch === 'function'
}

export function createRateLimiter(env: Bindings): RateLimiter {
  return {
    async take(binding, key) {
      const limiter = env[binding]
      if (!isLimiterBinding(limiter)) throw new Error(`the rate limit ${binding} is not bound`)
      const { success } = await within(limiter.limit({ key }), LIMITER_TIMEOUT_MS, 'the rate limiter')
      return success
    },
  }
}

/** The names under which no counter is bound here. */
export function missingLimiters(env: Bindings, names: Iterable<string>): string[] {
  return [...names].filter((name) => !isLimiterBinding(env[name]))
}

function isLimiterBinding(value: unknown): value is RateLimit {
  return typeof value === 'object' && value !== null && 'limit' in value && typeof value.limit === 'function'
}

function isStoreBinding(value: unknown): value is { get(): Promise<unknown> } {
  return typeof value === 'object' && value !== null && 'get' in value && typeof value.get === 'function'
}

/** The platform marks what the object's own code has thrown: it was there, and it may have flown. */
function wasReached(error: unknown): boolean {
  return error instanceof Error && 'remote' in error && error.remote === true
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
