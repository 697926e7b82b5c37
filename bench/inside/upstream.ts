// Everything that lies beyond the gateway, as one Worker: the `globalOutbound` of whoever is measured. The API answers at
// once; the two authorization servers check nothing. What arrives is counted.

/** `foreign`: requests to the API with a token that is not from the API's own authorization server. */
const counts = { upstream: 0, foreign: 0, exchanges: 0, redemptions: 0 }

/** 163 bytes, about what a small API answers. */
const ITEM = JSON.stringify({
  id: 'itm_01J9ZK3Q8V',
  title: 'Water the plants on the south terrace',
  done: false,
  owner: 'user-4711',
  updated_at: '2026-11-22T08:00:00Z',
  labels: ['home'],
}).padEnd(163)

const JSON_HEADERS = { 'content-type': 'application/json' }
const LIFETIME_SECONDS = 3600
/** As long as access tokens in the field are, about 900 characters. */
const ACCESS_TOKEN_PADDING = 'x'.repeat(860)
const OWN_TOKEN = 'Bearer at.'

/** For these users the identity provider takes its time, so that all who want the same meet while it does. */
const SLOW_USER = /^slow-/
const SLOW_MS = 250

export default {
  async fetch(request: Request): Promise<Response> {
    const { url } = request
    if (url.startsWith('https://api.example/')) return api(url, request.headers.get('authorization') ?? '')
    if (url === 'https://idp.example/token') return exchange(new URLSearchParams(await request.text()))
    if (url === 'https://ras.example/token') return redeem()
    if (new URL(url).pathname === '/counts') return Response.json(counts)
    return new Response(`nothing is at ${url}`, { status: 404 })
  },
}

/** At `/v1/token` it tells the number of the token it was shown. */
function api(url: string, authorization: string): Response {
  counts.upstream += 1
  if (!authorization.startsWith(OWN_TOKEN)) counts.foreign += 1
  if (!url.endsWith('/v1/token')) return new Response(ITEM, { headers: JSON_HEADERS })
  return new Response(authorization.split('.')[1], { headers: JSON_HEADERS })
}

/** RFC 8693, as jagway asks for an ID-JAG. Nobody here verifies its signature, so it has none worth the name. */
async function exchange(form: URLSearchParams): Promise<Response> {
  counts.exchanges += 1
  const now = Math.floor(Date.now() / 1000)
  const user = subjectOf(form.get('subject_token') ?? '')
  if (SLOW_USER.test(user)) await new Promise((done) => setTimeout(done, SLOW_MS))
  const claims = {
    iss: 'https://idp.example',
    aud: form.get('audience'),
    client_id: 'gateway-at-ras',
    sub: user,
    jti: crypto.randomUUID(),
    iat: now,
    exp: now + 300,
    resource: form.get('resource'),
    scope: form.get('scope'),
  }
  const idJag = [
    JSON.stringify({ alg: 'RS256', typ: 'oauth-id-jag+jwt', kid: 'k' }),
    JSON.stringify(claims),
    's'.repeat(256),
  ]
  return Response.json({
    access_token: idJag
      .map((part) => btoa(part).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''))
      .join('.'),
    issued_token_type: 'urn:ietf:params:oauth:token-type:id-jag',
    token_type: 'N_A',
    expires_in: 300,
  })
}

function subjectOf(idToken: string): string {
  const payload = idToken.split('.')[1] ?? ''
  const claims: { readonly sub: string } = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')))
  return claims.sub
}

/** RFC 7523. */
function redeem(): Response {
  counts.redemptions += 1
  return Response.json({
    access_token: `at.${counts.redemptions}.${ACCESS_TOKEN_PADDING}`,
    token_type: 'Bearer',
    expires_in: LIFETIME_SECONDS,
  })
}
