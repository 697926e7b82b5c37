// What every refusal looks like, whoever asked: status, bytes, headers, and its one audit event.
import { expect } from 'vitest'
import { doorsOf } from '../../src/cli/pages/pages.ts'
import type { Door } from '../../src/cli/pages/page.ts'
import { isRefusalCode } from '../../src/refusal.ts'
import type { Answer, AuditEvent, Stage } from './stage.ts'

const STAGES: Readonly<Record<string, string>> = {
  CLI: 'subject.verify',
  TOK: 'subject.verify',
  POL: 'policy.decide',
  IDP: 'id_jag.request',
  RAS: 'token.redeem',
}

/** The keys of an identity provider (IDP114) are wanted to verify, where its endpoint is not. */
function stageOf(code: string): string | undefined {
  return code === 'IDP114' ? 'subject.verify' : STAGES[code.slice(0, 3)]
}

/** A refusal in the dialect of resources: RFC 9457 problem, RFC 6750 challenge. Answers the audit event. */
export async function expectProblem(answer: Answer, code: string, status: number): Promise<AuditEvent> {
  expect({ code: answer.json['code'], status: answer.status }).toEqual({ code, status })
  expect(answer.headers['content-type']).toBe('application/problem+json')
  expect(answer.json).toMatchObject({ status, type: expect.stringMatching(new RegExp(`/errors/${code}$`)) })
  expect(answer.json['detail']).toMatch(new RegExp(`^${code}: `))
  expectDoor(code, 'resource')
  if (status === 401) expect(answer.headers['www-authenticate']).toMatch(/^(?:Bearer|DPoP) .*resource_metadata="/)
  return expectEvent(answer, code, 'request.forward')
}

/** A refusal in the dialect of token endpoints: RFC 6749 section 5.2. Answers the audit event. */
export async function expectTokenError(
  answer: Answer,
  code: string,
  status: number,
  error: string,
  door: keyof typeof CLIENT_DOORS = 'token.issue',
): Promise<AuditEvent> {
  const { json } = answer
  expect({ code: codeOf(json), status: answer.status, error: json['error'] }).toEqual({ code, status, error })
  expect(answer.headers['content-type']).toMatch(/^application\/json/)
  expect(json['error_uri']).toMatch(new RegExp(`/errors/${code}$`))
  expect(answer.headers['pragma']).toBe('no-cache')
  expectDoor(code, 'clients', ...CLIENT_DOORS[door])
  return expectEvent(answer, code, door)
}

const CLIENT_DOORS = {
  'token.issue': ['token'],
  'token.revoke': ['revoke'],
  'token.introspect': [],
} as const

/** The manual says that the code can come from there. */
function expectDoor(code: string, ...doors: readonly Door[]): void {
  const told = isRefusalCode(code) ? doorsOf(code) : []
  expect(
    told.some((door) => doors.includes(door)),
    `${code} at ${doors.join(' or ')}`,
  ).toBe(true)
}

async function expectEvent(answer: Answer, code: string, door: string): Promise<AuditEvent> {
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(answer.headers['proxy-status']).toMatch(new RegExp(`^jagway; error=[a-z_]+; details="${code}"$`))
  const event = await answer.event()
  expect(event).toMatchObject({
    v: 1,
    id: answer.json['request_id'],
    event: code === 'RAS115' ? door : (stageOf(code) ?? door),
    outcome: answer.status >= 500 ? 'error' : 'deny',
    code,
    http: { status: answer.status },
  })
  expect(answer.headers['jagway-request-id']).toBe(event['id'])
  // Who has proven nothing learns nothing of how long things take, and nobody how long a look-up does.
  if (event['client'] === undefined || door === 'token.revoke' || door === 'token.introspect')
    expect(answer.headers).not.toHaveProperty('server-timing')
  else expect(answer.headers['server-timing']).toMatch(/^(?:\w+;dur=\d+, )*total;dur=\d+$/)
  return event
}

function codeOf(json: Readonly<Record<string, unknown>>): unknown {
  return String(json['error_description']).split(':')[0]
}

/** Asserts what a refused request must not have caused: no token asked for, no API reached. */
export function expectNothingSent({ world }: Stage): void {
  expect({ ...world.legs(), forwarded: world.forwarded() }).toEqual({ exchanges: 0, redemptions: 0, forwarded: 0 })
  expect(world.evil.count).toBe(0)
}
