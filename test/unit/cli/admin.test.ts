// `jagway connections`, `decisions`, `rules`, `revoke`, `block` and `unblock`, as a process: what they send, what they print, how
// they end. The gateway is a server that records; test/e2e/revocation.test.ts runs the same program against a real one.

import { execFile } from 'node:child_process'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

const PROGRAM = fileURLToPath(new URL('../../../src/cli/jagway.ts', import.meta.url))
const TOKEN = 'eyJhbGciOiJSUzI1NiJ9.CANARY.signature'

type Seen = {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: unknown
}
type Answer = { readonly status: number; readonly body?: unknown; readonly headers?: Record<string, string> }

let server: Server
let url: string
let seen: Seen[]
let answers: (request: Seen) => Answer

beforeAll(async () => {
  server = createServer((request, response) => {
    void record(request, response)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
})

async function record(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request)
  const { method = '', url: path = '', headers } = request
  const entry: Seen = { method, url: path, headers, body: body === '' ? undefined : JSON.parse(body) }
  seen.push(entry)
  const { status, body: answer, headers: more } = answers(entry)
  response.writeHead(status, { 'content-type': 'application/json', ...more })
  response.end(answer === undefined ? undefined : JSON.stringify(answer))
}

afterAll(async () => {
  await new Promise((done) => server.close(done))
})

beforeEach(() => {
  seen = []
  answers = () => ({ status: 500 })
})

type Ended = { readonly code: number; readonly out: string; readonly err: string }

function jagway(
  args: readonly string[],
  env: Record<string, string> = { JAGWAY_ADMIN_TOKEN: TOKEN },
  input = '',
): Promise<Ended> {
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [PROGRAM, ...args],
      { env: { PATH: process.env['PATH'], JAGWAY_URL: url, ...env } },
      (error, out, err) => {
        done({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err })
      },
    )
    child.stdin?.end(input)
  })
}

const CONNECTION = {
  user: { idp: 'dev', issuer: 'https://idp.example', sub: 'ann' },
  client: 'people',
  resource: 'tasks',
  scopes: ['todos.read', 'todos.write'],
  first_issued_at: '2026-11-22T09:00:00.000Z',
  last_issued_at: '2026-11-22T09:10:00.000Z',
  expires_at: '2026-11-22T10:10:00.000Z',
  count: 2,
}

function receipt(connections: readonly object[], more: object = {}) {
  return {
    id: 'cutoff_1',
    dry_run: false,
    selector: { user: 'ann' },
    before: '2026-11-22T09:30:00.000Z',
    effective_by: '2026-11-22T09:30:10.000Z',
    sign_ins_ended: true,
    connections_known: true,
    connections,
    more: false,
    counts: { connections: connections.length },
    ...more,
  }
}

describe('connections', () => {
  test('lists them, and sends the selectors and the token', async () => {
    answers = () => ({ status: 200, body: { connections: [{ ...CONNECTION, status: 'active' }], more: true } })
    const { code, out, err } = await jagway(['connections', '--user', 'a/b&c', '--resource', 'tasks', '--limit', '1'])
    expect([code, err]).toEqual([0, ''])
    expect(out.split('\n').slice(0, 3)).toEqual([
      'USER     CLIENT  RESOURCE  SCOPES                  LAST ISSUED               EXPIRES                   TOKENS  STATUS',
      'dev/ann  people  tasks     todos.read todos.write  2026-11-22T09:10:00.000Z  2026-11-22T10:10:00.000Z  2       active',
      'there are more: narrow it down, or give --limit',
    ])
    expect(seen).toMatchObject([
      {
        method: 'GET',
        url: '/admin/api/connections?user=a%2Fb%26c&resource=tasks&limit=1',
        headers: { authorization: `Bearer ${TOKEN}` },
      },
    ])
    expect(seen[0]?.headers).not.toHaveProperty('content-type')
  })

  test('prints the answer itself with --json', async () => {
    answers = () => ({ status: 200, body: { connections: [], more: false } })
    expect(JSON.parse((await jagway(['connections', '--json'])).out)).toEqual({ connections: [], more: false })
  })

  test('obeys nothing that stands in a name', async () => {
    const odd = { ...CONNECTION, user: { ...CONNECTION.user, sub: 'a\u001B[2Jnn\u202E' }, status: 'active' }
    answers = () => ({ status: 200, body: { connections: [odd], more: false } })
    expect((await jagway(['connections'])).out).toContain('dev/a?[2Jnn?  ')
  })
})

