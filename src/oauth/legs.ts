// The two hops. Leg 1: subject token to ID-JAG at the identity provider (RFC 8693, draft-ietf-oauth-identity-assertion-authz-
// grant section 4.3). Leg 2: ID-JAG to access token at the Resource Authorization Server (RFC 7523, section 4.4). Requests
// go out by oauth4webapi; answers are judged here, because real servers bend the shapes that a library may insist on.
import { err, ok, type Result } from '../lib/result.ts'
import { plusSeconds, type NumericDate } from '../lib/numeric-date.ts'
import { Secret } from '../lib/secret.ts'
import type { JsonObject } from '../lib/strict-json.ts'
import type { Actor, AuthorizationDetails, IdJag } from '../model.ts'
import type { ClientId, Issuer, ScopeToken } from '../parties.ts'
import type { Fetch } from '../ports.ts'
import type { IdpQuirks, RasQuirks, SubjectTokenKind } from '../quirks.ts'
import type { Refusal } from '../refusal.ts'
import { parseGrantedDetails } from './authorization-details.ts'
import { asActor } from './client-auth.ts'
import type { Prover } from './dpop.ts'
import { governs, inspectIdJag, type Confirmation, type Misfit } from './id-jag.ts'
import { judgeAnswer, MAX_LIFETIME_SECONDS, type LegRefusal } from './leg-answer.ts'
import { ask, type LegEndpoint } from './leg-call.ts'
import { GRANT_TYPE, isAccessToken, parseScope, TOKEN_TYPE } from './vocabulary.ts'

export interface AccessToken {
  readonly token: Secret
  readonly scopes: readonly ScopeToken[]
  readonly details: AuthorizationDetails | undefined
  /** Seconds the server says it lives; 0: not to be kept at all. */
  readonly lifetimeSeconds: number
  /** Whether it can only be used by whoever has the key that was proven when it was asked for. */
  readonly bound: boolean
}

/** What is to be bound to a key. */
export interface Binding {
  readonly prover: Prover
  /** What comes back without being bound is refused. */
  readonly required: boolean
}

export interface ExchangeRequest {
  readonly idp: LegEndpoint
  readonly subject: SubjectToken
  /** The RAS: its issuer and our client id there, which the ID-JAG must name (draft section 3.1). */
  readonly rasIssuer: Issuer
  readonly rasClientId: ClientId
  /** What the identity provider knows the RAS by, verbatim, and by which parameter the request says so. */
  readonly audience: string
  readonly target: IdpQuirks['target']
  /** The API. An ID-JAG for another one is refused, whether it was asked for by name or not. */
  readonly resource: string | undefined
  readonly sendResource: boolean
  readonly scopes: readonly ScopeToken[]
  readonly details: AuthorizationDetails | undefined
  readonly actor: Pick<Actor, 'token' | 'type'> | undefined
  /** Whether our client acts in the user's name itself; `actor` is undefined then. */
  readonly actsItself: boolean
  /** Undefined: no proof is sent, and no bound ID-JAG is taken. */
  readonly binding: Binding | undefined
  readonly now: NumericDate
  /** Called with the refresh token of an answer to a refresh token: the one that takes its place, whatever else is wrong. */
  readonly onSuccessor?: (successor: Secret) => Promise<void>
}

/** A token as an identity provider is shown it. */
export interface SubjectToken {
  readonly kind: SubjectTokenKind
  readonly token: Secret
}

const TYPE_OF: Readonly<Record<SubjectTokenKind, string>> = {
  id_token: TOKEN_TYPE.idToken,
  refresh_token: TOKEN_TYPE.refreshToken,
  saml2: TOKEN_TYPE.saml2,
}

