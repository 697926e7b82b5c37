// The main job on real counterparties: an ID token of a real login comes in, the resource's own access token goes out with
// the request. What each server received is read from its own log.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { eventually, openHouse, type House } from './house.ts'

let house: House

beforeAll(async () => {
  house = await openHouse({ instances: 2 })
})

afterAll(async () => {
  await house.close()
})

beforeEach(() => {
  house.world.traffic.clear()
  house.world.traffic.heal()
})

function call(token: string | undefined, path = '/r/tasks/v1/todos', init: RequestInit = {}, instance = 0) {
  const headers = new Headers(init.headers)
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
  return fetch(`${house.gateway.urls[instance] ?? ''}${path}`, { redirect: 'manual', ...init, headers })
}

function tokenCalls() {
  const { traffic } = house.world
  const exchanges = traffic.of('idp', '/token').filter(({ form }) => form?.['grant_type']?.includes('token-exchange'))
  const redemptions = [...traffic.of('tasks-as', '/token'), ...traffic.of('notes-as', '/token')]
  return { exchanges: exchanges.length, redemptions: redemptions.length }
}

describe('one user, one resource', () => {
  test('the first request makes one exchange and one redemption, the next 1,000 make none', async () => {
    const token = await house.world.login('ann')
    house.world.traffic.clear()
    const first = await call(token)
    expect(first.status).toBe(200)
    expect(await first.json()).toMatchObject({ user: 'ann' })
    expect(tokenCalls()).toEqual({ exchanges: 1, redemptions: 1 })

    for (let round = 0; round < 50; round++) {
      const answers = await Promise.all(Array.from({ length: 20 }, async () => (await call(token)).status))
      expect(new Set(answers)).toEqual(new Set([200]))
    }
    expect(tokenCalls()).toEqual({ exchanges: 1, redemptions: 1 })
  })

  test('a new login of the same user, and a second instance, use the token that is there', async () => {
    const token = await house.world.login('ann')
    house.world.traffic.clear()
    expect((await call(token)).status).toBe(200)
    expect((await call(token, undefined, {}, 1)).status).toBe(200)
    expect(tokenCalls()).toEqual({ exchanges: 0, redemptions: 0 })
  })

  test('a restart with the same KV makes no exchange', async () => {
    const token = await house.world.login('ann')
    await house.gateway.reload()
    house.world.traffic.clear()
    expect((await call(token)).status).toBe(200)
    expect(tokenCalls()).toEqual({ exchanges: 0, redemptions: 0 })
  })

  test('200 simultaneous cold requests at two instances make one exchange and one redemption, and all answer', async () => {
    const token = await house.world.login('bo')
    house.world.traffic.clear()
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => (await call(token, '/r/tasks/v1/todos', {}, index % 2)).status),
    )
    expect(new Set(answers)).toEqual(new Set([200]))
    expect(tokenCalls()).toEqual({ exchanges: 1, redemptions: 1 })
  })

  test('the resource behind workers-oauth-provider answers too, and writes pass through', async () => {
    const token = await house.world.login('kim')
    const notes = await call(token, '/r/notes/v1/notes')
    expect(notes.status).toBe(200)
    expect(await notes.json()).toMatchObject({ user: 'kim' })

    const ann = await house.world.login('ann')
    const body = JSON.stringify({ title: 'Through the gateway' })
    const created = await call(ann, undefined, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    })
    expect(created.status).toBe(201)
    expect(await created.json()).toMatchObject({ title: 'Through the gateway' })
  })

  test('an event stream arrives while it is still open', async () => {
    const ann = await house.world.login('ann')
    const response = await call(ann, '/r/tasks/v1/events')
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const reader = response.body?.getReader()
    const chunk = await reader?.read()
    expect(new TextDecoder().decode(chunk?.value)).toContain('data:')
    await reader?.cancel()
  })
})

describe('each credential has one destination', () => {
  test('the ID token reaches its issuer alone, the ID-JAG its audience alone, the access token its resource alone', async () => {
    await house.gateway.reload()
    const { traffic } = house.world
    const ann = await house.world.login('ann', 'gateway')
    // A write scope of its own makes this acquisition cold.
    const broker = await fetch(`${house.gateway.url}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa('support-bot:dev-support-bot')}` },
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: ann,
        subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
        resource: house.world.tasks.resource,
        scope: 'todos.read',
      }),
    })
    expect(broker.status).toBe(200)
    expect((await call(ann)).status).toBe(200)

    const seenBy = (needle: string) =>
      new Set(
        traffic.entries
          .filter((entry) => JSON.stringify([entry.path, entry.headers, entry.form, entry.body]).includes(needle))
          .map(({ role }) => role),
      )
    expect(seenBy(ann)).toEqual(new Set(['idp']))
    const [redemption] = traffic.of('tasks-as', '/token')
    const idJag = String(redemption?.form?.['assertion'])
    expect(idJag.split('.')).toHaveLength(3)
    expect(seenBy(idJag)).toEqual(new Set(['tasks-as']))
    const upstream = traffic.of('tasks-api').at(-1)
    const accessToken = upstream?.headers['authorization']?.slice('Bearer '.length) ?? ''
    expect(accessToken).not.toBe('')
    expect(seenBy(accessToken)).toEqual(new Set(['tasks-api']))
    // Nothing of this is in what the Worker printed.
    for (const secret of [ann, idJag, accessToken, ...Object.values(house.world.secrets())]) {
      expect(house.output()).not.toContain(secret)
    }
  })

  test('KV shows no token, subject, address or e-mail in clear', async () => {
    const tokens = await house.gateway.tokens()
    const { keys } = await tokens.list()
    expect(keys.length).toBeGreaterThan(0)
    const upstream = house.world.traffic.of('tasks-api').at(-1)
    for (const { name, metadata } of keys) {
      const value = Buffer.from((await tokens.get(name, 'arrayBuffer')) ?? new ArrayBuffer(0)).toString('latin1')
      const dump = `${name} ${JSON.stringify(metadata ?? null)} ${value}`
      for (const clear of [
        'ann',
        '127.0.0.1',
        'http',
        'todos',
        '@',
        'eyJ',
        upstream?.headers['authorization']?.slice(7) ?? '-',
      ]) {
        // Single short words may turn up in random bytes; names hold only base64url digests.
        if (clear.length > 3) expect(dump).not.toContain(clear)
      }
      expect(name).toMatch(/^t1(\.[A-Za-z0-9_-]{43}){4}$/)
    }
  })
})

