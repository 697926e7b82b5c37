// Answers of our own making: refusals as bytes, in the dialect of whoever asked, and JSON that no cache may keep.
import {
  describe,
  fixOf,
  kindOf,
  titleOf,
  toResourceVoice,
  toTokenVoice,
  type Refusal,
  type RefusalKind,
} from '../refusal.ts'
import { SIGN_IN_SCOPES, toWwwAuthenticate } from './challenge.ts'
import { PROOF_ALGORITHMS } from './vocabulary.ts'

const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
} as const

export interface AnswerContext {
  /** Of the audit event; undefined where none is written. JSON leaves it out then. */
  readonly requestId: string | undefined
  /** Where the page of each refusal code stands; the code is appended. */
  readonly errorPages: string
  /** Whether callers learn what was expected and what was got. */
  readonly inFull: boolean
}

/** The resource a refusal is about, as far as its challenge needs to know. */
export interface ChallengedResource {
  readonly metadataUrl: string
  readonly scopes: readonly string[]
  /** The caller has used the scheme DPoP, or nobody gets in here by another. */
  readonly dpop: boolean
}

export function toJson(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return Response.json(body, { status, headers: { ...HEADERS, ...headers } })
}

export function toEmpty(headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(null, { headers: { ...HEADERS, ...headers } })
}

/** For callers of resources: RFC 9457 problem, RFC 6750 challenge, RFC 9209 Proxy-Status. */
export function toProblem(
  refusal: Refusal,
  context: AnswerContext,
  resource: ChallengedResource | undefined,
): Response {
  const { status, challenge, scheme } = toResourceVoice(refusal.code)
  const headers = refusalHeaders(refusal)
  if (status === 405) headers['allow'] = refusal.allow ?? 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'
  if (challenge !== 'none' && resource !== undefined) {
    headers['www-authenticate'] = toWwwAuthenticate({
      ...(challenge === 'bare' ? {} : { error: challenge, errorDescription: describe(refusal, context.inFull) }),
      // Clients ask the authorization servers of our metadata for these scopes (RFC 6750 section 3, MCP authorization). Those
      // are identity providers: another sign-in takes `openid`, and only for lack of scope is it the resource's that count.
      scopes: challenge === 'insufficient_scope' ? resource.scopes : SIGN_IN_SCOPES,
      ...refusal.stepUp,
      ...(scheme === 'DPoP' || resource.dpop ? { proofAlgorithms: PROOF_ALGORITHMS } : {}),
      resourceMetadata: resource.metadataUrl,
    })
  }
  const body = {
    type: `${context.errorPages}${refusal.code}`,
    title: titleOf(refusal),
    status,
    detail: describe(refusal, context.inFull),
    code: refusal.code,
    ...(context.inFull && refusal.expected !== undefined ? { expected: refusal.expected } : {}),
    ...(context.inFull && refusal.got !== undefined ? { got: refusal.got } : {}),
    fix: fixOf(refusal),
    request_id: context.requestId,
  }
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...HEADERS, ...headers, 'content-type': 'application/problem+json' },
  })
}

/** For people whom somebody has sent here with their browser: plain text, with nothing in it that came with the request. */
export function toPage(refusal: Refusal, context: AnswerContext): Response {
  const { status } = toResourceVoice(refusal.code)
  return new Response(`${describe(refusal, context.inFull)}\n\n${context.errorPages}${refusal.code}\n`, {
    status,
    headers: { ...HEADERS, ...refusalHeaders(refusal), 'content-type': 'text/plain; charset=utf-8' },
  })
}

/** For administrators: as for callers of resources, but a challenge leads nowhere else (RFC 9110 section 15.5.2). */
export function toAdminProblem(refusal: Refusal, context: AnswerContext): Response {
  const answer = toProblem(refusal, context, undefined)
  if (answer.status !== 401) return answer
  const { scheme, challenge } = toResourceVoice(refusal.code)
  const proven = `DPoP realm="jagway admin", error="${challenge}", algs="${PROOF_ALGORITHMS.join(' ')}"`
  answer.headers.set('www-authenticate', scheme === 'DPoP' ? proven : 'Bearer realm="jagway admin"')
  return answer
}

/** For clients of the token endpoint: RFC 6749 section 5.2. `basic`: the client tried HTTP Basic authentication. */
export function toTokenError(refusal: Refusal, context: AnswerContext, basic: boolean): Response {
  const { status, error } = toTokenVoice(refusal.code)
  const headers = refusalHeaders(refusal)
  if (status === 401 && basic) headers['www-authenticate'] = 'Basic realm="jagway", charset="UTF-8"'
  if (status === 405) headers['allow'] = 'POST'
  const body = {
    error,
    error_description: describe(refusal, context.inFull),
    error_uri: `${context.errorPages}${refusal.code}`,
    request_id: context.requestId,
    // draft-ietf-oauth-identity-assertion-authz-grant: the members of RFC 9470 travel in the token error.
    ...(refusal.stepUp?.acrValues === undefined ? {} : { acr_values: refusal.stepUp.acrValues }),
    ...(refusal.stepUp?.maxAgeSeconds === undefined ? {} : { max_age: refusal.stepUp.maxAgeSeconds }),
  }
  return toJson(body, status, { ...headers, pragma: 'no-cache' })
}

function refusalHeaders(refusal: Refusal): Record<string, string> {
  return {
    'proxy-status': `jagway; error=${toProxyError(kindOf(refusal.code))}; details="${refusal.code}"`,
    ...(refusal.dpopNonce === undefined ? {} : { 'dpop-nonce': refusal.dpopNonce }),
    ...(refusal.retryAfterSeconds === undefined ? {} : { 'retry-after': refusal.retryAfterSeconds.toString() }),
  }
}

/** RFC 9209 section 2.3 error types: tells our refusals from the upstream's. */
function toProxyError(kind: RefusalKind): string {
  switch (kind) {
    case 'misconfigured':
      return 'proxy_configuration_error'
    case 'misbehaved':
    case 'upstream_failed':
      return 'http_protocol_error'
    case 'unavailable':
      return 'destination_unavailable'
    case 'timeout':
      return 'http_response_timeout'
    case 'fault':
      return 'proxy_internal_error'
    case 'no_token':
    case 'bad_token':
    case 'unproven_token':
    case 'bad_proof':
    case 'nonce_wanted':
    case 'unauthenticated_client':
    case 'bad_request':
    case 'unsupported_grant_type':
    case 'unsupported_method':
    case 'unknown_target':
    case 'ambiguous_path':
    case 'bad_scope':
    case 'denied':
    case 'insufficient_scope':
    case 'login_refused':
    case 'grant_refused':
    case 'access_refused':
    case 'target_refused':
    case 'scope_refused':
    case 'details_refused':
    case 'step_up':
    case 'rate_limited':
    case 'too_large':
    case 'media_type':
      return 'http_request_denied'
  }
}
