// The work of a flight: two hops, whom they talk to, and what is kept of them.
import { describe, expect, test } from 'vitest'
import { createKeyRing, createWork } from '../../../src/credentials/credentials.ts'
import { encodeEntry, lifetimeOf, type Entry } from '../../../src/credentials/entry.ts'
import { placeOf } from '../../../src/credentials/token-key.ts'
import { toBase64Url, toUtf8 } from '../../../src/lib/bytes.ts'
import { plusSeconds } from '../../../src/lib/numeric-date.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { Issuer } from '../../../src/parties.ts'
import { createMemoryRegistry } from '../../../src/platform/memory.ts'
import type { Fetch, KeptEntry, TokenJob, TokenWork } from '../../../src/ports.ts'
import { mint } from '../../support/keys.ts'
import { scopesOf } from '../support/proofs.ts'
import {
  claimsOf,
  createWorld,
  idpKey,
  IDPS,
  json,
  NAMES,
  RESOURCES,
  SECRETS,
  type Json,
  type World,
} from '../support/world.ts'
import { cost, got, origin, permitFor, tokenFrom, withReuse } from './acquire-world.ts'

/** The token is rejected after five seconds; the next acquisition finds what is kept of the last flight. */
async function rejectOnce(world: World): Promise<string> {
  const permit = await permitFor(world)
  const rejected = got(await world.credentials.acquire(permit))
  world.clock.advance(5)
  return origin(world, permit, rejected)
}

describe('an ID-JAG', () => {
  test('is redeemed once where its server allows no more', async () => {
    const world = createWorld()
    expect(await rejectOnce(world)).toBe('exchange')
    const assertions = world.seen('ras').map(({ form }) => form.get('assertion'))
    expect(new Set(assertions).size).toBe(2)
    expect(cost(world)).toEqual([2, 2])
  })

  test('is redeemed again where its server allows that, and costs no quota', async () => {
    const world = createWorld({ resources: withReuse() })
    expect(await rejectOnce(world)).toBe('exchange')
    const assertions = world.seen('ras').map(({ form }) => form.get('assertion'))
    expect(new Set(assertions).size).toBe(1)
    expect(cost(world)).toEqual([1, 2])
    expect(await tokenFrom(world, await permitFor(world))).toBe('canary-access-alice-2')
  })

  test('is not redeemed again when it is about to expire', async () => {
    for (const [seconds, exchanges] of [
      [289, 1],
      [290, 2],
    ] as const) {
      const world = createWorld({ resources: withReuse() })
      const permit = await permitFor(world)
      const rejected = got(await world.credentials.acquire(permit))
      world.clock.advance(seconds)
      expect(await origin(world, await permitFor(world), rejected)).toBe('exchange')
      expect(cost(world)).toEqual([exchanges, 2])
    }
  })

  test('that is refused the second time is replaced by a new one, once (D-10)', async () => {
    const world = createWorld({ resources: withReuse() })
    const { ras } = world.script
    const redeemed = new Set<string | null>()
    world.script.ras = (seen) => {
      const assertion = seen.form.get('assertion')
      const isUsed = redeemed.has(assertion)
      redeemed.add(assertion)
      return isUsed ? json({ error: 'invalid_grant' }, { status: 400 }) : ras(seen)
    }
    expect(await rejectOnce(world)).toBe('exchange')
    expect(cost(world)).toEqual([2, 3])
  })

  test('that is refused although it is new is not asked for again', async () => {
    const world = createWorld({ resources: withReuse() })
    world.script.ras = () => json({ error: 'invalid_grant' }, { status: 400 })
    expect(await origin(world, await permitFor(world))).toBe('RAS101')
    expect(cost(world)).toEqual([1, 1])
  })

  test('is kept nowhere where it may not be used again, and never readable', async () => {
    for (const resources of [RESOURCES, withReuse()]) {
      const world = createWorld({ resources })
      await tokenFrom(world, await permitFor(world))
      await world.settle()
      const jag = world.seen('ras')[0]?.form.get('assertion') ?? 'none'
      for (const { value } of world.store.dump().values()) {
        expect(new TextDecoder('latin1').decode(value)).not.toContain(jag.slice(-20))
      }
    }
  })
})

