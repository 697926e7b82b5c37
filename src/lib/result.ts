// A stage's answer: the value, or the reason there is none. Expected failures are values; exceptions are bugs.

export interface Ok<T> {
  readonly ok: true
  readonly value: T
}

export interface Err<E> {
  readonly ok: false
  readonly error: E
}

export type Result<T, E> = Ok<T> | Err<E>

/** An answer at once where nothing has to be waited for. */
export type Soon<T, E> = Result<T, E> | Promise<Result<T, E>>

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value }
}

export function err<E>(error: E): Err<E> {
  return { ok: false, error }
}
