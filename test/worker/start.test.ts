// What the Worker says instead of starting, where the deployment lacks what its configuration needs. Nothing between it and the
// platform looks first.
import process from 'node:process'
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'
import { describe, expect, test } from 'vitest'
import { workerBundle } from '../../src/cli/bundle.ts'
import { launchGateway, OBJECTS } from '../../src/cli/launch.ts'

const CONFIG = `{
  "version": 1,
  "public_url": "https://gateway.example",
  "idps": {
    "corp": {
      "issuer": "https://idp.example",
      "clients": {
        "gw": {
          "id": "gw",
          "auth": { "method": "client_secret_basic", "secret": { "secret": "CORP_SECRET" } },
          "edge_client": "people",
        },
      },
    },
  },
  "clients": { "people": { "subject_tokens": ["corp/gw"], "rate_limit": { "binding": "CALLS", "limit": 10, "period": "10s" } } },
  "resources": {
    "tasks": {
      "kind": "id-jag",
      "authorization_server": { "issuer": "https://as.example" },
      "resource": "https://api.example/",
      "client": { "id": "us", "auth": { "method": "client_secret_basic", "secret": { "secret": "CORP_SECRET" } } },
      "scopes": ["read"],
      "proxy": { "path": "/r/tasks", "upstream": "https://api.example" },
    },
  },
  "policy": { "rules": [{ "id": "all", "effect": "allow", "who": { "clients": ["people"] }, "resources": ["tasks"] }] },
}
`
const SEALING_KEY = '0123456789012345678901234567890123456789012'
const COUNTERS = { CALLS: { namespace_id: '1', simple: { limit: 10, period: 10 as const } } }

type Bindings = {
  readonly secrets: Readonly<Record<string, string>>
  readonly counters?: typeof COUNTERS
  readonly store?: boolean
  /** The bindings of objects that are left out. */
  readonly without?: readonly string[]
}

/** What the Worker has to say when it is started with these, and with no more. */
async function start({ secrets, counters, store = true, without = [] }: Bindings): Promise<string> {
  const bound = Object.entries(OBJECTS).filter(([binding]) => !without.includes(binding))
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      telemetry: { enabled: false },
      log: new Log(LogLevel.NONE),
      handleStructuredLogs: () => undefined,
      modulesRoot: process.cwd(),
      modules: [
        { type: 'ESModule', path: 'worker.mjs', contents: await workerBundle() },
        { type: 'Text', path: 'jagway.jsonc', contents: CONFIG },
      ],
      compatibilityDate: '2026-10-23',
      bindings: { ...secrets },
      ...(counters === undefined ? {} : { ratelimits: counters }),
      ...(store ? { kvNamespaces: { TOKENS: 'tokens' } } : {}),
      durableObjects: Object.fromEntries(
        bound.map(([binding, className]) => [binding, { className, useSQLite: true }]),
      ),
    }),
  )
  try {
    await runtime.ready
    return 'started'
  } catch (error) {
    // workerd reports in JSON.
    return String(error).replaceAll('\\"', '"').replaceAll('\\n', '\n')
  } finally {
    await runtime.dispose().catch(() => undefined)
  }
}

const COMPLETE = { secrets: { JAGWAY_SEALING_KEY: SEALING_KEY, CORP_SECRET: 'CANARY-secret' }, counters: COUNTERS }

describe('the Worker', () => {
  test('starts where all is there', async () => {
    expect(await start(COMPLETE)).toBe('started')
  })

  test('says which secret has no value, and where the file names it', async () => {
    const said = await start({ ...COMPLETE, secrets: { JAGWAY_SEALING_KEY: SEALING_KEY } })
    expect(said).toContain('jagway.jsonc:10:76 error CFG113 the secret CORP_SECRET has no value here')
    expect(said).toContain('wrangler secret put CORP_SECRET')
  })

  test('says which rate limit is not bound, and that a sealing key is too short, in one go and without its value', async () => {
    const said = await start({ secrets: { ...COMPLETE.secrets, JAGWAY_SEALING_KEY: 'CANARY-short' } })
    expect(said).toContain('error CFG114 the sealing key JAGWAY_SEALING_KEY is too short')
    expect(said).toMatch(/jagway\.jsonc:16:\d+ error CFG115 no rate limit is bound as CALLS/)
    expect(said).not.toContain('CANARY')
  })

  test('says which bindings wrangler.toml lacks, of all there must be', async () => {
    const objects = Object.keys(OBJECTS)
    const said = await start({ ...COMPLETE, store: false, without: objects })
    const lacking = [
      '[[kv_namespaces]] with binding = "TOKENS"',
      ...objects.map((name) => `[[durable_objects.bindings]] with name = "${name}"`),
    ]
    expect(said).toContain(`CFG115 wrangler.toml lacks ${lacking.join(', ')}`)
  })
})

test('`jagway serve` says it without a Worker', async () => {
  const launched = launchGateway({
    config: { fileName: 'mine.jsonc', text: CONFIG.replace('https://gateway.example', 'http://127.0.0.1:1') },
  })
  await expect(launched).rejects.toThrow('mine.jsonc:10:76 error CFG113 the secret CORP_SECRET has no value here')
})
