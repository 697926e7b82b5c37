// The small parts the schema of the file is made of. Each says in our own words what is wrong; a message is up to three
// lines: code, message, help (`toFinding` in shape.ts takes them apart again).
import * as v from 'valibot'
import { parseDate, parseDateTime } from '../lib/date-time.ts'
import type { CertificateName, ClientId, ScopeToken, SecretName, SigningAlgorithm } from '../parties.ts'
import { didYouMean, quote, type ConfigCode } from './problem.ts'
import type { AddressFault } from './urls.ts'

export function say(code: ConfigCode, message: string, help?: string): string {
  return help === undefined ? `${code}\n${message}` : `${code}\n${message}\n${help}`
}

const OBJECT_EXPECTED = say('CFG104', 'an object { … } is expected here')
const STRING_EXPECTED = say('CFG104', 'a string is expected here')
const LIST_EXPECTED = say('CFG104', 'a list [ … ] is expected here')

/** An object with these keys and no others. */
export function object<const Entries extends v.ObjectEntries>(entries: Entries) {
  return refuseArrays(
    v.strictObject(entries, (issue) => {
      const key = issue.path?.at(-1)?.key
      if (typeof key !== 'string') return OBJECT_EXPECTED
      if (issue.expected !== 'never') return say('CFG103', `the key ${quote(key)} is missing here`)
      return say('CFG102', `the key ${quote(key)} is not known here`, didYouMean(key, Object.keys(entries)))
    }),
  )
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** A name given in this file to something of it. */
export const name = v.pipe(
  v.string(STRING_EXPECTED),
  v.regex(NAME, (issue) =>
    say(
      'CFG105',
      `${quote(issue.input)} cannot be used as a name`,
      'a name begins with a letter or digit and goes on with at most 63 of A-Z a-z 0-9 . _ -',
    ),
  ),
)

/** Things by their names. */
export function named<const Value extends v.GenericSchema>(value: Value) {
  return refuseArrays(v.record(name, value, OBJECT_EXPECTED))
}

/** At least one thing by its name. */
export function someNamed<const Value extends v.GenericSchema>(value: Value, what: string) {
  return v.pipe(named(value), v.minEntries(1, say('CFG103', `at least one ${what} is needed here`)))
}

// valibot takes an array for an object without keys.
function refuseArrays<Schema extends v.GenericSchema>(schema: Schema): Schema {
  const run = schema['~run']
  return {
    ...schema,
    '~run': (dataset: v.UnknownDataset, config: v.Config<v.BaseIssue<unknown>>) =>
      run.call(schema, Array.isArray(dataset.value) ? { ...dataset, value: null } : dataset, config),
  }
}

const NOT_TWICE = 'this stands in the list a second time'

/** A list in which nothing stands twice. */
export function list<const Item extends v.GenericSchema>(item: Item) {
  return v.pipe(
    v.array(item, LIST_EXPECTED),
    v.checkItems(
      (value, index, all) => all.findIndex((other) => JSON.stringify(other) === JSON.stringify(value)) === index,
      say('CFG109', NOT_TWICE),
    ),
  )
}

/** A list with something in it: an empty condition would read as "nobody" to one and as "everybody" to another. */
export function someOf<const Item extends v.GenericSchema>(item: Item) {
  return v.pipe(list(item), v.minLength(1, say('CFG103', 'at least one entry is needed here')))
}

/** One of a few words. */
export function oneOf<const Options extends readonly string[]>(options: Options) {
  return v.picklist(options, (issue) => {
    const known = options.map(quote).join(', ')
    const guess = typeof issue.input === 'string' ? didYouMean(issue.input, options) : undefined
    return say(
      'CFG104',
      options.length === 1 ? `only ${known} is possible here` : `one of ${known} is expected here`,
      guess,
    )
  })
}

/** Alternatives told apart by one key. */
export function badChoice(key: string, options: readonly string[]) {
  return (issue: v.VariantIssue): string => {
    const discriminator = issue.path?.at(-1)
    if (discriminator === undefined) return OBJECT_EXPECTED
    const known = options.map(quote).join(', ')
    if (discriminator.value === undefined)
      return say('CFG103', `the key ${quote(key)} is missing here`, `one of ${known}`)
    const guess = typeof discriminator.value === 'string' ? didYouMean(discriminator.value, options) : undefined
    return say('CFG104', `one of ${known} is expected here`, guess)
  }
}

export const flag = v.boolean(say('CFG104', 'true or false is expected here'))

const MAX_TEXT = 256
const TEXT_EXPECTED = say('CFG104', `1 to ${MAX_TEXT} characters without control characters are expected here`)

/** Text that goes into comparisons. */
export const text = v.pipe(
  v.string(STRING_EXPECTED),
  v.minLength(1, TEXT_EXPECTED),
  v.maxLength(MAX_TEXT, TEXT_EXPECTED),
  v.check((input) => !/\p{Cc}/u.test(input), TEXT_EXPECTED),
)

/** Things by a text that others have chosen, at least one. */
export function byText<const Value extends v.GenericSchema>(value: Value, what: string) {
  const entries = refuseArrays(v.record(text, value, OBJECT_EXPECTED))
  return v.pipe(entries, v.minEntries(1, say('CFG103', `at least one ${what} is needed here`)))
}

/** Whatever, by a text that others have chosen. */
export const anyByText = refuseArrays(v.record(text, v.unknown(), OBJECT_EXPECTED))

/** What a claim can be compared with; true is not "true". */
export const claimValue = v.union(
  [text, v.number(), v.boolean()],
  say('CFG104', 'a text, a number, true or false is expected here'),
)

/** One authentication context class. They are asked for in a list with spaces between them (RFC 9470 section 4). */
export const acr = v.pipe(
  v.string(STRING_EXPECTED),
  v.regex(
    /^[\x21\x23-\x5B\x5D-\x7E]{1,256}$/,
    say('CFG104', 'one class is expected here: printable ASCII without space, " and \\'),
  ),
)

const DAY_MS = 86_400_000
const MOMENT_EXPECTED = say(
  'CFG104',
  'a date or a time is expected here: "2026-12-31" or "2026-12-31T18:00:00Z"',
  'a day is one of UTC; a time has its offset (RFC 3339)',
)

/** In milliseconds since the epoch; of a day, its beginning. */
export const moment = v.pipe(
  v.string(MOMENT_EXPECTED),
  v.check((written) => momentOf(written) !== undefined, MOMENT_EXPECTED),
  v.transform((written) => momentOf(written) ?? 0),
)

/** When something ends, in milliseconds since the epoch. Whoever writes a date means that day as well. */
export const lastMoment = v.pipe(
  v.string(MOMENT_EXPECTED),
  v.check((written) => endOf(written) !== undefined, MOMENT_EXPECTED),
  v.transform((written) => endOf(written) ?? 0),
)

function momentOf(written: string): number | undefined {
  return parseDate(written) ?? parseDateTime(written)
}

function endOf(written: string): number | undefined {
  const day = parseDate(written)
  return day === undefined ? parseDateTime(written) : day + DAY_MS
}

export function address(fault: (text: string) => AddressFault) {
  return v.pipe(
    v.string(STRING_EXPECTED),
    v.check(
      (input) => fault(input) === undefined,
      (issue) => say('CFG107', fault(issue.input) ?? ''),
    ),
  )
}

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 }
const DURATION = /^(0|[1-9][0-9]{0,4})([smhd])$/

