// DPoP (RFC 9449) at the servers of the local world that are built with oidc-provider: its own judgement of proofs and its own
// nonces, used in the grants which it does not know itself.

import { randomBytes } from 'node:crypto'
import type { Context, Provider } from 'oidc-provider'
import validateDpop, { checkDpopReplay } from 'oidc-provider/lib/helpers/validate_dpop.js'

/** `features.dPoP` of its configuration. */
export function proofFeature(requireNonce: boolean): Record<string, unknown> {
  return { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => requireNonce }
}

/** The thumbprint of the key that was proven, once; undefined: no proof came. */
export async function provenKey(provider: Provider, ctx: Required<Context>): Promise<string | undefined> {
  const proof = await validateDpop(provider, ctx)
  if (proof !== undefined) await checkDpopReplay(provider, ctx, proof, ctx.oidc.client.clientId)
  return proof?.thumbprint
}
