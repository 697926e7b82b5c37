// Events in the words of OCSF 1.2.0: every event is an API Activity with all that this class requires, and nothing is lost on
// the way.
import { describe, expect, test } from 'vitest'
import { auditEventSchema, type AuditEvent, type AuditEventName } from '../../../src/audit-event.ts'
import { FORMATS } from '../../../src/audit/audit.ts'
import schema from '../../../schema/audit-event.v1.json' with { type: 'json' }
import { faultsOfEvents } from '../../support/audit-schema.ts'

type Json = Readonly<Record<string, unknown>>

const NAMES: readonly AuditEventName[] = auditEventSchema.entries.event.pipe[0].options

/** With everything that an event can have. */
function eventOf(event: AuditEventName, changes: Partial<AuditEvent> = {}): AuditEvent {
  return {
    v: 1,
    id: 'req_1',
    time: '2027-01-15T08:00:00.250Z',
    event,
    outcome: 'allow',
    config: '0123456789ab',
    trace_id: '0'.repeat(32),
    user: { issuer: 'https://idp.test', sub: 'alice', tenant: 'acme', groups: ['staff'] },
    client: { id: 'agent', auth: 'client_secret_basic', dpop_jkt: 'thumb' },
    actor: { chain: [{ sub: 'bot' }] },
    resource: { id: 'tasks', kind: 'id-jag', aud: 'https://ras.test/' },
    scopes: { asked: ['read'], granted: ['read'] },
    policy: { effect: 'allow', rule: 'staff', shadow: ['later'] },
    http: { method: 'GET', route: '/r/tasks/*', status: 200 },
    token: { ttl_s: 60, id_jag_jti: 'jti' },
    cache: 'exchange',
    quota: { used: 1, limit: 2, warning: false },
    ms: { total: 3 },
    ...changes,
  }
}

function ocsf(event: AuditEvent): Json {
  return JSON.parse(FORMATS.ocsf(event))
}

describe.each(NAMES)('%s', (name) => {
  const line = ocsf(eventOf(name))

  test('is an API Activity with what the class requires', () => {
    const { activity_id: activity, activity_name: activityName } = line
    expect([1, 2, 3, 4, 99]).toContain(activity)
    expect(activityName).toBe(activity === 99 ? name : undefined)
    expect(line).toMatchObject({
      category_uid: 6,
      class_uid: 6003,
      type_uid: 600_300 + Number(activity),
      severity_id: 1,
      status_id: 1,
      action_id: 1,
      time: Date.parse('2027-01-15T08:00:00.250Z'),
      metadata: { version: '1.2.0', profiles: ['security_control'], product: { vendor_name: 'jagway' } },
      actor: {
        user: { uid: 'alice', groups: [{ name: 'staff' }] },
        idp: { uid: 'https://idp.test' },
        app_uid: 'agent',
      },
      src_endpoint: { svc_name: 'agent' },
      api: { operation: name, request: { uid: 'req_1' }, response: { code: 200 } },
      resources: [{ name: 'tasks', uid: 'https://ras.test/', type: 'id-jag' }],
      authorizations: [{ decision: 'allow', policy: { name: 'staff' } }],
    })
  })

  test('keeps what OCSF has no word for', () => {
    expect(line['unmapped']).toEqual({
      outcome: 'allow',
      config: '0123456789ab',
      client: { id: 'agent', auth: 'client_secret_basic', dpop_jkt: 'thumb' },
      actor: { chain: [{ sub: 'bot' }] },
      scopes: { asked: ['read'], granted: ['read'] },
      policy: { shadow: ['later'] },
      http: { route: '/r/tasks/*' },
      token: { ttl_s: 60, id_jag_jti: 'jti' },
      cache: 'exchange',
      quota: { used: 1, limit: 2, warning: false },
      ms: { total: 3 },
    })
  })
})

