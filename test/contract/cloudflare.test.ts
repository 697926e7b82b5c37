// What the real ground promises beyond the ports' contracts. It runs in workerd only: in Node its platform does not exist.
import { createGround } from '#ground'
import { describe, expect, test } from 'vitest'
import { numericDate } from '../../src/lib/numeric-date.ts'
import type { AuditEvent } from '../../src/audit-event.ts'
import type { CertificateName, SecretName } from '../../src/parties.ts'

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

describe.skipIf(ground.platform === undefined)('createCertificates() and missingCertificates()', () => {
  if (ground.platform === undefined) return
  const { createCertificates, missingCertificates } = ground.platform.cloudflare
  const called = (name: string): CertificateName => name as CertificateName

  test('a request goes by the binding of its name, as it is', async () => {
    const seen: Request[] = []
    const binding = {
      async fetch(request: Request): Promise<Response> {
        // A binding of the platform minds how it is called.
        if (this !== binding) throw new TypeError('Illegal invocation')
        seen.push(request)
        return new Response('shown')
      },
    }
    const request = new Request('https://as.test/token', { method: 'POST', body: 'a=b', redirect: 'manual' })
    const answer = await createCertificates({ CERT: binding })(called('CERT'))(request)
    expect([await answer.text(), seen]).toEqual(['shown', [request]])
  })

  test('what cannot make a request is no certificate, and names of every object are none', async () => {
    const env = { CERT: { fetch: never }, TEXT: 'swordfish', STORE: { get: never }, NUMBER: 7 }
    const wanted = ['CERT', 'TEXT', 'STORE', 'NUMBER', 'ABSENT', 'constructor', '__proto__'].map(called)
    expect(missingCertificates(env, wanted)).toEqual(['TEXT', 'STORE', 'NUMBER', 'ABSENT', 'constructor', '__proto__'])
    const fetch = createCertificates(env)(called('TEXT'))
    await expect((async () => fetch(new Request('https://as.test')))()).rejects.toThrow('TEXT is not bound')
  })
})

describe.skipIf(ground.platform === undefined)('createRateLimiter() and missingLimiters()', () => {
  if (ground.platform === undefined) return
  const { createRateLimiter, missingLimiters } = ground.platform.cloudflare

  test('a counter that hangs is given up on', async () => {
    const limiter = createRateLimiter({ HANGING: { limit: never } })
    await expect(limiter.take('HANGING', 'key')).rejects.toThrow('the rate limiter took longer than 250 ms')
  })

  test('missing counters are named; a secret or another binding is none', () => {
    const env = { ONE: { limit: never }, TEXT: 'swordfish', STORE: { get: never }, NUMBER: 7 }
    const wanted = ['ONE', 'TEXT', 'STORE', 'NUMBER', 'ABSENT', 'constructor']
    expect(missingLimiters(env, wanted)).toEqual(['TEXT', 'STORE', 'NUMBER', 'ABSENT', 'constructor'])
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
    config: '0123456789ab',
    trace_id: 't',
    http: { method: 'POST', route: '/token', status: 400 },
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
      () => createConsoleSink(JSON.stringify).write(event),
    )
    expect(lines).toHaveLength(1)
    expect(String(lines[0])).not.toContain('\n')
    expect(JSON.parse(String(lines[0]))).toEqual(event)
  })
})
