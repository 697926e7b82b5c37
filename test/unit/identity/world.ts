// One identity provider, three kinds of calling client, a clock that only tests move and a network that counts.
import { numericDate } from '../../../src/lib/numeric-date.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { AdminAccess } from '../../../src/administrator.ts'
import type {
  CallingClient,
  ClientId,
  Idp,
  IdpClient,
  InboundAuth,
  Issuer,
  KeySource,
  SecretName,
} from '../../../src/parties.ts'
import { createIdentity, type Identity, type IdentityPorts } from '../../../src/identity/identity.ts'
import { idpQuirks } from '../../../src/config/profiles.ts'
import { createDiscovery } from '../../../src/oauth/metadata.ts'
import { createTestKey, idTokenClaims, mint, type Claims, type TestKey } from '../../support/keys.ts'

export const ISSUER = 'https://login.corp.test' as Issuer
export const OWN_ISSUER = 'https://jagway.test'
export const START = 1_800_000_000
export const SECRET = 's3cret+with%odd:characters'

export const key = await createTestKey('idp-1')
export const strangerKey = await createTestKey('idp-1')
export const clientKey = await createTestKey('client-1')

export function idpClient(name: string, edgeClient?: string, idpName = 'corp'): IdpClient {
  const id = `${name}-id` as ClientId
  const quirks = idpQuirks('generic', {})
  return { name, ref: `${idpName}/${name}`, idpName, id, auth: { method: 'none' }, quirks, edgeClient }
}

export function idp(changes: Partial<Idp> = {}): Idp {
  return {
    name: 'corp',
    issuer: ISSUER,
    tokenEndpoint: undefined,
    keys: { kind: 'static', jwks: { keys: [key.publicJwk] } },
    claims: { groups: undefined, tenant: undefined },
    tenants: undefined,
    idToken: { maxAgeSeconds: 3_600, algorithms: ['ES256', 'RS256'] },
    quirks: idpQuirks('generic', {}),
    wants: 'a user who may',
    clients: new Map([
      ['web', idpClient('web', 'edge')],
      ['broker', idpClient('broker')],
    ]),
    ...changes,
  }
}

export function caller(name: string, auth?: InboundAuth, subjectTokens = ['corp/broker']): CallingClient {
  return {
    name,
    subjectKinds: new Set(['id_token']),
    subjectTokens: new Set(subjectTokens),
    auth,
    dpop: 'optional',
    dpopNonce: 'optional',
    rateLimit: undefined,
  }
}

export const secretAuth = (method: 'client_secret_basic' | 'client_secret_post'): InboundAuth => ({
  method,
  secrets: ['AGENT_SECRET' as SecretName],
})

export const jwtAuth = (keys: KeySource): InboundAuth => ({ method: 'private_key_jwt', keys, algorithms: ['ES256'] })

/** A clock that stands until a test moves it. */
export class TestClock {
  seconds = START

  now = () => numericDate(this.seconds)
  millis = () => this.seconds * 1000
  epochMillis = () => this.seconds * 1000

  pass(seconds: number): void {
    this.seconds += seconds
  }
}

export function json(body: unknown, init: ResponseInit = {}): Response {
  return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' }, ...init })
}

export interface World {
  readonly identity: Identity
  readonly clock: TestClock
  /** Addresses in the order they were asked. */
  readonly fetched: string[]
  /** What the network answers; tests replace it. */
  answer: (url: string) => Response | Promise<Response>
  readonly claimed: Map<string, number>
  claimFails: boolean
  token(changes?: Claims, header?: Claims, by?: TestKey): Promise<string>
}

export function createWorld(
  options: {
    publicUrl?: string
    idps?: readonly Idp[]
    clients?: readonly CallingClient[]
    secret?: string
    policyClaims?: readonly string[]
    previous?: string
    sealingKeys?: readonly SecretName[]
    admin?: AdminAccess
  } = {},
): World {
  const clock = new TestClock()
  const fetched: string[] = []
  const claimed = new Map<string, number>()
  const idps = options.idps ?? [idp()]
  const clients = options.clients ?? [
    caller('basic', secretAuth('client_secret_basic')),
    caller('post', secretAuth('client_secret_post')),
    caller('jwt', jwtAuth({ kind: 'static', jwks: { keys: [clientKey.publicJwk] } })),
    caller('edge'),
  ]
  const ports: Omit<IdentityPorts, 'discovery'> = {
    clock,
    fetch: async (request) => {
      fetched.push(request.url)
      return world.answer(request.url)
    },
    background: () => undefined,
    secrets: (name) =>
      Promise.resolve(new Secret((name === 'OLD_SECRET' ? options.previous : options.secret) ?? SECRET)),
    replay: {
      claim: async (value, until) => {
        if (world.claimFails) throw new Error('the object is gone')
        if (claimed.has(value)) return false
        claimed.set(value, until)
        return true
      },
    },
  }
  const world: World = {
    clock,
    fetched,
    claimed,
    claimFails: false,
    answer: () => new Response(null, { status: 404 }),
    identity: createIdentity(
      {
        publicUrl: options.publicUrl ?? OWN_ISSUER,
        cache: { sealingKeys: options.sealingKeys ?? ['SEALING_KEY' as SecretName] },
        admin: options.admin,
        idpsByIssuer: new Map(idps.map((each) => [each.issuer, each])),
        clients: new Map(clients.map((each) => [each.name, each])),
        policyClaims: new Set(options.policyClaims),
      },
      { ...ports, discovery: createDiscovery(ports, { local: false }) },
    ),
    token: (changes = {}, header = {}, by = key) =>
      mint(by, { ...idTokenClaims(clock.seconds, ISSUER, 'web-id'), ...changes }, header),
  }
  return world
}

/** The code of a refusal, or `ok`. */
export function outcome(result: { ok: true } | { ok: false; error: { code: string } }): string {
  return result.ok ? 'ok' : result.error.code
}
