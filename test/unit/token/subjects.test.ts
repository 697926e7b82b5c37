// Refresh tokens and SAML assertions as subject tokens (RFC 8693), in the in-memory house: only the identity provider can read
// them, and only what it signs says who the user is.
import { describe, expect, test } from 'vitest'
import { createTestKey, mint } from '../../support/keys.ts'
import { blockOut, cutOff } from '../support/outcomes.ts'
import {
  claimsOf,
  CLIENTS,
  createWorld,
  idpKey,
  IDPS,
  json,
  NAMES,
  RESOURCES,
  RULES,
  type Json,
  type World,
} from '../support/world.ts'
import { askWith, cost, everythingStored, shownTokens, subjectWorld, TYPE } from './subjects-world.ts'

const HOUR = 3_600

describe('a refresh token', () => {
  test('becomes an access token by one exchange and one redemption of the very same ID-JAG', async () => {
    const world = subjectWorld()
    const token = world.sessions.refreshToken()
    const told = await askWith(world, { token })
    expect(told).toMatchObject({ status: 200, accessToken: 'canary-access-alice-1' })
    expect(Object.keys(told.body).toSorted()).toEqual([
      'access_token',
      'expires_in',
      'issued_token_type',
      'scope',
      'token_type',
    ])
    const [exchange] = world.seen('idp')
    expect(Object.fromEntries(exchange?.form ?? [])).toMatchObject({
      requested_token_type: `${TYPE}id-jag`,
      subject_token: token,
      subject_token_type: `${TYPE}refresh_token`,
      audience: NAMES.ras,
      resource: NAMES.api,
      scope: 'tasks.read tasks.write',
    })
    expect(cost(world)).toEqual([1, 1])
  })

  test('is asked about once: then memory knows, then KV, then the object, and everybody shares the access token', async () => {
    const world = subjectWorld()
    const token = world.sessions.refreshToken()
    await askWith(world, { token })
    await world.settle()
    await askWith(world, { token })
    await askWith(world, { token, from: world.isolate('elsewhere') })
    world.store.faults.get = 'throw'
    await askWith(world, { token, from: world.isolate('blind') })
    const found = world.sink.events.map(({ subject, cache }) => ({ ...subject, cache }))
    expect(found).toEqual(
      [
        { kind: 'refresh_token', found: 'exchange', cache: 'flight' },
        { kind: 'refresh_token', found: 'memory', cache: 'memory' },
        { kind: 'refresh_token', found: 'kv', cache: 'kv' },
        { kind: 'refresh_token', found: 'flight', cache: 'flight' },
      ].map((row, index) => (index === 0 ? { ...row, cache: 'exchange' } : row)),
    )
    expect(cost(world)).toEqual([1, 1])
  })

  test('is one identity with the ID token of the same user: one access token for both', async () => {
    const world = subjectWorld()
    const byIdToken = await askWith(world, { kind: 'id_token', token: await world.idToken({ aud: 'agent-id' }) })
    const byRefreshToken = await askWith(world, { token: world.sessions.refreshToken() })
    expect(byRefreshToken.accessToken).toBe(byIdToken.accessToken)
    expect(cost(world)).toEqual([2, 1])
  })

  test('is exchanged again when the ID-JAG is used up and the access token has ended, and names the same user', async () => {
    const world = subjectWorld()
    world.alter('ras', { expires_in: 600 })
    const token = world.sessions.refreshToken()
    await askWith(world, { token })
    world.clock.advance(601)
    expect((await askWith(world, { token })).status).toBe(200)
    expect(cost(world)).toEqual([2, 2])
    const assertions = world.seen('ras').map(({ form }) => form.get('assertion'))
    expect(new Set(assertions).size).toBe(2)
  })

  test('of one user never serves another', async () => {
    const world = subjectWorld()
    const [alice, bob] = [world.sessions.refreshToken(), world.sessions.refreshToken({ sub: 'bob' })]
    const tokens = []
    for (const token of [alice, bob, alice, bob]) tokens.push((await askWith(world, { token })).accessToken)
    expect(tokens.map(String)).toEqual([
      'canary-access-alice-1',
      'canary-access-bob-2',
      'canary-access-alice-1',
      'canary-access-bob-2',
    ])
    // Whoever can write to KV gains nothing by it: a value belongs to its name.
    await world.settle()
    const introductions = world.store.list('s1.')
    expect(introductions).toHaveLength(2)
    const [first = '', second = ''] = introductions
    const dump = world.store.dump()
    const store = world.store.at('attacker')
    world.clock.advance(2)
    const end = world.clock.now()
    await store.put(first, dump.get(second)?.value ?? new Uint8Array(), (end + 900) as typeof end)
    await store.put(second, dump.get(first)?.value ?? new Uint8Array(), (end + 900) as typeof end)
    const cold = world.isolate('cold')
    expect((await askWith(world, { token: alice, from: cold })).accessToken).toBe('canary-access-alice-1')
    expect((await askWith(world, { token: bob, from: cold })).accessToken).toBe('canary-access-bob-2')
    expect(world.sink.events.slice(-2).map(({ subject }) => subject?.found)).toEqual(['flight', 'flight'])
  })

  test('cut, flipped or foreign values in KV are misses, never errors', async () => {
    const damages: ((value: Uint8Array<ArrayBuffer>) => Uint8Array)[] = [
      (value) => value.slice(0, 40),
      (value) => value.with(30, (value[30] ?? 0) ^ 1),
      () => new Uint8Array(0),
      () => new TextEncoder().encode('{"v":1}'),
    ]
    for (const damage of damages) {
      const world = subjectWorld()
      const token = world.sessions.refreshToken()
      await askWith(world, { token })
      await world.settle()
      const [name = ''] = world.store.list('s1.')
      world.clock.advance(2)
      const value = world.store.dump().get(name)?.value ?? new Uint8Array()
      const end = world.clock.now()
      await world.store.at('attacker').put(name, damage(new Uint8Array(value)), (end + 900) as typeof end)
      expect((await askWith(world, { token, from: world.isolate('cold') })).status).toBe(200)
      expect(cost(world)).toEqual([1, 1])
    }
  })

  test('leaves nothing that can be read, neither in KV, nor in its object, nor in the record', async () => {
    const world = subjectWorld({ quirks: { actor_token: 'caller' } })
    const token = world.sessions.refreshToken({ sub: 'alice', rotates: true, claims: { email: 'canary@corp.test' } })
    await askWith(world, { token })
    await askWith(world, { token, form: { scope: 'tasks.read' } })
    await world.settle()
    const stored = everythingStored(world)
    expect(stored.length).toBeGreaterThan(1_000)
    for (const text of ['canary', 'alice', 'eyJ', 'tasks', 'corp', 'agent', token, world.sessions.currentOf(token)]) {
      expect(stored).not.toContain(text)
      expect(stored).not.toContain(btoa(text).replaceAll('=', ''))
    }
    for (const name of world.store.list()) expect(name).toMatch(/^[st]1(\.[A-Za-z0-9_-]{43}){4}$/)
    expect(JSON.stringify(world.sink.events)).not.toMatch(/canary-refresh|canary-access|eyJ/)
  })
})

