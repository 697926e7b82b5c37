// Ends a long-running command at SIGINT or SIGTERM, within a second whatever hangs.

const PATIENCE_MS = 800
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const ORPHAN_CHECK_MS = 300

function whenOrphaned(done: () => void): void {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    done()
  }, ORPHAN_CHECK_MS)
  timer.unref()
}

/** Resolves when a signal has come and `stop` has finished. */
export async function untilStopped(stop: () => Promise<void>): Promise<void> {
  await new Promise<void>((done) => {
    for (const signal of SIGNALS) {
      // Miniflare's own handlers would end the process at once, with the code of a failure.
      process.removeAllListeners(signal)
      process.once(signal, () => {
        done()
      })
    }
    // npm passes a signal to its shell only, and the shell ends without a word to us.
    if (process.env['npm_lifecycle_event'] !== undefined) whenOrphaned(done)
  })
  // Miniflare kills its workerd when the process exits, so leaving early leaves nothing behind.
  const timer = setTimeout(() => process.exit(0), PATIENCE_MS)
  await stop()
  clearTimeout(timer)
}
