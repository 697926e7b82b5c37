// The contract of RateLimiter, on both grounds. What the platform promises is loose; this is what can be relied on: that the
// limit is not far off, that keys and bindings are counted apart, that it ends, and that what is not bound is an error.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'

const ground = createGround()
const { rateLimiter } = ground

/** How many of so many requests pass. */
async function passed(binding: string, key: string, requests: number): Promise<number> {
  const answers = await Promise.all(Array.from({ length: requests }, () => rateLimiter.take(binding, key)))
  return answers.filter((within) => within).length
}

describe('RateLimiter.take()', () => {
  test('lets the limit pass and stops the rest; where a period ends in between, the limit twice', async () => {
    const count = await passed('LIMIT_TWENTY', crypto.randomUUID(), 100)
    expect(count).toBeGreaterThanOrEqual(20)
    expect(count).toBeLessThanOrEqual(40)
  })

  test('counts keys apart', async () => {
    const [spent, fresh] = [crypto.randomUUID(), crypto.randomUUID()]
    await passed('LIMIT_TWENTY', spent, 60)
    expect(await passed('LIMIT_TWENTY', fresh, 20)).toBe(20)
  })

  test('counts bindings apart, for the same key', async () => {
    const key = crypto.randomUUID()
    await passed('LIMIT_FIVE', key, 30)
    expect(await passed('LIMIT_TWENTY', key, 20)).toBe(20)
  })

  test('begins anew when the period is over', async () => {
    const key = crypto.randomUUID()
    expect(await passed('LIMIT_FIVE', key, 30)).toBeLessThanOrEqual(10)
    await ground.pass(10.5)
    expect(await passed('LIMIT_FIVE', key, 5)).toBe(5)
  })

  test('throws where nothing, or something else, is bound under the name', async () => {
    await expect(rateLimiter.take('LIMIT_NONE', 'key')).rejects.toThrow('LIMIT_NONE is not bound')
    await expect(rateLimiter.take('TOKENS', 'key')).rejects.toThrow('TOKENS is not bound')
  })
})
