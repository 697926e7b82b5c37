// An in-memory house: all rooms, wired as worker.ts wires them, over the memory ground. The identity provider, the resource
// authorization servers and the APIs are one scripted network that remembers what it was asked; nothing else is replaced.
import { createRecorder } from '../../../src/audit/audit.ts'
import { createApp, type App } from '../../../src/app.ts'
import { parseConfig, renderProblems, type Config } from '../../../src/config/config.ts'
import {
  createCredentials,
  createCutter,
  createIssuedTokens,
  createKeyRing,
  createIntroducer,
  createWork,
  type Credentials,
} from '../../../src/credentials/credentials.ts'
import { createGateway } from '../../../src/gateway/gateway.ts'
import { createIdentity, type Identity } from '../../../src/identity/identity.ts'
import { fromBase64Url, fromUtf8 } from '../../../src/lib/bytes.ts'
import { Secret } from '../../../src/lib/secret.ts'
import { parseJsonObject, type JsonObject } from '../../../src/lib/strict-json.ts'
import { createLimits } from '../../../src/limits/limits.ts'
import { createDiscovery, type Discovery } from '../../../src/oauth/metadata.ts'
import {
  createCollectingBackground,
  createManualClock,
  createMemoryRateLimiter,
  createMemoryIntroductions,
  createMemoryRegistry,
  createMemoryReplayGuard,
  createMemoryRevocationLog,
  createMemorySingleFlight,
  createMemoryTokenStore,
  createRecordingSink,
  type ManualClock,
  type MemoryRateLimiter,
  type MemoryIntroductions,
  type MemoryRegistry,
  type MemoryReplayGuard,
  type MemoryRevocationLog,
  type MemorySingleFlight,
  type MemoryTokenStore,
  type RecordingSink,
} from '../../../src/platform/memory.ts'
import { createPolicy, type Policy } from '../../../src/policy/policy.ts'
import type { AuditSink, Certificates, Fetch, Secrets, TokenStore } from '../../../src/ports.ts'
import { createRevocations, type Revocations } from '../../../src/revocation/revocation.ts'
import { createClientEndpoints } from '../../../src/token/token.ts'
import { readProof } from '../../support/dpop.ts'
import { createTestKey, idTokenClaims, mint, type Claims } from '../../support/keys.ts'
import { Sessions } from '../../support/sessions.ts'

// Node wants to be told that a body is a stream (`duplex`), workerd, for which the house is written, knows by itself.
const NodeRequest = globalThis.Request
class StreamingRequest extends NodeRequest {
  constructor(input: RequestInfo, init?: RequestInit) {
    const streaming = { ...init, duplex: 'half' }
    super(input, init?.body instanceof ReadableStream ? streaming : init)
  }
}
Reflect.set(globalThis, 'Request', StreamingRequest)

export type Json = Readonly<Record<string, unknown>>

export const idpKey = await createTestKey('idp-1')

export const NAMES = {
  gateway: 'https://gw.test',
  idp: 'https://login.corp.test',
  idpToken: 'https://login.corp.test/oauth2/token',
  /** With the slash that URL parsers like to add and that must not be lost. */
  ras: 'https://as.tasks.test/',
  rasToken: 'https://as.tasks.test/token',
  api: 'https://api.tasks.test/v1',
} as const

/** Every secret of the house. Whatever shows one of these to anybody else has leaked it. */
export const SECRETS: Readonly<Record<string, string>> = {
  IDP_WEB_SECRET: 'canary-idp-web+%&',
  IDP_AGENT_SECRET: 'canary-idp-agent',
  TASKS_SECRET: 'canary-ras-tasks',
  NOTES_SECRET: 'canary-ras-notes',
  AGENT_SECRET: 'canary-agent',
  OTHER_SECRET: 'canary-other',
  JAGWAY_SEALING_KEY: 'canary-sealing-key-of-forty-characters-00',
  OLD_SEALING_KEY: 'canary-older-sealing-key-of-forty-chars-0',
}

const basic = (secret: string): Json => ({ method: 'client_secret_basic', secret: { secret } })

