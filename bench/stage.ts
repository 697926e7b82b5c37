// What stands on the stage: one workerd with jagway and one with a Worker that only passes requests on, each with the same
// other side inside it, reached by the same `fetch`.

import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'
import { bundle } from '../src/cli/bundle.ts'
import { startRuntime, type Runtime, type Service } from './runtime.ts'
import type { Users } from './users.ts'

/** What the other side counts: `inside/upstream.ts` and `inside/kv.ts`. */
export type Counts = Readonly<Record<string, number>>

export type Stage = {
  /** Three isolates of one Worker with one KV: `seeding`, `hot` and `warm`. */
  readonly jagway: Runtime
  readonly bare: Runtime
  /** What the other side has seen of jagway so far. */
  readonly counts: () => Promise<Counts>
  readonly stop: () => Promise<void>
}

export const PREFIX = '/r/items'

/** What `wrangler deploy` uploads: the same entry, the same constants, minified. */
export async function deployedBundle(): Promise<string> {
  const code = await bundle(fileURLToPath(new URL('../src/worker.ts', import.meta.url)), { JAGWAY_LOCAL: 'false' })
  return minified(code)
}

async function minified(code: string): Promise<string> {
  return (await transform(code, { minify: true, treeShaking: true, format: 'esm', target: 'es2024' })).code
}

export async function setStage(code: string, jwks: Users['jwks']): Promise<Stage> {
  const [upstream, kv, passThrough] = await Promise.all(['upstream', 'kv', 'bare'].map(inside))
  const secrets = {
    JAGWAY_SEALING_KEY: randomBytes(32).toString('base64url'),
    IDP_SECRET: randomBytes(32).toString('base64url'),
    RAS_SECRET: randomBytes(32).toString('base64url'),
  }
  const gateway: Service = {
    code,
    texts: { 'jagway.jsonc': JSON.stringify(configuration(jwks)) },
    secrets,
    kv: { TOKENS: 'kv' },
    objects: { FLIGHTS: 'Flight', REPLAYS: 'Replay' },
    outbound: 'upstream',
    flags: ['global_fetch_strictly_public'],
  }
  const [jagway, bare] = await Promise.all([
    startRuntime({
      seeding: gateway,
      hot: gateway,
      warm: gateway,
      kv: { code: kv ?? '' },
      upstream: { code: upstream ?? '' },
    }),
    startRuntime({ bare: { code: passThrough ?? '', outbound: 'upstream' }, upstream: { code: upstream ?? '' } }),
  ])
  return {
    jagway,
    bare,
    counts: async () => {
      const [ofUpstream, ofKv] = await Promise.all([countsOf(jagway, 'upstream'), countsOf(jagway, 'kv')])
      return { ...ofUpstream, ...ofKv }
    },
    stop: async () => {
      await Promise.all([jagway.stop(), bare.stop()])
    },
  }
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
function configuration(jwks: Users['jwks']): object {
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
    resources: {
      items: {
        kind: 'id-jag',
        authorization_server: { issuer: 'https://ras.example', token_endpoint: 'https://ras.example/token' },
        resource: 'https://api.example/v1',
        client: { id: 'gateway-at-ras', auth: basic('RAS_SECRET') },
        scopes: ['items.read', 'items.write'],
        proxy: { path: PREFIX, upstream: 'https://api.example' },
      },
    },
    policy: {
      rules: [
        {
          id: 'engineering',
          effect: 'allow',
          who: { groups: ['engineering'], clients: ['people'] },
          resources: ['items'],
          scopes: ['items.read', 'items.write'],
          methods: ['GET', 'POST', 'PATCH'],
          paths: ['/v1/*'],
        },
        { id: 'no-contractors', effect: 'deny', who: { groups: ['contractors'] }, resources: ['items'] },
      ],
    },
  }
}
