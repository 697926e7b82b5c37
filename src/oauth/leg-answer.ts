// What the answer of a token endpoint says no to: a refusal of ours, by the registered error words of RFC 6749 section 5.2,
// RFC 8693, RFC 9396, RFC 9449 and RFC 9470, and by the status where there is none.
import { err, type Result } from '../lib/result.ts'
import type { Secret } from '../lib/secret.ts'
import type { JsonObject } from '../lib/strict-json.ts'
import type { AuthorizationDetails } from '../model.ts'
import type { Refusal, RefusalCode } from '../refusal.ts'
import { decodeCompactJwt } from './compact-jwt.ts'
import type { Answer, CallProblem } from './counterparty.ts'
import type { Misfit } from './id-jag.ts'

/** Times that may explain a refusal, in seconds since the epoch: of the answer by the server's own clock, and of the token. */
export interface Witness {
  /** RFC 9110 section 6.6.1. */
  readonly answeredAt: number | undefined
  readonly issuedAt: number | undefined
  readonly expiresAt: number | undefined
}

/** `claim`: of an ID-JAG that was not passed on. */
export type LegRefusal = Refusal & { readonly witness?: Witness; readonly claim?: Misfit['claim'] }

/** Nothing that a server says lives longer, or was longer ago. */
export const MAX_LIFETIME_SECONDS = 366 * 24 * 3600
// What a caller is told, and how long we hold back ourselves: a server that is back should not wait for us.
const RETRY_AFTER = { defaultSeconds: 5, minSeconds: 1, maxSeconds: 120, maxHoldSeconds: 10 } as const

/** The answer, unless there is none to judge, or it refuses. `presented`: the token of the leg. `asked`: its details. */
export function judgeAnswer(
  answer: Result<Answer, CallProblem>,
  leg: 'IDP' | 'RAS',
  presented: Secret,
  asked: AuthorizationDetails | undefined,
): Result<Answer, LegRefusal> {
  const codes = leg === 'IDP' ? IDP_CODES : RAS_CODES
  if (!answer.ok) return err(toRefusal(answer.error, codes))
  const refused = refusalOf(answer.value, codes)
  if (refused === undefined) return answer
  return err({ ...aboutDetails(refused, asked), witness: witnessOf(answer.value, presented) })
}

function toRefusal(problem: CallProblem, codes: LegCodes): Refusal {
  const refusal: Refusal = { code: codes.problems[problem.kind], detail: problem.detail }
  return problem.kind === 'unreachable' ? { ...refusal, retryAfterSeconds: RETRY_AFTER.defaultSeconds } : refusal
}

interface LegCodes {
  readonly problems: Readonly<Record<CallProblem['kind'], RefusalCode>>
  readonly byError: ReadonlyMap<string, RefusalCode>
  readonly unauthorized: RefusalCode
  readonly forbidden: RefusalCode
  readonly other: RefusalCode
  readonly down: RefusalCode
}

// RFC 8693 makes a bad subject token an `invalid_request`, the ID-JAG drafts show `invalid_grant`.
const IDP_CODES: LegCodes = {
  problems: { unreachable: 'IDP110', timeout: 'IDP111', unusable: 'IDP109' },
  byError: new Map<string, RefusalCode>([
    ['invalid_grant', 'IDP101'],
    ['invalid_request', 'IDP101'],
    ['access_denied', 'IDP102'],
    ['unauthorized_client', 'IDP102'],
    ['invalid_target', 'IDP103'],
    ['invalid_scope', 'IDP104'],
    ['insufficient_user_authentication', 'IDP105'],
    ['login_required', 'IDP105'],
    ['interaction_required', 'IDP105'],
    ['invalid_client', 'IDP106'],
    ['unsupported_grant_type', 'IDP106'],
    ['invalid_authorization_details', 'IDP107'],
    ['invalid_dpop_proof', 'IDP113'],
    ['use_dpop_nonce', 'IDP113'],
    ['temporarily_unavailable', 'IDP112'],
    ['server_error', 'IDP112'],
    ['slow_down', 'IDP112'],
  ]),
  unauthorized: 'IDP106',
  forbidden: 'IDP102',
  other: 'IDP109',
  down: 'IDP112',
}

