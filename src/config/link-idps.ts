// Identity providers and our clients there, linked; and the references of others to them.
import type { Idp, IdpClient, Issuer } from '../parties.ts'
import type { IdpQuirks } from '../quirks.ts'
import { linkOutboundAuth } from './link-auth.ts'
import { linkKeys } from './link-keys.ts'
import { checkClient, checkReach, knownNames, type Linker } from './linker.ts'
import { idpQuirks, wantsOf } from './profiles.ts'
import { didYouMean, quote, type ConfigPath } from './problem.ts'
import type { IdpEntry } from './schema.ts'
import { issuerFault } from './urls.ts'

export interface LinkedIdps {
  readonly idps: ReadonlyMap<string, Idp>
  readonly idpsByIssuer: ReadonlyMap<string, Idp>
}

export function linkIdps(linker: Linker): LinkedIdps {
  const idps = new Map<string, Idp>()
  const idpsByIssuer = new Map<string, Idp>()
  for (const [name, entry] of linker.draft.idps) {
    const idp = linkIdp(linker, name, entry)
    if (idp === undefined) continue
    const twin = idpsByIssuer.get(idp.issuer)
    if (twin !== undefined) {
      const message = 'two identity providers with one issuer'
      const help = `a token's issuer picks the identity provider; ${quote(twin.name)} has this one already`
      linker.report({ code: 'CFG109', path: ['idps', name, 'issuer'], message, help })
    }
    idps.set(name, idp)
    idpsByIssuer.set(idp.issuer, idp)
  }
  return { idps, idpsByIssuer }
}

function linkIdp(linker: Linker, name: string, entry: IdpEntry): Idp | undefined {
  const path = ['idps', name]
  checkReach(linker, entry.issuer, [...path, 'issuer'])
  checkReach(linker, entry.token_endpoint, [...path, 'token_endpoint'])
  if (entry.tenants !== undefined && entry.claims.tenant === undefined) {
    const message = 'tenants are listed, but no claim names them'
    const help = 'say which claim carries the tenant: "claims": { "tenant": "..." }'
    const restsOn = [[...path, 'claims']]
    linker.report({ code: 'CFG112', path: [...path, 'tenants'], at: 'key', message, help, restsOn })
  }
  const quirks = idpQuirks(entry.profile, writtenQuirks(entry.quirks))
  const clients = linkIdpClients(linker, name, entry, quirks)
  const givenKeys = linkKeys(linker, entry, path)
  const { issuer, claims, id_token: idToken } = entry
  if (!isIssuer(issuer)) return undefined
  return {
    name,
    issuer,
    tokenEndpoint: entry.token_endpoint,
    keys: givenKeys ?? { kind: 'discovered', issuer },
    claims: { groups: claims.groups, tenant: claims.tenant },
    tenants: entry.tenants && new Set(entry.tenants),
    idToken: { maxAgeSeconds: idToken.max_age, algorithms: idToken.algorithms },
    quirks,
    wants: wantsOf(entry.profile, 'idp'),
    clients,
  }
}

function writtenQuirks(entry: IdpEntry['quirks']): Partial<IdpQuirks> {
  return {
    ...(entry.target && { target: entry.target }),
    ...(entry.send_resource !== undefined && { sendResource: entry.send_resource }),
    ...(entry.subject_token_types && { subjectTokens: new Set(entry.subject_token_types) }),
    ...(entry.saml_two_step !== undefined && { samlTwoStep: entry.saml_two_step }),
    ...(entry.saml_encoding && { samlEncoding: entry.saml_encoding }),
    ...(entry.actor_token && { actorToken: entry.actor_token }),
    ...(entry.dpop && { dpop: entry.dpop }),
  }
}

