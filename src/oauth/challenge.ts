// WWW-Authenticate: the challenges we send (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470 section 3, RFC 9728 section
// 5.1), and reading those a resource sends.
import { isScopeToken } from './vocabulary.ts'

/** What to ask an identity provider for, so that an ID token comes back (OpenID Connect Core section 3.1.2.1). */
export const SIGN_IN_SCOPES: readonly string[] = ['openid']

export interface Challenge {
  readonly error?:
    | 'invalid_token'
    | 'invalid_dpop_proof'
    | 'use_dpop_nonce'
    | 'insufficient_scope'
    | 'insufficient_user_authentication'
  readonly errorDescription?: string
  readonly scopes?: readonly string[]
  readonly acrValues?: string
  readonly maxAgeSeconds?: number
  readonly resourceMetadata: string
  /** The scheme is DPoP, by these; undefined: Bearer. */
  readonly proofAlgorithms?: readonly string[]
}

export function toWwwAuthenticate(challenge: Challenge): string {
  const parameters: string[] = []
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== '')
      parameters.push(`${name}="${value.replaceAll(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '')}"`)
  }
  add('error', challenge.error)
  add('error_description', challenge.errorDescription)
  add('scope', challenge.scopes?.join(' '))
  add('acr_values', challenge.acrValues)
  add('max_age', challenge.maxAgeSeconds?.toString())
  add('algs', challenge.proofAlgorithms?.join(' '))
  add('resource_metadata', challenge.resourceMetadata)
  return `${challenge.proofAlgorithms === undefined ? 'Bearer' : 'DPoP'} ${parameters.join(', ')}`
}

const FOREIGN_ERRORS = [
  'invalid_token',
  'insufficient_scope',
  'insufficient_user_authentication',
  'invalid_dpop_proof',
  'use_dpop_nonce',
] as const

type ForeignError = (typeof FOREIGN_ERRORS)[number]

/** What of a resource's own challenge a caller may learn: never its words, only registered members with checked values. */
export interface ForeignChallenge {
  readonly error: ForeignError | undefined
  readonly scopes: readonly string[]
  readonly acrValues: string | undefined
  readonly maxAgeSeconds: number | undefined
}

/** A parameter, or a word without a value: that is a scheme (RFC 9110 section 11.6.1). */
const PART = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+)))?/g
const MAX_HEADER_LENGTH = 4096

/** Reads the members of the first Bearer or DPoP challenge, or of the first DPoP challenge; anything odd is left out. */
export function parseWwwAuthenticate(header: string | null, scheme?: 'dpop'): ForeignChallenge {
  const nothing: ForeignChallenge = { error: undefined, scopes: [], acrValues: undefined, maxAgeSeconds: undefined }
  if (header === null || header.length > MAX_HEADER_LENGTH) return nothing
  const members = new Map<string, string>()
  let isOurs = false
  for (const [, name = '', quoted, plain] of header.matchAll(PART)) {
    const value = quoted ?? plain
    if (value !== undefined) {
      if (isOurs && !members.has(name.toLowerCase())) members.set(name.toLowerCase(), value)
      continue
    }
    if (isOurs) break
    isOurs = (scheme === undefined ? /^(?:bearer|dpop)$/i : /^dpop$/i).test(name)
  }
  const error = members.get('error')
  const maxAge = members.get('max_age')
  const acrValues = members.get('acr_values')
  return {
    error: FOREIGN_ERRORS.find((known) => known === error),
    scopes: (members.get('scope') ?? '').split(' ').filter((scope) => isScopeToken(scope)),
    acrValues: acrValues !== undefined && /^[\x21\x23-\x5B\x5D-\x7E ]{1,512}$/.test(acrValues) ? acrValues : undefined,
    maxAgeSeconds: maxAge !== undefined && /^\d{1,9}$/.test(maxAge) ? Number(maxAge) : undefined,
  }
}
