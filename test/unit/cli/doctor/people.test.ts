// What the doctor says of a user's token, and of the whole chain with it.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTestKey, mint } from '../../../support/keys.ts'
import { edit, isClient, openTown, SECRETS, visit, type Json, type Reply, type Town } from './town.ts'

let town: Town

beforeAll(async () => {
  town = await openTown()
})
afterAll(() => town.close())
beforeEach(() => {
  town.mend()
})

const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag'
const REFUSED: Reply = { status: 401, body: { error: 'invalid_client' } }

describe('a token', () => {
  it.each([
    ['of an issuer with a slash', { iss: '/' }, 'TOK102', 'idps.corp.issuer', '(a slash at the end)'],
    ['of somebody else', { iss: 'https://x.example' }, 'TOK102', 'idps', 'its iss is "https://x.example"'],
    [
      'for another client',
      { aud: 'other-id' },
      'TOK104',
      'idps.corp.clients',
      'its aud is "other-id", the clients here are "web-id"',
    ],
    ['for a client in another case', { aud: 'WEB-ID' }, 'TOK104', 'idps.corp.clients.web.id', 'its aud is "WEB-ID"'],
    ['from the future', { iat: 600, exp: 900 }, 'TOK106', 'idps.corp.issuer', 'iat is'],
    ['that is too old', { iat: -7_200 }, 'TOK106', 'idps.corp', 'issued 7'],
    [
      'with groups that are no list',
      { groups: { a: 1 } },
      'TOK101',
      'idps.corp.claims.groups',
      'the groups claim is not a list',
    ],
    [
      'of Okta’s API',
      { cid: 'web-id', scp: ['a'], ver: 1 },
      'TOK105',
      'idps.corp',
      'it looks like an access token of Okta: it has cid',
    ],
  ])('%s is refused as the gateway would, and the setting named', async (_, changes, code, field, words) => {
    const now = Math.floor(Date.now() / 1000)
    const given: Json = { ...changes }
    for (const name of ['iat', 'exp']) if (typeof given[name] === 'number') given[name] = now + given[name]
    if (given['iss'] === '/') given['iss'] = `${town.origin.idp}/`
    const token = await town.idToken(given)
    const examined = await visit(town, { token })
    const [finding] = examined.findings('DOC119')
    expect(finding?.message).toContain(code)
    expect(finding?.message).toContain(words)
    expect(finding?.places[0]?.field.startsWith(field)).toBe(true)
    expect(examined.report.exitCode).toBe(1)
    expect(examined.text + examined.json).not.toContain(token.split('.')[2])
  })

  it('signed by a key that is not published, or by an algorithm that is not allowed', async () => {
    const forged = await createTestKey('idp-1')
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: town.origin.idp, sub: 'ann', aud: 'web-id', iat: now, exp: now + 60 }
    const wrongKey = await visit(town, { token: await mint(forged, claims) })
    expect(wrongKey.findings('DOC119')[0]?.message).toContain('a signature that does not hold')
    const rsa = await createTestKey('idp-1', 'EdDSA')
    const wrongAlgorithm = await visit(town, { token: await mint(rsa, claims) })
    expect(wrongAlgorithm.findings('DOC119')[0]?.message).toContain('it is signed by "EdDSA"')
    expect(wrongAlgorithm.placeOf('DOC119')?.field).toBe('idps.corp.id_token.algorithms')
  })

  it('that cannot be verified because the keys are not to be had says so, and is not called bad', async () => {
    town.script.set('idp /jwks', () => ({ status: 503 }))
    const examined = await visit(town, { token: await town.idToken() })
    expect(examined.codes).toEqual(['DOC101', 'DOC105'])
    expect(examined.findings('DOC101')[0]?.message).toContain('IDP114')
    expect(examined.report.exitCode).toBe(3)
  })

  it('that is not even a token is not shown', async () => {
    const examined = await visit(town, { token: 'CANARY-of-a-password' })
    expect(examined.findings('DOC119')[0]?.message).toContain('TOK101')
    expect(examined.text + examined.json).not.toContain('CANARY')
  })

  it('whose groups are nowhere configured', async () => {
    const text = edit(town.config, '"claims": { "groups": "groups" },', '')
    const examined = await visit(town, { text, token: await town.idToken() })
    expect(examined.findings('DOC120')[0]?.message).toContain(
      'nothing says which claim of "corp" holds them; it has "groups"',
    )
    expect(examined.codes).toEqual(['CFG204', 'DOC120'])
  })

  it('with an empty groups claim is of somebody in no group, and fine', async () => {
    expect((await visit(town, { token: await town.idToken({ groups: [] }) })).codes).toEqual([])
  })

  it('that lacks what rules ask for beside groups', async () => {
    const text = edit(
      town.config,
      '"who": { "groups": ["engineering"] }',
      '"who": { "groups": ["engineering"], "claims": { "department": ["eng"] }, "acr": ["urn:strong"], "max_auth_age": "1h" }',
    )
    const examined = await visit(town, { text, token: await town.idToken({ acr: 'urn:strong' }) })
    expect(examined.findings('DOC219').map(({ message }) => message)).toEqual([
      'the token has no claim "department", which a rule asks for',
      'the token has no claim "auth_time", which a rule asks for',
    ])
    expect(examined.placeOf('DOC219')).toEqual({ field: 'policy.rules[0].who.claims.department', line: '"department"' })
    expect(examined.report.exitCode).toBe(0)
  })

  it('that nobody may present', async () => {
    const text = edit(
      edit(town.config, ',\n          "edge_client": "people"', ''),
      '"bot": { "subject_tokens": ["corp/web"], "auth": { "method": "client_secret_basic", "secret": { "secret": "BOT_SECRET" } } }',
      '"bot": { "subject_tokens": ["corp/web"] }',
    )
    const examined = await visit(town, { text, token: await town.idToken() })
    expect(examined.placeOf('DOC216')).toEqual({ field: 'idps.corp.clients.web', line: '"web"' })
  })
})

