// Which headers cross the gateway. Requests by allow-list: no identity header, credential or hop-by-hop header of the caller
// reaches an upstream (threats T22 to T24), and no cookie but those the resource names. Responses by deny-list: nothing that
// speaks for our origin, or that belongs to the connection between us and the upstream (RFC 9110 section 7.6.1).
import type { TraceContext } from '../lib/trace-context.ts'
import type { Proxy } from '../parties.ts'
import { toPublicCookies, toUpstreamCookies } from './cookies.ts'

const REQUEST_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'content-digest',
  'content-encoding',
  'content-language',
  'content-type',
  'idempotency-key',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-event-id',
  'mcp-protocol-version',
  'mcp-session-id',
  'prefer',
  'range',
  'tracestate',
  'user-agent',
])

const MCP_HEADER = /^mcp-[a-z0-9-]+$/

const WEBSOCKET_HEADERS: ReadonlySet<string> = new Set([
  'sec-websocket-extensions',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-version',
])

/** The headers for the upstream, without its credential, in lower case. */
export function toUpstreamHeaders(
  { headers }: Request,
  proxy: Proxy,
  upgrade: boolean,
  trace: TraceContext,
): Record<string, string> {
  const withheld = nominatedBy(headers.get('connection'))
  // W3C Trace Context section 3.3: without a valid traceparent its state means nothing.
  if (!trace.carried) withheld.push('tracestate')
  const passed: Record<string, string> = {}
  // In one pass: each call into the platform costs, and there are fewer headers than names that may pass.
  headers.forEach((value, name) => {
    if (mayPass(name, value, headers, proxy, upgrade) && !withheld.includes(name)) passed[name] = value
  })
  if (proxy.cookies.length > 0 && !withheld.includes('cookie')) {
    const cookies = toUpstreamCookies(headers.get('cookie') ?? '', proxy)
    if (cookies !== '') passed['cookie'] = cookies
  }
  if (upgrade) passed['upgrade'] = 'websocket'
  passed['traceparent'] = trace.traceparent
  return passed
}

/** `value`: as it came. Whatever the Connection header names is judged elsewhere. */
function mayPass(name: string, value: string, headers: Headers, proxy: Proxy, upgrade: boolean): boolean {
  if (REQUEST_HEADERS.has(name) || proxy.requestHeaders.includes(name)) return true
  // A page of an origin that is neither ours nor listed: the upstream judges it as it would without us.
  if (name === 'origin') return !proxy.ownOrigins.has(value)
  // The names of some depend on the tool that is called (Mcp-Param-*). Without the version there are none.
  if (name.startsWith('mcp-')) return MCP_HEADER.test(name) && headers.has('mcp-protocol-version')
  return upgrade && WEBSOCKET_HEADERS.has(name)
}

const RESPONSE_HEADERS_DROPPED: ReadonlySet<string> = new Set([
  'accept-ch',
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-local-network',
  'access-control-allow-methods',
  'access-control-allow-origin',
  'access-control-allow-private-network',
  'access-control-expose-headers',
  'access-control-max-age',
  'activate-storage-access',
  'alt-svc',
  'cdn-cache-control',
  'clear-site-data',
  'cloudflare-cdn-cache-control',
  'connection',
  'content-location',
  'critical-ch',
  'dpop-nonce',
  'jagway-request-id',
  'keep-alive',
  'nel',
  'origin-agent-cluster',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-status',
  'public-key-pins',
  'refresh',
  'report-to',
  'reporting-endpoints',
  'sec-session-challenge',
  'sec-session-registration',
  'secure-session-challenge',
  'secure-session-registration',
  'service-worker-allowed',
  'set-cookie',
  'set-cookie2',
  'set-login',
  'sourcemap',
  'speculation-rules',
  'strict-transport-security',
  'surrogate-control',
  'timing-allow-origin',
  'trailer',
  'use-as-dictionary',
  'www-authenticate',
  'x-accel-expires',
  'x-accel-redirect',
  'x-sendfile',
])

// With a list of fields (`private="x"`) they are about these fields alone (RFC 9111 section 5.2.2).
const SHARED_CACHING = /(?:^|,)\s*(?:private|no-store)\s*(?:,|$)/i

/** Cleans the headers of an upstream's answer in place. `target` is the URL it answered for. */
export function cleanResponseHeaders(headers: Headers, proxy: Proxy, target: string): void {
  const cookies = proxy.cookies.length > 0 ? toPublicCookies(headers.getSetCookie(), proxy, target) : []
  const dropped = nominatedBy(headers.get('connection'))
  // In one pass: each call into the platform costs, and there are fewer headers than names that may not pass.
  headers.forEach((_value, name) => {
    if (RESPONSE_HEADERS_DROPPED.has(name)) dropped.push(name)
  })
  for (const name of dropped) headers.delete(name)
  for (const cookie of cookies) headers.append('set-cookie', cookie)
  // What was fetched with one user's token is nobody else's (RFC 9111 section 3.5).
  if (!SHARED_CACHING.test(unquoted(headers.get('cache-control') ?? ''))) headers.set('cache-control', 'no-store')
  const location = headers.get('location')
  if (location === null) return
  const rewritten = toPublicLocation(location, proxy, target)
  if (rewritten === undefined) headers.delete('location')
  else headers.set('location', rewritten)
}

/** Without the lists of fields, in which a directive is none. */
function unquoted(cacheControl: string): string {
  return cacheControl.includes('"') ? cacheControl.replaceAll(/"(?:[^"\\]|\\.)*"?/g, '""') : cacheControl
}

/**
 * A redirect within the upstream leads through us again; one to another origin is passed on only over https, for the
 * caller to decide (it takes no token of ours along). Anything else is not passed on.
 */
export function toPublicLocation(location: string, proxy: Proxy, target: string): string | undefined {
  if (!URL.canParse(location, target)) return undefined
  const url = new URL(location, target)
  const { href } = url
  const { upstream } = proxy
  if (href === upstream || ['/', '?', '#'].some((next) => href.startsWith(upstream + next))) {
    return proxy.publicUrl + href.slice(upstream.length)
  }
  return url.protocol === 'https:' && url.username === '' && url.password === '' ? href : undefined
}

/** RFC 9110 section 7.6.1: what the Connection header names is for the next hop only. */
function nominatedBy(connection: string | null): string[] {
  return connection === null
    ? []
    : connection
        .split(',')
        .map((name) => name.trim().toLowerCase())
        .filter(isToken)
}

function isToken(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)
}
