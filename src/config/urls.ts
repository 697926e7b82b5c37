// Addresses as they may stand in a configuration. They are judged here and then used exactly as written: an issuer or an
// audience that went through `new URL()` would come out with another slash or case than the other side compares with.

import { reachFault } from '../lib/reach.ts'

// The characters of RFC 3986. Others (spaces, controls, backslashes, raw Unicode) are read differently by different parsers.
const URI_CHARACTERS = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/
const MAX_LENGTH = 2_000

/** What is wrong with an address, or undefined. */
export type AddressFault = string | undefined

/** An issuer identifier (RFC 8414 section 2): a URL without query and fragment. */
export function issuerFault(text: string): AddressFault {
  return endpointFault(text) ?? (text.includes('?') ? 'an issuer has no query (RFC 8414 section 2)' : undefined)
}

/** An endpoint or a document: an absolute http(s) URL, a query is allowed (RFC 6749 section 3.2). */
export function endpointFault(text: string): AddressFault {
  const fault = resourceFault(text)
  if (fault !== undefined) return fault
  if (!/^https?:\/\/[^/?]/.test(text)) return 'an absolute URL that begins with https:// is expected here'
  if (!URL.canParse(text)) return 'this is not a URL'
  const url = new URL(text)
  // The URL parser drops an empty user, so the text itself is asked.
  const authority = /^https?:\/\/([^/?]*)/.exec(text)?.[1] ?? ''
  if (authority.includes('@') || url.username !== '' || url.password !== '')
    return 'a URL must not carry a user or a password'
  return undefined
}

/** A resource indicator (RFC 8707 section 2): an absolute URI without fragment. It is sent, never fetched. */
export function resourceFault(text: string): AddressFault {
  if (text.length > MAX_LENGTH) return `an address has at most ${MAX_LENGTH} characters`
  if (!URI_CHARACTERS.test(text)) return 'an address has no spaces, control characters, quotes or letters outside ASCII'
  if (text.includes('#')) return 'an address must not have a fragment'
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:./.test(text)) return 'an absolute address is expected here, with its scheme'
  return undefined
}

/** The base of an API: what comes after it is appended as it is, so it must be in normal form and end without a slash. */
export function upstreamFault(text: string): AddressFault {
  const fault = endpointFault(text)
  if (fault !== undefined) return fault
  if (text.includes('?')) return 'an upstream has no query'
  const { href, pathname } = new URL(text)
  if (pathname.includes('//')) return 'an upstream has no empty path segment'
  if (href !== text && href !== `${text}/`) return `an upstream is written in its normal form: ${href}`
  return undefined
}

/** Our own address: the origin alone, for every path under it is ours to give. */
export function originFault(text: string): AddressFault {
  const fault = endpointFault(text)
  if (fault !== undefined) return fault
  const { origin } = new URL(text)
  return origin === text
    ? undefined
    : `an origin alone is expected here, without a path or a slash at its end: ${origin}`
}

/** The origin of pages (Fetch standard), exactly as a browser sends it. One that has a `*` would match nobody. */
export function pageOriginFault(text: string): AddressFault {
  return text === 'null' || text.includes('*')
    ? 'each origin is written out, such as https://app.example; there is no pattern and no word for several'
    : originFault(text)
}

/** Whether a `public_url` says by itself that this is a local run: plain http to this machine. */
export function isLoopbackHttp(text: string): boolean {
  return originFault(text) === undefined && text.startsWith('http://') && reachFault(text, true) === undefined
}
