// The other side, scripted: two identity providers, two authorization servers with their APIs, and a host nobody should ever
// talk to. Each is honest until told otherwise, keeps a log of what it received, and all of them remember which token and
// which secret belongs where.
import { randomUUID } from 'node:crypto'
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { Duplex } from 'node:stream'
import { athOf, readProof, type SeenProof } from './dpop.ts'
import { joined } from './http.ts'
import { createTestKey, idTokenClaims, mint, type Claims, type TestKey } from './keys.ts'
import { Sessions, type SessionOptions } from './sessions.ts'

export type Received = {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly rawHeaders: readonly string[]
  readonly body: string
  readonly form: URLSearchParams
}

/** What an endpoint does instead of the honest thing. */
export type Script =
  | {
      readonly status?: number
      readonly headers?: OutgoingHttpHeaders
      readonly json?: unknown
      readonly body?: string | Uint8Array
    }
  /** The honest answer, late. */
  | { readonly delayMs: number }
  /** The honest answer with other members; undefined leaves one out. */
  | { readonly patch: Readonly<Record<string, unknown>> }
  /** The honest answer with other claims in the ID-JAG it is about. */
  | { readonly idJag: Claims; readonly header?: Claims }
  | 'hang'
  | 'reset'
  /** Takes the request over, its body unread. */
  | ((request: IncomingMessage, response: ServerResponse) => void | Promise<void>)

type Honest = {
  readonly status: number
  readonly headers?: OutgoingHttpHeaders
  readonly json: Readonly<Record<string, unknown>>
}

type Answer = (received: Received, script: Script | undefined) => Honest | Promise<Honest>

/** One endpoint of one server. */
export class Endpoint {
  readonly name: string
  readonly requests: Received[] = []
  readonly answer: Answer
  #scripts: { readonly script: Script; times: number }[] = []

  constructor(name: string, answer: Answer) {
    this.name = name
    this.answer = answer
  }

  /** For the next requests, one by default, in the order they were given. */
  script(script: Script, times = 1): void {
    this.#scripts.push({ script, times })
  }

  next(): Script | undefined {
    const [first] = this.#scripts
    if (first === undefined) return undefined
    first.times--
    if (first.times <= 0) this.#scripts.shift()
    return first.script
  }

  get count(): number {
    return this.requests.length
  }

  get last(): Received {
    const last = this.requests.at(-1)
    if (last === undefined) throw new Error(`${this.name} was never asked`)
    return last
  }

  calm(): void {
    this.requests.length = 0
    this.#scripts = []
  }
}

type Guarded = { readonly text: string; readonly what: string; readonly homes: readonly string[] }

export type IdpServer = {
  readonly name: string
  readonly issuer: string
  readonly token: Endpoint
  readonly jwks: Endpoint
  readonly key: TestKey
  readonly sessions: Sessions
  /** Signed with its key, for its client `gw` unless told otherwise. */
  readonly idToken: (claims?: Claims, header?: Claims) => Promise<string>
  readonly refreshToken: (options?: SessionOptions) => string
  readonly assertion: (options?: SessionOptions) => string
}

export type SaasServer = {
  readonly name: string
  /** Its authorization server. */
  readonly issuer: string
  readonly token: Endpoint
  readonly metadata: Endpoint
  /** Revokes tokens (RFC 7009); its metadata does not name it unless they are told to, see `offerRevocation`. */
  readonly revocation: Endpoint
  readonly offerRevocation: () => void
  readonly api: Endpoint
  readonly upstream: string
  readonly resource: string
  /** Takes WebSocket handshakes to the API. */
  onUpgrade: ((request: IncomingMessage, socket: Duplex) => void) | undefined
}

export type Counterparties = Awaited<ReturnType<typeof startCounterparties>>

const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:'
const ID_JAG = `${TOKEN_TYPE}id-jag`

export const SECRETS = {
  JAGWAY_SEALING_KEY: 'CANARY-sealing-0123456789012345678901234567',
  CORP_SECRET: 'CANARY-corp-secret: with %2B + odd/characters',
  PARTNER_SECRET: 'CANARY-partner-secret',
  TASKS_SECRET: 'CANARY-tasks-secret',
  NOTES_SECRET: 'CANARY-notes-secret',
  AGENT_SECRET: 'CANARY-agent-secret',
  POST_SECRET: 'CANARY-post-secret',
} as const

