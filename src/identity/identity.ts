// The door of `identity/`: who is asking. Makes the two proofs every later room requires: that a user stands behind a token
// which this caller may present, and that a calling client is who it says. Nobody else can make them.
import type { Config } from '../config/config.ts'
import { BoundedMap } from '../lib/bounded-map.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { Secret } from '../lib/secret.ts'
import type { AdminAccess, AdminCaller, AdminRight, RightHolders } from '../administrator.ts'
import type { AuthenticatedClient, Introduction, Principal, Subject, VerifiedAssertion } from '../model.ts'
import type { IdpClient } from '../parties.ts'
import type { Discovery } from '../oauth/metadata.ts'
import type { AccessSession, Background, Clock, Fetch, ReplayGuard, Secrets } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { createAccessVerifier, type AccessIdentity } from './access-jwt.ts'
import { authenticate, type ClientAuthRules, type TokenRequestHead } from './client-auth.ts'
import type { AssertingClient } from './client-assertion.ts'
import { createNonces } from './dpop-nonce.ts'
import { verifyProof, type PresentedProof } from './dpop-proof.ts'
import { createIdJagReader, type IdJagTarget } from './id-jag.ts'
import { verifyIdToken, type IdToken, type TrustedIdp } from './id-token.ts'
import { createKeyProvider } from './jwks.ts'

export { parseKeySet } from './key-set.ts'
export type { IdJagTarget, PresentedProof }

export { toClaimReading } from './claims.ts'
export { readDelegation } from './delegation.ts'
export { readOffline, type OfflineReading } from './offline.ts'

export interface Identity {
  /**
   * A proxied request: the token says who the user is, and its audience who calls. One that is bound to a key comes with the
   * scheme DPoP and a proof (RFC 9449 section 7.1). `proof` undefined: no DPoP header.
   */
  verifyAtEdge(
    authorizationHeader: string | undefined,
    proof?: PresentedProof,
  ): Promise<Result<VerifiedAssertion, Refusal>>
  /** A subject token at the token endpoint, presented by a client that has authenticated. */
  verifyForClient(token: string, client: AuthenticatedClient): Promise<Result<VerifiedAssertion, Refusal>>
  /**
   * A subject token that only its identity provider can read, by what that has answered. The signature of the answer is
   * checked here, however often the introduction is used. Refuses with CLI112, TOK106, TOK107, IDP109 or IDP114.
   */
  verifyIntroduction(introduction: Introduction): Promise<Result<VerifiedAssertion, Refusal>>
  /** Whom an ID-JAG of an identity provider is about, checked in full. No proof comes of it: nobody stands behind it yet. */
  readIdJag(token: Secret, idpName: string, target: IdJagTarget): Promise<Result<Principal, Refusal>>
  authenticateClient(request: TokenRequestHead): Promise<Result<AuthenticatedClient, Refusal>>
  /**
   * A request to the administration. A bearer token counts where ID tokens of administrators are accepted, else Cloudflare
   * Access; never one after the other has failed. The caller may turn out to have no right at all. Refuses with ADM101 or
   * TOK1xx, and with CLI106 where no administration is configured.
   */
  verifyAdmin(request: Request, session: AccessSession | undefined): Promise<Result<AdminCaller, Refusal>>
}

export interface IdentityPorts {
  readonly fetch: Fetch
  readonly clock: Clock
  readonly background: Background
  readonly replay: ReplayGuard
  readonly secrets: Secrets
  readonly discovery: Discovery
}

/** What identity reads of the configuration. */
export type IdentityConfig = Pick<Config, 'publicUrl' | 'idpsByIssuer' | 'clients'> &
  Partial<Pick<Config, 'admin' | 'policyClaims'>> & { readonly cache: Pick<Config['cache'], 'sealingKeys'> }

const MAX_REMEMBERED = 1_000
const REMEMBER_MS = 10 * 60_000

/** A token that was verified a short while ago. What depends on time is compared again at every use. */
interface Remembered {
  readonly idToken: IdToken
  readonly token: Secret
  readonly untilMs: number
  /** The answer at the edge to whoever shows it as a bearer token, ready: there the caller follows from the token. */
  readonly atEdge: Result<VerifiedAssertion, Refusal>
}

