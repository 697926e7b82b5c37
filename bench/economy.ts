// A working day in a second: how many ID-JAGs one user costs per resource. `node bench/economy.ts` alone, and a part of
// `npm run bench`.
//
// The rooms are the real ones, wired as worker.ts wires them, over the memory ground and a clock that is moved by hand. KV is
// at its worst: each location answers look-ups from its own copy for a minute, be it a copy of a value or of an absence.
// Isolates come and go. Each user has two devices; each of them signs in again every hour, at its own minute, so that two ID
// tokens of one user are always in use, and now and then one that is about to end. Some requests come as three at once, at
// three isolates, as pages send them. Nothing is left to chance: the same day comes out every time.

import { createRecorder } from '../src/audit/audit.ts'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { createApp, type App } from '../src/app.ts'
import { parseConfig, renderProblems, type Config } from '../src/config/config.ts'
import {
  createCredentials,
  createCutter,
  createIntroducer,
  createIssuedTokens,
  createKeyRing,
  createWork,
} from '../src/credentials/credentials.ts'
import { createGateway } from '../src/gateway/gateway.ts'
import { createIdentity } from '../src/identity/identity.ts'
import { createLimits } from '../src/limits/limits.ts'
import { createDiscovery } from '../src/oauth/metadata.ts'
import { Secret } from '../src/lib/secret.ts'
import {
  createCollectingBackground,
  createManualClock,
  createMemoryIntroductions,
  createMemoryRegistry,
  createMemoryReplayGuard,
  createMemoryRevocationLog,
  createMemorySingleFlight,
  createMemoryTokenStore,
} from '../src/platform/memory.ts'
import { createPolicy } from '../src/policy/policy.ts'
import type { Certificates, Fetch, Secrets } from '../src/ports.ts'
import { createRevocations } from '../src/revocation/revocation.ts'
import { createClientEndpoints } from '../src/token/token.ts'
import { configuration } from './stage.ts'
import { createIssuer, type Issuer } from './users.ts'

export type DayPlan = {
  readonly users: number
  readonly resources: number
  /** They share KV and the Durable Objects and stand at `LOCATIONS` in turn. */
  readonly isolates: number
}

export type DayFigures = {
  /** The most that any user and resource has cost; what the day is judged by. */
  readonly idJagsPerUserResource: number
  readonly idJags: number
  readonly redemptions: number
  readonly requests: number
}

/** Eight hours in tokens of one hour; refreshing ahead costs the ninth. */
export const MAX_ID_JAGS = 9

const DAY_SECONDS = 8 * 3600
const HOUR = 3600
const LOCATIONS = ['fra', 'iad', 'sin'] as const
const DEVICES = 2
const PAGE_REQUESTS = 3
/** Every so many requests of a user at a resource come as a page. */
const PAGE_EVERY = 7
/** An isolate lives about this long. */
const ISOLATE_SECONDS = 2400

type Visit = { readonly at: number; readonly user: number; readonly resource: number; readonly number: number }

