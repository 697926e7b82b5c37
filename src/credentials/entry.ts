// One cached access token, as it is sealed and stored, and how long it may be used.
import * as v from 'valibot'
import { fromUtf8, toUtf8 } from '../lib/bytes.ts'
import { KeyPair } from '../lib/key-pair.ts'
import { numericDate, plusSeconds, type NumericDate } from '../lib/numeric-date.ts'
import { Secret } from '../lib/secret.ts'
import type { ActingParty, AuthorizationDetails, Credential } from '../model.ts'
import type { Issuer, ScopeToken } from '../parties.ts'
import { isAccessToken, isScopeToken } from '../oauth/vocabulary.ts'

export interface Entry {
  /** Random; tells one issued token from the next without saying anything about it. */
  readonly id: string
  /** The injective text of everything the token was issued for; compared after unsealing (threat T01). */
  readonly identity: string
  readonly token: Secret
  /** Who issued it: nobody else is ever shown it. */
  readonly server: Issuer
  /** What the token is bound to; undefined: it is a bearer token. */
  readonly key: KeyPair | undefined
  readonly scopes: readonly ScopeToken[]
  readonly details: AuthorizationDetails | undefined
  readonly issuedAt: NumericDate
  /** When the flight that obtained it took off, in milliseconds since the epoch: what a revocation compares. */
  readonly obtainedAt: number
  /** When the user had signed in by whose login it was obtained. */
  readonly loginAt: NumericDate
  /** When the token dies, or when we stop using it because of `cache.max_ttl`, whichever comes first. */
  readonly expiresAt: NumericDate
  /** When it dies by the word of its server. */
  readonly tokenExpiresAt: NumericDate
  /** `expiresAt` less a margin: a request must have time to arrive. */
  readonly usableUntil: NumericDate
  /** From here on a new token is fetched in the background. */
  readonly refreshAt: NumericDate
  readonly jti: string | undefined
  /** Who acts for the user by the ID-JAG; for the record. */
  readonly actors: readonly ActingParty[]
  /** Kept only where the RAS lets an ID-JAG be redeemed again. */
  readonly idJag:
    | {
        readonly token: Secret
        readonly key: KeyPair | undefined
        readonly expiresAt: NumericDate
        readonly scopes: readonly ScopeToken[]
        readonly details: AuthorizationDetails | undefined
      }
    | undefined
}

/** Entries of any other version are misses. 4: the time of the login, who issued a token, how long it lives there. */
const VERSION = 4

const SAFETY_MARGIN_SECONDS = 30
// Short-lived tokens would have no life left after the full margin.
const MARGIN_SHARE = 0.1
const REFRESH_SHARE = 0.2

export interface LifetimeBounds {
  readonly maxTtlSeconds: number
  readonly refreshBeforeSeconds: number
}

/** When an entry issued at `issuedAt` dies, stops being used, and is refreshed. */
export function lifetimeOf(
  issuedAt: NumericDate,
  lifetimeSeconds: number,
  bounds: LifetimeBounds,
): Pick<Entry, 'issuedAt' | 'expiresAt' | 'tokenExpiresAt' | 'usableUntil' | 'refreshAt'> {
  const lifetime = Math.min(lifetimeSeconds, bounds.maxTtlSeconds)
  // Cutting a long life short needs no margin: the token lives on.
  const spare = lifetimeSeconds - lifetime
  const margin = Math.max(0, Math.min(SAFETY_MARGIN_SECONDS, lifetime * MARGIN_SHARE) - spare)
  const ahead = Math.min(bounds.refreshBeforeSeconds, lifetime * REFRESH_SHARE)
  const expiresAt = plusSeconds(issuedAt, lifetime)
  const usableUntil = plusSeconds(expiresAt, -Math.ceil(margin))
  const refreshAt = plusSeconds(usableUntil, -Math.ceil(ahead))
  return { issuedAt, expiresAt, tokenExpiresAt: plusSeconds(issuedAt, lifetimeSeconds), usableUntil, refreshAt }
}

