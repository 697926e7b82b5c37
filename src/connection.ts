// The nouns of what has been obtained and what has been ended: connections, tokens, revocations. Types only.
import type { NumericDate } from './lib/numeric-date.ts'
import type { Issuer } from './parties.ts'

/** Whom and what a revocation is about: every part that is named must fit, and at least one is. */
export interface RevocationSelector {
  readonly idp?: string
  /** The subject at the IdP. */
  readonly user?: string
  readonly client?: string
  readonly resource?: string
}

/** What an administrator has put into force. Times are milliseconds since the epoch. */
export type Revocation =
  /** Everything from before is dead. */
  | { readonly kind: 'cutoff'; readonly id: string; readonly selector: RevocationSelector; readonly before: number }
  /** Nobody passes until it is lifted, or until its time is over. */
  | {
      readonly kind: 'block'
      readonly id: string
      readonly selector: RevocationSelector
      readonly until: number | undefined
    }

/** One (user, client, resource, scopes) that has obtained access tokens. */
export interface Connection {
  /** The name under which its token is kept. */
  readonly name: string
  readonly idp: string
  readonly issuer: Issuer
  readonly user: string
  readonly tenant: string | undefined
  readonly client: string
  readonly resource: string
  readonly scopes: readonly string[]
  readonly firstIssuedAt: NumericDate
  readonly lastIssuedAt: NumericDate
  /** Until when its last token is used here. */
  readonly expiresAt: NumericDate
  /** Until when that token lives by the word of its authorization server: `cache.max_ttl` does not end it. */
  readonly tokenExpiresAt: NumericDate
  /** Until when tokens it had before the last one may live: they were replaced here, not revoked. Undefined: it had none. */
  readonly earlierTokensUntil: NumericDate | undefined
  /** How many access tokens it has obtained. */
  readonly count: number
  readonly idJagJti: string | undefined
}

/** What is known of one access token that a client may hold in hand. The token cannot be told from it. */
export interface TokenRecord {
  /** A keyed digest of the token. */
  readonly digest: string
  /** The name under which its entry is kept; another token may have taken its place there. */
  readonly name: string
  readonly idp: string
  readonly user: string
  readonly client: string
  readonly resource: string
  /** The authorization server that issued it: nobody else is ever shown it. */
  readonly server: Issuer
  readonly scopes: readonly string[]
  /** When the flight that obtained it took off, in milliseconds since the epoch: what a revocation compares. */
  readonly obtainedAt: number
  /** What its client was told. */
  readonly expiresAt: NumericDate
  /** For how long this record is of use: the token may live on where it was issued. */
  readonly keptUntil: NumericDate
}
