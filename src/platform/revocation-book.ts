// The Durable Object that knows everything revoked. There is one for the deployment: isolates ask it every few seconds
// whether anything has changed, and one place is what makes the answer true everywhere at once. KV could say "nothing" for
// a minute after a revocation.
import { DurableObject } from 'cloudflare:workers'
import type { Revocation } from '../connection.ts'
import type { Env, RevocationBookMethods } from './env.ts'
import { REVOCATION_COLUMNS, type Row } from './rows.ts'

type CutOff = Extract<Revocation, { readonly kind: 'cutoff' }>

/** The first version is the time: a book that lost everything begins past all numbers it can have counted through before. */
const VERSIONS_PER_MS = 1000

export class RevocationBook extends DurableObject implements RevocationBookMethods {
  readonly #sql: SqlStorage

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#sql = ctx.storage.sql
    // `forget_at_ms`: when the row has no more effect, be it a cut-off nothing older survives or a block that is over.
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS revocations (
         id TEXT PRIMARY KEY, kind TEXT NOT NULL, idp TEXT, user TEXT, client TEXT, resource TEXT,
         before_ms INTEGER, until_ms INTEGER, forget_at_ms INTEGER
       ) WITHOUT ROWID, STRICT`,
    )
    this.#sql.exec('CREATE INDEX IF NOT EXISTS revocations_by_end ON revocations (forget_at_ms)')
    this.#sql.exec(
      'CREATE INDEX IF NOT EXISTS revocations_by_selector ON revocations (client, user, resource, idp, kind)',
    )
    this.#sql.exec(
      'CREATE TABLE IF NOT EXISTS book (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT',
    )
    this.#sql.exec('INSERT OR IGNORE INTO book (one, version) VALUES (1, ?)', Date.now() * VERSIONS_PER_MS)
  }

  /** What is in force; undefined: the same as at `version`. */
  async read(version?: number): Promise<{ version: number; rows: Row[] } | undefined> {
    this.#forget()
    const current = this.#version()
    if (version === current) return undefined
    const rows = this.#sql.exec(`SELECT ${REVOCATION_COLUMNS} FROM revocations`).raw<(string | number | null)[]>()
    return { version: current, rows: [...rows] }
  }

  /** Idempotent by id: the first of two with the same id holds. False: there is no room for one more of this client. */
  async add(revocation: Revocation, forgetAt?: number, room?: number): Promise<boolean> {
    const until = revocation.kind === 'block' ? revocation.until : undefined
    const ends = [until, forgetAt].filter((end) => end !== undefined)
    const end = ends.length === 0 ? null : Math.min(...ends)
    this.#forget()
    const taken = this.ctx.storage.transactionSync(() =>
      revocation.kind === 'block' ? this.#insert(revocation, end) : this.#merge(revocation, end, room),
    )
    await this.#wakeAtNextEnd()
    return taken
  }

  /** Of one selector only the cut-off that reaches furthest is kept: the others say nothing that it does not. */
  #merge(cutoff: CutOff, end: number | null, room: number | undefined): boolean {
    const { id, selector, before } = cutoff
    const { client = null, user = null, resource = null, idp = null } = selector
    const same = this.#sql
      .exec<{ id: string; before_ms: number; forget_at_ms: number | null }>(
        `SELECT id, before_ms, forget_at_ms FROM revocations
         WHERE kind = 'cutoff' AND client IS ? AND user IS ? AND resource IS ? AND idp IS ?`,
        client,
        user,
        resource,
        idp,
      )
      .toArray()
    const lasting = same.reduce((latest, row) => laterEnd(latest, row.forget_at_ms), end)
    const reaching = same.find((row) => row.before_ms >= before)
    if (reaching !== undefined) {
      // Nobody has to hear of it: what is in force stays the same.
      this.#sql.exec('UPDATE revocations SET forget_at_ms = ? WHERE id = ?', lasting, reaching.id)
      return true
    }
    if (same.length === 0 && room !== undefined && this.#count(client) >= room) return false
    if (this.#sql.exec('SELECT 1 FROM revocations WHERE id = ?', id).toArray().length > 0) return true
    for (const row of same) this.#sql.exec('DELETE FROM revocations WHERE id = ?', row.id)
    return this.#insert(cutoff, lasting)
  }

  #count(client: string | null): number {
    return Number(this.#sql.exec('SELECT count(*) AS found FROM revocations WHERE client IS ?', client).one()['found'])
  }

  #insert(revocation: Revocation, end: number | null): true {
    const { id, kind, selector } = revocation
    this.#change(
      `INSERT INTO revocations (${REVOCATION_COLUMNS}, forget_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO NOTHING RETURNING 1`,
      id,
      kind,
      selector.idp ?? null,
      selector.user ?? null,
      selector.client ?? null,
      selector.resource ?? null,
      revocation.kind === 'cutoff' ? revocation.before : null,
      revocation.kind === 'block' ? (revocation.until ?? null) : null,
      end,
    )
    return true
  }

  /** False: there is no block of that id in force. A cut-off is not lifted: what it ended has to be obtained anew. */
  async lift(id: string): Promise<boolean> {
    this.#forget()
    return this.#change("DELETE FROM revocations WHERE id = ? AND kind = 'block' RETURNING 1", id)
  }

  override async alarm(): Promise<void> {
    this.#forget()
    await this.#wakeAtNextEnd()
  }

  /** Looks before it writes: nearly every call finds nothing to forget. */
  #forget(): void {
    const now = Date.now()
    const due = this.#sql.exec('SELECT 1 FROM revocations WHERE forget_at_ms <= ? LIMIT 1', now).toArray()
    if (due.length > 0) this.#change('DELETE FROM revocations WHERE forget_at_ms <= ? RETURNING 1', now)
  }

  /** Runs a statement that answers a row for each row it changed; a change and its version are stored together. */
  #change(statement: string, ...values: readonly SqlStorageValue[]): boolean {
    return this.ctx.storage.transactionSync(() => {
      if (this.#sql.exec(statement, ...values).toArray().length === 0) return false
      this.#sql.exec('UPDATE book SET version = version + 1')
      return true
    })
  }

  #version(): number {
    return Number(this.#sql.exec('SELECT version FROM book').one()['version'])
  }

  async #wakeAtNextEnd(): Promise<void> {
    const next = this.#sql.exec('SELECT min(forget_at_ms) AS next FROM revocations').one()['next']
    if (typeof next === 'number') await this.ctx.storage.setAlarm(Math.max(next, Date.now()))
  }
}

/** `null`: it does not end. */
function laterEnd(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : Math.max(one, other)
}
