// Shows what the Worker wrote to its console as one line: an audit event in short, anything else as it is.

import type { LogEntry } from './launch.ts'

type Fields = Readonly<Record<string, unknown>>

export function requestLine({ message }: LogEntry): string {
  const event = parseEvent(message)
  if (event === undefined) return `  ${message}`
  const time = shown(event['time']).slice(11, 19)
  if (event['event'] === 'config.load') return `  ${time}  configuration ${shown(event['config'])} is in use`
  const http = fieldsOf(event['http'])
  const legs = Object.entries(fieldsOf(event['ms'])).map(([leg, ms]) => `${leg} ${shown(ms)} ms`)
  const parts = [
    time,
    [shown(http['method']), shown(http['path']) || eventName(event)].filter(Boolean).join(' '),
    shown(http['status']),
    shown(fieldsOf(event['resource'])['id']),
    shown(fieldsOf(event['user'])['sub']),
    [shown(event['outcome']), shown(event['code']), shown(fieldsOf(event['policy'])['rule'])].filter(Boolean).join(' '),
    shown(event['cache']),
    legs.join(', '),
  ]
  return `  ${parts.filter(Boolean).join('  ')}`
}

/** A forwarded request is known by its resource; anything else is said. */
function eventName(event: Fields): string {
  return event['event'] === 'request.forward' ? '' : shown(event['event'])
}

function parseEvent(message: string): Fields | undefined {
  if (!message.startsWith('{')) return undefined
  try {
    const event = fieldsOf(JSON.parse(message))
    return 'event' in event ? event : undefined
  } catch {
    return undefined
  }
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}
}

function shown(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