export const IDPS = {
  corp: {
    issuer: NAMES.idp,
    token_endpoint: NAMES.idpToken,
    jwks: { keys: [idpKey.publicJwk] },
    claims: { groups: 'groups' },
    clients: {
      web: { id: 'web-id', auth: basic('IDP_WEB_SECRET'), edge_client: 'browser-app' },
      agent: { id: 'agent-id', auth: basic('IDP_AGENT_SECRET') },
    },
  },
} as const satisfies Json

export const CLIENTS = {
  'browser-app': { subject_tokens: ['corp/web'] },
  agent: { subject_tokens: ['corp/agent'], auth: basic('AGENT_SECRET') },
  other: { subject_tokens: ['corp/web'], auth: basic('OTHER_SECRET') },
} as const satisfies Json

/** Behind a path of the gateway, at a host of its own, and for the token endpoint alone. */
export const RESOURCES = {
  tasks: {
    kind: 'id-jag',
    authorization_server: { issuer: NAMES.ras, token_endpoint: NAMES.rasToken },
    resource: NAMES.api,
    client: { id: 'gw-at-tasks', auth: basic('TASKS_SECRET') },
    scopes: ['tasks.read', 'tasks.write'],
    proxy: { path: '/r/tasks', upstream: NAMES.api, request_headers: ['x-app'] },
  },
  notes: {
    kind: 'id-jag',
    authorization_server: { issuer: 'https://as.notes.test', token_endpoint: 'https://as.notes.test/token' },
    client: { id: 'gw-at-notes', auth: basic('NOTES_SECRET') },
    scopes: ['notes.read'],
    proxy: { host: 'notes.gw.test', upstream: 'https://api.notes.test' },
  },
  hidden: {
    kind: 'id-jag',
    authorization_server: { issuer: 'https://as.hidden.test', token_endpoint: 'https://as.hidden.test/token' },
    resource: 'https://api.hidden.test',
    client: { id: 'gw-at-hidden', auth: basic('NOTES_SECRET') },
    scopes: ['hidden.read'],
  },
} as const satisfies Json

export const RULES: readonly Json[] = [
  { id: 'alice-tasks', effect: 'allow', who: { users: ['corp/alice', 'corp/bob'] }, resources: ['tasks'] },
  { id: 'notes', effect: 'allow', who: { users: ['corp/alice'] }, resources: ['notes'] },
  { id: 'hidden-from-agents', effect: 'allow', who: { clients: ['browser-app'] }, resources: ['hidden'] },
]

export type Role = 'idp' | 'ras' | 'upstream'

/** One request as its receiver saw it. */
export interface Seen {
  readonly role: Role
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly body: string
  readonly form: URLSearchParams
  readonly signal: AbortSignal
  /** The certificate binding that it came by. */
  readonly certificate: string | undefined
}

export type Handler = (seen: Seen) => Response | Promise<Response>

export interface WorldOptions {
  readonly idps?: Json
  readonly clients?: Json
  readonly resources?: Json
  readonly rules?: readonly Json[]
  readonly cache?: Json
  /** `0s` unless told otherwise: what is revoked is known to the next request. */
  readonly maxStaleness?: string
  readonly quota?: Json
  readonly cors?: Json
  /** Beside those of the house. */
  readonly secrets?: Readonly<Record<string, string>>
  readonly sinks?: readonly AuditSink[]
  /** Whether no token leaves before its event is accepted. */
  readonly recordRequired?: boolean
  /** What can be read in the network, by address: metadata of servers, and keys. */
  readonly documents?: Readonly<Record<string, Json | (() => Json)>>
  /** Subject tokens are remembered from there. */
  readonly introductionsOf?: World
}

/** What runs in one isolate: its own memory over the common ground. */
export interface Isolate {
  readonly app: App
  readonly identity: Identity
  readonly policy: Policy
  readonly revocations: Revocations
  readonly credentials: Credentials
}

