// `jagway diff OLD NEW`: which policy tests and which decisions another configuration would change.

import { defineCommand } from 'citty'
import { toPrincipal } from '../admin/admin.ts'
import {
  parseConfig,
  renderProblems,
  saysLocal,
  type Config,
  type PolicyTest,
  type Situation,
} from '../config/config.ts'
import type { Action } from '../model.ts'
import { createPolicy, type Policy } from '../policy/policy.ts'
import { createSnapshot } from '../revocation/revocation.ts'
import { EXIT, ExitError, type ExitCode } from './exit.ts'
import { plain } from './id-token.ts'
import { createMatrix, type Cell } from './matrix.ts'
import { readInput } from './serve.ts'

/** A decision in words: `allow todos.read (readers)`, `deny POL101 (no-mail)`. */
type Outcome = string

export interface TestChange {
  readonly name: string
  readonly expect: string
  readonly before: Outcome
  readonly after: Outcome
  /** Whether it holds with the new file. */
  readonly holds: boolean
}

export interface DecisionChange {
  readonly request: string
  readonly client: string
  /** `okta/ann [engineering] {"tenant":"acme"}` */
  readonly as: string
  readonly before: Outcome
  readonly after: Outcome
}

export interface Difference {
  readonly tests: readonly TestChange[]
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly decisions: readonly DecisionChange[]
  /** How many decisions were compared, of how many that could be. */
  readonly compared: number
  readonly possible: number
  readonly changed: number
}

/** So many questions are asked of either file. */
const MAX_CELLS = 100_000
/** So many changes are told; the others are counted. */
const MAX_TOLD = 1_000
const MAX_SHOWN = 40

export default defineCommand({
  meta: { name: 'diff', description: 'Say which policy tests and which decisions another configuration would change.' },
  args: {
    old: { type: 'positional', required: true, valueHint: 'OLD', description: 'The configuration as it is' },
    new: { type: 'positional', required: true, valueHint: 'NEW', description: 'The configuration as it would be' },
    json: { type: 'boolean', description: 'Print the difference as JSON' },
    local: { type: 'boolean', description: 'Allow http to this machine (default: as public_url of each file says)' },
  },
  async run({ args }) {
    if (args._.length > 2) throw new ExitError(EXIT.usage, 'diff takes two files')
    const [before, after] = [await readConfig(args.old, args.local), await readConfig(args.new, args.local)]
    const difference = compare(before, after, Date.now())
    console.log(args.json === true ? JSON.stringify(difference, undefined, 2) : toText(difference))
    return exitOf(difference)
  },
})

export function compare(before: Config, after: Config, nowMs: number, maxCells = MAX_CELLS): Difference {
  const [old, young] = [openSide(before, nowMs), openSide(after, nowMs)]
  const matrix = createMatrix([before, after])
  const decisions: DecisionChange[] = []
  let compared = 0
  let changed = 0
  for (const cell of matrix.cells(maxCells)) {
    compared += 1
    const [was, is] = [old.answer(cell), young.answer(cell)]
    if (was.essence === is.essence) continue
    changed += 1
    if (decisions.length < MAX_TOLD) {
      const { client } = cell.as
      decisions.push({ request: toLine(cell), client, as: toPerson(cell.as), before: was.words, after: is.words })
    }
  }
  const names = new Set(after.tests.map(({ name }) => name))
  const known = new Set(before.tests.map(({ name }) => name))
  return {
    tests: changedTests(before, after, old, young),
    added: [...names].filter((name) => !known.has(name)),
    removed: [...known].filter((name) => !names.has(name)),
    decisions,
    compared,
    possible: matrix.size,
    changed,
  }
}

/** As the new file has the test, or as the old one had it. */
function changedTests(before: Config, after: Config, old: Side, young: Side): readonly TestChange[] {
  const tests = new Map([...before.tests, ...after.tests].map((test) => [test.name, test]))
  return [...tests.values()].flatMap((test) => {
    const [was, is] = [old.answer(test), young.answer(test)]
    if (was.essence === is.essence) return []
    const { name, expect } = test
    return [{ name, expect, before: was.words, after: is.words, holds: is.decision === expect }]
  })
}

interface Answer {
  readonly decision: 'allow' | 'deny' | 'step_up' | 'unknown'
  /** What a change of is worth telling. */
  readonly essence: string
  readonly words: Outcome
}

