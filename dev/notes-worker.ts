// The notes SaaS of the local world, a Worker: its authorization server is @cloudflare/workers-oauth-provider, an
// independent implementation of ID-JAG redemption, and behind it stands a small notes API.

import { insufficientScope, OAuthProvider, type OAuthResourceAuth } from '@cloudflare/workers-oauth-provider'
import type { Exchange, Fault } from './traffic.ts'

type Env = {
  readonly ORIGIN: string
  readonly TRUSTED_ISSUER: string
  readonly TRUSTED_JWKS_URI: string
  readonly ACCESS_TOKEN_SECONDS: number
  /** The world's traffic: takes what was received and says whether to fail. */
  readonly RECORDER: { fetch: (url: string, init: RequestInit) => Promise<Response> }
}

type Props = { readonly user: string }

/** The part of workerd's ExecutionContext used here; the provider adds what it found in the token. */
type Context = { readonly props: Props; readonly auth?: OAuthResourceAuth }

const HANG_MS = 600_000
const SCOPES = ['notes.read', 'notes.write']

/** One list for each user; it lives as long as the isolate. */
const notesByUser = new Map<string, string[]>()

let provider: OAuthProvider<Env> | undefined

function createProvider(env: Env): OAuthProvider<Env> {
  return new OAuthProvider<Env>({
    apiRoute: '/v1/',
    apiHandler: { fetch: answer },
    defaultHandler: { fetch: () => new Response('There is nothing here.\n', { status: 404 }) },
    authorizeEndpoint: '/authorize',
    tokenEndpoint: '/token',
    scopesSupported: SCOPES,
    accessTokenTTL: env.ACCESS_TOKEN_SECONDS,
    resourceMetadata: { resource: `${env.ORIGIN}/v1`, resource_name: 'Notes' },
    enterpriseManagedAuthorization: {
      trustedIssuers: ({ iss }) =>
        Promise.resolve(
          iss === env.TRUSTED_ISSUER
            ? { issuer: env.TRUSTED_ISSUER, jwksUri: env.TRUSTED_JWKS_URI, algorithms: ['RS256', 'ES256'] }
            : null,
        ),
      mapClaims: ({ claims, requestedScope }) =>
        Promise.resolve({
          userId: encodeURIComponent(claims.sub),
          scope: requestedScope.filter((scope) => SCOPES.includes(scope)),
          props: { user: claims.sub } satisfies Props,
        }),
    },
  })
}

async function answer(request: Request, _env: Env, context: Context): Promise<Response> {
  const { auth } = context
  if (auth === undefined) return new Response(null, { status: 401 })
  const { pathname } = new URL(request.url)
  if (pathname !== '/v1/notes') return Response.json({ title: 'there is nothing at this path' }, { status: 404 })
  const { user } = context.props
  const notes = notesByUser.get(user) ?? [`The first note of ${user}`]
  if (request.method === 'GET') {
    if (!auth.scope.includes('notes.read')) return insufficientScope(auth, ['notes.read'])
    return Response.json({ user, notes })
  }
  if (request.method === 'POST') {
    if (!auth.scope.includes('notes.write')) return insufficientScope(auth, ['notes.write'])
    const all = [...notes, await request.text()]
    notesByUser.set(user, all)
    return Response.json({ user, notes: all }, { status: 201 })
  }
  return new Response(null, { status: 405, headers: { allow: 'GET, POST' } })
}

/** What the recorder answers. */
export type Recorded = { readonly index: number; readonly fault?: Fault | undefined }

async function record(request: Request, env: Env): Promise<Recorded> {
  const { pathname, search } = new URL(request.url)
  const received: Omit<Exchange, 'index' | 'time'> = {
    role:
      pathname.startsWith('/v1/') || pathname.startsWith('/.well-known/oauth-protected-resource')
        ? 'notes-api'
        : 'notes-as',
    method: request.method,
    path: `${pathname}${search}`,
    headers: Object.fromEntries(request.headers),
    body: await request.clone().text(),
  }
  const response = await env.RECORDER.fetch('http://recorder/begin', { method: 'POST', body: JSON.stringify(received) })
  const recorded: Recorded = JSON.parse(await response.text())
  return recorded
}

async function respond(request: Request, env: Env, context: Context, fault: Fault | undefined): Promise<Response> {
  if (fault === undefined) {
    provider ??= createProvider(env)
    return await provider.fetch(request, env, context)
  }
  if ('status' in fault)
    return new Response(fault.body ?? '{}', { status: fault.status, headers: { ...fault.headers } })
  // A promise that nothing can settle would be found out by workerd and answered with an error.
  await new Promise((done) => setTimeout(done, HANG_MS))
  return new Response(null, { status: 504 })
}

export default {
  async fetch(request: Request, env: Env, context: Context): Promise<Response> {
    const { index, fault } = await record(request, env)
    const response = await respond(request, env, context, fault)
    await env.RECORDER.fetch('http://recorder/end', {
      method: 'POST',
      body: JSON.stringify({ index, status: response.status }),
    })
    return response
  },
}
