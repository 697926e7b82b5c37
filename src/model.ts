// What is found out about one request, and about whom: users, keys, tokens, and the proofs that stages of trust hand on. Types
// only; the configured parties are in parties.ts.
import type { NumericDate } from './lib/numeric-date.ts'
import type { KeyPair } from './lib/key-pair.ts'
import type { Secret } from './lib/secret.ts'
import type { OpaqueKind } from './quirks.ts'
import type { ClaimValue, ClientId, IdpClient, InboundAuth, Issuer, Resource, ScopeToken } from './parties.ts'

/** What a token has under a claim: its values, or something that no value can be compared with. */
export type ClaimReading = readonly ClaimValue[] | 'unreadable'

/** Who somebody is: the pair of issuer and subject (plus tenant) identifies; nothing else does. */
export interface Principal {
  readonly idp: string
  readonly issuer: Issuer
  readonly subject: string
  readonly tenant: string | undefined
  /** Undefined: it is the user who asks. Policy takes whoever acts for the user for the user; no cache does. */
  readonly act: Delegation | undefined
  /** Undefined: unknown. Then no group lets anybody in, and what keeps a group out keeps this user out. */
  readonly groups: readonly string[] | undefined
  /** Those claims of the assertion that rules ask for, `acr` and `amr` among them; no others are kept. */
  readonly claims: ReadonlyMap<string, ClaimReading>
  /** How strong the login was by its own word (`acr`): the claim as JSON, read whatever rules ask for. */
  readonly acr: string | undefined
  readonly authTime: NumericDate | undefined
  /** When the assertion that says so was issued, and when it expires. */
  readonly issuedAt: NumericDate
  readonly expiresAt: NumericDate
}

/** A key of the caller, which signed a DPoP proof for this very request (RFC 9449). */
export interface ProvenKey {
  /** RFC 7638, SHA-256. */
  readonly thumbprint: string
  /** What the next proof is to have in it; undefined: no nonce is demanded. */
  readonly nextNonce: string | undefined
}

// The proofs. They are declared as classes that do not exist: a private name can be neither written into an object literal
// nor carried over by a spread, so none of them can be made or altered without a cast, and casts are counted.

/** Proof that a calling client is who it says. Made by `identity/` only. */
export declare class AuthenticatedClient {
  private constructor()
  readonly #proof: 'AuthenticatedClient'
  readonly name: string
  /** `edge`: the caller has no authentication of its own; the ID token's audience names it. */
  readonly method: 'edge' | InboundAuth['method']
  /** Undefined: no proof came with the request. */
  readonly key: ProvenKey | undefined
}

/** Proof that a user stands behind a request and that this caller may present their token. Made by `identity/` only. */
export declare class VerifiedAssertion {
  private constructor()
  readonly #proof: 'VerifiedAssertion'
  readonly principal: Principal
  readonly caller: AuthenticatedClient
  readonly idpClient: IdpClient
  readonly subject: Subject
}

/** What the user is shown by: a token that we read, or one that only its identity provider reads, with its answer. */
export type Subject =
  | { readonly kind: 'id_token'; readonly token: Secret }
  | { readonly kind: OpaqueKind; readonly token: Secret; readonly introduction: Introduction }

/** Proof that policy does not rule out what a client asks for, whoever the user turns out to be. Made by `policy/` only. */
export declare class Prospect {
  private constructor()
  readonly #proof: 'Prospect'
  readonly client: AuthenticatedClient
  readonly resource: Resource
  /** All that could be permitted of what was asked. */
  readonly scopes: readonly ScopeToken[]
  readonly details: AuthorizationDetails | undefined
  readonly actor: Actor | undefined
}

/**
 * What an identity provider has answered to a subject token that only it can read: an ID-JAG for this very prospect. It names the
 * user once `identity/` has verified it. Made by `credentials/` only.
 */
export declare class Introduction {
  private constructor()
  readonly #proof: 'Introduction'
  readonly id: string
  readonly prospect: Prospect
  readonly kind: OpaqueKind
  readonly token: Secret
  readonly idpClient: IdpClient
  /** Our client at the authorization server of the resource, for which the ID-JAG must be. */
  readonly rasClientId: ClientId
  readonly idJag: IdJag
  readonly key: KeyPair | undefined
  /** When the identity provider first said whose this subject token is. */
  readonly since: NumericDate
  /** When the exchange began, in milliseconds since the epoch. */
  readonly obtainedAt: number
  /** Nobody is known by it from then on. */
  readonly until: NumericDate
}

