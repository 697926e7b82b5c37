// The Durable Object that keeps one shard of the decision log. Isolates send what they have gathered to a shard of their own
// choice, so no shard has all of anything: whoever looks asks all of them. A batch is written in few rows, because rows are what
// is paid for: all its decisions are one.
import { DurableObject } from 'cloudflare:workers'
import type { Decision } from '../decision.ts'
import type { DecisionBatch, DecisionFilter } from '../ports.ts'
import { isMeant, newestFirst, oldestDay, oldestDecision, oldestHour } from './decision-rules.ts'
import type { DecisionBookMethods, Env } from './env.ts'
import { fromDecision, toDecision, type Row } from './rows.ts'

type Cells = (string | number | null)[]

const CLEANUP_INTERVAL_MS = 60 * 60 * 1000
/** Of an answer, but an hour is never divided. */
const PAGE_ROWS = 2_000
/** The oldest hours and days beyond are forgotten, whatever their age. */
const MAX_ROWS = 100_000

export class DecisionBook extends DurableObject implements DecisionBookMethods {
  readonly #sql: SqlStorage

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#sql = ctx.storage.sql
    // `rows`: a JSON list of decisions, the newest last; `newest`: the time of that one.
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS batches (
         id INTEGER PRIMARY KEY, newest TEXT NOT NULL, size INTEGER NOT NULL, rows TEXT NOT NULL
       ) STRICT`,
    )
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS counts (
         hour TEXT NOT NULL, outcome TEXT NOT NULL, code TEXT NOT NULL, client TEXT NOT NULL, resource TEXT NOT NULL,
         count INTEGER NOT NULL, PRIMARY KEY (hour, outcome, code, client, resource)
       ) WITHOUT ROWID, STRICT`,
    )
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS hits (
         day TEXT NOT NULL, rule TEXT NOT NULL, hits INTEGER NOT NULL, last_hit TEXT NOT NULL, PRIMARY KEY (day, rule)
       ) WITHOUT ROWID, STRICT`,
    )
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS losses (
         hour TEXT PRIMARY KEY, uncounted INTEGER NOT NULL, events INTEGER NOT NULL
       ) WITHOUT ROWID, STRICT`,
    )
    this.#sql.exec(
      'CREATE TABLE IF NOT EXISTS book (one INTEGER PRIMARY KEY CHECK (one = 1), since TEXT NOT NULL) STRICT',
    )
  }

  async add({ since, decisions, keep, hours }: DecisionBatch): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      this.#sql.exec('INSERT OR IGNORE INTO book (one, since) VALUES (1, ?)', since)
      for (const { hour, counts, hits, losses } of hours) {
        for (const { outcome, code, client, resource, count } of counts) {
          this.#sql.exec(
            `INSERT INTO counts (hour, outcome, code, client, resource, count) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET count = count + excluded.count`,
            hour,
            outcome,
            code,
            client,
            resource,
            count,
          )
        }
        for (const { rule, hits: times, lastHit } of hits) {
          this.#sql.exec(
            `INSERT INTO hits (day, rule, hits, last_hit) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET hits = hits + excluded.hits, last_hit = max(last_hit, excluded.last_hit)`,
            hour.slice(0, 10),
            rule,
            times,
            lastHit,
          )
        }
        if (losses.uncounted + losses.events > 0) {
          this.#sql.exec(
            `INSERT INTO losses (hour, uncounted, events) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET uncounted = uncounted + excluded.uncounted, events = events + excluded.events`,
            hour,
            losses.uncounted,
            losses.events,
          )
        }
      }
      this.#keepLast(decisions.slice(Math.max(0, decisions.length - keep)), keep)
    })
    await this.#cleanUpLater()
  }

  /** The newest of this shard, one more than `limit` where there are more. */
  async list(filter: DecisionFilter): Promise<Row[]> {
    const oldest = oldestDecision(Date.now())
    const found = this.#sql
      .exec<{ rows: string }>('SELECT rows FROM batches')
      .toArray()
      .flatMap(({ rows }) => readRows(rows))
      .filter((decision) => decision.time >= oldest && isMeant(decision, filter))
    return found
      .toSorted(newestFirst)
      .slice(0, filter.limit + 1)
      .map((decision) => fromDecision(decision))
  }

  async count(from: string, to: string): Promise<{ counts: Row[]; losses: Row[]; next: string | null }> {
    const [beyond] = this.#sql
      .exec<{ hour: string }>(
        'SELECT hour FROM counts WHERE hour BETWEEN ? AND ? ORDER BY hour LIMIT 1 OFFSET ?',
        from,
        to,
        PAGE_ROWS,
      )
      .toArray()
    const next = beyond === undefined ? null : this.#endOfPage(from, to, beyond.hour)
    const read = (columns: string): Row[] => [
      ...this.#sql
        .exec(`SELECT ${columns} WHERE hour BETWEEN ? AND ? AND hour < ? ORDER BY hour`, from, to, next ?? '~')
        .raw<Cells>(),
    ]
    return {
      counts: read('hour, outcome, code, client, resource, count FROM counts'),
      losses: read('hour, uncounted, events FROM losses'),
      next,
    }
  }

  async hits(from: string): Promise<{ rows: Row[]; since: string | null }> {
    const rows = this.#sql
      .exec('SELECT rule, sum(hits), max(last_hit) FROM hits WHERE day >= ? GROUP BY rule', from)
      .raw<Cells>()
    const [book] = this.#sql.exec<{ since: string }>('SELECT since FROM book').toArray()
    return { rows: [...rows], since: book?.since ?? null }
  }

  override async alarm(): Promise<void> {
    const now = Date.now()
    this.#sql.exec('DELETE FROM batches WHERE newest < ?', oldestDecision(now))
    this.#sql.exec('DELETE FROM losses WHERE hour < ?', oldestHour(now))
    this.#forget('counts', 'hour', oldestHour(now))
    this.#forget('hits', 'day', oldestDay(now))
    const left = this.#sql.exec(
      `SELECT 1 FROM batches UNION ALL SELECT 1 FROM counts UNION ALL SELECT 1 FROM hits UNION ALL SELECT 1 FROM losses LIMIT 1`,
    )
    if (left.toArray().length > 0) await this.#cleanUpLater()
  }

  #forget(table: 'counts' | 'hits', column: 'hour' | 'day', oldest: string): void {
    this.#sql.exec(`DELETE FROM ${table} WHERE ${column} < ?`, oldest)
    this.#sql.exec(
      `DELETE FROM ${table} WHERE ${column} <= (SELECT ${column} FROM ${table} ORDER BY ${column} DESC LIMIT 1 OFFSET ?)`,
      MAX_ROWS,
    )
  }

  /** Whole batches go, once what is newer is enough. */
  #keepLast(decisions: readonly Decision[], keep: number): void {
    const newest = decisions.at(-1)
    if (newest !== undefined) {
      const rows = JSON.stringify(decisions.map((decision) => fromDecision(decision)))
      this.#sql.exec('INSERT INTO batches (newest, size, rows) VALUES (?, ?, ?)', newest.time, decisions.length, rows)
    }
    this.#sql.exec(
      `DELETE FROM batches WHERE id IN
         (SELECT id FROM (SELECT id, sum(size) OVER (ORDER BY id DESC) - size AS newer FROM batches) WHERE newer >= ?)`,
      keep,
    )
  }

  /** The hour in which the page is full, or the one after it: whoever was given no hour would ask for it for ever. */
  #endOfPage(from: string, to: string, full: string): string | null {
    const hourAfter = (comparison: '>' | '>=', hour: string): string | null =>
      this.#sql
        .exec<{ hour: string | null }>(
          `SELECT min(hour) AS hour FROM counts WHERE hour ${comparison} ? AND hour <= ?`,
          hour,
          to,
        )
        .one().hour
    return hourAfter('>=', from) === full ? hourAfter('>', full) : full
  }

  async #cleanUpLater(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) !== null) return
    await this.ctx.storage.setAlarm(Date.now() + CLEANUP_INTERVAL_MS)
  }
}

function readRows(text: string): readonly Decision[] {
  const rows: unknown = JSON.parse(text)
  return Array.isArray(rows) ? rows.map((row: Row) => toDecision(row)) : []
}