describe('the chain', () => {
  /** An identity provider that issues ID-JAGs, and an authorization server that redeems them. */
  function work(claims: Json = {}): void {
    town.script.set('idp /token', (seen) => {
      if (!isClient(seen)) return REFUSED
      if (!(seen.form.get('subject_token') ?? '').startsWith('ey'))
        return { status: 400, body: { error: 'invalid_grant' } }
      return { body: { issued_token_type: ID_JAG, access_token: idJag, token_type: 'N_A', expires_in: 300 } }
    })
    town.script.set('ras /token', (seen) => {
      if (!isClient(seen)) return REFUSED
      if (!(seen.form.get('assertion') ?? '').startsWith('ey')) return { status: 400, body: { error: 'invalid_grant' } }
      return { body: { access_token: 'CANARY-access', token_type: 'Bearer', expires_in: 3_600 } }
    })
    idJag = ''
    pending = mintIdJag(claims)
  }
  let idJag = ''
  let pending: Promise<void> = Promise.resolve()

  async function mintIdJag(claims: Json): Promise<void> {
    const now = Math.floor(Date.now() / 1000)
    const all = {
      iss: town.origin.idp,
      sub: 'ann',
      aud: town.origin.ras,
      client_id: 'gw-at-tasks',
      jti: 'j1',
      iat: now,
      exp: now + 300,
      ...claims,
    }
    idJag = await mint(town.key, all, { typ: 'oauth-id-jag+jwt' })
  }

  async function probe(options: Parameters<typeof visit>[1] = {}) {
    await pending
    return visit(town, { token: await town.idToken(), probe: true, ...options })
  }

  it('is gone once, and nothing of it is shown', async () => {
    work()
    const examined = await probe()
    expect(examined.codes).toEqual([])
    expect(examined.text).toMatch(/green {2}chain +exchange \d+ ms, redeem \d+ ms, todos\.read todos\.write, 3600 s/)
    expect(examined.text + examined.json).not.toMatch(/CANARY|eyJ/)
    expect(
      town.seen.filter(({ role, form }) => role === 'idp' && form.get('subject_token')?.startsWith('ey') === true),
    ).toHaveLength(1)
  })

  it('is not gone without being asked for', async () => {
    work()
    await pending
    await visit(town, { token: await town.idToken() })
    expect(town.seen.filter(({ form }) => form.get('subject_token')?.startsWith('ey') === true)).toEqual([])
  })

  it('is not gone for what policy does not give', async () => {
    work()
    await pending
    const examined = await visit(town, { token: await town.idToken({ groups: ['sales'] }), probe: true })
    expect(examined.text).toContain('policy does not give "ann" anything here (POL100)')
    expect(town.seen.filter(({ form }) => form.get('subject_token')?.startsWith('ey') === true)).toEqual([])
  })

  it('names the client id that the identity provider has for us there', async () => {
    work({ client_id: 'acme-gateway' })
    const examined = await probe()
    expect(examined.findings('DOC121')[0]?.message).toContain(
      'the identity provider has "acme-gateway" and not "gw-at-tasks"',
    )
    expect(examined.placeOf('DOC121')).toEqual({ field: 'resources.tasks.client.id', line: '"gw-at-tasks"' })
  })

  it('tells a wrong secret by the client id in the ID-JAG', async () => {
    work()
    town.metadata.ras = { authorization_endpoint: undefined }
    const examined = await probe({ secrets: { ...town.secrets, RAS_SECRET: 'CANARY-old' } })
    expect(examined.findings('DOC121')[0]?.message).toContain('it is rather the secret that is wrong')
    expect(examined.placeOf('DOC121')?.field).toBe('resources.tasks.client.auth.secret')
  })

  it.each([
    ['idp', 'invalid_target', 'IDP103', 'resources.tasks.authorization_server.issuer'],
    ['idp', 'invalid_scope', 'IDP104', 'resources.tasks.scopes'],
    ['idp', 'access_denied', 'IDP102', 'idps.corp.clients.web.id'],
    ['ras', 'invalid_grant', 'RAS101', 'resources.tasks.authorization_server.issuer'],
    ['ras', 'invalid_target', 'RAS103', 'resources.tasks.resource'],
    ['ras', 'invalid_scope', 'RAS104', 'resources.tasks.scopes'],
    ['ras', 'access_denied', 'RAS102', 'resources.tasks.client.id'],
  ] as const)('that ends at the %s with %s points at what has to be compared', async (role, error, code, field) => {
    work()
    const usual = town.script.get(`${role} /token`)
    town.script.set(`${role} /token`, (seen) => {
      const token = seen.form.get('subject_token') ?? seen.form.get('assertion') ?? ''
      return isClient(seen) && token.startsWith('ey') ? { status: 400, body: { error } } : (usual?.(seen) ?? REFUSED)
    })
    const examined = await probe()
    expect(examined.findings('DOC121')[0]?.message).toContain(code)
    expect(examined.placeOf('DOC121')?.field).toBe(field)
    expect(examined.report.exitCode).toBe(1)
  })

  it('that ends because a server is down is not called wrong', async () => {
    work()
    const usual = town.script.get('ras /token')
    town.script.set('ras /token', (seen) =>
      seen.form.get('assertion')?.startsWith('ey') === true ? { status: 503 } : (usual?.(seen) ?? REFUSED),
    )
    const examined = await probe()
    expect(examined.codes).toEqual(['DOC101'])
    expect(examined.report.exitCode).toBe(3)
  })

  it('is not tried without the secrets it needs', async () => {
    work()
    const { RAS_SECRET: _, ...secrets } = { ...SECRETS }
    const examined = await probe({ secrets })
    expect(examined.text).toContain('chain              not tried: RAS_SECRET has no value here')
  })
})