export async function simulateDay(plan: DayPlan): Promise<DayFigures> {
  const issuer = await createIssuer()
  const names = Array.from({ length: plan.resources }, (_, index) => `resource-${index}`)
  const config = readConfig(issuer, names)
  const random = createRandom()
  const clock = createManualClock()
  const ground = createGround(config, clock)
  const isolates = Array.from({ length: plan.isolates }, (_, index) => {
    const location = LOCATIONS[index % LOCATIONS.length] ?? ''
    return { location, app: ground.isolate(location), endsAt: random() * ISOLATE_SECONDS }
  })
  const start = clock.now()
  const tokens = new Map<string, Promise<string>>()
  const tokenOf = ({ at, user, number }: Visit): Promise<string> => {
    const device = number % DEVICES
    const minute = ((user * DEVICES + device) * 997) % HOUR
    // The last sign-in of this device; the first one was before the day began.
    const signedInAt = Math.floor((at - minute) / HOUR) * HOUR + minute
    const key = `${user} ${signedInAt}`
    const token = tokens.get(key) ?? issuer.idToken(`user-${user}`, { now: start + signedInAt })
    tokens.set(key, token)
    return token
  }

  let elapsed = 0
  let requests = 0
  for (const visit of visitsOf(plan, random)) {
    clock.advance(visit.at - elapsed)
    elapsed = visit.at
    for (const isolate of isolates) {
      if (isolate.endsAt > elapsed) continue
      isolate.app = ground.isolate(isolate.location)
      isolate.endsAt = elapsed + ISOLATE_SECONDS * (0.5 + random())
    }
    const authorization = `Bearer ${await tokenOf(visit)}`
    const count = visit.number % PAGE_EVERY === 0 ? PAGE_REQUESTS : 1
    const first = Math.floor(random() * isolates.length)
    const url = `https://gateway.example/r/${names[visit.resource] ?? ''}/v1/items/1`
    const ask = async (index: number): Promise<Response | undefined> =>
      isolates[(first + index) % isolates.length]?.app(new Request(url, { headers: { authorization } }))
    const answers = await Promise.all(Array.from({ length: count }, (_, index) => ask(index)))
    for (const answer of answers) {
      requests += 1
      const owner = await answer?.text()
      if (answer?.status !== 200) throw new Error(`economy: ${answer?.status} after ${elapsed} s\n${owner}`)
      if (owner !== `user-${visit.user} ${names[visit.resource]}`) throw new Error(`economy: the token of ${owner}`)
    }
    await ground.settle()
  }
  const counted = ground.idJags()
  if (counted.size !== plan.users * plan.resources) throw new Error('economy: somebody has not been counted')
  return {
    idJagsPerUserResource: Math.max(...counted.values()),
    idJags: [...counted.values()].reduce((sum, count) => sum + count, 0),
    redemptions: ground.redemptions(),
    requests,
  }
}

/** Each user asks each resource every one to five minutes; beginnings are a few minutes apart. */
function visitsOf({ users, resources }: DayPlan, random: () => number): readonly Visit[] {
  const visits: Visit[] = []
  for (let user = 0; user < users; user++) {
    for (let resource = 0; resource < resources; resource++) {
      const begin = random() * 300
      for (let at = begin, number = 0; at < begin + DAY_SECONDS; at += 60 + random() * 240, number++)
        visits.push({ at, user, resource, number })
    }
  }
  return visits.toSorted((one, other) => one.at - other.at)
}

type Ground = {
  readonly isolate: (location: string) => App
  readonly settle: () => Promise<void>
  /** ID-JAGs that the identity provider has issued, by user and resource. */
  readonly idJags: () => ReadonlyMap<string, number>
  readonly redemptions: () => number
}

/** What worker.ts does, with as many isolates as are asked for. */
function createGround(config: Config, clock: ReturnType<typeof createManualClock>): Ground {
  const network = createNetwork(() => clock.now())
  const { fetch } = network
  const { background, settle, failures } = createCollectingBackground()
  const secrets: Secrets = async (name) => new Secret(`${name} of more than forty characters, as it has to be`)
  const store = createMemoryTokenStore({ clock })
  const log = createMemoryRevocationLog({ clock })
  const registry = createMemoryRegistry({ clock })
  const replay = createMemoryReplayGuard({ clock })
  const certificates: Certificates = (name) => () => Promise.reject(new Error(`no certificate ${name}`))
  const newRing = () => createKeyRing(config.cache.sealingKeys, secrets)
  const newDiscovery = () => createDiscovery({ fetch, clock, background }, { local: false })
  const newRevocations = () => createRevocations(config.revocation.maxStalenessSeconds, { log, clock, background })
  const newIdentity = (discovery = newDiscovery()) =>
    createIdentity(config, { fetch, clock, background, secrets, discovery, replay })
  const introductions = createMemoryIntroductions({ clock, background, work: (...job) => work.subject(...job) })
  const work = createWork(
    config,
    {
      fetch,
      clock,
      background,
      secrets,
      certificates,
      registry,
      store: store.at('flight'),
      discovery: newDiscovery(),
      revocations: newRevocations(),
      introductions,
      replay,
    },
    newRing(),
    newIdentity(),
  )
  const flight = createMemorySingleFlight({ clock, background, work: work.token })
  return {
    idJags: network.idJags,
    redemptions: network.redemptions,
    async settle() {
      await settle()
      if (failures.length > 0) throw failures[0]
    },
    isolate(location) {
      const discovery = newDiscovery()
      const identity = newIdentity(discovery)
      const policy = createPolicy(config.rules, config.resources.values())
      const revocations = newRevocations()
      const credentials = createCredentials(
        { store: store.at(location), clock, background, flight },
        newRing(),
        config.cache.maxTtlSeconds,
      )
      const ports = { store: store.at(location), introductions, clock }
      const introducer = createIntroducer(ports, newRing(), config.cache.maxTtlSeconds)
      // No client here has a limit.
      const limits = createLimits(config, { take: async () => true })
      const recorder = createRecorder([{ write: () => undefined }], clock, config, '0123456789ab')
      const doors = { recorder, identity, limits, policy, revocations, credentials, clock }
      const gateway = createGateway({ ...doors, fetch: (url, init) => fetch(new Request(url, init)) })
      const cutterPorts = { flight, store: store.at(location), fetch, secrets, certificates, discovery }
      const cutter = createCutter(config, cutterPorts, newRing())
      const issued = createIssuedTokens(config, { registry, log, cutter, revocations, clock, background }, newRing())
      const clients = createClientEndpoints({ ...doors, introducer, config, issued })
      return createApp({ config, clock, secrets, gateway, clients, recorder })
    },
  }
}

