// The people of the benchmark, and who signs for them: ID tokens of an RSA key that the configuration names, as most identity
// providers sign them.

import { generateKeyPair, sign } from 'node:crypto'
import { promisify } from 'node:util'

export type Issuer = {
  /** The public key set, for the configuration. */
  readonly jwks: { readonly keys: readonly object[] }
  /** Signed five seconds ago, good for an hour. `now`: seconds since the epoch. */
  readonly idToken: (
    user: string,
    options?: { readonly groups?: readonly string[]; readonly now?: number },
  ) => Promise<string>
}

export const STAFF: readonly string[] = ['everyone', 'engineering']
const AGE_SECONDS = 5
const LIFETIME_SECONDS = 3600
const HEADER = { alg: 'RS256', typ: 'JWT', kid: 'bench' }
const signAsync = promisify(sign)

export async function createIssuer(): Promise<Issuer> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return {
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: HEADER.kid, alg: HEADER.alg, use: 'sig' }] },
    async idToken(user, { groups = STAFF, now = Math.floor(Date.now() / 1000) } = {}) {
      const claims = {
        iss: 'https://idp.example',
        sub: user,
        aud: 'gateway-at-idp',
        iat: now - AGE_SECONDS,
        exp: now - AGE_SECONDS + LIFETIME_SECONDS,
        auth_time: now - AGE_SECONDS,
        nonce: 'n-0S6_WzA2Mj',
        email: `${user}@customer.example`,
        groups,
      }
      const input = [HEADER, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
      const signature = await signAsync('RSA-SHA256', Buffer.from(input), privateKey)
      return `${input}.${signature.toString('base64url')}`
    },
  }
}

/** A GET through the gateway, as bytes. */
export function getRequest(path: string, token: string): Buffer {
  return requestBytes([`GET ${path} HTTP/1.1`, ...HEAD, `Authorization: Bearer ${token}`], '')
}

export function postRequest(path: string, token: string, body: object): Buffer {
  const text = JSON.stringify(body)
  return requestBytes(
    [
      `POST ${path} HTTP/1.1`,
      ...HEAD,
      `Authorization: Bearer ${token}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(text)}`,
    ],
    text,
  )
}

const HEAD = ['Host: gateway.example', 'Accept: application/json', 'User-Agent: bench']

function requestBytes(lines: readonly string[], body: string): Buffer {
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'utf8')
}
