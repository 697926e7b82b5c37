// What anybody may know: our metadata as an authorization server (RFC 8414), each resource's metadata under our own URL
// (RFC 9728), and the pages of refusal codes. Nothing here depends on a request, and the Host header is never echoed.
import type { Config } from '../config/config.ts'
import type { Proxy, Resource } from '../model.ts'
import { toJson } from '../oauth/answers.ts'
import { GRANT_TYPE } from '../oauth/vocabulary.ts'
import { isRefusalCode, pageOf } from '../refusal.ts'

/** Whether anybody can use the token endpoint at all: presence of a client that can authenticate is enablement. */
export function hasTokenEndpoint(config: Config): boolean {
  return [...config.clients.values()].some(({ auth }) => auth !== undefined)
}

/** RFC 8414 section 2. No authorization endpoint: users sign in at their identity provider. */
export function toServerMetadata(config: Config): Response {
  const auths = [...config.clients.values()].flatMap(({ auth }) => auth ?? [])
  const algorithms = auths.flatMap((auth) => (auth.method === 'private_key_jwt' ? auth.algorithms : []))
  return toJson({
    issuer: config.publicUrl,
    token_endpoint: `${config.publicUrl}/token`,
    grant_types_supported: [GRANT_TYPE.tokenExchange],
    token_endpoint_auth_methods_supported: unique(auths.map(({ method }) => method)),
    ...(algorithms.length === 0 ? {} : { token_endpoint_auth_signing_alg_values_supported: unique(algorithms) }),
  })
}

/** RFC 9728 section 2. Proxied requests are authorized by ID tokens, so the authorization servers are the identity providers. */
export function toResourceMetadata(config: Config, resource: Resource, proxy: Proxy): Response {
  const issuers = [...config.idps.values()]
    .filter(({ clients }) => [...clients.values()].some(({ edgeClient }) => edgeClient !== undefined))
    .map(({ issuer }) => issuer)
  return toJson({
    resource: proxy.publicUrl,
    ...(issuers.length === 0 ? {} : { authorization_servers: issuers }),
    ...(resource.scopes.length === 0 ? {} : { scopes_supported: resource.scopes }),
    bearer_methods_supported: ['header'],
    resource_name: resource.name,
  })
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

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)].toSorted()
}