function readConfig(issuer: Issuer, resources: readonly string[]): Config {
  const text = JSON.stringify(configuration(issuer.jwks, '10s', resources))
  const config = parseConfig(text, { fileName: 'economy.jsonc', local: false })
  if (!config.ok) throw new Error(renderProblems(text, config.error))
  return config.value
}

/** Identity provider, authorization server and API. A token says whose it is, and the API says it back. */
function createNetwork(now: () => number) {
  const idJags = new Map<string, number>()
  let redemptions = 0
  const exchange = (form: URLSearchParams): Response => {
    const { sub } = payloadOf(form.get('subject_token') ?? '')
    const resource = form.get('resource') ?? ''
    const key = `${String(sub)} ${resource}`
    idJags.set(key, (idJags.get(key) ?? 0) + 1)
    const claims = {
      iss: 'https://idp.example',
      aud: form.get('audience'),
      client_id: 'gateway-at-ras',
      sub,
      jti: crypto.randomUUID(),
      iat: now(),
      exp: now() + 300,
      resource,
      scope: form.get('scope'),
    }
    // Nobody verifies its signature, so it has none worth the name.
    const parts = [JSON.stringify({ alg: 'RS256', typ: 'oauth-id-jag+jwt' }), JSON.stringify(claims), 'signature']
    return Response.json({
      access_token: parts.map((part) => Buffer.from(part).toString('base64url')).join('.'),
      issued_token_type: 'urn:ietf:params:oauth:token-type:id-jag',
      token_type: 'N_A',
      expires_in: 300,
    })
  }
  const redeem = (form: URLSearchParams): Response => {
    redemptions += 1
    const { sub, resource } = payloadOf(form.get('assertion') ?? '')
    const name = /^https:\/\/api\.example\/([^/]+)\/v1$/.exec(String(resource))?.[1] ?? ''
    const token = Buffer.from(JSON.stringify({ owner: `${String(sub)} ${name}`, until: now() + HOUR })).toString(
      'base64url',
    )
    return Response.json({ access_token: token, token_type: 'Bearer', expires_in: HOUR })
  }
  const api = (authorization: string): Response => {
    const token: { readonly owner: string; readonly until: number } = JSON.parse(
      Buffer.from(authorization.slice('Bearer '.length), 'base64url').toString(),
    )
    return now() < token.until ? new Response(token.owner) : new Response('expired', { status: 401 })
  }
  const fetch: Fetch = async (request) => {
    if (request.url === 'https://idp.example/token') return exchange(new URLSearchParams(await request.text()))
    if (request.url === 'https://ras.example/token') return redeem(new URLSearchParams(await request.text()))
    return api(request.headers.get('authorization') ?? '')
  }
  return { fetch, idJags: () => idJags, redemptions: () => redemptions }
}

function payloadOf(jwt: string): Readonly<Record<string, unknown>> {
  const claims: Readonly<Record<string, unknown>> = JSON.parse(
    Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString(),
  )
  return claims
}

/** Numbers from 0 to 1 that look random and are the same every time (mulberry32). */
function createRandom(): () => number {
  let state = 4711
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      users: { type: 'string', default: '6' },
      resources: { type: 'string', default: '4' },
      isolates: { type: 'string', default: '4' },
    },
  })
  const figures = await simulateDay({
    users: Number(values.users),
    resources: Number(values.resources),
    isolates: Number(values.isolates),
  })
  console.log(JSON.stringify(figures))
  if (figures.idJagsPerUserResource > MAX_ID_JAGS) process.exitCode = 1
}
