// What sinks promise: that no token leaves without a record where that is required, and that what is lost is counted.
import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createHttpSink } from '../../../src/audit/audit.ts'
import type { AuditEvent } from '../../../src/audit-event.ts'
import { numericDate } from '../../../src/lib/numeric-date.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { SecretName } from '../../../src/parties.ts'
import { createWorld, NAMES, SECRETS, type Json, type World } from '../support/world.ts'

const NOW = 1_800_000_000

/** A sink that accepts or does not, and what it was shown, in order with what the counterparties saw. */
function witness(accepts: boolean) {
  const accepted: AuditEvent[] = []
  const written: AuditEvent[] = []
  const sink = {
    write: (event: AuditEvent) => void written.push(event),
    async accept(event: AuditEvent) {
      accepted.push(event)
      return accepts
    },
  }
  return { sink, accepted, written }
}

async function forwarded(world: World): Promise<Response> {
  return world.app(
    new Request(`${NAMES.gateway}/r/tasks/x`, { headers: { authorization: `Bearer ${await world.idToken()}` } }),
  )
}

async function issued(world: World): Promise<Response> {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await world.idToken({ aud: 'agent-id' }),
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    resource: NAMES.api,
  })
  const headers = { authorization: `Basic ${btoa(`agent:${SECRETS['AGENT_SECRET']}`)}` }
  return world.app(new Request(`${NAMES.gateway}/token`, { method: 'POST', headers, body }))
}

describe('where a record is required', () => {
  test('a request is forwarded after its event is accepted, and not before', async () => {
    const { sink, accepted, written } = witness(true)
    const world = createWorld({ sinks: [sink], recordRequired: true })
    const before: number[] = []
    world.script.upstream = () => {
      before.push(accepted.length)
      return new Response('works')
    }
    expect((await forwarded(world)).status).toBe(200)
    expect(before).toEqual([1])
    expect(accepted[0]).toMatchObject({
      event: 'token.release',
      outcome: 'allow',
      http: { method: 'GET', route: '/r/tasks/*' },
    })
    expect(accepted[0]?.http.status).toBeUndefined()
    expect(written.at(-1)).toMatchObject({ event: 'request.forward', http: { method: 'GET', status: 200 } })
    expect(written.at(-1)?.id).toBe(accepted[0]?.id)
  })

  test('no request is forwarded while no event is accepted, and the refusal is recorded', async () => {
    const { sink, written } = witness(false)
    const world = createWorld({ sinks: [sink], recordRequired: true })
    const refused = await forwarded(world)
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ code: 'INT103' })
    expect(refused.headers.get('retry-after')).toBe('5')
    expect(world.seen('upstream')).toEqual([])
    expect(written.at(-1)).toMatchObject({ code: 'INT103', outcome: 'error', http: { method: 'GET', status: 503 } })
  })

  test('a renewed token leaves after an event of its own, and not without one', async () => {
    const { sink, accepted } = witness(true)
    let isWell = true
    const world = createWorld({
      sinks: [{ ...sink, accept: async (event) => isWell && ((await sink.accept?.(event)) ?? false) }],
      recordRequired: true,
    })
    expect((await forwarded(world)).status).toBe(200)
    world.clock.advance(61)
    const shown: (string | null)[] = []
    world.script.upstream = ({ headers }) => {
      shown.push(headers.get('authorization'))
      return new Response(null, { status: shown.length % 2 === 1 ? 401 : 200 })
    }
    expect((await forwarded(world)).status).toBe(200)
    expect(accepted.map((event) => event.token?.id_jag_jti)).toHaveLength(3)
    expect(new Set(shown).size).toBe(2)

    world.clock.advance(61)
    world.script.upstream = ({ headers }) => {
      shown.push(headers.get('authorization'))
      isWell = false
      return new Response(null, { status: 401 })
    }
    const refused = await forwarded(world)
    expect(await refused.json()).toMatchObject({ code: 'INT103' })
    // The API has seen the old one once more, and the new one never.
    expect(shown).toHaveLength(3)
    expect(shown[2]).toBe(shown[1])
  })

  test('no token is handed out while no event is accepted', async () => {
    const { sink } = witness(false)
    const world = createWorld({ sinks: [sink], recordRequired: true })
    const refused = await issued(world)
    const body = await refused.json<Json>()
    expect([refused.status, body['error']]).toEqual([503, 'temporarily_unavailable'])
    expect(body).not.toHaveProperty('access_token')
  })

  test('a sink that promises nothing is not enough', async () => {
    const world = createWorld({ sinks: [{ write: () => undefined }], recordRequired: true })
    expect((await issued(world)).status).toBe(503)
  })

  test('a refusal waits for nobody', async () => {
    const { sink, accepted } = witness(false)
    const world = createWorld({ sinks: [sink], recordRequired: true })
    const answer = await world.app(new Request(`${NAMES.gateway}/r/tasks/x`))
    expect(answer.status).toBe(401)
    expect(accepted).toEqual([])
  })

  test('whoever is cut off while the sink takes its time gets nothing', async () => {
    const { sink } = witness(true)
    const world = createWorld({ sinks: [{ ...sink, accept: cutOff }], recordRequired: true })
    async function cutOff(): Promise<boolean> {
      const before = world.clock.epochMillis()
      await world.log.add({ kind: 'cutoff', id: 'c1', selector: { user: 'alice' }, before }, undefined)
      return true
    }
    expect((await forwarded(world)).status).toBe(401)
    expect(world.seen('upstream')).toEqual([])
  })
})

