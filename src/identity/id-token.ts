// ID tokens (OpenID Connect Core section 3.1.3.7), as assertions of who the user is. One validator for this one kind of
// token: everything else an identity provider signs with the same keys is refused (RFC 8725 sections 3.11 and 3.12).
import { err, ok, type Result } from '../lib/result.ts'
import { isObject, type JsonObject } from '../lib/strict-json.ts'
import { numericDate } from '../lib/numeric-date.ts'
import type { ClaimReading, Principal } from '../model.ts'
import type { Idp, IdpClient } from '../parties.ts'
import type { Refusal, RefusalCode } from '../refusal.ts'
import {
  audiencesOf,
  checkTimes,
  claimOf,
  identifierOf,
  isText,
  SKEW_SECONDS,
  timeOf,
  toClaimReading,
} from './claims.ts'
import { JWT_TYPE } from '../oauth/vocabulary.ts'
import { readDelegation } from './delegation.ts'
import { parseSignedJwt, type SignedJwt } from './compact-jwt.ts'
import type { KeyProblem, KeyProvider } from './jwks.ts'
import { isSignedBy } from './signature.ts'

/** An identity provider with what its tokens are judged by. */
export interface TrustedIdp {
  readonly idp: Idp
  readonly keys: KeyProvider
  readonly clientsById: ReadonlyMap<string, IdpClient>
  /** The names of the claims that policy asks for. */
  readonly policyClaims: ReadonlySet<string>
}

/** A token that holds now, and the bounds within which it goes on holding while nothing but time changes. */
export interface IdToken {
  readonly principal: Principal
  readonly idpClient: IdpClient
  /** Seconds: usable from `from`, and before `until`. */
  readonly usable: { readonly from: number; readonly until: number }
  /** Of the key that whoever presents it must prove to have (RFC 9449 section 6.1); undefined: it is not bound to one. */
  readonly thumbprint: string | undefined
  /** On the steady clock: when its key must be looked for again. */
  readonly keyFreshUntilMs: number
}

/** Longer lifetimes are a mistake. Auth0 lets an administrator set a month. */
const MAX_LIFETIME_SECONDS = 31 * 86_400

/** Types that say what kind of token it is; in our words, as the caller's are never repeated. */
const OTHER_TYPES: ReadonlyMap<string, string> = new Map([
  ['at+jwt', 'an access token (typ at+jwt, RFC 9068)'],
  [JWT_TYPE.idJag, `an ID-JAG (typ ${JWT_TYPE.idJag})`],
  ['logout+jwt', 'a logout token (typ logout+jwt)'],
  ['secevent+jwt', 'a security event (typ secevent+jwt, RFC 8417)'],
  ['dpop+jwt', 'a DPoP proof (typ dpop+jwt, RFC 9449)'],
  ['client-authentication+jwt', 'a client assertion (typ client-authentication+jwt)'],
  ['token-introspection+jwt', 'an introspection response (typ token-introspection+jwt, RFC 9701)'],
])

/** Claims that other kinds of token carry and ID tokens do not. */
const FOREIGN_CLAIMS: readonly (readonly [claim: string, kind: string])[] = [
  ['events', 'a logout token or security event (OpenID Connect Back-Channel Logout section 2.4, RFC 8417)'],
  ['scope', 'an access token (RFC 9068 section 2.2.3)'],
  ['scp', 'an access token of Entra ID or Okta'],
  ['cid', 'an access token of Okta'],
  ['azpacr', 'an access token of Entra ID'],
  ['appidacr', 'an access token of Entra ID'],
  ['authorization_details', 'an access token (RFC 9396 section 9.1)'],
  ['token_introspection', 'an introspection response (RFC 9701 section 5)'],
  ['htm', 'a DPoP proof (RFC 9449 section 4.2)'],
  ['htu', 'a DPoP proof (RFC 9449 section 4.2)'],
]

