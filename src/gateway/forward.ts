// Sends a request on to its upstream with the upstream's own credential. Bodies are streamed both ways and never read;
// redirects are passed through, never followed: a followed redirect would carry the token to another origin.
import { err, ok, type Result } from '../lib/result.ts'
import type { Credential, Proxy, Resource } from '../model.ts'
import type { Forward } from '../ports.ts'
import type { TraceContext } from '../lib/trace-context.ts'
import type { Refusal } from '../refusal.ts'
import { toUpstreamHeaders } from './headers.ts'

/** Until the upstream's headers; a stream may then take as long as it likes. */
const HEADERS_TIMEOUT_MS = 100_000

export interface Outbound {
  readonly request: Request
  /** The request's own stream, or its bytes where they are kept for a second try. */
  readonly body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null
  readonly resource: Resource
  readonly proxy: Proxy
  /** The full upstream URL. */
  readonly target: string
  readonly upgrade: boolean
  readonly trace: TraceContext
}

/** `proof`: of the key that the token is bound to. Refuses with UPS110 or UPS111. */
export async function forward(
  fetch: Forward,
  outbound: Outbound,
  credential: Credential,
  proof?: string,
): Promise<Result<Response, Refusal>> {
  const { request, resource, target } = outbound
  if (credential.resource !== resource.name) throw new Error('a credential of another resource')
  const headers = toUpstreamHeaders(request, outbound.proxy, outbound.upgrade)
  const { traceparent, carried } = outbound.trace
  headers['traceparent'] = traceparent
  // W3C Trace Context section 3.3: without a valid traceparent its state means nothing.
  if (!carried) delete headers['tracestate']
  headers['authorization'] = `${credential.kind === 'bearer' ? 'Bearer' : 'DPoP'} ${credential.token.reveal()}`
  if (proof !== undefined) headers['dpop'] = proof
  const { body } = outbound
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  // A long upload takes its time, and the headers come after it. `no-store`: the zone's own cache knows nothing of users.
  const timer = body instanceof ReadableStream ? undefined : setTimeout(() => resolve(undefined), HEADERS_TIMEOUT_MS)
  try {
    // Not aborted when it is late: the platform ends it with the request, and a signal costs every request that is not.
    const response = await Promise.race([
      late,
      fetch(target, { method: request.method, headers, body, redirect: 'manual', cache: 'no-store' }),
    ])
    return response === undefined ? failed('UPS111', resource) : ok(response)
  } catch {
    // The connection failed, or the upstream broke the protocol; what exactly is the platform's wording, not ours.
    return failed('UPS110', resource)
  } finally {
    if (timer !== undefined) clearTimeout(timer)
  }
}

function failed(code: 'UPS110' | 'UPS111', { name }: Resource): Result<never, Refusal> {
  return err({ code, name, retryAfterSeconds: 5 })
}
