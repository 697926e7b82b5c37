// The whole house on the memory ground, with the servers around it scripted: an identity provider, Cloudflare Access, and two
// authorization servers of which one revokes tokens. Connections come about as in life, by requests through the gateway.
import { createDecisionSink, createRecorder } from '../../../src/audit/audit.ts'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey as JoseKey, type JWTPayload } from 'jose'
import { createAdmin } from '../../../src/admin/admin.ts'
import { createApp } from '../../../src/app.ts'
import type { Config } from '../../../src/config/config.ts'
import { parseConfig } from '../../../src/config/config.ts'
import {
  createCredentials,
  createCutter,
  createIssuedTokens,
  createKeyRing,
  createIntroducer,
  createWork,
} from '../../../src/credentials/credentials.ts'
import { createGateway } from '../../../src/gateway/gateway.ts'
import { createIdentity } from '../../../src/identity/identity.ts'
import { isObject, type JsonObject } from '../../../src/lib/strict-json.ts'
import { Secret } from '../../../src/lib/secret.ts'
import { createLimits } from '../../../src/limits/limits.ts'
import { createDiscovery } from '../../../src/oauth/metadata.ts'
import {
  createCollectingBackground,
  createManualClock,
  createMemoryDecisionLog,
  createMemoryRateLimiter,
  createMemoryIntroductions,
  createMemoryRegistry,
  createMemoryReplayGuard,
  createMemoryRevocationLog,
  createMemorySingleFlight,
  createMemoryTokenStore,
  createRecordingSink,
} from '../../../src/platform/memory.ts'
import { createPolicy } from '../../../src/policy/policy.ts'
import type { AccessSession } from '../../../src/ports.ts'
import { createRevocations } from '../../../src/revocation/revocation.ts'
import { createClientEndpoints } from '../../../src/token/token.ts'

export const GATEWAY = 'https://gw.example'
export const IDP = 'https://idp.example'
export const TEAM = 'https://acme.cloudflareaccess.com'
export const AUDIENCE = '4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2'
export const TASKS_AS = 'https://as.tasks.example'
export const NOTES_AS = 'https://as.notes.example'

/** Both ways in: `sue` and the group `ops` may revoke, the group `help` and everybody Access lets through may look. */
export const ADMIN = {
  access: { team_domain: TEAM, audience: AUDIENCE, revoke: ['sue@acme.example'] },
  id_token: { view: { groups: ['help'] }, revoke: { users: ['main/sue'], groups: ['ops'] } },
}

export interface WorldOptions {
  /** What every resource has beside the usual. */
  readonly resource?: object
  /** `null`: there is no section. */
  readonly admin?: object | null
  readonly maxStaleness?: string
  readonly quota?: object
  readonly cors?: object
  readonly rules?: readonly object[]
  readonly moreClients?: Readonly<Record<string, object>>
}

const ALL = [{ id: 'all', effect: 'allow' }]

function configOf({
  admin = ADMIN,
  maxStaleness = '10s',
  quota,
  cors,
  rules = ALL,
  moreClients = {},
  resource,
}: WorldOptions): Config {
  const auth = { method: 'client_secret_basic', secret: { secret: 'AT_RAS' } }
  const idJag = (name: string) => ({
    kind: 'id-jag',
    authorization_server: { issuer: `https://as.${name}.example` },
    client: { id: `gw-at-${name}`, auth },
    scopes: [`${name}.read`],
    proxy: { path: `/r/${name}`, upstream: `https://api.${name}.example` },
    ...resource,
  })
  const file = {
    version: 1,
    public_url: GATEWAY,
    idps: {
      main: {
        issuer: IDP,
        token_endpoint: `${IDP}/token`,
        jwks_uri: `${IDP}/jwks`,
        claims: { groups: 'groups' },
        clients: { gateway: { id: 'gw', auth: { method: 'none' }, edge_client: 'people' } },
      },
    },
    clients: {
      people: { subject_tokens: ['main/gateway'] },
      ...Object.fromEntries(
        Object.entries(moreClients).map(([name, more]) => [name, { subject_tokens: ['main/gateway'], ...more }]),
      ),
    },
    resources: { tasks: idJag('tasks'), notes: idJag('notes') },
    policy: { rules },
    revocation: { max_staleness: maxStaleness },
    ...(quota === undefined ? {} : { quota }),
    ...(cors === undefined ? {} : { cors }),
    ...(admin === null ? {} : { admin }),
  }
  const parsed = parseConfig(JSON.stringify(file), { fileName: 'jagway.jsonc', local: false })
  if (!parsed.ok) throw new Error(parsed.error.map(({ message }) => message).join('\n'))
  return parsed.value
}

