// The whole chain with a real token, for each resource that policy gives its user: sign-in to access token, by the rooms
// that do it in the gateway. Costs one ID-JAG per resource; the access token is dropped, and lives on where it was issued.

import { quote } from '../../config/config.ts'
import { err, type Result } from '../../lib/result.ts'
import type { JsonObject } from '../../lib/strict-json.ts'
import type { VerifiedAssertion } from '../../model.ts'
import type { Resource } from '../../parties.ts'
import type { Acquired } from '../../credentials/credentials.ts'
import { fixOf, type Refusal, type RefusalCode } from '../../refusal.ts'
import type { Chain } from './chain.ts'
import { secretsOf } from './credentials.ts'
import { inConfig, toDotted, type Check, type Finding } from './finding.ts'
import type { Tools } from './tools.ts'
import { toDifference, toRefusalWords } from './words.ts'

export async function probe(
  assertion: VerifiedAssertion,
  resource: Resource,
  chain: Chain,
  tools: Tools,
): Promise<Check> {
  const check = (says: string, ...findings: readonly Finding[]): Check => ({
    about: toDotted(['resources', resource.name]),
    name: 'chain',
    says,
    findings,
  })
  const rasClient = resource.clientsByCaller.get(assertion.caller.name) ?? resource.client
  const auths = [assertion.idpClient.auth, rasClient.auth]
  const certified = auths.find((auth) => 'certificate' in auth)
  if (certified !== undefined)
    return { ...check('not tried: only the Worker has the client certificate'), skipped: true }
  const unknown = auths.flatMap(secretsOf).find((name) => tools.secret(name) === undefined)
  if (unknown !== undefined) return { ...check(`not tried: ${unknown} has no value here`), skipped: true }
  const acquired = await run(assertion, resource, chain, tools)
  if (acquired.ok) {
    const { credential, ms } = acquired.value
    const legs = [
      ms.exchange === undefined ? '' : `exchange ${ms.exchange} ms`,
      ms.redeem === undefined ? '' : `redeem ${ms.redeem} ms`,
    ]
    const lifetime = `${credential.expiresAt - tools.clock.now()} s`
    return check([...legs.filter(Boolean), credential.scopes.join(' '), lifetime].filter(Boolean).join(', '))
  }
  const { code } = acquired.error
  if (code.startsWith('POL') || code === 'CLI106') {
    const says = `not tried: policy does not give ${quote(assertion.principal.subject)} anything here (${code})`
    return { ...check(says), skipped: true }
  }
  return check(code, toFinding(acquired.error, assertion, resource, chain.idJag()))
}

async function run(
  assertion: VerifiedAssertion,
  resource: Resource,
  { policy, revocations, credentials }: Chain,
  { clock }: Tools,
): Promise<Result<Acquired, Refusal>> {
  const revoked = await revocations.current()
  if (!revoked.ok) return err(revoked.error)
  const action = { kind: 'token', scopes: undefined } as const
  const permit = policy.decide(assertion, resource, action, revoked.value, clock.epochMillis())
  return permit.ok ? credentials.acquire(permit.value) : permit
}

function toFinding(
  refusal: Refusal,
  assertion: VerifiedAssertion,
  resource: Resource,
  idJag: JsonObject | undefined,
): Finding {
  const { code } = refusal
  const unreachable = /^(?:IDP|RAS)11[0124]$/.test(code)
  const { hint, places } = explain(refusal, assertion, resource, idJag)
  return {
    code: unreachable ? 'DOC101' : 'DOC121',
    message: `${toRefusalWords(refusal)}${hint === undefined ? '' : `; ${hint}`}`,
    help: fixOf(refusal),
    places,
    ...(unreachable ? { unreachable } : {}),
  }
}

interface Explanation {
  readonly hint?: string
  /** What has to be compared, by whoever said no and why. */
  readonly places: Finding['places']
}

function explain(
  { code, got, detail }: Refusal,
  assertion: VerifiedAssertion,
  { name, client, clientsByCaller, authorizationServer }: Resource,
  idJag: JsonObject | undefined,
): Explanation {
  const said = `${got ?? ''} ${detail ?? ''}`
  const { idpName, name: idpClient } = assertion.idpClient
  const caller = assertion.caller.name
  const path = ['resources', name, ...(clientsByCaller.has(caller) ? ['clients', caller] : ['client'])]
  const { id: ownId, auth } = clientsByCaller.get(caller) ?? client
  const server = inConfig(['resources', name, 'authorization_server', 'issuer'])
  const ours = inConfig(['idps', idpName, 'clients', idpClient, 'id'])
  const id = inConfig([...path, 'id'])
  const secret = inConfig([...path, 'auth', 'keys' in auth ? 'key' : 'secret'], 'key')
  const scopes = inConfig(['resources', name, 'scopes'], 'key')
  const resource = inConfig(['resources', name, 'resource'])
  const { client_id: toldId, aud } = idJag ?? {}
  const told = (what: unknown, kept: string): string | undefined =>
    typeof what === 'string' && what !== kept ? `the identity provider has ${toDifference(what, kept)}` : undefined
  if (code === 'IDP109') {
    const wrongId = told(toldId, ownId)
    const wrongServer = told(aud, authorizationServer.issuer)
    if (said.includes('client_id') && wrongId !== undefined) return { hint: wrongId, places: [id] }
    if (said.includes('aud') && wrongServer !== undefined) return { hint: wrongServer, places: [server] }
  }
  if (code === 'RAS106' && said.includes('invalid_client') && toldId === ownId) {
    const hint = `the identity provider has this gateway there as ${quote(ownId)} too, so it is rather the secret that is wrong`
    return { hint, places: [secret, id] }
  }
  const known: Partial<Record<RefusalCode, Finding['places']>> = {
    IDP103: [server, resource],
    IDP104: [scopes],
    RAS101: [server, id],
    RAS102: [id],
    RAS103: [resource],
    RAS104: [scopes],
    RAS106: [id, secret],
  }
  return { places: known[code] ?? [code.startsWith('RAS') ? server : ours] }
}
