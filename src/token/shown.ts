// What the auditor is told of a token that a client has shown: whose it is and what it is for, and nothing of the token.
import type { Facts } from '../audit/audit.ts'
import type { Config } from '../config/config.ts'
import type { Possession } from '../credentials/credentials.ts'

export function noteShown({ idps, resources }: Config, facts: Facts, possession: Possession): void {
  if (possession.kind !== 'own') {
    facts.shown = possession.kind
    return
  }
  const [{ idp, user, resource }] = possession.records
  const meant = resources.get(resource)
  if (meant !== undefined) facts.resource = meant
  facts.holder = { issuer: idps.get(idp)?.issuer ?? idp, sub: user }
}
