// A question to policy as it comes in: who asks, and one line of what for. Names must be configured.
import * as v from 'valibot'
import { parseAsked, type Config } from '../config/config.ts'
import { parseDateTime } from '../lib/date-time.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { JsonObject } from '../lib/strict-json.ts'
import type { Refusal } from '../refusal.ts'
import type { Question } from './explain.ts'
import { isUser, malformed, parse } from './input.ts'

const questionBody = v.strictObject({
  /** `GET tasks /v1/todos` or `TOKEN tasks todos.read`. */
  request: v.string(),
  authorization_details_types: v.exactOptional(v.array(v.string()), []),
  as: v.strictObject({
    user: v.string(),
    idp: v.exactOptional(v.string()),
    client: v.string(),
    /** Our client at the identity provider that the ID token is for. */
    idp_client: v.exactOptional(v.string()),
    tenant: v.exactOptional(v.string()),
    groups: v.exactOptional(v.array(v.string()), []),
    claims: v.exactOptional(v.record(v.string(), v.unknown()), {}),
    acr: v.exactOptional(v.string()),
    amr: v.exactOptional(v.array(v.string())),
    /** Seconds since the user signed in; absent: the token does not say. */
    auth_age: v.exactOptional(v.pipe(v.number(), v.finite())),
  }),
  /** RFC 3339; absent: now. */
  at: v.exactOptional(v.string()),
})

/** On the wire. */
export type QuestionBody = v.InferInput<typeof questionBody>

/** Refuses with ADM100, ADM105 or ADM106. */
export function parseQuestion(
  body: JsonObject,
  { idps, clients, resources }: Pick<Config, 'idps' | 'clients' | 'resources'>,
  nowMs: number,
): Result<Question, Refusal> {
  const parsed = parse(questionBody, body)
  if (!parsed.ok) return parsed
  const { request, as, at, authorization_details_types: detailTypes } = parsed.value
  const asked = parseAsked(request, detailTypes)
  if (!asked.ok) return malformed('request', asked.error)
  const [only, another] = idps.keys()
  const idp = as.idp ?? (another === undefined ? only : undefined)
  if (idp === undefined || !idps.has(idp)) return err({ code: 'ADM105', name: 'as.idp' })
  if (!clients.has(as.client)) return err({ code: 'ADM105', name: 'as.client' })
  if (as.idp_client !== undefined && idps.get(idp)?.clients.has(as.idp_client) !== true)
    return err({ code: 'ADM105', name: 'as.idp_client' })
  const resource = resources.get(asked.value.resource)
  if (resource === undefined) return err({ code: 'ADM105', name: 'request' })
  if (!isUser(as.user)) return malformed('as.user', 'not a subject')
  const time = at === undefined ? nowMs : parseDateTime(at)
  if (time === undefined) return err({ code: 'ADM106', name: 'at' })
  const { user, client, tenant, groups, claims, acr, amr, auth_age: authAgeSeconds } = as
  return ok({
    as: { idp, user, tenant, groups, client, claims, acr, amr, authAgeSeconds },
    asked: asked.value,
    resource,
    idpClient: as.idp_client,
    at: time,
  })
}
