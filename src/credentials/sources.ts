// Where credentials come from when no cache has them. Today one source: the two hops by ID-JAG. This is the work of a
// flight; it runs at most once at a time per token, in whatever place the ground chose, from plain data.
import type { Config } from '../config/config.ts'
import { BoundedMap } from '../lib/bounded-map.ts'
import { KeyPair } from '../lib/key-pair.ts'
import { numericDate, plusSeconds } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { Secret } from '../lib/secret.ts'
import type { Connection } from '../connection.ts'
import type { Idp, IdpClient, OutboundAuth, RasClient, Resource, ScopeToken } from '../model.ts'
import { asActor, createClientAuths, type ClientAuths } from '../oauth/client-auth.ts'
import { createNonceMemory, type NonceMemory } from '../oauth/dpop.ts'
import type { LegRefusal } from '../oauth/leg-answer.ts'
import type { LegEndpoint } from '../oauth/leg-call.ts'
import { exchangeForIdJag, redeemIdJag, type AccessToken, type Binding, type IdJag } from '../oauth/legs.ts'
import type { Discovery } from '../oauth/metadata.ts'
import { isScopeToken } from '../oauth/vocabulary.ts'
import type {
  Background,
  Certificates,
  Clock,
  Fetch,
  KeptEntry,
  LegTimes,
  QuotaUse,
  Registry,
  Secrets,
  TokenJob,
  TokenStore,
  TokenWork,
} from '../ports.ts'
import type { DpopUse } from '../quirks.ts'
import type { Refusal } from '../refusal.ts'
import { judgeStanding, type Revocations } from '../revocation/revocation.ts'
import { explained, slipIn } from './diagnosis.ts'
import { decodeEntry, encodeEntry, lifetimeOf, type Entry } from './entry.ts'
import { noteToken } from './issued.ts'
import type { KeyRing } from './key-ring.ts'
import { createCircuits, isOutage, memoryOf, reserve, type Circuits } from './limits.ts'
import { placeFor, rasClientFor } from './token-key.ts'

export interface SourcePorts {
  readonly fetch: Fetch
  readonly clock: Clock
  readonly background: Background
  readonly secrets: Secrets
  readonly certificates: Certificates
  readonly store: TokenStore
  readonly discovery: Discovery
  readonly registry: Registry
  readonly revocations: Revocations
}

/** KV takes no entry that lives shorter; such tokens stay with the flight and in memory. */
const KV_FLOOR_SECONDS = 60
/** An ID-JAG is presented again only if it will still be valid on arrival. */
const ID_JAG_MARGIN_SECONDS = 10
/** What callers are told while a circuit is open; about its longest pause. */
const OPEN_RETRY_SECONDS = 4

const MAX_UNREDEEMED = 1_000

interface Task {
  readonly job: TokenJob
  readonly idp: Idp
  readonly idpClient: IdpClient
  readonly resource: Resource
  readonly rasClient: RasClient
  readonly scopes: readonly ScopeToken[]
}

export function createTokenWork(config: Config, ports: SourcePorts, ring: KeyRing): TokenWork {
  const tools: Tools = {
    ...ports,
    config,
    ring,
    auths: createClientAuths(ports),
    circuits: createCircuits(ports.clock),
    nonces: createNonceMemory(),
    unredeemed: new BoundedMap(MAX_UNREDEEMED),
  }
  return async (job, kept) => {
    // What is revoked while the legs are under way must not come out of them alive: the time of the take-off counts.
    const obtainedAt = ports.clock.epochMillis()
    const ms: { exchange?: number; redeem?: number } = {}
    const task = resolve(config, job)
    if (!task.ok) return refused(task.error, ms)
    const standing = await checkStanding(task.value, tools)
    if (!standing.ok) return refused(standing.error, ms)
    const tokensUntil = Math.max(job.tokensUntil, standing.value)
    const fetched = await fetchToken({ ...task.value, tokensUntil }, kept, tools, ms)
    if (!fetched.ok) return refused(await explained(fetched.error, task.value, tools), ms)
    const entry = await keep(fetched.value, task.value, obtainedAt, tools)
    const { quota } = fetched.value
    return quota === undefined ? { kept: entry, ms } : { kept: entry, ms, quota }
  }
}

interface Tools extends SourcePorts {
  readonly config: Config
  readonly ring: KeyRing
  readonly auths: ClientAuths
  readonly circuits: Circuits
  /** ID-JAGs that were obtained and could not be redeemed, by the name of the entry. In memory only. */
  readonly unredeemed: BoundedMap<string, HeldIdJag & { readonly startedAt: number }>
  readonly nonces: NonceMemory
}