describe('rotation (A-35)', () => {
  test('the successor takes the place of the token, is never told, and the caller goes on with what it has', async () => {
    const world = subjectWorld()
    world.alter('ras', { expires_in: 600 })
    const token = world.sessions.refreshToken({ rotates: true })
    const answers = []
    for (let use = 0; use < 5; use++) {
      answers.push(await askWith(world, { token }))
      world.clock.advance(601)
    }
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect(JSON.stringify(answers)).not.toContain('canary-refresh')
    expect(new Set(shownTokens(world)).size).toBe(5)
    expect(world.sessions.reuses).toBe(0)
  })

  test('holds for every resource and scope set: one chain for one token', async () => {
    const tasks = { ...RESOURCES.tasks, authorization_details_types: [] }
    const world = subjectWorld({
      resources: { ...RESOURCES, tasks },
      rules: [{ id: 'all', effect: 'allow' }],
    })
    const token = world.sessions.refreshToken({ rotates: true })
    const forms = [{}, { scope: 'tasks.read' }, { resource: undefined, audience: 'notes' }, { scope: 'tasks.write' }]
    const answers = await Promise.all(forms.map((form) => askWith(world, { token, form })))
    expect(answers.map(({ code }) => code)).toEqual(['ok', 'ok', 'ok', 'ok'])
    expect(world.sessions.reuses).toBe(0)
    expect(cost(world)).toEqual([4, 4])
  })

  test('200 requests at once, at several isolates, are one exchange', async () => {
    const world = subjectWorld()
    const token = world.sessions.refreshToken({ rotates: true })
    const isolates = [world, world.isolate('a'), world.isolate('b'), world.isolate('c')]
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => askWith(world, { token, from: isolates[index % 4] ?? world })),
    )
    expect(new Set(answers.map(({ accessToken }) => accessToken))).toEqual(new Set(['canary-access-alice-1']))
    expect(cost(world)).toEqual([1, 1])
    expect(world.sessions.reuses).toBe(0)
  })

  test('the successor is kept although everything else about the answer is wrong', async () => {
    const world = subjectWorld()
    const token = world.sessions.refreshToken({ rotates: true })
    const { idp } = world.script
    world.script.idp = async (seen) => json({ ...(await (await idp(seen)).json<Json>()), access_token: 'nonsense' })
    expect((await askWith(world, { token })).code).toBe('IDP109')
    world.script.idp = idp
    world.clock.advance(11)
    expect((await askWith(world, { token })).status).toBe(200)
    expect(world.sessions.reuses).toBe(0)
  })

  test('survives the rotation of the sealing key', async () => {
    const before = subjectWorld({ cache: { sealing_keys: [{ secret: 'OLD_SEALING_KEY' }], max_ttl: '10m' } })
    const token = before.sessions.refreshToken({ rotates: true })
    await askWith(before, { token })
    const successor = before.sessions.currentOf(token)
    const sealingKeys = [{ secret: 'JAGWAY_SEALING_KEY' }, { secret: 'OLD_SEALING_KEY' }]
    const after = subjectWorld({ cache: { sealing_keys: sealingKeys, max_ttl: '10m' }, introductionsOf: before })
    after.script.idp = before.script.idp
    for (const { clock } of [before, after]) clock.advance(HOUR)
    expect((await askWith(after, { token })).status).toBe(200)
    expect(shownTokens(after)).toEqual([successor])
  })

  test('of a token that two clients hold is seen by the identity provider as what it is', async () => {
    const world = subjectWorld({
      clients: { ...CLIENTS, other: { ...CLIENTS.other, subject_tokens: ['corp/agent'] } },
    })
    const token = world.sessions.refreshToken({ rotates: true })
    expect((await askWith(world, { token })).status).toBe(200)
    expect((await askWith(world, { token, client: 'other' })).code).toBe('IDP101')
    expect(world.sessions.reuses).toBe(1)
  })
})

