// Authorization server metadata: found by the issuer, judged, kept for a while (RFC 8414, OpenID Connect Discovery 1.0).
//
// The document must name the very issuer it was looked up by, code point for code point (RFC 8414 section 3.3): metadata
// that claims somebody else's issuer is how accounts are taken over. oauth4webapi compares issuers as parsed URLs, which is
// laxer; so this is ours.
import { reachFault } from '../lib/reach.ts'
import { slipBetween } from '../lib/slip.ts'
import { Refreshing, type RefreshingBounds } from '../lib/refreshing.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { isObject } from '../lib/strict-json.ts'
import type { Issuer } from '../parties.ts'
import type { Background, Clock, Fetch } from '../ports.ts'
import { callForDocument, DOCUMENT_LIMITS, type Answer, type CallProblem } from './counterparty.ts'

/** What we use of an authorization server's metadata. Addresses are the exact strings of the document. */
export interface ServerMetadata {
  readonly issuer: Issuer
  readonly tokenEndpoint: string | undefined
  readonly jwksUri: string | undefined
  /** RFC 7009; undefined: none is offered, or none that can be used. */
  readonly revocationEndpoint: string | undefined
  /** How DPoP proofs may be signed (RFC 9449 section 5.1); undefined: it does not say. */
  readonly proofAlgorithms: readonly string[] | undefined
  /** What it says it takes. Servers may hide values, so that something is missing proves nothing; it explains a refusal. */
  readonly lists: {
    readonly grantTypes?: readonly string[] | undefined
    /** What an authorization server redeems (draft-ietf-oauth-identity-assertion-authz-grant section 7.2). */
    readonly grantProfiles?: readonly string[] | undefined
    /** What an identity provider issues in an exchange (draft-ietf-oauth-identity-chaining section 3). */
    readonly tokenTypes?: readonly string[] | undefined
    readonly authMethods?: readonly string[] | undefined
    readonly scopes?: readonly string[] | undefined
    /** RFC 9728 section 4. */
    readonly resources?: readonly string[] | undefined
  }
  /** RFC 8705 section 5: where the same is to be had by clients with a certificate, if it is elsewhere. */
  readonly mtls?:
    { readonly tokenEndpoint: string | undefined; readonly revocationEndpoint: string | undefined } | undefined
}

/** Which well-known document is asked for first: OpenID Connect Discovery section 4, or RFC 8414 section 3. */
export type WellKnown = 'oidc' | 'oauth2'

export interface Discovery {
  /** The other document is asked for only where the preferred one does not exist (404). Never throws. */
  metadataOf(issuer: Issuer, prefer: WellKnown): Promise<Result<ServerMetadata, CallProblem>>
}

export interface DiscoveryOptions {
  /** Development: http is allowed where the host is this machine. */
  readonly local: boolean
}

const BOUNDS: RefreshingBounds = {
  freshMs: 60 * 60_000,
  staleMs: 24 * 60 * 60_000,
  failureCooldownMs: 10_000,
  renewCooldownMs: 60_000,
  // Two documents, one after the other.
  deadlineMs: 2 * DOCUMENT_LIMITS.timeoutMs + 1_000,
}

export function createDiscovery(
  ports: { readonly fetch: Fetch; readonly clock: Clock; readonly background: Background },
  options: DiscoveryOptions,
): Discovery {
  // Issuers come from the configuration only, so this map is as small as the configuration.
  const sources = new Map<string, Refreshing<ServerMetadata, CallProblem>>()

  return {
    async metadataOf(issuer, prefer) {
      const name = `${prefer} ${issuer}`
      let source = sources.get(name)
      if (source === undefined) {
        source = new Refreshing(
          () => discover(ports.fetch, issuer, prefer, options),
          BOUNDS,
          () => ports.clock.millis(),
          ports.background,
        )
        sources.set(name, source)
      }
      return source.get()
    },
  }
}

async function discover(
  fetch: Fetch,
  issuer: Issuer,
  prefer: WellKnown,
  options: DiscoveryOptions,
): Promise<Result<ServerMetadata, CallProblem>> {
  if (!isEndpoint(issuer, options)) return unusable('an issuer that is not an https URL')
  const first = await callForDocument(fetch, wellKnownUrl(issuer, prefer))
  const absent = first.ok && first.value.status === 404
  const other = prefer === 'oidc' ? 'oauth2' : 'oidc'
  const answer = absent ? await callForDocument(fetch, wellKnownUrl(issuer, other)) : first
  return answer.ok ? judge(answer.value, issuer, options) : answer
}

