// A user's ID token, judged as the gateway would judge it, and the setting that decides where it does not pass.

import { quote, type ConfigPath } from '../../config/config.ts'
import { fromBase64Url, fromUtf8 } from '../../lib/bytes.ts'
import { parseJsonObject, type JsonObject } from '../../lib/strict-json.ts'
import { slipBetween } from '../../lib/slip.ts'
import type { VerifiedAssertion } from '../../model.ts'
import type { Idp } from '../../parties.ts'
import { fixOf, type Refusal, type RefusalCode } from '../../refusal.ts'
import { recognise } from '../jwt/kinds.ts'
import { callersOf, type Chain } from './chain.ts'
import { inConfig, type Check, type Finding } from './finding.ts'
import type { Tools } from './tools.ts'
import { some, textsOf, toDifference, toDuration, toRefusalWords } from './words.ts'

export interface TokenReport {
  readonly checks: readonly Check[]
  /** Undefined: the gateway would refuse the token. */
  readonly assertion: VerifiedAssertion | undefined
}

export async function examineToken(token: string, chain: Chain, tools: Tools): Promise<TokenReport> {
  const verdict = await chain.identity.verifyAtEdge(`Bearer ${token}`)
  const claims = segmentOf(token, 1) ?? {}
  const check = (name: string, says: string, ...findings: readonly Finding[]): Check => ({
    about: 'the token',
    name,
    says,
    findings,
  })
  if (!verdict.ok) {
    const finding = toFinding(verdict.error, segmentOf(token, 0) ?? {}, claims, tools)
    return { checks: [check('verdict', verdict.error.code, finding)], assertion: undefined }
  }
  const { principal, idpClient } = verdict.value
  const left = toDuration(principal.expiresAt - tools.clock.now())
  const says = `an ID token of ${quote(principal.subject)}, issued to ${idpClient.ref}, for another ${left}`
  const idp = tools.config.idps.get(principal.idp)
  const groups = idp === undefined ? [] : [examineGroups(idp, principal.groups, claims, tools, check)]
  return {
    checks: [
      check('verdict', says),
      examineDoors(verdict.value, tools, check),
      ...groups,
      ...examineConditions(claims, tools, check),
    ],
    assertion: verdict.value,
  }
}

type MakeCheck = (name: string, says: string, ...findings: readonly Finding[]) => Check

function examineDoors({ principal, idpClient }: VerifiedAssertion, { config }: Tools, check: MakeCheck): Check {
  const edge = config.idps.get(principal.idp)?.clients.get(idpClient.name)?.edgeClient
  const callers = callersOf(config, idpClient.ref)
  if (edge === undefined && callers.length === 0) {
    const finding: Finding = {
      code: 'DOC216',
      message: `nobody may present ID tokens of ${idpClient.ref}: proxied requests with them end in TOK108, the token endpoint in CLI112`,
      help: `give it an "edge_client", or list ${quote(idpClient.ref)} under subject_tokens of a client with "auth"`,
      places: [inConfig(['idps', principal.idp, 'clients', idpClient.name], 'key')],
    }
    return check('doors', 'none', finding)
  }
  const doors = [
    ...(edge === undefined ? [] : [`proxied requests as ${edge}`]),
    ...(callers.length === 0 ? [] : [`the token endpoint for ${callers.join(', ')}`]),
  ]
  return check('doors', doors.join('; '))
}

function examineGroups(
  { name, claims: { groups: claim } }: Idp,
  groups: readonly string[] = [],
  claims: JsonObject,
  { config }: Tools,
  check: MakeCheck,
): Check {
  const asking = config.rules.filter((rule) => rule.groups !== undefined)
  if (groups.length > 0) return check('groups', some(groups))
  if (asking.length === 0) return check('groups', 'none, and no rule asks for any')
  const rules = asking.length === 1 ? `the rule ${quote(asking[0]?.id ?? '')} asks` : `${asking.length} rules ask`
  const candidates = Object.keys(claims).filter((key) => looksLikeGroups(key, claims[key]))
  const others = candidates.length === 0 ? '' : `; it has ${some(candidates)}`
  if (claim === undefined) {
    const message = `${rules} for groups, and nothing says which claim of ${quote(name)} holds them${others}`
    const places: Finding['places'] = [inConfig(['idps', name, 'claims', 'groups'])]
    return check('groups', 'none', { code: 'DOC120', message, help: 'give "claims": { "groups": "..." }', places })
  }
  if (Object.hasOwn(claims, claim)) return check('groups', `the claim ${quote(claim)} is empty: this user is in none`)
  const finding: Finding = {
    code: 'DOC120',
    message: `the token has no claim ${quote(claim)}, so its user is in no group, and ${rules} for groups (POL100)${others}`,
    help: `have ${quote(claim)} put into ID tokens at the identity provider${candidates.length === 0 ? ' (often a scope that the login must ask for)' : ', or name the claim that holds them'}`,
    places: [inConfig(['idps', name, 'claims', 'groups'])],
  }
  return check('groups', `no claim ${quote(claim)}`, finding)
}

