// What the platform hands the Worker at start: the bindings of wrangler.toml, and the secrets the configuration names.
import type { Connection, Revocation, TokenRecord } from '../connection.ts'
import type {
  ConnectionFilter,
  DecisionBatch,
  DecisionFilter,
  Landing,
  QuotaKey,
  SubjectJob,
  TokenJob,
} from '../ports.ts'
import type { Row } from './rows.ts'

/** The object that flies for one key, as it is called from elsewhere. */
export interface FlightMethods {
  join(job: TokenJob): Promise<Landing>
  peek(): Promise<Uint8Array<ArrayBuffer> | undefined>
  forget(): Promise<Uint8Array<ArrayBuffer> | undefined>
}

/** The object of the same class that looks after one subject token. */
export interface SubjectMethods {
  introduce(job: SubjectJob): Promise<Landing>
  recall(): Promise<Uint8Array<ArrayBuffer> | undefined>
}

/** The object that remembers one shard of the one-time values. */
export interface ReplayMethods {
  claim(digest: string, until: number): Promise<boolean>
}

/** The object that knows everything revoked. */
export interface RevocationBookMethods {
  read(version?: number): Promise<{ version: number; rows: Row[] } | undefined>
  add(revocation: Revocation, forgetAt?: number, room?: number): Promise<boolean>
  lift(id: string): Promise<boolean>
}

/** The object that keeps one shard of the registry. */
export interface LedgerMethods {
  reserve(use: QuotaKey, limit?: number): Promise<{ allowed: boolean; used: number }>
  release(use: QuotaKey): Promise<void>
  record(connection: Connection): Promise<void>
  list(filter: ConnectionFilter): Promise<Row[]>
  quota(user: string, month: string): Promise<Row[]>
  noteToken(record: TokenRecord): Promise<void>
  findToken(digest: string): Promise<Row[]>
  forgetToken(digest: string, client: string): Promise<void>
}

/** The object that keeps one shard of the decision log. */
export interface DecisionBookMethods {
  add(batch: DecisionBatch): Promise<void>
  list(filter: DecisionFilter): Promise<Row[]>
  count(from: string, to: string): Promise<{ counts: Row[]; losses: Row[]; next: string | null }>
  hits(from: string): Promise<{ rows: Row[]; since: string | null }>
}

type ObjectsWith<Methods> = DurableObjectNamespace<Rpc.DurableObjectBranded & Methods>

declare global {
  namespace Cloudflare {
    /** The bindings, and what `import { env } from 'cloudflare:workers'` is. */
    interface Env {
      readonly TOKENS: KVNamespace
      readonly FLIGHTS: ObjectsWith<FlightMethods & SubjectMethods>
      readonly REPLAYS: ObjectsWith<ReplayMethods>
      readonly REVOCATIONS: ObjectsWith<RevocationBookMethods>
      readonly LEDGERS: ObjectsWith<LedgerMethods>
      readonly DECISIONS: ObjectsWith<DecisionBookMethods>
      /** Secrets: a string, or a Secrets Store binding. */
      readonly [secret: string]: unknown
    }
  }
}

export type Env = Cloudflare.Env
