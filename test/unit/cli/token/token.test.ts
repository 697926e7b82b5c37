// `jagway token` as a process: what it sends to a gateway, how it shows what came, and what it keeps to itself. The gateway is a
// server that records; test/e2e/doctor.test.ts runs the same program against a real one.

import { execFile } from 'node:child_process'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { text as readAll } from 'node:stream/consumers'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTestKey, mint } from '../../../support/keys.ts'

const PROGRAM = join(import.meta.dirname, '../../../../src/cli/jagway.ts')
const ACCESS_TOKEN = 'CANARY-access-token'
const SECRET = 'CANARY-client-secret'
const CLIENT = { JAGWAY_CLIENT_ID: 'bot', JAGWAY_CLIENT_SECRET: SECRET }

interface Seen {
  readonly headers: IncomingHttpHeaders
  readonly form: URLSearchParams
}

let server: Server
let origin = ''
let folder = ''
let idToken = ''
let seen: Seen[]
let answer: { readonly status: number; readonly body?: unknown; readonly headers?: Record<string, string> }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jagway-token-'))
  server = createServer((request, response) => {
    void reply(request, response)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  origin = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  const now = Math.floor(Date.now() / 1000)
  idToken = await mint(await createTestKey(), {
    iss: 'https://idp.example',
    sub: 'ann',
    aud: 'web',
    iat: now,
    exp: now + 600,
  })
})
async function reply(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readAll(request)
  const json = { 'content-type': 'application/json' }
  if (request.url !== '/token') {
    response.writeHead(200, json).end(JSON.stringify({ issuer: 'https://gw.example' }))
    return
  }
  seen.push({ headers: request.headers, form: new URLSearchParams(body) })
  response.writeHead(answer.status, { ...json, ...answer.headers }).end(JSON.stringify(answer.body))
}
afterAll(async () => {
  await new Promise((done) => server.close(done))
  await rm(folder, { recursive: true })
})
beforeEach(() => {
  seen = []
  answer = { status: 200, body: { access_token: ACCESS_TOKEN, token_type: 'Bearer', scope: 'a b', expires_in: 3_600 } }
})

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

function token(args: readonly string[], env: Record<string, string> = CLIENT, input = idToken): Promise<Ended> {
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [PROGRAM, 'token', ...args],
      { cwd: folder, env: { PATH: process.env['PATH'], JAGWAY_STATE_DIR: folder, JAGWAY_URL: origin, ...env } },
      (error, out, err) => {
        done({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err })
      },
    )
    child.stdin?.end(input)
  })
}

function expectSilence({ out, err }: Ended): void {
  for (const hidden of [ACCESS_TOKEN, SECRET, ...idToken.split('.')]) expect(out + err).not.toContain(hidden)
}

