// The people of the benchmark: each with an ID token of an RSA key that the configuration names, as most identity providers
// sign them, and with the one request they make.

import { generateKeyPair, sign, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

export type Users = {
  /** The public key set, for the configuration. */
  readonly jwks: { readonly keys: readonly object[] }
  /** One request each: a GET through the gateway. */
  readonly requests: readonly Buffer[]
  /** The first one's request for another path. */
  readonly toRequest: (path: string) => Buffer
}

const AGE_SECONDS = 5
const LIFETIME_SECONDS = 3600
const HEADER = { alg: 'RS256', typ: 'JWT', kid: 'bench' }
const signAsync = promisify(sign)

export async function createUsers(count: number, path: string): Promise<Users> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  const tokens = await Promise.all(Array.from({ length: count }, (_, index) => idToken(privateKey, index)))
  return {
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: HEADER.kid, alg: HEADER.alg, use: 'sig' }] },
    requests: tokens.map((token) => getRequest(path, token)),
    toRequest: (otherPath) => getRequest(otherPath, tokens[0] ?? ''),
  }
}

function getRequest(path: string, token: string): Buffer {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: gateway.example',
    `Authorization: Bearer ${token}`,
    'Accept: application/json',
    'User-Agent: bench',
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

async function idToken(key: KeyObject, index: number): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: 'https://idp.example',
    sub: `user-${index}`,
    aud: 'gateway-at-idp',
    iat: now - AGE_SECONDS,
    exp: now + LIFETIME_SECONDS,
    auth_time: now - AGE_SECONDS,
    nonce: 'n-0S6_WzA2Mj',
    email: `user-${index}@customer.example`,
    groups: ['everyone', 'engineering'],
  }
  const input = [HEADER, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  const signature = await signAsync('RSA-SHA256', Buffer.from(input), key)
  return `${input}.${signature.toString('base64url')}`
}
