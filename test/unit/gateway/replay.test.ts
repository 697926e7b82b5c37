// What the upstream says of the token: one renewal, one replay where the body is at hand, and its challenges in our words.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { askEdge, edge, outcomeOf, sentTokens, type Asked } from '../support/outcomes.ts'
import { createWorld, json, NAMES, RESOURCES, type Handler, type Json, type World } from '../support/world.ts'
import { cost, withReuse } from '../credentials/acquire-world.ts'

const METADATA = `${NAMES.gateway}/.well-known/oauth-protected-resource/r/tasks`

const challenged =
  (status: number, challenge?: string): Handler =>
  () =>
    json({ from: 'upstream' }, { status, headers: challenge === undefined ? {} : { 'www-authenticate': challenge } })
const REJECTED = challenged(401, 'Bearer error="invalid_token"')

/** A world with a warm token that the upstream takes no more; any other it takes. */
async function rejecting(options: Parameters<typeof createWorld>[0] = {}, reject = REJECTED): Promise<World> {
  const world = createWorld(options)
  await edge(world)
  await world.settle()
  world.clock.advance(5)
  const { upstream } = world.script
  world.script.upstream = (seen) =>
    seen.headers.get('authorization') === 'Bearer canary-access-alice-1' ? reject(seen) : upstream(seen)
  return world
}

const withReplay = (bytes: number): Json => ({
  ...RESOURCES,
  tasks: { ...RESOURCES.tasks, proxy: { ...RESOURCES.tasks.proxy, replay_max_bytes: bytes } },
})

/** A POST whose head says how long it is, as HTTP clients send one. */
function post(body: string, headers: Readonly<Record<string, string>> = {}): Asked {
  return {
    method: 'POST',
    body,
    headers: { 'content-length': String(new TextEncoder().encode(body).length), ...headers },
  }
}

/** A POST that does not say how long it is. */
function chunked(body: string): Asked {
  return { method: 'POST', body }
}

const posts = (world: World) => world.seen('upstream').filter(({ method }) => method === 'POST')

describe('a request whose token is rejected', () => {
  test.each(['GET', 'HEAD', 'DELETE', 'OPTIONS'])('%s without a body is sent again, once', async (method) => {
    const world = await rejecting()
    const answer = await askEdge(world, { method, path: '/again?x=1' })
    expect(answer.status).toBe(200)
    const sent = world.seen('upstream').filter(({ url }) => url.endsWith('/again?x=1'))
    expect(sent.map((one) => [one.method, one.headers.get('authorization')])).toEqual([
      [method, 'Bearer canary-access-alice-1'],
      [method, 'Bearer canary-access-alice-2'],
    ])
    expect(cost(world)).toEqual([2, 2])
  })

  test.each(['x', 'ü'.repeat(1000), 'b'.repeat(65_536)])(
    'a small body is sent again, byte by byte, once',
    async (body) => {
      const world = await rejecting()
      expect(await edge(world, post(body, { 'content-type': 'text/x', 'idempotency-key': '7' }))).toBe('200')
      expect(posts(world).map((seen) => [seen.body, seen.headers.get('content-type')])).toEqual([
        [body, 'text/x'],
        [body, 'text/x'],
      ])
      expect(posts(world).map(({ headers }) => headers.get('idempotency-key'))).toEqual(['7', '7'])
    },
  )

  test('a body of no bytes is none', async () => {
    const world = await rejecting()
    expect(await edge(world, post(''))).toBe('200')
    expect(posts(world)).toHaveLength(2)
  })

  test.each<[string, Asked, Json]>([
    ['larger than replay_max_bytes', post('b'.repeat(65_537)), RESOURCES],
    ['larger than a replay_max_bytes of its own', post('12345'), withReplay(4)],
    ['any, where none is to be kept', post('1'), withReplay(0)],
    ['of unsaid length', chunked('once'), RESOURCES],
    [
      'of a length that is no number',
      { method: 'POST', body: 'once', headers: { 'content-length': 'four' } },
      RESOURCES,
    ],
  ])('a body %s is sent once; the token is new for who sends it again', async (_what, asked, resources) => {
    const world = await rejecting({ resources })
    const answer = await askEdge(world, asked)
    expect([await outcomeOf(answer), answer.headers.get('retry-after')]).toEqual(['503 UPS102', '1'])
    expect(posts(world)).toHaveLength(1)
    expect(await edge(world, asked)).toBe('200')
    expect([posts(world).length, cost(world)]).toEqual([2, [2, 2]])
  })

  test('a body at its bound is kept, where the bound is its own', async () => {
    const world = await rejecting({ resources: withReplay(4) })
    expect(await edge(world, post('1234'))).toBe('200')
    expect(posts(world).map(({ body }) => body)).toEqual(['1234', '1234'])
  })

  test('a body that is longer than it said is not sent at all', async () => {
    const world = await rejecting({ resources: withReplay(4) })
    expect(await edge(world, { method: 'POST', body: '12345', headers: { 'content-length': '3' } })).toBe('400 CLI100')
    expect(posts(world)).toEqual([])
  })

  test('a body that breaks off is not sent half', async () => {
    const world = await rejecting()
    let pulled = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (pulled++ === 0) controller.enqueue(new TextEncoder().encode('half'))
        else controller.error(new Error('the caller hung up'))
      },
    })
    expect(await edge(world, { method: 'POST', body, headers: { 'content-length': '8' } })).toBe('400 CLI100')
    expect(posts(world)).toEqual([])
  })

  test('a token that is too new to be rejected rightly keeps no body waiting', async () => {
    const world = createWorld()
    world.script.upstream = REJECTED
    expect(await edge(world, post('1'))).toBe('502 UPS101')
    expect([posts(world).length, cost(world)]).toEqual([1, [1, 1]])
  })

  test('gets at most one renewal a minute, from however many requests and isolates', async () => {
    const world = createWorld()
    await edge(world)
    await world.settle()
    world.clock.advance(5)
    world.script.upstream = REJECTED
    const isolates = [world, world.isolate('a'), world.isolate('b')]
    for (let second = 0; second < 60; second++) {
      for (const from of isolates) expect(await edge(world, { from })).toBe('502 UPS101')
      world.clock.advance(1)
    }
    expect(cost(world)).toEqual([2, 2])
    expect(await edge(world)).toBe('502 UPS101')
    expect(cost(world)).toEqual([3, 3])
  })

  test('is told of a login that is wanted by the second answer, too, not of a fault at the resource', async () => {
    const world = await rejecting()
    world.script.upstream = (seen) =>
      seen.headers.get('authorization') === 'Bearer canary-access-alice-1'
        ? REJECTED(seen)
        : challenged(401, 'Bearer error="insufficient_user_authentication", max_age=60')(seen)
    const answer = await askEdge(world)
    expect(await outcomeOf(answer)).toBe('401 UPS103')
    expect(answer.headers.get('www-authenticate')).toContain('max_age="60"')
  })
})

