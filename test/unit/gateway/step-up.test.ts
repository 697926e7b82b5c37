// APIs that demand a login of their own (RFC 9470), of which jagway knows nothing beforehand: a weak login is not served what a
// strong one obtained, and whoever signs in again gets on with it.
import { describe, expect, test } from 'vitest'
import type { Claims } from '../../support/keys.ts'
import { mint } from '../../support/keys.ts'
import { askWith, subjectWorld } from '../token/subjects-world.ts'
import { askEdge, cutOff, outcomeOf } from '../support/outcomes.ts'
import { claimsOf, createWorld, idpKey, json, RESOURCES, type World, type WorldOptions } from '../support/world.ts'

const HOUR = 3_600
const WANTED = 'Bearer error="insufficient_user_authentication", max_age="60", acr_values="mfa"'

/** An identity provider that tells the authorization server how and when the user signed in, and one that tells the API. */
function createTellingWorld(options: WorldOptions = {}): World {
  const world = createWorld(options)
  const usual = world.script.idp
  world.script.idp = async (seen) => {
    const answer = (await (await usual(seen)).json()) as Claims
    const { acr, auth_time } = claimsOf(seen.form.get('subject_token') ?? '')
    const claims = { ...claimsOf(String(answer['access_token'])), acr, auth_time }
    return json({ ...answer, access_token: await mint(idpKey, claims, { typ: 'oauth-id-jag+jwt' }) })
  }
  let count = 0
  world.script.ras = ({ form }) => {
    const { acr, auth_time: at } = claimsOf(form.get('assertion') ?? '')
    const token = `${typeof acr === 'string' ? acr : 'other'}-${String(at)}-${++count}`
    return json({ access_token: token, token_type: 'Bearer', expires_in: 12 * HOUR })
  }
  return world
}

/** The API takes the tokens that fit. */
function demand(world: World, fits: (login: { readonly acr: string; readonly at: number }) => boolean): void {
  world.script.upstream = ({ headers }) => {
    const [acr = '', at] = (headers.get('authorization') ?? '').replace('Bearer ', '').split('-')
    return fits({ acr, at: Number(at) })
      ? Response.json({})
      : new Response(null, { status: 401, headers: { 'www-authenticate': WANTED } })
  }
}

async function visit(world: World, claims: Claims, init: RequestInit = {}): Promise<string> {
  const now = world.clock.now()
  const outcome = await outcomeOf(await askEdge(world, { claims: { iat: now, exp: now + HOUR, ...claims }, ...init }))
  await world.settle()
  return outcome
}

const asked = (world: World) => [world.seen('idp').length, world.seen('ras').length, world.seen('upstream').length]

describe('a login of another strength', () => {
  test.each<[string, unknown, unknown]>([
    ['weaker', 'mfa', 'pwd'],
    ['stronger', 'pwd', 'mfa'],
    ['untold', 'mfa', undefined],
    ['told in a way that nothing can be compared with', { loa: 3 }, { loa: 1 }],
  ])('is not served the token of the one before: %s', async (_, one, other) => {
    const world = createTellingWorld()
    const claimsFor = (acr: unknown) => (acr === undefined ? {} : { acr })
    expect(await visit(world, claimsFor(one))).toBe('200')
    expect(await visit(world, claimsFor(other))).toBe('200')
    const [first, second] = world.seen('upstream').map(({ headers }) => headers.get('authorization'))
    expect(first).not.toBe(second)
    expect(asked(world)).toEqual([2, 2, 2])
  })

  test('that is too weak for the API hears so, also after one that was not', async () => {
    const world = createTellingWorld()
    demand(world, ({ acr }) => acr === 'mfa')
    expect(await visit(world, { acr: 'mfa' })).toBe('200')
    expect(await visit(world, { acr: 'pwd' })).toBe('401 UPS103')
    expect(await visit(world, { acr: 'mfa' })).toBe('200')
  })

  test('in a session that its refresh token goes on with is obtained anew, once the next request knows of it', async () => {
    const world = subjectWorld({ cache: { max_ttl: '1h' } })
    const claims: Record<string, unknown> = { acr: 'pwd' }
    const token = world.sessions.refreshToken({ claims })
    const first = await askWith(world, { token })
    claims['acr'] = 'mfa'
    await cutOff(world, { resource: 'tasks' })
    world.clock.advance(1)
    expect((await askWith(world, { token })).code).toBe('IDP109')
    const second = await askWith(world, { token })
    expect([second.status, second.accessToken === first.accessToken]).toEqual([200, false])
    expect(asked(world).slice(0, 2)).toEqual([2, 2])
  })
})

