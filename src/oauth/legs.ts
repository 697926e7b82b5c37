// The two hops. Leg 1: ID token to ID-JAG at the identity provider (RFC 8693, draft-ietf-oauth-identity-assertion-authz-
// grant section 4.3). Leg 2: ID-JAG to access token at the Resource Authorization Server (RFC 7523, section 4.4). Requests
// go out by oauth4webapi; answers are judged here, because real servers bend the shapes that a library may insist on.
import * as oauth from 'oauth4webapi'
import { err, ok, type Result } from '../lib/result.ts'
import { plusSeconds, type NumericDate } from '../lib/numeric-date.ts'
import { Secret } from '../lib/secret.ts'
import type { JsonObject } from '../lib/strict-json.ts'
import type { ActingParty, Actor, AuthorizationDetails, ClientId, Issuer, ScopeToken } from '../model.ts'
import type { Fetch } from '../ports.ts'
import type { IdpQuirks, RasQuirks } from '../quirks.ts'
import type { Refusal, RefusalCode } from '../refusal.ts'
import { parseGrantedDetails } from './authorization-details.ts'
import { callAs, type OwnClient } from './client-auth.ts'
import { decodeCompactJwt } from './compact-jwt.ts'
import { call, TOKEN_LIMITS, type Answer, type CallProblem } from './counterparty.ts'
import { governs, inspectIdJag } from './id-jag.ts'
import { GRANT_TYPE, isAccessToken, parseScope, TOKEN_TYPE } from './vocabulary.ts'

/** Whom a leg talks to, and as whom. */
export interface LegEndpoint {
  readonly issuer: Issuer
  readonly tokenEndpoint: string
  readonly clientId: ClientId
  readonly client: OwnClient
}

export interface IdJag {
  readonly token: Secret
  readonly jti: string | undefined
  /** Undefined: unknown. */
  readonly expiresAt: NumericDate | undefined
  readonly scopes: readonly ScopeToken[]
  /** What was granted; undefined: none were asked. */
  readonly details: AuthorizationDetails | undefined
  /** Who acts for the user, as far as it can be read; the one who presents it first. */
  readonly actors: readonly ActingParty[]
}

export interface AccessToken {
  readonly token: Secret
  readonly scopes: readonly ScopeToken[]
  readonly details: AuthorizationDetails | undefined
  /** Seconds the server says it lives; 0: not to be kept at all. */
  readonly lifetimeSeconds: number
}

export interface ExchangeRequest {
  readonly idp: LegEndpoint
  readonly subjectToken: Secret
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
  readonly now: NumericDate
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
}

const MAX_LIFETIME_SECONDS = 366 * 24 * 3600
// What a caller is told, and how long we hold back ourselves: a server that is back should not wait for us.
const RETRY_AFTER = { defaultSeconds: 5, minSeconds: 1, maxSeconds: 120, maxHoldSeconds: 10 } as const

/** Times that may explain a refusal, in seconds since the epoch: of the answer by the server's own clock, and of the token. */
export interface Witness {
  /** RFC 9110 section 6.6.1. */
  readonly answeredAt: number | undefined
  readonly issuedAt: number | undefined
  readonly expiresAt: number | undefined
}

export type LegRefusal = Refusal & { readonly witness?: Witness }

