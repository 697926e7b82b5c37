// How the program ends: its exit codes, and an error that carries one.

export const EXIT = { ok: 0, problems: 1, usage: 2, unreachable: 3 } as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Ends the program with a message for the person at the terminal, and no stack. */
export class ExitError extends Error {
  readonly code: ExitCode
  constructor(code: ExitCode, message: string) {
    super(message)
    this.name = 'ExitError'
    this.code = code
  }
}