describe('a new login that the API has asked for', () => {
  test('gets a token of its own, although one is cached', async () => {
    const world = createTellingWorld()
    demand(world, ({ at }) => at >= world.clock.now() - 60)
    const login = world.clock.now()
    expect(await visit(world, { auth_time: login })).toBe('200')
    world.clock.advance(600)
    expect(await visit(world, { auth_time: login })).toBe('401 UPS103')
    expect(await visit(world, { auth_time: world.clock.now() })).toBe('200')
    expect(asked(world)).toEqual([2, 2, 4])
    expect(await visit(world, { auth_time: world.clock.now() })).toBe('200')
    expect(asked(world)).toEqual([2, 2, 5])
  })

  test('counts as new where the ID token does not tell when it was, once for each ID token', async () => {
    const world = createTellingWorld()
    demand(world, () => false)
    expect(await visit(world, { auth_time: undefined })).toBe('401 UPS103')
    for (let hour = 1; hour <= 3; hour++) {
      world.clock.advance(HOUR)
      const iat = world.clock.now()
      for (let minute = 0; minute < 5; minute++) {
        world.clock.advance(61)
        expect(await visit(world, { iat, auth_time: undefined })).toBe('401 UPS103')
      }
      expect(asked(world).slice(0, 2)).toEqual([1 + hour, 1 + hour])
    }
  })

  test('is not taken for one where it is as old as the one of the token, or older', async () => {
    const world = createTellingWorld()
    demand(world, () => false)
    const login = world.clock.now()
    for (const auth_time of [login, login, login - 600]) {
      world.clock.advance(61)
      expect(await visit(world, { auth_time })).toBe('401 UPS103')
    }
    expect(asked(world)).toEqual([1, 1, 3])
  })

  test('is tried once a minute at most, and the refusal stays the one of the API', async () => {
    const world = createTellingWorld()
    demand(world, () => false)
    await visit(world, { auth_time: world.clock.now() })
    for (let second = 0; second < 50; second++) {
      world.clock.advance(1)
      expect(await visit(world, { auth_time: world.clock.now() })).toBe('401 UPS103')
    }
    expect(asked(world).slice(0, 2)).toEqual([2, 2])
  })

  test('that the identity provider or the server does not take is told as that', async () => {
    const world = createTellingWorld()
    demand(world, () => false)
    await visit(world, { auth_time: world.clock.now() })
    world.clock.advance(61)
    world.script.idp = () => json({ error: 'insufficient_user_authentication' }, { status: 400 })
    expect(await visit(world, { auth_time: world.clock.now() })).toBe('401 IDP105')
  })

  test('is sent a stream once: the next request has the token', async () => {
    const world = createTellingWorld()
    const start = world.clock.now()
    demand(world, ({ at }) => at > start)
    await visit(world, { auth_time: start })
    world.clock.advance(61)
    const body = new Blob(['x'.repeat(300_000)]).stream()
    const login = { auth_time: world.clock.now() }
    expect(await visit(world, login, { method: 'POST', body })).toBe('503 UPS102')
    expect(await visit(world, login)).toBe('200')
    expect(asked(world).slice(0, 2)).toEqual([2, 2])
  })

  test('is not answered with an ID-JAG of the login before, where those are redeemed again', async () => {
    const { tasks } = RESOURCES
    const server = { ...tasks.authorization_server, quirks: { id_jag_reuse: true } }
    const world = createTellingWorld({ resources: { ...RESOURCES, tasks: { ...tasks, authorization_server: server } } })
    const start = world.clock.now()
    demand(world, ({ at }) => at > start)
    expect(await visit(world, { auth_time: start })).toBe('401 UPS103')
    world.clock.advance(61)
    expect(await visit(world, { auth_time: world.clock.now() })).toBe('200')
    expect(asked(world).slice(0, 2)).toEqual([2, 2])
  })

  test('does not have to come back because an outage has left an ID-JAG of the login before', async () => {
    const world = createTellingWorld()
    const start = world.clock.now()
    const { ras } = world.script
    demand(world, ({ at }) => at > start)
    world.script.ras = () => new Response(null, { status: 503 })
    expect(await visit(world, { auth_time: start })).toBe('503 RAS112')
    world.script.ras = ras
    world.clock.advance(60)
    expect(await visit(world, { auth_time: world.clock.now() })).toBe('200')
    expect(asked(world)).toEqual([2, 3, 2])
  })
})

test('an ID token for every hour of one login is one exchange', async () => {
  const world = createTellingWorld({ cache: { max_ttl: '12h' } })
  const auth_time = world.clock.now()
  for (let hour = 0; hour < 9; hour++) {
    expect(await visit(world, { auth_time, acr: 'mfa' })).toBe('200')
    world.clock.advance(HOUR)
  }
  expect(asked(world)).toEqual([1, 1, 9])
})
