// Stage four of trust: with what? Takes a Permit, answers a Credential. Nothing outside can tell warm from cold but a field
// of the audit event: isolate memory, then KV, then one flight everywhere, then the source.
import { BoundedMap } from '../lib/bounded-map.ts'
import type { NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result, type Soon } from '../lib/result.ts'
import type { ActingParty, Credential, CredentialOrigin, Permit, Subject } from '../model.ts'
import type { Background, Clock, JobSubject, LegTimes, QuotaUse, SingleFlight, TokenJob, TokenStore } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { decodeEntry, toCredential, type Entry } from './entry.ts'
import type { KeyRing, NameParts } from './key-ring.ts'
import { createPartsMemory, loginOf, mannerOf, placeOf } from './token-key.ts'

export { createCutter, type Cut, type Cutter } from './cut.ts'
export { createIntroducer, type Introduced, type Introducer, type OpaqueSubject } from './introductions.ts'
export { createIssuedTokens, type IssuedTokens, type Possession } from './issued.ts'
export { createKeyRing } from './key-ring.ts'
export { describeKey, rasClientFor } from './token-key.ts'
export { createWork } from './work.ts'

export interface CredentialPorts {
  readonly store: TokenStore
  readonly flight: SingleFlight
  readonly clock: Clock
  readonly background: Background
}

export interface Acquired {
  readonly credential: Credential
  readonly origin: CredentialOrigin
  /** In milliseconds since the epoch, as `Permit.tokensUntil`: one that has moved on past it makes the credential worthless. */
  readonly obtainedAt: number
  /** When it dies by the word of its server; it may be used here for less. */
  readonly tokenExpiresAt: NumericDate
  /** Of the ID-JAG that was obtained for it, and who acts for the user by it. */
  readonly idJagJti: string | undefined
  readonly actors: readonly ActingParty[]
  /** It was obtained by an earlier login of this user. */
  readonly earlierLogin: boolean
  readonly ms: LegTimes
  /** Only where an ID-JAG was obtained for this request. */
  readonly quota: QuotaUse | undefined
  /** It was found under the name of an older sealing key. */
  readonly oldKey?: true
  /** The flight for the next credential, where this request has begun one ahead of time. */
  readonly successor?: Promise<Answer> | undefined
}

type Answer = Result<Acquired, Refusal>

export interface Credentials {
  /**
   * The credential for a permit. `insteadOf`: one that the resource has rejected; it is forgotten here and replaced for
   * everybody, at most once a minute per token. `forLogin`: for the login by which it was obtained. Refuses with IDP1xx,
   * RAS1xx, UPS101 or INT101. Answers at once where the credential is in memory.
   */
  acquire(permit: Permit, insteadOf?: Credential, forLogin?: boolean): Soon<Acquired, Refusal>
}

const MAX_ENTRIES_IN_MEMORY = 2_000
/** Refreshing ahead is tried this often per token and isolate, however many requests come and however it fails. */
const REFRESH_INTERVAL_SECONDS = 10

/** `maxTtlSeconds`: no entry is used for longer, whatever it was stored with. */
export function createCredentials(ports: CredentialPorts, ring: KeyRing, maxTtlSeconds: number): Credentials {
  return new TokenCache(ports, ring, maxTtlSeconds)
}

type Need = Pick<TokenJob, 'rejectedEntry' | 'forLogin' | 'minRemainingSeconds'>

const ANY: Need = { rejectedEntry: undefined, forLogin: false, minRemainingSeconds: 0 }

interface Found {
  readonly entry: Entry
  readonly oldKey: Pick<Acquired, 'oldKey'>
}

const NO_TIMES: LegTimes = {}

class TokenCache implements Credentials {
  readonly #ports: CredentialPorts
  readonly #ring: KeyRing
  readonly #maxTtlSeconds: number
  readonly #memory = new BoundedMap<string, Entry>(MAX_ENTRIES_IN_MEMORY)
  readonly #partsOf = createPartsMemory()
  readonly #refreshedAt = new BoundedMap<string, NumericDate>(MAX_ENTRIES_IN_MEMORY)

  constructor(ports: CredentialPorts, ring: KeyRing, maxTtlSeconds: number) {
    this.#ports = ports
    this.#ring = ring
    this.#maxTtlSeconds = maxTtlSeconds
  }