/** A duration as a person writes it. Bounds are given the same way, and are part of what is said. */
export function duration(least: string, most: string) {
  return v.pipe(
    v.string(say('CFG104', 'a duration is expected here: "30s", "10m", "1h" or "1d"')),
    v.regex(DURATION, say('CFG104', 'a duration is expected here: "30s", "10m", "1h" or "1d"')),
    v.check(
      (input) => !DURATION.test(input) || (toSeconds(input) >= toSeconds(least) && toSeconds(input) <= toSeconds(most)),
      say('CFG104', `a duration between ${least} and ${most} is expected here`),
    ),
    v.transform(toSeconds),
  )
}

function toSeconds(written: string): number {
  const [, count = '', unit = ''] = DURATION.exec(written) ?? []
  return Number(count) * (unit === 's' || unit === 'm' || unit === 'h' || unit === 'd' ? SECONDS[unit] : Number.NaN)
}

const SECRET_NAME = /^[A-Z][A-Z0-9_]{0,63}$/
const BY_NAME = 'put the value into a Worker secret (wrangler secret put NAME) and write { "secret": "NAME" } here'

/** Bindings of the Worker that are not secrets (wrangler.toml). */
const TAKEN: ReadonlySet<string> = new Set(['TOKENS', 'FLIGHTS', 'REPLAYS', 'REVOCATIONS', 'LEDGERS', 'DECISIONS'])

