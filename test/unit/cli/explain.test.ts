// `jagway explain` as it is run: what it prints for codes, requests and tokens, offline and of a gateway.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestKey, idTokenClaims, mint } from '../../support/keys.ts'
import { EXAMPLE } from '../config/example.ts'

const PROGRAM = join(import.meta.dirname, '../../../src/cli/jagway.ts')
const key = await createTestKey('idp-1')

const RULES = [
  {
    id: 'eng-tasks',
    effect: 'allow',
    who: { groups: ['engineering'], clients: ['bot'] },
    resources: ['tasks'],
    scopes: ['read'],
  },
  {
    id: 'support-tasks',
    effect: 'allow',
    who: { groups: ['support'] },
    resources: ['tasks'],
    rate: { binding: 'SUPPORT_LIMIT', limit: 30, period: '60s' },
  },
  { id: 'no-contractors', effect: 'deny', who: { groups: ['contractors'] }, methods: ['DELETE'] },
  { id: 'no-interns', effect: 'deny', who: { claims: { kind: ['intern'] } } },
  { id: 'strong', effect: 'allow', who: { groups: ['ops'], acr: ['urn:phr'], max_auth_age: '5m' } },
]

function fileWith(idp: object): string {
  const file = JSON.parse(EXAMPLE)
  Object.assign(file.idps.main, { claims: { groups: 'groups' }, id_token: { algorithms: ['ES256'] } }, idp)
  file.policy.rules = RULES
  return JSON.stringify(file)
}

interface Run {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jagway-explain-'))
  await writeFile(join(folder, 'jagway.jsonc'), fileWith({}))
  await writeFile(join(folder, 'static.jsonc'), fileWith({ jwks: { keys: [key.publicJwk] } }))
  await writeFile(join(folder, 'broken.jsonc'), EXAMPLE.replace('"allow"', '"alow"'))
})
afterAll(() => rm(folder, { recursive: true }))

async function explain(args: readonly string[], input = '', env: Record<string, string> = {}): Promise<Run> {
  const child = spawn(process.execPath, [PROGRAM, 'explain', ...args], { cwd: folder, env: { ...process.env, ...env } })
  child.stdin.end(input)
  const [out, err, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((done) => child.once('close', done)),
  ])
  return { code, out, err }
}

describe('jagway explain CODE', () => {
  test('prints the page of a refusal, and of a problem of the file', async () => {
    const page = await explain(['pol101'])
    expect(page).toMatchObject({ code: 0, err: '' })
    expect(page.out).toBe(await readFile(join(import.meta.dirname, '../../../docs/errors/POL101.md'), 'utf8'))
    for (const code of ['CFG115', 'CFG201'])
      expect((await explain([code.toLowerCase()])).out).toBe(
        await readFile(join(import.meta.dirname, `../../../docs/errors/${code}.md`), 'utf8'),
      )
    expect(JSON.parse((await explain(['CFG113', '--json'])).out)).toMatchObject({
      code: 'CFG113',
      says: 'a secret has no value here',
      fix: expect.stringContaining('wrangler secret put NAME'),
    })
    expect((await explain(['doc108'])).out).toContain('a server refuses our credential: jagway doctor shows the place')
    expect(JSON.parse((await explain(['RAS101', '--json'])).out)).toMatchObject({
      code: 'RAS101',
      says: expect.any(String),
    })
  })

  test('guesses at what was meant', async () => {
    expect(await explain(['POL1001'])).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('did you mean "POL100"?'),
    })
  })
})

describe('jagway explain REQUEST', () => {
  test('prints the decision, and for each rule the condition that failed', async () => {
    const run = await explain([
      'DELETE tasks /v1/todos/7',
      '--as',
      'bo',
      '--groups',
      'support,contractors',
      '--client',
      'people',
    ])
    expect(run).toEqual({
      code: 0,
      err: '',
      out: `DENY  DELETE tasks /v1/todos/7  as bo [support, contractors] via people      decided by no-contractors
  ○ eng-tasks       allow  client is people, rule has bot
  ● support-tasks   allow  every condition holds
  ● no-contractors  deny   every condition holds
  ○ no-interns      deny   claim kind is not there, rule has "intern"
  ○ strong          allow  groups are support, contractors, rule has ops
`,
    })
  })

  test('prints what would follow: of whom what would be asked, and under which parts it would be kept', async () => {
    const { code, out } = await explain([
      'GET tasks /v1',
      '--as',
      'main/bo',
      '--groups',
      'support',
      '--client',
      'people',
    ])
    expect(code).toBe(0)
    for (const line of [
      'ALLOW  GET tasks /v1  as bo [support] via people      allowed by support-tasks, at most 30 times in 60 s',
      '  exchange  at main (token endpoint by discovery) as main/gateway (gw)',
      '            audience=https://as.tasks.example',
      '            scope=read write',
      '  redeem    at https://as.tasks.example (token endpoint by discovery) as gw-at-tasks',
      '  keep      until the token ends, at most 3600 s, under',
      '            subject bo',
      '  forward   GET https://api.tasks.example/v1',
    ])
      expect(out.split('\n')).toContain(line)
  })

  test('says what another login would have to be, and what cannot be judged', async () => {
    const ops = ['--as', 'bo', '--groups', 'ops', '--client', 'people']
    const weak = await explain(['GET tasks /v1', ...ops, '--acr', 'urn:pwd', '--auth-age', '10'])
    expect(weak.out).toContain('POL103: strong wants another login (acr_values urn:phr, max_age 300)')
    expect(weak.out).toContain('acr is urn:pwd, rule has urn:phr')
    const odd = await explain(['GET tasks /v1', ...ops, '--claims', '{"kind":{"of":"intern"}}'])
    expect(odd.out).toContain('DENY')
    expect(odd.out).toContain(
      'claim kind is neither text, number, true nor false: another type than "intern", so it cannot be judged',
    )
  })

  test('prints the same as JSON', async () => {
    const { out } = await explain([
      'TOKEN tasks read',
      '--as',
      'bo',
      '--groups',
      'engineering',
      '--client',
      'bot',
      '--json',
    ])
    expect(JSON.parse(out)).toMatchObject({
      request: 'TOKEN tasks read',
      as: { user: 'bo', groups: ['engineering'], client: 'bot' },
      decision: 'allow',
      rule: 'eng-tasks',
      chain: { exchange: { parameters: { scope: 'read' } } },
    })
  })

  test.each<[string, readonly string[], number, string]>([
    ['nobody', ['GET tasks /v1'], 2, 'say who asks'],
    ['no client', ['GET tasks /v1', '--as', 'bo'], 2, 'through which client'],
    ['an unknown client', ['GET tasks /v1', '--as', 'bo', '--client', 'x'], 2, '--client names no configured client'],
    ['an unknown resource', ['GET mail /v1', '--as', 'bo', '--client', 'bot'], 2, 'names no configured resource'],
    ['no request', ['GET tasks', '--as', 'bo', '--client', 'bot'], 2, 'is expected here'],
    [
      'claims that are no object',
      ['GET tasks /', '--as', 'bo', '--client', 'bot', '--claims', '[]'],
      2,
      'a JSON object',
    ],
    [
      'a broken file',
      ['GET tasks /', '--as', 'bo', '--client', 'bot', '--config', 'broken.jsonc'],
      1,
      'broken.jsonc:27:32 error CFG104',
    ],
    ['no file', ['GET tasks /', '--as', 'bo', '--client', 'bot', '--config', 'nowhere.jsonc'], 2, 'there is no file'],
    ['a token on the command line', ['GET tasks /', '--token', 'abc'], 2, '--token takes only -'],
  ])('ends with a word about %s', async (_what, args, code, words) => {
    expect(await explain(args)).toMatchObject({ code, out: '', err: expect.stringContaining(words) })
  })
})

