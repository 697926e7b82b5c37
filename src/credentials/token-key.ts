// The identity of a token: everything that changes it, and nothing else. User, client and resource alone would let a
// narrow request receive a broad token; the subject token itself would make every new login cold and cost quota (F-10).
import { encodeFields } from '../lib/digest.ts'
import type { NumericDate } from '../lib/numeric-date.ts'
import type { AuthorizationDetails, Permit, Principal, VerifiedAssertion } from '../model.ts'
import type { IdpClient, Issuer, RasClient, Resource } from '../parties.ts'
import type { DpopUse, IdpQuirks, OpaqueKind, RasQuirks } from '../quirks.ts'
import type { NameParts, SubjectParts } from './key-ring.ts'

/** Raised when the meaning of an entry changes; entries of other epochs are misses. */
const EPOCH = '4'

/** Our registration at the RAS for a caller. */
export function rasClientFor(resource: Resource, caller: string): RasClient {
  return resource.clientsByCaller.get(caller) ?? resource.client
}

/**
 * Where a token comes from, by everything of the configuration that decides it. The flight computes it again from its own
 * configuration: during a deployment that may be another one than its caller's.
 */
export function placeFor(issuer: Issuer, idpClient: IdpClient, resource: Resource, caller: string): string {
  const { authorizationServer: server } = resource
  const target = encodeFields([resource.name, server.issuer, server.audience, resource.resource])
  const ways = waysOf(idpClient.quirks, server.quirks, resource.dpop)
  const { id, auth } = rasClientFor(resource, caller)
  // A server may bind the token to the certificate it was shown (RFC 8705 section 3).
  const certificate = 'certificate' in auth ? auth.certificate : undefined
  return encodeFields([issuer, idpClient.ref, idpClient.id, id, certificate, target, ways])
}

/** The quirks that decide what is granted or to what it is bound. All are words of our own, so a space parts them. */
function waysOf(idp: IdpQuirks, ras: RasQuirks, dpop: DpopUse): string {
  const asked = [idp.target, idp.sendResource, idp.actorToken, idp.dpop]
  const redeemed = [ras.sendScope, ras.sendResource, ras.redeemGrant, ras.extraScopes, dpop]
  return [...asked, ...redeemed].join(' ')
}

export function placeOf({ assertion, resource }: Permit): string {
  return placeFor(assertion.principal.issuer, assertion.idpClient, resource, assertion.caller.name)
}

/** What the names about a subject token are made of. */
export function subjectParts(
  caller: string,
  { ref, id }: IdpClient,
  kind: OpaqueKind,
  token: string,
  identity: string,
): SubjectParts {
  return { client: caller, idpClient: encodeFields([ref, id]), token: encodeFields([kind, token]), identity }
}

/** Who acts for the user, and how strong the login was: whatever changes neither is the same manner of coming. */
export function mannerOf({ act, acr }: Principal): string {
  return encodeFields([act?.json, acr])
}

/** When the user has signed in; where that is not told, when it was said last. */
export function loginOf({ authTime, issuedAt }: Principal): NumericDate {
  return authTime ?? issuedAt
}

/** Injective: two permits give the same texts only if a token of the one is a token of the other. */
export function nameParts(permit: Permit): NameParts {
  const { assertion, resource, scopes, details, actor, assurance } = permit
  const { issuer, tenant, subject, act } = assertion.principal
  const user = encodeFields([issuer, tenant, subject])
  const client = encodeFields([assertion.caller.name])
  const target = encodeFields([resource.name])
  const more = [details?.json, actor?.digest, assurance, act?.json]
  const identity = encodeFields([EPOCH, user, client, placeOf(permit), scopes, ...more])
  return { user, client, resource: target, identity }
}

/**
 * `nameParts`, remembered with the last permit of each assertion for as long as somebody remembers that: every request of a
 * login at a resource has the same.
 */
export function createPartsMemory(): (permit: Permit) => NameParts {
  const last = new WeakMap<VerifiedAssertion, { readonly permit: Permit; readonly parts: NameParts }>()
  return (permit) => {
    const known = last.get(permit.assertion)
    if (known !== undefined && isSameToken(known.permit, permit)) return known.parts
    const parts = nameParts(permit)
    last.set(permit.assertion, { permit, parts })
    return parts
  }
}

/** Of two permits of one assertion, by everything else that `nameParts` reads. */
function isSameToken(one: Permit, other: Permit): boolean {
  return (
    one.resource === other.resource &&
    one.details === other.details &&
    one.actor === other.actor &&
    one.assurance === other.assurance &&
    one.scopes.length === other.scopes.length &&
    one.scopes.every((scope, index) => scope === other.scopes[index])
  )
}

/** The parts of a token's name, as people know them: what `nameParts` encodes, for `jagway explain`. */
export function describeKey(parts: {
  readonly principal: Principal
  readonly client: string
  /** Undefined: it cannot be told as whose audience the ID token would come. */
  readonly idpClient: IdpClient | undefined
  readonly resource: Resource
  readonly scopes: readonly string[]
  readonly details: AuthorizationDetails | undefined
  readonly assurance: string | undefined
}): Readonly<Record<string, unknown>> {
  const { principal, client, idpClient, resource, scopes, details, assurance } = parts
  const { authorizationServer: server } = resource
  const { id, auth } = rasClientFor(resource, client)
  return {
    issuer: principal.issuer,
    tenant: principal.tenant,
    subject: principal.subject,
    act: principal.act?.json,
    client,
    idp_client: idpClient && `${idpClient.ref} (${idpClient.id})`,
    ras_client: id,
    certificate: 'certificate' in auth ? auth.certificate : undefined,
    resource: resource.name,
    ras_issuer: server.issuer,
    audience: server.audience,
    resource_indicator: resource.resource,
    ways: idpClient && waysOf(idpClient.quirks, server.quirks, resource.dpop),
    scopes: scopes.join(' '),
    authorization_details: details?.types.join(' '),
    login: assurance,
  }
}
