// Events to a collector over HTTPS: in batches, one JSON object a line, signed, tried again, and never in the way of an answer.
// Where the configuration requires that events are accepted before a token leaves, one event is sent alone and waited for.
import type { AuditEvent } from '../audit-event.ts'
import { toHex, toUtf8 } from '../lib/bytes.ts'
import type { SecretName } from '../model.ts'
import { call, type CallLimits } from '../oauth/counterparty.ts'
import type { AuditSink, Background, Clock, Fetch, Secrets } from '../ports.ts'

export interface HttpSinkTarget {
  readonly url: string
  /** The key of the signature. */
  readonly key: SecretName
}

export interface HttpSinkPorts {
  readonly fetch: Fetch
  readonly background: Background
  readonly clock: Clock
  readonly secrets: Secrets
  /** Waits; a test waits differently. */
  readonly sleep: (ms: number) => Promise<void>
}

const LIMITS: CallLimits = { timeoutMs: 2_000, maxBytes: 1_024 }
/** Events wait so long for others to go with them. */
const GATHER_MS = 250
const MAX_BATCH = 100
const MAX_WAITING = 2_000
/** Between the tries for one batch. */
const PAUSES_MS = [500, 2_000]
/** Work in the background may be ended by the platform without a word; whoever began to send is then no longer waited for. */
const SENDER_DEADLINE_MS = 30_000

export function createHttpSink(target: HttpSinkTarget, ports: HttpSinkPorts): AuditSink {
  const waiting: AuditEvent[] = []
  let lost = 0
  let sendingSince: number | undefined

  function keep(events: readonly AuditEvent[]): void {
    waiting.unshift(...events)
    const tooMany = waiting.length - MAX_WAITING
    if (tooMany > 0) lost += waiting.splice(0, tooMany).length
  }

  async function sendAll(since: number): Promise<void> {
    await ports.sleep(GATHER_MS)
    while (waiting.length > 0) {
      const batch = waiting.splice(0, MAX_BATCH)
      if (await deliver(batch)) continue
      keep(batch)
      break
    }
    if (sendingSince === since) sendingSince = undefined
  }

  async function deliver(batch: readonly AuditEvent[]): Promise<boolean> {
    for (const pause of PAUSES_MS) {
      if (await post(batch)) return true
      await ports.sleep(pause)
    }
    return post(batch)
  }

  async function post(batch: readonly AuditEvent[]): Promise<boolean> {
    try {
      const body = batch.map((event) => `${JSON.stringify(event)}\n`).join('')
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
    write(event) {
      keepLast(event)
      const now = ports.clock.millis()
      if (sendingSince !== undefined && now - sendingSince < SENDER_DEADLINE_MS) return
      sendingSince = now
      ports.background(sendAll(now))
    },
    accept: (event) => post([event]),
    lost: () => lost,
  }

  function keepLast(event: AuditEvent): void {
    if (waiting.length < MAX_WAITING) waiting.push(event)
    else lost += 1
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
