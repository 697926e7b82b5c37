// The MCP conformance suite (@modelcontextprotocol/conformance), in all the roles it has a scenario for: jagway as the
// client of enterprise-managed authorization, before an MCP server, and as an authorization server that is looked up.

import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startInjector } from './mcp/injector.ts'
import { openMcpHouse, type McpHouse } from './mcp/house.ts'
import { examine, isGood, reexamine, runSuite, type Check } from './mcp/suite.ts'

const SUITE_TIMEOUT_MS = 120_000

/** An extension of the protocol that the MCP server behind us does not have; the suite asks for it all the same. */
const NOT_OFFERED = /^server-tasks-/

let house: McpHouse

beforeAll(async () => {
  house = await openMcpHouse()
})

afterAll(() => house.close())

function statusesOf(checks: readonly Check[]): readonly string[] {
  return checks.map(({ scenario, id, status }) => `${scenario} ${id} ${status}`)
}

describe('the server scenarios of revision', () => {
  test.each([
    { revision: '2025-11-25', user: 'ann', passes: 84 },
    { revision: '2026-07-28', user: 'bo', passes: 152 },
  ])(
    '$revision come out the same through the gateway, check by check, for one exchange',
    async ({ revision, user, passes }) => {
      const [directToken, idToken] = [await house.directToken(user), await house.world.login(user)]
      house.world.traffic.clear()
      house.mcp.traffic.clear()
      const injectors = await Promise.all([
        startInjector(house.mcp.resource, `Bearer ${directToken}`),
        startInjector(house.endpoint, `Bearer ${idToken}`),
      ])
      const examinations = injectors.map(({ origin }) => ({ url: `${origin}/`, revision, notOffered: NOT_OFFERED }))
      const first = await Promise.all(examinations.map((examination) => examine(examination)))
      const verdicts: (readonly Check[])[] = []
      for (const [index, examination] of examinations.entries())
        verdicts.push(await reexamine(examination, first[index] ?? []))
      await Promise.all(injectors.map((injector) => injector.close()))
      const [direct = [], through = []] = verdicts

      expect(statusesOf(through)).toEqual(statusesOf(direct))
      const required = through.filter(({ scenario }) => !NOT_OFFERED.test(scenario))
      expect(required.filter((check) => !isGood(check))).toEqual([])
      expect(required.filter(({ status }) => status === 'SUCCESS')).toHaveLength(passes)

      expect(house.exchangedFor()).toEqual([user])
      expect(house.mcp.traffic.of('tasks-as', '/token')).toHaveLength(1)
      const seen = JSON.stringify(house.mcp.traffic.entries.map(({ path, headers, body }) => [path, headers, body]))
      expect(seen).not.toContain(idToken)
      expect(house.output()).not.toContain(idToken)
    },
    SUITE_TIMEOUT_MS,
  )
})

describe('the client scenario of enterprise-managed authorization', () => {
  test(
    'is passed by two gateways in turn, each with one exchange and one redemption of its own ID-JAG',
    async () => {
      const program = fileURLToPath(new URL('./mcp/ema-client.ts', import.meta.url))
      const command = `"${process.execPath}" "${program}"`
      const scenario = ['--scenario', 'auth/enterprise-managed-authorization', '--timeout', String(SUITE_TIMEOUT_MS)]
      const { exitCode, checks, output } = await runSuite(['client', '--command', command, ...scenario])
      expect(checks.filter((check) => !isGood(check))).toEqual([])
      const passed = (id: string) => checks.filter((check) => check.id === id && check.status === 'SUCCESS').length
      expect(passed('complete-flow-token-exchange')).toBe(2)
      expect(passed('complete-flow-jwt-bearer')).toBe(2)
      expect(passed('valid-bearer-token')).toBeGreaterThan(10)
      expect([exitCode, output.includes('CLIENT EXITED WITH ERROR')]).toEqual([0, false])
    },
    SUITE_TIMEOUT_MS,
  )
})

describe('the scenarios of authorization servers', () => {
  test('find our metadata in order', async () => {
    const { exitCode, checks } = await runSuite(['authorization', '--url', house.gateway.url])
    expect(exitCode).toBe(0)
    expect(checks.map(({ id, status }) => `${id} ${status}`)).toEqual([
      // There is no authorization code to be had; the scenario wants a client for it and is given none.
      'authorization-code-grant SKIPPED',
      'authorization-server-metadata SUCCESS',
      // Clients are registered by hand here: a warning of the suite, and the truth.
      'authorization-server-metadata-cimd WARNING',
    ])
  })
})
