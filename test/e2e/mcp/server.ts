// An MCP server as a resource of ID-JAGs: the protocol by the MCP TypeScript SDK, in sessions (revision 2025-11-25) and
// without (2026-07-28), and in front of it an authorization server that redeems ID-JAGs for JWT access tokens (RFC 9068).

import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import {
  createMcpHandler,
  isLegacyRequest,
  localhostAllowedOrigins,
  originValidationResponse,
  WebStandardStreamableHTTPServerTransport,
  type EventStore,
  type JSONRPCMessage,
} from '@modelcontextprotocol/server'
import { createTasksAuthorizationServer } from '../../../dev/tasks-as.ts'
import { startServer } from '../../../dev/server.ts'
import { Traffic } from '../../../dev/traffic.ts'
import { createServer } from './features.ts'

export type McpResource = {
  readonly origin: string
  /** The MCP endpoint, and the resource its tokens are for. */
  readonly resource: string
  readonly client: { readonly id: string; readonly secret: string }
  readonly traffic: Traffic
  readonly close: () => Promise<void>
}

const PATH = '/mcp'
const METADATA_PATH = `/.well-known/oauth-protected-resource${PATH}`

export async function startMcpResource(trusted: {
  readonly issuer: string
  readonly jwksUri: string
}): Promise<McpResource> {
  const traffic = new Traffic()
  const server = await startServer({
    port: 0,
    traffic,
    roleOf: (path) => (path.startsWith(PATH) ? 'tasks-api' : 'tasks-as'),
  })
  const { origin } = server
  const resource = `${origin}${PATH}`
  const client = { id: 'gateway-at-mcp', secret: 'gateway-at-mcp-secret' }
  const as = await createTasksAuthorizationServer({
    issuer: origin,
    resource,
    trusted,
    client,
    accessTokenSeconds: 600,
  })
  const mcp = createEndpoint()

  server.handle((request, response, exchange) => {
    if (exchange.role === 'tasks-as' && exchange.path !== METADATA_PATH) return as.handle(request, response, exchange)
    return void serve(request, response).catch(() => response.destroy())
  })

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === METADATA_PATH)
      return answer(response, Response.json({ resource, authorization_servers: [origin] }))
    const headers = new Headers(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
    const { method = 'GET' } = request
    const url = `${origin}${request.url ?? ''}`
    if ('error' in (await as.verify(new Request(url, { method, headers })))) {
      const challenge = `Bearer resource_metadata="${origin}${METADATA_PATH}"`
      return answer(response, new Response(null, { status: 401, headers: { 'www-authenticate': challenge } }))
    }
    const hasBody = method !== 'GET' && method !== 'HEAD'
    const init = hasBody ? { body: Readable.toWeb(request), duplex: 'half' as const } : {}
    const asked = new Request(url, { method, headers, ...init })
    return answer(response, originValidationResponse(asked, localhostAllowedOrigins()) ?? (await mcp(asked)))
  }

  return { origin, resource, client, traffic, close: server.close }
}

/** Sessions for whoever begins one with `initialize`; everybody else speaks the revision that needs none. */
function createEndpoint(): (request: Request) => Promise<Response> {
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>()
  const modern = createMcpHandler(() => createServer(() => modern.notify), { legacy: 'reject' })

  return async (request) => {
    if (!(await isLegacyRequest(request))) return modern.fetch(request)
    const known = sessions.get(request.headers.get('mcp-session-id') ?? '')
    if (known !== undefined) return known.handleRequest(request)
    if (request.headers.has('mcp-session-id')) return new Response(null, { status: 404 })
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void sessions.set(id, transport),
      onsessionclosed: (id) => void sessions.delete(id),
      eventStore: createEventStore(),
      retryInterval: 100,
    })
    await createServer(() => undefined).connect(transport)
    return transport.handleRequest(request)
  }
}

/** What has been sent, so that a stream can be taken up again where it broke off. */
function createEventStore(): EventStore {
  const events: { readonly id: string; readonly stream: string; readonly message: JSONRPCMessage }[] = []
  return {
    storeEvent: async (stream, message) => {
      const id = `${stream}_${events.length}`
      events.push({ id, stream, message })
      return id
    },
    getStreamIdForEventId: async (id) => events.find((event) => event.id === id)?.stream,
    replayEventsAfter: async (last, { send }) => {
      const at = events.findIndex(({ id }) => id === last)
      const stream = events[at]?.stream ?? ''
      for (const event of events.slice(at + 1)) if (event.stream === stream) await send(event.id, event.message)
      return stream
    },
  }
}

async function answer(response: ServerResponse, { status, headers, body }: Response): Promise<void> {
  response.writeHead(status, Object.fromEntries(headers))
  if (body === null) {
    response.end()
    return
  }
  const reader = body.getReader()
  response.once('close', () => void reader.cancel().catch(() => undefined))
  response.flushHeaders()
  for (let part = await reader.read(); !part.done; part = await reader.read()) response.write(part.value)
  response.end()
}
