// What both kinds of work share: plain data become the parties it is about, and the first hop is made under the bounds that
// protect an identity provider and a user's quota.
import type { Config } from '../config/config.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { Secret } from '../lib/secret.ts'
import { KeyPair } from '../lib/key-pair.ts'
import type { IdJag } from '../model.ts'
import type { ClientId, Idp, OutboundAuth } from '../parties.ts'
import { createClientAuths, type ClientAuths } from '../oauth/client-auth.ts'
import { createNonceMemory, type NonceMemory } from '../oauth/dpop.ts'
import type { LegRefusal } from '../oauth/leg-answer.ts'
import type { LegEndpoint } from '../oauth/leg-call.ts'
import {
  exchangeForIdJag,
  exchangeForRefreshToken,
  type Binding,
  type ExchangeRequest,
  type SubjectToken,
} from '../oauth/legs.ts'
import type { Discovery } from '../oauth/metadata.ts'
import { isScopeToken } from '../oauth/vocabulary.ts'
import type {
  Background,
  Certificates,
  Clock,
  Errand,
  Fetch,
  Introductions,
  LegTimes,
  Memory,
  QuotaUse,
  Registry,
  ReplayGuard,
  Secrets,
  TokenStore,
} from '../ports.ts'
import type { DpopUse } from '../quirks.ts'
import type { Refusal } from '../refusal.ts'
import { judgeStanding, type Revocations } from '../revocation/revocation.ts'
import { slipIn, type Parties } from './diagnosis.ts'
import type { KeyRing } from './key-ring.ts'
import { createCircuits, memoryOf, reserve, type Circuits, type Use } from './limits.ts'
import { placeFor, rasClientFor } from './token-key.ts'

export interface WorkPorts {
  readonly fetch: Fetch
  readonly clock: Clock
  readonly background: Background
  readonly secrets: Secrets
  readonly certificates: Certificates
  readonly store: TokenStore
  readonly discovery: Discovery
  readonly registry: Registry
  readonly revocations: Revocations
  readonly introductions: Introductions
  readonly replay: ReplayGuard
}

export interface Tools extends WorkPorts {
  readonly config: Config
  readonly ring: KeyRing
  readonly auths: ClientAuths
  readonly circuits: Circuits
  readonly nonces: NonceMemory
}

/** KV takes no entry that lives shorter; what does stays with the flight and in memory. */
export const KV_FLOOR_SECONDS = 60
/** An ID-JAG is presented only if it will still be valid on arrival. */
export const ID_JAG_MARGIN_SECONDS = 10
/** What callers are told while a circuit is open; about its longest pause. */
const OPEN_RETRY_SECONDS = 4

export function createTools(config: Config, ports: WorkPorts, ring: KeyRing): Tools {
  return {
    ...ports,
    config,
    ring,
    auths: createClientAuths(ports),
    circuits: createCircuits(ports.clock),
    nonces: createNonceMemory(),
  }
}

/** Names to objects. A flight may run a deployment that is a little older or newer than its caller's. */
export function resolve(config: Config, job: Errand): Result<Parties, Refusal> {
  const idp = config.idps.get(job.idp)
  const idpClient = idp?.clients.get(job.idpClient)
  const resource = config.resources.get(job.resource)
  const scopes = job.scopes.filter((scope) => isScopeToken(scope))
  if (idp === undefined || idpClient === undefined || resource === undefined || scopes.length !== job.scopes.length) {
    return anotherConfiguration()
  }
  // Otherwise the new configuration's entry would hold a token of the old one's server.
  if (placeFor(idp.issuer, idpClient, resource, job.caller) !== job.place) return anotherConfiguration()
  return ok({ idp, idpClient, resource, scopes, rasClient: rasClientFor(resource, job.caller) })
}

function anotherConfiguration(): Result<never, Refusal> {
  return err({ code: 'INT101', detail: 'the flight has another configuration', retryAfterSeconds: 1 })
}

