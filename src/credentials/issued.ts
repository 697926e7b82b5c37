// Tokens that clients hold in hand, known by keyed digests: how a client finds out about one, and gives it back (RFC 7009).
// A client has power over tokens that were handed to itself, and over nothing else.
import type { Config } from '../config/config.ts'
import type { Connection, TokenRecord } from '../connection.ts'
import { BoundedMap } from '../lib/bounded-map.ts'
import { plusSeconds, type NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { Secret } from '../lib/secret.ts'
import type { AuthenticatedClient, Credential, CredentialOrigin, Permit } from '../model.ts'
import { isAccessToken } from '../oauth/vocabulary.ts'
import type { Background, Clock, Registry, RevocationLog } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { forgetAt, type Revocations } from '../revocation/revocation.ts'
import type { Cutter } from './cut.ts'
import type { KeyRing } from './key-ring.ts'
import { nameParts } from './token-key.ts'

/** What a client is to a token. `foreign`: it was handed to somebody else; no client is ever told so. */
export type Possession =
  | { readonly kind: 'unknown' | 'foreign' }
  | {
      readonly kind: 'own'
      /** One, but for servers that issue the same token again: then it may be kept under several names. The newest first. */
      readonly records: readonly [TokenRecord, ...TokenRecord[]]
      /** Another client holds the very same token. */
      readonly shared: boolean
    }

export type Own = Extract<Possession, { readonly kind: 'own' }>

/** What a client is given, as it was acquired. */
interface HandedOut {
  readonly credential: Credential
  readonly origin: CredentialOrigin
  readonly obtainedAt: number
  readonly tokenExpiresAt: NumericDate
}

export interface IssuedTokens {
  /**
   * What has come from a cache is in its client's hands now. It was noted when it was obtained, but that may have failed: it is
   * noted again once in each isolate, in the background.
   */
  handedOut(permit: Permit, handed: HandedOut): void
  /** Refuses with INT101 where it cannot be told. */
  find(token: Secret, client: AuthenticatedClient): Promise<Result<Possession, Refusal>>
  /**
   * Ends a token: no gateway uses it any more within `revocation.max_staleness`, and it is revoked where it was issued, if
   * that can be done there. Asking again works until that has succeeded. Refuses with INT102, LIM204 or RAS115.
   */
  revoke(token: Secret, own: Own): Promise<Result<'revoked' | 'not_offered', Refusal>>
}

export interface IssuedTokenPorts {
  readonly registry: Pick<Registry, 'noteToken' | 'findToken' | 'forgetToken'>
  readonly clock: Pick<Clock, 'now'>
  readonly background: Background
  readonly log: Pick<RevocationLog, 'add'>
  readonly cutter: Cutter
  readonly revocations: Pick<Revocations, 'latest'>
}

/**
 * So many cut-offs of one client can be in force at a time: every isolate holds all of them, and one client must not make
 * that dear for the others. One takes up room for about as long as an entry lives (`cache.max_ttl`).
 */
const MAX_CUTOFFS = 2_000
const FULL_RETRY_SECONDS = 60
const SERVER_RETRY_SECONDS = 5

const MAX_NOTED = 2_000
/** A ledger that does not answer is not asked again at each hand-out. */
const NOTE_RETRY_SECONDS = 10

const MIN_KEPT_SECONDS = 60 * 60
const MAX_KEPT_SECONDS = 7 * 24 * 60 * 60

type NewToken = Pick<Connection, 'name' | 'idp' | 'user' | 'client' | 'resource' | 'expiresAt' | 'tokenExpiresAt'> &
  Pick<TokenRecord, 'server' | 'scopes' | 'obtainedAt'> & { readonly token: Secret; readonly now: NumericDate }

/** Notes a token for the client that asked for it. */
export async function noteToken(
  { token, now, name, idp, user, client, resource, server, scopes, obtainedAt, expiresAt, tokenExpiresAt }: NewToken,
  registry: Pick<Registry, 'noteToken'>,
  ring: KeyRing,
): Promise<void> {
  const [digest] = await ring.digests(token.reveal())
  // As long as it lives, within bounds: not every server tells how long that is.
  const keptSeconds = Math.min(Math.max(tokenExpiresAt - now, MIN_KEPT_SECONDS), MAX_KEPT_SECONDS)
  const keptUntil = plusSeconds(now, keptSeconds)
  const kept = { digest, name, idp, user, client, resource, server, scopes, obtainedAt, expiresAt, keptUntil }
  await registry.noteToken(kept)
}

export function createIssuedTokens(
  config: Pick<Config, 'admin' | 'cache' | 'idps'>,
  { registry, log, cutter, revocations, clock, background }: IssuedTokenPorts,
  ring: KeyRing,
): IssuedTokens {
  /** By the id of the entry: from when on it is noted again. */
  const noted = new BoundedMap<string, number>(MAX_NOTED)

  async function note(permit: Permit, { credential, obtainedAt, tokenExpiresAt }: HandedOut, now: NumericDate) {
    const { assertion, resource } = permit
    const [name] = await ring.names(nameParts(permit))
    const { idp, subject: user } = assertion.principal
    const whose = { name, idp, user, client: assertion.caller.name, resource: resource.name }
    const { token, scopes, expiresAt } = credential
    const server = resource.authorizationServer.issuer
    await noteToken({ ...whose, server, token, scopes, obtainedAt, expiresAt, tokenExpiresAt, now }, registry, ring)
    noted.set(credential.entryId, Number.POSITIVE_INFINITY)
  }

  return {
    handedOut(permit, handed) {
      const now = clock.now()
      const { entryId } = handed.credential
      if (handed.origin === 'exchange' || now < (noted.get(entryId) ?? 0)) return
      noted.set(entryId, now + NOTE_RETRY_SECONDS)
      background(note(permit, handed, now).catch(() => undefined))
    },

    async find(token, client) {
      // What could not have been handed out was not.
      if (!isAccessToken(token.reveal())) return ok({ kind: 'unknown' })
      const digests = await ring.digests(token.reveal())
      try {
        const found = await Promise.all(digests.map((digest) => registry.findToken(digest)))
        return ok(possessionOf(found.flat(), client.name))
      } catch {
        return err({ code: 'INT101', detail: 'the registry failed', retryAfterSeconds: 1 })
      }
    },

    async revoke(token, { records, shared }) {
      const [newest] = records
      // First, as it is what holds: without it an isolate that has the token in memory would go on handing it out.
      const written = await cutOff(records)
      if (!written.ok) return written
      // Other isolates hear of it in their time, this one at once: its client may ask for another token next.
      const [outcome] = await Promise.all([cutter.giveBack(token, records, !shared), revocations.latest()])
      if (outcome === 'failed') {
        return err({ code: 'RAS115', name: newest.resource, retryAfterSeconds: SERVER_RETRY_SECONDS })
      }
      // Forgotten last: until then asking again tries again. Should it fail, the next time is once too often, no more.
      const digests = new Set(records.map(({ digest }) => digest))
      await Promise.all(
        [...digests].map((digest) => registry.forgetToken(digest, newest.client).catch(() => undefined)),
      )
      return ok(outcome)
    },
  }

  async function cutOff(records: readonly TokenRecord[]): Promise<Result<undefined, Refusal>> {
    for (const { idp, user, client, resource, obtainedAt: before } of records) {
      const id = `cutoff_${crypto.randomUUID()}`
      const selector = { idp, user, client, resource }
      try {
        const end = forgetAt(selector, before, config)
        if (await log.add({ kind: 'cutoff', id, selector, before }, end, MAX_CUTOFFS)) continue
      } catch {
        return err({ code: 'INT102', detail: 'the cut-off could not be written', retryAfterSeconds: 1 })
      }
      return err({ code: 'LIM204', retryAfterSeconds: FULL_RETRY_SECONDS })
    }
    return ok(undefined)
  }
}

function possessionOf(records: readonly TokenRecord[], client: string): Possession {
  const [newest, ...older] = records
    .filter((record) => record.client === client)
    .toSorted((one, other) => other.obtainedAt - one.obtainedAt)
  if (newest === undefined) return { kind: records.length === 0 ? 'unknown' : 'foreign' }
  return { kind: 'own', records: [newest, ...older], shared: older.length + 1 < records.length }
}
