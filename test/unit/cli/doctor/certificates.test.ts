// How long a certificate is still good, read from a real TLS server.

import { createServer, type Server } from 'node:https'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endOfCertificate, examineCertificate } from '../../../../src/cli/doctor/certificates.ts'

const DAY = 86_400
const END = Math.floor(Date.now() / 1000) + 100 * DAY

let server: Server
let origin = ''

beforeAll(async () => {
  const pems = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date((END - 200 * DAY) * 1000),
    notAfterDate: new Date(END * 1000),
  })
  server = createServer({ key: pems.private, cert: pems.cert })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  origin = `https://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
})
afterAll(() => new Promise((done) => server.close(done)))

describe('a certificate', () => {
  it.each([
    [90, [], 'until'],
    [20, ['DOC206'], 'ends in 20 days'],
    [1, ['DOC111'], 'ends in 24 h'],
    [-1, ['DOC111'], 'has ended on'],
  ])('with %s days left is judged as such', async (days, codes, words) => {
    const places = [{ file: 'config', path: ['idps', 'corp', 'issuer'] }] as const
    const check = await examineCertificate({ origin, places }, END - days * DAY)
    expect(check?.findings.map(({ code }) => code)).toEqual(codes)
    expect(`${check?.says} ${check?.findings[0]?.message ?? ''}`).toContain(words)
  })

  it('of nobody is nothing', async () => {
    expect(await endOfCertificate('https://127.0.0.1:9')).toBeUndefined()
  })
})
