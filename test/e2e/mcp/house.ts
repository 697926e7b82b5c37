// The whole house with an MCP server behind it, under its name `mcp`.

import type { World } from '../../../dev/world.ts'
import { openHouse, type House } from '../house.ts'
import { startMcpResource, type McpResource } from './server.ts'

export type McpHouse = House & {
  readonly mcp: McpResource
  /** The MCP endpoint as callers of the gateway know it. */
  readonly endpoint: string
  /** An access token for the MCP server that no gateway had a hand in. */
  readonly directToken: (user: string) => Promise<string>
  /** Whose ID token was exchanged, each time one was. */
  readonly exchangedFor: () => readonly string[]
}

const SCOPES = ['todos.read', 'todos.write']
const SECRET_NAME = 'MCP_CLIENT_SECRET'

export async function openMcpHouse(): Promise<McpHouse> {
  let started: McpResource | undefined
  const house = await openHouse({
    extend: async (world) => {
      const resource = await startMcpResource(world.idp)
      started = resource
      connect(world, resource)
      return {
        edit: (text) => withResource(text, resource),
        secrets: { [SECRET_NAME]: resource.client.secret },
        close: resource.close,
      }
    },
  })
  if (started === undefined) throw new Error('the MCP server was not started')
  const mcp = started
  return {
    ...house,
    mcp,
    endpoint: `${house.gateway.url}/r/mcp`,
    directToken: (user) => redeem(house.world, mcp, user),
    exchangedFor: () =>
      house.world.traffic.of('idp', '/token').flatMap(({ form }) => {
        const token = form?.['subject_token']
        return typeof token === 'string' ? [subjectOf(token)] : []
      }),
  }
}

function connect({ idp }: World, { origin, resource, client }: McpResource): void {
  const connection = { audience: origin, clientIdThere: client.id, resources: [resource], scopes: SCOPES }
  idp.connect({ ...connection, client: 'gateway' })
}

function withResource(text: string, { origin, resource, client }: McpResource): string {
  const entry = {
    kind: 'id-jag',
    authorization_server: { issuer: origin },
    resource,
    client: { id: client.id, auth: { method: 'client_secret_basic', secret: { secret: SECRET_NAME } } },
    scopes: SCOPES,
    proxy: { path: '/r/mcp', upstream: resource },
  }
  const rule = { id: 'mcp', effect: 'allow', who: { clients: ['people'] }, resources: ['mcp'] }
  return text
    .replace('"resources": {', (section) => `${section} "mcp": ${JSON.stringify(entry)},`)
    .replace('"rules": [', (section) => `${section} ${JSON.stringify(rule)},`)
}

/** An ID-JAG as the identity provider issues it, redeemed by hand. */
async function redeem({ idp }: World, { origin, resource, client }: McpResource, user: string): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: idp.issuer, sub: user, aud: origin, client_id: client.id, resource, scope: SCOPES.join(' ') }
  const assertion = await idp.sign(
    { typ: 'oauth-id-jag+jwt' },
    { ...claims, jti: crypto.randomUUID(), iat: now, exp: now + 60 },
  )
  const response = await fetch(`${origin}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${client.id}:${client.secret}`)}` },
    body: new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }),
  })
  const body: unknown = await response.json()
  if (typeof body === 'object' && body !== null && 'access_token' in body) return String(body.access_token)
  throw new Error(`the authorization server of the MCP server answered ${response.status}`)
}

function subjectOf(token: string): string {
  const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  return typeof claims === 'object' && claims !== null && 'sub' in claims ? String(claims.sub) : ''
}
