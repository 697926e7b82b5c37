// The identity provider of the local world: a real OpenID Connect login by oidc-provider, and ID-JAGs (RFC 8693 and
// draft-ietf-oauth-identity-assertion-authz-grant, the IdP's side) by a grant type of its own.

import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify, SignJWT, type JWK, type JWTPayload } from 'jose'
import { errors, Provider, type Client, type Context, type Parameters } from 'oidc-provider'
import type { Certificate } from './certificate.ts'
import { Memory } from './memory.ts'
import { ID_JAG, ID_JAG_TYP, ID_TOKEN, REFRESH_TOKEN, TOKEN_EXCHANGE } from './oauth-names.ts'
import { proofFeature, provenKey } from './proofs.ts'
import { readText, startServer } from './server.ts'
import type { Exchange, Traffic } from './traffic.ts'
import { findUser, users } from './users.ts'

export type IdpClient = { readonly id: string } & ({ readonly secret: string } | { readonly keys: readonly JWK[] })

/** One row of the allow table: this client may obtain ID-JAGs for that authorization server. */
export type Connection = {
  readonly client: string
  /** The issuer of the resource's authorization server. */
  readonly audience: string
  /** What the client is called there. */
  readonly clientIdThere: string
  readonly resources: readonly string[]
  readonly scopes: readonly string[]
}

export type Idp = {
  readonly issuer: string
  readonly jwksUri: string
  /** Signs with the IdP's own key, for tests that need an ID token or ID-JAG which the IdP would never issue. */
  readonly sign: (header: { readonly typ?: string }, claims: JWTPayload) => Promise<string>
  readonly connect: (connection: Connection) => void
  /** Publishes a JWKS document under the IdP's origin. */
  readonly publishKeys: (path: string, keys: readonly JWK[]) => string
  readonly close: () => Promise<void>
}

export const REDIRECT_URI = 'http://127.0.0.1/callback'
const PASSWORD_ACR = 'urn:acme:acr:password'

const ID_JAG_SECONDS = 300
const ID_TOKEN_SECONDS = 3600
const KEY_ID = 'idp-1'

const PARAMETERS = ['requested_token_type', 'subject_token', 'subject_token_type', 'audience', 'resource', 'scope']

