// Tokens in clients' hands, where the records of them are odd: noted under a key that has been replaced, or more than once.
import { describe, expect, test } from 'vitest'
import type { TokenRecord } from '../../../src/connection.ts'
import { createIssuedTokens, createKeyRing } from '../../../src/credentials/credentials.ts'
import { plusSeconds } from '../../../src/lib/numeric-date.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { AuthenticatedClient } from '../../../src/model.ts'
import type { Issuer, SecretName } from '../../../src/parties.ts'
import { createManualClock, createMemoryRegistry, createMemoryRevocationLog } from '../../../src/platform/memory.ts'
import { ok } from '../../../src/lib/result.ts'
import { createSnapshot } from '../../../src/revocation/revocation.ts'
import { configOf, EXAMPLE } from '../config/example.ts'
import { assertionOf } from '../support/proofs.ts'

const TOKEN = new Secret('canary-token')

function ringOf(...names: readonly string[]) {
  return createKeyRing(
    names.map((name) => name as SecretName),
    async (name) => new Secret(`the value of ${name}, forty characters of it`),
  )
}

function createHouse(...keys: readonly string[]) {
  const clock = createManualClock()
  const registry = createMemoryRegistry({ clock })
  const log = createMemoryRevocationLog({ clock })
  const givenBack: (readonly [readonly TokenRecord[], boolean])[] = []
  const cutter = {
    cut: async () => [],
    async giveBack(_token: Secret, records: readonly TokenRecord[], forward: boolean) {
      givenBack.push([records, forward])
      return 'revoked' as const
    },
  }
  const issued = createIssuedTokens(
    configOf(EXAMPLE),
    {
      registry,
      log,
      clock,
      background: () => undefined,
      cutter,
      revocations: { latest: async () => ok(createSnapshot([])) },
    },
    ringOf(...keys),
  )
  const note = async (key: string, changes: Partial<TokenRecord> = {}): Promise<TokenRecord> => {
    const [digest] = await ringOf(key).digests(TOKEN.reveal())
    const record: TokenRecord = {
      digest,
      name: 't1.a',
      idp: 'main',
      user: 'ann',
      client: 'bot',
      resource: 'tasks',
      server: 'https://as.tasks.example' as Issuer,
      scopes: [],
      obtainedAt: clock.epochMillis(),
      expiresAt: plusSeconds(clock.now(), 600),
      keptUntil: plusSeconds(clock.now(), 3600),
      ...changes,
    }
    await registry.noteToken(record)
    return record
  }
  return { clock, registry, log, issued, note, givenBack }
}

/** Whoever is proven, however: only the name counts here. */
async function bot(): Promise<AuthenticatedClient> {
  return (await assertionOf({ caller: 'bot' })).caller
}

describe('find()', () => {
  test('finds what was noted under a key that has been replaced since, as long as it is still there', async () => {
    const { issued, note } = createHouse('NEW', 'OLD')
    const record = await note('OLD')
    expect(await issued.find(TOKEN, await bot())).toEqual(ok({ kind: 'own', records: [record], shared: false }))
    const late = createHouse('NEW')
    await late.note('OLD')
    expect(await late.issued.find(TOKEN, await bot())).toEqual(ok({ kind: 'unknown' }))
  })

  test('has the newest first of several, and tells a token that others hold too', async () => {
    const { issued, note, clock } = createHouse('NEW', 'OLD')
    const old = await note('OLD')
    clock.advance(1)
    const narrow = await note('NEW', { name: 't1.b' })
    expect(await issued.find(TOKEN, await bot())).toEqual(ok({ kind: 'own', records: [narrow, old], shared: false }))
    await note('NEW', { name: 't1.c', client: 'other' })
    expect(await issued.find(TOKEN, await bot())).toEqual(ok({ kind: 'own', records: [narrow, old], shared: true }))
  })
})

describe('revoke()', () => {
  test('ends every connection that has the token, and forgets it under every key', async () => {
    const { issued, note, log, givenBack } = createHouse('NEW', 'OLD')
    await note('OLD')
    await note('NEW', { name: 't1.b', user: 'bob' })
    await note('NEW', { name: 't1.c', client: 'other' })
    const found = await issued.find(TOKEN, await bot())
    if (!found.ok || found.value.kind !== 'own') throw new Error('not found')
    expect(await issued.revoke(TOKEN, found.value)).toEqual(ok('revoked'))
    const selectors = (await log.read(undefined))?.revocations.map(({ selector }) => selector)
    const common = { idp: 'main', client: 'bot', resource: 'tasks' }
    expect(selectors?.toSorted((one, other) => ((one.user ?? '') < (other.user ?? '') ? -1 : 1))).toEqual([
      { ...common, user: 'ann' },
      { ...common, user: 'bob' },
    ])
    expect(givenBack).toEqual([[found.value.records, false]])
    expect(await issued.find(TOKEN, await bot())).toEqual(ok({ kind: 'foreign' }))
  })
})
