// How an identity provider is asked whose a subject token is that only it can read (RFC 8693, draft-ietf-oauth-identity-
// assertion-authz-grant sections 4.3 and 4.5). One after the other for each subject token; what comes is verified in full before
// anybody hears of it, and whatever refresh token takes the place of the shown one is kept before anything else is done.
import type { Identity } from '../identity/identity.ts'
import { numericDate, plusSeconds, type NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { Secret } from '../lib/secret.ts'
import type { IdJag } from '../model.ts'
import type { LegRefusal } from '../oauth/leg-answer.ts'
import type { QuotaUse, SubjectJob, SubjectState, SubjectWork } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { REFRESH_TOKEN_IDLE_SECONDS } from '../revocation/revocation.ts'
import { explained, type Parties } from './diagnosis.ts'
import {
  checkStanding,
  KV_FLOOR_SECONDS,
  NOBODY_YET,
  obtainIdJag,
  refused,
  resolve,
  showSubject,
  type Times,
  type Tools,
} from './hops.ts'
import {
  decodeMemory,
  encodeIntroduction,
  encodeMemory,
  type IntroducedUser,
  type IntroductionEntry,
  type SubjectMemory,
} from './introduction-entry.ts'
import { countObtained } from './limits.ts'
import { mannerOf } from './token-key.ts'

const MAX_ENTRIES = 8
/** Less than what the seal takes, with room to spare. */
const MAX_MEMORY_BYTES = 96 * 1024

const NOTHING: SubjectMemory = { successor: undefined, user: undefined, since: undefined, ended: false, entries: [] }

type Landed = Extract<Awaited<ReturnType<SubjectWork>>, { readonly sealed: unknown }>

export function createSubjectWork(tools: Tools, identity: Pick<Identity, 'readIdJag'>): SubjectWork {
  return async (job, state, keep) => {
    const ms: Times = {}
    const parties = resolve(tools.config, job)
    if (!parties.ok) return refused(parties.error, ms)
    const recalled = await recall(job, state, tools)
    if (!recalled.ok) return refused(recalled.error, ms)
    const memory = recalled.value ?? NOTHING
    const known = memory.entries.find((entry) => isGood(entry, job, tools.clock.now()))
    if (known !== undefined) return { sealed: await seal(known, job, tools), fresh: false, ms }
    const introduced = await introduce(job, parties.value, memory, keep, { ...tools, identity }, ms)
    if (introduced.ok) return introduced.value
    const refusal = await explained(introduced.error, parties.value, tools)
    return refused({ name: job.resource, ...refusal }, ms)
  }
}

type WorkTools = Tools & { readonly identity: Pick<Identity, 'readIdJag'> }
type Keep = Parameters<SubjectWork>[2]

async function introduce(
  job: SubjectJob,
  parties: Parties,
  memory: SubjectMemory,
  keep: Keep,
  tools: WorkTools,
  ms: Times,
): Promise<Result<Landed, LegRefusal>> {
  const { clock } = tools
  const obtainedAt = clock.epochMillis()
  // Who has been cut off is not asked for, as soon as it is known who that is.
  const whose = memory.user?.subject
  const standing = memory.ended
    ? err({ code: 'TOK109' } as const)
    : await checkStanding(job, whose ?? NOBODY_YET, memory.since ?? clock.now(), tools)
  let current = memory
  const remember = async (next: SubjectMemory): Promise<void> => {
    current = next
    await keep(await toState(next, job, tools))
  }
  // For as long as it is shown it is known, refused or not: what is forgotten would count as a new sign-in.
  const keepKnown = async (): Promise<void> => {
    if (whose !== undefined) await remember(current)
  }
  if (!standing.ok) {
    const { code } = standing.error
    if (whose !== undefined && code === 'TOK109')
      current = { ...memory, successor: undefined, entries: [], ended: true }
    await keepKnown()
    return standing
  }
  const shown = { kind: job.kind, token: memory.successor ?? new Secret(job.token) }
  const { quirks } = parties.idp
  const show: Parameters<typeof obtainIdJag>[3] = (request) => {
    const onSuccessor = (successor: Secret): Promise<void> => remember({ ...current, successor })
    // Of an assertion nothing is kept that would outlive it.
    const whole = shown.kind === 'refresh_token' ? { ...request, onSuccessor } : request
    return showSubject(tools.fetch, whole, shown, quirks)
  }
  const obtained = await obtainIdJag(
    job,
    parties,
    memory.user && { ...memory.user, user: memory.user.subject },
    show,
    tools,
    ms,
  )
  if (!obtained.ok) {
    await keepKnown()
    return obtained
  }
  const found = await readUser(obtained.value.idJag, parties, tools)
  if (!found.ok) return found
  const { user, manner, signedIn, until } = found.value
  if (memory.user !== undefined && !isSame(memory.user, user))
    return err({ code: 'IDP109', detail: 'the subject token stands for another user now' })
  const counted = whose === undefined ? await countFor(user, parties, tools) : ok(obtained.value.quota)
  const { expiresAt } = obtained.value.idJag
  if (expiresAt === undefined) return err({ code: 'IDP109', detail: 'the ID-JAG: no exp' })
  const since = memory.since ?? signedIn
  const entry: IntroductionEntry = {
    id: crypto.randomUUID(),
    identity: job.identity,
    user,
    manner,
    since,
    obtainedAt,
    until: soonest(until, plusSeconds(clock.now(), tools.config.cache.maxTtlSeconds)),
    idJag: { ...obtained.value.idJag, expiresAt },
    key: obtained.value.key,
  }
  const others = current.entries.filter((other) => other.identity !== job.identity)
  // Whose it is is remembered also where the quota ends it here: the next time nothing will be asked for.
  await remember({ ...current, user, since, entries: counted.ok ? [entry, ...others] : others })
  if (!counted.ok) return counted
  const sealed = await seal(entry, job, tools)
  if (entry.until >= plusSeconds(clock.now(), KV_FLOOR_SECONDS))
    tools.background(tools.store.put(job.entryName, sealed, entry.until).catch(() => undefined))
  const landed = { sealed, fresh: true, ms }
  return ok(counted.value === undefined ? landed : { ...landed, quota: counted.value })
}

interface Found extends Pick<IntroductionEntry, 'manner'> {
  readonly user: IntroducedUser
  readonly signedIn: NumericDate
  readonly until: NumericDate
}

async function readUser(
  idJag: IdJag,
  { idp, resource, rasClient }: Parties,
  { identity }: WorkTools,
): Promise<Result<Found, Refusal>> {
  const target = { rasIssuer: resource.authorizationServer.issuer, rasClientId: rasClient.id }
  const principal = await identity.readIdJag(idJag.token, idp.name, target)
  if (!principal.ok) return principal
  const { issuer, subject, tenant, issuedAt, authTime = issuedAt, expiresAt } = principal.value
  // Nothing that can be read here says when the token was issued. It may be as old as the login, and a cut-off must not miss it.
  const signedIn = soonest(issuedAt, authTime)
  return ok({ user: { issuer, subject, tenant }, manner: mannerOf(principal.value), signedIn, until: expiresAt })
}

function isSame(one: IntroducedUser, other: IntroducedUser): boolean {
  return one.issuer === other.issuer && one.subject === other.subject && one.tenant === other.tenant
}

/** It has been obtained already, so it counts in any case; beyond the limit nothing may come of it. */
function countFor(
  { subject: user, tenant }: IntroducedUser,
  { idp, resource }: Parties,
  tools: Tools,
): Promise<Result<QuotaUse | undefined, Refusal>> {
  return countObtained({ idp: idp.name, tenant, user, resource: resource.name }, tools.config.quota, tools)
}

function isGood(entry: IntroductionEntry, job: SubjectJob, now: NumericDate): boolean {
  const isWanted = entry.identity === job.identity && entry.id !== job.insteadOf
  return isWanted && now < entry.until && entry.obtainedAt > job.tokensUntil
}

function soonest(one: NumericDate, other: NumericDate): NumericDate {
  return one < other ? one : other
}

/** What is remembered here, else what was under the name of an older sealing key: a successor must not be left behind there. */
async function recall(
  job: SubjectJob,
  state: SubjectState | undefined,
  { ring, introductions }: Tools,
): Promise<Result<SubjectMemory | undefined, Refusal>> {
  if (state !== undefined) {
    const plain = await ring.open(job.name, state.sealed)
    const memory = plain && decodeMemory(plain)
    if (memory !== undefined) return ok(memory)
    // Sealed by a newer deployment. To go on without it would be to show a token that has a successor, and to forget a cut-off.
    return err({
      code: 'INT101',
      detail: 'what is known of the subject token cannot be read here',
      retryAfterSeconds: 5,
    })
  }
  for (const name of job.olderNames) {
    const sealed = await introductions.recall(name)
    const plain = sealed && (await ring.open(name, sealed))
    const memory = plain && decodeMemory(plain)
    if (memory !== undefined) return ok(memory)
  }
  return ok(undefined)
}

async function toState(memory: SubjectMemory, job: SubjectJob, { ring, clock }: Tools): Promise<SubjectState> {
  const now = clock.now()
  const entries = memory.entries.filter(({ until }) => now < until).slice(0, MAX_ENTRIES)
  const whole = encodeMemory({ ...memory, entries })
  const plain = whole.length <= MAX_MEMORY_BYTES ? whole : encodeMemory({ ...memory, entries: entries.slice(0, 1) })
  // An assertion is of no use once it has led to nothing for a while; a refresh token may be shown for weeks, and is not asked
  // about while an introduction is alive.
  const lastUse = numericDate(Math.max(now + KV_FLOOR_SECONDS, ...entries.map((entry) => entry.until)))
  const isLasting = job.kind === 'refresh_token' || memory.ended
  const until = isLasting ? plusSeconds(lastUse, REFRESH_TOKEN_IDLE_SECONDS) : lastUse
  return { sealed: await ring.seal(job.name, plain), until }
}

async function seal(entry: IntroductionEntry, job: SubjectJob, { ring }: Tools): Promise<Uint8Array<ArrayBuffer>> {
  return ring.seal(job.entryName, encodeIntroduction(entry))
}
