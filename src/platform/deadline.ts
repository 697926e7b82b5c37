// The upper bound of waiting. The platform gives most of its calls none: a store that hangs would hang the request with it.
import type { Forward } from '../ports.ts'

/** The work's answer, or an error after `ms`. The work itself goes on; what becomes of it then is nobody's business. */
export function within<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** Answers 524 in the place of an upstream whose headers do not come within `ms`. */
export function forwardWithin(forward: Forward, ms: number): Forward {
  return async (url, init) => {
    const answer = forward(url, init)
    // A long upload takes its time, and the headers come after it.
    if (init.body instanceof ReadableStream) return answer
    const { promise: late, resolve } = Promise.withResolvers<Response>()
    const timer = setTimeout(() => resolve(new Response(null, { status: 524 })), ms)
    try {
      return await Promise.race([answer, late])
    } finally {
      clearTimeout(timer)
    }
  }
}
