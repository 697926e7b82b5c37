// Waiting, but not for ever. The work itself goes on; whoever waits gives up.

/** What the work comes to, or undefined after `ms`. Rejects as the work does. */
export async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), ms)
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
