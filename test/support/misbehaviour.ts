// Everything an identity provider or an authorization server may do wrong, with the refusal it leads to. Both doors run the
// same list, each in its own dialect.
import { gzipSync } from 'node:zlib'
import type { Counterparties, Script } from './counterparties.ts'

export type Misbehaviour = {
  readonly what: string
  readonly script: (world: Counterparties) => Script
  /** The number of the refusal; its family is the leg's. */
  readonly number: 106 | 109 | 110 | 111 | 112 | 113
  readonly retryAfter?: string | RegExp
  /** Where it can only be done by one of the two. */
  readonly only?: 'IDP' | 'RAS'
}

/** A text that must not come out anywhere. */
export const FOREIGN = 'FOREIGN-words'

const STATUS = { 106: 502, 109: 502, 110: 503, 111: 504, 112: 503, 113: 502 } as const

export function statusOf({ number }: Misbehaviour): number {
  return STATUS[number]
}

/** RFC 6749 section 5.2 has no word for a server in between; these are the ones of section 4.1.2.1. */
export function wordOf({ number }: Misbehaviour): string {
  return number === 106 || number === 109 || number === 113 ? 'server_error' : 'temporarily_unavailable'
}

const json = { 'content-type': 'application/json' }
const always = (script: Script) => () => script
const errorAnswer = (status: number, error: string): (() => Script) =>
  always({ status, json: { error, error_description: FOREIGN, error_uri: `http://${FOREIGN}.example/` } })

