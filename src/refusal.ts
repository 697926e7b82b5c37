// Every expected "no" of the house: one catalogue, and its translation for each audience. A refusal is a value; a fault (a
// bug, a broken platform) is thrown and becomes INT100. Two voices: what a caller reads was written here; what a
// counterparty said goes to the auditor at most, and only as a registered error code.
import { CATALOGUE } from './refusal-catalogue.ts'
import type { RefusalKind } from './refusal-kind.ts'

export type { RefusalKind }

export type RefusalCode = keyof typeof CATALOGUE

/** An expected "no". */
export interface Refusal {
  readonly code: RefusalCode
  /** The configured name it is about (a resource, a rule); safe to show. */
  readonly name?: string
  /**
   * What was expected and what came, for whoever was refused as well (`errors.detail`): our own words, configured names and
   * addresses, times. Before a caller is authenticated nothing but constants.
   */
  readonly expected?: string
  readonly got?: string
  /** For the auditor only. Holds no token, no secret and no foreign text. */
  readonly detail?: string
  /** For the auditor only: the ids of other rules that were about it. */
  readonly also?: readonly string[]
  readonly retryAfterSeconds?: number
  /** The methods that are supported there; left out, those of proxied requests. */
  readonly allow?: string
  /** The counterparty asked to be left alone for that long, within our bounds. */
  readonly holdSeconds?: number
  /** The counterparty limits somebody's requests; it is not out of order. */
  readonly throttled?: boolean
  /** RFC 9449 section 8: what the next DPoP proof must have in it. Whoever asks gets it; it is no secret. */
  readonly dpopNonce?: string
  /** RFC 9470 section 3: what a new login must satisfy. */
  readonly stepUp?: { readonly acrValues?: string; readonly maxAgeSeconds?: number }
}

export const REFUSAL_CODES: readonly RefusalCode[] = Object.freeze(codes())

function codes(): RefusalCode[] {
  const found: RefusalCode[] = []
  for (const code in CATALOGUE) if (isRefusalCode(code)) found.push(code)
  return found
}

export function isRefusalCode(text: string): text is RefusalCode {
  return Object.hasOwn(CATALOGUE, text)
}

export function kindOf(code: RefusalCode): RefusalKind {
  return CATALOGUE[code].kind
}

/** The page of a code, as anybody may read it. */
export function pageOf(code: RefusalCode): { readonly says: string; readonly fix: string } {
  const row = CATALOGUE[code]
  const name = unnamed(code)
  return { says: row.says.replaceAll('{name}', name), fix: row.fix.replaceAll('{name}', name) }
}

/** What a refusal is about where it names nothing: at the doors a resource, in the administration a part of the request. */
function unnamed(code: RefusalCode): string {
  if (code === 'POL101' || code === 'POL103' || code === 'LIM205') return 'NAME'
  return code.startsWith('ADM') ? 'a part of it' : 'the resource'
}

/** What happened, in a few words. */
export function titleOf({ code, name = unnamed(code) }: Refusal): string {
  return CATALOGUE[code].says.replaceAll('{name}', name)
}

/** What a caller reads: `CODE: what happened. Expected this, got that. What to do.` */
export function describe(refusal: Refusal, inFull: boolean): string {
  return [`${refusal.code}: ${titleOf(refusal)}.`, ...(inFull ? findingOf(refusal) : []), fixOf(refusal)].join(' ')
}

/** What to do about it, and who can. */
export function fixOf({ code, name = unnamed(code) }: Refusal): string {
  return CATALOGUE[code].fix.replaceAll('{name}', name)
}

function findingOf({ expected, got }: Refusal): readonly string[] {
  const parts = [expected && `expected ${expected}`, got && `got ${got}`].filter(Boolean).join(', ')
  return parts === '' ? [] : [`${parts.charAt(0).toUpperCase()}${parts.slice(1)}.`]
}

/** The answer at a resource (RFC 6750 section 3, RFC 9470): a status, and the error word of the challenge where one is due. */
export interface ResourceVoice {
  readonly status: number
  readonly challenge:
    | 'none'
    | 'bare'
    | 'invalid_token'
    | 'invalid_dpop_proof'
    | 'use_dpop_nonce'
    | 'insufficient_scope'
    | 'insufficient_user_authentication'
  /** Only a proof will do, whatever came (RFC 9449 section 7.1). */
  readonly scheme?: 'DPoP'
}

