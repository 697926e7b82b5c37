// The built Worker in workerd between scripted counterparties: how a test of test/worker/ begins. Every request carries a
// trace id of its own, by which its audit event is found.
import { randomUUID } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http'
import { expect } from 'vitest'
import { launchGateway, type LaunchOptions, type RunningGateway } from '../../src/cli/launch.ts'
import { SECRETS, startCounterparties, type Counterparties } from './counterparties.ts'
import { call, eventually, type Call, type Reply } from './http.ts'
import { faultsOfEvents } from './audit-schema.ts'
import { createTestKey, type TestKey } from './keys.ts'

export type AuditEvent = Readonly<Record<string, unknown>> & { readonly trace_id: string }

export type Answer = Reply & {
  /** The body as JSON. */
  readonly json: Readonly<Record<string, unknown>>
  /** The one audit event about this request. */
  readonly event: () => Promise<AuditEvent>
}

export type Ask = Omit<Call, 'headers'> & {
  readonly path?: string
  /** Sent as a bearer token. */
  readonly token?: string
  readonly headers?: OutgoingHttpHeaders
  readonly instance?: number
}

export type Form = Readonly<Record<string, string | readonly string[] | undefined>>

export type Grant = {
  readonly form?: Form
  /** How the client authenticates; `agent` by Basic unless told otherwise. */
  readonly client?: 'agent' | 'agent-post' | 'agent-jwt' | 'narrow' | 'nobody'
  readonly headers?: OutgoingHttpHeaders
  readonly instance?: number
}

export const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:'
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const JWT_BEARER_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

type ConfigParts = {
  readonly world: Counterparties
  readonly origin: string
  readonly agentKey: TestKey
}

type StageOptions = Pick<LaunchOptions, 'instances' | 'persist' | 'certificates'> & {
  readonly edit?: (config: ReturnType<typeof configOf>, world: Counterparties) => unknown
  readonly secrets?: Readonly<Record<string, string>>
  /** Counterparties of an earlier stage, for a restart. */
  readonly world?: Counterparties
  /** The binding of the bucket that events are stored in: what is there at the end is looked through as well. */
  readonly archive?: string
  /** Starts the Worker in another way than the program does. */
  readonly launch?: (options: LaunchOptions) => Promise<RunningGateway>
}

export type Stage = Awaited<ReturnType<typeof openStage>>

