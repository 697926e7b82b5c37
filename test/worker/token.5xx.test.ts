// Token requests that fail because somebody behind us fails: the same list as in gateway.5xx, in the dialect of clients.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { launchDisturbed, type DisturbedGateway } from '../support/disturbed.ts'
import { idTokenClaims, mint } from '../support/keys.ts'
import { FOREIGN, MISBEHAVIOUR, SLOW, statusOf, wordOf, type Misbehaviour } from '../support/misbehaviour.ts'
import { expectTokenError } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage
let gateway: DisturbedGateway

beforeAll(async () => {
  stage = await openStage({
    launch: async (options) => {
      gateway = await launchDisturbed(options)
      return gateway
    },
  })
})

afterAll(() => stage.close())

beforeEach(async () => {
  stage.world.calm()
  await recover()
})

/** A row of failures opens the circuit of a server; one that is well again in between does not. */
async function recover(): Promise<void> {
  const { world } = stage
  for (const [idp, { resource }] of [
    [world.corp, world.tasks],
    [world.partner, world.notes],
  ] as const) {
    const subject = await idp.idToken({ sub: randomUUID(), tenant: 'acme' })
    expect((await stage.grant({ form: { subject_token: subject, resource } })).status).toBe(200)
  }
  world.calm()
}

async function expectMisbehaviour(leg: 'IDP' | 'RAS', row: Misbehaviour): Promise<void> {
  const { world } = stage
  const [idp, saas] = leg === 'IDP' ? [world.corp, world.tasks] : [world.partner, world.notes]
  const endpoint = leg === 'IDP' ? idp.token : saas.token
  endpoint.script(row.script(world))
  const subject = await idp.idToken({ sub: `${leg} ${row.what}`, tenant: 'acme' })
  const answer = await stage.grant({ form: { subject_token: subject, resource: saas.resource } })
  const event = await expectTokenError(answer, `${leg}${row.number}`, statusOf(row), wordOf(row))
  if (row.retryAfter !== undefined) expect(answer.headers['retry-after']).toMatch(row.retryAfter)
  expect(answer.text + JSON.stringify(event)).not.toContain(FOREIGN)
}

// First: a refusal is explained by the metadata of who refused, so the tests below would have it in memory.
test('an authorization server whose metadata cannot be had', async () => {
  stage.world.notes.metadata.script({ status: 500 }, 2)
  const form = { subject_token: await stage.world.corp.idToken(), resource: `${stage.world.notes.resource}found` }
  await expectTokenError(await stage.grant({ form }), 'RAS114', 503, 'temporarily_unavailable')
})

describe.each(['IDP', 'RAS'] as const)('%s', (leg) => {
  test.each(MISBEHAVIOUR.filter(({ only }) => only === undefined || only === leg))('$what', async (row) => {
    await expectMisbehaviour(leg, row)
    const { world } = stage
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: leg === 'IDP' ? 0 : 1 })
    expect(world.evil.count).toBe(0)
    expect(world.strays()).toEqual([])
  })
})

test('servers that hang or dribble are given up on within their deadline', async () => {
  const start = Date.now()
  const [hangs, dribbles] = SLOW
  await Promise.all([expectMisbehaviour('IDP', dribbles), expectMisbehaviour('RAS', hangs)])
  expect(Date.now() - start).toBeLessThan(6_000)
})

test('an authorization server nobody listens for', async () => {
  const form = { subject_token: await stage.world.corp.idToken(), resource: `${stage.world.tasks.resource}gone-server` }
  await expectTokenError(await stage.grant({ form }), 'RAS110', 503, 'temporarily_unavailable')
})

test('an identity provider whose keys cannot be had', async () => {
  const claims = idTokenClaims(Math.floor(Date.now() / 1000), `${stage.world.closedOrigin}/lost`, 'gw')
  const form = { subject_token: await mint(stage.world.corp.key, claims) }
  const answer = await stage.grant({ form })
  await expectTokenError(answer, 'IDP114', 503, 'temporarily_unavailable')
  expect(answer.headers['retry-after']).toMatch(/^\d+$/)
})

test('the flight', async () => {
  gateway.disturb({ on: 'flight', throw: FOREIGN, remote: true })
  const answer = await stage.grant({ form: { subject_token: await stage.world.corp.idToken({ sub: 'no flight' }) } })
  gateway.disturb(null)
  await expectTokenError(answer, 'INT101', 503, 'temporarily_unavailable')
})

test('something nobody thought of: an id, and not a word more', async () => {
  gateway.disturb({ on: 'sign', throw: FOREIGN })
  const answer = await stage.grant({ form: { subject_token: await stage.world.corp.idToken({ sub: 'no crypto' }) } })
  gateway.disturb(null)
  const event = await expectTokenError(answer, 'INT100', 500, 'server_error')
  expect(answer.text + JSON.stringify(event)).not.toContain(FOREIGN)
})