/** A collector that answers as told, and time that passes at once. */
function collector(answer: () => Response) {
  const bodies: { readonly lines: readonly Json[]; readonly signature: string; readonly text: string }[] = []
  const background: Promise<unknown>[] = []
  const pauses: number[] = []
  const sink = createHttpSink(
    { url: 'https://collector.test/events', key: 'AUDIT_KEY' as SecretName },
    {
      background: (work) => void background.push(work),
      clock: { now: () => numericDate(NOW), epochMillis: () => NOW * 1000, millis: () => 0 },
      secrets: async () => new Secret('a key of some length'),
      sleep: async (ms) => void pauses.push(ms),
      toLine: JSON.stringify,
      fetch: async (request) => {
        const text = await request.text()
        expect([request.method, request.url, request.redirect]).toEqual([
          'POST',
          'https://collector.test/events',
          'manual',
        ])
        const lines = text.trimEnd().split('\n')
        bodies.push({
          lines: lines.map((line): Json => JSON.parse(line)),
          signature: request.headers.get('jagway-signature') ?? '',
          text,
        })
        return answer()
      },
    },
  )
  return { sink, bodies, pauses, settle: async () => void (await Promise.all(background)) }
}

function eventOf(id: string): AuditEvent {
  return {
    v: 1,
    id,
    time: '2027-01-15T08:00:00.000Z',
    event: 'request.forward',
    outcome: 'allow',
    config: '0123456789ab',
    trace_id: '0'.repeat(32),
    http: { method: 'GET', route: '/r/tasks/*', status: 200 },
    ms: { total: 1 },
  }
}

describe('the http sink', () => {
  test('sends what has gathered in one signed batch, one event a line', async () => {
    const { sink, bodies, settle } = collector(() => new Response(null, { status: 204 }))
    for (const id of ['a', 'b', 'c']) sink.write(eventOf(id))
    await settle()
    expect(bodies.map(({ lines }) => lines.map(({ id }) => id))).toEqual([['a', 'b', 'c']])
    const [sent] = bodies
    const mac = createHmac('sha256', 'a key of some length').update(`${NOW}.${sent?.text}`).digest('hex')
    expect(sent?.signature).toBe(`t=${NOW},v1=${mac}`)
    expect(sink.lost?.()).toBe(0)
  })

  test('parts what is too much for one batch', async () => {
    const { sink, bodies, settle } = collector(() => new Response(null, { status: 200 }))
    for (let index = 0; index < 250; index++) sink.write(eventOf(String(index)))
    await settle()
    expect(bodies.map(({ lines }) => lines.length)).toEqual([100, 100, 50])
    expect(bodies.flatMap(({ lines }) => lines.map(({ id }) => Number(id)))).toEqual(
      Array.from({ length: 250 }, (_, at) => at),
    )
  })

  test('tries three times, keeps what was not taken, and sends it with the next', async () => {
    let up = false
    const { sink, bodies, pauses, settle } = collector(() => new Response(null, { status: up ? 200 : 503 }))
    sink.write(eventOf('a'))
    await settle()
    expect(bodies).toHaveLength(3)
    expect(pauses).toEqual([250, 500, 2_000])
    up = true
    sink.write(eventOf('b'))
    await settle()
    expect(bodies.at(-1)?.lines.map(({ id }) => id)).toEqual(['a', 'b'])
    expect(sink.lost?.()).toBe(0)
  })

  test('keeps two thousand while the collector is down, and counts the rest as lost', async () => {
    const { sink, settle } = collector(() => new Response(null, { status: 500 }))
    for (let index = 0; index < 2_010; index++) sink.write(eventOf(String(index)))
    await settle()
    expect(sink.lost?.()).toBe(10)
  })

  test.each([
    ['a redirect', () => new Response(null, { status: 302, headers: { location: 'https://evil.test/' } }), false],
    ['400', () => new Response('no', { status: 400 }), false],
    ['200', () => new Response('yes'), true],
  ])('accepts one event alone, and knows by the answer whether it was taken: %s', async (_what, answer, accepted) => {
    const { sink, bodies } = collector(answer)
    expect(await sink.accept?.(eventOf('a'))).toBe(accepted)
    expect(bodies.map(({ lines }) => lines.map(({ id }) => id))).toEqual([['a']])
  })

  test('does not accept where the collector cannot be reached', async () => {
    const { sink } = collector(() => {
      throw new TypeError('refused')
    })
    expect(await sink.accept?.(eventOf('a'))).toBe(false)
  })
})

test('events say how many were lost', async () => {
  const { sink, written } = witness(true)
  const world = createWorld({ sinks: [{ ...sink, lost: () => 7 }] })
  await forwarded(world)
  expect(written.at(-1)).toMatchObject({ lost: 7 })
})
