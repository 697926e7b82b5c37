// A small town for the doctor: an identity provider, an authorization server and an API as real HTTP servers on this machine,
// each of which can be given a fault; and a configuration that is about them.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { text as readAll } from 'node:stream/consumers'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { diagnose, type Order } from '../../../../src/cli/doctor.ts'
import { toJson, toText, type Report } from '../../../../src/cli/doctor/report.ts'
import { createTestKey, mint, type Claims, type TestKey } from '../../../support/keys.ts'

export type Json = Record<string, unknown>
export type Role = 'idp' | 'ras' | 'api'

/** One request as it came in. */
export interface Seen {
  readonly role: Role
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly form: URLSearchParams
  readonly client: {
    readonly id: string
    readonly secret: string
    readonly how: 'basic' | 'post' | 'assertion' | 'none'
    readonly raw: string
  }
}

export interface Reply {
  readonly status?: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Bytes as they are, in place of JSON. */
  readonly raw?: string
  /** Never answers; or begins and does not end. */
  readonly fault?: 'hang' | 'drip' | 'cut'
}

type Handler = (seen: Seen) => Reply

export interface Town {
  readonly origin: Readonly<Record<Role, string>>
  readonly key: TestKey
  readonly seen: Seen[]
  /** Members of the metadata of a server; undefined takes one out. */
  readonly metadata: Record<Role, Json>
  /** Answers that go before the ordinary ones, by `role path`. */
  readonly script: Map<string, Handler>
  /** By how many seconds the clock of a server is off. */
  readonly clock: Record<Role, number>
  readonly config: string
  readonly secrets: Record<string, string>
  readonly wrangler: string | undefined
  idToken(changes?: Claims, header?: Claims): Promise<string>
  /** Puts all servers back in order. */
  mend(): void
  close(): Promise<void>
}

export const SECRETS = {
  IDP_SECRET: 'CANARY-idp-secret-of-the-gateway',
  RAS_SECRET: 'CANARY-ras-secret-of-the-gateway',
  BOT_SECRET: 'CANARY-bot-secret',
}

export const WRANGLER = `name = "jagway"
main = "src/worker.ts"
compatibility_date = "2026-10-23"
compatibility_flags = ["global_fetch_strictly_public"]
workers_dev = false
preview_urls = false
minify = true

[[rules]]
type = "Text"
globs = ["**/*.jsonc"]

[define]
JAGWAY_LOCAL = "false"

[[kv_namespaces]]
binding = "TOKENS"

[[durable_objects.bindings]]
name = "FLIGHTS"
class_name = "Flight"

[[durable_objects.bindings]]
name = "REPLAYS"
class_name = "Replay"

[[durable_objects.bindings]]
name = "REVOCATIONS"
class_name = "RevocationBook"

[[durable_objects.bindings]]
name = "LEDGERS"
class_name = "Ledger"

[[durable_objects.bindings]]
name = "DECISIONS"
class_name = "DecisionBook"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Flight", "Replay", "RevocationBook", "Ledger", "DecisionBook"]

[secrets]
required = ["BOT_SECRET", "IDP_SECRET", "JAGWAY_SEALING_KEY", "RAS_SECRET"]
`

function configFor(origin: Town['origin']): string {
  return `{
  "version": 1,
  "public_url": "http://127.0.0.1:8787",
  "idps": {
    "corp": {
      "issuer": "${origin.idp}",
      "claims": { "groups": "groups" },
      "id_token": { "algorithms": ["ES256"] },
      "clients": {
        "web": {
          "id": "web-id",
          "auth": { "method": "client_secret_basic", "secret": { "secret": "IDP_SECRET" } },
          "edge_client": "people"
        }
      }
    }
  },
  "clients": {
    "people": { "subject_tokens": ["corp/web"] },
    "bot": { "subject_tokens": ["corp/web"], "auth": { "method": "client_secret_basic", "secret": { "secret": "BOT_SECRET" } } }
  },
  "resources": {
    "tasks": {
      "kind": "id-jag",
      "authorization_server": { "issuer": "${origin.ras}" },
      "resource": "${origin.api}/v1",
      "client": {
        "id": "gw-at-tasks",
        "auth": { "method": "client_secret_basic", "secret": { "secret": "RAS_SECRET" }, "encoding": "form" }
      },
      "scopes": ["todos.read", "todos.write"],
      "proxy": { "path": "/r/tasks", "upstream": "${origin.api}" }
    }
  },
  "policy": {
    "rules": [
      { "id": "eng", "effect": "allow", "who": { "groups": ["engineering"] }, "resources": ["tasks"] }
    ]
  }
}
`
}

