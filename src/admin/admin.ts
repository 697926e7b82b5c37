// The third door: administrators see who is connected to what, and cut it off. JSON only. Who asks is verified by
// `identity`, what they may do stands in the configuration; no cookie opens anything, and a write must not come from a page
// of somebody else (threat T46).
import type { Facts } from '../audit/audit.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { AuditEventName } from '../audit-event.ts'
import type { Revocation, RevocationSelector } from '../connection.ts'
import type { AdminCaller, AdminRight } from '../administrator.ts'
import type { Identity } from '../identity/identity.ts'
import { toJson } from '../oauth/answers.ts'
import type { Policy } from '../policy/policy.ts'
import type { AccessSession, DecisionLog } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { createSnapshot, type RevocationSnapshot } from '../revocation/revocation.ts'
import { statusOf, toView } from './connections.ts'
import { listDecisions, listRules, readCounters } from './decisions.ts'
import { explain } from './explain.ts'
import {
  isUser,
  malformed,
  parseBlock,
  parseRevocation,
  parseSelector,
  readBody,
  readQuery,
  saysJson,
  SELECTOR_PARAMETERS,
  selectorOf,
  toTime,
} from './input.ts'
import { parseQuestion } from './question.ts'
import { revoke, type RevocationTools } from './receipt.ts'

export { explain, toPrincipal, type ExplainAnswer } from './explain.ts'
export { parseQuestion, type QuestionBody } from './question.ts'

export interface AdminPorts extends RevocationTools {
  readonly identity: Identity
  readonly policy: Policy
  readonly decisions: DecisionLog
}

export interface Admin {
  /** Answers one request below `/admin/api`. Facts are noted for the auditor. */
  handle(request: Request, session: AccessSession | undefined, facts: Facts): Promise<Result<Response, Refusal>>
}

export function createAdmin(ports: AdminPorts): Admin {
  return { handle: (request, session, facts) => handle(ports, request, session, facts) }
}

/** What a request is for. */
interface Task {
  readonly event: AuditEventName
  readonly right: AdminRight
  readonly run: (work: Work) => Promise<Result<Response, Refusal>>
}

/** One request that may be answered, with all that is known of it. */
interface Work {
  readonly ports: AdminPorts
  readonly request: Request
  readonly search: string
  /** The last segment, where a path has a variable one. */
  readonly id: string
  readonly caller: AdminCaller
  readonly revocations: readonly Revocation[]
  readonly revoked: RevocationSnapshot
  readonly note: (record: Partial<NonNullable<Facts['admin']>>) => void
}

type Methods = Readonly<Record<string, Task>>

const PATHS: ReadonlyMap<string, Methods> = new Map<string, Methods>([
  ['/admin/api/connections', { GET: { event: 'connection.list', right: 'view', run: listConnections } }],
  ['/admin/api/decisions', { GET: { event: 'decision.list', right: 'view', run: listDecisions } }],
  ['/admin/api/counters', { GET: { event: 'counter.read', right: 'view', run: readCounters } }],
  ['/admin/api/rules', { GET: { event: 'rule.list', right: 'view', run: listRules } }],
  ['/admin/api/quota', { GET: { event: 'quota.read', right: 'view', run: readQuota } }],
  [
    '/admin/api/revocations',
    {
      GET: { event: 'revocation.list', right: 'view', run: listRevocations },
      POST: { event: 'connection.revoke', right: 'revoke', run: revokeConnections },
    },
  ],
  ['/admin/api/explain', { POST: { event: 'policy.explain', right: 'view', run: explainQuestion } }],
  ['/admin/api/blocks', { POST: { event: 'connection.block', right: 'revoke', run: block } }],
])
const BLOCK: Methods = { DELETE: { event: 'connection.unblock', right: 'revoke', run: unblock } }
const BLOCK_PATH = /^\/admin\/api\/blocks\/([A-Za-z0-9_-]{1,64})$/

