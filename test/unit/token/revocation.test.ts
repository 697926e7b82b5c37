// The revocation endpoint (RFC 7009): what a client can end, that it holds, and that nothing else comes of what it sends.
import { describe, expect, test } from 'vitest'
import { numericDate } from '../../../src/lib/numeric-date.ts'
import { NOTES_AS, TASKS_AS } from '../admin/world.ts'
import { createShownWorld, refusalOf, type ShownWorld } from './shown-world.ts'

/** What a revocation must not change. */
async function stateOf(world: ShownWorld) {
  return { revocations: await world.revocations(), kv: world.tokens.list(), revoked: world.revokedTokens() }
}

describe('a token that its own client revokes', () => {
  test('is answered with 200 and nothing else, and no cache keeps it', async () => {
    const world = await createShownWorld()
    const answer = await world.revoke(await world.grant())
    expect([answer.status, await answer.text()]).toEqual([200, ''])
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  test('is revoked where it was issued, as our client there', async () => {
    const world = await createShownWorld()
    const token = await world.grant()
    await world.revoke(token)
    const requests = world.seen.filter(({ url }) => url === `${TASKS_AS}/revoke`)
    expect(requests.map(({ body }) => Object.fromEntries(body))).toEqual([{ token, token_type_hint: 'access_token' }])
    expect(atob(requests[0]?.authorization?.slice(6) ?? '')).toMatch(/^gw%2Dat%2Dtasks:/)
    expect(world.seen.some(({ url }) => url.startsWith(`${NOTES_AS}/revoke`))).toBe(false)
  })

  test('is kept nowhere any more', async () => {
    const world = await createShownWorld()
    const token = await world.grant()
    const [name = ''] = world.tokens.list()
    await world.revoke(token)
    expect(world.tokens.list()).toEqual([])
    expect(await world.flight.forget(name)).toBeUndefined()
  })

  test('is followed by another one, here at once and in every isolate within the bound', async () => {
    const world = await createShownWorld()
    const idToken = await world.idToken('ann')
    const app = world.createInstance()
    const token = await world.grant({ idToken })
    expect(await world.grant({ idToken, app })).toBe(token)
    world.clock.advance(1)
    await world.revoke(token)
    world.clock.advance(1)
    const next = await world.grant({ idToken })
    expect(next).not.toBe(token)
    world.clock.advance(9)
    expect(await world.grant({ idToken, app })).toBe(next)
  })

  test('ends nothing else: no sign-in, no other resource, no other user, no other client, no proxied request', async () => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const idToken = await world.idToken('ann')
    const others = async () => [
      await world.grant({ idToken, resource: 'notes' }),
      await world.grant({ idToken, client: 'other' }),
      await world.grant({ user: 'bob' }),
    ]
    await world.use('ann', 'tasks', idToken)
    const before = await others()
    const token = await world.grant({ idToken })
    world.clock.advance(1)
    await world.revoke(token)
    world.clock.advance(1)
    expect(await others()).toEqual(before)
    expect((await world.use('ann', 'tasks', idToken)).status).toBe(200)
    expect(new Set(world.sentTokens()).size).toBe(1)
    // And its own client may come again with the same sign-in.
    expect(await world.grant({ idToken })).not.toBe(token)
  })

  test('is found a moment after it was issued, from another isolate, before any of them has heard of it', async () => {
    const world = await createShownWorld()
    const token = await world.grant()
    expect((await world.revoke(token, { app: world.createInstance() })).status).toBe(200)
    expect(world.revokedTokens()).toEqual([token])
  })

  test.each(['access_token', 'refresh_token', 'urn:example:of-our-own', 'ACCESS_TOKEN'])(
    'is found whatever its token_type_hint says: %s',
    async (hint) => {
      const world = await createShownWorld()
      const token = await world.grant()
      expect((await world.revoke(token, { form: { token_type_hint: hint } })).status).toBe(200)
      expect(world.revokedTokens()).toEqual([token])
    },
  )

  test('is gone after that: the second time is no error and asks nobody', async () => {
    const world = await createShownWorld()
    const token = await world.grant()
    await world.revoke(token)
    const after = await stateOf(world)
    expect((await world.revoke(token)).status).toBe(200)
    expect(await stateOf(world)).toEqual(after)
    expect(world.sink.events.at(-1)).toMatchObject({ event: 'token.revoke', shown: 'unknown' })
  })

  test('whose server offers no revocation is ended here, and that is a success', async () => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const token = await world.grant({ resource: 'notes' })
    world.clock.advance(1)
    expect((await world.revoke(token)).status).toBe(200)
    expect(await world.introspect(token)).toEqual({ active: false })
    expect(await world.grant({ resource: 'notes' })).not.toBe(token)
    expect(world.sink.events.find(({ event }) => event === 'token.revoke')).toMatchObject({ shown: 'not_offered' })
  })

  test('that was replaced ahead of its time does not take its successor with it', async () => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const idToken = await world.idToken('ann')
    const first = await world.grant({ idToken })
    // Fifteen minutes less the margin and the minute of refreshing ahead.
    world.clock.advance(815)
    expect(await world.grant({ idToken })).toBe(first)
    const second = await world.grant({ idToken })
    expect(second).not.toBe(first)
    expect((await world.revoke(first)).status).toBe(200)
    expect(world.revokedTokens()).toEqual([first])
    expect(await world.introspect(first)).toEqual({ active: false })
    expect(await world.introspect(second)).toMatchObject({ active: true })
    expect(await world.grant({ idToken })).toBe(second)
    expect(world.tokens.list()).toHaveLength(1)
  })

  test('leaves one event, which says who, whose and what for, and has no token in it', async () => {
    const world = await createShownWorld()
    const token = await world.grant()
    await world.revoke(token)
    const events = world.sink.events.filter(({ event }) => event === 'token.revoke')
    expect(events).toMatchObject([
      {
        outcome: 'allow',
        shown: 'revoked',
        client: { id: 'agent', auth: 'client_secret_basic' },
        user: { issuer: 'https://idp.example', sub: 'ann' },
        resource: { id: 'tasks' },
        http: { method: 'POST', status: 200 },
      },
    ])
    expect(JSON.stringify(world.sink.events)).not.toContain(token)
  })
})

