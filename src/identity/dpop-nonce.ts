// Nonces for DPoP proofs (RFC 9449 sections 8 and 9): a keyed digest of the minute. Nothing is stored; whoever knows the sealing
// keys, which is every isolate, knows which nonces are good.
import { deriveDigestKey, importSecret } from '../lib/derivation.ts'
import { hmac } from '../lib/digest.ts'
import type { SecretName } from '../parties.ts'
import type { Clock, Secrets } from '../ports.ts'

export interface Nonces {
  /** What to put into the next proof. */
  current(): Promise<string>
  /** Whether it is one of ours, and not older than two minutes. */
  accepts(nonce: string): Promise<boolean>
}

const WINDOW_SECONDS = 60

interface Window {
  readonly number: number
  readonly current: string
  readonly accepted: ReadonlySet<string>
}

export function createNonces(sealingKeys: readonly SecretName[], secrets: Secrets, clock: Clock): Nonces {
  let keys: readonly CryptoKey[] | undefined
  let known: Window | undefined

  async function open(): Promise<Window> {
    const number = Math.floor(clock.now() / WINDOW_SECONDS)
    if (known?.number === number) return known
    keys ??= await Promise.all(sealingKeys.map((name) => deriveKey(name, secrets)))
    // The last window, and the next one: the isolate that gave the nonce out may have a clock that is a little ahead.
    const texts = [number, number - 1, number + 1].map(String)
    const nonces = await Promise.all(keys.flatMap((key) => texts.map((text) => hmac(key, text))))
    const [current] = nonces
    if (current === undefined) throw new Error('there is no sealing key')
    known = { number, current, accepted: new Set(nonces) }
    return known
  }

  return {
    current: async () => (await open()).current,
    accepts: async (nonce) => (await open()).accepted.has(nonce),
  }
}

async function deriveKey(name: SecretName, secrets: Secrets): Promise<CryptoKey> {
  return deriveDigestKey(await importSecret((await secrets(name)).reveal()), 'dpop nonce')
}