export async function openTown(): Promise<Town> {
  const key = await createTestKey('idp-1', 'ES256')
  const seen: Seen[] = []
  const script: Town['script'] = new Map()
  const clock: Town['clock'] = { idp: 0, ras: 0, api: 0 }
  const metadata: Town['metadata'] = { idp: {}, ras: {}, api: {} }
  const origin: Record<Role, string> = { idp: '', ras: '', api: '' }
  const servers: Server[] = []
  for (const role of ['idp', 'ras', 'api'] as const) {
    const server = createServer((request, response) => {
      void answer(role, request, response).catch(() => response.destroy())
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const address = server.address()
    origin[role] = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
    servers.push(server)
  }

  async function answer(role: Role, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', origin[role])
    const form = new URLSearchParams(await readAll(request))
    const one: Seen = {
      role,
      method: request.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      form,
      client: clientOf(request.headers.authorization, form),
    }
    seen.push(one)
    const reply = (script.get(`${role} ${url.pathname}`) ?? ordinary)(one)
    response.setHeader('date', new Date(Date.now() + clock[role] * 1000).toUTCString())
    send(response, reply)
  }

  function ordinary(one: Seen): Reply {
    const { role, path } = one
    if (role === 'api') return api(one)
    if (path === '/.well-known/openid-configuration' || path === '/.well-known/oauth-authorization-server')
      return { body: { ...(role === 'idp' ? idpMetadata() : rasMetadata()), ...metadata[role] } }
    if (path === '/jwks') return { body: { keys: [key.publicJwk] } }
    if (path === '/authorize') return authorize(one)
    if (path === '/token') return token(one)
    return { status: 404, body: {} }
  }

  const idpMetadata = (): Json => ({
    issuer: origin.idp,
    token_endpoint: `${origin.idp}/token`,
    authorization_endpoint: `${origin.idp}/authorize`,
    jwks_uri: `${origin.idp}/jwks`,
    grant_types_supported: ['authorization_code', 'urn:ietf:params:oauth:grant-type:token-exchange'],
    identity_chaining_requested_token_types_supported: ['urn:ietf:params:oauth:token-type:id-jag'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  })

  const rasMetadata = (): Json => ({
    issuer: origin.ras,
    token_endpoint: `${origin.ras}/token`,
    authorization_endpoint: `${origin.ras}/authorize`,
    grant_types_supported: ['urn:ietf:params:oauth:grant-type:jwt-bearer'],
    authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'],
    scopes_supported: ['todos.read', 'todos.write'],
  })

  function api({ path }: Seen): Reply {
    if (path === '/.well-known/oauth-protected-resource/v1')
      return { body: { resource: `${origin.api}/v1`, authorization_servers: [origin.ras], ...metadata.api } }
    const challenge = `Bearer resource_metadata="${origin.api}/.well-known/oauth-protected-resource/v1"`
    return { status: 401, body: {}, headers: { 'www-authenticate': challenge } }
  }

  /** Tells clients that exist from others, as a page for people does. */
  function authorize({ role, query }: Seen): Reply {
    const known = query.get('client_id') === CLIENTS[role]?.id
    return {
      status: 400,
      body: { error: known ? 'invalid_redirect_uri' : 'invalid_client', request: crypto.randomUUID() },
    }
  }

  /** Says the same of an unknown client and of a wrong secret. */
  function token(one: Seen): Reply {
    if (!isClient(one))
      return { status: 401, body: { error: 'invalid_client', error_description: 'authentication failed' } }
    return { status: 400, body: { error: 'invalid_grant' } }
  }

  const town: Town = {
    origin,
    key,
    seen,
    metadata,
    script,
    clock,
    config: configFor(origin),
    secrets: { ...SECRETS },
    wrangler: undefined,
    idToken: (changes = {}, header = {}) => {
      const now = Math.floor(Date.now() / 1000)
      const claims = {
        iss: origin.idp,
        sub: 'ann',
        aud: 'web-id',
        iat: now - 5,
        exp: now + 300,
        groups: ['engineering'],
      }
      return mint(key, { ...claims, ...changes }, header)
    },
    mend: () => {
      seen.length = 0
      script.clear()
      for (const role of ['idp', 'ras', 'api'] as const) {
        clock[role] = 0
        metadata[role] = {}
      }
    },
    close: async () => {
      for (const server of servers) server.closeAllConnections()
      await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
    },
  }
  return town
}

const CLIENTS: Partial<Record<Role, { readonly id: string; readonly secret: string }>> = {
  idp: { id: 'web-id', secret: SECRETS.IDP_SECRET },
  ras: { id: 'gw-at-tasks', secret: SECRETS.RAS_SECRET },
}

export function isClient({ role, client }: Seen): boolean {
  const expected = CLIENTS[role]
  return client.id === expected?.id && client.secret === expected.secret
}

function clientOf(authorization: string | undefined, form: URLSearchParams): Seen['client'] {
  if (authorization?.startsWith('Basic ') === true) {
    const raw = Buffer.from(authorization.slice(6), 'base64').toString()
    const [id = '', secret = ''] = raw.split(':').map(decoded)
    return { id, secret, how: 'basic', raw }
  }
  const id = form.get('client_id') ?? ''
  if (form.has('client_assertion')) return { id, secret: '', how: 'assertion', raw: '' }
  return { id, secret: form.get('client_secret') ?? '', how: form.has('client_secret') ? 'post' : 'none', raw: '' }
}

function decoded(text: string): string {
  return new URLSearchParams(`x=${text}`).get('x') ?? ''
}

function send(response: ServerResponse, { status = 200, body, headers = {}, raw, fault }: Reply): void {
  if (fault === 'hang') return
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  if (fault === 'drip') {
    const timer = setInterval(() => response.write(' '), 200)
    response.once('close', () => {
      clearInterval(timer)
    })
    return
  }
  if (fault === 'cut') {
    response.write('{"issuer":')
    response.destroy()
    return
  }
  response.end(raw ?? JSON.stringify(body ?? {}))
}

export interface Visit extends Partial<Omit<Order, 'text' | 'secrets' | 'wrangler' | 'idToken'>> {
  readonly token?: string
  readonly text?: string
  readonly secrets?: Record<string, string> | undefined
  /** False: nobody says where secrets are. */
  readonly secretsFile?: boolean
  readonly wrangler?: string
  readonly wranglerName?: string
}

export interface Examined {
  readonly report: Report
  readonly text: string
  readonly json: string
  /** All findings of a code. */
  findings(code: string): Report['checks'][number]['findings']
  /** The line of the file in which the first finding of a code has its first place, with the field. */
  placeOf(code: string): { readonly field: string; readonly line: string } | undefined
  /** Codes of what is amber or red, sorted, each once. */
  readonly codes: readonly string[]
}

/** What the doctor says of a town, with a file of secrets and one of wrangler where they are given. */
export async function visit(town: Town, options: Visit = {}): Promise<Examined> {
  const {
    text = town.config,
    secrets,
    wrangler,
    wranglerName = 'wrangler.toml',
    secretsFile: given = true,
    token,
    ...order
  } = options
  const folder = await mkdtemp(join(tmpdir(), 'jagway-doctor-'))
  try {
    const secretsFile = join(folder, 'secrets.json')
    await writeFile(secretsFile, JSON.stringify(secrets ?? town.secrets))
    const wranglerFile = join(folder, wranglerName)
    if (wrangler !== undefined) await writeFile(wranglerFile, wrangler)
    const report = await diagnose({
      config: join(folder, 'jagway.jsonc'),
      text,
      secrets: given ? secretsFile : undefined,
      wrangler: wrangler === undefined ? undefined : wranglerFile,
      idToken: () => Promise.resolve(token),
      probe: false,
      strict: false,
      ...order,
    })
    const findings = (code: string) =>
      report.checks.flatMap((check) => check.findings).filter((finding) => finding.code === code)
    return {
      report,
      text: toText(report, false),
      json: toJson(report),
      findings,
      placeOf: (code) => {
        const place = findings(code)[0]?.places[0]
        if (place === undefined) return undefined
        const lines = (place.file === wranglerFile ? (wrangler ?? '') : text).split('\n')
        return {
          field: place.field,
          line: (lines[place.line - 1] ?? '').slice(place.column - 1, place.column - 1 + place.length),
        }
      },
      codes: [...new Set(report.checks.flatMap((check) => check.findings.map(({ code }) => code)))].toSorted(),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Replaces one piece of a text that has to be there. */
export function edit(text: string, piece: string, replacement: string): string {
  if (!text.includes(piece)) throw new Error(`there is no ${piece}`)
  return text.replace(piece, () => replacement)
}
