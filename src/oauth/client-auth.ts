// How we authenticate at somebody else's token endpoint (RFC 6749 section 2.3.1, RFC 7523 section 2.2 with
// draft-ietf-oauth-rfc7523bis). Each method becomes one function of oauth4webapi's shape.
import { importJWK, importPKCS8 } from 'jose'
import * as oauth from 'oauth4webapi'
import { toBase64Url, toUtf8 } from '../lib/bytes.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { parseJsonObject } from '../lib/strict-json.ts'
import type { OutboundAuth, SigningAlgorithm } from '../model.ts'
import type { Secrets } from '../ports.ts'
import { JWT_TYPE } from './vocabulary.ts'

/** Why a credential of ours cannot be used; names the secret, never its value. */
export type AuthProblem = string

/**
 * `tokenEndpoint` is what an assertion names as its audience where the configuration says so; by default that is the
 * issuer alone, as rfc7523bis demands after the audience injection attacks on client assertions.
 */
export async function createClientAuth(
  auth: OutboundAuth,
  tokenEndpoint: string,
  secrets: Secrets,
): Promise<Result<oauth.ClientAuth, AuthProblem>> {
  switch (auth.method) {
    case 'none':
      return ok(oauth.None())
    case 'client_secret_post':
      return ok(oauth.ClientSecretPost((await secrets(auth.secret)).reveal()))
    case 'client_secret_basic': {
      const secret = (await secrets(auth.secret)).reveal()
      return ok(auth.encoding === 'form' ? oauth.ClientSecretBasic(secret) : rawBasic(secret))
    }
    case 'private_key_jwt': {
      const key = await importPrivateKey((await secrets(auth.key)).reveal(), auth.alg)
      if (key === undefined) return err(`the secret ${auth.key} does not hold a private key for ${auth.alg}`)
      return ok(
        oauth.PrivateKeyJwt(key, {
          [oauth.modifyAssertion]: (header, payload) => {
            header['typ'] = JWT_TYPE.clientAssertion
            header['alg'] = auth.alg
            if (auth.audience === 'token_endpoint') payload['aud'] = tokenEndpoint
          },
        }),
      )
    }
  }
}

/** Basic without form-urlencoding of the parts: what many servers expect, against RFC 6749 section 2.3.1. */
function rawBasic(secret: string): oauth.ClientAuth {
  return (_server, client, _body, headers) => {
    const credentials = toBase64Url(toUtf8(`${client.client_id}:${secret}`))
      .replaceAll('-', '+')
      .replaceAll('_', '/')
    headers.set('authorization', `Basic ${credentials.padEnd(Math.ceil(credentials.length / 4) * 4, '=')}`)
  }
}

/** A private key as JWK (with its `kid`) or as PKCS #8 PEM. */
async function importPrivateKey(text: string, alg: SigningAlgorithm): Promise<oauth.PrivateKey | undefined> {
  try {
    const jwk = parseJsonObject(text)
    if (!jwk.ok) return { key: await importPKCS8(text, alg) }
    const key = await importJWK(jwk.value, alg)
    if (!(key instanceof CryptoKey) || key.type !== 'private') return undefined
    const kid = jwk.value['kid']
    return typeof kid === 'string' ? { key, kid } : { key }
  } catch {
    return undefined
  }
}
