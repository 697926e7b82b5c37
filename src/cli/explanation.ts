// An explanation as a person reads it: the decision, a line for each rule with what keeps it from being about the question, and
// what would happen then.

import * as v from 'valibot'
import type { ExplainAnswer } from '../admin/admin.ts'
import type { Situation } from '../config/config.ts'
import { GRANT_TYPE } from '../oauth/vocabulary.ts'
import { isRefusalCode, titleOf } from '../refusal.ts'
import { plain } from './id-token.ts'

const scalar = v.union([v.string(), v.number(), v.boolean()])
const leg = {
  issuer: v.string(),
  token_endpoint: v.optional(v.string()),
  client_id: v.string(),
  parameters: v.record(v.string(), v.string()),
  proof: v.optional(v.string()),
}

/** As far as it is shown; a newer gateway may say more. */
export const answerSchema = v.object({
  decision: v.picklist(['allow', 'deny', 'step_up']),
  reason: v.string(),
  code: v.optional(v.string()),
  rule: v.optional(v.string()),
  rate: v.optional(v.object({ limit: v.number(), period_seconds: v.number() })),
  step_up: v.optional(v.object({ acr_values: v.optional(v.string()), max_age: v.optional(v.number()) })),
  scopes: v.array(v.string()),
  shadow: v.array(v.string()),
  rules: v.array(
    v.object({
      id: v.string(),
      effect: v.string(),
      holds: v.boolean(),
      conditions: v.array(
        v.object({
          criterion: v.string(),
          claim: v.optional(v.string()),
          holds: v.boolean(),
          unclear: v.optional(v.boolean()),
          wanted: v.array(scalar),
          got: v.optional(v.union([v.array(scalar), v.literal('unreadable')])),
        }),
      ),
    }),
  ),
  chain: v.optional(
    v.object({
      notes: v.array(v.string()),
      exchange: v.optional(v.object({ ...leg, idp: v.string(), client: v.string() })),
      redeem: v.object(leg),
      cache: v.object({
        key: v.record(v.string(), v.unknown()),
        max_ttl_seconds: v.number(),
        refresh_before_seconds: v.number(),
      }),
      forward: v.optional(v.object({ method: v.string(), url: v.string() })),
    }),
  ),
})

export type Answer = v.InferOutput<typeof answerSchema>
type Rule = Answer['rules'][number]
type Condition = Rule['conditions'][number]
type Chain = NonNullable<Answer['chain']>

/** What our own code has said. */
export function understood(answer: ExplainAnswer): Answer {
  return v.parse(answerSchema, answer)
}

const WORDS = { allow: 'ALLOW', deny: 'DENY', step_up: 'STEP UP' } as const

/** `as`: `bo [support, contractors] via support-bot`. */
export function toText(answer: Answer, as: string, request: string): string {
  const lines = [`${WORDS[answer.decision]}  ${plain(request)}  as ${plain(as)}      ${toReason(answer)}`]
  const width = Math.max(0, ...answer.rules.map(({ id }) => id.length))
  const effectWidth = Math.max(0, ...answer.rules.map(({ effect }) => effect.length))
  for (const rule of answer.rules) {
    const { id, effect, holds } = rule
    lines.push(
      `  ${holds ? '●' : '○'} ${plain(id).padEnd(width)}  ${plain(effect).padEnd(effectWidth)}  ${plain(judgementOf(rule))}`,
    )
  }
  if (answer.shadow.length > 0) lines.push(`  shadow rules would have denied it: ${plain(answer.shadow.join(', '))}`)
  if (answer.chain !== undefined) lines.push('', ...toChain(answer.chain).map(plain))
  return lines.join('\n')
}

export function toSituation({ user, groups, client }: Pick<Situation, 'user' | 'groups' | 'client'>): string {
  return `${user} [${groups.join(', ')}] via ${client}`
}

function toReason({ decision, reason, code, rule, rate, step_up: stepUp }: Answer): string {
  const often = rate === undefined ? '' : `, at most ${rate.limit} times in ${rate.period_seconds} s`
  if (decision === 'allow') return `allowed by ${plain(rule ?? '')}${often}`
  const wanted = [
    ...(stepUp?.acr_values === undefined ? [] : [`acr_values ${stepUp.acr_values}`]),
    ...(stepUp?.max_age === undefined ? [] : [`max_age ${stepUp.max_age}`]),
  ]
  if (decision === 'step_up') return plain(`${code}: ${rule} wants another login (${wanted.join(', ') || 'see amr'})`)
  if (reason === 'rule_denies') return plain(`decided by ${rule}`)
  const title = code !== undefined && isRefusalCode(code) ? titleOf({ code }) : reason
  return plain(code === undefined ? title : `${code}: ${title}`)
}