describe('jagway explain --token -', () => {
  const now = Math.floor(Date.now() / 1000)
  const token = (changes: object = {}) =>
    mint(key, { ...idTokenClaims(now, 'https://idp.example', 'gw'), groups: ['support'], ...changes })

  test('asks as the user of the token, and says that nobody looked at the signature', async () => {
    const run = await explain(['GET tasks /v1', '--token', '-'], await token())
    expect(run.code).toBe(0)
    expect(run.out).toContain('ALLOW  GET tasks /v1  as alice [support] via people')
    expect(run.err).toContain('the signature was not checked')
  })

  test('checks the signature where the keys stand in the file', async () => {
    const run = await explain(['GET tasks /v1', '--token', '-', '--config', 'static.jsonc'], await token())
    expect(run).toMatchObject({ code: 0, err: '' })
    const forged = await mint(await createTestKey('idp-1'), { ...idTokenClaims(now, 'https://idp.example', 'gw') })
    const refused = await explain(['GET tasks /v1', '--token', '-', '--config', 'static.jsonc'], forged)
    expect(refused).toMatchObject({ code: 1, out: '', err: expect.stringContaining('TOK102') })
  })

  test('goes on with a token that is too old, and says so', async () => {
    const run = await explain(['GET tasks /v1', '--token', '-'], await token({ iat: now - 9000, exp: now - 8000 }))
    expect(run).toMatchObject({ code: 0, out: expect.stringContaining('ALLOW') })
    expect(run.err).toContain('a gateway would refuse this token: TOK103')
  })

  test('refuses what is no ID token of this configuration, and repeats no token', async () => {
    for (const [changes, code] of [
      [{ aud: 'somebody-else' }, 'TOK104'],
      [{ iss: 'https://evil.example' }, 'TOK102'],
      [{ scope: 'x' }, 'TOK105'],
    ] as const) {
      const given = await token(changes)
      const run = await explain(['GET tasks /v1', '--token', '-'], given)
      expect(run).toMatchObject({ code: 1, out: '', err: expect.stringContaining(code) })
      expect(run.err).not.toContain(given.split('.')[1])
    }
  })
})

describe('jagway explain --url', () => {
  let server: Server
  let url = ''
  const seen: {
    readonly path: string | undefined
    readonly authorization: string | undefined
    readonly body: unknown
  }[] = []
  beforeAll(async () => {
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const { url: path, headers } = request
      seen.push({ path, authorization: headers.authorization, body: JSON.parse(await text(request)) })
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify({
          decision: 'deny',
          reason: 'blocked',
          code: 'POL110',
          scopes: [],
          shadow: [],
          rules: [],
          more: 1,
        }),
      )
    }
    server = createServer((request, response) => void answer(request, response))
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const address = server.address()
    url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  })
  afterAll(() => new Promise((done) => server.close(done)))

  test('asks the gateway with the token of the administrator, and reads no file', async () => {
    const args = ['GET tasks /v1', '--as', 'bo', '--client', 'bot', '--config', 'nowhere.jsonc', '--url', url]
    const run = await explain(args, '', { JAGWAY_ADMIN_TOKEN: 'admin.id.token' })
    expect(run).toMatchObject({ code: 0, err: '' })
    expect(run.out).toContain('POL110: access has been blocked by an administrator')
    expect(seen).toEqual([
      {
        path: '/admin/api/explain',
        authorization: 'Bearer admin.id.token',
        body: { request: 'GET tasks /v1', as: { user: 'bo', client: 'bot' } },
      },
    ])
  })
})
