// The administration's own rules: where a write may come from, what a request may say, what lists tell.
import { beforeAll, describe, expect, test } from 'vitest'
import { bodyOf, createWorld, GATEWAY, IDP, type World } from './world.ts'

const LIST = '/admin/api/connections'
const REVOKE = '/admin/api/revocations'
const BLOCKS = '/admin/api/blocks'
const QUOTA = '/admin/api/quota'
const NOBODY = { user: 'nobody', resource: 'tasks' }

let world: World
let sue: string

beforeAll(async () => {
  world = await createWorld()
  sue = await world.idToken('sue')
})

async function saying(response: Response): Promise<string> {
  if (response.status === 204) return '204'
  const { detail } = await bodyOf(response)
  return `${response.status} ${String(detail)}`
}

describe('a write from a browser', () => {
  const write = (headers: Record<string, string>, method = 'POST', path = REVOKE) =>
    world.ask(method, path, { authorization: `Bearer ${sue}`, ...headers }, method === 'POST' ? NOBODY : undefined)

  test.each<[string, Record<string, string>]>([
    ['a program, which sends neither header', {}],
    ['our own page', { origin: GATEWAY, 'sec-fetch-site': 'same-origin' }],
    ['our own page, as old browsers tell it', { origin: GATEWAY }],
    ['the address bar', { 'sec-fetch-site': 'none' }],
  ])('may come from %s', async (_what, headers) => {
    expect((await write(headers)).status).toBe(200)
  })

  test.each<[string, Record<string, string>]>([
    ['another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['another site, by its Origin alone', { origin: 'https://evil.example' }],
    ['another site, by Fetch Metadata alone', { 'sec-fetch-site': 'cross-site' }],
    ['a sandboxed frame', { origin: 'null', 'sec-fetch-site': 'cross-site' }],
    ['a sandboxed frame, by its Origin alone', { origin: 'null' }],
    ['a sister host', { origin: 'https://other.gw.example', 'sec-fetch-site': 'same-site' }],
    ['a sister host that claims our Origin', { origin: GATEWAY, 'sec-fetch-site': 'same-site' }],
    ['our host on another port', { origin: `${GATEWAY}:8443` }],
    ['our host without TLS', { origin: 'http://gw.example' }],
    ['an origin that begins like ours', { origin: `${GATEWAY}.evil.example` }],
    ['two origins', { origin: `${GATEWAY}, https://evil.example` }],
    ['an empty origin', { origin: '' }],
    ['a word that browsers do not use', { 'sec-fetch-site': 'same-origin, cross-site' }],
  ])('is refused from %s, and nothing is revoked', async (_what, headers) => {
    const before = await world.log.read(undefined)
    expect(await saying(await write(headers))).toContain('403 ADM103')
    expect(await saying(await write(headers, 'DELETE', `${BLOCKS}/x`))).toContain('403 ADM103')
    expect(await world.log.read(undefined)).toEqual(before)
  })

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json; charset=utf-8',
    'application/jsonp',
    'application/json, text/plain',
    '',
  ])('is refused as %j', async (type) => {
    expect(await saying(await write({ 'content-type': type }))).toContain('415 ADM109')
    expect(await saying(await write({ 'content-type': type }, 'DELETE', `${BLOCKS}/x`))).toContain('415 ADM109')
  })

  test('is refused compressed', async () => {
    expect(await saying(await write({ 'content-encoding': 'gzip' }))).toContain('415 ADM109')
  })

  test('is refused by every other method, and told which there are; a GET changes nothing', async () => {
    const before = await world.log.read(undefined)
    for (const [method, path, allowed] of [
      ['GET', BLOCKS, 'POST'],
      ['GET', `${BLOCKS}/x`, 'DELETE'],
      ['PUT', REVOKE, 'GET, POST'],
      ['PATCH', REVOKE, 'GET, POST'],
      ['DELETE', REVOKE, 'GET, POST'],
      ['POST', LIST, 'GET'],
      ['HEAD', LIST, 'GET'],
    ] as const) {
      const answer = await world.ask(method, path, sue)
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, allowed])
    }
    expect(await saying(await world.ask('GET', `${REVOKE}?user=ann`, sue))).toContain('400 ADM100')
    expect(await world.log.read(undefined)).toEqual(before)
  })
})

test.each([
  '/admin/api',
  '/admin/api/',
  '/admin/api//connections',
  '/admin/api/connections/',
  '/admin/api/Connections',
  '/admin/api/%63onnections',
  '/admin/api/connections/..%2f..%2ftoken',
  '/admin/api/connections/__proto__',
  '/admin/api/blocks/..%2fx',
  '/admin/api/blocks/%00',
  `/admin/api/blocks/${'a'.repeat(65)}`,
  '/admin/api/constructor',
])('there is nothing at %s', async (path) => {
  expect(await saying(await world.ask('GET', path, sue))).toContain('404 ADM104')
})

