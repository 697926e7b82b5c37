// What the real ground promises beyond the ports' contracts. It runs in workerd only: in Node its platform does not exist.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../../src/lib/digest.ts'
import { numericDate } from '../../src/lib/numeric-date.ts'
import type { AuditEvent, SecretName } from '../../src/model.ts'
import type { Landing } from '../../src/ports.ts'
import { createJob } from './scripted-work.ts'

const ground = createGround()

/** Any text may stand for the name of a secret here. */
function isSecretName(_text: string): _text is SecretName {
  return true
}

function named(text: string): SecretName {
  if (!isSecretName(text)) throw new Error('this cannot happen')
  return text
}

function never(): Promise<never> {
  return new Promise(() => undefined)
}

describe.skipIf(ground.platform === undefined)('createTokenStore()', () => {
  if (ground.platform === undefined) return
  const { createTokenStore, CACHE_TTL_SECONDS } = ground.platform.cloudflare

  test('asks KV for bytes, from the youngest copy it allows, and gives it absolute expiry', async () => {
    const calls: unknown[] = []
    const store = createTokenStore({
      async get(...call) {
        calls.push(call)
        return null
      },
      async put(...call) {
        calls.push(call)
      },
      async delete(...call) {
        calls.push(call)
      },
    })
    await store.get('n')
    await store.put('n', new Uint8Array([1]), numericDate(1_800_000_000))
    await store.delete('n')
    expect(calls).toEqual([
      ['n', { type: 'arrayBuffer', cacheTtl: CACHE_TTL_SECONDS }],
      ['n', new Uint8Array([1]), { expiration: 1_800_000_000 }],
      ['n'],
    ])
    expect(CACHE_TTL_SECONDS).toBe(30)
  })

  test('gives up on a KV that hangs', async () => {
    const store = createTokenStore({ get: never, put: never, delete: never })
    const ends = await Promise.allSettled([
      store.get('n'),
      store.put('n', new Uint8Array(), numericDate(1_800_000_000)),
      store.delete('n'),
    ])
    expect(ends).toEqual(
      ['get', 'put', 'delete'].map((what) => ({
        status: 'rejected',
        reason: new Error(`KV ${what} took longer than 1000 ms`),
      })),
    )
  })
})

describe.skipIf(ground.platform === undefined)('createSingleFlight()', () => {
  if (ground.platform === undefined) return
  const { createSingleFlight } = ground.platform.cloudflare
  const landing: Landing = { landed: true, sealed: new Uint8Array([1]), fresh: true, ms: {} }

  /** Objects that answer with each of these in turn. */
  function createObjects(answers: readonly (Landing | Error)[]) {
    const calls: string[] = []
    const getByName = (name: string) => ({
      async join() {
        const answer = answers[calls.length]
        calls.push(name)
        if (answer === undefined || answer instanceof Error) throw answer ?? new Error('called too often')
        return answer
      },
    })
    return { calls, getByName }
  }

  test('gives up on an object that hangs', async () => {
    const flight = createSingleFlight({ getByName: () => ({ join: never }) }, 20)
    await expect(flight.join('n', createJob())).rejects.toThrow('the flight object took longer than 20 ms')
  })

  test('calls again, once, when the platform says that this is safe', async () => {
    const reset = Object.assign(new Error('reset because its code was updated'), { retryable: true })
    const once = createObjects([reset, landing])
    expect(await createSingleFlight(once).join('n', createJob())).toEqual(landing)
    expect(once.calls).toEqual(['n', 'n'])
    const twice = createObjects([reset, reset, landing])
    await expect(createSingleFlight(twice).join('n', createJob())).rejects.toThrow('reset')
  })

  test('does not call again when the work threw or the object is overloaded', async () => {
    const overloaded = Object.assign(new Error('overloaded'), { retryable: true, overloaded: true })
    for (const error of [new Error('the work broke'), overloaded]) {
      const objects = createObjects([error, landing])
      await expect(createSingleFlight(objects).join('n', createJob())).rejects.toThrow(error)
      expect(objects.calls).toHaveLength(1)
    }
  })
})

