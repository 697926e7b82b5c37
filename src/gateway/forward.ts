// Sends a request on to its upstream with the upstream's own credential. Bodies are streamed both ways and never read;
// redirects are passed through, never followed: a followed redirect would carry the token to another origin.
import { err, ok, type Result } from '../lib/result.ts'
import type { Credential, Proxy, Resource } from '../model.ts'
import type { Fetch } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { toUpstreamHeaders } from './headers.ts'

/** Until the upstream's headers; a stream may then take as long as it likes. */
const HEADERS_TIMEOUT_MS = 100_000

export interface Outbound {
  readonly request: Request
  readonly resource: Resource
  readonly proxy: Proxy
  /** The full upstream URL. */
  readonly target: string
  readonly upgrade: boolean
  readonly traceparent: string
}

/** Refuses with UPS110 or UPS111. */
export async function forward(
  fetch: Fetch,
  outbound: Outbound,
  credential: Credential,
): Promise<Result<Response, Refusal>> {
  const { request, resource, target } = outbound
  const headers = toUpstreamHeaders(request, outbound.proxy, outbound.upgrade)
  headers.set('traceparent', outbound.traceparent)
  headers.set('authorization', `Bearer ${credential.token.reveal()}`)
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), HEADERS_TIMEOUT_MS)
  try {
    const init: RequestInit = {
      method: request.method,
      headers,
      body: hasBody(request) ? request.body : null,
      redirect: 'manual',
      signal: abort.signal,
    }
    return ok(await fetch(new Request(target, init)))
  } catch {
    // The connection failed, or the upstream broke the protocol; what exactly is the platform's wording, not ours.
    return err({ code: abort.signal.aborted ? 'UPS111' : 'UPS110', name: resource.name, retryAfterSeconds: 5 })
  } finally {
    clearTimeout(timer)
  }
}

/** Whether there is something that can only be sent once: a POST of no bytes comes with a body too. */
export function hasBody(request: Request): boolean {
  return request.body !== null && request.headers.get('content-length') !== '0'
}