export interface World extends Isolate {
  readonly config: Config
  readonly clock: ManualClock
  readonly store: MemoryTokenStore
  readonly flight: MemorySingleFlight
  readonly introductions: MemoryIntroductions
  /** The sign-ins that the identity provider knows by refresh tokens and SAML assertions. */
  readonly sessions: Sessions
  readonly registry: MemoryRegistry
  readonly log: MemoryRevocationLog
  readonly replay: MemoryReplayGuard
  readonly limiter: MemoryRateLimiter
  readonly sink: RecordingSink
  /** Replace a handler to script a counterparty. */
  readonly script: Record<Role, Handler>
  readonly fetch: Fetch
  /** Everything that was asked, in order; or of one role. */
  seen(role?: Role): readonly Seen[]
  /** Requests to places that nobody configured. */
  readonly strays: readonly string[]
  /** Lets a counterparty answer as it does, with these members changed; a member of `undefined` is left out. */
  alter(role: 'idp' | 'ras', changes: Json, init?: ResponseInit): void
  /** Another isolate, seeing KV from a location of its own. */
  isolate(location: string): Isolate
  idToken(changes?: Claims, header?: Claims): Promise<string>
  /** How often KV was asked to write, whether it did or not. */
  kvWrites(): number
  /** Until all work in the background has ended. */
  settle(): Promise<void>
  readonly backgroundFailures: readonly unknown[]
}

export function json(body: unknown, init: ResponseInit = {}): Response {
  return new Response(JSON.stringify(body), {
    ...init,
    headers: { 'content-type': 'application/json', ...Object.fromEntries(new Headers(init.headers)) },
  })
}

/** The claims of a JWT, unverified. */
export function claimsOf(token: string): JsonObject {
  const bytes = fromBase64Url(token.split('.')[1] ?? '')
  const text = bytes.ok ? fromUtf8(bytes.value) : bytes
  const claims = text.ok ? parseJsonObject(text.value) : text
  if (!claims.ok) throw new Error(`not a JWT: ${claims.error}`)
  return claims.value
}

/** Never answers by itself; ends as fetch ends it, when the caller gives up. */
export function hang(seen: Seen): Promise<Response> {
  return new Promise((_resolve, reject) => {
    seen.signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')))
  })
}

/** What the events of a world carry. */
export const CONFIG_HASH = '0123456789ab'

const STORE_TIMEOUT_MS = 50

/** As the real ground does it: a store that does not answer is a store that fails. */
function bounded(store: TokenStore, onWrite: () => void = () => undefined): TokenStore {
  const within = async <T>(work: Promise<T>): Promise<T> => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error('KV did not answer')), STORE_TIMEOUT_MS)
    })
    try {
      return await Promise.race([work, late])
    } finally {
      clearTimeout(timer)
    }
  }
  return {
    get: (name) => within(store.get(name)),
    put: (name, value, expiresAt) => {
      onWrite()
      return within(store.put(name, value, expiresAt))
    },
    delete: (name) => within(store.delete(name)),
  }
}

