// Takes back what a revoked connection holds: the kept token is forgotten everywhere and revoked where it was issued (RFC 7009).
// None of this is what makes a revocation hold, the cut-off is; so whatever fails here is told and stops nothing.
import type { Config } from '../config/config.ts'
import { withDeadline } from '../lib/deadline.ts'
import { numericDate, type NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { Secret } from '../lib/secret.ts'
import type { Connection, TokenRecord } from '../connection.ts'
import type { Issuer } from '../parties.ts'
import { createClientAuths, type ClientAuths } from '../oauth/client-auth.ts'
import { decodeCompactJwt } from '../oauth/compact-jwt.ts'
import type { Discovery } from '../oauth/metadata.ts'
import { revokeAccessToken } from '../oauth/revocation.ts'
import type { Certificates, Fetch, Secrets, SingleFlight, TokenStore } from '../ports.ts'
import { decodeEntry, type Entry } from './entry.ts'
import type { KeyRing } from './key-ring.ts'

/**
 * What became of a token at its authorization server. `not_offered`: the server revokes no such tokens. `not_held`: there is
 * none here any more. `failed`: what was kept stays sealed where it is, so that asking again may succeed.
 */
export type CutOutcome = 'revoked' | 'failed' | 'not_offered' | 'not_held'

export interface Cut {
  readonly connection: Connection
  readonly outcome: CutOutcome
  /** Until when whoever has the token already may get in with it, where it cannot be revoked; as far as is known here. */
  readonly tokenExpiresAt: NumericDate
}

export interface Cutter {
  /**
   * Cuts what was obtained up to `before` (milliseconds since the epoch); a connection whose token turns out to be newer is
   * left out of the answer. Never throws, and answers within a bound: what is not done by then counts as failed.
   */
  cut(connections: readonly Connection[], before: number): Promise<readonly Cut[]>
  /**
   * Takes back a token that its client has shown, and what is kept of it; a newer one that stands in its place stays.
   * `forward`: whether it may be revoked where it was issued. Never throws, and answers within a bound.
   */
  giveBack(
    token: Secret,
    records: readonly [TokenRecord, ...TokenRecord[]],
    forward: boolean,
  ): Promise<'revoked' | 'failed' | 'not_offered'>
}

export interface CutterPorts {
  readonly flight: Pick<SingleFlight, 'peek' | 'forget'>
  readonly store: TokenStore
  readonly fetch: Fetch
  readonly secrets: Secrets
  readonly certificates: Certificates
  readonly discovery: Discovery
}

const AT_ONCE = 6
const TOTAL_TIMEOUT_MS = 15_000
/** NumericDates from here on are milliseconds by mistake, or nonsense. */
const MAX_NUMERIC_DATE = 1e11

export function createCutter(config: Pick<Config, 'resources'>, ports: CutterPorts, ring: KeyRing): Cutter {
  const tools: Tools = { ...ports, config, ring, auths: createClientAuths(ports) }
  return {
    async cut(connections, before) {
      const done = new Map<Connection, Cut | undefined>()
      const waiting = [...connections]
      const work = async (): Promise<void> => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          try {
            done.set(next, await cutOne(next, before, tools))
          } catch {
            done.set(next, cutOf(next, 'failed'))
          }
        }
      }
      await withDeadline(Promise.all(Array.from({ length: AT_ONCE }, work)), TOTAL_TIMEOUT_MS)
      waiting.length = 0
      return connections.flatMap((connection) => {
        const cut = done.has(connection) ? done.get(connection) : cutOf(connection, 'failed')
        return cut === undefined ? [] : [cut]
      })
    },
    async giveBack(token, records, forward) {
      const [newest] = records
      const revoking = forward ? revoke(newest, token, newest.server, tools) : Promise.resolve('not_offered' as const)
      const letting = records.map((record) => letGoOf(record, tools))
      const work = Promise.all([revoking.catch(() => 'failed' as const), ...letting])
      const [outcome] = (await withDeadline(work, TOTAL_TIMEOUT_MS)) ?? ['failed' as const]
      return outcome
    },
  }
}

interface Tools extends CutterPorts {
  readonly config: Pick<Config, 'resources'>
  readonly ring: KeyRing
  readonly auths: ClientAuths
}

