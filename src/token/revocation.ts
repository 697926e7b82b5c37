// The revocation endpoint (RFC 7009) for tokens that the token endpoint has handed out. We are not who issued them: what is
// revoked is their use here, and where the authorization server behind takes revocations the token is revoked there too.
import type { Facts } from '../audit/audit.ts'
import { ok, type Result } from '../lib/result.ts'
import { toEmpty } from '../oauth/answers.ts'
import type { Refusal } from '../refusal.ts'
import { nonceHeader } from './client-request.ts'
import { readShown, type ShownPorts } from './shown.ts'

export async function revoke(ports: ShownPorts, request: Request, facts: Facts): Promise<Result<Response, Refusal>> {
  const shown = await readShown(ports, request, '/revoke', facts)
  if (!shown.ok) return shown
  const { client, token, possession } = shown.value
  // Section 2.2: an unknown token is no error, the client could do nothing about it. Stricter than section 2.1, a token of
  // another client is answered alike: a refusal would tell whoever has got hold of it that it is good.
  if (possession.kind !== 'own') return ok(toEmpty(nonceHeader(client)))

  const revoked = await ports.issued.revoke(token, possession)
  // Section 2.2.1: 503 with Retry-After, and the client must assume that the token is still there.
  if (!revoked.ok) return revoked
  facts.shown = revoked.value
  return ok(toEmpty(nonceHeader(client)))
}
