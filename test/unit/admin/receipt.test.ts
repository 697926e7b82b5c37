// Revoking: what dies and what does not, by when, what becomes of each token, and what the receipt says of it.
import { describe, expect, test } from 'vitest'
import { bodyOf, createWorld, NOTES_AS, TASKS_AS, type World } from './world.ts'

const REVOKE = '/admin/api/revocations'
const LIST = '/admin/api/connections'

async function revoke(world: World, order: Record<string, unknown>) {
  const answer = await world.ask('POST', REVOKE, await world.idToken('sue'), order)
  return { status: answer.status, receipt: await bodyOf(answer) }
}

async function statusOf(world: World, query: string): Promise<unknown> {
  const { connections } = await bodyOf(await world.ask('GET', `${LIST}${query}`, await world.idToken('sue')))
  return Array.isArray(connections) ? connections.map(({ status }) => status) : connections
}

describe('a receipt', () => {
  test('says what died, by when, and what became of the token', async () => {
    const world = await createWorld()
    await world.use('ann')
    world.clock.advance(2.5)
    const { status, receipt } = await revoke(world, { user: 'ann' })
    expect(status).toBe(200)
    expect(receipt).toEqual({
      id: expect.stringMatching(/^cutoff_[0-9a-f-]{36}$/),
      dry_run: false,
      selector: { user: 'ann' },
      before: '2027-01-15T08:00:02.500Z',
      effective_by: '2027-01-15T08:00:12.500Z',
      sign_ins_ended: true,
      connections_known: true,
      connections: [
        {
          user: { idp: 'main', issuer: 'https://idp.example', sub: 'ann' },
          client: 'people',
          resource: 'tasks',
          scopes: ['tasks.read'],
          first_issued_at: '2027-01-15T08:00:00.000Z',
          last_issued_at: '2027-01-15T08:00:00.000Z',
          expires_at: '2027-01-15T08:15:00.000Z',
          count: 1,
          id_jag_jti: 'jag-1',
          token_expires_at: '2027-01-15T08:15:00.000Z',
          authorization_server: 'revoked',
        },
      ],
      more: false,
      counts: { connections: 1, revoked: 1 },
    })
    expect(await statusOf(world, '?user=ann')).toEqual(['revoked'])
  })

  test('comes after the cut-off is written, and the token revoked as RFC 7009 has it', async () => {
    const world = await createWorld()
    await world.use('ann')
    let writtenFirst = false
    world.answers.set(`${TASKS_AS}/revoke`, async () => {
      writtenFirst = ((await world.log.read(undefined))?.revocations.length ?? 0) > 0
      return new Response(null)
    })
    await revoke(world, { user: 'ann' })
    expect(writtenFirst).toBe(true)
    const [request] = world.seen.filter(({ url }) => url === `${TASKS_AS}/revoke`)
    expect(request?.authorization).toMatch(/^Basic /)
    expect(Object.fromEntries(request?.body ?? [])).toEqual({
      token: world.sentTokens()[0],
      token_type_hint: 'access_token',
    })
    expect(world.tokens.list()).toEqual([])
  })

  test.each<[string, () => Response | Promise<Response>, string]>([
    ['is down', () => new Response(null, { status: 503 }), 'failed'],
    ['cannot be reached', () => Promise.reject(new Error('no route')), 'failed'],
    ['does not know us', () => Response.json({ error: 'invalid_client' }, { status: 401 }), 'failed'],
    ['redirects', () => new Response(null, { status: 307, headers: { location: 'https://evil.example' } }), 'failed'],
    [
      'revokes no such tokens',
      () => Response.json({ error: 'unsupported_token_type' }, { status: 400 }),
      'not_offered',
    ],
    ['answers with a page', () => new Response('<p>done', { headers: { 'content-type': 'text/html' } }), 'revoked'],
  ])('says so where the authorization server %s, and the cut-off holds', async (_what, answer, outcome) => {
    const world = await createWorld({ maxStaleness: '0s' })
    await world.use('ann')
    world.answers.set(`${TASKS_AS}/revoke`, answer)
    const { status, receipt } = await revoke(world, { user: 'ann' })
    expect(status).toBe(200)
    expect(receipt).toMatchObject({
      connections: [{ authorization_server: outcome }],
      counts: { connections: 1, [outcome]: 1 },
    })
    expect(JSON.stringify(receipt)).not.toContain(world.sentTokens()[0])
    expect(world.seen.some(({ url }) => url.includes('evil'))).toBe(false)
    world.clock.advance(1)
    await world.use('ann')
    const [first, second] = world.sentTokens()
    expect(second).not.toBe(first)
  })

  test('does not ask a server that offers nothing', async () => {
    const world = await createWorld()
    await world.use('ann', 'notes')
    const { receipt } = await revoke(world, { user: 'ann' })
    expect(receipt).toMatchObject({
      connections: [{ authorization_server: 'not_offered' }],
      counts: { not_offered: 1 },
    })
    expect(world.seen.filter(({ url }) => url.startsWith(NOTES_AS)).map(({ url }) => url)).not.toContain(
      `${NOTES_AS}/revoke`,
    )
    expect(world.tokens.list()).toEqual([])
  })

  test('is empty for what does not exist, and is a success', async () => {
    const world = await createWorld()
    await world.use('ann')
    const { status, receipt } = await revoke(world, { user: 'nobody' })
    expect(status).toBe(200)
    expect(receipt).toMatchObject({ connections: [], more: false, counts: { connections: 0 } })
    expect(await statusOf(world, '?user=ann')).toEqual(['active'])
  })

  test('is empty the second time, and nothing is revoked twice', async () => {
    const world = await createWorld()
    await world.use('ann')
    await revoke(world, { user: 'ann' })
    world.clock.advance(1)
    expect((await revoke(world, { user: 'ann' })).receipt).toMatchObject({
      connections: [],
      counts: { connections: 0 },
    })
    expect(world.revokedTokens()).toHaveLength(1)
  })

  test('of a second attempt tells of the tokens that the first could not revoke', async () => {
    const world = await createWorld()
    await world.use('ann')
    world.answers.set(`${TASKS_AS}/revoke`, () => new Response(null, { status: 503 }))
    expect((await revoke(world, { user: 'ann' })).receipt).toMatchObject({ counts: { connections: 1, failed: 1 } })
    world.answers.clear()
    world.clock.advance(1)
    expect((await revoke(world, { user: 'ann' })).receipt).toMatchObject({
      connections: [{ authorization_server: 'revoked' }],
      counts: { connections: 0, revoked: 1 },
    })
    expect(world.tokens.list()).toEqual([])
  })

  test('of a second attempt tells so also of a token that lives too short for KV', async () => {
    const world = await createWorld()
    world.answers.set(`${TASKS_AS}/token`, () =>
      Response.json({ access_token: 'access-token-1', token_type: 'Bearer', expires_in: 50 }),
    )
    await world.use('ann')
    expect(world.tokens.list()).toEqual([])
    world.answers.set(`${TASKS_AS}/revoke`, () => new Response(null, { status: 503 }))
    for (let count = 0; count < 2; count++) {
      const { receipt } = await revoke(world, { user: 'ann' })
      expect(receipt).toMatchObject({ connections: [{ authorization_server: 'failed' }] })
      world.clock.advance(1)
    }
    world.answers.clear()
    const { receipt } = await revoke(world, { user: 'ann' })
    expect(receipt).toMatchObject({ connections: [{ authorization_server: 'revoked' }] })
    expect(world.revokedTokens().at(-1)).toBe('access-token-1')
    world.clock.advance(1)
    expect((await revoke(world, { user: 'ann' })).receipt).toMatchObject({ connections: [] })
  })

  test('finds a token that only KV has left', async () => {
    const world = await createWorld()
    await world.use('ann')
    for (const name of world.tokens.list()) await world.flight.forget(name)
    expect((await revoke(world, { user: 'ann' })).receipt).toMatchObject({ counts: { revoked: 1 } })
    expect(world.revokedTokens()).toEqual(world.sentTokens())
  })

  test('says not_held where nothing is left, and failed where that cannot be told', async () => {
    const world = await createWorld()
    await world.use('ann')
    await world.use('bob')
    for (const name of world.tokens.list()) {
      await world.flight.forget(name)
      await world.store.delete(name)
    }
    expect((await revoke(world, { user: 'ann' })).receipt).toMatchObject({ counts: { connections: 1, not_held: 1 } })
    world.flight.faults.join = 'throw'
    expect((await revoke(world, { user: 'bob' })).receipt).toMatchObject({ counts: { connections: 1, failed: 1 } })
    expect(world.revokedTokens()).toEqual([])
  })

  test('is given although the registry does not answer', async () => {
    const world = await createWorld({ maxStaleness: '0s' })
    const token = await world.idToken('ann')
    await world.use('ann', 'tasks', token)
    world.registry.faults.list = 'throw'
    const { status, receipt } = await revoke(world, { user: 'ann' })
    expect(status).toBe(200)
    expect(receipt).toMatchObject({ connections_known: false, connections: [] })
    expect((await world.use('ann', 'tasks', token)).status).toBe(401)
  })

  test('is none where the cut-off cannot be written, and nothing else is done either', async () => {
    const world = await createWorld()
    await world.use('ann')
    world.log.faults.add = 'throw'
    const { status, receipt } = await revoke(world, { user: 'ann' })
    expect([status, receipt['code']]).toEqual([503, 'INT102'])
    expect(world.revokedTokens()).toEqual([])
    expect(world.tokens.list()).toHaveLength(1)
  })

  test('of a dry run tells what would die, and nothing does', async () => {
    const world = await createWorld({ maxStaleness: '0s' })
    const token = await world.idToken('ann')
    await world.use('ann', 'tasks', token)
    await world.use('ann', 'notes', token)
    const { receipt } = await revoke(world, { user: 'ann', dry_run: true })
    expect(receipt).toMatchObject({ dry_run: true, counts: { connections: 2 }, sign_ins_ended: true })
    expect(receipt).not.toHaveProperty('id')
    expect(JSON.stringify(receipt)).not.toContain('authorization_server')
    expect((await world.log.read(undefined))?.revocations).toEqual([])
    expect(world.revokedTokens()).toEqual([])
    expect((await world.use('ann', 'tasks', token)).status).toBe(200)
    expect(await statusOf(world, '?user=ann')).toEqual(['active', 'active'])
  })

  test('names the token’s own end where that is later than what is kept of it', async () => {
    const world = await createWorld()
    const exp = world.clock.now() + 36_000
    const jwt = [{ alg: 'RS256' }, { exp }].map((part) => btoa(JSON.stringify(part)).replace(/=+$/, '')).join('.')
    world.answers.set(`${NOTES_AS}/token`, () =>
      Response.json({ access_token: `${jwt}.AAAA`, token_type: 'Bearer', expires_in: 36_000 }),
    )
    await world.use('ann', 'notes')
    expect((await revoke(world, { user: 'ann' })).receipt).toMatchObject({
      connections: [{ expires_at: '2027-01-15T09:00:00.000Z', token_expires_at: '2027-01-15T18:00:00.000Z' }],
    })
  })

  test('names the end that the server has told, where what is kept of the token ends sooner', async () => {
    const world = await createWorld()
    world.answers.set(`${NOTES_AS}/token`, () =>
      Response.json({ access_token: 'opaque', token_type: 'Bearer', expires_in: 36_000 }),
    )
    await world.use('ann', 'notes')
    const expected = {
      connections: [{ expires_at: '2027-01-15T09:00:00.000Z', token_expires_at: '2027-01-15T18:00:00.000Z' }],
    }
    expect((await revoke(world, { user: 'ann', dry_run: true })).receipt).toMatchObject(expected)
    expect((await revoke(world, { user: 'ann' })).receipt).toMatchObject(expected)
  })

  test('names until when a token may live that was replaced ahead of its time, and only while it may', async () => {
    const world = await createWorld({ maxStaleness: '0s' })
    const token = await world.idToken('ann')
    await world.use('ann', 'tasks', token)
    // Fifteen minutes less the margin and the minute of refreshing ahead: this request brings the next token.
    world.clock.advance(815)
    await world.use('ann', 'tasks', token)
    world.clock.advance(60)
    const { receipt } = await revoke(world, { user: 'ann', resource: 'tasks' })
    expect(receipt).toMatchObject({
      connections: [
        {
          count: 2,
          token_expires_at: '2027-01-15T08:28:35.000Z',
          earlier_tokens_expire_at: '2027-01-15T08:15:00.000Z',
          authorization_server: 'revoked',
        },
      ],
    })
    expect(world.revokedTokens()).toEqual(['access-token-2'])
    world.clock.advance(1)
    await world.use('ann', 'tasks', token)
    world.clock.advance(14 * 60)
    await world.use('ann', 'tasks', token)
    world.clock.advance(120)
    // Replaced as well, but over by now.
    const late = (await revoke(world, { user: 'ann' })).receipt
    expect(late).toMatchObject({ connections: [{ count: 4, authorization_server: 'revoked' }] })
    expect(JSON.stringify(late)).not.toContain('earlier_tokens_expire_at')
  })

  test('lists what has ended here while its token lives on, until it was cut off', async () => {
    const world = await createWorld()
    world.answers.set(`${NOTES_AS}/token`, () =>
      Response.json({ access_token: 'opaque', token_type: 'Bearer', expires_in: 36_000 }),
    )
    await world.use('ann', 'notes')
    world.clock.advance(3601)
    const lost = { resource: 'notes', token_expires_at: '2027-01-15T18:00:00.000Z' }
    const dry = (await revoke(world, { user: 'ann', dry_run: true })).receipt
    expect(dry).toMatchObject({ connections: [lost], counts: { connections: 0 } })
    const { receipt } = await revoke(world, { user: 'ann' })
    expect(receipt).toMatchObject({
      connections: [{ ...lost, authorization_server: 'not_held' }],
      counts: { connections: 0, not_held: 1 },
    })
    world.clock.advance(1)
    expect((await revoke(world, { user: 'ann' })).receipt).toMatchObject({ connections: [] })
  })

  test('has nothing of what had expired, nor of what had been obtained later', async () => {
    const world = await createWorld()
    await world.use('ann')
    world.clock.advance(901)
    await world.use('ann', 'notes')
    const { receipt } = await revoke(world, { user: 'ann' })
    expect(receipt).toMatchObject({ connections: [{ resource: 'notes' }], counts: { connections: 1 } })
    expect(world.revokedTokens()).toEqual([])
  })

  test('has nothing of a token that is younger than the cut-off by less than a second', async () => {
    const world = await createWorld({ maxStaleness: '0s' })
    world.clock.advance(0.7)
    await world.use('ann')
    world.clock.advance(5)
    const { receipt } = await revoke(world, { user: 'ann', resource: 'tasks', before: '2027-01-15T08:00:00.500Z' })
    expect(receipt).toMatchObject({ connections: [], counts: { connections: 0 } })
    expect(world.revokedTokens()).toEqual([])
    await world.use('ann')
    expect(new Set(world.sentTokens()).size).toBe(1)
  })

  test('lists a hundred at most, and says that there are more', async () => {
    const world = await createWorld()
    for (let index = 0; index < 103; index++) await world.use(`user-${index}`, 'notes')
    const { receipt } = await revoke(world, { client: 'people' })
    expect(receipt).toMatchObject({ more: true, counts: { connections: 103, not_offered: 100 } })
    expect(receipt['connections']).toHaveLength(100)
  })
})

