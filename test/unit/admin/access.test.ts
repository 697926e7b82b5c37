// Who calls the administration: both forms of Cloudflare Access, ID tokens, and everything that is neither.
import { beforeAll, describe, expect, test } from 'vitest'
import { ADMIN, AUDIENCE, bodyOf, createWorld, GATEWAY, IDP, TEAM, type World } from './world.ts'

const LIST = '/admin/api/connections'
const REVOKE = '/admin/api/revocations'
const NOBODY = { user: 'nobody', resource: 'tasks' }

let world: World

beforeAll(async () => {
  world = await createWorld()
})

const by = (token: string) => ({ 'cf-access-jwt-assertion': token })

async function codeOf(response: Response): Promise<string> {
  const { code } = await bodyOf(response)
  return `${response.status} ${String(code)}`
}

async function reach(who: string | Record<string, string>): Promise<readonly number[]> {
  const [view, revoke] = [await world.ask('GET', LIST, who), await world.ask('POST', REVOKE, who, NOBODY)]
  return [view.status, revoke.status]
}

describe('by ID token', () => {
  test('a named user and a group with the right to revoke may do both', async () => {
    expect(await reach(await world.idToken('sue'))).toEqual([200, 200])
    expect(await reach(await world.idToken('joe', ['ops']))).toEqual([200, 200])
  })

  test('a group with the right to view may only look', async () => {
    const token = await world.idToken('kim', ['help', 'everyone'])
    expect(await reach(token)).toEqual([200, 403])
    expect(await codeOf(await world.ask('POST', REVOKE, token, NOBODY))).toBe('403 ADM102')
  })

  test('an ordinary user may do nothing, and no path tells them whether it exists', async () => {
    const token = await world.idToken('bob', ['everyone'])
    expect(await reach(token)).toEqual([403, 403])
    expect(await codeOf(await world.ask('GET', '/admin/api/nothing', token))).toBe('403 ADM102')
  })

  test('somebody who acts for an administrator may do nothing', async () => {
    expect(await reach(await world.idToken('sue', ['ops'], { act: { sub: 'bot' } }))).toEqual([403, 403])
  })

  test.each<[string, (world: World) => Promise<string>, string]>([
    ['of another audience', (w) => w.idToken('sue', [], { aud: 'somebody-else' }), 'TOK104'],
    [
      'that has expired',
      (w) => w.idToken('sue', [], { iat: w.clock.now() - 3600, exp: w.clock.now() - 120 }),
      'TOK103',
    ],
    ['of another issuer', (w) => w.idToken('sue', [], { iss: 'https://evil.example' }), 'TOK102'],
    ['that is an access token', (w) => w.idToken('sue', [], { scope: 'admin' }), 'TOK105'],
    ['with a changed signature', async (w) => `${(await w.idToken('sue')).slice(0, -8)}AAAAAAAA`, 'TOK102'],
    ['with alg none', async (w) => unsigned((await w.idToken('sue')).split('.')[1] ?? ''), 'TOK101'],
    ['with a suffix', async (w) => `${await w.idToken('sue')}x`, 'TOK10'],
    ['that is no token', async () => 'wrong', 'TOK101'],
  ])('a token %s is refused', async (_what, token, code) => {
    const answer = await world.ask('GET', LIST, await token(world))
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="jagway admin"')
    expect(await codeOf(answer)).toContain(`401 ${code}`)
  })

  test('nothing else is a credential: no cookie, no query, no client secret, no two tokens', async () => {
    const token = await world.idToken('sue')
    for (const who of [
      {},
      { cookie: `CF_Authorization=${token}; session=${token}` },
      { authorization: `Basic ${btoa('support-bot:secret')}` },
      { 'x-admin-token': token },
    ]) {
      expect(await codeOf(await world.ask('GET', LIST, who))).toBe('401 ADM101')
    }
    expect(await codeOf(await world.ask('GET', `${LIST}?access_token=${token}`, {}))).toBe('401 ADM101')
    expect(await codeOf(await world.ask('GET', `${LIST}?token=${token}`, token))).toBe('400 ADM100')
    const two = await world.ask('GET', LIST, { authorization: `Bearer ${token}, Bearer ${token}` })
    expect(await codeOf(two)).toBe('401 TOK101')
  })

  test('a bad ID token is not made up for by a good Access token', async () => {
    const access = { 'cf-access-jwt-assertion': await world.accessJwt('sue@acme.example') }
    expect((await world.ask('GET', LIST, access)).status).toBe(200)
    expect(await codeOf(await world.ask('GET', LIST, { ...access, authorization: 'Bearer wrong' }))).toBe('401 TOK101')
  })
})

