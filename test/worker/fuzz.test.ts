// Two thousand requests that nobody thought of, against the built Worker: broken tokens, odd claims, paths, token requests and
// headers. What must hold for every one of them is said here; the bad-input catalogue says what must hold for one in
// particular. The seed is printed; FUZZ_SEED=n brings the same requests again.
import { randomInt } from 'node:crypto'
import process from 'node:process'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { expectNothingSent } from '../support/refusals.ts'
import { openStage, TOKEN_EXCHANGE, TOKEN_TYPE, type Answer, type Stage } from '../support/stage.ts'

const SEED = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31 - 1))
console.log(`fuzz: FUZZ_SEED=${SEED}`)

/** RFC 6749 section 5.2, RFC 8693, RFC 8707, RFC 9396 and RFC 9449. */
const OAUTH_ERRORS = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
  'invalid_dpop_proof',
  'invalid_authorization_details',
]

let stage: Stage
let token: string

beforeAll(async () => {
  stage = await openStage()
  token = await stage.world.corp.idToken()
})

afterAll(() => stage.close())

beforeEach(() => stage.world.calm())

/** Some of what an arbitrary can make, the same for the same seed. */
function some<T>(arbitrary: fc.Arbitrary<T>, count: number): T[] {
  return fc.sample(arbitrary, { seed: SEED, numRuns: count })
}

/** One after the other, each on a quiet world; what failed is told with what was sent. */
async function each<T>(cases: readonly T[], run: (one: T) => Promise<void>): Promise<void> {
  for (const one of cases) {
    stage.world.calm()
    try {
      await run(one)
    } catch (error) {
      throw new Error(`FUZZ_SEED=${SEED}: ${JSON.stringify(one)}`, { cause: error })
    }
  }
}

/** A refusal as callers of resources know it, and nobody else has heard of the request. */
function expectRefused(answer: Answer): void {
  expect([400, 401, 403, 404, 405, 413, 414, 431]).toContain(answer.status)
  expect(answer.headers['content-type']).toBe('application/problem+json')
  expectNothingSent(stage)
}

const anyUnit = fc.oneof(
  fc.constantFrom(...Array.from('ABCabc019-_.=+/%&;:#"\'\\{}[] \t'), '..', '%00', 'é', '\u{FEFF}'),
  fc.string({ minLength: 1, maxLength: 3, unit: 'binary-ascii' }),
)

const edit = fc.tuple(fc.constantFrom('set', 'insert', 'remove', 'cut', 'double'), fc.nat(), anyUnit)

function edited(text: string, edits: readonly (readonly [string, number, string])[]): string {
  return edits.reduce((whole, [how, place, unit]) => {
    const at = place % (whole.length + 1)
    const [before, after] = [whole.slice(0, at), whole.slice(at)]
    switch (how) {
      case 'set':
        return before + unit + after.slice(1)
      case 'insert':
        return before + unit + after
      case 'remove':
        return before + after.slice(1)
      case 'cut':
        return before
      default:
        return before + after.slice(0, 7) + after
    }
  }, text)
}

/** What Node's client can send as the value of a header, without spaces around it. */
function isFieldValue(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text) && text.trim() === text
}

test('600 ID tokens that were changed on the way', { timeout: 60_000 }, async () => {
  const cases = some(fc.array(edit, { minLength: 1, maxLength: 4 }), 600)
  let tried = 0
  await each(cases, async (edits) => {
    const changed = edited(token, edits)
    if (changed === token || !isFieldValue(changed)) return
    tried++
    expectRefused(await stage.ask({ headers: { authorization: `Bearer ${changed}` } }))
  })
  expect(tried).toBeGreaterThan(300)
})

const claimName = fc.constantFrom(
  'iss',
  'sub',
  'aud',
  'azp',
  'exp',
  'iat',
  'nbf',
  'jti',
  'nonce',
  'auth_time',
  'groups',
  'tenant',
  'acr',
  'amr',
)
const headerName = fc.constantFrom('alg', 'kid', 'typ', 'cty', 'crit', 'jwk', 'jku', 'x5u', 'x5c', 'zip', 'b64', 'enc')
const now = Math.floor(Date.now() / 1000)
const claimValue = fc.oneof(
  fc.constantFrom(null, '', 0, -1, 1e308, true, [], {}, [null], '*', 'gw', ['gw', 'x'], now, now + 100, now - 1e6),
  fc.jsonValue({ maxDepth: 2 }),
)

