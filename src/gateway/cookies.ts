// Cookies by policy: of all cookies only those cross the gateway that the resource's configuration names (RFC 6265 and its
// revision). On the way back they are tied to the place the resource has here, so that no other resource under the same
// host, and no other host, is ever sent one of them.
import type { Proxy } from '../parties.ts'

/**
 * RFC 6265 section 4.1.1, with the quotes that may stand around it. Browsers take more than that, but a comma here may also be
 * the seam of two headers that were joined, with a cookie behind it that nobody named.
 */
const VALUE = /^(?:[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]*|"[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]*")$/
const PATH = /^[\x21-\x3A\x3C-\x7E]*$/

/** Attributes that mean the same wherever a cookie is kept. `Domain` is left out: then it is kept for our host alone. */
const KEPT = /^(?:expires|max-age|secure|httponly|samesite|partitioned)$/

interface Pair {
  readonly name: string
  readonly value: string
}

/** What of a `Cookie` header goes to the upstream; an empty text: nothing does. */
export function toUpstreamCookies(header: string, { cookies }: Proxy): string {
  const passed = header.split(';').flatMap((part) => {
    const pair = toPair(part)
    return pair !== undefined && cookies.includes(pair.name) ? [`${pair.name}=${pair.value}`] : []
  })
  return passed.join('; ')
}

/** The `Set-Cookie` headers a caller gets. `target` is the URL they are the answer to. */
export function toPublicCookies(headers: readonly string[], proxy: Proxy, target: string): readonly string[] {
  return headers.flatMap((header) => toPublicCookie(header, proxy, target) ?? [])
}

function toPublicCookie(header: string, proxy: Proxy, target: string): string | undefined {
  const [first = '', ...rest] = header.split(';')
  const pair = toPair(first)
  if (pair === undefined || !proxy.cookies.includes(pair.name)) return undefined
  const attributes = new Map(rest.map((part) => attributeOf(part)))
  const path = toPublicPath(attributes.get('path')?.value ?? '', proxy, target)
  if (path === undefined || !mayBear(pair.name, attributes, proxy)) return undefined
  // Whatever the upstream thinks of its own transport: what came to us over https stays on https.
  if (proxy.publicUrl.startsWith('https:')) attributes.set('secure', { text: 'Secure', value: '' })
  const kept = [...attributes].flatMap(([name, { text }]) => (KEPT.test(name) ? [text] : []))
  return [`${pair.name}=${pair.value}`, `Path=${path}`, ...kept].join('; ')
}

function toPair(text: string): Pair | undefined {
  const equals = text.indexOf('=')
  if (equals < 0) return undefined
  const [name, value] = [text.slice(0, equals).trim(), text.slice(equals + 1).trim()]
  return VALUE.test(value) ? { name, value } : undefined
}

interface Attribute {
  readonly text: string
  readonly value: string
}

function attributeOf(part: string): readonly [name: string, attribute: Attribute] {
  const text = part.trim()
  const [name = ''] = text.split('=', 1)
  return [name.trim().toLowerCase(), { text, value: text.slice(name.length + 1).trim() }]
}

/**
 * A path at the upstream becomes the path it has here; a wider one than the resource becomes the resource. Undefined: it lies
 * beside the resource, where nobody comes through us. The path is always written out: what a browser would take in its
 * place may reach further (RFC 6265 section 5.1.4).
 */
function toPublicPath(given: string, proxy: Proxy, target: string): string | undefined {
  const path = given.startsWith('/') ? given : defaultPath(target)
  const base = new URL(proxy.upstream).pathname.replace(/\/$/, '')
  const prefix = proxy.match.kind === 'path' ? proxy.match.prefix : ''
  const whole = prefix === '' ? '/' : prefix
  if (!PATH.test(path)) return undefined
  if (path === base || path.startsWith(`${base}/`)) {
    const rest = path.slice(base.length)
    return rest === '' || rest === '/' ? whole : prefix + rest
  }
  return base.startsWith(path.endsWith('/') ? path : `${path}/`) ? whole : undefined
}

/** RFC 6265 section 5.1.4. */
function defaultPath(target: string): string {
  const { pathname } = new URL(target)
  return pathname.slice(0, pathname.lastIndexOf('/')) || '/'
}

/** What a name promises (RFC 6265bis section 4.1.3) must be true of the upstream's cookie before it may be so of ours. */
function mayBear(name: string, attributes: ReadonlyMap<string, Attribute>, proxy: Proxy): boolean {
  const isSecure = attributes.has('secure')
  if (/^__secure-/i.test(name)) return isSecure
  if (!/^__host-/i.test(name)) return true
  return isSecure && !attributes.has('domain') && attributes.get('path')?.value === '/' && proxy.match.kind === 'host'
}
