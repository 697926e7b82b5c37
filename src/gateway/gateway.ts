// The first door: a request for a resource comes in, the same request goes out with the resource's own access token. Reads
// from top to bottom as the four stages of trust.
import type { Facts } from '../audit/audit.ts'
import type { Acquired, Credentials } from '../credentials/credentials.ts'
import type { Identity } from '../identity/identity.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { parseStrictPath } from '../lib/strict-path.ts'
import type { Permit, Resource } from '../model.ts'
import { parseWwwAuthenticate, toWwwAuthenticate } from '../oauth/challenge.ts'
import type { Policy } from '../policy/policy.ts'
import type { Clock, Forward } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { forward, hasBody, type Outbound } from './forward.ts'
import { cleanResponseHeaders } from './headers.ts'
import type { Route } from './routes.ts'

export { createRoutes, type Route, type Routes } from './routes.ts'

export interface GatewayPorts {
  readonly identity: Identity
  readonly policy: Policy
  readonly credentials: Credentials
  readonly fetch: Forward
  readonly clock: Clock
}

export interface Gateway {
  /** Forwards one request. Facts are noted for the auditor. */
  handle(request: Request, route: Route, traceparent: string, facts: Facts): Promise<Result<Response, Refusal>>
}

export function createGateway(ports: GatewayPorts): Gateway {
  return { handle: (request, route, traceparent, facts) => handle(ports, request, route, traceparent, facts) }
}

async function handle(
  ports: GatewayPorts,
  request: Request,
  route: Route,
  traceparent: string,
  facts: Facts,
): Promise<Result<Response, Refusal>> {
  facts.resource = route.resource
  const wanted = readRequest(request, route)
  if (!wanted.ok) return wanted
  const { path, upgrade } = wanted.value

  const assertion = await ports.identity.verifyAtEdge(request.headers.get('authorization') ?? undefined)
  if (!assertion.ok) return assertion
  facts.assertion = assertion.value

  const permit = ports.policy.decide(assertion.value, route.resource, { kind: 'http', method: request.method, path })
  if (!permit.ok) return permit
  facts.permit = permit.value

  const acquired = await ports.credentials.acquire(permit.value)
  if (!acquired.ok) return acquired
  note(facts, acquired.value)

  const { resource, proxy } = route
  const outbound: Outbound = {
    request,
    resource,
    proxy,
    upgrade,
    traceparent,
    target: proxy.upstream + route.rest + route.search,
  }
  const start = ports.clock.millis()
  const response = await send(ports, outbound, permit.value, acquired.value, facts)
  facts.upstreamMs = ports.clock.millis() - start
  return response.ok ? ok(toAnswer(response.value, outbound)) : response
}

interface WantedRequest {
  /** Decoded, for policy; the raw bytes are forwarded. */
  readonly path: string
  readonly upgrade: boolean
}

/** What can be refused without knowing who asks. Refuses with CLI100, CLI109, CLI113 or CLI114. */
function readRequest(request: Request, route: Route): Result<WantedRequest, Refusal> {
  const path = parseStrictPath(route.rest)
  if (!path.ok) return err({ code: 'CLI109' })
  // E-9: a token in a URL ends up in logs, and here it would travel on to the upstream.
  if (/[?&]access_token=/i.test(route.search)) return err({ code: 'CLI100', detail: 'a token in the query string' })
  if (request.headers.has('dpop')) return err({ code: 'CLI114' })
  const upgrade = request.headers.get('upgrade')
  if (upgrade === null) return ok({ path: path.value, upgrade: false })
  if (!route.proxy.webSocket || upgrade.toLowerCase() !== 'websocket') return err({ code: 'CLI113' })
  return ok({ path: path.value, upgrade: true })
}

/**
 * Sends, and where the resource rejects the token: one new token, one replay. A token that has only just been issued is not
 * renewed: the next one would be rejected too, and would cost quota. One that came from the flight can be as old as any:
 * the flight keeps the last entry, for those who do not see it in KV.
 */
async function send(
  ports: GatewayPorts,
  outbound: Outbound,
  permit: Permit,
  acquired: Acquired,
  facts: Facts,
): Promise<Result<Response, Refusal>> {
  const { request, resource } = outbound
  const first = await forward(ports.fetch, outbound, acquired.credential)
  if (!first.ok || first.value.status !== 401) return first
  const stepUp = stepUpOf(first.value, resource)
  await first.value.body?.cancel()
  if (stepUp !== undefined) return err(stepUp)
  if (acquired.origin === 'exchange') return err({ code: 'UPS101', name: resource.name })

  const renewed = await ports.credentials.acquire(permit, acquired.credential)
  if (!renewed.ok) return renewed
  note(facts, renewed.value)
  // A body that has been streamed away cannot be sent twice.
  if (hasBody(request)) return err({ code: 'UPS102', name: resource.name, retryAfterSeconds: 1 })
  const second = await forward(ports.fetch, outbound, renewed.value.credential)
  if (!second.ok || second.value.status !== 401) return second
  await second.value.body?.cancel()
  return err({ code: 'UPS101', name: resource.name })
}

/** RFC 9470: no new token of the same login will help; the caller must hear of it. */
function stepUpOf(response: Response, resource: Resource): Refusal | undefined {
  const { error, acrValues, maxAgeSeconds } = parseWwwAuthenticate(response.headers.get('www-authenticate'))
  if (error !== 'insufficient_user_authentication') return undefined
  return {
    code: 'UPS103',
    name: resource.name,
    stepUp: {
      ...(acrValues === undefined ? {} : { acrValues }),
      ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
    },
  }
}

/** The upstream's answer as the caller may see it: its challenge replaced by ours, which names our metadata (E-3). */
function toAnswer(upstream: Response, { proxy, target }: Outbound): Response {
  const foreign = upstream.status === 403 ? parseWwwAuthenticate(upstream.headers.get('www-authenticate')) : undefined
  // The same constructor keeps status, streamed body, content encoding and an accepted WebSocket.
  const response = new Response(upstream.body, upstream)
  cleanResponseHeaders(response.headers, proxy, target)
  if (foreign?.error === 'insufficient_scope') {
    const { scopes } = foreign
    const challenge = { error: 'insufficient_scope' as const, scopes, resourceMetadata: proxy.metadataUrl }
    response.headers.set('www-authenticate', toWwwAuthenticate(challenge))
  }
  return response
}

function note(facts: Facts, { credential, origin, idJagJti, ms }: Acquired): void {
  facts.credential = { origin, idJagJti, ms, expiresAt: credential.expiresAt, scopes: credential.scopes }
}
