// What a gateway's refusal means, with the page of its code and, where the audit event is at hand, the detail that callers
// are not told.

import type { JsonObject } from '../../lib/strict-json.ts'
import { isRefusalCode, pageOf } from '../../refusal.ts'
import type { Outcome } from './request.ts'

export interface Explanation {
  readonly code: string | undefined
  readonly error: string | undefined
  readonly says: string
  readonly fix: string | undefined
  readonly page: string | undefined
  readonly requestId: string | undefined
  /** For administrators: from the audit event. */
  readonly detail: string | undefined
  readonly rule: string | undefined
}

export function explain(
  { status, body }: Extract<Outcome, { kind: 'refusal' }>,
  event: Readonly<Record<string, unknown>> | undefined,
): Explanation {
  const word = (name: string): string | undefined => textOf(body, name)
  const description = word('error_description') ?? word('detail')
  const code = word('code') ?? /^([A-Z]{3}\d{3})\b/.exec(description ?? '')?.[1]
  const known = code !== undefined && isRefusalCode(code) ? pageOf(code) : undefined
  const policy = event?.['policy']
  return {
    code,
    error: word('error'),
    says: description ?? known?.says ?? `status ${status}, without a word`,
    // The description ends with it where it is ours.
    fix: known !== undefined && description?.includes(known.fix) !== true ? known.fix : undefined,
    page: word('error_uri'),
    requestId: word('request_id'),
    detail: event === undefined ? undefined : textOf(event, 'detail'),
    rule: typeof policy === 'object' && policy !== null ? textOf({ ...policy }, 'rule') : undefined,
  }
}

function textOf(object: JsonObject, name: string): string | undefined {
  const value = object[name]
  return typeof value === 'string' ? value : undefined
}
