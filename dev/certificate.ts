// A certificate for 127.0.0.1, made anew in each process. The notes server trusts https issuers only, so the local
// identity provider has to speak https, and this process and its workerd have to trust it.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { generate } from 'selfsigned'

export type Certificate = { readonly key: string; readonly cert: string }

const EXTRA_AUTHORITIES = 'NODE_EXTRA_CA_CERTS'

let made: Promise<Certificate> | undefined

/** One certificate for all worlds of a process, since Miniflare reads the authorities it trusts only when it is loaded. */
export async function localCertificate(): Promise<Certificate> {
  made ??= make()
  return await made
}

async function make(): Promise<Certificate> {
  const day = 24 * 60 * 60 * 1000
  const pems = await generate([{ name: 'commonName', value: 'jagway local world' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(Date.now() - day),
    notAfterDate: new Date(Date.now() + 30 * day),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 7, ip: '127.0.0.1' },
          { type: 2, value: 'localhost' },
        ],
      },
    ],
  })
  const certificate = { key: pems.private, cert: pems.cert }
  trustInThisProcess(certificate.cert)
  await trustInWorkerd(certificate.cert)
  return certificate
}

/** Lets every workerd that this process starts trust one more authority. Whoever loaded Miniflare before came too early. */
async function trustInWorkerd(cert: string): Promise<void> {
  const given = process.env[EXTRA_AUTHORITIES]
  const folder = await mkdtemp(join(tmpdir(), 'jagway-ca-'))
  try {
    const file = join(folder, 'ca.pem')
    await writeFile(file, given === undefined ? cert : `${await readFile(given, 'utf8')}\n${cert}`)
    process.env[EXTRA_AUTHORITIES] = file
    await import('miniflare')
  } finally {
    if (given === undefined) delete process.env[EXTRA_AUTHORITIES]
    else process.env[EXTRA_AUTHORITIES] = given
    await rm(folder, { recursive: true, force: true })
  }
}

/** For `fetch` of Node. */
export function trustInThisProcess(cert: string): void {
  setDefaultCACertificates([...getCACertificates('default'), cert])
}
