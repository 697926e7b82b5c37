// The metadata of a server, as the Worker would find it (RFC 8414, OpenID Connect Discovery 1.0), and what it says about the
// server that matters here. That something is not advertised proves nothing: servers may hide values
// (draft-ietf-oauth-identity-chaining section 3), so it is amber at most.

import { quote } from '../../config/config.ts'
import { reachFault } from '../../lib/reach.ts'
import type { Result } from '../../lib/result.ts'
import type { JsonObject } from '../../lib/strict-json.ts'
import { slipBetween } from '../../lib/slip.ts'
import { callForDocument, type Answer, type CallProblem } from '../../oauth/counterparty.ts'
import { wellKnownUrl, type WellKnown } from '../../oauth/metadata.ts'
import { GRANT_TYPE, ID_JAG_PROFILE, TOKEN_TYPE } from '../../oauth/vocabulary.ts'
import { toDotted, type Check, type Finding } from './finding.ts'
import { placesOf, type Party, type Tools } from './tools.ts'
import { textsOf, toDifference, toProblemWords } from './words.ts'

export interface MetadataReport {
  readonly check: Check
  /** Undefined: none was found, or none that can be believed. */
  readonly metadata: JsonObject | undefined
  /** Where tokens are asked for: as configured, else as discovered. */
  readonly tokenEndpoint: string | undefined
  readonly jwksUri: string | undefined
}

interface Look {
  readonly url: string
  readonly answer: Result<Answer, CallProblem>
}

export async function examineMetadata(party: Party, tools: Tools): Promise<MetadataReport> {
  const look = await lookUp(party, tools)
  const { body } = look.answer.ok ? look.answer.value : { body: undefined }
  const found = look.answer.ok && look.answer.value.status === 200 ? body : undefined
  const findings = found === undefined ? missing(party, look, tools) : judge(party, look.url, found, tools)
  const needed = party.tokenEndpoint === undefined || party.discoversKeys
  if (found !== undefined && findings.length === 0 && needed) findings.push(...(await secondOpinion(party, tools)))
  const trusted = findings.some(({ code }) => code === 'DOC102' || code === 'DOC103') ? undefined : found
  const endpoint = (name: string): string | undefined => addressOf(trusted?.[name], tools)
  return {
    check: {
      about: toDotted(party.paths[0]),
      name: 'metadata',
      says: found === undefined ? saysOfMissing(needed, look) : look.url,
      findings,
      skipped: found === undefined,
    },
    metadata: trusted,
    tokenEndpoint: party.tokenEndpoint ?? endpoint('token_endpoint'),
    jwksUri: endpoint('jwks_uri'),
  }
}

/** As the Worker looks: the other document only where there is no such thing as the first. */
async function lookUp({ kind, issuer }: Party, { witness }: Tools): Promise<Look> {
  const order: readonly [WellKnown, WellKnown] = kind === 'identity provider' ? ['oidc', 'oauth2'] : ['oauth2', 'oidc']
  const [url, otherUrl] = [wellKnownUrl(issuer, order[0]), wellKnownUrl(issuer, order[1])]
  const answer = await callForDocument(witness.fetch, url)
  if (!answer.ok || answer.value.status !== 404) return { url, answer }
  const other = await callForDocument(witness.fetch, otherUrl)
  return other.ok && other.value.status === 404 ? { url, answer } : { url: otherUrl, answer: other }
}

function saysOfMissing(needed: boolean, { url }: Look): string {
  return needed ? `none at ${url}` : `none at ${url}, and none is needed: the configuration says it all`
}

function missing(party: Party, { url, answer }: Look, { witness }: Tools): Finding[] {
  if (party.tokenEndpoint !== undefined && !party.discoversKeys) return []
  const places = placesOf(party, 'issuer')
  const alternative =
    party.kind === 'identity provider'
      ? 'or write its "token_endpoint" and its "jwks_uri" into the file'
      : 'or write its "token_endpoint" into the file'
  if (!answer.ok) {
    const words = toProblemWords(url, answer.error, witness)
    if (answer.error.kind === 'unusable') {
      const message = `${url} gives ${words}`
      return [
        {
          code: 'DOC102',
          message,
          help: `compare the issuer with what the server says of itself, ${alternative}`,
          places,
        },
      ]
    }
    return [{ code: 'DOC101', message: `${url} cannot be reached: ${words}`, places, unreachable: true }]
  }
  const { status } = answer.value
  if (status === 404) {
    const message = `the ${party.kind} publishes no metadata: ${url} answers 404, and so does its sibling`
    return [
      {
        code: 'DOC102',
        message,
        help: `is this its issuer, with the path that belongs to it? If so, ${alternative.slice(3)}`,
        places,
      },
    ]
  }
  return [{ code: 'DOC102', message: `${url} answers ${status}`, places, unreachable: status >= 500 }]
}

