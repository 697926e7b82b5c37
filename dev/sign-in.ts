// Signs a user in at the local identity provider as a browser would: authorization code, PKCE (RFC 7636), the login
// form and its cookies; only the person is missing.

import * as client from 'openid-client'
import { importJWK, type JWK } from 'jose'
import { REDIRECT_URI } from './idp.ts'

export type LoginClient = { readonly id: string } & ({ readonly secret: string } | { readonly key: JWK })

const MAX_STEPS = 10

export type SignIn = { readonly idToken: string; readonly refreshToken: string }

/** The caller must already trust the certificate of the identity provider. */
export async function signIn(issuer: string, who: LoginClient, user: string): Promise<SignIn> {
  const config = await client.discovery(new URL(issuer), who.id, undefined, await authentication(who))
  const verifier = client.randomPKCECodeVerifier()
  const nonce = client.randomNonce()
  const state = client.randomState()
  const start = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: 'openid',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    nonce,
    state,
  })
  const tokens = await client.authorizationCodeGrant(config, await walk(start, user), {
    pkceCodeVerifier: verifier,
    expectedNonce: nonce,
    expectedState: state,
    idTokenExpected: true,
  })
  const { id_token: idToken, refresh_token: refreshToken } = tokens
  if (idToken === undefined || refreshToken === undefined)
    throw new Error('the identity provider gave no ID token, or no refresh token')
  return { idToken, refreshToken }
}

async function authentication(who: LoginClient): Promise<client.ClientAuth> {
  if ('secret' in who) return client.ClientSecretBasic(who.secret)
  const key = await importJWK(who.key, 'ES256')
  if (!(key instanceof CryptoKey)) throw new TypeError('the client key must be an asymmetric one')
  const { kid } = who.key
  return client.PrivateKeyJwt(kid === undefined ? key : { key, kid })
}

/**
 * Follows the redirects with a cookie jar, answers the login form, and stops where the client's redirect URI comes: that is
 * what a browser would be sent to.
 */
export async function walk(start: URL, user: string): Promise<URL> {
  const cookies = new Map<string, string>()
  let url = start
  let form: URLSearchParams | undefined
  for (let step = 0; step < MAX_STEPS; step += 1) {
    if (url.href.startsWith(`${REDIRECT_URI}?`)) return url
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form === undefined ? {} : { method: 'POST', body: form }),
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      cookies.set(name, value)
    }
    const location = response.headers.get('location')
    if (location !== null) {
      form = undefined
      url = new URL(location, url)
    } else if (response.ok && form === undefined) {
      form = new URLSearchParams({ user })
    } else {
      throw new Error(
        `the identity provider did not sign ${user} in: ${response.status} ${(await response.text()).trim()}`,
      )
    }
  }
  throw new Error('the sign-in went in circles')
}