describe('the body of a revocation', () => {
  test.each<[string, unknown, string]>([
    ['nothing', undefined, '400 ADM100: the request is malformed at the body'],
    ['no JSON', '{', '400 ADM100: the request is malformed at the body'],
    ['a list', [], '400 ADM100: the request is malformed at the body'],
    ['null', null, '400 ADM100: the request is malformed at the body'],
    ['a member twice', '{"user":"ann","user":"bob"}', '400 ADM100: the request is malformed at the body'],
    ['a prototype', '{"user":"ann","__proto__":{"dry_run":true}}', '400 ADM100: the request is malformed at the body'],
    ['a comment', '{"user":"ann"/* */}', '400 ADM100: the request is malformed at the body'],
    ['a byte order mark', '\uFEFF{"user":"ann"}', '400 ADM100: the request is malformed at the body'],
    ['no selector', {}, '400 ADM107'],
    ['only a time', { before: '2026-01-01T00:00:00Z' }, '400 ADM107'],
    ['an unknown member', { user: 'ann', users: 'bob' }, '400 ADM100: the request is malformed at users'],
    [
      'an unknown member of an odd name',
      { user: 'ann', 'a"b\\': 1 },
      '400 ADM100: the request is malformed at a member',
    ],
    ['a list of users', { user: ['ann'] }, '400 ADM100: the request is malformed at user'],
    ['null as a user', { user: null, client: 'people' }, '400 ADM100: the request is malformed at user'],
    ['an empty user', { user: '' }, '400 ADM100: the request is malformed at user'],
    ['a user with a line break', { user: 'ann\n' }, '400 ADM100: the request is malformed at user'],
    ['a user longer than any subject', { user: 'a'.repeat(256) }, '400 ADM100: the request is malformed at user'],
    ['an unknown identity provider', { idp: 'nowhere' }, '400 ADM105: idp does not name anything'],
    ['an unknown client', { client: 'nobody' }, '400 ADM105: client does not name anything'],
    ['an unknown resource', { resource: 'nothing' }, '400 ADM105: resource does not name anything'],
    ['a resource of an odd name', { resource: '__proto__' }, '400 ADM105: resource does not name anything'],
    ['an empty client', { client: '', user: 'ann' }, '400 ADM105: client does not name anything'],
    ['a star', { client: '*' }, '400 ADM105: client does not name anything'],
    ['a time in the future', { user: 'ann', before: '2100-01-01T00:00:00Z' }, '400 ADM106: before is not a time'],
    ['a time of long ago', { user: 'ann', before: '0001-01-01T00:00:00Z' }, '400 ADM106: before is not a time'],
    ['a time before 1970', { user: 'ann', before: '1969-12-31T23:59:59Z' }, '400 ADM106: before is not a time'],
    ['a time eleven years ago', { user: 'ann', before: '2016-01-15T08:00:00Z' }, '400 ADM106: before is not a time'],
    ['a date', { user: 'ann', before: '2026-01-01' }, '400 ADM106: before is not a time'],
    ['a time without a zone', { user: 'ann', before: '2026-01-01T00:00:00' }, '400 ADM106: before is not a time'],
    ['the 30th of February', { user: 'ann', before: '2026-02-30T00:00:00Z' }, '400 ADM106: before is not a time'],
    [
      'seconds since the epoch',
      { user: 'ann', before: 1_700_000_000 },
      '400 ADM100: the request is malformed at before',
    ],
    ['a word for dry_run', { user: 'ann', dry_run: 'false' }, '400 ADM100: the request is malformed at dry_run'],
    ['more than 16 KiB', { user: 'ann', before: 'x'.repeat(17_000) }, '413 LIM101'],
  ])('is refused with %s, and nothing is revoked', async (_what, body, answer) => {
    const before = await world.log.read(undefined)
    expect(await saying(await world.ask('POST', REVOKE, sue, body))).toContain(answer)
    expect(await world.log.read(undefined)).toEqual(before)
  })

  test('may give its time in any zone', async () => {
    const order = { ...NOBODY, before: '2026-01-01t02:30:00.1234+02:30' }
    expect(await bodyOf(await world.ask('POST', REVOKE, sue, order))).toMatchObject({
      before: '2026-01-01T00:00:00.123Z',
    })
  })
})

