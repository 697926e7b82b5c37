// The decision log as administrators read it: what appears there, who may look, what a question may say, and what happens while
// the log is out of order.
import { beforeEach, describe, expect, test } from 'vitest'
import { ADMIN, bodyOf, createWorld, type World } from './world.ts'

const DECISIONS = '/admin/api/decisions'
const COUNTERS = '/admin/api/counters'
const RULES_PATH = '/admin/api/rules'
const PATHS = [DECISIONS, COUNTERS, RULES_PATH]
const RULES = [
  { id: 'no-mallory', effect: 'deny', who: { users: ['mallory'] } },
  { id: 'watch', effect: 'shadow-deny', resources: ['notes'] },
  { id: 'all', effect: 'allow' },
  { id: 'idle', effect: 'deny', who: { users: ['nobody'] } },
]

let world: World
let viewer: string

beforeEach(async () => {
  world = await createWorld({ rules: RULES })
  viewer = await world.idToken('kim', ['help'])
})

const look = async (path: string) => {
  const answer = await world.ask('GET', path, viewer)
  return { status: answer.status, body: await bodyOf(answer) }
}

describe('what was decided', () => {
  test('is in the list, the newest first, by who, what and why', async () => {
    expect((await world.use('ann')).status).toBe(200)
    world.clock.advance(1)
    expect((await world.use('mallory', 'notes')).status).toBe(403)
    const { status, body } = await look(DECISIONS)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      more: false,
      decisions: [
        {
          id: expect.stringMatching(/^req_[0-9a-f]{32}$/),
          event: 'policy.decide',
          outcome: 'deny',
          code: 'POL101',
          user: { sub: 'mallory' },
          client: 'people',
          resource: 'notes',
          rule: 'no-mallory',
        },
        { event: 'request.forward', outcome: 'allow', user: { sub: 'ann' }, resource: 'tasks', rule: 'all' },
      ],
    })
    expect(body).not.toHaveProperty('next')
  })

  test('is found by user, client, resource and outcome', async () => {
    await world.use('ann')
    await world.use('bo', 'notes')
    await world.use('mallory')
    const users = async (query: string) => {
      const { decisions } = (await look(`${DECISIONS}?${query}`)).body
      return Array.isArray(decisions) ? decisions.map(({ user }) => String(user.sub)).toSorted() : []
    }
    expect(await users('user=ann')).toEqual(['ann'])
    expect(await users('resource=notes')).toEqual(['bo'])
    expect(await users('outcome=deny')).toEqual(['mallory'])
    expect(await users('client=people')).toEqual(['ann', 'bo', 'mallory'])
    expect(await users('client=people&outcome=allow&resource=tasks')).toEqual(['ann'])
    expect(await users('user=zoe')).toEqual([])
  })

  test('is told page by page, each where the last one ended', async () => {
    for (let time = 0; time < 5; time++) await world.use('ann')
    const ids: string[] = []
    let query = 'limit=2'
    for (let page = 0; page < 3; page++) {
      const { body } = await look(`${DECISIONS}?${query}`)
      const { decisions, next, more } = body
      if (Array.isArray(decisions)) ids.push(...decisions.map(({ id }) => id))
      expect(more).toBe(page < 2)
      query = `limit=2&before=${encodeURIComponent(String(next))}`
    }
    expect(new Set(ids).size).toBe(5)
  })

  test('is counted by the hour', async () => {
    for (const user of ['ann', 'bo', 'mallory']) await world.use(user)
    world.clock.advance(3600)
    await world.use('ann', 'notes')
    const { status, body } = await look(COUNTERS)
    expect(status).toBe(200)
    const people = { client: 'people' }
    expect(body).toStrictEqual({
      from: '2027-01-14T09:00:00Z',
      to: '2027-01-15T09:00:00Z',
      counters: [
        { hour: '2027-01-15T08:00:00Z', outcome: 'allow', ...people, resource: 'tasks', count: 2 },
        { hour: '2027-01-15T08:00:00Z', outcome: 'deny', code: 'POL101', ...people, resource: 'tasks', count: 1 },
        { hour: '2027-01-15T09:00:00Z', outcome: 'allow', ...people, resource: 'notes', count: 1 },
      ],
      lost: { decisions: 0, audit_events: 0 },
    })
    const early = await look(`${COUNTERS}?from=2027-01-15T07:30:00Z&to=2027-01-15T10:59:59%2B02:00`)
    expect(early.body).toMatchObject({ from: '2027-01-15T07:00:00Z', to: '2027-01-15T08:00:00Z', counters: [{}, {}] })
  })

  test('is told of every rule that is configured, of those that never decided too', async () => {
    expect((await look(RULES_PATH)).body).not.toHaveProperty('counted_since')
    await world.use('ann')
    await world.use('mallory')
    world.clock.advance(60)
    await world.use('bo', 'notes')
    const { status, body } = await look(RULES_PATH)
    expect(status).toBe(200)
    const [early, late] = ['2027-01-15T08:00:00.000Z', '2027-01-15T08:01:00.000Z']
    expect(body).toStrictEqual({
      days: 90,
      counted_since: early,
      rules: [
        { id: 'no-mallory', effect: 'deny', hits: 1, last_hit: early },
        { id: 'watch', effect: 'shadow-deny', hits: 1, last_hit: late },
        { id: 'all', effect: 'allow', hits: 3, last_hit: late },
        { id: 'idle', effect: 'deny', hits: 0 },
      ],
    })
  })

  test('is told of rules that were about it and did not decide: what has no hits was about nothing', async () => {
    world = await createWorld({
      rules: [
        { id: 'first', effect: 'allow', who: { users: ['ann'] } },
        { id: 'second', effect: 'allow', resources: ['tasks'] },
        { id: 'less', effect: 'deny', who: { groups: ['interns'] }, scopes: ['tasks.read'] },
        { id: 'idle', effect: 'allow', resources: ['notes'], methods: ['DELETE'] },
      ],
    })
    expect((await world.use('ann')).status).toBe(200)
    const intern = await world.idToken('bo', ['interns'])
    const refused = await world.use('bo', 'tasks', intern)
    expect([refused.status, await refused.text()]).toEqual([403, expect.not.stringMatching(/second|less/)])
    expect(world.sink.events.at(-1)).toMatchObject({
      code: 'POL102',
      policy: { effect: 'deny', also: ['second', 'less'] },
    })
    const { rules } = (await look(RULES_PATH)).body
    const hits = Array.isArray(rules) ? rules.map((rule) => `${rule.id} ${rule.hits}`) : []
    expect(hits).toEqual(['first 1', 'second 2', 'less 1', 'idle 0'])
  })

  test.each([
    ['allowed', 'ann', 200],
    ['denied', 'mallory', 403],
  ])(
    'is told of every rule that was about what was %s, of those too that its audit event has no room for',
    async (_what, user, status) => {
      const many = Array.from({ length: 40 }, (_, at) => ({ id: `also-${at}`, effect: 'allow' }))
      world = await createWorld({ rules: [...many, { id: 'no-mallory', effect: 'deny', who: { users: ['mallory'] } }] })
      expect((await world.use(user)).status).toBe(status)
      const named = world.sink.events.at(-1)?.policy?.also ?? []
      expect(named).toHaveLength(32)
      const { rules } = (await look(RULES_PATH)).body
      const hits = Array.isArray(rules) ? rules.map((rule) => Number(rule.hits)) : []
      expect(hits).toEqual([...many.map(() => 1), user === 'mallory' ? 1 : 0])
    },
  )

  test('is told of so many days only, and never as if it had been counted for longer', async () => {
    await world.use('ann')
    world.clock.advance(10 * 24 * 3600)
    viewer = await world.idToken('kim', ['help'])
    expect((await look(`${RULES_PATH}?days=9`)).body).toMatchObject({
      days: 9,
      counted_since: '2027-01-16T00:00:00.000Z',
      rules: [{}, {}, { id: 'all', hits: 0 }, {}],
    })
    expect((await look(`${RULES_PATH}?days=11`)).body).toMatchObject({ rules: [{}, {}, { id: 'all', hits: 1 }, {}] })
  })

  test('is not pushed out by looking at it, and holds no token and no path', async () => {
    const token = await world.idToken('ann')
    await world.use('ann', 'tasks', token)
    const all = []
    for (const path of [...PATHS, ...PATHS]) all.push((await look(path)).body)
    expect(all[3]).toEqual(all[0])
    const text = JSON.stringify(all)
    for (const secret of [token, token.slice(-20), ...world.sentTokens(), '/v1', 'a secret of the test'])
      expect(text).not.toContain(secret)
  })

  test('is not kept one by one where none is to be kept, but counted', async () => {
    world = await createWorld({ admin: { ...ADMIN, decisions_kept: 0 } })
    await world.use('ann')
    expect((await look(DECISIONS)).body).toEqual({ decisions: [], more: false })
    expect((await look(COUNTERS)).body).toMatchObject({ counters: [{ count: 1 }] })
  })
})

