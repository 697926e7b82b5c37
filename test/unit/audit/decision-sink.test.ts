// What is gathered in an isolate for the decision log: what of an event, how much, when it is sent, and what is lost.
import { describe, expect, test } from 'vitest'
import { createDecisionSink } from '../../../src/audit/audit.ts'
import type { AuditEvent } from '../../../src/audit-event.ts'
import { createCollectingBackground, createManualClock, createMemoryDecisionLog } from '../../../src/platform/memory.ts'
import type { DecisionBatch } from '../../../src/ports.ts'

const EVENT: AuditEvent = {
  v: 1,
  id: 'req_1',
  time: '2027-01-15T08:00:00.000Z',
  event: 'request.forward',
  outcome: 'allow',
  detail: 'canary-detail',
  config: '0123456789ab',
  trace_id: 'canary-trace',
  user: { issuer: 'https://idp.test', sub: 'ann', tenant: 'acme', groups: ['canary-group'] },
  client: { id: 'web', auth: 'edge', dpop_jkt: 'canary-key' },
  resource: { id: 'tasks', kind: 'id-jag', aud: 'https://canary-server.test' },
  scopes: { asked: ['canary-scope'] },
  policy: { effect: 'allow', rule: 'all' },
  http: { method: 'GET', route: '/r/tasks/*', status: 200 },
  token: { id_jag_jti: 'canary-jti', ttl_s: 300 },
  ms: { total: 7, upstream: 5 },
}

function event(more: Partial<AuditEvent> = {}): AuditEvent {
  return { ...EVENT, ...more }
}

/** A sink whose pauses a test ends, over a log that notes its batches. */
function gathering(keep = 3) {
  const clock = createManualClock()
  const { background, settle, failures } = createCollectingBackground()
  const log = createMemoryDecisionLog({ clock })
  const batches: DecisionBatch[] = []
  let pauses: (() => void)[] = []
  let started = 0
  const sink = createDecisionSink(
    {
      clock,
      background: (work) => {
        started += 1
        background(work)
      },
      log: {
        add: (batch) => {
          batches.push(batch)
          world.onAdd?.()
          return log.add(batch)
        },
      },
      sleep: () => new Promise((resolve) => pauses.push(() => resolve())),
    },
    keep,
  )
  const world = {
    /** What else happens while a batch is on its way. */
    onAdd: undefined as (() => void) | undefined,
    clock,
    log,
    batches,
    failures,
    started: () => started,
    write: (...events: readonly AuditEvent[]) => events.forEach((each) => sink.write(each)),
    /** Lets the pause end, and what follows it. */
    pass: async () => {
      const due = pauses
      pauses = []
      for (const end of due) end()
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    },
    settle,
  }
  return world
}

describe('a decision', () => {
  test('is kept with who, what and why, and nothing else of its event', async () => {
    const world = gathering()
    world.write(event({ code: 'POL101', outcome: 'deny' }))
    await world.pass()
    expect(world.batches[0]?.decisions).toStrictEqual([
      {
        id: 'req_1',
        time: '2027-01-15T08:00:00.000Z',
        event: 'request.forward',
        outcome: 'deny',
        code: 'POL101',
        user: { issuer: 'https://idp.test', sub: 'ann', tenant: 'acme' },
        client: 'web',
        resource: 'tasks',
        rule: 'all',
        ms: 7,
      },
    ])
    expect(JSON.stringify(world.batches)).not.toContain('canary')
  })

  test('of nobody is kept and counted as well', async () => {
    const world = gathering()
    const { user: _user, client: _client, resource: _resource, policy: _policy, ...rest } = event()
    world.write({ ...rest, outcome: 'deny', code: 'TOK100' })
    await world.pass()
    expect(world.batches[0]).toMatchObject({
      decisions: [{ code: 'TOK100' }],
      hours: [{ counts: [{ outcome: 'deny', code: 'TOK100', client: '', resource: '', count: 1 }], hits: [] }],
    })
    expect(world.batches[0]?.decisions[0]).not.toHaveProperty('user')
  })

  test('is none where an administrator looks, or an isolate starts', async () => {
    const world = gathering()
    world.write(event({ event: 'decision.list', admin: {} }), event({ event: 'config.load' }))
    expect(world.started()).toBe(0)
  })
})