function unsigned(payload: string): string {
  return `${btoa('{"alg":"none"}').replace(/=+$/, '')}.${payload}.`
}

describe('by a token of Cloudflare Access', () => {
  test('whoever Access lets through may look, and whom the configuration names may revoke', async () => {
    expect(await reach(by(await world.accessJwt('kim@acme.example')))).toEqual([200, 403])
    expect(await reach(by(await world.accessJwt('sue@acme.example')))).toEqual([200, 200])
    // E-mail addresses are compared as they are.
    expect(await reach(by(await world.accessJwt('Sue@acme.example')))).toEqual([200, 403])
  })

  test.each<[string, (world: World) => Promise<string>]>([
    ['signed by somebody else', (w) => w.accessJwt('sue@acme.example', {}, w.strangerKey)],
    ['of another application', (w) => w.accessJwt('sue@acme.example', { aud: ['another'] })],
    ['without an audience', (w) => w.accessJwt('sue@acme.example', { aud: undefined })],
    ['with an empty audience', (w) => w.accessJwt('sue@acme.example', { aud: '' })],
    ['of another team', (w) => w.accessJwt('sue@acme.example', { iss: 'https://evil.cloudflareaccess.com' })],
    ['whose issuer has a slash more', (w) => w.accessJwt('sue@acme.example', { iss: `${TEAM}/` })],
    ['that has expired', (w) => w.accessJwt('sue@acme.example', { exp: w.clock.now() - 61, iat: w.clock.now() - 90 })],
    ['that never expires', (w) => w.accessJwt('sue@acme.example', { exp: undefined })],
    ['that is not valid yet', (w) => w.accessJwt('sue@acme.example', { nbf: w.clock.now() + 120 })],
    ['without iat', (w) => w.accessJwt('sue@acme.example', { iat: undefined })],
    ['of the team itself', (w) => w.accessJwt('sue@acme.example', { type: 'org' })],
    ['of a service', (w) => w.accessJwt('', { email: undefined, common_name: 'robot.access' })],
    ['with a list as e-mail address', (w) => w.accessJwt('', { email: ['sue@acme.example'] })],
    ['with alg none', async (w) => unsigned((await w.accessJwt('sue@acme.example')).split('.')[1] ?? '')],
    ['that is an ID token', (w) => w.idToken('sue')],
    [
      'that comes twice',
      async (w) => `${await w.accessJwt('sue@acme.example')}, ${await w.accessJwt('sue@acme.example')}`,
    ],
    ['that is no token', async () => 'wrong'],
  ])('a token %s is refused', async (_what, token) => {
    expect(await codeOf(await world.ask('GET', LIST, by(await token(world))))).toBe('401 ADM101')
  })

  test('while the keys of the team cannot be had, nobody comes in', async () => {
    const fresh = await createWorld()
    fresh.answers.set(`${TEAM}/cdn-cgi/access/certs`, () => new Response(null, { status: 500 }))
    const answer = await fresh.ask('GET', LIST, by(await fresh.accessJwt('sue@acme.example')))
    expect(await codeOf(answer)).toBe('503 INT101')
  })
})

