// What the house needs from the ground it stands on. Each port has the shape of the platform's binding; `platform/` has
// the real ones and a memory ground that keeps the platform's limits.
import type { KeyMembers } from './lib/key-pair.ts'
import type { NumericDate } from './lib/numeric-date.ts'
import type { Secret } from './lib/secret.ts'
import type { AuditEvent } from './audit-event.ts'
import type { Connection, Revocation, RevocationSelector, TokenRecord } from './connection.ts'
import type { Decision, DecisionCount, HourOfDecisions, Losses, Outcome, RuleHits } from './decision.ts'
import type { ActingParty, AuthorizationDetails } from './model.ts'
import type { CertificateName, Issuer, SecretName } from './parties.ts'
import type { OpaqueKind } from './quirks.ts'
import type { Refusal } from './refusal.ts'

/** The wall clock, and a steady one for durations. */
export interface Clock {
  now(): NumericDate
  /** Milliseconds since the epoch. */
  epochMillis(): number
  /** Milliseconds; only differences mean something. */
  millis(): number
}

/** One outbound request. Redirects are the caller's business: every request is made with `redirect: 'manual'`. */
export type Fetch = (request: Request) => Promise<Response>

/** The same with a client certificate of ours in the TLS handshake (RFC 8705). Their presence is checked at start. */
export type Certificates = (name: CertificateName) => Fetch

/**
 * One proxied request, likewise. Apart from `Fetch` because a request object costs, and every proxied request pays. Where the
 * headers do not come in time, it answers 524 in the upstream's place, as Cloudflare does.
 */
export type Forward = (url: string, init: RequestInit) => Promise<Response>

/** Keeps work going after the answer has left (waitUntil). */
export type Background = (work: Promise<unknown>) => void

/**
 * A key-value store as Workers KV is: eventually consistent, negative look-ups cached, at most one write a second per
 * name, entries that live at least 60 seconds. Any method may throw.
 */
