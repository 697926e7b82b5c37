// Pages of the refusals of the administration, and of our own failures: ADM and INT.
import type { Page } from './page.ts'

export const OURS = {
  ADM100: {
    doors: ['admin'],
    expected: 'a request as docs/operations.md describes it',
    got: 'the part that is malformed',
    who: ['caller'],
  },
  ADM101: {
    doors: ['admin'],
    expected: 'an ID token of a configured identity provider, or a session of Cloudflare Access',
    got: 'neither, or one that does not hold; only the auditor learns what',
    who: ['caller', 'administrator'],
    fields: ['admin.id_token', 'admin.access'],
  },
  ADM102: {
    doors: ['admin'],
    expected: 'the right that this takes',
    got: 'a login without it',
    who: ['administrator'],
    fields: ['admin'],
  },
  ADM103: {
    doors: ['admin'],
    expected: 'a request of our own origin, or of no browser',
    got: 'one that another site has caused',
    who: ['caller'],
  },
  ADM104: { doors: ['admin'], expected: 'an address and an id that exist', got: 'one that does not', who: ['caller'] },
  ADM105: { doors: ['admin'], expected: 'a name of the configuration', got: 'another', who: ['caller'] },
  ADM106: {
    doors: ['admin'],
    expected: 'a time as RFC 3339 has it, on the side of now that it belongs to, and at most ten years away',
    got: 'another',
    who: ['caller'],
  },
  ADM107: {
    doors: ['admin'],
    expected: 'at least one of user, idp, client and resource',
    got: 'none',
    who: ['caller'],
  },
  ADM108: {
    doors: ['admin'],
    expected: 'a block that leaves somebody able to lift it',
    got: 'one without an end that reaches whoever asks for it',
    who: ['caller'],
  },
  ADM109: { doors: ['admin'], expected: 'Content-Type: application/json', got: 'another', who: ['caller'] },

  INT100: {
    doors: ['resource', 'clients', 'admin', 'public'],
    expected: 'that this does not happen',
    got: 'a fault in this gateway; where the answer has a request id, its audit event names the place',
    who: ['administrator'],
  },
  INT101: {
    doors: ['resource', 'clients', 'admin'],
    expected: 'KV, the Durable Objects and the secrets of the Worker',
    got: 'a part of them that failed or is in another state than this request; the audit event says which',
    who: ['nobody', 'administrator'],
  },
  INT102: {
    doors: ['resource', 'clients', 'admin'],
    expected: 'knowledge of what is revoked that is no older than max_staleness',
    got: 'none that could be had; nobody passes on older knowledge',
    who: ['nobody', 'administrator'],
    fields: ['revocation.max_staleness'],
  },
  INT103: {
    doors: ['resource', 'token'],
    expected: 'a sink that accepts the event of the decision within 2 s',
    got: 'none that did; no token has left',
    who: ['administrator'],
    fields: ['audit.required', 'audit.http', 'audit.queue'],
  },
} as const satisfies Readonly<Record<string, Page>>