describe('a selector', () => {
  const EVERYBODY = ['ann notes', 'ann tasks', 'bob notes', 'bob tasks']

  test.each<[Record<string, string>, readonly string[]]>([
    [{ user: 'ann' }, ['ann notes', 'ann tasks']],
    [{ user: 'ann', resource: 'tasks' }, ['ann tasks']],
    [{ user: 'ann', idp: 'main', client: 'people', resource: 'notes' }, ['ann notes']],
    [{ resource: 'tasks' }, ['ann tasks', 'bob tasks']],
    [{ client: 'people' }, EVERYBODY],
    [{ idp: 'main' }, EVERYBODY],
    [{ user: 'ANN' }, []],
  ])('%j cuts what it fits and nothing else', async (selector, expected) => {
    const world = await createWorld()
    for (const user of ['ann', 'bob'])
      for (const resource of ['tasks', 'notes'] as const) await world.use(user, resource)
    const { receipt } = await revoke(world, selector)
    const { connections } = receipt
    const cut = Array.isArray(connections)
      ? connections.map((each) => `${each.user.sub} ${each.resource}`).toSorted()
      : []
    expect(cut).toEqual(expected)
    expect(receipt['sign_ins_ended']).toBe(selector['resource'] === undefined)
    // What was not meant goes on with the very token it had.
    const sent = world.sentTokens()
    const names = ['ann tasks', 'ann notes', 'bob tasks', 'bob notes']
    world.clock.advance(11)
    for (const [index, name] of names.entries()) {
      const [user = '', resource] = name.split(' ')
      await world.use(user, resource === 'tasks' ? 'tasks' : 'notes')
      const again = world.sentTokens().at(-1)
      if (expected.includes(name)) expect(again).not.toBe(sent[index])
      else expect(again).toBe(sent[index])
    }
  })

  test('with a time in the past leaves alone what was obtained since', async () => {
    const world = await createWorld({ maxStaleness: '0s' })
    await world.use('ann')
    world.clock.advance(100)
    await world.use('bob')
    world.clock.advance(100)
    const { receipt } = await revoke(world, { resource: 'tasks', before: '2027-01-15T08:00:50Z' })
    expect(receipt).toMatchObject({ before: '2027-01-15T08:00:50.000Z', counts: { connections: 1, revoked: 1 } })
    expect(await statusOf(world, '?user=ann')).toEqual(['revoked'])
    expect(await statusOf(world, '?user=bob')).toEqual(['active'])
    await world.use('bob')
    expect(world.sentTokens().at(-1)).toBe(world.sentTokens()[1])
  })
})