/** Names to objects. A flight may run a deployment that is a little older or newer than its caller's. */
function resolve(config: Config, job: TokenJob): Result<Task, Refusal> {
  const idp = config.idps.get(job.idp)
  const idpClient = idp?.clients.get(job.idpClient)
  const resource = config.resources.get(job.resource)
  const scopes = job.scopes.filter((scope) => isScopeToken(scope))
  if (idp === undefined || idpClient === undefined || resource === undefined || scopes.length !== job.scopes.length) {
    return anotherConfiguration()
  }
  // Otherwise the new configuration's entry would hold a token of the old one's server.
  if (placeFor(idp.issuer, idpClient, resource, job.caller) !== job.place) return anotherConfiguration()
  return ok({
    job,
    idp,
    idpClient,
    resource,
    scopes,
    rasClient: rasClientFor(resource, job.caller),
  })
}

function anotherConfiguration(): Result<never, Refusal> {
  return err({ code: 'INT101', detail: 'the flight has another configuration', retryAfterSeconds: 1 })
}

/**
 * Whether the sign-in still stands, asked of the log itself: nothing new is obtained on what an isolate knew some seconds
 * ago. What is refused here is what policy would refuse as soon as the isolate has heard. Answers up to when tokens are dead.
 */
async function checkStanding({ job }: Task, { revocations, clock }: Tools): Promise<Result<number, Refusal>> {
  const revoked = await revocations.latest()
  if (!revoked.ok) return revoked
  const subject = { idp: job.idp, user: job.owner.user, client: job.caller, resource: job.resource }
  return judgeStanding(revoked.value.standingOf(subject, clock.epochMillis()), job.signedInAt)
}

/** A task, and up to when what was obtained for it is dead. */
type StandingTask = Task & { readonly tokensUntil: number }

/** An ID-JAG, with the key it is bound to. */
interface HeldIdJag {
  readonly idJag: IdJag
  readonly key: KeyPair | undefined
}

interface Fetched extends HeldIdJag {
  readonly token: AccessToken
  /** What was proven when the token was asked for. */
  readonly tokenKey: KeyPair | undefined
  readonly quota: QuotaUse | undefined
}

type Times = { exchange?: number; redeem?: number }

async function fetchToken(
  task: StandingTask,
  kept: KeptEntry | undefined,
  tools: Tools,
  ms: Times,
): Promise<Result<Fetched, LegRefusal>> {
  const { name, authorizationServer: server } = task.resource
  // The RAS is looked at first, its circuit too: an ID-JAG that cannot be redeemed would be paid for in vain.
  const ras = await legEndpoint(server, task.rasClient, 'RAS', tools)
  if (!ras.ok) return err({ ...ras.error, name })
  const use = useOf(task.resource.dpop, ras.value, 'RAS')
  if (!use.ok) return err({ ...use.error, name })
  const circuit = `RAS ${server.issuer}`
  if (tools.circuits.isOpen(circuit)) return err({ ...open('RAS112'), name })
  const reusable = (await reusableIdJag(task, kept, tools)) ?? unredeemedIdJag(task, tools)
  const startedAt = tools.clock.epochMillis()
  const obtained = reusable === undefined ? await obtainIdJag(task, tools, ms) : ok({ ...reusable, quota: undefined })
  if (!obtained.ok) return err({ ...obtained.error, name })
  const { idJag, key, quota } = obtained.value
  // Whoever redeems a bound ID-JAG must have its key, whether the token is to be bound or not (draft section 9.8.1.2).
  const tokenKey = key ?? (use.value === 'off' ? undefined : await KeyPair.generate())
  const redeem = (): Promise<Result<AccessToken, LegRefusal>> =>
    redeemIdJag(tools.fetch, {
      ras: ras.value,
      idJag,
      resource: task.resource.resource,
      sendScope: server.quirks.sendScope === 'same',
      sendResource: server.quirks.sendResource,
      extraScopes: server.quirks.extraScopes,
      defaultTtlSeconds: server.quirks.defaultTtlSeconds,
      binding: bindingOf(tokenKey, use.value, tools),
      redeemGrant: server.quirks.redeemGrant,
    })
  const admitted = tools.circuits.admits(circuit)
  const token = admitted ? await timed(tools.clock, ms, 'redeem', redeem) : err(open('RAS112'))
  if (admitted) tools.circuits.report(circuit, token)
  if (token.ok) {
    tools.unredeemed.delete(task.job.name)
    return ok({ token: token.value, tokenKey, idJag, key, quota })
  }
  // An outage must not eat up the user's ID-JAGs: this one has been paid for, and nobody has taken it.
  if (isOutage(token.error) && reusable === undefined) tools.unredeemed.set(task.job.name, { idJag, key, startedAt })
  // An ID-JAG that was kept may have been redeemed or withdrawn since; a new one is asked for, once (D-10).
  if (reusable !== undefined && token.error.code === 'RAS101') {
    tools.unredeemed.delete(task.job.name)
    return fetchToken(task, undefined, tools, ms)
  }
  return err({ ...token.error, name })
}

