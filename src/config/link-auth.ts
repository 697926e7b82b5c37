// How clients prove who they are, linked: ours at the servers of others, with the defaults of their products, and those that
// call us.
import type { InboundAuth, OutboundAuth, SecretName } from '../model.ts'
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

export function secretsOfAuth(auth: OutboundAuth | InboundAuth): readonly SecretName[] {
  if ('secrets' in auth) return auth.secrets
  return auth.method === 'private_key_jwt' && 'alg' in auth ? auth.keys : []
}
