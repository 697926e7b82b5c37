// What anybody may know: our metadata as an authorization server (RFC 8414, OpenID Connect Discovery 1.0), each resource's
// metadata under our own URL (RFC 9728), and the pages of refusal codes. Nothing here depends on a request, and the Host
// header is never echoed.
import type { Config } from '../config/config.ts'
import type { InboundAuth, Proxy, Resource } from '../parties.ts'
import { toJson } from '../oauth/answers.ts'
import { SIGN_IN_SCOPES } from '../oauth/challenge.ts'
import { GRANT_TYPE, PROOF_ALGORITHMS } from '../oauth/vocabulary.ts'
import { isRefusalCode, pageOf } from '../refusal.ts'

export { CLIENT_KEYS_PATH, createClientKeys, toClientDocument } from './own-client.ts'

/** Whether anybody can use the token endpoint at all: presence of a client that can authenticate is enablement. */
export function hasTokenEndpoint(config: Config): boolean {
  return [...config.clients.values()].some(({ auth }) => auth !== undefined)
}

/** Whether nobody gets through to a resource without a DPoP proof. */
export function isDpopOnly({ idps, clients }: Config): boolean {
  const edgeClients = [...idps.values()].flatMap((idp) => [...idp.clients.values()].map((own) => own.edgeClient))
  const callers = edgeClients.flatMap((name) => (name === undefined ? [] : (clients.get(name) ?? [])))
  return callers.length > 0 && callers.every(({ dpop }) => dpop === 'required')
}

/**
 * RFC 8414 section 2. Users sign in at their identity provider and not here; but clients in the field take no document without
 * an authorization endpoint, its response type and its challenge method, and the RFC makes the second of them required. So
 * the endpoint exists, says so to whoever is sent there (CLI130), and no grant type is listed that would lead there. There
 * is no `scopes_supported`: scopes belong to resources, and stand in their metadata.
 */
export function toServerMetadata(config: Config): Response {
  return toJson(serverMetadata(config))
}

/**
 * OpenID Connect Discovery section 3, for clients that look for us under that name: the same document with the members that
 * are required there. We issue no ID tokens, so what these three promise is never put to use.
 */
export function toOpenIdMetadata(config: Config): Response {
  return toJson({
    ...serverMetadata(config),
    jwks_uri: `${config.publicUrl}/jwks`,
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
  })
}

function serverMetadata({ publicUrl, clients }: Config): Readonly<Record<string, unknown>> {
  const auths = [...clients.values()].flatMap(({ auth }) => auth ?? [])
  return filled({
    issuer: publicUrl,
    authorization_endpoint: `${publicUrl}/authorize`,
    token_endpoint: `${publicUrl}/token`,
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
    grant_types_supported: [GRANT_TYPE.tokenExchange],
    ...authentication('token', auths),
    revocation_endpoint: `${publicUrl}/revoke`,
    ...authentication('revocation', auths),
    introspection_endpoint: `${publicUrl}/introspect`,
    ...authentication('introspection', auths),
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
  })
}

/** Clients authenticate in the same ways at each of their endpoints. */
function authentication(endpoint: string, auths: readonly InboundAuth[]): Readonly<Record<string, unknown>> {
  const algorithms = auths.flatMap((auth) => (auth.method === 'private_key_jwt' ? auth.algorithms : []))
  return {
    [`${endpoint}_endpoint_auth_methods_supported`]: unique(auths.map(({ method }) => method)),
    [`${endpoint}_endpoint_auth_signing_alg_values_supported`]: unique(algorithms),
  }
}

/** RFC 7517 section 5: the keys we sign with. We sign nothing for others to verify, yet. */
export function toKeySet(): Response {
  return toJson({ keys: [] })
}

/**
 * RFC 9728 section 2. Proxied requests are authorized by ID tokens, so the authorization servers are the identity providers,
 * and the scope to ask them for is `openid`. The scopes of the resource follow: they are what a refusal for lack of scope names.
 */
export function toResourceMetadata(config: Config, resource: Resource, proxy: Proxy): Response {
  const issuers = [...config.idps.values()]
    .filter(({ clients }) => [...clients.values()].some(({ edgeClient }) => edgeClient !== undefined))
    .map(({ issuer }) => issuer)
  const members = {
    resource: proxy.publicUrl,
    authorization_servers: issuers,
    scopes_supported: [...new Set([...(issuers.length === 0 ? [] : SIGN_IN_SCOPES), ...resource.scopes])],
    authorization_details_types_supported: resource.detailTypes,
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: issuers.length === 0 ? [] : PROOF_ALGORITHMS,
    ...(isDpopOnly(config) ? { dpop_bound_access_tokens_required: true } : {}),
    resource_name: resource.name,
  }
  return toJson(filled(members))
}

/** The page of a refusal code as plain text; undefined: there is no such code. */
export function toErrorPage(code: string): Response | undefined {
  if (!isRefusalCode(code)) return undefined
  const { says, fix } = pageOf(code)
  return new Response(`${code}\n\nWhat happened: ${says}.\nWhat to do: ${fix}\n`, {
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'cache-control': 'max-age=3600',
    },
  })
}

/** RFC 8414 section 3.2, RFC 9728 section 3.2: a list with nothing in it is left out. */
function filled(members: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => !Array.isArray(value) || value.length > 0))
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)].toSorted()
}
