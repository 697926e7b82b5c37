// Cross-origin requests of browsers (Fetch standard, section 3.2 "CORS protocol"), for the origins somebody has listed.
//
// Answers never allow credentials: what is asked of us is authorized by what the page itself puts into the Authorization
// header, not by what a browser adds on its own. Without credentials the `*` in the lists below is a wildcard; the names
// beside it are those it does not cover, or that older browsers want to read. A page may thus send and read what any other
// client may; which headers go further is decided where they are passed on.

/** Answers a request, and lets pages of the listed origins read the answer. */
export type Cors = (request: Request, answer: () => Response | Promise<Response>) => Response | Promise<Response>

const PREFLIGHT = {
  'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, QUERY, OPTIONS',
  'access-control-allow-headers': 'authorization, content-type, dpop, *',
  // The longest that any browser keeps it (Chrome). An origin that is taken off the list is refused at its next request.
  'access-control-max-age': '7200',
} as const

const EXPOSED = 'www-authenticate, dpop-nonce, retry-after, proxy-status, mcp-session-id, *'

/** Without origins there is no CORS, and nothing about an answer changes. */
export function createCors(origins: ReadonlySet<string> | undefined): Cors {
  if (origins === undefined) return (_request, answer) => answer()
  return async (request, answer) => {
    const origin = request.headers.get('origin')
    // Origins are compared as they are written: `null` and look-alikes are nobody's.
    const allowed = origin !== null && origins.has(origin) ? origin : undefined
    const isPreflight = request.method === 'OPTIONS' && request.headers.has('access-control-request-method')
    const response =
      allowed !== undefined && isPreflight ? new Response(null, { status: 204, headers: PREFLIGHT }) : await answer()
    // A WebSocket knows no CORS, and its answer is not to be touched.
    if (response.status === 101) return response
    response.headers.append('vary', 'Origin')
    if (allowed !== undefined) {
      response.headers.set('access-control-allow-origin', allowed)
      response.headers.set('access-control-expose-headers', EXPOSED)
    }
    return response
  }
}
