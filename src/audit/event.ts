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
  readonly door: 'request.forward' | 'token.issue' | 'token.revoke' | 'token.introspect' | 'admin.request'
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

export function toEvent(facts: Facts, ending: Ending, setting: Setting): AuditEvent {
  const { refusal } = ending
  const door = facts.admin?.event ?? facts.door
  return {
    v: 1,
    id: facts.requestId,
    time: timeOf(ending.now),
    event: eventOf(facts, ending, door),
    outcome: refusal === undefined ? 'allow' : toAuditOutcome(refusal.code),
    ...(refusal === undefined ? {} : { code: refusal.code }),
    ...detailOf(refusal),
    config: setting.configHash,
    trace_id: facts.traceId,
    ...about(facts, refusal, setting),
    http: {
      method: facts.method,
      route: routeOf(facts),
      ...(ending.status === undefined ? {} : { status: ending.status }),
    },
    ...(ending.lost === 0 ? {} : { lost: ending.lost }),
    ...credentialOf(facts, ending.now),
    ...(facts.uncounted === undefined ? {} : { uncounted: true }),
    ...(facts.shown === undefined ? {} : { shown: facts.shown }),
    ...(facts.admin === undefined ? {} : { admin: recordOf(facts.admin) }),
    ms: {
      total: Math.round(ending.totalMs),
      ...facts.credential?.ms,
      ...(facts.upstreamMs === undefined ? {} : { upstream: Math.round(facts.upstreamMs) }),
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
  }
}

function eventOf(facts: Facts, { refusal, status }: Ending, door: AuditEventName): AuditEventName {
  if (refusal !== undefined) return decidedBy(refusal, facts, door)
  return status === undefined ? 'token.release' : door
}

/** Everything that is known of why. Callers may have been told less (`errors.detail`). */
function detailOf(refusal: Refusal | undefined): Partial<AuditEvent> {
  const { detail, expected, got } = refusal ?? {}
  const parts = [got, expected === undefined ? undefined : `expected ${expected}`, detail].filter(
    (part) => part !== undefined,
  )
  return parts.length === 0 ? {} : { detail: parts.join('; ') }
}

function about(facts: Facts, refusal: Refusal | undefined, setting: Setting): Partial<AuditEvent> {
  const { assertion, holder, resource, permit } = facts
  const rule = permit === undefined ? denyingRule(refusal) : permit.rule
  const user =
    assertion === undefined
      ? holder
      : userOf(assertion, rule === undefined ? undefined : setting.groupsOfRules.get(rule))
  const client = facts.client ?? assertion?.caller
  const asked = permit?.scopes ?? facts.asked
  return {
    ...(user === undefined ? {} : { user }),
    ...(client === undefined ? {} : { client: clientOf(client) }),
    ...subjectOf(facts),
    ...actorOf(facts),
    ...(resource === undefined
      ? {}
      : { resource: { id: resource.name, kind: resource.kind, aud: resource.authorizationServer.issuer } }),
    ...(asked === undefined
      ? {}
      : { scopes: { asked, ...(facts.credential === undefined ? {} : { granted: facts.credential.scopes }) } }),
    ...(permit === undefined ? denial(refusal, rule) : { policy: allowance(permit) }),
  }
}

function clientOf({ name, method, key }: AuthenticatedClient): NonNullable<AuditEvent['client']> {
  return { id: name, auth: method, ...(key === undefined ? {} : { dpop_jkt: key.thumbprint }) }
}

/** Of the user's groups only those that mattered. */
function userOf(
  { principal }: VerifiedAssertion,
  named: ReadonlySet<string> | undefined,
): NonNullable<AuditEvent['user']> {
  const { issuer, subject, tenant } = principal
  const user = { issuer, sub: subject, ...(tenant === undefined ? {} : { tenant }) }
  const groups = named === undefined ? [] : (principal.groups ?? []).filter((group) => named.has(group))
  return groups.length === 0 ? user : { ...user, groups }
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
    ...(also.length === 0 ? {} : { also: also.slice(0, MAX_OTHERS) }),
    ...(shadow.length === 0 ? {} : { shadow }),
  }
}

function subjectOf({ opaque: kind, introduction }: Facts): Partial<AuditEvent> {
  if (kind === undefined) return {}
  return { subject: introduction === undefined ? { kind } : { kind, found: introduction.origin } }
}

function actorOf({ actorType, credential, assertion }: Facts): Partial<AuditEvent> {
  const own = assertion?.principal.act?.chain ?? []
  const chain = credential === undefined || credential.actors.length === 0 ? own : credential.actors
  if (actorType === undefined && chain.length === 0) return {}
  return {
    actor: { ...(actorType === undefined ? {} : { token_type: actorType }), ...(chain.length > 0 && { chain }) },
  }
}

function denial(refusal: Refusal | undefined, rule: string | undefined): Partial<AuditEvent> {
  if (!isByPolicy(refusal)) return {}
  const { also } = refusal
  return {
    policy: {
      effect: 'deny',
      ...(rule === undefined ? {} : { rule }),
      ...(also && { also: also.slice(0, MAX_OTHERS) }),
    },
  }
}

function denyingRule(refusal: Refusal | undefined): string | undefined {
  return isByPolicy(refusal) ? refusal.name : undefined
}

function isByPolicy(refusal: Refusal | undefined): refusal is Refusal {
  return refusal?.code.startsWith('POL') === true
}

function credentialOf({ credential }: Facts, now: NumericDate): Partial<AuditEvent> {
  if (credential === undefined) return {}
  const { origin, idJagJti, expiresAt, quota, oldKey } = credential
  return {
    cache: origin,
    ...(oldKey === undefined ? {} : { old_key: oldKey }),
    ...(quota === undefined ? {} : { quota }),
    token: { ttl_s: expiresAt - now, ...(idJagJti === undefined ? {} : { id_jag_jti: idJagJti }) },
  }
}

function recordOf({ caller, selector, id, before, until, dryRun, counts }: NonNullable<Facts['admin']>): AdminRecord {
  return {
    ...(caller === undefined ? {} : { actor: administratorOf(caller) }),
    ...(selector === undefined ? {} : { selector }),
    ...(id === undefined ? {} : { id }),
    ...(before === undefined ? {} : { before }),
    ...(until === undefined ? {} : { until }),
    ...(dryRun === undefined ? {} : { dry_run: dryRun }),
    ...(counts === undefined ? {} : { counts }),
  }
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
