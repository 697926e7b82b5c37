import { describe, expect, test } from 'vitest'
import { createCredentials, createKeyRing } from '../../../src/credentials/credentials.ts'
import { encodeEntry, lifetimeOf } from '../../../src/credentials/entry.ts'
import type { KeyRing } from '../../../src/credentials/key-ring.ts'
import { nameParts } from '../../../src/credentials/token-key.ts'
import { plusSeconds } from '../../../src/lib/numeric-date.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { Permit } from '../../../src/model.ts'
import { createWorld, json, SECRETS, type World } from '../support/world.ts'
import { cost, got, origin, permitFor, tokenFrom } from './acquire-world.ts'

const HOUR = 3600
const busy = (): Response => json({ error: 'temporarily_unavailable' }, { status: 503 })

/** A ring that seals as the house does: somebody who knows the key, or a mistake of ours. */
function ringOf(world: World): KeyRing {
  return createKeyRing(world.config.cache.sealingKeys, async (name) => new Secret(SECRETS[name] ?? ''))
}

async function sealedFor(
  world: World,
  permit: Permit,
  identity: string,
  token = 'foreign-token',
): Promise<[string, Uint8Array<ArrayBuffer>]> {
  const ring = ringOf(world)
  const [name] = await ring.names(nameParts(permit))
  const lifetime = lifetimeOf(world.clock.now(), HOUR, { maxTtlSeconds: HOUR, refreshBeforeSeconds: 60 })
  const entry = {
    id: 'x',
    identity,
    token: new Secret(token),
    server: permit.resource.authorizationServer.issuer,
    key: undefined,
    scopes: permit.scopes,
    details: undefined,
    jti: undefined,
    actors: [],
    idJag: undefined,
    obtainedAt: world.clock.epochMillis(),
    loginAt: world.clock.now(),
    ...lifetime,
  }
  return [name, await ring.seal(name, encodeEntry(entry))]
}

describe('acquire() looks', () => {
  test('in memory, then in KV, then joins the flight, then exchanges', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    expect(await origin(world, permit)).toBe('exchange')
    await world.settle()
    expect(await origin(world, permit)).toBe('memory')
    const elsewhere = world.isolate('elsewhere')
    expect(await origin(elsewhere, permit)).toBe('kv')
    expect(await origin(elsewhere, permit)).toBe('memory')
    world.store.faults.get = 'throw'
    expect(await origin(world.isolate('blind'), permit)).toBe('flight')
    expect(cost(world)).toEqual([1, 1])
  })

  test('in memory without asking KV, and gives the same token from everywhere', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    const token = await tokenFrom(world, permit)
    await world.settle()
    expect(await tokenFrom(world.isolate('elsewhere'), permit)).toBe(token)
    world.store.faults.get = 'throw'
    world.flight.faults.join = 'throw'
    expect(await tokenFrom(world, permit)).toBe(token)
  })

  test('past a KV that goes on saying no: what was missed a moment ago costs no second exchange', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    const idp = world.script.idp
    world.script.idp = busy
    const far = world.isolate('far')
    expect(await origin(far, permit)).toBe('IDP112')
    world.script.idp = idp
    expect(await origin(world, permit)).toBe('exchange')
    await world.settle()
    expect(world.store.list()).toHaveLength(1)
    // For a minute KV answers there from its copy of the miss.
    world.clock.advance(30)
    const before = cost(world)
    expect(await origin(far, permit)).toBe('flight')
    expect(await origin(world.isolate('far'), permit)).toBe('flight')
    expect(cost(world)).toEqual(before)
    world.clock.advance(31)
    expect(await origin(world.isolate('far'), permit)).toBe('kv')
  })

  test('once for forty requests in four isolates', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    const isolates = [world, world.isolate('a'), world.isolate('b'), world.isolate('c')]
    const origins = await Promise.all(Array.from({ length: 40 }, (_, at) => origin(isolates[at % 4] ?? world, permit)))
    expect(origins.filter((one) => one === 'exchange')).toHaveLength(1)
    expect(origins.filter((one) => one === 'flight')).toHaveLength(39)
    expect(cost(world)).toEqual([1, 1])
  })

  test('tells forty of one refusal, and asks once', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    world.script.ras = () => json({ error: 'access_denied' }, { status: 400 })
    const origins = await Promise.all(Array.from({ length: 40 }, () => origin(world, permit)))
    expect(new Set(origins)).toEqual(new Set(['RAS102']))
    expect(cost(world)).toEqual([1, 1])
  })

  test('for each user, client, resource and set of scopes apart', async () => {
    const world = createWorld({
      rules: [
        { id: 'all', effect: 'allow', who: { users: ['corp/alice', 'corp/bob'] }, resources: ['tasks', 'notes'] },
        { id: 'less', effect: 'deny', who: { groups: ['interns'] }, scopes: ['tasks.write'] },
      ],
    })
    const permits = [
      await permitFor(world),
      await permitFor(world, { sub: 'bob' }),
      await permitFor(world, { groups: ['interns'] }),
      await permitFor(world, {}, 'notes'),
    ]
    const tokens = await Promise.all(permits.map((permit) => tokenFrom(world, permit)))
    expect(new Set(tokens).size).toBe(4)
    expect(await Promise.all(permits.map((permit) => tokenFrom(world, permit)))).toEqual(tokens)
    expect(cost(world)).toEqual([4, 4])
    await world.settle()
    expect(world.store.list()).toHaveLength(4)
    // One user's entries begin alike.
    const [aliceName] = await ringOf(world).names(nameParts(permits[0] ?? (await permitFor(world))))
    expect(world.store.list(aliceName.split('.').slice(0, 2).join('.'))).toHaveLength(3)
  })

  test('for a new login of the same user in the same place', async () => {
    const world = createWorld()
    await origin(world, await permitFor(world))
    world.clock.advance(10)
    expect(await origin(world, await permitFor(world, { nonce: 'another' }))).toBe('memory')
  })
})