describe('who looks', () => {
  test('leaves an audit event that says what at, and how much was shown', async () => {
    await world.use('ann')
    for (const path of [`${DECISIONS}?user=ann&outcome=allow`, COUNTERS, RULES_PATH]) await look(path)
    expect(world.sink.events.slice(-3)).toMatchObject([
      { event: 'decision.list', admin: { actor: { sub: 'kim' }, selector: { user: 'ann' }, counts: { decisions: 1 } } },
      { event: 'counter.read', admin: { actor: { sub: 'kim' }, counts: { counters: 1 } } },
      { event: 'rule.list', admin: { actor: { sub: 'kim' }, counts: { rules: 4 } } },
    ])
  })

  test.each(PATHS)(
    'at %s must have the right to, and where there is no administration there is nothing',
    async (path) => {
      await world.use('ann')
      const saying = async (answer: Response) => {
        const text = await answer.text()
        for (const word of ['no-mallory', 'people', 'ann', 'POL']) expect(text).not.toContain(word)
        return `${answer.status} ${String(JSON.parse(text).code)}`
      }
      expect(await saying(await world.ask('GET', path, {}))).toBe('401 ADM101')
      expect(await saying(await world.ask('GET', path, await world.idToken('zoe')))).toBe('403 ADM102')
      expect(await saying(await world.ask('POST', path, viewer, {}))).toBe('405 CLI110')
      const bare = await createWorld({ admin: null })
      expect(await saying(await bare.ask('GET', path, await bare.idToken('kim', ['help'])))).toBe('404 CLI106')
    },
  )
})

