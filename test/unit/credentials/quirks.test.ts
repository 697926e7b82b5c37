// What a configuration says of a server, as the server sees it: one test for each quirk, over the whole house.
import { describe, expect, test } from 'vitest'
import { nameParts } from '../../../src/credentials/token-key.ts'
import { createTestKey, mint, type Claims } from '../../support/keys.ts'
import {
  claimsOf,
  createWorld,
  idpKey,
  IDPS,
  json,
  NAMES,
  RESOURCES,
  type Json,
  type Seen,
  type World,
} from '../support/world.ts'
import { cost, origin, permitFor, tokenFrom } from './acquire-world.ts'

interface Quirks {
  readonly idp?: Json
  readonly ras?: Json
  /** Of the authorization server, beside its quirks. */
  readonly server?: Json
}

function worldWith({ idp = {}, ras = {}, server = {} }: Quirks): World {
  const { tasks } = RESOURCES
  const authorizationServer = { ...tasks.authorization_server, ...server, quirks: ras }
  return createWorld({
    idps: { corp: { ...(IDPS['corp'] as Json), quirks: idp } },
    resources: { ...RESOURCES, tasks: { ...tasks, authorization_server: authorizationServer } },
  })
}

/** An identity provider that issues this ID-JAG whatever it is asked. */
function grant(world: World, claims: Claims = {}): void {
  const good = {
    iss: NAMES.idp,
    sub: 'alice',
    aud: NAMES.ras,
    client_id: 'gw-at-tasks',
    jti: 'jag-1',
    iat: world.clock.now(),
    exp: world.clock.now() + 300,
  }
  world.script.idp = async () =>
    json({
      issued_token_type: 'urn:ietf:params:oauth:token-type:id-jag',
      access_token: await mint(idpKey, { ...good, ...claims }, { typ: 'oauth-id-jag+jwt' }),
      token_type: 'N_A',
    })
}

/** The parameters that name a target, of the one request that a leg has made. */
function targets(seen: readonly Seen[]): Json {
  const [one] = seen
  if (one === undefined || seen.length > 1) throw new Error(`${seen.length} requests`)
  return Object.fromEntries([...one.form].filter(([name]) => name === 'audience' || name === 'resource'))
}

describe('the identity provider is asked', () => {
  test('by target audience for the issuer of the RAS as audience and the API as resource', async () => {
    const world = worldWith({ idp: { target: 'audience' } })
    await tokenFrom(world, await permitFor(world))
    expect(targets(world.seen('idp'))).toEqual({ audience: NAMES.ras, resource: NAMES.api })
  })

  test('by target legacy_resource for the issuer of the RAS as resource, without the API', async () => {
    const world = worldWith({ idp: { target: 'legacy_resource' } })
    grant(world)
    await tokenFrom(world, await permitFor(world))
    expect(targets(world.seen('idp'))).toEqual({ resource: NAMES.ras })
  })

  test('by send_resource false for no API', async () => {
    const world = worldWith({ idp: { send_resource: false } })
    grant(world)
    await tokenFrom(world, await permitFor(world))
    expect(targets(world.seen('idp'))).toEqual({ audience: NAMES.ras })
  })

  test('by the audience of the authorization server, while the ID-JAG must be for its issuer', async () => {
    const world = worldWith({ server: { audience: 'urn:saas:tasks' } })
    grant(world)
    await tokenFrom(world, await permitFor(world))
    expect(targets(world.seen('idp'))).toEqual({ audience: 'urn:saas:tasks', resource: NAMES.api })

    const fooled = worldWith({ server: { audience: 'urn:saas:tasks' } })
    grant(fooled, { aud: 'urn:saas:tasks' })
    expect(await origin(fooled, await permitFor(fooled))).toBe('IDP109')
    expect(cost(fooled)).toEqual([1, 0])
  })
})

