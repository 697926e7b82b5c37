// What the span of a request says in the traces of the platform: attributes by the names of OpenTelemetry's semantic conventions where
// there is one, else by ours. Nobody's name is among them: traces are read by more people than the record of decisions.
import type { AuditEvent } from '../audit-event.ts'

export type SpanAttributes = Readonly<Record<string, string | undefined>>

/** Undefined: no decision is over. Method, status and timing are the platform's own attributes. */
export function toSpanAttributes(event: AuditEvent): SpanAttributes | undefined {
  const { http, id, trace_id: traceId, config, outcome, code, resource, client, policy, cache } = event
  if (http.status === undefined) return undefined
  return {
    'http.route': http.route,
    'error.type': code,
    'jagway.trace_id': traceId,
    'jagway.event': event.event,
    'jagway.outcome': outcome,
    'jagway.config': config,
    'jagway.resource': resource?.id,
    'jagway.client': client?.id,
    'jagway.rule': policy?.rule,
    'jagway.cache': cache,
    'jagway.request_id': id,
  }
}
