// All examinations of a configuration, side by side: each server once, whatever speaks of it, and each check as soon as
// what it needs is known.

import type { Idp, Resource } from '../../parties.ts'
import { examineCertificate, type Host } from './certificates.ts'
import { createChain } from './chain.ts'
import { examineClocks } from './clocks.ts'
import { examineCredential, examineMethod, type Registration } from './credentials.ts'
import { examineDpop } from './dpop.ts'
import { colourOf, type Check } from './finding.ts'
import type { Desk } from './attempt.ts'
import { examineKeys } from './keys.ts'
import { examineGrants, examineMetadata, type MetadataReport } from './metadata.ts'
import { probe } from './probe.ts'
import { examineScopes } from './scopes.ts'
import { examineToken } from './token.ts'
import { placesOf, type Party, type Tools } from './tools.ts'
import { examineUpstream } from './upstream.ts'

export interface Wishes {
  /** A user's ID token; undefined: none is at hand. */
  readonly token: string | undefined
  /** Run the whole chain with it. */
  readonly probe: boolean
}

/** Told of every piece of work that begins and ends. */
export type Watch = <T>(work: Promise<T>) => Promise<T>

export async function examine(tools: Tools, wishes: Wishes, watch: Watch): Promise<Check[]> {
  const { config } = tools
  const idps = [...config.idps.values()]
  const servers = groupServers([...config.resources.values()])
  const checks = (
    await Promise.all([
      ...idps.map((idp) => watch(examineIdp(idp, tools))),
      ...servers.map(({ party, resources }) => watch(examineServer(party, resources, tools))),
      watch(examineCallers(tools)),
    ])
  ).flat()
  const parties = [...idps.map(toParty), ...servers.map(({ party }) => party)]
  const [certificates, ofToken] = await Promise.all([
    watch(examineCertificates(parties, tools)),
    wishes.token === undefined ? [] : watch(examineUser(wishes.token, wishes.probe, tools)),
  ])
  return [...checks, ...examineClocks(parties, tools.witness), ...certificates, ...ofToken]
}

async function examineIdp(idp: Idp, tools: Tools): Promise<Check[]> {
  const party = toParty(idp)
  const path = ['idps', idp.name]
  const report = await examineMetadata(party, tools)
  const { metadata } = report
  const [anyResource] = tools.config.resources.values()
  const desk = toDesk(report, party, 'exchange', anyResource?.authorizationServer.audience ?? idp.issuer)
  const registrations = [...idp.clients.values()].map(({ name, id, auth }) => ({
    path: [...path, 'clients', name],
    id,
    auth,
  }))
  const owner = {
    path,
    source: idp.keys,
    algorithms: idp.idToken.algorithms,
    algorithmsPath: [...path, 'id_token', 'algorithms'],
  }
  const [keys, ...credentials] = await Promise.all([
    examineKeys(owner, report.jwksUri, tools),
    ...registrations.map((registration) => examineRegistration(registration, desk, metadata, tools)),
  ])
  return [
    report.check,
    ...(metadata === undefined ? [] : [examineGrants(party, metadata)]),
    ...examineDpop(idp.quirks.dpop, [...path, 'quirks', 'dpop'], metadata),
    keys,
    ...credentials,
    ...examineClaims(idp, metadata, tools),
  ]
}

async function examineServer(party: Party, resources: readonly Resource[], tools: Tools): Promise<Check[]> {
  const report = await examineMetadata(party, tools)
  const { metadata } = report
  const examined = await Promise.all(
    resources.map(async (resource): Promise<Check[]> => {
      const path = ['resources', resource.name]
      const desk = toDesk(report, party, 'redeem', resource.authorizationServer.audience)
      const registrations: Registration[] = [
        { path: [...path, 'client'], ...resource.client },
        ...[...resource.clientsByCaller].map(([caller, client]) => ({ path: [...path, 'clients', caller], ...client })),
      ]
      const [upstream, ...credentials] = await Promise.all([
        examineUpstream(resource, tools),
        ...registrations.map((registration) => examineRegistration(registration, desk, metadata, tools)),
      ])
      return [
        ...credentials,
        examineScopes(resource, metadata, upstream.metadata),
        ...examineDpop(resource.dpop, [...path, 'dpop'], metadata),
        ...upstream.checks,
      ]
    }),
  )
  const grants = metadata === undefined ? [] : [examineGrants(party, metadata)]
  return [report.check, ...grants, ...examined.flat()]
}

/** The check of the credential, with what the server says of the method where that was not decided by trying. */
async function examineRegistration(
  registration: Registration,
  desk: Desk | undefined,
  metadata: MetadataReport['metadata'],
  tools: Tools,
): Promise<Check> {
  const check = await examineCredential(registration, desk, metadata, tools)
  const doubt = metadata === undefined ? undefined : examineMethod(registration, metadata)
  return doubt === undefined || colourOf(check) === 'red' ? check : { ...check, findings: [...check.findings, doubt] }
}