test('400 ID tokens with claims that their issuer has really signed', { timeout: 60_000 }, async () => {
  const claims = fc.dictionary(claimName, claimValue, { minKeys: 1, maxKeys: 3, noNullPrototype: true })
  const header = fc.dictionary(headerName, claimValue, { maxKeys: 1, noNullPrototype: true })
  await each(some(fc.tuple(claims, header), 400), async ([changes, more]) => {
    const signed = await stage.world.corp.idToken(changes, more)
    const answer = await stage.ask({ token: signed })
    if (answer.status !== 200) {
      expectRefused(answer)
      return
    }
    // Then it was one of ours all the same: for our client, not expired, and of the user it names.
    const { aud = 'gw', exp = now + 1, sub = 'ann' } = { ...changes }
    expect([aud].flat()).toContain('gw')
    expect(exp).toBeGreaterThan(now - 60)
    expect(typeof sub).toBe('string')
    expect(stage.world.legs()).toEqual({ exchanges: expect.any(Number), redemptions: expect.any(Number) })
    expect(stage.world.forwarded()).toBe(1)
  })
})

const segment = fc.oneof(
  fc.constantFrom('..', '.', '...', '%2e%2e', '%2E', '.%2e', '..;', '..%00', '..%2f', '..%5c', '%252e%252e', '%c0%ae'),
  fc.constantFrom(';x', '', '%2f', '%5c', '%00', '%0a', '%20', '~', 'secrets', 'SECRETS', '%73ecrets', 'secrets;', '*'),
  fc.constantFrom('v1', 'todos', '@evil', ':80', '%', '%zz', '%3f', '%23', '%25', '$', '&', '=', '+', ',', "'", '('),
  fc.stringMatching(/^[!-~]{0,6}$/),
)
const path = fc
  .tuple(
    fc.constantFrom('/v1', '/', '//', '/v1/', '/V1', '/./v1', '/v1//', '/v1/secrets'),
    fc.array(segment, { maxLength: 6 }),
    fc.option(fc.stringMatching(/^[!-~]{0,8}$/)),
  )
  .map(([start, segments, query]) => `${[start, ...segments].join('/')}${query === null ? '' : `?${query}`}`)