/** Claims by which vendors write the kind of their tokens, and what they write into ID tokens. */
const KIND_CLAIMS: readonly (readonly [claim: string, value: string])[] = [
  ['typ', 'ID'], // Keycloak; its access tokens say Bearer
  ['token_use', 'id'], // Amazon Cognito
]

/** Claims that only ID tokens carry, for those that also carry an access token's `client_id` (Zitadel). */
const OWN_CLAIMS = ['nonce', 'at_hash', 'c_hash', 'azp'] as const

/** SHA-256 as base64url (RFC 9449 section 6.1). */
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/

/** Verifies a token in full: form, issuer, signature, and then its claims in the order of the sections below. */
export async function verifyIdToken(
  token: string,
  issuers: ReadonlyMap<string, TrustedIdp>,
  now: () => number,
): Promise<Result<IdToken, Refusal>> {
  const read = readForm(token, issuers)
  if (!read.ok) return read
  const { jwt, trusted } = read.value
  const signed = await checkSignature(token, jwt, trusted)
  if (!signed.ok) return signed

  // Nothing below was believed before the signature held.
  const judged = judgeClaims(jwt.claims, trusted, now())
  return judged.ok ? ok({ ...judged.value, keyFreshUntilMs: signed.value.freshUntilMs }) : judged
}

/** What can be told without a key: that it is one JWT, perhaps an ID token, and of which identity provider. */
export function readForm(
  token: string,
  issuers: ReadonlyMap<string, TrustedIdp>,
): Result<{ readonly jwt: SignedJwt; readonly trusted: TrustedIdp }, Refusal> {
  const jwt = parseSignedJwt(token)
  if (!jwt.ok) return refuse('TOK101', jwt.error)
  const { typ, claims } = jwt.value
  // ID tokens have no type of their own (OpenID Connect Core section 2), so every other type is another kind.
  if (typ !== undefined && typ !== 'jwt')
    return refuse('TOK105', OTHER_TYPES.get(typ) ?? 'typ names another kind of token')

  // Exactly the configured string, through a Map: no URL is parsed and nothing is trimmed (RFC 9207, RFC 9700 section 4.4).
  const { iss } = claims
  const trusted = typeof iss === 'string' ? issuers.get(iss) : undefined
  return trusted === undefined ? refuse('TOK102', 'an issuer that is not configured') : ok({ jwt: jwt.value, trusted })
}

/** The claims in the order of the sections below. Whoever calls this knows whether the signature holds. */
export function judgeClaims(
  claims: JsonObject,
  trusted: TrustedIdp,
  now: number,
): Result<Omit<IdToken, 'keyFreshUntilMs'>, Refusal> {
  const client = checkKind(claims) ?? chooseClient(claims, trusted)
  if (!client.ok) return client
  const lifetime = checkLifetime(claims, trusted.idp, now)
  if (!lifetime.ok) return lifetime
  const principal = readPrincipal(claims, trusted, lifetime.value)
  if (!principal.ok) return principal
  const thumbprint = readConfirmation(claims)
  if (!thumbprint.ok) return thumbprint
  return ok({
    principal: principal.value,
    idpClient: client.value,
    usable: lifetime.value.usable,
    thumbprint: thumbprint.value,
  })
}

/** By a key of the identity provider, and an algorithm that is configured for it. Refuses with TOK102 or IDP114. */
export async function checkSignature(
  token: string,
  jwt: SignedJwt,
  { idp, keys }: TrustedIdp,
): Promise<Result<{ readonly freshUntilMs: number }, Refusal>> {
  const alg = idp.idToken.algorithms.find((allowed) => allowed === jwt.alg)
  if (alg === undefined) return refuse('TOK102', 'an algorithm that is not allowed for its issuer')
  const found = await keys.keyFor(jwt.kid, alg)
  if (!found.ok) return toRefusal(found.error)
  const holds = await isSignedBy(token, found.value.key, alg)
  return holds ? ok(found.value) : refuse('TOK102', 'a signature that does not hold')
}