// Each starts a process or a few, on a machine that may be busy.
describe('jagway token', { timeout: 40_000 }, () => {
  it('asks for the resource by its name, as the client, with the token from standard input, and shows no token', async () => {
    const ended = await token(['tasks', '--token', '-', '--scope', 'a b'])
    expect(ended).toMatchObject({ code: 0, err: '' })
    expect(ended.out.split('\n').slice(0, 2)).toEqual([
      'sign-in    was done before',
      'ID token   ann  for "web"  for another 10 min',
    ])
    expect(ended.out).toMatch(/\nrequest {4}POST http:\/\/127\.0\.0\.1:\d+\/token {2}tasks as bot {2}200 {2}\d+ ms\n/)
    expect(ended.out).toContain('\ntoken      Bearer  a b  for 60 min\n')
    expectSilence(ended)
    expect(seen).toHaveLength(1)
    expect(Object.fromEntries(seen[0]?.form ?? [])).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: idToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      audience: 'tasks',
      scope: 'a b',
    })
    const [, credentials = ''] = seen[0]?.headers.authorization?.split(' ') ?? []
    expect(decodeURIComponent(atob(credentials))).toBe(`bot:${SECRET}`)
    expect(seen[0]?.headers['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  })

  it('asks by the resource indicator where it is given one', async () => {
    await token(['https://api.tasks.example/'], { ...CLIENT, JAGWAY_ID_TOKEN: idToken }, '')
    expect(seen[0]?.form.get('resource')).toBe('https://api.tasks.example/')
    expect(seen[0]?.form.has('audience')).toBe(false)
  })

  it('prints the access token, and nothing else, on standard output with --raw', async () => {
    const { code, out, err } = await token(['tasks', '--token', '-', '--raw'])
    expect({ code, out }).toEqual({ code: 0, out: `${ACCESS_TOKEN}\n` })
    expect(err).toContain('token      Bearer')
    expect(err).not.toContain(ACCESS_TOKEN)
  })

  it('writes JSON, with the access token only with --raw', async () => {
    const ended = await token(['tasks', '--token', '-', '--json'])
    expect(JSON.parse(ended.out)).toMatchObject({
      ok: true,
      resource: 'tasks',
      client: 'bot',
      id_token: { sub: 'ann' },
      request: { status: 200 },
      token: { token_type: 'Bearer', scope: 'a b', expires_in: 3_600 },
    })
    expectSilence(ended)
    expect(JSON.parse((await token(['tasks', '--token', '-', '--json', '--raw'])).out)).toMatchObject({
      token: { access_token: ACCESS_TOKEN },
    })
  })

  it('authenticates as the configuration says, with its secrets', async () => {
    const client = (auth: object) => ({ bot: { subject_tokens: ['corp/web'], auth } })
    const config = (auth: object) =>
      JSON.stringify({
        version: 1,
        public_url: 'https://gw.example',
        idps: { corp: { issuer: 'https://idp.example', clients: { web: { id: 'web', auth: { method: 'none' } } } } },
        clients: client(auth),
        resources: {
          tasks: {
            kind: 'id-jag',
            authorization_server: { issuer: 'https://as.example' },
            client: { id: 'c', auth: { method: 'none' } },
            scopes: [],
          },
        },
        policy: { rules: [] },
      })
    await writeFile(join(folder, 'post.jsonc'), config({ method: 'client_secret_post', secret: { secret: 'BOT' } }))
    await writeFile(join(folder, 'secrets.env'), `BOT=${SECRET}\n`)
    const args = ['tasks', '--token', '-', '--client', 'bot', '--config', 'post.jsonc']
    expect((await token([...args, '--secrets', 'secrets.env'], {})).code).toBe(0)
    expect(seen[0]?.form.get('client_secret')).toBe(SECRET)
    expect(await token(args, {})).toMatchObject({ code: 2, err: expect.stringContaining('BOT has no value here') })
    expect(await token(['tasks', '--token', '-', '--client', 'nobody', '--config', 'post.jsonc'], {})).toMatchObject({
      code: 2,
      err: expect.stringContaining('nobody is not in the configuration'),
    })
  })

  it('authenticates with a key, to the gateway that says who it is', async () => {
    const key = await createTestKey('bot-1')
    const ended = await token(['tasks', '--token', '-'], {
      JAGWAY_CLIENT_ID: 'bot',
      JAGWAY_CLIENT_KEY: JSON.stringify(key.privateJwk),
    })
    expect(ended.code).toBe(0)
    const [, payload = ''] = (seen[0]?.form.get('client_assertion') ?? '').split('.')
    expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({
      iss: 'bot',
      sub: 'bot',
      aud: 'https://gw.example',
    })
    expect(ended.out + ended.err).not.toContain(String(key.privateJwk['d']))
    const wrong = await token(['tasks', '--token', '-'], { JAGWAY_CLIENT_ID: 'bot', JAGWAY_CLIENT_KEY: SECRET })
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('is not a private key') })
    expectSilence(wrong)
  })

  it('explains a refusal by its code, and ends with 1', async () => {
    const body = {
      error: 'access_denied',
      error_description: 'POL100: no rule allows this.',
      error_uri: 'https://gw.example/errors/POL100',
      request_id: 'req_1',
    }
    answer = { status: 400, body }
    const ended = await token(['tasks', '--token', '-'])
    expect(ended.code).toBe(1)
    expect(ended.out).toContain('\nrefused    POL100  access_denied\n')
    expect(ended.out).toContain('\n  fix      An administrator can add an allow rule')
    expect(ended.out).toContain('\n  page     https://gw.example/errors/POL100\n  request  req_1\n')
    expectSilence(ended)
    expect(JSON.parse((await token(['tasks', '--token', '-', '--json'])).out)).toMatchObject({
      ok: false,
      refusal: {
        code: 'POL100',
        error: 'access_denied',
        request_id: 'req_1',
        page: 'https://gw.example/errors/POL100',
      },
    })
  })

  it.each([
    [
      'an outage behind the gateway',
      { status: 503, body: { error: 'temporarily_unavailable', error_description: 'IDP110: x' } },
      'IDP110',
    ],
    ['a page', { status: 200, body: 'x', headers: { 'content-type': 'text/html' } }, 'an HTML page'],
    [
      'a redirect',
      { status: 302, headers: { location: 'https://login.example/?CANARY' } },
      'a redirect to "https://login.example/"',
    ],
    ['an answer that is none', { status: 200, body: {} }, 'not as a gateway does'],
  ])('ends with 3 for %s', async (_, wrong, words) => {
    answer = wrong
    const { code, out, err } = await token(['tasks', '--token', '-'])
    expect(code).toBe(3)
    expect(out + err).toContain(words)
    expect(out + err).not.toContain('CANARY')
  })

  it('ends with 3 where nobody listens', async () => {
    expect(await token(['tasks', '--token', '-', '--url', 'http://127.0.0.1:9'])).toMatchObject({ code: 3, out: '' })
  })

  it.each([
    ['no resource', [], CLIENT, 'Missing required positional argument'],
    ['two', ['a', 'b', '--token', '-'], CLIENT, 'token takes one resource'],
    ['no client', ['tasks', '--token', '-', '--url', 'https://gw.example'], {}, 'nothing says which client is calling'],
    [
      'no credential',
      ['tasks', '--token', '-', '--url', 'https://gw.example'],
      { JAGWAY_CLIENT_ID: 'bot' },
      'the client has no credential',
    ],
    ['no user', ['tasks', '--url', 'https://gw.example'], CLIENT, 'nothing says whose token this is for'],
    [
      'a user of another world',
      ['tasks', '--as', 'ann', '--url', 'https://gw.example'],
      CLIENT,
      '--as works with the local world only',
    ],
    [
      'http elsewhere',
      ['tasks', '--token', '-', '--url', 'http://gw.example'],
      CLIENT,
      'over http to this machine only',
    ],
  ])('ends with 2 for %s', async (_, args, env, words) => {
    const ended = await token(args, env)
    expect(ended).toMatchObject({ code: 2, out: '', err: expect.stringContaining(words) })
    expectSilence(ended)
    expect(seen).toEqual([])
  })
})