export async function startIdp(options: {
  readonly port: number
  readonly certificate: Certificate
  readonly traffic: Traffic
  readonly clients: readonly IdpClient[]
  /** Whether DPoP proofs must have a nonce of its own in them. */
  readonly proofNonces?: boolean
}): Promise<Idp> {
  const server = await startServer({ ...options, roleOf: () => 'idp' })
  const issuer = server.origin
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const privateJwk: JWK = { ...(await exportJWK(privateKey)), kid: KEY_ID, alg: 'RS256', use: 'sig' }
  const ownKeys = createLocalJWKSet({ keys: [publicPart(privateJwk)] })
  const connections: Connection[] = []
  const documents = new Map<string, string>()

  const provider = new Provider(issuer, {
    jwks: { keys: [privateJwk] },
    clients: options.clients.map(toMetadata),
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    responseTypes: ['code'],
    adapter: Memory,
    cookies: { keys: [randomUUID()] },
    claims: {
      openid: ['sub', 'acr', 'amr', 'groups', 'email', 'email_verified', 'name'],
    },
    acrValues: [PASSWORD_ACR],
    // Directories put groups into ID tokens; OpenID Connect Core §5.4 alone would leave them to the userinfo endpoint.
    conformIdTokenClaims: false,
    ttl: {
      IdToken: ID_TOKEN_SECONDS,
      AccessToken: ID_TOKEN_SECONDS,
      AuthorizationCode: 60,
      RefreshToken: 86_400,
      Grant: 86_400,
      Interaction: 600,
      Session: 86_400,
    },
    issueRefreshToken: async () => true,
    features: { devInteractions: { enabled: false }, dPoP: proofFeature(options.proofNonces === true) },
    discovery: { identity_chaining_requested_token_types_supported: [ID_JAG] },
    interactions: { url: (_ctx: Context, interaction: { readonly uid: string }) => `/login/${interaction.uid}` },
    findAccount: (_ctx: Context, name: string) => account(name),
    loadExistingGrant,
    renderError: (ctx: Context, out: Record<string, string>) => {
      ctx.body = out
    },
  })
  const records = new WeakMap<IncomingMessage, Exchange>()
  provider.use(async (ctx, next) => {
    // RFC 8414 §3: the same document under the OAuth name.
    if (ctx.path === '/.well-known/oauth-authorization-server') ctx.path = '/.well-known/openid-configuration'
    await next()
    const record = records.get(ctx.req)
    if (record !== undefined && ctx.oidc?.body !== undefined) record.form = ctx.oidc.body
  })

  const sign = (header: { readonly typ?: string }, claims: JWTPayload) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: KEY_ID, ...header }).sign(privateKey)

  provider.registerGrantType(
    TOKEN_EXCHANGE,
    async (ctx) => {
      ctx.body = await exchange(ctx.oidc.client, ctx.oidc.params, await provenKey(provider, ctx))
    },
    PARAMETERS,
    ['audience', 'resource'],
  )

  async function exchange(
    client: Client,
    parameters: Parameters,
    jkt: string | undefined,
  ): Promise<Record<string, unknown>> {
    if (single(parameters, 'requested_token_type') !== ID_JAG)
      throw new errors.InvalidRequest('requested_token_type must be the one of an ID-JAG')
    const type = single(parameters, 'subject_token_type')
    if (type !== ID_TOKEN && type !== REFRESH_TOKEN)
      throw new errors.InvalidRequest('subject_token_type must be the one of an ID token or of a refresh token')
    const token = single(parameters, 'subject_token')
    const subject = type === ID_TOKEN ? await verifyIdToken(token, client) : await useRefreshToken(token, client)
    const connection = findConnection(client, single(parameters, 'audience'))
    const resources = listOf(parameters['resource'])
    const foreign = resources.find((resource) => !connection.resources.includes(resource))
    if (foreign !== undefined) throw new errors.InvalidTarget('resource is not served by that audience')
    const scopes = listOf(parameters['scope']).flatMap((value) => value.split(' ').filter((scope) => scope !== ''))
    const unknown = scopes.find((scope) => !connection.scopes.includes(scope))
    if (unknown !== undefined) throw new errors.InvalidScope('scope is not allowed for this client', unknown)
    const now = Math.floor(Date.now() / 1000)
    const scope = (scopes.length === 0 ? connection.scopes : scopes).join(' ')
    const idJag = await sign(
      { typ: ID_JAG_TYP },
      {
        iss: issuer,
        sub: subject.name,
        aud: connection.audience,
        client_id: connection.clientIdThere,
        jti: randomUUID(),
        iat: now,
        exp: now + ID_JAG_SECONDS,
        ...(resources.length === 0 ? {} : { resource: resources.length === 1 ? resources[0] : resources }),
        scope,
        ...subject.login,
        email: subject.email,
        groups: subject.groups,
        ...(jkt === undefined ? {} : { cnf: { jkt } }),
      },
    )
    return {
      issued_token_type: ID_JAG,
      access_token: idJag,
      token_type: 'N_A',
      expires_in: ID_JAG_SECONDS,
      scope,
      ...('successor' in subject ? { refresh_token: subject.successor } : {}),
    }
  }

  /** RFC 8693 §2.2.2 would say invalid_request; every ID-JAG text shows invalid_grant for a bad subject token. */
  async function verifyIdToken(token: string, client: Client) {
    const claims = await jwtVerify(token, ownKeys, {
      algorithms: ['RS256'],
      issuer,
      requiredClaims: ['sub', 'exp', 'iat'],
    }).then(
      ({ payload, protectedHeader }) => {
        // RFC 8725 §3.11: an ID-JAG or access token of ours is no identity assertion. ID tokens carry no own `typ`.
        if (protectedHeader.typ !== undefined && protectedHeader.typ !== 'JWT')
          throw new errors.InvalidGrant('subject token is of another type')
        return payload
      },
      (cause: unknown) => {
        throw new errors.InvalidGrant(`subject token: ${cause instanceof Error ? cause.message : 'unreadable'}`)
      },
    )
    const audience = typeof claims.aud === 'string' ? [claims.aud] : (claims.aud ?? [])
    if (audience.length !== 1 || audience[0] !== client.clientId)
      throw new errors.InvalidGrant('subject token was issued to another client')
    const user = findUser(claims.sub ?? '')
    if (user === undefined) throw new errors.InvalidGrant('subject is unknown')
    const { auth_time, acr, amr } = claims
    // The assurance of the login, not of this exchange.
    return { ...user, login: definedOnly({ auth_time, acr, amr }) }
  }

  /** As the refresh grant would take it: each is good once, and one that comes again ends everything that came of its login. */
  async function useRefreshToken(token: string, client: Client) {
    const shown = await provider.RefreshToken.find(token)
    if (shown === undefined || shown.clientId !== client.clientId)
      throw new errors.InvalidGrant('refresh token is unknown, over, or of another client')
    if (shown.consumed !== undefined) {
      await provider.RefreshToken.revokeByGrantId(shown.grantId)
      throw new errors.InvalidGrant('refresh token was used before')
    }
    const user = findUser(shown.accountId)
    if (user === undefined) throw new errors.InvalidGrant('subject is unknown')
    await shown.consume()
    const { accountId, acr, amr, authTime, expiresWithSession, grantId, gty, scope, sessionUid } = shown
    const next = { accountId, acr, amr, authTime, expiresWithSession, grantId, scope, sessionUid }
    const successor = await new provider.RefreshToken({ ...definedOnly(next), accountId, grantId, gty, client }).save()
    return { ...user, login: definedOnly({ auth_time: authTime, acr, amr }), successor }
  }

  function findConnection(client: Client, audience: string): Connection {
    const known = connections.filter((connection) => connection.audience === audience)
    if (known.length === 0) throw new errors.InvalidTarget('audience is unknown')
    const connection = known.find((candidate) => candidate.client === client.clientId)
    if (connection === undefined) throw new errors.AccessDenied('this client is not assigned to that audience')
    return connection
  }

  const callback = provider.callback()
  server.handle((request, response, record) => {
    const path = record.path.split('?', 1)[0] ?? ''
    const document = documents.get(path)
    if (document !== undefined) {
      response.writeHead(200, { 'content-type': 'application/jwk-set+json' }).end(document)
    } else if (path.startsWith('/login/')) {
      void signIn(request, response).catch(() => {
        response.writeHead(400, { 'content-type': 'text/plain' }).end('This sign-in has expired. Start again.\n')
      })
    } else {
      records.set(request, record)
      callback(request, response)
    }
  })

  async function signIn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') {
      await provider.interactionDetails(request, response)
      response
        .writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
        .end(loginPage())
      return
    }
    const name = new URLSearchParams(await readText(request)).get('user') ?? ''
    if (findUser(name) === undefined) {
      response.writeHead(403, { 'content-type': 'text/plain' }).end('There is no such user.\n')
      return
    }
    await provider.interactionFinished(request, response, {
      login: { accountId: name, acr: PASSWORD_ACR, amr: ['pwd'] },
    })
  }

  return {
    issuer,
    jwksUri: `${issuer}/jwks`,
    sign,
    connect: (connection) => {
      connections.push(connection)
    },
    publishKeys: (path, keys) => {
      documents.set(path, JSON.stringify({ keys: keys.map(publicPart) }))
      return `${issuer}${path}`
    },
    close: server.close,
  }
}

