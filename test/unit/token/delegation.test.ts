// Who acts for the user by the word of the subject token (`act`, RFC 8693 section 4.1): policy sees the user, and nobody is
// given what was issued to somebody else.
import { describe, expect, test } from 'vitest'
import type { Claims } from '../../support/keys.ts'
import { mint } from '../../support/keys.ts'
import { claimsOf, createWorld, idpKey, json, NAMES, type World } from '../support/world.ts'
import { askWith, subjectWorld } from './subjects-world.ts'

const BOT = { act: { sub: 'bot' } }

/** An authorization server that carries on who acts for the user. */
function telling(world: World): World {
  world.script.ras = (seen) => {
    const { sub, act } = claimsOf(seen.form.get('assertion') ?? '') as { sub: string; act?: { sub: string } }
    const token = `token-of-${sub}-by-${act?.sub ?? 'nobody'}`
    return json({ access_token: token, token_type: 'Bearer', expires_in: 3600 })
  }
  return world
}

/** With an identity provider that carries on the actor of the subject token. */
function delegating(): World {
  const world = telling(createWorld())
  const usual = world.script.idp
  world.script.idp = async (seen) => {
    const answer = (await (await usual(seen)).json()) as Claims
    const { act } = claimsOf(seen.form.get('subject_token') ?? '')
    const claims = { ...claimsOf(String(answer['access_token'])), ...(act === undefined ? {} : { act }) }
    return json({ ...answer, access_token: await mint(idpKey, claims, { typ: 'oauth-id-jag+jwt' }) })
  }
  return world
}

async function visit(world: World, claims: Claims): Promise<string | number | null | undefined> {
  const headers = { authorization: `Bearer ${await world.idToken(claims)}` }
  const { status } = await world.app(new Request(`${NAMES.gateway}/r/tasks/x`, { headers }))
  await world.settle()
  return status === 200 ? world.seen('upstream').at(-1)?.headers.get('authorization') : status
}

describe('an ID token of an agent that acts for a user', () => {
  test.each<[string, readonly Claims[]]>([
    ['after the user', [{}, BOT]],
    ['before the user', [BOT, {}]],
    ['beside another agent', [BOT, { act: { sub: 'other' } }]],
    ['beside an agent of that name elsewhere', [BOT, { act: { sub: 'bot', iss: 'https://b.test' } }]],
    ['beside another that acts for the same agent', [{ act: { sub: 'x', ...BOT } }, BOT]],
  ])('is never served what was issued to another: %s', async (_, [first = {}, second = {}]) => {
    const world = delegating()
    const nameOf = ({ act }: Claims) => (act as { sub: string } | undefined)?.sub ?? 'nobody'
    expect(await visit(world, first)).toBe(`Bearer token-of-alice-by-${nameOf(first)}`)
    expect(await visit(world, second)).toBe(`Bearer token-of-alice-by-${nameOf(second)}`)
    expect(world.seen('idp')).toHaveLength(2)
  })

  test('is served what that agent has obtained for that user before', async () => {
    const world = delegating()
    await visit(world, { ...BOT, jti: '1' })
    expect(await visit(world, { ...BOT, jti: '2' })).toBe('Bearer token-of-alice-by-bot')
    expect(world.seen('idp')).toHaveLength(1)
  })

  test('is judged by policy as the user, and is on record as the agent, also where it is denied', async () => {
    const world = delegating()
    expect(await visit(world, { sub: 'mallory', ...BOT })).toBe(403)
    expect(world.seen('idp')).toEqual([])
    await visit(world, BOT)
    const events = world.sink.events.filter(({ event }) => event !== 'config.load')
    expect(events.map(({ user, actor }) => [user?.sub, actor])).toEqual([
      ['mallory', { chain: [{ sub: 'bot' }] }],
      ['alice', { chain: [{ sub: 'bot' }] }],
    ])
  })

  test('is refused where it does not say who, and nobody is asked', async () => {
    const world = delegating()
    expect(await visit(world, { act: { name: 'bot' } })).toBe(401)
    expect([...world.seen()]).toEqual([])
  })

  test('counts against the quota of the user', async () => {
    const world = delegating()
    await visit(world, {})
    await visit(world, BOT)
    const month = new Date(world.clock.epochMillis()).toISOString().slice(0, 7)
    expect(await world.registry.quota('alice', month)).toMatchObject([{ resource: 'tasks', used: 2 }])
  })
})

describe('a refresh token of a session of an agent for a user', () => {
  test('is never served what the user has obtained alone', async () => {
    const world = telling(subjectWorld())
    const own = world.sessions.refreshToken({ sub: 'alice' })
    const delegated = world.sessions.refreshToken({ sub: 'alice', claims: BOT })
    expect((await askWith(world, { token: own })).accessToken).toBe('token-of-alice-by-nobody')
    expect((await askWith(world, { token: delegated })).accessToken).toBe('token-of-alice-by-bot')
  })
})
