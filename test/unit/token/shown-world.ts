// Clients that hold tokens in hand, and show them: in the house of the administration tests, where one of the authorization
// servers revokes tokens and the other does not.
import { isObject } from '../../../src/lib/strict-json.ts'
import { createWorld, GATEWAY, type World, type WorldOptions } from '../admin/world.ts'

/** Every secret of that house is this one. */
const SECRET = 'a secret of the test, long enough to be one'

const auth = { method: 'client_secret_basic', secret: { secret: 'AGENT' } }
const CLIENTS = {
  agent: { subject_tokens: ['main/gateway'], auth },
  other: { subject_tokens: ['main/gateway'], auth },
}

export type App = World['app']

export interface Shown {
  readonly client?: string
  readonly form?: Readonly<Record<string, string>>
  readonly body?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly app?: App
}

export async function createShownWorld(options: WorldOptions = {}) {
  const world = await createWorld({ ...options, moreClients: { ...CLIENTS, ...options.moreClients } })

  const send = async (path: string, { client = 'agent', form = {}, app = world.app, ...more }: Shown) => {
    const { method = 'POST', body = new URLSearchParams(form).toString(), headers } = more
    const response = await app(
      new Request(`${GATEWAY}${path}`, {
        method,
        headers: {
          authorization: `Basic ${btoa(`${client}:${encodeURIComponent(SECRET)}`)}`,
          'content-type': 'application/x-www-form-urlencoded',
          ...headers,
        },
        ...(method === 'GET' || method === 'HEAD' ? {} : { body }),
      }),
    )
    await world.settle()
    return response
  }

  return {
    ...world,
    send,
    /** An access token, handed to a client. */
    grant: async (
      asked: Shown & { readonly user?: string; readonly resource?: string; readonly idToken?: string } = {},
    ): Promise<string> => {
      const { user = 'ann', resource = 'tasks', idToken = await world.idToken(user), ...more } = asked
      const response = await send('/token', {
        ...more,
        form: {
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token: idToken,
          subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
          audience: resource,
          ...more.form,
        },
      })
      const answer: unknown = await response.json()
      const token = isObject(answer) ? answer['access_token'] : undefined
      if (typeof token !== 'string') throw new Error(`no token: ${JSON.stringify(answer)}`)
      return token
    },
    revoke: (token: string, more: Shown = {}) => send('/revoke', { ...more, form: { token, ...more.form } }),
    introspect: async (token: string, more: Shown = {}): Promise<unknown> => {
      const response = await send('/introspect', { ...more, form: { token, ...more.form } })
      return response.json()
    },
    /** Everything in force. */
    revocations: async () => (await world.log.read(undefined))?.revocations ?? [],
  }
}

export type ShownWorld = Awaited<ReturnType<typeof createShownWorld>>

/** Status, error word and code of a refusal. */
export async function refusalOf(response: Response): Promise<readonly unknown[]> {
  const body: unknown = await response.json()
  const { error, error_description: says } = isObject(body) ? body : {}
  return [response.status, error, String(says).split(':')[0]]
}
