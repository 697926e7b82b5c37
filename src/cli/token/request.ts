// One token request to a running gateway (RFC 8693), and its answer in parts.

import * as oauth from 'oauth4webapi'
import { Secret } from '../../lib/secret.ts'
import type { JsonObject } from '../../lib/strict-json.ts'
import { call, callForDocument } from '../../oauth/counterparty.ts'
import { GRANT_TYPE, TOKEN_TYPE } from '../../oauth/vocabulary.ts'
import type { Fetch } from '../../ports.ts'
import { toProblemWords } from '../doctor/words.ts'
import { createWitness } from '../doctor/witness.ts'
import { EXIT, ExitError } from '../exit.ts'
import type { Caller } from './caller.ts'

export type Outcome =
  | {
      readonly kind: 'token'
      readonly status: number
      readonly token: Secret
      readonly tokenType: string
      readonly scope: string | undefined
      readonly expiresIn: number | undefined
    }
  | { readonly kind: 'refusal'; readonly status: number; readonly body: JsonObject }

export interface TokenRequest {
  readonly base: URL
  readonly caller: Caller
  readonly resource: string
  readonly scope: string | undefined
  readonly idToken: string
  /** W3C Trace Context; the gateway writes it into its audit event. */
  readonly traceId: string
}

/** A gateway whose memory is cold makes two requests before it answers. */
const LIMITS = { timeoutMs: 30_000, maxBytes: 64 * 1024 }

export async function request({ base, caller, resource, scope, idToken, traceId }: TokenRequest): Promise<Outcome> {
  const witness = createWitness((sent) => fetch(sent))
  const issuer = await issuerOf(base, witness.fetch)
  const endpoint = `${base.origin}/token`
  const parameters = new URLSearchParams({
    subject_token: idToken,
    subject_token_type: TOKEN_TYPE.idToken,
    ...(resource.includes('://') ? { resource } : { audience: resource }),
    ...(scope === undefined ? {} : { scope }),
  })
  const answer = await call(
    witness.fetch,
    (send) =>
      oauth.genericTokenEndpointRequest(
        { issuer: issuer ?? base.origin, token_endpoint: endpoint },
        { client_id: caller.name },
        caller.authenticate,
        GRANT_TYPE.tokenExchange,
        parameters,
        {
          [oauth.customFetch]: send,
          // The address of a gateway is http on this machine only.
          // oxlint-disable-next-line typescript/no-deprecated -- marked so by its authors to make it stand out, as it should
          [oauth.allowInsecureRequests]: base.protocol === 'http:',
          headers: new Headers({ traceparent: `00-${traceId}-${traceId.slice(0, 16)}-01` }),
        },
      ),
    LIMITS,
  )
  if (!answer.ok) {
    const words = toProblemWords(endpoint, answer.error, witness)
    const message =
      answer.error.kind === 'unusable' ? `${endpoint} gives ${words}` : `cannot reach ${base.origin}: ${words}`
    throw new ExitError(EXIT.unreachable, message)
  }
  const { status, body } = answer.value
  const { access_token: token, token_type: type, scope: granted, expires_in: expiresIn } = body ?? {}
  if (status < 300 && typeof token === 'string' && typeof type === 'string') {
    return {
      kind: 'token',
      status,
      token: new Secret(token),
      tokenType: type,
      scope: typeof granted === 'string' ? granted : undefined,
      expiresIn: typeof expiresIn === 'number' ? expiresIn : undefined,
    }
  }
  if (body === undefined || status < 400)
    throw new ExitError(EXIT.unreachable, `${endpoint} answers ${status}, and not as a gateway does`)
  return { kind: 'refusal', status, body }
}

/** What a client assertion has to name as its audience. Undefined: the gateway does not say. */
async function issuerOf(base: URL, fetch: Fetch): Promise<string | undefined> {
  const answer = await callForDocument(fetch, `${base.origin}/.well-known/oauth-authorization-server`)
  const issuer = answer.ok ? answer.value.body?.['issuer'] : undefined
  return typeof issuer === 'string' ? issuer : undefined
}