export function createWorld(options: WorldOptions = {}): World {
  const config = configOf(options)
  const clock = createManualClock()
  const store = createMemoryTokenStore({ clock })
  const { background, settle, failures } = createCollectingBackground()
  const sink = createRecordingSink()
  const secrets: Secrets = async (name) => {
    const value = options.secrets?.[name] ?? SECRETS[name]
    if (value === undefined) throw new Error(`the secret ${name} is not set`)
    return new Secret(value)
  }
  const network = createNetwork(config, clock, options.documents)
  const { fetch, script } = network
  const replay = createMemoryReplayGuard({ clock })
  const registry = createMemoryRegistry({ clock })
  const limiter = createMemoryRateLimiter({ clock, limits: config.rateLimits.values() })
  const log = createMemoryRevocationLog({ clock })
  let writes = 0
  const newDiscovery = () => createDiscovery({ fetch, clock, background }, { local: false })
  const newRevocations = () => createRevocations(config.revocation.maxStalenessSeconds, { log, clock, background })
  const newRing = () => createKeyRing(config.cache.sealingKeys, secrets)
  const newIdentity = (discovery: Discovery) =>
    createIdentity(config, { fetch, clock, background, secrets, discovery, replay })
  const introductions = createMemoryIntroductions({
    clock,
    background,
    work: (...job) => work.subject(...job),
    remembered: options.introductionsOf?.introductions.dump(),
  })
  const discoveryOfFlights = newDiscovery()
  const work = createWork(
    config,
    {
      fetch,
      clock,
      background,
      secrets,
      certificates: network.certificates,
      store: bounded(store.at('flight'), () => writes++),
      discovery: discoveryOfFlights,
      registry,
      revocations: newRevocations(),
      introductions,
      replay,
    },
    newRing(),
    newIdentity(discoveryOfFlights),
  )
  const flight = createMemorySingleFlight({ clock, background, work: work.token })

  const isolate = (location: string): Isolate => {
    const discovery = newDiscovery()
    const identity = newIdentity(discovery)
    const policy = createPolicy(config.rules, config.resources.values())
    const revocations = newRevocations()
    const { maxTtlSeconds } = config.cache
    const near = bounded(store.at(location))
    const credentials = createCredentials({ store: near, clock, background, flight }, newRing(), maxTtlSeconds)
    const introducer = createIntroducer({ store: near, introductions, clock }, newRing(), maxTtlSeconds)
    const limits = createLimits(config, limiter)
    const audit = { ...config.audit, required: options.recordRequired ?? false }
    const recorder = createRecorder(options.sinks ?? [sink], clock, { ...config, audit }, CONFIG_HASH)
    const doors = { recorder, identity, limits, policy, revocations, credentials, clock }
    const gateway = createGateway({
      ...doors,
      fetch: (url, init) => fetch(new Request(url, init)),
    })
    const ring = newRing()
    const { certificates } = network
    const cutterPorts = { flight, store: store.at(location), fetch, secrets, certificates, discovery }
    const cutter = createCutter(config, cutterPorts, ring)
    const issued = createIssuedTokens(config, { registry, log, cutter, revocations, clock, background }, ring)
    const clients = createClientEndpoints({ ...doors, introducer, config, issued })
    const app = createApp({ config, clock, secrets, gateway, clients, recorder })
    return { app, identity, policy, revocations, credentials }
  }

  return {
    ...isolate('home'),
    config,
    clock,
    store,
    flight,
    introductions,
    sessions: network.sessions,
    registry,
    log,
    replay,
    limiter,
    sink,
    script,
    fetch,
    strays: network.strays,
    seen: (role) => (role === undefined ? network.seen : network.seen.filter((each) => each.role === role)),
    alter(role, changes, init): void {
      const answer = script[role]
      script[role] = async (seen) => json({ ...(await (await answer(seen)).json<Json>()), ...changes }, init)
    },
    isolate,
    idToken: (changes = {}, header = {}) =>
      mint(idpKey, { ...idTokenClaims(clock.now(), NAMES.idp, 'web-id'), ...changes }, header),
    kvWrites: () => writes,
    settle,
    backgroundFailures: failures,
  }
}

function configOf({
  idps = IDPS,
  clients = CLIENTS,
  resources = RESOURCES,
  rules = RULES,
  cache = {},
  maxStaleness = '0s',
  quota,
  cors,
}: WorldOptions): Config {
  const text = JSON.stringify({
    version: 1,
    public_url: NAMES.gateway,
    idps,
    clients,
    resources,
    policy: { rules },
    cache,
    revocation: { max_staleness: maxStaleness },
    ...(quota === undefined ? {} : { quota }),
    ...(cors === undefined ? {} : { cors }),
  })
  const config = parseConfig(text, { fileName: 'world.jsonc', local: false })
  if (!config.ok) throw new Error(renderProblems(text, config.error))
  return config.value
}

interface Network {
  readonly sessions: Sessions
  readonly fetch: Fetch
  readonly certificates: Certificates
  readonly script: Record<Role, Handler>
  readonly seen: Seen[]
  readonly strays: string[]
}

function createNetwork(config: Config, clock: ManualClock, documents: WorldOptions['documents'] = {}): Network {
  const seen: Seen[] = []
  const strays: string[] = []
  const sessions = new Sessions()
  const script: Record<Role, Handler> = {
    idp: (request) => issueIdJag(config, clock, sessions, request),
    ras: (request) => issueAccessToken(seen, request),
    upstream: () => json({ it: 'works' }, { headers: { 'x-upstream': 'yes' } }),
  }
  const answer = async (request: Request, certificate?: string): Promise<Response> => {
    const document = documents[request.url]
    if (document !== undefined) return json(typeof document === 'function' ? document() : document)
    const role = roleOf(config, request.url)
    if (role === undefined) {
      strays.push(request.url)
      throw new TypeError('no such host')
    }
    const { url, method, headers, signal } = request
    const body = await request.text()
    const one: Seen = { role, url, method, headers, body, form: new URLSearchParams(body), signal, certificate }
    seen.push(one)
    return script[role](one)
  }
  return {
    seen,
    strays,
    sessions,
    script,
    fetch: (request) => answer(request),
    certificates: (name) => (request) => answer(request, name),
  }
}

