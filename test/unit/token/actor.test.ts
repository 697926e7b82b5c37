// Who acts for the user (RFC 8693 section 2.1): passed on where the identity provider takes it, and part of what a token is.
import { describe, expect, test } from 'vitest'
import { createTestKey, mint, type Claims } from '../../support/keys.ts'
import { createWorld, IDPS, json, NAMES, SECRETS, type World } from '../support/world.ts'

const JWT = 'urn:ietf:params:oauth:token-type:jwt'
const agentKey = await createTestKey('agent-1')

function worldThatTakesActors(): World {
  return createWorld({ idps: { corp: { ...IDPS.corp, quirks: { actor_token: 'caller' } } } })
}

const actorToken = (claims: Claims = {}) => mint(agentKey, { iss: NAMES.idp, sub: 'planner', ...claims })

async function ask(world: World, actor: Readonly<Record<string, string>>, claims: Claims = {}) {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await world.idToken({ aud: 'agent-id', ...claims }),
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    resource: NAMES.api,
    ...actor,
  })
  const headers = { authorization: `Basic ${btoa(`agent:${SECRETS['AGENT_SECRET']}`)}` }
  const response = await world.app(new Request(`${NAMES.gateway}/token`, { method: 'POST', headers, body }))
  return { status: response.status, answer: await response.json<Record<string, unknown>>() }
}

const as = (token: string, type = JWT) => ({ actor_token: token, actor_token_type: type })
const cost = (world: World) => world.seen('idp').length + world.seen('ras').length

describe('an actor token', () => {
  test('is passed on as it came, with its type, and to nobody but the identity provider', async () => {
    const world = worldThatTakesActors()
    const token = await actorToken()
    expect((await ask(world, as(token))).status).toBe(200)
    const { form } = world.seen('idp')[0] ?? { form: new URLSearchParams() }
    expect([form.get('actor_token'), form.get('actor_token_type')]).toEqual([token, JWT])
    expect(JSON.stringify(world.seen('ras').map(({ body }) => body))).not.toContain(token)
  })

  test('is refused where the identity provider takes none, and nobody is asked', async () => {
    const world = createWorld()
    expect(await ask(world, as(await actorToken()))).toMatchObject({
      status: 400,
      answer: { error: 'invalid_request', error_description: expect.stringMatching(/^CLI111/) },
    })
    expect(cost(world)).toBe(0)
  })

  test('makes another token: by itself, by its type, and by any other of the same actor', async () => {
    const world = worldThatTakesActors()
    const token = await actorToken()
    const ways = [
      {},
      as(token),
      as(token, 'urn:ietf:params:oauth:token-type:access_token'),
      as(await actorToken({ jti: 'another' })),
      // The same words inside, signed by nobody: it chooses nothing that is cached for the real one.
      as(`${token.slice(0, token.lastIndexOf('.'))}.AAAA`),
    ]
    const tokens: unknown[] = []
    for (const way of ways) tokens.push((await ask(world, way)).answer['access_token'])
    expect(new Set(tokens).size).toBe(ways.length)
    expect(cost(world)).toBe(2 * ways.length)
    await world.settle()
    expect((await ask(world, as(token))).answer['access_token']).toBe(tokens[1])
    expect(cost(world)).toBe(2 * ways.length)
  })

  test('that the identity provider refuses opens nothing, and costs nobody else the answer', async () => {
    const world = worldThatTakesActors()
    const good = await actorToken()
    expect((await ask(world, as(good))).status).toBe(200)
    const { idp } = world.script
    world.script.idp = (seen) =>
      seen.form.get('actor_token') === good ? idp(seen) : json({ error: 'invalid_request' }, { status: 400 })
    expect(await ask(world, as('forged'))).toMatchObject({ status: 400, answer: { error: 'invalid_request' } })
    expect((await ask(world, as(good))).status).toBe(200)
  })

  test('is on record by its type, and by the chain in the ID-JAG, never by its text', async () => {
    const world = worldThatTakesActors()
    const token = await actorToken({ name: 'canary-of-an-agent' })
    await ask(world, as(token))
    await world.settle()
    await ask(world, as(token))
    const events = world.sink.events.map(({ actor, cache }) => ({ actor, cache }))
    const actor = { token_type: JWT, chain: [{ sub: 'planner', iss: NAMES.idp }] }
    expect(events).toEqual([
      { actor, cache: 'exchange' },
      { actor, cache: 'memory' },
    ])
    expect(JSON.stringify(world.sink.events)).not.toMatch(/canary|eyJ/)
    const dump = [...world.store.dump()].map(([name, { value }]) => name + new TextDecoder('latin1').decode(value))
    expect(dump.join('')).not.toMatch(/eyJ|planner/)
  })
})
