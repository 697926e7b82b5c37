// Whether the signature holds, and what the gateway would say, as far as keys are at hand.

import { compactVerify, createLocalJWKSet, EmbeddedJWK, errors, type JSONWebKeySet } from 'jose'
import { isObject, type JsonObject } from '../../lib/strict-json.ts'
import { callForDocument } from '../../oauth/counterparty.ts'
import { fixOf, type Refusal } from '../../refusal.ts'
import { createChain } from '../doctor/chain.ts'
import type { Tools } from '../doctor/tools.ts'
import { toProblemWords, toRefusalWords } from '../doctor/words.ts'
import type { Witness } from '../doctor/witness.ts'
import { KINDS, type Kind } from './kinds.ts'

export interface Signature {
  readonly status: 'holds' | 'does not hold' | 'no key' | 'not checked' | 'unreachable'
  /** Whose keys, or why not. */
  readonly words: string
}

/** What the gateway would say of the token at its door. */
export interface Verdict {
  readonly accepted: boolean
  readonly words: string
  readonly code?: string
  readonly fix?: string
}

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

export async function verifyByDocument(token: string, document: JsonObject, whose: string): Promise<Signature> {
  const keys = document['keys']
  if (!Array.isArray(keys)) return { status: 'not checked', words: `${whose} is not a key set` }
  try {
    const set: JSONWebKeySet = { keys: keys.filter((key) => isObject(key)) }
    const { protectedHeader } = await compactVerify(token, createLocalJWKSet(set), { algorithms: ALGORITHMS })
    return {
      status: 'holds',
      words: `by the key ${JSON.stringify(protectedHeader.kid ?? 'without a kid')} of ${whose}`,
    }
  } catch (error) {
    return judge(error, whose)
  }
}

/** A proof carries its own key; whose it is must be known otherwise. */
export async function verifyByItself(token: string): Promise<Signature> {
  try {
    await compactVerify(token, EmbeddedJWK, { algorithms: ALGORITHMS })
    return { status: 'holds', words: 'by the key in its own header' }
  } catch (error) {
    return judge(error, 'its own header')
  }
}

function judge(error: unknown, whose: string): Signature {
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return { status: 'does not hold', words: `by the keys of ${whose}` }
  if (error instanceof errors.JWKSNoMatchingKey)
    return { status: 'no key', words: `${whose} has no key that this token names` }
  if (error instanceof errors.JWKSMultipleMatchingKeys)
    return { status: 'no key', words: `several keys of ${whose} fit, and the token names none` }
  if (error instanceof errors.JOSEAlgNotAllowed)
    return { status: 'no key', words: 'its algorithm is not one of public keys' }
  return { status: 'no key', words: `no key of ${whose} can be used` }
}

/** Keys from an address or of a server of the configuration. */
export async function verifyByAddress(token: string, url: string, witness: Witness): Promise<Signature> {
  const answer = await callForDocument(witness.fetch, url)
  if (!answer.ok) return { status: 'unreachable', words: `${url}: ${toProblemWords(url, answer.error, witness)}` }
  const { status, body } = answer.value
  if (status !== 200 || body === undefined) return { status: 'unreachable', words: `${url} answers ${status}` }
  return verifyByDocument(token, body, url)
}

/** Undefined: the configuration says nothing of whoever issued it. */
export async function verifyByConfig(token: string, claims: JsonObject, tools: Tools): Promise<Signature | undefined> {
  const { config, discovery, witness } = tools
  const { iss } = claims
  const idp = typeof iss === 'string' ? config.idpsByIssuer.get(iss) : undefined
  if (idp?.keys.kind === 'static')
    return verifyByDocument(token, { keys: idp.keys.jwks.keys }, `idps.${idp.name} in the file`)
  if (idp?.keys.kind === 'fetched') return verifyByAddress(token, idp.keys.jwksUri, witness)
  const caller = typeof iss === 'string' ? config.clients.get(iss)?.auth : undefined
  if (caller?.method === 'private_key_jwt') {
    const { keys } = caller
    if (keys.kind === 'static')
      return verifyByDocument(token, { keys: keys.jwks.keys }, `clients.${String(iss)} in the file`)
    if (keys.kind === 'fetched') return verifyByAddress(token, keys.jwksUri, witness)
  }
  const server = [...config.resources.values()].find(({ authorizationServer }) => authorizationServer.issuer === iss)
  const issuer = idp?.issuer ?? server?.authorizationServer.issuer
  if (issuer === undefined) return undefined
  const metadata = await discovery.metadataOf(issuer, idp === undefined ? 'oauth2' : 'oidc')
  if (!metadata.ok) return { status: 'unreachable', words: `the metadata of ${issuer}: ${metadata.error.detail}` }
  const { jwksUri } = metadata.value
  if (jwksUri === undefined) return { status: 'not checked', words: `${issuer} publishes no keys` }
  return verifyByAddress(token, jwksUri, witness)
}

/** As the door would judge it that such a token is for; undefined: there is none. */
export async function judgeAtTheDoor(token: string, kind: Kind, tools: Tools): Promise<Verdict | undefined> {
  const { identity } = createChain(tools)
  if (kind.id === KINDS.clientAssertion.id) {
    const form = new Map([
      ['client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'],
      ['client_assertion', token],
    ])
    const client = await identity.authenticateClient({
      authorization: undefined,
      form: { get: (name) => form.get(name) },
    })
    return client.ok
      ? { accepted: true, words: `authenticates the client ${client.value.name}` }
      : toVerdict(client.error)
  }
  const served: readonly string[] = [KINDS.idToken.id, KINDS.unknown.id]
  if (!served.includes(kind.id) && !kind.id.startsWith('access_token')) return undefined
  const assertion = await identity.verifyAtEdge(`Bearer ${token}`)
  if (!assertion.ok) return toVerdict(assertion.error)
  const { principal, idpClient } = assertion.value
  return { accepted: true, words: `says that ${JSON.stringify(principal.subject)} has signed in at ${idpClient.ref}` }
}

function toVerdict(refusal: Refusal): Verdict {
  return { accepted: false, code: refusal.code, words: toRefusalWords(refusal), fix: fixOf(refusal) }
}
