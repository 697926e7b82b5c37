// Proxied requests of somebody known who may not: by our policy, by the identity provider, by the authorization server, or
// by the resource itself.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { expectNothingSent, expectProblem } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

describe('by policy, before anything is sent', () => {
  test('no rule allows the path', async () => {
    const answer = await stage.ask({ token: await stage.world.corp.idToken(), path: '/r/tasks/v2/admin' })
    const event = await expectProblem(answer, 'POL100', 403)
    expect(event).toMatchObject({ user: { sub: 'alice' }, policy: { effect: 'deny' }, resource: { id: 'tasks' } })
    expect(answer.headers['www-authenticate']).toBeUndefined()
    expectNothingSent(stage)
  })

  test('a rule denies the path, and is named', async () => {
    const answer = await stage.ask({ token: await stage.world.corp.idToken(), path: '/r/tasks/v1/secrets/one' })
    const event = await expectProblem(answer, 'POL101', 403)
    expect(event).toMatchObject({ policy: { effect: 'deny', rule: 'no-secrets' } })
    expect(answer.json['detail']).toContain('no-secrets')
    expectNothingSent(stage)
  })

  test('a rule denies the user at every identity provider, whatever is cached', async () => {
    const { corp, partner } = stage.world
    for (const token of [
      await corp.idToken({ sub: 'mallory' }),
      await partner.idToken({ sub: 'mallory', tenant: 'acme' }),
    ])
      await expectProblem(await stage.ask({ token }), 'POL101', 403)
    expectNothingSent(stage)
  })

  test('no scope is left', async () => {
    const token = await stage.world.corp.idToken({ sub: 'scopeless', groups: ['nothing'] })
    const answer = await stage.ask({ token })
    await expectProblem(answer, 'POL102', 403)
    expect(answer.headers['www-authenticate']).toContain('error="insufficient_scope"')
    expect(answer.headers['www-authenticate']).toContain('resource_metadata=')
    expectNothingSent(stage)
  })

  test('a cached token opens nothing that policy does not: the decision comes first on every request', async () => {
    const token = await stage.world.corp.idToken({ sub: 'warm' })
    expect((await stage.ask({ token })).status).toBe(200)
    stage.world.calm()
    await expectProblem(await stage.ask({ token, path: '/r/tasks/v1/secrets/one' }), 'POL101', 403)
    expectNothingSent(stage)
  })
})

describe('by the identity provider', () => {
  test.each([
    ['access_denied', 400, 'IDP102'],
    ['access_denied', 403, 'IDP102'],
    ['unauthorized_client', 400, 'IDP102'],
    ['invalid_target', 400, 'IDP103'],
    ['invalid_scope', 400, 'IDP104'],
    [undefined, 403, 'IDP102'],
  ])('%s with status %i', async (error, status, code) => {
    const { world } = stage
    const json = {
      ...(error === undefined ? {} : { error }),
      error_description: 'FOREIGN',
      error_uri: 'http://evil.example',
    }
    world.corp.token.script({ status, json })
    const answer = await stage.ask({ token: await world.corp.idToken({ sub: `${error} ${status} ${code}` }) })
    const event = await expectProblem(answer, code, 403)
    expect(answer.text).not.toMatch(/FOREIGN|evil/)
    expect(JSON.stringify(event)).not.toMatch(/FOREIGN|evil/)
    expect(answer.headers['www-authenticate']).toBeUndefined()
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 0 })
    expect(world.forwarded()).toBe(0)
  })
})

describe('by the authorization server', () => {
  test.each([
    ['invalid_grant', 400, 'RAS101'],
    ['access_denied', 400, 'RAS102'],
    ['invalid_target', 400, 'RAS103'],
    ['invalid_scope', 400, 'RAS104'],
    [undefined, 403, 'RAS102'],
  ])('%s with status %i', async (error, status, code) => {
    const { world } = stage
    world.tasks.token.script({
      status,
      json: { ...(error === undefined ? {} : { error }), error_description: 'FOREIGN' },
    })
    const answer = await stage.ask({ token: await world.corp.idToken({ sub: `${error} ${status} ${code}` }) })
    const event = await expectProblem(answer, code, 403)
    expect(answer.text).not.toContain('FOREIGN')
    expect(JSON.stringify(event)).not.toContain('FOREIGN')
    expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
    expect(world.forwarded()).toBe(0)
  })

  test('an empty scope where some was asked', async () => {
    const { world } = stage
    world.tasks.token.script({ patch: { scope: '' } })
    await expectProblem(await stage.ask({ token: await world.corp.idToken({ sub: 'empty scope' }) }), 'RAS104', 403)
    expect(world.forwarded()).toBe(0)
  })
})

describe('by the resource', () => {
  test('its insufficient_scope is rewritten to name our metadata, and nothing is retried', async () => {
    const { world } = stage
    world.tasks.api.script({
      status: 403,
      json: { error: 'insufficient_scope' },
      headers: {
        'www-authenticate': 'Bearer error="insufficient_scope", scope="admin", resource_metadata="http://evil.example"',
      },
    })
    const answer = await stage.ask({ token: await world.corp.idToken() })
    expect(answer.status).toBe(403)
    expect(answer.headers['www-authenticate']).toBe(
      `Bearer error="insufficient_scope", scope="admin", resource_metadata="${stage.gateway.url}/.well-known/oauth-protected-resource/r/tasks"`,
    )
    expect(world.tasks.api.count).toBe(1)
    expect(answer.headers['proxy-status']).toBeUndefined()
  })

  test('any other challenge of it is dropped', async () => {
    const { world } = stage
    world.tasks.api.script({ status: 403, headers: { 'www-authenticate': 'Basic realm="intranet"' }, body: 'no' })
    const answer = await stage.ask({ token: await world.corp.idToken() })
    expect(answer.status).toBe(403)
    expect(answer.headers['www-authenticate']).toBeUndefined()
  })
})
