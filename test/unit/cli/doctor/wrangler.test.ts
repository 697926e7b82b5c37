// wrangler's file, in each of its languages, against what the Worker needs.

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { examineDeployment } from '../../../../src/cli/doctor/deployment.ts'
import { readWranglerFile } from '../../../../src/cli/doctor/wrangler.ts'
import { configOf } from '../../config/example.ts'
import { edit, openTown, visit, WRANGLER, type Town } from './town.ts'

let town: Town

beforeAll(async () => {
  town = await openTown()
})
afterAll(() => town.close())
beforeEach(() => {
  town.mend()
})

const read = (path: string): string => readFileSync(new URL(`../../../../${path}`, import.meta.url), 'utf8')

describe('the deployment', () => {
  it('of this repository is as the doctor wants it', () => {
    const file = readWranglerFile('wrangler.toml', read('wrangler.toml'))
    if (!file.ok) throw new Error('wrangler.toml cannot be read')
    const checks = examineDeployment(file.value, { config: configOf(read('jagway.jsonc')) })
    expect(checks.flatMap(({ findings }) => findings)).toEqual([])
    expect(checks).toHaveLength(3)
  })

  it.each([
    [
      'a Durable Object that is not bound',
      'name = "REPLAYS"',
      'name = "REPLAY"',
      'DOC116',
      'durable_objects.bindings',
      'no Durable Object is bound as REPLAYS',
    ],
    [
      'one of another class',
      'class_name = "Replay"',
      'class_name = "Replays"',
      'DOC116',
      'durable_objects.bindings[1].class_name',
      'REPLAYS is bound to another class',
    ],
    [
      'a class that nothing makes',
      '"Replay", ',
      '',
      'DOC116',
      'durable_objects.bindings[1]',
      'the class Replay is bound, but nothing makes it',
    ],
    [
      'a deployment that takes http',
      'JAGWAY_LOCAL = "false"',
      'JAGWAY_LOCAL = "true"',
      'DOC117',
      'define.JAGWAY_LOCAL',
      'JAGWAY_LOCAL is not false',
    ],
    ['no Worker', 'main = ', 'mian = ', 'DOC117', 'main', 'nothing says which file is the Worker'],
    [
      'no rule for the configuration',
      '**/*.jsonc',
      '**/*.txt',
      'DOC117',
      'rules',
      'does not come into the bundle as text',
    ],
    [
      'the way past the front door',
      '"global_fetch_strictly_public"',
      '',
      'DOC117',
      'compatibility_flags',
      'can reach past the front door',
    ],
    [
      'another compatibility date',
      '2026-10-23',
      '2025-01-01',
      'DOC209',
      'compatibility_date',
      'the compatibility date is 2025-01-01',
    ],
    [
      'a bundle that is not minified',
      'minify = true',
      'minify = false',
      'DOC209',
      'minify',
      'the bundle is not minified',
    ],
    [
      'an address beside',
      'workers_dev = false',
      'workers_dev = true',
      'DOC209',
      'workers_dev',
      'lead past your access rules',
    ],
    [
      'a secret too few',
      '"RAS_SECRET"',
      '',
      'DOC212',
      'secrets.required',
      'names secrets that are not required here: "RAS_SECRET"',
    ],
    [
      'a secret too many',
      '"RAS_SECRET"',
      '"RAS_SECRET", "OLD"',
      'DOC212',
      'secrets.required',
      'the configuration does not name: "OLD"',
    ],
  ])('with %s', async (_, piece, replacement, code, field, words) => {
    const examined = await visit(town, { wrangler: edit(WRANGLER, piece, replacement) })
    expect(examined.codes).toEqual([code])
    expect(examined.placeOf(code)?.field).toBe(field)
    expect(examined.findings(code)[0]?.message).toContain(words)
    expect(examined.report.exitCode).toBe(code.startsWith('DOC1') ? 1 : 0)
  })

  it('is shown in its own frame, in its own file', async () => {
    const wrangler = edit(WRANGLER, 'workers_dev = false', 'workers_dev = true  # for now')
    const examined = await visit(town, { wrangler })
    expect(examined.text).toMatch(
      /wrangler\.toml:5:15 warning DOC209 workers_dev is not false.*\n5 \| workers_dev = true {2}# for now\n {2}\| {15}\^\^\^\^\n/,
    )
    expect(examined.placeOf('DOC209')).toEqual({ field: 'workers_dev', line: 'true' })
  })

  it('binds the rate limits that the configuration counts with, with its numbers', async () => {
    const text = edit(
      town.config,
      '"subject_tokens": ["corp/web"], "auth"',
      '"subject_tokens": ["corp/web"], "rate_limit": { "binding": "BOT_LIMIT", "limit": 5, "period": "10s" }, "auth"',
    )
    const missing = await visit(town, { text, wrangler: WRANGLER })
    expect(missing.findings('DOC116')[0]?.message).toContain('no rate limit is bound as BOT_LIMIT')
    const bound = (limit: number) =>
      `${WRANGLER}\n[[ratelimits]]\nname = "BOT_LIMIT"\nnamespace_id = "1"\nsimple = { limit = ${limit}, period = 10 }\n`
    expect((await visit(town, { text, wrangler: bound(5) })).codes).toEqual([])
    expect((await visit(town, { text, wrangler: bound(6) })).placeOf('DOC209')?.field).toBe('ratelimits[0].simple')
  })

  it('binds the client certificates that the configuration authenticates by, which only the Worker can try', async () => {
    const auth = '"method": "client_secret_basic", "secret": { "secret": "RAS_SECRET" }, "encoding": "form"'
    const text = edit(town.config, auth, '"method": "tls_client_auth", "certificate": { "binding": "TASKS_CERT" }')
    const required = edit(WRANGLER, ', "RAS_SECRET"', '')
    const missing = await visit(town, { text, wrangler: required, token: await town.idToken(), probe: true })
    expect(missing.codes).toEqual(['DOC116'])
    expect(missing.findings('DOC116')[0]?.message).toContain('no client certificate is bound as TASKS_CERT')
    expect(missing.text).toContain('not tried: only the Worker has the client certificate TASKS_CERT')
    expect(town.seen.filter(({ role, path }) => role === 'ras' && path === '/token')).toEqual([])
    const bound = `${required}\n[[mtls_certificates]]\nbinding = "TASKS_CERT"\ncertificate_id = "x"\n`
    expect((await visit(town, { text, wrangler: bound })).codes).toEqual([])
  })

  it('binds the queue and the bucket of audit events, with a consumer that gives nothing up', async () => {
    const audit = '"audit": { "sinks": ["queue"], "queue": { "binding": "EVENTS", "bucket": "STORE" } }, "policy"'
    const text = edit(town.config, '"policy"', audit)
    const producer = '\n[[queues.producers]]\nbinding = "EVENTS"\nqueue = "events"\n'
    const bucket = '\n[[r2_buckets]]\nbinding = "STORE"\nbucket_name = "events"\n'
    const consumer = '\n[[queues.consumers]]\nqueue = "events"\n'
    const messages = async (wrangler: string): Promise<readonly string[]> => {
      const examined = await visit(town, { text, wrangler })
      return [...examined.findings('DOC116'), ...examined.findings('DOC209')].map(({ message }) => message)
    }
    expect(await messages(WRANGLER)).toEqual([
      'no queue is bound as EVENTS: the Worker does not start',
      'no R2 bucket is bound as STORE: the Worker does not start',
    ])
    expect(await messages(WRANGLER + producer + bucket)).toEqual([
      expect.stringContaining('nobody takes the events off the queue'),
    ])
    expect(await messages(WRANGLER + producer + bucket + consumer)).toEqual([expect.stringContaining('are deleted')])
    expect(await messages(`${WRANGLER}${producer}${bucket}${consumer}dead_letter_queue = "dead"\n`)).toEqual([])
  })

  it('is examined for each environment, which has bindings of its own', async () => {
    const wrangler = `${WRANGLER}\n[env.staging]\nworkers_dev = true\n`
    const examined = await visit(town, { wrangler })
    expect(examined.text).toContain('wrangler.toml env.staging')
    expect(examined.codes).toEqual(['DOC116', 'DOC209', 'DOC212'])
    expect(examined.placeOf('DOC209')).toEqual({ field: 'env.staging.workers_dev', line: 'true' })
  })

  it('may be written as JSON with comments', async () => {
    const settings = {
      main: 'src/worker.ts',
      compatibility_date: '2026-10-23',
      compatibility_flags: ['global_fetch_strictly_public'],
      workers_dev: false,
      preview_urls: false,
      minify: true,
      rules: [{ type: 'Text', globs: ['**/*.jsonc'] }],
      kv_namespaces: [{ binding: 'TOKEN' }],
      durable_objects: {
        bindings: [
          { name: 'FLIGHTS', class_name: 'Flight' },
          { name: 'REPLAYS', class_name: 'Replay' },
          { name: 'REVOCATIONS', class_name: 'RevocationBook' },
          { name: 'LEDGERS', class_name: 'Ledger' },
          { name: 'DECISIONS', class_name: 'DecisionBook' },
        ],
      },
      exports: { Flight: {}, Replay: {}, RevocationBook: {}, Ledger: {}, DecisionBook: {} },
      secrets: { required: ['BOT_SECRET', 'IDP_SECRET', 'JAGWAY_SEALING_KEY', 'RAS_SECRET'] },
    }
    const wrangler = `// what is deployed\n${JSON.stringify(settings, undefined, 2)}`
    const examined = await visit(town, { wrangler, wranglerName: 'wrangler.jsonc' })
    expect(examined.codes).toEqual(['DOC116'])
    expect(examined.placeOf('DOC116')?.field).toBe('kv_namespaces')
  })

  it.each([
    ['wrangler.toml', 'name = "jagway"\nmain = = 3\n', 2],
    ['wrangler.json', '{ "name": ', 1],
  ])('that cannot be read, %s, is red at the line of the mistake', async (wranglerName, wrangler, line) => {
    const examined = await visit(town, { wrangler, wranglerName })
    expect(examined.codes).toEqual(['DOC117'])
    expect(examined.findings('DOC117')[0]?.places[0]).toMatchObject({ line })
  })
})
