// Both legs against one scripted endpoint that remembers what it was asked.
import { numericDate } from '../../../src/lib/numeric-date.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { IdJag } from '../../../src/model.ts'
import type { ClientId, Issuer, OutboundAuth, ScopeToken, SecretName } from '../../../src/parties.ts'
import { createClientAuths } from '../../../src/oauth/client-auth.ts'
import {
  exchangeForIdJag,
  redeemIdJag,
  type AccessToken,
  type ExchangeRequest,
  type RedeemRequest,
} from '../../../src/oauth/legs.ts'
import type { LegEndpoint } from '../../../src/oauth/leg-call.ts'
import type { Result } from '../../../src/lib/result.ts'
import type { Refusal } from '../../../src/refusal.ts'
import { createTestKey, mint, type Claims } from '../../support/keys.ts'
import { scopesOf } from '../support/proofs.ts'

export const NOW = numericDate(1_800_000_000)
export const IDP = 'https://login.northwind.test' as Issuer
export const RAS = 'https://auth.ledgerly.test/' as Issuer
export const API = 'https://api.ledgerly.test/v2'
export const ID_TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJtaXJhIn0.c2ln'
export const ID_JAG_TYPE = 'urn:ietf:params:oauth:token-type:id-jag'
export const SCOPES = scopesOf('invoice.read', 'invoice.write')
const key = await createTestKey('nw-1')

export interface Asked {
  readonly url: string
  readonly method: string
  readonly headers: Record<string, string>
  /** Every parameter in order, repeated ones too. */
  readonly parameters: readonly (readonly [string, string])[]
}

/** For comparing parameters whose order does not count, but their number does. */
export function inOrder(parameters: Asked['parameters']): Asked['parameters'] {
  return parameters.toSorted(([left], [right]) => left.localeCompare(right))
}

export type Answer = Response | (() => Response | Promise<Response>)

export interface Leg<T> {
  readonly result: Result<T, Refusal>
  readonly asked: readonly Asked[]
  /** The refusal's code, or `ok`. */
  readonly code: string
}

export function answer(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return new Response(text, { status, headers: { 'content-type': 'application/json', ...headers } })
}

function certificates(name: string): never {
  throw new Error(`no certificate ${name}`)
}

export async function endpointOf(
  issuer: Issuer,
  clientId: string,
  auth: OutboundAuth,
  secret = 's3cret',
): Promise<LegEndpoint> {
  const tokenEndpoint = `${issuer.replace(/\/$/, '')}/oauth2/token`
  const client = await createClientAuths({ secrets: async () => new Secret(secret), certificates }).prepare(
    auth,
    tokenEndpoint,
  )
  if (!client.ok) throw new Error(client.error)
  return { issuer, tokenEndpoint, clientId: clientId as ClientId, client: client.value, takesProofs: true }
}

export const POST_AUTH: OutboundAuth = { method: 'client_secret_post', secrets: ['S' as SecretName] }

async function run<T>(
  reply: Answer,
  leg: (fetch: (request: Request) => Promise<Response>) => Promise<Result<T, Refusal>>,
): Promise<Leg<T>> {
  const asked: Asked[] = []
  const result = await leg(async (request) => {
    const { url, method, headers } = request
    const parameters = [...new URLSearchParams(await request.text())]
    asked.push({ url, method, headers: Object.fromEntries(headers), parameters })
    return typeof reply === 'function' ? reply() : reply
  })
  return { result, asked, code: result.ok ? 'ok' : result.error.code }
}

export async function exchange(reply: Answer, changes: Partial<ExchangeRequest> = {}): Promise<Leg<IdJag>> {
  const request: ExchangeRequest = {
    idp: await endpointOf(IDP, 'gw-app', POST_AUTH),
    subject: { kind: 'id_token', token: new Secret(ID_TOKEN) },
    rasIssuer: RAS,
    rasClientId: 'tailspin-gw' as ClientId,
    audience: RAS,
    target: 'audience',
    resource: API,
    sendResource: true,
    scopes: SCOPES,
    details: undefined,
    actor: undefined,
    actsItself: false,
    binding: undefined,
    now: NOW,
    ...changes,
  }
  return run(reply, (fetch) => exchangeForIdJag(fetch, request))
}

export function idJagOf(scopes: readonly ScopeToken[] = SCOPES, token = 'the.id.jag'): IdJag {
  return {
    token: new Secret(token),
    jti: 'jag-1',
    expiresAt: numericDate(NOW + 300),
    scopes,
    details: undefined,
    actors: [],
    bound: false,
  }
}

export async function redeem(reply: Answer, changes: Partial<RedeemRequest> = {}): Promise<Leg<AccessToken>> {
  const request: RedeemRequest = {
    ras: await endpointOf(RAS, 'tailspin-gw', POST_AUTH),
    idJag: idJagOf(),
    resource: API,
    sendScope: true,
    sendResource: false,
    extraScopes: 'refuse',
    defaultTtlSeconds: 300,
    binding: undefined,
    redeemGrant: 'jwt-bearer',
    ...changes,
  }
  return run(reply, (fetch) => redeemIdJag(fetch, request))
}

export function mintIdJag(claims: Claims = {}): Promise<string> {
  const good = {
    iss: IDP,
    sub: 'mira',
    aud: RAS,
    client_id: 'tailspin-gw',
    jti: 'jag-1',
    iat: NOW,
    exp: NOW + 300,
    resource: API,
    scope: SCOPES.join(' '),
  }
  return mint(key, { ...good, ...claims }, { typ: 'oauth-id-jag+jwt' })
}

/** The body of a good answer of the identity provider, with changes; `undefined` leaves a member out. */
export async function exchanged(
  changes: Readonly<Record<string, unknown>> = {},
  claims: Claims = {},
): Promise<Record<string, unknown>> {
  return {
    issued_token_type: ID_JAG_TYPE,
    access_token: await mintIdJag(claims),
    token_type: 'N_A',
    scope: SCOPES.join(' '),
    expires_in: 300,
    ...changes,
  }
}

/** The same of the authorization server. */
export function redeemed(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { access_token: 'canary-access', token_type: 'Bearer', expires_in: 3600, scope: SCOPES.join(' '), ...changes }
}
