// The record of one decision, as auditors read it, and its one source: the types of the house and the published
// schema/audit-event.v1.json are both made of what stands here. None of it can hold a secret. Within a version members are
// only ever added. At run time the Worker does not look at it.
import * as v from 'valibot'

const described = <S extends v.GenericSchema>(schema: S, text: string) => v.pipe(schema, v.description(text))
const text = (description: string) => described(v.string(), description)
const count = (description: string) => described(v.number(), description)
const mark = (description: string) => described(v.literal(true), description)
const texts = v.array(v.string())
const optional = v.exactOptional

const actingParty = v.strictObject({ sub: v.string(), iss: optional(v.string()) })

const adminRecord = v.strictObject({
  actor: optional(
    described(
      v.strictObject({
        via: v.picklist(['access', 'id_token']),
        issuer: v.string(),
        sub: optional(v.string()),
        email: optional(v.string()),
      }),
      'Who asked; left out: nobody who could be told.',
    ),
  ),
  selector: optional(
    described(
      v.strictObject({
        idp: optional(v.string()),
        user: optional(v.string()),
        client: optional(v.string()),
        resource: optional(v.string()),
      }),
      'Whom and what it was about.',
    ),
  ),
  id: optional(text('Of the cut-off or block.')),
  before: optional(text('RFC 3339, UTC.')),
  until: optional(text('RFC 3339, UTC.')),
  dry_run: optional(v.boolean()),
  counts: optional(
    described(
      v.record(v.string(), v.number()),
      'How many connections were listed or cut, and what became of their tokens.',
    ),
  ),
})

const EVENT_NAMES = [
  'subject.verify',
  'policy.decide',
  'policy.explain',
  'id_jag.request',
  'token.redeem',
  'token.issue',
  'token.revoke',
  'token.introspect',
  'request.forward',
  // Where audit is required: a token is about to leave, to the resource or to the client.
  'token.release',
  // No decision: an isolate has started, with this configuration.
  'config.load',
  // No decision: a fault of ours before or outside of one.
  'request.fault',
  'connection.list',
  'connection.revoke',
  'connection.block',
  'connection.unblock',
  'revocation.list',
  'quota.read',
  'decision.list',
  'counter.read',
  'rule.list',
  'admin.request',
] as const

export const auditEventSchema = v.strictObject({
  v: v.literal(1),
  id: text('The request id that the caller was told as well.'),
  time: text('RFC 3339, UTC.'),
  event: described(v.picklist(EVENT_NAMES), 'The stage that decided.'),
  outcome: v.picklist(['allow', 'deny', 'error']),
  code: optional(text('Of the refusal: see docs/errors.')),
  detail: optional(text('For the administrator only; never sent to a caller.')),
  config: text('The first twelve digits of the SHA-256 of the configuration file, as sha256sum prints it.'),
  trace_id: text('W3C Trace Context trace-id.'),
  user: optional(
    v.strictObject({
      issuer: v.string(),
      sub: v.string(),
      tenant: optional(v.string()),
      groups: optional(described(texts, 'Those of the user that the rule which decided names; no others.')),
    }),
  ),
  client: optional(
    v.strictObject({
      id: v.string(),
      auth: text('How it authenticated; edge: the audience of the ID token names it.'),
      dpop_jkt: optional(text('The thumbprint of the key whose possession it has proven.')),
    }),
  ),
  subject: optional(
    described(
      v.strictObject({
        kind: v.picklist(['refresh_token', 'saml2']),
        found: optional(
          described(v.picklist(['memory', 'kv', 'flight', 'exchange']), 'Where it was found whose the token is.'),
        ),
      }),
      'A subject token that only its identity provider can read.',
    ),
  ),
  actor: optional(
    described(
      v.strictObject({
        token_type: optional(text('Of the actor token that the caller has presented.')),
        chain: optional(
          described(
            v.array(actingParty),
            'What the ID-JAG behind the credential says (act), else what the token of the user says; outermost first, at most four.',
          ),
        ),
      }),
      'Who acts for the user.',
    ),
  ),
  resource: optional(v.strictObject({ id: v.string(), kind: v.string(), aud: v.string() })),
  scopes: optional(v.strictObject({ asked: texts, granted: optional(texts) })),
  policy: optional(
    v.strictObject({
      effect: v.picklist(['allow', 'deny']),
      rule: optional(text('The one that decided.')),
      also: optional(
        described(texts, 'Other rules that were about it: they allow it too, or deny it or some of its scopes.'),
      ),
      shadow: optional(
        described(texts, 'The rules with the effect shadow-deny that would have denied this, or some of its scopes.'),
      ),
    }),
  ),
  http: v.strictObject({
    method: v.string(),
    route: text('The pattern that the path fits: the prefix of a resource, or one of our endpoints. Never the path.'),
    status: optional(count('Left out in an event that is recorded before a token leaves.')),
  }),
  token: optional(
    v.strictObject({
      id_jag_jti: optional(v.string()),
      ttl_s: count('For how many more seconds the credential is good.'),
    }),
  ),
  cache: optional(described(v.picklist(['memory', 'kv', 'flight', 'exchange']), 'Where the credential was found.')),
  old_key: optional(mark('The credential was read under an older key of cache.sealing_keys, which is still needed.')),
  quota: optional(
    described(
      v.strictObject({ used: v.number(), limit: v.number(), warning: v.boolean() }),
      'ID-JAGs obtained this month for this user and resource; only where one was obtained.',
    ),
  ),
  uncounted: optional(mark('A rate limit was not looked at: the counter of the platform did not answer.')),
  shown: optional(
    described(
      v.picklist(['unknown', 'foreign', 'revoked', 'not_offered', 'active', 'inactive']),
      'A token shown at the revocation or introspection endpoint. foreign: it was handed to another client, and the answer was ' +
        'as for one that is unknown. not_offered: it was ended here, but its server takes no revocations.',
    ),
  ),
  admin: optional(described(adminRecord, 'Of an event of the administration: who did what to whom.')),
  sealing_keys: optional(
    described(texts, 'Of config.load: the names of the secrets that seal and open stored tokens; the first one seals.'),
  ),
  lost: optional(count('How many events of this isolate no sink will ever have.')),
  ms: v.strictObject({
    total: v.number(),
    exchange: optional(v.number()),
    redeem: optional(v.number()),
    upstream: optional(v.number()),
  }),
})

/** What may be left out may as well be undefined: as JSON it is the same. */
type Lasting<T> = T extends readonly (infer Item)[]
  ? readonly Lasting<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: object extends Pick<T, Key> ? Lasting<T[Key]> | undefined : Lasting<T[Key]> }
    : T

/** One decision, for the auditor. Named after the stage that decided. */
export type AuditEvent = Lasting<v.InferOutput<typeof auditEventSchema>>
export type AdminRecord = NonNullable<AuditEvent['admin']>
export type AuditEventName = AuditEvent['event']
