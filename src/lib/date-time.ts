// Dates and times as people write them (RFC 3339 section 5.6), in milliseconds since the epoch. Stricter than Date.parse,
// which takes many other forms and makes the 30th of February another day.

const DATE = /^\d{4}-\d{2}-\d{2}$/
const DATE_TIME = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/

/** The beginning of a day (`full-date`), in UTC; undefined: not a date. */
export function parseDate(text: string): number | undefined {
  return DATE.test(text) ? readUtc(`${text}T00:00:00`) : undefined
}

/** A `date-time`, without leap seconds; undefined: not a time. */
export function parseDateTime(text: string): number | undefined {
  const [, local, fraction = '', zone = ''] = DATE_TIME.exec(text.toUpperCase()) ?? []
  if (local === undefined || readUtc(local) === undefined) return undefined
  const time = Date.parse(`${local}${fraction.slice(0, 4)}${zone}`)
  return Number.isNaN(time) ? undefined : time
}

/** Read and written again, what is no day of the calendar comes out as another. */
function readUtc(local: string): number | undefined {
  const time = Date.parse(`${local}Z`)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(local) ? time : undefined
}