describe('by the session that the platform tells of', () => {
  const session = (aud: string, identity: unknown) => ({ aud, getIdentity: () => Promise.resolve(identity) })
  const ask = (access: ReturnType<typeof session>, who: Record<string, string> = {}) =>
    world.ask('GET', LIST, who, undefined, access)

  test('its e-mail address counts', async () => {
    expect((await ask(session(AUDIENCE, { email: 'kim@acme.example' }))).status).toBe(200)
  })

  test('another audience is refused, although a good token comes with it', async () => {
    const who = { 'cf-access-jwt-assertion': await world.accessJwt('sue@acme.example') }
    for (const aud of ['another', '']) {
      expect(await codeOf(await ask(session(aud, { email: 'sue@acme.example' }), who))).toBe('401 ADM101')
    }
  })

  test('its login counts for 24 hours, and must lie in the past', async () => {
    const now = world.clock.now()
    const answers = []
    for (const iat of [now, now - 86_400, now - 86_461, now + 3600, 'yesterday', now * 1000]) {
      answers.push(await codeOf(await ask(session(AUDIENCE, { email: 'sue@acme.example', iat }))))
    }
    const refused = '401 ADM101'
    expect(answers).toEqual(['200 undefined', '200 undefined', refused, refused, refused, refused])
  })

  test.each([[undefined], [{}], [{ email: '' }], [{ email: 7 }], ['sue@acme.example']])(
    'an identity %j is nobody',
    async (identity) => {
      expect(await codeOf(await ask(session(AUDIENCE, identity)))).toBe('401 ADM101')
    },
  )

  test('a platform that cannot say who it is lets nobody in', async () => {
    const broken = { aud: AUDIENCE, getIdentity: () => Promise.reject(new Error('no')) }
    expect(await codeOf(await ask(broken))).toBe('503 INT101')
  })
})

describe('without administration', () => {
  test('every path below /admin is one that does not exist', async () => {
    const without = await createWorld({ admin: null })
    const token = await without.idToken('sue')
    const strip = async (response: Response) => ({
      status: response.status,
      headers: [...response.headers],
      body: { ...(await bodyOf(response)), request_id: '' },
    })
    const unknown = await strip(await without.ask('GET', '/nothing/here', token))
    expect(unknown).toMatchObject({ status: 404, body: { code: 'CLI106' } })
    for (const path of ['/admin', '/admin/', LIST, REVOKE, '/admin/api/', '/admin/api/blocks/x']) {
      for (const method of ['GET', 'POST', 'DELETE']) {
        expect(await strip(await without.ask(method, path, token))).toEqual(unknown)
      }
    }
  })

  test('a way in that is not configured is none', async () => {
    const onlyAccess = await createWorld({ admin: { access: ADMIN.access } })
    expect(await codeOf(await onlyAccess.ask('GET', LIST, await onlyAccess.idToken('sue')))).toBe('401 ADM101')
    const onlyIdToken = await createWorld({ admin: { id_token: ADMIN.id_token } })
    const who = { 'cf-access-jwt-assertion': await onlyIdToken.accessJwt('sue@acme.example') }
    const access = { aud: AUDIENCE, getIdentity: () => Promise.resolve({ email: 'sue@acme.example' }) }
    expect(await codeOf(await onlyIdToken.ask('GET', LIST, who, undefined, access))).toBe('401 ADM101')
  })
})

