// An authorization server is down while a crowd comes: few calls to it, none in vain to the identity provider, nobody who
// is warm notices, everybody is served again soon after, and each by their own token.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectProblem } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage({ instances: 2 })
})

afterAll(() => stage.close())

const USERS = Array.from({ length: 20 }, (_, index) => `cold-${index}`)
const ROUNDS = 50
const WARM = Array.from({ length: 10 }, (_, index) => `warm-${index}`)

test.each([
  ['answers 503', { status: 503, body: 'down' }],
  ['breaks connections', 'reset'],
] as const)(
  'a RAS that %s: 1,000 cold requests of 20 users cost it at most 40 calls, warm users 0 answers',
  async (how, down) => {
    const { world } = stage
    const tokens = new Map<string, string>()
    const subjectOf = (name: string) => `${name} ${how}`
    for (const name of [...USERS, ...WARM]) tokens.set(name, await world.corp.idToken({ sub: subjectOf(name) }))
    const ask = (name: string, index: number) => stage.ask({ token: tokens.get(name) ?? '', instance: index % 2 })
    for (const instance of [0, 1]) {
      const warmed = await Promise.all(WARM.map((name) => ask(name, instance)))
      expect(warmed.map(({ status }) => status)).toEqual(WARM.map(() => 200))
    }
    world.calm()

    world.tasks.token.script(down, Infinity)
    const cold: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const answers = await Promise.all([
        ...USERS.map((name, index) => ask(name, index + round)),
        ...WARM.map((name, index) => ask(name, index + round)),
      ])
      cold.push(...answers.slice(0, USERS.length).map(({ status }) => status))
      const warm = answers.slice(USERS.length)
      expect(warm.map(({ status, json }) => [status, json['sub']])).toEqual(WARM.map((name) => [200, subjectOf(name)]))
    }
    expect(cold).toHaveLength(1000)
    expect(new Set(cold)).toEqual(new Set([503]))
    const refused = await ask('cold-0', 0)
    await expectProblem(refused, refused.json['code'] === 'RAS110' ? 'RAS110' : 'RAS112', 503)
    expect(refused.headers['retry-after']).toMatch(/^[1-5]$/)
    const { exchanges, redemptions } = world.legs()
    expect(redemptions).toBeLessThanOrEqual(40)
    expect(exchanges).toBeLessThanOrEqual(40)

    world.calm()
    const back = Date.now()
    // It is well again: everybody is served within five seconds, and by a token of their own.
    const recovered = await Promise.all(
      USERS.map(async (name, index) => {
        for (;;) {
          const asked = Date.now()
          const answer = await ask(name, index)
          if (answer.status === 200 || asked - back >= 5_000) return [answer.status, answer.json['sub']]
          await new Promise((done) => setTimeout(done, 50))
        }
      }),
    )
    expect(recovered).toEqual(USERS.map((name) => [200, subjectOf(name)]))
    expect(world.strays()).toEqual([])
  },
  60_000,
)
