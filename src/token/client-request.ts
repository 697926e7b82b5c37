// What every request of a client begins with, at whichever of its endpoints: a form, who sends it, and whether it has sent too
// many. Client authentication is the same everywhere (RFC 7009 section 2.1, RFC 7662 section 2.1).
import type { Facts } from '../audit/audit.ts'
import type { Config } from '../config/config.ts'
import type { Identity } from '../identity/identity.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { heed, type Limits } from '../limits/limits.ts'
import type { AuthenticatedClient } from '../model.ts'
import { readForm, type Form } from '../oauth/form.ts'
import type { Refusal } from '../refusal.ts'

export interface ClientPorts {
  readonly config: Config
  readonly identity: Identity
  readonly limits: Limits
}

/** Answers a client. Facts are noted for the auditor. */
export type ClientEndpoint = (request: Request, facts: Facts) => Promise<Result<Response, Refusal>>

export interface ClientRequest {
  readonly form: Form
  readonly client: AuthenticatedClient
}

/** `path`: of the endpoint, as a DPoP proof names it. */
export async function readClientRequest(
  { config, identity, limits }: ClientPorts,
  request: Request,
  path: string,
  facts: Facts,
): Promise<Result<ClientRequest, Refusal>> {
  if (request.method !== 'POST') return err({ code: 'CLI110' })
  const form = await readForm(request)
  if (!form.ok) return form
  const proof = request.headers.get('dpop')
  const client = await identity.authenticateClient({
    authorization: request.headers.get('authorization') ?? undefined,
    form: form.value,
    proof: proof === null ? undefined : { proof, method: 'POST', url: `${config.publicUrl}${path}` },
  })
  if (!client.ok) return client
  facts.client = client.value
  const limited = await heed(limits.ofClient(client.value), facts)
  if (!limited.ok) return limited
  return ok({ form: form.value, client: client.value })
}

/** RFC 9449 section 8.2: the nonce for the next proof. */
export function nonceHeader({ key }: AuthenticatedClient): Readonly<Record<string, string>> {
  return key?.nextNonce === undefined ? {} : { 'dpop-nonce': key.nextNonce }
}
