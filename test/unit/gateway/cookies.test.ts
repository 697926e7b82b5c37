import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toPublicCookies, toUpstreamCookies } from '../../../src/gateway/cookies.ts'
import { cleanResponseHeaders, toUpstreamHeaders } from '../../../src/gateway/headers.ts'
import { createTraceContext } from '../../../src/lib/trace-context.ts'
import type { Proxy } from '../../../src/parties.ts'

const UNDER_PATH: Proxy = {
  match: { kind: 'path', prefix: '/r/tasks' },
  upstream: 'https://api.tasks.test/v1',
  requestHeaders: [],
  cookies: ['lb', 'pref', '__Secure-lb'],
  ownOrigins: new Set(),
  replayMaxBytes: 0,
  webSocket: false,
  publicUrl: 'https://gw.test/r/tasks',
  metadataUrl: 'https://gw.test/.well-known/oauth-protected-resource/r/tasks',
}
const AT_HOST: Proxy = {
  ...UNDER_PATH,
  match: { kind: 'host', host: 'tasks.gw.test' },
  upstream: 'https://api.tasks.test',
  cookies: ['lb', '__Host-lb'],
  publicUrl: 'https://tasks.gw.test',
}
const NONE: Proxy = { ...UNDER_PATH, cookies: [] }
const TARGET = 'https://api.tasks.test/v1/todos/7?next=/elsewhere/'

function set(header: string, proxy = UNDER_PATH, target = TARGET): string | undefined {
  const [one, ...others] = toPublicCookies([header], proxy, target)
  expect(others).toEqual([])
  return one
}

describe('cookies of a request', () => {
  test('stay behind unless they are named', () => {
    const header = 'session=SPOOF; lb=1; CF_Authorization=SPOOF; pref=a%20b; LB=SPOOF; lb2=SPOOF'
    expect(toUpstreamCookies(header, UNDER_PATH)).toBe('lb=1; pref=a%20b')
    expect(toUpstreamCookies(header, NONE)).toBe('')
    expect(toUpstreamCookies('session=SPOOF', UNDER_PATH)).toBe('')
    expect(toUpstreamCookies('', UNDER_PATH)).toBe('')
  })

  test('of one name pass together, in their order', () => {
    expect(toUpstreamCookies('lb=near;lb=far', UNDER_PATH)).toBe('lb=near; lb=far')
  })

  test('may be quoted or empty', () => {
    expect(toUpstreamCookies('lb="a"; pref=', UNDER_PATH)).toBe('lb="a"; pref=')
  })

  test.each(['lb=1, session=SPOOF', 'lb=1,session=SPOOF', 'lb=a b', 'lb="a', 'lb=a\\b', 'lb', '=lb', 'lb=é'])(
    'that could hide another stay behind: %s',
    (header) => {
      expect(toUpstreamCookies(header, UNDER_PATH)).toBe('')
    },
  )

  test('stay behind where the caller names them for this hop only', () => {
    const request = new Request('https://gw.test/', { headers: { cookie: 'lb=1', connection: 'Cookie' } })
    const trace = createTraceContext(null, '0'.repeat(32))
    expect(Object.keys(toUpstreamHeaders(request, UNDER_PATH, false, trace))).toEqual(['traceparent'])
  })

  test('never carry a name that is not listed, whatever they look like', () => {
    const unit = fc.constantFrom('l', 'b', '=', ';', ',', ' ', '"', '\\', '\t', 'S', 'x')
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 30 }), (header) => {
        const passed = toUpstreamCookies(header, { ...UNDER_PATH, cookies: ['lb'] })
        expect(passed.split(/[;,] ?/).every((pair) => pair === '' || pair.startsWith('lb='))).toBe(true)
      }),
    )
  })
})

