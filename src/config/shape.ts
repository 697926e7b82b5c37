// From a plain value to typed entries. What is malformed is told and mended, so that the rest of the file, and the references
// within it, can be judged in the same run.
import * as v from 'valibot'
import { isOfKey, mend, pathOf, Unknown } from './mend.ts'
import type { ConfigCode, Finding } from './problem.ts'
import {
  configSchema,
  type ClientEntry,
  type ConfigFile,
  type IdpEntry,
  type ResourceEntry,
  type RuleEntry,
  type TestEntry,
} from './schema.ts'

/** The file, typed. Where something was malformed, this has something in its place that means nothing. */
export interface Draft {
  readonly publicUrl: string
  readonly idps: ReadonlyMap<string, IdpEntry>
  readonly clients: ReadonlyMap<string, ClientEntry>
  readonly resources: ReadonlyMap<string, ResourceEntry>
  readonly rules: readonly RuleEntry[]
  readonly tests: readonly TestEntry[]
  /** The sections without entries by name. */
  readonly settings: Pick<ConfigFile, 'cache' | 'revocation' | 'quota' | 'admin' | 'cors' | 'errors' | 'audit'>
}

export interface Shape {
  /** Undefined: this is no configuration at all. */
  readonly draft: Draft | undefined
  /** The places where something was malformed. */
  readonly unknown: Unknown
  readonly findings: readonly Finding[]
}

/** Each round mends whatever was found; a fault may hide another, but hardly a dozen behind each other. */
const MAX_ROUNDS = 24

export function readShape(value: unknown): Shape {
  const findings: Finding[] = []
  const unknown = new Unknown()
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const result = v.safeParse(configSchema, value)
    if (result.success) return { draft: toDraft(result.output), unknown, findings }
    const news = result.issues.filter((issue) => !unknown.covers(pathOf(issue)))
    findings.push(...news.map((issue) => toFinding(issue, unknown)))
    // Names last: until then every issue is found where it says it is.
    const inOrder = [...result.issues].toSorted((one, other) => Number(isOfKey(one)) - Number(isOfKey(other)))
    const mended = inOrder.map((issue) => mend(configSchema, value, issue, unknown))
    if (!mended.includes(true)) break
  }
  return { draft: undefined, unknown, findings }
}

function toDraft(file: ConfigFile): Draft {
  return {
    publicUrl: file.public_url,
    idps: new Map(Object.entries(file.idps)),
    clients: new Map(Object.entries(file.clients)),
    resources: new Map(Object.entries(file.resources)),
    rules: file.policy.rules,
    tests: file.policy.tests,
    settings: file,
  }
}

type Issue = v.InferIssue<typeof configSchema>

function toFinding(issue: Issue, unknown: Unknown): Finding {
  const [first = '', message, help] = issue.message.split('\n')
  const code: ConfigCode = isCode(first) ? first : 'CFG104'
  return {
    code,
    path: unknown.toWritten(pathOf(issue)),
    at: isOfKey(issue) ? 'key' : 'value',
    message: message ?? first,
    help,
    conceal: code === 'CFG106',
  }
}

/** Only `say` writes one into a message, and it takes no other. The table of titles would come into the Worker for this alone. */
function isCode(word: string): word is ConfigCode {
  return /^CFG\d{3}$/.test(word)
}