describe('a SAML assertion', () => {
  test.each([
    ['base64url', 'base64url', (text: string) => text],
    ['base64', 'base64', (text: string) => toBase64(text)],
  ] as const)(
    'is written in %s where the identity provider wants that, however it came',
    async (_w, encoding, written) => {
      for (const spelling of [(text: string) => text, toBase64, (text: string) => toBase64(text).replaceAll('=', '')]) {
        const world = subjectWorld({ quirks: { saml_encoding: encoding } })
        const assertion = world.sessions.assertion()
        expect((await askWith(world, { kind: 'saml2', token: spelling(assertion) })).status).toBe(200)
        expect(shownTokens(world)).toEqual([written(assertion)])
        expect(world.seen('idp')[0]?.form.get('subject_token_type')).toBe(`${TYPE}saml2`)
      }
    },
  )

  test('is one and the same however it is written', async () => {
    const world = subjectWorld()
    const assertion = world.sessions.assertion()
    await askWith(world, { kind: 'saml2', token: assertion })
    await askWith(world, { kind: 'saml2', token: toBase64(assertion) })
    expect(cost(world)).toEqual([1, 1])
  })

  test('takes two steps where the identity provider wants them, and what is between them is kept nowhere', async () => {
    const world = subjectWorld({ quirks: { saml_two_step: true } })
    const assertion = world.sessions.assertion({ rotates: true })
    expect((await askWith(world, { kind: 'saml2', token: assertion })).status).toBe(200)
    const [first, second] = world.seen('idp').map(({ form }) => form)
    expect(Object.fromEntries(first ?? [])).toMatchObject({
      requested_token_type: `${TYPE}refresh_token`,
      subject_token_type: `${TYPE}saml2`,
      scope: 'openid offline_access',
    })
    expect(first?.has('audience')).toBe(false)
    const narrower = { kind: 'saml2', token: assertion, form: { scope: 'tasks.read' } } as const
    expect((await askWith(world, narrower)).status).toBe(200)
    expect(Object.fromEntries(second ?? [])).toMatchObject({
      requested_token_type: `${TYPE}id-jag`,
      subject_token_type: `${TYPE}refresh_token`,
      audience: NAMES.ras,
    })
    world.clock.advance(HOUR)
    expect((await askWith(world, { kind: 'saml2', token: assertion })).status).toBe(200)
    // From the start: neither the refresh token of the first time is shown again, nor its successor.
    const shown = shownTokens(world)
    expect([shown[0], shown[2], shown[4]]).toEqual([assertion, assertion, assertion])
    expect(world.sessions.reuses).toBe(0)
    expect(world.seen('idp').map(({ form }) => form.get('subject_token_type'))).toEqual(
      ['saml2', 'refresh_token', 'saml2', 'refresh_token', 'saml2', 'refresh_token'].map((kind) => TYPE + kind),
    )
  })

  test.each<[string, unknown]>([
    ['another kind of token', { issued_token_type: `${TYPE}access_token`, access_token: 'x' }],
    ['no token', { issued_token_type: `${TYPE}refresh_token` }],
    ['a token that is none', { issued_token_type: `${TYPE}refresh_token`, access_token: 'a b' }],
  ])('is not taken further by a first step that gives %s', async (_what, answer) => {
    const world = subjectWorld({ quirks: { saml_two_step: true } })
    world.script.idp = () => json(answer)
    expect((await askWith(world, { kind: 'saml2', token: world.sessions.assertion() })).code).toBe('IDP109')
    expect(cost(world)).toEqual([1, 0])
  })

  test.each(['', '<saml:Assertion/>', 'a', 'ab c', 'YQ=', 'YR', '%', 'x'.repeat(33_000)])(
    'is not asked about when it is malformed: %.20s',
    async (token) => {
      const world = subjectWorld()
      const told = await askWith(world, { kind: 'saml2', token })
      expect([told.status, told.code]).toEqual([400, token === '' ? 'CLI100' : 'TOK112'])
      expect(cost(world)).toEqual([0, 0])
    },
  )
})