describe('a login that is wanted (RFC 9470)', () => {
  test.each([
    ['acr_values="urn:mfa"', 'acr_values="urn:mfa"'],
    ['max_age=0', 'max_age="0"'],
    ['acr_values="a b", max_age="300"', 'acr_values="a b", max_age="300"'],
    ['max_age="soon", acr_values="urn:mfa"', 'acr_values="urn:mfa"'],
  ])(
    'with %s reaches the caller with these members and our metadata, and no token is renewed',
    async (members, kept) => {
      const foreign = `Bearer realm="canary", error="insufficient_user_authentication", ${members}, resource_metadata="https://canary.test"`
      const world = await rejecting({}, challenged(401, foreign))
      const answer = await askEdge(world, { claims: { auth_time: world.clock.now() - 600 } })
      expect(await outcomeOf(answer)).toBe('401 UPS103')
      const challenge = answer.headers.get('www-authenticate') ?? ''
      expect(challenge).toContain('error="insufficient_user_authentication"')
      expect(challenge).toContain(kept)
      expect(challenge).toContain(`resource_metadata="${METADATA}"`)
      expect(challenge).not.toContain('canary')
      expect(cost(world)).toEqual([1, 1])
      expect(world.seen('upstream')).toHaveLength(2)
    },
  )
})

describe('insufficient_scope', () => {
  const wants = (scope: string) => challenged(403, `Bearer error="insufficient_scope", scope="${scope}"`)
  const rewritten = (scope: string) =>
    `Bearer error="insufficient_scope", scope="${scope}", resource_metadata="${METADATA}"`

  /** The authorization server gives less than was asked the first time. */
  async function narrowed(scope: string): Promise<World> {
    const world = createWorld()
    const { ras } = world.script
    world.alter('ras', { scope: 'tasks.read' })
    await edge(world)
    await world.settle()
    world.clock.advance(5)
    world.script.ras = ras
    const { upstream } = world.script
    world.script.upstream = (seen) =>
      seen.headers.get('authorization') === 'Bearer canary-access-alice-1' ? wants(scope)(seen) : upstream(seen)
    return world
  }

  test('for a scope that policy allows and the token lacks brings a wider one, and one replay', async () => {
    const world = await narrowed('tasks.write')
    expect(await edge(world)).toBe('200')
    expect(sentTokens(world)).toEqual(['canary-access-alice-1', 'canary-access-alice-1', 'canary-access-alice-2'])
    expect(world.seen('idp').map(({ form }) => form.get('scope'))).toEqual([
      'tasks.read tasks.write',
      'tasks.read tasks.write',
    ])
  })

  test.each([
    ['no rule allows', 'tasks.admin'],
    ['is allowed only in part', 'tasks.write tasks.admin'],
    ['the token has already', 'tasks.read'],
  ])('for a scope that %s is the caller’s answer; nothing is asked for', async (_what, scope) => {
    const world = await narrowed(scope)
    const answer = await askEdge(world)
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([403, rewritten(scope)])
    expect(await answer.json()).toEqual({ from: 'upstream' })
    expect([cost(world), world.seen('upstream').length]).toEqual([[1, 1], 2])
  })

  test('that policy takes away by group never widens the token', async () => {
    const rules = [
      { id: 'all', effect: 'allow' },
      { id: 'less', effect: 'deny', who: { groups: ['interns'] }, scopes: ['tasks.write'] },
    ]
    const world = createWorld({ rules })
    const claims = { groups: ['interns'] }
    await edge(world, { claims })
    world.clock.advance(5)
    world.script.upstream = wants('tasks.write')
    const answer = await askEdge(world, { claims })
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([403, rewritten('tasks.write')])
    expect(world.seen('idp').map(({ form }) => form.get('scope'))).toEqual(['tasks.read'])
  })

  test('that a wider token does not mend is passed on, and asked for once a minute at most', async () => {
    const world = await narrowed('tasks.write')
    world.script.upstream = wants('tasks.write')
    for (let count = 0; count < 5; count++) {
      const answer = await askEdge(world)
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([403, rewritten('tasks.write')])
    }
    expect(cost(world)[0]).toBeLessThanOrEqual(2)
  })

  test('stays the resource’s own answer where no wider token can be had', async () => {
    const world = await narrowed('tasks.write')
    world.script.idp = () => json({ error: 'access_denied' }, { status: 400 })
    const answer = await askEdge(world)
    expect([answer.status, await answer.json()]).toEqual([403, { from: 'upstream' }])
  })
})

