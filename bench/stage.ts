// What stands on the stage: one workerd with jagway in several isolates, and one with a Worker that only passes requests on,
// each with the same other side inside it, reached by the same `fetch`. Everything jagway has is on.

import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'
import { bundle } from '../src/cli/bundle.ts'
import { startRuntime, type Runtime, type Service } from './runtime.ts'
import type { Issuer } from './users.ts'

/** What the other side counts: `inside/upstream.ts` and `inside/kv.ts`. */
export type Counts = Readonly<Record<string, number>>

export type GatewayStage<Isolate extends string> = {
  readonly runtime: Runtime
  readonly port: (isolate: Isolate) => number
  /** What the other side has seen so far. */
  readonly counts: () => Promise<Counts>
  readonly stop: () => Promise<void>
}

export type GatewayOptions<Isolate extends string> = {
  readonly code: string
  readonly jwks: Issuer['jwks']
  /** They share one KV and one set of Durable Objects, which live in the first. */
  readonly isolates: readonly [Isolate, ...Isolate[]]
  /** As in the configuration. */
  readonly maxStaleness: string
}

export const PREFIX = '/r/items'
export const ADMINS = 'admins'

/** What `wrangler deploy` uploads: the same entry, the same constants, minified. */
export async function deployedBundle(): Promise<string> {
  const code = await bundle(fileURLToPath(new URL('../src/worker.ts', import.meta.url)), { JAGWAY_LOCAL: 'false' })
  return minified(code)
}

async function minified(code: string): Promise<string> {
  return (await transform(code, { minify: true, treeShaking: true, format: 'esm', target: 'es2024' })).code
}

export async function setGateway<Isolate extends string>(
  options: GatewayOptions<Isolate>,
): Promise<GatewayStage<Isolate>> {
  const [upstream, kv] = await Promise.all([inside('upstream'), inside('kv')])
  const [first, ...others] = options.isolates
  const gateway: Service = {
    code: options.code,
    texts: { 'jagway.jsonc': JSON.stringify(configuration(options.jwks, options.maxStaleness)) },
    secrets: {
      JAGWAY_SEALING_KEY: randomBytes(32).toString('base64url'),
      IDP_SECRET: randomBytes(32).toString('base64url'),
      RAS_SECRET: randomBytes(32).toString('base64url'),
    },
    kv: { TOKENS: 'kv' },
    objects: {
      FLIGHTS: 'Flight',
      REPLAYS: 'Replay',
      REVOCATIONS: 'RevocationBook',
      LEDGERS: 'Ledger',
      DECISIONS: 'DecisionBook',
    },
    outbound: 'upstream',
    flags: ['global_fetch_strictly_public'],
  }
  const runtime = await startRuntime({
    [first]: gateway,
    ...Object.fromEntries(others.map((isolate) => [isolate, { ...gateway, objectsOf: first }])),
    kv: { code: kv },
    upstream: { code: upstream },
  })
  return {
    runtime,
    port: (isolate) => runtime.port(isolate),
    counts: async () => {
      const [ofUpstream, ofKv] = await Promise.all([countsOf(runtime, 'upstream'), countsOf(runtime, 'kv')])
      return { ...ofUpstream, ...ofKv }
    },
    stop: () => runtime.stop(),
  }
}

/** The Workers that jagway is compared with. */
export async function setBare(): Promise<Runtime> {
  const [upstream, bare, floor] = await Promise.all([inside('upstream'), inside('bare'), inside('floor')])
  return startRuntime({
    bare: { code: bare, outbound: 'upstream' },
    floor: { code: floor, outbound: 'upstream' },
    upstream: { code: upstream },
  })
}

async function countsOf(runtime: Runtime, service: string): Promise<Counts> {
  const answer = await fetch(`http://127.0.0.1:${runtime.port(service)}/counts`)
  const counts: Counts = JSON.parse(await answer.text())
  return counts
}

async function inside(name: string): Promise<string> {
  return minified(await bundle(fileURLToPath(new URL(`./inside/${name}.ts`, import.meta.url))))
}

/** Names with https, as in production: where they lead is the business of `globalOutbound`. */
export function configuration(
  jwks: Issuer['jwks'],
  maxStaleness: string,
  resources: readonly string[] = ['items'],
): object {
  const basic = (secret: string): object => ({ method: 'client_secret_basic', secret: { secret } })
  return {
    version: 1,
    public_url: 'https://gateway.example',
    idps: {
      acme: {
        issuer: 'https://idp.example',
        token_endpoint: 'https://idp.example/token',
        jwks,
        claims: { groups: 'groups' },
        clients: { gateway: { id: 'gateway-at-idp', auth: basic('IDP_SECRET'), edge_client: 'people' } },
      },
    },
    clients: { people: { subject_tokens: ['acme/gateway'] } },
    resources: Object.fromEntries(
      resources.map((name) => [
        name,
        {
          kind: 'id-jag',
          authorization_server: { issuer: 'https://ras.example', token_endpoint: 'https://ras.example/token' },
          resource: `https://api.example/${name}/v1`,
          client: { id: 'gateway-at-ras', auth: basic('RAS_SECRET') },
          scopes: [`${name}.read`, `${name}.write`],
          proxy: { path: `/r/${name}`, upstream: 'https://api.example' },
        },
      ]),
    ),
    policy: {
      rules: [
        {
          id: 'engineering',
          effect: 'allow',
          who: { groups: ['engineering'], clients: ['people'] },
          resources,
          methods: ['GET', 'POST', 'PATCH'],
          scopes: resources.flatMap((name) => [`${name}.read`, `${name}.write`]),
          paths: ['/v1/*'],
        },
        { id: 'no-contractors', effect: 'deny', who: { groups: ['contractors'] }, resources },
      ],
    },
    cache: { max_ttl: '1h', refresh_before: '60s' },
    revocation: { max_staleness: maxStaleness },
    quota: { id_jags_per_user_resource_month: 250 },
    admin: { id_token: { view: { groups: [ADMINS] }, revoke: { groups: [ADMINS] } } },
    audit: { sinks: ['console'] },
  }
}
