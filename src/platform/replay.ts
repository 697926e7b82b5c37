// The Durable Object that remembers one-time values (RFC 7523 section 3 item 7: the `jti` of an assertion). KV has no
// compare-and-set; one SQL statement in a single-threaded object is one. It sees digests only, a shard of them.
import { DurableObject } from 'cloudflare:workers'
import type { Env } from './env.ts'

/** Expired rows are of no use and no harm; this is how long they may lie about. */
const CLEANUP_INTERVAL_MS = 5 * 60 * 1000

export class Replay extends DurableObject {
  readonly #sql: SqlStorage

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#sql = ctx.storage.sql
    this.#sql.exec(
      'CREATE TABLE IF NOT EXISTS claims (digest TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID, STRICT',
    )
    this.#sql.exec('CREATE INDEX IF NOT EXISTS claims_by_until ON claims (until)')
  }

  /** True exactly once per digest until `until` (seconds since the epoch). What has ended already is claimed by nobody. */
  async claim(digest: string, until: number): Promise<boolean> {
    const now = Date.now() / 1000
    if (until <= now) return false
    // Insert, or take over an expired row; a row that is still valid gives no result.
    const taken = this.#sql.exec(
      `INSERT INTO claims (digest, until) VALUES (?1, ?2)
       ON CONFLICT (digest) DO UPDATE SET until = excluded.until WHERE claims.until <= ?3
       RETURNING digest`,
      digest,
      until,
      now,
    )
    if (taken.toArray().length === 0) return false
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now() + CLEANUP_INTERVAL_MS)
    return true
  }

  override async alarm(): Promise<void> {
    this.#sql.exec('DELETE FROM claims WHERE until <= ?', Date.now() / 1000)
    const left = this.#sql.exec('SELECT 1 FROM claims LIMIT 1').toArray().length > 0
    if (left) await this.ctx.storage.setAlarm(Date.now() + CLEANUP_INTERVAL_MS)
  }
}
