// The clock of the machine. In Workers both readings stand still while code runs and move with I/O; that is enough here.
import { numericDate } from '../lib/numeric-date.ts'
import type { Clock } from '../ports.ts'

export const systemClock: Clock = {
  now: () => numericDate(Date.now() / 1000),
  epochMillis: () => Date.now(),
  millis: () => performance.now(),
}
