// Where access tokens come from when no cache has them. Today one source: the two hops by ID-JAG. This is the work of a
// flight; it runs at most once at a time per token, in whatever place the ground chose, from plain data.
import { BoundedMap } from '../lib/bounded-map.ts'
import { encodeFields, sha256 } from '../lib/digest.ts'
import { KeyPair } from '../lib/key-pair.ts'
import { numericDate, plusSeconds, type NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { Secret } from '../lib/secret.ts'
import type { Connection } from '../connection.ts'
import type { IdJag } from '../model.ts'
import type { ScopeToken } from '../parties.ts'
import type { LegRefusal } from '../oauth/leg-answer.ts'
import { exchangeForIdJag, redeemIdJag, type AccessToken } from '../oauth/legs.ts'
import { isScopeToken } from '../oauth/vocabulary.ts'
import type { Errand, JobSubject, KeptEntry, TokenJob, TokenWork } from '../ports.ts'
import { explained, type Parties } from './diagnosis.ts'
import { decodeEntry, encodeEntry, lifetimeOf, type Entry } from './entry.ts'
import {
  askerOf,
  bindingOf,
  checkStanding,
  type HeldIdJag,
  ID_JAG_MARGIN_SECONDS,
  KV_FLOOR_SECONDS,
  legEndpoint,
  type Obtained,
  obtainIdJag,
  open,
  refused,
  resolve,
  timed,
  type Times,
  type Tools,
  useOf,
} from './hops.ts'
import { decodeIntroduction, introductionIdentity } from './introduction-entry.ts'
import { noteToken } from './issued.ts'
import { isOutage } from './limits.ts'
import { subjectParts } from './token-key.ts'

const MAX_UNREDEEMED = 1_000

interface TokenTools extends Tools {
  /** ID-JAGs that were obtained and could not be redeemed, by the name of the entry. In memory only. */
  readonly unredeemed: BoundedMap<string, Left & { readonly startedAt: number }>
}

/** An ID-JAG of an earlier job for the same entry. */
interface Left extends HeldIdJag {
  readonly loginAt: NumericDate
}

/** A job and its parties, and up to when what was obtained for it is dead. */
interface Task extends Parties {
  readonly job: TokenJob
  readonly tokensUntil: number
}

export function createTokenWork(shared: Tools): TokenWork {
  const tools: TokenTools = { ...shared, unredeemed: new BoundedMap(MAX_UNREDEEMED) }
  return async (job, kept) => {
    // What is revoked while the legs are under way must not come out of them alive: the time of the take-off counts.
    const obtainedAt = tools.clock.epochMillis()
    const ms: Times = {}
    const parties = resolve(tools.config, job)
    if (!parties.ok) return refused(parties.error, ms)
    const standing = await checkStanding(job, job.owner.user, job.signedInAt, tools)
    if (!standing.ok) return refused(standing.error, ms)
    const task = { ...parties.value, job, tokensUntil: Math.max(job.tokensUntil, standing.value) }
    const fetched = await fetchToken(task, kept, tools, ms)
    if (!fetched.ok) return refused(await explained(fetched.error, task, tools), ms)
    const entry = await keep(fetched.value, task, obtainedAt, tools)
    const { quota } = fetched.value
    return quota === undefined ? { kept: entry, ms } : { kept: entry, ms, quota }
  }
}

interface Fetched extends Obtained {
  readonly token: AccessToken
  /** What was proven when the token was asked for. */
  readonly tokenKey: KeyPair | undefined
  readonly loginAt: NumericDate
}

async function fetchToken(
  task: Task,
  kept: KeptEntry | undefined,
  tools: TokenTools,
  ms: Times,
): Promise<Result<Fetched, LegRefusal>> {
  const { name, authorizationServer: server } = task.resource
  // The RAS is looked at first, its circuit too: an ID-JAG that cannot be redeemed would be paid for in vain.
  const ras = await legEndpoint(server, task.rasClient, 'RAS', `resources.${name}.authorization_server.issuer`, tools)
  if (!ras.ok) return err({ ...ras.error, name })
  const use = useOf(task.resource.dpop, ras.value, 'RAS')
  if (!use.ok) return err({ ...use.error, name })
  const circuit = `RAS ${server.issuer}`
  const asker = askerOf(task.job, task.job.owner)
  if (tools.circuits.isOpen(circuit, asker)) return err({ ...open('RAS112'), name })
  const reusable = (await reusableIdJag(task, kept, tools)) ?? unredeemedIdJag(task, tools)
  const startedAt = tools.clock.epochMillis()
  const obtained = reusable === undefined ? await newIdJag(task, tools, ms) : ok({ ...reusable, quota: undefined })
  if (!obtained.ok) return err({ ...obtained.error, name })
  const { idJag, key, quota } = obtained.value
  const { loginAt } = reusable ?? task.job
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
  const admitted = tools.circuits.admits(circuit, asker)
  const token = admitted ? await timed(tools.clock, ms, 'redeem', redeem) : err(open('RAS112'))
  if (admitted) tools.circuits.report(circuit, asker, token)
  if (token.ok) {
    tools.unredeemed.delete(task.job.name)
    return ok({ token: token.value, tokenKey, idJag, key, quota, loginAt })
  }
  // An outage must not eat up the user's ID-JAGs: this one has been paid for, and nobody has taken it.
  if (isOutage(token.error) && reusable === undefined)
    tools.unredeemed.set(task.job.name, { idJag, key, startedAt, loginAt })
  // An ID-JAG that was kept may have been redeemed or withdrawn since; a new one is asked for, once (D-10).
  if (reusable !== undefined && token.error.code === 'RAS101') {
    tools.unredeemed.delete(task.job.name)
    return fetchToken(task, undefined, tools, ms)
  }
  return err({ ...token.error, name })
}

/** By the ID token at once; else by way of whoever looks after the subject token. */
function newIdJag(task: Task, tools: Tools, ms: Times): Promise<Result<Obtained, LegRefusal>> {
  const { job } = task
  if (job.subject.kind !== 'id_token') return introducedIdJag(task, job.subject, tools, ms)
  const subject = { kind: job.subject.kind, token: new Secret(job.subject.token) }
  const show: Parameters<typeof obtainIdJag>[3] = (request) => exchangeForIdJag(tools.fetch, { ...request, subject })
  return obtainIdJag(job, task, job.owner, show, tools, ms)
}

type Opaque = Exclude<JobSubject, { kind: 'id_token' }>

/** How often another ID-JAG is asked for, because somebody else has redeemed the one that came. */
const MAX_CLAIMS = 3

/**
 * The ID-JAG that introduced the user, if nobody has redeemed it yet; else a new one of the same user. An ID-JAG is good for one
 * redemption (D-10), and any number of requests know of this one: the first who claims it has it.
 */
async function introducedIdJag(
  task: Task,
  { kind, token, offered: first }: Opaque,
  tools: Tools,
  ms: Times,
): Promise<Result<Obtained, LegRefusal>> {
  const { job, idpClient } = task
  if (first !== undefined && first.obtainedAt > task.tokensUntil) {
    const key = first.key && new KeyPair(first.key)
    const { token: offered, scopes } = first
    const whole = { ...first, token: new Secret(offered), scopes: scopesIn(scopes), bound: key !== undefined }
    const idJag = narrowed(whole, task)
    if (idJag !== undefined && (await claim(idJag, task, tools))) return ok({ idJag, key, quota: undefined })
  }
  const identity = introductionIdentity(job.place, kind, job)
  const [names, ...older] = await tools.ring.subjectNames(subjectParts(job.caller, idpClient, kind, token, identity))
  const { idp, resource, caller, scopes, details, actor, place } = job
  const errand: Errand = { idp, idpClient: job.idpClient, resource, caller, scopes, details, actor, place }
  let insteadOf = first?.id
  for (let claims = 0; claims < MAX_CLAIMS; claims++) {
    const landing = await tools.introductions
      .introduce(names.subject, {
        ...errand,
        name: names.subject,
        olderNames: older.map(({ subject }) => subject),
        entryName: names.entry,
        kind,
        token,
        identity,
        insteadOf,
        tokensUntil: task.tokensUntil,
      })
      .catch(() => undefined)
    if (landing === undefined) break
    Object.assign(ms, landing.ms)
    if (!landing.landed) return err(landing.refusal)
    const plain = await tools.ring.open(names.entry, landing.sealed)
    const entry = plain && decodeIntroduction(plain)
    if (entry?.identity !== identity) break
    const { issuer, subject, tenant } = entry.user
    if (issuer !== job.owner.issuer || subject !== job.owner.user || tenant !== job.owner.tenant)
      return err({ code: 'IDP109', detail: 'the subject token stands for another user now' })
    if (entry.manner !== job.manner)
      return err({ code: 'IDP109', detail: 'the subject token tells of another login or actor now' })
    const { idJag, key } = entry
    if (await claim(idJag, task, tools)) return ok({ idJag, key, quota: landing.quota })
    insteadOf = entry.id
  }
  return err({ code: 'INT101', detail: 'no ID-JAG could be had for the subject token', retryAfterSeconds: 1 })
}

/** It was asked for before policy knew the user; what policy has taken away is not asked for at the second hop. */
function narrowed(idJag: IdJag, { scopes, resource }: Task): IdJag | undefined {
  const { sendScope, extraScopes } = resource.authorizationServer.quirks
  if (idJag.scopes.every((scope) => scopes.includes(scope))) return idJag
  // A server that is not asked for less, or that gives more than it is asked for, would give all of it.
  if (sendScope === 'none' || extraScopes === 'accept') return undefined
  const left = idJag.scopes.filter((scope) => scopes.includes(scope))
  return left.length === 0 ? undefined : { ...idJag, scopes: left }
}

function scopesIn(scopes: readonly string[]): readonly ScopeToken[] {
  return scopes.filter((scope) => isScopeToken(scope))
}

/** Whether it is ours to redeem. Where that cannot be told it is not. */
async function claim({ token, expiresAt }: IdJag, { resource }: Task, { replay, clock }: Tools): Promise<boolean> {
  if (expiresAt === undefined || expiresAt - ID_JAG_MARGIN_SECONDS <= clock.now()) return false
  if (resource.authorizationServer.quirks.idJagReuse) return true
  const value = await sha256(encodeFields(['id-jag', token.reveal()]))
  return replay.claim(value, plusSeconds(expiresAt, 1)).catch(() => false)
}

/** One that an outage of the RAS has left over in this isolate. */
function unredeemedIdJag({ job, tokensUntil }: Task, { unredeemed, clock }: TokenTools): Left | undefined {
  const left = unredeemed.get(job.name)
  if (left === undefined || isOutdone(left, job)) return undefined
  if (left.startedAt <= tokensUntil || left.idJag.expiresAt === undefined) return undefined
  return left.idJag.expiresAt - ID_JAG_MARGIN_SECONDS > clock.now() ? left : undefined
}

function isOutdone({ loginAt }: Pick<Left, 'loginAt'>, job: TokenJob): boolean {
  return job.forLogin && loginAt < job.loginAt
}

async function reusableIdJag(
  { job, resource, tokensUntil }: Task,
  kept: KeptEntry | undefined,
  { ring, clock }: Tools,
): Promise<Left | undefined> {
  // What was revoked is not the root of anything new either.
  if (kept === undefined || kept.obtainedAt <= tokensUntil) return undefined
  if (!resource.authorizationServer.quirks.idJagReuse) return undefined
  const plain = await ring.open(job.name, kept.sealed)
  const entry = plain && decodeEntry(plain)
  if (entry?.idJag === undefined || entry.identity !== job.identity || isOutdone(entry, job)) return undefined
  if (entry.idJag.expiresAt - ID_JAG_MARGIN_SECONDS <= clock.now()) return undefined
  const { key, ...idJag } = entry.idJag
  return {
    idJag: { ...idJag, jti: entry.jti, actors: entry.actors, bound: key !== undefined },
    key,
    loginAt: entry.loginAt,
  }
}

async function keep(
  { token, tokenKey, idJag, key, loginAt }: Fetched,
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
    server: resource.authorizationServer.issuer,
    key: token.bound ? tokenKey : undefined,
    scopes: token.scopes,
    details: token.details,
    ...lifetimeOf(now, token.lifetimeSeconds, config.cache),
    obtainedAt,
    loginAt,
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
    tokenExpiresAt: entry.tokenExpiresAt,
    earlierTokensUntil: undefined,
    count: 1,
    idJagJti: idJag.jti,
  }
  background(registry.record(connection).catch(() => undefined))
  // Who cannot authenticate at the token endpoint holds no token in hand, and one that is bound to our key is held by nobody.
  if (config.clients.get(job.caller)?.auth !== undefined && !token.bound) {
    const noted = noteToken({ ...connection, ...token, server: entry.server, obtainedAt, now }, registry, ring)
    background(noted.catch(() => undefined))
  }
  return { id: entry.id, sealed, usableUntil: entry.usableUntil, obtainedAt }
}
