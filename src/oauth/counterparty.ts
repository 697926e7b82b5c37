// One bounded call to somebody else's server: no redirect is followed, no answer is read past its bound, no answer is
// believed that is not strict JSON. This and `gateway/forward.ts` are the only places that call out.
//
// `fetch` would otherwise re-send a POST body and its secrets to another origin on 307 and 308, and decode a gzip body of
// any size.
import { fromUtf8 } from '../lib/bytes.ts'
import { readLimited } from '../lib/limited-body.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { parseJsonObject, type JsonObject } from '../lib/strict-json.ts'
import type { Fetch } from '../ports.ts'

export interface CallLimits {
  readonly timeoutMs: number
  readonly maxBytes: number
}

/** Key sets and metadata documents. */
export const DOCUMENT_LIMITS: CallLimits = { timeoutMs: 4_000, maxBytes: 64 * 1024 }
/** Token endpoint answers. */
export const TOKEN_LIMITS: CallLimits = { timeoutMs: 4_000, maxBytes: 64 * 1024 }

/** Why there is no answer to judge. `detail` is our own wording and never the other side's. */
export interface CallProblem {
  readonly kind: 'unreachable' | 'timeout' | 'unusable'
  readonly detail: string
  /** The issuer in metadata that is of another one, where that is so near to what was expected that it was a slip. */
  readonly otherIssuer?: string | undefined
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Undefined: the answer is an error (status 400 and above) without a JSON object in it. */
  readonly body: JsonObject | undefined
}

/** Makes a request with the `fetch` it is given: ours, or a request function of oauth4webapi. */
export type Send = (fetch: (url: string, init: RequestInit) => Promise<Response>) => Promise<Response>

/**
 * Makes one request and reads its answer, both within `limits.timeoutMs`.
 *
 * 1xx and 3xx, other media types than JSON, bodies that are too large, not UTF-8 or not one strict JSON object are
 * `unusable`. An error answer (4xx, 5xx) may have any body: it is then `undefined`, and the status must speak.
 *
 * `expects` 'nothing': what a success has in its body is not looked at.
 */
export async function call(
  fetch: Fetch,
  send: Send,
  limits: CallLimits,
  expects: 'json' | 'nothing' = 'json',
): Promise<Result<Answer, CallProblem>> {
  const abort = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  // Raced, not left to the signal alone: whether a body that has begun still hears of it is the platform's business.
  const late = new Promise<Result<never, CallProblem>>((resolve) => {
    timer = setTimeout(() => {
      resolve(err({ kind: 'timeout', detail: `no complete answer within ${limits.timeoutMs} ms` }))
      abort.abort()
    }, limits.timeoutMs)
  })
  const request = (url: string, init: RequestInit): Promise<Response> =>
    fetch(new Request(url, { ...init, redirect: 'manual', cache: 'no-store', signal: abort.signal }))
  try {
    return await Promise.race([late, sendAndJudge(send, request, limits.maxBytes, expects)])
  } finally {
    if (timer !== undefined) clearTimeout(timer)
  }
}

async function sendAndJudge(
  send: Send,
  request: Parameters<Send>[0],
  maxBytes: number,
  expects: 'json' | 'nothing',
): Promise<Result<Answer, CallProblem>> {
  try {
    return await judge(await send(request), maxBytes, expects)
  } catch {
    return err({ kind: 'unreachable', detail: 'the connection failed' })
  }
}

/** A plain GET of a JSON document. */
export function callForDocument(fetch: Fetch, url: string): Promise<Result<Answer, CallProblem>> {
  return call(fetch, (send) => send(url, { headers: { accept: 'application/json' } }), DOCUMENT_LIMITS)
}

async function judge(
  response: Response,
  maxBytes: number,
  expects: 'json' | 'nothing',
): Promise<Result<Answer, CallProblem>> {
  const { status, headers } = response
  if (status < 200 || (status >= 300 && status < 400)) {
    await response.body?.cancel()
    return unusable(status < 200 ? 'an informational status' : 'a redirect, which is never followed')
  }
  if (expects === 'nothing' && status < 300) {
    await response.body?.cancel()
    return ok({ status, headers, body: undefined })
  }
  const read = await readLimited(response.body, maxBytes)
  const failed = status >= 400
  if (!read.ok) {
    if (failed) return ok({ status, headers, body: undefined })
    return unusable(read.error === 'too_large' ? `more than ${maxBytes} bytes` : 'a body that broke off')
  }
  const body = parse(headers.get('content-type'), read.value)
  if (body.ok) return ok({ status, headers, body: body.value })
  return failed ? ok({ status, headers, body: undefined }) : unusable(body.error)
}

function parse(contentType: string | null, bytes: Uint8Array): Result<JsonObject, string> {
  const mediaType = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  // RFC 6839 section 3.1: `+json` says the same; key sets are often `application/jwk-set+json` (RFC 7517 section 8.5).
  if (mediaType !== 'application/json' && !/^application\/[a-z0-9.+-]+\+json$/.test(mediaType)) {
    return err('a media type other than JSON')
  }
  const text = fromUtf8(bytes)
  if (!text.ok) return err('a body that is not UTF-8')
  const parsed = parseJsonObject(text.value)
  return parsed.ok ? parsed : err(`a body that is not one strict JSON object (${parsed.error})`)
}

function unusable(detail: string): Result<never, CallProblem> {
  return err({ kind: 'unusable', detail })
}
