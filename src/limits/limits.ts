// How often. The platform counts requests per location of the network and roughly; that slows down who is too fast, and is
// no promise: whatever must hold (quota, revocation) is counted elsewhere. So a counter that fails lets everybody pass,
// and the audit event says that nobody was counting.
import type { Config } from '../config/config.ts'
import { encodeFields, sha256, type Field } from '../lib/digest.ts'
import { err, ok, type Result, type Soon } from '../lib/result.ts'
import type { AuthenticatedClient, Permit, Principal } from '../model.ts'
import type { RateLimit } from '../parties.ts'
import type { RateLimiter } from '../ports.ts'
import type { Refusal } from '../refusal.ts'

/** `unknown`: the counter did not answer. */
export type Count = 'within' | 'beyond' | 'unknown'

export interface Limits {
  /** Counts one request. The key may hold names of people: the platform gets a digest of it. Never throws. */
  count(limit: RateLimit, key: readonly Field[]): Promise<Count>
  /**
   * Counts a request of a client that has a limit; undefined, at once, where it has none. Refuses with LIM202.
   *
   * `user` is given at the edge, where a client is a name that tokens of many people lead to: each of them is counted
   * alone, or any one could use up what is meant for all. A client that has authenticated is one party.
   */
  ofClient(client: AuthenticatedClient, user?: Principal): Promise<Result<Count, Refusal>> | undefined
  /**
   * Counts what a rule has allowed, for this user through this client alone; undefined, at once, where that rule has no rate.
   * Refuses with LIM205.
   */
  ofRule(permit: Permit): Promise<Result<Count, Refusal>> | undefined
}

/** Whether a request goes on after it was counted, if it was; that nobody was counting is noted for the auditor. */
export function heed(counting: ReturnType<Limits['ofClient']>, facts: { uncounted?: true }): Soon<unknown, Refusal> {
  if (counting === undefined) return NOT_COUNTED
  return counting.then((counted) => {
    if (counted.ok && counted.value === 'unknown') facts.uncounted = true
    return counted
  })
}

const NOT_COUNTED = ok(undefined)

export function createLimits({ clients, rules }: Pick<Config, 'clients' | 'rules'>, limiter: RateLimiter): Limits {
  const rates = new Map(rules.flatMap(({ id, rate }) => (rate === undefined ? [] : [[id, rate]])))

  const count: Limits['count'] = async ({ binding }, key) => {
    try {
      return (await limiter.take(binding, await sha256(encodeFields(key)))) ? 'within' : 'beyond'
    } catch {
      return 'unknown'
    }
  }

  async function judge(limit: RateLimit, key: readonly Field[], refusal: Refusal): Promise<Result<Count, Refusal>> {
    const counted = await count(limit, key)
    // The platform does not say when the period ends; after a whole one it has.
    return counted === 'beyond' ? err({ ...refusal, retryAfterSeconds: limit.periodSeconds }) : ok(counted)
  }

  return {
    count,
    ofClient({ name }, user) {
      const limit = clients.get(name)?.rateLimit
      if (limit === undefined) return undefined
      return judge(
        limit,
        user === undefined ? ['client', name] : ['edge', name, user.issuer, user.tenant, user.subject],
        { code: 'LIM202' },
      )
    },
    ofRule({ rule, assertion }) {
      const rate = rates.get(rule)
      if (rate === undefined) return undefined
      const { issuer, tenant, subject } = assertion.principal
      const key = ['rule', rule, assertion.caller.name, issuer, tenant, subject]
      return judge(rate, key, { code: 'LIM205', name: rule })
    },
  }
}
