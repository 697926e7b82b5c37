// Proofs for tests, made by the rooms that alone can make them: a real ID token goes through identity, a real rule through
// policy. Whatever strings a test wants (delimiters above all) can stand in a proof, because no file is parsed on the way.
import { idpQuirks, rasQuirks } from '../../../src/config/profiles.ts'
import { createIdentity } from '../../../src/identity/identity.ts'
import { numericDate } from '../../../src/lib/numeric-date.ts'
import type { Action, Permit, VerifiedAssertion } from '../../../src/model.ts'
import type { ClientId, Idp, IdpClient, Issuer, RasClient, Resource, Rule, ScopeToken } from '../../../src/parties.ts'
import { createPolicy } from '../../../src/policy/policy.ts'
import { createSnapshot } from '../../../src/revocation/revocation.ts'
import { createTestKey, mint, type Claims } from '../../support/keys.ts'

const NOW = numericDate(1_800_000_000)
export const NOTHING_REVOKED = createSnapshot([])
const key = await createTestKey('proofs-1')

export interface Who {
  readonly issuer: string
  readonly idpName: string
  readonly subject: string
  readonly tenant: string | undefined
  readonly groups: readonly string[]
  /** Further claims of the ID token; policy asks for each. */
  readonly claims: Claims
  /** The calling client. */
  readonly caller: string
  /** Our client at the identity provider: its name, and the id that the token is for. */
  readonly idpClient: string
  readonly idpClientId: string
}

const ALICE: Who = {
  issuer: 'https://login.corp.test',
  idpName: 'corp',
  subject: 'alice',
  tenant: undefined,
  groups: [],
  claims: {},
  caller: 'app',
  idpClient: 'web',
  idpClientId: 'web-id',
}

/** Her identity provider, with the one client. */
export function idpOf(changes: Partial<Who> = {}): Idp {
  const who: Who = { ...ALICE, ...changes }
  const quirks = idpQuirks('generic', {})
  const client: IdpClient = {
    name: who.idpClient,
    ref: `${who.idpName}/${who.idpClient}`,
    idpName: who.idpName,
    id: who.idpClientId as ClientId,
    auth: { method: 'none' },
    quirks,
    edgeClient: who.caller,
  }
  return {
    name: who.idpName,
    issuer: who.issuer as Issuer,
    tokenEndpoint: undefined,
    keys: { kind: 'static', jwks: { keys: [key.publicJwk] } },
    claims: { groups: 'groups', tenant: 'tid' },
    tenants: undefined,
    idToken: { maxAgeSeconds: 3600, algorithms: ['ES256'] },
    quirks,
    wants: 'a user who may',
    clients: new Map([[client.name, client]]),
  }
}

/** Alice through `app`, unless something else is said. */
export async function assertionOf(changes: Partial<Who> = {}): Promise<VerifiedAssertion> {
  const who: Who = { ...ALICE, ...changes }
  const idp = idpOf(who)
  const unused = (): never => {
    throw new Error('no proof needs this')
  }
  const identity = createIdentity(
    {
      publicUrl: 'https://gw.test',
      idpsByIssuer: new Map([[idp.issuer, idp]]),
      clients: new Map(),
      policyClaims: new Set(Object.keys(who.claims)),
      cache: { sealingKeys: [] },
    },
    {
      clock: { now: () => NOW, epochMillis: () => NOW * 1000, millis: () => 0 },
      fetch: unused,
      background: unused,
      secrets: unused,
      replay: { claim: unused },
      discovery: { metadataOf: unused },
    },
  )
  const token = await mint(key, {
    iss: who.issuer,
    sub: who.subject,
    aud: who.idpClientId,
    tid: who.tenant,
    groups: who.groups,
    iat: NOW - 5,
    exp: NOW + 300,
    ...who.claims,
  })
  const assertion = await identity.verifyAtEdge(`Bearer ${token}`)
  if (!assertion.ok) throw new Error(`no proof: ${assertion.error.code} ${assertion.error.detail ?? ''}`)
  return assertion.value
}

export interface ResourceChanges extends Partial<Omit<Resource, 'authorizationServer' | 'client'>> {
  readonly rasIssuer?: string
  readonly rasClientId?: string
  readonly rasClientsByCaller?: Readonly<Record<string, string>>
}

export function scopesOf(...scopes: string[]): ScopeToken[] {
  return scopes.map((scope) => scope as ScopeToken)
}

function rasClient(id: string): RasClient {
  return { id: id as ClientId, auth: { method: 'none' } }
}

/** The resource `tasks`, unless something else is said. */
export function resourceOf(changes: ResourceChanges = {}): Resource {
  const {
    rasIssuer = 'https://as.tasks.test/',
    rasClientId = 'gw-at-tasks',
    rasClientsByCaller = {},
    ...rest
  } = changes
  return {
    name: 'tasks',
    kind: 'id-jag',
    authorizationServer: {
      issuer: rasIssuer as Issuer,
      tokenEndpoint: 'https://as.tasks.test/token',
      audience: rasIssuer,
      quirks: rasQuirks('generic', {}),
      wants: 'a user who is known',
    },
    resource: 'https://api.tasks.test/v1',
    client: rasClient(rasClientId),
    clientsByCaller: new Map(Object.entries(rasClientsByCaller).map(([caller, id]) => [caller, rasClient(id)])),
    scopes: scopesOf('tasks.read', 'tasks.write'),
    detailTypes: [],
    dpop: 'off',
    proxy: undefined,
    ...rest,
  }
}

/** A rule that allows everything, unless conditions are given. */
export function ruleOf(changes: Partial<Rule> = {}): Rule {
  return {
    id: 'everything',
    effect: 'allow',
    users: undefined,
    groups: undefined,
    clients: undefined,
    tenants: undefined,
    claims: undefined,
    acr: undefined,
    amr: undefined,
    maxAuthAgeSeconds: undefined,
    until: undefined,
    resources: undefined,
    scopes: undefined,
    detailTypes: undefined,
    methods: undefined,
    paths: undefined,
    rate: undefined,
    ...changes,
  }
}

/** A permit for exactly these scopes, by a rule that allows everything. */
export function permitOf(
  assertion: VerifiedAssertion,
  resource: Resource,
  scopes?: readonly ScopeToken[],
  more: Omit<Extract<Action, { kind: 'token' }>, 'kind' | 'scopes'> = {},
): Permit {
  const action: Action = { kind: 'token', scopes, ...more }
  const rule = ruleOf({ detailTypes: more.details?.types })
  const permit = createPolicy([rule], [resource]).decide(assertion, resource, action, NOTHING_REVOKED, NOW * 1000)
  if (!permit.ok) throw new Error(`no permit: ${permit.error.code}`)
  return permit.value
}