describe('cookies of an answer', () => {
  test('are kept for this resource of this host, with what they say of how they are kept', () => {
    const header =
      'lb=1; Domain=tasks.test; Path=/v1/todos; Expires=Wed, 21 Oct 2099 07:28:00 GMT; Max-Age=60; Secure; HttpOnly; SameSite=Strict; Priority=High'
    expect(set(header)).toBe(
      'lb=1; Path=/r/tasks/todos; Expires=Wed, 21 Oct 2099 07:28:00 GMT; Max-Age=60; Secure; HttpOnly; SameSite=Strict',
    )
  })

  test('come several at once, and only those that are named', () => {
    const headers = ['session=SPOOF; Path=/', 'lb=1', 'pref=2', 'LB=SPOOF', 'gw=SPOOF; lb=1']
    expect(toPublicCookies(headers, UNDER_PATH, TARGET)).toEqual([
      'lb=1; Path=/r/tasks/todos; Secure',
      'pref=2; Path=/r/tasks/todos; Secure',
    ])
    expect(toPublicCookies(headers, NONE, TARGET)).toEqual([])
  })

  test.each([
    ['/v1', '/r/tasks'],
    ['/v1/', '/r/tasks'],
    ['/v1/todos', '/r/tasks/todos'],
    ['/v1/todos/', '/r/tasks/todos/'],
    // Wider than the resource: the resource.
    ['/', '/r/tasks'],
    // None, or none that counts: the folder of the request.
    ['', '/r/tasks/todos'],
    ['todos', '/r/tasks/todos'],
  ])('with the path %j get %j', (path, expected) => {
    expect(set(`lb=1; Path=${path}`)).toBe(`lb=1; Path=${expected}; Secure`)
  })

  test.each(['/v2', '/v1x', '/v', '/V1', '/v1/\u00e9', '/r/notes'])(
    'with the path %j, which is not of this resource, are dropped',
    (path) => {
      expect(set(`lb=1; Path=${path}`)).toBeUndefined()
    },
  )

  test('without a path never reach further than the resource, where a browser would let them', () => {
    expect(set('lb=1', UNDER_PATH, 'https://api.tasks.test/v1/')).toBe('lb=1; Path=/r/tasks; Secure')
    expect(set('lb=1', AT_HOST, 'https://api.tasks.test/')).toBe('lb=1; Path=/; Secure')
    expect(set('lb=1', AT_HOST, 'https://api.tasks.test/a/b')).toBe('lb=1; Path=/a; Secure')
  })

  test('obey the last of several paths, as in browsers', () => {
    expect(set('lb=1; Path=/v1/a; path=/v1/b')).toBe('lb=1; Path=/r/tasks/b; Secure')
    expect(set('lb=1; Path=/v1/a; Path=/v2')).toBeUndefined()
  })

  test('are sent over https only where we are reached by it', () => {
    expect(set('lb=1', { ...AT_HOST, publicUrl: 'http://tasks.gw.test' })).toBe('lb=1; Path=/v1/todos')
    expect(set('lb=1; secure', AT_HOST)).toBe('lb=1; Path=/v1/todos; Secure')
  })

  test.each([
    ['__Host-lb=1; Path=/; Secure', '__Host-lb=1; Path=/; Secure'],
    ['__Host-lb=1; Path=/; Secure; HttpOnly', '__Host-lb=1; Path=/; Secure; HttpOnly'],
    ['__Host-lb=1; Path=/', undefined],
    ['__Host-lb=1; Secure', undefined],
    ['__Host-lb=1; Path=/v1; Secure', undefined],
    ['__Host-lb=1; Path=/; Secure; Domain=tasks.test', undefined],
  ])('bear the name %s only where it was true at the upstream', (header, expected) => {
    expect(set(header, AT_HOST)).toBe(expected)
  })

  test('bear the prefix __Host- under no path, and __Secure- only where they were secure', () => {
    const named = { ...UNDER_PATH, cookies: ['__Host-lb', '__Secure-lb', '__SECURE-lb'] }
    expect(set('__Host-lb=1; Path=/; Secure', named)).toBeUndefined()
    expect(set('__Secure-lb=1; Secure; Path=/v1', named)).toBe('__Secure-lb=1; Path=/r/tasks; Secure')
    expect(set('__Secure-lb=1; Path=/v1', named)).toBeUndefined()
    expect(set('__SECURE-lb=1; Path=/v1', named)).toBeUndefined()
  })

  test.each(['lb', '=1', '; lb=1', 'lb=1,session=SPOOF', 'lb=a b', 'lb=\u00e9', ''])(
    'that are none, or more than one, are dropped: %j',
    (header) => {
      expect(set(header)).toBeUndefined()
    },
  )

  test('leave nothing else of Set-Cookie in the answer', () => {
    const headers = new Headers([
      ['set-cookie', 'session=SPOOF; Path=/'],
      ['set-cookie', 'lb=1; Path=/; Domain=evil.test'],
      ['set-cookie', 'pref=2; SameSite=Lax'],
      ['set-cookie2', 'session=SPOOF'],
      ['connection', 'set-cookie'],
    ])
    cleanResponseHeaders(headers, UNDER_PATH, TARGET)
    expect(headers.getSetCookie()).toEqual([
      'lb=1; Path=/r/tasks; Secure',
      'pref=2; Path=/r/tasks/todos; SameSite=Lax; Secure',
    ])
    expect(headers.has('set-cookie2')).toBe(false)
  })

  test('of one resource never reach another under the same host', () => {
    const path = fc.string({ unit: fc.constantFrom('/', 'v', '1', '.', '%', 'r', 't'), maxLength: 12 })
    fc.assert(
      fc.property(path, path, (given, folder) => {
        const cookie = set(`lb=1; Path=${given}`, UNDER_PATH, `https://api.tasks.test/v1/${folder}`)
        if (cookie !== undefined) expect(cookie).toMatch(/^lb=1; Path=\/r\/tasks(?:\/|;)/)
      }),
    )
  })
})
