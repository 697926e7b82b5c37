// The door: bearer parsing, who calls at the edge, which client may present which token, and what the memory of verified
// tokens never skips.
import { describe, expect, test } from 'vitest'
import type { AuthenticatedClient } from '../../../src/model.ts'
import { createTestKey, mint } from '../../support/keys.ts'
import {
  caller,
  createWorld,
  idp,
  ISSUER,
  json,
  key,
  outcome,
  SECRET,
  secretAuth,
  strangerKey,
  type World,
} from './world.ts'

const OTHER_ISSUER = 'https://login.other.test'

async function signedIn(world: World, name = 'post'): Promise<AuthenticatedClient> {
  const form = new Map([
    ['client_id', name],
    ['client_secret', SECRET],
  ])
  const client = await world.identity.authenticateClient({ authorization: undefined, form })
  if (!client.ok) throw new Error(`${name} could not sign in: ${client.error.code}`)
  return client.value
}

describe('verifyAtEdge()', () => {
  test('gives the user, the IdP client of the audience and its edge client', async () => {
    const world = createWorld()
    const token = await world.token()
    const result = await world.identity.verifyAtEdge(`Bearer ${token}`)
    if (!result.ok) throw new Error(result.error.code)
    const { principal, caller: edge, idpClient, subject } = result.value
    expect(principal).toEqual({
      idp: 'corp',
      issuer: ISSUER,
      subject: 'alice',
      tenant: undefined,
      act: undefined,
      groups: [],
      claims: new Map(),
      acr: undefined,
      authTime: world.clock.seconds - 10,
      issuedAt: world.clock.seconds - 5,
      expiresAt: world.clock.seconds + 300,
    })
    expect(edge).toEqual({ name: 'edge', method: 'edge' })
    expect(idpClient.ref).toBe('corp/web')
    expect(subject.token.reveal()).toBe(token)
    expect(JSON.stringify(result)).not.toContain(token)
    expect(world.fetched).toEqual([])
  })

  test.each([
    ['no header', undefined, 'TOK100'],
    ['an empty header', '', 'TOK100'],
    ['the scheme alone', 'Bearer', 'TOK100'],
    ['the scheme and a space', 'Bearer ', 'TOK100'],
    ['another scheme', 'Basic YTpi', 'TOK100'],
    ['a scheme that begins alike', 'BearerX abc', 'TOK100'],
    ['two headers joined by a comma', 'Bearer a.b.c, Bearer a.b.c', 'TOK101'],
    ['two tokens', 'Bearer a.b.c d.e.f', 'TOK101'],
    ['a tab instead of a space', 'Bearer\ta.b.c', 'TOK100'],
    ['a quoted token', 'Bearer "a.b.c"', 'TOK101'],
    ['a token with a line break', 'Bearer a.b\n.c', 'TOK101'],
    ['a token outside ASCII', 'Bearer ä.b.c', 'TOK101'],
    ['an opaque token', 'Bearer sk_live_0123456789', 'TOK101'],
  ])('refuses %s', async (_, header, code) => {
    const world = createWorld()
    expect(outcome(await world.identity.verifyAtEdge(header))).toBe(code)
  })

  test.each(['bearer', 'BEARER', 'bEaReR'])('takes the scheme written %s', async (scheme) => {
    const world = createWorld()
    expect(outcome(await world.identity.verifyAtEdge(`${scheme} ${await world.token()}`))).toBe('ok')
  })

  test('takes several spaces after the scheme', async () => {
    const world = createWorld()
    expect(outcome(await world.identity.verifyAtEdge(`Bearer   ${await world.token()}`))).toBe('ok')
  })

  test('refuses a token of an IdP client without an edge client, also when it is remembered', async () => {
    const world = createWorld()
    const token = await world.token({ aud: 'broker-id' })
    expect(outcome(await world.identity.verifyAtEdge(`Bearer ${token}`))).toBe('TOK108')
    expect(outcome(await world.identity.verifyForClient(token, await signedIn(world)))).toBe('ok')
    expect(outcome(await world.identity.verifyAtEdge(`Bearer ${token}`))).toBe('TOK108')
  })

  test('answers an unknown issuer and a bad signature alike, and tells only the auditor which', async () => {
    const world = createWorld()
    const unknown = await world.identity.verifyAtEdge(`Bearer ${await world.token({ iss: OTHER_ISSUER })}`)
    const forged = await world.identity.verifyAtEdge(`Bearer ${await world.token({}, {}, strangerKey)}`)
    if (unknown.ok || forged.ok) throw new Error('accepted')
    expect(unknown.error.code).toBe('TOK102')
    expect({ ...forged.error, detail: '' }).toEqual({ ...unknown.error, detail: '' })
    expect(forged.error.detail).not.toBe(unknown.error.detail)
  })

  test('puts nothing of the token into what the auditor reads', async () => {
    const world = createWorld()
    const token = await world.token({ iss: 'https://CANARY.test', sub: 'CANARY', aud: 'CANARY' })
    const refused = await world.identity.verifyAtEdge(`Bearer ${token}`)
    const aimed = await world.identity.verifyAtEdge(`Bearer ${await world.token({ aud: 'CANARY', azp: 'CANARY' })}`)
    expect(JSON.stringify([refused, aimed])).not.toContain('CANARY')
    expect(JSON.stringify(refused)).not.toContain(token.slice(0, 20))
  })
})