/** The condition that failed; or that none did, with those that could not be judged. */
function judgementOf({ conditions, holds }: Rule): string {
  const failed = conditions.find((each) => !each.holds)
  if (failed !== undefined) return toWords(failed)
  const unclear = conditions.filter((each) => each.unclear === true)
  const all = conditions.length === 0 ? 'it has no conditions' : 'every condition holds'
  return holds && unclear.length === 0 ? all : [all, ...unclear.map(toWords)].join('; ')
}

/** `resource is mailer, rule has tasks` */
function toWords(condition: Condition): string {
  const { criterion, claim, wanted, got, unclear } = condition
  const what = claim === undefined ? (NAMES[criterion] ?? criterion) : `claim ${claim}`
  const words = claim === undefined ? (values: typeof wanted) => values.join(', ') : quoted
  if (got === undefined) return `${what} is not there, rule has ${words(wanted)}`
  if (unclear === true) {
    const there = got === 'unreadable' ? 'neither text, number, true nor false' : quoted(got)
    return `${what} is ${there}: another type than ${quoted(wanted)}, so it cannot be judged`
  }
  if (got === 'unreadable') return `${what} cannot be read`
  if (criterion === 'until') return `rule was over at ${words(wanted)}`
  if (criterion === 'auth_age') return `login was ${words(got)} s ago, rule wants at most ${words(wanted)} s`
  const plural = criterion === 'group' && got.length > 1
  return `${plural ? 'groups are' : `${what} is`} ${words(got)}, rule has ${words(wanted)}`
}

const NAMES: Readonly<Record<string, string>> = { auth_age: 'time of the login (auth_time)' }

function quoted(values: readonly (string | number | boolean)[]): string {
  return values.map((value) => JSON.stringify(value)).join(', ')
}

const NOTES: Readonly<Record<string, string>> = {
  no_proxy: 'the resource has no "proxy": no proxied request reaches it',
  no_edge_client: 'nobody comes in this way: no client of the identity provider has this caller as its "edge_client"',
  no_authentication: 'this caller has no "auth" or no such ID tokens: it cannot use the token endpoint',
  actor_is_client: 'the assertion that authenticates our client is sent as actor_token, too',
  actor_of_caller: 'an actor_token of the caller is passed on with its type, where there is one',
  several_idp_clients: 'the audience of the ID token picks the client of the identity provider; here the first',
}

function toChain({ notes, exchange, redeem, cache, forward }: Chain): readonly string[] {
  const lines = notes.map((note) => `  note      ${NOTES[note] ?? note}`)
  if (exchange !== undefined) {
    lines.push(`  exchange  at ${exchange.idp} (${placeOf(exchange)}) as ${exchange.client} (${exchange.client_id})`)
    lines.push(...toParameters(exchange))
  }
  lines.push(`  redeem    at ${redeem.issuer} (${placeOf(redeem)}) as ${redeem.client_id}`)
  lines.push(...toParameters(redeem))
  lines.push(`  keep      until the token ends, at most ${cache.max_ttl_seconds} s, under`)
  for (const [part, value] of Object.entries(cache.key)) {
    if (value !== undefined && value !== null && value !== '') lines.push(`            ${part} ${text(value)}`)
  }
  if (forward !== undefined) lines.push(`  forward   ${forward.method} ${forward.url}`)
  return lines
}

function placeOf({ token_endpoint: endpoint }: { readonly token_endpoint?: string | undefined }): string {
  return endpoint ?? 'token endpoint by discovery'
}

const PROOFS: Readonly<Record<string, string>> = {
  sent: 'with a DPoP proof',
  if_taken: 'with a DPoP proof, unless the metadata of the server says that it takes none with ES256',
  if_bound: 'with a DPoP proof, if the ID-JAG is bound to our key',
}

function toParameters({ parameters, proof }: Chain['redeem']): readonly string[] {
  const lines = Object.entries(parameters).map(([name, value]) => `            ${name}=${value}`)
  if (proof === undefined) return lines
  const isOfGrant = parameters['grant_type'] === GRANT_TYPE.jwtDpop && proof !== 'sent'
  const otherwise = isOfGrant ? `; without one grant_type=${GRANT_TYPE.jwtBearer}` : ''
  return [...lines, `            ${PROOFS[proof] ?? proof}${otherwise}`]
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
