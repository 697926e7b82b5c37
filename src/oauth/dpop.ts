// DPoP proofs of ours (RFC 9449 section 4.2), and the nonces that servers want in them (sections 8 and 9).
import { BoundedMap } from '../lib/bounded-map.ts'
import { sha256 } from '../lib/digest.ts'
import type { KeyPair } from '../lib/key-pair.ts'
import type { Clock } from '../ports.ts'
import { JWT_TYPE } from './vocabulary.ts'

/** The last nonce of each server, in the memory of this isolate. */
export interface NonceMemory {
  /** `server` is a token endpoint, or where an API begins: each may have nonces of its own. */
  of(server: string): string | undefined
  /** Takes the nonce of an answer, be it a success or not; false: there is none that could be used. */
  heed(server: string, headers: Headers): boolean
}

const MAX_SERVERS = 1_000
/** RFC 9449 section 8.1, and a bound: it goes into every proof. */
const NONCE = /^[\x21\x23-\x5B\x5D-\x7E]{1,512}$/

export function createNonceMemory(): NonceMemory {
  const nonces = new BoundedMap<string, string>(MAX_SERVERS)
  return {
    of: (server) => nonces.get(server),
    heed(server, headers) {
      const nonce = headers.get('dpop-nonce')
      if (nonce === null || !NONCE.test(nonce)) return false
      nonces.set(server, nonce)
      return true
    },
  }
}

/** Whoever proves possession of a key. */
export interface Prover {
  readonly key: KeyPair
  readonly nonces: NonceMemory
  readonly clock: Clock
}

export interface Proven {
  readonly method: string
  /** Without query and fragment. */
  readonly url: string
  /** Whose nonce it must have in it. */
  readonly server: string
  /** The token it is shown with; undefined: it is shown with none. */
  readonly token?: string
}

/** Good for one request: each call makes another. */
export async function createProof(
  { key, nonces, clock }: Prover,
  { method, url, server, token }: Proven,
): Promise<string> {
  const nonce = nonces.of(server)
  return key.sign(JWT_TYPE.dpopProof, {
    jti: crypto.randomUUID(),
    htm: method,
    htu: url,
    iat: clock.now(),
    ...(nonce === undefined ? {} : { nonce }),
    ...(token === undefined ? {} : { ath: await sha256(token) }),
  })
}