export interface RedeemRequest {
  readonly ras: LegEndpoint
  readonly idJag: IdJag
  readonly resource: string | undefined
  readonly sendScope: boolean
  readonly sendResource: boolean
  readonly extraScopes: RasQuirks['extraScopes']
  /** What a server that says nothing of `expires_in` is taken to mean; RFC 6749 section 5.1 leaves it open. */
  readonly defaultTtlSeconds: number
  /** Undefined: no proof is sent, and no bound token is taken. */
  readonly binding: Binding | undefined
  /** The grant type where a proof is sent. */
  readonly redeemGrant: RasQuirks['redeemGrant']
}

/** Leg 1. Refuses with IDP1xx. */
export async function exchangeForIdJag(fetch: Fetch, request: ExchangeRequest): Promise<Result<IdJag, LegRefusal>> {
  const parameters = new URLSearchParams(toExchangeParameters(request.subject.kind, request))
  parameters.set('subject_token', request.subject.token.reveal())
  if (request.actor !== undefined) {
    parameters.set('actor_token', request.actor.token.reveal())
    parameters.set('actor_token_type', request.actor.type)
  }
  const { idp, binding } = request
  const endpoint = request.actsItself ? { ...idp, client: asActor(idp.client) } : idp
  const asked = { endpoint, grantType: GRANT_TYPE.tokenExchange, parameters, prover: binding?.prover }
  const answer = judgeAnswer(await ask(fetch, asked), 'IDP', request.subject.token, request.details)
  if (!answer.ok) return answer
  const successor = answer.value.body?.['refresh_token']
  if (request.subject.kind === 'refresh_token' && isAccessToken(successor))
    await request.onSuccessor?.(new Secret(successor))
  const judged = judgeIdJag(answer.value.body ?? {}, request)
  if (!judged.ok) return err({ code: 'IDP109', ...judged.error })
  const { confirmation, ...idJag } = judged.value
  // Leg 2 would ask for no scope then, and whatever it got would count as the server's own choice.
  if (idJag.scopes.length === 0 && request.scopes.length > 0) {
    return err({ code: 'IDP104', detail: 'the answer grants the empty scope' })
  }
  if (idJag.details?.types.length === 0) return err({ code: 'IDP107', detail: 'the answer grants none' })
  const bound = await judgeBinding(confirmation, binding)
  return bound.ok ? ok({ ...idJag, bound: bound.value }) : err({ code: 'IDP113', detail: bound.error })
}

/** What leg 1 sends beside tokens, the grant type and our authentication. */
export function toExchangeParameters(
  kind: SubjectTokenKind,
  request: Pick<ExchangeRequest, 'target' | 'audience' | 'resource' | 'sendResource' | 'scopes' | 'details'>,
): Record<string, string> {
  const { scopes, details } = request
  return {
    requested_token_type: TOKEN_TYPE.idJag,
    ...targetOf(request),
    subject_token_type: TYPE_OF[kind],
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...(details === undefined ? {} : { authorization_details: details.json }),
  }
}

/** What a SAML assertion is first exchanged for, where two steps are needed (draft section 4.5). Refuses with IDP1xx. */
export async function exchangeForRefreshToken(
  fetch: Fetch,
  { idp, subject, binding }: Pick<ExchangeRequest, 'idp' | 'subject' | 'binding'>,
): Promise<Result<Secret, LegRefusal>> {
  const parameters = new URLSearchParams({
    requested_token_type: TOKEN_TYPE.refreshToken,
    subject_token: subject.token.reveal(),
    subject_token_type: TYPE_OF[subject.kind],
    scope: 'openid offline_access',
  })
  const asked = { endpoint: idp, grantType: GRANT_TYPE.tokenExchange, parameters, prover: binding?.prover }
  const answer = judgeAnswer(await ask(fetch, asked), 'IDP', subject.token, undefined)
  if (!answer.ok) return answer
  const { issued_token_type: type, access_token: token } = answer.value.body ?? {}
  if (type !== TOKEN_TYPE.refreshToken) return err({ code: 'IDP109', detail: 'the answer is no refresh token' })
  if (!isAccessToken(token)) return err({ code: 'IDP109', detail: 'access_token is missing or malformed' })
  return ok(new Secret(token))
}

