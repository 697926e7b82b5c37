// DPoP proofs as callers make them (RFC 9449 section 4.2): real signatures over whatever a test wants in them.
import { createHash, randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, decodeProtectedHeader, EmbeddedJWK, jwtVerify, type JWTPayload } from 'jose'
import { mint, type Claims, type TestKey } from './keys.ts'

export type ProofChanges = {
  /** Seconds; a claim of `undefined` is left out. */
  readonly claims?: Claims
  readonly header?: Claims
  /** The key that signs, where it is not the one the proof names. */
  readonly signer?: TestKey
  /** Shown with this token. */
  readonly token?: string
}

/** The public key as a client puts it into a proof: without the names under which it might be published. */
export function publicJwkOf({ publicJwk }: TestKey): Record<string, unknown> {
  const { kid: _kid, alg: _alg, use: _use, ...members } = publicJwk
  return members
}

export function thumbprintOf(key: TestKey): Promise<string> {
  return calculateJwkThumbprint(publicJwkOf(key))
}

export async function proofBy(
  key: TestKey,
  method: string,
  url: string,
  now: number,
  { claims = {}, header = {}, signer = key, token }: ProofChanges = {},
): Promise<string> {
  const ath = token === undefined ? {} : { ath: athOf(token) }
  return mint(
    signer,
    { jti: randomUUID(), htm: method, htu: url, iat: now, ...ath, ...claims },
    { typ: 'dpop+jwt', alg: key.alg, kid: undefined, jwk: publicJwkOf(key), ...header },
  )
}

export type SeenProof = { readonly jkt: string; readonly claims: JWTPayload }

/** What a server sees in a proof whose signature holds. */
export async function readProof(proof: string | null | undefined): Promise<SeenProof> {
  const { jwk = {} } = decodeProtectedHeader(proof ?? '')
  const { payload } = await jwtVerify(proof ?? '', EmbeddedJWK, {
    typ: 'dpop+jwt',
    algorithms: ['ES256'],
    currentDate: new Date(0),
  })
  if (Object.keys(jwk).toSorted().join(' ') !== 'crv kty x y') throw new Error('the key has other members')
  return { jkt: await calculateJwkThumbprint(jwk), claims: payload }
}

export function athOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
