// Who and what the configuration names, in the field's standard terms: identity providers, authorization servers, clients,
// resources, rules. Types only; what one request makes of them is in model.ts.
//
// Three kinds of client that must never be mixed up: the *calling client* (whom policy knows, authenticated by us), the
// *IdP client* (the audience of the ID token, as which we exchange) and the *RAS client* (as which we redeem).
import type { Brand } from './lib/brand.ts'
import type { DpopUse, IdpQuirks, RasQuirks, SubjectTokenKind } from './quirks.ts'

/** An authorization server's issuer identifier, exactly as configured; never normalised (RFC 8414 section 3.3). */
export type Issuer = Brand<string, 'Issuer'>

/** An OAuth client identifier (RFC 6749 section 2.2). */
export type ClientId = Brand<string, 'ClientId'>

/** One scope token (RFC 6749 section 3.3): printable ASCII without space, `"` and `\`. */
export type ScopeToken = Brand<string, 'ScopeToken'>

/** The name of a Worker secret. Configuration holds names, never values. */
export type SecretName = Brand<string, 'SecretName'>

/** JWS algorithms that can be allowed at all: asymmetric ones (RFC 8725 section 3.1). */
export type SigningAlgorithm = 'RS256' | 'RS384' | 'RS512' | 'PS256' | 'PS384' | 'PS512' | 'ES256' | 'ES384' | 'EdDSA'

/** The name of a Worker binding that makes requests with a client certificate of ours. */
export type CertificateName = Brand<string, 'CertificateName'>

/** The current secret, and behind it the one before while a rotation lasts. */
export type SecretNames = readonly SecretName[]

/** How we authenticate at a token endpoint of somebody else (RFC 6749 section 2.3, RFC 7523 section 2.2). */
export type OutboundAuth =
  | { readonly method: 'client_secret_basic'; readonly secrets: SecretNames; readonly encoding: 'form' | 'raw' }
  | { readonly method: 'client_secret_post'; readonly secrets: SecretNames }
  | {
      readonly method: 'private_key_jwt'
      readonly keys: SecretNames
      readonly alg: SigningAlgorithm
      /** Whom the assertion names as `aud`: the issuer (rfc7523bis), or the token endpoint, as older servers demand. */
      readonly audience: 'issuer' | 'token_endpoint'
      readonly typ: 'client-authentication+jwt' | 'JWT' | 'none'
    }
  /** RFC 8705 section 2: the handshake authenticates, and the body says only who. */
  | { readonly method: 'tls_client_auth' | 'self_signed_tls_client_auth'; readonly certificate: CertificateName }
  | { readonly method: 'none' }

/** Public keys as published by their owner (RFC 7517 section 5). */
export interface PublicKeys {
  readonly keys: readonly Readonly<Record<string, unknown>>[]
}

/** How a calling client proves who it is at our token endpoint. */
export type InboundAuth =
  | { readonly method: 'client_secret_basic' | 'client_secret_post'; readonly secrets: SecretNames }
  | {
      readonly method: 'private_key_jwt'
      readonly keys: KeySource
      readonly algorithms: readonly SigningAlgorithm[]
    }

/** Where verification keys come from: given, fetched from a pinned address, or found by the issuer's metadata. */
export type KeySource =
  | { readonly kind: 'static'; readonly jwks: PublicKeys }
  | { readonly kind: 'fetched'; readonly jwksUri: string }
  | { readonly kind: 'discovered'; readonly issuer: Issuer }

/** An identity provider: it signs users in, and issues ID-JAGs to its clients. */
export interface Idp {
  readonly name: string
  readonly issuer: Issuer
  /** Undefined: discovered from the issuer. */
  readonly tokenEndpoint: string | undefined
  readonly keys: KeySource
  readonly claims: { readonly groups: string | undefined; readonly tenant: string | undefined }
  /** The tenants served, of a multi-tenant issuer; any other is refused. */
  readonly tenants: ReadonlySet<string> | undefined
  readonly idToken: { readonly maxAgeSeconds: number; readonly algorithms: readonly SigningAlgorithm[] }
  readonly quirks: IdpQuirks
  /** What it mostly takes where it refuses without a reason that could be told. */
  readonly wants: string
  readonly clients: ReadonlyMap<string, IdpClient>
}

/** One of our client registrations at an IdP. The `aud` of an ID token picks it, and no other is ever tried. */
export interface IdpClient {
  readonly name: string
  /** `idp/client`, as the configuration refers to it. */
  readonly ref: string
  readonly idpName: string
  readonly id: ClientId
  readonly auth: OutboundAuth
  /** Those of its identity provider. */
  readonly quirks: IdpQuirks
  /** Who calls when a proxied request carries such an ID token and nothing else; undefined: such requests are refused. */
  readonly edgeClient: string | undefined
}

/** What a caller need not show is judged all the same where it is shown. */
export type Demand = 'optional' | 'required'