describe('an administrator who is revoked', () => {
  test('has no rights while blocked, and hears why', async () => {
    const fresh = await createWorld()
    const [sue, joe] = [await fresh.idToken('sue'), await fresh.idToken('joe', ['ops'])]
    const blocked = await bodyOf(await fresh.ask('POST', '/admin/api/blocks', sue, { user: 'joe' }))
    expect(await codeOf(await fresh.ask('GET', LIST, joe))).toBe('403 POL110')
    expect(await codeOf(await fresh.ask('DELETE', `/admin/api/blocks/${String(blocked['id'])}`, joe))).toBe(
      '403 POL110',
    )
    await fresh.ask('DELETE', `/admin/api/blocks/${String(blocked['id'])}`, sue)
    expect((await fresh.ask('GET', LIST, joe)).status).toBe(200)
  })

  test('must sign in again after a cut-off', async () => {
    const fresh = await createWorld()
    const joe = await fresh.idToken('joe', ['ops'])
    await fresh.ask('POST', REVOKE, await fresh.idToken('sue'), { user: 'joe' })
    expect(await codeOf(await fresh.ask('GET', LIST, joe))).toBe('401 TOK109')
    fresh.clock.advance(1)
    expect((await fresh.ask('GET', LIST, await fresh.idToken('joe', ['ops']))).status).toBe(200)
  })

  test('who came through Access must log in again after a cut-off, for as long as such a session may count', async () => {
    const fresh = await createWorld()
    const eve = by(await fresh.accessJwt('eve@acme.example', { exp: fresh.clock.now() + 30 * 86_400 }))
    expect((await fresh.ask('GET', LIST, eve)).status).toBe(200)
    fresh.clock.advance(5)
    await fresh.ask('POST', REVOKE, await fresh.idToken('sue'), { user: 'eve@acme.example' })
    const codes = []
    for (const hours of [0, 2, 22, 1, 30 * 24 - 26]) {
      fresh.clock.advance(hours * 3600)
      codes.push(await codeOf(await fresh.ask('GET', LIST, eve)))
    }
    expect(codes).toEqual(['401 TOK109', '401 TOK109', '401 TOK109', '401 ADM101', '401 ADM101'])
    expect((await fresh.ask('GET', LIST, by(await fresh.accessJwt('eve@acme.example')))).status).toBe(200)
  })

  test.each([
    ['says since when it is', (now: number) => ({ iat: now })],
    ['does not say since when it is', () => ({})],
    ['says 0 for it', () => ({ iat: 0 })],
  ])('is ended by a cut-off where the session of the platform %s', async (_how, more) => {
    const fresh = await createWorld()
    const identity = { email: 'sue@acme.example', ...more(fresh.clock.now()) }
    const session = { aud: AUDIENCE, getIdentity: () => Promise.resolve(identity) }
    expect((await fresh.ask('GET', LIST, {}, undefined, session)).status).toBe(200)
    fresh.clock.advance(5)
    await fresh.ask('POST', REVOKE, await fresh.idToken('sue'), { user: 'sue@acme.example' })
    fresh.clock.advance(5)
    const refused = await fresh.ask('POST', REVOKE, {}, { user: 'ann' }, session)
    expect(await codeOf(refused)).toBe('401 TOK109')
    const current = await fresh.log.read(undefined)
    expect(current?.revocations.map(({ selector }) => selector)).toEqual([{ user: 'sue@acme.example' }])
  })

  test('is known by e-mail address where they came through Access', async () => {
    const fresh = await createWorld()
    const who = { 'cf-access-jwt-assertion': await fresh.accessJwt('kim@acme.example') }
    await fresh.ask('POST', '/admin/api/blocks', await fresh.idToken('sue'), { user: 'kim@acme.example' })
    expect(await codeOf(await fresh.ask('GET', LIST, who))).toBe('403 POL110')
  })

  test('cannot be told from others while the log does not answer: nobody passes', async () => {
    const fresh = await createWorld()
    fresh.log.faults.read = 'throw'
    expect(await codeOf(await fresh.ask('GET', LIST, await fresh.idToken('sue')))).toBe('503 INT102')
  })
})

test('answers are kept by no cache and lead to no other page', async () => {
  for (const who of [await world.idToken('sue'), {}]) {
    const { headers } = await world.ask('GET', LIST, who)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('location')).toBeNull()
    expect(headers.get('access-control-allow-origin')).toBeNull()
  }
})

test('every request leaves one event, with who asked and no token in it', async () => {
  const fresh = await createWorld()
  const token = await fresh.idToken('sue')
  const assertion = await fresh.accessJwt('sue@acme.example')
  await fresh.ask('GET', `${LIST}?user=ann`, token)
  await fresh.ask('POST', REVOKE, { 'cf-access-jwt-assertion': assertion }, { user: 'ann' })
  await fresh.ask('GET', LIST, await fresh.idToken('bob'))
  await fresh.ask('GET', LIST, {})
  expect(fresh.sink.events).toMatchObject([
    {
      event: 'connection.list',
      outcome: 'allow',
      admin: {
        actor: { via: 'id_token', issuer: IDP, sub: 'sue' },
        selector: { user: 'ann' },
        counts: { connections: 0 },
      },
    },
    {
      event: 'connection.revoke',
      outcome: 'allow',
      admin: {
        actor: { via: 'access', issuer: TEAM, email: 'sue@acme.example' },
        selector: { user: 'ann' },
        dry_run: false,
      },
    },
    { event: 'connection.list', outcome: 'deny', code: 'ADM102', admin: { actor: { sub: 'bob' } } },
    { event: 'connection.list', outcome: 'deny', code: 'ADM101', admin: {} },
  ])
  const text = JSON.stringify(fresh.sink.events)
  for (const secret of [token, assertion]) expect(text).not.toContain(secret.slice(-40))
  expect(GATEWAY).toBe(fresh.config.publicUrl)
})
