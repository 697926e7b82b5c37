// Secrets that are being replaced: two are configured, and servers take the one or the other. What they are asked, how often,
// and that it ends.
import { describe, expect, test } from 'vitest'
import { createTestKey } from '../../support/keys.ts'
import { createWorld, IDPS, json, RESOURCES, SECRETS, type Json, type Seen, type World } from '../support/world.ts'
import { cost, got, origin, permitFor } from './acquire-world.ts'

const BOTH = [{ secret: 'TASKS_SECRET' }, { secret: 'NOTES_SECRET' }]
const [CURRENT, PREVIOUS] = [SECRETS['TASKS_SECRET'] ?? '', SECRETS['NOTES_SECRET'] ?? '']
const basic: Json = { method: 'client_secret_basic', secret: BOTH }

/** The two hops with both secrets at the role in question. */
function rotating(role: 'idp' | 'ras', auth: Json = basic): World {
  const corp = IDPS['corp'] as Json & { clients: Json }
  const web = { id: 'web-id', auth, edge_client: 'browser-app' }
  return role === 'idp'
    ? createWorld({ idps: { corp: { ...corp, clients: { ...corp.clients, web } } } })
    : createWorld({ resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, client: { id: 'gw-at-tasks', auth } } } })
}

function presented({ headers, form }: Seen): string {
  const encoded = headers.get('authorization')?.slice('Basic '.length)
  return encoded === undefined
    ? (form.get('client_secret') ?? '')
    : (decodeURIComponent(atob(encoded)).split(':')[1] ?? '')
}

/** The server takes one secret, and says so of the other. */
function takeOnly(world: World, role: 'idp' | 'ras', secret: string, refusal: Json, status: number): void {
  const answer = world.script[role]
  world.script[role] = (seen) => (presented(seen) === secret ? answer(seen) : json(refusal, { status }))
}

/** Another user each time: nothing comes from the cache. */
async function asUser(world: World, sub: 'alice' | 'bob'): Promise<string> {
  return origin(world, await permitFor(world, { sub }))
}

describe.each(['idp', 'ras'] as const)('at the %s', (role) => {
  test('the current secret is sent, and the one before is not', async () => {
    const world = rotating(role)
    expect(await asUser(world, 'alice')).toBe('exchange')
    expect(world.seen(role).map(presented)).toEqual([CURRENT])
  })

  test.each([
    ['invalid_client by 401', { error: 'invalid_client' }, 401],
    ['invalid_client by 400', { error: 'invalid_client' }, 400],
    ['unauthorized_client by 401, as Keycloak says it', { error: 'unauthorized_client' }, 401],
    ['401 alone', {}, 401],
  ])('the one before is tried once after %s, and comes first from then on', async (_what, refusal, status) => {
    const world = rotating(role)
    takeOnly(world, role, PREVIOUS, refusal, status)
    expect(await asUser(world, 'alice')).toBe('exchange')
    expect(world.seen(role).map(presented)).toEqual([CURRENT, PREVIOUS])
    expect(await asUser(world, 'bob')).toBe('exchange')
    expect(world.seen(role).map(presented)).toEqual([CURRENT, PREVIOUS, PREVIOUS])
  })

  test('the current one is found again when the one before has been withdrawn', async () => {
    const world = rotating(role)
    const answer = world.script[role]
    takeOnly(world, role, PREVIOUS, { error: 'invalid_client' }, 401)
    expect(await asUser(world, 'alice')).toBe('exchange')
    world.script[role] = answer
    takeOnly(world, role, CURRENT, { error: 'invalid_client' }, 401)
    expect(await asUser(world, 'bob')).toBe('exchange')
    expect(world.seen(role).map(presented)).toEqual([CURRENT, PREVIOUS, PREVIOUS, CURRENT])
  })

  test('two wrong secrets are two calls and a refusal that names neither, for everybody and for a while (F18)', async () => {
    const world = rotating(role)
    world.script[role] = () => json({ error: 'invalid_client' }, { status: 401 })
    const code = role === 'idp' ? 'IDP106' : 'RAS106'
    for (let count = 0; count < 5; count++) {
      const acquired = await world.credentials.acquire(await permitFor(world))
      expect(acquired).toMatchObject({ ok: false, error: { code } })
      expect(JSON.stringify(acquired)).not.toContain('canary')
    }
    expect(world.seen(role).map(presented)).toEqual([CURRENT, PREVIOUS])
  })

  test.each([
    ['invalid_grant', 400],
    ['invalid_grant', 401],
    ['unauthorized_client', 400],
    ['invalid_request', 400],
    ['temporarily_unavailable', 503],
    ['invalid_client', 503],
    ['invalid_client', 200],
  ])('%s by %i is not about the secret: nothing more is sent', async (error, status) => {
    const world = rotating(role)
    world.script[role] = () => json({ error }, { status })
    expect(await asUser(world, 'alice')).not.toBe('exchange')
    expect(world.seen(role).map(presented)).toEqual([CURRENT])
  })

  test('a single secret that is refused is sent once', async () => {
    const world = rotating(role, { method: 'client_secret_post', secret: { secret: 'TASKS_SECRET' } })
    world.script[role] = () => json({ error: 'invalid_client' }, { status: 401 })
    expect(await asUser(world, 'alice')).toBe(role === 'idp' ? 'IDP106' : 'RAS106')
    expect(world.seen(role).map(presented)).toEqual([CURRENT])
  })
})