/** Somebody who calls us and whom policy knows by name. */
export interface CallingClient {
  readonly name: string
  /** References (`idp/client`) of the IdP clients whose subject tokens this caller may present, and of which kinds. */
  readonly subjectTokens: ReadonlySet<string>
  readonly subjectKinds: ReadonlySet<SubjectTokenKind>
  /** Undefined: has no authentication of its own and cannot use the token endpoint. */
  readonly auth: InboundAuth | undefined
  /** Whether it must show a DPoP proof (RFC 9449), and whether that must have a nonce of ours in it. */
  readonly dpop: Demand
  readonly dpopNonce: Demand
  readonly rateLimit: RateLimit | undefined
}

/** A counter that the platform keeps: so many requests in a period. Each location of the network counts for itself, roughly. */
export interface RateLimit {
  /** The binding of the Worker. */
  readonly binding: string
  readonly limit: number
  readonly periodSeconds: 10 | 60
}

/** Our registration at a Resource Authorization Server. */
export interface RasClient {
  readonly id: ClientId
  readonly auth: OutboundAuth
}

/** A Resource Authorization Server, with what it needs to be asked in its own way. */
export interface ResourceAuthorizationServer {
  readonly issuer: Issuer
  /** Undefined: discovered from the issuer. */
  readonly tokenEndpoint: string | undefined
  /** What the IdP knows it by, where that is not its issuer (draft section 4.3). */
  readonly audience: string
  readonly quirks: RasQuirks
  /** What it mostly takes where it refuses without a reason that could be told. */
  readonly wants: string
}

/** How a resource appears at our door, and where requests go from there. */
export interface Proxy {
  readonly match: { readonly kind: 'path'; readonly prefix: string } | { readonly kind: 'host'; readonly host: string }
  /** Absolute URL without query and fragment, without a trailing slash. */
  readonly upstream: string
  /** Further request headers to pass on, in lower case. */
  readonly requestHeaders: readonly string[]
  /** The cookies that cross, in both directions; names are case-sensitive. */
  readonly cookies: readonly string[]
  /** Origins of pages that we let in ourselves; any other is passed on for the upstream to judge. */
  readonly ownOrigins: ReadonlySet<string>
  /** Request bodies up to this size are kept until the upstream has taken the token. */
  readonly replayMaxBytes: number
  /** Whether WebSocket upgrades are passed on: a connection outlives every later decision about it. */
  readonly webSocket: boolean
  /** The public URL of this resource (RFC 9728 section 1.2 resource identifier), without a trailing slash. */
  readonly publicUrl: string
  /** Where its protected-resource metadata stands (RFC 9728 section 3.1). */
  readonly metadataUrl: string
}

/** What lies behind us: an API with its own authorization server that redeems ID-JAGs. */
export interface Resource {
  readonly name: string
  readonly kind: 'id-jag'
  readonly authorizationServer: ResourceAuthorizationServer
  /** The resource indicator (RFC 8707 section 2), sent verbatim; undefined: none is sent. */
  readonly resource: string | undefined
  readonly client: RasClient
  /** Registrations that belong to one calling client each. */
  readonly clientsByCaller: ReadonlyMap<string, RasClient>
  readonly scopes: readonly ScopeToken[]
  /** The types of authorization details (RFC 9396) it takes. */
  readonly detailTypes: readonly string[]
  /** Whether its access tokens are bound to a key of ours. */
  readonly dpop: DpopUse
  readonly proxy: Proxy | undefined
}

/** `shadow-deny`: what it would deny is recorded, and passes. */
export type Effect = 'allow' | 'deny' | 'shadow-deny'

/** A policy rule as configured, names resolved. An absent condition holds for everything. */
export interface Rule {
  readonly id: string
  readonly effect: Effect
  readonly users: readonly UserMatch[] | undefined
  readonly groups: readonly string[] | undefined
  readonly clients: readonly string[] | undefined
  readonly tenants: readonly string[] | undefined
  /** By the name of the claim; one of the values is enough, and every claim must have one. */
  readonly claims: ReadonlyMap<string, readonly ClaimValue[]> | undefined
  /** How the user signed in: one of these classes, by one of these methods, so many seconds ago at most. */
  readonly acr: readonly string[] | undefined
  readonly amr: readonly string[] | undefined
  readonly maxAuthAgeSeconds: number | undefined
  /** Milliseconds since the epoch: from then on it is as if the rule did not exist. */
  readonly until: number | undefined
  readonly resources: readonly string[] | undefined
  readonly scopes: readonly ScopeToken[] | undefined
  /** Types of authorization details. Unlike scopes, an allow rule that names none allows none. */
  readonly detailTypes: readonly string[] | undefined
  readonly methods: readonly string[] | undefined
  readonly paths: readonly string[] | undefined
  /** How often each user may do through each client what it allows. No condition: it is asked of once all is decided. */
  readonly rate: RateLimit | undefined
}

/** What a rule compares a claim with. */
export type ClaimValue = string | number | boolean

/** A subject, at one IdP or (only where one is configured, or in a deny rule) at any. */
export interface UserMatch {
  readonly idp: string | undefined
  readonly subject: string
}