/** Keys of calling clients, and of Cloudflare Access. */
async function examineCallers(tools: Tools): Promise<Check[]> {
  const { clients, admin } = tools.config
  const owners = [...clients.values()].flatMap(({ name, auth }) => {
    if (auth?.method !== 'private_key_jwt') return []
    const path = ['clients', name, 'auth']
    return [{ path, source: auth.keys, algorithms: auth.algorithms, algorithmsPath: [...path, 'algorithms'] }]
  })
  const access = admin?.access
  if (access !== undefined) {
    const path = ['admin', 'access', 'team_domain']
    const source = { kind: 'fetched', jwksUri: `${access.teamDomain}/cdn-cgi/access/certs` } as const
    owners.push({ path, source, algorithms: ['RS256'], algorithmsPath: path })
  }
  return Promise.all(owners.map((owner) => examineKeys(owner, undefined, tools)))
}

/** Whether ID tokens can have the claim that holds groups, as far as the metadata says. */
function examineClaims({ name, claims }: Idp, metadata: MetadataReport['metadata'], { config }: Tools): Check[] {
  const listed = metadata?.['claims_supported']
  if (claims.groups === undefined || !Array.isArray(listed) || listed.includes(claims.groups)) return []
  if (!config.rules.some((rule) => rule.groups !== undefined)) return []
  return [
    {
      about: `idps.${name}`,
      name: 'groups',
      says: 'not advertised',
      findings: [
        {
          code: 'DOC211',
          message: `the metadata does not list the claim ${JSON.stringify(claims.groups)}, and rules ask for groups`,
          help: 'a list may be incomplete; --token - shows whether tokens have it',
          places: [{ file: 'config', path: ['idps', name, 'claims', 'groups'] }],
        },
      ],
    },
  ]
}

async function examineCertificates(parties: readonly Party[], tools: Tools): Promise<Check[]> {
  const hosts = new Map<string, Host>()
  const note = (address: string | undefined, places: Host['places']): void => {
    if (address === undefined || !address.startsWith('https:')) return
    const { origin, hostname } = new URL(address)
    // Those of a local world are made for the day.
    if (!LOOPBACK.has(hostname) && !hosts.has(origin)) hosts.set(origin, { origin, places })
  }
  for (const party of parties) {
    note(party.issuer, placesOf(party, 'issuer'))
    note(party.tokenEndpoint, placesOf(party, 'token_endpoint'))
  }
  for (const { name, proxy } of tools.config.resources.values())
    note(proxy?.upstream, [{ file: 'config', path: ['resources', name, 'proxy', 'upstream'] }])
  const checks = await Promise.all([...hosts.values()].map((host) => examineCertificate(host, tools.clock.now())))
  return checks.filter((check) => check !== undefined)
}

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost'])

async function examineUser(token: string, probing: boolean, tools: Tools): Promise<Check[]> {
  const chain = createChain(tools)
  const { checks, assertion } = await examineToken(token, chain, tools)
  if (!probing || assertion === undefined) return [...checks]
  const resources = [...tools.config.resources.values()]
  return [
    ...checks,
    ...(await Promise.all(resources.map((resource) => probe(assertion, resource, createChain(tools), tools)))),
  ]
}

function toParty({ name, issuer, tokenEndpoint, keys }: Idp): Party {
  const discoversKeys = keys.kind === 'discovered'
  return { kind: 'identity provider', issuer, tokenEndpoint, discoversKeys, paths: [['idps', name]] }
}

interface Server {
  readonly party: Party
  readonly resources: readonly Resource[]
}

/** Several resources may have one authorization server. */
function groupServers(resources: readonly Resource[]): Server[] {
  const groups = Map.groupBy(resources, ({ authorizationServer: { issuer, tokenEndpoint } }) =>
    JSON.stringify([issuer, tokenEndpoint]),
  )
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const [path, ...more] = group.map(({ name }) => ['resources', name, 'authorization_server'])
    if (path === undefined) return []
    const { issuer, tokenEndpoint } = first.authorizationServer
    const party: Party = {
      kind: 'authorization server',
      issuer,
      tokenEndpoint,
      discoversKeys: false,
      paths: [path, ...more],
    }
    return [{ party, resources: group }]
  })
}

function toDesk(report: MetadataReport, { issuer }: Party, grant: Desk['grant'], audience: string): Desk | undefined {
  const { tokenEndpoint } = report
  return tokenEndpoint === undefined ? undefined : { issuer, tokenEndpoint, grant, audience }
}