function toRefusal(problem: KeyProblem): Result<never, Refusal> {
  if (problem.kind === 'unknown_key') return refuse('TOK102', 'a key its issuer does not publish, or does not name')
  const { detail, retryAfterSeconds } = problem
  return err({ code: 'IDP114', detail, retryAfterSeconds })
}

function checkKind(claims: JsonObject): Result<never, Refusal> | undefined {
  for (const [name, kind] of FOREIGN_CLAIMS) {
    if (Object.hasOwn(claims, name)) return refuse('TOK105', `${name} marks ${kind}`)
  }
  for (const [name, value] of KIND_CLAIMS) {
    const written = claimOf(claims, name)
    if (written !== undefined && written !== value) return refuse('TOK105', `${name} names another kind of token`)
  }
  const own = OWN_CLAIMS.some((name) => Object.hasOwn(claims, name))
  return Object.hasOwn(claims, 'client_id') && !own
    ? refuse('TOK105', 'client_id marks an access token (RFC 9068)')
    : undefined
}

/** The one audience that is our client; no other is ever tried (OpenID Connect Core section 3.1.3.7, points 3 to 5). */
function chooseClient(claims: JsonObject, { clientsById }: TrustedIdp): Result<IdpClient, Refusal> {
  const audiences = audiencesOf(claims['aud'])
  if (audiences === undefined) return refuse('TOK101', 'aud is not one string, or a few different ones')
  const [client, another] = audiences.flatMap((audience) => clientsById.get(audience) ?? [])
  if (client === undefined) return refuse('TOK104', 'no audience is a configured client')
  // Stricter than the text: it would leave the choice to whoever reads the list.
  if (another !== undefined) return refuse('TOK104', 'two audiences are configured clients')
  const { azp, client_id: clientId } = claims
  if (azp === undefined && audiences.length > 1) return refuse('TOK104', 'several audiences without azp')
  if (azp !== undefined && azp !== client.id) return refuse('TOK104', 'azp is another client')
  if (clientId !== undefined && clientId !== client.id) return refuse('TOK104', 'client_id is another client')
  return ok(client)
}

interface Lifetime {
  readonly iat: number
  readonly exp: number
  readonly usable: IdToken['usable']
}

function checkLifetime(claims: JsonObject, idp: Idp, now: number): Result<Lifetime, Refusal> {
  const times = checkTimes(claims, now)
  if (!times.ok) {
    const codes = { malformed: 'TOK101', expired: 'TOK103', early: 'TOK106' } as const
    return refuse(codes[times.error.kind], times.error.detail)
  }
  const { exp, iat, nbf } = times.value
  if (iat === undefined) return refuse('TOK101', 'iat is missing')
  if (exp - iat > MAX_LIFETIME_SECONDS) return refuse('TOK101', 'a lifetime of more than 31 days')
  const tooOldAt = iat + idp.idToken.maxAgeSeconds + SKEW_SECONDS
  if (now >= tooOldAt)
    return refuse('TOK106', `issued ${Math.ceil(now - iat)} s ago, allowed are ${idp.idToken.maxAgeSeconds}`)
  const usable = { from: Math.max(iat, nbf ?? 0) - SKEW_SECONDS, until: Math.min(exp + SKEW_SECONDS, tooOldAt) }
  return ok({ exp, iat, usable })
}

