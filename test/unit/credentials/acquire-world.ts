// Acquiring in the in-memory house: permits by its own identity and policy, and counts of what it cost.
import type { Acquired } from '../../../src/credentials/credentials.ts'
import type { Result } from '../../../src/lib/result.ts'
import type { Credential, Permit } from '../../../src/model.ts'
import type { Refusal } from '../../../src/refusal.ts'
import type { Claims } from '../../support/keys.ts'
import { NAMES, RESOURCES, type Isolate, type Json, type World } from '../support/world.ts'

export async function permitFor(world: World, claims: Claims = {}, resource = 'tasks'): Promise<Permit> {
  const assertion = await world.identity.verifyAtEdge(`Bearer ${await world.idToken(claims)}`)
  if (!assertion.ok) throw new Error(assertion.error.code)
  const target = world.config.resources.get(resource)
  if (target === undefined) throw new Error(`no resource ${resource}`)
  const revoked = await world.revocations.current()
  if (!revoked.ok) throw new Error(revoked.error.code)
  const permit = world.policy.decide(
    assertion.value,
    target,
    { kind: 'http', method: 'GET', path: '/' },
    revoked.value,
    world.clock.epochMillis(),
  )
  if (!permit.ok) throw new Error(permit.error.code)
  return permit.value
}

/** Where the credential came from, or the code of the refusal. */
export async function origin(from: Isolate, permit: Permit, insteadOf?: Credential): Promise<string> {
  const acquired = await from.credentials.acquire(permit, insteadOf)
  return acquired.ok ? acquired.value.origin : acquired.error.code
}

export function got(acquired: Result<Acquired, Refusal>): Credential {
  if (!acquired.ok) throw new Error(`${acquired.error.code} ${acquired.error.detail ?? ''}`)
  return acquired.value.credential
}

export async function tokenFrom(from: Isolate, permit: Permit): Promise<string> {
  return got(await from.credentials.acquire(permit)).token.reveal()
}

/** Requests to the identity provider and to the authorization server so far. */
export function cost(world: World): readonly [number, number] {
  return [world.seen('idp').length, world.seen('ras').length]
}

export function withReuse(): Json {
  const { tasks } = RESOURCES
  const server = { issuer: NAMES.ras, token_endpoint: NAMES.rasToken, quirks: { id_jag_reuse: true } }
  return { ...RESOURCES, tasks: { ...tasks, authorization_server: server } }
}
