// The shape of jagway.jsonc, strictly: what is not written here is not known. What needs more than one place of the file to
// be judged stands in link.ts. A kind of resource is one more entry of `resourceSchema`, a section one more key of
// `configSchema`.
import * as v from 'valibot'
import {
  acr,
  address,
  algorithm,
  anyByText,
  badChoice,
  bindingName,
  certificate,
  byText,
  claimValue,
  clientId,
  duration,
  flag,
  lastMoment,
  list,
  moment,
  name,
  named,
  object,
  oneOf,
  rateLimit,
  say,
  scope,
  secret,
  secrets,
  someNamed,
  someOf,
  text,
} from './parts.ts'
import { PROFILES } from './profiles.ts'
import { endpointFault, issuerFault, originFault, pageOriginFault, resourceFault, upstreamFault } from './urls.ts'

/** RFC 7517 section 5. Members that we do not know are allowed there, and so they are here. */
const keySetSchema = v.looseObject(
  {
    keys: v.array(
      v.record(v.string(), v.unknown(), say('CFG111', 'a key is an object')),
      say('CFG111', 'a list of keys is expected here'),
    ),
  },
  (issue) =>
    issue.expected === 'Object'
      ? say('CFG111', 'a key set { "keys": [ … ] } is expected here')
      : say('CFG103', 'the key "keys" is missing here'),
)

/** How we authenticate at somebody else's token endpoint. */
const outboundAuthSchema = v.variant(
  'method',
  [
    object({
      method: v.literal('client_secret_basic'),
      secret: secrets,
      encoding: v.exactOptional(oneOf(['form', 'raw'])),
    }),
    object({ method: v.literal('client_secret_post'), secret: secrets }),
    object({
      method: v.literal('private_key_jwt'),
      key: secrets,
      alg: algorithm,
      audience: v.exactOptional(oneOf(['issuer', 'token_endpoint'])),
      typ: v.exactOptional(oneOf(['client-authentication+jwt', 'JWT', 'none'])),
    }),
    object({ method: v.literal('tls_client_auth'), certificate }),
    object({ method: v.literal('self_signed_tls_client_auth'), certificate }),
    object({ method: v.literal('none') }),
  ],
  badChoice('method', [
    'client_secret_basic',
    'client_secret_post',
    'private_key_jwt',
    'tls_client_auth',
    'self_signed_tls_client_auth',
    'none',
  ]),
)

/** How a calling client authenticates at ours. There is no `none`: a client without `auth` has no token endpoint. */
const inboundAuthSchema = v.variant(
  'method',
  [
    object({ method: v.literal('client_secret_basic'), secret: secrets }),
    object({ method: v.literal('client_secret_post'), secret: secrets }),
    object({
      method: v.literal('private_key_jwt'),
      jwks_uri: v.exactOptional(address(endpointFault)),
      jwks: v.exactOptional(keySetSchema),
      algorithms: v.optional(someOf(algorithm), ['ES256', 'RS256', 'PS256', 'EdDSA']),
    }),
  ],
  badChoice('method', ['client_secret_basic', 'client_secret_post', 'private_key_jwt']),
)

const profile = v.optional(oneOf(PROFILES), 'generic')
const subjectTokenTypes = someOf(oneOf(['id_token', 'refresh_token', 'saml2']))
const dpopUse = oneOf(['off', 'try', 'require'])

const idpSchema = object({
  profile,
  issuer: address(issuerFault),
  token_endpoint: v.exactOptional(address(endpointFault)),
  jwks_uri: v.exactOptional(address(endpointFault)),
  jwks: v.exactOptional(keySetSchema),
  claims: v.optional(object({ groups: v.exactOptional(text), tenant: v.exactOptional(text) }), {}),
  tenants: v.exactOptional(someOf(text)),
  id_token: v.optional(
    object({
      max_age: v.optional(duration('1s', '7d'), '1h'),
      algorithms: v.optional(someOf(algorithm), ['RS256', 'ES256']),
    }),
    {},
  ),
  quirks: v.optional(
    object({
      target: v.exactOptional(oneOf(['audience', 'legacy_resource'])),
      send_resource: v.exactOptional(flag),
      subject_token_types: v.exactOptional(subjectTokenTypes),
      saml_two_step: v.exactOptional(flag),
      saml_encoding: v.exactOptional(oneOf(['base64url', 'base64'])),
      actor_token: v.exactOptional(oneOf(['none', 'client_assertion', 'caller'])),
      dpop: v.exactOptional(dpopUse),
    }),
    {},
  ),
  clients: someNamed(
    object({ id: clientId, auth: outboundAuthSchema, edge_client: v.exactOptional(name) }),
    'client of the IdP',
  ),
})

const demand = v.optional(oneOf(['optional', 'required']), 'optional')

