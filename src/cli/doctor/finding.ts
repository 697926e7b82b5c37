// What the doctor can find: its codes, and one check with what it has to say. Where in a file something has to be changed is
// part of every finding.

import type { ConfigPath } from '../../config/config.ts'

/** The DOC family: as with CFG, 1xx is red and 2xx is amber. The titles are for the manual. */
export const DOCTOR_CODES = {
  DOC101: 'a server cannot be reached',
  DOC102: 'metadata cannot be had',
  DOC103: 'the metadata names another issuer',
  DOC104: 'the metadata names no endpoint that can be used',
  DOC105: 'a key set cannot be used',
  DOC106: 'no published key fits the configured algorithms',
  DOC107: 'the clock of a server is off',
  DOC108: 'a server refuses our credential',
  DOC109: 'a server does not do what is asked of it',
  DOC110: 'a server accepts what nobody may accept',
  DOC111: 'a certificate is good for no more than a few days',
  DOC112: 'the API knows itself by another resource identifier',
  DOC113: 'the API trusts another authorization server',
  DOC114: 'a secret is missing',
  DOC115: 'a secret cannot be what it has to be',
  DOC116: 'the Worker lacks a binding',
  DOC117: 'a setting of wrangler keeps the Worker from running, or from being safe',
  DOC118: 'a scope is misspelt',
  DOC119: 'the gateway refuses the token',
  DOC120: 'the token has no groups, but rules ask for them',
  DOC121: 'the chain ends in a refusal',
  DOC201: 'a grant is not advertised',
  DOC202: 'an authentication method is not advertised',
  DOC203: 'a scope is not advertised',
  DOC204: 'it cannot be told whether a credential is good',
  DOC205: 'the clock of a server is slow or fast',
  DOC206: 'a certificate ends within a month',
  DOC207: 'the clock of this machine is off',
  DOC208: 'a secret looks wrong',
  DOC209: 'a setting of wrangler is hardly meant',
  DOC210: 'a key set invites trouble',
  DOC211: 'the groups claim is not advertised',
  DOC212: 'the secrets of wrangler and of the configuration differ',
  DOC213: 'the metadata names another endpoint than the configuration',
  DOC214: 'tokens are to be bound to a key, and nothing says that the server does that',
  DOC215: 'the API does not ask for a token',
  DOC216: 'nobody may present tokens of this client',
  DOC217: 'a client is known, but may not use the grant',
  DOC218: 'a server takes only the previous one of two secrets',
  DOC219: 'the token lacks a claim that rules ask for',
} as const

export type DoctorCode = keyof typeof DOCTOR_CODES

/** Where something stands: in the configuration, or in wrangler's. */
export interface Place {
  readonly file: 'config' | 'wrangler'
  readonly path: ConfigPath
  /** Which part of the property is meant. */
  readonly at?: 'key' | 'value'
}

export interface Finding {
  readonly code: DoctorCode
  readonly message: string
  readonly help?: string | undefined
  /** What has to be changed or looked at, the most likely first. */
  readonly places: readonly [Place, ...Place[]]
  /** Nothing was found out because nobody answered. */
  readonly unreachable?: boolean
}

export type Colour = 'green' | 'amber' | 'red' | 'skipped'

export interface Check {
  /** What it is about, as a path into the configuration: `idps.okta`. */
  readonly about: string
  readonly name: string
  /** In a few words what was seen. */
  readonly says: string
  readonly findings: readonly Finding[]
  /** It was not looked at; `says` says why. */
  readonly skipped?: boolean
}

export function colourOf({ findings, skipped }: Check): Colour {
  if (findings.some(({ code }) => isRed(code))) return 'red'
  if (findings.length > 0) return 'amber'
  return skipped === true ? 'skipped' : 'green'
}

export function isRed(code: DoctorCode): boolean {
  return code.startsWith('DOC1')
}

/** A place in the configuration. */
export function inConfig(path: ConfigPath, at?: 'key' | 'value'): Place {
  return at === undefined ? { file: 'config', path } : { file: 'config', path, at }
}

export function inWrangler(path: ConfigPath, at?: 'key' | 'value'): Place {
  return at === undefined ? { file: 'wrangler', path } : { file: 'wrangler', path, at }
}

/** `idps.okta.clients.gateway` */
export function toDotted(path: ConfigPath): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`))
    .join('')
    .replace(/^\./, '')
}
