// The contract of TokenStore, on both grounds. What KV does worse than its simulator in workerd (cached misses, slow
// visibility, 429) is in test/unit/platform/memory-token-store.test.ts.
import { createGround } from '#ground'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toUtf8 } from '../../src/lib/bytes.ts'
import { numericDate } from '../../src/lib/numeric-date.ts'

const ground = createGround()
const store = ground.tokenStore

function inSeconds(seconds: number) {
  return numericDate(ground.now() + seconds)
}

function freshName(): string {
  return `t1:${crypto.randomUUID()}`
}

describe('TokenStore', () => {
  test('get() gives undefined for a name that was never put', async () => {
    expect(await store.get(freshName())).toBeUndefined()
  })

  test('get() gives back the very bytes that were put, whatever they are', async () => {
    const anyName = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
      .filter((name) => name !== '.' && name !== '..')
    await fc.assert(
      fc.asyncProperty(anyName, fc.uint8Array({ maxLength: 3000 }), async (suffix, value) => {
        const name = `${crypto.randomUUID()}${suffix}`
        await store.put(name, value, inSeconds(120))
        expect(await store.get(name)).toEqual(new Uint8Array(value))
      }),
      { numRuns: 25 },
    )
  })

  test('get() gives bytes that the caller may change without changing the store', async () => {
    const name = freshName()
    const value = toUtf8('sealed')
    await store.put(name, value, inSeconds(120))
    value.fill(0)
    const first = await store.get(name)
    first?.fill(0)
    expect(await store.get(name)).toEqual(toUtf8('sealed'))
  })

  test('put() stores only the bytes of the view it is given', async () => {
    const name = freshName()
    await store.put(name, toUtf8('xxsealedxx').subarray(2, 8), inSeconds(120))
    expect(await store.get(name)).toEqual(toUtf8('sealed'))
  })

  test('put() throws when the entry would live less than 60 seconds, and stores nothing', async () => {
    const name = freshName()
    await expect(store.put(name, toUtf8('sealed'), inSeconds(50))).rejects.toThrow('at least 60 seconds in the future')
    await expect(store.put(name, toUtf8('sealed'), inSeconds(-5))).rejects.toThrow('KV PUT failed: 400')
    expect(await store.get(name)).toBeUndefined()
  })

  test('names are 1 to 512 bytes of UTF-8 and neither "." nor ".."', async () => {
    const tooLong = 'é'.repeat(257)
    for (const name of ['', '.', '..', tooLong]) {
      await expect(store.get(name)).rejects.toThrow()
      await expect(store.put(name, toUtf8('sealed'), inSeconds(120))).rejects.toThrow()
      await expect(store.delete(name)).rejects.toThrow()
    }
    const longest = freshName().padEnd(512, 'x')
    await store.put(longest, toUtf8('sealed'), inSeconds(120))
    expect(await store.get(longest)).toEqual(toUtf8('sealed'))
  })

  test('delete() makes the entry unknown here, and does not mind a name that is unknown already', async () => {
    const name = freshName()
    await store.put(name, toUtf8('sealed'), inSeconds(120))
    await store.delete(name)
    expect(await store.get(name)).toBeUndefined()
    await store.delete(name)
  })

  test('names do not touch each other', async () => {
    const name = freshName()
    await store.put(`${name}:a`, toUtf8('a'), inSeconds(120))
    await store.put(`${name}:b`, toUtf8('b'), inSeconds(120))
    await store.delete(`${name}:a`)
    expect(await store.get(`${name}:b`)).toEqual(toUtf8('b'))
    expect(await store.get(name)).toBeUndefined()
  })
})
