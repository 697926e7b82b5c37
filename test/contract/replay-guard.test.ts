// The contract of ReplayGuard, on both grounds.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../../src/lib/digest.ts'
import { numericDate } from '../../src/lib/numeric-date.ts'

const ground = createGround()
const { replayGuard } = ground

function inSeconds(seconds: number) {
  return numericDate(ground.now() + seconds)
}

describe('ReplayGuard', () => {
  test('exactly one of 50 parallel claims of one value is granted', async () => {
    const value = crypto.randomUUID()
    const until = inSeconds(120)
    const granted = await Promise.all(Array.from({ length: 50 }, () => replayGuard.claim(value, until)))
    expect(granted.filter(Boolean)).toHaveLength(1)
    expect(await replayGuard.claim(value, until)).toBe(false)
  })

  test('50 parallel claims of 50 values are all granted', async () => {
    const granted = await Promise.all(
      Array.from({ length: 50 }, () => replayGuard.claim(crypto.randomUUID(), inSeconds(120))),
    )
    expect(granted.every(Boolean)).toBe(true)
  })

  test('a longer claim of the same value is no new claim', async () => {
    const value = crypto.randomUUID()
    expect(await replayGuard.claim(value, inSeconds(60))).toBe(true)
    expect(await replayGuard.claim(value, inSeconds(600))).toBe(false)
  })

  test('a value can be claimed again, once, after its claim has ended', async () => {
    const value = crypto.randomUUID()
    expect(await replayGuard.claim(value, inSeconds(2))).toBe(true)
    expect(await replayGuard.claim(value, inSeconds(2))).toBe(false)
    await ground.pass(3)
    const until = inSeconds(120)
    const granted = await Promise.all(Array.from({ length: 10 }, () => replayGuard.claim(value, until)))
    expect(granted.filter(Boolean)).toHaveLength(1)
  })

  test('a claim that has ended before it begins is granted to nobody', async () => {
    expect(await replayGuard.claim(crypto.randomUUID(), inSeconds(-1))).toBe(false)
    expect(await replayGuard.claim(crypto.randomUUID(), inSeconds(0))).toBe(false)
  })

  test('values of any length and script are told apart', async () => {
    const values = ['', ' ', 'e\u0301', '\u00e9', 'x'.repeat(10_000), `${'x'.repeat(10_000)}y`]
    for (const value of values) expect(await replayGuard.claim(value, inSeconds(120))).toBe(true)
  })
})

describe.skipIf(ground.platform === undefined)('Replay, the Durable Object', () => {
  const { platform } = ground
  if (platform === undefined) return

  test('keeps a digest, not the value, and deletes it after its end and not before', async () => {
    const ending = crypto.randomUUID()
    const lasting = crypto.randomUUID()
    await replayGuard.claim(ending, inSeconds(2))
    await replayGuard.claim(lasting, inSeconds(120))
    expect(await platform.replayRows(await sha256(ending))).toBe(1)
    await ground.pass(3)
    await platform.ringReplay(await sha256(ending))
    await platform.ringReplay(await sha256(lasting))
    expect(await platform.replayRows(await sha256(ending))).toBe(0)
    expect(await platform.replayRows(await sha256(lasting))).toBe(1)
  })

  test('goes on cleaning up while something is left', async () => {
    const value = crypto.randomUUID()
    await replayGuard.claim(value, inSeconds(120))
    expect(await platform.ringReplay(await sha256(value))).toBe(true)
    expect(await platform.ringReplay(await sha256(value))).toBe(true)
  })
})
