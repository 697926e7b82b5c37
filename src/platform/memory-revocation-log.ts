// The revocation log in memory: the same answers as the book of the real ground.
import type { Revocation } from '../connection.ts'
import type { Clock, RevocationLog } from '../ports.ts'
import { injected, type Fault } from './faults.ts'

export interface MemoryRevocationLog extends RevocationLog {
  /** Set by tests. */
  readonly faults: { read?: Fault | undefined; add?: Fault | undefined; lift?: Fault | undefined }
}

export function createMemoryRevocationLog(options: { readonly clock: Clock }): MemoryRevocationLog {
  const { clock } = options
  const entries = new Map<string, { readonly revocation: Revocation; readonly end: number }>()
  const faults: MemoryRevocationLog['faults'] = {}
  let version = clock.epochMillis()

  const forget = (): void => {
    const before = entries.size
    for (const [id, { end }] of entries) if (end <= clock.epochMillis()) entries.delete(id)
    if (entries.size < before) version++
  }

  return {
    faults,
    async read(known) {
      await injected(faults.read, 'Durable Object')
      forget()
      if (known === version) return undefined
      return structuredClone({ version, revocations: [...entries.values()].map(({ revocation }) => revocation) })
    },
    async add(revocation, forgetAt, room) {
      await injected(faults.add, 'Durable Object')
      forget()
      const until = revocation.kind === 'block' ? revocation.until : undefined
      const end = Math.min(until ?? Number.POSITIVE_INFINITY, forgetAt ?? Number.POSITIVE_INFINITY)
      const all = [...entries.values()]
      const isCutOff = revocation.kind === 'cutoff'
      const same = isCutOff ? all.filter(isCutOffLike(revocation)) : []
      const lasting = Math.max(end, ...same.map((entry) => entry.end))
      const reaching = same.find((entry) => reachOf(entry.revocation) >= reachOf(revocation))
      if (reaching !== undefined) {
        entries.set(reaching.revocation.id, { ...reaching, end: lasting })
        return true
      }
      const ofClient = all.filter(({ revocation: { selector } }) => selector.client === revocation.selector.client)
      if (isCutOff && same.length === 0 && room !== undefined && ofClient.length >= room) return false
      if (entries.has(revocation.id)) return true
      for (const entry of same) entries.delete(entry.revocation.id)
      entries.set(revocation.id, { revocation: structuredClone(revocation), end: lasting })
      version++
      return true
    },
    async lift(id) {
      await injected(faults.lift, 'Durable Object')
      forget()
      if (entries.get(id)?.revocation.kind !== 'block') return false
      entries.delete(id)
      version++
      return true
    },
  }
}

function reachOf(revocation: Revocation): number {
  return revocation.kind === 'cutoff' ? revocation.before : Number.NaN
}

function isCutOffLike({ selector }: Revocation): (entry: { readonly revocation: Revocation }) => boolean {
  return ({ revocation }) =>
    revocation.kind === 'cutoff' &&
    revocation.selector.idp === selector.idp &&
    revocation.selector.user === selector.user &&
    revocation.selector.client === selector.client &&
    revocation.selector.resource === selector.resource
}
