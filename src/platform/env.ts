// What the platform hands the Worker at start: the bindings of wrangler.toml, and the secrets the configuration names.
import type { Landing, TokenJob } from '../ports.ts'

/** The object that flies for one key, as it is called from elsewhere. */
export interface FlightRpc extends Rpc.DurableObjectBranded {
  join(job: TokenJob): Promise<Landing>
}

/** The object that remembers one shard of the one-time values, as it is called from elsewhere. */
export interface ReplayRpc extends Rpc.DurableObjectBranded {
  claim(digest: string, until: number): Promise<boolean>
}

declare global {
  namespace Cloudflare {
    /** The bindings, and what `import { env } from 'cloudflare:workers'` is. */
    interface Env {
      readonly TOKENS: KVNamespace
      readonly FLIGHTS: DurableObjectNamespace<FlightRpc>
      readonly REPLAYS: DurableObjectNamespace<ReplayRpc>
      /** Secrets: a string, or a Secrets Store binding. */
      readonly [secret: string]: unknown
    }
  }
}

export type Env = Cloudflare.Env
