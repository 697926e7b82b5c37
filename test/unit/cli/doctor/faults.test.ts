// Ten faults as they happen to people, each seeded into a town that is in order otherwise. The doctor must name each one with
// the field, and the place in the file, that has to change.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { edit, openTown, SECRETS, visit, WRANGLER, type Examined, type Town } from './town.ts'

let town: Town

beforeAll(async () => {
  town = await openTown()
})
afterAll(() => town.close())
beforeEach(() => {
  town.mend()
})

/** No value of a secret, and nothing that could be a token, may be in what is printed. */
function expectSilence({ text, json }: Examined, ...more: readonly string[]): void {
  for (const secret of [...Object.values(SECRETS), 'CANARY', ...more]) {
    expect(text).not.toContain(secret)
    expect(json).not.toContain(secret)
  }
  expect(`${text}${json}`).not.toMatch(/eyJ[\w-]+\.[\w-]+\.[\w-]+/)
}

describe('a town in order', () => {
  it('is green throughout, with a token too, and costs no ID-JAG', async () => {
    const examined = await visit(town, { wrangler: WRANGLER, token: await town.idToken() })
    expect(examined.codes).toEqual([])
    expect(examined.report).toMatchObject({ exitCode: 0, counts: { amber: 0, red: 0, skipped: 0 } })
    expect(examined.text).toContain('jagway.jsonc (local): 20 green, 0 amber, 0 red: ok')
    expectSilence(examined)
    // What is sent to the token endpoints is no token of anybody.
    const sent = town.seen.filter(({ path }) => path === '/token').flatMap(({ form }) => [...form.values()])
    expect(sent).toContain('jagway-doctor.this-is-not-a-token')
    expect(sent.join(' ')).not.toContain('eyJ')
  })

  it('asks for each document once, and tries each credential once beside its control', async () => {
    await visit(town)
    const paths = town.seen.map(({ role, path }) => `${role} ${path}`).toSorted()
    expect(paths).toEqual(
      [
        'api /.well-known/oauth-protected-resource/v1',
        'api /v1',
        'idp /.well-known/openid-configuration',
        'idp /jwks',
        'idp /token',
        'idp /token',
        'ras /.well-known/oauth-authorization-server',
        'ras /token',
        'ras /token',
      ].toSorted(),
    )
  })
})

