// In which ways servers differ that all speak ID-JAG: types alone. What products do is in config/profiles.ts.

/** Kinds of subject token (RFC 8693 section 3) that say who the user is. */
export type SubjectTokenKind = 'id_token' | OpaqueKind

/** Those that only their identity provider can read. */
export type OpaqueKind = 'refresh_token' | 'saml2'

/** Whether tokens are bound to a key of ours (RFC 9449). `try`: a server that does not bind them is taken as it is. */
export type DpopUse = 'off' | 'try' | 'require'

/** How an identity provider wants to be asked, where servers differ. */
export interface IdpQuirks {
  /** How the request names the RAS: by `audience`, or by `resource` as before revision 05 of the individual draft. */
  readonly target: 'audience' | 'legacy_resource'
  /** Whether the request carries the resource indicator of the API, where one is configured. */
  readonly sendResource: boolean
  /** The kinds of subject token it exchanges. */
  readonly subjectTokens: ReadonlySet<SubjectTokenKind>
  /** Whether a SAML assertion is exchanged for a refresh token first (draft section 4.5). */
  readonly samlTwoStep: boolean
  readonly samlEncoding: 'base64url' | 'base64'
  /** What is sent as `actor_token`: nothing, the client assertion itself, or what the caller has presented. */
  readonly actorToken: 'none' | 'client_assertion' | 'caller'
  readonly dpop: DpopUse
}

/** How a Resource Authorization Server wants to be asked, where servers differ. */
export interface RasQuirks {
  /** `scope` on the redemption: the same as in the ID-JAG, or left out. */
  readonly sendScope: 'same' | 'none'
  /** `resource` on the redemption. */
  readonly sendResource: boolean
  /** Whether the RAS lets one ID-JAG be redeemed again until it expires (draft section 4.4.3). */
  readonly idJagReuse: boolean
  /** The grant type of a redemption with a DPoP proof. */
  readonly redeemGrant: 'jwt-bearer' | 'jwt-dpop'
  /** A token with more scope than was asked: refused, or taken where the server is known to add its defaults. */
  readonly extraScopes: 'refuse' | 'accept'
  /** How long a token lives whose answer says nothing of it. */
  readonly defaultTtlSeconds: number
}