describe('a question that is none', () => {
  test.each([
    [`${DECISIONS}?limit=0`, '400 ADM100', 'limit'],
    [`${DECISIONS}?limit=501`, '400 ADM100', 'limit'],
    [`${DECISIONS}?limit=1e2`, '400 ADM100', 'limit'],
    [`${DECISIONS}?outcome=denied`, '400 ADM100', 'outcome'],
    [`${DECISIONS}?before=yesterday`, '400 ADM100', 'before'],
    [`${DECISIONS}?before=2027-01-15T08:00:00.000Z_req_1`, '400 ADM100', 'before'],
    [`${DECISIONS}?client=bot`, '400 ADM105', 'client'],
    [`${DECISIONS}?resource=mail`, '400 ADM105', 'resource'],
    [`${DECISIONS}?user=${'x'.repeat(256)}`, '400 ADM100', 'user'],
    [`${DECISIONS}?user=ann&user=bo`, '400 ADM100', 'user'],
    [`${DECISIONS}?idp=main`, '400 ADM100', 'idp'],
    [`${COUNTERS}?from=yesterday`, '400 ADM106', 'from'],
    [`${COUNTERS}?to=2027-02-30T00:00:00Z`, '400 ADM106', 'to'],
    [`${COUNTERS}?from=2027-01-15T08:00:00Z&to=2027-01-15T07:59:59Z`, '400 ADM106', 'from'],
    [`${COUNTERS}?limit=5`, '400 ADM100', 'limit'],
    [`${RULES_PATH}?days=91`, '400 ADM100', 'days'],
    [`${RULES_PATH}?days=`, '200', ''],
    [`${RULES_PATH}?rule=all`, '400 ADM100', 'rule'],
  ])('%s is answered by %s, which names the part', async (path, saying, part) => {
    const { status, body } = await look(path)
    expect([status, body['code']].join(' ').trim()).toBe(saying)
    if (part !== '') expect(body['detail']).toMatch(new RegExp(`(?:at |: )${part}(?: |\\.)`))
  })
})

describe('a log that is out of order', () => {
  test.each(['throw', 'hang'] as const)('harms nobody who wants something of the gateway: %s', async (fault) => {
    world.decisions.faults.add = fault
    const token = await world.idToken('ann')
    const answers = Promise.all(
      [1, 2, 3].map(() =>
        world.app(new Request('https://gw.example/r/tasks/v1', { headers: { authorization: `Bearer ${token}` } })),
      ),
    )
    expect((await answers).map(({ status }) => status)).toEqual([200, 200, 200])
    expect(world.failures).toEqual([])
  })

  test('says afterwards how much is missing', async () => {
    world.decisions.faults.add = 'throw'
    await world.use('ann')
    world.decisions.faults.add = undefined
    await world.use('ann')
    const { body } = await look(COUNTERS)
    expect(body).toMatchObject({ counters: [{ count: 1 }], lost: { decisions: 1, audit_events: 0 } })
  })

  test.each([
    [DECISIONS, 'list'],
    [COUNTERS, 'count'],
    [RULES_PATH, 'hits'],
  ] as const)('is a 503 for who looks at %s', async (path, method) => {
    world.decisions.faults[method] = 'throw'
    const answer = await world.ask('GET', path, viewer)
    expect([answer.status, answer.headers.get('retry-after'), (await bodyOf(answer))['code']]).toEqual([
      503,
      '1',
      'INT101',
    ])
  })
})
