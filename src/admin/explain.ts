// What would happen, without any of it happening: what policy would say to somebody, why, and what would then be asked of whom.
// For administrators at the endpoint and for `jagway explain`, which shows the same without a gateway.
import type { Config, Asked, Situation } from '../config/config.ts'
import { describeKey, rasClientFor } from '../credentials/credentials.ts'
import { readDelegation, toClaimReading } from '../identity/identity.ts'
import { numericDate } from '../lib/numeric-date.ts'
import type { Action, ClaimReading, Principal } from '../model.ts'
import type { Idp, IdpClient, Resource, ScopeToken } from '../parties.ts'
import { ACTS_ITSELF } from '../oauth/client-auth.ts'
import { toExchangeParameters, toRedeemParameters } from '../oauth/legs.ts'
import { GRANT_TYPE } from '../oauth/vocabulary.ts'
import type { Explanation, Policy } from '../policy/policy.ts'
import type { DpopUse } from '../quirks.ts'
import type { RevocationSnapshot } from '../revocation/revocation.ts'

/** Why nobody could come in this way, or what is left open about it. */
export type ChainNote =
  | 'no_proxy'
  | 'no_edge_client'
  | 'no_authentication'
  | 'several_idp_clients'
  /** Whom the user acts through is told to the identity provider: by our own assertion, or as the caller says. */
  | 'actor_is_client'
  | 'actor_of_caller'

/**
 * A DPoP proof that goes with a request. `if_taken`: unless the metadata of the server says that it takes none of ours;
 * `if_bound`: where the ID-JAG turns out to be bound to our key. The parameters are those of a request with it.
 */
export type ProofNote = 'sent' | 'if_taken' | 'if_bound'

/** On the wire. */
export interface ExplainAnswer {
  readonly decision: Explanation['decision']
  readonly reason: Explanation['reason']
  readonly code?: string
  readonly rule?: string
  /** How often the rule allows it to this user through this client; nothing is counted by asking here. */
  readonly rate?: { readonly limit: number; readonly period_seconds: number }
  readonly step_up?: { readonly acr_values?: string; readonly max_age?: number }
  readonly scopes: readonly string[]
  readonly shadow: readonly string[]
  readonly rules: Explanation['rules']
  /** Only where it is allowed. */
  readonly chain?: Chain
}

interface Chain {
  readonly notes: readonly ChainNote[]
  /** Absent: no client of the identity provider is meant for this caller. */
  readonly exchange?: Leg & { readonly idp: string; readonly client: string }
  readonly redeem: Leg
  /** The parts of the name under which the token is kept; `until`: at most so many seconds, and not longer than it lives. */
  readonly cache: {
    readonly key: Readonly<Record<string, unknown>>
    readonly max_ttl_seconds: number
    readonly refresh_before_seconds: number
  }
  readonly forward?: { readonly method: string; readonly url: string }
}

interface Leg {
  readonly issuer: string
  /** Absent: found by discovery. */
  readonly token_endpoint?: string
  readonly client_id: string
  /** What is sent beside tokens and our authentication. Of authorization_details the types alone were asked about. */
  readonly parameters: Readonly<Record<string, string>>
  /** Absent: without one. */
  readonly proof?: ProofNote
}

/** A question whose names have been found in the configuration. */
export interface Question {
  readonly as: Situation
  readonly asked: Asked
  readonly resource: Resource
  /** Only this client of the identity provider; undefined: whichever the caller may use. */
  readonly idpClient: string | undefined
  /** When, in milliseconds since the epoch. */
  readonly at: number
}

export function explain(
  { as, asked, resource, idpClient, at }: Question,
  config: Config,
  policy: Policy,
  revoked: RevocationSnapshot,
): ExplainAnswer {
  const principal = toPrincipal(as, config, at)
  const told = policy.explain({ principal, client: as.client }, resource, asked.action, revoked, at)
  const { decision, reason, refusal, rule, scopes, shadow, rules, assurance } = told
  const stepUp = refusal?.stepUp
  const rate = decision === 'allow' ? config.rules.find(({ id }) => id === rule)?.rate : undefined
  const chain =
    decision === 'allow'
      ? chainOf({ principal, client: as.client, action: asked.action, resource, scopes, assurance }, config, idpClient)
      : undefined
  return {
    decision,
    reason,
    ...(refusal === undefined ? {} : { code: refusal.code }),
    ...(rule === undefined ? {} : { rule }),
    ...(rate === undefined ? {} : { rate: { limit: rate.limit, period_seconds: rate.periodSeconds } }),
    ...(stepUp === undefined
      ? {}
      : {
          step_up: {
            ...(stepUp.acrValues === undefined ? {} : { acr_values: stepUp.acrValues }),
            ...(stepUp.maxAgeSeconds === undefined ? {} : { max_age: stepUp.maxAgeSeconds }),
          },
        }),
    scopes,
    shadow,
    rules,
    ...(chain === undefined ? {} : { chain }),
  }
}

