// Connections as administrators see them: who has obtained tokens for what, and whether they still lead anywhere.
import type { NumericDate } from '../lib/numeric-date.ts'
import type { Connection } from '../connection.ts'
import type { RevocationSnapshot } from '../revocation/revocation.ts'
import { toTime } from './input.ts'

/** `blocked`: nobody passes, whatever it holds. `revoked`: what it holds is dead; its user may come again. */
export type ConnectionStatus = 'active' | 'expired' | 'revoked' | 'blocked'

/** A connection on the wire. */
export interface ConnectionView {
  readonly user: { readonly idp: string; readonly issuer: string; readonly sub: string; readonly tenant?: string }
  readonly client: string
  readonly resource: string
  readonly scopes: readonly string[]
  readonly first_issued_at: string
  readonly last_issued_at: string
  readonly expires_at: string
  readonly count: number
  readonly id_jag_jti?: string
}

export function statusOf(connection: Connection, revoked: RevocationSnapshot, nowMs: number): ConnectionStatus {
  const { blockedBy, tokensUntil } = revoked.standingOf(connection, nowMs)
  if (blockedBy !== undefined) return 'blocked'
  if (!isUnexpired(connection, nowMs)) return 'expired'
  return isObtainedBy(connection, tokensUntil) ? 'revoked' : 'active'
}

export function isUnexpired({ expiresAt }: Connection, nowMs: number): boolean {
  return expiresAt * 1000 > nowMs
}

/** In whole seconds: one that was obtained in the very second of the cut-off counts as before it. */
export function isObtainedBy({ lastIssuedAt }: Connection, epochMillis: number): boolean {
  return lastIssuedAt * 1000 <= epochMillis
}

export function toView(connection: Connection): ConnectionView {
  const { idp, issuer, user, tenant, client, resource, scopes, count, idJagJti } = connection
  return {
    user: { idp, issuer, sub: user, ...(tenant === undefined ? {} : { tenant }) },
    client,
    resource,
    scopes,
    first_issued_at: dateTime(connection.firstIssuedAt),
    last_issued_at: dateTime(connection.lastIssuedAt),
    expires_at: dateTime(connection.expiresAt),
    count,
    ...(idJagJti === undefined ? {} : { id_jag_jti: idJagJti }),
  }
}

export function dateTime(date: NumericDate): string {
  return toTime(date * 1000)
}
