// What comes out of a file that can be used, and what happens to one that has many faults at once.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigError, parseConfig, saysLocal } from '../../../src/config/config.ts'
import { broken, configOf, EXAMPLE, problemsOf } from './example.ts'

function file(name: string): string {
  return readFileSync(join(import.meta.dirname, '../../..', name), 'utf8')
}

describe('parseConfig() links', () => {
  it('the example of the specification to complete objects', () => {
    const config = configOf(file('test/fixtures/specification.jsonc'))
    const quirks = {
      target: 'audience',
      sendResource: true,
      subjectTokens: new Set(['id_token']),
      samlTwoStep: false,
      samlEncoding: 'base64url',
      actorToken: 'none',
      dpop: 'off',
    }
    const okta = {
      name: 'okta',
      issuer: 'https://acme.okta.example',
      tokenEndpoint: undefined,
      keys: { kind: 'discovered', issuer: 'https://acme.okta.example' },
      claims: { groups: 'groups', tenant: 'org_id' },
      tenants: new Set(['acme']),
      idToken: { maxAgeSeconds: 3600, algorithms: ['RS256', 'ES256'] },
      quirks,
      wants: 'a user who may use this client there, and a client that may ask for this resource',
      clients: new Map([
        [
          'assistant',
          {
            name: 'assistant',
            ref: 'okta/assistant',
            idpName: 'okta',
            id: '0oa1assistant',
            auth: {
              method: 'private_key_jwt',
              keys: ['ASSISTANT_IDP_KEY'],
              alg: 'ES256',
              audience: 'issuer',
              typ: 'client-authentication+jwt',
            },
            quirks,
            edgeClient: undefined,
          },
        ],
        [
          'gateway',
          {
            name: 'gateway',
            ref: 'okta/gateway',
            idpName: 'okta',
            id: '0oa1gateway',
            auth: { method: 'client_secret_basic', secrets: ['GATEWAY_IDP_SECRET'], encoding: 'form' },
            quirks,
            edgeClient: 'people',
          },
        ],
      ]),
    }
    const basic = (secret: string) => ({ method: 'client_secret_basic', secrets: [secret], encoding: 'form' })
    expect(config).toEqual({
      publicUrl: 'https://gw.acme.example',
      idps: new Map([['okta', okta]]),
      idpsByIssuer: new Map([['https://acme.okta.example', okta]]),
      clients: new Map<string, unknown>([
        [
          'assistant',
          {
            name: 'assistant',
            subjectTokens: new Set(['okta/assistant']),
            subjectKinds: new Set(['id_token']),
            auth: {
              method: 'private_key_jwt',
              keys: { kind: 'fetched', jwksUri: 'https://assistant.acme.example/jwks.json' },
              algorithms: ['ES256', 'RS256', 'PS256', 'EdDSA'],
            },
            dpop: 'optional',
            dpopNonce: 'optional',
            rateLimit: undefined,
          },
        ],
        [
          'support-bot',
          {
            name: 'support-bot',
            subjectTokens: new Set(['okta/gateway']),
            subjectKinds: new Set(['id_token']),
            auth: { method: 'client_secret_basic', secrets: ['SUPPORT_BOT_SECRET'] },
            dpop: 'optional',
            dpopNonce: 'optional',
            rateLimit: undefined,
          },
        ],
        [
          'people',
          {
            name: 'people',
            subjectTokens: new Set(['okta/gateway']),
            subjectKinds: new Set(['id_token']),
            auth: undefined,
            dpop: 'optional',
            dpopNonce: 'optional',
            rateLimit: undefined,
          },
        ],
      ]),
      resources: new Map([
        [
          'tasks',
          {
            name: 'tasks',
            kind: 'id-jag',
            authorizationServer: {
              issuer: 'https://auth.tasks.example/',
              tokenEndpoint: undefined,
              wants: 'an identity provider that is trusted there, and a user who is known there',
              audience: 'https://auth.tasks.example/',
              quirks: {
                sendScope: 'same',
                sendResource: true,
                idJagReuse: false,
                redeemGrant: 'jwt-bearer',
                extraScopes: 'refuse',
                defaultTtlSeconds: 300,
              },
            },
            resource: 'https://api.tasks.example/',
            client: { id: 'acme-gateway', auth: basic('TASKS_CLIENT_SECRET') },
            clientsByCaller: new Map(),
            scopes: ['todos.read', 'todos.write'],
            detailTypes: [],
            dpop: 'off',
            proxy: {
              match: { kind: 'path', prefix: '/r/tasks' },
              upstream: 'https://api.tasks.example',
              requestHeaders: [],
              cookies: [],
              ownOrigins: new Set(['https://gw.acme.example']),
              replayMaxBytes: 65_536,
              webSocket: false,
              publicUrl: 'https://gw.acme.example/r/tasks',
              metadataUrl: 'https://gw.acme.example/.well-known/oauth-protected-resource/r/tasks',
            },
          },
        ],
      ]),
      rules: [
        {
          id: 'eng-tasks',
          effect: 'allow',
          users: undefined,
          groups: ['engineering'],
          clients: ['assistant'],
          tenants: undefined,
          claims: undefined,
          acr: undefined,
          amr: undefined,
          maxAuthAgeSeconds: undefined,
          until: undefined,
          resources: ['tasks'],
          scopes: ['todos.read', 'todos.write'],
          methods: ['GET', 'POST', 'PATCH'],
          paths: ['/v1/*'],
        },
      ],
      policyClaims: new Set(),
      tests: [],
      cache: { maxTtlSeconds: 3600, refreshBeforeSeconds: 60, sealingKeys: ['JAGWAY_SEALING_KEY'] },
      revocation: { maxStalenessSeconds: 10 },
      quota: undefined,
      admin: undefined,
      errors: { detail: 'full' },
      audit: { sinks: [{ kind: 'console' }], format: 'jagway', required: false },
      rateLimits: new Map(),
      clientDocuments: [],
      ownKeys: [{ name: 'ASSISTANT_IDP_KEY', alg: 'ES256' }],
      certificateNames: [],
      secretNames: [
        'ASSISTANT_IDP_KEY',
        'GATEWAY_IDP_SECRET',
        'JAGWAY_SEALING_KEY',
        'SUPPORT_BOT_SECRET',
        'TASKS_CLIENT_SECRET',
      ],
    })
  })

  it('a rule with every condition, and gathers the claims that identity has to keep', () => {
    const rule = {
      id: 'all',
      effect: 'shadow-deny',
      who: { tenants: ['acme'], claims: { level: [3, true], department: ['eng'] }, acr: ['phr'], amr: ['mfa'] },
      until: '2026-12-31',
    }
    const login = { id: 'login', effect: 'allow', who: { max_auth_age: '15m' }, until: '2026-12-31T18:00:00+02:00' }
    const { text } = broken(
      '{ "id": "all", "effect": "allow", "resources": ["tasks"], "scopes": ["read"] }',
      `${JSON.stringify(rule)}, ${JSON.stringify(login)}`,
    )
    const config = configOf(text)
    expect(config.policyClaims).toEqual(new Set(['level', 'department', 'acr', 'amr']))
    expect(config.rules).toMatchObject([
      {
        effect: 'shadow-deny',
        tenants: ['acme'],
        claims: new Map<string, unknown>([
          ['level', [3, true]],
          ['department', ['eng']],
        ]),
        acr: ['phr'],
        amr: ['mfa'],
        // To the end of that day.
        until: Date.UTC(2027, 0, 1),
      },
      { maxAuthAgeSeconds: 900, until: Date.UTC(2026, 11, 31, 16) },
    ])
  })

  it('the world of the bad-input catalogue', () => {
    const config = configOf(file('test/fixtures/catalogue.jsonc'), true)
    expect([...config.idpsByIssuer.keys()]).toEqual(['http://127.0.0.1:29401', 'http://127.0.0.1:29402'])
    expect(config.idps.get('idp2')?.keys).toEqual({ kind: 'fetched', jwksUri: 'http://127.0.0.1:29402/jwks' })
    expect(config.clients.get('agent-jwt')?.auth).toMatchObject({
      method: 'private_key_jwt',
      keys: { kind: 'static', jwks: { keys: [{ kid: 'agent-jwt-k1' }] } },
    })
    expect(config.rules[0]).toMatchObject({ effect: 'deny', users: [{ idp: undefined, subject: 'mallory' }] })
    expect(config.secretNames).toHaveLength(6)
  })

  it('the file that a fresh clone deploys, with nothing but defaults left out', () => {
    const config = configOf(file('jagway.jsonc'))
    expect(config.secretNames).toContain('JAGWAY_SEALING_KEY')
    expect(file('jagway.jsonc').trimEnd().split('\n').length).toBeLessThanOrEqual(40)
  })

  it('issuers and resources exactly as they are written', () => {
    const { text } = broken('"https://idp.example"', '"https://IDP.example:443/a/../b//"')
    const withResource = text.replace('"kind"', '"resource": "api://0f3c/Tasks", "kind"')
    const config = configOf(withResource)
    expect(config.idps.get('main')?.issuer).toBe('https://IDP.example:443/a/../b//')
    expect(config.idpsByIssuer.get('https://IDP.example:443/a/../b//')?.name).toBe('main')
    expect(config.resources.get('tasks')?.resource).toBe('api://0f3c/Tasks')
  })

  it('an upstream to its base without a slash at the end', () => {
    const { text } = broken('"https://api.tasks.example"', '"https://api.tasks.example/base/"')
    expect(configOf(text).resources.get('tasks')?.proxy?.upstream).toBe('https://api.tasks.example/base')
  })

  it('a resource at a host of its own to a public URL with the scheme and port of the gateway', () => {
    const hosted = EXAMPLE.replace('"path": "/r/tasks"', '"host": "tasks.gw.example", "web_socket": true')
    expect(configOf(hosted).resources.get('tasks')?.proxy).toMatchObject({
      match: { kind: 'host', host: 'tasks.gw.example' },
      webSocket: true,
      publicUrl: 'https://tasks.gw.example',
      metadataUrl: 'https://tasks.gw.example/.well-known/oauth-protected-resource',
    })
    const local = hosted.replace('"https://gw.example"', '"http://localhost:8787"')
    expect(configOf(local, true).resources.get('tasks')?.proxy?.publicUrl).toBe('http://tasks.gw.example:8787')
  })

  it('further request headers to lower case', () => {
    const { text } = broken('"path": "/r/tasks"', '"path": "/r/tasks", "request_headers": ["X-Trace", "if-match"]')
    expect(configOf(text).resources.get('tasks')?.proxy?.requestHeaders).toEqual(['x-trace', 'if-match'])
  })

  it('a registration of one caller beside the common one', () => {
    const own = '"clients": { "bot": { "id": "bot-at-tasks", "auth": { "method": "none" } } }, "kind": "id-jag"'
    const resource = configOf(broken('"kind": "id-jag"', own).text).resources.get('tasks')
    expect(resource?.client.id).toBe('gw-at-tasks')
    expect(resource?.clientsByCaller.get('bot')?.id).toBe('bot-at-tasks')
  })

  it('several resources that share an upstream, an authorization server and a resource value', () => {
    const twin = EXAMPLE.match(/"tasks": (\{[\s\S]*?\n {4}\})/)?.[1]?.replace('/r/tasks', '/r/more') ?? ''
    expect(configOf(EXAMPLE.replace('"tasks": {', `"more": ${twin}, "tasks": {`)).resources.size).toBe(2)
  })

  it('counters of requests by their bindings, and one that two clients share once', () => {
    const limit = '"rate_limit": { "binding": "CALLS", "limit": 100, "period": "60s" }'
    const bound = EXAMPLE.replaceAll('"subject_tokens"', `${limit}, "subject_tokens"`)
    const calls = { binding: 'CALLS', limit: 100, periodSeconds: 60 }
    const config = configOf(bound)
    expect([...config.clients.values()].map(({ rateLimit }) => rateLimit)).toEqual([calls, calls])
    expect(config.rateLimits).toEqual(new Map([['CALLS', calls]]))
    expect(config.secretNames).not.toContain('CALLS')
  })

  it('several sealing keys in their order', () => {
    const keys = '"cache": { "sealing_keys": [{ "secret": "SEAL_2" }, { "secret": "SEAL_1" }] }, "policy": {'
    const config = configOf(broken('"policy": {', keys).text)
    expect(config.cache.sealingKeys).toEqual(['SEAL_2', 'SEAL_1'])
    expect(config.secretNames).toEqual(['BOT', 'SEAL_1', 'SEAL_2'])
  })

  it('two secrets where one takes the place of another, the current one first', () => {
    const two = '[{ "secret": "BOT_NEW" }, { "secret": "BOT" }]'
    const config = configOf(broken('"secret": { "secret": "BOT" }', `"secret": ${two}`).text)
    expect(config.clients.get('bot')?.auth).toEqual({ method: 'client_secret_basic', secrets: ['BOT_NEW', 'BOT'] })
    expect(config.secretNames).toEqual(['BOT', 'BOT_NEW', 'JAGWAY_SEALING_KEY'])
    const own = (auth: string) =>
      configOf(EXAMPLE.replace('"id": "gw-at-tasks", "auth": { "method": "none" }', `"id": "gw", "auth": ${auth}`))
    expect(own(`{ "method": "client_secret_post", "secret": ${two} }`).secretNames).toContain('BOT_NEW')
    expect(own(`{ "method": "private_key_jwt", "alg": "ES256", "key": ${two} }`).secretNames).toContain('BOT_NEW')
  })

  it('client ids that are addresses of ours to the documents that are served there', () => {
    const registered = '"id": "gw-at-tasks", "auth": { "method": "none" }'
    const documentsOf = (id: string) =>
      configOf(broken(registered, `"id": "${id}", "auth": { "method": "none" }`).text).clientDocuments
    const id = 'https://gw.example/clients/acme_1.gw.json'
    expect(documentsOf(id)).toEqual([{ id, name: 'acme_1.gw', method: 'none', algorithms: [] }])
    for (const other of [
      'gw-at-tasks',
      'https://other.example/clients/a.json',
      'https://gw.example/clients/.json',
      'https://gw.example/clients/..json',
      'https://gw.example/clients/a/../b.json',
      'https://gw.example/clients/%61.json',
      'https://gw.example/clients/a.json?x',
      'https://gw.example/Clients/a.json',
      'HTTPS://gw.example/clients/a.json',
      'https://gw.example.evil.example/clients/a.json',
    ]) {
      expect(documentsOf(other)).toEqual([])
    }
  })

  it('bindings of certificates, each once', () => {
    const auth = '"auth": { "method": "tls_client_auth", "certificate": { "binding": "OWN_CERT" } }'
    const config = configOf(EXAMPLE.replaceAll('"auth": { "method": "none" }', auth))
    expect(config.certificateNames).toEqual(['OWN_CERT'])
    expect(config.secretNames).not.toContain('OWN_CERT')
    expect(config.resources.get('tasks')?.client.auth).toEqual({ method: 'tls_client_auth', certificate: 'OWN_CERT' })
  })

  it('durations to seconds', () => {
    const cache = (maxTtl: string, refresh: string) =>
      configOf(
        broken('"policy": {', `"cache": { "max_ttl": "${maxTtl}", "refresh_before": "${refresh}" }, "policy": {`).text,
      ).cache
    expect(cache('1d', '0s')).toMatchObject({ maxTtlSeconds: 86_400, refreshBeforeSeconds: 0 })
    expect(cache('90m', '30s')).toMatchObject({ maxTtlSeconds: 5_400, refreshBeforeSeconds: 30 })
  })

  it('users of one identity provider by name, and of any in a deny rule', () => {
    const deny = '{ "id": "no", "effect": "deny", "who": { "users": ["mallory", "main/auth0|7/x"] } },'
    const rules = configOf(broken('{ "id": "all"', `${deny} { "id": "all"`).text).rules
    expect(rules[0]?.users).toEqual([
      { idp: undefined, subject: 'mallory' },
      { idp: 'main', subject: 'auth0|7/x' },
    ])
  })

  it('names that every object has, without confusing them with those', () => {
    const text = EXAMPLE.replaceAll('"people"', '"toString"').replaceAll('main', 'valueOf')
    const config = configOf(text)
    expect(config.clients.get('toString')?.subjectTokens).toEqual(new Set(['valueOf/gateway']))
    expect(config.idps.get('valueOf')?.clients.get('gateway')?.edgeClient).toBe('toString')
  })

  it('a file with comments, trailing commas and a byte order mark', () => {
    expect(problemsOf(`\uFEFF/* a */ ${EXAMPLE.replaceAll('"\n', '",\n').replaceAll(']\n', '], // b\n')}`)).toEqual([])
  })
})