/** Issuer, tenant and subject identify; e-mail addresses and names never do. Refuses with TOK101 or TOK107. */
export function readPrincipal(
  claims: JsonObject,
  { idp, policyClaims }: TrustedIdp,
  { iat, exp }: Pick<Lifetime, 'iat' | 'exp'>,
): Result<Principal, Refusal> {
  const subject = identifierOf(claims['sub'])
  if (subject === undefined) return refuse('TOK101', 'sub is not an identifier')
  const tenant = readTenant(claims, idp)
  if (!tenant.ok) return tenant
  const groups = readGroups(claims, idp)
  if (groups === undefined) return refuse('TOK101', 'the groups claim is not a list of strings, or not in the token')
  const act = readDelegation(claims['act'])
  if (!act.ok) return refuse('TOK101', `act ${act.error}`)
  const acr = claimOf(claims, 'acr')
  const authTime = timeOf(claims['auth_time'])
  if (authTime === undefined && claims['auth_time'] !== undefined)
    return refuse('TOK101', 'auth_time is not a NumericDate')
  return ok({
    idp: idp.name,
    issuer: idp.issuer,
    subject,
    tenant: tenant.value,
    act: act.value,
    groups,
    claims: readPolicyClaims(claims, policyClaims),
    acr: acr === undefined ? undefined : JSON.stringify(acr),
    authTime: authTime === undefined ? undefined : numericDate(authTime),
    issuedAt: numericDate(iat),
    expiresAt: numericDate(exp),
  })
}

/** RFC 7800 section 3.1. A binding that cannot be proven here must not be dropped silently: the token would be a bearer token. */
function readConfirmation(claims: JsonObject): Result<string | undefined, Refusal> {
  const cnf = claimOf(claims, 'cnf')
  if (cnf === undefined) return ok(undefined)
  const jkt = isObject(cnf) && Object.keys(cnf).length === 1 ? cnf['jkt'] : undefined
  if (typeof jkt === 'string' && THUMBPRINT.test(jkt)) return ok(jkt)
  return refuse('TOK105', 'cnf marks a token that is bound to a key in another way than by jkt alone')
}

function readTenant(claims: JsonObject, { claims: names, tenants }: Idp): Result<string | undefined, Refusal> {
  const claimed = names.tenant === undefined ? undefined : claimOf(claims, names.tenant)
  const tenant = identifierOf(claimed)
  if (claimed !== undefined && tenant === undefined) return refuse('TOK107', 'the tenant claim is not an identifier')
  if (tenants === undefined) return ok(tenant)
  if (tenant === undefined) return refuse('TOK107', 'no tenant where one is required')
  return tenants.has(tenant) ? ok(tenant) : refuse('TOK107', 'a tenant that is not listed')
}

/**
 * A malformed list is refused, not read as empty: a rule that denies a group would otherwise pass its members. So is a list
 * that stands elsewhere because it is too long for the token (OpenID Connect Core section 5.6.2; Entra ID's overage).
 */
function readGroups(claims: JsonObject, { claims: names }: Idp): readonly string[] | undefined {
  const claimed = names.groups === undefined ? undefined : claimOf(claims, names.groups)
  if (claimed === undefined) return isElsewhere(claims, names.groups) ? undefined : []
  const list: readonly unknown[] = Array.isArray(claimed) ? claimed : [claimed]
  return list.every(isText) ? list : undefined
}

const NO_CLAIMS: Principal['claims'] = new Map()

function readPolicyClaims(claims: JsonObject, names: ReadonlySet<string>): Principal['claims'] {
  if (names.size === 0) return NO_CLAIMS
  const readings = new Map<string, ClaimReading>()
  for (const name of names) {
    const claimed = claimOf(claims, name)
    if (claimed !== undefined) readings.set(name, toClaimReading(claimed))
    else if (isDistributed(claims, name)) readings.set(name, 'unreadable')
  }
  return readings
}

function isElsewhere(claims: JsonObject, name: string | undefined): boolean {
  return name !== undefined && (claimOf(claims, 'hasgroups') === true || isDistributed(claims, name))
}

function isDistributed(claims: JsonObject, name: string): boolean {
  const names = claimOf(claims, '_claim_names')
  return isObject(names) && Object.hasOwn(names, name)
}

function refuse(code: RefusalCode, detail: string): Result<never, Refusal> {
  // Which issuers and keys are trusted here is nobody's business who has shown no token of theirs.
  return err(code === 'TOK102' ? { code, detail } : { code, got: detail })
}
