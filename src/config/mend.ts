// What is malformed is replaced by something of the right form, and its place remembered, so that everything else in the file
// can be judged in the same run. What comes out is never used: a file with a fault is no configuration.
import * as v from 'valibot'
import { isObject } from '../lib/strict-json.ts'
import { didYouMean, type ConfigPath } from './problem.ts'

/** Places of which nothing is known but that they are malformed, by the names that stand in the file. */
export class Unknown {
  readonly #paths: ConfigPath[] = []
  /** Things that are there and well, but for their names. */
  readonly #renamed: Renamed[] = []

  add(path: ConfigPath): void {
    this.#paths.push(this.toWritten(path))
  }

  /** Whether this place is malformed, or lies in one that is. */
  covers(path: ConfigPath): boolean {
    const written = this.toWritten(path)
    return this.#paths.some((unknown) => isWithin(written, unknown))
  }

  /** Whether this place is malformed in any part, or has a name that cannot be used. */
  touches(path: ConfigPath): boolean {
    const written = this.toWritten(path)
    if (this.#paths.some((unknown) => isWithin(written, unknown) || isWithin(unknown, written))) return true
    return this.#renamed.some(({ parent, writtenName }) => isWithin(path, [...parent, writtenName]))
  }

  rename(renamed: Renamed): void {
    this.#renamed.push(renamed)
  }

  toWritten(path: ConfigPath): ConfigPath {
    let found = path
    for (const { parent, name, writtenName } of this.#renamed) {
      if (isWithin(path, [...parent, name])) found = found.with(parent.length, writtenName)
    }
    return found
  }
}

/** Something that has another name here than in the file. */
interface Renamed {
  readonly parent: ConfigPath
  readonly name: string
  readonly writtenName: string
}

function isWithin(path: ConfigPath, outer: ConfigPath): boolean {
  return outer.length <= path.length && outer.every((segment, index) => segment === path[index])
}

/** Mends the place of one issue in `value`, which is changed. False: nothing could be done. */
export function mend(schema: v.GenericSchema, value: unknown, issue: v.BaseIssue<unknown>, unknown: Unknown): boolean {
  const path = pathOf(issue)
  const key = path.at(-1)
  const parentPath = path.slice(0, -1)
  const [parent, parentSchema] = descend(schema, value, parentPath)
  if (isObject(parent) && typeof key === 'string') {
    if (isUnknownKey(issue)) return Reflect.deleteProperty(parent, key)
    if (issue.type === 'variant' && choose(parent, parentSchema, key)) {
      unknown.add(path)
      return true
    }
    if (isSchemaOf(parentSchema, 'record') && isOfKey(issue)) return rename(parent, key, parentPath, unknown)
  }
  // What cannot be replaced by itself goes with what it is in.
  for (let place = issue.type === 'variant' ? parentPath : path; place.length > 0; place = place.slice(0, -1)) {
    if (!replace(schema, value, place)) continue
    unknown.add(place)
    return true
  }
  return false
}

export function pathOf(issue: v.BaseIssue<unknown>): ConfigPath {
  return (issue.path ?? []).flatMap(({ key }) => (typeof key === 'string' || typeof key === 'number' ? [key] : []))
}

function isUnknownKey({ type, expected }: v.BaseIssue<unknown>): boolean {
  return type === 'strict_object' && expected === 'never'
}

export function isOfKey(issue: v.BaseIssue<unknown>): boolean {
  const last = issue.path?.at(-1)
  return last !== undefined && 'origin' in last && last.origin === 'key'
}

/** What has a name that cannot be used is judged under one that can. */
function rename(record: object, writtenName: string, parent: ConfigPath, unknown: Unknown): boolean {
  const plain = writtenName.replaceAll(/[^A-Za-z0-9]/g, '').slice(0, 32)
  let name = plain
  while (name === '' || Object.hasOwn(record, name)) name = `${plain}${(count += 1)}`
  Reflect.set(record, name, Reflect.get(record, writtenName))
  Reflect.deleteProperty(record, writtenName)
  unknown.rename({ parent, name, writtenName })
  return true
}

/** Puts a sample in the place, or leaves it out where it need not be there. */
function replace(schema: v.GenericSchema, value: unknown, path: ConfigPath): boolean {
  const [parent, parentSchema] = descend(schema, value, path.slice(0, -1))
  const key = path.at(-1)
  if (Array.isArray(parent) && typeof key === 'number') {
    const item = part(parentSchema, 'item')
    // Of a few words another may stand in the list already. Such lists refer to nothing, so they may go altogether.
    if (item === undefined || isSchemaOf(item, 'picklist', 'literal')) return false
    parent[key] = sampleOf(item)
    return true
  }
  if (!isObject(parent) || typeof key !== 'string') return false
  const own = memberSchema(parentSchema, key)
  if (own === undefined) return false
  if (isSchemaOf(own, 'optional', 'exact_optional')) return Reflect.deleteProperty(parent, key)
  return Reflect.set(parent, key, sampleOf(own))
}

/** Which of the alternatives is meant is a guess; without a good one nothing inside can be judged. */
function choose(parent: object, variant: v.GenericSchema, key: string): boolean {
  const words = optionsOf(variant).map((option) => String(literalOf(option, key)))
  const written: unknown = Reflect.get(parent, key)
  const guess = typeof written === 'string' ? didYouMean(written, words) : undefined
  const [only, another] = words
  const meant =
    written === undefined && another === undefined ? only : words.find((word) => guess?.includes(`"${word}"`))
  return meant !== undefined && meant !== written && Reflect.set(parent, key, meant)
}

/** The value at a place, and the schema it is read with. */
function descend(schema: v.GenericSchema, value: unknown, path: ConfigPath): readonly [unknown, v.GenericSchema] {
  let at: readonly [unknown, v.GenericSchema] = [value, concrete(schema, value)]
  for (const key of path) {
    const [here, hereSchema] = at
    const next: unknown = isObject(here) || Array.isArray(here) ? Reflect.get(here, key) : undefined
    const nextSchema = typeof key === 'number' ? part(hereSchema, 'item') : memberSchema(hereSchema, key)
    at = [next, concrete(nextSchema ?? v.unknown(), next)]
  }
  return at
}

/** Of alternatives, the one that the value says it is, if it does. */
function concrete(schema: v.GenericSchema, value: unknown): v.GenericSchema {
  const wrapped = part(schema, 'wrapped')
  if (wrapped !== undefined) return concrete(wrapped, value)
  if (isSchemaOf(schema, 'union')) {
    const fitting = optionsOf(schema).find((option) => isSchemaOf(option, 'array') === Array.isArray(value))
    return fitting ?? schema
  }
  if (!isSchemaOf(schema, 'variant')) return schema
  const key = String(Reflect.get(schema, 'key'))
  const named = isObject(value) ? value[key] : undefined
  return optionsOf(schema).find((option) => literalOf(option, key) === named) ?? schema
}

function memberSchema(schema: v.GenericSchema, key: string): v.GenericSchema | undefined {
  const entries: unknown = Reflect.get(schema, 'entries')
  const own: unknown = isObject(entries) && Object.hasOwn(entries, key) ? entries[key] : part(schema, 'value')
  return isSchema(own) ? own : undefined
}

function literalOf(option: v.GenericSchema, key: string): unknown {
  const member = memberSchema(option, key)
  return member && Reflect.get(member, 'literal')
}

function optionsOf(schema: v.GenericSchema): readonly v.GenericSchema[] {
  const options: unknown = Reflect.get(schema, 'options')
  return Array.isArray(options) ? options.filter(isSchema) : []
}

function part(schema: v.GenericSchema, name: 'item' | 'value' | 'wrapped'): v.GenericSchema | undefined {
  const found: unknown = Reflect.get(schema, name)
  return isSchema(found) ? found : undefined
}

function isSchema(value: unknown): value is v.GenericSchema {
  return isObject(value) && value['kind'] === 'schema'
}

function isSchemaOf(schema: v.GenericSchema, ...types: readonly string[]): boolean {
  return types.includes(schema.type)
}

let count = 0

/** Something that the schema takes, and that is nowhere else in the file. */
function sampleOf(schema: v.GenericSchema): unknown {
  count += 1
  switch (schema.type) {
    case 'string':
      return textsLike(count).find((text) => v.is(schema, text)) ?? ''
    case 'number':
      return 1
    case 'boolean':
      return false
    case 'picklist': {
      const options: unknown = Reflect.get(schema, 'options')
      return Array.isArray(options) ? options[0] : undefined
    }
    case 'literal':
      return Reflect.get(schema, 'literal')
    case 'array':
      return [sampleOf(part(schema, 'item') ?? v.unknown())]
    case 'record':
      return { [`x${count}`]: sampleOf(part(schema, 'value') ?? v.unknown()) }
    case 'union':
    case 'variant':
      return sampleOf(optionsOf(schema)[0] ?? v.unknown())
    case 'strict_object':
    case 'loose_object':
      return sampleObject(schema)
    default: {
      const wrapped = part(schema, 'wrapped')
      return wrapped && sampleOf(wrapped)
    }
  }
}

function sampleObject(schema: v.GenericSchema): unknown {
  const entries: unknown = Reflect.get(schema, 'entries')
  const members = Object.entries(isObject(entries) ? entries : {}).flatMap(([key, entry]) =>
    isSchema(entry) && !isSchemaOf(entry, 'optional', 'exact_optional') ? [[key, sampleOf(entry)]] : [],
  )
  return Object.fromEntries(members)
}

/** One of these is a name, an address, a duration, a moment, a line of a request or whatever else a text has to be. */
function textsLike(number: number): readonly string[] {
  return [`x${number}`, `X${number}`, `https://x${number}.invalid`, '1h', '2199-12-31', `GET x${number} /`]
}
