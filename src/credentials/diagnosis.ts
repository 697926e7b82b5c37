// Why a server refused, as far as it can be told from outside. ID-JAG has four parties and one error word, `invalid_grant`; so
// what was sent is compared with what the server says of itself and with the clock of its answer, and the first thing that
// does not fit is named, with the field of the configuration it comes from. What a server writes is not repeated.
import { withDeadline } from '../lib/deadline.ts'
import { slipBetween } from '../lib/slip.ts'
import type { Idp, IdpClient, RasClient, Resource, ScopeToken } from '../parties.ts'
import type { CallProblem } from '../oauth/counterparty.ts'
import type { LegRefusal, Witness } from '../oauth/leg-answer.ts'
import type { Discovery, ServerMetadata } from '../oauth/metadata.ts'
import { GRANT_TYPE, ID_JAG_PROFILE, TOKEN_TYPE } from '../oauth/vocabulary.ts'
import type { Refusal, RefusalCode } from '../refusal.ts'

/** The parties of one acquisition, as the configuration names them. */
export interface Parties {
  readonly idp: Idp
  readonly idpClient: IdpClient
  readonly resource: Resource
  readonly rasClient: RasClient
  readonly scopes: readonly ScopeToken[]
}

/** A refusal does not wait longer than that for its reason. */
const LOOK_UP_MS = 1_000

/** The refusal with what was expected and what was got, where that can be told. */
export async function explained(
  { witness, claim, ...refusal }: LegRefusal,
  parties: Parties,
  { discovery }: { readonly discovery: Discovery },
): Promise<Refusal> {
  if (claim !== undefined) return { ...refusal, ...otherwise(claim, sentToRas(parties)) }
  // Without an answer there is nothing to compare with.
  if (witness === undefined) return refusal
  const { idp, resource } = parties
  // A target that the identity provider does not know may be called otherwise by the authorization server itself.
  const isOfRas = refusal.code.startsWith('RAS') || refusal.code === 'IDP103'
  const sent = isOfRas ? sentToRas(parties) : sentToIdp(parties)
  const issuer = isOfRas ? resource.authorizationServer.issuer : idp.issuer
  const metadata = await withDeadline(discovery.metadataOf(issuer, isOfRas ? 'oauth2' : 'oidc'), LOOK_UP_MS)
  const published = metadata?.ok === true ? metadata.value : publishedIn(metadata?.error)
  return { ...refusal, ...diagnose(refusal.code, sent, published, witness) }
}

/** What is wrong with metadata that cannot be used, for a refusal. `field`: where the issuer is configured. */
export function slipIn(
  { detail, otherIssuer }: CallProblem,
  issuer: string,
  field: string,
): Pick<Refusal, 'detail' | 'expected' | 'got'> {
  if (otherIssuer === undefined) return { detail }
  return { detail, ...slipOf(issuer, otherIssuer, field) }
}

/**
 * The identity provider has something else on record than the configuration has. Addresses are not repeated here: an identity
 * provider that answers wrongly could have them told to whom it likes.
 */
function otherwise(claim: NonNullable<LegRefusal['claim']>, { clientId, fields }: Sent): Finding {
  switch (claim) {
    case 'aud':
      return { expected: 'the audience that the ID-JAG names', got: `the one configured (${fields.server})` }
    case 'client_id':
      return { expected: 'the client that the ID-JAG names', got: `${clientId} (${fields.client}.id)` }
    case 'resource':
      return { expected: 'the resource that the ID-JAG names', got: `the one configured (${fields.resource})` }
  }
}

function publishedIn(problem: CallProblem | undefined): Published {
  return problem?.otherIssuer === undefined ? undefined : { otherIssuer: problem.otherIssuer }
}

function sentToIdp({ idp, idpClient, resource, scopes }: Parties): Sent {
  return {
    role: 'identity provider',
    issuer: idp.issuer,
    clientId: idpClient.id,
    authMethod: idpClient.auth.method,
    grantType: GRANT_TYPE.tokenExchange,
    resource: undefined,
    scopes,
    wants: idp.wants,
    fields: {
      server: `idps.${idp.name}.issuer`,
      client: `idps.${idp.name}.clients.${idpClient.name}`,
      resource: '',
      scopes: `resources.${resource.name}.scopes and policy.rules`,
    },
  }
}

function sentToRas({ resource, rasClient, scopes }: Parties): Sent {
  const { name, authorizationServer: server } = resource
  const at = `resources.${name}`
  const own = [...resource.clientsByCaller].find(([, client]) => client === rasClient)?.[0]
  return {
    role: 'authorization server',
    issuer: server.issuer,
    clientId: rasClient.id,
    authMethod: rasClient.auth.method,
    grantType: GRANT_TYPE.jwtBearer,
    resource: resource.resource,
    scopes,
    wants: server.wants,
    fields: {
      server: `${at}.authorization_server.issuer`,
      client: own === undefined ? `${at}.client` : `${at}.clients.${own}`,
      resource: `${at}.resource`,
      scopes: `${at}.scopes`,
    },
  }
}

/** What was expected and what was got, as a refusal says it. */
export type Finding = Pick<Refusal, 'expected' | 'got'>

/** What the server has published of itself, as far as it could be had. */
export type Published = Pick<ServerMetadata, 'lists'> | { readonly otherIssuer: string } | undefined