/** Audience: whoever called a proxied resource. */
export function toResourceVoice(code: RefusalCode): ResourceVoice {
  const kind = kindOf(code)
  switch (kind) {
    case 'no_token':
      return { status: 401, challenge: 'bare' }
    case 'bad_token':
    case 'login_refused':
      return { status: 401, challenge: 'invalid_token' }
    case 'unproven_token':
      return { status: 401, challenge: 'invalid_token', scheme: 'DPoP' }
    case 'bad_proof':
      return { status: 401, challenge: 'invalid_dpop_proof', scheme: 'DPoP' }
    case 'nonce_wanted':
      return { status: 401, challenge: 'use_dpop_nonce', scheme: 'DPoP' }
    case 'step_up':
      return { status: 401, challenge: 'insufficient_user_authentication' }
    case 'insufficient_scope':
      return { status: 403, challenge: 'insufficient_scope' }
    case 'denied':
    case 'unauthenticated_client':
    case 'grant_refused':
    case 'access_refused':
    case 'target_refused':
    case 'scope_refused':
    case 'details_refused':
      return { status: 403, challenge: 'none' }
    case 'unknown_target':
      return { status: 404, challenge: 'none' }
    case 'unsupported_method':
      return { status: 405, challenge: 'none' }
    case 'bad_request':
    case 'bad_scope':
    case 'unsupported_grant_type':
    case 'ambiguous_path':
      return { status: 400, challenge: 'none' }
    case 'rate_limited':
      return { status: 429, challenge: 'none' }
    case 'too_large':
      return { status: 413, challenge: 'none' }
    case 'media_type':
      return { status: 415, challenge: 'none' }
    case 'misconfigured':
    case 'misbehaved':
    case 'upstream_failed':
      return { status: 502, challenge: 'none' }
    case 'unavailable':
      return { status: 503, challenge: 'none' }
    case 'timeout':
      return { status: 504, challenge: 'none' }
    case 'fault':
      return { status: 500, challenge: 'none' }
  }
}

/** The answer at the token endpoint: status and registered error word (RFC 6749 section 5.2, RFC 8693 section 2.2.2). */
export interface TokenVoice {
  readonly status: number
  readonly error:
    | 'invalid_request'
    | 'invalid_client'
    | 'invalid_grant'
    | 'invalid_scope'
    | 'invalid_target'
    | 'invalid_authorization_details'
    | 'access_denied'
    | 'unsupported_grant_type'
    | 'insufficient_user_authentication'
    | 'invalid_dpop_proof'
    | 'use_dpop_nonce'
    | 'temporarily_unavailable'
    | 'server_error'
}

/** Audience: a client at the token endpoint. */
export function toTokenVoice(code: RefusalCode): TokenVoice {
  const kind = kindOf(code)
  switch (kind) {
    case 'unauthenticated_client':
      return { status: 401, error: 'invalid_client' }
    // RFC 8693 section 2.2.2: a subject token that is invalid for any reason is an invalid_request.
    case 'no_token':
    case 'bad_token':
    case 'unproven_token':
    case 'login_refused':
    case 'bad_request':
    case 'ambiguous_path':
      return { status: 400, error: 'invalid_request' }
    case 'bad_proof':
      return { status: 400, error: 'invalid_dpop_proof' }
    case 'nonce_wanted':
      return { status: 400, error: 'use_dpop_nonce' }
    case 'unsupported_method':
      return { status: 405, error: 'invalid_request' }
    case 'media_type':
      return { status: 400, error: 'invalid_request' }
    case 'too_large':
      return { status: 413, error: 'invalid_request' }
    // RFC 6585 section 4. `slow_down` (RFC 8628 section 3.5) is for who polls and has been told an interval; what its
    // clients do with it is not to wait. This word says what is the case, and nothing is wrong with any credential.
    case 'rate_limited':
      return { status: 429, error: 'temporarily_unavailable' }
    case 'unsupported_grant_type':
      return { status: 400, error: 'unsupported_grant_type' }
    case 'unknown_target':
    case 'target_refused':
      return { status: 400, error: 'invalid_target' }
    case 'bad_scope':
    case 'insufficient_scope':
    case 'scope_refused':
      return { status: 400, error: 'invalid_scope' }
    case 'details_refused':
      return { status: 400, error: 'invalid_authorization_details' }
    case 'denied':
    case 'access_refused':
      return { status: 400, error: 'access_denied' }
    case 'grant_refused':
      return { status: 400, error: 'invalid_grant' }
    case 'step_up':
      return { status: 400, error: 'insufficient_user_authentication' }
    case 'misconfigured':
    case 'misbehaved':
    case 'upstream_failed':
      return { status: 502, error: 'server_error' }
    case 'unavailable':
      return { status: 503, error: 'temporarily_unavailable' }
    case 'timeout':
      return { status: 504, error: 'temporarily_unavailable' }
    case 'fault':
      return { status: 500, error: 'server_error' }
  }
}

/** Audience: administrators, in audit events. Whether it was a decision against the caller, or something broke. */
export function toAuditOutcome(code: RefusalCode): 'deny' | 'error' {
  return toResourceVoice(code).status >= 500 ? 'error' : 'deny'
}