const clientSchema = object({
  subject_tokens: someOf(text),
  /** The kinds it may present; those of their identity provider go without saying. */
  subject_token_types: v.optional(subjectTokenTypes, ['id_token']),
  auth: v.exactOptional(inboundAuthSchema),
  rate_limit: v.exactOptional(rateLimit),
  /** Whether it must show a DPoP proof, and whether that must have a nonce of ours in it. */
  dpop: demand,
  dpop_nonce: demand,
})

const rasClientSchema = object({ id: clientId, auth: outboundAuthSchema })

const idJagResourceSchema = object({
  kind: v.literal('id-jag'),
  authorization_server: object({
    issuer: address(issuerFault),
    token_endpoint: v.exactOptional(address(endpointFault)),
    profile,
    /** What the identity provider knows it by, where that is not its issuer. */
    audience: v.exactOptional(text),
    quirks: v.optional(
      object({
        send_scope: v.exactOptional(oneOf(['same', 'none'])),
        send_resource: v.exactOptional(flag),
        id_jag_reuse: v.exactOptional(flag),
        redeem_grant: v.exactOptional(oneOf(['jwt-bearer', 'jwt-dpop'])),
        extra_scopes: v.exactOptional(oneOf(['refuse', 'accept'])),
        default_ttl: v.exactOptional(duration('0s', '1d')),
      }),
      {},
    ),
  }),
  resource: v.exactOptional(address(resourceFault)),
  client: rasClientSchema,
  clients: v.optional(named(rasClientSchema), {}),
  scopes: list(scope),
  authorization_details_types: v.optional(list(text), []),
  dpop: v.optional(dpopUse, 'off'),
  proxy: v.exactOptional(
    object({
      path: v.exactOptional(text),
      host: v.exactOptional(text),
      upstream: address(upstreamFault),
      request_headers: v.optional(list(text), []),
      cookies: v.optional(list(text), []),
      /** Bodies up to this size are kept until the upstream has taken the token, so that the request can be sent again. */
      replay_max_bytes: v.optional(
        v.pipe(
          v.number(say('CFG104', 'a number of bytes is expected here')),
          v.integer(say('CFG104', 'a whole number is expected here')),
          v.minValue(0, say('CFG104', 'between 0 and 1048576')),
          v.maxValue(1_048_576, say('CFG104', 'between 0 and 1048576')),
        ),
        65_536,
      ),
      web_socket: v.optional(flag, false),
    }),
  ),
})

const resourceSchema = v.variant('kind', [idJagResourceSchema], badChoice('kind', ['id-jag']))

const ruleSchema = object({
  id: name,
  effect: oneOf(['allow', 'deny', 'shadow-deny']),
  who: v.optional(
    object({
      users: v.exactOptional(someOf(text)),
      groups: v.exactOptional(someOf(text)),
      clients: v.exactOptional(someOf(name)),
      tenants: v.exactOptional(someOf(text)),
      claims: v.exactOptional(byText(someOf(claimValue), 'claim')),
      acr: v.exactOptional(someOf(acr)),
      amr: v.exactOptional(someOf(text)),
      max_auth_age: v.exactOptional(duration('1s', '30d')),
    }),
    {},
  ),
  until: v.exactOptional(lastMoment),
  resources: v.exactOptional(someOf(name)),
  scopes: v.exactOptional(someOf(scope)),
  authorization_details_types: v.exactOptional(someOf(text)),
  methods: v.exactOptional(someOf(text)),
  paths: v.exactOptional(someOf(text)),
  /** How often each user may do through each client what it allows. */
  rate: v.exactOptional(rateLimit),
})

/** A question to policy and the answer that is expected; run by `jagway check`. */
const testSchema = object({
  name: text,
  as: object({
    user: text,
    idp: v.exactOptional(name),
    client: name,
    groups: v.optional(list(text), []),
    tenant: v.exactOptional(text),
    claims: v.optional(anyByText, {}),
    acr: v.exactOptional(acr),
    amr: v.exactOptional(someOf(text)),
    auth_age: v.exactOptional(duration('0s', '365d')),
  }),
  request: text,
  authorization_details_types: v.exactOptional(someOf(text)),
  at: v.exactOptional(moment),
  expect: oneOf(['allow', 'deny', 'step_up']),
  rule: v.exactOptional(name),
  code: v.exactOptional(text),
  scopes: v.exactOptional(list(scope)),
})

const adminsSchema = object({ users: v.exactOptional(someOf(text)), groups: v.exactOptional(someOf(text)) })

const cacheSchema = object({
  max_ttl: v.optional(duration('1s', '1d'), '1h'),
  refresh_before: v.optional(duration('0s', '15m'), '60s'),
  sealing_keys: v.optional(
    v.pipe(
      someOf(secret),
      v.maxLength(4, say('CFG104', 'four keys are enough: one that seals and three that still open')),
    ),
    [{ secret: 'JAGWAY_SEALING_KEY' }],
  ),
})