describe('the two hops', () => {
  test('go to the endpoints, by the clients and for the audience of the configuration, verbatim', async () => {
    const world = createWorld()
    await tokenFrom(world, await permitFor(world))
    const [exchange] = world.seen('idp')
    const [redemption] = world.seen('ras')
    expect([exchange?.url, exchange?.form.get('audience'), exchange?.form.get('resource')]).toEqual([
      NAMES.idpToken,
      NAMES.ras,
      NAMES.api,
    ])
    const basicOf = (header: string | null | undefined): string => decodeURIComponent(atob(header?.slice(6) ?? ''))
    expect(basicOf(exchange?.headers.get('authorization'))).toBe(`web-id:${SECRETS['IDP_WEB_SECRET']}`)
    expect(redemption?.url).toBe(NAMES.rasToken)
    expect(basicOf(redemption?.headers.get('authorization'))).toBe('gw-at-tasks:canary-ras-tasks')
    expect(redemption?.form.has('resource')).toBe(false)
    expect(claimsOf(redemption?.form.get('assertion') ?? '')).toMatchObject({
      aud: NAMES.ras,
      client_id: 'gw-at-tasks',
    })
    expect(redemption?.body).not.toContain(exchange?.form.get('subject_token') ?? 'none')
    expect(world.strays).toEqual([])
  })

  test('use the registration that belongs to the calling client, where there is one', async () => {
    const own = { id: 'gw-for-browser', auth: { method: 'client_secret_post', secret: { secret: 'NOTES_SECRET' } } }
    const resources = { ...RESOURCES, tasks: { ...RESOURCES.tasks, clients: { 'browser-app': own } } }
    const world = createWorld({ resources })
    const { idp } = world.script
    // An identity provider that knows us there by another name is not believed,
    expect(await origin(world, await permitFor(world))).toBe('IDP109')
    expect(world.seen('ras')).toEqual([])
    // one that knows us by this caller's is, once what it said is forgotten.
    world.clock.advance(10)
    world.script.idp = async (seen) => {
      const body = await (await idp(seen)).json<Record<string, string>>()
      const claims = { ...claimsOf(body['access_token'] ?? ''), client_id: 'gw-for-browser' }
      return json({ ...body, access_token: await mint(idpKey, claims, { typ: 'oauth-id-jag+jwt' }) })
    }
    expect(await origin(world, await permitFor(world))).toBe('exchange')
    const form = world.seen('ras')[0]?.form
    expect([form?.get('client_id'), form?.get('client_secret')]).toEqual(['gw-for-browser', 'canary-ras-notes'])
  })

  test('leave scope out and send the resource where the server is like that', async () => {
    const server = {
      issuer: NAMES.ras,
      token_endpoint: NAMES.rasToken,
      quirks: { send_scope: 'none', send_resource: true },
    }
    const world = createWorld({
      resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, authorization_server: server } },
    })
    await tokenFrom(world, await permitFor(world))
    const form = world.seen('ras')[0]?.form
    expect([form?.has('scope'), form?.get('resource')]).toEqual([false, NAMES.api])
  })

  test('do not spend an ID-JAG on a server that cannot be found', async () => {
    const server = { issuer: 'https://as.lost.test' }
    const world = createWorld({
      resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, authorization_server: server } },
    })
    const acquired = await world.credentials.acquire(await permitFor(world))
    expect(acquired).toMatchObject({ error: { code: 'RAS114', name: 'tasks', retryAfterSeconds: 5 } })
    expect(cost(world)).toEqual([0, 0])
    expect(world.strays[0]).toBe('https://as.lost.test/.well-known/oauth-authorization-server')
  })

  test('say so where the identity provider cannot be found', async () => {
    const { token_endpoint: _left, ...corp } = IDPS['corp'] as Json
    const world = createWorld({ idps: { corp } })
    expect(await world.credentials.acquire(await permitFor(world))).toMatchObject({
      error: { code: 'IDP114', name: 'tasks' },
    })
  })

  test('say which secret holds no key, and ask nobody', async () => {
    const auth = { method: 'private_key_jwt', key: { secret: 'NOTES_SECRET' }, alg: 'ES256' }
    const world = createWorld({
      resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, client: { id: 'gw', auth } } },
    })
    const acquired = await world.credentials.acquire(await permitFor(world))
    expect(acquired).toMatchObject({ error: { code: 'RAS106', detail: expect.stringContaining('NOTES_SECRET') } })
    expect(JSON.stringify(acquired)).not.toContain('canary')
    expect(cost(world)).toEqual([0, 0])
  })

  test('name the resource in every refusal, and take nothing of the servers’ words', async () => {
    const world = createWorld()
    for (const [role, code] of [
      ['ras', 'RAS102'],
      ['idp', 'IDP102'],
    ] as const) {
      world.script[role] = () => json({ error: 'access_denied', error_description: 'canary' }, { status: 400 })
      // Users of their own: what one was refused is remembered.
      const acquired = await world.credentials.acquire(
        await permitFor(world, { sub: role === 'ras' ? 'alice' : 'bob' }),
      )
      expect(acquired).toMatchObject({ error: { code, name: 'tasks' } })
      expect(JSON.stringify(acquired)).not.toContain('canary')
    }
  })

  test('end at the first refusal: without an ID-JAG nothing is redeemed', async () => {
    const world = createWorld()
    world.script.idp = () => json({ error: 'invalid_grant' }, { status: 400 })
    expect(await origin(world, await permitFor(world))).toBe('IDP101')
    expect(cost(world)).toEqual([1, 0])
  })
})

