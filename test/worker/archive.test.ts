// Events by way of the platform's queue into a bucket: what the real Worker writes there, as producer and as consumer, and
// what becomes of events while either is out of order.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { launchGateway } from '../../src/cli/launch.ts'
import { launchDisturbed, type DisturbedGateway } from '../support/disturbed.ts'
import { faultsOfEvents } from '../support/audit-schema.ts'
import { eventually } from '../support/http.ts'
import { expectProblem, expectTokenError } from '../support/refusals.ts'
import { openStage, type Stage } from '../support/stage.ts'

const AUDIT = { sinks: ['console', 'queue'], queue: { binding: 'AUDIT_QUEUE', bucket: 'AUDIT_BUCKET' } }

type Stored = { readonly name: string; readonly text: string; readonly type: string | undefined }

async function stored({ gateway }: Stage): Promise<readonly Stored[]> {
  const bucket = await gateway.archive('AUDIT_BUCKET')
  const { objects } = await bucket.list()
  return Promise.all(
    objects.map(async ({ key }) => {
      const object = await bucket.get(key)
      return { name: key, text: (await object?.text()) ?? '', type: object?.httpMetadata?.contentType }
    }),
  )
}

function eventsIn(objects: readonly Stored[]): readonly Readonly<Record<string, unknown>>[] {
  return objects.flatMap(({ text }) =>
    text
      .trimEnd()
      .split('\n')
      .map((line): Readonly<Record<string, unknown>> => JSON.parse(line)),
  )
}

/** The names of the events that are stored about one request, once there are so many. */
async function arrived(stage: Stage, id: unknown, count: number, deadlineMs?: number): Promise<unknown[]> {
  const mine = async () => eventsIn(await stored(stage)).filter((event) => event['id'] === id)
  await eventually(async () => (await mine()).length >= count, deadlineMs)
  return (await mine()).map(({ event }) => event)
}

describe('the archive', () => {
  let stage: Stage

  beforeAll(async () => {
    stage = await openStage({
      instances: 2,
      archive: AUDIT.queue.bucket,
      edit: (config) => ({ ...config, audit: { ...AUDIT, required: true } }),
    })
  })

  afterAll(() => stage.close())

  test('has each decision of each isolate, as the schema says, in objects by the hour, and no secret', async () => {
    const answers = [
      await stage.ask({ token: await stage.world.corp.idToken() }),
      await stage.grant({ instance: 1 }),
      await stage.ask({ token: await stage.world.corp.idToken({ sub: 'mallory' }), instance: 1 }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 403])
    const ids = await Promise.all(answers.map(async ({ event }) => (await event())['id']))
    expect(await arrived(stage, ids[0], 3)).toEqual(
      expect.arrayContaining(['config.load', 'token.release', 'request.forward']),
    )
    expect(await arrived(stage, ids[1], 3)).toEqual(
      expect.arrayContaining(['config.load', 'token.release', 'token.issue']),
    )
    expect(await arrived(stage, ids[2], 1)).toEqual(['policy.decide'])

    const objects = await stored(stage)
    expect(faultsOfEvents(eventsIn(objects))).toEqual([])
    for (const { name, text, type } of objects) {
      const [hour, date] = [new Date().getUTCHours(), new Date().toISOString().slice(0, 10)]
      expect(name).toMatch(/^audit\/\d{4}\/\d\d\/\d\d\/\d\d\/[A-Za-z0-9_-]{43}\.ndjson$/)
      // The test may run past the end of an hour.
      if (hour === new Date().getUTCHours()) expect(name.slice(6, 16).replaceAll('/', '-')).toBe(date)
      expect(type).toBe('application/x-ndjson')
      expect(text.endsWith('}\n')).toBe(true)
      expect(stage.world.leaks(text)).toEqual([])
    }
  })
})

