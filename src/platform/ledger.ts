// The Durable Object that keeps one shard of the registry: who has obtained tokens, and how many ID-JAGs that cost in a
// month. All that is about one user stands in one shard, so that a limit is counted in one place and nothing slips past it.
// Tokens that clients hold are looked up without knowing whose they are, so they have shards of their own, by their digests.
import { DurableObject } from 'cloudflare:workers'
import { numericDate } from '../lib/numeric-date.ts'
import type { Connection, RevocationSelector, TokenRecord } from '../connection.ts'
import type { ConnectionFilter, QuotaKey } from '../ports.ts'
import type { Env, LedgerMethods } from './env.ts'
import { oldestExpiry, oldestMonth, toRealm } from './registry-rules.ts'
import { CONNECTION_COLUMNS, TOKEN_COLUMNS, type Row } from './rows.ts'

/** What is too old is of no use and no harm; this is how long it may lie about. */
const CLEANUP_INTERVAL_MS = 24 * 60 * 60 * 1000
/** The same for tokens, of which there are many and which are short-lived. */
const TOKEN_CLEANUP_INTERVAL_MS = 60 * 60 * 1000

/** The columns that a selector may name. */
const SELECTABLE = ['idp', 'user', 'client', 'resource'] as const satisfies readonly (keyof RevocationSelector)[]

