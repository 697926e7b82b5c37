// Tokens that are bound to a key of ours (RFC 9449): which key is proven where, what happens to it while a token lives, and
// what a server that does not bind gets.
import { describe, expect, test } from 'vitest'
import { nameParts } from '../../../src/credentials/token-key.ts'
import type { Credential } from '../../../src/model.ts'
import { readProof } from '../../support/dpop.ts'
import { createWorld, IDPS, json, NAMES, RESOURCES, type Json, type Seen, type World } from '../support/world.ts'
import { cost, got, origin, permitFor } from './acquire-world.ts'

const METADATA = 'https://as.tasks.test/.well-known/oauth-authorization-server'

type Use = 'off' | 'try' | 'require'

interface Wiring {
  readonly idp?: Use
  readonly api?: Use
  readonly quirks?: Json
  /** The metadata of the authorization server, where it is found by that. */
  readonly metadata?: Json
}

function boundWorld({ idp = 'off', api = 'off', quirks = {}, metadata }: Wiring): World {
  const corp = { ...(IDPS['corp'] as Json), quirks: { dpop: idp } }
  const endpoint = metadata === undefined ? { token_endpoint: NAMES.rasToken } : {}
  const tasks = { ...RESOURCES.tasks, authorization_server: { issuer: NAMES.ras, ...endpoint, quirks }, dpop: api }
  return createWorld({
    idps: { corp },
    resources: { ...RESOURCES, tasks },
    ...(metadata === undefined ? {} : { documents: { [METADATA]: metadata } }),
  })
}

async function jktOf({ headers }: Seen): Promise<string | undefined> {
  const proof = headers.get('dpop')
  return proof === null ? undefined : (await readProof(proof)).jkt
}

/** The keys proven to the identity provider and to the authorization server, in order. */
async function proven(world: World): Promise<readonly (readonly (string | undefined)[])[]> {
  return [await Promise.all(world.seen('idp').map(jktOf)), await Promise.all(world.seen('ras').map(jktOf))]
}

async function keyOf(credential: Credential): Promise<string | undefined> {
  return credential.kind === 'dpop' ? credential.key.thumbprint() : undefined
}

/** The identity provider takes no notice of proofs. */
function unheeding(world: World): void {
  const { idp } = world.script
  world.script.idp = (seen) => idp({ ...seen, headers: new Headers() })
}

