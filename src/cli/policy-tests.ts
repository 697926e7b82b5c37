// The policy tests of a configuration, run: each question is explained, and the answer compared with what was expected.

import { explain, type ExplainAnswer } from '../admin/admin.ts'
import type { Config, Finding, PolicyTest } from '../config/config.ts'
import { createPolicy, type Policy } from '../policy/policy.ts'
import { createSnapshot } from '../revocation/revocation.ts'
import { toSituation, toText, understood } from './explanation.ts'

export interface TestResult {
  readonly test: PolicyTest
  readonly answer: ExplainAnswer
  /** What is not as it was expected; undefined: nothing. */
  readonly problem: string | undefined
}

const NOTHING_REVOKED = createSnapshot([])

export function runPolicyTests(config: Config, nowMs: number): readonly TestResult[] {
  const policy = createPolicy(config.rules, config.resources.values())
  return config.tests.flatMap((test) => {
    const answer = ask(test, config, policy, nowMs)
    return answer === undefined ? [] : [{ test, answer, problem: compare(test, answer) }]
  })
}

/** Undefined: this configuration does not know somebody or something in the question. */
export function ask(test: PolicyTest, config: Config, policy: Policy, nowMs: number): ExplainAnswer | undefined {
  const { as, resource: name, action, at = nowMs } = test
  const resource = config.resources.get(name)
  if (resource === undefined || !config.idps.has(as.idp) || !config.clients.has(as.client)) return undefined
  const question = { as, asked: { resource: name, action }, resource, idpClient: undefined, at }
  return explain(question, config, policy, NOTHING_REVOKED)
}

/** One finding for each test that does not hold, with the explanation. */
export function toFindings(results: readonly TestResult[]): readonly Finding[] {
  return results.flatMap(({ test, answer, problem }) => {
    if (problem === undefined) return []
    const message = `policy test ${JSON.stringify(test.name)}: ${problem}`
    const help = toText(understood(answer), toSituation(test.as), test.request)
    return [{ code: 'CFG301', path: [...test.path, 'expect'], message, help }]
  })
}

function compare({ expect, rule, code, scopes }: PolicyTest, answer: ExplainAnswer): string | undefined {
  if (answer.decision !== expect) return `expected ${expect}, got ${answer.decision}`
  if (rule !== undefined && answer.rule !== rule) {
    return `expected the rule ${rule} to decide, ${answer.rule === undefined ? 'none did' : `${answer.rule} did`}`
  }
  if (code !== undefined && answer.code !== code) return `expected ${code}, got ${answer.code}`
  if (scopes === undefined || [...scopes].toSorted().join(' ') === [...answer.scopes].toSorted().join(' '))
    return undefined
  return `expected ${listOf(scopes)}, got ${listOf(answer.scopes)}`
}

function listOf(scopes: readonly string[]): string {
  return scopes.length === 0 ? 'no scopes' : `the scopes ${scopes.join(' ')}`
}
