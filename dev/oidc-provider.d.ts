// The small part of oidc-provider 9 which the local world uses; the package comes without types.

declare module 'oidc-provider' {
  import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

  export type Parameters = Record<string, string | string[] | undefined>

  export type Client = { readonly clientId: string }

  export type Context = {
    path: string
    method: string
    body: unknown
    status: number
    readonly req: IncomingMessage
    readonly res: ServerResponse
    readonly oidc?: {
      readonly client: Client
      readonly params: Parameters
      readonly body?: Parameters
      readonly session?: { readonly accountId?: string }
      readonly provider: Provider
    }
  }

  export type Account = {
    readonly accountId: string
    readonly claims: () => Record<string, unknown> | Promise<Record<string, unknown>>
  }

  export type ResourceServerOptions = {
    scope: string
    audience?: string
    accessTokenFormat?: 'jwt' | 'opaque'
    accessTokenTTL?: number
    jwt?: { sign: { alg: string } }
  }

  export class ResourceServer {
    constructor(identifier: string, options: ResourceServerOptions)
  }

  export class AccessToken {
    constructor(options: {
      accountId: string
      client: Client
      scope?: string
      grantId?: string
      gty?: string
      resourceServer?: ResourceServer
    })
    readonly expiration: number
    /** `DPoP` once it is bound to a key. */
    readonly tokenType: string
    setThumbprint(method: 'jkt', thumbprint: string): void
    save(): Promise<string>
  }

  export type RefreshTokenFields = {
    readonly accountId: string
    readonly acr?: string
    readonly amr?: readonly string[]
    readonly authTime?: number
    readonly expiresWithSession?: boolean
    readonly grantId: string
    readonly scope?: string
    readonly sessionUid?: string
  }

  export class RefreshToken {
    constructor(options: RefreshTokenFields & { readonly client: Client; readonly gty: string })
    /** Undefined: unknown, expired, or of a session that is over. */
    static find(token: string): Promise<(RefreshToken & RefreshTokenFields) | undefined>
    static revokeByGrantId(grantId: string): Promise<void>
    readonly clientId: string
    readonly gty: string
    readonly consumed?: unknown
    consume(): Promise<void>
    save(): Promise<string>
  }

  export class Grant {
    constructor(options: { accountId: string; clientId: string })
    addOIDCScope(scope: string): void
    save(): Promise<string>
  }

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    proxy: boolean
    readonly issuer: string
    readonly ResourceServer: typeof ResourceServer
    readonly AccessToken: typeof AccessToken
    readonly RefreshToken: typeof RefreshToken
    readonly Grant: typeof Grant
    callback(): RequestListener
    use(middleware: (ctx: Context, next: () => Promise<void>) => Promise<void>): void
    on(event: string, listener: (...values: unknown[]) => void): void
    registerGrantType(
      name: string,
      handler: (ctx: Required<Context>) => Promise<void>,
      parameters: readonly string[],
      repeatable?: readonly string[],
    ): void
    interactionDetails(
      request: IncomingMessage,
      response: ServerResponse,
    ): Promise<{ readonly uid: string; readonly prompt: { readonly name: string }; readonly params: Parameters }>
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: { login: { accountId: string; acr: string; amr: readonly string[] } },
    ): Promise<void>
  }

  type Described = new (description: string) => Error
  export const errors: {
    readonly InvalidRequest: Described
    readonly InvalidTarget: Described
    readonly InvalidScope: new (description: string, scope?: string) => Error
    readonly AccessDenied: Described
    /** The public description is always the same; this one is for the log. */
    readonly InvalidGrant: Described
    readonly CustomOIDCProviderError: new (error: string, description: string) => Error
  }
}

declare module 'oidc-provider/lib/adapters/memory_adapter.js' {
  export default class MemoryAdapter {
    constructor(model: string)
  }
}

declare module 'oidc-provider/lib/helpers/validate_dpop.js' {
  import type { Context, Provider } from 'oidc-provider'

  export type Proof = { readonly thumbprint: string; readonly jti: string; readonly iat: number }

  /** Undefined: no proof came. */
  export default function validateDpop(provider: Provider, ctx: Context): Promise<Proof | undefined>
  export function checkDpopReplay(provider: Provider, ctx: Context, proof: Proof, clientId: string): Promise<void>
}