export function createIdentity(config: IdentityConfig, ports: IdentityPorts): Identity {
  const { clock } = ports
  const issuers = trustIssuers(config, ports)
  const idpsByName = new Map([...issuers.values()].map((trusted) => [trusted.idp.name, trusted]))
  const idJags = createIdJagReader(clock)
  const clientAuth = clientAuthRules(config, ports)
  const nonces = createNonces(config.cache.sealingKeys, ports.secrets, clock)
  const proofRules = { clock, replay: ports.replay, nonces }
  const { admin } = config
  const access = admin?.access && { ...admin.access, verifier: createAccessVerifier(admin.access, ports) }
  // By the exact text of the whole token; a digest or a prefix of it would only add ways to confuse two of them.
  const remembered = new BoundedMap<string, Remembered>(MAX_REMEMBERED)

  function recall(token: string): Remembered | undefined {
    const entry = remembered.get(token)
    if (entry === undefined) return undefined
    const now = clock.now()
    const { from, until } = entry.idToken.usable
    if (now >= from && now < until && clock.millis() < entry.untilMs) return entry
    remembered.delete(token)
    return undefined
  }

  async function verify(token: string): Promise<Result<Remembered, Refusal>> {
    const verified = await verifyIdToken(token, issuers, () => clock.now())
    if (!verified.ok) return verified
    const idToken = verified.value
    const secret = new Secret(token)
    const entry: Remembered = {
      idToken,
      token: secret,
      // Not longer than its key: a withdrawn key must not live on in here.
      untilMs: Math.min(clock.millis() + REMEMBER_MS, idToken.keyFreshUntilMs),
      atEdge: assertAtEdge(idToken, secret, config.clients),
    }
    remembered.set(token, entry)
    return ok(entry)
  }

  function verifyAtEdge(
    authorizationHeader: string | undefined,
    proof?: PresentedProof,
  ): Promise<Result<VerifiedAssertion, Refusal>> {
    // A remembered token was well-formed; only unknown ones are looked at closer.
    const offered = authorizationHeader === undefined ? undefined : credentialsOf(authorizationHeader, 'bearer ')
    if (offered === undefined) return verifyBound(authorizationHeader, proof)
    if (proof !== undefined) return Promise.resolve(err({ code: 'CLI114', got: 'a DPoP proof beside a bearer token' }))
    const known = recall(offered)
    if (known !== undefined) return Promise.resolve(known.atEdge)
    return verifyOffered(offered).then((entry) => (entry.ok ? entry.value.atEdge : entry))
  }

  async function verifyOffered(offered: string): Promise<Result<Remembered, Refusal>> {
    const known = recall(offered)
    if (known !== undefined) return ok(known)
    return TOKEN68.test(offered) ? verify(offered) : err({ code: 'TOK101', got: 'not exactly one token' })
  }

  async function verifyBound(
    authorizationHeader: string | undefined,
    proof: PresentedProof | undefined,
  ): Promise<Result<VerifiedAssertion, Refusal>> {
    const offered = authorizationHeader === undefined ? undefined : credentialsOf(authorizationHeader, 'dpop ')
    if (offered === undefined) return err({ code: 'TOK100' })
    if (proof === undefined) return err({ code: 'CLI114', got: 'the scheme DPoP without a proof' })
    const entry = await verifyOffered(offered)
    if (!entry.ok) return entry
    const { idToken, token } = entry.value
    const { idpClient, thumbprint } = idToken
    if (idpClient.edgeClient === undefined) return notAtEdge(idpClient)
    if (thumbprint === undefined) return err({ code: 'TOK111' })
    const nonce = config.clients.get(idpClient.edgeClient)?.dpopNonce === 'required'
    const key = await verifyProof(proof, { nonce, token: { text: offered, thumbprint } }, proofRules)
    if (!key.ok) return key
    const caller = admit({ name: idpClient.edgeClient, method: 'edge', key: key.value })
    return ok(vouch(idToken, caller, { kind: 'id_token', token }))
  }

  async function verifyClient(request: TokenRequestHead): Promise<Result<AuthenticatedClient, Refusal>> {
    const proven = await authenticate(request, clientAuth)
    if (!proven.ok) return proven
    const { name, method } = proven.value
    const client = config.clients.get(name)
    if (request.proof === undefined) {
      if (client?.dpop === 'required') return err({ code: 'CLI120', detail: 'no DPoP proof' })
      return ok(admit({ name, method, key: undefined }))
    }
    const demand = { nonce: client?.dpopNonce === 'required', token: undefined }
    const key = await verifyProof(request.proof, demand, proofRules)
    return key.ok ? ok(admit({ name, method, key: key.value })) : key
  }

  async function readIdJag(token: Secret, idpName: string, target: IdJagTarget) {
    const trusted = idpsByName.get(idpName)
    if (trusted !== undefined) return idJags.read(token.reveal(), trusted, target)
    return err<Refusal>({ code: 'IDP109', detail: 'an identity provider that is not configured' })
  }

  return {
    verifyAtEdge,

    async verifyForClient(token, client) {
      const known = recall(token)
      const entry = known === undefined ? await verify(token) : ok(known)
      if (!entry.ok) return entry
      const { idToken, token: secret } = entry.value
      // the IdP will only exchange it for the client it was issued to, and only its own callers may ask for that.
      const presenting = config.clients.get(client.name)
      if (presenting?.subjectTokens.has(idToken.idpClient.ref) !== true)
        return err({ code: 'CLI112', got: `an ID token of ${idToken.idpClient.ref}` })
      if (idToken.thumbprint !== undefined && idToken.thumbprint !== client.key?.thumbprint)
        return err({ code: 'TOK110', detail: client.key === undefined ? 'no proof' : 'the proof is of another key' })
      if (!presenting.subjectKinds.has('id_token') || !idToken.idpClient.quirks.subjectTokens.has('id_token'))
        return err({ code: 'CLI104', got: 'an ID token' })
      return ok(vouch(idToken, client, { kind: 'id_token', token: secret }))
    },

    async readIdJag(token, idpName, target) {
      const read = await readIdJag(token, idpName, target)
      return read.ok ? ok(read.value.principal) : read
    },

    async verifyIntroduction(introduction) {
      const { prospect, idpClient, kind, token, idJag, since, until } = introduction
      const { client, resource } = prospect
      const presenting = config.clients.get(client.name)
      if (presenting?.subjectKinds.has(kind) !== true || !presenting.subjectTokens.has(idpClient.ref))
        return err({ code: 'CLI112', got: `a token of ${idpClient.ref}` })
      const { issuer: rasIssuer } = resource.authorizationServer
      const target = { rasIssuer, rasClientId: introduction.rasClientId }
      const read = await readIdJag(idJag.token, idpClient.idpName, target)
      if (!read.ok) return read
      if (clock.now() >= until) return err({ code: 'TOK106', detail: 'the introduction is over' })
      const { principal } = read.value
      // The same subject token is the same sign-in, whatever the identity provider has made of it since.
      const issuedAt = since < principal.issuedAt ? since : principal.issuedAt
      const expiresAt = until < principal.expiresAt ? until : principal.expiresAt
      const user = { ...principal, issuedAt, expiresAt }
      return ok(vouch({ principal: user, idpClient }, client, { kind, token, introduction }))
    },

    authenticateClient: verifyClient,

    async verifyAdmin(request, session) {
      if (admin === undefined) return err({ code: 'CLI106' })
      const authorization = request.headers.get('authorization') ?? undefined
      if (admin.idToken !== undefined && authorization !== undefined) {
        const dpop = request.headers.get('dpop')
        const url = config.publicUrl + new URL(request.url).pathname
        const proof = dpop === null ? undefined : { proof: dpop, method: request.method, url }
        const assertion = await verifyAtEdge(authorization, proof)
        if (assertion.ok) return ok(callByIdToken(assertion.value, admin.idToken))
        return assertion.error.code === 'TOK100' ? err({ code: 'ADM101', detail: 'not a bearer token' }) : assertion
      }
      if (access === undefined) return err({ code: 'ADM101', detail: 'no ID token' })
      const identity = await access.verifier.verify(
        request.headers.get('cf-access-jwt-assertion') ?? undefined,
        session,
      )
      return identity.ok ? ok(callByAccess(identity.value, access)) : identity
    },
  }
}

