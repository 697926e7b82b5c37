import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cleanResponseHeaders, toPublicLocation, toUpstreamHeaders } from '../../../src/gateway/headers.ts'
import type { Proxy } from '../../../src/parties.ts'

const PROXY: Proxy = {
  match: { kind: 'path', prefix: '/r/tasks' },
  upstream: 'https://api.tasks.test/v1',
  requestHeaders: ['x-app', 'x-more'],
  cookies: [],
  ownOrigins: new Set(['https://gw.test', 'https://app.test']),
  replayMaxBytes: 0,
  webSocket: true,
  publicUrl: 'https://gw.test/r/tasks',
  metadataUrl: 'https://gw.test/.well-known/oauth-protected-resource/r/tasks',
}
const TARGET = 'https://api.tasks.test/v1/todos/7?x=1'

const TRACEPARENT = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`

/** Without the traceparent that always goes along. */
function upstream(headers: Record<string, string>, upgrade = false, carried = false): Record<string, string> {
  const trace = { traceId: 'ab'.repeat(16), traceparent: TRACEPARENT, carried }
  const request = new Request('https://gw.test/r/tasks', { headers })
  const { traceparent, ...rest } = toUpstreamHeaders(request, PROXY, upgrade, trace)
  expect(traceparent).toBe(TRACEPARENT)
  return rest
}

function cleaned(headers: Record<string, string>): Record<string, string> {
  const answer = new Headers(headers)
  cleanResponseHeaders(answer, PROXY, TARGET)
  return Object.fromEntries(answer)
}

describe('headers to the upstream', () => {
  test('are the ones on the list, and those the resource adds', () => {
    const passed = {
      accept: 'application/json',
      'accept-encoding': 'gzip',
      'content-type': 'text/plain',
      'idempotency-key': '1',
      'if-none-match': '"x"',
      'last-event-id': '7',
      'mcp-protocol-version': '2026-07-28',
      'mcp-session-id': 's',
      range: 'bytes=0-1',
      'user-agent': 'agent/1',
      'x-app': 'a',
      'x-more': 'b',
    }
    expect(upstream(passed)).toEqual(passed)
  })

  test.each([
    'authorization',
    'cookie',
    'proxy-authorization',
    'dpop',
    'x-api-key',
    'host',
    'forwarded',
    'via',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-user',
    'x-real-ip',
    'x-original-url',
    'x-rewrite-url',
    'x-http-method-override',
    'x-user',
    'x-remote-user',
    'cf-connecting-ip',
    'cf-access-jwt-assertion',
    'connection',
    'keep-alive',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
    'content-length',
    'expect',
    'referer',
    'sec-fetch-site',
    'sec-websocket-key',
    'sec-websocket-protocol',
    'traceparent',
    'early-data',
    'max-forwards',
    'x-anything-else',
  ])('never include %s', (name) => {
    expect(upstream({ [name]: 'SPOOF', accept: '*/*' })).toEqual({ accept: '*/*' })
  })

  test('include the state of a trace that came with the request, and of no other', () => {
    expect(upstream({ tracestate: 'v=1', traceparent: 'SPOOF' }, false, true)).toEqual({ tracestate: 'v=1' })
    expect(upstream({ tracestate: 'v=1', traceparent: 'SPOOF' }, false, false)).toEqual({})
    expect(upstream({ tracestate: 'v=1', connection: 'tracestate' }, false, true)).toEqual({})
  })

  test('do not include what the caller names for this hop only (RFC 9110 section 7.6.1)', () => {
    const headers = { connection: 'close, X-App ,  accept', accept: '*/*', 'x-app': 'a', 'x-more': 'b' }
    expect(upstream(headers)).toEqual({ 'x-more': 'b' })
  })

  test('let no header through by any name that is not on the list', () => {
    const name = fc.string({
      unit: fc.constantFrom('a', 'b', 'e', 'f', 'o', 'r', 't', 'x', '-', '_', '0'),
      minLength: 1,
      maxLength: 12,
    })
    fc.assert(
      fc.property(name, (tried) => {
        const sent = upstream({ [`x-${tried}`]: 'SPOOF', [`${tried}-authorization`]: 'SPOOF' })
        expect(Object.keys(sent).filter((each) => each !== 'x-app' && each !== 'x-more')).toEqual([])
      }),
    )
  })

  test('of MCP include those whose names nobody can list, for callers that speak it', () => {
    const mcp = {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'search',
      'mcp-param-region': 'us',
    }
    expect(upstream({ ...mcp, 'mcp-param-a_b': 'SPOOF', 'x-mcp-param': 'SPOOF' })).toEqual(mcp)
    expect(upstream({ ...mcp, connection: 'mcp-name' })).not.toHaveProperty('mcp-name')
    expect(upstream({ 'mcp-session-id': 's', 'mcp-param-region': 'us' })).toEqual({ 'mcp-session-id': 's' })
  })

  test.each(['https://gw.test', 'https://app.test'])('do not include the origin %s: we have judged it', (origin) => {
    expect(upstream({ origin })).toEqual({})
  })

  test.each(['https://evil.test', 'null', 'https://app.test.evil.test', 'https://gw.test:8443'])(
    'include the origin %s, for the upstream to judge it as without us',
    (origin) => {
      expect(upstream({ origin })).toEqual({ origin })
      expect(upstream({ origin, connection: 'origin' })).toEqual({})
    },
  )

  test('of an upgrade include what a WebSocket needs, and only then', () => {
    const headers = {
      upgrade: 'WebSocket',
      connection: 'Upgrade',
      'sec-websocket-key': 'k',
      'sec-websocket-version': '13',
      'sec-websocket-protocol': 'mqtt',
      'sec-websocket-accept': 'SPOOF',
    }
    const { upgrade: _upgrade, connection: _connection, 'sec-websocket-accept': _accept, ...rest } = headers
    expect(upstream(headers, true)).toEqual({ ...rest, upgrade: 'websocket' })
    expect(upstream(headers, false)).toEqual({})
  })
})

describe('headers to the caller', () => {
  test('pass as they are, and are kept by no cache', () => {
    const headers = {
      'content-type': 'application/json',
      'content-encoding': 'gzip',
      etag: '"x"',
      'x-request-cost': '3',
      'retry-after': '7',
      vary: 'accept',
      'content-security-policy': "default-src 'self'",
    }
    expect(cleaned(headers)).toEqual({ ...headers, 'cache-control': 'no-store' })
  })

  test.each([
    'set-cookie',
    'www-authenticate',
    'proxy-authenticate',
    'proxy-authentication-info',
    'proxy-status',
    'strict-transport-security',
    'clear-site-data',
    'alt-svc',
    'access-control-allow-origin',
    'access-control-allow-credentials',
    'access-control-allow-headers',
    'access-control-allow-methods',
    'access-control-expose-headers',
    'access-control-max-age',
    'service-worker-allowed',
    'nel',
    'report-to',
    'connection',
    'keep-alive',
    'trailer',
    'cdn-cache-control',
    'cloudflare-cdn-cache-control',
    'surrogate-control',
    'accept-ch',
    'critical-ch',
    'activate-storage-access',
    'origin-agent-cluster',
    'reporting-endpoints',
    'sec-session-registration',
    'secure-session-registration',
    'secure-session-challenge',
    'use-as-dictionary',
    'public-key-pins',
    'x-accel-expires',
    'x-sendfile',
    'jagway-request-id',
  ])('never include %s: it would speak for our origin, or for the connection behind us', (name) => {
    expect(cleaned({ [name]: 'SPOOF', etag: '"x"' })).toEqual({ etag: '"x"', 'cache-control': 'no-store' })
  })

  test('do not include what the upstream names for its own connection', () => {
    expect(cleaned({ connection: 'X-Hop, x-other', 'x-hop': 'SPOOF', 'x-other': 'SPOOF', 'x-stays': 'y' })).toEqual({
      'x-stays': 'y',
      'cache-control': 'no-store',
    })
  })

  test.each([
    ['private, max-age=60', 'private, max-age=60'],
    ['max-age=60, PRIVATE', 'max-age=60, PRIVATE'],
    ['no-store', 'no-store'],
    ['no-cache', 'no-store'],
    ['no-cache, public', 'no-store'],
    ['public, no-cache, s-maxage=600', 'no-store'],
    ['public, max-age=600', 'no-store'],
    ['s-maxage=600', 'no-store'],
    ['max-age=600, immutable', 'no-store'],
    ['', 'no-store'],
    ['x-private', 'no-store'],
    ['public, private="x-foo"', 'no-store'],
    ['public, no-cache="set-cookie"', 'no-store'],
    ['no-cache="a, private, b", public, s-maxage=600', 'no-store'],
    ['no-cache="a\\", private, b', 'no-store'],
    ['no-cache="a", private', 'no-cache="a", private'],
  ])('turn cache-control %j into %j: what one user fetched is nobody else’s', (before, after) => {
    expect(cleaned({ 'cache-control': before })['cache-control']).toBe(after)
  })
})

describe('toPublicLocation()', () => {
  test.each<[string, string, string | undefined]>([
    ['a path within the upstream', '/v1/todos', 'https://gw.test/r/tasks/todos'],
    ['a relative path', '8', 'https://gw.test/r/tasks/todos/8'],
    ['a query alone', '?page=2', 'https://gw.test/r/tasks/todos/7?page=2'],
    ['the root of the upstream', '/v1', 'https://gw.test/r/tasks'],
    ['the root with a query', '/v1?a=b', 'https://gw.test/r/tasks?a=b'],
    ['the root with a fragment', '/v1#top', 'https://gw.test/r/tasks#top'],
    ['a full address within', 'https://api.tasks.test/v1/x?y#z', 'https://gw.test/r/tasks/x?y#z'],
    ['a full address in capitals', 'HTTPS://API.tasks.test:443/v1/x', 'https://gw.test/r/tasks/x'],
    ['an escaped way within', '/v1/a%2Fb', 'https://gw.test/r/tasks/a%2Fb'],
    ['a neighbour of the prefix', '/v1x/todos', 'https://api.tasks.test/v1x/todos'],
    ['a way out of the prefix', '/v1/../admin', 'https://api.tasks.test/admin'],
    ['an encoded way out', '/v1/%2e%2e/admin', 'https://api.tasks.test/admin'],
    ['another origin', 'https://files.test/x', 'https://files.test/x'],
    ['another origin without a scheme', '//files.test/x', 'https://files.test/x'],
    ['a name that only begins so', 'https://api.tasks.test.evil.test/v1/x', 'https://api.tasks.test.evil.test/v1/x'],
    ['a user in front', 'https://api.tasks.test@evil.test/v1', undefined],
    ['a password', 'https://u:p@api.tasks.test/v1/x', undefined],
    ['plain http', 'http://api.tasks.test/v1/x', undefined],
    ['a script', 'javascript:alert(1)', undefined],
    ['data', 'data:text/html,x', undefined],
    ['nothing that can be read', 'https://[', undefined],
  ])('%s', (_what, location, answer) => {
    expect(toPublicLocation(location, PROXY, TARGET)).toBe(answer)
  })

  test('never names the upstream where the redirect stays within it', () => {
    const path = fc
      .array(fc.constantFrom('a', '..', '.', '%2e', '%2F', '', '?', '#', ';'))
      .map((list) => `/v1/${list.join('/')}`)
    fc.assert(
      fc.property(path, (location) => {
        const answer = toPublicLocation(location, PROXY, TARGET)
        const isWithin = new URL(location, TARGET).pathname.startsWith('/v1/')
        if (isWithin) expect(answer?.startsWith('https://gw.test/r/tasks/')).toBe(true)
      }),
    )
  })

  test('a location that may not pass is removed, not left', () => {
    expect(cleaned({ location: 'http://internal.test/' })).toEqual({ 'cache-control': 'no-store' })
    expect(cleaned({ location: '/v1/x' })).toMatchObject({ location: 'https://gw.test/r/tasks/x' })
  })
})
