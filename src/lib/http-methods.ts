// The methods of requests, by their names.

/** Never passed on: a tunnel, and an echo of the request with its credentials (RFC 9110 sections 9.3.6, 9.3.8). */
export const UNFORWARDED_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK'])

const METHOD = /^[A-Z][A-Z-]{0,29}$/

/** Whether this is the name of a method, as they are written: in upper case. */
export function isMethod(word: string): boolean {
  return METHOD.test(word)
}
