// The rows of the catalogue about those behind us: IDP leg 1, RAS leg 2, UPS upstream. Facts only, as in refusal-catalogue.ts.
import type { CatalogueRow } from './refusal-kind.ts'

export const REFUSED_BEHIND = {
  IDP101: {
    kind: 'login_refused',
    says: 'the identity provider refused the subject token',
    fix: 'Sign in again and use the new token; an actor token that was sent must be good as well.',
  },
  IDP102: {
    kind: 'access_refused',
    says: 'the identity provider does not let this user or client reach {name}',
    fix: 'An administrator of the identity provider can assign the application or the connection.',
  },
  IDP103: {
    kind: 'target_refused',
    says: 'the identity provider does not know the authorization server of {name}, or may not issue for it',
    fix: 'Compare the configured issuer and resource with what the identity provider has registered, character by character.',
  },
  IDP104: {
    kind: 'scope_refused',
    says: 'the identity provider does not grant the scopes asked for {name}',
    fix: 'Compare the scopes of the resource and of its rules with those the identity provider allows for this connection.',
  },
  IDP105: {
    kind: 'step_up',
    says: 'the identity provider wants a stronger or newer login',
    fix: 'Sign in again as asked.',
  },
  IDP106: {
    kind: 'misconfigured',
    says: 'the identity provider does not accept this gateway as its client',
    fix: 'An administrator must check client id, credential and grant types registered at the identity provider.',
  },
  IDP107: {
    kind: 'details_refused',
    says: 'the identity provider does not grant the authorization_details asked for {name}',
    fix: 'Compare them with what the identity provider allows for this connection.',
  },
  IDP109: {
    kind: 'misbehaved',
    says: 'the identity provider gave an answer that cannot be used',
    fix: 'An administrator compares the configuration with what the identity provider has registered for this resource and its client; the audit event of this request says what was wrong.',
  },
  IDP110: { kind: 'unavailable', says: 'the identity provider cannot be reached', fix: 'Try again later.' },
  IDP111: { kind: 'timeout', says: 'the identity provider did not answer in time', fix: 'Try again later.' },
  IDP112: { kind: 'unavailable', says: 'the identity provider is out of order or busy', fix: 'Try again later.' },
  IDP113: {
    kind: 'misbehaved',
    says: 'the identity provider and this gateway do not agree on proofs of possession (DPoP)',
    fix: 'An administrator compares quirks.dpop with what the identity provider does; see the audit event of this request.',
  },
  IDP114: {
    kind: 'unavailable',
    says: 'the keys or the metadata of the identity provider cannot be had',
    fix: 'Try again later; an administrator compares the configured issuer with its metadata, or configures keys and endpoints.',
  },

  RAS101: {
    kind: 'grant_refused',
    says: 'the authorization server of {name} refused the ID-JAG',
    fix: 'An administrator compares issuer, client id and trusted identity provider on both sides; see the audit event.',
  },
  RAS102: {
    kind: 'access_refused',
    says: 'the authorization server of {name} does not let this user or client in',
    fix: 'An administrator of {name} can give the user access.',
  },
  RAS103: {
    kind: 'target_refused',
    says: 'the authorization server of {name} does not serve the resource asked for',
    fix: 'Compare the configured resource with what the authorization server has registered, character by character.',
  },
  RAS104: {
    kind: 'scope_refused',
    says: 'the authorization server of {name} does not grant the scopes asked for',
    fix: 'Compare the scopes of the resource and of its rules with those the authorization server knows.',
  },
  RAS105: {
    kind: 'step_up',
    says: 'the authorization server of {name} wants a stronger or newer login',
    fix: 'Sign in again as asked.',
  },
  RAS106: {
    kind: 'misconfigured',
    says: 'the authorization server of {name} does not accept this gateway as its client',
    fix: 'An administrator must check client id, credential and grant types registered there.',
  },
  RAS107: {
    kind: 'details_refused',
    says: 'the authorization server of {name} does not grant the authorization_details asked for',
    fix: 'Compare them with what the authorization server takes.',
  },
  RAS109: {
    kind: 'misbehaved',
    says: 'the authorization server of {name} gave an answer that cannot be used',
    fix: 'An administrator finds what was wrong with it in the audit event of this request.',
  },
  RAS110: {
    kind: 'unavailable',
    says: 'the authorization server of {name} cannot be reached',
    fix: 'Try again later.',
  },
  RAS111: {
    kind: 'timeout',
    says: 'the authorization server of {name} did not answer in time',
    fix: 'Try again later.',
  },
  RAS112: {
    kind: 'unavailable',
    says: 'the authorization server of {name} is out of order or busy',
    fix: 'Try again later.',
  },
  RAS113: {
    kind: 'misbehaved',
    says: 'the authorization server of {name} and this gateway do not agree on proofs of possession (DPoP)',
    fix: 'An administrator compares dpop of {name} with what that server does; see the audit event of this request.',
  },
  RAS114: {
    kind: 'unavailable',
    says: 'the metadata of the authorization server of {name} cannot be had',
    fix: 'An administrator writes the issuer exactly as its metadata has it; where the metadata cannot be reached, try again later, or configure the endpoint.',
  },

  RAS115: {
    kind: 'unavailable',
    says: 'the authorization server of {name} could not be told that the token is revoked',
    fix: 'Ask again later. The token is not used here any more, but it may still be accepted there.',
  },

  UPS101: {
    kind: 'upstream_failed',
    says: '{name} rejects the access token its own authorization server has just issued',
    fix: 'An administrator compares resource and audience on both sides.',
  },
  UPS102: {
    kind: 'unavailable',
    says: '{name} rejected the credential of the request; a new one is in place, but the request could not be sent again for you',
    fix: 'Send the request again.',
  },
  UPS103: { kind: 'step_up', says: '{name} wants a stronger or newer login', fix: 'Sign in again as asked.' },
  UPS109: {
    kind: 'misbehaved',
    says: '{name} gave an answer that cannot be passed on',
    fix: 'Try again later; an administrator looks at what the API answers.',
  },
  UPS113: {
    kind: 'misbehaved',
    says: '{name} and this gateway do not agree on proofs of possession (DPoP)',
    fix: 'Try again later; an administrator compares dpop of {name} with what the API does.',
  },
  UPS110: { kind: 'upstream_failed', says: '{name} cannot be reached', fix: 'Try again later.' },
  UPS111: { kind: 'timeout', says: '{name} did not answer in time', fix: 'Try again later.' },
} as const satisfies Record<string, CatalogueRow>