function roleOf(config: Config, url: string): Role | undefined {
  if ([...config.idps.values()].some(({ tokenEndpoint }) => tokenEndpoint === url)) return 'idp'
  const resources = [...config.resources.values()]
  if (resources.some(({ authorizationServer }) => authorizationServer.tokenEndpoint === url)) return 'ras'
  // Of a server that is found by its metadata.
  if (url === NAMES.rasToken) return 'ras'
  return resources.some(({ proxy }) => proxy !== undefined && url.startsWith(proxy.upstream)) ? 'upstream' : undefined
}

/** An identity provider that grants whatever it is asked for, and binds it to the key that was proven. */
async function issueIdJag(config: Config, clock: ManualClock, sessions: Sessions, seen: Seen): Promise<Response> {
  const { form } = seen
  const proof = seen.headers.get('dpop')
  const token = form.get('subject_token') ?? ''
  const type = form.get('subject_token_type') ?? ''
  if (form.get('requested_token_type')?.endsWith(':refresh_token') === true) {
    const issued = { issued_token_type: `${TOKEN_TYPE_PREFIX}refresh_token`, token_type: 'N_A' }
    const refreshToken = sessions.toRefreshToken(token)
    if (refreshToken === undefined) return json({ error: 'invalid_grant' }, { status: 400 })
    return json({ ...issued, access_token: refreshToken, scope: form.get('scope') })
  }
  const isIdToken = type.endsWith(':id_token')
  const shown = isIdToken
    ? { sub: claimsOf(token)['sub'], claims: {}, successor: undefined }
    : sessions.show(type, token)
  if (shown === undefined) return json({ error: 'invalid_grant' }, { status: 400 })
  const audience = form.get('audience')
  const indicator = form.get('resource') ?? undefined
  const resource = [...config.resources.values()].find(
    (each) => each.authorizationServer.issuer === audience && each.resource === indicator,
  )
  const claims = {
    iss: NAMES.idp,
    sub: shown.sub,
    aud: audience,
    client_id: resource?.client.id,
    jti: `jag-${crypto.randomUUID()}`,
    iat: clock.now(),
    exp: clock.now() + 300,
    resource: indicator,
    scope: form.get('scope') ?? undefined,
    act: actorOf(form.get('actor_token')),
    cnf: proof === null ? undefined : { jkt: (await readProof(proof)).jkt },
    ...shown.claims,
  }
  return json({
    issued_token_type: 'urn:ietf:params:oauth:token-type:id-jag',
    access_token: await mint(idpKey, claims, { typ: 'oauth-id-jag+jwt' }),
    token_type: 'N_A',
    expires_in: 300,
    ...(shown.successor === undefined ? {} : { refresh_token: shown.successor }),
  })
}

const TOKEN_TYPE_PREFIX = 'urn:ietf:params:oauth:token-type:'

/** Believed, as everything here: the identity provider's own checks are no part of the house. */
function actorOf(token: string | null): Json | undefined {
  if (token === null || token.split('.').length !== 3) return undefined
  const { sub, iss } = claimsOf(token)
  return { sub, iss }
}

/**
 * An authorization server that redeems whatever it is shown, by whoever has the key it is bound to; tokens are numbered, name
 * their user, and are bound to the key that was proven.
 */
async function issueAccessToken(seen: readonly Seen[], { form, headers }: Seen): Promise<Response> {
  const { sub, cnf } = claimsOf(form.get('assertion') ?? '')
  const proof = headers.get('dpop')
  const key = proof === null ? undefined : { jkt: (await readProof(proof)).jkt }
  if (cnf !== undefined && JSON.stringify(cnf) !== JSON.stringify(key))
    return json({ error: 'invalid_grant' }, { status: 400 })
  const number = seen.filter(({ role }) => role === 'ras').length
  return json({
    access_token: `canary-access-${String(sub)}-${number}`,
    token_type: key === undefined ? 'Bearer' : 'DPoP',
    expires_in: 3600,
    refresh_token: 'canary-refresh',
  })
}