describe('one client request', () => {
  test('that meets the time to refresh ahead and a rejection has begun its one renewal already', async () => {
    for (const [script, outcome] of [
      [undefined, '200'],
      [() => json({}, { status: 503 }), '503 IDP112'],
    ] as const) {
      const world = createWorld()
      await edge(world)
      await world.settle()
      world.clock.advance(3540)
      const { upstream } = world.script
      world.script.idp = script ?? world.script.idp
      world.script.upstream = (seen) =>
        seen.headers.get('authorization') === 'Bearer canary-access-alice-1' ? REJECTED(seen) : upstream(seen)
      expect(await edge(world)).toBe(outcome)
      await world.settle()
      expect(cost(world)[0]).toBe(2)
    }
  })

  const legAnswer = fc.constantFrom<readonly [string, Handler | undefined]>(
    ['honest', undefined],
    ['503', () => json({}, { status: 503 })],
    ['429', () => json({}, { status: 429, headers: { 'retry-after': '1' } })],
    ['invalid_grant', () => json({ error: 'invalid_grant' }, { status: 400 })],
    ['invalid_client', () => json({ error: 'invalid_client' }, { status: 401 })],
    ['nonsense', () => json({})],
    ['reset', () => Promise.reject(new TypeError('reset'))],
    ['no life', () => json({ access_token: `short-${Math.random()}`, token_type: 'Bearer', expires_in: 0 })],
    ['the same token', () => json({ access_token: 'always-the-same', token_type: 'Bearer', expires_in: 3600 })],
    ['less scope', () => json({ access_token: `less-${Math.random()}`, token_type: 'Bearer', scope: 'tasks.read' })],
  )
  const upstreamAnswer = fc.constantFrom<readonly [string, Handler | undefined]>(
    ['honest', undefined],
    ['401', REJECTED],
    ['401 without a word', challenged(401)],
    ['403', challenged(403, 'Bearer error="insufficient_scope", scope="tasks.write"')],
    ['login', challenged(401, 'Bearer error="insufficient_user_authentication"')],
    ['500', challenged(500)],
    ['reset', () => Promise.reject(new TypeError('reset'))],
  )

  test('never causes a second exchange, redemption or renewal, whatever everybody answers', async () => {
    const step = fc.record({
      idp: legAnswer,
      ras: legAnswer,
      upstream: upstreamAnswer,
      wait: fc.constantFrom(0, 1, 61, 3540),
    })
    const reuses = fc.boolean()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), reuses, async (steps, reuse) => {
        const world = createWorld(reuse ? { resources: withReuse() } : {})
        const honest = { ...world.script }
        const isolates = [world, world.isolate('other')]
        for (const [index, { idp, ras, upstream, wait }] of steps.entries()) {
          world.script.idp = idp[1] ?? honest.idp
          world.script.ras = ras[1] ?? honest.ras
          world.script.upstream = upstream[1] ?? honest.upstream
          const before = [...cost(world), world.seen('upstream').length]
          await edge(world, { from: isolates[index % 2] ?? world, ...post('body') })
          // What it does ahead of time, in the background, is on its account as well.
          await world.settle()
          const [exchanges = 0, redemptions = 0, calls = 0] = [...cost(world), world.seen('upstream').length].map(
            (count, at) => count - (before[at] ?? 0),
          )
          expect(exchanges).toBeLessThanOrEqual(1)
          // An ID-JAG from before, kept or left over by an outage, is replaced once when it is refused (D-10): one redemption
          // that failed, one that did not.
          expect(redemptions).toBeLessThanOrEqual(index === 0 ? 1 : 2)
          expect(calls).toBeLessThanOrEqual(2)
          world.clock.advance(wait)
        }
      }),
      { numRuns: 300 },
    )
  }, 60_000)
})
