// Who administrates, and what that entitles them to.
import type { NumericDate } from './lib/numeric-date.ts'
import type { UserMatch } from './parties.ts'

/** Who holds a right: these users, and members of these groups. */
export interface RightHolders {
  readonly users: readonly UserMatch[]
  /** `idp` undefined only where a single identity provider is configured: another's group of that name is another group. */
  readonly groups: readonly { readonly idp: string | undefined; readonly name: string }[]
}

/** How administrators say who they are, and which right each has; revoking implies viewing. */
export interface AdminAccess {
  /** Cloudflare Access; e-mail addresses, or `*` for whoever Access lets through. */
  readonly access:
    | {
        /** The issuer of its tokens; its keys stand beneath. */
        readonly teamDomain: string
        readonly audience: string
        readonly view: ReadonlySet<string>
        readonly revoke: ReadonlySet<string>
      }
    | undefined
  readonly idToken:
    | {
        /** Through which calling clients; undefined: any. */
        readonly clients: ReadonlySet<string> | undefined
        /** Of which tenants; undefined: any. */
        readonly tenants: ReadonlySet<string> | undefined
        readonly view: RightHolders
        readonly revoke: RightHolders
      }
    | undefined
  /** So many of the last decisions are kept for looking at, in each place where they are kept; 0: they are counted alone. */
  readonly decisionsKept: number
}

/** A session of Cloudflare Access counts for no longer, whatever Access has been told: cut-offs are kept for as long. */
export const ACCESS_SESSION_SECONDS = 24 * 60 * 60

export type AdminRight = 'view' | 'revoke'

/** Proof of who calls the administration, with the rights the configuration gives them. Made by `identity/` only. */
export declare class AdminCaller {
  private constructor()
  readonly #proof: 'AdminCaller'
  readonly via: 'access' | 'id_token'
  /** Who vouches: the identity provider, or the team domain of Cloudflare Access. */
  readonly issuer: string
  /** The subject at the identity provider, or the e-mail address that Access vouches for. */
  readonly subject: string
  /** The identity provider and the calling client as the configuration names them; undefined: came through Access. */
  readonly idp: string | undefined
  readonly client: string | undefined
  /** Undefined: a session of the platform that does not say since when it is. */
  readonly issuedAt: NumericDate | undefined
  readonly rights: ReadonlySet<AdminRight>
}
