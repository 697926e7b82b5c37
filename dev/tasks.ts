// The tasks SaaS of the local world: a todos API, each user with todos of their own, and its authorization server on the same port.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { readText, startServer } from './server.ts'
import {
  createTasksAuthorizationServer,
  TASKS_SCOPES,
  type AccessTokenFormat,
  type TasksRefusal,
  type TasksToken,
} from './tasks-as.ts'
import type { Exchange, Traffic } from './traffic.ts'

export type Tasks = {
  readonly origin: string
  /** Issuer of its authorization server. */
  readonly issuer: string
  readonly resource: string
  /** Makes every access token issued so far invalid. */
  readonly revokeAll: () => void
  readonly close: () => Promise<void>
}

type Todo = { readonly id: number; readonly title: string; readonly done: boolean }

const PRM_PATH = '/.well-known/oauth-protected-resource/v1'
const TICK_MS = 1000

export async function startTasks(options: {
  readonly port: number
  readonly traffic: Traffic
  readonly trusted: { readonly issuer: string; readonly jwksUri: string }
  readonly client: { readonly id: string; readonly secret: string }
  readonly accessTokenSeconds: number
  readonly accessTokens?: AccessTokenFormat | undefined
  readonly proofNonces?: boolean
}): Promise<Tasks> {
  const server = await startServer({
    port: options.port,
    traffic: options.traffic,
    roleOf: (path) => (path.startsWith('/v1/') || path.startsWith(PRM_PATH) ? 'tasks-api' : 'tasks-as'),
  })
  const { origin } = server
  const resource = `${origin}/v1`
  const as = await createTasksAuthorizationServer({ ...options, issuer: origin, resource })
  const todosByUser = new Map<string, Map<number, Todo>>()
  let lastId = 6

  function todosOf(user: string): Map<number, Todo> {
    const known = todosByUser.get(user)
    if (known !== undefined) return known
    const first = new Map([
      [1, { id: 1, title: `Welcome, ${user}`, done: true }],
      [2, { id: 2, title: 'Read the list through the gateway', done: false }],
    ])
    todosByUser.set(user, first)
    return first
  }

  server.handle((request, response, exchange) => {
    if (exchange.role === 'tasks-as') {
      as.handle(request, response, exchange)
    } else if (exchange.path === PRM_PATH) {
      json(response, 200, {
        resource,
        authorization_servers: [origin],
        scopes_supported: TASKS_SCOPES,
        bearer_methods_supported: ['header'],
        resource_name: 'Tasks',
      })
    } else {
      void answer(request, response, exchange).catch(() => {
        if (!response.headersSent) problem(response, 500, 'the tasks server failed')
      })
    }
  })

  async function answer(request: IncomingMessage, response: ServerResponse, exchange: Exchange): Promise<void> {
    exchange.body = await readText(request)
    const { method } = exchange
    const headers = new Headers(
      Object.entries(request.headersDistinct).flatMap(([name, values = []]) =>
        values.map((value): [string, string] => [name, value]),
      ),
    )
    const grant = await as.verify(new Request(`${origin}${exchange.path}`, { method, headers }))
    if ('error' in grant) {
      challenge(response, 401, grant)
      return
    }
    const route = findRoute(exchange)
    if (route === undefined) {
      problem(response, 404, 'there is nothing at this path')
    } else if (!grant.scopes.includes(route.scope)) {
      challenge(response, 403, { scheme: 'Bearer', error: 'insufficient_scope' }, route.scope)
    } else {
      route.run(response, exchange, grant)
    }
  }

  type Route = { scope: string; run: (response: ServerResponse, exchange: Exchange, grant: TasksToken) => void }

  function findRoute({ method, path }: Exchange): Route | undefined {
    const { pathname } = new URL(path, origin)
    const id = /^\/v1\/todos\/([0-9]{1,9})$/.exec(pathname)?.[1]
    const routes: Record<string, Route | undefined> = {
      'GET /v1/todos': { scope: 'todos.read', run: list },
      'POST /v1/todos': { scope: 'todos.write', run: create },
      'GET /v1/events': { scope: 'todos.read', run: events },
      'GET /v1/todos/:id': { scope: 'todos.read', run: (response, _, grant) => withTodo(response, grant, id, read) },
      'PATCH /v1/todos/:id': { scope: 'todos.write', run: change(id) },
      'DELETE /v1/todos/:id': { scope: 'todos.write', run: remove(id) },
    }
    return routes[`${method === 'HEAD' ? 'GET' : method} ${id === undefined ? pathname : '/v1/todos/:id'}`]
  }

  function list(response: ServerResponse, _exchange: Exchange, grant: TasksToken): void {
    json(response, 200, { user: grant.user, todos: [...todosOf(grant.user).values()] })
  }

  function create(response: ServerResponse, exchange: Exchange, grant: TasksToken): void {
    const fields = todoFields(exchange.body)
    if (fields?.title === undefined) {
      problem(response, 400, 'give {"title": "…"}')
      return
    }
    const todo: Todo = { id: ++lastId, title: fields.title, done: fields.done ?? false }
    todosOf(grant.user).set(todo.id, todo)
    json(response, 201, todo, { location: `/v1/todos/${todo.id}` })
  }

  function change(id: string | undefined): Route['run'] {
    return (response, exchange, grant) =>
      withTodo(response, grant, id, (todo) => {
        const fields = todoFields(exchange.body)
        if (fields === undefined) {
          problem(response, 400, 'give {"title": "…"} or {"done": true}')
          return
        }
        const next = { ...todo, title: fields.title ?? todo.title, done: fields.done ?? todo.done }
        todosOf(grant.user).set(todo.id, next)
        json(response, 200, next)
      })
  }

  function remove(id: string | undefined): Route['run'] {
    return (response, _exchange, grant) =>
      withTodo(response, grant, id, (todo) => {
        todosOf(grant.user).delete(todo.id)
        response.writeHead(204).end()
      })
  }

  function read(todo: Todo, response: ServerResponse): void {
    json(response, 200, todo)
  }

  function withTodo(
    response: ServerResponse,
    grant: TasksToken,
    id: string | undefined,
    use: (todo: Todo, response: ServerResponse) => void,
  ): void {
    const todo = todosOf(grant.user).get(Number(id))
    if (todo === undefined) problem(response, 404, 'there is no such todo')
    else use(todo, response)
  }

  /** Server-sent events: one at once, then one each second until the reader goes. */
  function events(response: ServerResponse): void {
    let count = 0
    const tick = () => {
      count += 1
      response.write(`id: ${count}\nevent: tick\ndata: {"count":${count}}\n\n`)
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    tick()
    const timer = setInterval(tick, TICK_MS)
    response.once('close', () => {
      clearInterval(timer)
    })
  }

  /** RFC 6750 §3 and RFC 9728 §5.1: no error when no token came, and always the way to the metadata. */
  function challenge(response: ServerResponse, status: 401 | 403, refusal: TasksRefusal, scope?: string): void {
    const { scheme, error, nonce } = refusal
    const members = [
      ...(error === '' ? [] : [`error="${error}"`]),
      ...(scheme === 'DPoP' ? ['algs="ES256"'] : []),
      ...(scope === undefined ? [] : [`scope="${scope}"`]),
      `resource_metadata="${origin}${PRM_PATH}"`,
    ]
    json(
      response,
      status,
      { error: error === '' ? 'unauthorized' : error },
      {
        'www-authenticate': `${scheme} ${members.join(', ')}`,
        ...(nonce === undefined ? {} : { 'dpop-nonce': nonce }),
      },
    )
  }

  return { origin, issuer: origin, resource, revokeAll: as.revokeAll, close: server.close }
}

function todoFields(body: string | undefined): { title?: string; done?: boolean } | undefined {
  try {
    const value: unknown = JSON.parse(body ?? '')
    if (typeof value !== 'object' || value === null) return undefined
    return {
      ...('title' in value && typeof value.title === 'string' ? { title: value.title } : {}),
      ...('done' in value && typeof value.done === 'boolean' ? { done: value.done } : {}),
    }
  } catch {
    return undefined
  }
}

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response
    .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers })
    .end(`${JSON.stringify(body)}\n`)
}

function problem(response: ServerResponse, status: number, title: string): void {
  response
    .writeHead(status, { 'content-type': 'application/problem+json' })
    .end(`${JSON.stringify({ status, title })}\n`)
}