describe('nothing is exchanged', () => {
  const world = () => subjectWorld()
  test.each<[string, (world: World) => Parameters<typeof askWith>[1], string]>([
    ['for a client that does not authenticate', () => ({ token: 'x', secret: 'wrong' }), 'CLI101'],
    ['for a resource that does not exist', () => ({ token: 'x', form: { resource: 'https://x.test' } }), 'CLI106'],
    [
      'for a resource not open to the client',
      () => ({ token: 'x', form: { resource: RESOURCES.hidden.resource } }),
      'CLI106',
    ],
    ['without a resource', () => ({ token: 'x', form: { resource: undefined } }), 'CLI107'],
    ['for a scope no rule gives', () => ({ token: 'x', form: { scope: 'admin' } }), 'POL102'],
    [
      'with authorization details the resource does not take',
      () => ({ token: 'x', form: { authorization_details: '[{"type":"a"}]' } }),
      'CLI117',
    ],
    [
      'with an actor token the identity provider does not take',
      () => ({ token: 'x', form: { actor_token: 'a', actor_token_type: `${TYPE}jwt` } }),
      'CLI111',
    ],
    ['with half an actor', () => ({ token: 'x', form: { actor_token: 'a' } }), 'CLI100'],
    ['for another kind of answer', () => ({ token: 'x', form: { requested_token_type: `${TYPE}jwt` } }), 'CLI105'],
    ['for a token with a space in it', () => ({ token: 'a b' }), 'TOK112'],
    ['for a client without such an identity provider', () => ({ token: 'x', client: 'other', kind: 'saml2' }), 'ok'],
  ])('%s', async (_what, asking, code) => {
    const house = world()
    const told = await askWith(house, asking(house))
    if (code === 'ok') return
    expect(told.code).toBe(code)
    expect(cost(house)).toEqual([0, 0])
    expect(house.introductions.dump().size).toBe(0)
  })

  test('where the identity provider does not take the kind', async () => {
    const house = subjectWorld({ quirks: { subject_token_types: ['id_token', 'saml2'] } })
    expect((await askWith(house, { token: house.sessions.refreshToken() })).code).toBe('CLI104')
    const none = subjectWorld({
      quirks: { subject_token_types: ['refresh_token'] },
      clients: { agent: CLIENTS.agent },
      rules: [{ id: 'all', effect: 'allow' }],
      idps: { corp: noEdge() },
    })
    expect((await askWith(none, { kind: 'id_token', token: await none.idToken({ aud: 'agent-id' }) })).code).toBe(
      'CLI104',
    )
    expect([cost(house), cost(none)]).toEqual([
      [0, 0],
      [0, 0],
    ])
  })

  test('where the client may not present the kind, whatever its identity provider takes', async () => {
    const house = subjectWorld({
      clients: {
        ...CLIENTS,
        agent: { ...CLIENTS.agent, subject_token_types: ['id_token', 'saml2'] },
        other: { ...CLIENTS.other, subject_tokens: ['corp/agent'], subject_token_types: ['refresh_token'] },
      },
    })
    const token = house.sessions.refreshToken()
    const told = await askWith(house, { token })
    expect([told.status, told.body['error'], told.code]).toEqual([400, 'invalid_request', 'CLI104'])
    expect(house.sink.events.at(-1)).toMatchObject({ code: 'CLI104', subject: { kind: 'refresh_token' } })
    const idToken = await house.idToken({ aud: 'agent-id' })
    expect((await askWith(house, { kind: 'id_token', token: idToken, client: 'other' })).code).toBe('CLI104')
    expect(cost(house)).toEqual([0, 0])
    expect((await askWith(house, { token, client: 'other' })).status).toBe(200)
  })

  test('where nobody has said that other kinds than ID tokens are taken', async () => {
    const house = createWorld({})
    for (const kind of ['refresh_token', 'saml2'] as const) {
      const token = kind === 'saml2' ? house.sessions.assertion() : house.sessions.refreshToken()
      expect((await askWith(house, { kind, token })).code).toBe('CLI104')
    }
    expect(cost(house)).toEqual([0, 0])
  })

  test('where two identity providers of the client take the kind: nothing in the token says whose it is', async () => {
    const twin = { ...noEdge(), issuer: 'https://twin.test', token_endpoint: 'https://twin.test/token' }
    const house = subjectWorld({
      idps: { twin },
      clients: { ...CLIENTS, agent: { ...CLIENTS.agent, subject_tokens: ['corp/agent', 'twin/agent'] } },
    })
    const told = await askWith(house, { token: house.sessions.refreshToken() })
    expect([told.status, told.body['error'], told.code]).toEqual([400, 'invalid_request', 'CLI116'])
    expect(cost(house)).toEqual([0, 0])
  })

  test('where a rule denies everybody', async () => {
    const house = subjectWorld({ rules: [...RULES, { id: 'stop', effect: 'deny', who: { clients: ['agent'] } }] })
    expect((await askWith(house, { token: house.sessions.refreshToken() })).code).toBe('POL101')
    expect(cost(house)).toEqual([0, 0])
  })

  test('while the objects cannot be reached, and nobody stands in for them', async () => {
    const house = subjectWorld()
    const token = house.sessions.refreshToken({ rotates: true })
    house.introductions.faults.introduce = 'throw'
    const told = await askWith(house, { token })
    expect([told.status, told.code]).toEqual([503, 'INT101'])
    expect(cost(house)).toEqual([0, 0])
    house.introductions.faults.introduce = undefined
    expect((await askWith(house, { token })).status).toBe(200)
  })
})

