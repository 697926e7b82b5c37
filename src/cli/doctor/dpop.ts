// Tokens bound to a key of ours (RFC 9449), where the configuration wants that.

import type { ConfigPath } from '../../config/config.ts'
import type { JsonObject } from '../../lib/strict-json.ts'
import type { DpopUse } from '../../quirks.ts'
import { inConfig, toDotted, type Check, type Finding } from './finding.ts'
import { some, textsOf } from './words.ts'

/** What our proofs are signed by. */
const ALGORITHM = 'ES256'

export function examineDpop(use: DpopUse, path: ConfigPath, metadata: JsonObject | undefined): Check[] {
  if (use === 'off' || metadata === undefined) return []
  const listed = textsOf(metadata['dpop_signing_alg_values_supported'])
  const check = (says: string, ...findings: readonly Finding[]): Check => ({
    about: toDotted(path.slice(0, 2)),
    name: 'DPoP',
    says,
    findings,
  })
  if (listed?.includes(ALGORITHM) === true) return [check(`takes ${ALGORITHM}`)]
  // With "try" a server that does not bind is taken as it is.
  if (use === 'try') return [check('not advertised; tokens may come without')]
  const message =
    listed === undefined
      ? 'DPoP is required, and the metadata does not say that the server does it: dpop_signing_alg_values_supported is absent'
      : `DPoP is required, and the server lists ${some(listed)}; proofs here are signed by ${ALGORITHM}`
  const help = 'tokens that come without a binding are refused; "try" takes them as they are'
  return [check('not advertised', { code: 'DOC214', message, help, places: [inConfig(path)] })]
}
