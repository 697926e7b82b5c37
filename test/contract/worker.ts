// The Worker under the contract suite: the house's objects with the scripted work, and a door for callers who hang up or
// leave work behind.
import {
  createBackground,
  createTokenStore,
  DecisionBook,
  flightClass,
  Ledger,
  Replay,
  RevocationBook,
  systemClock,
  type Env,
} from '../../src/platform/cloudflare.ts'
import { toUtf8 } from '../../src/lib/bytes.ts'
import { plusSeconds } from '../../src/lib/numeric-date.ts'
import type { TokenJob } from '../../src/ports.ts'
import { createScriptedSubjectWork } from './scripted-subject.ts'
import { createScriptedWork } from './scripted-work.ts'

export { DecisionBook, Ledger, Replay, RevocationBook }

const scripted = { token: createScriptedWork(systemClock), subject: createScriptedSubjectWork(systemClock) }

export class Flight extends flightClass(() => scripted) {}

/** Leaves work to the background that takes 300 ms and ends with an entry. */
export function putInBackground(env: Pick<Env, 'TOKENS'>, name: string): void {
  const store = createTokenStore(env.TOKENS)
  const work = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 300))
    await store.put(name, toUtf8('done'), plusSeconds(systemClock.now(), 120))
  }
  createBackground()(work())
}

export default {
  async fetch(request, env) {
    const name = new URL(request.url).pathname.slice(1)
    if (request.method === 'GET') {
      putInBackground(env, name)
      return new Response()
    }
    const job: TokenJob = await request.json()
    const landing = await env.FLIGHTS.getByName(name).join(job)
    return Response.json({ landed: landing.landed })
  },
} satisfies ExportedHandler<Env>
