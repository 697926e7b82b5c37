// The decision log of the built Worker: what it says of requests some seconds later, to whom, and that nobody waits for it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchDisturbed, type DisturbedGateway } from '../support/disturbed.ts'
import { eventually } from '../support/http.ts'
import { openStage, type Answer, type Stage } from '../support/stage.ts'

/** A batch gathers for three seconds. */
const SOON_MS = 8_000

let stage: Stage
let gateway: DisturbedGateway
let helper: string

beforeAll(async () => {
  stage = await openStage({
    edit: (config) => ({ ...config, admin: { id_token: { view: { groups: ['corp/help'] } } } }),
    launch: async (options) => (gateway = await launchDisturbed(options)),
  })
  helper = await stage.world.corp.idToken({ sub: 'kim', groups: ['help'] })
})

afterAll(() => stage.close())

async function look(path: string): Promise<Readonly<Record<string, unknown>>> {
  const answer = await stage.ask({ path: `/admin/api/${path}`, token: helper })
  expect(answer.status).toBe(200)
  expect(answer.headers['cache-control']).toBe('no-store')
  return answer.json
}

function listOf(answer: Readonly<Record<string, unknown>>, name: string): readonly Readonly<Record<string, unknown>>[] {
  const list = answer[name]
  return Array.isArray(list) ? list : []
}

/** Of each decision, what a test cannot know. */
const SOME = { time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[0-9:.]+Z$/), ms: expect.any(Number) }

const idOf = async (answer: Answer): Promise<unknown> => (await answer.event())['id']

test('what was allowed and what was denied is in the log, in the counters and at the rules, at both doors', async () => {
  const sub = 'nora'
  const token = await stage.world.corp.idToken({ sub })
  const allowed = await stage.ask({ token, path: '/r/tasks/v1/canary-path?canary-query' })
  // Nobody has waited for it.
  expect(gateway.asked('decisions')).toBe(0)
  const denied = await stage.ask({ token, path: '/r/tasks/v1/secrets/canary-path' })
  const granted = await stage.grant({ form: { subject_token: token } })
  expect([allowed.status, denied.status, granted.status]).toEqual([200, 403, 200])

  await eventually(async () => listOf(await look(`decisions?user=${sub}`), 'decisions').length === 3, SOON_MS)
  const decisions = listOf(await look(`decisions?user=${sub}`), 'decisions')
  const user = { issuer: stage.world.corp.issuer, sub }
  expect(new Map(decisions.map(({ id, ...rest }) => [id, rest]))).toEqual(
    new Map<unknown, unknown>([
      [
        await idOf(allowed),
        {
          ...SOME,
          event: 'request.forward',
          outcome: 'allow',
          user,
          client: 'people',
          resource: 'tasks',
          rule: 'people',
        },
      ],
      [
        await idOf(denied),
        {
          ...SOME,
          event: 'policy.decide',
          outcome: 'deny',
          code: 'POL101',
          user,
          client: 'people',
          resource: 'tasks',
          rule: 'no-secrets',
        },
      ],
      [
        await idOf(granted),
        {
          ...SOME,
          event: 'token.issue',
          outcome: 'allow',
          user,
          client: 'agent',
          resource: 'tasks',
          rule: 'agents',
        },
      ],
    ]),
  )
  expect(listOf(await look(`decisions?user=${sub}&outcome=deny`), 'decisions')).toHaveLength(1)
  expect(listOf(await look('decisions?client=agent'), 'decisions')).toHaveLength(1)

  const counters = await look('counters')
  const hour = String(decisions[0]?.['time']).slice(0, 13)
  for (const counter of [
    { outcome: 'allow', client: 'people', resource: 'tasks', count: 1 },
    { outcome: 'deny', code: 'POL101', client: 'people', resource: 'tasks', count: 1 },
    { outcome: 'allow', client: 'agent', resource: 'tasks', count: 1 },
  ])
    expect(counters['counters']).toContainEqual({ hour: `${hour}:00:00Z`, ...counter })
  expect(counters['lost']).toEqual({ decisions: 0, audit_events: 0 })

  const rules = await look('rules')
  const hits = Object.fromEntries(listOf(rules, 'rules').map((rule) => [rule['id'], rule['hits']]))
  expect(hits).toMatchObject({ people: 2, 'no-secrets': 1, agents: 1, 'not-mallory': 0 })
  expect(Date.parse(String(rules['counted_since']))).toBeGreaterThan(Date.now() - 60_000)

  const everything = JSON.stringify([decisions, counters, rules])
  expect(stage.world.leaks(everything)).toEqual([])
  expect(everything).not.toContain('canary')
  expect(everything).not.toContain(token.slice(-20))
})

test('without the right there is nothing to see', async () => {
  for (const path of ['decisions', 'counters', 'rules']) {
    const nobody = await stage.ask({ path: `/admin/api/${path}` })
    const other = await stage.ask({ path: `/admin/api/${path}`, token: await stage.world.corp.idToken() })
    expect([nobody.status, nobody.json['code'], other.status, other.json['code']]).toEqual([
      401,
      'ADM101',
      403,
      'ADM102',
    ])
    for (const answer of [nobody, other]) expect(answer.text).not.toMatch(/people|no-secrets/)
  }
})

test('a parameter that is none is named', async () => {
  const answer = await stage.ask({ path: '/admin/api/decisions?limit=many', token: helper })
  expect([answer.status, answer.json['code']]).toEqual([400, 'ADM100'])
  expect(answer.json['detail']).toContain('limit')
})

describe('while the objects of the log are out of order', () => {
  test.each([
    ['throws', { on: 'decisions', throw: 'canary: out of memory' }],
    ['never answers', { on: 'decisions', hang: true }],
  ])(
    'nobody else notices, and afterwards the losses are told: it %s',
    async (_what, fault) => {
      await eventually(async () => listOf(await look('counters'), 'counters').length > 0, SOON_MS)
      const lost = async () => JSON.stringify((await look('counters'))['lost'])
      const before = await lost()
      gateway.disturb(fault)
      const asked = gateway.asked('decisions')
      const token = await stage.world.corp.idToken({ sub: 'olaf' })
      expect((await stage.ask({ token })).status).toBe(200)
      await eventually(() => gateway.asked('decisions') > asked, SOON_MS)
      expect((await stage.ask({ token })).status).toBe(200)
      const looking = await stage.ask({ path: '/admin/api/counters', token: helper })
      expect([looking.status, looking.json['code']]).toEqual([503, 'INT101'])
      // Until the call that hangs has been given up.
      await new Promise((done) => setTimeout(done, 2_500))
      gateway.disturb(null)
      await eventually(async () => (await lost()) !== before, 2 * SOON_MS)
      expect(stage.output()).not.toContain('out of memory')
    },
    40_000,
  )
})