describe('a token that is not the client’s', () => {
  const NOT_OWN: readonly (readonly [string, (world: ShownWorld) => Promise<string>])[] = [
    ['another client’s', (world) => world.grant({ client: 'other' })],
    [
      'one that went to an API and to no client',
      async (world) => {
        await world.use('ann')
        return world.sentTokens()[0] ?? ''
      },
    ],
    ['one that nobody knows', async () => 'access-token-99'],
    ['an ID token', (world) => world.idToken('ann')],
    ['an ID-JAG', async () => 'eyJhbGciOiJub25lIn0.e30.'],
    ['no token at all', async () => 'white space\u00A0'],
    ['a very long one', async () => 'x'.repeat(50_000)],
  ]

  test.each(NOT_OWN)('is answered like any other, and nothing happens: %s', async (_what, tokenOf) => {
    const world = await createShownWorld()
    await world.grant({ resource: 'notes' })
    const own = await world.revoke(await world.grant({ user: 'bob' }))
    const token = await tokenOf(world)
    const before = await stateOf(world)
    const seen = world.seen.length
    const answer = await world.revoke(token)
    expect([answer.status, await answer.text()]).toEqual([200, ''])
    // Nor by how long it took: of that nothing is said.
    const anyId = { 'jagway-request-id': expect.stringMatching(/^req_/) }
    expect(Object.fromEntries(answer.headers)).toEqual({ ...Object.fromEntries(own.headers), ...anyId })
    expect(await stateOf(world)).toEqual(before)
    expect(world.seen).toHaveLength(seen)
  })

  test('lives on for whom it belongs to, and the auditor hears of the attempt', async () => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const token = await world.grant({ client: 'other' })
    await world.revoke(token)
    expect(world.sink.events.at(-1)).toMatchObject({ event: 'token.revoke', shown: 'foreign', client: { id: 'agent' } })
    expect(world.sink.events.at(-1)).not.toHaveProperty('user')
    expect(world.sink.events.at(-1)).not.toHaveProperty('resource')
    expect(await world.introspect(token, { client: 'other' })).toMatchObject({ active: true })
    expect(await world.grant({ client: 'other' })).toBe(token)
  })

  test('is only given up, and not revoked, where it is another client’s as well', async () => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    // A server that goes on giving the same token.
    world.answers.set(`${TASKS_AS}/token`, () =>
      Response.json({ access_token: 'the-same-again', token_type: 'Bearer', expires_in: 900 }),
    )
    expect(await world.grant()).toBe(await world.grant({ client: 'other' }))
    world.clock.advance(1)
    expect((await world.revoke('the-same-again')).status).toBe(200)
    expect(world.revokedTokens()).toEqual([])
    expect(await world.introspect('the-same-again')).toEqual({ active: false })
    expect(await world.introspect('the-same-again', { client: 'other' })).toMatchObject({ active: true })
    // The last who holds it may revoke it.
    expect((await world.revoke('the-same-again', { client: 'other' })).status).toBe(200)
    expect(world.revokedTokens()).toEqual(['the-same-again'])
  })
})

