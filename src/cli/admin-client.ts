// How the program talks to the administration of a running gateway: whose token it sends, and what becomes of answers.

import * as v from 'valibot'
import { EXIT, ExitError, type ExitCode } from './exit.ts'
import { gatewayUrl, isLoopback, URL_ARG } from './gateway-url.ts'
import { fromEnvironment, idTokenOf, plain, reasonOf, signInLocally, type TokenArgs } from './id-token.ts'

export const ADMIN_ARGS = {
  url: URL_ARG,
  token: {
    type: 'string',
    valueHint: '-',
    description: 'With - read your ID token from standard input (default: JAGWAY_ADMIN_TOKEN)',
  },
  as: { type: 'string', valueHint: 'USER', description: 'Sign in as this user of the local world of jagway dev' },
  json: { type: 'boolean', description: 'Print the answer as JSON' },
} as const

export const SELECTOR_ARGS = {
  user: { type: 'string', valueHint: 'SUB', description: 'The subject at the identity provider' },
  idp: { type: 'string', valueHint: 'NAME', description: 'An identity provider, by its configured name' },
  client: { type: 'string', valueHint: 'NAME', description: 'A calling client' },
  resource: { type: 'string', valueHint: 'NAME', description: 'A resource' },
} as const

export interface AdminArgs extends TokenArgs {
  readonly url?: string | undefined
}

export type Selector = Partial<Record<keyof typeof SELECTOR_ARGS, string | undefined>>

export interface AdminClient {
  get(path: string, query: Readonly<Record<string, string | undefined>>): Promise<unknown>
  /** Undefined: an answer without a body. */
  send(method: 'POST' | 'DELETE', path: string, body?: unknown): Promise<unknown>
}

/** A revocation may ask a hundred authorization servers, for as long as the gateway lets them take. */
const TIMEOUT_MS = 60_000

/** The parts that were named. */
export function selectorOf({ user, idp, client, resource }: Selector): Selector {
  return Object.fromEntries(Object.entries({ user, idp, client, resource }).filter(([, value]) => value !== undefined))
}

/** `user ann, client support-bot` */
export function toWords(selector: Readonly<Record<string, string | undefined>>): string {
  const parts = Object.entries(selector).flatMap(([part, value]) =>
    value === undefined ? [] : [`${part} ${plain(value)}`],
  )
  return parts.length === 0 ? 'everybody' : parts.join(', ')
}

export async function openAdmin(args: AdminArgs): Promise<AdminClient> {
  const base = gatewayUrl(args.url)
  const credentials = await credentialsOf(args, base)
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const init: RequestInit = {
      method,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      // Asked of every write, with a body or without.
      headers: { accept: 'application/json', ...credentials, ...(method === 'GET' ? {} : JSON_BODY) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }
    const response = await fetch(new URL(`/admin/api/${path}`, base), init).catch((error: unknown) => {
      throw new ExitError(EXIT.unreachable, `cannot reach ${base.origin}: ${reasonOf(error)}`)
    })
    return judge(response, base)
  }
  return {
    get(path, query) {
      const parameters = Object.entries(query).flatMap(([name, value]) =>
        value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
      )
      return call('GET', parameters.length === 0 ? path : `${path}?${parameters.join('&')}`)
    },
    send: (method, path, body) => call(method, path, body),
  }
}

const JSON_BODY = { 'content-type': 'application/json' } as const

async function credentialsOf(args: AdminArgs, base: URL): Promise<Record<string, string>> {
  const access = fromEnvironment('JAGWAY_ACCESS_JWT')
  const signIn = (user: string): Promise<string> => {
    if (!isLoopback(base)) throw new ExitError(EXIT.usage, '--as works with the local world only, on this machine')
    return signInLocally(user)
  }
  const idToken = await idTokenOf(args, signIn, 'JAGWAY_ADMIN_TOKEN')
  if (access === undefined && idToken === undefined) {
    throw new ExitError(
      EXIT.usage,
      'nothing says who you are: pipe your ID token in with --token -, or set JAGWAY_ADMIN_TOKEN or JAGWAY_ACCESS_JWT' +
        (isLoopback(base) ? '; with jagway dev running, --as ann will do' : ''),
    )
  }
  return {
    ...(idToken === undefined ? {} : { authorization: `Bearer ${idToken}` }),
    // Access takes the first from programs and puts the second there itself; without Access in front the second must be sent.
    ...(access === undefined ? {} : { 'cf-access-token': access, 'cf-access-jwt-assertion': access }),
  }
}

const problem = v.object({ detail: v.string(), code: v.string(), request_id: v.optional(v.string()) })

async function judge(response: Response, base: URL): Promise<unknown> {
  if (response.status >= 300 && response.status < 400) {
    throw new ExitError(
      EXIT.unreachable,
      `${base.origin} sends to a login page: set JAGWAY_ACCESS_JWT (cloudflared access token --app ${base.origin})`,
    )
  }
  if (response.status === 204) return undefined
  const body: unknown = await response.json().catch(() => undefined)
  if (response.ok && body !== undefined) return body
  const parsed = v.safeParse(problem, body)
  if (!parsed.success) {
    throw new ExitError(EXIT.unreachable, `${base.origin} answers ${response.status}, and not as a gateway does`)
  }
  const { code, detail, request_id: id } = parsed.output
  const words =
    code === 'CLI106' ? `${base.origin} has no administration: its configuration has no section admin` : plain(detail)
  throw new ExitError(exitOf(response.status), id === undefined ? words : `${words} (${plain(id)})`)
}

function exitOf(status: number): ExitCode {
  return status >= 500 ? EXIT.unreachable : EXIT.problems
}

/** Reads an answer, or says that it cannot be read. */
export function understand<Schema extends v.GenericSchema>(schema: Schema, answer: unknown): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, answer)
  if (parsed.success) return parsed.output
  throw new ExitError(EXIT.problems, 'the gateway answers something this program does not understand: is it newer?')
}

export const connectionSchema = v.object({
  user: v.object({ idp: v.string(), sub: v.string(), tenant: v.optional(v.string()) }),
  client: v.string(),
  resource: v.string(),
  scopes: v.array(v.string()),
  last_issued_at: v.string(),
  expires_at: v.string(),
  count: v.number(),
})

export function nameOf({ user }: v.InferOutput<typeof connectionSchema>): string {
  return plain(`${user.idp}/${user.tenant === undefined ? '' : `${user.tenant}/`}${user.sub}`)
}

/** Columns as wide as they need to be. */
export function toTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows)
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length)
  return rows
    .map((row) =>
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