/**
 * Nothing else tells whether the identity provider has heeded the proof (draft section 9.8.1.1; A-23). One that cannot be
 * read is taken to be bound: its redemption then comes with a proof, which at worst nobody asks for.
 */
async function judgeBinding(
  confirmation: Confirmation | undefined,
  binding: Binding | undefined,
): Promise<Result<boolean, string>> {
  if (confirmation === undefined) return ok(binding !== undefined)
  const { thumbprint } = confirmation
  if (thumbprint === undefined)
    return binding?.required === true ? err('the ID-JAG is not bound to our key') : ok(false)
  const own = await binding?.prover.key.thumbprint()
  return thumbprint === own ? ok(true) : err('the ID-JAG is bound to a key that is not ours')
}

/** Before revision 05 of the individual draft, `resource` named the authorization server, and nothing the API. */
function targetOf({
  target,
  audience,
  resource,
  sendResource,
}: Pick<ExchangeRequest, 'target' | 'audience' | 'resource' | 'sendResource'>): Record<string, string> {
  if (target === 'legacy_resource') return { resource: audience }
  return resource !== undefined && sendResource ? { audience, resource } : { audience }
}

interface JudgedIdJag extends Omit<IdJag, 'bound'> {
  readonly confirmation: Confirmation | undefined
}

function judgeIdJag(body: JsonObject, request: ExchangeRequest): Result<JudgedIdJag, Misfit> {
  if (body['issued_token_type'] !== TOKEN_TYPE.idJag)
    return err({ detail: `issued_token_type is not ${TOKEN_TYPE.idJag}` })
  const token = body['access_token']
  if (!isAccessToken(token)) return err({ detail: 'access_token is missing or malformed' })
  const resources = [
    ...(request.resource === undefined ? [] : [request.resource]),
    ...(request.target === 'legacy_resource' ? [request.audience] : []),
  ]
  if (!governs(body['resource'], resources))
    return err({ detail: 'the granted resource is not the one asked for', claim: 'resource' })
  const facts = inspectIdJag(token, {
    issuer: request.idp.issuer,
    audience: request.rasIssuer,
    clientId: request.rasClientId,
    resources,
    scopes: request.scopes,
    details: request.details,
    now: request.now,
  })
  if (!facts.ok) return facts
  // The claim is the truth where it can be read; else what the answer says, else as asked.
  const said = scopeMember(body, request.scopes)
  if (facts.value.scopes === undefined && !said.ok) return err({ detail: said.error })
  const scopes = facts.value.scopes ?? (said.ok ? said.value : undefined) ?? request.scopes
  const details = parseGrantedDetails(body['authorization_details'], request.details)
  if (!details.ok) return err({ detail: details.error })
  const expiresIn = secondsOf(body['expires_in'])
  const expiresAt = facts.value.expiresAt ?? (expiresIn === undefined ? undefined : plusSeconds(request.now, expiresIn))
  return ok({
    token: new Secret(token),
    jti: facts.value.jti,
    expiresAt,
    scopes,
    details: facts.value.details ?? details.value ?? request.details,
    actors: facts.value.actors,
    confirmation: facts.value.confirmation,
  })
}

/** Leg 2. Refuses with RAS1xx. */
export async function redeemIdJag(fetch: Fetch, request: RedeemRequest): Promise<Result<AccessToken, LegRefusal>> {
  const { ras, idJag, binding } = request
  const { grant_type: grantType, ...more } = toRedeemParameters(idJag.scopes, binding !== undefined, request)
  const parameters = new URLSearchParams({ assertion: idJag.token.reveal(), ...more })
  const asked = { endpoint: ras, grantType, parameters, prover: binding?.prover }
  const answer = judgeAnswer(await ask(fetch, asked), 'RAS', idJag.token, idJag.details)
  if (!answer.ok) return answer
  return judgeAccessToken(answer.value.body ?? {}, request)
}

