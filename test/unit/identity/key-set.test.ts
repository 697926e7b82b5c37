// Which published keys are taken, which are dropped, and which condemn their document.
import { describe, expect, test } from 'vitest'
import { findKey, parseKeySet } from '../../../src/identity/key-set.ts'
import type { SigningAlgorithm } from '../../../src/parties.ts'
import { createTestKey } from '../../support/keys.ts'

const ALL: readonly SigningAlgorithm[] = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'EdDSA',
]
const ec = await createTestKey('ec')
const rsa = await createTestKey('rsa', 'RS256')
const ed = await createTestKey('ed', 'EdDSA')
const p384 = await createTestKey('p384', 'ES384')

async function read(keys: unknown, algorithms = ALL) {
  const set = await parseKeySet({ keys }, algorithms)
  if (!set.ok) return set.error
  return set.value.keys.length
}

test('takes keys of every supported kind', async () => {
  const keys = [ec, rsa, ed, p384]
  const set = await parseKeySet({ keys: keys.map(({ publicJwk }) => publicJwk) }, ALL)
  if (!set.ok) throw new Error(set.error)
  for (const { kid, alg } of keys) expect(findKey(set.value, kid, alg)?.type).toBe('public')
  expect(findKey(set.value, 'ec', 'ES384')).toBeUndefined()
  expect(findKey(set.value, 'rsa', 'PS256')).toBeUndefined()
})

test('takes a key without alg for every allowed algorithm of its kind', async () => {
  const set = await parseKeySet({ keys: [{ ...rsa.publicJwk, alg: undefined }] }, ['RS256', 'PS256', 'ES256'])
  if (!set.ok) throw new Error(set.error)
  expect(findKey(set.value, 'rsa', 'RS256')).toBeDefined()
  expect(findKey(set.value, 'rsa', 'PS256')).toBeDefined()
  expect(findKey(set.value, 'rsa', 'RS512')).toBeUndefined()
  expect(findKey(set.value, 'rsa', 'ES256')).toBeUndefined()
})

describe('drops, and keeps the rest,', () => {
  // p·q of 1024 bits; the shape is all that counts here.
  const small = { kty: 'RSA', e: 'AQAB', n: 'gAAA'.padEnd(171, 'A'), kid: 'small' }
  test.each([
    ['a key for encryption', { ...rsa.publicJwk, kid: 'x', use: 'enc' }],
    ['a key that may not verify', { ...rsa.publicJwk, kid: 'x', key_ops: ['encrypt'] }],
    ['a key of an unknown kind', { kty: 'AKP', kid: 'x', pub: 'AAAA' }],
    ['a key on an unknown curve', { ...ec.publicJwk, kid: 'x', crv: 'secp256k1' }],
    ['a key that is not on its curve', { ...ec.publicJwk, kid: 'x', y: ec.publicJwk.x }],
    ['a key for another algorithm', { ...ec.publicJwk, kid: 'x', alg: 'ES256K' }],
    ['a key for RSA encryption', { ...rsa.publicJwk, kid: 'x', alg: 'RSA-OAEP' }],
    ['an RSA key of 1024 bits', small],
    ['an RSA key of 16384 bits', { ...small, n: 'gAAA'.padEnd(2_731, 'A') }],
    ['an RSA key with the exponent 1', { ...rsa.publicJwk, kid: 'x', e: 'AQ' }],
    ['an RSA key with the exponent 3', { ...rsa.publicJwk, kid: 'x', e: 'Aw' }],
    ['an RSA key with padding', { ...rsa.publicJwk, kid: 'x', n: `${rsa.publicJwk.n}==` }],
    ['an RSA key of zero', { ...small, n: 'A'.repeat(344) }],
    ['a key whose kid is a number', { ...rsa.publicJwk, kid: 7 }],
    ['a key whose kid is empty', { ...rsa.publicJwk, kid: '' }],
    ['a key whose kid is endless', { ...rsa.publicJwk, kid: 'k'.repeat(257) }],
    ['an empty key', {}],
  ])('%s', async (_, jwk) => {
    expect(await read([jwk, ec.publicJwk])).toBe(1)
  })
})

describe('refuses a document with', () => {
  test.each([
    ['a private EC key', [ec.privateJwk]],
    ['a private RSA key', [ec.publicJwk, rsa.privateJwk]],
    ['one private member', [{ ...rsa.publicJwk, dp: 'AQ' }]],
    ['a private key it could not use anyway', [ec.publicJwk, { kty: 'XYZ', d: 'AQ' }]],
    ['a symmetric key', [ec.publicJwk, { kty: 'oct', kid: 'x' }]],
    ['two usable keys of one kid', [ec.publicJwk, { ...rsa.publicJwk, kid: 'ec' }]],
    ['a key that is text', ['ec']],
    ['a key that is null', [null, ec.publicJwk]],
    ['101 keys', Array.from({ length: 101 }, () => ({}))],
    ['an object of keys', { 0: ec.publicJwk }],
    ['nothing', undefined],
  ])('%s', async (_, keys) => {
    expect(await read(keys)).toBeTypeOf('string')
  })
})

test('takes one kid for a signing and an encryption key: only one of them is usable', async () => {
  expect(await read([ec.publicJwk, { ...rsa.publicJwk, kid: 'ec', use: 'enc' }])).toBe(1)
})

test('takes an RSA modulus with a leading zero octet for what it is', async () => {
  // 2047 bits behind a zero octet: too small, although the octets are 257.
  const short = { kty: 'RSA', e: 'AQAB', kid: 'x', n: 'AEAA'.padEnd(343, 'A') }
  expect(await read([short, ec.publicJwk])).toBe(1)
})
