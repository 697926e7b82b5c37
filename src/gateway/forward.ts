// Sends a request on to its upstream with the upstream's own credential. Bodies are streamed both ways and never read;
// redirects are passed through, never followed: a followed redirect would carry the token to another origin.
import { err, ok, type Result } from '../lib/result.ts'
import type { Credential } from '../model.ts'
import type { Proxy, Resource } from '../parties.ts'
import type { Forward } from '../ports.ts'
import type { TraceContext } from '../lib/trace-context.ts'
import type { Refusal } from '../refusal.ts'
import { toUpstreamHeaders } from './headers.ts'

/**
 * What Cloudflare answers in the place of a server that cannot be reached, and of one that takes too long: 522 until it has a
 * connection, 524 until the headers (developers.cloudflare.com/fundamentals/reference/connection-limits).
 */
const UNREACHED: ReadonlySet<number> = new Set([520, 521, 523, 525, 526, 530])
const TOO_LATE: ReadonlySet<number> = new Set([522, 524])

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
  const headers = toUpstreamHeaders(request, outbound.proxy, outbound.upgrade, outbound.trace)
  headers['authorization'] = `${credential.kind === 'bearer' ? 'Bearer' : 'DPoP'} ${credential.token.reveal()}`
  if (proof !== undefined) headers['dpop'] = proof
  const { body } = outbound
  try {
    // `no-store`: the zone's own cache knows nothing of users.
    const init = { method: request.method, headers, body, redirect: 'manual', cache: 'no-store' } as const
    const response = await fetch(target, init)
    return response.status < 520 ? ok(response) : await judgeStatus(response, resource)
  } catch {
    // The connection failed, or the upstream broke the protocol; what exactly is the platform's wording, not ours.
    return failed('UPS110', resource)
  }
}

async function judgeStatus(response: Response, resource: Resource): Promise<Result<Response, Refusal>> {
  const isLate = TOO_LATE.has(response.status)
  if (!isLate && !UNREACHED.has(response.status)) return ok(response)
  await response.body?.cancel()
  return failed(isLate ? 'UPS111' : 'UPS110', resource)
}

function failed(code: 'UPS110' | 'UPS111', { name }: Resource): Result<never, Refusal> {
  return err({ code, name, retryAfterSeconds: 5 })
}