test('each leg may have one more call, and the ID-JAG is not asked for twice', async () => {
  const corp = IDPS['corp'] as Json & { clients: Json }
  const web = { id: 'web-id', auth: basic, edge_client: 'browser-app' }
  const tasks = { ...RESOURCES.tasks, client: { id: 'gw-at-tasks', auth: basic } }
  const world = createWorld({
    idps: { corp: { ...corp, clients: { ...corp.clients, web } } },
    resources: { ...RESOURCES, tasks },
  })
  for (const role of ['idp', 'ras'] as const) takeOnly(world, role, PREVIOUS, { error: 'invalid_client' }, 401)
  expect(got(await world.credentials.acquire(await permitFor(world))).token.reveal()).toContain('canary-access')
  expect(cost(world)).toEqual([2, 2])
  const assertions = world.seen('ras').map(({ form }) => form.get('assertion'))
  expect(new Set(assertions).size).toBe(1)
})

test('a private key is replaced in the same way, with a fresh assertion for each call', async () => {
  const keys = { NEW_KEY: await createTestKey('new'), OLD_KEY: await createTestKey('old') }
  const auth = { method: 'private_key_jwt', key: [{ secret: 'NEW_KEY' }, { secret: 'OLD_KEY' }], alg: 'ES256' }
  const secrets = Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, JSON.stringify(key.privateJwk)]))
  const tasks = { ...RESOURCES.tasks, client: { id: 'gw-at-tasks', auth } }
  const world = createWorld({ resources: { ...RESOURCES, tasks }, secrets })
  const { ras } = world.script
  const headerOf = (seen: Seen): string => atob(seen.form.get('client_assertion')?.split('.')[0] ?? '')
  world.script.ras = (seen) =>
    headerOf(seen).includes('"kid":"old"') ? ras(seen) : json({ error: 'invalid_client' }, { status: 401 })
  expect(await origin(world, await permitFor(world))).toBe('exchange')
  const assertions = world.seen('ras').map(({ form }) => form.get('client_assertion'))
  expect(world.seen('ras').map(headerOf)).toEqual([
    expect.stringContaining('"kid":"new"'),
    expect.stringContaining('"kid":"old"'),
  ])
  expect(new Set(assertions.map((assertion) => assertion?.split('.')[1])).size).toBe(2)
})
