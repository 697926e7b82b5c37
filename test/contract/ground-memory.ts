// The memory ground for the contract suite: time is moved by hand.
import {
  createCollectingBackground,
  createManualClock,
  createMemoryRegistry,
  createMemoryReplayGuard,
  createMemoryRevocationLog,
  createMemorySingleFlight,
  createMemoryTokenStore,
} from '../../src/platform/memory.ts'
import type { Ground } from './ground.ts'
import { createScriptedWork } from './scripted-work.ts'

export function createGround(): Ground {
  const clock = createManualClock()
  const { background } = createCollectingBackground()
  return {
    tokenStore: createMemoryTokenStore({ clock }).at('here'),
    singleFlight: createMemorySingleFlight({ work: createScriptedWork(clock), clock, background }),
    replayGuard: createMemoryReplayGuard({ clock }),
    revocationLog: createMemoryRevocationLog({ clock }),
    registry: createMemoryRegistry({ clock }),
    now: () => clock.now(),
    epochMillis: () => clock.epochMillis(),
    async pass(seconds) {
      clock.advance(seconds)
    },
    cleanUp: async () => undefined,
    platform: undefined,
  }
}
