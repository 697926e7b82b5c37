// The revocation log in memory: the same answers as the book of the real ground.
import type { Revocation } from '../model.ts'
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
    async add(revocation, forgetAt) {
      await injected(faults.add, 'Durable Object')
      forget()
      const until = revocation.kind === 'block' ? revocation.until : undefined
      const end = Math.min(until ?? Number.POSITIVE_INFINITY, forgetAt ?? Number.POSITIVE_INFINITY)
      if (entries.has(revocation.id)) return
      entries.set(revocation.id, { revocation: structuredClone(revocation), end })
      version++
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
