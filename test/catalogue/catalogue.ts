// `npm run catalogue`: runs the bad-input catalogue of ../shared against the built Worker in workerd.
//
//   --only REGEX         cases whose id or title matches
//   --slow               those too that wait for a deadline
//   --fuzz SEED COUNT    so many random cases made from a seed, instead of the catalogue
//   --report FILE        every verdict, as JSON
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import * as v from 'valibot'
import { launchGateway, type LaunchOptions } from '../../src/cli/launch.ts'
import { launchDisturbed, type DisturbedGateway } from '../support/disturbed.ts'
import { loadCatalogue, type Adapter, type Case, type Catalogue, type Verdict } from './runner.ts'

const PORT = 28_787
const BASE = `http://127.0.0.1:${PORT}`
const CONFIG = readFileSync(new URL('../fixtures/catalogue.jsonc', import.meta.url), 'utf8')

/** Where this build has its surfaces, and which of the catalogue's features it has. */
const PROFILE = {
  base: BASE,
  proxy: { path: '/proxy/{resource}{path}' },
  broker: { token: '/token', issuer: BASE },
  features: ['proxy', 'broker', 'jti', 'dpop'],
}

const overridesSchema = v.array(
  v.strictObject({
    id: v.string(),
    /** Takes the place of `expect` in every step that has one. */
    expect: v.record(v.string(), v.unknown()),
    reason: v.pipe(v.string(), v.minLength(20)),
  }),
)

const { values, positionals } = parseArgs({
  options: {
    only: { type: 'string' },
    slow: { type: 'boolean', default: false },
    fuzz: { type: 'string' },
    report: { type: 'string' },
  },
  allowPositionals: true,
})

const ONLY = values.only === undefined ? undefined : new RegExp(values.only)
const catalogue = await loadCatalogue()
if (catalogue === undefined) {
  console.log('catalogue skipped: ../shared is not here')
  console.log('0 passed, 0 failed, 0 skipped')
} else {
  process.exitCode = await run(catalogue)
}

async function run(found: Catalogue): Promise<number> {
  const cases = chooseCases(found)
  const needsStore = ({ needs }: Case) => needs?.some((need) => need === 'kv' || need === 'kvfault') === true
  const [withStore, plain] = [cases.filter(needsStore), cases.filter((entry) => !needsStore(entry))]
  const results = [...(await runPlain(found, plain)), ...(await runWithStore(found, withStore))]
  if (values.report !== undefined) writeFileSync(values.report, JSON.stringify(results, null, 1))
  const skipped = results.filter((result) => result.skipped !== undefined)
  const failed = results.filter((result) => result.skipped === undefined && result.v.length > 0)
  const passed = results.length - skipped.length - failed.length
  const because = Map.groupBy(skipped, ({ skipped: reason = '' }) => reason)
  for (const [reason, group] of because) console.log(`skipped ${group.length}: ${reason}`)
  console.log(`${passed} passed, ${failed.length} failed, ${skipped.length} skipped`)
  return failed.length === 0 && passed > 0 ? 0 : 1
}

function chooseCases({ cases, fuzz }: Catalogue): readonly Case[] {
  if (values.fuzz !== undefined) return fuzz(Number(values.fuzz), Number(positionals[0] ?? 500))
  const overrides = v.parse(
    overridesSchema,
    JSON.parse(readFileSync(new URL('overrides.json', import.meta.url), 'utf8')),
  )
  for (const { id } of overrides) {
    if (!cases.some((entry) => entry.id === id)) throw new Error(`overrides.json: there is no case ${id}`)
  }
  return cases.map(onFreshCircuits).map((entry) => {
    const override = overrides.find(({ id }) => id === entry.id)
    if (override === undefined) return entry
    const { expect } = override
    return { ...entry, steps: entry.steps.map((step) => ('expect' in step ? { ...step, expect } : step)) }
  })
}

/**
 * Failures in a row open the circuit of a token endpoint, and the failures of one case would be counted against the next: a
 * case that breaks one begins, and is left, on a fresh isolate.
 */