export async function openStage(options: StageOptions = {}) {
  const world = options.world ?? (await startCounterparties())
  const agentKey = await createTestKey('agent-key')
  const lines: string[] = []
  const events: AuditEvent[] = []
  const loads: AuditEvent[] = []
  const decisions: string[] = []
  const edit = options.edit ?? ((config) => config)
  const gateway = await (options.launch ?? launchGateway)({
    config: {
      fileName: 'stage.jsonc',
      text: (origin) => JSON.stringify(edit(configOf({ world, origin, agentKey }), world)),
    },
    secrets: { ...SECRETS, ...options.secrets },
    instances: options.instances ?? 1,
    ...(options.persist === undefined ? {} : { persist: options.persist }),
    ...(options.certificates === undefined ? {} : { certificates: options.certificates }),
    onLog: ({ message }) => {
      lines.push(message)
      const event: unknown = message.startsWith('{') ? JSON.parse(message) : undefined
      if (typeof event !== 'object' || event === null) return
      if (!('trace_id' in event) || typeof event.trace_id !== 'string') return
      // That an isolate has started is no decision: the request it came with has an event of its own.
      const pile = 'event' in event && event.event === 'config.load' ? loads : events
      pile.push({ ...event, trace_id: event.trace_id })
    },
  })

  const ask = async ({
    path = '/r/tasks/v1/todos',
    token,
    headers = {},
    instance = 0,
    ...rest
  }: Ask = {}): Promise<Answer> => {
    const trace = randomUUID().replaceAll('-', '')
    if (isDecision(path)) decisions.push(trace)
    const reply = await call(`${gateway.urls[instance] ?? ''}${path}`, {
      ...rest,
      headers: {
        traceparent: `00-${trace}-00f067aa0ba902b7-01`,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
    })
    // What nobody may ever read in an answer: a secret, or any token but the one that was asked for.
    if (path !== '/token' || reply.status !== 200) expect(world.leaks(wholeOf(reply))).toEqual([])
    return {
      ...reply,
      get json() {
        const value: unknown = JSON.parse(reply.text)
        return typeof value === 'object' && value !== null ? { ...value } : {}
      },
      event: async () => {
        await eventually(() => events.some((event) => event.trace_id === trace))
        const mine = events.filter((event) => event.trace_id === trace)
        expect(mine).toHaveLength(1)
        return mine[0] ?? { trace_id: trace }
      },
    }
  }

  /** Everything that stands in the bucket of events. */
  const archived = async (): Promise<string> => {
    if (options.archive === undefined) return ''
    const bucket = await gateway.archive(options.archive)
    const { objects } = await bucket.list()
    const texts = await Promise.all(
      objects.map(async ({ key }) => `${key}\n${(await (await bucket.get(key))?.text()) ?? ''}`),
    )
    return texts.join('\n')
  }

  return {
    world,
    gateway,
    agentKey,
    archived,
    events,
    /** One for each isolate that has served a request. */
    loads,
    output: () => lines.join('\n'),
    ask,

    /** A token request; members of `form` replace the ordinary ones, undefined leaves one out, a list repeats one. */
    grant: async ({ form = {}, client = 'agent', headers = {}, instance = 0 }: Grant = {}): Promise<Answer> => {
      const fields = new URLSearchParams()
      const all: Form = {
        grant_type: TOKEN_EXCHANGE,
        subject_token: 'subject_token' in form ? undefined : await world.corp.idToken(),
        subject_token_type: `${TOKEN_TYPE}id_token`,
        resource: world.tasks.resource,
        ...form,
      }
      for (const [name, value] of Object.entries(all))
        for (const one of typeof value === 'string' ? [value] : (value ?? [])) fields.append(name, one)
      const authorization =
        client === 'agent' || client === 'narrow' ? { authorization: basic(client, SECRETS.AGENT_SECRET) } : {}
      if (client === 'agent-post') {
        fields.set('client_id', client)
        fields.set('client_secret', SECRETS.POST_SECRET)
      }
      return ask({
        path: '/token',
        method: 'POST',
        instance,
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...authorization, ...headers },
        body: fields.toString(),
      })
    },

    /**
     * Closes, and looks back: one event for each decision, all of them as the published schema says, nothing secret in the
     * output, nothing where it does not belong.
     */
    close: async (more: { readonly keepWorld?: boolean } = {}): Promise<void> => {
      await eventually(() => decisions.every((trace) => events.some((event) => event.trace_id === trace))).catch(
        () => undefined,
      )
      const stored = await archived()
      await gateway.close()
      if (more.keepWorld !== true) world.close()
      const told = events.map((event) => event.trace_id).filter((trace) => decisions.includes(trace))
      expect(told.toSorted()).toEqual(decisions.toSorted())
      expect(faultsOfEvents([...loads, ...events])).toEqual([])
      expect(world.leaks(`${lines.join('\n')}\n${stored}`)).toEqual([])
      expect(lines.filter((line) => !line.startsWith('{'))).toEqual([])
    },
  }
}

export function basic(name: string, secret: string): string {
  const form = (text: string) => new URLSearchParams({ x: text }).toString().slice(2)
  return `Basic ${btoa(`${form(name)}:${form(secret)}`)}`
}

/** A path that no resource stands under leads to no decision. */
function isDecision(path: string): boolean {
  return /^\/(?:token|revoke|introspect|r\/(?:tasks|notes|found|gone|gone-server))(?:[/?]|$)/.test(path)
}

function wholeOf({ rawHeaders, text }: Reply): string {
  return `${rawHeaders.join('\n')}\n${text}`
}

