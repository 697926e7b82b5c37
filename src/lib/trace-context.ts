// W3C Trace Context: a trace id that is carried on, or made where a request brings none or a malformed one.

export interface TraceContext {
  /** 32 lower-case hexadecimal digits. */
  readonly traceId: string
  /** The header value for the next hop: same trace, a new parent. */
  readonly traceparent: string
  /** Whether the trace came with the request. */
  readonly carried: boolean
}

const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/

/** `fresh`: 32 random hexadecimal digits, for whatever has to be made. */
export function createTraceContext(header: string | null, fresh: string): TraceContext {
  const match = header === null ? null : TRACEPARENT.exec(header)
  const [, traceId = fresh, flags = '00'] = match ?? []
  return { traceId, traceparent: `00-${traceId}-${fresh.slice(16)}-${flags}`, carried: match !== null }
}
