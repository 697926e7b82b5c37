// Where resources appear at our door: no two in one place, none inside another, none over our own endpoints.
import type { Proxy } from '../parties.ts'
import { checkReach, type Linker } from './linker.ts'
import { quote, type ConfigPath } from './problem.ts'
import type { ResourceEntry } from './schema.ts'

type ProxyEntry = NonNullable<ResourceEntry['proxy']>

/** First path segments that are ours. */
const RESERVED = [
  'token',
  'revoke',
  'introspect',
  'authorize',
  'jwks',
  'clients',
  '.well-known',
  'errors',
  'admin',
  'healthz',
]

/** Absolute, at least one segment, unreserved characters (RFC 3986 section 2.3) only: one spelling, one meaning. */
const PATH = /^(?:\/[A-Za-z0-9_~.-]+)+$/
const DOT_SEGMENT = /\/\.\.?(?:\/|$)/
const HOST = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** RFC 6265 section 4.1.1. */
const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/
/** Ours, and those of the platform before us: that of Cloudflare Access is a credential. */
const COOKIES_WITHHELD = /^(?:jagway|__(?:host|secure)-jagway|cf_|__cf|_cfuvid$)/i
const HEADER_NAME = /^[A-Za-z0-9-]{1,100}$/

/**
 * Headers a caller must not reach an upstream with: its credentials for us, what belongs to one connection (RFC 9110
 * section 7.6.1), and what upstreams mistake for the word of a proxy they trust (T23, T24).
 */
const WITHHELD =
  /^(?:authorization|dpop|(?:set-)?cookie2?|host|content-length|connection|keep-alive|te|trailer|transfer-encoding|upgrade|forwarded|via|x-real-ip|true-client-ip|x-original-.*|x-rewrite-.*|x-http-method.*|x-method-override|proxy-.*|x-forwarded-.*|cf-.*)$/

interface Place {
  readonly name: string
  readonly match: Proxy['match']
  readonly path: ConfigPath
}

export function linkProxies(linker: Linker): Map<string, Proxy> {
  const proxies = new Map<string, Proxy>()
  const places: Place[] = []
  for (const [name, resource] of linker.draft.resources) {
    if (resource.proxy === undefined) continue
    const path = ['resources', name, 'proxy']
    const match = linkMatch(linker, resource.proxy, path)
    checkReach(linker, resource.proxy.upstream, [...path, 'upstream'])
    const requestHeaders = resource.proxy.request_headers.map((header) => header.toLowerCase())
    requestHeaders.forEach((header, index) => checkHeader(linker, header, [...path, 'request_headers', index]))
    const { cookies } = resource.proxy
    cookies.forEach((cookie, index) => checkCookie(linker, cookie, match, [...path, 'cookies', index]))
    if (match === undefined) continue
    const place: Place = { name, match, path: [...path, match.kind] }
    const taken = places.find((other) => collide(other.match, match))
    if (taken !== undefined) {
      const help = `resources.${taken.name}.proxy has ${quote(placeOf(taken.match))}; every request must have one meaning`
      linker.report({ code: 'CFG110', path: place.path, message: 'another resource stands in this place', help })
    }
    places.push(place)
    const publicPlace = publicPlaceOf(linker.draft.publicUrl, match)
    proxies.set(name, {
      match,
      upstream: resource.proxy.upstream.replace(/\/$/, ''),
      requestHeaders,
      cookies,
      ownOrigins: new Set([new URL(publicPlace.publicUrl).origin, ...(linker.draft.settings.cors?.origins ?? [])]),
      webSocket: resource.proxy.web_socket,
      replayMaxBytes: resource.proxy.replay_max_bytes,
      ...publicPlace,
    })
  }
  return proxies
}

function linkMatch(linker: Linker, { path, host }: ProxyEntry, at: ConfigPath): Proxy['match'] | undefined {
  if (path !== undefined && host !== undefined) {
    const message = 'a resource stands under a path or at a host of its own, not both'
    linker.report({ code: 'CFG112', path: [...at, 'host'], at: 'key', message })
    return undefined
  }
  if (path !== undefined) return linkPath(linker, path, [...at, 'path'])
  if (host !== undefined) return linkHost(linker, host, [...at, 'host'])
  const message = 'the key "path" or the key "host" is missing here'
  const restsOn = [
    [...at, 'path'],
    [...at, 'host'],
  ]
  linker.report({ code: 'CFG103', path: at, at: 'key', message, restsOn })
  return undefined
}

