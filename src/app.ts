// The route table, and the edge of the house: refusals become bytes, faults become INT100 and nothing else, and the
// audit event of each decision is written, once, here.
import { Hono } from 'hono'
import type { Admin } from './admin/admin.ts'
import type { Facts, Recorder } from './audit/audit.ts'
import type { Config } from './config/config.ts'
import {
  hasTokenEndpoint,
  isDpopOnly,
  toErrorPage,
  toKeySet,
  toOpenIdMetadata,
  toResourceMetadata,
  toServerMetadata,
  CLIENT_KEYS_PATH,
  createClientKeys,
  toClientDocument,
} from './discovery/discovery.ts'
import { createRoutes, type Gateway, type Route } from './gateway/gateway.ts'
import { createCors } from './lib/cors.ts'
import { err, type Result } from './lib/result.ts'
import { createTraceContext, type TraceContext } from './lib/trace-context.ts'
import { toAdminProblem, toPage, toProblem, toTokenError, type AnswerContext } from './oauth/answers.ts'
import type { AccessSession, Clock, Secrets } from './ports.ts'
import type { Refusal } from './refusal.ts'
import type { ClientEndpoint, ClientEndpoints } from './token/token.ts'

export interface AppPorts {
  readonly config: Config
  readonly gateway: Gateway
  readonly clients: ClientEndpoints
  /** Undefined: there is no administration. */
  readonly admin?: Admin | undefined
  readonly recorder: Pick<Recorder, 'write'>
  readonly clock: Clock
  readonly secrets: Secrets
}

/** `access`: what the platform says of whom Cloudflare Access let through. Only the administration looks there. */
export type App = (request: Request, platform?: { readonly access?: AccessSession | undefined }) => Promise<Response>

export function createApp(ports: AppPorts): App {
  const { config } = ports
  const routes = createRoutes(config.resources.values())
  const cors = createCors(config.cors?.origins)
  const app = new Hono<{ Bindings: { readonly access: AccessSession | undefined } }>()
  const publish = (path: string, document: () => Response | Promise<Response>): void => {
    app.all(path, (c) => answerDocument(config, c.req.method, document))
  }

  const { admin } = ports
  if (config.admin !== undefined && admin !== undefined) {
    app.all('/admin/api/*', (c) => answerAdmin(ports, admin, c.req.raw, c.env.access))
  }
  app.all('/admin/*', (c) => c.notFound())
  // What stands before this line is never open to other origins, whatever is configured.
  app.use(async (c, next) => {
    const answer = await cors(c.req.raw, async () => {
      await next()
      return c.res
    })
    if (!c.finalized) c.res = answer
  })
  for (const resource of config.resources.values()) {
    const { proxy } = resource
    // Metadata of a resource with a host of its own stands on that host, see below.
    if (proxy?.match.kind !== 'path') continue
    publish(new URL(proxy.metadataUrl).pathname, () => toResourceMetadata(config, resource, proxy))
  }
  app.all('/errors/:code', (c) => {
    const page = toErrorPage(c.req.param('code'))
    return page === undefined ? c.notFound() : answerDocument(config, c.req.method, () => page)
  })
  if (hasTokenEndpoint(config)) {
    publish('/.well-known/oauth-authorization-server', () => toServerMetadata(config))
    publish('/.well-known/openid-configuration', () => toOpenIdMetadata(config))
    publish('/jwks', toKeySet)
    // Nothing of the request is looked at, least of all where it wants to be sent back to.
    app.all('/authorize', () => toPage({ code: 'CLI130' }, context(config)))
    const { token, revoke, introspect } = ports.clients
    app.all('/token', (c) => answerClient(ports, c.req.raw, 'token.issue', token))
    app.all('/revoke', (c) => answerClient(ports, c.req.raw, 'token.revoke', revoke))
    app.all('/introspect', (c) => answerClient(ports, c.req.raw, 'token.introspect', introspect))
  }
  const clientKeys = createClientKeys(config, ports.secrets)
  if (clientKeys !== undefined) publish(CLIENT_KEYS_PATH, clientKeys)
  for (const document of config.clientDocuments) {
    publish(new URL(document.id).pathname, () => toClientDocument(config, document))
  }
  app.notFound(() => toProblem({ code: 'CLI106' }, context(config), undefined))
  app.onError((error, c) => fault(ports, c.req.raw, error))

  const dispatch = (request: Request, platform: Parameters<App>[1]): Response | Promise<Response> => {
    const hosted = routes.byHost(request.url)
    if (hosted !== undefined && hosted.rest === new URL(hosted.proxy.metadataUrl).pathname) {
      const document = () => toResourceMetadata(config, hosted.resource, hosted.proxy)
      return cors(request, () => answerDocument(config, request.method, document))
    }
    // Resources first: they are most of the traffic, and the configuration takes no prefix that is ours.
    const route = hosted ?? routes.byPath(request.url)
    if (route === undefined) {
      // The host is the caller's word, and need not be one.
      if (!URL.canParse(request.url))
        return toProblem({ code: 'CLI100', got: 'a Host that is none' }, context(config), undefined)
      return app.fetch(request, { access: platform?.access })
    }
    return cors(request, () => answerResource(ports, request, route))
  }
  return async (request, platform) => {
    try {
      return await dispatch(request, platform)
    } catch (error) {
      return fault(ports, request, error)
    }
  }
}

