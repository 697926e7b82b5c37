// The real ground for the contract suite: the bindings of wrangler.toml here, in workerd. Time passes by waiting.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
import { sha256 } from '../../src/lib/digest.ts'
import * as cloudflare from '../../src/platform/cloudflare.ts'
import type { Ground, Platform } from './ground.ts'
import { putInBackground } from './worker.ts'

declare global {
  namespace Cloudflare {
    interface GlobalProps {
      mainModule: typeof import('./worker.ts')
    }
  }
}

const book = () => env.REVOCATIONS.getByName('book')

/** One of 64, by the first character of a digest. */
async function ledgerOf(user: string) {
  return env.LEDGERS.getByName(`user-${(await sha256(user)).slice(0, 1)}`)
}

function tokensOf(digest: string) {
  return env.LEDGERS.getByName(`token-${digest.slice(0, 1)}`)
}

const platform: Platform = {
  cloudflare,
  flights: env.FLIGHTS,
  evict: (flight) => evictDurableObject(env.FLIGHTS.getByName(flight)),
  ring: (flight) => runDurableObjectAlarm(env.FLIGHTS.getByName(flight)),
  stored: (flight) =>
    runInDurableObject(env.FLIGHTS.getByName(flight), async (_object, state) => (await state.storage.list()).size),
  async joinAndHangUp(flight, job, afterMs) {
    const request = new Request(`https://contract.test/${flight}`, {
      method: 'POST',
      body: JSON.stringify(job),
      signal: AbortSignal.timeout(afterMs),
    })
    await exports.default.fetch(request).then(
      () => undefined,
      () => undefined,
    )
  },
  replayRows: (digest) =>
    runInDurableObject(env.REPLAYS.getByName(`replay-${digest.slice(0, 1)}`), (_object, state) => {
      return state.storage.sql.exec('SELECT 1 FROM claims WHERE digest = ?', digest).toArray().length
    }),
  ringReplay: (digest) => runDurableObjectAlarm(env.REPLAYS.getByName(`replay-${digest.slice(0, 1)}`)),
  evictBook: () => evictDurableObject(book()),
  ringBook: () => runDurableObjectAlarm(book()),
  async wipeBook() {
    await runInDurableObject(book(), (_object, state) => state.storage.deleteAll())
    await evictDurableObject(book())
  },
  sqlInBook: (statement, ...values) =>
    runInDurableObject(book(), (_object, state) => state.storage.sql.exec(statement, ...values).toArray().length),
  evictLedger: async (user) => evictDurableObject(await ledgerOf(user)),
  ringLedger: async (user) => runDurableObjectAlarm(await ledgerOf(user)),
  sqlInLedger: async (user, statement, ...values) =>
    runInDurableObject(await ledgerOf(user), (_object, state) => {
      return state.storage.sql.exec(statement, ...values).toArray().length
    }),
  tokens: {
    evict: (digest) => evictDurableObject(tokensOf(digest)),
    ring: (digest) => runDurableObjectAlarm(tokensOf(digest)),
    sql: (digest, statement, ...values) =>
      runInDurableObject(tokensOf(digest), (_object, state) => {
        return state.storage.sql.exec(statement, ...values).toArray().length
      }),
  },
  decisions: {
    book: (name) => env.DECISIONS.getByName(name),
    evict: (name) => evictDurableObject(env.DECISIONS.getByName(name)),
    ring: (name) => runDurableObjectAlarm(env.DECISIONS.getByName(name)),
    sql: (name, statement, ...values) =>
      runInDurableObject(env.DECISIONS.getByName(name), (_object, state) => {
        return state.storage.sql.exec(statement, ...values).toArray().length
      }),
  },
  async putInBackground(name) {
    await exports.default.fetch(new Request(`https://contract.test/${name}`))
  },
  putInBackgroundOfObject: (flight, name) =>
    runInDurableObject(env.FLIGHTS.getByName(flight), () => putInBackground(env, name)),
}

export function createGround(): Ground {
  return {
    tokenStore: cloudflare.createTokenStore(env.TOKENS),
    singleFlight: cloudflare.createSingleFlight(env.FLIGHTS),
    introductions: cloudflare.createIntroductions(env.FLIGHTS),
    replayGuard: cloudflare.createReplayGuard(env.REPLAYS),
    revocationLog: cloudflare.createRevocationLog(env.REVOCATIONS),
    registry: cloudflare.createRegistry(env.LEDGERS),
    decisionLog: cloudflare.createDecisionLog(env.DECISIONS),
    rateLimiter: cloudflare.createRateLimiter(env),
    now: () => cloudflare.systemClock.now(),
    epochMillis: () => cloudflare.systemClock.epochMillis(),
    pass: (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
    cleanUp: async (user) => void (await platform.ringLedger(user)),
    platform,
  }
}
