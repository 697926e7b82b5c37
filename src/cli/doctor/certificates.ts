// How long the certificates of the servers are still good. That they are trusted at all was seen when the servers were asked.

import { isIP } from 'node:net'
import { connect } from 'node:tls'
import type { Check, Finding, Place } from './finding.ts'
import { toDuration } from './words.ts'

const TIMEOUT_MS = 4_000
const DAY_SECONDS = 86_400
const SOON_SECONDS = 30 * DAY_SECONDS
/** By then whatever renews it has failed. */
const URGENT_SECONDS = 3 * DAY_SECONDS

export interface Host {
  readonly origin: string
  readonly places: readonly [Place, ...Place[]]
}

export async function examineCertificate({ origin, places }: Host, nowSeconds: number): Promise<Check | undefined> {
  const end = await endOfCertificate(origin)
  if (end === undefined) return undefined
  const left = end - nowSeconds
  const check = (says: string, ...findings: readonly Finding[]): Check => ({
    about: origin,
    name: 'certificate',
    says,
    findings,
  })
  const date = new Date(end * 1000).toISOString().slice(0, 10)
  if (left >= SOON_SECONDS) return check(`until ${date}`)
  const message =
    left <= 0
      ? `the certificate of ${origin} has ended on ${date}`
      : `the certificate of ${origin} ends in ${toDuration(left)}, on ${date}`
  const help = 'whoever runs that server renews it'
  return check(`until ${date}`, { code: left < URGENT_SECONDS ? 'DOC111' : 'DOC206', message, help, places })
}

/** In seconds since the epoch; undefined: nobody answered, or not with a certificate. */
export function endOfCertificate(origin: string): Promise<number | undefined> {
  const { hostname, port } = new URL(origin)
  const host = hostname.replace(/^\[|\]$/g, '')
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  const socket = connect({
    host,
    port: port === '' ? 443 : Number(port),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    // Nothing is sent. One that is not trusted any more still says when it ended.
    rejectUnauthorized: false,
    timeout: TIMEOUT_MS,
  })
  const done = (end: number | undefined): void => {
    socket.destroy()
    resolve(end)
  }
  socket.once('secureConnect', () => {
    const end = Date.parse(socket.getPeerCertificate().valid_to)
    done(Number.isNaN(end) ? undefined : end / 1000)
  })
  socket.once('timeout', () => {
    done(undefined)
  })
  socket.once('error', () => {
    done(undefined)
  })
  return promise
}
