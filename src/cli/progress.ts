// A line that tells how far a command has come: on a terminal only, and only after a moment.

import process from 'node:process'

const MOMENT_MS = 400
const REFRESH_MS = 100
const SIGNS = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']

export interface Progress {
  /** Passes a piece of work on and counts it. */
  readonly watch: <T>(work: Promise<T>) => Promise<T>
  readonly stop: () => void
}

export interface Terminal {
  readonly isTTY?: boolean
  write(text: string): unknown
}

export function startProgress(what: string, out: Terminal = process.stderr): Progress {
  let begun = 0
  let ended = 0
  let turn = 0
  let shown = false
  const show = (): void => {
    out.write(`\r\u001B[K${SIGNS[turn++ % SIGNS.length]} ${what} ${ended}/${begun}`)
    shown = true
  }
  let timer: NodeJS.Timeout | undefined
  if (out.isTTY === true) {
    timer = setTimeout(() => {
      show()
      timer = setInterval(show, REFRESH_MS)
    }, MOMENT_MS)
  }
  return {
    watch: async (work) => {
      begun++
      try {
        return await work
      } finally {
        ended++
      }
    },
    stop: () => {
      clearTimeout(timer)
      if (shown) out.write('\r\u001B[K')
    },
  }
}