describe('a token', () => {
  test.each<readonly [Use, Use, string]>([
    ['off', 'off', 'bearer'],
    ['off', 'try', 'dpop'],
    ['off', 'require', 'dpop'],
    // The authorization server binds whatever comes with a proof, and the bound ID-JAG cannot be redeemed without.
    ['try', 'off', 'dpop'],
    ['try', 'try', 'dpop'],
    ['require', 'off', 'dpop'],
    ['require', 'require', 'dpop'],
  ])('of identity provider %s and resource %s is %s', async (idp, api, kind) => {
    const world = boundWorld({ idp, api })
    const credential = got(await world.credentials.acquire(await permitFor(world)))
    expect(credential.kind).toBe(kind)
    const [[atIdp], [atRas]] = [(await proven(world))[0] ?? [], (await proven(world))[1] ?? []]
    expect([atIdp !== undefined, atRas !== undefined]).toEqual([idp !== 'off', idp !== 'off' || api !== 'off'])
    if (idp !== 'off') expect(atRas).toBe(atIdp)
    expect(await keyOf(credential)).toBe(atRas)
  })

  test('of a server that binds none is a bearer token where that may be', async () => {
    const world = boundWorld({ api: 'try' })
    world.alter('ras', { token_type: 'Bearer' })
    expect(got(await world.credentials.acquire(await permitFor(world))).kind).toBe('bearer')
  })

  test('of a bound ID-JAG may be a bearer token where nothing is said of the resource', async () => {
    const world = boundWorld({ idp: 'require' })
    world.alter('ras', { token_type: 'Bearer' })
    expect(got(await world.credentials.acquire(await permitFor(world))).kind).toBe('bearer')
  })

  test.each<readonly [string, Wiring, (world: World) => void, string, readonly [number, number]]>([
    [
      'that is not bound is refused where it must be',
      { api: 'require' },
      (world) => world.alter('ras', { token_type: 'Bearer' }),
      'RAS113',
      [1, 1],
    ],
    [
      'of an ID-JAG that is not bound though it must be is never asked for',
      { idp: 'require' },
      unheeding,
      'IDP113',
      [1, 0],
    ],
    [
      'that is bound though nobody asked is refused',
      {},
      (world) => world.alter('ras', { token_type: 'DPoP' }),
      'RAS109',
      [1, 1],
    ],
  ])('%s', async (_what, wiring, script, code, asked) => {
    const world = boundWorld(wiring)
    script(world)
    expect(await origin(world, await permitFor(world))).toBe(code)
    expect(cost(world)).toEqual(asked)
    await world.settle()
    expect(world.store.list()).toEqual([])
  })

  test('gives the quota back where the ID-JAG is not bound though it must be, and is not asked for again at once', async () => {
    const world = boundWorld({ idp: 'require' })
    unheeding(world)
    const permit = await permitFor(world)
    for (const _ of [1, 2, 3]) expect(await origin(world, permit)).toBe('IDP113')
    await world.settle()
    expect(cost(world)).toEqual([1, 0])
    expect(await world.registry.quota('alice', '2027-01')).toEqual([])
  })

  test('of an ID-JAG that is not bound, where it may be, is bound to a key of its own', async () => {
    const world = boundWorld({ idp: 'try', api: 'try' })
    unheeding(world)
    expect(got(await world.credentials.acquire(await permitFor(world))).kind).toBe('dpop')
    const [[atIdp] = [], [atRas] = []] = await proven(world)
    expect(atRas).not.toBe(atIdp)
  })

  test('is redeemed by jwt-dpop where the server wants that, and by nothing else without a proof', async () => {
    for (const api of ['off', 'require'] as const) {
      const world = boundWorld({ api, quirks: { redeem_grant: 'jwt-dpop' } })
      await world.credentials.acquire(await permitFor(world))
      expect(world.seen('ras')[0]?.form.get('grant_type')).toBe(
        `urn:ietf:params:oauth:grant-type:${api === 'off' ? 'jwt-bearer' : 'jwt-dpop'}`,
      )
    }
  })
})

