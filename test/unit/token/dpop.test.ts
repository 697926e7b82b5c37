// DPoP proofs at the token endpoint (RFC 9449 section 5), through the whole in-memory house.
import { describe, expect, test } from 'vitest'
import { proofBy, thumbprintOf, type ProofChanges } from '../../support/dpop.ts'
import { createTestKey, type TestKey } from '../../support/keys.ts'
import { CLIENTS, createWorld, NAMES, RESOURCES, SECRETS, type Json, type World } from '../support/world.ts'

const mine = await createTestKey('mine')
const other = await createTestKey('other')
const jkt = await thumbprintOf(mine)
const URL = `${NAMES.gateway}/token`

interface Sent extends ProofChanges {
  readonly by?: TestKey | null
  readonly cnf?: unknown
  readonly method?: string
}

async function ask(world: World, sent: Sent = {}): Promise<Response> {
  const { by = mine, cnf, method = 'POST', ...changes } = sent
  const proof = by === null ? undefined : await proofBy(by, method, URL, world.clock.now(), changes)
  return world.app(
    new Request(URL, {
      method: 'POST',
      headers: {
        authorization: `Basic ${btoa(`agent:${SECRETS['AGENT_SECRET']}`)}`,
        ...(proof === undefined ? {} : { dpop: proof }),
      },
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: await world.idToken({ aud: 'agent-id', cnf }),
        subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
        resource: NAMES.api,
      }),
    }),
  )
}

function demanding(changes: Json): World {
  return createWorld({ clients: { ...CLIENTS, agent: { ...(CLIENTS['agent'] as Json), ...changes } } })
}

async function refusalOf(response: Response): Promise<readonly unknown[]> {
  const { error, error_uri: page } = await response.json<Json>()
  return [response.status, error, String(page).split('/').at(-1)]
}

describe('the token endpoint', () => {
  test('takes a good proof though none is required, and answers as without one', async () => {
    const world = createWorld()
    const response = await ask(world)
    expect(await response.json()).toMatchObject({ token_type: 'Bearer', access_token: 'canary-access-alice-1' })
    expect(response.headers.has('dpop-nonce')).toBe(false)
    expect(world.sink.events[0]?.client).toEqual({ id: 'agent', auth: 'client_secret_basic', dpop_jkt: jkt })
  })

  test.each<readonly [string, Json, Sent, readonly unknown[]]>([
    ['a bad proof', {}, { method: 'GET' }, [400, 'invalid_dpop_proof', 'CLI114']],
    ['no proof where one is required', { dpop: 'required' }, { by: null }, [400, 'invalid_request', 'CLI120']],
    ['a bound token without a proof', {}, { by: null, cnf: { jkt } }, [400, 'invalid_request', 'TOK110']],
    ['a bound token with the proof of another', {}, { by: other, cnf: { jkt } }, [400, 'invalid_request', 'TOK110']],
    ['a token bound in another way', {}, { cnf: { 'x5t#S256': jkt } }, [400, 'invalid_request', 'TOK105']],
  ])('refuses %s, and asks nobody', async (_what, changes, sent, refusal) => {
    const world = demanding(changes)
    expect(await refusalOf(await ask(world, sent))).toEqual(refusal)
    expect(world.seen()).toEqual([])
  })

  test('takes a bound token with the proof of its key', async () => {
    expect((await ask(demanding({ dpop: 'required' }), { cnf: { jkt } })).status).toBe(200)
  })

  test('refuses a proof a second time', async () => {
    const world = createWorld()
    expect((await ask(world, { claims: { jti: 'once' } })).status).toBe(200)
    expect(await refusalOf(await ask(world, { claims: { jti: 'once' } }))).toEqual([
      400,
      'invalid_dpop_proof',
      'CLI114',
    ])
  })

  test('asks for a nonce, takes it, and tells the next', async () => {
    const world = demanding({ dpop_nonce: 'required' })
    const refused = await ask(world)
    const nonce = refused.headers.get('dpop-nonce')
    expect(await refusalOf(refused)).toEqual([400, 'use_dpop_nonce', 'CLI121'])
    expect(refused.headers.has('www-authenticate')).toBe(false)
    expect(world.seen()).toEqual([])
    world.clock.advance(61)
    const taken = await ask(world, { claims: { nonce } })
    expect(taken.status).toBe(200)
    expect(taken.headers.get('dpop-nonce')).toMatch(/^[\w-]{43}$/)
    expect(taken.headers.get('dpop-nonce')).not.toBe(nonce)
  })
})

describe('a token that is bound to a key of ours', () => {
  const worldOf = (dpop: string): World =>
    createWorld({ resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, dpop } } })

  test('is not handed out, and where that is known beforehand it costs nobody anything', async () => {
    const world = worldOf('require')
    for (const by of [null, mine])
      expect(await refusalOf(await ask(world, { by }))).toEqual([400, 'invalid_target', 'LIM203'])
    expect(world.seen()).toEqual([])
  })

  test('is not handed out where its server chose to bind it', async () => {
    const world = worldOf('try')
    const response = await ask(world)
    expect(await response.clone().text()).not.toContain('canary-access')
    expect(await refusalOf(response)).toEqual([400, 'invalid_target', 'LIM203'])
    expect(await refusalOf(await ask(world))).toEqual([400, 'invalid_target', 'LIM203'])
    expect([world.seen('idp').length, world.seen('ras').length]).toEqual([1, 1])
  })

  test('is no obstacle where its server did not', async () => {
    const world = worldOf('try')
    world.alter('ras', { token_type: 'Bearer' })
    expect(await (await ask(world)).json()).toMatchObject({ token_type: 'Bearer' })
  })

  test('is not even spoken of to somebody no rule allows', async () => {
    const world = createWorld({
      resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, dpop: 'require' } },
      rules: [{ id: 'bob', effect: 'allow', who: { users: ['corp/bob'] }, resources: ['tasks'] }],
    })
    expect(await refusalOf(await ask(world))).toEqual([400, 'access_denied', 'POL100'])
  })
})