/** A secret is named, never written down; what stands in its place is not repeated in any message. */
export const secret = v.pipe(
  refuseArrays(
    v.strictObject(
      {
        secret: v.pipe(
          v.string(say('CFG106', 'the name of a secret is expected here', BY_NAME)),
          v.regex(
            SECRET_NAME,
            say('CFG106', 'this is not the name of a secret: A-Z, 0-9 and _ only, at most 64', BY_NAME),
          ),
          v.check((written) => !TAKEN.has(written), say('CFG105', 'this is the name of another binding of the Worker')),
        ),
      },
      say('CFG106', 'only { "secret": "NAME" } is possible here', BY_NAME),
    ),
  ),
  v.transform((reference) => reference.secret),
  v.guard(isSecretName),
)

/** One secret, or two while a new one takes the place of an old one: the first is the current one. */
export const secrets = oneOrTwo(secret)

function oneOrTwo<const Item extends v.GenericSchema>(item: Item) {
  const one = v.pipe(
    item,
    v.transform((only) => [only]),
  )
  const some = v.pipe(
    someOf(item),
    v.maxLength(2, say('CFG104', 'two are enough: the current one, and the one before')),
  )
  // A union would not say what is wrong with either.
  const either = v.union([one, some])
  const run: (typeof either)['~run'] = (dataset, config) =>
    Array.isArray(dataset.value) ? some['~run'](dataset, config) : one['~run'](dataset, config)
  return { ...either, '~run': run }
}

function isSecretName(written: string): written is SecretName {
  return SECRET_NAME.test(written)
}

const PERIODS = { '10s': 10, '60s': 60 } as const

/** A binding of the Worker that has no name of its own (wrangler.toml). */
export const bindingName = v.pipe(
  v.string(STRING_EXPECTED),
  v.regex(SECRET_NAME, say('CFG105', 'the name of a binding is expected here: A-Z, 0-9 and _ only, at most 64')),
  v.check((written) => !TAKEN.has(written), say('CFG105', 'this is the name of another binding of the Worker')),
)

/** A counter of the platform, by the name of its binding. It knows no other periods. */
export const rateLimit = v.pipe(
  object({
    binding: bindingName,
    limit: v.pipe(
      v.number(say('CFG104', 'a number is expected here')),
      v.integer(say('CFG104', 'a whole number is expected here')),
      v.minValue(1, say('CFG104', 'at least 1')),
    ),
    period: oneOf(['10s', '60s']),
  }),
  v.transform(({ binding, limit, period }) => ({ binding, limit, periodSeconds: PERIODS[period] })),
)

/** A binding of the Worker that holds a client certificate (`mtls_certificates` in wrangler.toml), by its name. */
export const certificate = v.pipe(
  object({ binding: v.pipe(bindingName, v.guard(isCertificateName)) }),
  v.transform((reference) => reference.binding),
)

function isCertificateName(written: string): written is CertificateName {
  return SECRET_NAME.test(written)
}

/** RFC 6749 section 2.2 and appendix A.1. */
const CLIENT_ID = /^[\x20-\x7E]{1,512}$/

export const clientId = v.pipe(
  v.string(STRING_EXPECTED),
  v.regex(CLIENT_ID, say('CFG104', 'a client identifier is 1 to 512 printable ASCII characters')),
  v.guard(isClientId),
)

function isClientId(written: string): written is ClientId {
  return CLIENT_ID.test(written)
}

/** RFC 6749 section 3.3. */
const SCOPE = /^[\x21\x23-\x5B\x5D-\x7E]{1,256}$/

export const scope = v.pipe(
  v.string(STRING_EXPECTED),
  v.regex(SCOPE, say('CFG104', 'one scope is expected here: printable ASCII without space, " and \\')),
  v.guard(isScope),
)

export function isScope(written: string): written is ScopeToken {
  return SCOPE.test(written)
}

const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'EdDSA',
] as const satisfies readonly SigningAlgorithm[]

export const algorithm = oneOf(ALGORITHMS)
