// The authorization server of the tasks SaaS: redeems ID-JAGs (RFC 7523 and draft-ietf-oauth-identity-assertion-authz-grant,
// the resource authorization server's side) for access tokens that are JWTs (RFC 9068), or opaque and introspected (RFC 7662).
// Built with oidc-provider, not with the gateway's code.

import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRemoteJWKSet, decodeJwt, exportJWK, generateKeyPair, jwtVerify, type JWK, type JWTPayload } from 'jose'
import * as oauth from 'oauth4webapi'
import { errors, Provider, type Client, type Context, type Parameters } from 'oidc-provider'
import { publicPart } from './idp.ts'
import { Memory } from './memory.ts'
import { ID_JAG_PROFILE, ID_JAG_TYP, JWT_BEARER } from './oauth-names.ts'
import { proofFeature, provenKey } from './proofs.ts'
import type { Exchange } from './traffic.ts'
import { findUser } from './users.ts'

export type TasksToken = { readonly user: string; readonly scopes: readonly string[] }

/** Why a request is not let in. */
export type TasksRefusal = { readonly scheme: 'Bearer' | 'DPoP'; readonly error: string; readonly nonce?: string }

export type TasksAuthorizationServer = {
  readonly handle: (request: IncomingMessage, response: ServerResponse, exchange: Exchange) => void
  /** Judges the credential of a request to the API: a bearer token, or a bound one with its proof. */
  readonly verify: (request: Request) => Promise<TasksToken | TasksRefusal>
  /** Makes every access token issued so far invalid. */
  readonly revokeAll: () => void
}

export type AccessTokenFormat = 'jwt' | 'opaque'

export const TASKS_SCOPES = ['todos.read', 'todos.write']

const REVOCATION_PATH = '/token/revocation'
const INTROSPECTION_PATH = '/token/introspection'
/** As whom the API asks about opaque tokens. */
const API_CLIENT_ID = 'tasks-api'
const MAX_ID_JAG_LIFETIME_SECONDS = 600
const CLOCK_SKEW_SECONDS = 5

