// `npm run catalogue`: runs the bad-input catalogue of ../shared against the built Worker in workerd.
//
//   --only REGEX         cases whose id or title matches
//   --quick              without those that wait for a deadline, and without the random ones
//   --fuzz SEED COUNT    so many random cases made from a seed, instead of the catalogue
//                        (without it: the catalogue, and then 2,000 of a seed that is printed)
//   --report FILE        every verdict, as JSON
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import * as v from 'valibot'
import { randomInt } from 'node:crypto'
import { launchGateway, type LaunchOptions, type RunningGateway } from '../../src/cli/launch.ts'
import { launchDisturbed, type DisturbedGateway } from '../support/disturbed.ts'
import { REVOKE_PATH, startFront } from './front.ts'
import { loadCatalogue, type Adapter, type Case, type Catalogue, type Verdict, type World } from './runner.ts'

const PORT = 28_787
const BASE = `http://127.0.0.1:${PORT}`
const CONFIG = readFileSync(new URL('../fixtures/catalogue.jsonc', import.meta.url), 'utf8')

const FUZZ_CASES = 2_000

/** Where this build has its surfaces, and which of the catalogue's features it has. */
function profileOf(found: Catalogue, world: World) {
  return {
    base: BASE,
    proxy: { path: '/proxy/{resource}{path}' },
    broker: { token: '/token', issuer: BASE },
    admin: {
      base: '/admin/api',
      // Anew each time: the catalogue takes longer than a token lives.
      get header() {
        return ['Authorization', `Bearer ${found.mint({ user: 'root', c: { groups: ['admins'] } }, world)}`]
      },
      revoke: { method: 'POST', path: REVOKE_PATH },
    },
    features: ['proxy', 'broker', 'jti', 'dpop', 'admin', 'revoke'],
  }
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
    quick: { type: 'boolean', default: false },
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
  const world = await found.startWorld()
  try {
    return await runIn(world, found)
  } finally {
    world.close()
  }
}

async function runIn(world: World, found: Catalogue): Promise<number> {
  const cases = chooseCases(found)
  const needsStore = ({ needs }: Case) => needs?.some((need) => need === 'kv' || need === 'kvfault') === true
  const [withStore, plain] = [cases.filter(needsStore), cases.filter((entry) => !needsStore(entry))]
  const results = [...(await runPlain(found, world, plain)), ...(await runWithStore(found, world, withStore))]
  if (values.fuzz === undefined && ONLY === undefined && !values.quick) {
    const seed = randomInt(2 ** 32 - 1)
    console.log(`fuzz: ${FUZZ_CASES} cases of the seed ${seed}; again by --fuzz ${seed} ${FUZZ_CASES}`)
    results.push(...(await runPlain(found, world, found.fuzz(seed, FUZZ_CASES).map(onFreshCircuits), 'OUTPUT-3')))
  }
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
  if (values.fuzz !== undefined) return fuzz(Number(values.fuzz), Number(positionals[0] ?? 500)).map(onFreshCircuits)
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

async function runPlain(
  found: Catalogue,
  world: World,
  cases: readonly Case[],
  verdict = 'OUTPUT-1',
): Promise<readonly Verdict[]> {
  if (!cases.some(isChosen)) return []
  const output = watchOutput(found)
  const gateway = await launchGateway(launchOptions(found, output.see))
  const results = await runBehind(found, world, gateway, cases, { cold: () => gateway.reload() })
  return [...results, output.verdict(verdict)]
}

/** On a gateway of its own, because these change every entry there is. */
async function runWithStore(found: Catalogue, world: World, cases: readonly Case[]): Promise<readonly Verdict[]> {
  if (!cases.some(isChosen)) return []
  const output = watchOutput(found)
  const gateway = await launchDisturbed(launchOptions(found, output.see))
  const results = await runBehind(found, world, gateway, cases, storeAdapter(gateway))
  return [...results, output.verdict('OUTPUT-2')]
}

function launchOptions(found: Catalogue, see: (line: string) => void): LaunchOptions {
  return {
    config: { fileName: 'catalogue.jsonc', text: CONFIG },
    secrets: secretsOf(found),
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

/** Ends the gateway. */
async function runBehind(
  found: Catalogue,
  world: World,
  gateway: RunningGateway,
  cases: readonly Case[],
  adapter: Adapter,
): Promise<readonly Verdict[]> {
  const idps = Object.fromEntries(Object.entries(world.idps).map(([name, { issuer }]) => [issuer, name]))
  const front = await startFront(PORT, gateway.url, idps)
  try {
    const { results } = await found.runCases({
      profile: profileOf(found, world),
      world,
      cases,
      adapter,
      only: ONLY,
      slow: !values.quick,
      log: (line) => console.log(line),
    })
    return results
  } finally {
    await front.close()
    await gateway.close()
  }
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
