// Giving a token back (RFC 7009): as which client, by which way, and with which secret. What becomes of connections is in
// test/unit/admin/receipt.test.ts.
import { describe, expect, test } from 'vitest'
import { createCutter, createKeyRing } from '../../../src/credentials/credentials.ts'
import { encodeEntry, lifetimeOf } from '../../../src/credentials/entry.ts'
import { numericDate } from '../../../src/lib/numeric-date.ts'
import { Secret } from '../../../src/lib/secret.ts'
import type { Connection } from '../../../src/connection.ts'
import type { Issuer, SecretName } from '../../../src/parties.ts'
import { createDiscovery } from '../../../src/oauth/metadata.ts'
import { createManualClock, createMemoryTokenStore } from '../../../src/platform/memory.ts'
import { scopesOf } from '../support/proofs.ts'
import { createWorld, json, NAMES, RESOURCES, SECRETS, type Json } from '../support/world.ts'

const clock = createManualClock()
const NOW = clock.now()

interface Sent {
  readonly url: string
  readonly certificate: string | undefined
  readonly form: Readonly<Record<string, string>>
}

/** Cuts one connection of a client that authenticates so; the server answers its revocation endpoints by `answer`. */
async function cut(auth: Json, metadata: Json, answer: (sent: Sent) => Response, issuedBy: string = NAMES.ras) {
  const server = { issuer: NAMES.ras }
  const tasks = { ...RESOURCES.tasks, authorization_server: server, client: { id: 'gw-at-tasks', auth } }
  const { config } = createWorld({ resources: { ...RESOURCES, tasks } })
  const sent: Sent[] = []
  const respond = async (request: Request, certificate?: string): Promise<Response> => {
    if (request.url.includes('/.well-known/')) return json({ issuer: NAMES.ras, ...metadata })
    const form = Object.fromEntries(new URLSearchParams(await request.text()))
    const one = { url: request.url, certificate, form }
    sent.push(one)
    return answer(one)
  }
  const fetch = (request: Request): Promise<Response> => respond(request)
  const secrets = async (name: SecretName) => new Secret(SECRETS[name] ?? '')
  const ring = createKeyRing(config.cache.sealingKeys, secrets)
  const entry = {
    id: 'entry',
    identity: 'x',
    token: new Secret('the-token'),
    server: issuedBy as Issuer,
    scopes: scopesOf('tasks.read'),
    key: undefined,
    details: undefined,
    ...lifetimeOf(NOW, 3600, { maxTtlSeconds: 3600, refreshBeforeSeconds: 60 }),
    obtainedAt: NOW * 1000,
    loginAt: NOW,
    jti: undefined,
    actors: [],
    idJag: undefined,
  }
  const sealed = await ring.seal('t1.x', encodeEntry(entry))
  const flight = { peek: async () => sealed, forget: async () => sealed }
  const discovery = createDiscovery({ fetch, clock, background: () => undefined }, { local: false })
  const certificates = (name: string) => (request: Request) => respond(request, name)
  const store = createMemoryTokenStore({ clock }).at('x')
  const cutter = createCutter(config, { flight, store, fetch, secrets, certificates, discovery }, ring)
  const connection: Connection = {
    name: 't1.x',
    idp: 'corp',
    issuer: NAMES.idp as Issuer,
    user: 'alice',
    tenant: undefined,
    client: 'browser-app',
    resource: 'tasks',
    scopes: ['tasks.read'],
    firstIssuedAt: NOW,
    lastIssuedAt: NOW,
    expiresAt: numericDate(NOW + 3600),
    tokenExpiresAt: numericDate(NOW + 3600),
    earlierTokensUntil: undefined,
    count: 1,
    idJagJti: undefined,
  }
  const [only] = await cutter.cut([connection], NOW * 1000)
  return { outcome: only?.outcome, sent }
}

const METADATA = { token_endpoint: NAMES.rasToken, revocation_endpoint: 'https://as.tasks.test/revoke' }
const gone = (): Response => new Response(null)

describe('a token is given back', () => {
  test('with a client certificate where clients with one go', async () => {
    const auth = { method: 'tls_client_auth', certificate: { binding: 'TASKS_CERT' } }
    const aliases = { mtls_endpoint_aliases: { revocation_endpoint: 'https://mtls.tasks.test/revoke' } }
    const elsewhere = await cut(auth, { ...METADATA, ...aliases }, gone)
    expect(elsewhere.outcome).toBe('revoked')
    expect(elsewhere.sent).toEqual([
      {
        url: 'https://mtls.tasks.test/revoke',
        certificate: 'TASKS_CERT',
        form: { client_id: 'gw-at-tasks', token: 'the-token', token_type_hint: 'access_token' },
      },
    ])
    const ordinary = await cut(auth, METADATA, gone)
    expect(ordinary.sent).toMatchObject([{ url: METADATA.revocation_endpoint, certificate: 'TASKS_CERT' }])
  })

  test('without one at the ordinary address, whatever else there is', async () => {
    const auth = { method: 'client_secret_post', secret: { secret: 'TASKS_SECRET' } }
    const aliases = { mtls_endpoint_aliases: { revocation_endpoint: 'https://mtls.tasks.test/revoke' } }
    const { outcome, sent } = await cut(auth, { ...METADATA, ...aliases }, gone)
    expect(outcome).toBe('revoked')
    expect(sent).toMatchObject([{ url: METADATA.revocation_endpoint, certificate: undefined }])
  })

  test('to nobody but the server that issued it: one that its resource has moved to never sees it', async () => {
    const auth = { method: 'client_secret_post', secret: { secret: 'TASKS_SECRET' } }
    const { outcome, sent } = await cut(auth, METADATA, gone, 'https://as.before.test')
    expect(outcome).toBe('failed')
    expect(sent).toEqual([])
  })

  test('with the secret before where the current one is not taken, in two calls at most', async () => {
    const auth = { method: 'client_secret_post', secret: [{ secret: 'NOTES_SECRET' }, { secret: 'TASKS_SECRET' }] }
    const refusal = (): Response => json({ error: 'invalid_client' }, { status: 401 })
    const found = await cut(auth, METADATA, ({ form }) =>
      form['client_secret'] === SECRETS['TASKS_SECRET'] ? gone() : refusal(),
    )
    expect(found.outcome).toBe('revoked')
    expect(found.sent.map(({ form }) => form['client_secret'])).toEqual([
      SECRETS['NOTES_SECRET'],
      SECRETS['TASKS_SECRET'],
    ])
    const lost = await cut(auth, METADATA, refusal)
    expect([lost.outcome, lost.sent.length]).toEqual(['failed', 2])
  })
})
