// One piece of work in the background at a time, for an isolate: begun by whoever has something to send, done for all.
import type { Background, Clock } from '../ports.ts'

/** Work in the background may be ended by the platform without a word; whoever began to send is then no longer waited for. */
const DEADLINE_MS = 30_000

/**
 * Begins `work`, unless it is under way already. It calls `over` as its last act, in the very step in which it has found that nothing
 * waits: whoever writes after that finds nobody sending.
 */
export function createSender(
  { background, clock }: { readonly background: Background; readonly clock: Clock },
  work: (over: () => void) => Promise<void>,
): () => void {
  let since: number | undefined
  return () => {
    const now = clock.millis()
    if (since !== undefined && now - since < DEADLINE_MS) return
    since = now
    const over = (): void => {
      if (since === now) since = undefined
    }
    background(work(over))
  }
}