/** How old the knowledge of what is revoked may be; 0s: asked on every request. */
const revocationSchema = object({ max_staleness: v.optional(duration('0s', '5m'), '10s') })

const quotaSchema = object({
  id_jags_per_user_resource_month: v.pipe(
    v.number(say('CFG104', 'a number is expected here')),
    v.integer(say('CFG104', 'a whole number is expected here')),
    v.minValue(1, say('CFG104', 'at least 1')),
  ),
  warn_at: v.optional(
    v.pipe(
      v.number(say('CFG104', 'a number is expected here')),
      v.minValue(0, say('CFG104', 'a share between 0 and 1')),
      v.maxValue(1, say('CFG104', 'a share between 0 and 1')),
    ),
    0.8,
  ),
})

/** Who may do what in the administration; viewing is implied by revoking. */
const adminSchema = object({
  /** Cloudflare Access stands before it and says who it is, by e-mail; "*": whoever Access lets through. */
  access: v.exactOptional(
    object({
      team_domain: address(issuerFault),
      audience: text,
      view: v.optional(someOf(text), ['*']),
      revoke: v.optional(list(text), []),
    }),
  ),
  /** An ID token of a configured identity provider. */
  id_token: v.exactOptional(
    object({
      /** The calling clients that such an ID token may make of its bearer; left out: any. */
      clients: v.exactOptional(someOf(name)),
      /** Of which tenants they are; left out: of any. */
      tenants: v.exactOptional(someOf(text)),
      view: v.optional(adminsSchema, {}),
      revoke: v.optional(adminsSchema, {}),
    }),
  ),
  /** So many of the last decisions are kept by each of the objects that keep some; 0: they are counted alone. */
  decisions_kept: v.optional(
    v.pipe(
      v.number(say('CFG104', 'a number of decisions is expected here')),
      v.integer(say('CFG104', 'a whole number is expected here')),
      v.minValue(0, say('CFG104', 'between 0 and 1000')),
      v.maxValue(1_000, say('CFG104', 'between 0 and 1000')),
    ),
    200,
  ),
})

/** Pages of these origins may call us from a browser. */
const corsSchema = object({ origins: someOf(address(pageOriginFault)) })

const auditSchema = object({
  sinks: v.optional(someOf(oneOf(['console', 'http', 'queue', 'trace'])), ['console']),
  /** Whose words events are written in: ours, or those of the Open Cybersecurity Schema Framework. */
  format: v.optional(oneOf(['jagway', 'ocsf']), 'jagway'),
  /** Where the sink "http" sends its batches, and the key it signs them with. */
  http: v.exactOptional(object({ url: address(endpointFault), key: secret })),
  /** The queue of the sink "queue", and the bucket that this Worker writes to as its consumer. */
  queue: v.exactOptional(object({ binding: bindingName, bucket: v.exactOptional(bindingName) })),
  /** Whether no token leaves before its event is accepted. */
  required: v.optional(flag, false),
})

export const configSchema = object({
  $schema: v.exactOptional(v.string()),
  version: v.literal(1, say('CFG104', 'version 1 is the only one there is')),
  public_url: address(originFault),
  idps: someNamed(idpSchema, 'identity provider'),
  clients: someNamed(clientSchema, 'calling client'),
  resources: someNamed(resourceSchema, 'resource'),
  policy: object({
    rules: v.array(ruleSchema, say('CFG104', 'a list [ … ] is expected here')),
    tests: v.optional(v.array(testSchema, say('CFG104', 'a list [ … ] is expected here')), []),
  }),
  cache: v.optional(cacheSchema, {}),
  revocation: v.optional(revocationSchema, {}),
  quota: v.exactOptional(quotaSchema),
  admin: v.exactOptional(adminSchema),
  cors: v.exactOptional(corsSchema),
  errors: v.optional(object({ detail: v.optional(oneOf(['full', 'code']), 'full') }), {}),
  audit: v.optional(auditSchema, {}),
})

export type ConfigFile = v.InferOutput<typeof configSchema>
export type IdpEntry = v.InferOutput<typeof idpSchema>
export type ClientEntry = v.InferOutput<typeof clientSchema>
export type ResourceEntry = v.InferOutput<typeof resourceSchema>
export type RuleEntry = v.InferOutput<typeof ruleSchema>
export type TestEntry = v.InferOutput<typeof testSchema>
export type OutboundAuthEntry = v.InferOutput<typeof outboundAuthSchema>
export type InboundAuthEntry = v.InferOutput<typeof inboundAuthSchema>
export type KeySetEntry = v.InferOutput<typeof keySetSchema>
