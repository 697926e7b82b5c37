// `jagway token`: the whole chain as an agent goes it, by the token endpoint of a running gateway: sign-in, request, and what
// the gateway did for it. The access token itself is shown only with --raw, and then alone on standard output.

import { randomBytes } from 'node:crypto'
import process from 'node:process'
import { styleText } from 'node:util'
import { defineCommand } from 'citty'
import type { WorldState } from '../../dev/state.ts'
import { systemClock } from '../platform/memory.ts'
import { toDuration } from './doctor/words.ts'
import { EXIT, ExitError, type ExitCode } from './exit.ts'
import { gatewayUrl, isLoopback, URL_ARG } from './gateway-url.ts'
import { idTokenOf, plain, runningWorld, signInLocally } from './id-token.ts'
import { readToken } from './jwt/read.ts'
import { startProgress } from './progress.ts'
import { callerOf, type Caller } from './token/caller.ts'
import { explain, type Explanation } from './token/refusal.ts'
import { request, type Outcome } from './token/request.ts'

export default defineCommand({
  meta: { name: 'token', description: 'Get an access token through a gateway, and show each step on the way.' },
  args: {
    resource: {
      type: 'positional',
      required: true,
      description: 'The resource, by its name or its resource indicator',
    },
    as: { type: 'string', valueHint: 'USER', description: 'Sign in as this user of the local world of jagway dev' },
    token: {
      type: 'string',
      valueHint: '-',
      description: 'With - read the user’s ID token from standard input (default: JAGWAY_ID_TOKEN)',
    },
    client: {
      type: 'string',
      valueHint: 'NAME',
      description: 'The calling client (default: JAGWAY_CLIENT_ID; in the local world support-bot)',
    },
    scope: {
      type: 'string',
      valueHint: 'SCOPES',
      description: 'Ask for these scopes (default: all that policy gives)',
    },
    url: URL_ARG,
    config: {
      type: 'string',
      valueHint: 'FILE',
      description: 'Says how the client authenticates (default: by a secret, as Basic)',
    },
    secrets: {
      type: 'string',
      valueHint: 'FILE',
      description: 'Its secret, by the name in the configuration (default: JAGWAY_CLIENT_SECRET, or JAGWAY_CLIENT_KEY)',
    },
    raw: { type: 'boolean', description: 'Print the access token, and nothing else, on standard output' },
    json: { type: 'boolean', description: 'Print JSON' },
  },
  async run({ args }) {
    if (args._.length > 1) throw new ExitError(EXIT.usage, 'token takes one resource')
    const base = gatewayUrl(args.url)
    const world = isLoopback(base) ? await runningWorld() : undefined
    const caller = await callerOf(args, world)
    const progress = startProgress('on the way')
    const steps = await go(args, base, world, caller, progress.watch).finally(progress.stop)
    const raw = args.raw === true
    const text = args.json === true ? toJson(steps, raw) : toText(steps)
    if (raw && args.json !== true) {
      console.error(text)
      if (steps.outcome.kind === 'token') console.log(steps.outcome.token.reveal())
    } else console.log(text)
    return exitOf(steps.outcome)
  },
})

interface Wishes {
  readonly resource: string
  readonly as?: string | undefined
  readonly token?: string | undefined
  readonly scope?: string | undefined
}

interface Steps {
  readonly resource: string
  readonly caller: string
  readonly gateway: string
  /** Undefined: the ID token was brought along. */
  readonly signIn: { readonly user: string; readonly ms: number } | undefined
  /** What the ID token says of itself. */
  readonly idToken: Readonly<Record<string, unknown>>
  readonly requestMs: number
  readonly outcome: Outcome
  readonly explanation: Explanation | undefined
  /** What the gateway recorded; undefined: it is not known here. */
  readonly event: Readonly<Record<string, unknown>> | undefined
}

async function go(
  wishes: Wishes,
  base: URL,
  world: WorldState | undefined,
  caller: Caller,
  watch: <T>(work: Promise<T>) => Promise<T>,
): Promise<Steps> {
  const signInAs = (user: string): Promise<string> => {
    if (!isLoopback(base)) throw new ExitError(EXIT.usage, '--as works with the local world only, on this machine')
    return signInLocally(user, caller.loginClient)
  }
  const start = performance.now()
  const idToken = await watch(idTokenOf(wishes, signInAs, 'JAGWAY_ID_TOKEN'))
  if (idToken === undefined) {
    const hint = isLoopback(base) ? '; with jagway dev running, --as ann will do' : ''
    throw new ExitError(EXIT.usage, `nothing says whose token this is for: pipe an ID token in with --token -${hint}`)
  }
  const signedInAt = performance.now()
  const traceId = randomBytes(16).toString('hex')
  const outcome = await watch(
    request({ base, caller, resource: wishes.resource, scope: wishes.scope, idToken, traceId }),
  )
  const requestMs = Math.round(performance.now() - signedInAt)
  const event = world === undefined ? undefined : await watch(eventOf(traceId))
  const reading = readToken(idToken)
  return {
    resource: wishes.resource,
    caller: caller.name,
    gateway: base.origin,
    signIn: wishes.as === undefined ? undefined : { user: wishes.as, ms: Math.round(signedInAt - start) },
    idToken: reading.form === 'jws' ? reading.claims : {},
    requestMs,
    outcome,
    explanation: outcome.kind === 'refusal' ? explain(outcome, event) : undefined,
    event,
  }
}

