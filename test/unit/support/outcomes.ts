// What tests of tokens' lives share: an administrator's hand on the revocation log, and both doors asked as a caller would.
import type { RevocationSelector } from '../../../src/connection.ts'
import { TOKEN_TYPE } from '../../../src/oauth/vocabulary.ts'
import type { Claims } from '../../support/keys.ts'
import { NAMES, SECRETS, type Isolate, type World } from './world.ts'

/** Writes a cut-off, as of now unless another time is said; answers its time. */
export async function cutOff(
  world: Pick<World, 'log' | 'clock'>,
  selector: RevocationSelector,
  before = world.clock.epochMillis(),
) {
  await world.log.add({ kind: 'cutoff', id: crypto.randomUUID(), selector, before }, undefined)
  return before
}

export async function blockOut(
  world: Pick<World, 'log'>,
  selector: RevocationSelector,
  until?: number,
): Promise<string> {
  const id = `block_${crypto.randomUUID()}`
  await world.log.add({ kind: 'block', id, selector, until }, undefined)
  return id
}

export interface Asked extends RequestInit {
  readonly from?: Isolate
  readonly claims?: Claims
  readonly token?: string
  readonly path?: string
}

/** A request to the resource `tasks`, by alice unless something else is said. */
export async function askEdge(world: World, { from = world, claims, token, path = '/todos', ...init }: Asked = {}) {
  const bearer = token ?? (await world.idToken(claims))
  const headers = new Headers(init.headers)
  headers.set('authorization', `Bearer ${bearer}`)
  return from.app(new Request(`${NAMES.gateway}/r/tasks${path}`, { ...init, headers }))
}

/** A token request of the client `agent` for the resource `tasks`. */
async function askBroker(world: World, { from = world, claims, token }: Asked = {}): Promise<Response> {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: token ?? (await world.idToken({ aud: 'agent-id', ...claims })),
    subject_token_type: TOKEN_TYPE.idToken,
    resource: NAMES.api,
  })
  const headers = { authorization: `Basic ${btoa(`agent:${SECRETS['AGENT_SECRET']}`)}` }
  return from.app(new Request(`${NAMES.gateway}/token`, { method: 'POST', headers, body }))
}

/** The status, and the code of a refusal in whichever dialect. */
export async function outcomeOf(response: Response): Promise<string> {
  const text = await response.clone().text()
  const code = /\b([A-Z]{3}\d{3}):? /.exec(text)?.[1]
  return code === undefined ? String(response.status) : `${response.status} ${code}`
}

export const edge = async (world: World, asked?: Asked): Promise<string> => outcomeOf(await askEdge(world, asked))
export const broker = async (world: World, asked?: Asked): Promise<string> => outcomeOf(await askBroker(world, asked))

/** The access tokens that upstreams have seen, in order. */
export function sentTokens(world: World): readonly string[] {
  return world.seen('upstream').map(({ headers }) => (headers.get('authorization') ?? '').replace('Bearer ', ''))
}

export interface Gate {
  /** Resolves when somebody stands before it. */
  readonly reached: Promise<unknown>
  open(): void
}

/** Holds one counterparty's answers until it is opened. */
export function gate(world: World, role: 'idp' | 'ras' | 'upstream'): Gate {
  const reached = Promise.withResolvers<undefined>()
  const opened = Promise.withResolvers<undefined>()
  const answer = world.script[role]
  world.script[role] = async (seen) => {
    reached.resolve(undefined)
    await opened.promise
    return answer(seen)
  }
  return { reached: reached.promise, open: () => opened.resolve(undefined) }
}