  acquire(permit: Permit, insteadOf?: Credential, forLogin = false): Soon<Acquired, Refusal> {
    const parts = this.#partsOf(permit)
    if (insteadOf !== undefined) {
      if (this.#memory.get(parts.identity)?.id === insteadOf.entryId) this.#memory.delete(parts.identity)
      return this.#fly(permit, parts, { ...ANY, rejectedEntry: insteadOf.entryId, forLogin })
    }
    const remembered = this.#memory.get(parts.identity)
    if (remembered === undefined || !this.#isAlive(remembered, permit)) return this.#fetch(permit, parts)
    return ok(acquired(remembered, permit, 'memory', this.#refreshAhead(permit, parts, remembered)))
  }

  async #fetch(permit: Permit, parts: NameParts): Promise<Answer> {
    const stored = await this.#look(parts, permit)
    if (stored === undefined) return this.#fly(permit, parts, ANY)
    const { entry, oldKey } = stored
    this.#memory.set(parts.identity, entry)
    return ok({ ...acquired(entry, permit, 'kv', this.#refreshAhead(permit, parts, entry)), ...oldKey })
  }

  /** KV, under the name of every key. Whatever is wrong there is a miss: it costs an exchange, never a request. */
  async #look(parts: NameParts, permit: Permit): Promise<Found | undefined> {
    const names = await this.#ring.names(parts)
    for (const name of names) {
      const sealed = await this.#ports.store.get(name).catch(() => undefined)
      const entry = sealed && (await this.#unseal(name, sealed, parts.identity))
      if (entry === undefined || !this.#isAlive(entry, permit)) continue
      return { entry, oldKey: name === names[0] ? {} : { oldKey: true } }
    }
    return undefined
  }

  /** Neither at its end nor revoked. */
  #isAlive(entry: Entry, permit: Permit): boolean {
    const now = this.#ports.clock.now()
    const within = now < entry.usableUntil && now < entry.issuedAt + this.#maxTtlSeconds
    return within && entry.obtainedAt > permit.tokensUntil
  }

  async #unseal(name: string, sealed: Uint8Array<ArrayBuffer>, identity: string): Promise<Entry | undefined> {
    const plain = await this.#ring.open(name, sealed)
    const entry = plain && decodeEntry(plain)
    return entry?.identity === identity ? entry : undefined
  }

  async #fly(permit: Permit, parts: NameParts, need: Need): Promise<Result<Acquired, Refusal>> {
    const [name] = await this.#ring.names(parts)
    const { assertion, resource, scopes, details, actor } = permit
    const { identity } = parts
    const job: TokenJob = {
      name,
      idp: assertion.idpClient.idpName,
      idpClient: assertion.idpClient.name,
      resource: resource.name,
      caller: assertion.caller.name,
      scopes,
      details,
      actor: actor && { ...actor, token: actor.token.reveal() },
      subject: toJobSubject(assertion.subject),
      identity,
      place: placeOf(permit),
      signedInAt: assertion.principal.issuedAt,
      tokensUntil: permit.tokensUntil,
      manner: mannerOf(assertion.principal),
      loginAt: loginOf(assertion.principal),
      owner: {
        issuer: assertion.principal.issuer,
        user: assertion.principal.subject,
        tenant: assertion.principal.tenant,
      },
      ...need,
    }
    const landing = await this.#ports.flight.join(name, job).catch(() => undefined)
    if (landing === undefined) return err({ code: 'INT101', detail: 'the flight failed', retryAfterSeconds: 1 })
    if (!landing.landed) return err(landing.refusal)
    const entry = await this.#unseal(name, landing.sealed, identity)
    if (entry === undefined)
      return err({ code: 'INT101', detail: 'the flight brought a foreign entry', retryAfterSeconds: 1 })
    // Revoked while it was on its way, and again while its successor was: whoever asks next gets one that is not.
    if (entry.obtainedAt <= permit.tokensUntil)
      return err({ code: 'INT101', detail: 'revoked in flight', retryAfterSeconds: 1 })
    // A token that lives too short to be kept is still good for the requests that waited for it.
    if (entry.usableUntil > this.#ports.clock.now()) this.#memory.set(identity, entry)
    return ok({
      ...acquired(entry, permit, landing.fresh ? 'exchange' : 'flight'),
      ms: landing.ms,
      quota: landing.quota,
    })
  }

  /** Fetches the next token while this one is still good; the caller does not wait. */
  #refreshAhead(permit: Permit, parts: NameParts, entry: Entry): Acquired['successor'] {
    const now = this.#ports.clock.now()
    if (entry.refreshAt > now) return undefined
    const last = this.#refreshedAt.get(parts.identity)
    if (last !== undefined && now - last < REFRESH_INTERVAL_SECONDS) return undefined
    this.#refreshedAt.set(parts.identity, now)
    const better: Need = { ...ANY, minRemainingSeconds: entry.usableUntil - now + 1 }
    const successor = this.#fly(permit, parts, better)
    this.#ports.background(successor.catch(() => undefined))
    return successor
  }
}

function toJobSubject(subject: Subject): JobSubject {
  if (subject.kind === 'id_token') return { kind: subject.kind, token: subject.token.reveal() }
  const { id, idJag, key, obtainedAt } = subject.introduction
  const { expiresAt, token, jti, scopes, details, actors } = idJag
  const offered =
    expiresAt === undefined
      ? undefined
      : { id, token: token.reveal(), jti, expiresAt, scopes, details, actors, key: key?.reveal(), obtainedAt }
  return { kind: subject.kind, token: subject.token.reveal(), offered }
}

function acquired(
  entry: Entry,
  { assertion, resource }: Permit,
  origin: CredentialOrigin,
  successor?: Acquired['successor'],
): Acquired {
  const { jti: idJagJti, actors, obtainedAt, tokenExpiresAt } = entry
  const earlierLogin = entry.loginAt < loginOf(assertion.principal)
  const credential = toCredential(entry, resource.name)
  const found = { credential, origin, obtainedAt, tokenExpiresAt, idJagJti, actors, earlierLogin }
  return { ...found, ms: NO_TIMES, quota: undefined, successor }
}