describe('ten seeded faults', () => {
  it('1: a slash too many at the end of the audience', async () => {
    const text = edit(town.config, `"issuer": "${town.origin.ras}"`, `"issuer": "${town.origin.ras}/"`)
    const examined = await visit(town, { text })
    expect(examined.placeOf('DOC103')).toEqual({
      field: 'resources.tasks.authorization_server.issuer',
      line: `"${town.origin.ras}/"`,
    })
    const [finding] = examined.findings('DOC103')
    expect(finding?.message).toContain(`"${town.origin.ras}" and not "${town.origin.ras}/" (a slash at the end)`)
    expect(finding?.help).toContain(`write "${town.origin.ras}"`)
    expect(examined.report.exitCode).toBe(1)
    // Metadata of another issuer must not learn our secret.
    expect(town.seen.filter(({ role, path }) => role === 'ras' && path === '/token')).toEqual([])
  })

  it('1: a slash too few in the resource indicator', async () => {
    town.metadata.api = { resource: `${town.origin.api}/v1/` }
    const examined = await visit(town)
    expect(examined.placeOf('DOC112')).toEqual({ field: 'resources.tasks.resource', line: `"${town.origin.api}/v1"` })
    expect(examined.findings('DOC112')[0]?.help).toContain(`write "${town.origin.api}/v1/"`)
  })

  it('2: the wrong client id at the authorization server', async () => {
    const examined = await visit(town, { text: edit(town.config, '"id": "gw-at-tasks"', '"id": "gw-at-task"') })
    expect(examined.placeOf('DOC108')).toEqual({ field: 'resources.tasks.client.id', line: '"gw-at-task"' })
    expect(examined.findings('DOC108')[0]?.message).toContain('treats it like an id that does not exist')
    expectSilence(examined)
  })

  it('2: the client id of the identity provider at the authorization server', async () => {
    const examined = await visit(town, { text: edit(town.config, '"id": "gw-at-tasks"', '"id": "web-id"') })
    expect(examined.placeOf('DOC108')?.field).toBe('resources.tasks.client.id')
    expect(examined.findings('DOC108')[0]?.message).toContain('this id is the one at the identity provider "corp"')
  })

  it('3: the wrong secret', async () => {
    const secrets = { ...town.secrets, RAS_SECRET: 'CANARY-of-last-year' }
    const examined = await visit(town, { secrets })
    expect(examined.placeOf('DOC108')).toEqual({ field: 'resources.tasks.client.auth.secret', line: '"secret"' })
    expect(examined.findings('DOC108')[0]?.message).toContain('knows the client "gw-at-tasks" and refuses its secret')
    expectSilence(examined)
  })

  it('3: names both, the id first, where the server tells nobody which of the two is wrong', async () => {
    town.metadata.ras = { authorization_endpoint: undefined }
    const examined = await visit(town, { secrets: { ...town.secrets, RAS_SECRET: 'CANARY-of-last-year' } })
    const [finding] = examined.findings('DOC108')
    expect(finding?.message).toContain('either it does not know this id, or the secret is wrong')
    expect(finding?.places.map(({ field }) => field)).toEqual([
      'resources.tasks.client.id',
      'resources.tasks.client.auth.secret',
    ])
  })

  it.each([
    ['ahead', 600, 'is not valid yet elsewhere'],
    ['behind', -600, 'is old or expired elsewhere'],
  ])('4: the clock of the identity provider 10 minutes %s', async (way, seconds, consequence) => {
    town.clock.idp = seconds
    const examined = await visit(town)
    expect(examined.placeOf('DOC107')).toEqual({ field: 'idps.corp.issuer', line: `"${town.origin.idp}"` })
    const [finding] = examined.findings('DOC107')
    expect(finding?.message).toBe(`the clock of ${town.origin.idp} is 10 min ${way}`)
    expect(finding?.help).toContain(consequence)
    expect(examined.codes).toEqual(['DOC107'])
  })

  it('5: a missing secret', async () => {
    const { RAS_SECRET: _, ...secrets } = town.secrets
    const examined = await visit(town, { secrets })
    expect(examined.placeOf('DOC114')).toEqual({ field: 'resources.tasks.client.auth.secret', line: '"secret"' })
    expect(examined.findings('DOC114')[0]).toMatchObject({
      message: expect.stringContaining('the secret RAS_SECRET has no value'),
      help: expect.stringContaining('wrangler secret put RAS_SECRET'),
    })
  })

  it('6: the groups claim absent', async () => {
    const token = await town.idToken({ groups: undefined, roles: ['engineering'] })
    const examined = await visit(town, { token })
    expect(examined.placeOf('DOC120')).toEqual({ field: 'idps.corp.claims.groups', line: '"groups"' })
    const [finding] = examined.findings('DOC120')
    expect(finding?.message).toContain('has no claim "groups"')
    expect(finding?.message).toContain('the rule "eng" asks for groups (POL100); it has "roles"')
  })

  it('7: a misspelt scope', async () => {
    const examined = await visit(town, { text: edit(town.config, '"todos.write"', '"todo.write"') })
    expect(examined.placeOf('DOC118')).toEqual({ field: 'resources.tasks.scopes[1]', line: '"todo.write"' })
    expect(examined.findings('DOC118')[0]?.help).toBe('did you mean "todos.write"?')
  })

  it('8: KV not bound', async () => {
    const wrangler = edit(WRANGLER, '[[kv_namespaces]]\nbinding = "TOKENS"\n', '[[kv_namespaces]]\nbinding = "TOKEN"\n')
    const examined = await visit(town, { wrangler })
    expect(examined.placeOf('DOC116')).toEqual({ field: 'kv_namespaces', line: '[[kv_namespaces]]' })
    expect(examined.findings('DOC116')[0]?.help).toContain('binding = "TOKENS"')
  })

  it('9: an expired ID token', async () => {
    const now = Math.floor(Date.now() / 1000)
    const examined = await visit(town, { token: await town.idToken({ iat: now - 7_200, exp: now - 3_600 }) })
    expect(examined.placeOf('DOC119')).toEqual({ field: 'idps.corp', line: '"corp"' })
    expect(examined.findings('DOC119')[0]).toMatchObject({
      message: expect.stringMatching(/^TOK103: the token has expired; got expired 360\d s ago/),
      help: expect.stringContaining('Get a new ID token'),
    })
    expectSilence(examined)
  })

  it('10: an access token sent as an ID token', async () => {
    const token = await town.idToken({ scope: 'openid todos.read', client_id: 'web-id' }, { typ: 'at+jwt' })
    const examined = await visit(town, { token })
    expect(examined.placeOf('DOC119')).toEqual({ field: 'idps.corp', line: '"corp"' })
    expect(examined.findings('DOC119')[0]).toMatchObject({
      message: expect.stringContaining('TOK105: the token is not an ID token'),
      help: expect.stringContaining('Send the ID token: not an access token'),
    })
    expect(examined.findings('DOC119')[0]?.message).toContain('it looks like an access token (RFC 9068): typ is at+jwt')
    expectSilence(examined, token)
  })
})