function toMetadata(client: IdpClient): Record<string, unknown> {
  const shared = {
    client_id: client.id,
    redirect_uris: [REDIRECT_URI],
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', TOKEN_EXCHANGE],
    id_token_signed_response_alg: 'RS256',
    require_auth_time: true,
  }
  return 'secret' in client
    ? { ...shared, client_secret: client.secret, token_endpoint_auth_method: 'client_secret_basic' }
    : {
        ...shared,
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: { keys: client.keys.map(publicPart) },
      }
}

export function publicPart(key: JWK): JWK {
  const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...open } = key
  return open
}

function account(name: string) {
  const user = findUser(name)
  if (user === undefined) return undefined
  return {
    accountId: user.name,
    claims: () => ({
      sub: user.name,
      groups: [...user.groups],
      email: user.email,
      email_verified: true,
      name: user.name,
    }),
  }
}

/** The company has agreed for its people: no consent page. */
async function loadExistingGrant(ctx: Required<Context>) {
  const accountId = ctx.oidc.session?.accountId
  if (accountId === undefined) return undefined
  const grant = new ctx.oidc.provider.Grant({ accountId, clientId: ctx.oidc.client.clientId })
  grant.addOIDCScope('openid')
  await grant.save()
  return grant
}

function loginPage(): string {
  const buttons = users
    .map(({ name, groups }) => `<p><button name="user" value="${name}">${name}</button> ${groups.join(', ')}</p>`)
    .join('\n')
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sign in</title>
<h1>Sign in to the local identity provider</h1>
<form method="post">
${buttons}
</form></html>
`
}

function single(parameters: Parameters, name: string): string {
  const values = listOf(parameters[name])
  const [value] = values
  if (value === undefined || value === '') throw new errors.InvalidRequest(`${name} is missing`)
  if (values.length > 1) throw new errors.InvalidRequest(`${name} must be given once`)
  return value
}

function listOf(value: string | string[] | undefined): string[] {
  if (value === undefined) return []
  return typeof value === 'string' ? [value] : value
}

function definedOnly(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