describe('parseConfig() in a local run', () => {
  const loopback = ['http://127.0.0.1:9001', 'http://localhost:9001', 'http://[::1]:9001', 'https://127.0.0.1:9001']
  const elsewhere = [
    'http://idp.example',
    'http://192.0.2.7',
    'https://192.0.2.7',
    'http://127.0.0.2',
    'http://10.0.0.1',
  ]

  it.each(loopback)('allows %s for every counterparty, and only there', (url) => {
    const text = EXAMPLE.replaceAll(/https:\/\/(idp|as|gw|api)(\.tasks)?\.example/g, url)
    expect(problemsOf(text, true)).toEqual([])
    expect(problemsOf(text, false).map(({ code }) => code)).toEqual(Array.from({ length: 4 }, () => 'CFG107'))
  })

  it.each(elsewhere)('refuses %s all the same', (url) => {
    expect(problemsOf(broken('"https://idp.example"', `"${url}"`).text, true)).toMatchObject([{ code: 'CFG107' }])
  })

  it('allows https to anybody, as everywhere', () => {
    expect(problemsOf(EXAMPLE, true)).toEqual([])
  })
})

describe('saysLocal()', () => {
  it.each([
    ['http://127.0.0.1:8787', true],
    ['http://localhost', true],
    ['https://127.0.0.1:8787', false],
    ['https://gw.example', false],
    ['http://gw.example', false],
    ['nonsense', false],
  ])('reads from the public URL %s: %s', (url, local) => {
    expect(saysLocal(EXAMPLE.replace('https://gw.example', url))).toBe(local)
  })

  it('does not take part in what is wrong with a broken file', () => {
    expect(saysLocal('{')).toBe(false)
    expect(saysLocal('[]')).toBe(false)
  })
})