async function handle(
  ports: AdminPorts,
  request: Request,
  session: AccessSession | undefined,
  facts: Facts,
): Promise<Result<Response, Refusal>> {
  const { pathname, search } = new URL(request.url)
  const id = BLOCK_PATH.exec(pathname)?.[1]
  const methods = id === undefined ? PATHS.get(pathname) : BLOCK
  const task = methods !== undefined && Object.hasOwn(methods, request.method) ? methods[request.method] : undefined
  facts.admin = { event: task?.event ?? 'admin.request' }

  // Who asks comes first: to anybody else, what there is and what there is not look the same.
  const caller = await ports.identity.verifyAdmin(request, session)
  if (!caller.ok) return caller
  facts.admin.caller = caller.value
  if (caller.value.rights.size === 0) return err({ code: 'ADM102', detail: 'no right at all' })
  if (methods === undefined) return err({ code: 'ADM104' })
  if (task === undefined) return err({ code: 'CLI110', allow: Object.keys(methods).join(', ') })
  if (request.method !== 'GET') {
    if (!isOwnRequest(request, ports.config.publicUrl)) return err({ code: 'ADM103' })
    if (!saysJson(request)) return err({ code: 'ADM109' })
  }
  if (!caller.value.rights.has(task.right)) return err({ code: 'ADM102', detail: `not the right to ${task.right}` })

  // The truth and no snapshot of it: lists are read to see what a moment ago was done, and a blocked administrator is blocked.
  const current = await ports.log.read(undefined).catch(() => undefined)
  if (current === undefined) return err({ code: 'INT102', retryAfterSeconds: 1 })
  const { revocations } = current
  const revoked = createSnapshot(revocations)
  const stopped = standing(caller.value, revoked, ports.clock.epochMillis())
  if (stopped !== undefined) return err(stopped)
  const admin = facts.admin
  const note: Work['note'] = (record) => Object.assign(admin, record)
  return task.run({ ports, request, search, id: id ?? '', caller: caller.value, revocations, revoked, note })
}

/**
 * Whether a write can only come from our own page or from a program. A browser tells of other sites by either header (Fetch
 * Metadata, RFC 6454 section 7); what sends none is no page of anybody.
 */
function isOwnRequest({ headers }: Request, publicUrl: string): boolean {
  const origin = headers.get('origin')
  const site = headers.get('sec-fetch-site')
  return (origin === null || origin === publicUrl) && (site === null || site === 'same-origin' || site === 'none')
}

/** A revocation ends the rights of an administrator as it ends everything else. */
function standing(caller: AdminCaller, revoked: RevocationSnapshot, nowMs: number): Refusal | undefined {
  const { blockedBy, signInsUntil } = revoked.standingOf(subjectOf(caller), nowMs)
  if (blockedBy !== undefined) return { code: 'POL110', detail: `block ${blockedBy}` }
  // What does not say since when it is counts as from before.
  const ended = signInsUntil > 0 && (caller.issuedAt ?? 0) * 1000 <= signInsUntil
  return ended ? { code: 'TOK109' } : undefined
}

/** No configured name is empty: what names a resource never fits, and what names an IdP never fits who came through Access. */
function subjectOf({ idp = '', subject, client = '' }: AdminCaller) {
  return { idp, user: subject, client, resource: '' }
}

const LIST_LIMIT = { default: 100, max: 500 } as const

async function listConnections({ ports, search, revoked, note }: Work): Promise<Result<Response, Refusal>> {
  const query = readQuery(search, [...SELECTOR_PARAMETERS, 'limit'])
  if (!query.ok) return query
  const selector = parseSelector(selectorOf(query.value), ports.config)
  if (!selector.ok) return selector
  const limit = parseLimit(query.value.get('limit'))
  if (limit === undefined) return malformed('limit', `not a number from 1 to ${LIST_LIMIT.max}`)
  note({ selector: selector.value })
  const found = await ports.registry.list({ selector: selector.value, limit }).catch(() => undefined)
  if (found === undefined) return registryFailed()
  note({ counts: { connections: found.connections.length } })
  const now = ports.clock.epochMillis()
  const connections = found.connections.map((each) => ({ ...toView(each), status: statusOf(each, revoked, now) }))
  return ok(toJson({ connections, more: found.more }))
}

function parseLimit(text: string | undefined): number | undefined {
  if (text === undefined) return LIST_LIMIT.default
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0
  return limit >= 1 && limit <= LIST_LIMIT.max ? limit : undefined
}

const MONTH = /^\d{4}-(?:0[1-9]|1[0-2])$/

async function readQuota({ ports, search, note }: Work): Promise<Result<Response, Refusal>> {
  const query = readQuery(search, ['user', 'month'])
  if (!query.ok) return query
  const user = query.value.get('user')
  if (user === undefined || !isUser(user)) return malformed('user', 'missing or not a subject')
  const month = query.value.get('month') ?? toTime(ports.clock.epochMillis()).slice(0, 7)
  if (!MONTH.test(month)) return malformed('month', 'not YYYY-MM')
  note({ selector: { user } })
  const uses = await ports.registry.quota(user, month).catch(() => undefined)
  if (uses === undefined) return registryFailed()
  const { quota } = ports.config
  const used = uses.map((use) => ({
    idp: use.idp,
    ...(use.tenant === undefined ? {} : { tenant: use.tenant }),
    resource: use.resource,
    used: use.used,
    ...(quota === undefined ? {} : { warning: use.used >= quota.limit * quota.warnAt }),
  }))
  return ok(
    toJson({ user, month, ...(quota === undefined ? {} : { limit: quota.limit, warn_at: quota.warnAt }), used }),
  )
}

