// The first door: a request for a resource comes in, the same request goes out with the resource's own access token. Reads
// from top to bottom as the four stages of trust.
import type { Facts, Recorder } from '../audit/audit.ts'
import type { Acquired, Credentials } from '../credentials/credentials.ts'
import type { Identity, PresentedProof } from '../identity/identity.ts'
import { readLimited } from '../lib/limited-body.ts'
import { err, ok, type Result, type Soon } from '../lib/result.ts'
import { UNFORWARDED_METHODS } from '../lib/http-methods.ts'
import { parseStrictPath } from '../lib/strict-path.ts'
import type { TraceContext } from '../lib/trace-context.ts'
import { heed, type Limits } from '../limits/limits.ts'
import type { Action, Credential, Permit, ProvenKey, VerifiedAssertion } from '../model.ts'
import type { Proxy, Resource } from '../parties.ts'
import { parseWwwAuthenticate, toWwwAuthenticate } from '../oauth/challenge.ts'
import { createNonceMemory } from '../oauth/dpop.ts'
import { PROOF_ALGORITHMS } from '../oauth/vocabulary.ts'
import type { Policy } from '../policy/policy.ts'
import type { Clock, Forward } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import type { RevocationSnapshot, Revocations } from '../revocation/revocation.ts'
import { attempt, type Allowance, type AttemptPorts } from './attempt.ts'
import type { Outbound } from './forward.ts'
import { cleanResponseHeaders } from './headers.ts'
import { toPublicUrl, type Route } from './routes.ts'

export { createRoutes, type Route, type Routes } from './routes.ts'

export interface GatewayPorts {
  readonly identity: Identity
  readonly limits: Limits
  readonly policy: Policy
  readonly revocations: Revocations
  readonly credentials: Credentials
  readonly fetch: Forward
  readonly recorder: Pick<Recorder, 'release'>
  readonly clock: Clock
}

export interface Gateway {
  /** Forwards one request. Facts are noted for the auditor. */
  handle(request: Request, route: Route, trace: TraceContext, facts: Facts): Promise<Result<Response, Refusal>>
}

/** With the nonces that upstreams want, in the memory of this isolate. */
type Tools = GatewayPorts & AttemptPorts

export function createGateway(ports: GatewayPorts): Gateway {
  const tools: Tools = { ...ports, nonces: createNonceMemory() }
  return { handle: (request, route, trace, facts) => handle(tools, request, route, trace, facts) }
}

async function handle(
  ports: Tools,
  request: Request,
  route: Route,
  trace: TraceContext,
  facts: Facts,
): Promise<Result<Response, Refusal>> {
  facts.resource = route.resource
  const wanted = readRequest(request, route)
  if (!wanted.ok) return wanted
  const { path, upgrade } = wanted.value

  const authorization = request.headers.get('authorization') ?? undefined
  const assertion = await ports.identity.verifyAtEdge(authorization, proofOf(request, route.proxy))
  if (!assertion.ok) return assertion
  facts.assertion = assertion.value
  const ofClient = await heed(ports.limits.ofClient(assertion.value.caller, assertion.value.principal), facts)
  if (!ofClient.ok) return ofClient

  const question: Question = {
    assertion: assertion.value,
    resource: route.resource,
    action: { kind: 'http', method: request.method, path },
  }
  const permit = await decide(ports, question)
  if (!permit.ok) return permit
  facts.permit = permit.value
  const ofRule = await heed(ports.limits.ofRule(permit.value), facts)
  if (!ofRule.ok) return ofRule

  const acquired = await landed(ports, question, ports.credentials.acquire(permit.value))
  if (!acquired.ok) return acquired
  note(facts, acquired.value)

  const { resource, proxy } = route
  const body = await keepBody(request, proxy.replayMaxBytes, mayBeSentAgain(acquired.value))
  if (!body.ok) return body
  const released = await release(ports, question, acquired.value, facts)
  if (!released.ok) return released
  if (body.value instanceof Uint8Array) {
    // A caller may take its time with a body: what was decided before is decided again.
    const still = await confirm(ports, question, acquired.value)
    if (!still.ok) return still
  }
  const target = proxy.upstream + route.suffix + route.search
  const outbound: Outbound = { request, body: body.value, resource, proxy, upgrade, trace, target }
  const start = ports.clock.millis()
  const response = await send(ports, outbound, question, permit.value, acquired.value, facts)
  facts.upstreamMs = ports.clock.millis() - start
  if (!response.ok) return response
  return toAnswer(response.value, outbound, assertion.value.caller.key)
}

