// What is known of products: how their servers differ from the drafts, by the name a configuration gives them. A profile is
// only a set of defaults; whatever the file says itself goes before it. docs/configuration.md has the same as a table. It
// never opens our own doors: the kinds of subject token that are taken stay those of the file, whatever the product could do.
import type { OutboundAuth } from '../parties.ts'
import type { IdpQuirks, RasQuirks } from '../quirks.ts'

export const PROFILES = [
  'generic',
  'okta',
  'auth0',
  'keycloak',
  'entra',
  'pingfederate',
  'workers-oauth-provider',
] as const

export type ProfileName = (typeof PROFILES)[number]

type Assertion = Extract<OutboundAuth, { method: 'private_key_jwt' }>

/** How a server wants us to authenticate. */
export interface AuthDefaults {
  readonly encoding: Extract<OutboundAuth, { method: 'client_secret_basic' }>['encoding']
  readonly audience: Assertion['audience']
  /** Undefined: as the audience allows. */
  readonly typ: Assertion['typ'] | undefined
}

/** What draft-ietf-oauth-identity-assertion-authz-grant says, and nothing beyond it. */
const DRAFT_IDP: IdpQuirks = {
  target: 'audience',
  sendResource: true,
  subjectTokens: new Set(['id_token']),
  samlTwoStep: false,
  samlEncoding: 'base64url',
  actorToken: 'none',
  dpop: 'off',
}

const DRAFT_RAS: RasQuirks = {
  sendScope: 'same',
  sendResource: false,
  idJagReuse: false,
  redeemGrant: 'jwt-bearer',
  extraScopes: 'refuse',
  defaultTtlSeconds: 300,
}

/** RFC 6749 section 2.3.1 and rfc7523bis. */
const STANDARD_AUTH: AuthDefaults = { encoding: 'form', audience: 'issuer', typ: undefined }

interface Profile {
  readonly idp?: Partial<Omit<IdpQuirks, 'subjectTokens'>>
  readonly ras?: Partial<RasQuirks>
  /** What is mostly missing where this product refuses an exchange, or a redemption, and nothing else tells why. */
  readonly idpWants?: string
  readonly rasWants?: string
  readonly auth?: Partial<AuthDefaults>
}

const PRODUCTS: Readonly<Record<ProfileName, Profile>> = {
  generic: {},

  okta: {
    idp: {
      // developer.okta.com/blog/2026/07/17/xaa-saml-requester: the assertion of a SAML response, in base64, becomes a refresh
      // token first, and the refresh token the ID-JAG.
      samlTwoStep: true,
      samlEncoding: 'base64',
    },
    // developer.okta.com/docs/guides/build-self-signed-jwt: `aud` is the URL that is called.
    auth: { audience: 'token_endpoint' },
    idpWants: 'a managed connection from this app to the resource app, with this user assigned to both',
  },

  auth0: {
    ras: {
      // auth0.com/docs/api/authentication/cross-app-access/get-token: the same ID-JAG can be used again until it expires; a
      // `resource` claim in it goes before the parameter, and where both are missing the tenant's default API is taken.
      idJagReuse: true,
      sendResource: true,
    },
    rasWants:
      'an enterprise connection of this identity provider that has cross-app access on, and this client allowed to use it',
  },

  keycloak: {
    // Server administration guide, "Client scopes": the default client scopes of a client are in every token of its, asked for
    // or not, and the answer names them.
    ras: { extraScopes: 'accept' },
    rasWants:
      'an identity provider with the JWT authorization grant on, the grant allowed for this client, and a linked user',
  },

  entra: {
    // learn.microsoft.com/entra/identity-platform/certificate-credentials: `typ` JWT, `aud` the token endpoint.
    auth: { audience: 'token_endpoint', typ: 'JWT' },
  },

  pingfederate: {
    // docs.pingidentity.com/pingfederate/13.1, "Configuring a refresh token-to-ID-JAG token exchange": nothing differs but what is
    // exchanged, and that is for the file to say.
    idpWants:
      'a token exchange policy that maps this subject token to an ID-JAG, and the grant allowed for this client',
  },

  // Its source, version 1.2.3: Basic credentials are form-decoded, the issuer is the audience, an ID-JAG is taken once.
  'workers-oauth-provider': { rasWants: 'the identity provider among its trusted issuers, with its https key set' },
}

/** What the file says goes before what the profile says, and that before the draft. */
export function idpQuirks(profile: ProfileName, written: Partial<IdpQuirks>): IdpQuirks {
  return { ...DRAFT_IDP, ...PRODUCTS[profile].idp, ...written }
}

export function rasQuirks(profile: ProfileName, written: Partial<RasQuirks>): RasQuirks {
  return { ...DRAFT_RAS, ...PRODUCTS[profile].ras, ...written }
}

export function wantsOf(profile: ProfileName, role: 'idp' | 'ras'): string {
  const { idpWants, rasWants } = PRODUCTS[profile]
  return role === 'idp'
    ? (idpWants ?? 'a user who may use this client there, and a client that may ask for this resource')
    : (rasWants ?? 'an identity provider that is trusted there, and a user who is known there')
}

export function authDefaults(profile: ProfileName): AuthDefaults {
  return { ...STANDARD_AUTH, ...PRODUCTS[profile].auth }
}