test(
  '400 paths: whatever arrives was asked for, byte by byte, and lies where people may go',
  { timeout: 60_000 },
  async () => {
    await each(some(path, 400), async (tried) => {
      const { href } = new URL(`http://x/r/tasks${tried}`)
      // Node's client takes dot segments out itself; who leaves the resource by them asks for something else.
      if (!/^http:\/\/x\/r\/tasks(?:[/?#]|$)/.test(href)) return
      const answer = await stage.ask({ token, path: `/r/tasks${tried}` })
      expect(answer.status).toBeLessThan(500)
      const { requests } = stage.world.tasks.api
      if (requests.length === 0) return
      const [sent] = href.slice('http://x/r/tasks'.length).split('#')
      // An empty query is none; a question mark at the end of another is a part of it.
      expect(requests.map((request) => request.path)).toEqual([sent?.replace(/^([^?]*)\?$/, '$1')])
      expect(decodeURIComponent(stage.world.tasks.api.last.path.split('?')[0] ?? '')).toMatch(
        /^\/v1(?:\/|$)(?!secrets(?:\/|$))(?!.*(?:\/\.{1,2}(?:\/|$)|\/\/|[;\\%]))/,
      )
    })
  },
)

const parameter = fc.constantFrom(
  'grant_type',
  'subject_token',
  'subject_token_type',
  'requested_token_type',
  'resource',
  'audience',
  'scope',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'actor_token',
  'actor_token_type',
  'assertion',
  'refresh_token',
  'code',
  'authorization_details',
  '__proto__',
  'a[]',
  'A',
  '',
)
const parameterValue = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    'x',
    'null',
    TOKEN_EXCHANGE,
    `${TOKEN_TYPE}id_token`,
    `${TOKEN_TYPE}saml2`,
    'read',
    'read write',
  ),
  fc.constantFrom(
    'admin',
    '*',
    '\0',
    '\r\nX: y',
    '%00',
    '../..',
    'a'.repeat(5_000),
    '{"$ne":null}',
    '[{"type":"list"}]',
  ),
  fc.string({ unit: 'binary', maxLength: 12 }),
)
const contentType = fc.constantFrom('application/json', 'text/plain', 'multipart/form-data; boundary=b', ',', 'a/b/c')

test('400 token requests: OAuth answers, and a token only for what is allowed', { timeout: 60_000 }, async () => {
  const form = fc.dictionary(
    parameter,
    fc.oneof({ weight: 4, arbitrary: parameterValue }, { weight: 1, arbitrary: fc.constant(undefined) }),
    { minKeys: 1, maxKeys: 3, noNullPrototype: true },
  )
  const tried = fc.record({
    form,
    type: fc.option(contentType, { freq: 6 }),
    client: fc.constantFrom('agent', 'agent', 'agent', 'narrow', 'nobody', 'agent-post'),
  })
  await each(some(tried, 400), async ({ form: fields, type, client }) => {
    const answer = await stage.grant({
      form: fields,
      client,
      headers: type === null ? {} : { 'content-type': type },
    })
    expect(answer.headers['cache-control']).toBe('no-store')
    if (answer.status === 200) {
      expect(client).not.toBe('nobody')
      expect(answer.json).toMatchObject({ token_type: 'Bearer', issued_token_type: `${TOKEN_TYPE}access_token` })
      return
    }
    expect([400, 401, 403, 413]).toContain(answer.status)
    expect(OAUTH_ERRORS).toContain(answer.json['error'])
    expect(stage.world.legs()).toEqual({ exchanges: 0, redemptions: 0 })
  })
})

const fieldName = fc.oneof(
  fc.constantFrom(
    'x-forwarded-for',
    'x-forwarded-user',
    'x-user',
    'forwarded',
    'cookie',
    'cf-connecting-ip',
    'via',
    'te',
  ),
  fc.constantFrom('x-original-url', 'x-http-method-override', 'proxy-authorization', 'x-api-key', 'from', 'expect'),
  fc.constantFrom('accept', 'range', 'origin', 'x-project', 'traceparent', 'tracestate', 'dpop', 'mcp-session-id'),
  fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/),
)
const fieldValue = fc.oneof(
  fc.constantFrom(
    '',
    'x',
    '0',
    'null',
    '*',
    'close',
    'a, b',
    '00-1-1-1',
    'bytes=0-',
    'Bearer x',
    'q"\\',
    'x'.repeat(4_000),
  ),
  fc.stringMatching(/^[!-~]{1,20}$/),
)
/** They are the connection's, or would make another request of this one. */
const NOT_OURS_TO_VARY = new Set(
  'authorization connection content-length transfer-encoding host upgrade keep-alive trailer te expect dpop traceparent content-type'.split(
    ' ',
  ),
)
/** What may cross, and what workerd puts there itself: `pragma` because nothing may be cached, and `cf-worker`. */
const CROSSES =
  /^(?:accept(?:-encoding|-language)?|authorization|cache-control|content-(?:digest|encoding|language|length|type)|host|idempotency-key|if-[a-z-]+|last-event-id|mcp-[a-z0-9-]+|origin|prefer|range|traceparent|tracestate|user-agent|x-project|connection|transfer-encoding|pragma|cf-worker)$/

test('200 sets of headers: nothing crosses that is not on the list', { timeout: 60_000 }, async () => {
  const headers = fc
    .dictionary(fieldName, fieldValue, { minKeys: 1, maxKeys: 5, noNullPrototype: true })
    .map((fields) => Object.fromEntries(Object.entries(fields).filter(([name]) => !NOT_OURS_TO_VARY.has(name))))
  let forwarded = 0
  await each(some(headers, 200), async (fields) => {
    const answer = await stage.ask({ token, headers: fields })
    expect(answer.status).toBeLessThan(500)
    const { requests } = stage.world.tasks.api
    for (const request of requests) {
      forwarded++
      expect(Object.keys(request.headers).filter((name) => !CROSSES.test(name))).toEqual([])
      expect(request.headers['authorization']).not.toContain(token)
    }
  })
  expect(forwarded).toBeGreaterThan(150)
})