export async function createTasksAuthorizationServer(options: {
  readonly issuer: string
  readonly resource: string
  readonly trusted: { readonly issuer: string; readonly jwksUri: string }
  readonly client: { readonly id: string; readonly secret: string }
  readonly accessTokenSeconds: number
  readonly accessTokens?: AccessTokenFormat | undefined
  /** Whether DPoP proofs must have a nonce in them, at the token endpoint and at the API. */
  readonly proofNonces?: boolean
}): Promise<TasksAuthorizationServer> {
  const { issuer, resource, trusted, accessTokens = 'jwt' } = options
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const privateJwk: JWK = { ...(await exportJWK(privateKey)), kid: 'tasks-1', alg: 'ES256', use: 'sig' }
  const trustedKeys = createRemoteJWKSet(new URL(trusted.jwksUri))
  const metadata = { issuer, jwks_uri: `${issuer}/jwks` }
  const nonce = randomUUID()
  const redeemed = new Map<string, number>()
  const records = new WeakMap<IncomingMessage, Exchange>()
  const valid = new Set<string>()
  const apiSecret = randomUUID()

  const provider = new Provider(issuer, {
    jwks: { keys: [privateJwk] },
    clients: [
      {
        client_id: options.client.id,
        client_secret: options.client.secret,
        token_endpoint_auth_method: 'client_secret_basic',
        redirect_uris: [],
        response_types: [],
        grant_types: [JWT_BEARER],
        id_token_signed_response_alg: 'ES256',
      },
      {
        client_id: API_CLIENT_ID,
        client_secret: apiSecret,
        token_endpoint_auth_method: 'client_secret_basic',
        redirect_uris: [],
        response_types: [],
        grant_types: [],
      },
    ],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    clientAuthMethods: ['client_secret_basic'],
    scopes: TASKS_SCOPES,
    responseTypes: ['code'],
    adapter: Memory,
    cookies: { keys: [randomUUID()] },
    ttl: { AccessToken: options.accessTokenSeconds, Grant: 60, Interaction: 60, Session: 60, IdToken: 60 },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: { enabled: true },
      revocation: { enabled: true },
      introspection: {
        enabled: true,
        allowedPolicy: (_ctx: Context, asking: Client) => asking.clientId === API_CLIENT_ID,
      },
      dPoP: proofFeature(options.proofNonces === true),
    },
    discovery: { authorization_grant_profiles_supported: [ID_JAG_PROFILE] },
    findAccount: (_ctx: Context, name: string) =>
      findUser(name) === undefined ? undefined : { accountId: name, claims: () => ({ sub: name }) },
    renderError: (ctx: Context, out: Record<string, string>) => {
      ctx.body = out
    },
  })
  provider.use(async (ctx, next) => {
    // RFC 8414 §3: the same document under the OAuth name.
    if (ctx.path === '/.well-known/oauth-authorization-server') ctx.path = '/.well-known/openid-configuration'
    await next()
    if (ctx.path === REVOCATION_PATH) revokeOwn(ctx)
    const record = records.get(ctx.req)
    if (record !== undefined && ctx.oidc?.body !== undefined) record.form = ctx.oidc.body
  })
  provider.registerGrantType(
    JWT_BEARER,
    async (ctx) => {
      const { client, params } = ctx.oidc
      const jkt = await provenKey(provider, ctx)
      const grant = await verifyIdJag(text(params, 'assertion') ?? '', client, jkt)
      const requested = text(params, 'resource')
      if (requested !== undefined && requested !== resource)
        throw new errors.InvalidTarget('resource is not the one of the assertion')
      const scope = grantedScope(grant, text(params, 'scope'))
      const token = new provider.AccessToken({
        accountId: grant.sub ?? '',
        client,
        scope,
        gty: 'jwt-bearer',
        resourceServer: new provider.ResourceServer(resource, {
          scope: TASKS_SCOPES.join(' '),
          audience: resource,
          accessTokenFormat: accessTokens,
          accessTokenTTL: options.accessTokenSeconds,
          jwt: { sign: { alg: 'ES256' } },
        }),
      })
      if (jkt !== undefined) token.setThumbprint('jkt', jkt)
      const accessToken = await token.save()
      valid.add(accessTokens === 'jwt' ? (decodeJwt(accessToken).jti ?? '') : accessToken)
      ctx.body = { access_token: accessToken, token_type: token.tokenType, expires_in: token.expiration, scope }
    },
    ['assertion', 'scope', 'resource'],
  )

  /**
   * oidc-provider authenticates the client and then refuses to revoke tokens that are JWTs, for it stores none. This server
   * keeps a list of those that are valid, so it can.
   */
  function revokeOwn(ctx: Context): void {
    const { client, params } = ctx.oidc ?? {}
    const refused =
      typeof ctx.body === 'object' && ctx.body !== null && 'error' in ctx.body ? ctx.body.error : undefined
    if (client === undefined || params === undefined || refused !== 'unsupported_token_type') return
    const claims = claimsOf(text(params, 'token') ?? '')
    if (claims?.['client_id'] === client.clientId) valid.delete(claims.jti ?? '')
    ctx.status = 200
    ctx.body = ''
  }

  async function verifyIdJag(assertion: string, client: Client, jkt: string | undefined): Promise<JWTPayload> {
    // The issuer is read unverified only to choose the keys; nothing else is believed before the signature.
    if (issuerOf(assertion) !== trusted.issuer) throw new errors.InvalidGrant('issuer is not trusted')
    const { payload } = await jwtVerify(assertion, trustedKeys, {
      typ: ID_JAG_TYP,
      algorithms: ['RS256', 'ES256'],
      issuer: trusted.issuer,
      requiredClaims: ['sub', 'aud', 'client_id', 'jti', 'iat', 'exp'],
      clockTolerance: CLOCK_SKEW_SECONDS,
    }).catch((cause: unknown) => {
      throw new errors.InvalidGrant(cause instanceof Error ? cause.message : 'unreadable assertion')
    })
    const { aud, client_id, jti = '', iat = 0, exp = 0, sub = '' } = payload
    const audience = typeof aud === 'string' ? [aud] : (aud ?? [])
    if (audience.length !== 1 || audience[0] !== issuer) throw new errors.InvalidGrant('audience is another server')
    if (client_id !== client.clientId) throw new errors.InvalidGrant('client_id is another client')
    if (iat > Date.now() / 1000 + CLOCK_SKEW_SECONDS) throw new errors.InvalidGrant('issued in the future')
    if (exp - iat > MAX_ID_JAG_LIFETIME_SECONDS) throw new errors.InvalidGrant('lifetime is too long')
    if (!onlyResource(payload['resource'])) throw new errors.InvalidGrant('resource is not served here')
    if (findUser(sub) === undefined) throw new errors.InvalidGrant('subject is unknown')
    // Draft section 9.8.1.2: whoever redeems a bound ID-JAG must have proven its key.
    const bound = keyOf(payload)
    if (bound !== undefined && bound !== jkt) throw new errors.InvalidGrant('bound to another key')
    // Single use is this server's choice; the draft leaves it open.
    for (const [old, expiry] of redeemed) if (expiry + CLOCK_SKEW_SECONDS < Date.now() / 1000) redeemed.delete(old)
    if (redeemed.has(jti)) throw new errors.InvalidGrant('presented before')
    redeemed.set(jti, exp)
    return payload
  }

  /** RFC 7662, over the wire, as an API does that is not the authorization server. */
  async function introspect(token: string): Promise<TasksToken | undefined> {
    const response = await fetch(`${issuer}${INTROSPECTION_PATH}`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${API_CLIENT_ID}:${apiSecret}`)}` },
      body: new URLSearchParams({ token }),
    })
    const claims: unknown = await response.json()
    const isActive = typeof claims === 'object' && claims !== null && 'active' in claims && claims.active === true
    if (!isActive || 'cnf' in claims || !('aud' in claims) || claims.aud !== resource || !('sub' in claims))
      return undefined
    return { user: String(claims.sub), scopes: 'scope' in claims ? scopesOf({ scope: claims.scope }) : [] }
  }

  function onlyResource(claim: unknown): boolean {
    if (claim === undefined) return true
    const resources: unknown[] = Array.isArray(claim) ? claim : [claim]
    return resources.length > 0 && resources.every((entry) => entry === resource)
  }

  const callback = provider.callback()
  return {
    handle: (request, response, exchange) => {
      records.set(request, exchange)
      callback(request, response)
    },
    verify: async (request) => {
      const [scheme = '', token = ''] = (request.headers.get('authorization') ?? '').split(' ')
      const isBound = scheme.toLowerCase() === 'dpop'
      const refused: TasksRefusal = { scheme: isBound ? 'DPoP' : 'Bearer', error: 'invalid_token' }
      if (token === '' || (!isBound && scheme.toLowerCase() !== 'bearer')) return { scheme: 'Bearer', error: '' }
      if (isBound && options.proofNonces === true) {
        const proof = claimsOf(request.headers.get('dpop') ?? '')
        if (proof?.['nonce'] !== nonce) return { scheme: 'DPoP', error: 'use_dpop_nonce', nonce }
      }
      // The API asks about them and knows nothing of keys: it takes none that is bound.
      if (accessTokens === 'opaque')
        return (isBound || !valid.has(token) ? undefined : await introspect(token)) ?? refused
      try {
        // Signature, issuer, audience, times, and for a bound token the proof in full: by somebody else's code.
        const claims = await oauth.validateJwtAccessToken(metadata, request, resource, {
          requireDPoP: isBound,
          signingAlgorithms: ['ES256'],
          [oauth.jwksCache]: { jwks: { keys: [publicPart(privateJwk)] }, uat: Math.floor(Date.now() / 1000) },
        })
        return valid.has(claims.jti) ? { user: claims.sub, scopes: scopesOf(claims) } : refused
      } catch {
        return refused
      }
    },
    revokeAll: () => {
      valid.clear()
    },
  }
}