const EVENT_DEADLINE_MS = 1_500
const EVENT_POLL_MS = 50

/** The gateway of `jagway dev` leaves its events where they can be found; the one of this request bears its trace. */
async function eventOf(traceId: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  const { readEvents } = await import('../../dev/state.ts')
  for (const start = performance.now(); performance.now() - start < EVENT_DEADLINE_MS;) {
    const event = readEvents().find((one) => one['trace_id'] === traceId && one['event'] !== 'config.load')
    if (event !== undefined) return event
    await new Promise((done) => setTimeout(done, EVENT_POLL_MS))
  }
  return undefined
}

function exitOf(outcome: Outcome): ExitCode {
  if (outcome.kind === 'token') return EXIT.ok
  return outcome.status === 503 || outcome.status === 504 ? EXIT.unreachable : EXIT.problems
}

function toJson(
  { resource, caller, gateway, signIn, idToken, requestMs, outcome, explanation, event }: Steps,
  raw: boolean,
): string {
  const { iss, sub, aud, exp } = idToken
  const document = {
    ok: outcome.kind === 'token',
    resource,
    client: caller,
    gateway,
    sign_in: signIn && { user: signIn.user, ms: signIn.ms },
    id_token: { iss, sub, aud, exp },
    request: { status: outcome.status, ms: requestMs },
    legs: legsOf(event),
    cache: event?.['cache'],
    token:
      outcome.kind === 'token'
        ? {
            token_type: outcome.tokenType,
            scope: outcome.scope,
            expires_in: outcome.expiresIn,
            ...(raw ? { access_token: outcome.token.reveal() } : {}),
          }
        : undefined,
    refusal: explanation && {
      code: explanation.code,
      error: explanation.error,
      says: explanation.says,
      fix: explanation.fix,
      page: explanation.page,
      request_id: explanation.requestId,
      detail: explanation.detail,
      rule: explanation.rule,
    },
  }
  return JSON.stringify(document, undefined, 2)
}

function legsOf(event: Steps['event']): Record<string, number> {
  const ms = event?.['ms']
  const entries: [string, unknown][] = typeof ms === 'object' && ms !== null ? Object.entries(ms) : []
  return Object.fromEntries(entries.flatMap(([leg, value]) => (typeof value === 'number' ? [[leg, value]] : [])))
}

function toText(steps: Steps): string {
  const { outcome, signIn, idToken, explanation, event } = steps
  const row = (name: string, ...parts: readonly (string | undefined)[]): string =>
    `${name.padEnd(10)} ${parts
      .filter((part) => part !== undefined && part !== '')
      .map((part) => plain(part ?? ''))
      .join('  ')}`
  const left = typeof idToken['exp'] === 'number' ? idToken['exp'] - systemClock.now() : undefined
  const life =
    left === undefined ? undefined : left > 0 ? `for another ${toDuration(left)}` : `expired ${toDuration(left)} ago`
  const audience = idToken['aud'] === undefined ? undefined : `for ${JSON.stringify(idToken['aud'])}`
  const { exchange, redeem } = legsOf(event)
  const token = event?.['token']
  const jti =
    typeof token === 'object' && token !== null && 'id_jag_jti' in token ? String(token.id_jag_jti) : undefined
  return [
    row('sign-in', signIn?.user ?? 'was done before', signIn && `${signIn.ms} ms`),
    row('ID token', typeof idToken['sub'] === 'string' ? idToken['sub'] : undefined, audience, life),
    row(
      'request',
      `POST ${steps.gateway}/token`,
      `${steps.resource} as ${steps.caller}`,
      `${outcome.status}`,
      `${steps.requestMs} ms`,
    ),
    ...(exchange === undefined
      ? []
      : [row('  exchange', `${exchange} ms`, jti === undefined ? undefined : `ID-JAG ${jti}`)]),
    ...(redeem === undefined ? [] : [row('  redeem', `${redeem} ms`)]),
    ...(typeof event?.['cache'] === 'string' ? [row('  from', event['cache'])] : []),
    ...(outcome.kind === 'token'
      ? [
          row(
            'token',
            outcome.tokenType,
            outcome.scope,
            outcome.expiresIn === undefined ? undefined : `for ${toDuration(outcome.expiresIn)}`,
          ),
        ]
      : refusalRows(explanation, row)),
  ].join('\n')
}

function refusalRows(
  explanation: Explanation | undefined,
  row: (name: string, ...parts: (string | undefined)[]) => string,
): string[] {
  if (explanation === undefined) return []
  const { code, error, says, fix, requestId, page, detail, rule } = explanation
  const head = styleText('red', 'refused'.padEnd(10), { stream: process.stdout })
  return [
    `${head} ${plain([code, error].filter(Boolean).join('  '))}`,
    row('  says', says),
    ...(detail === undefined ? [] : [row('  detail', detail)]),
    ...(rule === undefined ? [] : [row('  rule', rule)]),
    ...(fix === undefined ? [] : [row('  fix', fix)]),
    ...(page === undefined ? [] : [row('  page', page)]),
    ...(requestId === undefined ? [] : [row('  request', requestId)]),
  ]
}