/** An event with every member that there is, and a value of its own in each place that takes any. */
function fullSample(place: Json, path = ''): unknown {
  const { type, properties, items, additionalProperties: more } = place
  if ('const' in place) return place['const']
  if (Array.isArray(place['enum'])) return place['enum'][0]
  if (path === '.time') return '2027-01-15T08:00:00.250Z'
  if (type === 'string') return `value-of${path}`
  if (type === 'number') return Number.parseInt(path.replaceAll(/[^a-z]/g, '').slice(-9), 36)
  if (type === 'array') return isObject(items) ? [fullSample(items, `${path}[]`)] : []
  if (type !== 'object') return true
  const members = isObject(properties) ? Object.entries(properties) : [['any', more] as const]
  return Object.fromEntries(
    members.map(([name, member]) => [name, isObject(member) ? fullSample(member, `${path}.${name}`) : null]),
  )
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function leavesOf(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(leavesOf) : [value]
}

test('no member of an event is lost, whichever come to be', () => {
  const sample = fullSample(schema)
  expect(faultsOfEvents([sample])).toEqual([])
  // Of an administrator and of a user there is one actor: each in its turn.
  const { admin: _admin, ...plain } = sample as AuditEvent
  const there = new Set([sample as AuditEvent, plain].flatMap((event) => leavesOf(ocsf(event))))
  const lost = leavesOf(sample).filter((leaf) => !there.has(leaf))
  // The time is written otherwise.
  expect(lost).toEqual(['2027-01-15T08:00:00.250Z'])
  expect(leavesOf(sample).length).toBeGreaterThan(50)
})

test('a refusal says so in status, action and disposition, with its code', () => {
  const refusal = { code: 'POL101', detail: 'why', policy: { effect: 'deny', rule: 'no' } } as const
  expect(ocsf(eventOf('policy.decide', { outcome: 'deny', ...refusal }))).toMatchObject({
    severity_id: 2,
    status_id: 2,
    action_id: 2,
    disposition_id: 2,
    status_code: 'POL101',
    status_detail: 'why',
    api: { response: { error: 'POL101', error_message: 'why' } },
    authorizations: [{ decision: 'deny', policy: { name: 'no' } }],
  })
  expect(ocsf(eventOf('token.redeem', { outcome: 'error', code: 'RAS112' }))).toMatchObject({
    severity_id: 3,
    status_id: 2,
    disposition_id: 27,
  })
})

test('who has proven nothing is called so, where the class requires somebody', () => {
  const { user: _user, client: _client, ...nobody } = eventOf('subject.verify', { outcome: 'deny' })
  const line = ocsf(nobody)
  expect(line['actor']).toEqual({ app_uid: 'unauthenticated' })
  expect(line['src_endpoint']).toEqual({ svc_name: 'unauthenticated' })
})

test.each([
  [{ via: 'id_token', issuer: 'https://idp.test', sub: 'root' }, { uid: 'root' }],
  [
    { via: 'access', issuer: 'https://team.test', email: 'ann@acme.test' },
    { uid: 'ann@acme.test', email_addr: 'ann@acme.test' },
  ],
] as const)('an administrator is the actor, and whom it was about stays', (actor, user) => {
  const admin = { actor, selector: { user: 'bo' }, counts: { cut: 2 } }
  const line = ocsf(eventOf('connection.revoke', { admin }))
  expect(line).toMatchObject({
    activity_id: 4,
    actor: { user, idp: { uid: actor.issuer } },
    unmapped: { admin: { selector: { user: 'bo' }, counts: { cut: 2 } } },
  })
})

test.each([
  ['GET', 2],
  ['HEAD', 2],
  ['POST', 1],
  ['PUT', 3],
  ['PATCH', 3],
  ['DELETE', 4],
  ['PROPFIND', 99],
])('a forwarded %s is activity %d', (method, activity) => {
  const line = ocsf(eventOf('request.forward', { http: { method, route: '/r/tasks/*', status: 200 } }))
  expect(line['activity_id']).toBe(activity)
})
