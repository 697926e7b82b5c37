// What is wrong with a token for what it is meant to be, as far as the token itself shows it.

import { quote } from '../../config/config.ts'
import { isObject, type JsonObject } from '../../lib/strict-json.ts'
import { decodeCompactJwt, jwtType } from '../../oauth/compact-jwt.ts'
import { toDuration } from '../doctor/words.ts'
import { KINDS, type Kind } from './kinds.ts'

export interface Problem {
  readonly severity: 'error' | 'warning'
  readonly message: string
}

const SKEW_SECONDS = 60
/** From here on a number is milliseconds by mistake. */
const MILLISECONDS = 1e11

export const TIMES = ['exp', 'nbf', 'iat', 'auth_time', 'updated_at'] as const

export function judge(kind: Kind, token: string, header: JsonObject, claims: JsonObject, now: number): Problem[] {
  return [
    ...judgeHeader(kind, header),
    ...judgeMembers(kind, claims),
    ...judgeTimes(kind, claims, now),
    ...judgeAudience(kind, claims),
    ...judgeOwn(kind, header, claims),
    ...judgeForm(kind, token),
  ]
}

function error(message: string): Problem {
  return { severity: 'error', message }
}

function warning(message: string): Problem {
  return { severity: 'warning', message }
}

function judgeHeader(kind: Kind, header: JsonObject): Problem[] {
  const { alg, kid } = header
  const problems: Problem[] = []
  if (alg === 'none') problems.push(error('alg is none: anybody can have written this'))
  else if (typeof alg === 'string' && alg.startsWith('HS'))
    problems.push(error(`alg is ${alg}: whoever can verify it can also make it; only public keys are accepted here`))
  else if (typeof alg !== 'string') problems.push(error('alg is missing'))
  if (kid === undefined && kind.id !== KINDS.dpopProof.id && kind.id !== KINDS.unknown.id)
    problems.push(warning('kid is missing: its key is found only while its issuer publishes a single one'))
  return problems
}

function judgeMembers(kind: Kind, claims: JsonObject): Problem[] {
  const missing = kind.required.filter((name) => !Object.hasOwn(claims, name))
  const excess = (kind.forbidden ?? []).filter((name) => Object.hasOwn(claims, name))
  return [
    ...(missing.length === 0 ? [] : [error(`${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`)]),
    ...(excess.length === 0 ? [] : [error(`${excess.join(', ')} must not be in such a token`)]),
  ]
}

function judgeTimes(kind: Kind, claims: JsonObject, now: number): Problem[] {
  const problems: Problem[] = []
  for (const name of TIMES) {
    const value = claims[name]
    if (value === undefined) continue
    if (typeof value !== 'number') problems.push(error(`${name} is not a number of seconds`))
    else if (value >= MILLISECONDS)
      problems.push(error(`${name} is in milliseconds; seconds are meant (RFC 7519 section 2)`))
  }
  const [exp, nbf, iat] = [secondsOf(claims['exp']), secondsOf(claims['nbf']), secondsOf(claims['iat'])]
  if (exp !== undefined && exp <= now)
    problems.push(
      exp > now - SKEW_SECONDS
        ? warning(`it expired ${toDuration(now - exp)} ago, which the tolerance for clocks still covers`)
        : error(`it expired ${toDuration(now - exp)} ago`),
    )
  if (nbf !== undefined && nbf > now + SKEW_SECONDS)
    problems.push(error(`it is not valid for another ${toDuration(nbf - now)} (nbf)`))
  if (iat !== undefined && iat > now + SKEW_SECONDS)
    problems.push(error(`it was issued ${toDuration(iat - now)} in the future: a clock is off`))
  if (exp !== undefined && iat !== undefined) {
    if (exp <= iat) problems.push(error('exp is not after iat'))
    else if (kind.maxLifetimeSeconds !== undefined && exp - iat > kind.maxLifetimeSeconds)
      problems.push(
        error(
          `it lives for ${toDuration(exp - iat)}; ${toDuration(kind.maxLifetimeSeconds)} is the most for such a token`,
        ),
      )
  }
  return problems
}

export function secondsOf(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 && value < MILLISECONDS ? value : undefined
}

function judgeAudience(kind: Kind, { aud, azp }: JsonObject): Problem[] {
  if (aud === undefined) return []
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  if (list.length === 0 || !list.every((entry) => typeof entry === 'string' && entry !== ''))
    return [error('aud is not a text or a list of texts')]
  if (list.length === 1) return []
  if (kind.id === KINDS.idJag.id)
    return [error(`aud has ${list.length} entries; an ID-JAG is for one authorization server`)]
  if (kind.id === KINDS.idToken.id && azp === undefined)
    return [error('aud has several entries, and no azp says which client it was issued to')]
  return []
}

function judgeOwn(kind: Kind, header: JsonObject, claims: JsonObject): Problem[] {
  switch (kind.id) {
    case KINDS.clientAssertion.id:
      return [
        ...(claims['iss'] === claims['sub'] ? [] : [error('iss and sub must both be the client id')]),
        ...(jwtType(header) === 'client-authentication+jwt'
          ? []
          : [warning('typ is not client-authentication+jwt, which rfc7523bis asks for')]),
      ]
    case KINDS.dpopProof.id:
      return judgeProof(header, claims)
    case KINDS.logoutToken.id:
      return claims['sub'] === undefined && claims['sid'] === undefined
        ? [error('neither sub nor sid says whose sessions end')]
        : []
    case KINDS.idJag.id:
      return jwtType(header) === 'oauth-id-jag+jwt' ? [] : [error('typ is not oauth-id-jag+jwt')]
    default:
      return []
  }
}

function judgeProof(header: JsonObject, { htu }: JsonObject): Problem[] {
  const { jwk } = header
  const problems: Problem[] = []
  if (jwtType(header) !== 'dpop+jwt') problems.push(error('typ is not dpop+jwt'))
  if (!isObject(jwk)) problems.push(error('the header has no jwk'))
  else if (['d', 'k'].some((name) => Object.hasOwn(jwk, name)))
    problems.push(error('the jwk in the header is a private key, and must be replaced'))
  if (typeof htu === 'string' && /[?#]/.test(htu))
    problems.push(warning(`htu is ${quote(htu)}; it has neither query nor fragment`))
  return problems
}

/** What the Worker reads strictly, of the kinds that come to it. */
function judgeForm(kind: Kind, token: string): Problem[] {
  if (kind.id !== KINDS.idToken.id && kind.id !== KINDS.idJag.id && kind.id !== KINDS.clientAssertion.id) return []
  const strict = decodeCompactJwt(token)
  return strict.ok ? [] : [error(`the gateway does not take its form: ${strict.error}`)]
}