/** A grant of an identity provider for one authorization server. */
export interface IdJag {
  readonly token: Secret
  readonly jti: string | undefined
  /** Undefined: unknown. */
  readonly expiresAt: NumericDate | undefined
  readonly scopes: readonly ScopeToken[]
  /** What was granted; undefined: none were asked. */
  readonly details: AuthorizationDetails | undefined
  /** Who acts for the user, as far as it can be read; the one who presents it first. */
  readonly actors: readonly ActingParty[]
  /** Whether it can only be redeemed by whoever has the key that was proven when it was asked for. */
  readonly bound: boolean
}

/** Who acts for the user (RFC 8693 section 2.1), as the caller has presented it. Only the identity provider can judge it. */
export interface Actor {
  readonly token: Secret
  readonly type: string
  /** SHA-256 of both, whole: nothing inside that nobody has verified may choose what is cached for whom. */
  readonly digest: string
}

/** Who acts for the user by the word of the token that says who the user is (`act`, RFC 8693 section 4.1). */
export interface Delegation {
  /** The whole claim, canonical. */
  readonly json: string
  /** Outermost first. */
  readonly chain: readonly ActingParty[]
}

/** One party of an `act` claim (RFC 8693 section 4.1), for the record alone. */
export interface ActingParty {
  readonly sub: string
  readonly iss?: string
}

/** What is asked for beyond scopes (RFC 9396): one canonical JSON text, and the types in it, sorted. */
export interface AuthorizationDetails {
  readonly json: string
  readonly types: readonly string[]
}

/** Proof that policy allows this user, through this caller, to use a resource with these scopes. Made by `policy/` only. */
export declare class Permit {
  private constructor()
  readonly #proof: 'Permit'
  readonly assertion: VerifiedAssertion
  readonly resource: Resource
  readonly scopes: readonly ScopeToken[]
  readonly details: AuthorizationDetails | undefined
  readonly actor: Actor | undefined
  /** The id of the rule that allowed it. */
  readonly rule: string
  /** The ids of shadow rules that would have denied it, or some of its scopes. */
  readonly shadow: readonly string[]
  /** The ids of other rules that were about it: they allow it too, or deny some of it. */
  readonly also: readonly string[]
  /** How the user signed in, as far as that is told (`acr`) or asked for here (`amr`); a token of another login is another token. */
  readonly assurance: string | undefined
  /** Access tokens obtained up to this time are dead, in milliseconds since the epoch; 0: none is. */
  readonly tokensUntil: number
}

/** What somebody wants to do with a resource. */
export type Action =
  | { readonly kind: 'http'; readonly method: string; readonly path: string }
  /** Wants a token in hand. `scopes` undefined: whatever policy gives. */
  | {
      readonly kind: 'token'
      readonly scopes: readonly ScopeToken[] | undefined
      readonly details?: AuthorizationDetails | undefined
      readonly actor?: Actor | undefined
    }

/** An access token of a resource's own authorization server. */
declare class ResourceToken {
  private constructor()
  readonly #proof: 'Credential'
  /** The name of the resource it opens, and no other. */
  readonly resource: string
  /** Identifies the cache entry it comes from; says nothing about the token. */
  readonly entryId: string
  readonly token: Secret
  readonly scopes: readonly ScopeToken[]
  /** What was granted of what was asked; undefined: nothing was asked. */
  readonly details: AuthorizationDetails | undefined
  readonly expiresAt: NumericDate
}

/** What opens the resource: the token alone, or with a proof of the key it is bound to (RFC 9449). */
export type Credential =
  (ResourceToken & { readonly kind: 'bearer' }) | (ResourceToken & { readonly kind: 'dpop'; readonly key: KeyPair })

/** Where a credential was found. `flight`: another request was fetching it already. */
export type CredentialOrigin = 'memory' | 'kv' | 'flight' | 'exchange'