describe('what holds', () => {
  test('an old sign-in is worth nothing, a new one brings a new token', async () => {
    const world = await createWorld({ maxStaleness: '0s' })
    const token = await world.idToken('ann')
    expect((await world.use('ann', 'tasks', token)).status).toBe(200)
    await revoke(world, { user: 'ann' })
    world.clock.advance(1)
    expect((await world.use('ann', 'tasks', token)).status).toBe(401)
    expect((await world.use('ann', 'notes', token)).status).toBe(401)
    expect((await world.use('ann')).status).toBe(200)
    const [first, second] = world.sentTokens()
    expect(second).not.toBe(first)
  })

  test('other instances go by it within the bound, whatever they have in memory', async () => {
    const world = await createWorld()
    const token = await world.idToken('ann')
    const headers = { authorization: `Bearer ${token}` }
    const other = world.createInstance()
    const ask = async () => (await other(new Request('https://gw.example/r/tasks/v1', { headers }))).status
    expect(await ask()).toBe(200)
    const { receipt } = await revoke(world, { user: 'ann' })
    // Nothing has told it: within the bound it may go on.
    world.clock.advance(4)
    expect(await ask()).toBe(200)
    world.clock.advance(6)
    expect(world.clock.epochMillis()).toBe(Date.parse(String(receipt['effective_by'])))
    expect(await ask()).toBe(401)
  })

  test('an exchange that is under way does not survive it', async () => {
    const world = await createWorld({ maxStaleness: '0s' })
    const { promise: redeemed, resolve: redeem } = Promise.withResolvers<undefined>()
    const { promise: asked, resolve: arrived } = Promise.withResolvers<undefined>()
    world.answers.set(`${TASKS_AS}/token`, async () => {
      arrived(undefined)
      await redeemed
      return Response.json({ access_token: 'obtained-on-the-way', token_type: 'Bearer', expires_in: 900 })
    })
    const token = await world.idToken('ann')
    const underWay = world.app(
      new Request('https://gw.example/r/tasks/v1', { headers: { authorization: `Bearer ${token}` } }),
    )
    await asked
    world.clock.advance(1)
    const answer = world.ask('POST', REVOKE, await world.idToken('sue'), { user: 'ann' })
    await Promise.race([answer, new Promise((done) => setTimeout(done, 50))])
    world.clock.advance(1)
    redeem(undefined)
    await Promise.all([underWay, answer])
    await world.settle()
    world.answers.clear()
    expect(await statusOf(world, '?user=ann')).toEqual(['revoked'])

    expect((await world.use('ann', 'tasks', token)).status).toBe(401)
    expect((await world.use('ann')).status).toBe(200)
    expect(world.sentTokens().at(-1)).not.toBe('obtained-on-the-way')
  })

  test.each([
    // id_token.max_age and cache.max_ttl are an hour each.
    ['ID tokens', { idp: 'main', user: 'ann' }, 3600],
    ['sessions of Access', { user: 'ann' }, 86_400],
  ])(
    'a cut-off is kept for as long as %s from before it could live, and then forgotten',
    async (_what, selector, life) => {
      const world = await createWorld()
      await revoke(world, selector)
      const inForce = async () => (await world.log.read(undefined))?.revocations.length
      // A minute for clocks, ten to be sure.
      world.clock.advance(life + 60 + 599)
      expect(await inForce()).toBe(1)
      world.clock.advance(1)
      expect(await inForce()).toBe(0)
    },
  )

  test('while the log does not answer, nobody passes once the bound is over', async () => {
    const world = await createWorld()
    expect((await world.use('ann')).status).toBe(200)
    world.log.faults.read = 'throw'
    world.clock.advance(9)
    expect((await world.use('ann')).status).toBe(200)
    world.clock.advance(1)
    expect((await world.use('ann')).status).toBe(503)
    expect(world.sentTokens()).toHaveLength(2)
    world.log.faults.read = undefined
    expect((await world.use('ann')).status).toBe(200)
  })
})