function callByIdToken(
  { principal, caller }: VerifiedAssertion,
  { clients, tenants, view, revoke }: NonNullable<AdminAccess['idToken']>,
): AdminCaller {
  // What an administrator may do is not handed on: the record would name them alone.
  const { act, tenant = '' } = principal
  const isMeant = act === undefined && (clients?.has(caller.name) ?? true) && (tenants?.has(tenant) ?? true)
  return attest({
    via: 'id_token',
    issuer: principal.issuer,
    subject: principal.subject,
    idp: principal.idp,
    client: caller.name,
    issuedAt: principal.issuedAt,
    rights: rightsOf(isMeant && isAmong(view, principal), isMeant && isAmong(revoke, principal)),
  })
}

function callByAccess({ email, issuedAt }: AccessIdentity, access: NonNullable<AdminAccess['access']>): AdminCaller {
  const has = (holders: ReadonlySet<string>): boolean => holders.has(email) || holders.has('*')
  return attest({
    via: 'access',
    issuer: access.teamDomain,
    subject: email,
    idp: undefined,
    client: undefined,
    issuedAt,
    rights: rightsOf(has(access.view), has(access.revoke)),
  })
}

function isAmong({ users, groups }: RightHolders, { idp, subject, groups: own }: Principal): boolean {
  const named = users.some((user) => user.subject === subject && (user.idp === undefined || user.idp === idp))
  return (
    named ||
    groups.some((group) => own?.includes(group.name) === true && (group.idp === undefined || group.idp === idp))
  )
}

