// An ID token read without the network, for the program at the desk of an administrator. It makes no proof: where the keys of an
// identity provider do not stand in the file, nobody has looked at the signature.
import type { Config } from '../config/config.ts'
import { ok, type Result } from '../lib/result.ts'
import type { Principal } from '../model.ts'
import type { IdpClient } from '../parties.ts'
import type { Refusal } from '../refusal.ts'
import { timeOf } from './claims.ts'
import { checkSignature, judgeClaims, readForm, type TrustedIdp } from './id-token.ts'
import { createKeyProvider } from './jwks.ts'

export interface OfflineReading {
  readonly principal: Principal
  readonly idpClient: IdpClient
  readonly signature: 'holds' | 'not_checked'
  /** What would be said of its age; everything else is judged as if it were new. */
  readonly age: Refusal | undefined
}

/** Refuses with TOK1xx what a gateway would refuse, but for its age. `now` in seconds. */
export async function readOffline(
  token: string,
  config: Pick<Config, 'idpsByIssuer' | 'policyClaims'>,
  now: number,
): Promise<Result<OfflineReading, Refusal>> {
  const read = readForm(token, trustIssuers(config))
  if (!read.ok) return read
  const { jwt, trusted } = read.value
  const isStatic = trusted.idp.keys.kind === 'static'
  const signed = isStatic ? await checkSignature(token, jwt, trusted) : undefined
  if (signed !== undefined && !signed.ok) return signed
  const judged = judgeClaims(jwt.claims, trusted, now)
  const signature = isStatic ? 'holds' : 'not_checked'
  if (judged.ok) return ok({ ...judged.value, signature, age: undefined })
  const { code } = judged.error
  const issuedAt = timeOf(jwt.claims['iat'])
  if ((code !== 'TOK103' && code !== 'TOK106') || issuedAt === undefined) return judged
  const then = judgeClaims(jwt.claims, trusted, issuedAt)
  return then.ok ? ok({ ...then.value, signature, age: judged.error }) : then
}

function trustIssuers({
  idpsByIssuer,
  policyClaims,
}: Pick<Config, 'idpsByIssuer' | 'policyClaims'>): ReadonlyMap<string, TrustedIdp> {
  const issuers = new Map<string, TrustedIdp>()
  for (const [issuer, idp] of idpsByIssuer) {
    const keys = createKeyProvider(idp.keys, idp.idToken.algorithms, NO_PORTS)
    issuers.set(issuer, {
      idp,
      keys,
      clientsById: new Map([...idp.clients.values()].map((own) => [own.id, own])),
      policyClaims,
    })
  }
  return issuers
}

const unused = (): never => {
  throw new Error('keys that stand in the file are not fetched')
}
const NO_PORTS = {
  fetch: unused,
  background: unused,
  discovery: { metadataOf: unused },
  clock: { now: unused, epochMillis: unused, millis: () => 0 },
}
