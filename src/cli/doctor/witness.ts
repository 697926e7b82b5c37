// The doctor's eyes: a fetch for the Worker's own rooms that remembers what they see and would not say: why a connection
// failed, where a redirect leads, what time it is elsewhere. Documents are asked for once, whoever wants them.

import { readLimited } from '../../lib/limited-body.ts'
import { DOCUMENT_LIMITS } from '../../oauth/counterparty.ts'
import type { Fetch } from '../../ports.ts'

/** What one answer said of the other side's clock, in seconds; positive: it is ahead of ours. */
export interface ClockReading {
  readonly offsetSeconds: number
  /** How far the truth may lie from it: the answer took its time, and `Date` has whole seconds (RFC 9110 section 6.6.1). */
  readonly marginSeconds: number
}

export interface Witness {
  /** A GET is sent once and its answer kept, as far as it may be read. */
  readonly fetch: Fetch
  /** Keeps nothing, reads nothing. */
  readonly glance: Fetch
  /** Why an address gave no answer; undefined: it gave one, or nothing more is known. */
  failureOf(url: string): string | undefined
  /** Where the last answer of an address wanted to send us. */
  redirectOf(url: string): string | undefined
  contentTypeOf(url: string): string | undefined
  /** The most exact reading of the clock behind an origin. */
  clockOf(origin: string): ClockReading | undefined
}

interface Kept {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Uint8Array<ArrayBuffer>
}

interface Noted {
  readonly redirect: string | undefined
  readonly contentType: string | undefined
}

export function createWitness(realFetch: Fetch, now: () => number = Date.now): Witness {
  const documents = new Map<string, Promise<Kept>>()
  const failures = new Map<string, string>()
  const notes = new Map<string, Noted>()
  const clocks = new Map<string, ClockReading>()

  async function send(request: Request): Promise<Response> {
    const { url } = request
    const sentAt = now()
    try {
      const response = await realFetch(request)
      const { headers } = response
      notes.set(url, {
        redirect: headers.get('location') ?? undefined,
        contentType: headers.get('content-type') ?? undefined,
      })
      const reading = readClock(headers.get('date'), sentAt, now())
      const { origin } = new URL(url)
      if (reading !== undefined && reading.marginSeconds < (clocks.get(origin)?.marginSeconds ?? Infinity))
        clocks.set(origin, reading)
      return response
    } catch (error) {
      failures.set(url, failureWords(error))
      throw error
    }
  }

  /** Bounded as whoever reads it bounds it: one more byte says "too large" to them. */
  async function keep(request: Request): Promise<Kept> {
    const { status, headers, body } = await send(request)
    const read = await readLimited(body, DOCUMENT_LIMITS.maxBytes)
    if (!read.ok && read.error !== 'too_large') throw new Error('the body broke off')
    const kept = new Headers(headers)
    // The bytes are decoded already.
    kept.delete('content-encoding')
    kept.delete('content-length')
    return { status, headers: kept, bytes: read.ok ? read.value : new Uint8Array(DOCUMENT_LIMITS.maxBytes + 1) }
  }

  return {
    fetch(request) {
      if (request.method !== 'GET') return send(request)
      const known = documents.get(request.url)
      const document = known ?? keep(request)
      if (known === undefined) documents.set(request.url, document)
      return document.then(({ status, headers, bytes }) => {
        return new Response(mayHaveBody(status) ? bytes : null, { status, headers })
      })
    },
    glance: send,
    failureOf: (url) => failures.get(asSent(url)),
    redirectOf: (url) => notes.get(asSent(url))?.redirect,
    contentTypeOf: (url) => notes.get(asSent(url))?.contentType,
    clockOf: (origin) => clocks.get(origin),
  }
}

/** A request carries its address as the URL parser writes it. */
function asSent(url: string): string {
  return new URL(url).href
}

function mayHaveBody(status: number): boolean {
  return status !== 204 && status !== 205 && status !== 304
}

function readClock(date: string | null, sentAt: number, receivedAt: number): ClockReading | undefined {
  const theirs = date === null ? Number.NaN : Date.parse(date)
  if (Number.isNaN(theirs)) return undefined
  // The second they name had begun; on average half of it was over.
  return {
    offsetSeconds: (theirs + 500 - (sentAt + receivedAt) / 2) / 1000,
    marginSeconds: (receivedAt - sentAt) / 2000 + 0.5,
  }
}

const FAILURES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such host name',
  EAI_AGAIN: 'the host name could not be looked up',
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'the connection was cut',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
  ETIMEDOUT: 'the connection did not come about in time',
  UND_ERR_CONNECT_TIMEOUT: 'the connection did not come about in time',
  UND_ERR_SOCKET: 'the connection was cut',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet, or the clock of this machine is slow',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed; NODE_EXTRA_CA_CERTS names further authorities',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is self-signed; NODE_EXTRA_CA_CERTS names further authorities',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'its certificate is of no authority that is trusted here, or an intermediate is missing',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is of no authority that is trusted here',
}

/** Only words of ours: what a runtime says of a failure may quote what it choked on. */
export function failureWords(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = 'code' in cause ? String(cause.code) : ''
    if (FAILURES[code] !== undefined) return FAILURES[code]
    if (code.startsWith('ERR_SSL') || code === 'EPROTO') return 'it does not speak TLS as it is spoken here'
  }
  return 'the connection failed'
}