describe('decisions', () => {
  const DECISION = {
    id: 'req_1',
    time: '2026-11-22T09:10:00.000Z',
    event: 'policy.decide',
    outcome: 'deny',
    code: 'POL101',
    user: { issuer: 'https://idp.example', sub: 'a\u001Bnn' },
    client: 'people',
    resource: 'tasks',
    rule: 'no-interns',
    ms: 3,
  }

  test('shows them with who, what and why, says how to go on, and obeys nothing that stands in a name', async () => {
    const { user: _user, client: _client, resource: _resource, rule: _rule, code: _code, ...bare } = DECISION
    const nobody = { ...bare, event: 'subject.verify' }
    answers = () => ({ status: 200, body: { decisions: [DECISION, nobody], more: true, next: 'a_req_1' } })
    const { code, out, err } = await jagway(['decisions', '--client', 'people', '--outcome', 'deny', '--before', 'x_y'])
    expect([code, err]).toEqual([0, ''])
    expect(out.split('\n').map((line) => line.trimEnd())).toEqual([
      'TIME                      OUTCOME  CODE    USER  CLIENT  RESOURCE  RULE        EVENT           REQUEST',
      '2026-11-22T09:10:00.000Z  deny     POL101  a?nn  people  tasks     no-interns  policy.decide   req_1',
      '2026-11-22T09:10:00.000Z  deny     -       -     -       -         -           subject.verify  req_1',
      'there are more: --before a_req_1',
      '',
    ])
    expect(seen[0]?.url).toBe('/admin/api/decisions?client=people&outcome=deny&before=x_y')
  })

  test('says so where there are none, prints the answer with --json, and takes no provider', async () => {
    answers = () => ({ status: 200, body: { decisions: [], more: false } })
    const none = async (...more: string[]) => (await jagway(['decisions', ...more])).out
    expect(await none()).toBe('no decisions are kept\n')
    expect(await none('--before', 'x_y')).toBe('no earlier decisions are kept\n')
    const asked = ['--user', 'ann', '--outcome', 'deny']
    expect(await none(...asked)).toBe('no decisions are kept for user ann, outcome deny\n')
    expect(JSON.parse((await jagway(['decisions', '--json'])).out)).toEqual({ decisions: [], more: false })
    expect((await jagway(['decisions', '--idp', 'dev'])).code).toBe(2)
  })
})

describe('rules', () => {
  const rules = [
    { id: 'all', effect: 'allow', hits: 12, last_hit: '2026-11-22T09:10:00.000Z' },
    { id: 'no-interns', effect: 'deny', hits: 0 },
  ]

  test('shows how often each has decided, which never did, and since when that is known', async () => {
    answers = () => ({ status: 200, body: { days: 30, counted_since: '2026-11-01T00:00:00.000Z', rules } })
    const { code, out } = await jagway(['rules', '--days', '30'])
    expect(code).toBe(0)
    expect(out.split('\n').map((line) => line.trimEnd())).toEqual([
      'RULE        EFFECT  HITS  LAST HIT',
      'all         allow   12    2026-11-22T09:10:00.000Z',
      'no-interns  deny    0     never',
      'counted since 2026-11-01T00:00:00.000Z',
      '',
    ])
    expect(seen[0]?.url).toBe('/admin/api/rules?days=30')
  })

  test('says so where nothing has been counted, and prints the answer with --json', async () => {
    answers = () => ({ status: 200, body: { days: 90, rules } })
    expect((await jagway(['rules'])).out).toContain('nothing has been counted yet')
    expect(JSON.parse((await jagway(['rules', '--json'])).out)).toEqual({ days: 90, rules })
  })
})

