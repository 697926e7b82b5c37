// The identity of a token: everything that changes it, and nothing else. User, client and resource alone would let a
// narrow request receive a broad token; the subject token itself would make every new login cold and cost quota (F-10).
import { encodeFields } from '../lib/digest.ts'
import type { Permit, RasClient } from '../model.ts'
import type { NameParts } from './key-ring.ts'

/** Raised when the meaning of an entry changes; entries of other epochs are misses. */
const EPOCH = '1'

/** Our registration at the RAS for this caller. */
export function rasClientFor({ resource, assertion }: Permit): RasClient {
  return resource.clientsByCaller.get(assertion.caller.name) ?? resource.client
}

/** Injective: two permits give the same texts only if a token of the one is a token of the other. */
export function nameParts(permit: Permit): NameParts {
  const { assertion, resource, scopes } = permit
  const { issuer, tenant, subject } = assertion.principal
  const user = encodeFields([issuer, tenant, subject])
  const client = encodeFields([assertion.caller.name])
  const target = encodeFields([resource.name, resource.authorizationServer.issuer, resource.resource])
  return {
    user,
    client,
    resource: target,
    identity: encodeFields([
      EPOCH,
      user,
      client,
      target,
      assertion.idpClient.ref,
      assertion.idpClient.id,
      rasClientFor(permit).id,
      scopes,
    ]),
  }
}
