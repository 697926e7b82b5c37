// Where credentials come from when no cache has them. Today one source: the two hops by ID-JAG. This is the work of a
// flight; it runs at most once at a time per token, in whatever place the ground chose, from plain data.
import type { Config } from '../config/config.ts'
import { numericDate, plusSeconds } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { Secret } from '../lib/secret.ts'
import type { Idp, IdpClient, OutboundAuth, RasClient, Resource, ScopeToken } from '../model.ts'
import { createClientAuth } from '../oauth/client-auth.ts'
import { exchangeForIdJag, redeemIdJag, type AccessToken, type IdJag, type LegEndpoint } from '../oauth/legs.ts'
import type { Discovery } from '../oauth/metadata.ts'
import { isScopeToken } from '../oauth/vocabulary.ts'
import type {
  Background,
  Clock,
  Fetch,
  KeptEntry,
  LegTimes,
  Secrets,
  TokenJob,
  TokenStore,
  TokenWork,
} from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { decodeEntry, encodeEntry, lifetimeOf, type Entry } from './entry.ts'
import type { KeyRing } from './key-ring.ts'

export interface SourcePorts {
  readonly fetch: Fetch
  readonly clock: Clock
  readonly background: Background
  readonly secrets: Secrets
  readonly store: TokenStore
  readonly discovery: Discovery
}

/** KV takes no entry that lives shorter; such tokens stay with the flight and in memory. */
const KV_FLOOR_SECONDS = 60
/** An ID-JAG is presented again only if it will still be valid on arrival. */
const ID_JAG_MARGIN_SECONDS = 10

interface Task {
  readonly job: TokenJob
  readonly idp: Idp
  readonly idpClient: IdpClient
  readonly resource: Resource
  readonly rasClient: RasClient
  readonly scopes: readonly ScopeToken[]
}

export function createTokenWork(config: Config, ports: SourcePorts, ring: KeyRing): TokenWork {
  return async (job, kept) => {
    const ms: { exchange?: number; redeem?: number } = {}
    const task = resolve(config, job)
    if (!task.ok) return { refusal: task.error, ms }
    const token = await fetchToken(task.value, await reusableIdJag(task.value, kept, ports.clock, ring), ports, ms)
    if (!token.ok) return { refusal: token.error, ms }
    return { kept: await keep(token.value, task.value, config, ports, ring), ms }
  }
}

/** Names to objects. A flight may run a deployment that is a little older or newer than its caller's. */
function resolve(config: Config, job: TokenJob): Result<Task, Refusal> {
  const idp = config.idps.get(job.idp)
  const idpClient = idp?.clients.get(job.idpClient)
  const resource = config.resources.get(job.resource)
  const scopes = job.scopes.filter((scope) => isScopeToken(scope))
  if (idp === undefined || idpClient === undefined || resource === undefined || scopes.length !== job.scopes.length) {
    return err({ code: 'INT101', detail: 'the flight has another configuration', retryAfterSeconds: 1 })
  }
  return ok({
    job,
    idp,
    idpClient,
    resource,
    scopes,
    rasClient: resource.clientsByCaller.get(job.caller) ?? resource.client,
  })
}

interface Fetched {
  readonly token: AccessToken
  readonly idJag: IdJag
}

async function fetchToken(
  task: Task,
  reusable: IdJag | undefined,
  ports: SourcePorts,
  ms: { exchange?: number; redeem?: number },
): Promise<Result<Fetched, Refusal>> {
  const { resource, rasClient } = task
  const server = resource.authorizationServer
  const ras = await legEndpoint(server, rasClient, 'RAS', ports)
  if (!ras.ok) return err({ ...ras.error, name: resource.name })

  const idJag =
    reusable === undefined ? await timed(ports.clock, ms, 'exchange', () => exchange(task, ports)) : ok(reusable)
  if (!idJag.ok) return err({ ...idJag.error, name: resource.name })

  const token = await timed(ports.clock, ms, 'redeem', () =>
    redeemIdJag(ports.fetch, {
      ras: ras.value,
      idJag: idJag.value,
      resource: resource.resource,
      sendScope: server.quirks.sendScope === 'same',
      sendResource: server.quirks.sendResource,
    }),
  )
  if (token.ok) return ok({ token: token.value, idJag: idJag.value })
  // An ID-JAG that was redeemed before may have been withdrawn since; a new one is asked for, once (D-10).
  if (reusable !== undefined && token.error.code === 'RAS101') return fetchToken(task, undefined, ports, ms)
  return err({ ...token.error, name: resource.name })
}