describe('acquire() when KV', () => {
  test('throws at reading: exchanges, and says nothing', async () => {
    const world = createWorld()
    world.store.faults.get = 'throw'
    expect(await origin(world, await permitFor(world))).toBe('exchange')
  })

  test('hangs at reading: goes on as soon as the ground gives up', async () => {
    const world = createWorld()
    world.store.faults.get = 'hang'
    expect(await origin(world, await permitFor(world))).toBe('exchange')
  })

  test.each(['throw', 'hang'] as const)(
    'does not write (%s): does not wait for it, and nothing breaks',
    async (fault) => {
      const world = createWorld()
      world.store.faults.put = fault
      const permit = await permitFor(world)
      expect(await origin(world, permit)).toBe('exchange')
      expect(await origin(world, permit)).toBe('memory')
      expect(await origin(world.isolate('elsewhere'), permit)).toBe('flight')
      await world.settle()
      expect(world.backgroundFailures).toEqual([])
      expect(cost(world)).toEqual([1, 1])
    },
  )

  test.each<[string, (good: Uint8Array<ArrayBuffer>) => Uint8Array]>([
    ['nothing', () => new Uint8Array(0)],
    ['junk', () => new Uint8Array(200).fill(7)],
    ['an entry cut short', (good) => good.slice(0, 40)],
    ['an entry with a flipped bit', (good) => good.map((byte, at) => (at === 30 ? byte ^ 1 : byte))],
    ['an entry of another version', (good) => good.map((byte, at) => (at === 0 ? 2 : byte))],
    ['200 KB', () => new Uint8Array(200_000).fill(1)],
  ])('holds %s: it is a miss', async (_what, spoil) => {
    const world = createWorld()
    const permit = await permitFor(world)
    const [name, good] = await sealedFor(world, permit, nameParts(permit).identity)
    await world.store.at('home').put(name, spoil(good), plusSeconds(world.clock.now(), HOUR))
    expect(await tokenFrom(world, permit)).toBe('canary-access-alice-1')
  })

  test('holds an entry moved from another user’s name: it is a miss', async () => {
    const world = createWorld()
    const bob = await permitFor(world, { sub: 'bob' })
    const alice = await permitFor(world)
    await tokenFrom(world, bob)
    await world.settle()
    const [stolen] = [...world.store.dump().values()]
    const [name] = await ringOf(world).names(nameParts(alice))
    await world.store.at('home').put(name, stolen?.value ?? new Uint8Array(0), plusSeconds(world.clock.now(), HOUR))
    expect(await tokenFrom(world, alice)).toBe('canary-access-alice-2')
  })

  test('holds an entry well sealed under this name for somebody else: it is never used', async () => {
    const world = createWorld()
    const alice = await permitFor(world)
    const bob = await permitFor(world, { sub: 'bob' })
    const [name, sealed] = await sealedFor(world, alice, nameParts(bob).identity)
    await world.store.at('home').put(name, sealed, plusSeconds(world.clock.now(), HOUR))
    expect(await tokenFrom(world, alice)).toBe('canary-access-alice-1')
    // The same entry with the right identity would have been.
    const carol = createWorld()
    const permit = await permitFor(carol)
    const [itsName, itsEntry] = await sealedFor(carol, permit, nameParts(permit).identity, 'mine')
    await carol.store.at('home').put(itsName, itsEntry, plusSeconds(carol.clock.now(), HOUR))
    expect(await tokenFrom(carol, permit)).toBe('mine')
  })

  test('is read by somebody else: neither names nor values tell a token or a user', async () => {
    const world = createWorld()
    await origin(world, await permitFor(world))
    await world.settle()
    for (const [name, { value }] of world.store.dump()) {
      const text = `${name} ${new TextDecoder().decode(value)}`
      for (const word of ['canary', 'alice', 'tasks', 'corp', 'eyJ', 'browser-app']) expect(text).not.toContain(word)
    }
  })

  test('holds what an older key sealed: it is still found after a rotation, and new entries go under the new name', async () => {
    const rotated = createWorld({
      cache: { sealing_keys: [{ secret: 'JAGWAY_SEALING_KEY' }, { secret: 'OLD_SEALING_KEY' }] },
    })
    const permit = await permitFor(rotated)
    const old = createWorld({ cache: { sealing_keys: [{ secret: 'OLD_SEALING_KEY' }] } })
    const [name, sealed] = await sealedFor(old, permit, nameParts(permit).identity, 'from-before')
    await rotated.store.at('home').put(name, sealed, plusSeconds(rotated.clock.now(), HOUR))
    expect(await tokenFrom(rotated, permit)).toBe('from-before')
    rotated.clock.advance(HOUR)
    await origin(rotated, await permitFor(rotated))
    await rotated.settle()
    const [newName] = await ringOf(rotated).names(nameParts(permit))
    expect(newName).not.toBe(name)
    expect(rotated.store.list()).toEqual([newName])
  })
})