export interface TokenStore {
  get(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>
  /** `expiresAt` must be at least 60 seconds ahead. */
  put(name: string, value: Uint8Array, expiresAt: NumericDate): Promise<void>
  delete(name: string): Promise<void>
}

/** What an ID-JAG is asked for with, as plain data: it crosses from an isolate to where the asking is done. */
export interface Errand {
  readonly idp: string
  readonly idpClient: string
  readonly resource: string
  readonly caller: string
  readonly scopes: readonly string[]
  readonly details: AuthorizationDetails | undefined
  readonly actor: { readonly token: string; readonly type: string; readonly digest: string } | undefined
  /** What the configuration says of where the token comes from; a flight with another configuration must not answer. */
  readonly place: string
}

/** The subject token of a job. One that only its identity provider can read comes with the ID-JAG that introduced its user. */
export type JobSubject =
  | { readonly kind: 'id_token'; readonly token: string }
  | { readonly kind: OpaqueKind; readonly token: string; readonly offered: OfferedIdJag | undefined }

/** To be redeemed by whoever claims it first. */
export interface OfferedIdJag {
  /** Of the introduction. */
  readonly id: string
  readonly token: string
  readonly jti: string | undefined
  readonly expiresAt: NumericDate
  readonly scopes: readonly string[]
  readonly details: AuthorizationDetails | undefined
  readonly actors: readonly ActingParty[]
  /** What it is bound to. */
  readonly key: KeyMembers | undefined
  /** In milliseconds since the epoch. */
  readonly obtainedAt: number
}

/** What must be known to get an access token. */
export interface TokenJob extends Errand {
  /** The name under which the entry is kept. */
  readonly name: string
  readonly subject: JobSubject
  /** When the sign-in behind it took place. */
  readonly signedInAt: NumericDate
  /** The injective text of everything that changes the token; the entry that comes out is bound to it. */
  readonly identity: string
  /** A landed entry is good enough only if it can be used for at least this long. */
  readonly minRemainingSeconds: number
  /** The id of an entry that the resource no longer takes; it is not good enough either. */
  readonly rejectedEntry: string | undefined
  /** Whether that entry was rejected for its login: an ID-JAG of an earlier one is of no use either. */
  readonly forLogin: boolean
  /** Entries obtained up to this time (milliseconds since the epoch) are not good enough: they have been revoked. */
  readonly tokensUntil: number
  /** Who acts for the user by the subject token, and how strong the login was: the text of `mannerOf`. */
  readonly manner: string
  /** When the user has signed in, as far as that is told. */
  readonly loginAt: NumericDate
  /** Whose it is, for the registry. */
  readonly owner: { readonly issuer: Issuer; readonly user: string; readonly tenant: string | undefined }
}

/** ID-JAGs obtained in a calendar month (UTC) for one user and resource. */
export interface QuotaUse {
  readonly used: number
  readonly limit: number
  readonly warning: boolean
}

export interface LegTimes {
  readonly exchange?: number
  readonly redeem?: number
}

/** How a flight ended. `sealed` is the entry as it may be stored. */
export type Landing =
  | {
      readonly landed: true
      readonly sealed: Uint8Array<ArrayBuffer>
      readonly fresh: boolean
      readonly ms: LegTimes
      readonly quota?: QuotaUse
    }
  | { readonly landed: false; readonly refusal: Refusal; readonly ms: LegTimes }

/** A landed entry kept by the flight: KV may go on answering "no such name" for a minute after a write. */
export interface KeptEntry {
  readonly id: string
  readonly sealed: Uint8Array<ArrayBuffer>
  readonly usableUntil: NumericDate
  /** When the flight that obtained it took off, in milliseconds since the epoch. */
  readonly obtainedAt: number
}

/** How long a refusal answers later arrivals, too. */
export interface Memory {
  readonly seconds: number
  /** Another ID token of the same user may fare better. */
  readonly sameTokenOnly: boolean
}

/** The work of one flight. It is told what is kept already; an ID-JAG in there may still be good. */
export type TokenWork = (
  job: TokenJob,
  kept: KeptEntry | undefined,
) => Promise<
  | { readonly kept: KeptEntry; readonly ms: LegTimes; readonly quota?: QuotaUse }
  | { readonly refusal: Refusal; readonly ms: LegTimes; readonly remember?: Memory }
>

/** One flight at a time per name, everywhere. Whoever joins gets the flight's own answer. May throw. */
export interface SingleFlight {
  join(name: string, job: TokenJob): Promise<Landing>
  /** What is kept under a name, sealed as it was; it stays there. */
  peek(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>
  /** Forgets what is kept under a name and answers it, sealed as it was. */
  forget(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>
}

/** What must be known to have a user introduced. */
export interface SubjectJob extends Errand {
  /** The name under which all that is known of the subject token is kept, and the same under older keys. */
  readonly name: string
  readonly olderNames: readonly string[]
  /** The name under which the introduction is kept. */
  readonly entryName: string
  readonly kind: OpaqueKind
  readonly token: string
  /** The injective text of everything but the subject token that changes the ID-JAG. */
  readonly identity: string
  /** The id of an introduction that is of no use any more. */
  readonly insteadOf: string | undefined
  /** Introductions obtained up to this time (milliseconds since the epoch) are not good enough. */
  readonly tokensUntil: number
}

/** What is remembered of a subject token, sealed. */
export interface SubjectState {
  readonly sealed: Uint8Array<ArrayBuffer>
  readonly until: NumericDate
}

/**
 * Work on one subject token. `keep` replaces what is remembered, at once: an identity provider may have withdrawn the token
 * that was there before.
 */
export type SubjectWork = (
  job: SubjectJob,
  state: SubjectState | undefined,
  keep: (state: SubjectState) => Promise<void>,
) => Promise<
  | {
      readonly sealed: Uint8Array<ArrayBuffer>
      /** Whether it took an exchange. */
      readonly fresh: boolean
      readonly ms: LegTimes
      readonly quota?: QuotaUse
    }
  | { readonly refusal: Refusal; readonly ms: LegTimes; readonly remember?: Memory }
>

/**
 * One after the other for each subject token, everywhere: identity providers that rotate refresh tokens take two uses of one at
 * the same time for theft. Whoever asks for the same at the same time gets the same answer. May throw; nothing stands in then.
 */
export interface Introductions {
  introduce(name: string, job: SubjectJob): Promise<Landing>
  /** What is remembered under a name, sealed as it is. */
  recall(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>
}

/** Which connections are meant. An absent part fits all. */
export interface ConnectionFilter {
  readonly selector: RevocationSelector
  readonly limit: number
}

/** Whose ID-JAGs are counted together. */
export interface QuotaKey {
  readonly idp: string
  readonly tenant: string | undefined
  readonly user: string
  readonly resource: string
  /** `YYYY-MM`, UTC. */
  readonly month: string
}

/** Who has obtained tokens, and how many ID-JAGs that cost. Strongly consistent per user. May throw. */
export interface Registry {
  /** Counts one ID-JAG about to be obtained, unless that would go past the limit: then nothing is counted. */
  reserve(use: QuotaKey, limit: number | undefined): Promise<{ readonly allowed: boolean; readonly used: number }>
  /** Takes one count back: the ID-JAG was not obtained after all. */
  release(use: QuotaKey): Promise<void>
  /** Notes that a connection has obtained a token. `count` and `earlierTokensUntil` of what is given are not looked at. */
  record(connection: Connection): Promise<void>
  list(filter: ConnectionFilter): Promise<{ readonly connections: readonly Connection[]; readonly more: boolean }>
  /** Used ID-JAGs of a month per (idp, tenant, user, resource). */
  quota(
    user: string,
    month: string,
  ): Promise<readonly (Pick<QuotaKey, 'idp' | 'tenant' | 'resource'> & { readonly used: number })[]>
  /** Notes a token that a client may hold in hand. Under the same name only what was obtained later replaces what was noted of it. */
  noteToken(record: TokenRecord): Promise<void>
  /** What is noted of a token, for whichever clients; strongly consistent. */
  findToken(digest: string): Promise<readonly TokenRecord[]>
  /** Forgets what is noted of a token for one client. */
  forgetToken(digest: string, client: string): Promise<void>
}

/** Everything that is revoked, strongly consistent. May throw. */
export interface RevocationLog {
  /** All revocations in force; undefined: nothing has changed since `version`. */
  read(
    version: number | undefined,
  ): Promise<{ readonly version: number; readonly revocations: readonly Revocation[] } | undefined>
  /**
   * Puts a revocation into force. `forgetAt`: milliseconds since the epoch after which it has no more effect.
   *
   * Cut-offs of one selector are one: the one that reaches furthest, for as long as any of them was to be kept. `room`:
   * where so many revocations name the same client already, one more cut-off is not taken; false says so.
   */
  add(revocation: Revocation, forgetAt: number | undefined, room?: number): Promise<boolean>
  /** Lifts a block; false: there is none of that id. */
  lift(id: string): Promise<boolean>
}

/** What one isolate has gathered in some seconds. */
export interface DecisionBatch {
  /** RFC 3339: when the first of all these was decided. */
  readonly since: string
  /** The newest last. */
  readonly decisions: readonly Decision[]
  /** So many of the last ones are kept, where these are. */
  readonly keep: number
  readonly hours: readonly HourOfDecisions[]
}

/** Which decisions are meant. An absent part fits all. */
export interface DecisionFilter {
  readonly user?: string
  readonly client?: string
  readonly resource?: string
  readonly outcome?: Outcome
  /** Older than this one, by the order of the list. */
  readonly before?: Pick<Decision, 'time' | 'id'>
  readonly limit: number
}

/** A page of what was counted, by hours. */
export interface CountedHours {
  /** Of whole hours, in their order. */
  readonly counts: readonly (DecisionCount & { readonly hour: string })[]
  readonly losses: Losses
  /** The hour to go on with; undefined: that is all. */
  readonly next: string | undefined
}

/**
 * The last decisions, and how many there were. Kept for looking at: nothing is decided by it, what is missing is counted, and a
 * batch whose end is not known is not sent twice. May throw.
 */
export interface DecisionLog {
  add(batch: DecisionBatch): Promise<void>
  /** The newest first. */
  list(filter: DecisionFilter): Promise<{ readonly decisions: readonly Decision[]; readonly more: boolean }>
  /** Hours from and to which, both included: `YYYY-MM-DDTHH`. */
  count(from: string, to: string): Promise<CountedHours>
  /** Of days from this one on (`YYYY-MM-DD`), each rule once; `since`: RFC 3339, when counting began, undefined: it has not. */
  hits(from: string): Promise<{ readonly hits: readonly RuleHits[]; readonly since: string | undefined }>
}

/** Whom Cloudflare Access let through, where its policy stands before the Worker itself (`ctx.access`). */
export interface AccessSession {
  readonly aud: string
  /** May throw. */
  getIdentity(): Promise<unknown>
}

/** Remembers one-time values, atomically and everywhere. May throw: then the value must count as used. */
export interface ReplayGuard {
  /** True exactly once per value until `until`. */
  claim(value: string, until: NumericDate): Promise<boolean>
}

/**
 * Counters of requests, as the platform's rate limiting binding has them: limit and period belong to the binding, every
 * location of the network counts for itself, and roughly. May throw.
 */
export interface RateLimiter {
  /** Counts one request under a key; false: there were too many in this period. */
  take(binding: string, key: string): Promise<boolean>
}

/** Worker secrets by name. Their presence is checked at start. */
export type Secrets = (name: SecretName) => Promise<Secret>

/** Where audit events go. */
export interface AuditSink {
  /** An event is lost where this throws. `unnamed`: further rules that were about it. An event names so many of them at most; who counts rules counts all. */
  write(event: AuditEvent, unnamed?: readonly string[]): void
  /** Takes one event for good, and says within seconds whether it has. A sink without it promises nothing. */
  accept?(event: AuditEvent): Promise<boolean>
  /** How many events of this isolate will never arrive. */
  lost?(): number
}

/**
 * A queue of the platform. What it has taken is kept until a consumer has it: for days, and handed over at least once. At
 * most 100 messages and 256 KB in one call, 128 KB in one message. May throw.
 */
export interface EventQueue {
  send(lines: readonly string[]): Promise<void>
}

/** One message in the hands of a consumer. Where it is neither acknowledged nor given back, it is handed over again. */
export interface QueuedMessage {
  readonly id: string
  /** When the queue took it. */
  readonly timestamp: Date
  readonly body: unknown
  /** How often it was handed over, this time included. */
  readonly attempts: number
  ack(): void
  retry(options: { readonly delaySeconds: number }): void
}

/** A store of objects that are written once: of two under one name the first stays. May throw. */
export interface Bucket {
  put(name: string, text: string): Promise<void>
}
