// One event per decision. The doors note facts while they work; nothing on the request path reads them back. What can be
// noted are proofs, names and numbers: there is no field a token or a secret would fit into.
import type { AdminRecord, AuditEvent, AuditEventName } from '../audit-event.ts'
import type { RevocationSelector } from '../connection.ts'
import type { AdminCaller } from '../administrator.ts'
import type { ActingParty, AuthenticatedClient, CredentialOrigin, Permit, VerifiedAssertion } from '../model.ts'
import type { Resource, ScopeToken } from '../parties.ts'
import type { NumericDate } from '../lib/numeric-date.ts'
import type { LegTimes, QuotaUse } from '../ports.ts'
import type { OpaqueKind } from '../quirks.ts'
import { toAuditOutcome, type Refusal } from '../refusal.ts'

/** What became known about a request, as far as it got. */
export interface Facts {
  readonly door:
    'request.forward' | 'token.issue' | 'token.revoke' | 'token.introspect' | 'admin.request' | 'request.fault'
  readonly requestId: string
  readonly traceId: string
  readonly method: string
  client?: AuthenticatedClient
  /** The counter of a rate limit did not answer; the request went on. */
  uncounted?: true
  assertion?: VerifiedAssertion
  resource?: Resource
  asked?: readonly ScopeToken[]
  permit?: Permit
  /** A subject token that only its identity provider can read was shown. */
  opaque?: OpaqueKind
  /** How it was found out whose it is. */
  introduction?: {
    readonly origin: CredentialOrigin
    readonly ms: LegTimes
    readonly quota: QuotaUse | undefined
  }
  /** The type of the actor token that was presented. */
  actorType?: string
  credential?: {
    readonly origin: CredentialOrigin
    readonly idJagJti: string | undefined
    readonly actors: readonly ActingParty[]
    readonly expiresAt: NumericDate
    readonly scopes: readonly ScopeToken[]
    readonly ms: LegTimes
    readonly quota: QuotaUse | undefined
    /** It was stored under a key that does not seal any more. */
    readonly oldKey?: true | undefined
  }
  upstreamMs?: number
  /** A token that a client has shown: what came of it, and whose it is. */
  shown?: NonNullable<AuditEvent['shown']>
  holder?: { readonly issuer: string; readonly sub: string }
  admin?: {
    readonly event: AuditEventName
    caller?: AdminCaller
    selector?: RevocationSelector
    id?: string
    before?: string
    until?: string
    dryRun?: boolean
    counts?: Readonly<Record<string, number>>
  }
}

/** What holds for every event of an isolate. */
export interface Setting {
  /** Tells one configuration from another. */
  readonly configHash: string
  /** The groups that a rule names, by its id; of rules that name any. */
  readonly groupsOfRules: ReadonlyMap<string, ReadonlySet<string>>
  /** The first one seals, all of them open. */
  readonly sealingKeys: readonly string[]
}

export interface Ending {
  /** Undefined: there is no answer yet; a token is about to leave. */
  readonly status: number | undefined
  readonly refusal: Refusal | undefined
  readonly now: NumericDate
  readonly totalMs: number
  /** Events of this isolate that no sink will ever have. */
  readonly lost: number
}

/** Where nothing could be told of the decision yet: an isolate has started, and this is the request it started with. */
export function toLoadEvent(facts: Facts, now: NumericDate, { configHash, sealingKeys }: Setting): AuditEvent {
  return {
    v: 1,
    id: facts.requestId,
    time: timeOf(now),
    event: 'config.load',
    outcome: 'allow',
    config: configHash,
    trace_id: facts.traceId,
    http: { method: facts.method, route: routeOf(facts) },
    sealing_keys: sealingKeys,
    ms: { total: 0 },
  }
}

/** One shape for all events, whatever is known: members that are undefined do not appear in JSON. */
export function toEvent(facts: Facts, ending: Ending, setting: Setting): AuditEvent {
  const { refusal, now } = ending
  const { assertion, permit, resource, credential } = facts
  const door = facts.admin?.event ?? facts.door
  const rule = permit === undefined ? denyingRule(refusal) : permit.rule
  const client = facts.client ?? assertion?.caller
  const asked = permit?.scopes ?? facts.asked
  return {
    v: 1,
    id: facts.requestId,
    time: timeOf(now),
    event: eventOf(facts, ending, door),
    outcome: refusal === undefined ? 'allow' : toAuditOutcome(refusal.code),
    code: refusal?.code,
    detail: refusal && detailOf(refusal),
    config: setting.configHash,
    trace_id: facts.traceId,
    user: assertion === undefined ? facts.holder : userOf(assertion, rule, setting),
    client: client && { id: client.name, auth: client.method, dpop_jkt: client.key?.thumbprint },
    subject: facts.opaque && { kind: facts.opaque, found: facts.introduction?.origin },
    actor: actorOf(facts),
    resource: resource && { id: resource.name, kind: resource.kind, aud: resource.authorizationServer.issuer },
    scopes: asked && { asked, granted: credential?.scopes },
    policy: permit === undefined ? denial(refusal, rule) : allowance(permit),
    http: { method: facts.method, route: routeOf(facts), status: ending.status },
    lost: ending.lost === 0 ? undefined : ending.lost,
    cache: credential?.origin,
    old_key: credential?.oldKey,
    quota: credential?.quota,
    token: credential && { ttl_s: credential.expiresAt - now, id_jag_jti: credential.idJagJti },
    uncounted: facts.uncounted,
    shown: facts.shown,
    admin: facts.admin && recordOf(facts.admin),
    ms: {
      total: Math.round(ending.totalMs),
      exchange: credential?.ms.exchange,
      redeem: credential?.ms.redeem,
      upstream: facts.upstreamMs === undefined ? undefined : Math.round(facts.upstreamMs),
    },
  }
}