describe('verifyForClient()', () => {
  test('takes a token of an IdP client that the caller may present', async () => {
    const world = createWorld()
    const client = await signedIn(world)
    const result = await world.identity.verifyForClient(await world.token({ aud: 'broker-id' }), client)
    expect(result.ok && result.value.caller).toEqual({ name: 'post', method: 'client_secret_post' })
    expect(result.ok && result.value.idpClient.ref).toBe('corp/broker')
  })

  test('refuses a token of another IdP client, also when it is remembered from the edge', async () => {
    const world = createWorld()
    const client = await signedIn(world)
    const token = await world.token()
    expect(outcome(await world.identity.verifyForClient(token, client))).toBe('CLI112')
    expect(outcome(await world.identity.verifyAtEdge(`Bearer ${token}`))).toBe('ok')
    expect(outcome(await world.identity.verifyForClient(token, client))).toBe('CLI112')
  })

  test('never lends the caller of one request to another', async () => {
    const clients = [
      caller('post', secretAuth('client_secret_post')),
      caller('second', secretAuth('client_secret_post')),
      caller('third', secretAuth('client_secret_post'), ['corp/web']),
    ]
    const world = createWorld({ clients })
    const token = await world.token({ aud: 'broker-id' })
    const first = await world.identity.verifyForClient(token, await signedIn(world))
    const second = await world.identity.verifyForClient(token, await signedIn(world, 'second'))
    const third = await world.identity.verifyForClient(token, await signedIn(world, 'third'))
    expect(first.ok && first.value.caller.name).toBe('post')
    expect(second.ok && second.value.caller.name).toBe('second')
    expect(outcome(third)).toBe('CLI112')
  })

  test('refuses what is not a compact JWT', async () => {
    const world = createWorld()
    const client = await signedIn(world)
    for (const token of ['', 'null', '..', 'a b c', ' '.repeat(20_000)]) {
      expect(outcome(await world.identity.verifyForClient(token, client))).toBe('TOK101')
    }
  })
})

