// What a refusal can mean, and what is said of it. Types only; the rows stand in refusal-catalogue.ts and refusal-behind.ts.

/** What a refusal means to the protocol; the translations below switch on it. */
export type RefusalKind =
  | 'no_token'
  | 'bad_token'
  | 'unproven_token'
  | 'bad_proof'
  | 'nonce_wanted'
  | 'unauthenticated_client'
  | 'bad_request'
  | 'unsupported_grant_type'
  | 'unsupported_method'
  | 'unknown_target'
  | 'ambiguous_path'
  | 'bad_scope'
  | 'denied'
  | 'insufficient_scope'
  | 'login_refused'
  | 'grant_refused'
  | 'access_refused'
  | 'target_refused'
  | 'scope_refused'
  | 'details_refused'
  | 'step_up'
  | 'misconfigured'
  | 'misbehaved'
  | 'unavailable'
  | 'timeout'
  | 'upstream_failed'
  | 'rate_limited'
  | 'too_large'
  | 'media_type'
  | 'fault'

export interface CatalogueRow {
  readonly kind: RefusalKind
  /** What happened, for the caller. `{name}` is replaced by the configured name the refusal is about. ASCII without `"` and `\`. */
  readonly says: string
  /** What to change, and who can. */
  readonly fix: string
}