describe('what is counted', () => {
  test('is every decision by hour, outcome, code, client and resource; and each rule that was about it, in the shadow too', async () => {
    const world = gathering()
    const denied = { outcome: 'deny', code: 'POL101', policy: { effect: 'deny', rule: 'no' } } as const
    const late = '2027-01-15T09:00:01.000Z'
    world.write(
      event(),
      event({
        time: '2027-01-15T08:59:59.000Z',
        policy: { effect: 'allow', rule: 'all', also: ['wide'], shadow: ['maybe', 'perhaps'] },
      }),
      event(denied),
      event({ ...denied, client: { id: 'bot', auth: 'edge' }, time: late }),
    )
    await world.pass()
    const common = { client: 'web', resource: 'tasks' }
    const seen = (rule: string, hits: number, lastHit = EVENT.time) => ({ rule, hits, lastHit })
    expect(world.batches[0]?.hours).toStrictEqual([
      {
        hour: '2027-01-15T08',
        counts: [
          { outcome: 'allow', code: '', ...common, count: 2 },
          { outcome: 'deny', code: 'POL101', ...common, count: 1 },
        ],
        hits: [
          seen('all', 2, '2027-01-15T08:59:59.000Z'),
          seen('wide', 1, '2027-01-15T08:59:59.000Z'),
          seen('maybe', 1, '2027-01-15T08:59:59.000Z'),
          seen('perhaps', 1, '2027-01-15T08:59:59.000Z'),
          seen('no', 1),
        ],
        losses: { uncounted: 0, events: 0 },
      },
      {
        hour: '2027-01-15T09',
        counts: [{ outcome: 'deny', code: 'POL101', client: 'bot', resource: 'tasks', count: 1 }],
        hits: [seen('no', 1, late)],
        losses: { uncounted: 0, events: 0 },
      },
    ])
  })

  test('is all of it, while only the last are kept, in their order', async () => {
    const world = gathering(3)
    for (let number = 1; number <= 8; number++) world.write(event({ id: `req_${number}` }))
    await world.pass()
    expect(world.batches[0]?.decisions.map(({ id }) => id)).toEqual(['req_6', 'req_7', 'req_8'])
    expect(world.batches[0]?.hours[0]?.counts).toMatchObject([{ count: 8 }])
  })

  test('is all of it where none is kept', async () => {
    const world = gathering(0)
    world.write(event(), event())
    await world.pass()
    expect(world.batches[0]).toMatchObject({ decisions: [], keep: 0, hours: [{ counts: [{ count: 2 }] }] })
  })

  test('is bounded, and what goes beyond is counted as lost', async () => {
    const world = gathering(1)
    for (let number = 0; number < 2_005; number++) world.write(event({ client: { id: `c${number}`, auth: 'edge' } }))
    await world.pass()
    const [hour] = world.batches[0]?.hours ?? []
    expect(hour?.counts).toHaveLength(2_000)
    expect(hour?.losses.uncounted).toBe(5)
  })
})

describe('a batch', () => {
  test('is sent once for all that comes within the pause, and what comes later goes with the next', async () => {
    const world = gathering()
    world.write(event(), event())
    expect([world.started(), world.batches.length]).toEqual([1, 0])
    world.write(event({ time: '2027-01-15T08:00:02.000Z' }))
    await world.pass()
    expect(world.batches.map(({ since }) => since)).toEqual([EVENT.time])
    world.write(event({ id: 'req_2', time: '2027-01-15T08:00:04.000Z' }))
    await world.pass()
    expect(world.batches[1]?.since).toBe('2027-01-15T08:00:04.000Z')
    expect(world.batches[1]).toMatchObject({ decisions: [{ id: 'req_2' }], hours: [{ counts: [{ count: 1 }] }] })
  })

  test('that comes together while another is on its way follows it, without another event', async () => {
    const world = gathering()
    world.write(event())
    world.onAdd = () => {
      world.onAdd = undefined
      world.write(event({ id: 'req_2' }))
    }
    await world.pass()
    expect([world.started(), world.batches.length]).toEqual([1, 1])
    await world.pass()
    expect(world.batches[1]?.decisions.map(({ id }) => id)).toEqual(['req_2'])
    expect(world.started()).toBe(1)
    await world.settle()
  })

  test('is not waited for for ever: the platform may have ended the work that sends it', async () => {
    const world = gathering()
    world.log.faults.add = 'hang'
    world.write(event())
    await world.pass()
    world.write(event({ id: 'req_2' }))
    expect([world.started(), world.batches.length]).toEqual([1, 1])
    world.log.faults.add = undefined
    world.clock.advance(31)
    world.write(event({ id: 'req_3' }))
    expect(world.started()).toBe(2)
    await world.pass()
    expect(world.batches[1]?.decisions.map(({ id }) => id)).toEqual(['req_2', 'req_3'])
  })

  test('that fails harms nobody, is not sent again, and is counted with the next', async () => {
    const world = gathering()
    world.log.faults.add = 'throw'
    world.write(event(), event({ lost: 4 }))
    await world.pass()
    world.log.faults.add = undefined
    world.write(event({ id: 'req_2' }))
    await world.pass()
    expect(world.batches[1]).toMatchObject({
      decisions: [{ id: 'req_2' }],
      hours: [{ counts: [{ count: 1 }], losses: { uncounted: 2, events: 4 } }],
    })
    expect(await world.log.count('2027-01-15T08', '2027-01-15T08')).toMatchObject({
      counts: [{ count: 1 }],
      losses: { uncounted: 2, events: 4 },
    })
    expect(world.failures).toEqual([])
  })

  test('tells how many audit events were lost since the one before', async () => {
    const world = gathering()
    world.write(event({ lost: 3 }), event({ lost: 3 }), event({ lost: 5 }))
    await world.pass()
    world.write(event({ lost: 5 }), event({ lost: 6 }))
    await world.pass()
    expect(world.batches.map(({ hours }) => hours[0]?.losses.events)).toEqual([5, 1])
  })

  test('does not grow by hours in which nothing could be sent', async () => {
    const world = gathering()
    world.log.faults.add = 'hang'
    world.write(event())
    await world.pass()
    for (const hour of ['09', '10', '11', '12', '13']) world.write(event({ time: `2027-01-15T${hour}:00:00.000Z` }))
    world.log.faults.add = undefined
    world.clock.advance(31)
    world.write(event({ time: '2027-01-15T13:30:00.000Z' }))
    await world.pass()
    const hours = world.batches[1]?.hours ?? []
    expect(hours.map(({ hour }) => hour.slice(-2))).toEqual(['11', '12', '13'])
    expect(hours.reduce((sum, { losses }) => sum + losses.uncounted, 0)).toBe(2)
  })
})