function rightsOf(view: boolean, revoke: boolean): ReadonlySet<AdminRight> {
  // Nobody can judge what to revoke without seeing it.
  return new Set<AdminRight>(revoke ? ['view', 'revoke'] : view ? ['view'] : [])
}

/** RFC 9110 section 11.2 token68. Two headers reach us as one, joined by a comma, which is not in it. */
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/

/** What follows the scheme; undefined: another scheme, or nothing (RFC 9110 section 11.4, schemes have no case). */
function credentialsOf(header: string, scheme: 'bearer ' | 'dpop '): string | undefined {
  const { length } = scheme
  if (header.length <= length || header.slice(0, length).toLowerCase() !== scheme) return undefined
  const value = header.charCodeAt(length) === 0x20 ? header.slice(length).replace(/^ +/, '') : header.slice(length)
  return value === '' ? undefined : value
}

function assertAtEdge(
  idToken: IdToken,
  token: Secret,
  clients: IdentityConfig['clients'],
): Result<VerifiedAssertion, Refusal> {
  const { idpClient, thumbprint } = idToken
  const { edgeClient } = idpClient
  if (edgeClient === undefined) return notAtEdge(idpClient)
  // RFC 9449 section 7.2: bound and shown as a bearer token, it may be anybody who shows it.
  if (thumbprint !== undefined) return err({ code: 'TOK110', detail: 'shown as a bearer token' })
  if (clients.get(edgeClient)?.dpop === 'required') return err({ code: 'CLI120', detail: 'shown as a bearer token' })
  const caller = admit({ name: edgeClient, method: 'edge', key: undefined })
  return ok(vouch(idToken, caller, { kind: 'id_token', token }))
}

function notAtEdge({ ref }: IdpClient): Result<never, Refusal> {
  return err({ code: 'TOK108', got: `an ID token of ${ref}` })
}

/** The maker of the first proof. */
function admit({ name, method, key }: Pick<AuthenticatedClient, 'name' | 'method' | 'key'>): AuthenticatedClient {
  return { name, method, key } as AuthenticatedClient
}

/** The maker of the second proof. */
function vouch(
  { principal, idpClient }: Pick<IdToken, 'principal' | 'idpClient'>,
  caller: AuthenticatedClient,
  subject: Subject,
): VerifiedAssertion {
  return { principal, caller, idpClient, subject } as VerifiedAssertion
}

/** The maker of the third proof. */
function attest(facts: Omit<AdminCaller, keyof AdminCaller & symbol>): AdminCaller {
  return facts as AdminCaller
}

function trustIssuers(config: IdentityConfig, ports: IdentityPorts): ReadonlyMap<string, TrustedIdp> {
  const { policyClaims = new Set() } = config
  const issuers = new Map<string, TrustedIdp>()
  for (const [issuer, idp] of config.idpsByIssuer) {
    const clientsById = new Map<string, IdpClient>()
    for (const client of idp.clients.values()) clientsById.set(client.id, client)
    issuers.set(issuer, {
      idp,
      keys: createKeyProvider(idp.keys, idp.idToken.algorithms, ports),
      clientsById,
      policyClaims,
    })
  }
  return issuers
}

function clientAuthRules(config: IdentityConfig, ports: IdentityPorts): ClientAuthRules {
  const clients = new Map<string, AssertingClient>()
  for (const [name, client] of config.clients) {
    const { auth } = client
    if (auth?.method !== 'private_key_jwt') continue
    clients.set(name, { client, auth, keys: createKeyProvider(auth.keys, auth.algorithms, ports) })
  }
  const { clock, replay, secrets } = ports
  return { issuer: config.publicUrl, clients, callers: config.clients, clock, replay, secrets }
}