function onFreshCircuits(entry: Case): Case {
  const breaks = entry.steps.some((step) => step['do'] === 'up' && String(step['role']).endsWith('.token'))
  const isCold = entry.steps.some((step) => step['do'] === 'cold')
  return breaks && !isCold ? { ...entry, steps: [{ do: 'cold' }, ...entry.steps] } : entry
}

function secretsOf({ canaries }: Catalogue): Record<string, string> {
  const canary = (name: string) => {
    const value = canaries[name]
    if (value === undefined) throw new Error(`the catalogue has no canary ${name}`)
    return value
  }
  return {
    // Sealing keys have a least length; the canary is in it all the same.
    JAGWAY_SEALING_KEY: canary('kek').padEnd(43, 'k'),
    IDP_SECRET: canary('idpSecret'),
    RAS_A_SECRET: canary('rasASecret'),
    RAS_B_SECRET: canary('rasBSecret'),
    AGENT_1_SECRET: canary('agentSecret'),
    AGENT_2_SECRET: `${canary('agentSecret')}-2`,
  }
}

async function runPlain(found: Catalogue, cases: readonly Case[]): Promise<readonly Verdict[]> {
  if (!cases.some(isChosen)) return []
  const output = watchOutput(found)
  const gateway = await launchGateway(launchOptions(found, output.see))
  try {
    const results = await runCases(found, cases, { cold: () => gateway.reload() })
    return [...results, output.verdict('OUTPUT-1')]
  } finally {
    await gateway.close()
  }
}

/** On a gateway of its own, because these change every entry there is. */
async function runWithStore(found: Catalogue, cases: readonly Case[]): Promise<readonly Verdict[]> {
  if (!cases.some(isChosen)) return []
  const output = watchOutput(found)
  const gateway = await launchDisturbed(launchOptions(found, output.see))
  try {
    const results = await runCases(found, cases, storeAdapter(gateway))
    return [...results, output.verdict('OUTPUT-2')]
  } finally {
    await gateway.close()
  }
}

function launchOptions(found: Catalogue, see: (line: string) => void): LaunchOptions {
  return {
    config: { fileName: 'catalogue.jsonc', text: CONFIG },
    secrets: secretsOf(found),
    port: PORT,
    onLog: ({ message }) => see(message),
  }
}

function storeAdapter(gateway: DisturbedGateway): Adapter {
  // The runner lists, then writes every name once. After the last of them the isolate has to forget what it has in memory,
  // or nothing would be read from the store again.
  let left = 0
  return {
    cold: () => gateway.reload(),
    kvFault: (fault) => Promise.resolve(gateway.disturb(fault)),
    kv: {
      list: async () => {
        const { keys } = await (await gateway.tokens()).list()
        left = keys.length
        return keys.map(({ name, metadata }) => ({ name, metadata }))
      },
      get: async (name) => Buffer.from((await (await gateway.tokens()).get(name, 'arrayBuffer')) ?? new ArrayBuffer(0)),
      put: async (name, value) => {
        await (await gateway.tokens()).put(name, typeof value === 'string' ? value : new Uint8Array(value))
        left--
        if (left === 0) await gateway.reload()
      },
    },
  }
}

async function runCases(found: Catalogue, cases: readonly Case[], adapter: Adapter): Promise<readonly Verdict[]> {
  const { results } = await found.runCases({
    profile: PROFILE,
    cases,
    adapter,
    only: ONLY,
    slow: values.slow,
    log: (line) => console.log(line),
  })
  return results
}

function isChosen({ id, title }: Case): boolean {
  return ONLY === undefined || ONLY.test(`${id} ${title}`)
}

/** T43: nothing the Worker prints may hold a secret, a token, or the text of one. One verdict more, for the whole run. */
function watchOutput({ canaries }: Catalogue) {
  const forbidden = [...Object.values(canaries), 'at-rasA-', 'at-rasB-', 'eyJ']
  const found: string[] = []
  let lines = 0
  return {
    see: (line: string) => {
      lines++
      const held = forbidden.find((text) => line.includes(text))
      if (held !== undefined) found.push(`${held} in ${line.slice(0, 160)}`)
    },
    verdict: (id: string): Verdict => ({
      id,
      title: `no secret in ${lines} lines of output`,
      v: found.slice(0, 5).map((msg) => ({ sev: 'critical', code: 'LOGGED', msg })),
    }),
  }
}
