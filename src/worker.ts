// The entry of the Worker, and the only file that sees the environment: bindings and configuration in, the app out. All of
// it happens in global scope, so that a wrong configuration or a missing secret fails the start and never a request.
import { env } from 'cloudflare:workers'
import configText from '../jagway.jsonc'
import { createApp } from './app.ts'
import { ConfigError, parseConfig } from './config/config.ts'
import { createCredentials, createKeyRing, createTokenWork } from './credentials/credentials.ts'
import { createGateway } from './gateway/gateway.ts'
import { createIdentity } from './identity/identity.ts'
import { createDiscovery } from './oauth/metadata.ts'
import {
  createBackground,
  createConsoleSink,
  createFetch,
  createForward,
  createReplayGuard,
  createSecrets,
  createSingleFlight,
  createTokenStore,
  flightClass,
  missingSecrets,
  systemClock,
  type Env,
} from './platform/cloudflare.ts'
import { createPolicy } from './policy/policy.ts'
import { createTokenEndpoint } from './token/token.ts'

export { Replay } from './platform/cloudflare.ts'

// True only in bundles made by `jagway serve`, `jagway dev` and tests: a deployed Worker takes neither http nor loopback.
const local = typeof JAGWAY_LOCAL !== 'undefined' && JAGWAY_LOCAL

const parsed = parseConfig(configText, { fileName: 'jagway.jsonc', local })
if (!parsed.ok) throw new ConfigError(configText, parsed.error)
const config = parsed.value

const missing = missingSecrets(env, config.secretNames)
if (missing.length > 0) throw new Error(`secrets that jagway.jsonc names are not set: ${missing.join(', ')}`)

const clock = systemClock
const fetch = createFetch()
const background = createBackground()
const secrets = createSecrets(env)
const discovery = createDiscovery({ fetch, clock, background }, { local })
const ring = createKeyRing(config.cache.sealingKeys, secrets)
const store = createTokenStore(env.TOKENS)

const identity = createIdentity(config, {
  fetch,
  clock,
  background,
  secrets,
  discovery,
  replay: createReplayGuard(env.REPLAYS),
})
const policy = createPolicy(config.rules, config.resources.values())
const credentials = createCredentials({ store, clock, background, flight: createSingleFlight(env.FLIGHTS) }, ring)

const app = createApp({
  config,
  clock,
  gateway: createGateway({ identity, policy, credentials, clock, fetch: createForward() }),
  token: createTokenEndpoint({ config, identity, policy, credentials, clock }),
  sinks: config.audit.sinks.map(() => createConsoleSink()),
})

const work = createTokenWork(config, { fetch, clock, background, secrets, store, discovery }, ring)

/** One object per token: see `platform/flight.ts`. */
export class Flight extends flightClass(() => work) {}

export default { fetch: (request) => app(request) } satisfies ExportedHandler<Env>
