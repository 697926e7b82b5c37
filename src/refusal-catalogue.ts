// The catalogue of refusals: every code once, what happened and what to do about it. Facts only; what a code becomes on the
// wire is said in refusal.ts. Families: CLI calling client, TOK subject token, POL policy, IDP leg 1, RAS leg 2, UPS upstream,
// LIM limits, ADM administration, INT ours. (CFG, the configuration file, is read by administrators only: config/problem.ts.)
import { REFUSED_BEHIND } from './refusal-behind.ts'
import type { CatalogueRow } from './refusal-kind.ts'

export const CATALOGUE = {
  CLI100: {
    kind: 'bad_request',
    says: 'the request is malformed',
    fix: 'Send every required parameter, each once; at the token endpoint in the body and form-urlencoded (RFC 6749 section 3.2), and no token in a URL.',
  },
  CLI101: {
    kind: 'unauthenticated_client',
    says: 'client authentication failed or is missing',
    fix: 'Authenticate with the one method registered for this client; check its id and its credential.',
  },
  CLI103: {
    kind: 'unsupported_grant_type',
    says: 'this grant type is not supported here',
    fix: 'Use urn:ietf:params:oauth:grant-type:token-exchange (RFC 8693).',
  },
  CLI104: {
    kind: 'bad_request',
    says: 'this subject_token_type is not supported here',
    fix: 'Send a token of a kind that is configured for this client and an identity provider of its; an ID token is urn:ietf:params:oauth:token-type:id_token.',
  },
  CLI105: {
    kind: 'bad_request',
    says: 'this requested_token_type is not supported here',
    fix: 'Leave requested_token_type out, or ask for urn:ietf:params:oauth:token-type:access_token.',
  },
  CLI106: {
    kind: 'unknown_target',
    says: 'there is no such resource for this client',
    fix: 'Ask for a resource that this client is meant to use: by its exact configured identifier, or under the path it has here.',
  },
  CLI107: {
    kind: 'unknown_target',
    says: 'exactly one resource must be named',
    fix: 'Send one resource or one audience; where both are sent they must mean the same resource.',
  },
  CLI108: {
    kind: 'bad_scope',
    says: 'the scope parameter is malformed',
    fix: 'Send scope tokens separated by single spaces.',
  },
  CLI109: {
    kind: 'ambiguous_path',
    says: 'the path could be read in more than one way',
    fix: 'Send a path without encoded separators, dot segments, empty segments, backslashes, semicolons or control characters.',
  },
  CLI110: {
    kind: 'unsupported_method',
    says: 'this method is not supported here',
    fix: 'Use a method that the Allow header of this answer names.',
  },
  CLI111: {
    kind: 'bad_request',
    says: 'actor tokens are not accepted here',
    fix: 'Leave actor_token and actor_token_type out, or let an administrator set the quirk actor_token of the identity provider to caller.',
  },
  CLI112: {
    kind: 'bad_request',
    says: 'this client may not present that ID token',
    fix: 'Present an ID token whose audience is one of the clients listed under subject_tokens for this client.',
  },
  CLI113: {
    kind: 'bad_request',
    says: 'this protocol upgrade is not forwarded',
    fix: 'Send the request without an Upgrade header, or let an administrator set web_socket for this resource.',
  },
  CLI114: {
    kind: 'bad_proof',
    says: 'the DPoP proof is missing or not good for this request',
    fix: 'Send one new proof per request (RFC 9449 section 4.2), with the method and the public URL it goes to; compare the clocks.',
  },
  CLI115: {
    kind: 'bad_request',
    says: 'a GET or HEAD request with a body is not forwarded',
    fix: 'Send the body with POST or QUERY, or leave it out.',
  },
  CLI120: {
    kind: 'unproven_token',
    says: 'this client must prove possession of its key',
    fix: 'Send a DPoP proof; at a resource with Authorization: DPoP and an ID token that is bound to the key of the proof.',
  },
  CLI121: {
    kind: 'nonce_wanted',
    says: 'the DPoP proof must have a nonce of this server in it',
    fix: 'Send the request again with a new proof that has the value of the DPoP-Nonce header of this answer as its nonce.',
  },
  CLI130: {
    kind: 'bad_request',
    says: 'nobody signs in here',
    fix: 'Send the user to their identity provider, which the metadata of the resource names, and bring the ID token from there.',
  },

  CLI116: {
    kind: 'bad_request',
    says: 'more than one identity provider of this client takes this kind of subject token',
    fix: 'An administrator can list one of them alone under subject_tokens of this client, or take the kind from the others.',
  },
  CLI117: {
    kind: 'details_refused',
    says: 'authorization_details are malformed, or of a type that this resource does not take',
    fix: 'Send one JSON array of objects with a type each, of the types that the resource takes (RFC 9396 section 2).',
  },

  TOK100: { kind: 'no_token', says: 'a token is required', fix: 'Send an ID token as Authorization: Bearer.' },
  TOK101: {
    kind: 'bad_token',
    says: 'the token is not a well-formed ID token',
    fix: 'Send one signed JWT in compact form, unchanged as the identity provider issued it.',
  },
  TOK102: {
    kind: 'bad_token',
    says: 'the token could not be verified',
    fix: 'Send an ID token of an identity provider that is configured here; its keys must be the published ones.',
  },
  TOK103: { kind: 'bad_token', says: 'the token has expired', fix: 'Get a new ID token and try again.' },
  TOK104: {
    kind: 'bad_token',
    says: 'the token was issued to another client',
    fix: 'Use an ID token whose audience is a client that is configured here.',
  },
  TOK105: {
    kind: 'bad_token',
    says: 'the token is not an ID token',
    fix: 'Send the ID token: not an access token, an ID-JAG, a logout token or a client assertion.',
  },
  TOK106: {
    kind: 'bad_token',
    says: 'the token is too old or not valid yet',
    fix: 'Get a new ID token; if it is new, compare the clocks of the identity provider and of this gateway.',
  },
  TOK107: {
    kind: 'bad_token',
    says: 'the token belongs to a tenant that is not served here',
    fix: 'Sign in with a served tenant.',
  },
  TOK108: {
    kind: 'bad_token',
    says: 'tokens of this client are not accepted on proxied requests',
    fix: 'Use the token endpoint, or configure edge_client for this client of the identity provider.',
  },

  TOK109: {
    kind: 'bad_token',
    says: 'this sign-in has been ended by an administrator',
    fix: 'Sign in again.',
  },
  TOK110: {
    kind: 'unproven_token',
    says: 'the token is bound to a key, and the request does not prove possession of it',
    fix: 'Send a DPoP proof of the key that the token is bound to; at a resource with Authorization: DPoP.',
  },
  TOK111: {
    kind: 'unproven_token',
    says: 'the token is not bound to a key',
    fix: 'Send it as Authorization: Bearer without a proof, or have a token issued that is bound to your key.',
  },
  TOK112: {
    kind: 'bad_token',
    says: 'the subject token is malformed',
    fix: 'Send it unchanged as the identity provider issued it, a SAML assertion in base64url (RFC 8693 section 3).',
  },

  POL100: {
    kind: 'denied',
    says: 'no rule allows this',
    fix: 'An administrator can add an allow rule for this user, client, resource, method and path; where rules ask for groups, the ID token must have them.',
  },
  POL101: { kind: 'denied', says: 'rule {name} denies this', fix: 'An administrator can change the rule.' },
  POL102: {
    kind: 'insufficient_scope',
    says: 'a scope that was asked for is not allowed',
    fix: 'Ask for fewer scopes, or let an administrator allow them in a rule.',
  },
  POL103: {
    kind: 'step_up',
    says: 'rule {name} wants a stronger or newer login',
    fix: 'Sign in again as asked (acr_values, max_age), by a method the rule accepts, and use the new ID token.',
  },
  POL104: {
    kind: 'details_refused',
    says: 'a type of authorization_details that was asked for is not allowed',
    fix: 'Leave it out, or let an administrator allow the type in a rule.',
  },

  POL110: {
    kind: 'denied',
    says: 'access has been blocked by an administrator',
    fix: 'An administrator can lift the block.',
  },

  ...REFUSED_BEHIND,

  LIM101: { kind: 'too_large', says: 'the request is too large', fix: 'Send a smaller request.' },
  LIM102: {
    kind: 'media_type',
    says: 'this media type is not supported here',
    fix: 'Send application/x-www-form-urlencoded without content encoding.',
  },

  LIM201: {
    kind: 'denied',
    says: 'the ID-JAG quota of this user for {name} is used up for this month',
    fix: 'An administrator can raise id_jags_per_user_resource_month; the quota starts anew with the month (UTC).',
  },

  LIM202: {
    kind: 'rate_limited',
    says: 'this client sends too many requests',
    fix: 'Wait as long as the Retry-After header says; an administrator can raise rate_limit of this client.',
  },
  LIM203: {
    kind: 'target_refused',
    says: 'the tokens of {name} are bound to a key of this gateway, and are not handed out',
    fix: 'Send the requests for {name} through the gateway, which has the key.',
  },

  LIM204: {
    kind: 'unavailable',
    says: 'too many revocations of this client are in force',
    fix: 'Ask again later, or let an administrator revoke what this client holds as a whole.',
  },

  LIM205: {
    kind: 'rate_limited',
    says: 'the rule {name} has allowed too many requests of this user through this client',
    fix: 'Wait as long as the Retry-After header says; an administrator can raise rate of the rule {name}.',
  },

  ADM100: {
    kind: 'bad_request',
    says: 'the request is malformed at {name}',
    fix: 'Send what docs/operations.md describes, each part once and nothing else.',
  },
  ADM101: {
    kind: 'no_token',
    says: 'no administrator is logged in',
    fix: 'Send an ID token as Authorization: Bearer, or come through Cloudflare Access, whichever is configured.',
  },
  ADM102: {
    kind: 'denied',
    says: 'you do not have the right to do this',
    fix: 'Somebody who may change the configuration can give it to you in the section admin.',
  },
  ADM103: {
    kind: 'denied',
    says: 'the request comes from another site',
    fix: 'Send it from the page of this gateway, or without a browser.',
  },
  ADM104: {
    kind: 'unknown_target',
    says: 'there is no such thing here',
    fix: 'Compare the address and the id with what was listed.',
  },
  ADM105: {
    kind: 'bad_request',
    says: '{name} does not name anything that is configured here',
    fix: 'Use the name that stands in the configuration.',
  },
  ADM106: {
    kind: 'bad_request',
    says: '{name} is not a time that can be used here',
    fix: 'Send a time as RFC 3339 has it, at most ten years away: before must not lie in the future, until must.',
  },
  ADM107: {
    kind: 'bad_request',
    says: 'nothing says whom or what this is about',
    fix: 'Name at least one of user, idp, client and resource.',
  },
  ADM108: {
    kind: 'bad_request',
    says: 'this block would lock out whoever asks for it, and nobody might be left to lift it',
    fix: 'Give it an end (until), or have it made by an administrator whom it does not reach.',
  },
  ADM109: {
    kind: 'media_type',
    says: 'the body must be JSON',
    fix: 'Send Content-Type: application/json, exactly, without content encoding.',
  },

  INT100: {
    kind: 'fault',
    says: 'something went wrong here',
    fix: 'Report it, with the request id where the answer has one.',
  },
  INT101: { kind: 'unavailable', says: 'a part of the platform is not available', fix: 'Try again later.' },
  INT102: {
    kind: 'unavailable',
    says: 'it cannot be made sure that access has not been revoked',
    fix: 'Try again later.',
  },
  INT103: {
    kind: 'unavailable',
    says: 'the record of this decision could not be written, and nothing leaves here without one',
    fix: 'Try again later; an administrator looks after the sink of the audit events.',
  },
} as const satisfies Record<string, CatalogueRow>
