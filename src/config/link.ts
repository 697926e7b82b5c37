// Names become objects, and what takes more than one place of the file to judge is judged. Here calling clients and
// resources; identity providers, places at our door, key sets and rules have files of their own.
import type { CallingClient, RasClient, Resource } from '../parties.ts'
import type { RasQuirks } from '../quirks.ts'
import { linkInboundAuth, linkOutboundAuth } from './link-auth.ts'
import { checkTokenRef, isIssuer, linkIdps, type LinkedIdps } from './link-idps.ts'
import { linkProxies } from './link-proxy.ts'
import { checkClient, checkReach, type Linker } from './linker.ts'
import { quote } from './problem.ts'
import { rasQuirks, wantsOf, type ProfileName } from './profiles.ts'
import type { ClientEntry, ResourceEntry } from './schema.ts'

export interface Links extends LinkedIdps {
  readonly clients: ReadonlyMap<string, CallingClient>
  readonly resources: ReadonlyMap<string, Resource>
}

/** Everything that could be linked. It is a configuration only if nothing was reported. */
export function link(linker: Linker): Links {
  checkReach(linker, linker.draft.publicUrl, ['public_url'])
  linker.draft.settings.cors?.origins.forEach((origin, index) => checkReach(linker, origin, ['cors', 'origins', index]))
  return { ...linkIdps(linker), clients: linkClients(linker), resources: linkResources(linker) }
}

function linkClients(linker: Linker): Map<string, CallingClient> {
  const clients = new Map<string, CallingClient>()
  for (const [name, entry] of linker.draft.clients) {
    clients.set(name, linkClient(linker, name, entry))
  }
  return clients
}

function linkClient(linker: Linker, name: string, entry: ClientEntry): CallingClient {
  const path = ['clients', name]
  entry.subject_tokens.forEach((ref, index) => checkTokenRef(linker, ref, [...path, 'subject_tokens', index]))
  const auth = entry.auth && linkInboundAuth(linker, entry.auth, [...path, 'auth'])
  checkKinds(linker, name, entry)
  const { dpop, dpop_nonce: dpopNonce } = entry
  const subjectTokens = new Set(entry.subject_tokens)
  const subjectKinds = new Set(entry.subject_token_types)
  return { name, subjectTokens, subjectKinds, auth, dpop, dpopNonce, rateLimit: entry.rate_limit }
}

/** What a client may present must lead somewhere: to the token endpoint, and from there to an identity provider. */
function checkKinds({ draft, report }: Linker, name: string, entry: ClientEntry): void {
  const path = ['clients', name, 'subject_token_types']
  const taken = [...draft.idps].flatMap(([idp, { clients, quirks }]) =>
    Object.keys(clients).some((client) => entry.subject_tokens.includes(`${idp}/${client}`))
      ? (quirks.subject_token_types ?? ['id_token'])
      : [],
  )
  for (const [index, kind] of entry.subject_token_types.entries()) {
    if (kind === 'id_token') continue
    if (!taken.includes(kind)) {
      const message = `no identity provider of this client takes subject tokens of the kind ${quote(kind)}`
      const help =
        'add it to "quirks": { "subject_token_types": [...] } of one of those in "subject_tokens", or take it out'
      const quirks = entry.subject_tokens.map((ref) => ['idps', ref.split('/', 1)[0] ?? '', 'quirks'])
      const restsOn = [['clients', name, 'subject_tokens'], ...quirks]
      report({ code: 'CFG112', path: [...path, index], message, help, restsOn })
    } else if (entry.auth === undefined) {
      const message = `subject tokens of the kind ${quote(kind)} are taken at the token endpoint alone, which this client cannot use`
      const help = 'give the client its "auth", or take the kind out'
      report({ code: 'CFG112', path: [...path, index], message, help, restsOn: [['clients', name, 'auth']] })
    }
  }
}

function linkResources(linker: Linker): Map<string, Resource> {
  const proxies = linkProxies(linker)
  const resources = new Map<string, Resource>()
  for (const [name, entry] of linker.draft.resources) {
    const resource = linkResource(linker, name, entry)
    if (resource !== undefined) resources.set(name, { ...resource, proxy: proxies.get(name) })
  }
  return resources
}

function linkResource(linker: Linker, name: string, entry: ResourceEntry): Omit<Resource, 'proxy'> | undefined {
  const path = ['resources', name]
  const { issuer, token_endpoint: tokenEndpoint, profile, audience } = entry.authorization_server
  const quirks = rasQuirks(profile, writtenQuirks(entry.authorization_server.quirks))
  const serverPath = [...path, 'authorization_server']
  checkReach(linker, issuer, [...serverPath, 'issuer'])
  checkReach(linker, tokenEndpoint, [...serverPath, 'token_endpoint'])
  if (entry.authorization_server.quirks.send_resource === true && entry.resource === undefined) {
    const message = 'a resource is to be sent, but none is named'
    const help = 'give the resource its "resource", or leave "send_resource" out'
    const restsOn = [[...path, 'resource']]
    linker.report({ code: 'CFG112', path: [...serverPath, 'quirks', 'send_resource'], message, help, restsOn })
  }
  if (entry.dpop === 'require' && entry.proxy === undefined) {
    const message = 'nobody could use these tokens: they are bound to a key of ours, and no request passes through here'
    const help = 'give the resource a "proxy", or leave "dpop" out'
    linker.report({ code: 'CFG112', path: [...path, 'dpop'], message, help })
  }
  const clientsByCaller = new Map<string, RasClient>()
  for (const [caller, client] of Object.entries(entry.clients)) {
    checkClient(linker, caller, [...path, 'clients', caller], 'key')
    clientsByCaller.set(caller, linkRasClient(client, profile))
  }
  if (!isIssuer(issuer)) return undefined
  return {
    name,
    kind: entry.kind,
    authorizationServer: {
      issuer,
      tokenEndpoint,
      audience: audience ?? issuer,
      quirks,
      wants: wantsOf(profile, 'ras'),
    },
    resource: entry.resource,
    client: linkRasClient(entry.client, profile),
    clientsByCaller,
    scopes: entry.scopes,
    detailTypes: entry.authorization_details_types,
    dpop: entry.dpop,
  }
}

function linkRasClient({ id, auth }: ResourceEntry['client'], profile: ProfileName): RasClient {
  return { id, auth: linkOutboundAuth(auth, profile) }
}

function writtenQuirks(entry: ResourceEntry['authorization_server']['quirks']): Partial<RasQuirks> {
  return {
    ...(entry.send_scope && { sendScope: entry.send_scope }),
    ...(entry.send_resource !== undefined && { sendResource: entry.send_resource }),
    ...(entry.id_jag_reuse !== undefined && { idJagReuse: entry.id_jag_reuse }),
    ...(entry.redeem_grant && { redeemGrant: entry.redeem_grant }),
    ...(entry.extra_scopes && { extraScopes: entry.extra_scopes }),
    ...(entry.default_ttl !== undefined && { defaultTtlSeconds: entry.default_ttl }),
  }
}
