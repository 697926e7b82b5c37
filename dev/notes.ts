// Starts the notes SaaS in workerd and registers the gateway with its authorization server.

import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { bundle } from '../src/cli/bundle.ts'
import { JWT_BEARER } from './oauth-names.ts'
import { LOOPBACK } from './server.ts'
import type { Recorded } from './notes-worker.ts'
import type { Exchange, Traffic } from './traffic.ts'

export type Notes = {
  readonly origin: string
  readonly issuer: string
  readonly resource: string
  readonly close: () => Promise<void>
}

export const NOTES_SCOPES = ['notes.read', 'notes.write']

let worker: Promise<string> | undefined

export async function startNotes(options: {
  readonly port: number
  readonly traffic: Traffic
  readonly trusted: { readonly issuer: string; readonly jwksUri: string }
  readonly client: { readonly id: string; readonly secret: string }
  readonly accessTokenSeconds: number
}): Promise<Notes> {
  const { traffic, trusted, client, port } = options
  worker ??= bundle(fileURLToPath(new URL('notes-worker.ts', import.meta.url)))
  // Loaded here and not above, because Miniflare reads the trusted certificates when it is loaded.
  const { Miniflare, Log, LogLevel, Response, convertV4MiniflareOptions } = await import('miniflare')
  const origin = `http://${LOOPBACK}:${port}`
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      telemetry: { enabled: false },
      log: new Log(LogLevel.NONE),
      handleStructuredLogs: () => undefined,
      workers: [
        {
          name: 'notes',
          compatibilityDate: '2026-10-23',
          compatibilityFlags: ['global_fetch_strictly_public'],
          modulesRoot: process.cwd(),
          modules: [{ type: 'ESModule', path: 'notes.mjs', contents: await worker }],
          kvNamespaces: ['OAUTH_KV'],
          bindings: {
            ORIGIN: origin,
            TRUSTED_ISSUER: trusted.issuer,
            TRUSTED_JWKS_URI: trusted.jwksUri,
            ACCESS_TOKEN_SECONDS: options.accessTokenSeconds,
          },
          serviceBindings: {
            RECORDER: async (request) =>
              new Response(record(traffic, new URL(request.url).pathname, await request.text())),
          },
          unsafeDirectSockets: [{ host: LOOPBACK, port }],
        },
      ],
    }),
  )
  await runtime.ready
  // Its own helper makes a random id; a record written in its documented storage form lets the configuration file name
  // a fixed one. Secrets are stored as their SHA-256.
  const store = await runtime.getKVNamespace('OAUTH_KV', 'notes')
  await store.put(
    `client:${client.id}`,
    JSON.stringify({
      clientId: client.id,
      clientSecret: createHash('sha256').update(client.secret).digest('hex'),
      clientName: 'jagway',
      redirectUris: [],
      grantTypes: [JWT_BEARER],
      responseTypes: [],
      registrationDate: Math.floor(Date.now() / 1000),
      tokenEndpointAuthMethod: 'client_secret_basic',
    }),
  )
  return { origin, issuer: origin, resource: `${origin}/v1`, close: () => runtime.dispose() }
}

function record(traffic: Traffic, step: string, message: string): string {
  // Both messages are written by our own Worker: its record() and its fetch().
  if (step === '/end') {
    const { index, status }: { index: number; status: number } = JSON.parse(message)
    const ended = traffic.at(index)
    if (ended !== undefined) ended.status = status
    return '{}'
  }
  const received: Omit<Exchange, 'index' | 'time'> = JSON.parse(message)
  const exchange = traffic.begin(received)
  exchange.body = received.body ?? ''
  if (exchange.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true)
    exchange.form = Object.fromEntries(new URLSearchParams(exchange.body))
  const recorded: Recorded = { index: exchange.index, fault: traffic.faultFor(exchange) }
  return JSON.stringify(recorded)
}