describe('revoke', () => {
  const live = { ...CONNECTION, token_expires_at: '2026-11-22T10:10:00.000Z' }
  const dryOr =
    (connections: readonly object[], done: object, alive = connections.length) =>
    (request: Seen) => {
      const { body } = request
      const dry = typeof body === 'object' && body !== null && 'dry_run' in body
      return {
        status: 200,
        body: dry ? receipt(connections, { id: undefined, dry_run: true, counts: { connections: alive } }) : done,
      }
    }

  test('shows what it would hit, and does nothing, where that is more than one connection', async () => {
    answers = dryOr([live, { ...live, resource: 'notes' }], {})
    const { code, out, err } = await jagway(['revoke', '--user', 'ann'])
    expect(code).toBe(1)
    expect(out).toContain('would revoke  user ann\n')
    expect(out).toContain('2 connections were alive')
    expect(err).toBe('nothing has been done: give --yes to do it\n')
    expect(seen.map(({ body }) => body)).toEqual([{ user: 'ann', dry_run: true }])
  })

  test('does it where that is one, and says what became of the token', async () => {
    answers = dryOr(
      [live],
      receipt([{ ...live, authorization_server: 'revoked' }], { counts: { connections: 1, revoked: 1 } }),
    )
    const { code, out } = await jagway(['revoke', '--user', 'ann', '--before', '2026-11-22T09:30:00Z'])
    expect(code).toBe(0)
    expect(out.split('\n')).toEqual([
      'revoked  user ann  (cutoff_1)',
      '  tokens obtained up to 2026-11-22T09:30:00.000Z are dead',
      '  from 2026-11-22T09:30:10.000Z on no gateway uses them',
      '  sign-ins from before are over as well: whoever is meant has to sign in again',
      '  1 connection was alive',
      '     dev/ann  people  tasks  token revoked at its authorization server',
      '',
    ])
    const before = '2026-11-22T09:30:00Z'
    expect(seen.map(({ body }) => body)).toEqual([
      { user: 'ann', before, dry_run: true },
      { user: 'ann', before },
    ])
    expect(seen[1]?.headers['content-type']).toBe('application/json')
  })

  test('does it without looking with --yes, and ends with 1 where a token could not be revoked', async () => {
    answers = dryOr(
      [],
      receipt([{ ...live, authorization_server: 'failed' }], { counts: { connections: 1, failed: 1 } }),
    )
    const { code, out } = await jagway(['revoke', '--client', 'people', '--yes'])
    expect(code).toBe(1)
    expect(out).toContain(
      'could not be told; run this again to try once more; whoever has the token may use it until 2026',
    )
    expect(seen.map(({ body }) => body)).toEqual([{ client: 'people' }])
  })

  test('says until when tokens may live that it had before, and does not count what has ended here already', async () => {
    const lost = { ...live, resource: 'notes', authorization_server: 'not_held' }
    const hit = { ...live, authorization_server: 'revoked', earlier_tokens_expire_at: '2026-11-22T10:05:00.000Z' }
    answers = dryOr([live, lost], receipt([hit, lost], { counts: { connections: 1, revoked: 1, not_held: 1 } }), 1)
    const { code, out } = await jagway(['revoke', '--user', 'ann'])
    expect([code, seen.length]).toEqual([0, 2])
    expect(out).toContain(
      'token revoked at its authorization server; tokens it had before may live until 2026-11-22T10:05:00.000Z\n',
    )
    expect(out).toContain('no token is held here any more; whoever has the token may use it until 2026')
  })

  test.each([
    ['a user without connections is cut off at once', ['--user', 'ann'], 2, 0],
    ['a client without connections is not, for it may have users who are signed in', ['--client', 'people'], 1, 1],
  ])('%s', async (_what, args, requests, exit) => {
    answers = dryOr([], receipt([]))
    expect((await jagway(['revoke', ...args])).code).toBe(exit)
    expect(seen).toHaveLength(requests)
  })

  test('does not do it where the connections cannot be told', async () => {
    answers = () => ({ status: 200, body: receipt([], { dry_run: true, connections_known: false }) })
    const { code, out } = await jagway(['revoke', '--user', 'ann'])
    expect([code, seen.length]).toEqual([1, 1])
    expect(out).toContain('could not be told; it holds all the same')
  })

  test('wants to be told whom', async () => {
    expect(await jagway(['revoke', '--yes'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('at least one of'),
    })
    expect(seen).toEqual([])
  })
})

describe('block and unblock', () => {
  test('block, list and lift', async () => {
    const effective_by = '2026-11-22T09:30:10.000Z'
    answers = ({ method }) => {
      if (method === 'POST') return { status: 201, body: { id: 'block_1', selector: { user: 'ann' }, effective_by } }
      if (method === 'DELETE') return { status: 204 }
      return {
        status: 200,
        body: { cutoffs: [], blocks: [{ id: 'block_1', selector: { user: 'ann', client: 'people' } }] },
      }
    }
    const made = await jagway(['block', '--user', 'ann', '--until', '2026-11-23T00:00:00Z'])
    expect(made).toMatchObject({ code: 0, out: expect.stringContaining('to lift it: jagway unblock block_1') })
    expect(await jagway(['unblock'])).toMatchObject({ code: 0, out: 'block_1  user ann, client people\n' })
    expect(await jagway(['unblock', 'block_1'])).toMatchObject({ code: 0, out: 'lifted  block_1\n' })
    expect(seen).toMatchObject([
      { method: 'POST', url: '/admin/api/blocks', body: { user: 'ann', until: '2026-11-23T00:00:00Z' } },
      { method: 'GET', url: '/admin/api/revocations' },
      { method: 'DELETE', url: '/admin/api/blocks/block_1', headers: { 'content-type': 'application/json' } },
    ])
  })

  test('a block of more than one user wants --yes', async () => {
    expect(await jagway(['block', '--client', 'people'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('--yes'),
    })
    expect(seen).toEqual([])
  })
})

describe('whose token it is', () => {
  test('is read from standard input, never from the command line', async () => {
    answers = () => ({ status: 200, body: { connections: [], more: false } })
    expect(await jagway(['connections', '--token', '-'], {}, `${TOKEN}\n`)).toMatchObject({ code: 0 })
    expect(seen[0]?.headers.authorization).toBe(`Bearer ${TOKEN}`)
    for (const args of [['--token', TOKEN], [`--token=${TOKEN}`]]) {
      const { code, err } = await jagway(['connections', ...args], {})
      expect(code).toBe(2)
      expect(err).not.toContain('CANARY')
    }
    expect(seen).toHaveLength(1)
  })

  test('may be one of Cloudflare Access', async () => {
    answers = () => ({ status: 200, body: { connections: [], more: false } })
    await jagway(['connections'], { JAGWAY_ACCESS_JWT: TOKEN })
    expect(seen[0]?.headers).toMatchObject({ 'cf-access-token': TOKEN, 'cf-access-jwt-assertion': TOKEN })
    expect(seen[0]?.headers).not.toHaveProperty('authorization')
  })

  test.each<[string, readonly string[], Record<string, string>, string]>([
    ['nothing at all', [], {}, 'nothing says who you are'],
    ['an empty input', ['--token', '-'], {}, 'no token on standard input'],
    ['two lines', [], { JAGWAY_ADMIN_TOKEN: 'a\nb' }, 'does not hold one token'],
    ['both ways', ['--token', '-', '--as', 'ann'], {}, 'do not go together'],
    ['http to another machine', ['--url', 'http://gw.example'], { JAGWAY_ADMIN_TOKEN: TOKEN }, 'write https'],
    ['no address', ['--url', 'gw.example'], { JAGWAY_ADMIN_TOKEN: TOKEN }, 'wants the address'],
    ['the local world elsewhere', ['--url', 'https://gw.example', '--as', 'ann'], {}, 'local world only'],
    ['a misspelt option', ['--usr', 'ann'], { JAGWAY_ADMIN_TOKEN: TOKEN }, 'there is no option --usr'],
  ])('is refused with %s, before anything is sent', async (_what, args, env, message) => {
    const { code, err } = await jagway(['connections', ...args], env)
    expect([code, err]).toEqual([2, expect.stringContaining(message)])
    expect(seen).toEqual([])
  })
})

describe('an answer', () => {
  const problem = (status: number, code: string) => ({
    status,
    body: { code, detail: `${code}: something. Do something.`, request_id: 'req_1' },
  })

  test.each<[string, Answer, number, string]>([
    ['a refusal', problem(403, 'ADM102'), 1, 'ADM102: something. Do something. (req_1)\n'],
    ['an outage', problem(503, 'INT102'), 3, 'INT102: something'],
    ['no administration', problem(404, 'CLI106'), 1, 'has no administration'],
    ['a login page', { status: 302, headers: { location: 'https://evil.example/' } }, 3, 'JAGWAY_ACCESS_JWT'],
    ['something else', { status: 200, body: 'hello' }, 1, 'does not understand'],
    ['a page', { status: 502 }, 3, 'answers 502, and not as a gateway does'],
  ])('that is %s ends the program with its code and words', async (_what, answer, exit, message) => {
    answers = () => answer
    const { code, err } = await jagway(['connections'])
    expect([code, err]).toEqual([exit, expect.stringContaining(message)])
    expect(seen).toHaveLength(1)
  })

  test('that never comes says so', async () => {
    const { code, err } = await jagway(['connections', '--url', 'http://127.0.0.1:9'])
    expect([code, err]).toEqual([3, expect.stringContaining('cannot reach http://127.0.0.1:9')])
  })
})
