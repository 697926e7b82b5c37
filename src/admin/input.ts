// What administrators send, read strictly: names must be configured, members known, times real. Everything that is wrong is
// told by the name of its part, because who reads it has the right to know.
import * as v from 'valibot'
import type { Config } from '../config/config.ts'
import { fromUtf8 } from '../lib/bytes.ts'
import { parseDateTime } from '../lib/date-time.ts'
import { DRAIN_BYTES, readLimited } from '../lib/limited-body.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { parseJsonObject, type JsonObject } from '../lib/strict-json.ts'
import type { RevocationSelector } from '../connection.ts'
import { decode } from '../oauth/form.ts'
import type { Refusal, RefusalCode } from '../refusal.ts'

type Names = Pick<Config, 'idps' | 'clients' | 'resources'>

const MAX_BODY_BYTES = 16 * 1024
const MAX_USER_CHARS = 255
const CONTROL = /\p{Cc}/u
/** Names of parts that can be repeated to whoever sent them; anything else is called "a member" or "a parameter". */
const SHOWABLE = /^[A-Za-z0-9_.-]{1,32}$/

/**
 * Exactly this media type, with a body or without: forms of other sites can send text/plain and two more, but none that a
 * browser would have to ask about first.
 */
export function saysJson({ headers }: Request): boolean {
  return headers.get('content-type')?.toLowerCase() === 'application/json' && !headers.has('content-encoding')
}

/** Reads a body of JSON. Refuses with ADM100 or LIM101. */
export async function readBody(request: Request): Promise<Result<JsonObject, Refusal>> {
  const body = await readLimited(request.body, MAX_BODY_BYTES, DRAIN_BYTES)
  if (!body.ok) return body.error === 'too_large' ? err({ code: 'LIM101' }) : malformed('the body', 'broke off')
  const text = fromUtf8(body.value)
  const json = text.ok ? parseJsonObject(text.value) : text
  return json.ok ? json : malformed('the body', json.error)
}

/** Query parameters, each of them known and sent once; those without a value count as not sent. Refuses with ADM100. */
export function readQuery(search: string, known: readonly string[]): Result<ReadonlyMap<string, string>, Refusal> {
  const values = new Map<string, string>()
  const pairs = search === '' || search === '?' ? [] : search.slice(1).split('&')
  const seen = new Set<string>()
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    const name = decode(equals < 0 ? pair : pair.slice(0, equals))
    const value = decode(equals < 0 ? '' : pair.slice(equals + 1))
    if (name === undefined || !known.includes(name))
      return malformed(showable(name, 'a parameter'), 'unknown parameter')
    if (value === undefined || seen.has(name)) return malformed(name, 'malformed or repeated')
    seen.add(name)
    if (value !== '') values.set(name, value)
  }
  return ok(values)
}

const SELECTOR_PARTS = ['user', 'idp', 'client', 'resource'] as const
export const SELECTOR_PARAMETERS: readonly string[] = SELECTOR_PARTS

/** What is further away than ten years is a mistake: nothing from then is alive, and nobody of now will lift it then. */
const MAX_DISTANCE_MS = 3_653 * 24 * 60 * 60 * 1000

const selectorMembers = {
  user: v.exactOptional(v.string()),
  idp: v.exactOptional(v.string()),
  client: v.exactOptional(v.string()),
  resource: v.exactOptional(v.string()),
}
const revocationBody = v.strictObject({
  ...selectorMembers,
  before: v.exactOptional(v.string()),
  dry_run: v.exactOptional(v.boolean()),
})
const blockBody = v.strictObject({ ...selectorMembers, until: v.exactOptional(v.string()) })

export interface RevocationOrder {
  readonly selector: RevocationSelector
  /** Milliseconds since the epoch. */
  readonly before: number
  readonly dryRun: boolean
}