function linkPath({ report }: Linker, prefix: string, path: ConfigPath): Proxy['match'] | undefined {
  if (!PATH.test(prefix) || DOT_SEGMENT.test(prefix)) {
    const message = 'a path such as "/r/tasks" is expected here'
    const help = 'it begins with a slash, does not end with one, and has only A-Z a-z 0-9 . _ ~ - between them'
    report({ code: 'CFG110', path, message, help })
    return undefined
  }
  const first = prefix.split('/')[1] ?? ''
  if (RESERVED.includes(first.toLowerCase())) {
    const help = `our own are /${RESERVED.join(', /')}`
    report({ code: 'CFG110', path, message: `what begins with /${first} is ours`, help })
    return undefined
  }
  return { kind: 'path', prefix }
}

function linkHost({ draft, report }: Linker, host: string, path: ConfigPath): Proxy['match'] | undefined {
  if (!HOST.test(host)) {
    const help = 'lower case, no scheme, no port, no path, no IP address'
    report({ code: 'CFG110', path, message: 'a host name such as "tasks.gw.example" is expected here', help })
    return undefined
  }
  if (new URL(draft.publicUrl).hostname === host) {
    const help = 'give the resource a path on it, or a host of its own'
    report({ code: 'CFG110', path, message: 'this is the host of "public_url"', help })
    return undefined
  }
  return { kind: 'host', host }
}

function checkHeader({ report }: Linker, header: string, path: ConfigPath): void {
  if (!HEADER_NAME.test(header)) {
    const help = 'letters, digits and - only; a name with _ means another header to some upstreams'
    report({ code: 'CFG104', path, message: 'a header name is expected here', help })
  } else if (WITHHELD.test(header)) {
    const message = `the header ${quote(header)} is never passed on`
    report({
      code: 'CFG104',
      path,
      message,
      help: 'credentials, connection headers and what proxies vouch for stay here',
    })
  }
}

function checkCookie({ report }: Linker, cookie: string, match: Proxy['match'] | undefined, path: ConfigPath): void {
  if (!COOKIE_NAME.test(cookie)) {
    const help = "letters, digits and -_.~!#$%&'*+^`|, exactly as the API writes it"
    report({ code: 'CFG104', path, message: 'the name of a cookie is expected here', help })
  } else if (COOKIES_WITHHELD.test(cookie)) {
    const help = 'it belongs to this gateway or to the platform before it'
    report({ code: 'CFG104', path, message: `the cookie ${quote(cookie)} is never passed on`, help })
  } else if (/^__host-/i.test(cookie) && match?.kind === 'path') {
    const help = 'browsers keep such a cookie for a whole host; give the resource a host of its own'
    report({ code: 'CFG112', path, message: `the cookie ${quote(cookie)} cannot be kept for a path`, help })
  }
}

function collide(left: Proxy['match'], right: Proxy['match']): boolean {
  if (left.kind === 'host') return right.kind === 'host' && left.host === right.host
  if (right.kind === 'host') return false
  return `${left.prefix}/`.startsWith(`${right.prefix}/`) || `${right.prefix}/`.startsWith(`${left.prefix}/`)
}

function placeOf(match: Proxy['match']): string {
  return match.kind === 'path' ? match.prefix : match.host
}

/** RFC 9728 section 3.1: the well-known segment goes between the host and the path of the resource identifier. */
function publicPlaceOf(publicUrl: string, match: Proxy['match']): Pick<Proxy, 'publicUrl' | 'metadataUrl'> {
  const well = '/.well-known/oauth-protected-resource'
  if (match.kind === 'path') {
    return { publicUrl: publicUrl + match.prefix, metadataUrl: publicUrl + well + match.prefix }
  }
  // The same listener, so the same scheme and port.
  const { protocol, port } = new URL(publicUrl)
  const origin = `${protocol}//${match.host}${port === '' ? '' : `:${port}`}`
  return { publicUrl: origin, metadataUrl: origin + well }
}
