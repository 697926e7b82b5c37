// An MCP client as its developers get it: the MCP TypeScript SDK, which knows the address of an MCP server and nothing of what
// stands before it. It finds the identity provider by our 401 and metadata, signs the user in there, and uses the tools.

import {
  buildDiscoveryUrls,
  Client,
  discoverAuthorizationServerMetadata,
  discoverOAuthProtectedResourceMetadata,
  StreamableHTTPClientTransport,
  UnauthorizedError,
  type OAuthClientProvider,
  type OAuthDiscoveryState,
  type StoredOAuthTokens,
} from '@modelcontextprotocol/client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { REDIRECT_URI } from '../../dev/idp.ts'
import { walk } from '../../dev/sign-in.ts'
import { openMcpHouse, type McpHouse } from './mcp/house.ts'

let house: McpHouse

beforeAll(async () => {
  house = await openMcpHouse()
})

afterAll(() => house.close())

beforeEach(() => {
  house.world.traffic.clear()
  house.mcp.traffic.clear()
})

/** A desktop client with a registration at the identity provider. All it has to know of jagway: the token to show is the ID token. */
class Desktop implements OAuthClientProvider {
  readonly redirectUrl = REDIRECT_URI
  readonly clientMetadata = { redirect_uris: [REDIRECT_URI] }
  sentTo: URL | undefined
  #tokens: StoredOAuthTokens | undefined
  #verifier = ''
  #discovery: OAuthDiscoveryState | undefined

  clientInformation() {
    const { gateway } = house.world.loginClients
    return { client_id: gateway.id, ...('secret' in gateway ? { client_secret: gateway.secret } : {}) }
  }
  tokens() {
    const { id_token: idToken } = this.#tokens ?? {}
    return this.#tokens && idToken !== undefined ? { ...this.#tokens, access_token: idToken } : undefined
  }
  saveTokens(tokens: StoredOAuthTokens) {
    this.#tokens = tokens
  }
  redirectToAuthorization(url: URL) {
    this.sentTo = url
  }
  saveCodeVerifier(verifier: string) {
    this.#verifier = verifier
  }
  codeVerifier() {
    return this.#verifier
  }
  saveDiscoveryState(state: OAuthDiscoveryState) {
    this.#discovery = state
  }
  discoveryState() {
    return this.#discovery
  }
  /** The identity provider signs in to itself; it has no names for what lies behind. */
  async validateResourceURL() {
    return undefined
  }
}

async function connectAs(user: string) {
  const provider = new Desktop()
  const open = () => new StreamableHTTPClientTransport(new URL(house.endpoint), { authProvider: provider })
  const first = open()
  const client = new Client({ name: 'desktop', version: '1.0.0' })
  await expect(client.connect(first)).rejects.toBeInstanceOf(UnauthorizedError)
  if (provider.sentTo === undefined) throw new Error('the client was sent nowhere')
  const { searchParams } = await walk(provider.sentTo, user)
  await first.finishAuth(searchParams)
  const signedIn = new Client({ name: 'desktop', version: '1.0.0' })
  await signedIn.connect(open())
  return { client: signedIn, provider }
}

describe('the MCP TypeScript SDK', () => {
  test('finds the identity provider by our 401, signs in there, and calls tools for one exchange', async () => {
    const { client, provider } = await connectAs('ann')
    const { origin, searchParams } = provider.sentTo ?? new URL('about:blank')
    expect(origin).toBe(house.world.idp.issuer)
    expect(searchParams.get('scope')).toBe('openid')

    const { tools } = await client.listTools()
    expect(tools.length).toBeGreaterThan(10)
    const called = await client.callTool({ name: 'test_simple_text', arguments: {} })
    expect(called.content).toEqual([{ type: 'text', text: 'This is a simple text response for testing.' }])
    const { contents } = await client.readResource({ uri: 'test://static-text' })
    expect(contents).toHaveLength(1)
    await client.close()

    expect(house.exchangedFor()).toEqual(['ann'])
    const idToken = provider.tokens()?.access_token ?? ''
    expect(idToken.split('.')).toHaveLength(3)
    const atServer = house.mcp.traffic.of('tasks-api')
    expect(atServer.length).toBeGreaterThan(2)
    expect(JSON.stringify(atServer.map(({ headers }) => headers))).not.toContain(idToken)
  })

  test('sees what a tool reports while it runs', async () => {
    const { client } = await connectAs('bo')
    const seen: number[] = []
    const result = await client.callTool(
      { name: 'test_tool_with_progress', arguments: {} },
      { onprogress: ({ progress }) => void seen.push(progress) },
    )
    expect(result.content).toEqual([{ type: 'text', text: 'done' }])
    expect(seen).toEqual([0, 50, 100])
    await client.close()
  })

  test('is told that a user may not, and does not send the user to sign in again', async () => {
    const idToken = await house.world.login('kim')
    const forbidden = await fetch(`${house.gateway.url}/r/tasks/v1/todos`, {
      headers: { authorization: `Bearer ${idToken}` },
    })
    expect(forbidden.status).toBe(403)
    const provider = new Desktop()
    provider.saveTokens({ access_token: 'x', token_type: 'Bearer', id_token: idToken })
    const transport = new StreamableHTTPClientTransport(new URL(`${house.gateway.url}/r/tasks`), {
      authProvider: provider,
    })
    await expect(new Client({ name: 'desktop', version: '1.0.0' }).connect(transport)).rejects.toThrow(/POL100/)
    expect(provider.sentTo).toBeUndefined()
  })

  test('accepts the metadata of the resource, found by its address alone', async () => {
    const metadata = await discoverOAuthProtectedResourceMetadata(house.endpoint)
    expect(metadata).toMatchObject({ resource: house.endpoint, authorization_servers: [house.world.idp.issuer] })
    expect(metadata.scopes_supported?.[0]).toBe('openid')
  })

  test('accepts our metadata as an authorization server under either name', async () => {
    const { url } = house.gateway
    const found = buildDiscoveryUrls(url).map(({ url: address }) => address.pathname)
    expect(found).toEqual(['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'])
    for (const hidden of [undefined, found[0]]) {
      const metadata = await discoverAuthorizationServerMetadata(url, {
        fetchFn: (address, init) =>
          new URL(address).pathname === hidden
            ? Promise.resolve(new Response(null, { status: 404 }))
            : fetch(address, init),
      })
      expect(metadata).toMatchObject({ issuer: url, token_endpoint: `${url}/token` })
      expect(metadata?.code_challenge_methods_supported).toEqual(['S256'])
    }
  })
})