test('actor_token client_assertion sends the assertion that authenticates us as the actor, and the RAS gets none', async () => {
  const key = await createTestKey('okta-1')
  const auth = { method: 'private_key_jwt', key: { secret: 'OKTA_KEY' }, alg: 'ES256' }
  const corp = IDPS['corp'] as Json & { clients: Json }
  const world = createWorld({
    secrets: { OKTA_KEY: JSON.stringify(key.privateJwk) },
    idps: {
      corp: {
        ...corp,
        profile: 'okta',
        quirks: { actor_token: 'client_assertion' },
        clients: { web: { id: 'web-id', auth, edge_client: 'browser-app' } },
      },
    },
    clients: { 'browser-app': { subject_tokens: ['corp/web'] } },
    rules: [{ id: 'all', effect: 'allow' }],
  })
  await tokenFrom(world, await permitFor(world))
  const [one] = world.seen('idp')
  const assertion = one?.form.get('client_assertion') ?? ''
  expect(one?.form.getAll('actor_token')).toEqual([assertion])
  expect(one?.form.get('actor_token_type')).toBe('urn:ietf:params:oauth:token-type:jwt')
  // As the profile of the product says: the endpoint that is called, and no type that would forbid it.
  expect(claimsOf(assertion)).toMatchObject({ iss: 'web-id', sub: 'web-id', aud: NAMES.idpToken })
  expect(atob(assertion.split('.')[0] ?? '')).not.toContain('"typ"')
  expect(world.seen('ras')[0]?.form.has('actor_token')).toBe(false)
})

describe('mutual TLS', () => {
  test.each(['tls_client_auth', 'self_signed_tls_client_auth'])(
    'of %s goes by its binding, to its server alone',
    async (method) => {
      const client = { id: 'gw-at-tasks', auth: { method, certificate: { binding: 'TASKS_CERT' } } }
      const world = createWorld({ resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, client } } })
      await tokenFrom(world, await permitFor(world))
      expect(world.seen().map(({ role, certificate }) => [role, certificate])).toEqual([
        ['idp', undefined],
        ['ras', 'TASKS_CERT'],
      ])
      const [one] = world.seen('ras')
      expect(one?.form.get('client_id')).toBe('gw-at-tasks')
      expect(one?.headers.has('authorization')).toBe(false)
      expect([one?.form.has('client_secret'), one?.form.has('client_assertion')]).toEqual([false, false])
    },
  )

  test('at the identity provider, too', async () => {
    const corp = IDPS['corp'] as Json & { clients: Json }
    const auth = { method: 'tls_client_auth', certificate: { binding: 'IDP_CERT' } }
    const web = { id: 'web-id', auth, edge_client: 'browser-app' }
    const world = createWorld({ idps: { corp: { ...corp, clients: { ...corp.clients, web } } } })
    await tokenFrom(world, await permitFor(world))
    expect(world.seen().map(({ certificate }) => certificate)).toEqual(['IDP_CERT', undefined])
  })
})

describe('a token with more scope than was asked', () => {
  const more = { scope: 'tasks.read tasks.write admin' }

  test('is refused', async () => {
    const world = worldWith({})
    world.alter('ras', more)
    expect(await origin(world, await permitFor(world))).toBe('RAS109')
  })

  test('is taken where extra_scopes is accept, and the credential says what it can do', async () => {
    const world = worldWith({ ras: { extra_scopes: 'accept' } })
    world.alter('ras', more)
    const acquired = await world.credentials.acquire(await permitFor(world))
    expect(acquired).toMatchObject({
      ok: true,
      value: { credential: { scopes: ['admin', 'tasks.read', 'tasks.write'] } },
    })
  })
})

describe('a token that was obtained in one way', () => {
  test.each<[string, Quirks]>([
    ['target', { idp: { target: 'legacy_resource' } }],
    ['send_resource of the IdP', { idp: { send_resource: false } }],
    ['actor_token', { idp: { actor_token: 'caller' } }],
    ['dpop of the IdP', { idp: { dpop: 'try' } }],
    ['audience', { server: { audience: 'urn:saas:tasks' } }],
    ['send_scope', { ras: { send_scope: 'none' } }],
    ['send_resource of the RAS', { ras: { send_resource: true } }],
    ['redeem_grant', { ras: { redeem_grant: 'jwt-dpop' } }],
    ['extra_scopes', { ras: { extra_scopes: 'accept' } }],
  ])('is none for a configuration with another %s', async (_field, quirks) => {
    const [plain, other] = [worldWith({}), worldWith(quirks)]
    const identities = [nameParts(await permitFor(plain)), nameParts(await permitFor(other))].map(
      (each) => each.identity,
    )
    expect(identities[0]).not.toBe(identities[1])
  })
})
