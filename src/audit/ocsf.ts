// An event in the words of the Open Cybersecurity Schema Framework 1.2.0 (schema.ocsf.io): API Activity (6003) with the profile
// security_control, for every event, so that one query finds all of them. Pure; what OCSF has no word for stands under `unmapped`, as it
// is called in our own schema.
import type { AuditEvent } from '../audit-event.ts'

const CATEGORY = 6
const CLASS = 6003
const ACTIVITY = { create: 1, read: 2, update: 3, delete: 4, other: 99 } as const
/** Informational: nothing to do. Low: somebody was refused. Medium: something is out of order. */
const SEVERITY = { allow: 1, deny: 2, error: 3 } as const
const STATUS = { allow: 1, deny: 2, error: 2 } as const
const ACTION = { allow: 1, deny: 2, error: 2 } as const
/** Allowed, Blocked, Error. */
const DISPOSITION = { allow: 1, deny: 2, error: 27 } as const
const USER = 1
/** Who has not proven who they are; OCSF wants a name all the same. */
const NOBODY = 'unauthenticated'

export function toOcsf(event: AuditEvent): object {
  const { id, time, event: name, outcome, code, detail, trace_id: traceId, http, resource, client, policy } = event
  const activity = activityOf(event)
  return {
    metadata: {
      version: '1.2.0',
      profiles: ['security_control'],
      product: { name: 'jagway', vendor_name: 'jagway' },
      log_version: String(event.v),
      event_code: name,
      uid: `${id}/${name}`,
      correlation_uid: traceId,
    },
    category_uid: CATEGORY,
    class_uid: CLASS,
    activity_id: activity,
    ...(activity === ACTIVITY.other ? { activity_name: name } : {}),
    type_uid: CLASS * 100 + activity,
    severity_id: SEVERITY[outcome],
    time: Date.parse(time),
    status_id: STATUS[outcome],
    status_code: code,
    status_detail: detail,
    action_id: ACTION[outcome],
    disposition_id: DISPOSITION[outcome],
    ...(policy?.rule === undefined
      ? {}
      : { authorizations: [{ decision: policy.effect, policy: { name: policy.rule, uid: policy.rule } }] }),
    actor: actorOf(event),
    // Where a request came from is not recorded.
    src_endpoint: { svc_name: client?.id ?? NOBODY },
    http_request: { http_method: http.method },
    api: {
      operation: name,
      service: { name: 'jagway' },
      request: { uid: id },
      ...(http.status === undefined ? {} : { response: { code: http.status, error: code, error_message: detail } }),
    },
    ...(resource === undefined ? {} : { resources: [{ name: resource.id, uid: resource.aud, type: resource.kind }] }),
    unmapped: unmappedOf(event),
  }
}

function activityOf({ event, http: { method } }: AuditEvent): number {
  switch (event) {
    case 'request.forward':
      return activityOfMethod(method)
    case 'id_jag.request':
    case 'token.redeem':
    case 'token.issue':
    case 'token.release':
    case 'connection.block':
      return ACTIVITY.create
    case 'token.introspect':
    case 'connection.list':
    case 'decision.list':
    case 'counter.read':
    case 'rule.list':
    case 'revocation.list':
    case 'quota.read':
    case 'policy.explain':
      return ACTIVITY.read
    case 'token.revoke':
    case 'connection.revoke':
    case 'connection.unblock':
      return ACTIVITY.delete
    case 'subject.verify':
    case 'policy.decide':
    case 'config.load':
    case 'request.fault':
    case 'admin.request':
      return ACTIVITY.other
  }
}

function activityOfMethod(method: string): number {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'OPTIONS':
      return ACTIVITY.read
    case 'POST':
      return ACTIVITY.create
    case 'PUT':
    case 'PATCH':
      return ACTIVITY.update
    case 'DELETE':
      return ACTIVITY.delete
    default:
      return ACTIVITY.other
  }
}

function actorOf({ user, client, admin }: AuditEvent): object {
  const app = { app_uid: client?.id ?? NOBODY }
  if (admin?.actor !== undefined) {
    const { issuer, sub, email } = admin.actor
    return { user: { uid: sub ?? email, email_addr: email, type_id: USER }, idp: { uid: issuer }, ...app }
  }
  if (user === undefined) return app
  const { issuer, sub, tenant, groups } = user
  return {
    user: {
      uid: sub,
      type_id: USER,
      ...(tenant === undefined ? {} : { org: { uid: tenant } }),
      ...(groups === undefined ? {} : { groups: groups.map((name) => ({ name })) }),
    },
    idp: { uid: issuer },
    ...app,
  }
}

/** What has no place of its own above; of `admin` everything but who asked. */
function unmappedOf(event: AuditEvent): object {
  const { v: _v, id: _id, time: _time, event: _event, trace_id: _trace, code: _code, detail: _detail, ...rest } = event
  const { user: _user, resource: _resource, policy, http, admin, ...others } = rest
  const { effect: _effect, rule: _rule, ...reasons } = policy ?? {}
  const { actor, ...about } = admin ?? {}
  return {
    ...others,
    http: { route: http.route },
    ...(Object.values(reasons).every((reason) => reason === undefined) ? {} : { policy: reasons }),
    ...(admin === undefined ? {} : { admin: actor === undefined ? about : { ...about, actor: { via: actor.via } } }),
  }
}