const RAS_CODES: LegCodes = {
  problems: { unreachable: 'RAS110', timeout: 'RAS111', unusable: 'RAS109' },
  byError: new Map<string, RefusalCode>([
    ['invalid_grant', 'RAS101'],
    ['access_denied', 'RAS102'],
    ['invalid_target', 'RAS103'],
    ['invalid_scope', 'RAS104'],
    ['invalid_authorization_details', 'RAS107'],
    ['insufficient_user_authentication', 'RAS105'],
    ['interaction_required', 'RAS105'],
    ['invalid_client', 'RAS106'],
    ['unauthorized_client', 'RAS106'],
    ['unsupported_grant_type', 'RAS106'],
    ['invalid_request', 'RAS106'],
    ['invalid_dpop_proof', 'RAS113'],
    ['use_dpop_nonce', 'RAS113'],
    ['temporarily_unavailable', 'RAS112'],
    ['server_error', 'RAS112'],
    ['slow_down', 'RAS112'],
  ]),
  unauthorized: 'RAS106',
  forbidden: 'RAS102',
  other: 'RAS109',
  down: 'RAS112',
}

function witnessOf({ headers }: Answer, presented: Secret): Witness {
  const jwt = decodeCompactJwt(presented.reveal())
  const { iat, exp } = jwt.ok ? jwt.value.payload : {}
  const date = Date.parse(headers.get('date') ?? '')
  return {
    answeredAt: Number.isNaN(date) ? undefined : date / 1000,
    issuedAt: typeof iat === 'number' ? iat : undefined,
    expiresAt: typeof exp === 'number' ? exp : undefined,
  }
}

/** The refusal in an answer, if it is one. The body's error word speaks first, the status second (requirements 7.2). */
function refusalOf(answer: Answer, codes: LegCodes): Refusal | undefined {
  const { status, headers, body } = answer
  if (status === 429) return throttled(codes.down, `status ${status}`, headers)
  if (status >= 500) return unavailable(codes.down, `status ${status}`, headers)
  const word = body?.['error']
  if (word === undefined && status < 300) return undefined
  if (status < 300) return { code: codes.other, detail: `status ${status} with an error member` }
  const known = typeof word === 'string' ? codes.byError.get(word) : undefined
  // Keycloak's word for a wrong secret of ours; by RFC 6749 section 5.2 it is a 400, and about what a client may do.
  if (status === 401 && word === 'unauthorized_client')
    return { code: codes.unauthorized, detail: `status 401, error ${word}` }
  // Only words from our own table may be repeated, even to the auditor.
  const detail = known === undefined ? `status ${status}` : `status ${status}, error ${String(word)}`
  const code = known ?? (status === 401 ? codes.unauthorized : status === 403 ? codes.forbidden : codes.other)
  if (word === 'slow_down') return throttled(code, detail, headers)
  if (code === codes.down) return unavailable(code, detail, headers)
  return code === 'IDP105' || code === 'RAS105' ? { code, detail, stepUp: stepUpOf(body ?? {}) } : { code, detail }
}

/** Where nobody asked for details it is not the caller who can mend that. */
function aboutDetails(refusal: Refusal, asked: AuthorizationDetails | undefined): Refusal {
  if (asked !== undefined) return refusal
  const { code } = refusal
  return { ...refusal, code: code === 'IDP107' ? 'IDP106' : code === 'RAS107' ? 'RAS106' : code }
}

/** One user's limit must not stop all the others: held back for whoever asked, and no outage. */
function throttled(code: RefusalCode, detail: string, headers: Headers): Refusal {
  return { holdSeconds: RETRY_AFTER.defaultSeconds, ...unavailable(code, detail, headers), throttled: true }
}

function unavailable(code: RefusalCode, detail: string, headers: Headers): Refusal {
  const asked = retryAfter(headers.get('retry-after'))
  if (asked === undefined) return { code, detail, retryAfterSeconds: RETRY_AFTER.defaultSeconds }
  return { code, detail, retryAfterSeconds: asked, holdSeconds: Math.min(asked, RETRY_AFTER.maxHoldSeconds) }
}

/** RFC 9470 section 3 members as token errors, with their values checked: they go into a header of ours. */
function stepUpOf(body: JsonObject): NonNullable<Refusal['stepUp']> {
  const acrValues = body['acr_values']
  const maxAge = body['max_age']
  return {
    ...(typeof acrValues === 'string' && /^[\x21\x23-\x5B\x5D-\x7E ]{1,512}$/.test(acrValues) ? { acrValues } : {}),
    ...(typeof maxAge === 'number' && Number.isInteger(maxAge) && maxAge >= 0 && maxAge <= MAX_LIFETIME_SECONDS
      ? { maxAgeSeconds: maxAge }
      : {}),
  }
}

/** RFC 9110 section 10.2.3, both forms, within bounds; undefined: nothing that can be read. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined
  const seconds = /^\d{1,10}$/.test(header.trim()) ? Number(header) : (Date.parse(header) - Date.now()) / 1000
  if (Number.isNaN(seconds)) return undefined
  return Math.min(RETRY_AFTER.maxSeconds, Math.max(RETRY_AFTER.minSeconds, Math.ceil(seconds)))
}