/** RFC 7521 §4.1: never more than the assertion carries. No scope there means the least, not everything. */
function grantedScope(grant: JWTPayload, requested: string | undefined): string {
  const carried = grant['scope'] === undefined ? ['todos.read'] : scopesOf(grant)
  const wanted = requested === undefined ? carried : requested.split(' ').filter((scope) => scope !== '')
  const beyond = wanted.find((scope) => !carried.includes(scope) || !TASKS_SCOPES.includes(scope))
  if (beyond !== undefined) throw new errors.InvalidScope('scope exceeds the assertion', beyond)
  return wanted.join(' ')
}

function keyOf({ cnf }: JWTPayload): unknown {
  return typeof cnf === 'object' && cnf !== null && 'jkt' in cnf ? cnf.jkt : undefined
}

function scopesOf({ scope }: JWTPayload): string[] {
  return typeof scope === 'string' ? scope.split(' ') : []
}

function issuerOf(assertion: string): string | undefined {
  return claimsOf(assertion)?.iss
}

/** Unverified. A token that was made up names no `jti` that anything else has. */
function claimsOf(token: string): JWTPayload | undefined {
  try {
    return decodeJwt(token)
  } catch {
    return undefined
  }
}

function text(parameters: Parameters, name: string): string | undefined {
  const value = parameters[name]
  return typeof value === 'string' ? value : undefined
}