/** What is to be done about proofs at a server. One whose metadata lists what it takes, and not ES256, is asked for none. */
function useOf(wanted: DpopUse, { takesProofs }: LegEndpoint, leg: 'IDP' | 'RAS'): Result<DpopUse, Refusal> {
  if (takesProofs || wanted === 'off') return ok(wanted)
  if (wanted === 'try') return ok('off')
  return err({ code: `${leg}113`, detail: 'its metadata lists algorithms for proofs, and not ES256' })
}

function bindingOf(key: KeyPair | undefined, use: DpopUse, { nonces, clock }: Tools): Binding | undefined {
  return key && { prover: { key, nonces, clock }, required: use === 'require' }
}

interface Obtained extends HeldIdJag {
  readonly quota: QuotaUse | undefined
}

async function obtainIdJag(task: Task, tools: Tools, ms: Times): Promise<Result<Obtained, LegRefusal>> {
  const { idp, job, resource } = task
  const endpoint = await legEndpoint(idp, task.idpClient, 'IDP', tools)
  if (!endpoint.ok) return endpoint
  const use = useOf(idp.quirks.dpop, endpoint.value, 'IDP')
  if (!use.ok) return use
  const circuit = `IDP ${idp.issuer}`
  if (tools.circuits.isOpen(circuit)) return err(open('IDP112'))
  const place = await reserve(
    { idp: idp.name, user: job.owner.user, resource: resource.name },
    tools.config.quota,
    tools,
  )
  if (!place.ok) return place
  if (!tools.circuits.admits(circuit)) {
    place.value.release()
    return err(open('IDP112'))
  }
  const key = use.value === 'off' ? undefined : await KeyPair.generate()
  const { client } = endpoint.value
  const actsItself = idp.quirks.actorToken === 'client_assertion'
  const exchange = (): Promise<Result<IdJag, LegRefusal>> =>
    exchangeForIdJag(tools.fetch, {
      idp: { ...endpoint.value, client: actsItself ? asActor(client) : client },
      subjectToken: new Secret(job.subjectToken),
      rasIssuer: resource.authorizationServer.issuer,
      rasClientId: task.rasClient.id,
      audience: resource.authorizationServer.audience,
      target: idp.quirks.target,
      resource: resource.resource,
      sendResource: idp.quirks.sendResource,
      scopes: task.scopes,
      details: job.details,
      actor: job.actor && { token: new Secret(job.actor.token), type: job.actor.type },
      binding: bindingOf(key, use.value, tools),
      now: tools.clock.now(),
    })
  const idJag = await timed(tools.clock, ms, 'exchange', exchange)
  tools.circuits.report(circuit, idJag)
  if (idJag.ok) return ok({ idJag: idJag.value, key: idJag.value.bound ? key : undefined, quota: place.value.quota })
  place.value.release()
  return idJag
}

function open(code: 'IDP112' | 'RAS112'): Refusal {
  return { code, detail: 'the circuit is open', retryAfterSeconds: OPEN_RETRY_SECONDS }
}

function refused(refusal: Refusal, ms: Times): Awaited<ReturnType<TokenWork>> {
  const remember = memoryOf(refusal)
  return remember === undefined ? { refusal, ms } : { refusal, ms, remember }
}