export async function startCounterparties() {
  const guarded: Guarded[] = [
    { text: SECRETS.CORP_SECRET, what: 'the secret for corp', homes: ['corp.token'] },
    { text: SECRETS.PARTNER_SECRET, what: 'the secret for partner', homes: ['partner.token'] },
    { text: SECRETS.TASKS_SECRET, what: 'the secret for tasks', homes: ['tasks.token', 'tasks.revocation'] },
    { text: SECRETS.NOTES_SECRET, what: 'the secret for notes', homes: ['notes.token', 'notes.revocation'] },
    { text: SECRETS.AGENT_SECRET, what: 'a calling client’s secret', homes: ['nobody'] },
    { text: SECRETS.POST_SECRET, what: 'a calling client’s secret', homes: ['nobody'] },
    { text: SECRETS.JAGWAY_SEALING_KEY, what: 'the sealing key', homes: ['nobody'] },
  ]
  const guard = (text: string, what: string, ...homes: readonly string[]): string => {
    guarded.push({ text, what, homes })
    return text
  }
  const servers: { readonly server: Server; readonly endpoints: readonly Endpoint[] }[] = []
  const serve = async (endpoints: Readonly<Record<string, Endpoint>>, fallback: Endpoint) => {
    const server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?')[0] ?? '/'
      void handle(endpoints[path] ?? fallback, request, response)
    })
    servers.push({ server, endpoints: [...Object.values(endpoints), fallback] })
    return { server, origin: await listen(server) }
  }
  const nothing = (name: string) => new Endpoint(name, () => ({ status: 404, json: { error: 'not_found' } }))

  const startIdp = async (name: string): Promise<IdpServer> => {
    const key = await createTestKey(`${name}-key`)
    let issuer = ''
    const sessions = new Sessions()
    const jwks = new Endpoint(`${name}.jwks`, () => ({ status: 200, json: { keys: [key.publicJwk] } }))
    const token = new Endpoint(`${name}.token`, async ({ form, headers }, script) => {
      const proof = await proofIn(headers)
      const audience = form.get('audience') ?? ''
      const shown = form.get('subject_token') ?? ''
      const type = form.get('subject_token_type') ?? ''
      if (form.get('requested_token_type') === `${TOKEN_TYPE}refresh_token`) {
        const refreshToken = sessions.toRefreshToken(shown)
        if (refreshToken === undefined) return { status: 400, json: { error: 'invalid_grant' } }
        guard(refreshToken, 'a refresh token between two steps', `${name}.token`)
        const issued = { issued_token_type: `${TOKEN_TYPE}refresh_token`, token_type: 'N_A' }
        return { status: 200, json: { ...issued, access_token: refreshToken } }
      }
      const session = type === `${TOKEN_TYPE}id_token` ? { sub: subjectOf(shown) } : sessions.show(type, shown)
      if (session === undefined) return { status: 400, json: { error: 'invalid_grant' } }
      const successor = 'successor' in session ? session.successor : undefined
      if (successor !== undefined) guard(successor, 'the successor of a refresh token', `${name}.token`)
      // The audience of a server that does not exist is registered like tasks.
      const saas = notes.issuer === audience ? 'notes' : 'tasks'
      const now = Math.floor(Date.now() / 1000)
      const other = typeof script === 'object' && 'idJag' in script ? script : undefined
      const idJag = await mint(
        key,
        {
          iss: issuer,
          sub: session.sub,
          aud: audience,
          client_id: `jagway-at-${saas}`,
          jti: `jti-${randomUUID()}`,
          iat: now,
          exp: now + 300,
          resource: form.get('resource') ?? undefined,
          scope: form.get('scope') ?? undefined,
          cnf: proof === undefined ? undefined : { jkt: proof.jkt },
          ...('claims' in session ? session.claims : {}),
          ...other?.idJag,
        },
        { typ: 'oauth-id-jag+jwt', ...other?.header },
      )
      guard(idJag, `an ID-JAG for ${audience}`, `${saas}.token`)
      const json = { issued_token_type: ID_JAG, access_token: idJag, token_type: 'N_A', expires_in: 300 }
      return { status: 200, json: successor === undefined ? json : { ...json, refresh_token: successor } }
    })
    const { origin } = await serve({ '/token': token, '/jwks': jwks }, nothing(`${name}.other`))
    issuer = origin
    const idToken = async (claims: Claims = {}, header: Claims = {}) => {
      const now = Math.floor(Date.now() / 1000)
      const text = await mint(key, { ...idTokenClaims(now, issuer, 'gw'), ...claims }, header)
      return guard(text, 'an ID token', `${name}.token`)
    }
    // Its ID-JAGs tell groups: what is left out of them is unknown, and keeps out whomever a rule keeps out.
    const known = (options: SessionOptions) => ({ ...options, claims: { groups: [], ...options.claims } })
    const refreshToken = (options: SessionOptions = {}) =>
      guard(sessions.refreshToken(known(options)), 'a refresh token', `${name}.token`)
    const assertion = (options: SessionOptions = {}) =>
      guard(sessions.assertion(known(options)), 'a SAML assertion', `${name}.token`)
    return { name, issuer, token, jwks, key, sessions, idToken, refreshToken, assertion }
  }

  const startSaas = async (name: string): Promise<SaasServer> => {
    const tokens = new Map<string, { readonly sub: unknown; readonly scope: unknown; readonly client: unknown }>()
    const keys = new Map<string, string | undefined>()
    let issuer = ''
    const token = new Endpoint(`${name}.token`, async ({ form, headers }) => {
      const grant = claimsOf(form.get('assertion'))
      const proof = await proofIn(headers)
      const cnf = proof === undefined ? undefined : { jkt: proof.jkt }
      const isHeld = grant['cnf'] === undefined || JSON.stringify(grant['cnf']) === JSON.stringify(cnf)
      if (grant['aud'] !== issuer || !isHeld) return { status: 400, json: { error: 'invalid_grant' } }
      const what = `an access token of ${name}`
      const text = guard(`at-${name}-${randomUUID()}`, what, `${name}.api`, `${name}.revocation`)
      const scope = form.get('scope') ?? grant['scope']
      tokens.set(text, { sub: grant['sub'], scope, client: grant['client_id'] })
      keys.set(text, proof?.jkt)
      const type = proof === undefined ? 'Bearer' : 'DPoP'
      return { status: 200, json: { access_token: text, token_type: type, expires_in: 600, scope } }
    })
    let offers = false
    const metadata = new Endpoint(`${name}.metadata`, () => ({
      status: 200,
      json: {
        issuer,
        token_endpoint: `${issuer}/token`,
        ...(offers ? { revocation_endpoint: `${issuer}/revocation` } : {}),
      },
    }))
    const revocation = new Endpoint(`${name}.revocation`, ({ form }) => {
      tokens.delete(form.get('token') ?? '')
      return { status: 200, json: {} }
    })
    const authorizationServer = await serve(
      { '/token': token, '/.well-known/oauth-authorization-server': metadata, '/revocation': revocation },
      nothing(`${name}.other`),
    )
    issuer = authorizationServer.origin
    const proofIds = new Set<unknown>()
    let upstream = ''
    const api = new Endpoint(`${name}.api`, async ({ method, path, headers }) => {
      const [scheme, text = ''] = (headers['authorization'] ?? '').split(' ')
      const known = tokens.get(text)
      const proof = await proofIn(headers)
      const { htm, htu, ath, jti } = proof?.claims ?? {}
      const isProven =
        keys.get(text) === undefined
          ? scheme === 'Bearer' && proof === undefined
          : scheme === 'DPoP' &&
            proof?.jkt === keys.get(text) &&
            htm === method &&
            htu === `${upstream}${path.split('?')[0] ?? ''}` &&
            ath === athOf(text) &&
            !proofIds.has(jti)
      proofIds.add(jti)
      if (known === undefined || !isProven) {
        return {
          status: 401,
          headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
          json: { error: 'invalid_token' },
        }
      }
      return { status: 200, json: { server: name, method, path, ...known } }
    })
    const behind = await serve({}, api)
    upstream = behind.origin
    const saas: SaasServer = {
      name,
      issuer,
      token,
      metadata,
      revocation,
      offerRevocation: () => {
        offers = true
      },
      api,
      upstream,
      resource: `${behind.origin}/`,
      onUpgrade: undefined,
    }
    behind.server.on('upgrade', (request, socket) => {
      api.requests.push(receivedOf(request, ''))
      if (saas.onUpgrade === undefined) socket.destroy()
      else saas.onUpgrade(request, socket)
    })
    return saas
  }

  const tasks = await startSaas('tasks')
  const notes = await startSaas('notes')
  const corp = await startIdp('corp')
  const partner = await startIdp('partner')
  const evil = new Endpoint('evil', () => ({ status: 200, json: { access_token: 'EVIL', token_type: 'Bearer' } }))
  const { origin: evilOrigin } = await serve({}, evil)
  const all = servers.flatMap(({ endpoints }) => endpoints)

  return {
    corp,
    partner,
    tasks,
    notes,
    evil,
    evilOrigin,
    /** Where nobody listens. */
    closedOrigin: await unusedOrigin(),
    guard,
    /** How often tokens were asked for: leg 1 at both identity providers, leg 2 at both authorization servers. */
    legs: () => ({
      exchanges: corp.token.count + partner.token.count,
      redemptions: tasks.token.count + notes.token.count,
    }),
    /** How many requests reached an API. */
    forwarded: () => tasks.api.count + notes.api.count,
    /** Every secret and token that was seen where it does not belong. */
    strays: (): readonly string[] =>
      all.flatMap(({ name, requests }) => {
        const seen = requests.map(textOf).join('\n')
        return guarded
          .filter(({ text, homes }) => !homes.includes(name) && seen.includes(text))
          .map(({ what }) => `${what} at ${name}`)
      }),
    /** Every secret and token that stands in a text, in the forms it is passed around in. */
    leaks: (text: string): readonly string[] =>
      guarded
        .filter(({ text: secret }) =>
          [secret, encodeURIComponent(secret), btoa(secret).replace(/=+$/, '')].some((form) => text.includes(form)),
        )
        .map(({ what }) => what),
    /** Forgets scripts and logs; what is guarded stays guarded. */
    calm: () => {
      for (const endpoint of all) endpoint.calm()
    },
    close: () => {
      for (const { server } of servers) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}

async function handle(endpoint: Endpoint, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const script = endpoint.next()
  response.on('error', () => undefined)
  request.on('error', () => undefined)
  if (typeof script === 'function') {
    endpoint.requests.push(receivedOf(request, ''))
    await script(request, response)
    return
  }
  const received = receivedOf(request, await bodyOf(request))
  endpoint.requests.push(received)
  if (script === 'hang') return
  if (script === 'reset') {
    request.socket.destroy()
    return
  }
  if (typeof script === 'object' && 'delayMs' in script) await new Promise((done) => setTimeout(done, script.delayMs))
  const isHonest = script === undefined || 'delayMs' in script || 'patch' in script || 'idJag' in script
  if (isHonest) {
    const { status, headers, json } = await endpoint.answer(received, script)
    const body = script !== undefined && 'patch' in script ? { ...json, ...script.patch } : json
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
    return
  }
  const { status = 200, headers = {}, json, body = '' } = script
  const type = json === undefined ? 'text/plain' : 'application/json'
  response.writeHead(status, { 'content-type': type, ...headers }).end(json === undefined ? body : JSON.stringify(json))
}

function receivedOf(request: IncomingMessage, body: string): Received {
  return {
    method: request.method ?? '',
    path: request.url ?? '',
    headers: joined(request),
    rawHeaders: request.rawHeaders,
    body,
    form: new URLSearchParams(body),
  }
}

/** Everything a request said, Basic credentials and form values decoded as well. */
function textOf({ path, rawHeaders, headers, body, form }: Received): string {
  const basic = /^Basic (.+)$/i.exec(headers['authorization'] ?? '')?.[1]
  const credentials = basic === undefined ? '' : Buffer.from(basic, 'base64').toString()
  return [path, ...rawHeaders, body, credentials, form.toString(), ...form.values(), decoded(credentials)].join('\n')
}

function decoded(text: string): string {
  return new URLSearchParams(`x=${text.replaceAll('&', '%26')}`).get('x') ?? ''
}

const MAX_KEPT_BYTES = 1_000_000

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of request) {
      const bytes = Buffer.from(chunk)
      length += bytes.length
      if (length <= MAX_KEPT_BYTES) chunks.push(bytes)
    }
  } catch {
    // The client went away.
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** What a DPoP proof says whose signature holds; undefined: there is none. */
async function proofIn({ dpop }: Received['headers']): Promise<SeenProof | undefined> {
  return dpop === undefined ? undefined : readProof(dpop)
}

/** Without any check: an honest server would make them, and here the log shows what was sent. */
function claimsOf(token: string | null): Record<string, unknown> {
  const claims: unknown = JSON.parse(Buffer.from((token ?? '').split('.')[1] ?? '', 'base64url').toString() || '{}')
  return typeof claims === 'object' && claims !== null ? { ...claims } : {}
}

function subjectOf(token: string | null): unknown {
  return claimsOf(token)['sub']
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done, fail) => {
    server.once('error', fail)
    server.listen(0, '127.0.0.1', done)
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
}

async function unusedOrigin(): Promise<string> {
  const server = createServer()
  const origin = await listen(server)
  await new Promise((done) => server.close(done))
  return origin
}
