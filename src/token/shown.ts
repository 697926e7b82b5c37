// A token that a client shows at an endpoint, and what the auditor is told of it: whose it is and what it is for, and nothing of
// the token.
import type { Facts } from '../audit/audit.ts'
import type { Config } from '../config/config.ts'
import type { IssuedTokens, Possession } from '../credentials/credentials.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { Secret } from '../lib/secret.ts'
import type { AuthenticatedClient } from '../model.ts'
import type { Form } from '../oauth/form.ts'
import type { Refusal } from '../refusal.ts'
import { readClientRequest, type ClientPorts } from './client-request.ts'

export interface ShownPorts extends ClientPorts {
  readonly issued: IssuedTokens
}

export interface Shown {
  readonly client: AuthenticatedClient
  readonly token: Secret
  readonly possession: Possession
}

/** Who shows which token, and whose it is. `path`: of the endpoint. Refuses as `readClientRequest()`, and with CLI100 or INT101. */
export async function readShown(
  ports: ShownPorts,
  request: Request,
  path: string,
  facts: Facts,
): Promise<Result<Shown, Refusal>> {
  const asked = await readClientRequest(ports, request, path, facts)
  if (!asked.ok) return asked
  const { form, client } = asked.value
  const token = readShownToken(form)
  if (!token.ok) return token
  const found = await ports.issued.find(token.value, client)
  if (!found.ok) return found
  noteShown(ports.config, facts, found.value)
  return ok({ client, token: token.value, possession: found.value })
}

/**
 * `token_type_hint` is no more than a hint (RFC 7009 section 2.1, RFC 7662 section 2.1): all that was handed out here are access
 * tokens, so whatever it says they are looked up. Refuses with CLI100.
 */
function readShownToken(form: Form): Result<Secret, Refusal> {
  const token = form.get('token')
  return token === undefined ? err({ code: 'CLI100', detail: 'token is missing' }) : ok(new Secret(token))
}

function noteShown({ idps, resources }: Config, facts: Facts, possession: Possession): void {
  if (possession.kind !== 'own') {
    facts.shown = possession.kind
    return
  }
  const [{ idp, user, resource }] = possession.records
  const meant = resources.get(resource)
  if (meant !== undefined) facts.resource = meant
  facts.holder = { issuer: idps.get(idp)?.issuer ?? idp, sub: user }
}
