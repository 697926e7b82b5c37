// What every registry agrees on, whatever it keeps its rows in: how long it remembers, and the order of a list. It is a
// record of people's use of things: what nobody will ask about is deleted.
import { plusSeconds, type NumericDate } from '../lib/numeric-date.ts'
import type { Connection } from '../connection.ts'
import type { QuotaKey } from '../ports.ts'

const CONNECTION_RETENTION_DAYS = 90
const QUOTA_RETENTION_MONTHS = 13

/** A connection that expired before this is forgotten. */
export function oldestExpiry(now: NumericDate): NumericDate {
  return plusSeconds(now, -CONNECTION_RETENTION_DAYS * 24 * 60 * 60)
}

/** Months (`YYYY-MM`, UTC) before this one are forgotten: the same month of last year can still be compared. */
export function oldestMonth(now: NumericDate): string {
  const today = new Date(now * 1000)
  const oldest = Date.UTC(today.getUTCFullYear(), today.getUTCMonth() - QUOTA_RETENTION_MONTHS, 1)
  return new Date(oldest).toISOString().slice(0, 7)
}

/** What quota is kept by beside user, month and resource: no name of an identity provider has a slash in it. */
export function toRealm({ idp, tenant }: Pick<QuotaKey, 'idp' | 'tenant'>): string {
  return tenant === undefined ? idp : `${idp}/${tenant}`
}

export function fromRealm(realm: string): Pick<QuotaKey, 'idp' | 'tenant'> {
  const slash = realm.indexOf('/')
  return slash === -1
    ? { idp: realm, tenant: undefined }
    : { idp: realm.slice(0, slash), tenant: realm.slice(slash + 1) }
}

/** The newest first, at most `limit` of them, and whether that leaves any out. */
export function toPage(
  found: readonly Connection[],
  limit: number,
): { readonly connections: readonly Connection[]; readonly more: boolean } {
  const size = Math.max(0, limit)
  return { connections: found.toSorted(newestFirst).slice(0, size), more: found.length > size }
}

function newestFirst(one: Connection, other: Connection): number {
  return other.lastIssuedAt - one.lastIssuedAt || (one.name < other.name ? -1 : 1)
}