async function listRevocations({ ports, search, revocations, note }: Work): Promise<Result<Response, Refusal>> {
  const query = readQuery(search, [])
  if (!query.ok) return query
  const now = ports.clock.epochMillis()
  const cutoffs = revocations.flatMap((each) =>
    each.kind === 'cutoff' ? [{ id: each.id, selector: each.selector, before: toTime(each.before) }] : [],
  )
  const blocks = revocations.flatMap((each) =>
    each.kind === 'block' && (each.until === undefined || each.until > now) ? [toBlockView(each)] : [],
  )
  note({ counts: { cutoffs: cutoffs.length, blocks: blocks.length } })
  return ok(toJson({ max_staleness_seconds: ports.config.revocation.maxStalenessSeconds, cutoffs, blocks }))
}

async function revokeConnections({ ports, request, search, revoked, note }: Work): Promise<Result<Response, Refusal>> {
  const query = readQuery(search, [])
  if (!query.ok) return query
  const body = await readBody(request)
  if (!body.ok) return body
  const order = parseRevocation(body.value, ports.config, ports.clock.epochMillis())
  if (!order.ok) return order
  const { selector, before, dryRun } = order.value
  note({ selector, before: toTime(before), dryRun })
  const receipt = await revoke(order.value, revoked, ports)
  if (!receipt.ok) return receipt
  const { id, counts } = receipt.value
  note({ counts, ...(id === undefined ? {} : { id }) })
  return ok(toJson(receipt.value))
}

async function block({ ports, request, search, caller, note }: Work): Promise<Result<Response, Refusal>> {
  const query = readQuery(search, [])
  if (!query.ok) return query
  const body = await readBody(request)
  if (!body.ok) return body
  const now = ports.clock.epochMillis()
  const order = parseBlock(body.value, ports.config, now)
  if (!order.ok) return order
  const { selector, until } = order.value
  const revocation = { kind: 'block', id: `block_${crypto.randomUUID()}`, selector, until } as const
  note({ selector, id: revocation.id, ...(until === undefined ? {} : { until: toTime(until) }) })
  // A block without end that reaches its maker could leave nobody who may lift it.
  const reachesMaker = createSnapshot([revocation]).standingOf(subjectOf(caller), now).blockedBy !== undefined
  if (until === undefined && reachesMaker) return err({ code: 'ADM108' })
  try {
    await ports.log.add(revocation, until)
  } catch {
    return err({ code: 'INT102', detail: 'the block could not be written', retryAfterSeconds: 1 })
  }
  return ok(toJson({ ...toBlockView(revocation), effective_by: effectiveBy(ports) }, 201))
}

async function unblock({ ports, search, id, note }: Work): Promise<Result<Response, Refusal>> {
  const query = readQuery(search, [])
  if (!query.ok) return query
  note({ id })
  try {
    if (!(await ports.log.lift(id))) return err({ code: 'ADM104' })
  } catch {
    return err({ code: 'INT102', detail: 'the block could not be lifted', retryAfterSeconds: 1 })
  }
  return ok(new Response(null, { status: 204, headers: { 'cache-control': 'no-store' } }))
}

/** A POST because a question does not fit into an address; it changes nothing. */
async function explainQuestion({ ports, request, search, revoked, note }: Work): Promise<Result<Response, Refusal>> {
  const query = readQuery(search, [])
  if (!query.ok) return query
  const body = await readBody(request)
  if (!body.ok) return body
  const question = parseQuestion(body.value, ports.config, ports.clock.epochMillis())
  if (!question.ok) return question
  const { as, resource } = question.value
  note({ selector: { idp: as.idp, user: as.user, client: as.client, resource: resource.name } })
  return ok(toJson(explain(question.value, ports.config, ports.policy, revoked)))
}

function toBlockView({ id, selector, until }: { id: string; selector: RevocationSelector; until: number | undefined }) {
  return { id, selector, ...(until === undefined ? {} : { until: toTime(until) }) }
}

function effectiveBy({ clock, config }: AdminPorts): string {
  return toTime(clock.epochMillis() + config.revocation.maxStalenessSeconds * 1000)
}

function registryFailed(): Result<never, Refusal> {
  return err({ code: 'INT101', detail: 'the registry failed', retryAfterSeconds: 1 })
}
