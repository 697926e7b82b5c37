// The real ground for the contract suite: the bindings of wrangler.toml here, in workerd. Time passes by waiting.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
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

const platform: Platform = {
  cloudflare,
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
    replayGuard: cloudflare.createReplayGuard(env.REPLAYS),
    now: () => cloudflare.systemClock.now(),
    pass: (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
    platform,
  }
}
