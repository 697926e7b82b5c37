// What one caller, or one outage, may not do to everybody else; and what a revocation does to a request that waits.
import { expect, test } from 'vitest'
import { createWorld, GATEWAY, TASKS_AS, bodyOf } from './world.ts'

const TASKS_TOKEN = `${TASKS_AS}/token`

test('a user at the quota limit does not keep a circuit open after the server is back', async () => {
  const world = await createWorld({ quota: { id_jags_per_user_resource_month: 1 } })
  expect((await world.use('mal')).status).toBe(200)
  world.clock.advance(1_000)
  world.answers.set(TASKS_TOKEN, () => new Response(null, { status: 503 }))
  for (let user = 0; user < 12; user++) await world.use(`user${user}`)
  world.answers.delete(TASKS_TOKEN)
  let served = 0
  for (let second = 0; second < 12; second++) {
    expect((await world.use('mal')).status).not.toBe(200)
    if ((await world.use(`good${second}`)).status === 200) served += 1
    world.clock.advance(1)
  }
  // Recovery is noticed within five seconds; from then on all are served.
  expect(served).toBeGreaterThanOrEqual(7)
})

test('an outage of the authorization server costs a user one ID-JAG while that is valid, not one per try', async () => {
  const world = await createWorld({ quota: { id_jags_per_user_resource_month: 30 } })
  world.answers.set(TASKS_TOKEN, () => new Response(null, { status: 503 }))
  for (let round = 0; round < 60; round++) {
    expect(await bodyOf(await world.use('ann'))).toMatchObject({ code: 'RAS112' })
    world.clock.advance(5)
  }
  world.answers.delete(TASKS_TOKEN)
  world.clock.advance(5)
  expect((await world.use('ann')).status).toBe(200)
})

test('one user’s 429s hold that user back and nobody else', async () => {
  const world = await createWorld()
  world.answers.set(TASKS_TOKEN, () => new Response(null, { status: 429 }))
  for (let round = 0; round < 12; round++) await world.use('mal')
  world.answers.delete(TASKS_TOKEN)
  expect((await world.use('good')).status).toBe(200)
})

test('a body that comes slowly does not carry an old decision past a revocation', async () => {
  const world = await createWorld({ maxStaleness: '0s' })
  const token = await world.idToken('ann')
  const admin = await world.idToken('sue')
  expect((await world.use('ann', 'tasks', token)).status).toBe(200)
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const init = {
    method: 'POST',
    body: readable,
    duplex: 'half',
    headers: { authorization: `Bearer ${token}`, 'content-length': '4' },
  }
  const answer = world.app(new Request(`${GATEWAY}/r/tasks/v1`, init))
  await writer.write(new TextEncoder().encode('ab'))
  const sent = world.sentTokens().length
  expect((await world.ask('POST', '/admin/api/revocations', admin, { user: 'ann' })).status).toBe(200)
  world.clock.advance(300)
  await writer.write(new TextEncoder().encode('cd'))
  await writer.close()
  expect((await answer).status).toBe(401)
  expect(world.sentTokens()).toHaveLength(sent)
})