/** Refuses with ADM100, ADM105, ADM106 or ADM107. */
export function parseRevocation(body: JsonObject, names: Names, nowMs: number): Result<RevocationOrder, Refusal> {
  const parsed = parse(revocationBody, body)
  if (!parsed.ok) return parsed
  const selector = parseNamingSelector(parsed.value, names)
  if (!selector.ok) return selector
  const { before, dry_run: dryRun = false } = parsed.value
  const time = before === undefined ? nowMs : parseDateTime(before)
  if (time === undefined || time > nowMs || time < nowMs - MAX_DISTANCE_MS)
    return err({ code: 'ADM106', name: 'before' })
  return ok({ selector: selector.value, before: time, dryRun })
}

export interface BlockOrder {
  readonly selector: RevocationSelector
  /** Milliseconds since the epoch; undefined: until it is lifted. */
  readonly until: number | undefined
}

/** Refuses with ADM100, ADM105, ADM106 or ADM107. */
export function parseBlock(body: JsonObject, names: Names, nowMs: number): Result<BlockOrder, Refusal> {
  const parsed = parse(blockBody, body)
  if (!parsed.ok) return parsed
  const selector = parseNamingSelector(parsed.value, names)
  if (!selector.ok) return selector
  const { until } = parsed.value
  const time = until === undefined ? undefined : parseDateTime(until)
  if (until !== undefined && (time === undefined || time <= nowMs || time > nowMs + MAX_DISTANCE_MS))
    return err({ code: 'ADM106', name: 'until' })
  return ok({ selector: selector.value, until: time })
}

type SelectorParts = Partial<Record<(typeof SELECTOR_PARTS)[number], string>>

/** A selector of a list, which may name nothing. Refuses with ADM100 or ADM105. */
export function parseSelector(
  parts: SelectorParts,
  { idps, clients, resources }: Names,
): Result<RevocationSelector, Refusal> {
  const { user, idp, client, resource } = parts
  if (user !== undefined && !isUser(user)) return malformed('user', 'not a subject')
  for (const [part, name, known] of [
    ['idp', idp, idps],
    ['client', client, clients],
    ['resource', resource, resources],
  ] as const) {
    if (name !== undefined && !known.has(name)) return err({ code: 'ADM105', name: part })
  }
  return ok({
    ...(user === undefined ? {} : { user }),
    ...(idp === undefined ? {} : { idp }),
    ...(client === undefined ? {} : { client }),
    ...(resource === undefined ? {} : { resource }),
  })
}

export function selectorOf(query: ReadonlyMap<string, string>): SelectorParts {
  const parts: SelectorParts = {}
  for (const part of SELECTOR_PARTS) {
    const value = query.get(part)
    if (value !== undefined) parts[part] = value
  }
  return parts
}

/** An empty selector would fit everybody; nobody means that by leaving everything out. */
function parseNamingSelector(parts: SelectorParts, names: Names): Result<RevocationSelector, Refusal> {
  const selector = parseSelector(parts, names)
  if (!selector.ok || Object.keys(selector.value).length > 0) return selector
  return err({ code: 'ADM107' })
}

/** As identity reads a subject: what could never be one is a mistake, not somebody without connections. */
export function isUser(text: string): boolean {
  return text !== '' && text.length <= MAX_USER_CHARS && text.isWellFormed() && !CONTROL.test(text)
}

export function toTime(epochMillis: number): string {
  return new Date(epochMillis).toISOString()
}

export function parse<Schema extends v.GenericSchema>(
  schema: Schema,
  body: JsonObject,
): Result<v.InferOutput<Schema>, Refusal> {
  const parsed = v.safeParse(schema, body)
  if (parsed.success) return ok(parsed.output)
  const key = v.getDotPath(parsed.issues[0])
  return malformed(showable(key ?? undefined, 'a member'), 'not as the schema says')
}

function showable(name: string | undefined, otherwise: string): string {
  return name !== undefined && SHOWABLE.test(name) ? name : otherwise
}

export function malformed(name: string, detail: string, code: RefusalCode = 'ADM100'): Result<never, Refusal> {
  return err({ code, name, detail })
}
