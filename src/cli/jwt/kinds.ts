// Kinds of JWT: how each is known, what it has to have, and what it is good for here.

import { isObject, type JsonObject } from '../../lib/strict-json.ts'
import { jwtType } from '../../oauth/compact-jwt.ts'

export interface Kind {
  readonly id: string
  readonly name: string
  /** Claims without which it is not accepted by whoever it is for. */
  readonly required: readonly string[]
  /** Claims that it must not have. */
  readonly forbidden?: readonly string[]
  /** Longer lives are refused, or a mistake. */
  readonly maxLifetimeSeconds?: number
  /** Where it goes. */
  readonly purpose: string
}

/** What a kind is known by; `because` is said to the reader. */
export interface Recognition {
  readonly kind: Kind
  readonly because: string
}

const MINUTE = 60
const HOUR = 3_600
const DAY = 86_400

const ACCESS = 'for the API in its aud; the gateway does not take it as a subject token (TOK105)'

export const KINDS = {
  idJag: {
    id: 'id_jag',
    name: 'an ID-JAG (draft-ietf-oauth-identity-assertion-authz-grant)',
    required: ['iss', 'sub', 'aud', 'client_id', 'jti', 'exp', 'iat'],
    maxLifetimeSeconds: 10 * MINUTE,
    purpose: 'for the authorization server in its aud, once, with the jwt-bearer grant',
  },
  accessToken: {
    id: 'access_token',
    name: 'an access token (RFC 9068)',
    required: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'],
    purpose: ACCESS,
  },
  entraAccess: {
    id: 'access_token_entra',
    name: 'an access token of Entra ID',
    required: ['iss', 'aud', 'exp'],
    purpose: ACCESS,
  },
  oktaAccess: {
    id: 'access_token_okta',
    name: 'an access token of Okta',
    required: ['iss', 'aud', 'exp'],
    purpose: ACCESS,
  },
  keycloakAccess: {
    id: 'access_token_keycloak',
    name: 'an access token of Keycloak',
    required: ['iss', 'exp'],
    purpose: ACCESS,
  },
  cognitoAccess: {
    id: 'access_token_cognito',
    name: 'an access token of Amazon Cognito',
    required: ['iss', 'exp'],
    purpose: ACCESS,
  },
  otherAccess: {
    id: 'access_token_other',
    name: 'an access token, it seems',
    required: ['iss', 'exp'],
    purpose: ACCESS,
  },
  refreshToken: {
    id: 'refresh_token',
    name: 'a refresh token of Keycloak',
    required: ['iss', 'exp'],
    purpose: 'for the token endpoint of its issuer alone; the gateway does not take it as an ID token (TOK105)',
  },
  clientAssertion: {
    id: 'client_assertion',
    name: 'a client assertion (RFC 7523 section 2.2)',
    required: ['iss', 'sub', 'aud', 'exp', 'jti'],
    maxLifetimeSeconds: HOUR,
    purpose: 'for the server in its aud, once, to authenticate the client; it says nothing of a user',
  },
  dpopProof: {
    id: 'dpop_proof',
    name: 'a DPoP proof (RFC 9449)',
    required: ['jti', 'htm', 'htu', 'iat'],
    purpose: 'for one request, in the header DPoP',
  },
  logoutToken: {
    id: 'logout_token',
    name: 'a logout token (OpenID Connect Back-Channel Logout)',
    required: ['iss', 'aud', 'iat', 'jti', 'events'],
    forbidden: ['nonce'],
    purpose: 'for the back channel of a client, never a proof of who somebody is',
  },
  securityEvent: {
    id: 'security_event_token',
    name: 'a security event token (RFC 8417)',
    required: ['iss', 'iat', 'jti', 'events'],
    purpose: 'for a receiver of events, never a proof of who somebody is',
  },
  introspection: {
    id: 'introspection_response',
    name: 'an introspection response (RFC 9701)',
    required: ['iss', 'aud', 'iat', 'token_introspection'],
    forbidden: ['sub', 'exp'],
    purpose: 'for the API that asked; it is about a token and is none',
  },
  requestObject: {
    id: 'request_object',
    name: 'an authorization request (RFC 9101)',
    required: ['iss', 'aud'],
    purpose: 'for the authorization endpoint of an identity provider',
  },
  cloudflareAccess: {
    id: 'cloudflare_access',
    name: 'a token of Cloudflare Access',
    required: ['iss', 'aud', 'exp', 'email'],
    purpose: 'for the administration (JAGWAY_ACCESS_JWT), where the configuration has "access"',
  },
  idToken: {
    id: 'id_token',
    name: 'an ID token (OpenID Connect Core section 2)',
    required: ['iss', 'sub', 'aud', 'exp', 'iat'],
    maxLifetimeSeconds: 31 * DAY,
    purpose:
      'for the client in its aud: as a bearer token of proxied requests, or as subject_token at the token endpoint',
  },
  unknown: {
    id: 'unknown',
    name: 'a JWT of no kind that is known here',
    required: [],
    purpose: 'nothing here takes it',
  },
} as const satisfies Record<string, Kind>

