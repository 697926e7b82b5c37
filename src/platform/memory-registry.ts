// The registry in memory: the same answers as the ledgers of the real ground.
import { encodeFields } from '../lib/digest.ts'
import type { NumericDate } from '../lib/numeric-date.ts'
import type { Connection, RevocationSelector, TokenRecord } from '../connection.ts'
import type { Clock, QuotaKey, Registry } from '../ports.ts'
import { injected, type Fault } from './faults.ts'
import { oldestExpiry, oldestMonth, toPage, toRealm } from './registry-rules.ts'

export interface MemoryRegistry extends Registry {
  /** Set by tests. */
  readonly faults: { [method in keyof Registry]?: Fault | undefined }
}

export function createMemoryRegistry(options: { readonly clock: Clock }): MemoryRegistry {
  const { clock } = options
  const connections = new Map<string, Connection>()
  const uses = new Map<string, QuotaKey & { readonly used: number }>()
  const tokens = new Map<string, TokenRecord>()
  const faults: MemoryRegistry['faults'] = {}

  const forget = (): void => {
    for (const [name, { expiresAt }] of connections) {
      if (expiresAt < oldestExpiry(clock.now())) connections.delete(name)
    }
    for (const [key, { month }] of uses) if (month < oldestMonth(clock.now())) uses.delete(key)
    for (const [key, { keptUntil }] of tokens) if (keptUntil <= clock.now()) tokens.delete(key)
  }

  return {
    faults,
    async reserve(use, limit) {
      await injected(faults.reserve, 'Durable Object')
      const key = keyOf(use)
      const used = uses.get(key)?.used ?? 0
      if (limit !== undefined && used >= limit) return { allowed: false, used }
      uses.set(key, { ...use, used: used + 1 })
      return { allowed: true, used: used + 1 }
    },
    async release(use) {
      await injected(faults.release, 'Durable Object')
      const used = uses.get(keyOf(use))?.used ?? 0
      if (used > 0) uses.set(keyOf(use), { ...use, used: used - 1 })
    },
    async record(connection) {
      await injected(faults.record, 'Durable Object')
      const before = connections.get(connection.name)
      const { firstIssuedAt, count } = before ?? { ...connection, count: 0 }
      const earlierTokensUntil = before && laterOf(before.tokenExpiresAt, before.earlierTokensUntil)
      const changed = { firstIssuedAt, count: count + 1, earlierTokensUntil }
      connections.set(connection.name, { ...structuredClone(connection), ...changed })
    },
    async list({ selector, limit }) {
      await injected(faults.list, 'Durable Object')
      forget()
      const page = toPage(
        [...connections.values()].filter((connection) => isSelected(connection, selector)),
        limit,
      )
      return structuredClone(page)
    },
    async quota(user, month) {
      await injected(faults.quota, 'Durable Object')
      forget()
      return [...uses.values()]
        .filter((use) => use.user === user && use.month === month && use.used > 0)
        .toSorted((one, other) => (rankOf(one) < rankOf(other) ? -1 : 1))
        .map(({ idp, tenant, resource, used }) => ({ idp, tenant, resource, used }))
    },
    async noteToken(record) {
      await injected(faults.noteToken, 'Durable Object')
      const key = encodeFields([record.digest, record.name])
      if ((tokens.get(key)?.obtainedAt ?? 0) < record.obtainedAt) tokens.set(key, structuredClone(record))
    },
    async findToken(digest) {
      await injected(faults.findToken, 'Durable Object')
      forget()
      const found = [...tokens.values()].filter((record) => record.digest === digest)
      return structuredClone(found.toSorted((one, other) => (one.name < other.name ? -1 : 1)))
    },
    async forgetToken(digest, client) {
      await injected(faults.forgetToken, 'Durable Object')
      for (const [key, record] of tokens) {
        if (record.digest === digest && record.client === client) tokens.delete(key)
      }
    },
  }
}

function laterOf(one: NumericDate, other: NumericDate = one): NumericDate {
  return one > other ? one : other
}

function rankOf(use: QuotaKey): string {
  return `${toRealm(use)} ${use.resource}`
}

function keyOf({ idp, tenant, user, resource, month }: QuotaKey): string {
  return encodeFields([idp, tenant, user, resource, month])
}

function isSelected(connection: Connection, { idp, user, client, resource }: RevocationSelector): boolean {
  return (
    (idp === undefined || connection.idp === idp) &&
    (user === undefined || connection.user === user) &&
    (client === undefined || connection.client === client) &&
    (resource === undefined || connection.resource === resource)
  )
}
