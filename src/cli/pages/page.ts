// What a page of the manual says of a refusal beyond the catalogue that the Worker carries. Types only.

/** Who can do something about it. */
export type Party =
  'caller' | 'user' | 'administrator' | 'identity provider' | 'authorization server' | 'API' | 'nobody'

/**
 * Where an answer with a code can come from. `clients`: all of /token, /revoke and /introspect; `token` and `revoke`: that
 * one alone. `public`: a document, or an address where nothing is; nobody decides anything there. `sign-in`: /authorize.
 */
export type Door = 'resource' | 'clients' | 'token' | 'revoke' | 'admin' | 'public' | 'sign-in'

export interface Page {
  readonly doors: readonly Door[]
  readonly expected: string
  /** What came instead; what can stand there is always ours. */
  readonly got: string
  readonly who: readonly Party[]
  /** Keys of jagway.jsonc to look at; NAME stands for a name of yours. */
  readonly fields?: readonly string[]
  /** Other codes that look like it. */
  readonly related?: readonly string[]
}