/** No user has this subject: what names a user never fits, what names none does. */
export const NOBODY_YET = ''

/**
 * Whether the sign-in still stands, asked of the log itself: nothing new is obtained on what an isolate knew some seconds
 * ago. What is refused here is what policy would refuse as soon as the isolate has heard. Answers up to when tokens are dead.
 */
export async function checkStanding(
  { idp, caller: client, resource }: Errand,
  user: string,
  signedInAt: Parameters<typeof judgeStanding>[1],
  { revocations, clock }: Tools,
): Promise<Result<number, Refusal>> {
  const revoked = await revocations.latest()
  if (!revoked.ok) return revoked
  return judgeStanding(revoked.value.standingOf({ idp, user, client, resource }, clock.epochMillis()), signedInAt)
}

export type Times = { exchange?: number; redeem?: number }

/** What is to be done about proofs at a server. One whose metadata lists what it takes, and not ES256, is asked for none. */
export function useOf(wanted: DpopUse, { takesProofs }: LegEndpoint, leg: 'IDP' | 'RAS'): Result<DpopUse, Refusal> {
  if (takesProofs || wanted === 'off') return ok(wanted)
  if (wanted === 'try') return ok('off')
  return err({ code: `${leg}113`, detail: 'its metadata lists algorithms for proofs, and not ES256' })
}

export function bindingOf(key: KeyPair | undefined, use: DpopUse, { nonces, clock }: Tools): Binding | undefined {
  return key && { prover: { key, nonces, clock }, required: use === 'require' }
}

/** An ID-JAG, with the key it is bound to. */
export interface HeldIdJag {
  readonly idJag: IdJag
  readonly key: KeyPair | undefined
}

export interface Obtained extends HeldIdJag {
  readonly quota: QuotaUse | undefined
}

/** A user of an identity provider. */
type Whose = Pick<Use, 'user' | 'tenant'>

/** One ID-JAG, whoever it is about. `whose` undefined: who that is only the identity provider knows; nothing is counted yet. */
export async function obtainIdJag(
  job: Errand,
  parties: Parties,
  whose: Whose | undefined,
  show: (request: Omit<ExchangeRequest, 'subject'>) => Promise<Result<IdJag, LegRefusal>>,
  tools: Tools,
  ms: Times,
): Promise<Result<Obtained, LegRefusal>> {
  const { idp, resource } = parties
  const endpoint = await legEndpoint(idp, parties.idpClient, 'IDP', `idps.${idp.name}.issuer`, tools)
  if (!endpoint.ok) return endpoint
  const wanted = useOf(idp.quirks.dpop, endpoint.value, 'IDP')
  if (!wanted.ok) return wanted
  const circuit = `IDP ${idp.issuer}`
  const asker = askerOf(job, whose)
  if (tools.circuits.isOpen(circuit, asker)) return err(open('IDP112'))
  const use = { idp: idp.name, resource: resource.name }
  const { user, tenant } = whose ?? {}
  const place =
    user === undefined ? ok(NOT_COUNTED) : await reserve({ ...use, user, tenant }, tools.config.quota, tools)
  if (!place.ok) return place
  if (!tools.circuits.admits(circuit, asker)) {
    place.value.release()
    return err(open('IDP112'))
  }
  const key = wanted.value === 'off' ? undefined : await KeyPair.generate()
  const request = {
    idp: endpoint.value,
    rasIssuer: resource.authorizationServer.issuer,
    rasClientId: parties.rasClient.id,
    audience: resource.authorizationServer.audience,
    target: idp.quirks.target,
    resource: resource.resource,
    sendResource: idp.quirks.sendResource,
    scopes: parties.scopes,
    details: job.details,
    actor: job.actor && { token: new Secret(job.actor.token), type: job.actor.type },
    actsItself: idp.quirks.actorToken === 'client_assertion',
    binding: bindingOf(key, wanted.value, tools),
    now: tools.clock.now(),
  }
  const idJag = await timed(tools.clock, ms, 'exchange', () => show(request))
  tools.circuits.report(circuit, asker, idJag)
  if (idJag.ok) return ok({ idJag: idJag.value, key: idJag.value.bound ? key : undefined, quota: place.value.quota })
  place.value.release()
  return idJag
}

