// A token request that cannot succeed and does no harm: what it is refused for tells whether our credential was taken. No
// user is in it, nothing is issued, no quota is touched. The same request of a client that nobody knows is the control.

import { randomBytes, randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair } from 'jose'
import * as oauth from 'oauth4webapi'
import { Secret } from '../../lib/secret.ts'
import type { ClientId, Issuer, OutboundAuth } from '../../parties.ts'
import { createClientAuths } from '../../oauth/client-auth.ts'
import { call, TOKEN_LIMITS, type CallProblem } from '../../oauth/counterparty.ts'
import { GRANT_TYPE, TOKEN_TYPE } from '../../oauth/vocabulary.ts'
import type { Fetch, Secrets } from '../../ports.ts'

/** Where it is asked, and for what. */
export interface Desk {
  readonly issuer: Issuer
  readonly tokenEndpoint: string
  readonly grant: 'exchange' | 'redeem'
  /** The audience of the exchange: an authorization server that the file speaks of. */
  readonly audience: string
}

export type Attempt =
  | {
      readonly kind: 'answer'
      readonly status: number
      /** The error word, where it is a registered one. */
      readonly word: KnownWord | undefined
      /** Equal for answers that say the same; holds no identifier and is never shown. */
      readonly print: string
    }
  | { readonly kind: 'silence'; readonly problem: CallProblem }
  /** Our own credential has no use: says what is wrong with it. */
  | { readonly kind: 'useless'; readonly detail: string }

export type Grade = 'accepted' | 'refused' | 'not allowed' | 'unsupported' | 'busy' | 'alarm' | 'no such place'

const NOT_A_TOKEN = 'jagway-doctor.this-is-not-a-token'

export async function attempt(
  fetch: Fetch,
  desk: Desk,
  clientId: ClientId | string,
  auth: OutboundAuth,
  secrets: Secrets,
): Promise<Attempt> {
  const client = await createClientAuths({ secrets, certificates: () => fetch }).prepare(auth, desk.tokenEndpoint)
  if (!client.ok) return { kind: 'useless', detail: client.error }
  const [grantType, parameters] =
    desk.grant === 'exchange'
      ? [
          GRANT_TYPE.tokenExchange,
          {
            requested_token_type: TOKEN_TYPE.idJag,
            audience: desk.audience,
            subject_token: NOT_A_TOKEN,
            subject_token_type: TOKEN_TYPE.idToken,
          },
        ]
      : [GRANT_TYPE.jwtBearer, { assertion: NOT_A_TOKEN }]
  const answer = await call(
    fetch,
    (send) =>
      oauth.genericTokenEndpointRequest(
        { issuer: desk.issuer, token_endpoint: desk.tokenEndpoint },
        { client_id: clientId },
        client.value.authenticate,
        grantType,
        new URLSearchParams(parameters),
        // Plain http passed the configuration, which takes it only for loopback hosts of a local run.
        // oxlint-disable-next-line typescript/no-deprecated -- marked so by its authors to make it stand out, as it should
        { [oauth.customFetch]: send, [oauth.allowInsecureRequests]: desk.tokenEndpoint.startsWith('http:') },
      ),
    TOKEN_LIMITS,
  )
  if (!answer.ok) return { kind: 'silence', problem: answer.error }
  const { status, body } = answer.value
  const { error, error_description: description } = body ?? {}
  const said = [status, error, description].map((part) => (typeof part === 'string' ? part : JSON.stringify(part)))
  return {
    kind: 'answer',
    status,
    word: KNOWN_WORDS.find((word) => word === error),
    print: toPrint(said.join(' '), clientId),
  }
}

/** The same request as a client that cannot exist. */
export async function attemptAsNobody(fetch: Fetch, desk: Desk, auth: OutboundAuth): Promise<Attempt> {
  const value = new Secret(await madeUp(auth))
  return attempt(fetch, desk, `jagway-doctor-${randomUUID()}`, auth, () => Promise.resolve(value))
}

async function madeUp(auth: OutboundAuth): Promise<string> {
  if (auth.method !== 'private_key_jwt') return randomBytes(24).toString('hex')
  const { privateKey } = await generateKeyPair(auth.alg, { extractable: true })
  return JSON.stringify({ ...(await exportJWK(privateKey)), kid: randomUUID() })
}

/** RFC 6749 section 5.2, RFC 8693 section 2.2.2 and what servers send in their place. */
const KNOWN_WORDS = [
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_grant',
  'invalid_request',
  'invalid_target',
  'invalid_scope',
  'access_denied',
  'temporarily_unavailable',
  'server_error',
  'slow_down',
  'use_dpop_nonce',
  'invalid_dpop_proof',
] as const

type KnownWord = (typeof KNOWN_WORDS)[number]

export function gradeOf({ status, word }: Extract<Attempt, { kind: 'answer' }>): Grade {
  if (status === 429 || status >= 500) return 'busy'
  if (status < 300) return 'alarm'
  switch (word) {
    case 'invalid_client':
      return 'refused'
    case 'unauthorized_client':
      // Keycloak says so of a wrong secret.
      return status === 401 ? 'refused' : 'not allowed'
    case 'unsupported_grant_type':
      return 'unsupported'
    case 'temporarily_unavailable':
    case 'server_error':
    case 'slow_down':
      return 'busy'
    case undefined:
      if (status === 401 || status === 403) return 'refused'
      return status === 404 || status === 405 ? 'no such place' : 'accepted'
    case 'invalid_grant':
    case 'invalid_request':
    case 'invalid_target':
    case 'invalid_scope':
    case 'access_denied':
    case 'use_dpop_nonce':
    case 'invalid_dpop_proof':
      return 'accepted'
  }
}

/** Ids of clients and of requests, and times, are different in every answer. */
export function toPrint(text: string, clientId: string): string {
  return text
    .replaceAll(clientId, '*')
    .replaceAll(/[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}/gi, '*')
    .replaceAll(/\d{4}-\d\d-\d\d[T ][\d:.]+Z?/g, '*')
}