/** Somebody who has just come with such a token. Of its claims only those are kept that identity would keep. */
export function toPrincipal(as: Situation, config: Pick<Config, 'idps' | 'policyClaims'>, nowMs: number): Principal {
  const idp = config.idps.get(as.idp)
  if (idp === undefined) throw new Error('the identity provider was looked up before')
  const { acr, amr, authAgeSeconds } = as
  const written: Readonly<Record<string, unknown>> = {
    ...as.claims,
    ...(acr === undefined ? {} : { acr }),
    ...(amr === undefined ? {} : { amr }),
  }
  const claimOf = (name: string): unknown => (Object.hasOwn(written, name) ? written[name] : undefined)
  const claims = new Map<string, ClaimReading>()
  for (const name of config.policyClaims) {
    const claimed = claimOf(name)
    if (claimed !== undefined) claims.set(name, toClaimReading(claimed))
  }
  const act = readDelegation(claimOf('act'))
  return {
    idp: idp.name,
    issuer: idp.issuer,
    subject: as.user,
    tenant: as.tenant,
    act: act.ok ? act.value : undefined,
    groups: as.groups,
    claims,
    acr: Object.hasOwn(written, 'acr') ? JSON.stringify(written['acr']) : undefined,
    authTime: authAgeSeconds === undefined ? undefined : numericDate(nowMs / 1000 - authAgeSeconds),
    issuedAt: numericDate(nowMs / 1000),
    expiresAt: numericDate(nowMs / 1000 + 300),
  }
}

interface Permitted {
  readonly principal: Principal
  readonly client: string
  readonly action: Action
  readonly resource: Resource
  readonly scopes: readonly ScopeToken[]
  readonly assurance: string | undefined
}

function chainOf(permitted: Permitted, config: Config, wanted: string | undefined): Chain {
  const { principal, client, action, resource, scopes, assurance } = permitted
  const idp = config.idps.get(principal.idp)
  const candidates = idp === undefined ? [] : idpClientsFor(idp, client, action, config)
  const [first, second] = wanted === undefined ? candidates : candidates.filter(({ name }) => name === wanted)
  const server = resource.authorizationServer
  const rasClient = rasClientFor(resource, client)
  const details = action.kind === 'token' ? action.details : undefined
  const notes: ChainNote[] = []
  if (action.kind === 'http' && resource.proxy === undefined) notes.push('no_proxy')
  if (first === undefined) notes.push(action.kind === 'http' ? 'no_edge_client' : 'no_authentication')
  if (second !== undefined) notes.push('several_idp_clients')
  const quirks = first === undefined ? undefined : idp?.quirks
  if (quirks?.actorToken === 'client_assertion') notes.push('actor_is_client')
  if (quirks?.actorToken === 'caller' && action.kind === 'token') notes.push('actor_of_caller')
  const redeemProof = proofOfRedemption(resource, quirks?.dpop ?? 'off')
  return {
    notes,
    ...(idp === undefined || first === undefined
      ? {}
      : {
          exchange: {
            idp: idp.name,
            client: first.ref,
            issuer: idp.issuer,
            ...endpointOf(idp),
            client_id: first.id,
            parameters: {
              grant_type: GRANT_TYPE.tokenExchange,
              ...toExchangeParameters('id_token', {
                ...idp.quirks,
                audience: server.audience,
                resource: resource.resource,
                scopes,
                details,
              }),
              ...(idp.quirks.actorToken === 'client_assertion' ? ACTS_ITSELF : {}),
            },
            ...proofIn(proofOf(idp.quirks.dpop, idp)),
          },
        }),
    redeem: {
      issuer: server.issuer,
      ...endpointOf(server),
      client_id: rasClient.id,
      parameters: toRedeemParameters(scopes, redeemProof !== undefined, {
        ...server.quirks,
        sendScope: server.quirks.sendScope === 'same',
        resource: resource.resource,
      }),
      ...proofIn(redeemProof),
    },
    cache: {
      key: describeKey({ principal, client, idpClient: first, resource, scopes, details, assurance }),
      max_ttl_seconds: config.cache.maxTtlSeconds,
      refresh_before_seconds: config.cache.refreshBeforeSeconds,
    },
    ...(action.kind === 'http' && resource.proxy !== undefined
      ? { forward: { method: action.method, url: resource.proxy.upstream + action.path } }
      : {}),
  }
}

type Endpoint = Pick<Idp, 'tokenEndpoint'>

/** Metadata is looked at only where the endpoint is found by it. Where a proof is required nothing is sent without one. */
function proofOf(use: DpopUse, { tokenEndpoint }: Endpoint): ProofNote | undefined {
  if (use === 'off') return undefined
  return use === 'try' && tokenEndpoint === undefined ? 'if_taken' : 'sent'
}

/** Whoever redeems an ID-JAG that is bound to a key proves possession of it, whatever is to become of the token. */
function proofOfRedemption({ dpop, authorizationServer }: Resource, ofExchange: DpopUse): ProofNote | undefined {
  const own = ofExchange === 'require' ? 'sent' : proofOf(dpop, authorizationServer)
  return own ?? (ofExchange === 'try' ? 'if_bound' : undefined)
}

function proofIn(proof: ProofNote | undefined): { readonly proof?: ProofNote } {
  return proof === undefined ? {} : { proof }
}

/** As whose audience an ID token could come: at the edge it must make the caller, at the token endpoint the caller must be somebody. */
function idpClientsFor(idp: Idp, client: string, action: Action, config: Config): readonly IdpClient[] {
  const caller = config.clients.get(client)
  const own = [...idp.clients.values()].filter(({ ref }) => caller?.subjectTokens.has(ref))
  if (action.kind === 'http') return own.filter(({ edgeClient }) => edgeClient === client)
  return caller?.auth === undefined ? [] : own
}

function endpointOf({ tokenEndpoint }: Endpoint) {
  return tokenEndpoint === undefined ? {} : { token_endpoint: tokenEndpoint }
}