async function cutOne(connection: Connection, before: number, tools: Tools): Promise<Cut | undefined> {
  const held = await findSealed(connection.name, tools)
  if (!held.ok) return cutOf(connection, 'failed')
  const plain = held.value && (await tools.ring.open(connection.name, held.value))
  const entry = plain && decodeEntry(plain)
  if (entry === undefined) return cutOf(connection, 'not_held')
  // The registry counts in seconds, the entry knows better.
  if (entry.obtainedAt > before) return undefined
  const outcome = await revoke(connection, entry.token, entry.server, tools)
  if (outcome !== 'failed') await letGo(connection.name, tools)
  return cutOf(connection, outcome, entry)
}

/** Unless what is kept is newer. The cut-off says that it is dead; that it is not kept any longer is tidiness, and may fail. */
async function letGoOf({ name, obtainedAt }: TokenRecord, tools: Tools): Promise<void> {
  const held = await findSealed(name, tools)
  const plain = held.ok && held.value ? await tools.ring.open(name, held.value).catch(() => undefined) : undefined
  const entry = plain && decodeEntry(plain)
  if (entry !== undefined && entry.obtainedAt <= obtainedAt) await letGo(name, tools)
}

/** Never throws. */
async function letGo(name: string, { flight, store }: Tools): Promise<void> {
  await Promise.all([answerOf(flight.forget(name)), answerOf(store.delete(name))])
}

/** The flight has the newest; KV has it where the flight was put to sleep long ago. Undefined: neither has any. */
async function findSealed(
  name: string,
  { flight, store }: Tools,
): Promise<Result<Uint8Array<ArrayBuffer> | undefined, 'failed'>> {
  const kept = await answerOf(flight.peek(name))
  if (kept.ok && kept.value !== undefined) return kept
  const stored = await answerOf(store.get(name))
  if (stored.ok && stored.value !== undefined) return stored
  return kept.ok && stored.ok ? ok(undefined) : err('failed')
}

async function answerOf<T>(work: Promise<T>): Promise<Result<T, 'failed'>> {
  try {
    return ok(await work)
  } catch {
    return err('failed')
  }
}

/** `server`: who issued the token. */
async function revoke(
  connection: Pick<Connection, 'resource' | 'client'>,
  token: Secret,
  server: Issuer,
  tools: Tools,
): Promise<Exclude<CutOutcome, 'not_held'>> {
  const resource = tools.config.resources.get(connection.resource)
  // No longer configured: nobody knows any more where the token came from.
  if (resource === undefined) return 'failed'
  const { issuer, tokenEndpoint } = resource.authorizationServer
  // The resource has moved to another server: the token is none of its business.
  if (server !== issuer) return 'failed'
  const metadata = await tools.discovery.metadataOf(issuer, 'oauth2')
  if (!metadata.ok) {
    // Who configures the token endpoint may have a server without metadata; then it offers nothing that could be known of.
    return tokenEndpoint !== undefined && metadata.error.kind === 'unusable' ? 'not_offered' : 'failed'
  }
  const client = resource.clientsByCaller.get(connection.client) ?? resource.client
  const { mtls } = metadata.value
  const alias = 'certificate' in client.auth ? mtls?.revocationEndpoint : undefined
  const revocationEndpoint = alias ?? metadata.value.revocationEndpoint
  if (revocationEndpoint === undefined) return 'not_offered'
  // An assertion for "the token endpoint" keeps to that name here as well: it is how such servers know themselves.
  const audience = tokenEndpoint ?? metadata.value.tokenEndpoint ?? revocationEndpoint
  const own = await tools.auths.prepare(client.auth, audience)
  if (!own.ok) return 'failed'
  const request = { issuer, revocationEndpoint, clientId: client.id, client: own.value, token }
  const revoked = await revokeAccessToken(tools.fetch, request)
  if (revoked.ok) return 'revoked'
  return revoked.error === 'unsupported' ? 'not_offered' : 'failed'
}

function cutOf(connection: Connection, outcome: CutOutcome, entry?: Entry): Cut {
  const own = entry === undefined ? undefined : expiryInside(entry.token)
  return { connection, outcome, tokenExpiresAt: own ?? connection.tokenExpiresAt }
}

/** A token that is a JWT says itself when it ends. Told, never relied on. */
function expiryInside(token: Secret): NumericDate | undefined {
  const jwt = decodeCompactJwt(token.reveal())
  const exp = jwt.ok ? jwt.value.payload['exp'] : undefined
  return typeof exp === 'number' && exp > 0 && exp < MAX_NUMERIC_DATE ? numericDate(exp) : undefined
}
