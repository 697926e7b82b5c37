// Refresh tokens as subject tokens where keys are proven (RFC 9449): ours to the identity provider and on to the authorization
// server, the caller's at our door.
import { describe, expect, test } from 'vitest'
import { proofBy, readProof } from '../../support/dpop.ts'
import { createTestKey } from '../../support/keys.ts'
import { CLIENTS, NAMES, RESOURCES, type Seen, type World } from '../support/world.ts'
import { askWith, cost, subjectWorld } from './subjects-world.ts'

/** What is redeemed again would be redeemed with the key that it came with. */
const reusing = {
  ...RESOURCES,
  tasks: {
    ...RESOURCES.tasks,
    authorization_server: { ...RESOURCES.tasks.authorization_server, quirks: { id_jag_reuse: true } },
  },
}

async function keyProven({ headers }: Seen): Promise<string | undefined> {
  const proof = headers.get('dpop')
  return proof === null ? undefined : (await readProof(proof)).jkt
}

/** The keys proven to the identity provider, and to the authorization server. */
async function keysProven(world: World) {
  return {
    idp: await Promise.all(world.seen('idp').map(keyProven)),
    ras: await Promise.all(world.seen('ras').map(keyProven)),
  }
}

describe('an ID-JAG that is bound to a key of ours', () => {
  test('is redeemed with the key it came with, in whichever isolate, and its token is handed out if it is not bound', async () => {
    const world = subjectWorld({ quirks: { dpop: 'require' }, resources: reusing })
    world.alter('ras', { token_type: 'Bearer', expires_in: 20 })
    const token = world.sessions.refreshToken({ rotates: true })
    expect((await askWith(world, { token })).body).toMatchObject({ token_type: 'Bearer' })
    world.clock.advance(21)
    await askWith(world, { token, from: world.isolate('elsewhere') })
    const { idp, ras } = await keysProven(world)
    expect(idp).toHaveLength(1)
    expect(idp[0]).toBeTypeOf('string')
    expect(ras).toEqual([idp[0], idp[0]])
  })

  test('has a key of its own each time', async () => {
    const world = subjectWorld({ quirks: { dpop: 'require' } })
    world.alter('ras', { token_type: 'Bearer', expires_in: 20 })
    const token = world.sessions.refreshToken({ rotates: true })
    await askWith(world, { token })
    world.clock.advance(21)
    await askWith(world, { token })
    const { idp, ras } = await keysProven(world)
    expect(new Set(idp).size).toBe(2)
    expect(ras).toEqual(idp)
    expect(world.sessions.reuses).toBe(0)
  })

  test('leads to nothing that is handed out where its token is bound as well', async () => {
    const world = subjectWorld({ quirks: { dpop: 'require' } })
    const told = await askWith(world, { token: world.sessions.refreshToken() })
    expect([told.status, told.code]).toEqual([400, 'LIM203'])
    expect(JSON.stringify(told.body)).not.toContain('canary-access')
  })

  test('that should be and is not vouches for nobody; the successor that came with it is kept all the same', async () => {
    const world = subjectWorld({ quirks: { dpop: 'require' } })
    world.alter('ras', { token_type: 'Bearer' })
    const { idp } = world.script
    world.script.idp = (seen) => idp({ ...seen, headers: new Headers() })
    const token = world.sessions.refreshToken({ rotates: true })
    expect((await askWith(world, { token })).code).toBe('IDP113')
    expect(world.seen('ras')).toEqual([])
    world.script.idp = idp
    world.clock.advance(61)
    expect((await askWith(world, { token })).status).toBe(200)
    expect(world.sessions.reuses).toBe(0)
  })

  test('is not asked for where its token could not be handed out anyway', async () => {
    const world = subjectWorld({ resources: { ...RESOURCES, tasks: { ...RESOURCES.tasks, dpop: 'require' } } })
    expect((await askWith(world, { token: world.sessions.refreshToken() })).code).toBe('LIM203')
    expect(cost(world)).toEqual([0, 0])
  })
})

test('a client that must show a proof shows it before anybody is asked about its refresh token', async () => {
  const key = await createTestKey('mine')
  const world = subjectWorld({ clients: { ...CLIENTS, agent: { ...CLIENTS.agent, dpop: 'required' } } })
  const token = world.sessions.refreshToken()
  expect((await askWith(world, { token })).code).toBe('CLI120')
  const foreign = await proofBy(key, 'POST', `${NAMES.gateway}/elsewhere`, world.clock.now())
  expect((await askWith(world, { token, headers: { dpop: foreign } })).code).toBe('CLI114')
  expect(cost(world)).toEqual([0, 0])
  const proof = await proofBy(key, 'POST', `${NAMES.gateway}/token`, world.clock.now())
  expect((await askWith(world, { token, headers: { dpop: proof } })).status).toBe(200)
  // The caller's key stays here: nothing that leaves is proven by it, nor bound to it.
  expect(await keysProven(world)).toEqual({ idp: [undefined], ras: [undefined] })
  expect(cost(world)).toEqual([1, 1])
})