describe('the ID-JAG', () => {
  const stranger = createTestKey('stranger')

  /** The identity provider answers with other claims, or with another header or key. */
  async function told(world: World, claims: object, header: object = {}, key = idpKey) {
    const { idp } = world.script
    world.script.idp = async (seen) => {
      const honest = await (await idp(seen)).json<{ access_token: string }>()
      const all = { ...claimsOf(honest.access_token), ...claims }
      return json({ ...honest, access_token: await mint(key, all, { typ: 'oauth-id-jag+jwt', ...header }) })
    }
    return askWith(world, { token: world.sessions.refreshToken() })
  }

  test.each<[string, object, object]>([
    ['of another kind', {}, { typ: 'JWT' }],
    ['without a kind', {}, { typ: undefined }],
    ['that is an access token', {}, { typ: 'at+jwt' }],
    ['of another issuer', { iss: 'https://evil.test' }, {}],
    ['for another authorization server', { aud: 'https://other.test' }, {}],
    ['for two authorization servers', { aud: [NAMES.ras, 'https://other.test'] }, {}],
    ['for another client of the authorization server', { client_id: 'somebody' }, {}],
    ['without a subject', { sub: undefined }, {}],
    ['whose subject is no identifier', { sub: { name: 'alice' } }, {}],
    ['without iat', { iat: undefined }, {}],
    ['whose iat is a text', { iat: '1800000000' }, {}],
    ['that ends before it begins', { iat: 1_800_000_500, exp: 1_800_000_400 }, {}],
    ['with groups that are no list', { groups: { all: true } }, {}],
    ['with an unknown key', {}, { kid: 'unknown' }],
    ['with an algorithm that is not allowed', {}, { alg: 'ES384' }],
  ])('%s vouches for nobody, and nothing is redeemed', async (_what, claims, header) => {
    const world = subjectWorld()
    const answer = await told(world, claims, header)
    expect([answer.status, answer.code]).toEqual([502, 'IDP109'])
    expect(cost(world)).toEqual([1, 0])
    expect(world.store.list()).toEqual([])
  })

  test('signed by somebody else vouches for nobody', async () => {
    const world = subjectWorld()
    const answer = await told(world, {}, { kid: idpKey.kid }, await stranger)
    expect(answer.code).toBe('IDP109')
    expect(cost(world)).toEqual([1, 0])
  })

  test('from the future vouches for nobody yet', async () => {
    const world = subjectWorld()
    expect((await told(world, { iat: 1_800_000_600, exp: 1_800_000_900 })).code).toBe('TOK106')
    expect(cost(world)).toEqual([1, 0])
  })

  test('that is encrypted says nothing about anybody, and is refused', async () => {
    const world = subjectWorld()
    const jwe = `${btoa('{"alg":"dir","enc":"A256GCM"}').replaceAll('=', '')}..aXY.Y2lwaGVy.dGFn`
    world.alter('idp', { access_token: jwe })
    expect((await askWith(world, { token: world.sessions.refreshToken() })).code).toBe('IDP109')
    expect(cost(world)).toEqual([1, 0])
  })

  test('of a tenant that is not served, or of none where one is configured, is refused', async () => {
    const claims = { groups: 'groups', tenant: 'org_id' }
    const of = async (tenant: object, options: object = {}) =>
      (await told(subjectWorld({ claims, rules, ...options }), tenant)).code
    const rules = [{ id: 'acme', effect: 'allow', who: { users: ['alice'], tenants: ['acme'] }, resources: ['tasks'] }]
    const served = {
      idps: {
        corp: {
          ...IDPS.corp,
          claims,
          tenants: ['acme'],
          quirks: { subject_token_types: ['refresh_token', 'id_token'] },
        },
      },
    }
    expect(await of({ org_id: 'acme' }, served)).toBe('ok')
    expect(await of({ tenant: 'acme' }, served)).toBe('ok')
    expect(await of({ org_id: 'umbrella', tenant: 'acme' }, served)).toBe('TOK107')
    expect(await of({ tenant: 'umbrella' }, served)).toBe('TOK107')
    expect(await of({}, served)).toBe('TOK107')
    expect(await of({})).toBe('TOK107')
    expect(await of({ tenant: ['acme'] })).toBe('TOK107')
  })

  test('is verified again whenever it is used: a key that was withdrawn ends what it has signed', async () => {
    const keys = { current: [idpKey.publicJwk] as object[] }
    const next = await createTestKey('idp-2')
    const { jwks: _jwks, ...rest } = IDPS.corp
    const corp = {
      ...rest,
      jwks_uri: 'https://login.corp.test/keys',
      quirks: { subject_token_types: ['refresh_token', 'id_token'] },
    }
    const world = subjectWorld({ idps: { corp }, documents: { [corp.jwks_uri]: () => ({ keys: keys.current }) } })
    const token = world.sessions.refreshToken()
    expect((await askWith(world, { token })).status).toBe(200)
    await world.settle()
    keys.current = [next.publicJwk]
    const { idp } = world.script
    world.script.idp = async (seen) => {
      const honest = await (await idp(seen)).json<{ access_token: string }>()
      const claims = claimsOf(honest.access_token)
      return json({ ...honest, access_token: await mint(next, claims, { typ: 'oauth-id-jag+jwt' }) })
    }
    world.clock.advance(11 * 60)
    expect((await askWith(world, { token })).status).toBe(200)
    expect(cost(world)[0]).toBe(2)
  })

  test('of another user than before is refused: a subject token never changes hands', async () => {
    const world = subjectWorld({ cache: { max_ttl: '10m' } })
    const token = world.sessions.refreshToken()
    expect((await askWith(world, { token })).status).toBe(200)
    const { idp } = world.script
    world.script.idp = async (seen) => {
      const honest = await (await idp(seen)).json<{ access_token: string }>()
      const claims = { ...claimsOf(honest.access_token), sub: 'bob' }
      return json({ ...honest, access_token: await mint(idpKey, claims, { typ: 'oauth-id-jag+jwt' }) })
    }
    for (const form of [{ scope: 'tasks.read' }, {}]) {
      world.clock.advance(601)
      expect((await askWith(world, { token, form })).code).toBe('IDP109')
    }
    expect(world.seen('ras')).toHaveLength(1)
  })

  test('of the same user through somebody else than before is refused: nothing of it is kept for either', async () => {
    const world = subjectWorld()
    const claims: Record<string, unknown> = {}
    const token = world.sessions.refreshToken({ claims })
    expect((await askWith(world, { token })).status).toBe(200)
    claims['act'] = { sub: 'bot' }
    await cutOff(world, { resource: 'tasks' })
    world.clock.advance(1)
    expect((await askWith(world, { token })).code).toBe('IDP109')
    expect(world.seen('ras')).toHaveLength(1)
  })
})

