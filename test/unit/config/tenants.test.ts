// Tenants of one issuer (T13): two of them may each have somebody of one name, so whoever opens something to a name says of which.
import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { createIdentity } from '../../../src/identity/identity.ts'
import { Secret } from '../../../src/lib/secret.ts'
import { createManualClock, createMemoryReplayGuard } from '../../../src/platform/memory.ts'
import { idTokenClaims, mint } from '../../support/keys.ts'
import { edge } from '../support/outcomes.ts'
import { CLIENTS, createWorld, idpKey, IDPS, NAMES, RESOURCES, type Json } from '../support/world.ts'

const tenantsOf = (tenants?: readonly string[]): Json => ({
  corp: { ...IDPS.corp, claims: { groups: 'groups', tenant: 'tid' }, ...(tenants && { tenants }) },
})

const ruleFor = (who: Json, effect = 'allow'): Json => ({ id: 'one', effect, who, resources: ['tasks'] })

function parse(rules: readonly Json[], idps: Json, admin?: Json): ReturnType<typeof parseConfig> {
  const parts = { version: 1, public_url: NAMES.gateway, idps, clients: CLIENTS, resources: RESOURCES }
  const text = JSON.stringify({ ...parts, policy: { rules }, ...(admin && { admin: { id_token: admin } }) })
  return parseConfig(text, { fileName: 'x.jsonc', local: false })
}

function codesOf(parsed: ReturnType<typeof parseConfig>): readonly (readonly [string, string])[] {
  return parsed.ok ? [] : parsed.error.map(({ code, message }) => [code, message])
}

const AMBIGUOUS = [['CFG108', 'each tenant of "corp" may have one of that name']]

describe('a rule that names users of an identity provider with tenants', () => {
  test.each<[string, Json, readonly string[] | undefined, unknown]>([
    ['is refused where it allows and says no tenant', ruleFor({ users: ['corp/alice'] }), undefined, AMBIGUOUS],
    ['is refused where several tenants are served', ruleFor({ users: ['alice'] }), ['acme', 'evil'], AMBIGUOUS],
    ['is taken where one tenant is served', ruleFor({ users: ['alice'] }), ['acme'], []],
    ['is taken with a tenant', ruleFor({ users: ['alice'], tenants: ['acme'] }), undefined, []],
    [
      'is taken where it denies: that reaches whoever bears the name',
      ruleFor({ users: ['alice'] }, 'deny'),
      undefined,
      [],
    ],
  ])('%s', (_, rule, tenants, expected) => {
    expect(codesOf(parse([rule], tenantsOf(tenants)))).toEqual(expected)
  })

  test('opens nothing to somebody of that name in another tenant', async () => {
    const world = createWorld({ idps: tenantsOf(), rules: [ruleFor({ users: ['corp/alice'], tenants: ['acme'] })] })
    expect(await edge(world, { claims: { tid: 'evil' } })).toBe('403 POL100')
    expect(await edge(world)).toBe('403 POL100')
    expect(world.seen()).toEqual([])
    expect(await edge(world, { claims: { tid: 'acme' } })).toBe('200')
  })
})

describe('administrators by ID token of an identity provider with tenants', () => {
  test.each<[string, Json, readonly string[] | undefined, unknown]>([
    ['are refused by name alone', { revoke: { users: ['corp/sue'] } }, undefined, AMBIGUOUS],
    ['are refused by group alone', { view: { groups: ['ops'] } }, ['acme', 'evil'], AMBIGUOUS],
    ['are taken where one tenant is served', { revoke: { users: ['sue'], groups: ['ops'] } }, ['acme'], []],
    ['are taken with a tenant', { revoke: { users: ['sue'], groups: ['ops'] }, tenants: ['acme'] }, undefined, []],
  ])('%s', (_, admin, tenants, expected) => {
    expect(codesOf(parse([], tenantsOf(tenants), admin))).toEqual(expected)
  })

  test('have rights in their tenant, and nobody else of that name or group has', async () => {
    const admin = { revoke: { users: ['corp/sue'], groups: ['ops'] }, tenants: ['acme'] }
    const parsed = parse([], tenantsOf(), admin)
    if (!parsed.ok) throw new Error('the configuration is refused')
    const clock = createManualClock()
    const none = (): never => {
      throw new Error('nobody is asked')
    }
    const identity = createIdentity(parsed.value, {
      fetch: none,
      clock,
      background: () => undefined,
      secrets: async () => new Secret('x'.repeat(32)),
      discovery: { metadataOf: none },
      replay: createMemoryReplayGuard({ clock }),
    })
    const rightsOf = async (claims: Json) => {
      const token = await mint(idpKey, { ...idTokenClaims(clock.now(), NAMES.idp, 'web-id'), ...claims })
      const headers = { authorization: `Bearer ${token}` }
      const caller = await identity.verifyAdmin(new Request(`${NAMES.gateway}/admin/api/x`, { headers }), undefined)
      return caller.ok ? [...caller.value.rights] : caller.error.code
    }
    expect(await rightsOf({ sub: 'sue', tid: 'acme' })).toEqual(['view', 'revoke'])
    expect(await rightsOf({ sub: 'joe', tid: 'acme', groups: ['ops'] })).toEqual(['view', 'revoke'])
    for (const tenant of [{ tid: 'evil' }, {}]) {
      expect(await rightsOf({ sub: 'sue', ...tenant })).toEqual([])
      expect(await rightsOf({ sub: 'joe', groups: ['ops'], ...tenant })).toEqual([])
    }
  })
})