describe('while something is out of order', () => {
  let stage: Stage
  let gateway: DisturbedGateway

  beforeAll(async () => {
    stage = await openStage({
      archive: AUDIT.queue.bucket,
      edit: (config) => ({ ...config, audit: { ...AUDIT, required: true } }),
      launch: async (options) => {
        gateway = await launchDisturbed(options)
        return gateway
      },
    })
  })

  afterAll(() => stage.close())

  beforeEach(() => stage.world.calm())

  afterEach(() => gateway.disturb(null))

  test('without the queue nothing leaves, and what was to be told arrives when it is back', async () => {
    gateway.disturb({ on: 'queue', throw: 'Too Many Requests' })
    const before = stage.world.forwarded()
    const refused = await stage.ask({ token: await stage.world.corp.idToken() })
    await expectProblem(refused, 'INT103', 503)
    await expectTokenError(await stage.grant(), 'INT103', 503, 'temporarily_unavailable')
    expect(stage.world.forwarded()).toBe(before)
    gateway.disturb(null)
    const served = await stage.ask({ token: await stage.world.corp.idToken() })
    expect(served.status).toBe(200)
    expect(await arrived(stage, refused.json['request_id'], 2, 10_000)).toEqual(
      expect.arrayContaining(['config.load', 'request.forward']),
    )
    expect(await served.event()).not.toHaveProperty('lost')
  })

  test('without the bucket requests go on, and what the queue has kept is stored when it is back', async () => {
    gateway.disturb({ on: 'bucket', throw: 'We encountered an internal error. Please try again. (10001)' })
    const asked = gateway.asked('bucket')
    const answer = await stage.ask({ token: await stage.world.corp.idToken() })
    expect(answer.status).toBe(200)
    const { id } = await answer.event()
    await eventually(() => gateway.asked('bucket') > asked, 10_000)
    expect(eventsIn(await stored(stage)).filter((event) => event['id'] === id)).toEqual([])
    gateway.disturb(null)
    expect(await arrived(stage, id, 2, 15_000)).toEqual(expect.arrayContaining(['token.release', 'request.forward']))
  })

  test('a bucket that has stored a batch and fails to say so has it once, when it is handed over again', async () => {
    gateway.disturb({ on: 'bucket', throw: 'the connection was lost', late: true })
    const answer = await stage.ask({ token: await stage.world.corp.idToken() })
    const { id } = await answer.event()
    await arrived(stage, id, 2, 10_000)
    const tries = gateway.asked('bucket')
    gateway.disturb(null)
    await eventually(() => gateway.asked('bucket') > tries, 10_000)
    // Nothing is handed over again after that.
    await new Promise((done) => setTimeout(done, 1_500))
    const events = await arrived(stage, id, 2)
    expect(events).toHaveLength(2)
    expect(new Set(events)).toEqual(new Set(['request.forward', 'token.release']))
  })
})

test('with the format of OCSF console and archive have nothing else', async () => {
  const lines: string[] = []
  const stage = await openStage({
    edit: (config) => ({ ...config, audit: { ...AUDIT, format: 'ocsf' } }),
    launch: (options) => launchGateway({ ...options, onLog: ({ message }) => void lines.push(message) }),
  })
  const answer = await stage.ask({ token: await stage.world.corp.idToken({ sub: 'mallory' }) })
  expect(answer.status).toBe(403)
  await eventually(async () => (await stored(stage)).length > 0, 10_000)
  const objects = await stored(stage)
  for (const events of [lines.map((line): Readonly<Record<string, unknown>> => JSON.parse(line)), eventsIn(objects)]) {
    expect(events.map(({ class_uid: kind }) => kind)).toEqual([6003, 6003])
    expect(events[1]).toMatchObject({ status_code: 'POL101', api: { request: { uid: answer.json['request_id'] } } })
  }
  expect(stage.world.leaks([...lines, ...objects.map(({ text }) => text)].join('\n'))).toEqual([])
  await stage.gateway.close()
  stage.world.close()
})

test('a gateway whose queue or bucket is not bound does not start, and says which', async () => {
  const start = openStage({
    edit: (config) => ({ ...config, audit: { ...AUDIT, queue: { binding: 'NO_QUEUE', bucket: 'NO_BUCKET' } } }),
    launch: launchDisturbed,
  })
  await expect(start).rejects.toThrow(/CFG115 no queue is bound as NO_QUEUE[^]*CFG115 no bucket is bound as NO_BUCKET/)
})