describe('the memory of verified tokens', () => {
  const remote = idp({ keys: { kind: 'fetched', jwksUri: `${ISSUER}/keys` } })

  test('answers a known token with the same assertion', async () => {
    const world = createWorld()
    const header = `Bearer ${await world.token()}`
    const [first, again] = [await world.identity.verifyAtEdge(header), await world.identity.verifyAtEdge(header)]
    expect(first.ok && again.ok && again.value === first.value).toBe(true)
  })

  test('does not outlive the token', async () => {
    const world = createWorld()
    const header = `Bearer ${await world.token()}`
    expect(outcome(await world.identity.verifyAtEdge(header))).toBe('ok')
    world.clock.pass(300 + 59)
    expect(outcome(await world.identity.verifyAtEdge(header))).toBe('ok')
    world.clock.pass(1)
    expect(outcome(await world.identity.verifyAtEdge(header))).toBe('TOK103')
  })

  test('does not outlive the greatest age allowed for its issuer', async () => {
    const young = idp({ idToken: { maxAgeSeconds: 120, algorithms: ['ES256'] } })
    const world = createWorld({ idps: [young] })
    const header = `Bearer ${await world.token()}`
    expect(outcome(await world.identity.verifyAtEdge(header))).toBe('ok')
    world.clock.pass(120 + 60 - 5)
    expect(outcome(await world.identity.verifyAtEdge(header))).toBe('TOK106')
  })

  test('does not answer for a token that differs in its last character', async () => {
    const world = createWorld()
    const token = await world.token()
    expect(outcome(await world.identity.verifyAtEdge(`Bearer ${token}`))).toBe('ok')
    // The last character of an ES256 signature holds four bits; these two leave the others zero.
    const flipped = token.slice(0, -1) + (token.endsWith('A') ? 'Q' : 'A')
    expect(outcome(await world.identity.verifyAtEdge(`Bearer ${flipped}`))).toBe('TOK102')
    expect(outcome(await world.identity.verifyAtEdge(`Bearer ${token.slice(0, -2)}`))).not.toBe('ok')
  })

  test('forgets a token ten minutes after its keys were loaded: a withdrawn key is refused from then on', async () => {
    const world = createWorld({ idps: [remote] })
    const successor = await createTestKey('idp-2')
    let published = [key.publicJwk]
    world.answer = () => json({ keys: published })

    const header = `Bearer ${await world.token({ exp: world.clock.seconds + 3_000 })}`
    const later = `Bearer ${await world.token({ exp: world.clock.seconds + 3_000, sub: 'bob' })}`
    expect(outcome(await world.identity.verifyAtEdge(header))).toBe('ok')
    published = [successor.publicJwk]
    world.clock.pass(9 * 60)
    // Verified late, with keys that are nine minutes old: it may not live for ten more.
    expect(outcome(await world.identity.verifyAtEdge(later))).toBe('ok')
    expect(world.fetched).toHaveLength(1)
    world.clock.pass(60)
    expect(outcome(await world.identity.verifyAtEdge(header))).toBe('TOK102')
    expect(outcome(await world.identity.verifyAtEdge(later))).toBe('TOK102')
  })

  test('is bounded: two thousand tokens later the first is verified anew, and still holds', async () => {
    const world = createWorld({ idps: [remote] })
    let asked = 0
    world.answer = () => {
      asked++
      return json({ keys: [key.publicJwk] })
    }
    const header = `Bearer ${await world.token()}`
    const first = await world.identity.verifyAtEdge(header)
    for (let index = 0; index < 2_000; index++) {
      await world.identity.verifyAtEdge(`Bearer ${await world.token({ sub: `user-${index}` })}`)
    }
    const again = await world.identity.verifyAtEdge(header)
    expect(first.ok && again.ok && again.value !== first.value).toBe(true)
    expect(asked).toBe(1)
  })

  test('remembers no refusal', async () => {
    const world = createWorld()
    const early = `Bearer ${await world.token({ iat: world.clock.seconds + 90 })}`
    expect(outcome(await world.identity.verifyAtEdge(early))).toBe('TOK106')
    world.clock.pass(40)
    expect(outcome(await world.identity.verifyAtEdge(early))).toBe('ok')
  })
})

test('two issuers keep their users, keys and clients apart', async () => {
  const otherKey = await createTestKey('idp-1')
  const other = idp({
    name: 'other',
    issuer: OTHER_ISSUER as typeof ISSUER,
    keys: { kind: 'static', jwks: { keys: [otherKey.publicJwk] } },
  })
  const world = createWorld({ idps: [idp(), other] })
  const verify = async (iss: string, by: typeof key) => {
    const claims = { iss, sub: 'alice', aud: 'web-id', iat: world.clock.seconds, exp: world.clock.seconds + 60 }
    return world.identity.verifyAtEdge(`Bearer ${await mint(by, claims)}`)
  }
  const [here, there] = [await verify(ISSUER, key), await verify(OTHER_ISSUER, otherKey)]
  expect(here.ok && here.value.principal).toMatchObject({ idp: 'corp', issuer: ISSUER })
  expect(there.ok && there.value.principal).toMatchObject({ idp: 'other', issuer: OTHER_ISSUER })
  expect(outcome(await verify(ISSUER, otherKey))).toBe('TOK102')
  expect(outcome(await verify(OTHER_ISSUER, key))).toBe('TOK102')
})
