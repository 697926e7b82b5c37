// Authorization details at the token endpoint (RFC 9396), in the in-memory house.
import { describe, expect, test } from 'vitest'
import { claimsOf, createWorld, json, NAMES, RESOURCES, RULES, SECRETS, type World } from '../support/world.ts'

const CREATE = { type: 'task_list', list: 'home' }
const OTHER = { type: 'task_list', list: 'work' }

function worldWith(
  rules = [...RULES, { id: 'lists', effect: 'allow', authorization_details_types: ['task_list'] }],
): World {
  const tasks = { ...RESOURCES.tasks, authorization_details_types: ['task_list', 'export'] }
  return createWorld({ resources: { ...RESOURCES, tasks }, rules })
}

async function ask(world: World, details: unknown, more: Readonly<Record<string, string>> = {}) {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await world.idToken({ aud: 'agent-id' }),
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    resource: NAMES.api,
    ...(details === undefined
      ? {}
      : { authorization_details: typeof details === 'string' ? details : JSON.stringify(details) }),
    ...more,
  })
  const headers = { authorization: `Basic ${btoa(`agent:${SECRETS['AGENT_SECRET']}`)}` }
  const response = await world.app(new Request(`${NAMES.gateway}/token`, { method: 'POST', headers, body }))
  const answer = await response.json<Record<string, unknown>>()
  const description = answer['error_description']
  return {
    status: response.status,
    answer,
    code: typeof description === 'string' ? description.split(':')[0] : undefined,
  }
}

const cost = (world: World) => world.seen('idp').length + world.seen('ras').length

describe('authorization_details', () => {
  test('are asked of the identity provider, and returned as granted', async () => {
    const world = worldWith()
    const { status, answer } = await ask(world, [CREATE])
    expect(status).toBe(200)
    expect(answer['authorization_details']).toEqual([CREATE])
    expect(world.seen('idp')[0]?.form.get('authorization_details')).toBe('[{"list":"home","type":"task_list"}]')
    expect(world.seen('ras')[0]?.form.has('authorization_details')).toBe(false)
  })

  test('of the answer of the authorization server are the ones that count, cached too', async () => {
    const world = worldWith()
    world.alter('ras', { authorization_details: [OTHER] })
    expect((await ask(world, [CREATE])).answer['authorization_details']).toEqual([OTHER])
    await world.settle()
    expect((await ask(world, [CREATE])).answer['authorization_details']).toEqual([OTHER])
    expect(cost(world)).toBe(2)
  })

  test('make another token, and their spelling does not', async () => {
    const world = worldWith()
    const plain = await ask(world, undefined)
    const one = await ask(world, [CREATE])
    const same = await ask(world, ` [ {"list":"home",\n "type":"task_list"} ] `)
    const other = await ask(world, [OTHER])
    expect(plain.answer).not.toHaveProperty('authorization_details')
    expect(same.answer['access_token']).toBe(one.answer['access_token'])
    const tokens = [plain, one, other].map(({ answer }) => answer['access_token'])
    expect(new Set(tokens).size).toBe(3)
    expect(cost(world)).toBe(6)
  })

  test('that are an empty array ask for nothing', async () => {
    const world = worldWith()
    const plain = await ask(world, undefined)
    expect((await ask(world, [])).answer['access_token']).toBe(plain.answer['access_token'])
  })

  test.each<[string, unknown, string]>([
    ['that are not JSON', 'task_list', 'CLI117'],
    ['without a type', [{ list: 'home' }], 'CLI117'],
    ['of a type that the resource does not take', [CREATE, { type: 'admin' }], 'CLI117'],
    ['of a type that no rule allows', [{ type: 'export' }], 'POL104'],
  ])('%s are refused, and nobody is asked', async (_what, details, code) => {
    const world = worldWith()
    const refused = await ask(world, details)
    expect(refused).toMatchObject({ status: 400, code, answer: { error: 'invalid_authorization_details' } })
    expect(cost(world)).toBe(0)
  })

  test('are refused at a resource that takes none, and by rules that name none', async () => {
    expect(await ask(createWorld(), [CREATE])).toMatchObject({ status: 400, code: 'CLI117' })
    expect(await ask(worldWith([...RULES]), [CREATE])).toMatchObject({ status: 400, code: 'POL104' })
  })

  test('that the identity provider or the authorization server refuses are refused in our words', async () => {
    for (const [role, code] of [
      ['idp', 'IDP107'],
      ['ras', 'RAS107'],
    ] as const) {
      const world = worldWith()
      world.script[role] = () =>
        json({ error: 'invalid_authorization_details', error_description: 'canary' }, { status: 400 })
      const refused = await ask(world, [CREATE])
      expect(refused).toMatchObject({ status: 400, code, answer: { error: 'invalid_authorization_details' } })
      expect(JSON.stringify(refused)).not.toContain('canary')
      // Remembered: it will be the same in a moment.
      const before = cost(world)
      await ask(world, [CREATE])
      expect(cost(world)).toBe(before)
    }
  })

  test('of another type than asked are not accepted from anybody', async () => {
    const world = worldWith()
    world.alter('ras', { authorization_details: [{ type: 'admin' }] })
    expect(await ask(world, [CREATE])).toMatchObject({ status: 502, code: 'RAS109' })
  })

  test('do not stand in the audit event, in a name or in a value that can be read', async () => {
    const world = worldWith()
    await ask(world, [{ type: 'task_list', note: 'canary-of-a-person' }])
    await world.settle()
    expect(JSON.stringify(world.sink.events)).not.toContain('canary')
    const dump = [...world.store.dump()].map(([name, { value }]) => name + new TextDecoder('latin1').decode(value))
    expect(dump).toHaveLength(1)
    expect(dump.join('')).not.toMatch(/canary|task_list/)
    expect(claimsOf(world.seen('ras')[0]?.form.get('assertion') ?? '')['sub']).toBe('alice')
  })
})
