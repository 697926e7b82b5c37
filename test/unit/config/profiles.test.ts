// What each product resolves to, as docs/configuration.md tells it; and that the file goes before it, field by field.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { authDefaults, PROFILES, type ProfileName } from '../../../src/config/profiles.ts'
import type { OutboundAuth } from '../../../src/parties.ts'
import { configOf, EXAMPLE } from './example.ts'

const IDP = {
  target: 'audience',
  sendResource: true,
  subjectTokens: new Set(['id_token']),
  samlTwoStep: false,
  samlEncoding: 'base64url',
  actorToken: 'none',
  dpop: 'off',
}
const RAS = {
  sendScope: 'same',
  sendResource: false,
  idJagReuse: false,
  redeemGrant: 'jwt-bearer',
  extraScopes: 'refuse',
  defaultTtlSeconds: 300,
}
const AUTH = { encoding: 'form', audience: 'issuer', typ: 'client-authentication+jwt' }

/** What differs from the drafts. */
const DIFFERENT: Readonly<Record<ProfileName, { idp?: object; ras?: object; auth?: object }>> = {
  generic: {},
  okta: {
    idp: { samlTwoStep: true, samlEncoding: 'base64' },
    auth: { audience: 'token_endpoint', typ: 'none' },
  },
  auth0: { ras: { idJagReuse: true, sendResource: true } },
  keycloak: { ras: { extraScopes: 'accept' } },
  entra: { auth: { audience: 'token_endpoint', typ: 'JWT' } },
  pingfederate: {},
  'workers-oauth-provider': {},
}

const KEY = '"method": "private_key_jwt", "key": { "secret": "KEY" }, "alg": "ES256"'
const BASIC = '"method": "client_secret_basic", "secret": { "secret": "S" }'

interface Written {
  readonly profile?: string
  readonly idpQuirks?: object
  readonly rasQuirks?: object
  /** Of both our clients. */
  readonly auth: string
}

/** The example with a profile, quirks and an authentication at both servers. */
function resolved({ profile, idpQuirks = {}, rasQuirks = {}, auth }: Written) {
  const named = profile === undefined ? '' : `"profile": "${profile}",`
  const config = configOf(
    EXAMPLE.replaceAll('"auth": { "method": "none" }', `"auth": { ${auth} }`)
      .replace('"issuer": "https://idp.example"', `${named} "quirks": ${JSON.stringify(idpQuirks)}, $&`)
      .replace('"issuer": "https://as.tasks', `${named} "quirks": ${JSON.stringify(rasQuirks)}, $&`),
  )
  const idp = config.idps.get('main')
  const resource = config.resources.get('tasks')
  return {
    idp: idp?.quirks,
    atIdp: idp?.clients.get('gateway'),
    ras: resource?.authorizationServer.quirks,
    atRas: resource?.client,
  }
}

const manual = readFileSync(join(import.meta.dirname, '../../../docs/configuration.md'), 'utf8')

/** As a person would write it into the file, without its quotes. */
function asWritten(fields: object): string[] {
  return Object.entries(fields).map(([name, value]: [string, unknown]) => {
    const key =
      name === 'subjectTokens'
        ? 'subject_token_types'
        : name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    return `${key}: ${value instanceof Set ? [...value].join(', ') : String(value)}`
  })
}

describe.each(PROFILES)('the profile %s', (profile) => {
  const { idp = {}, ras = {}, auth = {} } = DIFFERENT[profile]
  const { encoding, audience, typ } = { ...AUTH, ...auth }

  it('resolves as documented', () => {
    const withKey = resolved({ profile, auth: KEY })
    expect(withKey.idp).toEqual({ ...IDP, ...idp })
    expect(withKey.atIdp?.quirks).toEqual(withKey.idp)
    expect(withKey.ras).toEqual({ ...RAS, ...ras })
    const own = { method: 'private_key_jwt', keys: ['KEY'], alg: 'ES256', audience, typ }
    expect([withKey.atIdp?.auth, withKey.atRas?.auth]).toEqual([own, own])
    const withSecret = resolved({ profile, auth: BASIC })
    expect(withSecret.atIdp?.auth).toEqual({ method: 'client_secret_basic', secrets: ['S'], encoding })
  })

  it('gives way to what the file says, field by field', () => {
    const idpQuirks = {
      target: 'legacy_resource',
      send_resource: false,
      subject_token_types: ['id_token', 'saml2'],
      saml_two_step: false,
      saml_encoding: 'base64url',
      actor_token: 'caller',
      dpop: 'try',
    }
    const rasQuirks = {
      send_scope: 'none',
      send_resource: false,
      id_jag_reuse: false,
      redeem_grant: 'jwt-dpop',
      extra_scopes: 'refuse',
      default_ttl: '0s',
    }
    const ownAuth = `${KEY}, "audience": "issuer", "typ": "none"`
    const written = resolved({ profile, idpQuirks, rasQuirks, auth: ownAuth })
    expect(written.idp).toEqual({
      target: 'legacy_resource',
      sendResource: false,
      subjectTokens: new Set(['id_token', 'saml2']),
      samlTwoStep: false,
      samlEncoding: 'base64url',
      actorToken: 'caller',
      dpop: 'try',
    })
    expect(written.ras).toEqual({
      sendScope: 'none',
      sendResource: false,
      idJagReuse: false,
      redeemGrant: 'jwt-dpop',
      extraScopes: 'refuse',
      defaultTtlSeconds: 0,
    })
    expect(written.atIdp?.auth).toMatchObject({ audience: 'issuer', typ: 'none' })
    const raw = resolved({ profile, auth: `${BASIC}, "encoding": "raw"` })
    expect(raw.atRas?.auth).toMatchObject({ encoding: 'raw' })
  })

  it('stands so in the manual', () => {
    const row = manual.split('\n').find((line) => line.startsWith(`| \`${profile}\``))
    const cells = row?.split('|').slice(2, -1) ?? []
    const told = cells.map((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code))
    expect(told).toEqual([asWritten(idp), asWritten(ras), asWritten(auth)])
  })
})

it('the typ of an assertion follows the audience that the file names', () => {
  const typOf = (more: string): unknown => {
    const auth: OutboundAuth | undefined = resolved({ auth: `${KEY}${more}` }).atRas?.auth
    return auth?.method === 'private_key_jwt' && auth.typ
  }
  expect(typOf('')).toBe('client-authentication+jwt')
  expect(typOf(', "audience": "token_endpoint"')).toBe('none')
  expect(typOf(', "audience": "token_endpoint", "typ": "client-authentication+jwt"')).toBe('client-authentication+jwt')
})

it('no profile at all is generic', () => {
  expect(resolved({ auth: KEY })).toEqual(resolved({ profile: 'generic', auth: KEY }))
  expect(authDefaults('generic')).toEqual({ encoding: 'form', audience: 'issuer', typ: undefined })
})