describe('the work of a flight in another deployment', async () => {
  const secrets = async (name: string) => new Secret(SECRETS[name] ?? '')

  function workIn(world: World, fetch?: Fetch): TokenWork {
    const ring = createKeyRing(world.config.cache.sealingKeys, secrets)
    const unused = (): never => {
      throw new Error('not to be called')
    }
    const ports = {
      fetch: fetch ?? unused,
      clock: world.clock,
      background: () => undefined,
      secrets,
      certificates: unused,
      store: world.store.at('x'),
      discovery: { metadataOf: unused },
      registry: createMemoryRegistry({ clock: world.clock }),
      revocations: world.revocations,
      introductions: { introduce: unused, recall: unused },
      replay: world.replay,
    }
    return createWork(world.config, ports, ring, world.identity).token
  }

  const PLACE = placeOf(await permitFor(createWorld({ resources: withReuse() })))
  const JOB: TokenJob = {
    name: 't1.x',
    idp: 'corp',
    idpClient: 'web',
    resource: 'tasks',
    caller: 'browser-app',
    scopes: ['tasks.read'],
    details: undefined,
    actor: undefined,
    subject: { kind: 'id_token', token: 'e30.e30.sig' },
    identity: 'x',
    minRemainingSeconds: 0,
    rejectedEntry: undefined,
    forLogin: false,
    place: PLACE,
    signedInAt: plusSeconds(createWorld().clock.now(), -5),
    tokensUntil: 0,
    manner: '',
    loginAt: createWorld().clock.now(),
    owner: { issuer: NAMES.idp as Issuer, user: 'alice', tenant: undefined },
  }

  test.each([
    { idp: 'gone' },
    { idpClient: 'gone' },
    { resource: 'gone' },
    { scopes: ['a b'] },
    { idp: '__proto__' },
    { place: 'elsewhere' },
  ])('that does not know %j asks to try again, and asks nobody else', async (changes) => {
    expect(await workIn(createWorld())({ ...JOB, ...changes }, undefined)).toMatchObject({
      refusal: { code: 'INT101', retryAfterSeconds: 1 },
    })
  })

  test('does not present an ID-JAG that was kept for somebody else', async () => {
    const world = createWorld({ resources: withReuse() })
    const subjectToken = await world.idToken()
    const ring = createKeyRing(world.config.cache.sealingKeys, secrets)
    const keptFor = async (identity: string): Promise<KeptEntry> => {
      const entry: Entry = {
        id: 'kept',
        identity,
        token: new Secret('old'),
        server: NAMES.ras as Issuer,
        key: undefined,
        scopes: scopesOf('tasks.read'),
        details: undefined,
        ...lifetimeOf(world.clock.now(), 3600, { maxTtlSeconds: 3600, refreshBeforeSeconds: 60 }),
        obtainedAt: world.clock.epochMillis(),
        loginAt: world.clock.now(),
        jti: 'jag',
        actors: [],
        idJag: {
          token: new Secret(`e30.${toBase64Url(toUtf8('{"sub":"bob"}'))}.c2ln`),
          key: undefined,
          expiresAt: plusSeconds(world.clock.now(), 300),
          scopes: scopesOf('tasks.read'),
          details: undefined,
        },
      }
      const sealed = await ring.seal(JOB.name, encodeEntry(entry))
      return { id: 'kept', sealed, usableUntil: entry.usableUntil, obtainedAt: entry.obtainedAt }
    }
    const job: TokenJob = { ...JOB, subject: { kind: 'id_token', token: subjectToken }, scopes: ['tasks.read'] }
    await workIn(world, world.fetch)(job, await keptFor('of somebody else'))
    expect(cost(world)).toEqual([1, 1])
    expect(claimsOf(world.seen('ras')[0]?.form.get('assertion') ?? '')['sub']).toBe('alice')
    await workIn(world, world.fetch)(job, await keptFor(JOB.identity))
    expect(cost(world)).toEqual([1, 2])
  })
})
