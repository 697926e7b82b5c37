// Keyed digests and injective encoding of field lists: what cache keys are made of.
import { toBase64Url, toUtf8 } from './bytes.ts'

/** A field of a key: text, a set of texts (order does not count), or absent. Absent and empty are different. */
export type Field = string | readonly string[] | undefined

/**
 * Writes fields so that two lists give the same text only if they are equal: every text is preceded by its length in
 * UTF-16 units, every set by its size, an absent field has its own mark. No delimiter can be forged.
 */
export function encodeFields(fields: readonly Field[]): string {
  let text = ''
  for (const field of fields) {
    if (field === undefined) text += '-;'
    else if (typeof field === 'string') text += `${field.length}:${field}`
    else {
      const members = [...new Set(field)].toSorted()
      text += `[${members.length}]${encodeFields(members)}`
    }
  }
  return text
}

/** HMAC-SHA-256 of a text as base64url, 43 characters. */
export async function hmac(key: CryptoKey, text: string): Promise<string> {
  return toBase64Url(new Uint8Array(await crypto.subtle.sign('HMAC', key, toUtf8(text))))
}

/** SHA-256 of a text as base64url, 43 characters. */
export async function sha256(text: string): Promise<string> {
  return toBase64Url(new Uint8Array(await crypto.subtle.digest('SHA-256', toUtf8(text))))
}

/** Compares two secrets in time that does not depend on where they differ: equal digests, not equal texts. */
export async function equalSecrets(left: string, right: string): Promise<boolean> {
  const [a, b] = await Promise.all([sha256(left), sha256(right)])
  let difference = 0
  for (let index = 0; index < a.length; index++) difference |= a.charCodeAt(index) ^ b.charCodeAt(index)
  return difference === 0
}
