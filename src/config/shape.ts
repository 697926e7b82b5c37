// From a plain value to typed entries. A file with faults still gives every entry that has none, so that the references
// between them can be judged in the same run.
import * as v from 'valibot'
import { isObject } from '../lib/strict-json.ts'
import { CONFIG_CODES, type ConfigCode, type Finding } from './problem.ts'
import {
  clientSchema,
  configSchema,
  idpSchema,
  resourceSchema,
  ruleSchema,
  type ClientEntry,
  type ConfigFile,
  type IdpEntry,
  type ResourceEntry,
  type RuleEntry,
} from './schema.ts'

/** Entries by name. Undefined: the entry is there, but broken. */
export type Entries<T> = ReadonlyMap<string, T | undefined>

/** As much of the file as has its shape. */
export interface Draft {
  readonly publicUrl: string | undefined
  readonly idps: Entries<IdpEntry>
  readonly clients: Entries<ClientEntry>
  readonly resources: Entries<ResourceEntry>
  readonly rules: readonly (RuleEntry | undefined)[]
  /** The sections without entries by name; only of a file that has its shape throughout. */
  readonly settings: Pick<ConfigFile, 'cache' | 'revocation' | 'quota' | 'admin' | 'cors' | 'audit'> | undefined
}

export interface Shape {
  readonly draft: Draft
  readonly findings: readonly Finding[]
}

export function readShape(value: unknown): Shape {
  const findings: Finding[] = []
  let result = v.safeParse(configSchema, value)
  // valibot names only the first unknown key of an object. Each one found is taken out and the rest looked at again; it
  // also keeps an otherwise sound entry usable for what comes next.
  for (let removed = true; removed;) {
    removed = false
    for (const issue of result.issues ?? []) {
      const last = issue.path?.at(-1)
      if (!isUnknownKey(issue) || last?.type !== 'object' || !Object.hasOwn(last.input, last.key)) continue
      findings.push(toFinding(issue))
      removed = Reflect.deleteProperty(last.input, last.key)
    }
    if (removed) result = v.safeParse(configSchema, value)
  }
  findings.push(...(result.issues ?? []).map(toFinding))
  return { draft: result.success ? toDraft(result.output) : salvage(value), findings }
}

function toDraft(file: ConfigFile): Draft {
  return {
    publicUrl: file.public_url,
    idps: new Map(Object.entries(file.idps)),
    clients: new Map(Object.entries(file.clients)),
    resources: new Map(Object.entries(file.resources)),
    rules: file.policy.rules,
    settings: file,
  }
}

function salvage(value: unknown): Draft {
  const file = isObject(value) ? value : {}
  const publicUrl = v.safeParse(configSchema.entries.public_url, file['public_url'])
  const policy = file['policy']
  const rules = isObject(policy) ? policy['rules'] : []
  return {
    publicUrl: publicUrl.success ? publicUrl.output : undefined,
    idps: salvageEntries(idpSchema, file['idps']),
    clients: salvageEntries(clientSchema, file['clients']),
    resources: salvageEntries(resourceSchema, file['resources']),
    rules: Array.isArray(rules) ? rules.map((rule) => salvageEntry(ruleSchema, rule)) : [],
    settings: undefined,
  }
}

function salvageEntries<const Schema extends v.GenericSchema>(
  schema: Schema,
  section: unknown,
): Map<string, v.InferOutput<Schema> | undefined> {
  const entries = isObject(section) ? Object.entries(section) : []
  return new Map(entries.map(([name, entry]) => [name, salvageEntry(schema, entry)]))
}

function salvageEntry<const Schema extends v.GenericSchema>(
  schema: Schema,
  entry: unknown,
): v.InferOutput<Schema> | undefined {
  const result = v.safeParse(schema, entry)
  return result.success ? result.output : undefined
}

type Issue = v.InferIssue<typeof configSchema>

function isUnknownKey(issue: Issue): boolean {
  return issue.type === 'strict_object' && issue.expected === 'never'
}

function toFinding(issue: Issue): Finding {
  const path = (issue.path ?? []).flatMap(({ key }) =>
    typeof key === 'string' || typeof key === 'number' ? [key] : [],
  )
  const last = issue.path?.at(-1)
  const atKey = last !== undefined && 'origin' in last && last.origin === 'key'
  const [first = '', message, help] = issue.message.split('\n')
  const code: ConfigCode = isCode(first) ? first : 'CFG104'
  return {
    code,
    path,
    at: atKey ? 'key' : 'value',
    message: message ?? first,
    help,
    conceal: code === 'CFG106',
  }
}

function isCode(word: string): word is ConfigCode {
  return Object.hasOwn(CONFIG_CODES, word)
}