describe('connections', () => {
  let lived: World
  let admin: string

  beforeAll(async () => {
    lived = await createWorld({ quota: { id_jags_per_user_resource_month: 2, warn_at: 0.5 } })
    await lived.use('ann')
    await lived.use('bob', 'notes')
    lived.clock.advance(3)
    await lived.use('ann', 'notes')
    admin = await lived.idToken('kim', ['help'])
  })

  const list = async (query: string) => bodyOf(await lived.ask('GET', `${LIST}${query}`, admin))

  test('are listed with all that is known of them and nothing that opens anything', async () => {
    const answer = await lived.ask('GET', `${LIST}?user=ann&resource=tasks`, admin)
    const text = await answer.clone().text()
    expect(await bodyOf(answer)).toEqual({
      connections: [
        {
          user: { idp: 'main', issuer: IDP, sub: 'ann' },
          client: 'people',
          resource: 'tasks',
          scopes: ['tasks.read'],
          first_issued_at: '2027-01-15T08:00:00.000Z',
          last_issued_at: '2027-01-15T08:00:00.000Z',
          expires_at: '2027-01-15T08:15:00.000Z',
          count: 1,
          id_jag_jti: 'jag-1',
          status: 'active',
        },
      ],
      more: false,
    })
    expect(lived.sentTokens()).toHaveLength(3)
    for (const token of lived.sentTokens()) expect(text).not.toContain(token)
    for (const name of lived.tokens.list()) expect(text).not.toContain(name)
  })

  test.each([
    ['', ['ann notes', 'ann tasks', 'bob notes']],
    ['?', ['ann notes', 'ann tasks', 'bob notes']],
    ['?user=ann', ['ann notes', 'ann tasks']],
    ['?user=an%6E', ['ann notes', 'ann tasks']],
    ['?resource=notes', ['ann notes', 'bob notes']],
    ['?resource=notes&user=bob', ['bob notes']],
    ['?client=people&idp=main&user=', ['ann notes', 'ann tasks', 'bob notes']],
    ['?user=Ann', []],
    ['?user=main/ann', []],
  ])('are found by %j', async (query, expected) => {
    const { connections } = await list(query)
    expect(
      Array.isArray(connections) && connections.map((each) => `${each.user.sub} ${each.resource}`).toSorted(),
    ).toEqual(expected)
  })

  test('are bounded, the newest first', async () => {
    expect(await list('?limit=1')).toMatchObject({
      connections: [{ user: { sub: 'ann' }, resource: 'notes' }],
      more: true,
    })
  })

  test.each([
    ['?nothing=1', 'a parameter'],
    ['?user=ann&user=bob', 'user'],
    ['?resource=tasks&resource=notes', 'resource'],
    ['?user=%zz', 'user'],
    ['?user=%ff', 'user'],
    ['?user=a%0Ab', 'user'],
    ['?limit=0', 'limit'],
    ['?limit=501', 'limit'],
    ['?limit=1e2', 'limit'],
    ['?limit=-1', 'limit'],
  ])('are not listed for %j', async (query, name) => {
    expect(await list(query)).toMatchObject({
      status: 400,
      code: 'ADM100',
      title: expect.stringContaining(name === 'a parameter' ? 'nothing' : name),
    })
  })

  test('are not listed for a name that is not configured', async () => {
    expect(await list('?client=nobody')).toMatchObject({ status: 400, code: 'ADM105' })
  })

  test('cannot be told while the registry does not answer', async () => {
    lived.registry.faults.list = 'throw'
    expect(await list('')).toMatchObject({ status: 503, code: 'INT101' })
    lived.registry.faults.list = undefined
  })

  test('tell of the quota they have used', async () => {
    expect(await bodyOf(await lived.ask('GET', `${QUOTA}?user=ann`, admin))).toEqual({
      user: 'ann',
      month: '2027-01',
      limit: 2,
      warn_at: 0.5,
      used: [
        { idp: 'main', resource: 'notes', used: 1, warning: true },
        { idp: 'main', resource: 'tasks', used: 1, warning: true },
      ],
    })
    expect(await bodyOf(await lived.ask('GET', `${QUOTA}?user=ann&month=2026-12`, admin))).toMatchObject({ used: [] })
    for (const query of ['', '?month=2027-01', '?user=ann&month=2027-13', '?user=ann&month=jan', '?user=ann&limit=1']) {
      expect(await saying(await lived.ask('GET', `${QUOTA}${query}`, admin))).toContain('400 ADM100')
    }
  })

  test('expire, and are then neither active nor revoked', async () => {
    const { ask, clock, idToken, use } = await createWorld()
    await use('ann')
    clock.advance(901)
    const { connections } = await bodyOf(await ask('GET', LIST, await idToken('sue')))
    expect(connections).toMatchObject([{ status: 'expired' }])
  })
})

