// The proofs cannot be made or altered without a cast. These are compile errors that must stay: `npm run check` fails when
// one of them compiles.
/* oxlint-disable typescript/no-misused-spread -- that a spread is refused is what this shows */
import { expect, test } from 'vitest'
import type { Credential, Permit, VerifiedAssertion } from '../../../src/model.ts'

function alter(permit: Permit, assertion: VerifiedAssertion, credential: Credential): readonly unknown[] {
  // @ts-expect-error -- a spread loses the private name
  const wider: Permit = { ...permit, scopes: [] }
  // @ts-expect-error -- another user behind the same proof
  const other: VerifiedAssertion = { ...assertion, principal: assertion.principal }
  // @ts-expect-error -- the caller's own token as the resource's credential
  const passed: Credential = { kind: 'bearer', resource: 'x', entryId: '', token: assertion.token, scopes: [] }
  return [wider, other, passed, credential]
}

test('a proof cannot be spread, written down or constructed: this file compiles only because it does not', () => {
  expect(typeof alter).toBe('function')
})
