// The entry of the Worker, and the only file that sees the environment: bindings and configuration in, the app out. All of
// it happens in global scope, so that a wrong configuration or a missing secret fails the start and never a request.
import { env } from 'cloudflare:workers'
import configText from '../jagway.jsonc'
import { createAdmin } from './admin/admin.ts'
import { createApp } from './app.ts'
import {
  createArchive,
  createDecisionSink,
  createHttpSink,
  createQueueSink,
  createRecorder,
  FORMATS,
  hashConfig,
  toSpanAttributes,
} from './audit/audit.ts'
import { ConfigError, parseConfig, placeUnmet, type AuditSinkConfig, type Unmet } from './config/config.ts'
import {
  createCredentials,
  createCutter,
  createIntroducer,
  createIssuedTokens,
  createKeyRing,
  createWork,
} from './credentials/credentials.ts'
import { createGateway } from './gateway/gateway.ts'
import { createIdentity } from './identity/identity.ts'
import { createLimits } from './limits/limits.ts'
import { createDiscovery } from './oauth/metadata.ts'
import {
  createBackground,
  createBucket,
  createCertificates,
  createConsoleSink,
  createDecisionLog,
  createEventQueue,
  createFetch,
  createIntroductions,
  createLocalFlight,
  createRateLimiter,
  createRegistry,
  createForward,
  createReplayGuard,
  createRevocationLog,
  createSecrets,
  createSingleFlight,
  createSpanSink,
  createTokenStore,
  flightClass,
  missingBindings,
  missingLimiters,
  missingCertificates,
  missingSecrets,
  missingTrail,
  sleep,
  systemClock,
  weakSealingKeys,
  type Env,
} from './platform/cloudflare.ts'
import { createPolicy } from './policy/policy.ts'
import type { AuditSink } from './ports.ts'
import { createRevocations } from './revocation/revocation.ts'
import { createClientEndpoints } from './token/token.ts'

export { DecisionBook, Ledger, Replay, RevocationBook } from './platform/cloudflare.ts'

// True only in bundles made by `jagway serve`, `jagway dev` and tests: a deployed Worker takes neither http nor loopback.
const local = typeof JAGWAY_LOCAL !== 'undefined' && JAGWAY_LOCAL

const parsed = parseConfig(configText, { fileName: 'jagway.jsonc', local })
if (!parsed.ok) throw new ConfigError(configText, parsed.error)
const config = parsed.value

const absent = missingBindings(env)
if (absent.length > 0) throw new Error(`CFG115 wrangler.toml lacks ${absent.join(', ')}`)
const unmet: readonly Unmet[] = [
  ...missingSecrets(env, config.secretNames).map((name) => ({ kind: 'secret', name }) as const),
  ...weakSealingKeys(env, config.cache.sealingKeys).map((name) => ({ kind: 'secret', name, weak: true }) as const),
  ...missingCertificates(env, config.certificateNames).map((name) => ({ kind: 'certificate', name }) as const),
  ...missingLimiters(env, config.rateLimits.keys()).map((name) => ({ kind: 'limit', name }) as const),
  ...missingTrail(env, config.audit.queue),
]
if (unmet.length > 0) throw new ConfigError(configText, placeUnmet(unmet, configText, 'jagway.jsonc'))

const clock = systemClock
const fetch = createFetch()
const background = createBackground()
const secrets = createSecrets(env)
const certificates = createCertificates(env)
const discovery = createDiscovery({ fetch, clock, background }, { local })
const ring = createKeyRing(config.cache.sealingKeys, secrets)
const store = createTokenStore(env.TOKENS)

const replay = createReplayGuard(env.REPLAYS)
const identity = createIdentity(config, {
  fetch,
  clock,
  background,
  secrets,
  discovery,
  replay,
})
const policy = createPolicy(config.rules, config.resources.values())
const log = createRevocationLog(env.REVOCATIONS)
const registry = createRegistry(env.LEDGERS)
const revocations = createRevocations(config.revocation.maxStalenessSeconds, { log, clock, background })
const introductions = createIntroductions(env.FLIGHTS)
const work = createWork(
  config,
  { fetch, clock, background, secrets, certificates, store, discovery, registry, revocations, introductions, replay },
  ring,
  identity,
)
const flight = createSingleFlight(env.FLIGHTS, createLocalFlight({ work: work.token, clock, background }))
const { maxTtlSeconds } = config.cache
const credentials = createCredentials({ store, clock, background, flight }, ring, maxTtlSeconds)
const introducer = createIntroducer({ store, introductions, clock }, ring, maxTtlSeconds)

const cutter = createCutter(config, { flight, store, fetch, secrets, certificates, discovery }, ring)
const issued = createIssuedTokens(config, { registry, log, cutter, revocations, clock, background }, ring)

const limits = createLimits(config, createRateLimiter(env))
const toLine = FORMATS[config.audit.format]
const sinkPorts = { fetch, background, clock, secrets, sleep, toLine }
const toSink = (sink: AuditSinkConfig): AuditSink => {
  switch (sink.kind) {
    case 'console':
      return createConsoleSink(toLine)
    case 'http':
      return createHttpSink(sink, sinkPorts)
    case 'queue':
      return createQueueSink(createEventQueue(env, sink.binding), sinkPorts)
    case 'trace':
      return createSpanSink(toSpanAttributes)
  }
}
const sinks = config.audit.sinks.map(toSink)
const decisions = createDecisionLog(env.DECISIONS)
// Without an administration nobody could look anything up.
if (config.admin !== undefined) {
  sinks.push(createDecisionSink({ ...sinkPorts, log: decisions }, config.admin.decisionsKept))
}
const recorder = createRecorder(sinks, clock, config, await hashConfig(configText))

const doors = { recorder, identity, limits, policy, revocations, credentials, clock }
const app = createApp({
  config,
  secrets,
  clock,
  gateway: createGateway({ ...doors, fetch: createForward(local) }),
  clients: createClientEndpoints({ ...doors, introducer, config, issued }),
  admin: config.admin && createAdmin({ config, identity, policy, log, registry, cutter, decisions, clock }),
  recorder,
})

const { queue } = config.audit
const archive = createArchive(queue?.bucket === undefined ? undefined : createBucket(env, queue.bucket))

/** One object per token, and per subject token: see `platform/flight.ts`. */
export class Flight extends flightClass(() => work) {}

export default {
  fetch(request, _env, ctx) {
    const answer = app(request, ctx)
    // A caller that hangs up ends its request, but not what the request has begun, nor the record of it.
    ctx.waitUntil(answer)
    return answer
  },
  queue({ messages }) {
    return archive(messages)
  },
} satisfies ExportedHandler<Env>