interface Side {
  answer(question: Cell | PolicyTest): Answer
}

const NOTHING_REVOKED = createSnapshot([])
const UNKNOWN: Answer = { decision: 'unknown', essence: 'unknown', words: 'not there' }

function openSide(config: Config, nowMs: number): Side {
  const policy: Policy = createPolicy(config.rules, config.resources.values())
  return {
    answer(question) {
      const { as, action } = question
      const at = 'at' in question ? (question.at ?? nowMs) : nowMs
      const resource = config.resources.get(question.resource)
      if (resource === undefined || !config.idps.has(as.idp) || !config.clients.has(as.client)) return UNKNOWN
      const asking = { principal: toPrincipal(as, config, at), client: as.client }
      const { decision, refusal, rule, scopes } = policy.explain(asking, resource, action, NOTHING_REVOKED, at)
      const stepUp = refusal?.stepUp
      const given = [decision, ...scopes, stepUp?.acrValues, stepUp?.maxAgeSeconds].filter((each) => each !== undefined)
      const words: string[] = [decision, refusal?.code, ...scopes].filter((each) => each !== undefined)
      if (rule !== undefined) words.push(`(${rule})`)
      return { decision, essence: given.join(' '), words: words.join(' ') }
    },
  }
}

function toLine({ resource, action }: { readonly resource: string; readonly action: Action }): string {
  if (action.kind === 'http') return `${action.method} ${resource} ${action.path}`
  const details = action.details === undefined ? [] : [`{${action.details.types.join(',')}}`]
  return ['TOKEN', resource, ...(action.scopes ?? []), ...details].join(' ')
}

function toPerson({ idp, user, groups, tenant, claims, acr, amr, authAgeSeconds }: Situation): string {
  const more = {
    ...(tenant === undefined ? {} : { tenant }),
    ...claims,
    ...(acr === undefined ? {} : { acr }),
    ...(amr === undefined ? {} : { amr }),
    ...(authAgeSeconds === undefined ? {} : { auth_age: authAgeSeconds }),
  }
  const rest = Object.keys(more).length === 0 ? '' : ` ${JSON.stringify(more)}`
  return `${idp}/${user} [${groups.join(', ')}]${rest}`
}

async function readConfig(file: string, local: boolean | undefined): Promise<Config> {
  const text = await readInput(file)
  const parsed = parseConfig(text, { fileName: file, local: local ?? saysLocal(text) })
  if (parsed.ok) return parsed.value
  throw new ExitError(EXIT.problems, renderProblems(text, parsed.error))
}

function exitOf({ tests, changed }: Difference): ExitCode {
  return tests.length === 0 && changed === 0 ? EXIT.ok : EXIT.problems
}

function toText({ tests, added, removed, decisions, compared, possible, changed }: Difference): string {
  const of = compared === possible ? `${compared}` : `${compared} of the ${possible} possible`
  const alike = [...Map.groupBy(decisions, kindOf).values()]
  const lines = [
    ...list('added', added),
    ...list('removed', removed),
    `policy tests: ${tests.length === 0 ? 'no answer changes' : `${tests.length} with another answer`}`,
    ...tests.map(
      ({ name, expect, before, after, holds }) =>
        `  ${holds ? ' ' : '!'} ${JSON.stringify(name)}: ${before} → ${after}${holds ? '' : `, expected is ${expect}`}`,
    ),
    `decisions: ${changed === 0 ? 'none changes' : `${changed} change`}, ${of} compared`,
    ...alike.slice(0, MAX_SHOWN).flatMap(toLines),
    ...(alike.length > MAX_SHOWN ? [`  and ${alike.length - MAX_SHOWN} more like these; --json tells more`] : []),
  ]
  return lines.map(plain).join('\n')
}

/** One request of several people, to whom the same happens. */
function kindOf({ request, client, before, after }: DecisionChange): string {
  return `  ${request}  via ${client}: ${before} → ${after}`
}

function toLines(changes: readonly DecisionChange[]): readonly string[] {
  const [first, ...more] = changes
  if (first === undefined) return []
  return [`${kindOf(first)}  for ${first.as}${more.length === 0 ? '' : ` and ${more.length} others`}`]
}

function list(what: string, names: readonly string[]): readonly string[] {
  return names.length === 0 ? [] : [`policy tests ${what}: ${names.map((name) => JSON.stringify(name)).join(', ')}`]
}