export class Ledger extends DurableObject implements LedgerMethods {
  readonly #sql: SqlStorage

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#sql = ctx.storage.sql
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS connections (
         name TEXT PRIMARY KEY, idp TEXT NOT NULL, issuer TEXT NOT NULL, user TEXT NOT NULL, tenant TEXT,
         client TEXT NOT NULL, resource TEXT NOT NULL, scopes TEXT NOT NULL, first_issued_at INTEGER NOT NULL,
         last_issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, count INTEGER NOT NULL, id_jag_jti TEXT
       ) WITHOUT ROWID, STRICT`,
    )
    // Columns that the first version did not have.
    const known = this.#sql.exec("SELECT name FROM pragma_table_info('connections')").toArray()
    for (const column of ['token_expires_at', 'earlier_until']) {
      if (known.some(({ name }) => name === column)) continue
      this.#sql.exec(`ALTER TABLE connections ADD COLUMN ${column} INTEGER`)
    }
    this.#sql.exec('CREATE INDEX IF NOT EXISTS connections_by_user ON connections (user, last_issued_at)')
    this.#sql.exec('CREATE INDEX IF NOT EXISTS connections_by_last_issue ON connections (last_issued_at)')
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS quota (
         month TEXT NOT NULL, idp TEXT NOT NULL, user TEXT NOT NULL, resource TEXT NOT NULL, used INTEGER NOT NULL,
         PRIMARY KEY (user, month, idp, resource)
       ) WITHOUT ROWID, STRICT`,
    )
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS tokens (
         digest TEXT NOT NULL, name TEXT NOT NULL, idp TEXT NOT NULL, user TEXT NOT NULL, client TEXT NOT NULL,
         resource TEXT NOT NULL, server TEXT NOT NULL, scopes TEXT NOT NULL, obtained_at_ms INTEGER NOT NULL,
         expires_at INTEGER NOT NULL, kept_until INTEGER NOT NULL, PRIMARY KEY (digest, name)
       ) WITHOUT ROWID, STRICT`,
    )
    this.#sql.exec('CREATE INDEX IF NOT EXISTS tokens_by_end ON tokens (kept_until)')
  }

  /** Looks and counts without an await in between: of two that arrive together, one is first. */
  async reserve(use: QuotaKey, limit?: number): Promise<{ allowed: boolean; used: number }> {
    const { user, month, resource } = use
    const key = [user, month, toRealm(use), resource]
    const [row] = this.#sql
      .exec('SELECT used FROM quota WHERE user = ? AND month = ? AND idp = ? AND resource = ?', ...key)
      .toArray()
    const used = Number(row?.['used'] ?? 0)
    if (limit !== undefined && used >= limit) return { allowed: false, used }
    this.#sql.exec(
      `INSERT INTO quota (user, month, idp, resource, used) VALUES (?, ?, ?, ?, 1)
       ON CONFLICT (user, month, idp, resource) DO UPDATE SET used = used + 1`,
      ...key,
    )
    await this.#cleanUpLater()
    return { allowed: true, used: used + 1 }
  }

  async release(use: QuotaKey): Promise<void> {
    this.#sql.exec(
      'UPDATE quota SET used = used - 1 WHERE user = ? AND month = ? AND idp = ? AND resource = ? AND used > 0',
      use.user,
      use.month,
      toRealm(use),
      use.resource,
    )
  }

  async record(connection: Connection): Promise<void> {
    this.#sql.exec(
      `INSERT INTO connections (${CONNECTION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, NULL)
       ON CONFLICT (name) DO UPDATE SET
         idp = excluded.idp, issuer = excluded.issuer, user = excluded.user, tenant = excluded.tenant,
         client = excluded.client, resource = excluded.resource, scopes = excluded.scopes,
         last_issued_at = excluded.last_issued_at, expires_at = excluded.expires_at,
         count = count + 1, id_jag_jti = excluded.id_jag_jti,
         earlier_until = max(coalesce(earlier_until, 0), coalesce(token_expires_at, expires_at)),
         token_expires_at = excluded.token_expires_at`,
      connection.name,
      connection.idp,
      connection.issuer,
      connection.user,
      connection.tenant ?? null,
      connection.client,
      connection.resource,
      JSON.stringify(connection.scopes),
      connection.firstIssuedAt,
      connection.lastIssuedAt,
      connection.expiresAt,
      connection.idJagJti ?? null,
      connection.tokenExpiresAt,
    )
    await this.#cleanUpLater()
  }

  /** The newest of this shard, at most `limit`. */
  async list({ selector, limit }: ConnectionFilter): Promise<Row[]> {
    const named = SELECTABLE.filter((column) => selector[column] !== undefined)
    const where = named.length === 0 ? '' : `WHERE ${named.map((column) => `${column} = ?`).join(' AND ')}`
    const rows = this.#sql
      .exec(
        `SELECT ${CONNECTION_COLUMNS} FROM connections ${where} ORDER BY last_issued_at DESC, name LIMIT ?`,
        ...named.map((column) => selector[column]),
        limit,
      )
      .raw<(string | number | null)[]>()
    return [...rows]
  }

  async quota(user: string, month: string): Promise<Row[]> {
    const rows = this.#sql
      .exec(
        'SELECT idp, resource, used FROM quota WHERE user = ? AND month = ? AND used > 0 ORDER BY idp, resource',
        user,
        month,
      )
      .raw<(string | number | null)[]>()
    return [...rows]
  }

  async noteToken(record: TokenRecord): Promise<void> {
    this.#sql.exec(
      `INSERT OR REPLACE INTO tokens (${TOKEN_COLUMNS}) SELECT ?1, ?2, ?, ?, ?, ?, ?, ?, ?9, ?, ?
       WHERE NOT EXISTS (SELECT 1 FROM tokens WHERE digest = ?1 AND name = ?2 AND obtained_at_ms >= ?9)`,
      record.digest,
      record.name,
      record.idp,
      record.user,
      record.client,
      record.resource,
      record.server,
      JSON.stringify(record.scopes),
      record.obtainedAt,
      record.expiresAt,
      record.keptUntil,
    )
    await this.#cleanUpLater(TOKEN_CLEANUP_INTERVAL_MS)
  }

  async findToken(digest: string): Promise<Row[]> {
    const rows = this.#sql
      .exec(
        `SELECT ${TOKEN_COLUMNS} FROM tokens WHERE digest = ? AND kept_until > ? ORDER BY name`,
        digest,
        Date.now() / 1000,
      )
      .raw<(string | number | null)[]>()
    return [...rows]
  }

  async forgetToken(digest: string, client: string): Promise<void> {
    this.#sql.exec('DELETE FROM tokens WHERE digest = ? AND client = ?', digest, client)
  }

  override async alarm(): Promise<void> {
    const now = numericDate(Date.now() / 1000)
    this.#sql.exec('DELETE FROM tokens WHERE kept_until <= ?', now)
    if (this.#sql.exec('SELECT 1 FROM tokens LIMIT 1').toArray().length > 0) {
      await this.#cleanUpLater(TOKEN_CLEANUP_INTERVAL_MS)
    }
    this.#sql.exec('DELETE FROM connections WHERE expires_at < ?', oldestExpiry(now))
    this.#sql.exec('DELETE FROM quota WHERE month < ?', oldestMonth(now))
    const left = this.#sql.exec('SELECT 1 FROM connections UNION ALL SELECT 1 FROM quota LIMIT 1').toArray()
    if (left.length > 0) await this.#cleanUpLater()
  }

  async #cleanUpLater(interval = CLEANUP_INTERVAL_MS): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now() + interval)
  }
}
