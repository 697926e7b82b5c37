// Where verification keys come from, and how often their owner is asked (RFC 7517, RFC 8725 section 3.8).
//
// A withdrawn key is refused ten minutes later at the latest while its owner answers, and an hour later at the latest while
// it does not. Unknown key names, which anybody can send, cost at most one request in thirty seconds. jose's own remote key
// set shares no request between callers on Workers and knows no bounds (40 requests for 40 callers).
import { BoundedMap } from '../lib/bounded-map.ts'
import { Refreshing, type RefreshingBounds } from '../lib/refreshing.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { KeySource, PublicKeys, SigningAlgorithm } from '../parties.ts'
import { callForDocument, DOCUMENT_LIMITS, type CallProblem } from '../oauth/counterparty.ts'
import type { Discovery } from '../oauth/metadata.ts'
import type { Background, Clock, Fetch } from '../ports.ts'
import { findKey, mayLack, parseKeySet, type KeySet } from './key-set.ts'

/** How long keys are believed without asking again. */
const FRESH_MS = 10 * 60_000
const STALE_MS = 60 * 60_000
const FAILURE_COOLDOWN_MS = 10_000
const RENEW_COOLDOWN_MS = 30_000
/** A key name that a newly loaded set lacked does not cause another load for this long. */
const MISSING_MS = 2 * 60_000
const MAX_MISSING = 200
/** One document, or two metadata documents and then one more. */
const FETCH_DEADLINE_MS = DOCUMENT_LIMITS.timeoutMs + 1_000
const DISCOVERY_DEADLINE_MS = 3 * DOCUMENT_LIMITS.timeoutMs + 1_000

export interface FoundKey {
  readonly key: CryptoKey
  /** On the steady clock: until then the key set counts as fresh, and so may whatever was verified by it. */
  readonly freshUntilMs: number
}

export type KeyProblem =
  | { readonly kind: 'unknown_key' }
  | { readonly kind: 'unavailable'; readonly detail: string; readonly retryAfterSeconds: number }

export interface KeyProvider {
  /** Never throws. */
  keyFor(kid: string | undefined, alg: SigningAlgorithm): Promise<Result<FoundKey, KeyProblem>>
}

export interface KeyPorts {
  readonly fetch: Fetch
  readonly clock: Clock
  readonly background: Background
  readonly discovery: Discovery
}

export function createKeyProvider(
  source: KeySource,
  algorithms: readonly SigningAlgorithm[],
  ports: KeyPorts,
): KeyProvider {
  return source.kind === 'static' ? new StaticKeys(source.jwks, algorithms) : new RemoteKeys(source, algorithms, ports)
}

const UNKNOWN_KEY: Result<never, KeyProblem> = err({ kind: 'unknown_key' })

function unavailable(detail: string): Result<never, KeyProblem> {
  return err({ kind: 'unavailable', detail, retryAfterSeconds: FAILURE_COOLDOWN_MS / 1000 })
}

class StaticKeys implements KeyProvider {
  readonly #jwks: PublicKeys
  readonly #algorithms: readonly SigningAlgorithm[]
  #set: Result<KeySet, string> | undefined

  constructor(jwks: PublicKeys, algorithms: readonly SigningAlgorithm[]) {
    this.#jwks = jwks
    this.#algorithms = algorithms
  }

  async keyFor(kid: string | undefined, alg: SigningAlgorithm): Promise<Result<FoundKey, KeyProblem>> {
    this.#set ??= await parseKeySet({ keys: this.#jwks.keys }, this.#algorithms)
    if (!this.#set.ok) return unavailable(this.#set.error)
    const key = findKey(this.#set.value, kid, alg)
    return key === undefined ? UNKNOWN_KEY : ok({ key, freshUntilMs: Number.POSITIVE_INFINITY })
  }
}

interface LoadedSet {
  readonly set: KeySet
  readonly freshUntilMs: number
}

type RemoteSource = Exclude<KeySource, { kind: 'static' }>

class RemoteKeys implements KeyProvider {
  readonly #algorithms: readonly SigningAlgorithm[]
  readonly #ports: KeyPorts
  readonly #sets: Refreshing<LoadedSet, CallProblem>
  readonly #missing = new BoundedMap<string, number>(MAX_MISSING)

  constructor(source: RemoteSource, algorithms: readonly SigningAlgorithm[], ports: KeyPorts) {
    this.#algorithms = algorithms
    this.#ports = ports
    const bounds: RefreshingBounds = {
      freshMs: FRESH_MS,
      staleMs: STALE_MS,
      failureCooldownMs: FAILURE_COOLDOWN_MS,
      renewCooldownMs: RENEW_COOLDOWN_MS,
      deadlineMs: source.kind === 'fetched' ? FETCH_DEADLINE_MS : DISCOVERY_DEADLINE_MS,
    }
    this.#sets = new Refreshing(
      () => this.#load(source),
      bounds,
      () => ports.clock.millis(),
      ports.background,
    )
  }

  async keyFor(kid: string | undefined, alg: SigningAlgorithm): Promise<Result<FoundKey, KeyProblem>> {
    const loaded = await this.#sets.get()
    if (!loaded.ok) return unavailable(loaded.error.detail)
    const known = this.#find(loaded.value, kid, alg)
    if (known.ok || !mayLack(loaded.value.set, kid, alg) || this.#isMissing(kid)) return known

    const renewed = await this.#sets.renew()
    if (!renewed.ok) return unavailable(renewed.error.detail)
    const found = this.#find(renewed.value, kid, alg)
    if (!found.ok && kid !== undefined && renewed.value !== loaded.value) {
      this.#missing.set(kid, this.#ports.clock.millis())
    }
    return found
  }

  #find(
    { set, freshUntilMs }: LoadedSet,
    kid: string | undefined,
    alg: SigningAlgorithm,
  ): Result<FoundKey, KeyProblem> {
    const key = findKey(set, kid, alg)
    return key === undefined ? UNKNOWN_KEY : ok({ key, freshUntilMs })
  }

  #isMissing(kid: string | undefined): boolean {
    const since = kid === undefined ? undefined : this.#missing.get(kid)
    return since !== undefined && this.#ports.clock.millis() - since < MISSING_MS
  }

  async #load(source: RemoteSource): Promise<Result<LoadedSet, CallProblem>> {
    const uri = source.kind === 'fetched' ? ok(source.jwksUri) : await this.#discover(source.issuer)
    if (!uri.ok) return uri
    const answer = await callForDocument(this.#ports.fetch, uri.value)
    if (!answer.ok) return answer
    const { status, body } = answer.value
    if (status !== 200 || body === undefined) return unusable(`a key set answered with status ${status}`)
    const set = await parseKeySet(body, this.#algorithms)
    return set.ok ? ok({ set: set.value, freshUntilMs: this.#ports.clock.millis() + FRESH_MS }) : unusable(set.error)
  }

  async #discover(issuer: Extract<KeySource, { kind: 'discovered' }>['issuer']): Promise<Result<string, CallProblem>> {
    const metadata = await this.#ports.discovery.metadataOf(issuer, 'oidc')
    if (!metadata.ok) return metadata
    const { jwksUri } = metadata.value
    return jwksUri === undefined ? unusable('metadata without jwks_uri') : ok(jwksUri)
  }
}

function unusable(detail: string): Result<never, CallProblem> {
  return err({ kind: 'unusable', detail })
}