describe('a server that does not do as it is asked', () => {
  test.each<[string, () => Response | Promise<Response>]>([
    ['is down', () => new Response(null, { status: 503 })],
    ['cannot be reached', () => Promise.reject(new Error('no route'))],
    ['does not know us', () => Response.json({ error: 'invalid_client' }, { status: 401 })],
    ['redirects', () => new Response(null, { status: 307, headers: { location: 'https://evil.example' } })],
  ])('and %s makes it a 503 to ask again; it is ended here all the same', async (_what, answer) => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const token = await world.grant()
    world.clock.advance(1)
    world.answers.set(`${TASKS_AS}/revoke`, answer)
    for (let time = 0; time < 2; time++) {
      const refused = await world.revoke(token)
      expect(refused.headers.get('retry-after')).toBe('5')
      expect(await refusalOf(refused)).toEqual([503, 'temporarily_unavailable', 'RAS115'])
      expect(world.sink.events.at(-1)).toMatchObject({ event: 'token.revoke', outcome: 'error', code: 'RAS115' })
    }
    expect(await world.introspect(token)).toEqual({ active: false })
    expect(await world.grant()).not.toBe(token)
    expect(world.seen.some(({ url }) => url.includes('evil'))).toBe(false)

    world.answers.clear()
    expect((await world.revoke(token)).status).toBe(200)
    expect(world.revokedTokens().at(-1)).toBe(token)
    const asked = world.revokedTokens().length
    expect((await world.revoke(token)).status).toBe(200)
    expect(world.revokedTokens()).toHaveLength(asked)
  })

  test('and has taken the place of the one that issued the token is never shown it', async () => {
    const world = await createShownWorld()
    const [digest] = await world.ring.digests('from-the-server-before')
    await world.registry.noteToken({
      digest,
      name: 't1.x',
      idp: 'main',
      user: 'ann',
      client: 'agent',
      resource: 'tasks',
      server: world.config.resources.get('notes')?.authorizationServer.issuer ?? fail(),
      scopes: [],
      obtainedAt: world.clock.epochMillis(),
      expiresAt: numericDate(world.clock.now() + 600),
      keptUntil: numericDate(world.clock.now() + 600),
    })
    expect(await refusalOf(await world.revoke('from-the-server-before'))).toEqual([
      503,
      'temporarily_unavailable',
      'RAS115',
    ])
    expect(world.revokedTokens()).toEqual([])
    expect(JSON.stringify(world.seen.map(({ body }) => body.toString()))).not.toContain('from-the-server-before')
    expect(await world.introspect('from-the-server-before')).toEqual({ active: false })
  })
})

function fail(): never {
  throw new Error('this cannot happen')
}

