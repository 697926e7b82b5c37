// What readers of audit events may count on: schema/audit-event.v1.json. Within a version members are only ever added.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import schema from '../../../schema/audit-event.v1.json' with { type: 'json' }
import { faultsOfEvents } from '../../support/audit-schema.ts'

const FIXTURE = join(import.meta.dirname, '../../fixtures/audit-event.v1.txt')
const PROMISED = readFileSync(FIXTURE, 'utf8').trimEnd().split('\n')

type Json = Readonly<Record<string, unknown>>

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** One line for each thing that a reader can rely on: a member and its kind, that it is always there, a value it can have. */
function promisesOf(place: Json, path = ''): string[] {
  const { type, properties, required, items, additionalProperties } = place
  const values = 'const' in place ? [place['const']] : Array.isArray(place['enum']) ? place['enum'] : []
  return [
    ...(path === '' ? [] : [`${path}: ${typeof type === 'string' ? type : 'value'}`]),
    ...values.map((value) => `${path} can be ${JSON.stringify(value)}`),
    ...(Array.isArray(required) ? required.map((name) => `${path}.${String(name)} is always there`) : []),
    ...(isObject(properties)
      ? Object.entries(properties).flatMap(([name, member]) =>
          isObject(member) ? promisesOf(member, `${path}.${name}`) : [],
        )
      : []),
    ...(isObject(items) ? promisesOf(items, `${path}[]`) : []),
    ...(isObject(additionalProperties) ? promisesOf(additionalProperties, `${path}.*`) : []),
  ]
}

/** Objects whose members are not all known: what stands there could be anything. */
function openPlaces(place: Json, path = ''): string[] {
  const members = isObject(place['properties']) ? Object.entries(place['properties']) : []
  const inside = [...members, ['[]', place['items']] as const]
  const isOpen = place['type'] === 'object' && place['additionalProperties'] !== false
  return [
    ...(isOpen ? [path] : []),
    ...inside.flatMap(([name, member]) => (isObject(member) ? openPlaces(member, `${path}.${name}`) : [])),
  ]
}

describe('the published schema, version 1', () => {
  const promises = promisesOf(schema)

  test('keeps every promise that was made: no member is gone, of another kind, or only sometimes there', () => {
    expect(PROMISED.filter((line) => !promises.includes(line))).toEqual([])
  })

  // A member that is new becomes a promise by its line in test/fixtures/audit-event.v1.txt.
  test('promises everything that it says', () => {
    expect(promises.filter((line) => !PROMISED.includes(line))).toEqual([])
    expect(promises.length).toBeGreaterThan(80)
  })

  test('knows every member there is, but for the names of counts', () => {
    expect(openPlaces(schema)).toEqual(['.admin.counts'])
  })
})

describe('an event that is not as the schema says', () => {
  const EVENT = {
    v: 1,
    id: 'req_1',
    time: '2027-01-15T08:00:00.000Z',
    event: 'request.forward',
    outcome: 'allow',
    config: '0123456789ab',
    trace_id: '0'.repeat(32),
    http: { method: 'GET', route: '/r/tasks/*', status: 200 },
    ms: { total: 1 },
  }

  test('is told from one that is', () => {
    expect(faultsOfEvents([EVENT])).toEqual([])
    const { id: _id, ...nameless } = EVENT
    const others = [
      nameless,
      { ...EVENT, token_value: 'x' },
      { ...EVENT, http: { ...EVENT.http, path: '/r/tasks/ann' } },
      { ...EVENT, event: 'something.else' },
      { ...EVENT, ms: { total: '1' } },
    ]
    expect(others.map((event) => faultsOfEvents([event]).length)).toEqual(others.map(() => 1))
  })
})
