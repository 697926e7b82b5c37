// What the contract suite asks of a ground. `#ground` is one of the two files that make one.
import type {
  DecisionLog,
  Introductions,
  RateLimiter,
  Registry,
  ReplayGuard,
  RevocationLog,
  SingleFlight,
  TokenStore,
} from '../../src/ports.ts'

export interface Ground {
  readonly tokenStore: TokenStore
  /** Its work is the scripted one. */
  readonly singleFlight: SingleFlight
  /** Its work is a scripted one, too. */
  readonly introductions: Introductions
  readonly replayGuard: ReplayGuard
  readonly revocationLog: RevocationLog
  readonly registry: Registry
  readonly decisionLog: DecisionLog
  /** With `LIMIT_FIVE` bound: five in ten seconds; and `LIMIT_TWENTY`: twenty in a minute. */
  readonly rateLimiter: RateLimiter
  now(): number
  epochMillis(): number
  /** Lets time pass: at once in memory, by waiting on the real ground. */
  pass(seconds: number): Promise<void>
  /** Lets the registry delete what is too old about a user; in memory it does so by itself. */
  cleanUp(user: string): Promise<void>
  /** What only the platform can be made to do; undefined in memory. */
  readonly platform: Platform | undefined
}

type BooksByName = Parameters<(typeof import('../../src/platform/cloudflare.ts'))['createDecisionLog']>[0]

export interface Platform {
  /** The room under test; it can be loaded in workerd only. */
  readonly cloudflare: typeof import('../../src/platform/cloudflare.ts')
  /** The flight objects themselves. */
  readonly flights: Parameters<(typeof import('../../src/platform/cloudflare.ts'))['createSingleFlight']>[0]
  /** Takes the flight object out of memory, as the platform does with idle ones. */
  evict(flight: string): Promise<void>
  /** Runs the alarm of the flight object now; false if none is set. */
  ring(flight: string): Promise<boolean>
  /** How many values the flight object has stored. */
  stored(flight: string): Promise<number>
  /** Has the Worker join a flight for a caller who hangs up after some time. */
  joinAndHangUp(flight: string, job: unknown, afterMs: number): Promise<void>
  /** How many rows the replay object has for this digest. */
  replayRows(digest: string): Promise<number>
  /** Runs the alarm of the replay object that keeps this digest; false if none is set. */
  ringReplay(digest: string): Promise<boolean>
  /** Takes the revocation book out of memory. */
  evictBook(): Promise<void>
  /** Runs the alarm of the revocation book now; false if none is set. */
  ringBook(): Promise<boolean>
  /** Lets the revocation book lose all it has stored. */
  wipeBook(): Promise<void>
  /** Runs a statement in the revocation book; answers the number of rows. */
  sqlInBook(statement: string, ...values: readonly (string | number)[]): Promise<number>
  /** Takes the ledger of a user out of memory. */
  evictLedger(user: string): Promise<void>
  /** Runs the alarm of the ledger of a user now; false if none is set. */
  ringLedger(user: string): Promise<boolean>
  /** Runs a statement in the ledger of a user; answers the number of rows. */
  sqlInLedger(user: string, statement: string, ...values: readonly (string | number)[]): Promise<number>
  /** The same for the ledger that keeps the records of a token. */
  readonly tokens: {
    evict(digest: string): Promise<void>
    ring(digest: string): Promise<boolean>
    sql(digest: string, statement: string, ...values: readonly (string | number)[]): Promise<number>
  }
  /** The objects of the decision log, by their names. */
  readonly decisions: {
    book(name: string): ReturnType<BooksByName['getByName']>
    evict(name: string): Promise<void>
    ring(name: string): Promise<boolean>
    sql(name: string, statement: string, ...values: readonly (string | number)[]): Promise<number>
  }
  /** Has the Worker put an entry by Background after its answer has left. */
  putInBackground(name: string): Promise<void>
  /** Does the same from within the flight object. */
  putInBackgroundOfObject(flight: string, name: string): Promise<void>
}
