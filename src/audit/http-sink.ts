// Events to a collector over HTTPS: in batches, one JSON object a line, signed. Where the configuration requires that events
// are accepted before a token leaves, one event is sent alone and waited for.
import type { AuditEvent } from '../audit-event.ts'
import { toHex, toUtf8 } from '../lib/bytes.ts'
import type { SecretName } from '../parties.ts'
import { call, type CallLimits } from '../oauth/counterparty.ts'
import type { AuditSink, Fetch, Secrets } from '../ports.ts'
import { createBatches, type BatchPorts } from './batches.ts'

export interface HttpSinkTarget {
  readonly url: string
  /** The key of the signature. */
  readonly key: SecretName
}

export interface HttpSinkPorts extends BatchPorts {
  readonly fetch: Fetch
  readonly secrets: Secrets
}

const LIMITS: CallLimits = { timeoutMs: 2_000, maxBytes: 1_024 }

export function createHttpSink(target: HttpSinkTarget, ports: HttpSinkPorts): AuditSink {
  async function post(events: readonly AuditEvent[]): Promise<boolean> {
    try {
      const body = events.map((event) => `${ports.toLine(event)}\n`).join('')
      const headers = {
        'content-type': 'application/x-ndjson',
        'jagway-signature': await sign(body, ports.clock.now(), (await ports.secrets(target.key)).reveal()),
      }
      const answer = await call(
        ports.fetch,
        (send) => send(target.url, { method: 'POST', headers, body }),
        LIMITS,
        'nothing',
      )
      return answer.ok && answer.value.status < 300
    } catch {
      return false
    }
  }

  return {
    ...createBatches(async (events) => ((await post(events)) ? events.length : 0), ports),
    accept: (event) => post([event]),
  }
}

/** `t=<seconds>,v1=<hex>`: HMAC-SHA-256 over the time, a dot and the body. */
async function sign(body: string, now: number, secret: string): Promise<string> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', toUtf8(secret), algorithm, false, ['sign'])
  const time = Math.floor(now)
  const mac = await crypto.subtle.sign('HMAC', key, toUtf8(`${time}.${body}`))
  return `t=${time},v1=${toHex(new Uint8Array(mac))}`
}