const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/** By the type a token names (RFC 8725 section 3.11), the one thing that leaves no doubt. */
const TYPES: Readonly<Record<string, Kind>> = {
  'oauth-id-jag+jwt': KINDS.idJag,
  'at+jwt': KINDS.accessToken,
  'client-authentication+jwt': KINDS.clientAssertion,
  'dpop+jwt': KINDS.dpopProof,
  'logout+jwt': KINDS.logoutToken,
  'secevent+jwt': KINDS.securityEvent,
  'token-introspection+jwt': KINDS.introspection,
  'oauth-authz-req+jwt': KINDS.requestObject,
}

export function recognise(header: JsonObject, claims: JsonObject): Recognition {
  const type = jwtType(header)
  const named = type === undefined ? undefined : TYPES[type]
  if (type !== undefined && named !== undefined) return { kind: named, because: `typ is ${type}` }
  return byClaims(claims) ?? { kind: KINDS.unknown, because: 'no claim in it tells' }
}

/** Without a type only habits tell: the first that fits. */
function byClaims(claims: JsonObject): Recognition | undefined {
  const has = (name: string): boolean => Object.hasOwn(claims, name)
  const { events, iss, sub, typ, token_use: use } = claims
  const found = (kind: Kind, because: string): Recognition => ({ kind, because })
  if (isObject(events) && Object.hasOwn(events, LOGOUT_EVENT))
    return found(KINDS.logoutToken, 'events has the one of a logout')
  if (has('events')) return found(KINDS.securityEvent, 'it has events')
  if (has('token_introspection')) return found(KINDS.introspection, 'it has token_introspection')
  if (has('htm') && has('htu')) return found(KINDS.dpopProof, 'it has htm and htu')
  if (typ === 'Bearer') return found(KINDS.keycloakAccess, 'its claim typ is Bearer')
  if (typ === 'Refresh' || typ === 'Offline') return found(KINDS.refreshToken, `its claim typ is ${typ}`)
  if (typ === 'ID') return found(KINDS.idToken, 'its claim typ is ID')
  if (use === 'access') return found(KINDS.cognitoAccess, 'token_use is access')
  if (use === 'id') return found(KINDS.idToken, 'token_use is id')
  for (const name of ['appid', 'azpacr', 'appidacr', 'xms_tcdt'])
    if (has(name)) return found(KINDS.entraAccess, `it has ${name}`)
  if (has('cid')) return found(KINDS.oktaAccess, 'it has cid')
  if (has('scp') && has('ver')) return found(KINDS.entraAccess, 'it has scp and ver')
  if (typeof iss === 'string' && iss.endsWith('.cloudflareaccess.com'))
    return found(KINDS.cloudflareAccess, 'its iss is a team of Cloudflare Access')
  for (const name of ['nonce', 'at_hash', 'c_hash', 's_hash'])
    if (has(name)) return found(KINDS.idToken, `it has ${name}`)
  for (const name of ['scp', 'scope', 'authorization_details', 'gty', 'permissions'])
    if (has(name)) return found(KINDS.otherAccess, `it has ${name}`)
  if (typeof sub === 'string' && iss === sub) return found(KINDS.clientAssertion, 'iss and sub are the same')
  if (has('redirect_uri') || has('response_type'))
    return found(KINDS.requestObject, 'it has parameters of an authorization request')
  if (has('client_id') && !has('azp')) return found(KINDS.otherAccess, 'it has client_id')
  if (['iss', 'sub', 'aud', 'exp', 'iat'].every(has))
    return found(KINDS.idToken, 'it has all that an ID token has, and nothing of another kind')
  return undefined
}