/** Leg 1. Refuses with IDP1xx. */
export async function exchangeForIdJag(fetch: Fetch, request: ExchangeRequest): Promise<Result<IdJag, LegRefusal>> {
  const parameters = new URLSearchParams({
    requested_token_type: TOKEN_TYPE.idJag,
    ...targetOf(request),
    subject_token: request.subjectToken.reveal(),
    subject_token_type: TOKEN_TYPE.idToken,
  })
  if (request.scopes.length > 0) parameters.set('scope', request.scopes.join(' '))
  if (request.details !== undefined) parameters.set('authorization_details', request.details.json)
  if (request.actor !== undefined) {
    parameters.set('actor_token', request.actor.token.reveal())
    parameters.set('actor_token_type', request.actor.type)
  }
  const answer = await ask(fetch, request.idp, GRANT_TYPE.tokenExchange, parameters)
  if (!answer.ok) return err(toRefusal(answer.error, IDP_PROBLEMS))
  const refused = refusalOf(answer.value, IDP_ERRORS)
  if (refused !== undefined)
    return err({ ...aboutDetails(refused, request.details), witness: witnessOf(answer.value, request.subjectToken) })
  const idJag = judgeIdJag(answer.value.body ?? {}, request)
  if (!idJag.ok) return err({ code: 'IDP109', detail: idJag.error })
  // Leg 2 would ask for no scope then, and whatever it got would count as the server's own choice.
  if (idJag.value.scopes.length === 0 && request.scopes.length > 0) {
    return err({ code: 'IDP104', detail: 'the answer grants the empty scope' })
  }
  if (idJag.value.details?.types.length === 0) return err({ code: 'IDP107', detail: 'the answer grants none' })
  return idJag
}

/** Before revision 05 of the individual draft, `resource` named the authorization server, and nothing the API. */
function targetOf({ target, audience, resource, sendResource }: ExchangeRequest): Record<string, string> {
  if (target === 'legacy_resource') return { resource: audience }
  return resource !== undefined && sendResource ? { audience, resource } : { audience }
}

function judgeIdJag(body: JsonObject, request: ExchangeRequest): Result<IdJag, string> {
  if (body['issued_token_type'] !== TOKEN_TYPE.idJag) return err(`issued_token_type is not ${TOKEN_TYPE.idJag}`)
  const token = body['access_token']
  if (!isAccessToken(token)) return err('access_token is missing or malformed')
  const resources = [
    ...(request.resource === undefined ? [] : [request.resource]),
    ...(request.target === 'legacy_resource' ? [request.audience] : []),
  ]
  if (!governs(body['resource'], resources)) return err('the granted resource is not the one asked for')
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
  if (facts.value.scopes === undefined && !said.ok) return said
  const scopes = facts.value.scopes ?? (said.ok ? said.value : undefined) ?? request.scopes
  const details = parseGrantedDetails(body['authorization_details'], request.details)
  if (!details.ok) return details
  const expiresIn = secondsOf(body['expires_in'])
  const expiresAt = facts.value.expiresAt ?? (expiresIn === undefined ? undefined : plusSeconds(request.now, expiresIn))
  return ok({
    token: new Secret(token),
    jti: facts.value.jti,
    expiresAt,
    scopes,
    details: facts.value.details ?? details.value ?? request.details,
    actors: facts.value.actors,
  })
}

/** Leg 2. Refuses with RAS1xx. */
export async function redeemIdJag(fetch: Fetch, request: RedeemRequest): Promise<Result<AccessToken, LegRefusal>> {
  const parameters = new URLSearchParams({ assertion: request.idJag.token.reveal() })
  if (request.sendScope && request.idJag.scopes.length > 0) parameters.set('scope', request.idJag.scopes.join(' '))
  if (request.sendResource && request.resource !== undefined) parameters.set('resource', request.resource)
  const answer = await ask(fetch, request.ras, GRANT_TYPE.jwtBearer, parameters)
  if (!answer.ok) return err(toRefusal(answer.error, RAS_PROBLEMS))
  const refused = refusalOf(answer.value, RAS_ERRORS)
  if (refused !== undefined)
    return err({
      ...aboutDetails(refused, request.idJag.details),
      witness: witnessOf(answer.value, request.idJag.token),
    })
  return judgeAccessToken(answer.value.body ?? {}, request)
}