function proofOf(request: Request, proxy: Proxy): PresentedProof | undefined {
  const proof = request.headers.get('dpop')
  return proof === null ? undefined : { proof, method: request.method, url: toPublicUrl(request.url, proxy) }
}

interface Question {
  readonly assertion: VerifiedAssertion
  readonly resource: Resource
  readonly action: Action
}

/** What holds now. A permit ages as what is revoked goes on. */
function decide(ports: GatewayPorts, question: Question): Soon<Permit, Refusal> {
  const revoked = ports.revocations.current()
  return revoked instanceof Promise
    ? revoked.then((snapshot) => decideWith(ports, question, snapshot))
    : decideWith(ports, question, revoked)
}

function decideWith(
  { policy, clock }: GatewayPorts,
  { assertion, resource, action }: Question,
  revoked: Result<RevocationSnapshot, Refusal>,
): Result<Permit, Refusal> {
  return revoked.ok ? policy.decide(assertion, resource, action, revoked.value, clock.epochMillis()) : revoked
}

/** A flight takes its time: who is cut off meanwhile does not get what it brings. */
function landed(ports: GatewayPorts, question: Question, flight: Soon<Acquired, Refusal>): Soon<Acquired, Refusal> {
  return flight instanceof Promise ? afterFlight(ports, question, flight) : flight
}

async function afterFlight(
  ports: GatewayPorts,
  question: Question,
  flight: Promise<Result<Acquired, Refusal>>,
): Promise<Result<Acquired, Refusal>> {
  const acquired = await flight
  if (!acquired.ok || acquired.value.origin === 'memory' || acquired.value.origin === 'kv') return acquired
  return confirm(ports, question, acquired.value)
}

/**
 * Where audit is required: no token leaves before its event is accepted. A sink may take its time, so what was decided before
 * is decided again.
 */
function release(ports: GatewayPorts, question: Question, acquired: Acquired, facts: Facts): Soon<unknown, Refusal> {
  const { release: record } = ports.recorder
  if (record === undefined) return ok(undefined)
  return record(facts).then((released) => (released.ok ? confirm(ports, question, acquired) : released))
}

/** Whether what was acquired may be used now, after a wait. */
async function confirm(
  ports: GatewayPorts,
  question: Question,
  acquired: Acquired,
): Promise<Result<Acquired, Refusal>> {
  const still = await decide(ports, question)
  if (!still.ok) return still
  if (acquired.obtainedAt > still.value.tokensUntil) return ok(acquired)
  return err({ code: 'INT101', detail: 'revoked in flight', retryAfterSeconds: 1 })
}

interface WantedRequest {
  /** Decoded, for policy; the raw bytes are forwarded. */
  readonly path: string
  readonly upgrade: boolean
}

