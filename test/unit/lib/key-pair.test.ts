import { inspect } from 'node:util'
import { decodeProtectedHeader } from 'jose'
import { describe, expect, test } from 'vitest'
import { KeyPair } from '../../../src/lib/key-pair.ts'
import { readProof } from '../../support/dpop.ts'

describe('a key pair', () => {
  test('signs, and its public half alone travels along', async () => {
    const pair = await KeyPair.generate()
    const jwt = await pair.sign('dpop+jwt', { jti: 'j' })
    expect(await readProof(jwt)).toEqual({ jkt: await pair.thumbprint(), claims: { jti: 'j' } })
    expect(decodeProtectedHeader(jwt)).toMatchObject({
      typ: 'dpop+jwt',
      alg: 'ES256',
      jwk: { kty: 'EC', crv: 'P-256' },
    })
    expect(JSON.stringify(decodeProtectedHeader(jwt))).not.toContain(pair.reveal().d)
  })

  test('is the same again where it is made of what it has revealed', async () => {
    const pair = await KeyPair.generate()
    const again = new KeyPair(pair.reveal())
    expect(await again.thumbprint()).toBe(await pair.thumbprint())
    expect((await readProof(await again.sign('dpop+jwt', {}))).jkt).toBe(await pair.thumbprint())
  })

  test('is another one each time', async () => {
    const [one, other] = [await KeyPair.generate(), await KeyPair.generate()]
    expect(await one.thumbprint()).not.toBe(await other.thumbprint())
  })

  test('that is none cannot sign', async () => {
    await expect(new KeyPair({ x: 'AA', y: 'AA', d: 'AA' }).sign('dpop+jwt', {})).rejects.toThrow()
  })

  test('prints as nothing', async () => {
    const pair = await KeyPair.generate()
    await pair.sign('dpop+jwt', {})
    for (const text of [JSON.stringify(pair), inspect(pair, { depth: 9, showHidden: true })])
      expect(text).not.toContain(pair.reveal().d)
  })
})