describe('a block', () => {
  test('keeps everybody out who fits, whatever they hold, until it is lifted', async () => {
    const { ask, clock, idToken, use } = await createWorld({ maxStaleness: '0s' })
    const admin = await idToken('sue')
    expect((await use('ann')).status).toBe(200)
    const made = await ask('POST', BLOCKS, admin, { user: 'ann', resource: 'tasks' })
    expect(made.status).toBe(201)
    const { id, ...rest } = await bodyOf(made)
    expect(rest).toEqual({ selector: { user: 'ann', resource: 'tasks' }, effective_by: '2027-01-15T08:00:00.000Z' })
    clock.advance(5)
    expect((await use('ann')).status).toBe(403)
    expect((await use('ann', 'notes')).status).toBe(200)
    expect((await use('bob')).status).toBe(200)
    expect(await bodyOf(await ask('GET', `${LIST}?user=ann&resource=tasks`, admin))).toMatchObject({
      connections: [{ status: 'blocked' }],
    })
    expect(await bodyOf(await ask('GET', REVOKE, admin))).toEqual({
      max_staleness_seconds: 0,
      cutoffs: [],
      blocks: [{ id, selector: { user: 'ann', resource: 'tasks' } }],
    })
    expect((await ask('DELETE', `${BLOCKS}/${String(id)}`, admin)).status).toBe(204)
    expect((await use('ann')).status).toBe(200)
    expect(await saying(await ask('DELETE', `${BLOCKS}/${String(id)}`, admin))).toContain('404 ADM104')
  })

  test('ends by itself at its time', async () => {
    const { ask, clock, idToken, use } = await createWorld({ maxStaleness: '0s' })
    const admin = await idToken('sue')
    const order = { user: 'ann', until: '2027-01-15T08:10:00Z' }
    expect(await bodyOf(await ask('POST', BLOCKS, admin, order))).toMatchObject({ until: '2027-01-15T08:10:00.000Z' })
    expect((await use('ann')).status).toBe(403)
    clock.advance(600)
    expect((await use('ann')).status).toBe(200)
    expect(await bodyOf(await ask('GET', REVOKE, admin))).toMatchObject({ blocks: [] })
  })

  test.each([
    ['a time that nobody will see', { user: 'ann', until: '9999-12-31T23:59:59Z' }, '400 ADM106: until is not a time'],
    ['a time in eleven years', { user: 'ann', until: '2038-01-15T08:00:00Z' }, '400 ADM106: until is not a time'],
    ['a time that is over', { user: 'ann', until: '2027-01-15T08:00:00Z' }, '400 ADM106: until is not a time'],
    ['no selector', { until: '2100-01-01T00:00:00Z' }, '400 ADM107'],
    ['a member of a revocation', { user: 'ann', dry_run: true }, '400 ADM100: the request is malformed at dry_run'],
    ['an unknown client', { client: 'nobody' }, '400 ADM105'],
  ])('is refused with %s', async (_what, body, answer) => {
    expect(await saying(await world.ask('POST', BLOCKS, sue, body))).toContain(answer)
  })

  test('does not lock out whoever makes it, unless it ends by itself', async () => {
    const { ask, idToken, accessJwt } = await createWorld()
    const admin = await idToken('sue')
    for (const body of [{ user: 'sue' }, { idp: 'main' }, { client: 'people' }]) {
      expect(await saying(await ask('POST', BLOCKS, admin, body))).toContain('400 ADM108')
    }
    expect((await ask('POST', BLOCKS, admin, { user: 'sue', resource: 'tasks' })).status).toBe(201)
    // Who comes through Access is not reached by it, and can lift it.
    const access = { 'cf-access-jwt-assertion': await accessJwt('sue@acme.example') }
    const { id } = await bodyOf(await ask('POST', BLOCKS, access, { idp: 'main' }))
    expect((await ask('GET', LIST, admin)).status).toBe(403)
    expect((await ask('DELETE', `${BLOCKS}/${String(id)}`, access)).status).toBe(204)
    expect((await ask('POST', BLOCKS, admin, { idp: 'main', until: '2027-01-15T09:00:00Z' })).status).toBe(201)
    expect((await ask('GET', LIST, admin)).status).toBe(403)
  })

  test('lifts no cut-off', async () => {
    const { id } = await bodyOf(await world.ask('POST', REVOKE, sue, NOBODY))
    expect(await saying(await world.ask('DELETE', `${BLOCKS}/${String(id)}`, sue))).toContain('404 ADM104')
  })

  test('that cannot be written or lifted is none', async () => {
    const { ask, idToken, log } = await createWorld()
    const admin = await idToken('sue')
    log.faults.add = 'throw'
    log.faults.lift = 'throw'
    expect(await saying(await ask('POST', BLOCKS, admin, { user: 'ann' }))).toContain('503 INT102')
    expect(await saying(await ask('DELETE', `${BLOCKS}/x`, admin))).toContain('503 INT102')
  })
})