function judgeAccessToken(body: JsonObject, request: RedeemRequest): Result<AccessToken, Refusal> {
  const unusable = (detail: string): Result<never, Refusal> => err({ code: 'RAS109', detail })
  const token = body['access_token']
  if (!isAccessToken(token)) return unusable('access_token is missing or malformed')
  const type = body['token_type']
  // A token bound to a key we do not have, or of a kind we do not know, must never be sent as a bearer token.
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') return unusable('token_type is not Bearer')
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

async function ask(
  fetch: Fetch,
  endpoint: LegEndpoint,
  grantType: string,
  parameters: URLSearchParams,
): Promise<Result<Answer, CallProblem>> {
  return callAs(endpoint.client, (authenticate) =>
    call(
      endpoint.client.certified ?? fetch,
      (send) =>
        oauth.genericTokenEndpointRequest(
          { issuer: endpoint.issuer, token_endpoint: endpoint.tokenEndpoint },
          { client_id: endpoint.clientId },
          authenticate,
          grantType,
          parameters,
          // Plain http passed the configuration, which takes it only for loopback hosts of a local run.
          // oxlint-disable-next-line typescript/no-deprecated -- marked so by its authors to make it stand out, as it should
          { [oauth.customFetch]: send, [oauth.allowInsecureRequests]: endpoint.tokenEndpoint.startsWith('http:') },
        ),
      TOKEN_LIMITS,
    ),
  )
}

interface ProblemCodes {
  readonly unreachable: RefusalCode
  readonly timeout: RefusalCode
  readonly unusable: RefusalCode
}

const IDP_PROBLEMS: ProblemCodes = { unreachable: 'IDP110', timeout: 'IDP111', unusable: 'IDP109' }
const RAS_PROBLEMS: ProblemCodes = { unreachable: 'RAS110', timeout: 'RAS111', unusable: 'RAS109' }

function toRefusal(problem: CallProblem, codes: ProblemCodes): Refusal {
  const refusal: Refusal = { code: codes[problem.kind], detail: problem.detail }
  return problem.kind === 'unreachable' ? { ...refusal, retryAfterSeconds: RETRY_AFTER.defaultSeconds } : refusal
}

interface ErrorCodes {
  readonly byError: ReadonlyMap<string, RefusalCode>
  readonly unauthorized: RefusalCode
  readonly forbidden: RefusalCode
  readonly other: RefusalCode
  readonly down: RefusalCode
}

// RFC 8693 makes a bad subject token an `invalid_request`, the ID-JAG drafts show `invalid_grant`.
const IDP_ERRORS: ErrorCodes = {
  byError: new Map<string, RefusalCode>([
    ['invalid_grant', 'IDP101'],
    ['invalid_request', 'IDP101'],
    ['access_denied', 'IDP102'],
    ['unauthorized_client', 'IDP102'],
    ['invalid_target', 'IDP103'],
    ['invalid_scope', 'IDP104'],
    ['insufficient_user_authentication', 'IDP105'],
    ['login_required', 'IDP105'],
    ['interaction_required', 'IDP105'],
    ['invalid_client', 'IDP106'],
    ['unsupported_grant_type', 'IDP106'],
    ['invalid_authorization_details', 'IDP107'],
    ['invalid_dpop_proof', 'IDP106'],
    ['use_dpop_nonce', 'IDP106'],
    ['temporarily_unavailable', 'IDP112'],
    ['server_error', 'IDP112'],
    ['slow_down', 'IDP112'],
  ]),
  unauthorized: 'IDP106',
  forbidden: 'IDP102',
  other: 'IDP109',
  down: 'IDP112',
}

const RAS_ERRORS: ErrorCodes = {
  byError: new Map<string, RefusalCode>([
    ['invalid_grant', 'RAS101'],
    ['access_denied', 'RAS102'],
    ['invalid_target', 'RAS103'],
    ['invalid_scope', 'RAS104'],
    ['invalid_authorization_details', 'RAS107'],
    ['insufficient_user_authentication', 'RAS105'],
    ['interaction_required', 'RAS105'],
    ['invalid_client', 'RAS106'],
    ['unauthorized_client', 'RAS106'],
    ['unsupported_grant_type', 'RAS106'],
    ['invalid_request', 'RAS106'],
    ['invalid_dpop_proof', 'RAS106'],
    ['use_dpop_nonce', 'RAS106'],
    ['temporarily_unavailable', 'RAS112'],
    ['server_error', 'RAS112'],
    ['slow_down', 'RAS112'],
  ]),
  unauthorized: 'RAS106',
  forbidden: 'RAS102',
  other: 'RAS109',
  down: 'RAS112',
}

function witnessOf({ headers }: Answer, presented: Secret): Witness {
  const jwt = decodeCompactJwt(presented.reveal())
  const { iat, exp } = jwt.ok ? jwt.value.payload : {}
  const date = Date.parse(headers.get('date') ?? '')
  return {
    answeredAt: Number.isNaN(date) ? undefined : date / 1000,
    issuedAt: typeof iat === 'number' ? iat : undefined,
    expiresAt: typeof exp === 'number' ? exp : undefined,
  }
}

/** The refusal in an answer, if it is one. The body's error word speaks first, the status second (requirements 7.2). */
function refusalOf(answer: Answer, codes: ErrorCodes): Refusal | undefined {
  const { status, headers, body } = answer
  if (status === 429) return throttled(codes.down, `status ${status}`, headers)
  if (status >= 500) return unavailable(codes.down, `status ${status}`, headers)
  const word = body?.['error']
  if (word === undefined && status < 300) return undefined
  if (status < 300) return { code: codes.other, detail: `status ${status} with an error member` }
  const known = typeof word === 'string' ? codes.byError.get(word) : undefined
  // Keycloak's word for a wrong secret of ours; by RFC 6749 section 5.2 it is a 400, and about what a client may do.
  if (status === 401 && word === 'unauthorized_client')
    return { code: codes.unauthorized, detail: `status 401, error ${word}` }
  // Only words from our own table may be repeated, even to the auditor.
  const detail = known === undefined ? `status ${status}` : `status ${status}, error ${String(word)}`
  const code = known ?? (status === 401 ? codes.unauthorized : status === 403 ? codes.forbidden : codes.other)
  if (word === 'slow_down') return throttled(code, detail, headers)
  if (code === codes.down) return unavailable(code, detail, headers)
  return code === 'IDP105' || code === 'RAS105' ? { code, detail, stepUp: stepUpOf(body ?? {}) } : { code, detail }
}

/** Where nobody asked for details it is not the caller who can mend that. */
function aboutDetails(refusal: Refusal, asked: AuthorizationDetails | undefined): Refusal {
  if (asked !== undefined) return refusal
  const { code } = refusal
  return { ...refusal, code: code === 'IDP107' ? 'IDP106' : code === 'RAS107' ? 'RAS106' : code }
}

/** One user's limit must not stop all the others: held back for whoever asked, and no outage. */
function throttled(code: RefusalCode, detail: string, headers: Headers): Refusal {
  return { holdSeconds: RETRY_AFTER.defaultSeconds, ...unavailable(code, detail, headers), throttled: true }
}

function unavailable(code: RefusalCode, detail: string, headers: Headers): Refusal {
  const asked = retryAfter(headers.get('retry-after'))
  if (asked === undefined) return { code, detail, retryAfterSeconds: RETRY_AFTER.defaultSeconds }
  return { code, detail, retryAfterSeconds: asked, holdSeconds: Math.min(asked, RETRY_AFTER.maxHoldSeconds) }
}

/** RFC 9470 section 3 members as token errors, with their values checked: they go into a header of ours. */
function stepUpOf(body: JsonObject): NonNullable<Refusal['stepUp']> {
  const acrValues = body['acr_values']
  const maxAge = body['max_age']
  return {
    ...(typeof acrValues === 'string' && /^[\x21\x23-\x5B\x5D-\x7E ]{1,512}$/.test(acrValues) ? { acrValues } : {}),
    ...(typeof maxAge === 'number' && Number.isInteger(maxAge) && maxAge >= 0 && maxAge <= MAX_LIFETIME_SECONDS
      ? { maxAgeSeconds: maxAge }
      : {}),
  }
}

/** RFC 9110 section 10.2.3, both forms, within bounds; undefined: nothing that can be read. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined
  const seconds = /^\d{1,10}$/.test(header.trim()) ? Number(header) : (Date.parse(header) - Date.now()) / 1000
  if (Number.isNaN(seconds)) return undefined
  return Math.min(RETRY_AFTER.maxSeconds, Math.max(RETRY_AFTER.minSeconds, Math.ceil(seconds)))
}