/** What can be refused without knowing who asks. Refuses with CLI100, CLI109, CLI110, CLI113 or CLI115. */
function readRequest(request: Request, route: Route): Result<WantedRequest, Refusal> {
  const { method } = request
  if (UNFORWARDED_METHODS.has(method)) return err({ code: 'CLI110' })
  const path = parseStrictPath(route.rest)
  if (!path.ok) return err({ code: 'CLI109' })
  // E-9: a token in a URL ends up in logs, and here it would travel on to the upstream.
  if (hasAccessToken(route.search)) return err({ code: 'CLI100', got: 'a token in the query string' })
  // The platform sends neither with a body, and would fail on it.
  const bodiless = method === 'GET' || method === 'HEAD'
  if (bodiless && request.body !== null && request.headers.get('content-length') !== '0') return err({ code: 'CLI115' })
  const upgrade = request.headers.get('upgrade')
  if (upgrade === null) return ok({ path: path.value, upgrade: false })
  const isWebSocket = method === 'GET' && upgrade.toLowerCase() === 'websocket'
  if (!route.proxy.webSocket || !isWebSocket) return err({ code: 'CLI113' })
  return ok({ path: path.value, upgrade: true })
}

function hasAccessToken(search: string): boolean {
  return search !== '' && [...new URLSearchParams(search).keys()].some((name) => name.toLowerCase() === 'access_token')
}

/**
 * Sends, and where another token would help (one of the login that is shown, where the token came of an earlier one, too): one new
 * token, one replay. A token that this very request has obtained is not
 * renewed: the next one would be rejected too, and would cost quota. One that came from the flight can be as old as any:
 * the flight keeps the last entry, for those who do not see it in KV.
 */
async function send(
  ports: Tools,
  outbound: Outbound,
  question: Question,
  permit: Permit,
  acquired: Acquired,
  facts: Facts,
): Promise<Result<Response, Refusal>> {
  const { name } = outbound.resource
  const allowance: Allowance = { nonceRetry: true }
  const first = await attempt(ports, outbound, acquired.credential, allowance)
  if (!first.ok) return first
  const verdict = judge(first.value, permit, acquired.credential)
  if (verdict === 'fine') return first
  if (verdict === 'login_wanted' && !acquired.earlierLogin) return refuseForLogin(first.value, name)
  // What was obtained just now may still come of an earlier login: an ID-JAG that an outage has left over.
  const isNew = acquired.origin === 'exchange' && verdict !== 'login_wanted'
  const renewed = isNew ? err<Refusal>({ code: 'UPS101', name }) : await renew(ports, question, acquired, verdict)
  // A missing scope is the resource's own answer, and stays it where no better token can be had.
  if (!renewed.ok && verdict === 'scope_missing') return first
  // One that has only just been renewed says nothing of the login.
  if (!renewed.ok && verdict === 'login_wanted' && renewed.error.code === 'UPS101')
    return refuseForLogin(first.value, name)
  await first.value.body?.cancel()
  if (!renewed.ok) return renewed
  note(facts, renewed.value)
  // A body that has been streamed away cannot be sent twice.
  if (outbound.body instanceof ReadableStream) return err({ code: 'UPS102', name, retryAfterSeconds: 1 })
  const released = await release(ports, question, renewed.value, facts)
  if (!released.ok) return released
  const second = await attempt(ports, outbound, renewed.value.credential, allowance)
  if (!second.ok || second.value.status !== 401) return second
  if (judge(second.value, permit, renewed.value.credential) === 'login_wanted')
    return refuseForLogin(second.value, name)
  await second.value.body?.cancel()
  return err({ code: 'UPS101', name })
}

/**
 * The upstream may have taken long to reject the token: nobody gets another on what was decided before that. Where this
 * request has begun to fetch the next one already, that is its one renewal, however it ends.
 */
async function renew(
  ports: GatewayPorts,
  question: Question,
  { credential, successor }: Acquired,
  verdict: Verdict,
): Promise<Result<Acquired, Refusal>> {
  const permit = await decide(ports, question)
  if (!permit.ok) return permit
  return landed(
    ports,
    question,
    successor ?? ports.credentials.acquire(permit.value, credential, verdict === 'login_wanted'),
  )
}

type Verdict = 'fine' | 'token_rejected' | 'scope_missing' | 'login_wanted'

/**
 * What the resource thinks of the token. A wider one is worth a try only for scopes that policy allows and that the token
 * in hand does not have: the authorization server granted less than was asked when it was issued.
 */
