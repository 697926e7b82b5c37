// ID-JAGs (draft-ietf-oauth-identity-assertion-authz-grant section 3) as the word of an identity provider on whose a subject
// token is that only it can read. We are not their audience, and nobody ever shows us one: each comes from the identity
// provider itself, asked by us, and still counts for nothing before its signature holds. One validator for this one kind of
// token (RFC 8725 section 3.12): its type is demanded, and ID tokens do not have it.
import { BoundedMap } from '../lib/bounded-map.ts'
import { encodeFields } from '../lib/digest.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { JsonObject } from '../lib/strict-json.ts'
import type { Principal } from '../model.ts'
import type { ClientId, Issuer } from '../parties.ts'
import { isSole } from '../oauth/id-jag.ts'
import { JWT_TYPE } from '../oauth/vocabulary.ts'
import type { Clock } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { claimOf, SKEW_SECONDS, timeOf } from './claims.ts'
import { parseSignedJwt } from './compact-jwt.ts'
import { checkSignature, readPrincipal, type TrustedIdp } from './id-token.ts'

/** For whom it must be. */
export interface IdJagTarget {
  readonly rasIssuer: Issuer
  /** Our client there, which it must name. */
  readonly rasClientId: ClientId
}

/** What one says that was verified. How long it vouches for the user is not how long it can be redeemed. */
export interface IdJagReading {
  readonly principal: Principal
  /** Seconds: usable from `from`, and before `until`. */
  readonly usable: { readonly from: number; readonly until: number }
  /** On the steady clock: when its key must be looked for again. */
  readonly keyFreshUntilMs: number
}

export interface IdJagReader {
  /** Refuses with IDP109, IDP114, TOK106 or TOK107. */
  read(token: string, trusted: TrustedIdp, target: IdJagTarget): Promise<Result<IdJagReading, Refusal>>
}

const MAX_REMEMBERED = 1_000
const REMEMBER_MS = 10 * 60_000

/** Remembers for a while what it has verified; what depends on time is compared again at every use. */
export function createIdJagReader(clock: Clock): IdJagReader {
  const remembered = new BoundedMap<string, { readonly reading: IdJagReading; readonly untilMs: number }>(
    MAX_REMEMBERED,
  )
  return {
    async read(token, trusted, target) {
      const name = encodeFields([trusted.idp.issuer, target.rasIssuer, target.rasClientId, token])
      const known = remembered.get(name)
      if (known !== undefined && clock.millis() < known.untilMs && isUsable(known.reading, clock.now()))
        return ok(known.reading)
      const read = await verifyIdJag(token, trusted, target, () => clock.now())
      if (!read.ok) return read
      // Not longer than its key: a withdrawn key must not live on in here.
      const untilMs = Math.min(clock.millis() + REMEMBER_MS, read.value.keyFreshUntilMs)
      remembered.set(name, { reading: read.value, untilMs })
      return read
    },
  }
}

function isUsable({ usable }: IdJagReading, now: number): boolean {
  return now >= usable.from && now < usable.until
}

async function verifyIdJag(
  token: string,
  trusted: TrustedIdp,
  target: IdJagTarget,
  now: () => number,
): Promise<Result<IdJagReading, Refusal>> {
  const jwt = parseSignedJwt(token)
  // An encrypted one ends here as well: whom it is about only its audience knows.
  if (!jwt.ok) return unusable(`not a signed JWT (${jwt.error})`)
  const { typ, claims } = jwt.value
  if (typ !== JWT_TYPE.idJag) return unusable('typ names another kind of token')
  if (claims['iss'] !== trusted.idp.issuer) return unusable('another issuer')
  const signed = await checkSignature(token, jwt.value, trusted)
  if (!signed.ok) return translated(signed.error)

  if (!isSole(claims['aud'], target.rasIssuer)) return unusable('another audience')
  if (claims['client_id'] !== target.rasClientId) return unusable('another client_id')
  const lifetime = checkLifetime(claims, trusted.idp.idToken.maxAgeSeconds, now())
  if (!lifetime.ok) return lifetime
  const principal = readPrincipal(withTenant(claims, trusted), trusted, lifetime.value)
  if (!principal.ok) return translated(principal.error)
  // Two tenants may each have a user of this subject.
  if (trusted.idp.claims.tenant !== undefined && principal.value.tenant === undefined)
    return err({ code: 'TOK107', detail: 'the ID-JAG names no tenant' })
  return ok({
    principal: asFarAsKnown(principal.value, claims, trusted),
    usable: lifetime.value.usable,
    keyFreshUntilMs: signed.value.freshUntilMs,
  })
}

interface Lifetime {
  readonly iat: number
  readonly exp: number
  readonly usable: IdJagReading['usable']
}

/** It vouches as long as an ID token of that age would; `exp` only says until when it can be redeemed. */
function checkLifetime(claims: JsonObject, maxAgeSeconds: number, now: number): Result<Lifetime, Refusal> {
  const iat = timeOf(claims['iat'])
  const exp = timeOf(claims['exp'])
  const nbf = claims['nbf'] === undefined ? iat : timeOf(claims['nbf'])
  if (iat === undefined || exp === undefined || nbf === undefined || exp <= iat) return unusable('iat, exp or nbf')
  const from = Math.max(iat, nbf) - SKEW_SECONDS
  if (now < from) return err({ code: 'TOK106', detail: `the ID-JAG holds from ${Math.ceil(from - now)} s on` })
  const until = iat + maxAgeSeconds + SKEW_SECONDS
  if (now >= until) return err({ code: 'TOK106', detail: `the ID-JAG was issued ${Math.ceil(now - iat)} s ago` })
  return ok({ iat, exp: iat + maxAgeSeconds, usable: { from, until } })
}

/** The draft has a name for it (section 3.1); the one of this identity provider's ID tokens goes before it. */
function withTenant(claims: JsonObject, { idp }: TrustedIdp): JsonObject {
  const { tenant: name } = idp.claims
  if (name === undefined || claimOf(claims, name) !== undefined) return claims
  const tenant = claimOf(claims, 'tenant')
  return tenant === undefined ? claims : { ...claims, [name]: tenant }
}

/**
 * An ID token without groups is of somebody in none. An ID-JAG was made for somebody else, and what it leaves out is unknown:
 * or a rule that keeps a group out would let its members in as soon as they come by another kind of token.
 */
function asFarAsKnown(principal: Principal, claims: JsonObject, { idp, policyClaims }: TrustedIdp): Principal {
  const { groups } = idp.claims
  const readings = new Map(principal.claims)
  for (const name of policyClaims) if (!readings.has(name)) readings.set(name, 'unreadable')
  return {
    ...principal,
    claims: readings,
    groups: groups !== undefined && claimOf(claims, groups) === undefined ? undefined : principal.groups,
  }
}

function unusable(detail: string): Result<never, Refusal> {
  return err({ code: 'IDP109', detail: `the ID-JAG: ${detail}` })
}

/** What would be the caller's fault with a token of the caller's is the identity provider's here. */
function translated(refusal: Refusal): Result<never, Refusal> {
  const { code, detail, got } = refusal
  return code === 'TOK107' || code === 'IDP114' ? err(refusal) : unusable(detail ?? got ?? code)
}
