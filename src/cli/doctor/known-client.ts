// Whether a server knows a client id, where it says the same of an unknown id and a wrong secret, as it should: what the
// authorization endpoint shows to a browser differs for clients that exist (RFC 6749 section 4.1.2.1). Nobody is signed in,
// nothing is authenticated, and no secret is sent.

import { randomUUID } from 'node:crypto'
import { reachFault } from '../../lib/reach.ts'
import { fromUtf8 } from '../../lib/bytes.ts'
import { readLimited } from '../../lib/limited-body.ts'
import { DOCUMENT_LIMITS } from '../../oauth/counterparty.ts'
import { attemptAsNobody, toPrint, type Attempt, type Desk } from './attempt.ts'
import type { OutboundAuth } from '../../parties.ts'
import type { JsonObject } from '../../lib/strict-json.ts'
import type { Tools } from './tools.ts'

/** Where nobody answers (RFC 2606): a server that sent a code there would send it to no one. */
const REDIRECT_URI = 'https://jagway-doctor.invalid/callback'
const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403])
/** RFC 7636 appendix B. */
const CODE_CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'

export interface Refused {
  readonly desk: Desk
  readonly id: string
  readonly auth: OutboundAuth
  readonly answer: Extract<Attempt, { kind: 'answer' }>
}

/** `known`: something else is wrong. `stranger`: it shows what it shows to ids that do not exist. `untold`: it tells nobody. */
export type Acquaintance = 'known' | 'stranger' | 'untold'

export async function acquaintanceOf(
  { desk, id, auth, answer }: Refused,
  metadata: JsonObject | undefined,
  tools: Tools,
): Promise<Acquaintance> {
  const strangers = await Promise.all([1, 2].map(() => attemptAsNobody(tools.witness.fetch, desk, auth)))
  const [one, other] = strangers.map((stranger) => (stranger.kind === 'answer' ? stranger.print : undefined))
  if (differs(answer.print, one, other)) return 'known'
  const endpoint = metadata?.['authorization_endpoint']
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint) || reachFault(endpoint, tools.local) !== undefined)
    return 'untold'
  const [own, ...others] = await Promise.all(
    [id, randomUUID(), randomUUID()].map((each) => visit(endpoint, each, tools)),
  )
  if (own === undefined) return 'untold'
  if (differs(own.print, others[0]?.print, others[1]?.print)) return 'known'
  // A page that asks everybody to log in first says nothing, nor does one that is not there; a refusal was about the client.
  return own.print === others[0]?.print && REFUSALS.has(own.status) ? 'stranger' : 'untold'
}

/** Two strangers who are told the same show that an answer to somebody else means something. */
function differs(own: string, one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && one === other && one !== own
}

/** What is shown there, in a form in which equal pages are equal; undefined: nothing, or too much. */
async function visit(
  endpoint: string,
  id: string,
  { witness }: Tools,
): Promise<{ readonly status: number; readonly print: string } | undefined> {
  const url = new URL(endpoint)
  const parameters = {
    response_type: 'code',
    client_id: id,
    redirect_uri: REDIRECT_URI,
    scope: 'openid',
    state: 'jagway-doctor',
    code_challenge: CODE_CHALLENGE,
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  try {
    const signal = AbortSignal.timeout(DOCUMENT_LIMITS.timeoutMs)
    const response = await witness.glance(
      new Request(url, { redirect: 'manual', signal, headers: { accept: 'application/json, text/html' } }),
    )
    const read = await readLimited(response.body, DOCUMENT_LIMITS.maxBytes)
    const text = read.ok ? fromUtf8(read.value) : undefined
    if (text?.ok !== true) return undefined
    const { status, headers } = response
    return { status, print: toPrint([status, headers.get('location') ?? '', text.value].join(' '), id) }
  } catch {
    return undefined
  }
}