describe('parseConfig() with many faults', () => {
  const TWENTY = `{
  "version": 2,
  "public_url": "https://gw.example/",
  "plugin": {},
  "idps": {
    "main": {
      "issuer": "http://idp.example",
      "issuers": [],
      "token_endpoint": "https://idp.example/token",
      "claims": { "group": "g" },
      "clients": {
        "gateway": { "id": "gw", "auth": { "method": "none" }, "edge_client": "peeple" },
        "twin": { "id": "gw", "auth": { "method": "none" } }
      }
    },
    "other": { "issuer": "https://other.example", "clients": {} },
    "bad name": { "issuer": "https://third.example", "clients": { "c": { "id": "c", "auth": { "method": "none" } } } }
  },
  "clients": {
    "people": { "subject_tokens": ["main/gatway", "main/gateway"] },
    "bot": { "subject_tokens": ["nowhere/gw"], "auth": { "method": "client_secret_basic", "secret": "s3cr3t-s3cr3t" } },
    "__proto__": { "subject_tokens": ["main/gateway"] }
  },
  "resources": {
    "tasks": {
      "kind": "id-jag",
      "authorization_server": { "issuer": "https://10.0.0.1" },
      "client": { "id": "x", "auth": { "method": "none" } },
      "scopes": ["read"],
      "proxy": { "path": "/admin", "upstream": "https://api.example", "retries": 3 }
    },
    "mail": { "kind": "smtp" }
  },
  "policy": {
    "rules": [
      { "id": "a", "effect": "allow", "resources": ["taks"], "methods": ["get"] },
      { "id": "a", "effect": "deny", "who": { "clients": ["peple"] }, "scopes": ["red"] }
    ]
  },
  "cache": { "max_ttl": "an hour" }
}
`
  const places = problemsOf(TWENTY).map(({ line, column, code }) => `${line}:${column} ${code}`)

  it('reports all of them in one run, in the order of the file', () => {
    expect(places).toEqual([
      '2:14 CFG104',
      '3:17 CFG107',
      '4:3 CFG102',
      '7:17 CFG107',
      '8:7 CFG102',
      '10:19 CFG102',
      '12:79 CFG108',
      '13:25 CFG109',
      '16:62 CFG103',
      '17:5 CFG105',
      '20:36 CFG108',
      '21:33 CFG108',
      '21:101 CFG106',
      '22:5 CFG105',
      '27:43 CFG107',
      '30:26 CFG110',
      '30:71 CFG102',
      '32:23 CFG104',
      '36:53 CFG108',
      '36:74 CFG104',
      '37:15 CFG109',
      '37:59 CFG108',
      '40:25 CFG104',
    ])
  })

  it('does not report what only follows from another fault', () => {
    const { text } = broken('"clients": {\n    "people"', '"client": {\n    "people"')
    expect(problemsOf(text).map(({ code }) => code)).toEqual(['CFG103', 'CFG102'])
  })

  it('leaves no trace on Object.prototype, whatever a file calls things', () => {
    const hostile = '"__proto__": { "polluted": true }, "constructor": { "prototype": { "polluted": true } },'
    for (const place of ['"version": 1', '"main": {', '"people": {', '"tasks": {', '"issuer": "https://idp.example"']) {
      expect(problemsOf(broken(place, `${hostile} ${place}`).text).length).toBeGreaterThan(0)
    }
    expect(Object.keys(Object.prototype)).toEqual([])
    expect('polluted' in {}).toBe(false)
  })

  it('goes on behind a missing comma', () => {
    const { text } = broken('"version": 1,', '"version": 2')
    expect(problemsOf(text).map(({ line, column, code }) => `${line}:${column} ${code}`)).toEqual([
      '2:14 CFG104',
      '3:3 CFG100',
    ])
  })

  it('finds something wrong with whatever is put into any place, and never takes half of a file for a whole', () => {
    const all: (readonly (string | number)[])[] = []
    const walk = (value: unknown, path: readonly (string | number)[]): void => {
      if (path.length > 0) all.push(path)
      if (typeof value !== 'object' || value === null) return
      for (const [key, member] of Object.entries(value))
        walk(member, [...path, Array.isArray(value) ? Number(key) : key])
    }
    walk(JSON.parse(EXAMPLE), [])
    const wrong = fc.constantFrom<unknown>(null, 7, true, '', '\n', {}, [null], { a: {} }, ['', ''], [[]])
    const changes = fc.array(fc.tuple(fc.constantFrom(...all), wrong), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(changes, (some) => {
        const changed: unknown = JSON.parse(EXAMPLE)
        for (const [path, value] of some) put(changed, path, value)
        const found = problemsOf(JSON.stringify(changed, undefined, 1))
        expect(found.length).toBeGreaterThan(0)
        for (const { line, column } of found) expect(line * column).toBeGreaterThan(0)
      }),
      { numRuns: 500 },
    )
  })

  it('bounds its depth', () => {
    const deep = `{ "a": ${'['.repeat(100_000)}`
    expect(problemsOf(deep)).toMatchObject([{ code: 'CFG100', message: 'nested too deeply', line: 1 }])
  })

  it.each(['', '   ', '// nothing', '[]', 'null', '7', '"x"'])('refuses the text %j', (text) => {
    expect(problemsOf(text).length).toBeGreaterThan(0)
  })
})

