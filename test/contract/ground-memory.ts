// The memory ground for the contract suite: time is moved by hand.
import {
  createCollectingBackground,
  createManualClock,
  createMemoryDecisionLog,
  createMemoryIntroductions,
  createMemoryRateLimiter,
  createMemoryRegistry,
  createMemoryReplayGuard,
  createMemoryRevocationLog,
  createMemorySingleFlight,
  createMemoryTokenStore,
} from '../../src/platform/memory.ts'
import type { Ground } from './ground.ts'
import { createScriptedSubjectWork } from './scripted-subject.ts'
import { createScriptedWork } from './scripted-work.ts'

export function createGround(): Ground {
  const clock = createManualClock()
  const { background } = createCollectingBackground()
  return {
    tokenStore: createMemoryTokenStore({ clock }).at('here'),
    singleFlight: createMemorySingleFlight({ work: createScriptedWork(clock), clock, background }),
    introductions: createMemoryIntroductions({ work: createScriptedSubjectWork(clock), clock, background }),
    replayGuard: createMemoryReplayGuard({ clock }),
    revocationLog: createMemoryRevocationLog({ clock }),
    registry: createMemoryRegistry({ clock }),
    decisionLog: createMemoryDecisionLog({ clock }),
    rateLimiter: createMemoryRateLimiter({
      clock,
      limits: [
        { binding: 'LIMIT_FIVE', limit: 5, periodSeconds: 10 },
        { binding: 'LIMIT_TWENTY', limit: 20, periodSeconds: 60 },
      ],
    }),
    now: () => clock.now(),
    epochMillis: () => clock.epochMillis(),
    async pass(seconds) {
      clock.advance(seconds)
    },
    cleanUp: async () => undefined,
    platform: undefined,
  }
}