describe('policy', () => {
  test('decides by the verified ID-JAG: users and groups as by an ID token', async () => {
    const rules = [
      { id: 'staff', effect: 'allow', who: { groups: ['staff'] }, resources: ['tasks'] },
      { id: 'not-eve', effect: 'deny', who: { users: ['corp/eve'] } },
    ]
    const world = subjectWorld({ rules })
    const as = async (sub: string, claims: object = {}) =>
      (await askWith(world, { token: world.sessions.refreshToken({ sub, claims: { ...claims } }) })).code
    expect(await as('alice', { groups: ['staff'] })).toBe('ok')
    expect(await as('alice', { groups: ['guests'] })).toBe('POL100')
    expect(await as('alice')).toBe('POL100')
    expect(await as('eve', { groups: ['staff'] })).toBe('POL101')
  })

  test('keeps a group out also where the ID-JAG does not say in which groups the user is', async () => {
    const rules = [
      { id: 'all', effect: 'allow', resources: ['tasks'] },
      { id: 'no-contractors', effect: 'deny', who: { groups: ['contractors'] } },
    ]
    const many = Array.from({ length: 20 }, (_, index) => ({
      id: `filler-${index}`,
      effect: 'deny',
      who: { groups: [`nobody-${index}`], clients: ['other'] },
    }))
    for (const all of [rules, [...rules, ...many]]) {
      const world = subjectWorld({ rules: all })
      const as = async (claims: object) =>
        (await askWith(world, { token: world.sessions.refreshToken({ claims: { ...claims } }) })).code
      expect(await as({ groups: ['staff'] })).toBe('ok')
      expect(await as({ groups: [] })).toBe('ok')
      expect(await as({ groups: ['contractors'] })).toBe('POL101')
      expect(await as({})).toBe('POL101')
    }
  })

  test('keeps a claim out also where the ID-JAG does not have it', async () => {
    const rules = [
      { id: 'all', effect: 'allow', resources: ['tasks'] },
      { id: 'no-contractors', effect: 'deny', who: { claims: { employment: ['contractor'] } } },
    ]
    const world = subjectWorld({ rules })
    const as = async (claims: object) =>
      (await askWith(world, { token: world.sessions.refreshToken({ claims: { ...claims } }) })).code
    expect(await as({ employment: 'employee' })).toBe('ok')
    expect(await as({ employment: 'contractor' })).toBe('POL101')
    expect(await as({})).toBe('POL101')
  })

  test('asks for a stronger login where the ID-JAG tells of a weak one, and redeems nothing', async () => {
    const rules = [{ id: 'strong', effect: 'allow', resources: ['tasks'], who: { acr: ['urn:strong'] } }]
    const world = subjectWorld({ rules })
    const weak = await askWith(world, { token: world.sessions.refreshToken({ claims: { acr: 'urn:weak' } }) })
    expect([weak.status, weak.code]).toEqual([400, 'POL103'])
    expect(weak.body).toMatchObject({ error: 'insufficient_user_authentication', acr_values: 'urn:strong' })
    const silent = await askWith(world, { token: world.sessions.refreshToken() })
    expect(silent.code).toBe('POL103')
    expect(world.seen('ras')).toEqual([])
    const strong = await askWith(world, { token: world.sessions.refreshToken({ claims: { acr: 'urn:strong' } }) })
    expect(strong.status).toBe(200)
  })

  test('narrows the scopes on the second hop, and the next ID-JAG is asked for with no more', async () => {
    const rules = [
      { id: 'all', effect: 'allow', resources: ['tasks'] },
      { id: 'readers', effect: 'deny', who: { users: ['corp/alice'] }, scopes: ['tasks.write'] },
    ]
    const world = subjectWorld({ rules })
    world.alter('ras', { expires_in: 600 })
    const token = world.sessions.refreshToken()
    const told = await askWith(world, { token })
    expect(told.body).toMatchObject({ scope: 'tasks.read' })
    expect(world.seen('idp').map(({ form }) => form.get('scope'))).toEqual(['tasks.read tasks.write'])
    expect(world.seen('ras').map(({ form }) => form.get('scope'))).toEqual(['tasks.read'])
    world.clock.advance(601)
    await askWith(world, { token })
    expect(world.seen('idp').map(({ form }) => form.get('scope'))).toEqual(['tasks.read tasks.write', 'tasks.read'])
  })

  test.each([{ send_scope: 'none' }, { extra_scopes: 'accept' }])(
    'does not show a server with %j more than it may give',
    async (quirks) => {
      const rules = [
        { id: 'all', effect: 'allow', resources: ['tasks'] },
        { id: 'readers', effect: 'deny', who: { users: ['corp/alice'] }, scopes: ['tasks.write'] },
      ]
      const server = { ...RESOURCES.tasks.authorization_server, quirks }
      const tasks = { ...RESOURCES.tasks, authorization_server: server }
      const world = subjectWorld({ rules, resources: { ...RESOURCES, tasks } })
      expect((await askWith(world, { token: world.sessions.refreshToken({ rotates: true }) })).status).toBe(200)
      const redeemed = world.seen('ras').map(({ form }) => claimsOf(form.get('assertion') ?? '')['scope'])
      expect(redeemed).toEqual(['tasks.read'])
      expect(world.sessions.reuses).toBe(0)
      // The one that told who it is, and the one that was redeemed.
      expect(cost(world)).toEqual([2, 1])
    },
  )

  test.each([{ send_scope: 'none' }, { extra_scopes: 'accept' }])(
    'makes a server with %j cost no second ID-JAG where no more is asked for than the user may have',
    async (quirks) => {
      const rules = [
        { id: 'all', effect: 'allow', resources: ['tasks'] },
        { id: 'readers', effect: 'deny', who: { users: ['corp/alice'] }, scopes: ['tasks.write'] },
      ]
      const server = { ...RESOURCES.tasks.authorization_server, quirks }
      const world = subjectWorld({
        rules,
        resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, authorization_server: server } },
      })
      const told = await askWith(world, { token: world.sessions.refreshToken(), form: { scope: 'tasks.read' } })
      expect(told.status).toBe(200)
      expect(cost(world)).toEqual([1, 1])
    },
  )
})

