// The second door: a client that has authenticated shows a token that says who its user is and receives an access token for one
// resource (RFC 8693). Reads from top to bottom as the four stages of trust. What a client may ask about tokens it has received
// stands beside it: revocation.ts and introspection.ts.
import type { Facts, Recorder } from '../audit/audit.ts'
import type { Config } from '../config/config.ts'
import type { Credentials, Introduced, Introducer, OpaqueSubject } from '../credentials/credentials.ts'
import { encodeFields, sha256 } from '../lib/digest.ts'
import type { NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { heed } from '../limits/limits.ts'
import type { Action, Actor, AuthenticatedClient, Credential, Permit, Subject, VerifiedAssertion } from '../model.ts'
import type { IdpClient, Resource } from '../parties.ts'
import { toJson } from '../oauth/answers.ts'
import { parseTokenRequest, type TokenRequest } from '../oauth/token-request.ts'
import { TOKEN_TYPE } from '../oauth/vocabulary.ts'
import type { Policy } from '../policy/policy.ts'
import type { Clock } from '../ports.ts'
import type { OpaqueKind } from '../quirks.ts'
import type { Refusal } from '../refusal.ts'
import type { Revocations } from '../revocation/revocation.ts'
import { nonceHeader, readClientRequest, type ClientEndpoint, type ClientPorts } from './client-request.ts'
import { introspect, type IntrospectionPorts } from './introspection.ts'
import { revoke } from './revocation.ts'
import type { ShownPorts } from './shown.ts'

export type { ClientEndpoint } from './client-request.ts'

export interface TokenPorts extends ClientPorts {
  readonly policy: Policy
  readonly revocations: Revocations
  readonly credentials: Credentials
  readonly recorder: Pick<Recorder, 'release'>
  readonly introducer: Introducer
  readonly clock: Clock
}

type TokenAction = Extract<Action, { kind: 'token' }>

/** The endpoints of clients that authenticate, by their paths. */
export interface ClientEndpoints {
  readonly token: ClientEndpoint
  readonly revoke: ClientEndpoint
  readonly introspect: ClientEndpoint
}

export function createClientEndpoints(ports: TokenPorts & IntrospectionPorts): ClientEndpoints {
  return {
    token: (request, facts) => answer(ports, request, facts),
    revoke: (request, facts) => revoke(ports, request, facts),
    introspect: (request, facts) => introspect(ports, request, facts),
  }
}

async function answer(
  ports: TokenPorts & ShownPorts,
  request: Request,
  facts: Facts,
): Promise<Result<Response, Refusal>> {
  const asked = await readClientRequest(ports, request, '/token', facts)
  if (!asked.ok) return asked
  const { form, client } = asked.value

  const wanted = parseTokenRequest(form)
  if (!wanted.ok) return wanted
  const resource = findResource(ports, client.name, wanted.value)
  if (resource.ok) facts.resource = resource.value
  const { scopes, details } = wanted.value
  if (scopes !== undefined) facts.asked = scopes
  const actor = wanted.value.actor && (await withDigest(wanted.value.actor))
  const action: TokenAction = { kind: 'token', scopes, details, actor }

  const { subject } = wanted.value
  const assertion =
    subject.kind === 'id_token'
      ? await ports.identity.verifyForClient(subject.token.reveal(), client)
      : await askWhose(ports, client, { kind: subject.kind, token: subject.token }, resource, action, facts)
  if (!assertion.ok) return assertion
  facts.assertion = assertion.value
  // Not earlier: whoever shows no good token must not learn which resources there are (threat T42).
  if (!resource.ok) return resource
  const fault = findFault(action, resource.value, assertion.value.idpClient)
  if (fault !== undefined) return err(fault)
  if (actor !== undefined) facts.actorType = actor.type

  const decide = async (): Promise<Result<Permit, Refusal>> => {
    const revoked = await ports.revocations.current()
    if (!revoked.ok) return revoked
    return ports.policy.decide(assertion.value, resource.value, action, revoked.value, ports.clock.epochMillis())
  }
  const permit = await decide()
  if (!permit.ok) return permit
  facts.permit = permit.value
  const ofRule = await heed(ports.limits.ofRule(permit.value), facts)
  if (!ofRule.ok) return ofRule
  // F-8: whoever gets such a token could not use it. Where that is known beforehand it costs nobody an ID-JAG.
  if (resource.value.dpop === 'require') return keptBack(resource.value)

  const acquired = await ports.credentials.acquire(permit.value)
  if (!acquired.ok) {
    // The identity provider may say something else of the subject token by now: that is what the next request is judged by.
    if (acquired.error.code === 'IDP109') await askAgain(ports, assertion.value.subject)
    return acquired
  }
  const { credential, origin, idJagJti, actors, oldKey, obtainedAt } = acquired.value
  // The first hop may have been made to learn who the user is.
  const ms = { ...facts.introduction?.ms, ...acquired.value.ms }
  const quota = acquired.value.quota ?? facts.introduction?.quota
  const { expiresAt, scopes: granted } = credential
  facts.credential = { origin, idJagJti, actors, ms, quota, oldKey, expiresAt, scopes: granted }
  if (credential.kind === 'dpop') return keptBack(resource.value)
  const { release } = ports.recorder
  const released = await release?.(facts)
  if (released?.ok === false) return released
  if (origin === 'exchange' || origin === 'flight' || released !== undefined) {
    // A flight takes its time, and so does a sink: who is cut off meanwhile does not get what was brought.
    const still = await decide()
    if (!still.ok) return still
    if (obtainedAt <= still.value.tokensUntil)
      return err({ code: 'INT101', detail: 'revoked in flight', retryAfterSeconds: 1 })
  }
  ports.issued.handedOut(permit.value, acquired.value)
  return ok(toTokenResponse(credential, ports.clock.now(), nonceHeader(client)))
}

/**
 * Who stands behind a token that only its identity provider can read: that is asked, for this very resource, and not before
 * everything else that could refuse the request has been looked at. An answer that cannot be verified any more (its key may
 * have been withdrawn) is replaced once.
 */
async function askWhose(
  ports: TokenPorts,
  client: AuthenticatedClient,
  shown: Pick<OpaqueSubject, 'kind' | 'token'>,
  resource: Result<Resource, Refusal>,
  action: TokenAction,
  facts: Facts,
): Promise<Result<VerifiedAssertion, Refusal>> {
  facts.opaque = shown.kind
  // T42: what is not open to this client does not exist for it, whatever it shows.
  if (!resource.ok) return resource
  const issuedBy = findIssuer(ports.config, client.name, shown.kind)
  if (!issuedBy.ok) return issuedBy
  const fault = findFault(action, resource.value, issuedBy.value.idpClient)
  if (fault !== undefined) return err(fault)
  const prospect = ports.policy.foresee(client, resource.value, action, ports.clock.epochMillis())
  if (!prospect.ok) return prospect
  if (resource.value.dpop === 'require') return keptBack(resource.value)

  const subject = { ...shown, ...issuedBy.value }
  const introduced = await ports.introducer.introduce(prospect.value, subject)
  if (!introduced.ok) return introduced
  const { introduction, origin } = introduced.value
  note(facts, introduced.value)
  const assertion = await ports.identity.verifyIntroduction(introduction)
  if (assertion.ok || origin === 'exchange' || assertion.error.code !== 'IDP109') return assertion
  const again = await ports.introducer.introduce(prospect.value, subject, introduction)
  if (!again.ok) return again
  note(facts, again.value)
  return ports.identity.verifyIntroduction(again.value.introduction)
}

async function askAgain({ config, introducer }: TokenPorts, subject: Subject): Promise<void> {
  if (subject.kind === 'id_token') return
  const { kind, token, introduction } = subject
  const { prospect, idpClient } = introduction
  const idp = config.idps.get(idpClient.idpName)
  if (idp !== undefined) await introducer.introduce(prospect, { kind, token, idp, idpClient }, introduction)
}

function note(facts: Facts, { origin, ms, quota }: Introduced): void {
  facts.introduction = { origin, ms, quota }
}

/** The one identity provider of a client that takes this kind of token. Nothing in such a token says whose it is. */
function findIssuer(
  { clients, idps }: Config,
  client: string,
  kind: OpaqueKind,
): Result<Pick<OpaqueSubject, 'idp' | 'idpClient'>, Refusal> {
  const presenting = clients.get(client)
  if (presenting?.subjectKinds.has(kind) !== true)
    return err({ code: 'CLI104', detail: 'this client may not present it' })
  const refs = presenting.subjectTokens
  const found = [...idps.values()].flatMap((idp) =>
    [...idp.clients.values()]
      .filter((idpClient) => refs.has(idpClient.ref) && idpClient.quirks.subjectTokens.has(kind))
      .map((idpClient) => ({ idp, idpClient })),
  )
  const [first, second] = found
  if (first === undefined) return err({ code: 'CLI104' })
  return second === undefined ? ok(first) : err({ code: 'CLI116' })
}

/** What a resource or an identity provider does not take, whoever asks for it. */
function findFault({ details, actor }: TokenAction, resource: Resource, idpClient: IdpClient): Refusal | undefined {
  if (details?.types.some((type) => !resource.detailTypes.includes(type)) === true)
    return { code: 'CLI117', got: 'a type that the resource does not take' }
  // F-12: an actor that the identity provider is not told of would be a claim without a proof.
  if (actor !== undefined && idpClient.quirks.actorToken !== 'caller')
    return { code: 'CLI111', detail: `${idpClient.ref} takes none of a caller` }
  return undefined
}

async function withDigest({ token, type }: NonNullable<TokenRequest['actor']>): Promise<Actor> {
  return { token, type, digest: await sha256(encodeFields([type, token.reveal()])) }
}

function keptBack({ name }: Resource): Result<never, Refusal> {
  return err({ code: 'LIM203', name, detail: 'bound to a key of ours' })
}

/**
 * The one resource that is meant: by its resource indicator (RFC 8707), by the issuer of its authorization server, or by
 * its name here as RFC 8693 section 2.1 logical name; only those that are open to the client are looked at. Strings are
 * compared, never URLs; nothing a caller names is fetched.
 */
function findResource(
  { config, policy, clock }: TokenPorts,
  client: string,
  { resource, audience }: TokenRequest,
): Result<Resource, Refusal> {
  const now = clock.epochMillis()
  const found = [...config.resources.values()].filter(
    (candidate) =>
      policy.isOpenTo(client, candidate, now) &&
      (resource === undefined || candidate.resource === resource) &&
      (audience === undefined || audience === candidate.name || audience === candidate.authorizationServer.issuer),
  )
  const [first, second] = found
  if (first === undefined) return err({ code: 'CLI106', detail: 'unknown here, or not open to this client' })
  return second === undefined ? ok(first) : err({ code: 'CLI107', detail: 'several resources fit' })
}

/** RFC 8693 section 2.2.1. `expires_in` is what remains: a cached token has aged. No refresh token, ever. */
function toTokenResponse(
  credential: Extract<Credential, { kind: 'bearer' }>,
  now: NumericDate,
  headers: Readonly<Record<string, string>>,
): Response {
  // RFC 9396 section 7: as granted, which may be less than was asked.
  const details: unknown = credential.details && JSON.parse(credential.details.json)
  const body = {
    access_token: credential.token.reveal(),
    issued_token_type: TOKEN_TYPE.accessToken,
    token_type: 'Bearer',
    expires_in: Math.max(0, credential.expiresAt - now),
    ...(credential.scopes.length === 0 ? {} : { scope: credential.scopes.join(' ') }),
    ...(details === undefined ? {} : { authorization_details: details }),
  }
  return toJson(body, 200, { pragma: 'no-cache', ...headers })
}
