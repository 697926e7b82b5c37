// Client ids that are URLs of ours: the document that says who the client is stands there
// (draft-ietf-oauth-client-id-metadata-document). Presence is enablement: the id itself asks for its document.
import type { ClientId, OutboundAuth, SigningAlgorithm } from '../parties.ts'
import type { OwnRegistration } from './link-auth.ts'
import { quote, type Finding, type Report } from './problem.ts'

/** What a document says that is not the same for all. */
export interface ClientDocument {
  /** Its address. */
  readonly id: ClientId
  readonly name: string
  readonly method: 'private_key_jwt' | 'none'
  readonly algorithms: readonly SigningAlgorithm[]
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** `https://gw.example/clients/NAME.json` of our own origin, in this one spelling: the name, or undefined. */
function documentName(id: string, publicUrl: string): string | undefined {
  const start = `${publicUrl}/clients/`
  if (!id.startsWith(start) || !id.endsWith('.json')) return undefined
  const name = id.slice(start.length, -'.json'.length)
  return NAME.test(name) ? name : undefined
}

export function linkDocuments(
  report: Report,
  publicUrl: string,
  registrations: readonly OwnRegistration[],
): readonly ClientDocument[] {
  const documents = new Map<string, ClientDocument>()
  const restsOn = [['public_url']]
  for (const { path, id, auth } of registrations) {
    const name = documentName(id, publicUrl)
    if (name === undefined) continue
    if (auth.method !== 'private_key_jwt' && auth.method !== 'none') {
      const message = 'a client that is known by its document cannot share a secret or a certificate with a server'
      const help = 'use "private_key_jwt", whose keys the document leads to; or an id that the server has given'
      report({ code: 'CFG112', path: [...path, 'auth', 'method'], message, help, restsOn })
      continue
    }
    const known = documents.get(name)
    if (known !== undefined && known.method !== auth.method) {
      const message = `elsewhere this client authenticates by ${quote(known.method)}`
      const help = 'there is one document for one id'
      report({ code: 'CFG112', path: [...path, 'auth', 'method'], message, help, restsOn })
    }
    const algorithms = [...new Set([...(known?.algorithms ?? []), ...algorithmsOf(auth)])]
    documents.set(name, { id, name, method: auth.method, algorithms })
  }
  return [...documents.values()]
}

function algorithmsOf(auth: OutboundAuth): readonly SigningAlgorithm[] {
  return auth.method === 'private_key_jwt' ? [auth.alg] : []
}

/** Ids that look like one of ours and lead nowhere. */
export function documentWarnings(publicUrl: string, registrations: readonly OwnRegistration[]): Finding[] {
  return registrations.flatMap(({ path, id }) => {
    if (!id.startsWith(`${publicUrl}/`) || documentName(id, publicUrl) !== undefined) return []
    const message = 'this is an address of ours at which no client document is served'
    const help = `documents stand at ${publicUrl}/clients/NAME.json; NAME is letters, digits and . _ -`
    return [{ code: 'CFG206', path: [...path, 'id'], message, help }]
  })
}
