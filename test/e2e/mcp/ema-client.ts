// What the conformance suite runs as the client of its scenario auth/enterprise-managed-authorization: an MCP client that
// knows only an ID token, and jagway before the MCP server to do the rest.
//
//   node ema-client.ts SERVER_URL        with MCP_CONFORMANCE_CONTEXT in the environment
//
// The configuration is what an administrator would write for these servers. Nothing is published that the ID token could be
// verified with (the document names keys that are not there), so its key is taken from the token itself.

import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import {
  Client,
  discoverAuthorizationServerMetadata,
  discoverOAuthProtectedResourceMetadata,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client'
import * as v from 'valibot'
import { freePort, LOOPBACK } from '../../../dev/server.ts'
import { keyOfSignature } from './ecdsa-key.ts'

const contextSchema = v.object({
  client_id: v.string(),
  client_secret: v.string(),
  idp_client_id: v.string(),
  idp_id_token: v.string(),
  idp_issuer: v.string(),
  idp_token_endpoint: v.string(),
})
type Context = v.InferOutput<typeof contextSchema>

const PROGRAM = fileURLToPath(new URL('../../../src/cli/jagway.ts', import.meta.url))
const GATEWAYS = 2
const CONNECTIONS = 3

/** `public_url` of a gateway at this port, and what it does there. */
function configOf(context: Context, port: number, server: { url: string; issuer: string; tokenEndpoint: string }) {
  return {
    version: 1,
    public_url: `http://${LOOPBACK}:${port}`,
    idps: {
      corp: {
        issuer: context.idp_issuer,
        token_endpoint: context.idp_token_endpoint,
        jwks: { keys: [keyOfSignature(context.idp_id_token)] },
        id_token: { algorithms: ['ES256'] },
        clients: { gateway: { id: context.idp_client_id, auth: { method: 'none' }, edge_client: 'people' } },
      },
    },
    clients: { people: { subject_tokens: ['corp/gateway'] } },
    resources: {
      mcp: {
        kind: 'id-jag',
        authorization_server: { issuer: server.issuer, token_endpoint: server.tokenEndpoint },
        resource: server.url,
        client: { id: context.client_id, auth: { method: 'client_secret_basic', secret: { secret: 'RAS_SECRET' } } },
        scopes: [],
        proxy: { path: '/mcp', upstream: server.url },
      },
    },
    policy: { rules: [{ id: 'everybody', effect: 'allow', resources: ['mcp'] }] },
  }
}

async function findServer(url: string) {
  const { authorization_servers: [issuer] = [] } = await discoverOAuthProtectedResourceMetadata(url)
  if (issuer === undefined) throw new Error('the MCP server names no authorization server')
  const metadata = await discoverAuthorizationServerMetadata(issuer)
  if (metadata === undefined) throw new Error('the authorization server has no metadata')
  return { url, issuer, tokenEndpoint: metadata.token_endpoint }
}

/** A gateway of its own, with an empty cache. */
async function startGateway(folder: string, port: number) {
  const files = ['--config', join(folder, 'jagway.jsonc'), '--secrets', join(folder, 'secrets.json')]
  const child = spawn(process.execPath, [PROGRAM, 'serve', '--port', String(port), ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<void>((done) => child.once('exit', () => done()))
  const ready = new Promise<void>((done, fail) => {
    createInterface(child.stdout).on('line', (line) => {
      console.log(line)
      if (line.startsWith('ready ')) done()
    })
    child.once('exit', (code) => fail(new Error(`the gateway ended with ${code}`)))
  })
  const close = async () => {
    child.kill('SIGTERM')
    await ended
  }
  await ready.catch(async (error: unknown) => {
    await close()
    throw error
  })
  return { close }
}

async function useTools(url: string, idToken: string): Promise<void> {
  const client = new Client({ name: 'employee', version: '1.0.0' })
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: { token: async () => idToken } })
  await client.connect(transport)
  await client.listTools()
  await client.close()
}

async function main(url: string): Promise<void> {
  const context = v.parse(contextSchema, JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}'))
  const server = await findServer(url)
  const folder = await mkdtemp(join(tmpdir(), 'jagway-ema-'))
  try {
    await writeFile(join(folder, 'secrets.json'), JSON.stringify({ RAS_SECRET: context.client_secret }))
    for (let count = 0; count < GATEWAYS; count++) {
      const port = await freePort()
      await writeFile(join(folder, 'jagway.jsonc'), JSON.stringify(configOf(context, port, server)))
      const gateway = await startGateway(folder, port)
      try {
        const endpoint = `http://${LOOPBACK}:${port}/mcp`
        for (let connection = 0; connection < CONNECTIONS; connection++) await useTools(endpoint, context.idp_id_token)
        const forged = `${context.idp_id_token.slice(0, -8)}AAAAAAAA`
        const refused = await fetch(endpoint, { method: 'POST', headers: { authorization: `Bearer ${forged}` } })
        if (refused.status !== 401) throw new Error(`a forged ID token got ${refused.status}`)
      } finally {
        await gateway.close()
      }
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

await main(process.argv[2] ?? '')
