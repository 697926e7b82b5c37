// The API itself: whether it answers, asks for a token, and what it says of itself (RFC 9728): its resource identifier, and
// whose tokens it takes.

import { quote } from '../../config/config.ts'
import { reachFault } from '../../lib/reach.ts'
import type { JsonObject } from '../../lib/strict-json.ts'
import { slipBetween } from '../../lib/slip.ts'
import type { Resource } from '../../parties.ts'
import { call, callForDocument, DOCUMENT_LIMITS } from '../../oauth/counterparty.ts'
import type { Fetch } from '../../ports.ts'
import { inConfig, toDotted, type Check, type Finding } from './finding.ts'
import type { Tools } from './tools.ts'
import type { Witness } from './witness.ts'
import { some, textsOf, toDifference, toProblemWords } from './words.ts'

export interface UpstreamReport {
  readonly checks: readonly Check[]
  /** What the API says of itself; undefined: nothing. */
  readonly metadata: JsonObject | undefined
}

export async function examineUpstream(resource: Resource, tools: Tools): Promise<UpstreamReport> {
  const path = ['resources', resource.name]
  const { proxy } = resource
  const door = proxy === undefined ? undefined : await knock(resource, proxy.upstream, tools)
  const found = await findMetadata(resource, door?.metadataUrl, tools)
  const about = toDotted(path)
  const checks = door === undefined ? [] : [door.check]
  if (found === undefined) {
    const says = 'none published: nothing to compare "resource" with'
    return {
      checks: [...checks, { about, name: 'resource metadata', says, findings: [], skipped: true }],
      metadata: undefined,
    }
  }
  const findings = judge(resource, found.url, found.body)
  return { checks: [...checks, { about, name: 'resource metadata', says: found.url, findings }], metadata: found.body }
}

interface Door {
  readonly check: Check
  /** Where its challenge says that its metadata is. */
  readonly metadataUrl: string | undefined
}

/** A plain GET without a token: any answer will do. What it has in its body is nobody's business here. */
async function knock({ name, resource }: Resource, upstream: string, tools: Tools): Promise<Door> {
  const path = ['resources', name, 'proxy', 'upstream']
  // The identifier of the API is more likely to be protected than the root of its host.
  const url = resource?.startsWith(`${upstream}/`) === true ? resource : `${upstream}/`
  const answer = await call(headOf(tools.witness), (send) => send(url, {}), DOCUMENT_LIMITS, 'nothing')
  const check = (says: string, ...findings: readonly Finding[]): Check => ({
    about: toDotted(['resources', name]),
    name: 'upstream',
    says,
    findings,
  })
  if (!answer.ok) {
    const words = toProblemWords(url, answer.error, tools.witness)
    if (answer.error.kind === 'unusable') return { check: check(`answers: ${words}`), metadataUrl: undefined }
    const finding: Finding = {
      code: 'DOC101',
      message: `the API at ${url} cannot be reached: ${words}`,
      places: [inConfig(path)],
      unreachable: true,
    }
    return { check: check('cannot be reached', finding), metadataUrl: undefined }
  }
  const { status, headers } = answer.value
  const metadataUrl = /\bresource_metadata\s*=\s*(?:"([^"]*)"|([^\s",]+))/i.exec(headers.get('www-authenticate') ?? '')
  const named = metadataUrl?.[1] ?? metadataUrl?.[2]
  if (status >= 500) {
    const message = `the API at ${url} answers ${status}`
    return {
      check: check(`status ${status}`, { code: 'DOC101', message, places: [inConfig(path)], unreachable: true }),
      metadataUrl: named,
    }
  }
  if (status < 300 && url === resource) {
    const message = `the API at ${url} answers ${status} without any token`
    const help = 'whoever reaches it directly needs no gateway; is it meant to be public?'
    return {
      check: check(`status ${status} without a token`, { code: 'DOC215', message, help, places: [inConfig(path)] }),
      metadataUrl: named,
    }
  }
  return { check: check(status === 401 ? 'asks for a token' : `answers ${status}`), metadataUrl: named }
}

/** An API may stream for ever. */
function headOf({ glance }: Witness): Fetch {
  return async (request) => {
    const { status, headers, body } = await glance(request)
    await body?.cancel()
    return new Response(null, { status, headers })
  }
}

interface Found {
  readonly url: string
  readonly body: JsonObject
}

/** By the challenge, else where RFC 9728 section 3.1 puts it: between the host and the path of the identifier. */
async function findMetadata(resource: Resource, named: string | undefined, tools: Tools): Promise<Found | undefined> {
  const identifier = resource.resource ?? resource.proxy?.upstream
  const places = new Set([named, identifier === undefined ? undefined : wellKnown(identifier)])
  for (const url of places) {
    if (url === undefined || !URL.canParse(url) || reachFault(url, tools.local) !== undefined) continue
    const answer = await callForDocument(tools.witness.fetch, url)
    if (answer.ok && answer.value.status === 200 && answer.value.body !== undefined)
      return { url, body: answer.value.body }
  }
  return undefined
}

function wellKnown(identifier: string): string | undefined {
  if (!URL.canParse(identifier)) return undefined
  const { protocol, origin, pathname } = new URL(identifier)
  if (protocol !== 'https:' && protocol !== 'http:') return undefined
  return `${origin}/.well-known/oauth-protected-resource${pathname === '/' ? '' : pathname}`
}

function judge({ name, resource, proxy, authorizationServer }: Resource, url: string, body: JsonObject): Finding[] {
  const findings: Finding[] = []
  const theirs = body['resource']
  const path = ['resources', name]
  if (resource !== undefined && typeof theirs === 'string' && theirs !== resource) {
    const near = slipBetween(theirs, resource) !== undefined
    findings.push({
      code: 'DOC112',
      message: `${url} says that the API is ${toDifference(theirs, resource)}`,
      help: near
        ? `write ${quote(theirs)}: resource indicators are compared character by character`
        : `write ${quote(theirs)}, unless that is the metadata of another API`,
      places: [
        inConfig([...path, 'resource']),
        ...(proxy === undefined ? [] : [inConfig([...path, 'proxy', 'upstream'])]),
      ],
    })
  }
  const servers = textsOf(body['authorization_servers'])
  const { issuer } = authorizationServer
  if (servers !== undefined && servers.length > 0 && !servers.includes(issuer)) {
    const near = servers.find((server) => slipBetween(server, issuer) !== undefined)
    findings.push({
      code: 'DOC113',
      message:
        near === undefined
          ? `${url} says that the API takes tokens of ${some(servers)}, not of ${quote(issuer)}`
          : `${url} says that the API takes tokens of ${toDifference(near, issuer)}`,
      help: `write ${quote(near ?? servers[0] ?? '')}`,
      places: [inConfig([...path, 'authorization_server', 'issuer'])],
    })
  }
  return findings
}