/** Whose content a call carries: the user's own ID token; anything else a client has chosen, and may choose anew each time. */
export function askerOf({ idp, caller, actor, details }: Errand, whose: Whose | undefined): string {
  const isOfClient = whose === undefined || actor !== undefined || details !== undefined
  return JSON.stringify(isOfClient ? [caller] : [idp, whose.tenant, whose.user])
}

const NOT_COUNTED = { quota: undefined, release: (): void => undefined }

/** Shows a token as it is; a SAML assertion in the letters and the steps that the identity provider wants. */
export async function showSubject(
  fetch: Fetch,
  request: Omit<ExchangeRequest, 'subject'>,
  subject: SubjectToken,
  { samlEncoding, samlTwoStep }: Idp['quirks'],
): Promise<Result<IdJag, LegRefusal>> {
  if (subject.kind !== 'saml2') return exchangeForIdJag(fetch, { ...request, subject })
  const token = samlEncoding === 'base64' ? new Secret(toBase64(subject.token.reveal())) : subject.token
  const assertion: SubjectToken = { kind: 'saml2', token }
  if (!samlTwoStep) return exchangeForIdJag(fetch, { ...request, subject: assertion })
  const refresh = await exchangeForRefreshToken(fetch, { ...request, subject: assertion })
  if (!refresh.ok) return refresh
  // It ends with this exchange, and so does whatever would take its place.
  return exchangeForIdJag(fetch, { ...request, subject: { kind: 'refresh_token', token: refresh.value } })
}

function toBase64(base64url: string): string {
  const text = base64url.replaceAll('-', '+').replaceAll('_', '/')
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=')
}

export function open(code: 'IDP112' | 'RAS112'): Refusal {
  return { code, detail: 'the circuit is open', retryAfterSeconds: OPEN_RETRY_SECONDS }
}

export function refused(
  refusal: Refusal,
  ms: LegTimes,
): { readonly refusal: Refusal; readonly ms: LegTimes; readonly remember?: Memory } {
  const remember = memoryOf(refusal)
  return remember === undefined ? { refusal, ms } : { refusal, ms, remember }
}

/** Whom to talk to: the configured endpoint, or the one the server's own metadata names. `field`: where its issuer stands. */
export async function legEndpoint(
  server: Pick<Idp, 'issuer' | 'tokenEndpoint'>,
  client: { readonly id: ClientId; readonly auth: OutboundAuth },
  leg: 'IDP' | 'RAS',
  field: string,
  tools: Tools,
): Promise<Result<LegEndpoint, Refusal>> {
  let { tokenEndpoint } = server
  let takesProofs = true
  if (tokenEndpoint === undefined) {
    const metadata = await tools.discovery.metadataOf(server.issuer, leg === 'IDP' ? 'oidc' : 'oauth2')
    if (!metadata.ok)
      return err({ code: `${leg}114`, ...slipIn(metadata.error, server.issuer, field), retryAfterSeconds: 5 })
    const { mtls } = metadata.value
    tokenEndpoint = ('certificate' in client.auth ? mtls?.tokenEndpoint : undefined) ?? metadata.value.tokenEndpoint
    takesProofs = metadata.value.proofAlgorithms?.includes('ES256') ?? true
  }
  if (tokenEndpoint === undefined) return err({ code: `${leg}114`, detail: 'the metadata names no token endpoint' })
  const own = await tools.auths.prepare(client.auth, tokenEndpoint)
  if (!own.ok) return err({ code: `${leg}106`, detail: own.error })
  return ok({ issuer: server.issuer, tokenEndpoint, clientId: client.id, client: own.value, takesProofs })
}

export async function timed<T>(
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
