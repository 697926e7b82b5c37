// What is said would be sent, and what then is: each leg compared with the request that its server has seen, over the ways in which
// servers want to be asked.
import { describe, expect, test } from 'vitest'
import { explain, parseQuestion } from '../../../src/admin/admin.ts'
import { createSnapshot } from '../../../src/revocation/revocation.ts'
import { createTestKey } from '../../support/keys.ts'
import { createWorld, IDPS, NAMES, RESOURCES, RULES, SECRETS, type Json, type World } from '../support/world.ts'

interface Wiring {
  readonly idp?: Json
  readonly ras?: Json
  readonly resource?: Json
  /** The metadata of the authorization server, where it is found by that. */
  readonly metadata?: Json
}

const METADATA = 'https://as.tasks.test/.well-known/oauth-authorization-server'
const key = await createTestKey('our-key')

function worldWith({ idp = {}, ras = {}, resource = {}, metadata }: Wiring): World {
  const corp = IDPS['corp']
  const endpoint = metadata === undefined ? { token_endpoint: NAMES.rasToken } : {}
  const tasks = {
    ...RESOURCES.tasks,
    authorization_server: { issuer: NAMES.ras, ...endpoint, quirks: ras },
    authorization_details_types: ['task_list'],
    ...resource,
  }
  const auth = { method: 'private_key_jwt', key: { secret: 'OUR_KEY' }, alg: 'ES256' }
  const clients = idp['actor_token'] === 'client_assertion' ? { web: { ...corp.clients.web, auth } } : corp.clients
  return createWorld({
    idps: { corp: { ...corp, quirks: idp, clients } },
    ...(clients === corp.clients ? {} : { clients: { 'browser-app': { subject_tokens: ['corp/web'] } } }),
    resources: { ...RESOURCES, tasks },
    rules: [...RULES.slice(0, 1), { id: 'lists', effect: 'allow', authorization_details_types: ['task_list'] }],
    secrets: { ...SECRETS, OUR_KEY: JSON.stringify(key.privateJwk) },
    ...(metadata === undefined ? {} : { documents: { [METADATA]: metadata } }),
  })
}

function told(world: World, request: string, client: string, details: readonly string[] = []) {
  const body = { request, as: { user: 'alice', idp: 'corp', client }, authorization_details_types: [...details] }
  const question = parseQuestion(body, world.config, world.clock.epochMillis())
  if (!question.ok) throw new Error(question.error.detail)
  return explain(question.value, world.config, world.policy, createSnapshot([]))
}

/** What is a token, or says who we are. */
const OURS = new Set([
  'subject_token',
  'assertion',
  'actor_token',
  'client_id',
  'client_assertion',
  'client_assertion_type',
])

function seen(world: World, role: 'idp' | 'ras') {
  const [one, ...others] = world.seen(role)
  if (one === undefined || others.length > 0) throw new Error(`${others.length + 1} requests at ${role}`)
  return {
    parameters: Object.fromEntries([...one.form].filter(([name]) => !OURS.has(name))),
    proof: one.headers.has('dpop'),
    actor: one.form.has('actor_token'),
  }
}

type Told = 'sent' | 'if_taken' | 'if_bound' | undefined

describe('of a proxied request', () => {
  test.each<readonly [string, Wiring, readonly [Told, Told]]>([
    ['nothing special', {}, [undefined, undefined]],
    ['a bound token', { resource: { dpop: 'require' } }, [undefined, 'sent']],
    ['another grant for it', { resource: { dpop: 'require' }, ras: { redeem_grant: 'jwt-dpop' } }, [undefined, 'sent']],
    ['another grant without a proof', { ras: { redeem_grant: 'jwt-dpop' } }, [undefined, undefined]],
    ['a bound ID-JAG', { idp: { dpop: 'require' }, ras: { redeem_grant: 'jwt-dpop' } }, ['sent', 'sent']],
    ['an ID-JAG that may be bound', { idp: { dpop: 'try' }, ras: { redeem_grant: 'jwt-dpop' } }, ['sent', 'if_bound']],
    ['no scope, but a resource', { ras: { send_scope: 'none', send_resource: true } }, [undefined, undefined]],
    ['a client that acts itself', { idp: { actor_token: 'client_assertion' } }, [undefined, undefined]],
    [
      'a server whose metadata says nothing of proofs',
      { resource: { dpop: 'try' }, metadata: { issuer: NAMES.ras, token_endpoint: NAMES.rasToken } },
      [undefined, 'if_taken'],
    ],
  ])('with %s, it is what is sent', async (_what, wiring, proofs) => {
    const world = worldWith(wiring)
    const { chain } = told(world, 'GET tasks /x', 'browser-app')
    const headers = { authorization: `Bearer ${await world.idToken()}` }
    expect((await world.app(new Request(`${NAMES.gateway}/r/tasks/x`, { headers }))).status).toBe(200)
    expect([chain?.exchange?.proof, chain?.redeem.proof]).toEqual(proofs)
    const [idp, ras] = [seen(world, 'idp'), seen(world, 'ras')]
    expect(chain?.exchange?.parameters).toEqual(idp.parameters)
    expect(chain?.redeem.parameters).toEqual(ras.parameters)
    expect([idp.proof, ras.proof]).toEqual(proofs.map((proof) => proof !== undefined))
    expect(chain?.notes.includes('actor_is_client')).toBe(idp.actor)
    // No token and no assertion of ours is in it.
    expect(
      Object.keys({ ...chain?.exchange?.parameters, ...chain?.redeem.parameters }).filter((name) => OURS.has(name)),
    ).toEqual([])
  })
})

describe('of a token request', () => {
  test('authorization details are sent by their types, and to the identity provider alone', async () => {
    const world = worldWith({ idp: { actor_token: 'caller' } })
    const { chain } = told(world, 'TOKEN tasks tasks.read', 'agent', ['task_list'])
    expect(chain?.notes).toEqual(['actor_of_caller'])
    const body = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: await world.idToken({ aud: 'agent-id' }),
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      resource: NAMES.api,
      scope: 'tasks.read',
      authorization_details: '[{"type":"task_list"}]',
    })
    const headers = { authorization: `Basic ${btoa(`agent:${SECRETS['AGENT_SECRET']}`)}` }
    const answer = await world.app(new Request(`${NAMES.gateway}/token`, { method: 'POST', headers, body }))
    expect(answer.status).toBe(200)
    expect(chain?.exchange?.parameters).toEqual(seen(world, 'idp').parameters)
    expect(chain?.redeem.parameters).toEqual(seen(world, 'ras').parameters)
  })
})