describe.skipIf(ground.platform === undefined)('createReplayGuard()', () => {
  if (ground.platform === undefined) return
  const { createReplayGuard } = ground.platform.cloudflare

  test('sends a digest to the object of its first character, never the value', async () => {
    const sent: unknown[] = []
    const guard = createReplayGuard({
      getByName: (object) => ({
        async claim(digest, until) {
          sent.push({ object, digest, until })
          return true
        },
      }),
    })
    await guard.claim('a value', numericDate(1_800_000_000))
    const digest = await sha256('a value')
    expect(sent).toEqual([{ object: `replay-${digest[0]}`, digest, until: 1_800_000_000 }])
  })

  test('gives up on an object that hangs, so that the value counts as used', async () => {
    const guard = createReplayGuard({ getByName: () => ({ claim: never }) })
    await expect(guard.claim('a value', numericDate(1_800_000_000))).rejects.toThrow('the replay object took longer')
  })
})

describe.skipIf(ground.platform === undefined)('createSecrets() and missingSecrets()', () => {
  if (ground.platform === undefined) return
  const { createSecrets, missingSecrets } = ground.platform.cloudflare

  const env = {
    TEXT: 'swordfish',
    STORED: { get: async () => 'from the store' },
    EMPTY: '',
    EMPTY_STORED: { get: async () => '' },
    GONE: { get: async () => Promise.reject(new Error('Secret "GONE" not found')) },
    HANGING: { get: never },
    NUMBER: 7,
  }

  test('a secret is read from a string or from a Secrets Store', async () => {
    const secrets = createSecrets(env)
    expect((await secrets(named('TEXT'))).reveal()).toBe('swordfish')
    expect((await secrets(named('STORED'))).reveal()).toBe('from the store')
  })

  test('a secret that is absent, empty or out of reach throws, and the error names it without a value', async () => {
    const secrets = createSecrets(env)
    for (const missing of ['EMPTY', 'EMPTY_STORED', 'NUMBER', 'ABSENT', 'constructor', '__proto__']) {
      await expect(secrets(named(missing))).rejects.toThrow(`the secret ${missing} is not set`)
    }
    await expect(secrets(named('GONE'))).rejects.toThrow('not found')
    await expect(secrets(named('HANGING'))).rejects.toThrow('the Secrets Store took longer than 1000 ms')
  })

  test('missing secrets are named once each; empty is missing', () => {
    const wanted = ['TEXT', 'EMPTY', 'STORED', 'ABSENT', 'NUMBER', 'ABSENT', 'constructor', '__proto__'].map(named)
    expect(missingSecrets(env, wanted)).toEqual(['EMPTY', 'ABSENT', 'NUMBER', 'constructor', '__proto__'])
    expect(missingSecrets(env, [])).toEqual([])
  })
})

describe.skipIf(ground.platform === undefined)('createBackground()', () => {
  const { platform } = ground
  if (platform === undefined) return

  async function appears(name: string): Promise<boolean> {
    for (let tries = 0; tries < 20; tries++) {
      if ((await ground.tokenStore.get(name)) !== undefined) return true
      await ground.pass(0.1)
    }
    return false
  }

  test('work goes on after the answer of the Worker has left', async () => {
    const name = crypto.randomUUID()
    await platform.putInBackground(name)
    expect(await ground.tokenStore.get(name)).toBeUndefined()
    expect(await appears(name)).toBe(true)
  })

  test('it works inside a Durable Object too', async () => {
    const name = crypto.randomUUID()
    await platform.putInBackgroundOfObject(crypto.randomUUID(), name)
    expect(await appears(name)).toBe(true)
  })
})

describe.skipIf(ground.platform === undefined)('createConsoleSink()', () => {
  if (ground.platform === undefined) return
  const { createConsoleSink } = ground.platform.cloudflare
  const event: AuditEvent = {
    v: 1,
    id: '1',
    time: '2026-11-22T08:00:00Z',
    event: 'token.issue',
    outcome: 'deny',
    detail: 'two\nlines',
    trace_id: 't',
    http: { method: 'POST', status: 400 },
    ms: { total: 3 },
  }

  function withConsole(log: (line: unknown) => void, run: () => void): void {
    const original = console.log
    console.log = log
    try {
      run()
    } finally {
      console.log = original
    }
  }

  test('writes one line of JSON per event', () => {
    const lines: unknown[] = []
    withConsole(
      (line) => lines.push(line),
      () => createConsoleSink().write(event),
    )
    expect(lines).toHaveLength(1)
    expect(String(lines[0])).not.toContain('\n')
    expect(JSON.parse(String(lines[0]))).toEqual(event)
  })

  test('never throws', () => {
    const broken = (): never => {
      throw new Error('the console is broken')
    }
    withConsole(broken, () => createConsoleSink().write(event))
  })
})