/** Written out once, so that `edit` has something to take hold of. */
function configOf({ world, origin, agentKey }: ConfigParts) {
  const secret = (name: keyof typeof SECRETS) => ({ secret: name })
  const { corp, partner, tasks, notes } = world
  const rasClient = (name: 'tasks' | 'notes') => ({
    id: `jagway-at-${name}`,
    auth: {
      method: 'client_secret_basic',
      secret: secret(name === 'tasks' ? 'TASKS_SECRET' : 'NOTES_SECRET'),
    },
  })
  const idpClient = (name: 'CORP_SECRET' | 'PARTNER_SECRET') => ({
    id: 'gw',
    auth: { method: 'client_secret_basic', secret: secret(name) },
    edge_client: 'people',
  })
  const server = (saas: typeof tasks) => ({ issuer: saas.issuer, token_endpoint: `${saas.issuer}/token` })
  return {
    version: 1,
    public_url: origin,
    idps: {
      corp: {
        issuer: corp.issuer,
        token_endpoint: `${corp.issuer}/token`,
        jwks_uri: `${corp.issuer}/jwks`,
        claims: { groups: 'groups' },
        clients: {
          gw: idpClient('CORP_SECRET'),
          // Its ID tokens may not be used at the edge, nor by the agents.
          mobile: { id: 'mobile', auth: { method: 'client_secret_post', secret: secret('CORP_SECRET') } },
          desktop: {
            id: 'desktop',
            auth: { method: 'client_secret_basic', secret: secret('CORP_SECRET') },
            edge_client: 'desktop',
          },
        },
      },
      partner: {
        issuer: partner.issuer,
        token_endpoint: `${partner.issuer}/token`,
        jwks_uri: `${partner.issuer}/jwks`,
        claims: { tenant: 'tenant' },
        tenants: ['acme'],
        quirks: { actor_token: 'caller' },
        clients: { gw: idpClient('PARTNER_SECRET') },
      },
      // Its keys cannot be had.
      lost: {
        issuer: `${world.closedOrigin}/lost`,
        token_endpoint: `${world.closedOrigin}/token`,
        jwks_uri: `${world.closedOrigin}/jwks`,
        clients: { gw: { ...idpClient('CORP_SECRET') } },
      },
    },
    clients: {
      people: { subject_tokens: ['corp/gw', 'partner/gw', 'lost/gw'] },
      desktop: { subject_tokens: ['corp/desktop'] },
      agent: {
        subject_tokens: ['corp/gw', 'partner/gw'],
        auth: { method: 'client_secret_basic', secret: secret('AGENT_SECRET') },
      },
      narrow: {
        subject_tokens: ['corp/gw'],
        auth: { method: 'client_secret_basic', secret: secret('AGENT_SECRET') },
      },
      'agent-post': {
        subject_tokens: ['corp/gw'],
        auth: { method: 'client_secret_post', secret: secret('POST_SECRET') },
      },
      'agent-jwt': {
        subject_tokens: ['corp/gw'],
        auth: { method: 'private_key_jwt', jwks: { keys: [agentKey.publicJwk] } },
      },
      // Its keys cannot be had either.
      'agent-lost': {
        subject_tokens: ['corp/gw'],
        auth: { method: 'private_key_jwt', jwks_uri: `${world.closedOrigin}/agent-jwks` },
      },
    },
    resources: {
      tasks: {
        kind: 'id-jag',
        authorization_server: server(tasks),
        resource: tasks.resource,
        client: rasClient('tasks'),
        scopes: ['read', 'write'],
        authorization_details_types: ['list', 'export'],
        proxy: { path: '/r/tasks', upstream: tasks.upstream, request_headers: ['X-Project'] },
      },
      notes: {
        kind: 'id-jag',
        authorization_server: server(notes),
        resource: notes.resource,
        client: rasClient('notes'),
        scopes: ['read'],
        proxy: { path: '/r/notes', upstream: notes.upstream },
      },
      // Its authorization server is found by discovery.
      found: {
        kind: 'id-jag',
        authorization_server: { issuer: notes.issuer },
        resource: `${notes.resource}found`,
        client: rasClient('notes'),
        scopes: ['read'],
        proxy: { path: '/r/found', upstream: notes.upstream },
      },
      // Nobody listens where its API should be.
      gone: {
        kind: 'id-jag',
        authorization_server: server(tasks),
        resource: `${tasks.resource}gone`,
        client: rasClient('tasks'),
        scopes: ['read'],
        proxy: { path: '/r/gone', upstream: world.closedOrigin },
      },
      // Nor where its authorization server should be.
      'gone-server': {
        kind: 'id-jag',
        authorization_server: { issuer: `${world.closedOrigin}/as`, token_endpoint: `${world.closedOrigin}/token` },
        resource: `${tasks.resource}gone-server`,
        client: rasClient('tasks'),
        scopes: ['read'],
        proxy: { path: '/r/gone-server', upstream: tasks.upstream },
      },
    },
    policy: {
      rules: [
        { id: 'not-mallory', effect: 'deny', who: { users: ['mallory'] } },
        {
          id: 'no-secrets',
          effect: 'deny',
          resources: ['tasks'],
          paths: ['/v1/secrets/**'],
          who: { clients: ['people'] },
        },
        {
          id: 'people',
          effect: 'allow',
          who: { clients: ['people', 'desktop'] },
          resources: ['tasks', 'notes', 'found', 'gone', 'gone-server'],
          paths: ['/v1/**'],
        },
        { id: 'readers', effect: 'deny', who: { groups: ['readers'] }, scopes: ['write'] },
        { id: 'nothing', effect: 'deny', who: { groups: ['nothing'] }, scopes: ['read', 'write'] },
        {
          id: 'agents',
          effect: 'allow',
          who: { clients: ['agent', 'agent-post', 'agent-jwt'] },
          resources: ['tasks'],
          authorization_details_types: ['list'],
        },
        {
          id: 'agent-elsewhere',
          effect: 'allow',
          who: { clients: ['agent'] },
          resources: ['notes', 'found', 'gone-server'],
        },
        { id: 'narrow', effect: 'allow', who: { clients: ['narrow'] }, resources: ['tasks'], scopes: ['read'] },
      ],
    },
  }
}