describe('its key', () => {
  test('is another one for each token', async () => {
    const world = boundWorld({ api: 'require' })
    const permit = await permitFor(world)
    const first = got(await world.credentials.acquire(permit))
    world.clock.advance(5)
    const second = got(await world.credentials.acquire(permit, first))
    const other = got(await world.credentials.acquire(await permitFor(world, { sub: 'bob' })))
    const keys = await Promise.all([first, second, other].map(keyOf))
    expect(new Set(keys).size).toBe(3)
    expect(keys).not.toContain(undefined)
  })

  test('lies sealed beside it, and is the same in every isolate', async () => {
    const world = boundWorld({ api: 'require' })
    const permit = await permitFor(world)
    const credential = got(await world.credentials.acquire(permit))
    await world.settle()
    const secret = credential.kind === 'dpop' ? credential.key.reveal().d : ''
    expect(secret).toMatch(/^[\w-]{43}$/)
    for (const [name, { value }] of world.store.dump())
      expect(name + Buffer.from(value).toString('latin1')).not.toContain(secret)
    const elsewhere = await world.isolate('elsewhere').credentials.acquire(permit)
    expect(elsewhere.ok && elsewhere.value.origin).toBe('kv')
    expect(await keyOf(got(elsewhere))).toBe(await keyOf(credential))
    world.store.faults.get = 'throw'
    const landed = await world.isolate('blind').credentials.acquire(permit)
    expect(landed.ok && landed.value.origin).toBe('flight')
    expect(await keyOf(got(landed))).toBe(await keyOf(credential))
  })

  test('is imported once for each entry and isolate', async () => {
    const world = boundWorld({ api: 'require' })
    const permit = await permitFor(world)
    const [one, again] = [got(await world.credentials.acquire(permit)), got(await world.credentials.acquire(permit))]
    expect(one.kind === 'dpop' && again.kind === 'dpop' && one.key === again.key).toBe(true)
  })

  test('is renewed with the token, ahead of time', async () => {
    const world = boundWorld({ api: 'require' })
    const first = got(await world.credentials.acquire(await permitFor(world)))
    world.clock.advance(3_520)
    const permit = await permitFor(world)
    expect(await origin(world, permit)).toBe('memory')
    await world.settle()
    const second = got(await world.credentials.acquire(permit))
    expect(second.token.reveal()).not.toBe(first.token.reveal())
    expect(await keyOf(second)).not.toBe(await keyOf(first))
    expect(await keyOf(second)).toBe((await proven(world))[1]?.[1])
  })

  test('of a bound ID-JAG goes with it where that is redeemed again', async () => {
    const world = boundWorld({ idp: 'require', api: 'require', quirks: { id_jag_reuse: true } })
    const permit = await permitFor(world)
    const first = got(await world.credentials.acquire(permit))
    world.clock.advance(5)
    const second = got(await world.credentials.acquire(permit, first))
    expect(cost(world)).toEqual([1, 2])
    expect(await keyOf(second)).toBe(await keyOf(first))
  })

  test('of an ID-JAG that is not bound is not used again with it', async () => {
    const world = boundWorld({ api: 'require', quirks: { id_jag_reuse: true } })
    const permit = await permitFor(world)
    const first = got(await world.credentials.acquire(permit))
    world.clock.advance(5)
    const second = got(await world.credentials.acquire(permit, first))
    expect(cost(world)).toEqual([1, 2])
    expect(await keyOf(second)).not.toBe(await keyOf(first))
  })

  test('of a bound ID-JAG goes with it where an outage left it unredeemed', async () => {
    const world = boundWorld({ idp: 'require' })
    const { ras } = world.script
    world.script.ras = () => json({}, { status: 503 })
    const permit = await permitFor(world)
    expect(await origin(world, permit)).toBe('RAS112')
    world.script.ras = ras
    world.clock.advance(10)
    expect(await origin(world, permit)).toBe('exchange')
    expect(cost(world)).toEqual([1, 2])
    const [[atIdp] = [], atRas = []] = await proven(world)
    expect(atRas).toEqual([atIdp, atIdp])
  })
})

describe('a server whose metadata lists how proofs may be signed', () => {
  const metadataOf = (algorithms: readonly string[] | undefined): Json => ({
    issuer: NAMES.ras,
    token_endpoint: NAMES.rasToken,
    dpop_signing_alg_values_supported: algorithms,
  })

  test.each<readonly [readonly string[] | undefined, Use, string, readonly [number, number]]>([
    [['ES256'], 'require', 'exchange', [1, 1]],
    [undefined, 'require', 'exchange', [1, 1]],
    [['RS256'], 'require', 'RAS113', [0, 0]],
    [[], 'require', 'exchange', [1, 1]],
    [['RS256'], 'try', 'exchange', [1, 1]],
  ])('%j, and %s: %s, before an ID-JAG is paid for', async (algorithms, api, outcome, asked) => {
    const world = boundWorld({ api, metadata: metadataOf(algorithms) })
    expect(await origin(world, await permitFor(world))).toBe(outcome)
    expect(cost(world)).toEqual(asked)
    const isProven = world.seen('ras')[0]?.headers.has('dpop')
    if (outcome === 'exchange')
      expect(isProven).toBe(algorithms === undefined || algorithms.length === 0 || algorithms.includes('ES256'))
  })

  test('is shown a proof all the same where the ID-JAG is bound', async () => {
    const world = boundWorld({ idp: 'require', api: 'try', metadata: metadataOf(['RS256']) })
    expect(await origin(world, await permitFor(world))).toBe('exchange')
    expect(world.seen('ras')[0]?.headers.has('dpop')).toBe(true)
  })
})

test('what is bound and what is not are different entries, whatever else is the same', async () => {
  const wirings: readonly Wiring[] = [
    {},
    { idp: 'try' },
    { api: 'try' },
    { api: 'require' },
    { quirks: { redeem_grant: 'jwt-dpop' } },
  ]
  const identities = await Promise.all(
    wirings.map(async (wiring) => nameParts(await permitFor(boundWorld(wiring))).identity),
  )
  expect(new Set(identities).size).toBe(identities.length)
})
