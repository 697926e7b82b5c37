// The published schema of audit events, as a reader of events would use it.
import { Ajv } from 'ajv'
import schema from '../../schema/audit-event.v1.json' with { type: 'json' }

const validate = new Ajv({ allErrors: true }).compile(schema)

/** What is wrong with these events by the published schema; each complaint with the event it is about. */
export function faultsOfEvents(events: readonly unknown[]): readonly string[] {
  return events.flatMap((event) => {
    if (validate(event)) return []
    const complaints = (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${instancePath} ${message ?? ''} ${JSON.stringify(params)}`,
    )
    return [`${complaints.join('; ')} in ${JSON.stringify(event)}`]
  })
}