export const MISBEHAVIOUR: readonly Misbehaviour[] = [
  { what: 'breaks the connection', script: always('reset'), number: 110, retryAfter: '5' },

  ...[301, 302, 303, 307, 308].map((status): Misbehaviour => {
    const script = ({ evilOrigin }: Counterparties): Script => ({
      status,
      headers: { location: `${evilOrigin}/token` },
      // What would pass for an answer must not be read.
      json: { access_token: FOREIGN, token_type: 'Bearer', expires_in: 600 },
    })
    return { what: `redirects elsewhere with ${status}`, script, number: 109 }
  }),

  ...scripts([
    ['a page of HTML', { body: `<html>${FOREIGN}</html>`, headers: { 'content-type': 'text/html' } }],
    ['JSON of another media type', { body: '{"access_token":"x"}', headers: { 'content-type': 'text/plain' } }],
    ['no media type', { body: '{}', headers: { 'content-type': '' } }],
    ['no JSON', { body: `{"${FOREIGN}`, headers: json }],
    ['a JSON list', { body: '[]', headers: json }],
    ['null', { body: 'null', headers: json }],
    ['nothing', { body: '', headers: json }],
    ['an empty object', { json: {} }],
    ['a repeated member', { body: '{"access_token":"a","access_token":"b","token_type":"Bearer"}', headers: json }],
    ['bytes that are not UTF-8', { body: Buffer.from('{"access_token":"\xff"}', 'latin1'), headers: json }],
    ['a byte order mark', { body: '\ufeff{"access_token":"x","token_type":"Bearer"}', headers: json }],
    ['nesting without end', { body: `{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`, headers: json }],
    ['200 KB', { json: { access_token: 'x', token_type: 'Bearer', pad: FOREIGN.repeat(16_000) } }],
    [
      'a small body that unpacks to 10 MB',
      { body: gzipSync(Buffer.alloc(10_000_000, 0x20)), headers: { ...json, 'content-encoding': 'gzip' } },
    ],
    ['an error with status 200', { json: { error: 'invalid_grant', error_description: FOREIGN } }],
    ['an error beside a token', { json: { error: FOREIGN, access_token: 'x', token_type: 'Bearer' } }],
    ['204', { status: 204 }],
    ['an unknown error word', { status: 400, json: { error: FOREIGN } }],
    ['418 in HTML', { status: 418, body: FOREIGN }],
    ['404', { status: 404, body: FOREIGN }],
  ]).map(([what, script]): Misbehaviour => ({
    what: `answers ${what}`,
    script: always(script),
    number: 109,
  })),

  ...[
    [undefined, '5'],
    ['3', '3'],
    ['0', '1'],
    ['99999', '120'],
    ['soon', '5'],
    ['-4', /^[15]$/],
    [new Date(Date.now() + 3_600_000).toUTCString(), '120'],
    ['Wed, 21 Oct 2015 07:28:00 GMT', '1'],
  ].map(([header, retryAfter]): Misbehaviour => {
    const headers = typeof header === 'string' ? { 'retry-after': header } : {}
    return {
      what: `answers 429 with Retry-After ${String(header)}`,
      script: always({ status: 429, json: { error: 'slow_down', error_description: FOREIGN }, headers }),
      number: 112,
      ...(retryAfter === undefined ? {} : { retryAfter }),
    }
  }),
  ...[500, 502, 503, 504].map((status): Misbehaviour => {
    return { what: `answers ${status}`, script: always({ status, body: FOREIGN }), number: 112, retryAfter: '5' }
  }),
  { what: 'answers 500 with an error word', script: errorAnswer(500, 'invalid_grant'), number: 112, retryAfter: '5' },
  ...['temporarily_unavailable', 'server_error', 'slow_down'].map((error): Misbehaviour => {
    return { what: `answers ${error}`, script: errorAnswer(400, error), number: 112, retryAfter: '5' }
  }),

  ...['invalid_client', 'unsupported_grant_type'].map((error): Misbehaviour => {
    return { what: `answers ${error}`, script: errorAnswer(error === 'invalid_client' ? 401 : 400, error), number: 106 }
  }),
  ...['invalid_dpop_proof', 'use_dpop_nonce'].map((error): Misbehaviour => {
    return { what: `answers ${error}`, script: errorAnswer(400, error), number: 113 }
  }),
  { what: 'answers 401 without a word', script: always({ status: 401, body: FOREIGN }), number: 106 },
  {
    what: 'answers invalid_authorization_details',
    script: errorAnswer(400, 'invalid_authorization_details'),
    number: 106,
    only: 'IDP',
  },
  { what: 'answers unauthorized_client', script: errorAnswer(400, 'unauthorized_client'), number: 106, only: 'RAS' },
  { what: 'answers invalid_request', script: errorAnswer(400, 'invalid_request'), number: 106, only: 'RAS' },

  ...scripts([
    [
      'an access token where an ID-JAG was asked',
      { patch: { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' } },
    ],
    ['no issued_token_type', { patch: { issued_token_type: undefined } }],
    ['no token', { patch: { access_token: undefined } }],
    ['a token with a line break', { patch: { access_token: 'a\nb' } }],
    ['another resource than asked', { patch: { resource: 'https://elsewhere.example/' } }],
    ['an ID-JAG of another issuer', { idJag: { iss: 'https://elsewhere.example' } }],
    ['an ID-JAG for another server', { idJag: { aud: 'https://elsewhere.example' } }],
    ['an ID-JAG for two servers', { idJag: { aud: ['https://a.example', 'https://b.example'] } }],
    ['an ID-JAG for another client', { idJag: { client_id: 'somebody-else' } }],
    ['an ID-JAG for another resource', { idJag: { resource: 'https://elsewhere.example/' } }],
    ['an ID-JAG with more scope', { idJag: { scope: 'read write admin' } }],
    ['an ID-JAG that has expired', { idJag: { exp: 1_700_000_000 } }],
    ['an ID-JAG without exp', { idJag: { exp: undefined } }],
    ['an ID-JAG that says it is an access token', { idJag: {}, header: { typ: 'at+jwt' } }],
    ['an ID-JAG without signature algorithm', { idJag: {}, header: { alg: 'none' } }],
  ]).map(([what, script]): Misbehaviour => ({
    what: `gives ${what}`,
    script: always(script),
    number: 109,
    only: 'IDP',
  })),

  ...scripts([
    ['a token bound to a key we do not have', { patch: { token_type: 'DPoP' } }],
    ['a token of no type', { patch: { token_type: undefined } }],
    ['more scope than asked', { patch: { scope: 'read write admin' } }],
    ['a scope that is a list', { patch: { scope: ['read'] } }],
    ['no token', { patch: { access_token: undefined } }],
    ['a token with a space', { patch: { access_token: 'a b' } }],
    ['another resource than asked', { patch: { resource: 'https://elsewhere.example/' } }],
  ]).map(([what, script]): Misbehaviour => ({
    what: `gives ${what}`,
    script: always(script),
    number: 109,
    only: 'RAS',
  })),
]

/** These take as long as a leg may take, so they are run side by side. */
export const SLOW: readonly [Misbehaviour, Misbehaviour] = [
  { what: 'never answers', script: always('hang'), number: 111 },
  {
    what: 'answers a byte now and then',
    script: always((_request, response) => {
      response.writeHead(200, json)
      const timer = setInterval(() => response.write(' '), 200)
      response.on('close', () => clearInterval(timer))
    }),
    number: 111,
  },
]

/** Only says of what kind the rows of a list are. */
function scripts(rows: readonly (readonly [string, Script])[]): readonly (readonly [string, Script])[] {
  return rows
}
