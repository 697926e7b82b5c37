// One attempt at an upstream: forwarded as it is where its token is a bearer token; with a proof where it is bound to a key of
// ours (RFC 9449 section 7), and once more where the API wants a nonce in that (section 9).
import { err, type Result } from '../lib/result.ts'
import type { Credential } from '../model.ts'
import { parseWwwAuthenticate } from '../oauth/challenge.ts'
import { createProof, type NonceMemory } from '../oauth/dpop.ts'
import type { Clock, Forward } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { forward, type Outbound } from './forward.ts'

export interface AttemptPorts {
  readonly fetch: Forward
  readonly clock: Clock
  readonly nonces: NonceMemory
}

/** What one request of a caller may cause in all: one try more for the sake of a nonce. */
export interface Allowance {
  nonceRetry: boolean
}

/** Refuses with UPS110 or UPS111; where the token is bound, with UPS102 or UPS113 too. */
export function attempt(
  ports: AttemptPorts,
  outbound: Outbound,
  credential: Credential,
  allowance: Allowance,
): Promise<Result<Response, Refusal>> {
  return credential.kind === 'bearer'
    ? forward(ports.fetch, outbound, credential)
    : attemptBound(ports, outbound, credential, allowance)
}

async function attemptBound(
  { fetch, clock, nonces }: AttemptPorts,
  outbound: Outbound,
  credential: Extract<Credential, { kind: 'dpop' }>,
  allowance: Allowance,
): Promise<Result<Response, Refusal>> {
  const { request, proxy, resource, target } = outbound
  const { origin, pathname } = new URL(target)
  const proven = {
    method: request.method,
    url: origin + pathname,
    server: proxy.upstream,
    token: credential.token.reveal(),
  }
  for (;;) {
    const proof = await createProof({ key: credential.key, nonces, clock }, proven)
    const response = await forward(fetch, outbound, credential, proof)
    if (!response.ok) return response
    const { status, headers, body } = response.value
    const isTold = nonces.heed(proxy.upstream, headers)
    const { error } = parseWwwAuthenticate(status === 401 ? headers.get('www-authenticate') : null, 'dpop')
    if (error !== 'use_dpop_nonce' && error !== 'invalid_dpop_proof') return response
    await body?.cancel()
    // Another token would fare no better: the proof is what is not liked.
    const isWorthIt = error === 'use_dpop_nonce' && isTold && allowance.nonceRetry
    if (!isWorthIt) return err({ code: 'UPS113', name: resource.name, detail: `status 401, error ${error}` })
    // A body that has been streamed away cannot be sent twice.
    if (outbound.body instanceof ReadableStream)
      return err({ code: 'UPS102', name: resource.name, detail: 'it wants a nonce', retryAfterSeconds: 1 })
    allowance.nonceRetry = false
  }
}
