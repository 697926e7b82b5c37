// How the built Worker authenticates at the servers behind it: signatures that workerd makes, and a certificate that it shows in a
// real TLS handshake. What the servers saw is what counts.
import { createServer, type Server } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { compactVerify, createLocalJWKSet, decodeJwt, type JSONWebKeySet } from 'jose'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { localCertificate } from '../../dev/certificate.ts'
import type { SigningAlgorithm } from '../../src/parties.ts'
import { SECRETS } from '../support/counterparties.ts'
import { createTestKey, type TestKey } from '../support/keys.ts'
import { openStage, type Stage } from '../support/stage.ts'

interface Shown {
  readonly path: string
  /** The common name of the certificate that the client has shown. */
  readonly certificate: string | undefined
  readonly form: URLSearchParams
  readonly authorization: string | undefined
}

/** Takes only clients with the certificate, and hands their requests on to the token endpoint behind it. */
async function openMtls(client: { readonly cert: string }, behind: () => string) {
  const { key, cert } = await localCertificate()
  const shown: Shown[] = []
  const options = { key, cert, ca: [client.cert], requestCert: true, rejectUnauthorized: true }
  const server: Server = createServer(options, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => void chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const { CN } = (request.socket as TLSSocket).getPeerCertificate().subject
      const certificate = Array.isArray(CN) ? CN[0] : CN
      const { authorization } = request.headers
      shown.push({ path: request.url ?? '', certificate, form: new URLSearchParams(body), authorization })
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const handOn = async (): Promise<void> => {
        const answer = await fetch(behind(), { method: 'POST', headers, body })
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
      }
      void handOn()
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { shown, origin: `https://127.0.0.1:${port}`, close: () => server.close() }
}

async function clientCertificate(): Promise<{ key: string; cert: string }> {
  const pems = await generate([{ name: 'commonName', value: 'jagway-at-notes' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + 24 * 60 * 60 * 1000),
  })
  return { key: pems.private, cert: pems.cert }
}

const ALGORITHMS = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const satisfies readonly SigningAlgorithm[]

let stage: Stage
let keys: readonly TestKey[]
let mtls: Awaited<ReturnType<typeof openMtls>>

beforeAll(async () => {
  keys = await Promise.all(ALGORITHMS.map((alg) => createTestKey(`own-${alg}`, alg)))
  const certificate = await clientCertificate()
  mtls = await openMtls(certificate, () => `${stage.world.notes.issuer}/token`)
  stage = await openStage({
    certificates: { NOTES_CERT: certificate },
    secrets: {
      ...Object.fromEntries(
        keys.map(({ alg, privateJwk }) => [`OWN_${alg.toUpperCase()}`, JSON.stringify(privateJwk)]),
      ),
      TASKS_SECRET_2: 'CANARY-tasks-secret-new',
    },
    edit: (config) => {
      const { tasks, found } = config.resources
      // One registration for each algorithm, and a resource for each.
      const signed = keys.map(({ alg }) => {
        const auth = { method: 'private_key_jwt', key: { secret: `OWN_${alg.toUpperCase()}` }, alg }
        const resource = `${tasks.resource}${alg}`
        const proxy = { ...tasks.proxy, path: `/r/${alg.toLowerCase()}` }
        return [alg.toLowerCase(), { ...tasks, resource, proxy, client: { id: 'jagway-at-tasks', auth } }] as const
      })
      const certified = { method: 'tls_client_auth', certificate: { binding: 'NOTES_CERT' } }
      const both = { method: 'client_secret_post', secret: [{ secret: 'TASKS_SECRET_2' }, { secret: 'TASKS_SECRET' }] }
      return {
        ...config,
        resources: {
          ...config.resources,
          ...Object.fromEntries(signed),
          found: { ...found, client: { id: 'jagway-at-notes', auth: certified } },
          tasks: { ...tasks, client: { id: 'jagway-at-tasks', auth: both } },
        },
        policy: { rules: [{ id: 'all', effect: 'allow' }] },
      }
    },
  })
})

afterAll(async () => {
  await stage.close()
  mtls.close()
})

describe('private_key_jwt', () => {
  test.each(ALGORITHMS)('by %s is verified by the keys that the gateway publishes', async (alg) => {
    const { world } = stage
    world.calm()
    const published: JSONWebKeySet = JSON.parse((await stage.ask({ path: '/.well-known/jwks.json' })).text)
    const answer = await stage.ask({ path: `/r/${alg.toLowerCase()}/v1/x`, token: await world.corp.idToken() })
    expect(answer.status).toBe(200)
    const assertion = world.tasks.token.last.form.get('client_assertion') ?? ''
    const { protectedHeader } = await compactVerify(assertion, createLocalJWKSet(published))
    expect(protectedHeader).toEqual({ alg, kid: `own-${alg}`, typ: 'client-authentication+jwt' })
    expect(decodeJwt(assertion)).toMatchObject({
      iss: 'jagway-at-tasks',
      sub: 'jagway-at-tasks',
      aud: world.tasks.issuer,
    })
  })

  test('publishes public members alone', async () => {
    const { keys: published }: JSONWebKeySet = JSON.parse((await stage.ask({ path: '/.well-known/jwks.json' })).text)
    expect(published).toEqual(keys.map(({ publicJwk }) => publicJwk))
  })
})

test('a client certificate is shown where the metadata says that clients with one go, and nowhere else', async () => {
  const { world } = stage
  world.calm()
  world.notes.metadata.script({ patch: { mtls_endpoint_aliases: { token_endpoint: `${mtls.origin}/mtls/token` } } })
  const answer = await stage.ask({ path: '/r/found/v1/x', token: await world.corp.idToken() })
  expect(answer.status).toBe(200)
  expect(mtls.shown).toMatchObject([{ path: '/mtls/token', certificate: 'jagway-at-notes', authorization: undefined }])
  expect(mtls.shown[0]?.form.get('client_id')).toBe('jagway-at-notes')
  expect(mtls.shown[0]?.form.has('client_secret')).toBe(false)
  expect(world.legs()).toEqual({ exchanges: 1, redemptions: 1 })
})

test('a secret that was replaced at the server is found again by one more call, in no log and no answer', async () => {
  const { world } = stage
  world.calm()
  const refuse = { status: 401, json: { error: 'invalid_client' } }
  world.tasks.token.script(refuse)
  const answer = await stage.ask({ token: await world.corp.idToken({ sub: 'rotation' }) })
  expect(answer.status).toBe(200)
  const sent = world.tasks.token.requests.map(({ form }) => form.get('client_secret'))
  expect(sent).toEqual(['CANARY-tasks-secret-new', SECRETS.TASKS_SECRET])

  world.calm()
  world.tasks.token.script(refuse, 10)
  const refused = await stage.ask({ token: await world.corp.idToken({ sub: 'rotation-2' }) })
  expect([refused.status, refused.json['code']]).toEqual([502, 'RAS106'])
  expect(world.tasks.token.count).toBe(2)
  expect(refused.text).not.toContain('CANARY')
  expect(stage.output()).not.toContain('CANARY-tasks-secret-new')
})

test('the Worker does not start without a certificate that its configuration names', async () => {
  const certified = { method: 'tls_client_auth', certificate: { binding: 'NOBODY_HAS_IT' } }
  const opening = openStage({
    world: stage.world,
    edit: (config) => ({
      ...config,
      resources: { tasks: { ...config.resources.tasks, client: { id: 'x', auth: certified } } },
      policy: { rules: [{ id: 'all', effect: 'allow' }] },
    }),
  })
  await expect(opening).rejects.toThrow(/:1:\d{3,} error CFG115 no client certificate is bound as NOBODY_HAS_IT/)
})