function linkIdpClients(linker: Linker, idpName: string, entry: IdpEntry, quirks: IdpQuirks): Map<string, IdpClient> {
  const path = ['idps', idpName, 'clients']
  const clients = new Map<string, IdpClient>()
  const names = new Map<string, string>()
  for (const [name, { id, auth, edge_client: edgeClient }] of Object.entries(entry.clients)) {
    const twin = names.get(id)
    if (twin !== undefined) {
      const message = 'two clients of one identity provider with one id'
      const help = `the audience of an ID token picks one of these clients; ${quote(twin)} has this id already`
      linker.report({ code: 'CFG109', path: [...path, name, 'id'], message, help })
    }
    names.set(id, name)
    const ref = `${idpName}/${name}`
    if (edgeClient !== undefined) {
      checkEdgeClient(linker, edgeClient, ref, [...path, name, 'edge_client'])
      checkIdTokens(linker, idpName, quirks, [...path, name, 'edge_client'])
    }
    const ownAuth = linkOutboundAuth(auth, entry.profile)
    if (quirks.actorToken === 'client_assertion' && auth.method !== 'private_key_jwt') {
      const message = 'this client has no client assertion that could be sent as "actor_token"'
      const help = 'use "private_key_jwt", or write "actor_token": "none" into the quirks of the identity provider'
      linker.report({
        code: 'CFG112',
        path: [...path, name, 'auth', 'method'],
        message,
        help,
        restsOn: [['idps', idpName, 'quirks']],
      })
    }
    clients.set(name, { name, ref, idpName, id, auth: ownAuth, quirks, edgeClient })
  }
  return clients
}

function checkEdgeClient(linker: Linker, name: string, ref: string, path: ConfigPath): void {
  checkClient(linker, name, path)
  const client = linker.draft.clients.get(name)
  if (client === undefined) return
  if (!client.subject_token_types.includes('id_token')) {
    const message = `the client ${quote(name)} may not present ID tokens, and proxied requests bring nothing else`
    const help = `add "id_token" to clients.${name}.subject_token_types, or name another client`
    linker.report({ code: 'CFG112', path, message, help, restsOn: [['clients', name, 'subject_token_types']] })
  }
  if (client.subject_tokens.includes(ref)) return
  const message = `the client ${quote(name)} may not present ID tokens of ${quote(ref)}`
  const help = `add ${quote(ref)} to clients.${name}.subject_tokens, or name another client`
  linker.report({ code: 'CFG112', path, message, help, restsOn: [['clients', name, 'subject_tokens']] })
}

/** Proxied requests bring ID tokens and nothing else. */
function checkIdTokens({ report }: Linker, idpName: string, { subjectTokens }: IdpQuirks, path: ConfigPath): void {
  if (subjectTokens.has('id_token')) return
  const message = 'proxied requests are allowed, but the ID tokens they bring are not exchanged'
  const help = `add "id_token" to idps.${idpName}.quirks.subject_token_types, or take "edge_client" out`
  report({ code: 'CFG112', path, at: 'key', message, help, restsOn: [['idps', idpName, 'quirks']] })
}

/** `idp/client` must name a client of an identity provider. */
export function checkTokenRef({ draft, report }: Linker, ref: string, path: ConfigPath): void {
  const known = [...draft.idps].flatMap(([name, idp]) => Object.keys(idp.clients).map((client) => `${name}/${client}`))
  const help = didYouMean(ref, known) ?? knownNames(known)
  const [idpName = '', clientName, ...rest] = ref.split('/')
  const idp = draft.idps.get(idpName)
  if (clientName === undefined || rest.length > 0) {
    const message = '"idp/client" is expected here: whose ID tokens this caller may present'
    report({ code: 'CFG108', path, message, help })
  } else if (idp === undefined) {
    const message = `there is no identity provider ${quote(idpName)}`
    report({ code: 'CFG108', path, message, help, restsOn: [['idps', idpName]] })
  } else if (!Object.hasOwn(idp.clients, clientName)) {
    const message = `the identity provider ${quote(idpName)} has no client ${quote(clientName)}`
    report({ code: 'CFG108', path, message, help, restsOn: [['idps', idpName, 'clients', clientName]] })
  }
}

/** The schema refuses everything else; this is how the compiler learns of it. */
export function isIssuer(text: string): text is Issuer {
  return issuerFault(text) === undefined
}
