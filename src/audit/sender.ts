// One piece of work in the background at a time, for an isolate: begun by whoever has something to send, done for all.
import type { Background, Clock } from '../ports.ts'

/** Work in the background may be ended by the platform without a word; whoever began to send is then no longer waited for. */
const DEADLINE_MS = 30_000

/** Begins `work`, unless it is under way already. */
export function createSender(
  { background, clock }: { readonly background: Background; readonly clock: Clock },
  work: () => Promise<void>,
): () => void {
  let since: number | undefined
  const send = async (begun: number): Promise<void> => {
    await work()
    if (since === begun) since = undefined
  }
  return () => {
    const now = clock.millis()
    if (since !== undefined && now - since < DEADLINE_MS) return
    since = now
    background(send(now))
  }
}
