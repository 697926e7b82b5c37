// Methods that are never passed on: a tunnel, and an echo of the request with its credentials (RFC 9110 sections 9.3.6, 9.3.8).

export const UNFORWARDED_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK'])
