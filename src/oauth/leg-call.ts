// One request of a leg: made by oauth4webapi, as a client of ours, with a DPoP proof where the leg has a key (RFC 9449 section
// 5). A server that wants a nonce in the proof is asked once more (section 8), within the time of one request.
import * as oauth from 'oauth4webapi'
import type { Result } from '../lib/result.ts'
import type { ClientId, Issuer } from '../parties.ts'
import type { Fetch } from '../ports.ts'
import { callAs, type OwnClient } from './client-auth.ts'
import { call, TOKEN_LIMITS, type Answer, type CallProblem } from './counterparty.ts'
import { createProof, type Prover } from './dpop.ts'

/** Whom a leg talks to, and as whom. */
export interface LegEndpoint {
  readonly issuer: Issuer
  readonly tokenEndpoint: string
  readonly clientId: ClientId
  readonly client: OwnClient
  /** False: its metadata lists the algorithms of proofs, and ours is not among them. */
  readonly takesProofs: boolean
}

export interface LegRequest {
  readonly endpoint: LegEndpoint
  readonly grantType: string
  readonly parameters: URLSearchParams
  /** Undefined: without a proof. */
  readonly prover: Prover | undefined
}

export function ask(fetch: Fetch, request: LegRequest): Promise<Result<Answer, CallProblem>> {
  const { endpoint, prover } = request
  return callAs(endpoint.client, async (authenticate) => {
    if (prover === undefined) return askOnce(fetch, request, authenticate)
    const start = prover.clock.millis()
    const first = await askOnce(fetch, request, authenticate)
    if (!first.ok) return first
    const isTold = prover.nonces.heed(endpoint.tokenEndpoint, first.value.headers)
    if (!isTold || first.value.status < 400 || first.value.body?.['error'] !== 'use_dpop_nonce') return first
    // Another proof, and another client assertion: each is good for one request.
    const spent = prover.clock.millis() - start
    const second = await askOnce(fetch, request, authenticate, Math.max(1, TOKEN_LIMITS.timeoutMs - spent))
    if (second.ok) prover.nonces.heed(endpoint.tokenEndpoint, second.value.headers)
    return second
  })
}

async function askOnce(
  fetch: Fetch,
  { endpoint, grantType, parameters, prover }: LegRequest,
  authenticate: oauth.ClientAuth,
  timeoutMs = TOKEN_LIMITS.timeoutMs,
): Promise<Result<Answer, CallProblem>> {
  const { issuer, tokenEndpoint, clientId } = endpoint
  const { origin, pathname } = new URL(tokenEndpoint)
  const proven = { method: 'POST', url: origin + pathname, server: tokenEndpoint }
  const proof = prover === undefined ? {} : { dpop: await createProof(prover, proven) }
  return call(
    endpoint.client.certified ?? fetch,
    (send) =>
      oauth.genericTokenEndpointRequest(
        { issuer, token_endpoint: tokenEndpoint },
        { client_id: clientId },
        authenticate,
        grantType,
        parameters,
        {
          [oauth.customFetch]: (url, init) => send(url, { ...init, headers: { ...init.headers, ...proof } }),
          // Plain http passed the configuration, which takes it only for loopback hosts of a local run.
          // oxlint-disable-next-line typescript/no-deprecated -- marked so by its authors to make it stand out, as it should
          [oauth.allowInsecureRequests]: tokenEndpoint.startsWith('http:'),
        },
      ),
    { ...TOKEN_LIMITS, timeoutMs },
  )
}