export interface Seen {
  readonly url: string
  readonly authorization: string | null
  readonly body: URLSearchParams
}

// Making RSA keys takes longer than most tests do.
const [idpKey, accessKey, strangerKey] = await Promise.all([newKey(), newKey(), newKey()])

export async function createWorld(options: WorldOptions = {}) {
  const config = configOf(options)
  const clock = createManualClock()
  const { background, settle, failures } = createCollectingBackground()
  const seen: Seen[] = []
  /** What a URL answers instead of what it would. */
  const answers = new Map<string, () => Response | Promise<Response>>()
  let issued = 0

  const fetch = async (request: Request): Promise<Response> => {
    const body = new URLSearchParams(await request.clone().text())
    seen.push({ url: request.url, authorization: request.headers.get('authorization'), body })
    const special = answers.get(request.url)
    if (special !== undefined) return special()
    return answer(new URL(request.url), body)
  }

  const idJag = (audience: string): Promise<string> => {
    const client = audience === TASKS_AS ? 'gw-at-tasks' : 'gw-at-notes'
    const claims = {
      iss: IDP,
      aud: audience,
      client_id: client,
      jti: 'jag-1',
      iat: clock.now(),
      exp: clock.now() + 300,
    }
    return sign(idpKey.privateKey, 'main', claims, 'oauth-id-jag+jwt')
  }

  const answer = async (url: URL, body: URLSearchParams): Promise<Response> => {
    switch (url.href) {
      case `${IDP}/jwks`:
        return Response.json({ keys: [idpKey.jwk] })
      case `${TEAM}/cdn-cgi/access/certs`:
        return Response.json({ keys: [accessKey.jwk], public_cert: { kid: 'access', cert: '-----' }, public_certs: [] })
      case `${IDP}/token`:
        return Response.json({
          issued_token_type: 'urn:ietf:params:oauth:token-type:id-jag',
          access_token: await idJag(body.get('audience') ?? ''),
          token_type: 'N_A',
          expires_in: 300,
        })
      case `${TASKS_AS}/.well-known/oauth-authorization-server`:
        return Response.json({
          issuer: TASKS_AS,
          token_endpoint: `${TASKS_AS}/token`,
          revocation_endpoint: `${TASKS_AS}/revoke`,
        })
      case `${NOTES_AS}/.well-known/oauth-authorization-server`:
        return Response.json({ issuer: NOTES_AS, token_endpoint: `${NOTES_AS}/token` })
      case `${TASKS_AS}/token`:
      case `${NOTES_AS}/token`:
        issued += 1
        return Response.json({ access_token: `access-token-${issued}`, token_type: 'Bearer', expires_in: 900 })
      case `${TASKS_AS}/revoke`:
        return new Response(null)
      default:
        if (url.hostname.startsWith('api.')) return Response.json({ ok: true, form: body.size })
        return new Response(null, { status: 404 })
    }
  }

  const secrets = (): Promise<Secret> => Promise.resolve(new Secret('a secret of the test, long enough to be one'))
  const discovery = createDiscovery({ fetch, clock, background }, { local: false })
  const ring = createKeyRing(config.cache.sealingKeys, secrets)
  const tokens = createMemoryTokenStore({ clock })
  const store = tokens.at('here')
  const log = createMemoryRevocationLog({ clock })
  const registry = createMemoryRegistry({ clock })
  const replay = createMemoryReplayGuard({ clock })
  const decisions = createMemoryDecisionLog({ clock })
  const newRevocations = () => createRevocations(config.revocation.maxStalenessSeconds, { log, clock, background })
  const revocations = newRevocations()
  const certificates = (name: string): never => {
    throw new Error(`no certificate ${name}`)
  }
  const newIdentity = () => createIdentity(config, { fetch, clock, background, replay, secrets, discovery })
  const introductions = createMemoryIntroductions({ clock, background, work: (...job) => work.subject(...job) })
  const sources = {
    fetch,
    clock,
    background,
    secrets,
    certificates,
    store,
    discovery,
    registry,
    revocations,
    introductions,
    replay,
  }
  const work = createWork(config, sources, ring, newIdentity())
  const flight = createMemorySingleFlight({ work: work.token, clock, background })
  const sink = createRecordingSink()
  const cutter = createCutter(config, { flight, store, fetch, secrets, certificates, discovery }, ring)

  /** Another isolate: memory of its own, everything else shared. */
  const createInstance = () => {
    const identity = newIdentity()
    const { maxTtlSeconds } = config.cache
    const policy = createPolicy(config.rules, config.resources.values())
    const doors = {
      identity,
      clock,
      limits: createLimits(config, createMemoryRateLimiter({ clock, limits: config.rateLimits.values() })),
      policy,
      revocations: newRevocations(),
      credentials: createCredentials({ store, flight, clock, background }, ring, maxTtlSeconds),
      introducer: createIntroducer({ store, introductions, clock }, ring, maxTtlSeconds),
    }
    const ports = { log: decisions, background, clock, sleep: () => Promise.resolve() }
    const sinks = [sink, createDecisionSink(ports, config.admin?.decisionsKept ?? 0)]
    const recorder = createRecorder(sinks, clock, config, '0123456789ab')
    return createApp({
      secrets,
      config,
      clock,
      gateway: createGateway({ ...doors, recorder, fetch: (url, init) => fetch(new Request(url, init)) }),
      clients: createClientEndpoints({
        ...doors,
        recorder,
        config,
        issued: createIssuedTokens(
          config,
          { registry, log, cutter, revocations: doors.revocations, clock, background },
          ring,
        ),
      }),
      admin: config.admin && createAdmin({ config, identity, policy, log, registry, cutter, decisions, clock }),
      recorder,
    })
  }
  const app = createInstance()

  const idToken = (sub: string, groups: readonly string[] = [], claims: JWTPayload = {}): Promise<string> =>
    sign(idpKey.privateKey, 'main', {
      iss: IDP,
      aud: 'gw',
      sub,
      groups,
      iat: clock.now(),
      exp: clock.now() + 3600,
      ...claims,
    })

  const accessJwt = (
    email: string,
    claims: Record<string, unknown> = {},
    key = accessKey.privateKey,
  ): Promise<string> =>
    sign(key, 'main', {
      iss: TEAM,
      aud: [AUDIENCE],
      email,
      type: 'app',
      iat: clock.now(),
      nbf: clock.now(),
      exp: clock.now() + 3600,
      sub: '7335d417-61da-459d-899c-0a01c76a2f94',
      ...claims,
    })

  return {
    config,
    clock,
    settle,
    failures,
    seen,
    answers,
    tokens,
    store,
    log,
    registry,
    decisions,
    flight,
    ring,
    sink,
    app,
    createInstance,
    idToken,
    accessJwt,
    strangerKey: strangerKey.privateKey,
    /** One request of a user through the gateway; what it holds is in every store when this ends. */
    use: async (sub: string, resource: 'tasks' | 'notes' = 'tasks', token?: string): Promise<Response> => {
      const headers = { authorization: `Bearer ${token ?? (await idToken(sub))}` }
      const response = await app(new Request(`${GATEWAY}/r/${resource}/v1`, { headers }))
      await settle()
      return response
    },
    /** A request of an administrator; `who` is the token, or headers of the test's choice. */
    ask: async (
      method: string,
      path: string,
      who: string | Record<string, string>,
      body?: unknown,
      access?: AccessSession,
    ) => {
      const headers = {
        ...(method === 'GET' ? {} : { 'content-type': 'application/json' }),
        ...(typeof who === 'string' ? { authorization: `Bearer ${who}` } : who),
      }
      const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
      const init = text === undefined ? { method, headers } : { method, headers, body: text }
      const response = await app(new Request(`${GATEWAY}${path}`, init), { access })
      await settle()
      return response
    },
    /** The access tokens that APIs have seen. */
    sentTokens: (): readonly string[] =>
      seen.flatMap(({ url, authorization }) =>
        new URL(url).hostname.startsWith('api.') ? [(authorization ?? '').replace('Bearer ', '')] : [],
      ),
    revokedTokens: (): readonly string[] =>
      seen.flatMap(({ url, body }) => (url === `${TASKS_AS}/revoke` ? [body.get('token') ?? ''] : [])),
  }
}

export type World = Awaited<ReturnType<typeof createWorld>>

async function newKey() {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid: 'main', alg: 'RS256', use: 'sig' } }
}

export function sign(key: JoseKey, kid: string, claims: JWTPayload, typ = 'JWT'): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid, typ }).sign(key)
}

/** The JSON object of an answer. */
export async function bodyOf(response: Response): Promise<JsonObject> {
  const body: unknown = await response.json()
  if (!isObject(body)) throw new Error('not a JSON object')
  return body
}