/** A fault outside of a decision; inside, it is caught where the event of that is written. */
function fault({ config, recorder }: AppPorts, request: Request, error: unknown): Response {
  try {
    const id = newId()
    const facts = newFacts('request.fault', request, id, createTraceContext(request.headers.get('traceparent'), id))
    const refusal: Refusal = { code: 'INT100', detail: whereabouts(error) }
    recorder.write(facts, { status: 500, refusal, totalMs: 0 })
    const response = toProblem(refusal, context(config, facts.requestId), undefined)
    label(response, facts, 0)
    return response
  } catch {
    // Whatever is out of order is needed to say so: without an event there is no id that could lead to it.
    return toProblem({ code: 'INT100' }, context(config), undefined)
  }
}

/** What anybody may read: it is read, not written (RFC 9110 section 9.3). */
async function answerDocument(
  config: Config,
  method: string,
  document: () => Response | Promise<Response>,
): Promise<Response> {
  if (method === 'GET') return document()
  if (method === 'HEAD') return new Response(null, await document())
  const answer =
    method === 'OPTIONS'
      ? new Response(null, { status: 204 })
      : toProblem({ code: 'CLI110' }, context(config), undefined)
  answer.headers.set('allow', 'GET, HEAD, OPTIONS')
  return answer
}

function answerResource(ports: AppPorts, request: Request, route: Route): Promise<Response> {
  const id = newId()
  const trace = createTraceContext(request.headers.get('traceparent'), id)
  const facts = newFacts('request.forward', request, id, trace)
  return decide(
    ports,
    facts,
    () => ports.gateway.handle(request, route, trace, facts),
    (refusal, answer) => {
      const { metadataUrl } = route.proxy
      const dpop = isDpopOnly(ports.config) || /^dpop\b/i.test(request.headers.get('authorization') ?? '')
      return toProblem(refusal, answer, { metadataUrl, scopes: route.resource.scopes, dpop })
    },
  )
}

function answerClient(
  ports: AppPorts,
  request: Request,
  door: Facts['door'],
  endpoint: ClientEndpoint,
): Promise<Response> {
  const id = newId()
  const trace = createTraceContext(request.headers.get('traceparent'), id)
  const facts = newFacts(door, request, id, trace)
  const basic = /^basic\b/i.test(request.headers.get('authorization') ?? '')
  return decide(
    ports,
    facts,
    () => endpoint(request, facts),
    (refusal, answer) => toTokenError(refusal, answer, basic),
  )
}

function answerAdmin(
  ports: AppPorts,
  admin: Admin,
  request: Request,
  access: AccessSession | undefined,
): Promise<Response> {
  const id = newId()
  const facts = newFacts('admin.request', request, id, createTraceContext(request.headers.get('traceparent'), id))
  return decide(
    ports,
    facts,
    () => admin.handle(request, access, facts),
    (refusal, answer) => toAdminProblem(refusal, answer),
  )
}

/** Runs one decision to its end: an answer and exactly one event, whatever happens on the way. */
async function decide(
  ports: AppPorts,
  facts: Facts,
  work: () => Promise<Result<Response, Refusal>>,
  toBytes: (refusal: Refusal, context: AnswerContext) => Response,
): Promise<Response> {
  const start = ports.clock.millis()
  const result = await work().catch((error: unknown) => err<Refusal>({ code: 'INT100', detail: whereabouts(error) }))
  const response = result.ok ? result.value : toBytes(result.error, context(ports.config, facts.requestId))
  const totalMs = ports.clock.millis() - start
  // What an API has answered is passed on as it is.
  if (!result.ok || facts.door !== 'request.forward') label(response, facts, totalMs)
  ports.recorder.write(facts, { status: response.status, refusal: result.ok ? undefined : result.error, totalMs })
  return response
}

/** Where a token is got or used. At the other doors it is nobody's business how long a look-up takes: it could tell what was found. */
const TIMED: ReadonlySet<Facts['door']> = new Set(['request.forward', 'token.issue'])

/**
 * An answer of ours says by which id it is on record, and how long it took (Server Timing): to whoever has proven who they are,
 * and to nobody else; in whole milliseconds.
 */
function label(
  { headers }: Response,
  { door, requestId, client, assertion, credential }: Facts,
  totalMs: number,
): void {
  headers.set('jagway-request-id', requestId)
  if (!TIMED.has(door) || (client === undefined && assertion === undefined)) return
  const parts = Object.entries({ ...credential?.ms, total: totalMs })
  headers.set('server-timing', parts.map(([name, ms]) => `${name};dur=${Math.round(ms)}`).join(', '))
}

function newFacts(door: Facts['door'], request: Request, id: string, { traceId }: TraceContext): Facts {
  return { door, requestId: `req_${id}`, traceId, method: request.method }
}

/** 32 random hexadecimal digits: what the ids of a request are made of. */
function newId(): string {
  return crypto.randomUUID().replaceAll('-', '')
}

/** Without an id: there is no decision behind the answer, and so no event that an id could lead to. */
function context(config: Config, requestId?: string): AnswerContext {
  return { requestId, errorPages: `${config.publicUrl}/errors/`, inFull: config.errors.detail === 'full' }
}

/** Where a fault came from, for the auditor: the kind of error and the place. Messages may quote what they choked on. */
function whereabouts(error: unknown): string {
  if (!(error instanceof Error)) return 'something that is not an Error was thrown'
  const place = error.stack?.split('\n').find((line) => line.trimStart().startsWith('at '))
  return place === undefined ? error.name : `${error.name} ${place.trim()}`
}
