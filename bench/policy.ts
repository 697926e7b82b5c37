// What a thousand rules cost. `node bench/policy.ts` alone, and a part of `npm run bench`.
//
// The rules are real ones, read from a configuration, and the question is asked through the door of the room, with a proof that
// identity has made. All rules are about the one resource that is asked for, so that the index by resources does not help,
// and nine in ten are about the client that asks. Each has something of what rules have: groups, users, claims, methods, paths,
// the strength of the login, an end; one in ten denies. A third of them are about a group of the user, who is in five. One rule
// in the middle allows; every other question is one that nothing allows.

import process from 'node:process'
import { parseArgs } from 'node:util'
import { parseConfig, renderProblems } from '../src/config/config.ts'
import { createIdentity } from '../src/identity/identity.ts'
import { createDiscovery } from '../src/oauth/metadata.ts'
import { createManualClock } from '../src/platform/memory.ts'
import { createPolicy } from '../src/policy/policy.ts'
import { createSnapshot } from '../src/revocation/revocation.ts'
import { configuration } from './stage.ts'
import { createIssuer, STAFF } from './users.ts'

export type PolicyFigures = { readonly rules: number; readonly p50_us: number; readonly p99_us: number }

/** "Well under 100 µs" for a thousand rules. */
export const MAX_P50_US = 100

const RESOURCE = 'items'
const WARM_UP = 3_000

export async function measurePolicy(rules: number, decisions: number): Promise<PolicyFigures> {
  const issuer = await createIssuer()
  const text = JSON.stringify({
    ...configuration(issuer.jwks, '10s', [RESOURCE]),
    clients: { people: { subject_tokens: ['acme/gateway'] }, other: { subject_tokens: ['acme/gateway'] } },
    policy: { rules: Array.from({ length: rules }, ruleOf(rules)) },
  })
  const parsed = parseConfig(text, { fileName: 'policy.jsonc', local: false })
  if (!parsed.ok) throw new Error(renderProblems(text, parsed.error))
  const config = parsed.value
  const clock = createManualClock()
  const unused = (): never => {
    throw new Error('policy: nothing but the token is needed')
  }
  const ports = { clock, fetch: unused, background: unused }
  const discovery = createDiscovery(ports, { local: false })
  const identity = createIdentity(config, { ...ports, discovery, secrets: unused, replay: { claim: unused } })
  const groups = [...STAFF, 'g1', 'g2', 'g3']
  const token = await issuer.idToken('somebody', { groups, now: clock.now() })
  const assertion = await identity.verifyAtEdge(`Bearer ${token}`)
  const resource = config.resources.get(RESOURCE)
  if (!assertion.ok || resource === undefined) throw new Error('policy: the stage is not set')

  const policy = createPolicy(config.rules, config.resources.values())
  const revoked = createSnapshot([])
  const nowMs = clock.epochMillis()
  const decide = (turn: number): boolean => {
    const action = {
      kind: 'http',
      method: turn % 2 === 0 ? 'GET' : 'DELETE',
      path: `/v1/items/${turn % 100}/notes`,
    } as const
    return policy.decide(assertion.value, resource, action, revoked, nowMs).ok
  }
  for (let turn = 0; turn < WARM_UP; turn++)
    if (decide(turn) !== (turn % 2 === 0)) throw new Error('policy: not decided as it was meant to be')
  const times: number[] = []
  for (let turn = 0; turn < decisions; turn++) {
    const start = performance.now()
    decide(turn)
    times.push((performance.now() - start) * 1000)
  }
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): number =>
    Math.round((sorted[Math.floor(sorted.length * share)] ?? Number.NaN) * 100) / 100
  return { rules, p50_us: at(0.5), p99_us: at(0.99) }
}

function ruleOf(count: number): (_: unknown, index: number) => object {
  return (_, index) => {
    const rule = { id: `rule-${index}`, resources: [RESOURCE], effect: index % 10 === 9 ? 'deny' : 'allow' }
    if (index === Math.floor(count / 2))
      return { ...rule, effect: 'allow', who: { groups: ['engineering'] }, methods: ['GET'], paths: ['/v1/**'] }
    const who = index % 10 === 0 ? { clients: ['other'] } : {}
    switch (index % 6) {
      case 0:
        return { ...rule, who: { ...who, groups: [`team-${index}`, `squad-${index}`] } }
      case 1:
        return { ...rule, who: { ...who, users: [`user-${index}`] }, methods: ['GET', 'POST'] }
      case 2:
        return {
          ...rule,
          who: { ...who, groups: ['engineering'] },
          methods: ['GET', 'DELETE'],
          paths: [`/v1/places/${index}/*`, `/v1/*/${index}/**`],
        }
      case 3:
        return { ...rule, who: { ...who, claims: { department: [`department-${index}`] } } }
      case 4:
        return {
          ...rule,
          who: { ...who, groups: ['engineering'] },
          paths: [`/v2/items/*/${index}`],
          until: '2199-12-31',
        }
      default:
        return { ...rule, who: { ...who, groups: [`team-${index}`], acr: ['urn:phr'] }, scopes: ['items.read'] }
    }
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { rules: { type: 'string', default: '1000' }, decisions: { type: 'string', default: '20000' } },
  })
  const figures = await measurePolicy(Number(values.rules), Number(values.decisions))
  console.log(JSON.stringify(figures))
  if (figures.p50_us > MAX_P50_US) process.exitCode = 1
}