describe('what is ended', () => {
  test('a user who is blocked gets nothing, although an introduction is alive', async () => {
    const world = subjectWorld()
    const token = world.sessions.refreshToken()
    expect((await askWith(world, { token })).status).toBe(200)
    await blockOut(world, { user: 'alice' })
    expect((await askWith(world, { token })).code).toBe('POL110')
    const before = cost(world)
    // Not by another way to ask, either: it is known whose the token is.
    expect((await askWith(world, { token, form: { scope: 'tasks.read' } })).code).toBe('POL110')
    expect(cost(world)).toEqual(before)
  })

  test('a client or a resource that is blocked is not asked about, whoever the user may be', async () => {
    for (const selector of [{ client: 'agent' }, { resource: 'tasks' }, { idp: 'corp' }]) {
      const world = subjectWorld()
      await blockOut(world, selector)
      expect((await askWith(world, { token: world.sessions.refreshToken() })).code).toBe('POL110')
      expect(cost(world)).toEqual([0, 0])
    }
  })

  test('a sign-in that was cut off stays cut off: the same refresh token is the same sign-in', async () => {
    const world = subjectWorld()
    const token = world.sessions.refreshToken({ rotates: true })
    expect((await askWith(world, { token })).status).toBe(200)
    world.clock.advance(5)
    await cutOff(world, { user: 'alice' })
    world.clock.advance(5)
    for (const form of [{}, { scope: 'tasks.read' }])
      expect((await askWith(world, { token, form })).code).toBe('TOK109')
    // Also when nothing but the object remembers it.
    world.clock.advance(2 * HOUR)
    expect((await askWith(world, { token, from: world.isolate('later') })).code).toBe('TOK109')
    expect(cost(world)).toEqual([1, 1])
    // A new sign-in is a new one.
    expect((await askWith(world, { token: world.sessions.refreshToken() })).status).toBe(200)
  })

  test('a refresh token that was never shown before the cut-off counts from the login, where the ID-JAG tells it', async () => {
    const world = subjectWorld()
    const login = world.clock.now()
    world.clock.advance(60)
    await cutOff(world, { user: 'alice' })
    world.clock.advance(60)
    const old = world.sessions.refreshToken({ claims: { auth_time: login } })
    expect((await askWith(world, { token: old })).code).toBe('TOK109')
    expect(cost(world)).toEqual([1, 0])
    const fresh = world.sessions.refreshToken({ claims: { auth_time: world.clock.now() } })
    expect((await askWith(world, { token: fresh })).status).toBe(200)
    // So does an assertion; where no login is told, it is as young as its ID-JAG.
    const assertion = world.sessions.assertion({ claims: { auth_time: login } })
    expect((await askWith(world, { kind: 'saml2', token: assertion })).code).toBe('TOK109')
    const untold = world.sessions.assertion()
    expect((await askWith(world, { kind: 'saml2', token: untold })).status).toBe(200)
  })

  test('tokens of a resource that were cut off are obtained anew, by a new ID-JAG', async () => {
    const world = subjectWorld()
    const token = world.sessions.refreshToken()
    const first = await askWith(world, { token })
    world.clock.advance(5)
    await cutOff(world, { user: 'alice', resource: 'tasks' })
    world.clock.advance(5)
    const second = await askWith(world, { token })
    expect(second.status).toBe(200)
    expect(second.accessToken).not.toBe(first.accessToken)
    expect(cost(world)).toEqual([2, 2])
  })

  test('a session that the identity provider has ended: log in again (F-9), and it is not asked over and over', async () => {
    const world = subjectWorld()
    const token = world.sessions.refreshToken()
    world.sessions.end(token)
    for (let time = 0; time < 5; time++) {
      const told = await askWith(world, { token })
      expect([told.status, told.body['error'], told.code]).toEqual([400, 'invalid_request', 'IDP101'])
    }
    expect(cost(world)).toEqual([1, 0])
    world.clock.advance(31)
    await askWith(world, { token })
    expect(cost(world)).toEqual([2, 0])
  })

  test('an ended session is noticed when an introduction is over, at the latest after max_age or cache.max_ttl', async () => {
    for (const [options, bound] of [
      [{ cache: { max_ttl: '30m' } }, 1_800],
      [{ cache: { max_ttl: '5h' } }, HOUR],
    ] as const) {
      const world = subjectWorld(options)
      world.alter('ras', { expires_in: 10 * HOUR })
      const token = world.sessions.refreshToken()
      await askWith(world, { token })
      world.sessions.end(token)
      world.clock.advance(bound - 1)
      expect((await askWith(world, { token })).status).toBe(200)
      world.clock.advance(1)
      expect((await askWith(world, { token })).code).toBe('IDP101')
    }
  })
})

