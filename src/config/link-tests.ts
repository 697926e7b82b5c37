// Policy tests with their names resolved. A test of somebody who cannot come, or about something that is not there, would pass
// for the wrong reason. The Worker reads them and goes no further; `jagway check` runs them.
import type { ScopeToken } from '../parties.ts'
import { isRefusalCode, REFUSAL_CODES, type RefusalCode } from '../refusal.ts'
import { linkUser } from './link-rules.ts'
import { checkClient, checkResource, knownNames, type Linker } from './linker.ts'
import { didYouMean, quote, type ConfigPath } from './problem.ts'
import { parseAsked, type Asked, type Situation } from './question.ts'
import type { TestEntry } from './schema.ts'

export interface PolicyTest extends Asked {
  readonly name: string
  /** The line as it was written. */
  readonly request: string
  /** Where it stands in the file. */
  readonly path: ConfigPath
  readonly as: Situation
  /** Milliseconds since the epoch; undefined: now. */
  readonly at: number | undefined
  readonly expect: 'allow' | 'deny' | 'step_up'
  /** What decides; undefined: whatever it is. */
  readonly rule: string | undefined
  readonly code: RefusalCode | undefined
  readonly scopes: readonly ScopeToken[] | undefined
}

export function linkTests(linker: Linker): PolicyTest[] {
  const seen = new Set<string>()
  return linker.draft.tests.flatMap((entry, index) => {
    const path = ['policy', 'tests', index]
    if (seen.has(entry.name)) {
      linker.report({ code: 'CFG109', path: [...path, 'name'], message: 'two policy tests with this name' })
    }
    seen.add(entry.name)
    const test = linkTest(linker, entry, path)
    return test === undefined ? [] : [test]
  })
}

function linkTest(linker: Linker, entry: TestEntry, path: ConfigPath): PolicyTest | undefined {
  const as = linkSituation(linker, entry.as, [...path, 'as'])
  const code = linkExpectation(linker, entry, path)
  const asked = parseAsked(entry.request, entry.authorization_details_types)
  const requestPath = [...path, 'request']
  if (!asked.ok) {
    linker.report({ code: 'CFG104', path: requestPath, message: asked.error })
    return undefined
  }
  const { resource, action } = asked.value
  checkResource(linker, resource, requestPath)
  const { name, request, at, expect, rule, scopes } = entry
  return { name, request, path, as, resource, action, at, expect, rule, code, scopes }
}

function linkSituation(linker: Linker, entry: TestEntry['as'], path: ConfigPath): Situation {
  const { draft, report } = linker
  const { client, tenant, groups, claims, acr, amr, auth_age: authAgeSeconds } = entry
  const [only = ''] = draft.idps.keys()
  if (entry.idp !== undefined && !draft.idps.has(entry.idp)) {
    const message = `there is no identity provider ${quote(entry.idp)}`
    const help = didYouMean(entry.idp, draft.idps.keys()) ?? knownNames(draft.idps.keys())
    report({ code: 'CFG108', path: [...path, 'idp'], message, help, restsOn: [['idps', entry.idp]] })
  }
  const { idp = only, subject } =
    entry.idp === undefined
      ? linkUser(linker, entry.user, 'allow', [...path, 'user'])
      : { idp: entry.idp, subject: entry.user }
  checkClient(linker, client, [...path, 'client'])
  const refs = draft.clients.get(client)?.subject_tokens
  if (refs !== undefined && draft.idps.has(idp) && !refs.some((ref) => ref.startsWith(`${idp}/`))) {
    const message = `the client ${quote(client)} presents no ID tokens of ${quote(idp)}, so nobody can come like this`
    const restsOn = [
      ['clients', client, 'subject_tokens'],
      [...path, 'user'],
      [...path, 'idp'],
    ]
    report({ code: 'CFG112', path: [...path, 'client'], message, restsOn })
  }
  return { idp, user: subject, tenant, groups, client, claims, acr, amr, authAgeSeconds }
}

function linkExpectation({ draft, report }: Linker, entry: TestEntry, path: ConfigPath): RefusalCode | undefined {
  const { expect, rule, code, scopes } = entry
  const ids = draft.rules.map(({ id }) => id)
  if (rule !== undefined && !ids.includes(rule)) {
    const help = didYouMean(rule, ids)
    const restsOn = draft.rules.map((_, index) => ['policy', 'rules', index, 'id'])
    report({ code: 'CFG108', path: [...path, 'rule'], message: `there is no rule ${quote(rule)}`, help, restsOn })
  }
  const [what, written] = expect === 'allow' ? (['code', code] as const) : (['scopes', scopes] as const)
  if (written !== undefined) {
    const message = expect === 'allow' ? 'nothing is refused where "allow" is expected' : 'nothing is granted here'
    report({ code: 'CFG112', path: [...path, what], at: 'key', message, restsOn: [[...path, 'expect']] })
  }
  if (code === undefined || isRefusalCode(code)) return code
  const message = `there is no refusal ${quote(code)}`
  report({ code: 'CFG108', path: [...path, 'code'], message, help: didYouMean(code, REFUSAL_CODES) })
  return undefined
}