function timeOf(now: NumericDate): string {
  return new Date(now * 1000).toISOString()
}

/** Never the path itself: in there stand names of people and things. */
function routeOf({ door, resource }: Facts): string {
  switch (door) {
    case 'request.forward': {
      const match = resource?.proxy?.match
      return match?.kind === 'path' ? `${match.prefix}/*` : '/*'
    }
    case 'token.issue':
      return '/token'
    case 'token.revoke':
      return '/revoke'
    case 'token.introspect':
      return '/introspect'
    case 'admin.request':
      return '/admin/api/*'
    case 'request.fault':
      return '/*'
  }
}

function eventOf(facts: Facts, { refusal, status }: Ending, door: AuditEventName): AuditEventName {
  if (refusal !== undefined) return decidedBy(refusal, facts, door)
  return status === undefined ? 'token.release' : door
}

/** Everything that is known of why. Callers may have been told less (`errors.detail`). */
function detailOf({ detail, expected, got }: Refusal): string | undefined {
  const parts = [got, expected === undefined ? undefined : `expected ${expected}`, detail].filter(
    (part) => part !== undefined,
  )
  return parts.length === 0 ? undefined : parts.join('; ')
}

/** Of the user's groups only those that mattered. */
function userOf(
  { principal: { issuer, subject, tenant, groups } }: VerifiedAssertion,
  rule: string | undefined,
  { groupsOfRules }: Setting,
): NonNullable<AuditEvent['user']> {
  const named = rule === undefined ? undefined : groupsOfRules.get(rule)
  const mattered = named === undefined ? undefined : groups?.filter((group) => named.has(group))
  return { issuer, sub: subject, tenant, groups: mattered?.length === 0 ? undefined : mattered }
}

/** So many other rules are named in an event; nobody would read more. */
const MAX_OTHERS = 32
const NONE: readonly string[] = []

/** Rules that were about it, and that its event does not name. Nearly always there are none. */
export function toUnnamed({ permit }: Facts, refusal: Refusal | undefined): readonly string[] {
  const also = permit === undefined ? refusal?.also : permit.also
  return also === undefined || also.length <= MAX_OTHERS ? NONE : also.slice(MAX_OTHERS)
}

function allowance({ rule, also, shadow }: Permit): NonNullable<AuditEvent['policy']> {
  return {
    effect: 'allow',
    rule,
    also: also.length === 0 ? undefined : also.slice(0, MAX_OTHERS),
    shadow: shadow.length === 0 ? undefined : shadow,
  }
}

function denial(refusal: Refusal | undefined, rule: string | undefined): AuditEvent['policy'] {
  return isByPolicy(refusal) ? { effect: 'deny', rule, also: refusal.also?.slice(0, MAX_OTHERS) } : undefined
}

function actorOf({ actorType, credential, assertion }: Facts): AuditEvent['actor'] {
  const own = assertion?.principal.act?.chain ?? NOBODY
  const chain = credential === undefined || credential.actors.length === 0 ? own : credential.actors
  if (actorType === undefined && chain.length === 0) return undefined
  return { token_type: actorType, chain: chain.length === 0 ? undefined : chain }
}

function denyingRule(refusal: Refusal | undefined): string | undefined {
  return isByPolicy(refusal) ? refusal.name : undefined
}

function isByPolicy(refusal: Refusal | undefined): refusal is Refusal {
  return refusal?.code.startsWith('POL') === true
}

const NOBODY: readonly ActingParty[] = []

function recordOf({ caller, selector, id, before, until, dryRun, counts }: NonNullable<Facts['admin']>): AdminRecord {
  return { actor: caller && administratorOf(caller), selector, id, before, until, dry_run: dryRun, counts }
}

function administratorOf({ via, issuer, subject }: AdminCaller): NonNullable<AdminRecord['actor']> {
  return via === 'access' ? { via, issuer, email: subject } : { via, issuer, sub: subject }
}

/** The stage that said no, told by the family of its code. */
function decidedBy(refusal: Refusal, { assertion, opaque }: Facts, door: AuditEventName): AuditEventName {
  switch (refusal.code.slice(0, 3)) {
    case 'CLI':
    case 'TOK':
      return 'subject.verify'
    case 'POL':
      return 'policy.decide'
    case 'IDP':
      // The keys of an identity provider are asked for before anything is exchanged.
      return assertion === undefined && opaque === undefined ? 'subject.verify' : 'id_jag.request'
    case 'RAS':
      return door === 'token.revoke' ? door : 'token.redeem'
    default:
      return door
  }
}