describe('acquire() when the flight', () => {
  test('fails: asks to try again, and does better the next time', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    world.flight.faults.join = 'throw'
    expect(await world.credentials.acquire(permit)).toEqual({
      ok: false,
      error: { code: 'INT101', detail: 'the flight failed', retryAfterSeconds: 1 },
    })
    world.flight.faults.join = undefined
    expect(await origin(world, permit)).toBe('exchange')
  })

  test('brings an entry of somebody else: does not use it', async () => {
    const world = createWorld()
    const alice = await permitFor(world)
    const [, sealed] = await sealedFor(world, alice, nameParts(await permitFor(world, { sub: 'bob' })).identity)
    const credentials = createCredentials(
      {
        store: world.store.at('home'),
        clock: world.clock,
        background: () => undefined,
        flight: {
          join: async () => ({ landed: true, sealed, fresh: true, ms: {} }),
          peek: async () => undefined,
          forget: async () => undefined,
        },
      },
      ringOf(world),
      HOUR,
    )
    const acquired = await credentials.acquire(alice)
    expect(acquired).toMatchObject({
      ok: false,
      error: { code: 'INT101', detail: 'the flight brought a foreign entry' },
    })
    expect(JSON.stringify(acquired)).not.toContain('foreign-token')
  })
})

describe('a token', () => {
  test('is used until its margin, and then replaced', async () => {
    const world = createWorld({ cache: { refresh_before: '0s' } })
    const permit = await permitFor(world)
    const first = await tokenFrom(world, permit)
    world.clock.advance(3569)
    expect(await tokenFrom(world, permit)).toBe(first)
    world.clock.advance(1)
    const second = await permitFor(world)
    expect(await tokenFrom(world, second)).toBe('canary-access-alice-2')
    expect(await tokenFrom(world.isolate('elsewhere'), second)).toBe('canary-access-alice-2')
    expect(cost(world)).toEqual([2, 2])
  })

  test.each([
    [59, 0],
    [66, 0],
    [67, 1],
    [3600, 1],
  ])(
    'that lives %i seconds leaves %i entries in KV: less than a minute of use is not stored',
    async (lifetime, entries) => {
      const world = createWorld()
      world.alter('ras', { expires_in: lifetime })
      const permit = await permitFor(world)
      expect(await origin(world, permit)).toBe('exchange')
      await world.settle()
      expect([world.store.list().length, world.kvWrites()]).toEqual([entries, entries])
      expect(world.backgroundFailures).toEqual([])
      expect(await origin(world, permit)).toBe('memory')
      expect(await origin(world.isolate('elsewhere'), permit)).toBe(entries === 0 ? 'flight' : 'kv')
      expect(cost(world)).toEqual([1, 1])
    },
  )

  test.each([0, -1, 'soon'])(
    'of no known life (%j) serves those who waited for it, and nobody after them',
    async (expiresIn) => {
      const world = createWorld()
      world.alter('ras', { expires_in: expiresIn })
      const permit = await permitFor(world)
      const origins = await Promise.all(Array.from({ length: 5 }, () => origin(world, permit)))
      expect(origins.toSorted()).toEqual(['exchange', 'flight', 'flight', 'flight', 'flight'])
      expect(await origin(world, permit)).toBe('exchange')
      await world.settle()
      expect([world.store.list(), cost(world)]).toEqual([[], [2, 2]])
    },
  )

  test('is told with what remains, its scopes and the jti of its ID-JAG, but never shown', async () => {
    const world = createWorld()
    world.alter('ras', { scope: 'tasks.read' })
    const acquired = await world.credentials.acquire(await permitFor(world))
    expect(acquired).toMatchObject({
      value: {
        idJagJti: expect.stringMatching(/^jag-/),
        credential: { scopes: ['tasks.read'], expiresAt: world.clock.now() + HOUR },
      },
    })
    expect(JSON.stringify(acquired)).not.toContain('canary')
  })
})

