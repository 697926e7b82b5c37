// Revoking: the cut-off is written first and is what holds; then everything that can be taken back is taken back, and the
// receipt says what became of each token and from when on nobody uses it.
import type { Config } from '../config/config.ts'
import type { Cut, Cutter } from '../credentials/credentials.ts'
import type { NumericDate } from '../lib/numeric-date.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { Connection, RevocationSelector } from '../connection.ts'
import type { Clock, Registry, RevocationLog } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { forgetAt, type RevocationSnapshot } from '../revocation/revocation.ts'
import { dateTime, isObtainedBy, isUnexpired, statusOf, toView, type ConnectionView } from './connections.ts'
import { toTime, type RevocationOrder } from './input.ts'

export interface RevocationTools {
  readonly config: Config
  readonly log: RevocationLog
  readonly registry: Registry
  readonly cutter: Cutter
  readonly clock: Clock
}

/** On the wire. */
export interface Receipt {
  /** Of the cut-off; absent: nothing was done. */
  readonly id?: string
  readonly dry_run: boolean
  readonly selector: RevocationSelector
  readonly before: string
  /** From then on no gateway anywhere uses what was cut, for any request that comes in. */
  readonly effective_by: string
  /** Whether ID tokens from before are worth nothing any more either. */
  readonly sign_ins_ended: boolean
  /** Whether it could be told which connections there are; the cut-off holds all the same. */
  readonly connections_known: boolean
  readonly connections: readonly CutView[]
  /** There are more of them than are listed here; they are cut off too, but their tokens were not taken back. */
  readonly more: boolean
  readonly counts: Readonly<Record<string, number>>
}

interface CutView extends ConnectionView {
  readonly token_expires_at: string
  /** Until when tokens may live that it had before this one. They are not held here any more, so nobody can revoke them. */
  readonly earlier_tokens_expire_at?: string
  readonly authorization_server?: Cut['outcome']
}

/** So many are listed in a receipt, and their tokens revoked where they were issued. */
const MAX_CUT = 100
/** So many are looked through for those that are still alive; the newest come first. */
const MAX_FOUND = 500

/** `revoked`: what was in force before. Refuses with INT102: then nothing is certain, and nothing else was done. */
export async function revoke(
  { selector, before, dryRun }: RevocationOrder,
  revoked: RevocationSnapshot,
  tools: RevocationTools,
): Promise<Result<Receipt, Refusal>> {
  const { clock, config, log, cutter } = tools
  const id = `cutoff_${crypto.randomUUID()}`
  if (!dryRun) {
    try {
      await log.add({ kind: 'cutoff', id, selector, before }, forgetAt(selector, before, config))
    } catch {
      return err({ code: 'INT102', detail: 'the cut-off could not be written', retryAfterSeconds: 1 })
    }
  }
  const at = clock.epochMillis()
  const found = await findAlive(selector, before, revoked, tools)
  const reached = [...found.live, ...found.dead].slice(0, MAX_CUT)
  const cuts = dryRun ? undefined : await cutter.cut(reached, before)
  const live = new Set(found.live)
  // What was dead already is worth a line only where something was still to be taken back.
  const taken = cuts?.filter(({ connection, outcome }) => live.has(connection) || outcome !== 'not_held')
  const shown = taken && [...taken, ...found.gone.map(toLostCut)].slice(0, MAX_CUT)
  const views =
    shown?.map((cut) => toCutView(cut, at)) ??
    [...found.live, ...found.gone]
      .slice(0, MAX_CUT)
      .map((connection) => toTokenView(connection, connection.tokenExpiresAt, at))
  const hit = new Set(cuts?.map(({ connection }) => connection) ?? reached)
  const spared = reached.filter((connection) => live.has(connection) && !hit.has(connection))
  return ok({
    ...(dryRun ? {} : { id }),
    dry_run: dryRun,
    selector,
    before: toTime(before),
    effective_by: toTime(at + config.revocation.maxStalenessSeconds * 1000),
    sign_ins_ended: selector.resource === undefined,
    connections_known: found.known,
    connections: views,
    more: found.more,
    counts: { connections: live.size - spared.length, ...tally(shown ?? []) },
  })
}

interface Found {
  readonly known: boolean
  /** Led somewhere until now. */
  readonly live: readonly Connection[]
  /** Cut off already, but what an earlier attempt could not take back may still be here. */
  readonly dead: readonly Connection[]
  /** Not used here any more, while its tokens may live on where they were issued. */
  readonly gone: readonly Connection[]
  readonly more: boolean
}

async function findAlive(
  selector: RevocationSelector,
  before: number,
  revoked: RevocationSnapshot,
  { registry, clock }: RevocationTools,
): Promise<Found> {
  const found = await registry.list({ selector, limit: MAX_FOUND }).catch(() => undefined)
  if (found === undefined) return { known: false, live: [], dead: [], gone: [], more: false }
  const now = clock.epochMillis()
  const obtained = found.connections.filter((connection) => isObtainedBy(connection, before))
  const reached = obtained.filter((connection) => isUnexpired(connection, now))
  const isDead = (connection: Connection): boolean => statusOf(connection, revoked, now) === 'revoked'
  const live = reached.filter((connection) => !isDead(connection))
  const gone = obtained.filter((connection) => isLost(connection, revoked, now))
  // The last of the list is the oldest: where it is expired, so is hardly anything that was left out.
  const last = found.connections.at(-1)
  const more = live.length > MAX_CUT || (found.more && last !== undefined && isUnexpired(last, now))
  return { known: true, live, dead: reached.filter(isDead), gone, more }
}

/** One that ended here before its token did, and was not cut off in its time. */
function isLost(connection: Connection, revoked: RevocationSnapshot, nowMs: number): boolean {
  if (isUnexpired(connection, nowMs) || connection.tokenExpiresAt * 1000 <= nowMs) return false
  return !isObtainedBy(connection, revoked.standingOf(connection, nowMs).tokensUntil)
}

function toLostCut(connection: Connection): Cut {
  return { connection, outcome: 'not_held', tokenExpiresAt: connection.tokenExpiresAt }
}

function toTokenView(connection: Connection, tokenExpiresAt: NumericDate, nowMs: number): CutView {
  const { earlierTokensUntil: earlier } = connection
  return {
    ...toView(connection),
    token_expires_at: dateTime(tokenExpiresAt),
    ...(earlier === undefined || earlier * 1000 <= nowMs ? {} : { earlier_tokens_expire_at: dateTime(earlier) }),
  }
}

function toCutView({ connection, outcome, tokenExpiresAt }: Cut, nowMs: number): CutView {
  return { ...toTokenView(connection, tokenExpiresAt, nowMs), authorization_server: outcome }
}

function tally(cuts: readonly Cut[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { outcome } of cuts) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}
