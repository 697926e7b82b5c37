// What is known of products: how their servers differ from the drafts, by the name a configuration gives them. A profile is
// only a set of defaults; whatever the file says of a quirk itself goes before it.
import type { IdpQuirks, RasQuirks } from '../model.ts'

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
}

interface Profile {
  readonly idp?: Partial<IdpQuirks>
  readonly ras?: Partial<RasQuirks>
}

const PRODUCTS: Readonly<Record<ProfileName, Profile>> = {
  generic: {},
  okta: {},
  auth0: {},
  keycloak: {},
  entra: {},
  pingfederate: {},
  'workers-oauth-provider': {},
}

/** What the file says goes before what the profile says, and that before the draft. */
export function idpQuirks(profile: ProfileName, written: Partial<IdpQuirks>): IdpQuirks {
  return { ...DRAFT_IDP, ...PRODUCTS[profile].idp, ...written }
}

export function rasQuirks(profile: ProfileName, written: Partial<RasQuirks>): RasQuirks {
  return { ...DRAFT_RAS, ...PRODUCTS[profile].ras, ...written }
}