/** Whom to talk to: the configured endpoint, or the one the server's own metadata names. */
async function legEndpoint(
  server: Pick<Idp, 'issuer' | 'tokenEndpoint'>,
  client: { readonly id: RasClient['id']; readonly auth: OutboundAuth },
  leg: 'IDP' | 'RAS',
  tools: Tools,
): Promise<Result<LegEndpoint, Refusal>> {
  let { tokenEndpoint } = server
  let takesProofs = true
  if (tokenEndpoint === undefined) {
    const metadata = await tools.discovery.metadataOf(server.issuer, leg === 'IDP' ? 'oidc' : 'oauth2')
    if (!metadata.ok) return err({ code: `${leg}114`, ...slipIn(metadata.error, server.issuer), retryAfterSeconds: 5 })
    const { mtls } = metadata.value
    tokenEndpoint = ('certificate' in client.auth ? mtls?.tokenEndpoint : undefined) ?? metadata.value.tokenEndpoint
    takesProofs = metadata.value.proofAlgorithms?.includes('ES256') ?? true
  }
  if (tokenEndpoint === undefined) return err({ code: `${leg}114`, detail: 'the metadata names no token endpoint' })
  const own = await tools.auths.prepare(client.auth, tokenEndpoint)
  if (!own.ok) return err({ code: `${leg}106`, detail: own.error })
  return ok({ issuer: server.issuer, tokenEndpoint, clientId: client.id, client: own.value, takesProofs })
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

/** One that an outage of the RAS has left over in this isolate. */
function unredeemedIdJag({ job, tokensUntil }: StandingTask, { unredeemed, clock }: Tools): HeldIdJag | undefined {
  const left = unredeemed.get(job.name)
  if (left === undefined || left.startedAt <= tokensUntil || left.idJag.expiresAt === undefined) return undefined
  return left.idJag.expiresAt - ID_JAG_MARGIN_SECONDS > clock.now() ? left : undefined
}

async function reusableIdJag(
  { job, resource, tokensUntil }: StandingTask,
  kept: KeptEntry | undefined,
  { ring, clock }: Tools,
): Promise<HeldIdJag | undefined> {
  // What was revoked is not the root of anything new either.
  if (kept === undefined || kept.obtainedAt <= tokensUntil) return undefined
  if (!resource.authorizationServer.quirks.idJagReuse) return undefined
  const plain = await ring.open(job.name, kept.sealed)
  const entry = plain && decodeEntry(plain)
  if (entry?.idJag === undefined || entry.identity !== job.identity) return undefined
  if (entry.idJag.expiresAt - ID_JAG_MARGIN_SECONDS <= clock.now()) return undefined
  const { key, ...idJag } = entry.idJag
  return { idJag: { ...idJag, jti: entry.jti, actors: entry.actors, bound: key !== undefined }, key }
}

async function keep(
  { token, tokenKey, idJag, key }: Fetched,
  { job, resource, idp, scopes }: Task,
  obtainedAt: number,
  { config, ring, clock, store, registry, background }: Tools,
): Promise<KeptEntry> {
  const now = clock.now()
  const reusable = resource.authorizationServer.quirks.idJagReuse && idJag.expiresAt !== undefined
  const entry: Entry = {
    id: crypto.randomUUID(),
    identity: job.identity,
    token: token.token,
    key: token.bound ? tokenKey : undefined,
    scopes: token.scopes,
    details: token.details,
    ...lifetimeOf(now, token.lifetimeSeconds, config.cache),
    obtainedAt,
    jti: idJag.jti,
    actors: idJag.actors,
    idJag: reusable
      ? {
          token: idJag.token,
          key,
          expiresAt: numericDate(idJag.expiresAt ?? 0),
          scopes: idJag.scopes,
          details: idJag.details,
        }
      : undefined,
  }
  const sealed = await ring.seal(job.name, encodeEntry(entry))
  // The answer waits for neither of these: a failed write costs one exchange later, or a line in a list, not an error now.
  if (entry.usableUntil >= plusSeconds(now, KV_FLOOR_SECONDS)) {
    background(store.put(job.name, sealed, entry.usableUntil).catch(() => undefined))
  }
  const connection: Connection = {
    name: job.name,
    idp: idp.name,
    ...job.owner,
    client: job.caller,
    resource: resource.name,
    scopes,
    // As a revocation counts: by the take-off.
    firstIssuedAt: numericDate(obtainedAt / 1000),
    lastIssuedAt: numericDate(obtainedAt / 1000),
    expiresAt: entry.expiresAt,
    tokenExpiresAt: plusSeconds(now, token.lifetimeSeconds),
    earlierTokensUntil: undefined,
    count: 1,
    idJagJti: idJag.jti,
  }
  background(registry.record(connection).catch(() => undefined))
  // Who cannot authenticate at the token endpoint holds no token in hand, and one that is bound to our key is held by nobody.
  if (config.clients.get(job.caller)?.auth !== undefined && !token.bound) {
    const server = resource.authorizationServer.issuer
    const noted = noteToken({ connection, server, token, obtainedAt, now }, registry, ring)
    background(noted.catch(() => undefined))
  }
  return { id: entry.id, sealed, usableUntil: entry.usableUntil, obtainedAt }
}
