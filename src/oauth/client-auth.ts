// How we authenticate at somebody else's token endpoint (RFC 6749 section 2.3.1, RFC 7523 section 2.2 with
// draft-ietf-oauth-rfc7523bis). Each method becomes one function of oauth4webapi's shape. While a secret is being replaced
// there are two, and a server that does not take the one is asked once more with the other.
import * as oauth from 'oauth4webapi'
import { toBase64Url, toUtf8 } from '../lib/bytes.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { OutboundAuth, SecretName } from '../parties.ts'
import type { Certificates, Fetch, Secrets } from '../ports.ts'
import type { Answer, CallProblem } from './counterparty.ts'
import { importOwnKey } from './own-key.ts'
import { TOKEN_TYPE } from './vocabulary.ts'

/** Why a credential of ours cannot be used; names the secret, never its value. */
export type AuthProblem = string

/** One client of ours at one server. */
export interface OwnClient {
  readonly authenticate: oauth.ClientAuth
  /** The way with a client certificate of ours; undefined: the ordinary one. */
  readonly certified: Fetch | undefined
  /** The other secret of a rotation; undefined: there is none that could be used. */
  other(): Promise<oauth.ClientAuth | undefined>
  /** The other has been taken: begin with it from now on. */
  turn(): void
}

export interface ClientAuths {
  /**
   * `tokenEndpoint` is what an assertion names as its audience where the configuration says so; by default that is the
   * issuer alone, as rfc7523bis demands after the audience injection attacks on client assertions.
   */
  prepare(auth: OutboundAuth, tokenEndpoint: string): Promise<Result<OwnClient, AuthProblem>>
}

export interface ClientAuthPorts {
  readonly secrets: Secrets
  readonly certificates: Certificates
}

/** Remembers which secret of a rotation each server takes. */
export function createClientAuths({ secrets, certificates }: ClientAuthPorts): ClientAuths {
  // By server and secrets, all of them of the configuration.
  const taken = new Map<string, SecretName>()
  return {
    async prepare(auth, tokenEndpoint) {
      const [current, previous] = secretsOf(auth)
      const rotation = `${tokenEndpoint} ${current} ${previous}`
      const isPrevious = previous !== undefined && taken.get(rotation) === previous
      const [first, second] = isPrevious ? [previous, current] : [current, previous]
      const authenticate = await toClientAuth(auth, first, tokenEndpoint, secrets)
      if (!authenticate.ok) return authenticate
      return ok({
        authenticate: authenticate.value,
        certified: 'certificate' in auth ? certificates(auth.certificate) : undefined,
        async other() {
          const way = second && (await toClientAuth(auth, second, tokenEndpoint, secrets))
          return way?.ok === true ? way.value : undefined
        },
        turn() {
          if (second !== undefined) taken.set(rotation, second)
        },
      })
    },
  }
}

function secretsOf(auth: OutboundAuth): readonly SecretName[] {
  if ('secrets' in auth) return auth.secrets
  return 'keys' in auth ? auth.keys : []
}

/** What stands beside the `actor_token` of a client that acts itself. */
export const ACTS_ITSELF = { actor_token_type: TOKEN_TYPE.jwt } as const

/** The same client, acting in the user's name: what authenticates it is the `actor_token`, too, as Okta's guides show it. */
export function asActor(client: OwnClient): OwnClient {
  const acting =
    (authenticate: oauth.ClientAuth): oauth.ClientAuth =>
    async (server, as, body, headers) => {
      await authenticate(server, as, body, headers)
      const assertion = body.get('client_assertion')
      if (assertion === null) throw new Error('a client without an assertion cannot act')
      body.set('actor_token', assertion)
      body.set('actor_token_type', ACTS_ITSELF.actor_token_type)
    }
  return {
    ...client,
    authenticate: acting(client.authenticate),
    async other() {
      const other = await client.other()
      return other && acting(other)
    },
  }
}

/** Makes a call as a client of ours; a second one only where the server refuses the secret and there is another. */
export async function callAs(
  client: OwnClient,
  attempt: (authenticate: oauth.ClientAuth) => Promise<Result<Answer, CallProblem>>,
): Promise<Result<Answer, CallProblem>> {
  const answer = await attempt(client.authenticate)
  if (!answer.ok || !refusesClient(answer.value)) return answer
  const other = await client.other()
  if (other === undefined) return answer
  const second = await attempt(other)
  if (second.ok && !refusesClient(second.value)) client.turn()
  return second
}

/** RFC 6749 section 5.2: `invalid_client`, by 400 or 401. Keycloak says `unauthorized_client` of a wrong secret, by 401. */
function refusesClient({ status, body }: Answer): boolean {
  if (status < 400 || status >= 500) return false
  const word = body?.['error']
  return word === 'invalid_client' || (status === 401 && (word === undefined || word === 'unauthorized_client'))
}

async function toClientAuth(
  auth: OutboundAuth,
  name: SecretName | undefined,
  tokenEndpoint: string,
  secrets: Secrets,
): Promise<Result<oauth.ClientAuth, AuthProblem>> {
  if (auth.method === 'none') return ok(oauth.None())
  if ('certificate' in auth) return ok(oauth.TlsClientAuth())
  if (name === undefined) return err('no secret is named')
  const secret = (await secrets(name)).reveal()
  switch (auth.method) {
    case 'client_secret_post':
      return ok(oauth.ClientSecretPost(secret))
    case 'client_secret_basic':
      return ok(auth.encoding === 'form' ? oauth.ClientSecretBasic(secret) : rawBasic(secret))
    case 'private_key_jwt': {
      const own = await importOwnKey(secret, auth.alg)
      if (own === undefined) return err(`the secret ${name} does not hold a private key for ${auth.alg}`)
      return ok(
        oauth.PrivateKeyJwt(own, {
          [oauth.modifyAssertion]: (header, payload) => {
            header['alg'] = auth.alg
            if (auth.typ !== 'none') header['typ'] = auth.typ
            if (own.certificate !== undefined) header['x5t#S256'] = own.certificate
            if (auth.audience === 'token_endpoint') payload['aud'] = tokenEndpoint
            // Nobody needs it, and a server whose clock is a second behind ours would refuse the assertion for it.
            delete payload['nbf']
          },
        }),
      )
    }
  }
}

/** Basic without form-urlencoding of the parts: what many servers expect, against RFC 6749 section 2.3.1. */
function rawBasic(secret: string): oauth.ClientAuth {
  return (_server, client, _body, headers) => {
    const credentials = toBase64Url(toUtf8(`${client.client_id}:${secret}`))
      .replaceAll('-', '+')
      .replaceAll('_', '/')
    headers.set('authorization', `Basic ${credentials.padEnd(Math.ceil(credentials.length / 4) * 4, '=')}`)
  }
}