describe('who may not', () => {
  test('without a token: 401 with a challenge that names our metadata, and nothing is asked of anybody', async () => {
    const response = await call(undefined)
    expect(response.status).toBe(401)
    const challenge = response.headers.get('www-authenticate') ?? ''
    expect(challenge).toContain('Bearer ')
    expect(challenge).not.toContain('error=')
    const metadataUrl = /resource_metadata="([^"]+)"/.exec(challenge)?.[1] ?? ''
    expect(metadataUrl).toBe(`${house.gateway.url}/.well-known/oauth-protected-resource/r/tasks`)
    expect(await (await fetch(metadataUrl)).json()).toMatchObject({ resource: `${house.gateway.url}/r/tasks` })
    expect(house.world.traffic.entries).toEqual([])
  })

  test('a user without a rule: 403 that names the code, before any call', async () => {
    const kim = await house.world.login('kim')
    house.world.traffic.clear()
    const response = await call(kim)
    expect(response.status).toBe(403)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(await response.json()).toMatchObject({ code: 'POL100', status: 403 })
    expect(house.world.traffic.entries).toEqual([])
  })

  test('a deny rule wins and is named', async () => {
    const bo = await house.world.login('bo')
    house.world.traffic.clear()
    const response = await call(bo, '/r/tasks/v1/events')
    expect(response.status).toBe(403)
    expect(await response.json()).toMatchObject({ code: 'POL101', title: 'rule no-events-for-contractors denies this' })
    expect(house.world.traffic.entries).toEqual([])
  })

  test('an unknown resource is 404, an ambiguous path is 400', async () => {
    const ann = await house.world.login('ann')
    house.world.traffic.clear()
    expect((await call(ann, '/r/nothing/v1')).status).toBe(404)
    for (const path of [
      '/r/tasks/v1/%2e%2e%2fadmin',
      '/r/tasks//v1/todos',
      '/r/tasks/v1/todos;x=1',
      '/r/tasks/v1%5ctodos',
    ]) {
      expect((await call(ann, path)).status, path).toBe(400)
    }
    expect(house.world.traffic.entries).toEqual([])
  })

  test('an ID token of a client without an edge client is refused on proxied requests', async () => {
    const token = await house.world.login('ann', 'assistant')
    house.world.traffic.clear()
    const response = await call(token)
    expect(response.status).toBe(401)
    expect(await response.json()).toMatchObject({ code: 'TOK108' })
    expect(house.world.traffic.entries).toEqual([])
  })
})

describe('what lies behind fails', () => {
  test('a revoked access token is renewed once and the request sent again', async () => {
    const ann = await house.world.login('ann')
    expect((await call(ann)).status).toBe(200)
    house.world.tasks.revokeAll()
    house.world.traffic.clear()
    expect((await call(ann)).status).toBe(200)
    expect(tokenCalls()).toEqual({ exchanges: 1, redemptions: 1 })
    expect(house.world.traffic.of('tasks-api')).toHaveLength(2)
  })

  test('identity provider down: warm users go on, cold ones get 503 in our words', async () => {
    const ann = await house.world.login('ann')
    const kim = await house.world.login('bo', 'gateway')
    expect((await call(ann)).status).toBe(200)
    house.world.traffic.clear()
    house.world.traffic.fail('idp', { status: 503, body: 'THEIR WORDS' }, { path: '/token', times: Infinity })
    expect((await call(ann)).status).toBe(200)
    const cold = await call(kim, '/r/notes/v1/notes')
    expect(cold.status).toBe(503)
    expect(Number(cold.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await cold.text()).not.toContain('THEIR WORDS')
    expect(house.world.traffic.of('notes-api')).toEqual([])
  })

  test('every decision leaves exactly one audit event', async () => {
    const ann = await house.world.login('ann')
    const before = house.events.length
    await call(ann)
    await call(undefined)
    await eventually(() => house.events.length >= before + 2)
    const [allowed, denied] = house.events.slice(before)
    expect(house.events).toHaveLength(before + 2)
    expect(allowed).toMatchObject({
      v: 1,
      event: 'request.forward',
      outcome: 'allow',
      user: { issuer: house.world.idp.issuer, sub: 'ann' },
      client: { id: 'people', auth: 'edge' },
      resource: { id: 'tasks', kind: 'id-jag' },
      policy: { effect: 'allow', rule: 'engineering-tasks' },
      cache: 'memory',
      http: { method: 'GET', status: 200 },
    })
    expect(denied).toMatchObject({ event: 'subject.verify', outcome: 'deny', code: 'TOK100' })
  })
})
