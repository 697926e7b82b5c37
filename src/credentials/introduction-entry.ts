// What is kept of a subject token that only its identity provider can read, as it is sealed: the introductions it has led to, and
// the refresh token that has taken its place.
import * as v from 'valibot'
import { fromUtf8, toUtf8 } from '../lib/bytes.ts'
import { encodeFields } from '../lib/digest.ts'
import { KeyPair } from '../lib/key-pair.ts'
import { numericDate, type NumericDate } from '../lib/numeric-date.ts'
import { Secret } from '../lib/secret.ts'
import type { AuthorizationDetails, IdJag, Introduction } from '../model.ts'
import { isAccessToken, isScopeToken } from '../oauth/vocabulary.ts'
import type { OpaqueKind } from '../quirks.ts'

/** Who an ID-JAG was found to be about. */
export interface IntroducedUser {
  readonly issuer: string
  readonly subject: string
  readonly tenant: string | undefined
}

export interface IntroductionEntry extends Pick<Introduction, 'id' | 'since' | 'obtainedAt' | 'until'> {
  /** Of `introductionIdentity`; compared after unsealing. */
  readonly identity: string
  readonly user: IntroducedUser
  /** Who acts for the user by the ID-JAG, and how strong the login was. */
  readonly manner: string | undefined
  readonly idJag: IdJag & { readonly expiresAt: NumericDate }
  readonly key: KeyPair | undefined
}

/** All that is known of one subject token. */
export interface SubjectMemory {
  /** What is shown in its place now; undefined: itself. */
  readonly successor: Secret | undefined
  /** Whose it is and since when, as soon as the identity provider has said so once. It can never be another's. */
  readonly user: IntroducedUser | undefined
  readonly since: NumericDate | undefined
  /** A cut-off has been met: it stays over when the cut-off is long forgotten. */
  readonly ended: boolean
  /** The newest first. */
  readonly entries: readonly IntroductionEntry[]
}

/** Raised when the meaning of an introduction changes. */
const EPOCH = '2'

/** Injective: everything but the subject token that changes the ID-JAG. */
export function introductionIdentity(
  place: string,
  kind: OpaqueKind,
  asked: {
    readonly scopes: readonly string[]
    readonly details: AuthorizationDetails | undefined
    readonly actor: { readonly digest: string } | undefined
  },
): string {
  return encodeFields([EPOCH, place, kind, asked.scopes, asked.details?.json, asked.actor?.digest])
}

/** The maker of a proof. */
export function toIntroduction(
  { id, idJag, key, since, obtainedAt, until }: IntroductionEntry,
  asked: Pick<Introduction, 'prospect' | 'kind' | 'token' | 'idpClient' | 'rasClientId'>,
): Introduction {
  return { id, idJag, key, since, obtainedAt, until, ...asked } as Introduction
}

const date = v.pipe(v.number(), v.finite(), v.transform(numericDate))
const secret = v.pipe(
  v.string(),
  v.guard(isAccessToken),
  v.transform((text) => new Secret(text)),
)
const key = v.optional(
  v.pipe(
    v.strictObject({ x: v.string(), y: v.string(), d: v.string() }),
    v.transform((members) => new KeyPair(members)),
  ),
)
const user = v.strictObject({ issuer: v.string(), subject: v.string(), tenant: v.optional(v.string()) })
const entry = v.strictObject({
  id: v.string(),
  identity: v.string(),
  user,
  // Of an earlier version, whose entries are misses; what else is remembered of their subject tokens must not be lost.
  manner: v.optional(v.string()),
  since: date,
  obtainedAt: v.pipe(v.number(), v.finite()),
  until: date,
  idJag: v.strictObject({
    token: secret,
    jti: v.optional(v.string()),
    expiresAt: date,
    scopes: v.array(v.pipe(v.string(), v.guard(isScopeToken))),
    details: v.optional(v.strictObject({ json: v.string(), types: v.array(v.string()) })),
    actors: v.array(v.strictObject({ sub: v.string(), iss: v.exactOptional(v.string()) })),
    bound: v.boolean(),
  }),
  key,
})
const memory = v.strictObject({
  successor: v.optional(secret),
  user: v.optional(user),
  since: v.optional(date),
  ended: v.optional(v.boolean()),
  entries: v.array(entry),
})
const VERSION = v.literal(1)
const storedIntroduction = v.strictObject({ v: VERSION, introduction: entry })
const storedMemory = v.strictObject({ v: VERSION, memory })

/** The plain bytes; only ever handed to the sealing. */
export function encodeIntroduction(introduction: IntroductionEntry): Uint8Array<ArrayBuffer> {
  return toUtf8(JSON.stringify({ v: 1, introduction: plain(introduction) }))
}

export function encodeMemory({ successor, entries, ...rest }: SubjectMemory): Uint8Array<ArrayBuffer> {
  const revealed = { ...rest, successor: successor?.reveal(), entries: entries.map(plain) }
  return toUtf8(JSON.stringify({ v: 1, memory: revealed }))
}

/** Undefined for whatever is not of this version: it counts as a miss. */
export function decodeIntroduction(bytes: Uint8Array): IntroductionEntry | undefined {
  const stored = v.safeParse(storedIntroduction, fromJson(bytes))
  return stored.success ? filled(stored.output.introduction) : undefined
}

export function decodeMemory(bytes: Uint8Array): SubjectMemory | undefined {
  const stored = v.safeParse(storedMemory, fromJson(bytes))
  if (!stored.success) return undefined
  const { successor, user: whose, since, ended = false, entries } = stored.output.memory
  return { successor, user: whose && filledUser(whose), since, ended, entries: entries.map(filled) }
}

function plain({ idJag, key: pair, ...rest }: IntroductionEntry) {
  return { ...rest, idJag: { ...idJag, token: idJag.token.reveal() }, key: pair?.reveal() }
}

function filled({ idJag, user: whose, key: pair, ...rest }: v.InferOutput<typeof entry>): IntroductionEntry {
  const filledIdJag = { ...idJag, jti: idJag.jti, details: idJag.details }
  return { ...rest, manner: rest.manner, user: filledUser(whose), idJag: filledIdJag, key: pair }
}

function filledUser({ issuer, subject, tenant }: v.InferOutput<typeof user>): IntroducedUser {
  return { issuer, subject, tenant }
}

function fromJson(bytes: Uint8Array): unknown {
  const text = fromUtf8(bytes)
  try {
    return text.ok ? JSON.parse(text.value) : undefined
  } catch {
    return undefined
  }
}
