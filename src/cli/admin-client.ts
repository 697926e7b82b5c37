// How the program talks to the administration of a running gateway: whose token it sends, and what becomes of answers.

import process from 'node:process'
import { text as readAll } from 'node:stream/consumers'
import * as v from 'valibot'
import { EXIT, ExitError, type ExitCode } from './exit.ts'

export const ADMIN_ARGS = {
  url: {
    type: 'string',
    valueHint: 'URL',
    description: 'The gateway (default: JAGWAY_URL, or http://127.0.0.1:8787)',
  },
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

export interface AdminArgs {
  readonly url?: string | undefined
  readonly token?: string | undefined
  readonly as?: string | undefined
}

export type Selector = Partial<Record<keyof typeof SELECTOR_ARGS, string | undefined>>

export interface AdminClient {
  get(path: string, query: Readonly<Record<string, string | undefined>>): Promise<unknown>
  /** Undefined: an answer without a body. */
  send(method: 'POST' | 'DELETE', path: string, body?: unknown): Promise<unknown>
}

const DEFAULT_URL = 'http://127.0.0.1:8787'
/** A revocation may ask a hundred authorization servers, for as long as the gateway lets them take. */
const TIMEOUT_MS = 60_000

/** The parts that were named. */
export function selectorOf({ user, idp, client, resource }: Selector): Selector {
  return Object.fromEntries(Object.entries({ user, idp, client, resource }).filter(([, value]) => value !== undefined))
}

/** `user ann, client support-bot` */
export function toWords(selector: Selector): string {
  const parts = Object.entries(selector).flatMap(([part, value]) =>
    value === undefined ? [] : [`${part} ${plain(value)}`],
  )
  return parts.length === 0 ? 'everybody' : parts.join(', ')
}

/** Texts of others go to a terminal without what a terminal would obey. */
export function plain(text: string): string {
  return text.replaceAll(/\p{C}/gu, '?')
}

export async function openAdmin(args: AdminArgs): Promise<AdminClient> {
  const base = parseUrl(args.url ?? fromEnvironment('JAGWAY_URL') ?? DEFAULT_URL)
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

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ExitError(EXIT.usage, `--url wants the address of a gateway, not ${plain(text)}`)
  }
  if (url.protocol === 'http:' && !isLoopback(url)) {
    throw new ExitError(EXIT.usage, 'a token is sent over http to this machine only: write https')
  }
  return url
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}

async function credentialsOf(args: AdminArgs, base: URL): Promise<Record<string, string>> {
  const access = fromEnvironment('JAGWAY_ACCESS_JWT')
  const idToken = await idTokenOf(args, base)
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

async function idTokenOf({ token, as }: AdminArgs, base: URL): Promise<string | undefined> {
  if (token !== undefined && as !== undefined) throw new ExitError(EXIT.usage, '--token and --as do not go together')
  if (as !== undefined) return signInLocally(as, base)
  if (token === undefined) return oneToken(fromEnvironment('JAGWAY_ADMIN_TOKEN'), 'JAGWAY_ADMIN_TOKEN')
  // What stands on a command line stands in the shell's history and in the list of processes.
  if (token !== '-') throw new ExitError(EXIT.usage, '--token takes only -, and reads the token from standard input')
  const given = oneToken(await readAll(process.stdin), 'standard input')
  if (given === undefined) throw new ExitError(EXIT.usage, 'there is no token on standard input')
  return given
}

function oneToken(text: string | undefined, where: string): string | undefined {
  const token = text?.trim() ?? ''
  if (token === '') return undefined
  if (!/^[\x21-\x7e]+$/.test(token)) throw new ExitError(EXIT.usage, `${where} does not hold one token`)
  return token
}

async function signInLocally(user: string, base: URL): Promise<string> {
  if (!isLoopback(base)) throw new ExitError(EXIT.usage, '--as works with the local world only, on this machine')
  const { readState } = await import('../../dev/state.ts')
  const state = readState()
  if (state === undefined)
    throw new ExitError(EXIT.unreachable, 'the local world is not running: start it with jagway dev')
  const [{ trustInThisProcess }, { signIn }] = await Promise.all([
    import('../../dev/certificate.ts'),
    import('../../dev/sign-in.ts'),
  ])
  trustInThisProcess(state.certificate)
  try {
    return await signIn(state.issuer, state.loginClients.gateway, user)
  } catch (error) {
    throw new ExitError(EXIT.unreachable, `cannot sign in as ${plain(user)}: ${reasonOf(error)}`)
  }
}

function fromEnvironment(name: string): string | undefined {
  const value = process.env[name]
  return value === undefined || value === '' ? undefined : value
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

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
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
