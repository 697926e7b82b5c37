import { describe, expect, test } from 'vitest'
import { call, callForDocument, type CallLimits } from '../../../src/oauth/counterparty.ts'

const LIMITS: CallLimits = { timeoutMs: 40, maxBytes: 100 }
const URL_ASKED = 'https://as.test/token'

type Answerer = (request: Request) => Response | Promise<Response>

async function ask(answer: Answerer, limits = LIMITS): Promise<unknown> {
  const result = await call(
    async (request) => answer(request),
    (send) => send(URL_ASKED, { method: 'POST', body: 'a=b' }),
    limits,
  )
  return result.ok ? { status: result.value.status, body: result.value.body } : result.error
}

function reply(body: BodyInit | null, type: string | null = 'application/json', status = 200): Response {
  const response = new Response(body, { status })
  response.headers.delete('content-type')
  if (type !== null) response.headers.set('content-type', type)
  return response
}

const unusable = (detail: string) => ({ kind: 'unusable', detail })

describe('call()', () => {
  test('makes one request that follows no redirect and can be given up', async () => {
    const asked: Request[] = []
    await ask((request) => {
      asked.push(request)
      return reply('{}')
    })
    expect(asked.map(({ url, method, redirect }) => [url, method, redirect])).toEqual([[URL_ASKED, 'POST', 'manual']])
    expect(asked[0]?.signal).toBeInstanceOf(AbortSignal)
  })

  test.each([
    'application/json',
    'application/json;charset=UTF-8',
    'APPLICATION/JSON',
    'application/jwk-set+json',
    'application/vnd.x.y-1+json; a=b',
  ])('reads an object of %s', async (type) => {
    expect(await ask(() => reply('{"a":1}', type))).toEqual({ status: 200, body: { a: 1 } })
  })

  test.each([
    'text/html',
    'text/json',
    'application/jsonp',
    'application/x-www-form-urlencoded',
    'application/json, text/html',
    null,
  ])('does not believe an answer of %s', async (type) => {
    expect(await ask(() => reply('{"a":1}', type))).toEqual(unusable('a media type other than JSON'))
  })

  test.each([
    ['[]', 'not_an_object'],
    ['"x"', 'not_an_object'],
    ['', 'not_json'],
    ['<html>', 'not_json'],
    ['{"a":1,"a":2}', 'repeated_member'],
    ['{"__proto__":1}', 'forbidden_member'],
    [`{"a":${'['.repeat(20)}${']'.repeat(20)}}`, 'too_deep'],
    ['\uFEFF{}', 'not_json'],
  ])('does not believe %j', async (text, problem) => {
    expect(await ask(() => reply(text))).toEqual(unusable(`a body that is not one strict JSON object (${problem})`))
  })

  test('does not believe bytes that are not UTF-8', async () => {
    expect(await ask(() => reply(new Uint8Array([0x7b, 0xe9, 0x7d])))).toEqual(unusable('a body that is not UTF-8'))
  })

  test('reads up to the bound and not one byte more', async () => {
    const text = (bytes: number): string => `{"a":"${'x'.repeat(bytes - 8)}"}`
    expect(await ask(() => reply(text(100)))).toMatchObject({ status: 200 })
    expect(await ask(() => reply(text(101)))).toEqual(unusable('more than 100 bytes'))
  })

  test.each([300, 301, 302, 303, 307, 308, 304])('does not follow a %i, and does not read it', async (status) => {
    let count = 0
    const problem = await ask(() => {
      count++
      const response = reply(status === 304 ? null : '{"access_token":"x"}', 'application/json', status)
      response.headers.set('location', 'https://evil.test/token')
      return response
    })
    expect(problem).toEqual(unusable('a redirect, which is never followed'))
    expect(count).toBe(1)
  })

  test.each([400, 401, 403, 404, 429, 500, 503])(
    'lets the status %i speak where the body is nonsense',
    async (status) => {
      expect(await ask(() => reply('<html>', 'text/html', status))).toEqual({ status, body: undefined })
      expect(await ask(() => reply('{"a":1,"a":2}', 'application/json', status))).toEqual({ status, body: undefined })
      expect(await ask(() => reply('x'.repeat(1000), 'application/json', status))).toEqual({ status, body: undefined })
      expect(await ask(() => reply('{"error":"x"}', 'application/json', status))).toEqual({
        status,
        body: { error: 'x' },
      })
    },
  )

  test('does not wait for headers that never come', async () => {
    const never: Answerer = (request) =>
      new Promise((_resolve, reject) =>
        request.signal.addEventListener('abort', () => reject(new Error('aborted: canary'))),
      )
    expect(await ask(never)).toEqual({ kind: 'timeout', detail: 'no complete answer within 40 ms' })
  })

  test('does not wait for a body that never ends', async () => {
    const dripping: Answerer = (request) =>
      reply(
        new ReadableStream({
          start(controller): void {
            controller.enqueue(new TextEncoder().encode('{'))
            request.signal.addEventListener('abort', () => controller.error(new Error('aborted')))
          },
        }),
      )
    expect(await ask(dripping)).toEqual({ kind: 'timeout', detail: 'no complete answer within 40 ms' })
  })

  test('gives up by itself where the platform does not notice', async () => {
    const deaf: Answerer = () => new Promise(() => undefined)
    expect(await ask(deaf)).toEqual({ kind: 'timeout', detail: 'no complete answer within 40 ms' })
    const deafBody: Answerer = () =>
      reply(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(1)) }))
    expect(await ask(deafBody)).toEqual({ kind: 'timeout', detail: 'no complete answer within 40 ms' })
  })

  test('tells a refused connection in its own words', async () => {
    const refused: Answerer = () => Promise.reject(new TypeError('connect ECONNREFUSED canary'))
    expect(await ask(refused)).toEqual({ kind: 'unreachable', detail: 'the connection failed' })
  })

  test('tells a body that broke off', async () => {
    const broken: Answerer = () =>
      reply(new ReadableStream({ pull: (controller) => controller.error(new Error('reset')) }))
    expect(await ask(broken)).toEqual(unusable('a body that broke off'))
  })
})

describe('callForDocument()', () => {
  test('asks for JSON by GET, without a body', async () => {
    const asked: Request[] = []
    const answer = await callForDocument(async (request) => {
      asked.push(request)
      return reply('{"issuer":"x"}')
    }, 'https://as.test/.well-known/x')
    expect(asked.map((one) => [one.method, one.url, one.headers.get('accept'), one.body])).toEqual([
      ['GET', 'https://as.test/.well-known/x', 'application/json', null],
    ])
    expect(answer.ok && answer.value.body).toEqual({ issuer: 'x' })
  })
})
