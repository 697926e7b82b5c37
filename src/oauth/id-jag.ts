// A look into the ID-JAG that an identity provider gave us. We are not its audience and do not verify its signature; the
// look keeps a confused or hostile answer from travelling on, and finds the true scope.
// Speaks draft-ietf-oauth-identity-assertion-authz-grant sections 3.1 and 4.3.4, with the proposals for its revision 05.
import { err, ok, type Result } from '../lib/result.ts'
import { isObject, type JsonObject } from '../lib/strict-json.ts'
import { numericDate, type NumericDate } from '../lib/numeric-date.ts'
import type { ActingParty, AuthorizationDetails } from '../model.ts'
import type { ClientId, Issuer, ScopeToken } from '../parties.ts'
import { parseGrantedDetails } from './authorization-details.ts'
import { decodeCompactJwt, isEncryptedJwt, jwtType } from './compact-jwt.ts'
import { JWT_TYPE, parseScope } from './vocabulary.ts'

export interface IdJagExpectations {
  readonly issuer: Issuer
  readonly audience: Issuer
  readonly clientId: ClientId
  /** None: any resource is the server's own choice. */
  readonly resources: readonly string[]
  readonly scopes: readonly ScopeToken[]
  readonly details: AuthorizationDetails | undefined
  readonly now: NumericDate
}

export interface IdJagFacts {
  readonly jti: string | undefined
  readonly expiresAt: NumericDate | undefined
  /** Undefined: the claim is absent; then the scope is as asked. */
  readonly scopes: readonly ScopeToken[] | undefined
  /** Undefined: the claim is absent, or none were asked. */
  readonly details: AuthorizationDetails | undefined
  readonly actors: readonly ActingParty[]
  /** What it is bound to (RFC 7800); undefined: nobody here can read it. */
  readonly confirmation: Confirmation | undefined
}

/** `thumbprint`: of a key (RFC 9449 section 6.1); undefined: of none, or it is bound in another way. */
export interface Confirmation {
  readonly thumbprint: string | undefined
}

/** Why an ID-JAG is not passed on. `claim`: what it is about, where the configuration has another value for it. */
export interface Misfit {
  readonly detail: string
  readonly claim?: 'aud' | 'client_id' | 'resource'
}

// It goes into audit events, the one text there that is not ours: short, and nothing but printable ASCII.
const JTI = /^[\x21-\x7E]{1,256}$/

/** Answers what is in the ID-JAG, or what is wrong with it in our words. */
export function inspectIdJag(token: string, expected: IdJagExpectations): Result<IdJagFacts, Misfit> {
  // An encrypted ID-JAG is for its audience alone; nothing can be checked.
  if (isEncryptedJwt(token)) {
    return ok({
      jti: undefined,
      expiresAt: undefined,
      scopes: undefined,
      details: undefined,
      actors: [],
      confirmation: undefined,
    })
  }
  const jwt = decodeCompactJwt(token)
  if (!jwt.ok) return misfit(`the ID-JAG is not a JWT: ${jwt.error}`)
  const { header, payload } = jwt.value
  if (jwtType(header) !== JWT_TYPE.idJag) return misfit(`the ID-JAG's typ is not ${JWT_TYPE.idJag}`)
  const alg = header['alg']
  if (typeof alg !== 'string' || alg === 'none' || alg.startsWith('HS'))
    return misfit('the ID-JAG is not signed asymmetrically')
  if (payload['iss'] !== expected.issuer) return misfit(`the ID-JAG's iss is not ${expected.issuer}`)
  if (!isSole(payload['aud'], expected.audience))
    return misfit(`the ID-JAG's aud is not ${expected.audience} alone`, 'aud')
  if (payload['client_id'] !== expected.clientId)
    return misfit(`the ID-JAG's client_id is not ${expected.clientId}`, 'client_id')
  const exp = payload['exp']
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return misfit('the ID-JAG has no exp')
  if (exp <= expected.now) return misfit('the ID-JAG has expired')
  if (!governs(payload['resource'], expected.resources))
    return misfit(`the ID-JAG's resource is not ${expected.resources[0]}`, 'resource')
  const details = parseGrantedDetails(payload['authorization_details'], expected.details)
  if (!details.ok) return misfit(`the ID-JAG: ${details.error}`)
  return scopesOf(payload, expected, {
    jti: jtiOf(payload),
    expiresAt: numericDate(exp),
    details: details.value,
    actors: actorsOf(payload),
    confirmation: { thumbprint: thumbprintIn(payload) },
  })
}

function misfit(detail: string, claim?: Misfit['claim']): Result<never, Misfit> {
  return err(claim === undefined ? { detail } : { detail, claim })
}

function thumbprintIn({ cnf }: JsonObject): string | undefined {
  const jkt = isObject(cnf) ? cnf['jkt'] : undefined
  // Whatever else it is, it is the thumbprint of no key of ours.
  return jkt === undefined || typeof jkt === 'string' ? jkt : ''
}

function scopesOf(
  payload: JsonObject,
  expected: IdJagExpectations,
  facts: Omit<IdJagFacts, 'scopes'>,
): Result<IdJagFacts, Misfit> {
  const claim = payload['scope']
  if (claim === undefined) return ok({ ...facts, scopes: undefined })
  const scopes = typeof claim === 'string' ? parseScope(claim) : err('malformed')
  if (!scopes.ok) return misfit("the ID-JAG's scope is malformed")
  // Where none was asked, the scope is the server's own choice (RFC 6749 section 3.3).
  if (expected.scopes.length > 0 && scopes.value.some((scope) => !expected.scopes.includes(scope)))
    return misfit('the ID-JAG has more scope than was asked')
  return ok({ ...facts, scopes: scopes.value })
}

// For audit events as well, so again short and without controls. Deeper chains are cut off there, nowhere else.
const PARTY = /^[^\p{C}]{1,255}$/u
const MAX_ACTORS = 4

/** RFC 8693 section 4.1, outermost first. Some servers leave `iss` out. */
function actorsOf(payload: JsonObject): readonly ActingParty[] {
  const actors: ActingParty[] = []
  for (let act = payload['act']; isObject(act) && actors.length < MAX_ACTORS; act = act['act']) {
    const { sub, iss } = act
    if (typeof sub !== 'string' || !PARTY.test(sub)) break
    actors.push(typeof iss === 'string' && PARTY.test(iss) ? { sub, iss } : { sub })
  }
  return actors
}

function jtiOf(payload: JsonObject): string | undefined {
  const jti = payload['jti']
  return typeof jti === 'string' && JTI.test(jti) ? jti : undefined
}

/** Draft section 4.4.1: a string, or an array of exactly one. */
export function isSole(claim: unknown, value: string): boolean {
  return claim === value || (Array.isArray(claim) && claim.length === 1 && claim[0] === value)
}

/** every granted resource must be one of those intended. Where none is, any is the server's own choice. */
export function governs(claim: unknown, intended: readonly string[]): boolean {
  if (claim === undefined || intended.length === 0) return true
  const granted: unknown[] = Array.isArray(claim) ? claim : [claim]
  return granted.length > 0 && granted.every((entry) => intended.some((one) => one === entry))
}