describe('a ground that fails', () => {
  test('before the cut-off is written: 503, and nothing at all has been done', async () => {
    const world = await createShownWorld()
    const token = await world.grant()
    const before = await stateOf(world)
    world.log.faults.add = 'throw'
    const refused = await world.revoke(token)
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(await refusalOf(refused)).toEqual([503, 'temporarily_unavailable', 'INT102'])
    expect(await stateOf(world)).toEqual(before)
    world.log.faults.add = undefined
    expect((await world.revoke(token)).status).toBe(200)
    expect(world.revokedTokens()).toEqual([token])
  })

  test('to say whose the token is: 503, because 200 would be believed', async () => {
    const world = await createShownWorld()
    const token = await world.grant()
    world.registry.faults.findToken = 'throw'
    expect(await refusalOf(await world.revoke(token))).toEqual([503, 'temporarily_unavailable', 'INT101'])
    expect(await world.revocations()).toEqual([])
  })

  test('to forget what was kept: it is revoked all the same', async () => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const token = await world.grant()
    world.clock.advance(1)
    world.flight.faults.join = 'throw'
    world.tokens.faults.delete = 'throw'
    world.registry.faults.forgetToken = 'throw'
    expect((await world.revoke(token)).status).toBe(200)
    expect(world.revokedTokens()).toEqual([token])
    world.flight.faults.join = undefined
    expect(await world.introspect(token)).toEqual({ active: false })
    expect(await world.grant()).not.toBe(token)
  })

  test('to note a token costs nobody the token', async () => {
    const world = await createShownWorld()
    world.registry.faults.noteToken = 'throw'
    expect(await world.grant()).toBe('access-token-1')
    expect(world.failures).toEqual([])
  })

  test('a token that could not be noted is noted when it is handed out again, once, and can be revoked then', async () => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const noted: number[] = []
    const noteToken = world.registry.noteToken.bind(world.registry)
    world.registry.noteToken = async (record) => {
      noted.push(world.clock.now())
      return noteToken(record)
    }
    world.registry.faults.noteToken = 'throw'
    const started = world.clock.now()
    const token = await world.grant()
    for (const seconds of [5, 1, 8]) {
      world.clock.advance(seconds)
      expect(await world.grant()).toBe(token)
    }
    world.registry.faults.noteToken = undefined
    expect(await world.introspect(token)).toEqual({ active: false })
    for (const seconds of [2, 60, 60]) {
      world.clock.advance(seconds)
      expect(await world.grant()).toBe(token)
    }
    // When it was obtained; from memory, and not again for ten seconds; then until it is noted.
    expect(noted.map((at) => at - started)).toEqual([0, 5, 16])
    expect(await world.introspect(token)).toMatchObject({ active: true })
    expect((await world.revoke(token)).status).toBe(200)
    expect(world.revokedTokens()).toEqual([token])
    expect(await world.grant()).not.toBe(token)
  })
})

describe('a client that does it in a loop', () => {
  test('does not make the log grow', async () => {
    const world = await createShownWorld({ maxStaleness: '0s' })
    const idToken = await world.idToken('ann')
    const tokens = new Set<string>()
    for (let count = 0; count < 30; count++) {
      const token = await world.grant({ idToken })
      tokens.add(token)
      expect((await world.revoke(token)).status).toBe(200)
      world.clock.advance(1)
    }
    expect(tokens.size).toBe(30)
    expect(await world.revocations()).toHaveLength(1)
  })

  test('over many users is stopped before it is dear for others, and told to wait', async () => {
    const world = await createShownWorld()
    const token = await world.grant()
    const before = world.clock.epochMillis()
    for (let count = 0; count < 2000; count++) {
      const selector = { idp: 'main', user: `user ${count}`, client: 'agent', resource: 'tasks' }
      await world.log.add({ kind: 'cutoff', id: `c${count}`, selector, before }, undefined)
    }
    const refused = await world.revoke(token)
    expect(refused.headers.get('retry-after')).toBe('60')
    expect(await refusalOf(refused)).toEqual([503, 'temporarily_unavailable', 'LIM204'])
    expect(world.revokedTokens()).toEqual([])
    expect(await world.introspect(token)).toMatchObject({ active: true })
    // Another client is not stopped by that.
    const others = await world.grant({ client: 'other', user: 'bob' })
    expect((await world.revoke(others, { client: 'other' })).status).toBe(200)
  })

  test('is counted with its other requests where it has a limit', async () => {
    const rate_limit = { binding: 'AGENT_LIMIT', limit: 3, period: '60s' }
    const auth = { method: 'client_secret_basic', secret: { secret: 'AGENT' } }
    const world = await createShownWorld({
      moreClients: { agent: { subject_tokens: ['main/gateway'], auth, rate_limit } },
    })
    const token = await world.grant()
    await world.introspect(token)
    await world.introspect(token)
    expect(await refusalOf(await world.revoke(token))).toEqual([429, 'temporarily_unavailable', 'LIM202'])
    expect(world.revokedTokens()).toEqual([])
  })
})

test('what is noted of a token is not the token, and ends with it', async () => {
  const world = await createShownWorld()
  const token = await world.grant()
  const [digest] = await world.ring.digests(token)
  const records = await world.registry.findToken(digest)
  expect(records).toMatchObject([{ idp: 'main', user: 'ann', client: 'agent', resource: 'tasks', server: TASKS_AS }])
  expect(digest).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(JSON.stringify([records, world.tokens.list()])).not.toContain(token)
  // A quarter of an hour to live, and remembered for an hour: some servers do not tell.
  world.clock.advance(3601)
  expect(await world.registry.findToken(digest)).toEqual([])
})
