// Sign-ins by refresh tokens and SAML assertions that were ended, long after: what is remembered of them, and the cut-offs
// themselves, are forgotten one day.
import { expect, test } from 'vitest'
import type { RevocationSelector } from '../../../src/connection.ts'
import { forgetAt } from '../../../src/revocation/revocation.ts'
import { blockOut } from '../support/outcomes.ts'
import { json, type World } from '../support/world.ts'
import { askWith, cost, shownTokens, subjectWorld } from './subjects-world.ts'

const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** As an administrator would: to be forgotten when it is of no more use. */
async function endSignIns(world: World, selector: RevocationSelector = { user: 'alice' }): Promise<void> {
  const before = world.clock.epochMillis()
  const cutoff = { kind: 'cutoff', id: crypto.randomUUID(), selector, before } as const
  await world.log.add(cutoff, forgetAt(selector, before, world.config))
}

/** What a token that is shown once a day is answered with. */
async function showDaily(world: World, token: string, days: number): Promise<readonly string[]> {
  const codes = new Set<string>()
  for (let day = 0; day < days; day++) {
    world.clock.advance(DAY)
    codes.add((await askWith(world, { token })).code)
    await world.settle()
  }
  return [...codes]
}

test('a refresh token that was cut off stays over for as long as it is shown, also when the cut-off is forgotten', async () => {
  const world = subjectWorld()
  const token = world.sessions.refreshToken()
  expect((await askWith(world, { token })).code).toBe('ok')
  world.clock.advance(28 * DAY)
  await endSignIns(world)
  expect(await showDaily(world, token, 70)).toEqual(['TOK109'])
  expect((await world.log.read(undefined))?.revocations).toEqual([])
  expect(cost(world)).toEqual([1, 1])
})

test('a refresh token is known by its successor after weeks in which its user was blocked', async () => {
  const world = subjectWorld()
  const token = world.sessions.refreshToken({ rotates: true })
  expect((await askWith(world, { token })).code).toBe('ok')
  const successor = world.sessions.currentOf(token)
  const block = await blockOut(world, { user: 'alice' })
  expect(await showDaily(world, token, 40)).toEqual(['POL110'])
  await world.log.lift(block)
  expect(await showDaily(world, token, 1)).toEqual(['ok'])
  expect(shownTokens(world)).toEqual([token, successor])
  expect(world.sessions.reuses).toBe(0)
})

test('a refresh token is known by its successor after weeks in which its identity provider answered nobody', async () => {
  const world = subjectWorld()
  const usual = world.script.idp
  const token = world.sessions.refreshToken({ rotates: true })
  expect((await askWith(world, { token })).code).toBe('ok')
  const successor = world.sessions.currentOf(token)
  world.script.idp = () => json({ error: 'temporarily_unavailable' }, { status: 503 })
  expect(await showDaily(world, token, 40)).not.toContain('ok')
  world.script.idp = usual
  expect(await showDaily(world, token, 1)).toEqual(['ok'])
  expect(shownTokens(world).at(-1)).toBe(successor)
  expect(world.sessions.reuses).toBe(0)
})

test('a cut-off right after a use is kept for as long as that use is remembered', async () => {
  const world = subjectWorld()
  const token = world.sessions.refreshToken()
  expect((await askWith(world, { token })).code).toBe('ok')
  world.clock.advance(1)
  await endSignIns(world)
  world.clock.advance(30 * DAY + HOUR - 2)
  expect((await askWith(world, { token })).code).toBe('TOK109')
  expect(cost(world)).toEqual([1, 1])
})

test('a SAML assertion from before a cut-off is no new sign-in when it is forgotten, where the ID-JAG tells of the login', async () => {
  const world = subjectWorld()
  const token = world.sessions.assertion({ claims: { auth_time: world.clock.now() } })
  const show = async () => (await askWith(world, { kind: 'saml2', token })).code
  expect(await show()).toBe('ok')
  world.clock.advance(10)
  await endSignIns(world)
  world.clock.advance(10)
  expect(await show()).toBe('TOK109')
  world.clock.advance(HOUR)
  expect(await show()).toBe('TOK109')
  // And now for good: its object has met the cut-off.
  await endSignIns(world)
  world.clock.advance(HOUR)
  expect(await show()).toBe('TOK109')
  world.clock.advance(10 * DAY)
  expect(await show()).toBe('TOK109')
})

test('a subject token of which something is known that cannot be read is not shown to anybody', async () => {
  const world = subjectWorld()
  const token = world.sessions.refreshToken({ rotates: true })
  expect((await askWith(world, { token })).code).toBe('ok')
  await world.settle()
  for (const { sealed } of world.introductions.dump().values()) sealed[sealed.length - 1] = (sealed.at(-1) ?? 0) ^ 1
  world.clock.advance(2 * HOUR)
  const told = await askWith(world, { token })
  expect([told.status, told.code]).toEqual([503, 'INT101'])
  expect(cost(world)).toEqual([1, 1])
  expect(world.sessions.reuses).toBe(0)
})
