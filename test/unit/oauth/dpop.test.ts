import { describe, expect, test } from 'vitest'
import { KeyPair } from '../../../src/lib/key-pair.ts'
import { createNonceMemory, createProof, type Prover } from '../../../src/oauth/dpop.ts'
import { createManualClock } from '../../../src/platform/memory.ts'
import { athOf, readProof } from '../../support/dpop.ts'

const told = (nonce: string): Headers => new Headers({ 'dpop-nonce': nonce })

describe('the memory of nonces', () => {
  test('keeps the last one of each server', () => {
    const memory = createNonceMemory()
    expect(memory.heed('a', told('1'))).toBe(true)
    expect(memory.heed('b', told('2'))).toBe(true)
    expect(memory.heed('a', told('3'))).toBe(true)
    expect([memory.of('a'), memory.of('b'), memory.of('c')]).toEqual(['3', '2', undefined])
  })

  test.each(['', 'a b', 'a"b', 'a\\b', 'é', 'n'.repeat(513), 'one, two'])('takes no %.10j', (nonce) => {
    const memory = createNonceMemory()
    memory.heed('a', told('1'))
    expect(memory.heed('a', told(nonce))).toBe(false)
    expect(memory.heed('a', new Headers())).toBe(false)
    expect(memory.of('a')).toBe('1')
  })

  test('forgets the oldest servers first', () => {
    const memory = createNonceMemory()
    for (let count = 0; count <= 1_000; count++) memory.heed(`s${count}`, told('n'))
    expect([memory.of('s0'), memory.of('s1')]).toEqual([undefined, 'n'])
  })
})

describe('a proof', () => {
  const at = { method: 'GET', url: 'https://api.test/a', server: 'https://api.test' }

  async function proverOf(): Promise<Prover> {
    return { key: await KeyPair.generate(), nonces: createNonceMemory(), clock: createManualClock() }
  }

  test('is for one request, one token and one moment', async () => {
    const prover = await proverOf()
    const { jkt, claims } = await readProof(await createProof(prover, { ...at, token: 'token' }))
    expect(jkt).toBe(await prover.key.thumbprint())
    expect(claims).toEqual({
      jti: expect.stringMatching(/^[\w-]{36}$/),
      htm: 'GET',
      htu: 'https://api.test/a',
      iat: prover.clock.now(),
      ath: athOf('token'),
    })
  })

  test('has the nonce of its server in it, and no ath where there is no token', async () => {
    const prover = await proverOf()
    prover.nonces.heed('https://api.test', told('n-1'))
    prover.nonces.heed('https://other.test', told('n-2'))
    const { claims } = await readProof(await createProof(prover, at))
    expect(claims['nonce']).toBe('n-1')
    expect(claims).not.toHaveProperty('ath')
  })

  test('is another one each time', async () => {
    const prover = await proverOf()
    const ids = await Promise.all(
      [1, 2, 3].map(async () => (await readProof(await createProof(prover, at))).claims.jti),
    )
    expect(new Set(ids).size).toBe(3)
  })
})