/** What leg 2 sends beside the ID-JAG and our authentication. */
export function toRedeemParameters(
  scopes: readonly ScopeToken[],
  isProven: boolean,
  request: Pick<RedeemRequest, 'sendScope' | 'sendResource' | 'resource' | 'redeemGrant'>,
): Record<string, string> & { readonly grant_type: string } {
  const { sendScope, sendResource, resource, redeemGrant } = request
  return {
    grant_type: isProven && redeemGrant === 'jwt-dpop' ? GRANT_TYPE.jwtDpop : GRANT_TYPE.jwtBearer,
    ...(sendScope && scopes.length > 0 ? { scope: scopes.join(' ') } : {}),
    ...(sendResource && resource !== undefined ? { resource } : {}),
  }
}

function judgeAccessToken(body: JsonObject, request: RedeemRequest): Result<AccessToken, Refusal> {
  const unusable = (detail: string): Result<never, Refusal> => err({ code: 'RAS109', detail })
  const token = body['access_token']
  if (!isAccessToken(token)) return unusable('access_token is missing or malformed')
  const written = body['token_type']
  const type = typeof written === 'string' ? written.toLowerCase() : undefined
  // A token bound to a key we do not have, or of a kind we do not know, must never be sent as a bearer token.
  if (type !== 'bearer' && (type !== 'dpop' || request.binding === undefined))
    return unusable(`token_type is not ${request.binding === undefined ? 'Bearer' : 'Bearer or DPoP'}`)
  if (type === 'bearer' && request.binding?.required === true)
    return err({ code: 'RAS113', detail: 'the token is not bound to our key' })
  const resources = request.resource === undefined ? [] : [request.resource]
  if (!governs(body['resource'], resources)) return unusable('the granted resource is not the one asked for')
  const scopes = scopeMember(body, request.extraScopes === 'accept' ? [] : request.idJag.scopes)
  if (!scopes.ok) return unusable(scopes.error)
  if (scopes.value?.length === 0 && request.idJag.scopes.length > 0) {
    return err({ code: 'RAS104', detail: 'the answer grants the empty scope' })
  }
  // They travel in the ID-JAG; the answer says what has become of them (RFC 9396 section 7).
  const details = parseGrantedDetails(body['authorization_details'], request.idJag.details)
  if (!details.ok) return unusable(details.error)
  if (details.value?.types.length === 0) return err({ code: 'RAS107', detail: 'the answer grants none' })
  const expiresIn = body['expires_in']
  return ok({
    token: new Secret(token),
    scopes: scopes.value ?? request.idJag.scopes,
    details: details.value ?? request.idJag.details,
    lifetimeSeconds:
      expiresIn === undefined || expiresIn === null ? request.defaultTtlSeconds : (secondsOf(expiresIn) ?? 0),
    bound: type === 'dpop',
  })
}

/** Undefined: absent, which means as asked (RFC 6749 section 5.1). More than `bound` is not accepted (T32); empty: no bound. */
function scopeMember(
  body: JsonObject,
  bound: readonly ScopeToken[],
): Result<readonly ScopeToken[] | undefined, string> {
  const member = body['scope']
  if (member === undefined || member === null) return ok(undefined)
  const scopes = typeof member === 'string' ? parseScope(member) : err('malformed')
  if (!scopes.ok) return err('the scope of the answer is malformed')
  if (bound.length > 0 && scopes.value.some((scope) => !bound.includes(scope))) return err('more scope than was asked')
  return ok(scopes.value)
}

/** `expires_in` as servers send it: a number, or digits in a string. Anything else is undefined. */
function secondsOf(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^\d{1,15}(\.\d+)?$/.test(value) ? Number(value) : value
  if (typeof seconds !== 'number' || Number.isNaN(seconds)) return undefined
  return Math.max(0, Math.min(Math.floor(seconds), MAX_LIFETIME_SECONDS))
}
