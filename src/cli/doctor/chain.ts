// The Worker's own rooms, put together in this process over the memory ground: what they say of a token here, they say of
// it in the gateway.

import { randomBytes } from 'node:crypto'
import type { Config } from '../../config/config.ts'
import { createCredentials, createKeyRing, createWork, type Credentials } from '../../credentials/credentials.ts'
import { createIdentity, type Identity } from '../../identity/identity.ts'
import { fromUtf8 } from '../../lib/bytes.ts'
import { readLimited } from '../../lib/limited-body.ts'
import { Secret } from '../../lib/secret.ts'
import { parseJsonObject, type JsonObject } from '../../lib/strict-json.ts'
import { decodeCompactJwt } from '../../oauth/compact-jwt.ts'
import { TOKEN_LIMITS } from '../../oauth/counterparty.ts'
import { TOKEN_TYPE } from '../../oauth/vocabulary.ts'
import {
  createMemoryIntroductions,
  createMemoryRegistry,
  createMemoryReplayGuard,
  createMemoryRevocationLog,
  createMemorySingleFlight,
  createMemoryTokenStore,
} from '../../platform/memory.ts'
import { createPolicy, type Policy } from '../../policy/policy.ts'
import type { Background, Certificates, Fetch, Secrets } from '../../ports.ts'
import { createRevocations, type Revocations } from '../../revocation/revocation.ts'
import type { Tools } from './tools.ts'

export interface Chain {
  readonly identity: Identity
  readonly policy: Policy
  readonly revocations: Revocations
  readonly credentials: Credentials
  /** The claims of the last ID-JAG that an identity provider gave; unverified, and not the ID-JAG itself. */
  readonly idJag: () => JsonObject | undefined
}

export function createChain(tools: Tools): Chain {
  const { clock, witness, discovery } = tools
  const { fetch, idJag } = watchForIdJags(witness.fetch)
  const config = withEdgeClients(tools.config)
  const background: Background = (work) => void work.catch(() => undefined)
  const sealing = new Secret(randomBytes(32).toString('base64url'))
  const secrets: Secrets = (name) => {
    const value = config.cache.sealingKeys.includes(name) ? sealing : tools.secret(name)
    return value === undefined ? Promise.reject(new Error(`${name} has no value here`)) : Promise.resolve(value)
  }
  const revocations = createRevocations(config.revocation.maxStalenessSeconds, {
    log: createMemoryRevocationLog({ clock }),
    clock,
    background,
  })
  const store = createMemoryTokenStore({ clock }).at('here')
  const ring = createKeyRing(config.cache.sealingKeys, secrets)
  const registry = createMemoryRegistry({ clock })
  const shared = { fetch, clock, background, secrets, discovery }
  // Only the platform has them; whoever needs one is not tried.
  const certificates: Certificates = () => () => Promise.reject(new Error('no client certificate is here'))
  const replay = createMemoryReplayGuard({ clock })
  const identity = createIdentity(config, { ...shared, replay })
  const introductions = createMemoryIntroductions({ clock, background, work: (...job) => work.subject(...job) })
  const ports = { ...shared, certificates, store, registry, revocations, introductions, replay }
  const work = createWork(config, ports, ring, identity)
  const flight = createMemorySingleFlight({ clock, background, work: work.token })
  return {
    identity,
    policy: createPolicy(config.rules, config.resources.values()),
    revocations,
    credentials: createCredentials({ store, clock, background, flight }, ring, config.cache.maxTtlSeconds),
    idJag,
  }
}

function watchForIdJags(fetch: Fetch): Pick<Chain, 'idJag'> & { readonly fetch: Fetch } {
  let seen: JsonObject | undefined
  return {
    idJag: () => seen,
    fetch: async (request) => {
      const response = await fetch(request)
      if (request.method !== 'POST') return response
      const read = await readLimited(response.clone().body, TOKEN_LIMITS.maxBytes)
      const text = read.ok ? fromUtf8(read.value) : undefined
      const body = text?.ok === true ? parseJsonObject(text.value) : undefined
      const token =
        body?.ok === true && body.value['issued_token_type'] === TOKEN_TYPE.idJag
          ? body.value['access_token']
          : undefined
      const jwt = typeof token === 'string' ? decodeCompactJwt(token) : undefined
      if (jwt?.ok === true) seen = jwt.value.payload
      return response
    },
  }
}

/**
 * A token is judged at the edge, where it alone says who calls. Where the edge takes no tokens of a client, the first
 * caller that may present them at the token endpoint stands in.
 */
function withEdgeClients(config: Config): Config {
  const idps = [...config.idps.values()].map((idp) => {
    const clients = [...idp.clients.values()].map((client) => ({
      ...client,
      edgeClient: client.edgeClient ?? callersOf(config, client.ref)[0] ?? '',
    }))
    return { ...idp, clients: new Map(clients.map((client) => [client.name, client])) }
  })
  return {
    ...config,
    idps: new Map(idps.map((idp) => [idp.name, idp])),
    idpsByIssuer: new Map(idps.map((idp) => [idp.issuer, idp])),
  }
}

/** Who may present ID tokens of this client of an identity provider at the token endpoint. */
export function callersOf({ clients }: Config, ref: string): string[] {
  return [...clients.values()]
    .filter(({ auth, subjectTokens }) => auth !== undefined && subjectTokens.has(ref))
    .map(({ name }) => name)
}