/** What was sent, and where the configuration says so. */
export interface Sent {
  readonly role: 'identity provider' | 'authorization server'
  readonly issuer: string
  readonly clientId: string
  /** The way in which we authenticated, as the metadata would list it. */
  readonly authMethod: string
  readonly grantType: string
  readonly resource: string | undefined
  readonly scopes: readonly string[]
  /** What it mostly takes, for when nothing else is found. */
  readonly wants: string
  /** Where the configuration names these. */
  readonly fields: {
    readonly server: string
    readonly client: string
    readonly resource: string
    readonly scopes: string
  }
}

/** Clocks may be that far apart without anybody refusing for it. */
const SKEW_SECONDS = 60

/** In the order in which administrators should look; the first that fits. */
export function diagnose(code: RefusalCode, sent: Sent, published: Published, witness: Witness): Finding | undefined {
  // The numbers mean the same on both legs. A limit or an outage needs no reason from us, and a login has its own members.
  switch (code.slice(3)) {
    case '106':
      return slippedIssuer(sent, published) ?? unlisted(sent, published) ?? otherClient(sent)
    case '101':
      return (
        slippedIssuer(sent, published) ??
        unlisted(sent, published) ??
        otherClock(sent, witness) ??
        unlistedTarget(sent, published) ?? { expected: sent.wants }
      )
    case '102':
      return { expected: sent.wants }
    case '103':
      return slippedIssuer(sent, published) ?? unlistedResource(sent, published) ?? targetAsSent(sent)
    case '104':
      return (
        unlistedScopes(sent, published) ?? {
          expected: `scopes that the ${sent.role} grants`,
          got: `${scopesOf(sent)} (${sent.fields.scopes})`,
        }
      )
    default:
      return undefined
  }
}

/** RFC 8414 section 3.3: an issuer is compared code point by code point, and a slash is one. */
function slippedIssuer({ issuer, fields }: Sent, published: Published): Finding | undefined {
  if (published === undefined || !('otherIssuer' in published)) return undefined
  return slipOf(issuer, published.otherIssuer, fields.server)
}

function slipOf(ours: string, theirs: string, field: string): Finding {
  return { expected: `${theirs}, as its metadata says`, got: `${ours} (${field}; ${slipBetween(ours, theirs)})` }
}

function unlisted({ role, grantType, authMethod, fields }: Sent, published: Published): Finding | undefined {
  const lists = listsOf(published)
  if (lists.grantTypes?.includes(grantType) === false)
    return { expected: `an ${role} that lists the grant type ${grantType}`, got: 'metadata without it' }
  const [kinds, kind] =
    role === 'identity provider' ? [lists.tokenTypes, TOKEN_TYPE.idJag] : [lists.grantProfiles, ID_JAG_PROFILE]
  if (kinds?.includes(kind) === false) return { expected: `an ${role} that lists ${kind}`, got: 'metadata without it' }
  if (lists.authMethods?.includes(authMethod) === false)
    return {
      expected: `a method of client authentication that the ${role} lists`,
      got: `${authMethod} (${fields.client}.auth)`,
    }
  return undefined
}

function otherClient({ clientId, authMethod, fields }: Sent): Finding {
  return {
    expected: 'a client id and a credential that are registered there',
    got: `${clientId} by ${authMethod} (${fields.client})`,
  }
}

/** `Date` has whole seconds and the answer has travelled, so only what is beyond any tolerance is said. */
function otherClock({ role }: Sent, { answeredAt, issuedAt, expiresAt }: Witness): Finding | undefined {
  if (answeredAt === undefined) return undefined
  if (issuedAt !== undefined && issuedAt > answeredAt + SKEW_SECONDS)
    return {
      expected: 'clocks that agree',
      got: `a token issued ${Math.ceil(issuedAt - answeredAt)} s ahead of the clock of the ${role}`,
    }
  if (expiresAt !== undefined && expiresAt <= answeredAt)
    return {
      expected: 'a token that is still valid',
      got: `one that expired ${Math.floor(answeredAt - expiresAt)} s ago by the clock of the ${role}`,
    }
  return undefined
}

function unlistedTarget(sent: Sent, published: Published): Finding | undefined {
  return unlistedResource(sent, published) ?? unlistedScopes(sent, published)
}

function unlistedResource({ role, resource, fields }: Sent, published: Published): Finding | undefined {
  const listed = listsOf(published).resources
  if (resource === undefined || listed === undefined || listed.includes(resource)) return undefined
  const near = listed.map((one) => slipBetween(resource, one)).find((how) => how !== undefined)
  return {
    expected: `a resource that the ${role} lists`,
    got: `${resource} (${fields.resource}${near === undefined ? '' : `; ${near}`})`,
  }
}

function unlistedScopes({ role, scopes, fields }: Sent, published: Published): Finding | undefined {
  const listed = listsOf(published).scopes
  if (listed === undefined) return undefined
  const missing = scopes.filter((scope) => !listed.includes(scope))
  // A list that has none of them is about something else: those of a login, for instance.
  if (missing.length === 0 || (role === 'identity provider' && missing.length === scopes.length)) return undefined
  return { expected: `scopes that the ${role} lists`, got: `${missing.join(' ')} (${fields.scopes})` }
}

function targetAsSent({ issuer, resource, fields }: Sent): Finding {
  return {
    expected: 'a target that is registered there, character by character',
    got:
      resource === undefined
        ? `${issuer} (${fields.server})`
        : `${issuer} (${fields.server}) with ${resource} (${fields.resource})`,
  }
}

function scopesOf({ scopes }: Sent): string {
  return scopes.length === 0 ? 'none' : scopes.join(' ')
}

function listsOf(published: Published): ServerMetadata['lists'] {
  return published !== undefined && 'lists' in published ? published.lists : {}
}