/** What else rules ask of a token, and this one does not have at all: there they can never hold. */
function examineConditions(claims: JsonObject, { config }: Tools, check: MakeCheck): Check[] {
  const asked = config.rules.flatMap((rule, index) => {
    const { claims: wanted, acr, amr, maxAuthAgeSeconds: age } = rule
    const who = ['policy', 'rules', index, 'who']
    return [
      ...[...(wanted?.keys() ?? [])].map((claim) => ({ claim, path: [...who, 'claims', claim] })),
      ...(acr === undefined ? [] : [{ claim: 'acr', path: [...who, 'acr'] }]),
      ...(amr === undefined ? [] : [{ claim: 'amr', path: [...who, 'amr'] }]),
      ...(age === undefined ? [] : [{ claim: 'auth_time', path: [...who, 'max_auth_age'] }]),
    ]
  })
  if (asked.length === 0) return []
  const absent = Map.groupBy(
    asked.filter(({ claim }) => !Object.hasOwn(claims, claim)),
    ({ claim }) => claim,
  )
  const findings = [...absent].flatMap(([claim, places]): Finding[] => {
    const [first, ...more] = places.map(({ path }) => inConfig(path, 'key'))
    if (first === undefined) return []
    const message = `the token has no claim ${quote(claim)}, which ${places.length === 1 ? 'a rule asks' : `${places.length} rules ask`} for`
    const help =
      'have it put into ID tokens at the identity provider; until then such a rule never holds for such a token'
    return [{ code: 'DOC219', message, help, places: [first, ...more] }]
  })
  const names = new Set(asked.map(({ claim }) => claim))
  return [check('conditions', `${names.size - absent.size} of ${names.size} claims that rules ask for`, ...findings)]
}

/** Claims that hold lists for something else. */
const OTHER_LISTS: ReadonlySet<string> = new Set(['aud', 'amr', 'scp', 'acr', 'events', '_claim_names'])

function looksLikeGroups(key: string, value: unknown): boolean {
  if (OTHER_LISTS.has(key)) return false
  return /group|role|member|team|entitlement/i.test(key) || (textsOf(value) ?? []).length > 0
}

function toFinding(refusal: Refusal, header: JsonObject, claims: JsonObject, tools: Tools): Finding {
  const { code } = refusal
  const { place, hint } = explain(refusal, header, claims, tools)
  const { kind, because } = recognise(header, claims)
  const looks = code === 'TOK105' || code === 'TOK101' ? `; it looks like ${kind.name}: ${because}` : ''
  const unreachable = code === 'IDP114'
  return {
    code: unreachable ? 'DOC101' : 'DOC119',
    message: `${toRefusalWords(refusal)}${hint === undefined ? '' : `; ${hint}`}${looks}`,
    help: fixOf(refusal),
    places: [inConfig(...place)],
    ...(unreachable ? { unreachable } : {}),
  }
}

interface Explanation {
  readonly place: readonly [path: ConfigPath, at?: 'key' | 'value']
  readonly hint?: string | undefined
}

/** Where in the file the reason stands, and what of the token met it there. */
function explain(
  { code, got, detail }: Refusal,
  header: JsonObject,
  claims: JsonObject,
  { config }: Tools,
): Explanation {
  const { iss } = claims
  const said = got ?? detail ?? ''
  const idp = typeof iss === 'string' ? config.idpsByIssuer.get(iss) : undefined
  if (idp === undefined) return explainIssuer(iss, [...config.idps.values()])
  const path = ['idps', idp.name]
  const issuer: Explanation = { place: [[...path, 'issuer']] }
  const known: Partial<Record<RefusalCode, Explanation>> = {
    TOK101: { place: said.includes('groups') ? [[...path, 'claims', 'groups']] : [path, 'key'] },
    TOK102: said.startsWith('an algorithm') ? explainAlgorithm(header['alg'], path) : issuer,
    TOK104: explainAudience(claims['aud'], idp, path),
    TOK106: said.startsWith('issued') ? { place: [[...path, 'id_token', 'max_age']] } : issuer,
    TOK107: { place: [[...path, ...(idp.tenants === undefined ? ['claims', 'tenant'] : ['tenants'])], 'key'] },
    IDP114: issuer,
  }
  return known[code] ?? { place: [path, 'key'] }
}

function explainAlgorithm(alg: unknown, path: ConfigPath): Explanation {
  const hint = typeof alg === 'string' ? `it is signed by ${quote(alg)}` : undefined
  return { place: [[...path, 'id_token', 'algorithms']], hint }
}

function explainAudience(aud: unknown, { clients }: Idp, path: ConfigPath): Explanation {
  const audiences = typeof aud === 'string' ? [aud] : (textsOf(aud) ?? [])
  const all = [...clients.values()]
  const near = all.find(({ id }) => audiences.some((audience) => slipBetween(audience, id) !== undefined))
  const hint = `its aud is ${some(audiences)}, the clients here are ${some(all.map(({ id }) => id))}`
  return near === undefined
    ? { place: [[...path, 'clients'], 'key'], hint }
    : { place: [[...path, 'clients', near.name, 'id']], hint }
}

function explainIssuer(iss: unknown, idps: readonly Idp[]): Explanation {
  if (typeof iss !== 'string') return { place: [['idps'], 'key'] }
  const near = idps.find(({ issuer }) => slipBetween(iss, issuer) !== undefined)
  if (near !== undefined)
    return { place: [['idps', near.name, 'issuer']], hint: `its iss is ${toDifference(iss, near.issuer)}` }
  return { place: [['idps'], 'key'], hint: `its iss is ${quote(iss)}` }
}

/** For words only: nothing here is believed. */
function segmentOf(token: string, index: 0 | 1): JsonObject | undefined {
  const bytes = fromBase64Url(token.split('.')[index] ?? '')
  const text = bytes.ok ? fromUtf8(bytes.value) : bytes
  const object = text.ok ? parseJsonObject(text.value) : text
  return object.ok ? object.value : undefined
}