function judge(response: Response, permit: Permit, credential: Credential): Verdict {
  if (response.status !== 401 && response.status !== 403) return 'fine'
  const { error, scopes } = parseWwwAuthenticate(response.headers.get('www-authenticate'))
  if (response.status === 401) return error === 'insufficient_user_authentication' ? 'login_wanted' : 'token_rejected'
  if (error !== 'insufficient_scope' || scopes.length === 0) return 'fine'
  const allowed = new Set<string>(permit.scopes)
  const granted = new Set<string>(credential.scopes)
  const canGrow = scopes.every((scope) => allowed.has(scope)) && scopes.some((scope) => !granted.has(scope))
  return canGrow ? 'scope_missing' : 'fine'
}

/** RFC 9470: no new token of the same login will help; the caller must hear of it. One of an earlier login was renewed before. */
async function refuseForLogin(response: Response, name: string): Promise<Result<Response, Refusal>> {
  const { acrValues, maxAgeSeconds } = parseWwwAuthenticate(response.headers.get('www-authenticate'))
  await response.body?.cancel()
  const stepUp = {
    ...(acrValues === undefined ? {} : { acrValues }),
    ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
  }
  return err({ code: 'UPS103', name, stepUp })
}

/** A token that has only just been issued will not be renewed; an API may want a nonce in any proof. */
function mayBeSentAgain({ origin, credential }: Acquired): boolean {
  return origin !== 'exchange' || credential.kind === 'dpop'
}

/**
 * Small bodies are kept until the upstream has taken the token; larger ones, and those that do not say how large they are,
 * stream through and cannot be sent again. Refuses with CLI100 where the caller breaks off.
 */
function keepBody(request: Request, maxBytes: number, isNeeded: boolean): Soon<Outbound['body'], Refusal> {
  if (request.body === null) return ok(null)
  const length = Number(request.headers.get('content-length') ?? Number.NaN)
  // A POST of no bytes comes with a body, too.
  if (length === 0) return ok(null)
  if (!isNeeded || !(length <= maxBytes)) return ok(request.body)
  return readLimited(request.body, maxBytes).then((body) =>
    body.ok ? body : err({ code: 'CLI100', got: `body ${body.error}` }),
  )
}

/**
 * The upstream's answer as the caller may see it: its challenge replaced by ours, which names our metadata (E-3), and ours is
 * the nonce for the next proof of the caller.
 */
function toAnswer(
  upstream: Response,
  { resource, proxy, target, upgrade }: Outbound,
  key: ProvenKey | undefined,
): Result<Response, Refusal> {
  const { status } = upstream
  // Nothing that a response can be made of (RFC 9110 section 15), or a switch of protocols that nobody asked for.
  if (status > 599 || (status < 200 && !(status === 101 && upgrade)))
    return err({ code: 'UPS109', name: resource.name })
  const foreign = status === 403 ? parseWwwAuthenticate(upstream.headers.get('www-authenticate')) : undefined
  // The same constructor keeps status, streamed body, content encoding and an accepted WebSocket.
  const response = new Response(upstream.body, upstream)
  cleanResponseHeaders(response.headers, proxy, target)
  if (foreign?.error === 'insufficient_scope') {
    const { scopes } = foreign
    const challenge = {
      error: 'insufficient_scope' as const,
      scopes,
      resourceMetadata: proxy.metadataUrl,
      ...(key === undefined ? {} : { proofAlgorithms: PROOF_ALGORITHMS }),
    }
    response.headers.set('www-authenticate', toWwwAuthenticate(challenge))
  }
  if (key?.nextNonce !== undefined) response.headers.set('dpop-nonce', key.nextNonce)
  return ok(response)
}

function note(facts: Facts, { credential, origin, idJagJti, actors, ms, quota, oldKey }: Acquired): void {
  const { expiresAt, scopes } = credential
  facts.credential = { origin, idJagJti, actors, ms, quota, oldKey, expiresAt, scopes }
}