/** Where a place is gone already, nothing happens. */
function put(root: unknown, path: readonly (string | number)[], value: unknown): void {
  const parent = path.slice(0, -1).reduce<unknown>((at, key) => (isBranch(at) ? Reflect.get(at, key) : undefined), root)
  if (isBranch(parent)) Reflect.set(parent, path.at(-1) ?? '', structuredClone(value))
}

function isBranch(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

describe('parseConfig() with two identity providers', () => {
  const two = EXAMPLE.replace(
    '"main": {',
    '"other": { "issuer": "https://other.example", "clients": { "c": { "id": "c", "auth": { "method": "none" } } } }, "main": {',
  )

  it('refuses an allow rule for a user who may be somebody else there', () => {
    const { text, line, column } = broken('"effect": "allow"', '"effect": "allow", "who": { "users": [›"ann"] }', two)
    expect(problemsOf(text)).toMatchObject([
      { code: 'CFG108', line, column, help: 'say which: "other/ann" or "main/ann"' },
    ])
  })

  it('allows the same in a deny rule', () => {
    const { text } = broken('"effect": "allow"', '"effect": "deny", "who": { "users": ["ann"] }', two)
    expect(problemsOf(text)).toEqual([])
  })
})

describe('parseConfig() with two resources', () => {
  const second = (proxy: string) =>
    broken(
      '"tasks": {',
      `"more": { "kind": "id-jag", "authorization_server": { "issuer": "https://as.example" },
        "client": { "id": "x", "auth": { "method": "none" } }, "scopes": ["extra"], "proxy": ${proxy} },
    "tasks": {`,
    ).text

  it.each([
    ['the same path', '/r/tasks'],
    ['a path above', '/r'],
    ['a path beneath', '/r/tasks/more'],
  ])('refuses %s', (_what, path) => {
    const problems = problemsOf(second(`{ "path": "${path}", "upstream": "https://b.example" }`))
    expect(problems).toMatchObject([{ code: 'CFG110', message: 'another resource stands in this place' }])
    expect(problems[0]?.help).toContain(path)
  })

  it('allows a path that only begins alike', () => {
    expect(problemsOf(second('{ "path": "/r/tasks2", "upstream": "https://b.example" }'))).toEqual([])
  })

  it('refuses the same host, allows another', () => {
    const hosted = (host: string) =>
      second(`{ "host": "${host}", "upstream": "https://b.example" }`).replace(
        '"path": "/r/tasks"',
        '"host": "a.example"',
      )
    expect(problemsOf(hosted('a.example'))).toMatchObject([{ code: 'CFG110' }])
    expect(problemsOf(hosted('b.example'))).toEqual([])
  })

  it('refuses a scope that only a resource outside the rule has', () => {
    const { text } = broken(
      '"scopes": ["read"] }',
      '"scopes": ["read", "extra"] }',
      second('{ "path": "/m", "upstream": "https://b.example" }'),
    )
    expect(problemsOf(text)).toMatchObject([{ code: 'CFG108', message: '"tasks" has not the scope "extra"' }])
  })

  it('allows a scope of any resource where a rule names none', () => {
    const text = second('{ "path": "/m", "upstream": "https://b.example" }').replace(
      '"resources": ["tasks"], "scopes": ["read"]',
      '"scopes": ["read", "extra"]',
    )
    expect(problemsOf(text)).toEqual([])
  })
})

describe('ConfigError', () => {
  it('says everything in its message, for a start that fails', () => {
    const { text } = broken('"version": 1', '"version": 2')
    const parsed = parseConfig(text, { fileName: 'jagway.jsonc', local: false })
    const error = parsed.ok ? undefined : new ConfigError(text, parsed.error)
    expect(error?.message).toContain('jagway.jsonc:2:14 error CFG104 version 1 is the only one there is')
    expect(error?.problems).toHaveLength(1)
  })
})
