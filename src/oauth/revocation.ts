// Token revocation (RFC 7009) at somebody else's authorization server: what was obtained is given back.
import { callAs, type OwnClient } from './client-auth.ts'
import * as oauth from 'oauth4webapi'
import { err, ok, type Result } from '../lib/result.ts'
import type { Secret } from '../lib/secret.ts'
import type { ClientId, Issuer } from '../parties.ts'
import type { Fetch } from '../ports.ts'
import { call, TOKEN_LIMITS } from './counterparty.ts'

export interface RevocationRequest {
  readonly issuer: Issuer
  readonly revocationEndpoint: string
  /** The client the token was issued to (section 2.1). */
  readonly clientId: ClientId
  readonly client: OwnClient
  readonly token: Secret
}

/** `unsupported`: the server revokes tokens, but none of this type (section 2.2.1). */
export type RevocationProblem = 'unsupported' | 'failed'

/** Revokes one access token. A server that does not know the token says so with a success, too (section 2.2). */
export async function revokeAccessToken(
  fetch: Fetch,
  { issuer, revocationEndpoint, clientId, client, token }: RevocationRequest,
): Promise<Result<undefined, RevocationProblem>> {
  const answer = await callAs(client, (authenticate) =>
    call(
      client.certified ?? fetch,
      (send) =>
        oauth.revocationRequest(
          { issuer, revocation_endpoint: revocationEndpoint },
          { client_id: clientId },
          authenticate,
          token.reveal(),
          {
            additionalParameters: { token_type_hint: 'access_token' },
            [oauth.customFetch]: send,
            // Plain http passed discovery, which takes it only for loopback hosts of a local run.
            // oxlint-disable-next-line typescript/no-deprecated -- marked so by its authors to make it stand out, as it should
            [oauth.allowInsecureRequests]: revocationEndpoint.startsWith('http:'),
          },
        ),
      TOKEN_LIMITS,
      'nothing',
    ),
  )
  if (!answer.ok) return err('failed')
  if (answer.value.status < 300) return ok(undefined)
  return err(answer.value.body?.['error'] === 'unsupported_token_type' ? 'unsupported' : 'failed')
}