function judge(party: Party, url: string, body: JsonObject, tools: Tools): Finding[] {
  const findings: Finding[] = []
  const { issuer } = body
  if (issuer !== party.issuer) {
    const message = `${url} says that the issuer is ${typeof issuer === 'string' ? toDifference(issuer, party.issuer) : 'not a text'}`
    const near = typeof issuer === 'string' && slipBetween(issuer, party.issuer) !== undefined
    const help = near
      ? `write ${quote(issuer)}: issuers and audiences are compared character by character`
      : 'this is the metadata of another server; find the issuer of the one that is meant'
    findings.push({ code: 'DOC103', message, help, places: placesOf(party, 'issuer') })
  }
  findings.push(...judgeEndpoint(party, body, 'token_endpoint', party.tokenEndpoint === undefined, tools))
  if (party.kind === 'identity provider')
    findings.push(...judgeEndpoint(party, body, 'jwks_uri', party.discoversKeys, tools))
  const advertised = body['token_endpoint']
  if (party.tokenEndpoint !== undefined && typeof advertised === 'string' && advertised !== party.tokenEndpoint) {
    const message = `the metadata says that the token endpoint is ${toDifference(advertised, party.tokenEndpoint)}`
    const help = 'what the file says goes before the metadata; leave it out where that is not meant'
    findings.push({ code: 'DOC213', message, help, places: placesOf(party, 'token_endpoint') })
  }
  return findings
}

function judgeEndpoint(party: Party, body: JsonObject, name: string, needed: boolean, tools: Tools): Finding[] {
  if (!needed || addressOf(body[name], tools) !== undefined) return []
  const written = body[name]
  const message =
    typeof written === 'string'
      ? `the metadata names ${quote(written)} as ${name}, and that is no https address that may be called`
      : `the metadata names no ${name}`
  return [
    { code: 'DOC104', message, help: `write its ${quote(name)} into the file`, places: placesOf(party, 'issuer') },
  ]
}

function addressOf(value: unknown, { local }: Tools): string | undefined {
  if (typeof value !== 'string' || !URL.canParse(value)) return undefined
  return reachFault(value, local) === undefined ? value : undefined
}

/** The Worker has the last word. */
async function secondOpinion(party: Party, { discovery }: Tools): Promise<Finding[]> {
  const verdict = await discovery.metadataOf(party.issuer, party.kind === 'identity provider' ? 'oidc' : 'oauth2')
  if (verdict.ok) return []
  return [
    {
      code: 'DOC102',
      message: `the gateway cannot use it: ${verdict.error.detail}`,
      places: placesOf(party, 'issuer'),
    },
  ]
}

/** Whether the server says that it does its part of the chain. */
export function examineGrants(party: Party, metadata: JsonObject): Check {
  const [grant, list, wanted] =
    party.kind === 'identity provider'
      ? ([GRANT_TYPE.tokenExchange, 'identity_chaining_requested_token_types_supported', TOKEN_TYPE.idJag] as const)
      : ([GRANT_TYPE.jwtBearer, 'authorization_grant_profiles_supported', ID_JAG_PROFILE] as const)
  const gaps = [gapIn(metadata, 'grant_types_supported', grant), gapIn(metadata, list, wanted)].filter(
    (gap) => gap !== undefined,
  )
  const findings: Finding[] =
    gaps.length === 0
      ? []
      : [
          {
            code: 'DOC201',
            message: `the metadata does not say that this ${party.kind} ${party.kind === 'identity provider' ? 'issues' : 'redeems'} ID-JAGs: ${gaps.join('; ')}`,
            help: 'servers may do it without saying so; if it is refused later, switch it on there',
            places: placesOf(party, 'issuer'),
          },
        ]
  const says =
    gaps.length === 0 ? `ID-JAGs are ${party.kind === 'identity provider' ? 'issued' : 'redeemed'}` : 'not advertised'
  return { about: toDotted(party.paths[0]), name: 'grants', says, findings }
}

function gapIn(metadata: JsonObject, member: string, value: string): string | undefined {
  const list = textsOf(metadata[member])
  if (list === undefined) return `${member} is absent`
  return list.includes(value) ? undefined : `${member} lacks ${value}`
}
