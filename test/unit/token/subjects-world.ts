// The in-memory house with an identity provider that takes every kind of subject token, and a caller of its token endpoint.
import type { Claims } from '../../support/keys.ts'
import {
  CLIENTS,
  createWorld,
  IDPS,
  NAMES,
  SECRETS,
  type Isolate,
  type Json,
  type World,
  type WorldOptions,
} from '../support/world.ts'

export const TYPE = 'urn:ietf:params:oauth:token-type:'

export interface SubjectWorldOptions extends Omit<WorldOptions, 'idps'> {
  /** More quirks of the identity provider `corp`. */
  readonly quirks?: Json
  readonly idps?: Json
  readonly claims?: Json
}

export function subjectWorld({
  quirks = {},
  idps = {},
  claims,
  clients = CLIENTS,
  ...rest
}: SubjectWorldOptions = {}): World {
  const corp = {
    ...IDPS.corp,
    ...(claims === undefined ? {} : { claims }),
    quirks: { subject_token_types: ['id_token', 'refresh_token', 'saml2'], ...quirks },
  }
  const all = { corp, ...idps }
  return createWorld({ idps: all, clients: allowEverything(clients, all), ...rest })
}

/** Whoever authenticates, and is not told otherwise, may present what its identity providers take. */
function allowEverything(clients: Json, idps: Json): Json {
  const kindsOf = (ref: string): readonly string[] => {
    const idp = idps[ref.split('/')[0] ?? ''] as { readonly quirks?: { readonly subject_token_types?: string[] } }
    return idp.quirks?.subject_token_types ?? ['id_token']
  }
  return Object.fromEntries(
    Object.entries(clients as Record<string, Json>).map(([name, client]) => {
      const refs = client['subject_tokens'] as readonly string[]
      const kinds = client['auth'] === undefined ? {} : { subject_token_types: [...new Set(refs.flatMap(kindsOf))] }
      return [name, { ...kinds, ...client }]
    }),
  )
}

export interface Asking {
  readonly kind?: 'id_token' | 'refresh_token' | 'saml2'
  readonly token: string
  readonly from?: Isolate
  readonly client?: string
  readonly secret?: string
  readonly form?: Readonly<Record<string, string | undefined>>
  /** `/token` unless told otherwise. */
  readonly path?: string
  /** Beside those that authenticate the client. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface Told {
  readonly status: number
  readonly body: Json
  /** `ok`, or the code of the refusal. */
  readonly code: string
  readonly accessToken: unknown
}

/** A request of `agent` for the resource `tasks`, unless something else is said. */
export async function askWith(world: World, asking: Asking): Promise<Told> {
  const {
    kind = 'refresh_token',
    token,
    from = world,
    client = 'agent',
    form = {},
    headers: more = {},
    path = '/token',
  } = asking
  const { secret = SECRETS[client === 'agent' ? 'AGENT_SECRET' : 'OTHER_SECRET'] } = asking
  const body = new URLSearchParams()
  const all = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: token,
    subject_token_type: TYPE + kind,
    resource: NAMES.api,
    ...form,
  }
  for (const [name, value] of Object.entries(all)) if (value !== undefined) body.set(name, value)
  const headers = { ...more, authorization: `Basic ${btoa(`${client}:${secret}`)}` }
  const response = await from.app(new Request(`${NAMES.gateway}${path}`, { method: 'POST', headers, body }))
  const text = await response.text()
  const answer: Json = text === '' ? {} : JSON.parse(text)
  const description = answer['error_description']
  return {
    status: response.status,
    body: answer,
    code: typeof description === 'string' ? (description.split(':')[0] ?? '') : 'ok',
    accessToken: answer['access_token'],
  }
}

/** Requests to the identity provider and to the authorization server so far. */
export function cost(world: World): readonly [number, number] {
  return [world.seen('idp').length, world.seen('ras').length]
}

/** What the identity provider was shown, in order. */
export function shownTokens(world: World): readonly (string | null)[] {
  return world.seen('idp').map(({ form }) => form.get('subject_token'))
}

/** Everything that is stored anywhere, as whoever reads it would see it. */
export function everythingStored(world: World): string {
  const kv = [...world.store.dump()].map(([name, { value }]) => name + new TextDecoder('latin1').decode(value))
  const objects = [...world.introductions.dump()].map(
    ([name, { sealed }]) => name + new TextDecoder('latin1').decode(sealed),
  )
  return [...kv, ...objects].join('\n')
}

export type { Claims }