async function exchange(task: Task, ports: SourcePorts): Promise<Result<IdJag, Refusal>> {
  const { idp, idpClient, resource, job } = task
  const endpoint = await legEndpoint(idp, idpClient, 'IDP', ports)
  if (!endpoint.ok) return endpoint
  return exchangeForIdJag(ports.fetch, {
    idp: endpoint.value,
    subjectToken: new Secret(job.subjectToken),
    audience: resource.authorizationServer.issuer,
    rasClientId: task.rasClient.id,
    resource: resource.resource,
    scopes: task.scopes,
    now: ports.clock.now(),
  })
}

/** Whom to talk to: the configured endpoint, or the one the server's own metadata names. */
async function legEndpoint(
  server: Pick<Idp, 'issuer' | 'tokenEndpoint'>,
  client: { readonly id: RasClient['id']; readonly auth: OutboundAuth },
  leg: 'IDP' | 'RAS',
  ports: SourcePorts,
): Promise<Result<LegEndpoint, Refusal>> {
  let tokenEndpoint = server.tokenEndpoint
  if (tokenEndpoint === undefined) {
    const metadata = await ports.discovery.metadataOf(server.issuer, leg === 'IDP' ? 'oidc' : 'oauth2')
    if (!metadata.ok) return err({ code: `${leg}114`, detail: metadata.error.detail, retryAfterSeconds: 5 })
    tokenEndpoint = metadata.value.tokenEndpoint
  }
  if (tokenEndpoint === undefined) return err({ code: `${leg}114`, detail: 'the metadata names no token endpoint' })
  const authenticate = await createClientAuth(client.auth, tokenEndpoint, ports.secrets)
  if (!authenticate.ok) return err({ code: `${leg}106`, detail: authenticate.error })
  return ok({ issuer: server.issuer, tokenEndpoint, clientId: client.id, authenticate: authenticate.value })
}

async function timed<T>(
  clock: Clock,
  ms: Record<string, number>,
  leg: keyof LegTimes,
  work: () => Promise<T>,
): Promise<T> {
  const start = clock.millis()
  const result = await work()
  ms[leg] = Math.round(clock.millis() - start)
  return result
}

async function reusableIdJag(
  { job, resource }: Task,
  kept: KeptEntry | undefined,
  clock: Clock,
  ring: KeyRing,
): Promise<IdJag | undefined> {
  if (kept === undefined || !resource.authorizationServer.quirks.idJagReuse) return undefined
  const plain = await ring.open(job.name, kept.sealed)
  const entry = plain && decodeEntry(plain)
  if (entry?.idJag === undefined || entry.identity !== job.identity) return undefined
  if (entry.idJag.expiresAt - ID_JAG_MARGIN_SECONDS <= clock.now()) return undefined
  return { ...entry.idJag, jti: entry.jti }
}

async function keep(
  { token, idJag }: Fetched,
  { job, resource }: Task,
  config: Config,
  ports: SourcePorts,
  ring: KeyRing,
): Promise<KeptEntry> {
  const now = ports.clock.now()
  const reusable = resource.authorizationServer.quirks.idJagReuse && idJag.expiresAt !== undefined
  const entry: Entry = {
    id: crypto.randomUUID(),
    identity: job.identity,
    token: token.token,
    scopes: token.scopes,
    ...lifetimeOf(now, token.lifetimeSeconds, config.cache),
    jti: idJag.jti,
    idJag: reusable
      ? { token: idJag.token, expiresAt: numericDate(idJag.expiresAt ?? 0), scopes: idJag.scopes }
      : undefined,
  }
  const sealed = await ring.seal(job.name, encodeEntry(entry))
  if (entry.usableUntil >= plusSeconds(now, KV_FLOOR_SECONDS)) {
    // The answer does not wait for KV, and a failed write costs one exchange later, not an error now.
    ports.background(ports.store.put(job.name, sealed, entry.usableUntil).catch(() => undefined))
  }
  return { id: entry.id, sealed, usableUntil: entry.usableUntil }
}
