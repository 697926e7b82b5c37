// An ES256 key pair of our own making (RFC 7518 section 3.4). Its private half leaves only by `reveal()`, to be sealed.
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT, type JWTPayload } from 'jose'

/** What tells one such key from another (RFC 7518 section 6.2). */
export interface KeyMembers {
  readonly x: string
  readonly y: string
  readonly d: string
}

export class KeyPair {
  readonly #members: KeyMembers
  #imported: CryptoKey | undefined

  constructor(members: KeyMembers) {
    this.#members = members
  }

  static async generate(): Promise<KeyPair> {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    const { x = '', y = '', d = '' } = await exportJWK(privateKey)
    return new KeyPair({ x, y, d })
  }

  reveal(): KeyMembers {
    return this.#members
  }

  /** RFC 7638, SHA-256. */
  thumbprint(): Promise<string> {
    return calculateJwkThumbprint(this.#publicJwk())
  }

  /** A JWT that brings the public half along, as `jwk`. */
  async sign(typ: string, claims: JWTPayload): Promise<string> {
    this.#imported ??= await this.#import()
    return new SignJWT(claims).setProtectedHeader({ typ, alg: 'ES256', jwk: this.#publicJwk() }).sign(this.#imported)
  }

  #publicJwk(): { kty: string; crv: string; x: string; y: string } {
    const { x, y } = this.#members
    return { kty: 'EC', crv: 'P-256', x, y }
  }

  async #import(): Promise<CryptoKey> {
    const key = await importJWK({ ...this.#publicJwk(), d: this.#members.d }, 'ES256')
    if (!(key instanceof CryptoKey)) throw new Error('an EC key that is none')
    return key
  }
}
