// The record of one decision, as auditors read it. Types only, and none of them can hold a secret.
import type { RevocationSelector } from './connection.ts'
import type { ActingParty, AdminCaller, CredentialOrigin } from './model.ts'

/**
 * One decision, for the auditor (schema version 1). Made of names, identifiers and numbers: no member can hold a secret.
 * It is named after the stage that decided.
 */
export interface AuditEvent {
  readonly v: 1
  /** The request id that the caller was told as well. */
  readonly id: string
  /** RFC 3339, UTC. */
  readonly time: string
  readonly event: AuditEventName
  readonly outcome: 'allow' | 'deny' | 'error'
  readonly code?: string
  /** For the administrator only; never sent to a caller. */
  readonly detail?: string
  /** W3C Trace Context trace-id. */
  readonly trace_id: string
  readonly user?: { readonly issuer: string; readonly sub: string; readonly tenant?: string }
  /** `dpop_jkt`: the thumbprint of the key whose possession it has proven. */
  readonly client?: { readonly id: string; readonly auth: string; readonly dpop_jkt?: string }
  /**
   * Who acts for the user: the type of the actor token that the caller has presented, and what the ID-JAG behind the
   * credential says (`act`, outermost first, at most four).
   */
  readonly actor?: { readonly token_type?: string; readonly chain?: readonly ActingParty[] }
  readonly resource?: { readonly id: string; readonly kind: string; readonly aud: string }
  readonly scopes?: { readonly asked: readonly string[]; readonly granted?: readonly string[] }
  /** `shadow`: the rules with the effect shadow-deny that would have denied this, or some of its scopes. */
  readonly policy?: { readonly effect: 'allow' | 'deny'; readonly rule?: string; readonly shadow?: readonly string[] }
  /** Without a status in the event that is recorded before a token leaves. */
  readonly http: { readonly method: string; readonly status?: number }
  /** `ttl_s`: for how many more seconds the credential is good. */
  readonly token?: { readonly id_jag_jti?: string; readonly ttl_s: number }
  readonly cache?: CredentialOrigin
  /** ID-JAGs obtained this month for this user and resource; only where one was obtained. */
  readonly quota?: { readonly used: number; readonly limit: number; readonly warning: boolean }
  /** A rate limit was not looked at: the platform's counter did not answer. */
  readonly uncounted?: true
  /**
   * A token shown at the revocation or introspection endpoint. `foreign`: it was handed to another client, and the answer was
   * as for one that is unknown. `not_offered`: it was ended here, but its server takes no revocations.
   */
  readonly shown?: 'unknown' | 'foreign' | 'revoked' | 'not_offered' | 'active' | 'inactive'
  /** Of an event of the administration: who did what to whom. */
  readonly admin?: AdminRecord
  /** How many events of this isolate no sink will ever have. */
  readonly lost?: number
  readonly ms: {
    readonly total: number
    readonly exchange?: number
    readonly redeem?: number
    readonly upstream?: number
  }
}

export interface AdminRecord {
  /** Undefined: nobody who could be told. */
  readonly actor?: {
    readonly via: AdminCaller['via']
    readonly issuer: string
    readonly sub?: string
    readonly email?: string
  }
  readonly selector?: RevocationSelector
  /** Of the cut-off or block. */
  readonly id?: string
  /** RFC 3339, UTC. */
  readonly before?: string
  readonly until?: string
  readonly dry_run?: boolean
  /** How many connections were listed or cut, and what became of their tokens. */
  readonly counts?: Readonly<Record<string, number>>
}

export type AuditEventName =
  | 'subject.verify'
  | 'policy.decide'
  | 'policy.explain'
  | 'id_jag.request'
  | 'token.redeem'
  | 'token.issue'
  | 'token.revoke'
  | 'token.introspect'
  | 'request.forward'
  /** Where audit is required: a token is about to leave, to the resource or to the client. */
  | 'token.release'
  | 'connection.list'
  | 'connection.revoke'
  | 'connection.block'
  | 'connection.unblock'
  | 'revocation.list'
  | 'quota.read'
  | 'admin.request'
