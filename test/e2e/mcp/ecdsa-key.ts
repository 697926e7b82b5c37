// A public key that fits an ES256 signature (SEC 1 section 4.1.6). For a counterparty that publishes none: its tokens are all
// there is to know its key by. It proves nothing about who signed that one token; a forged one will not fit it.

import { createHash } from 'node:crypto'
import type { JWK } from 'jose'

/** P-256 (SEC 2 section 2.4.2). */
const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn
const G: Point = [
  0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
]

type Point = readonly [x: bigint, y: bigint]

/** One of the two keys that fit; the signature cannot tell which of them made it. */
export function keyOfSignature(jws: string): JWK {
  const [header = '', payload = '', signature = ''] = jws.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  const [r, s] = [toInteger(bytes.subarray(0, 32)), toInteger(bytes.subarray(32))]
  const digest = toInteger(createHash('sha256').update(`${header}.${payload}`).digest())
  const square = mod(r ** 3n - 3n * r + B, P)
  const y = power(square, (P + 1n) / 4n, P)
  const inverse = power(r, N - 2n, N)
  const point = add(times(mod(s * inverse, N), [r, y]), times(mod(-digest * inverse, N), G))
  if (mod(y * y, P) !== square || point === undefined) throw new Error('no key of P-256 fits this signature')
  const [kx = '', ky = ''] = point.map((coordinate) =>
    Buffer.from(coordinate.toString(16).padStart(64, '0'), 'hex').toString('base64url'),
  )
  return { kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig', x: kx, y: ky }
}

function toInteger(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`)
}

function mod(value: bigint, modulus: bigint): bigint {
  return ((value % modulus) + modulus) % modulus
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  for (let [square, rest] = [mod(base, modulus), exponent]; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = mod(result * square, modulus)
    square = mod(square * square, modulus)
  }
  return result
}

function add(left: Point | undefined, right: Point | undefined): Point | undefined {
  if (left === undefined) return right
  if (right === undefined) return left
  const [[x1, y1], [x2, y2]] = [left, right]
  if (x1 === x2 && y1 !== y2) return undefined
  const slope =
    x1 === x2 ? (3n * x1 * x1 - 3n) * power(2n * y1, P - 2n, P) : (y2 - y1) * power(mod(x2 - x1, P), P - 2n, P)
  const x = mod(slope * slope - x1 - x2, P)
  return [x, mod(slope * (x1 - x) - y1, P)]
}

function times(factor: bigint, point: Point): Point | undefined {
  let result: Point | undefined
  let doubled: Point | undefined = point
  for (let rest = factor; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = add(result, doubled)
    doubled = add(doubled, doubled)
  }
  return result
}