/**
 * Where the document of an issuer stands: before the issuer's path (RFC 8414 section 3.1) or behind it (OpenID Connect
 * Discovery section 4.1), in both cases without a slash at its end. Only the address comes from the parsed URL; the issuer
 * itself is never taken from it.
 */
export function wellKnownUrl(issuer: Issuer, which: WellKnown): string {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  return which === 'oidc'
    ? `${origin}${path}/.well-known/openid-configuration`
    : `${origin}/.well-known/oauth-authorization-server${path}`
}

function judge(answer: Answer, issuer: Issuer, options: DiscoveryOptions): Result<ServerMetadata, CallProblem> {
  const { status, body } = answer
  if (status !== 200 || body === undefined) return unusable(`metadata answered with status ${status}`)
  if (body['issuer'] !== issuer) return otherIssuer(body['issuer'], issuer)
  const tokenEndpoint = endpoint(body['token_endpoint'], options)
  const jwksUri = endpoint(body['jwks_uri'], options)
  if (tokenEndpoint === 'refused') return unusable('metadata whose token_endpoint is not an https URL')
  if (jwksUri === 'refused') return unusable('metadata whose jwks_uri is not an https URL')
  const revocationEndpoint = extra(body['revocation_endpoint'], options)
  const aliases = body['mtls_endpoint_aliases']
  const mtls = isObject(aliases)
    ? {
        tokenEndpoint: extra(aliases['token_endpoint'], options),
        revocationEndpoint: extra(aliases['revocation_endpoint'], options),
      }
    : undefined
  return ok({
    issuer,
    tokenEndpoint: tokenEndpoint?.url,
    jwksUri: jwksUri?.url,
    revocationEndpoint,
    mtls,
    proofAlgorithms: listOf(body['dpop_signing_alg_values_supported']),
    lists: {
      grantTypes: listOf(body['grant_types_supported']),
      grantProfiles: listOf(body['authorization_grant_profiles_supported']),
      tokenTypes: listOf(body['identity_chaining_requested_token_types_supported']),
      authMethods: listOf(body['token_endpoint_auth_methods_supported']),
      scopes: listOf(body['scopes_supported']),
      resources: listOf(body['protected_resources']),
    },
  })
}

/** Undefined: there is no list that could be compared with. */
function listOf(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined
  const texts = value.filter((entry) => typeof entry === 'string')
  return texts.length === value.length ? texts : undefined
}

/** Somebody else's text is repeated only where it is ours but for a slip. */
function otherIssuer(theirs: unknown, ours: Issuer): Result<never, CallProblem> {
  const slip = typeof theirs === 'string' ? slipBetween(theirs, ours) : undefined
  const detail = `metadata of another issuer${slip === undefined ? '' : `: it differs by ${slip}`}`
  const named = typeof theirs === 'string' && slip !== undefined && isPlain(theirs) ? theirs : undefined
  return err({ kind: 'unusable', detail, otherIssuer: named })
}

/** Printable ASCII without space, quote and backslash, as it may stand in an answer. */
function isPlain(text: string): boolean {
  return /^[\x21\x23-\x5B\x5D-\x7E]{1,512}$/.test(text)
}

/** An address that cannot be used and is not indispensable does not make the server unusable. */
function extra(value: unknown, options: DiscoveryOptions): string | undefined {
  const found = endpoint(value, options)
  return found === 'refused' ? undefined : found?.url
}

function endpoint(value: unknown, options: DiscoveryOptions): { readonly url: string } | 'refused' | undefined {
  if (value === undefined) return undefined
  return typeof value === 'string' && isEndpoint(value, options) ? { url: value } : 'refused'
}

/**
 * Whether a discovered address may be called; it is somebody else's input (T20). No user information, no fragment; `fetch`
 * would also take `data:`.
 */
function isEndpoint(text: string, { local }: DiscoveryOptions): boolean {
  if (!URL.canParse(text) || text.includes('#')) return false
  const { protocol, username, password } = new URL(text)
  const isHttp = protocol === 'https:' || protocol === 'http:'
  return isHttp && username === '' && password === '' && reachFault(text, local) === undefined
}

function unusable(detail: string): Result<never, CallProblem> {
  return err({ kind: 'unusable', detail })
}
