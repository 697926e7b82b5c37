// How clients prove who they are, linked: ours at the servers of others, with the defaults of their products, and those that
// call us.
import type { ClientId, Idp, InboundAuth, OutboundAuth, Resource, SecretName, SigningAlgorithm } from '../parties.ts'
import { linkKeys } from './link-keys.ts'
import type { Linker } from './linker.ts'
import type { ConfigPath } from './problem.ts'
import { authDefaults, type ProfileName } from './profiles.ts'
import type { InboundAuthEntry, OutboundAuthEntry } from './schema.ts'

export function linkOutboundAuth(entry: OutboundAuthEntry, profile: ProfileName): OutboundAuth {
  const defaults = authDefaults(profile)
  switch (entry.method) {
    case 'client_secret_basic':
      return { method: entry.method, secrets: entry.secret, encoding: entry.encoding ?? defaults.encoding }
    case 'client_secret_post':
      return { method: entry.method, secrets: entry.secret }
    case 'private_key_jwt': {
      const audience = entry.audience ?? defaults.audience
      // rfc7523bis: an assertion of this type names the issuer, and servers that know the type hold it to that.
      const typ = entry.typ ?? defaults.typ ?? (audience === 'issuer' ? 'client-authentication+jwt' : 'none')
      return { method: entry.method, keys: entry.key, alg: entry.alg, audience, typ }
    }
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
    case 'none':
      return entry
  }
}

export function linkInboundAuth(linker: Linker, entry: InboundAuthEntry, path: ConfigPath): InboundAuth | undefined {
  if (entry.method !== 'private_key_jwt') return { method: entry.method, secrets: entry.secret }
  const keys = linkKeys(linker, entry, path)
  if (keys !== undefined) return { method: entry.method, keys, algorithms: entry.algorithms }
  const message = 'the public keys of this client are missing'
  const help = 'give "jwks_uri" or "jwks"; a client has no metadata to discover them from'
  const restsOn = [
    [...path, 'jwks'],
    [...path, 'jwks_uri'],
  ]
  linker.report({ code: 'CFG103', path, at: 'key', message, help, restsOn })
  return undefined
}

/** One of our clients somewhere, and where the file speaks of it. */
export interface OwnRegistration {
  readonly path: ConfigPath
  readonly id: ClientId
  readonly auth: OutboundAuth
}

/** At identity providers and at authorization servers. */
export function ownRegistrations(links: OwnServers): readonly OwnRegistration[] {
  const atIdps = [...links.idps].flatMap(([idp, { clients }]) =>
    [...clients].map(([name, { id, auth }]) => ({ path: ['idps', idp, 'clients', name], id, auth })),
  )
  const atServers = [...links.resources].flatMap(([name, { client, clientsByCaller }]) => {
    const path = ['resources', name]
    const own = [...clientsByCaller].map(([caller, each]) => ({ path: [...path, 'clients', caller], ...each }))
    return [{ path: [...path, 'client'], ...client }, ...own]
  })
  return [...atIdps, ...atServers]
}

interface OwnServers {
  readonly idps: ReadonlyMap<string, Idp>
  readonly resources: ReadonlyMap<string, Pick<Resource, 'client' | 'clientsByCaller'>>
}

/** A private key of ours, and what it signs by. */
export interface OwnKeyName {
  readonly name: SecretName
  readonly alg: SigningAlgorithm
}

export function keysOfAuth(auth: OutboundAuth): readonly OwnKeyName[] {
  return auth.method === 'private_key_jwt' ? auth.keys.map((name) => ({ name, alg: auth.alg })) : []
}

export function secretsOfAuth(auth: OutboundAuth | InboundAuth): readonly SecretName[] {
  if ('secrets' in auth) return auth.secrets
  return auth.method === 'private_key_jwt' && 'alg' in auth ? auth.keys : []
}