describe('refreshing ahead', () => {
  test('serves the old token at once and brings the new one in the background, once', async () => {
    const world = createWorld()
    const first = await tokenFrom(world, await permitFor(world))
    await world.settle()
    world.clock.advance(3509)
    expect(await tokenFrom(world, await permitFor(world))).toBe(first)
    await world.settle()
    expect(cost(world)).toEqual([1, 1])
    world.clock.advance(1)
    const permit = await permitFor(world)
    const tokens = await Promise.all(Array.from({ length: 40 }, () => tokenFrom(world, permit)))
    expect(new Set(tokens)).toEqual(new Set([first]))
    await world.settle()
    expect(cost(world)).toEqual([2, 2])
    expect(await world.credentials.acquire(permit)).toMatchObject({ value: { origin: 'memory' } })
    expect(await tokenFrom(world, permit)).toBe('canary-access-alice-2')
    expect(await tokenFrom(world.isolate('new'), permit)).toBe('canary-access-alice-2')
  })

  test('does not wait for a slow server', async () => {
    const world = createWorld()
    await origin(world, await permitFor(world))
    await world.settle()
    world.clock.advance(3520)
    const gate = Promise.withResolvers<undefined>()
    const arrived = Promise.withResolvers<undefined>()
    const { idp } = world.script
    world.script.idp = async (seen) => {
      arrived.resolve(undefined)
      await gate.promise
      return idp(seen)
    }
    const permit = await permitFor(world)
    expect(await origin(world, permit)).toBe('memory')
    await arrived.promise
    expect(await origin(world, permit)).toBe('memory')
    gate.resolve(undefined)
    await world.settle()
    expect(await tokenFrom(world, permit)).toBe('canary-access-alice-2')
  })

  test('that fails is tried again every ten seconds at most, and hurts nobody while the token is good', async () => {
    const world = createWorld()
    await origin(world, await permitFor(world))
    await world.settle()
    world.clock.advance(3510)
    world.script.idp = busy
    for (let second = 0; second < 60; second++) {
      expect(await origin(world, await permitFor(world))).toBe('memory')
      await world.settle()
      world.clock.advance(1)
    }
    expect(cost(world)).toEqual([1 + 6, 1])
    expect(await origin(world, await permitFor(world))).toBe('IDP112')
    expect(world.backgroundFailures).toEqual([])
  })

  test('takes over what another isolate has brought already', async () => {
    const world = createWorld()
    const other = world.isolate('other')
    await origin(world, await permitFor(world))
    await world.settle()
    await origin(other, await permitFor(world))
    world.clock.advance(3515)
    const permit = await permitFor(world)
    await origin(world, permit)
    await world.settle()
    await origin(other, permit)
    await world.settle()
    expect(await tokenFrom(other, permit)).toBe('canary-access-alice-2')
    expect(cost(world)).toEqual([2, 2])
  })
})