describe('an access token that came of a refresh token', () => {
  test('is known to its client for introspection, and given back by it: the next is another', async () => {
    const metadata = { issuer: NAMES.ras, token_endpoint: NAMES.rasToken }
    const documents = { [`${NAMES.ras}.well-known/oauth-authorization-server`]: metadata }
    const world = subjectWorld({ documents })
    const token = world.sessions.refreshToken({ rotates: true })
    const { accessToken } = await askWith(world, { token })
    const asIs = { subject_token: undefined, subject_token_type: undefined, grant_type: undefined, resource: undefined }
    const form = { ...asIs, token: String(accessToken) }
    expect((await askWith(world, { token, path: '/introspect', form })).body).toMatchObject({ active: true })
    world.clock.advance(1)
    expect((await askWith(world, { token, path: '/revoke', form })).body).toEqual({})
    expect((await askWith(world, { token, path: '/introspect', form })).body).toEqual({ active: false })
    world.clock.advance(1)
    const next = await askWith(world, { token })
    expect(next.status).toBe(200)
    expect(next.accessToken).not.toBe(accessToken)
    expect(world.sessions.reuses).toBe(0)
  })

  test('does not leave before its event is accepted, where that is required', async () => {
    const sink = { write: () => undefined, accept: async () => false }
    const world = subjectWorld({ recordRequired: true, sinks: [sink] })
    const told = await askWith(world, { token: world.sessions.refreshToken() })
    expect([told.status, told.code]).toEqual([503, 'INT103'])
    expect(JSON.stringify(told.body)).not.toContain('canary-access')
  })
})

describe('one ID-JAG', () => {
  test('is redeemed once, by whoever claims it first', async () => {
    const world = subjectWorld()
    world.alter('ras', { expires_in: 20 })
    const token = world.sessions.refreshToken()
    await askWith(world, { token })
    world.clock.advance(21)
    await askWith(world, { token })
    const assertions = world.seen('ras').map(({ form }) => form.get('assertion'))
    expect([assertions.length, new Set(assertions).size]).toEqual([2, 2])
  })

  test('is redeemed again where its authorization server allows that', async () => {
    const server = { ...RESOURCES.tasks.authorization_server, quirks: { id_jag_reuse: true } }
    const world = subjectWorld({
      resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, authorization_server: server } },
    })
    world.alter('ras', { expires_in: 20 })
    const token = world.sessions.refreshToken()
    await askWith(world, { token })
    world.clock.advance(21)
    await askWith(world, { token })
    expect(cost(world)).toEqual([1, 2])
  })

  test('that nobody could redeem in an outage is redeemed after it', async () => {
    const world = subjectWorld()
    const { ras } = world.script
    world.script.ras = () => json({}, { status: 503 })
    const token = world.sessions.refreshToken({ rotates: true })
    expect((await askWith(world, { token })).code).toBe('RAS112')
    world.script.ras = ras
    world.clock.advance(6)
    expect((await askWith(world, { token })).status).toBe(200)
    expect(cost(world)).toEqual([1, 2])
  })

  test('counts once against the quota; one that is one too many leads to nothing, and no more are asked for', async () => {
    const world = subjectWorld({ quota: { id_jags_per_user_resource_month: 2 } })
    world.alter('ras', { expires_in: 20 })
    const token = world.sessions.refreshToken({ rotates: true })
    const codes = []
    for (let time = 0; time < 4; time++) {
      codes.push((await askWith(world, { token })).code)
      world.clock.advance(HOUR + 61)
    }
    expect(codes).toEqual(['ok', 'ok', 'LIM201', 'LIM201'])
    expect(cost(world)[0]).toBe(2)
    expect(world.sink.events.map(({ quota }) => quota?.used)).toEqual([1, 2, undefined, undefined])
    // A token that nobody knows yet costs one to be known.
    const another = world.sessions.refreshToken()
    for (let time = 0; time < 3; time++) expect((await askWith(world, { token: another })).code).toBe('LIM201')
    expect(cost(world)[0]).toBe(3)
    expect(world.seen('ras')).toHaveLength(2)
  })

  test('is not redeemed where nobody can tell whether it has been', async () => {
    const world = subjectWorld()
    world.replay.faults.claim = 'throw'
    expect((await askWith(world, { token: world.sessions.refreshToken() })).code).toBe('INT101')
    expect(world.seen('ras')).toHaveLength(0)
  })
})

function toBase64(base64url: string): string {
  const text = base64url.replaceAll('-', '+').replaceAll('_', '/')
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=')
}

function noEdge() {
  const { web: _web, ...clients } = IDPS.corp.clients
  return { ...IDPS.corp, clients, quirks: { subject_token_types: ['refresh_token'] } }
}