/** The maker of the last proof. */
export function toCredential(entry: Entry, resource: string): Credential {
  const { id, token, key, scopes, details, expiresAt } = entry
  const kind = key === undefined ? { kind: 'bearer' } : { kind: 'dpop', key }
  return { ...kind, resource, entryId: id, token, scopes, details, expiresAt } as Credential
}

const date = v.pipe(v.number(), v.finite(), v.transform(numericDate))
const scopes = v.array(v.pipe(v.string(), v.guard(isScopeToken)))
const isIssuer = (text: string): text is Issuer => text !== ''
const token = v.pipe(
  v.string(),
  v.guard(isAccessToken),
  v.transform((text) => new Secret(text)),
)
const details = v.optional(v.strictObject({ json: v.string(), types: v.array(v.string()) }))
const key = v.optional(
  v.pipe(
    v.strictObject({ x: v.string(), y: v.string(), d: v.string() }),
    v.transform((members) => new KeyPair(members)),
  ),
)
const storedEntry = v.strictObject({
  v: v.literal(VERSION),
  id: v.string(),
  identity: v.string(),
  token,
  server: v.pipe(v.string(), v.guard(isIssuer)),
  key,
  scopes,
  details,
  issued_at: date,
  obtained_at: v.pipe(v.number(), v.finite()),
  login_at: date,
  expires_at: date,
  token_expires_at: date,
  usable_until: date,
  refresh_at: date,
  jti: v.optional(v.string()),
  actors: v.array(v.strictObject({ sub: v.string(), iss: v.exactOptional(v.string()) })),
  id_jag: v.optional(v.strictObject({ token, key, expires_at: date, scopes, details })),
})

/** The plain bytes of an entry; only ever handed to the sealing. */
export function encodeEntry(entry: Entry): Uint8Array<ArrayBuffer> {
  return toUtf8(
    JSON.stringify({
      v: VERSION,
      id: entry.id,
      identity: entry.identity,
      token: entry.token.reveal(),
      server: entry.server,
      key: entry.key?.reveal(),
      scopes: entry.scopes,
      details: entry.details,
      issued_at: entry.issuedAt,
      obtained_at: entry.obtainedAt,
      login_at: entry.loginAt,
      expires_at: entry.expiresAt,
      token_expires_at: entry.tokenExpiresAt,
      usable_until: entry.usableUntil,
      refresh_at: entry.refreshAt,
      jti: entry.jti,
      actors: entry.actors,
      id_jag: entry.idJag && {
        token: entry.idJag.token.reveal(),
        key: entry.idJag.key?.reveal(),
        expires_at: entry.idJag.expiresAt,
        scopes: entry.idJag.scopes,
        details: entry.idJag.details,
      },
    }),
  )
}

/** Undefined for whatever is not an entry of this version: it counts as a miss. */
export function decodeEntry(bytes: Uint8Array): Entry | undefined {
  const text = fromUtf8(bytes)
  const stored = text.ok ? v.safeParse(storedEntry, fromJson(text.value)) : undefined
  if (!stored?.success) return undefined
  const { output } = stored
  return {
    id: output.id,
    identity: output.identity,
    token: output.token,
    server: output.server,
    key: output.key,
    scopes: output.scopes,
    details: output.details,
    issuedAt: output.issued_at,
    obtainedAt: output.obtained_at,
    loginAt: output.login_at,
    expiresAt: output.expires_at,
    tokenExpiresAt: output.token_expires_at,
    usableUntil: output.usable_until,
    refreshAt: output.refresh_at,
    jti: output.jti,
    actors: output.actors,
    idJag: output.id_jag && {
      token: output.id_jag.token,
      key: output.id_jag.key,
      expiresAt: output.id_jag.expires_at,
      scopes: output.id_jag.scopes,
      details: output.id_jag.details,
    },
  }
}

/** What is unsealed was written by us; the shape is all that another version may have changed. */
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