describe('acquire() instead of a token the resource rejects', () => {
  test('brings a new one and drops the old one from memory', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    const rejected = got(await world.credentials.acquire(permit))
    await world.settle()
    world.clock.advance(5)
    const replaced = await world.credentials.acquire(permit, rejected)
    expect(replaced).toMatchObject({ value: { origin: 'exchange' } })
    expect(got(replaced).token.reveal()).toBe('canary-access-alice-2')
    await world.settle()
    expect(await tokenFrom(world, permit)).toBe('canary-access-alice-2')
    expect(await tokenFrom(world.isolate('elsewhere'), permit)).toBe('canary-access-alice-2')
    expect(cost(world)).toEqual([2, 2])
  })

  test('costs one exchange for forty who were rejected together', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    const rejected = got(await world.credentials.acquire(permit))
    world.clock.advance(5)
    const replaced = await Promise.all(
      Array.from({ length: 40 }, async () => world.credentials.acquire(permit, rejected)),
    )
    expect(new Set(replaced.map((one) => got(one).token.reveal()))).toEqual(new Set(['canary-access-alice-2']))
    expect(cost(world)).toEqual([2, 2])
  })

  test('gives another isolate what the first one brought', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    const other = world.isolate('other')
    const rejected = got(await world.credentials.acquire(permit))
    await world.settle()
    expect(got(await other.credentials.acquire(permit)).entryId).toBe(rejected.entryId)
    world.clock.advance(5)
    await world.credentials.acquire(permit, rejected)
    expect(await origin(other, permit, rejected)).toBe('flight')
    expect(await origin(other, permit)).toBe('memory')
    expect(cost(world)).toEqual([2, 2])
  })

  test('does not go round in circles: once a minute', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    const first = got(await world.credentials.acquire(permit))
    world.clock.advance(5)
    const second = got(await world.credentials.acquire(permit, first))
    for (let count = 0; count < 10; count++) expect(await origin(world, permit, second)).toBe('UPS101')
    expect(cost(world)).toEqual([2, 2])
    world.clock.advance(60)
    expect(await origin(world, await permitFor(world), second)).toBe('exchange')
    expect(cost(world)).toEqual([3, 3])
  })

  test('does not drop a newer token for an old complaint', async () => {
    const world = createWorld()
    const permit = await permitFor(world)
    const first = got(await world.credentials.acquire(permit))
    world.clock.advance(5)
    await world.credentials.acquire(permit, first)
    world.flight.faults.join = 'throw'
    expect(await origin(world, permit, first)).toBe('INT101')
    expect(await origin(world, permit)).toBe('memory')
    world.flight.faults.join = undefined
    expect(await origin(world, permit, first)).toBe('flight')
    expect(await origin(world, permit)).toBe('memory')
    expect(cost(world)).toEqual([2, 2])
  })
})
