// Every kind of fault, each in the place where it must be shown.
import { describe, expect, it } from 'vitest'
import { broken, EXAMPLE, problemsOf } from './example.ts'

/** What is broken, how, and what must be said about it. */
type Case = readonly [sentence: string, piece: string, replacement: string, code: string, words: string, help?: string]

const PRIVATE_JWT = (keys: string): string => `"auth": { "method": "private_key_jwt", ${keys} }`
const BOT_AUTH = '"auth": { "method": "client_secret_basic", "secret": { "secret": "BOT" } }'
const RULE = '{ "id": "all", "effect": "allow", "resources": ["tasks"], "scopes": ["read"] }'
const WHO = (conditions: string): string =>
  `{ "id": "all", "effect": "allow", "who": { ${conditions} }, "resources": ["tasks"] }`
const RULES = '"rules": ['
const ONE_TEST =
  '{ "name": "t", "as": { "user": "ann", "client": "bot" }, "request": "GET tasks /v1", "expect": "deny" }'
const TESTS = (tests: string): string => `"tests": [${tests}], ${RULES}`
/** One test with something more of who asks, and something more of the answer. */
const TEST = (as: string, more = ''): string =>
  TESTS(
    ONE_TEST.replace('"ann"', as === '' ? '"ann"' : `"ann", ${as}`).replace(
      '"deny"',
      more === '' ? '"deny"' : `"deny", ${more}`,
    ),
  )
const PROXY = '"proxy": { "path": "/r/tasks", "upstream": "https://api.tasks.example" }'
const FROM_EDGE_TO_BOT = EXAMPLE.slice(EXAMPLE.indexOf('"edge_client"'), EXAMPLE.indexOf(` ${BOT_AUTH}`))
const ISSUER = '"issuer": "https://idp.example"'

const cases: Readonly<Record<string, readonly Case[]>> = {
  'the form of the file': [
    ['refuses a value that is not JSON', '"version": 1', '"version": ›one', 'CFG100', 'not a JSON value'],
    [
      'refuses a missing comma',
      '"version": 1,\n  "public_url"',
      '"version": 1\n  ›"public_url"',
      'CFG100',
      'a comma is expected',
    ],
    ['refuses a string that does not end', '"id": "gw"', '"id": ›"gw\n', 'CFG100', 'not closed'],
    [
      'refuses a key that stands twice',
      ISSUER,
      `${ISSUER}, ›${ISSUER}`,
      'CFG101',
      '"issuer" stands here a second time',
    ],
    [
      'refuses a key it does not know and guesses',
      ISSUER,
      '›"isuer": "x", ' + ISSUER,
      'CFG102',
      '"isuer"',
      'did you mean "issuer"?',
    ],
    ['refuses a section it does not know', '"version": 1', '"version": 1, ›"plugins": {}', 'CFG102', '"plugins"'],
    [
      'says what is missing at the object it is missing from',
      '"main": {\n      "issuer": "https://idp.example",',
      '›"main": {',
      'CFG103',
      '"issuer" is missing',
    ],
    ['says what is missing from a rule in the list', RULE, '›{ "id": "all" }', 'CFG103', '"effect" is missing'],
    ['refuses another version', '"version": 1', '"version": ›2', 'CFG104', 'version 1 is the only one'],
    ['refuses a list where an object belongs', '"policy": {', '"cache": ›[], "policy": {', 'CFG104', 'an object'],
    [
      'refuses a list where names belong',
      '"clients": {\n    "people"',
      '"clients": ›[], "x": {\n    "people"',
      'CFG104',
      'an object',
    ],
    ['refuses an object where a list belongs', '"scopes": ["read", "write"]', '"scopes": ›{}', 'CFG104', 'a list'],
    ['refuses a number where a string belongs', '"id": "gw"', '"id": ›7', 'CFG104', 'a string'],
    [
      'refuses a word that is none of the choices and guesses',
      '"effect": "allow"',
      '"effect": ›"alow"',
      'CFG104',
      '"allow", "deny", "shadow-deny"',
      'did you mean "allow"?',
    ],
    [
      'refuses an unknown method of authentication and guesses',
      '"method": "client_secret_basic"',
      '"method": ›"client_secret_basics"',
      'CFG104',
      '"client_secret_post"',
      'did you mean "client_secret_basic"?',
    ],
    [
      'misses the method of authentication',
      '"auth": { "method": "none" }, "edge',
      '›"auth": {}, "edge',
      'CFG103',
      '"method" is missing',
    ],
    [
      'refuses a key of another method of authentication',
      '"auth": { "method": "none" }, "edge',
      '"auth": { "method": "none", ›"alg": "ES256" }, "edge',
      'CFG102',
      '"alg"',
    ],
    [
      'refuses a client without authentication at our token endpoint',
      BOT_AUTH,
      '"auth": { "method": ›"none" }',
      'CFG104',
      'client_secret_basic',
    ],
    ['refuses a kind of resource it does not know', '"kind": "id-jag"', '"kind": ›"api-key"', 'CFG104', '"id-jag"'],
    [
      'refuses a symmetric algorithm',
      ISSUER,
      ISSUER + ', "id_token": { "algorithms": ["ES256", ›"HS256"] }',
      'CFG104',
      'one of',
      'did you mean',
    ],
    ['refuses an empty condition', '"resources": ["tasks"], ', '"resources": ›[], ', 'CFG103', 'at least one'],
    [
      'refuses a file without identity providers',
      '"idps": {',
      '"idps": ›{}, "x": {',
      'CFG103',
      'at least one identity provider',
    ],
    [
      'refuses a list with one thing twice',
      '"scopes": ["read", "write"]',
      '"scopes": ["read", "write", ›"read"]',
      'CFG109',
      'a second time',
    ],
    [
      'refuses a scope with a space',
      '"scopes": ["read", "write"]',
      '"scopes": ["read", ›"write all", "write"]',
      'CFG104',
      'one scope',
    ],
    [
      'refuses a control character in text',
      ISSUER,
      ISSUER + ', "claims": { "groups": ›"a\\u0000b" }',
      'CFG104',
      'control characters',
    ],
  ],
  durations: [
    [
      'refuses a duration without a unit',
      '"policy": {',
      '"cache": { "max_ttl": ›"3600" }, "policy": {',
      'CFG104',
      '"1h"',
    ],
    ['refuses a duration as a number', '"policy": {', '"cache": { "max_ttl": ›3600 }, "policy": {', 'CFG104', '"1h"'],
    [
      'refuses a duration beyond its bound',
      '"policy": {',
      '"cache": { "max_ttl": ›"2d" }, "policy": {',
      'CFG104',
      'between 1s and 1d',
    ],
  ],
  names: [
    ['refuses a name with a slash', '"main": {', '›"main/eu": {', 'CFG105', '"main/eu"'],
    ['refuses a name that begins with a dot', '"tasks": {', '›".tasks": {', 'CFG105', '".tasks"'],
    ['refuses __proto__ as the name of a client', '"bot": {', '›"__proto__": {', 'CFG105', '"__proto__"'],
    [
      'refuses constructor as the name of an identity provider',
      '"idps": {',
      '"idps": { ›"constructor": {},',
      'CFG105',
      '"constructor"',
    ],
    [
      'refuses prototype as a key anywhere',
      '"effect": "allow"',
      '"effect": "allow", ›"prototype": {}',
      'CFG105',
      '"prototype"',
    ],
  ],
  'our clients at the servers of others': [
    [
      'refuses a certificate that is named as a secret',
      '"auth": { "method": "none" }, "edge',
      '"auth": { "method": "tls_client_auth", "certificate": { ›"secret": "CERT" } }, "edge',
      'CFG102',
      '"secret"',
    ],
    [
      'refuses a binding whose name cannot be one',
      '"auth": { "method": "none" }, "edge',
      '"auth": { "method": "tls_client_auth", "certificate": { "binding": ›"my-cert" } }, "edge',
      'CFG105',
      'A-Z, 0-9 and _',
    ],
    [
      'refuses another binding of the Worker as a certificate',
      '"auth": { "method": "none" }, "edge',
      '"auth": { "method": "self_signed_tls_client_auth", "certificate": { "binding": ›"TOKENS" } }, "edge',
      'CFG105',
      'another binding',
    ],
    [
      'refuses to send an assertion as actor that the client does not have',
      '"clients": {\n        "gateway": { "id": "gw", "auth": { "method": "none" }',
      '"quirks": { "actor_token": "client_assertion" },\n"clients": {\n        "gateway": { "id": "gw", "auth": { "method": ›"none" }',
      'CFG112',
      'no client assertion',
      'private_key_jwt',
    ],
    [
      'refuses a secret of a client that is known by its document',
      '"id": "gw-at-tasks", "auth": { "method": "none" }',
      '"id": "https://gw.example/clients/gw.json", "auth": { "method": ›"client_secret_post", "secret": { "secret": "S" } }',
      'CFG112',
      'cannot share a secret',
      'private_key_jwt',
    ],
    [
      'refuses one document for two ways to authenticate',
      '"id": "gw-at-tasks", "auth": { "method": "none" } }',
      '"id": "https://gw.example/clients/a.json", "auth": { "method": "none" } }, "clients": { "bot": { "id": "https://gw.example/clients/a.json", "auth": { "method": ›"private_key_jwt", "key": { "secret": "K" }, "alg": "ES256" } } }',
      'CFG112',
      'by "none"',
    ],
  ],
  secrets: [
    [
      'refuses a secret written down in a list',
      '{ "secret": "BOT" }',
      '[{ "secret": "BOT" }, ›"hunter2-hunter2"]',
      'CFG106',
      '{ "secret": "NAME" }',
      'wrangler secret put',
    ],
    [
      'refuses more secrets than a rotation has',
      '{ "secret": "BOT" }',
      '›[{ "secret": "A" }, { "secret": "B" }, { "secret": "C" }]',
      'CFG104',
      'two are enough',
    ],
    ['refuses a list of no secrets', '{ "secret": "BOT" }', '›[]', 'CFG103', 'at least one'],
    [
      'refuses a secret that is to take its own place',
      '{ "secret": "BOT" }',
      '[{ "secret": "A" }, ›{ "secret": "A" }]',
      'CFG109',
      'a second time',
    ],
    [
      'refuses a secret written down',
      '{ "secret": "BOT" }',
      '›"hunter2-hunter2"',
      'CFG106',
      '{ "secret": "NAME" }',
      'wrangler secret put',
    ],
    [
      'refuses a secret written down in a reference',
      '{ "secret": "BOT" }',
      '{ "secret": ›"hunter2-hunter2" }',
      'CFG106',
      'not the name of a secret',
      'wrangler secret put',
    ],
    [
      'refuses a reference of another kind',
      '{ "secret": "BOT" }',
      '{ "secret": "BOT", ›"env": "hunter2-hunter2" }',
      'CFG106',
      '{ "secret": "NAME" }',
    ],
    [
      'refuses the name of another binding',
      '{ "secret": "BOT" }',
      '{ "secret": ›"TOKENS" }',
      'CFG105',
      'another binding',
    ],
  ],
  addresses: [
    ['refuses an address that is none', '"https://idp.example"', '›"idp.example"', 'CFG107', 'with its scheme'],
    ['refuses a scheme that is not http', '"https://idp.example"', '›"ftp://idp.example"', 'CFG107', 'https://'],
    ['refuses an issuer with a query', '"https://idp.example"', '›"https://idp.example?a=b"', 'CFG107', 'no query'],
    ['refuses a fragment', '"https://idp.example"', '›"https://idp.example#a"', 'CFG107', 'fragment'],
    ['refuses a user in an address', '"https://idp.example"', '›"https://ann@idp.example"', 'CFG107', 'a user'],
    ['refuses an empty user in an address', '"https://idp.example"', '›"https://@idp.example"', 'CFG107', 'a user'],
    ['refuses a space in an address', '"https://idp.example"', '›"https://idp.example /x"', 'CFG107', 'no spaces'],
    [
      'refuses a backslash in an address',
      '"https://idp.example"',
      '›"https://idp.example\\\\@evil.example"',
      'CFG107',
      'no spaces',
    ],
    ['refuses a line break in an address', '"https://idp.example"', '›"https://idp.example\\n"', 'CFG107', 'control'],
    ['refuses plain http', '"https://idp.example"', '›"http://idp.example"', 'CFG107', 'https is required'],
    [
      'refuses this machine outside local runs',
      '"https://idp.example"',
      '›"https://127.0.0.1:9000"',
      'CFG107',
      'local runs only',
    ],
    [
      'refuses localhost outside local runs',
      '"https://idp.example"',
      '›"https://localhost"',
      'CFG107',
      'local runs only',
    ],
    ['refuses an IPv4 address', '"https://idp.example"', '›"https://192.0.2.7"', 'CFG107', 'not an IP address'],
    [
      'refuses an IPv4 address spelled otherwise',
      '"https://idp.example"',
      '›"https://0xa9.0xfe.0xa9fe"',
      'CFG107',
      'not an IP address',
    ],
    [
      'refuses an IPv6 address',
      '"https://as.tasks.example"',
      '›"https://[2001:db8::1]"',
      'CFG107',
      'not an IP address',
    ],
    [
      'refuses an IPv4 address inside an IPv6 address',
      '"https://as.tasks.example"',
      '›"https://[::ffff:127.0.0.1]"',
      'CFG107',
      'not an IP address',
    ],
    [
      'refuses plain http for a token endpoint',
      ISSUER,
      ISSUER + ', "token_endpoint": ›"http://idp.example/token"',
      'CFG107',
      'https is required',
    ],
    [
      'refuses plain http for keys',
      ISSUER,
      ISSUER + ', "jwks_uri": ›"http://idp.example/jwks"',
      'CFG107',
      'https is required',
    ],
    [
      'refuses plain http for an upstream',
      '"https://api.tasks.example"',
      '›"http://api.tasks.example"',
      'CFG107',
      'https is required',
    ],
    [
      'refuses a public URL with a path',
      '"https://gw.example"',
      '›"https://gw.example/gateway"',
      'CFG107',
      'an origin alone',
    ],
    [
      'refuses a public URL with a slash at its end',
      '"https://gw.example"',
      '›"https://gw.example/"',
      'CFG107',
      'https://gw.example',
    ],
    [
      'refuses a public URL in upper case',
      '"https://gw.example"',
      '›"https://GW.example"',
      'CFG107',
      'https://gw.example',
    ],
    [
      'refuses an upstream with a query',
      '"https://api.tasks.example"',
      '›"https://api.tasks.example/v1?a=b"',
      'CFG107',
      'no query',
    ],
    [
      'refuses an upstream that is not in normal form',
      '"https://api.tasks.example"',
      '›"https://api.tasks.example/a/../b"',
      'CFG107',
      'https://api.tasks.example/b',
    ],
    [
      'refuses every origin at once',
      '"policy": {',
      '"cors": { "origins": ["https://app.example", ›"*"] }, "policy": {',
      'CFG107',
      'written out',
    ],
    [
      'refuses the origin of sandboxed frames',
      '"policy": {',
      '"cors": { "origins": ["https://app.example", ›"null"] }, "policy": {',
      'CFG107',
      'written out',
    ],
    [
      'refuses an origin by pattern',
      '"policy": {',
      '"cors": { "origins": ["https://app.example", ›"written out://*.example"] }, "policy": {',
      'CFG107',
      'written out',
    ],
    [
      'refuses an origin with a path',
      '"policy": {',
      '"cors": { "origins": ["https://app.example", ›"https://a.example/x"] }, "policy": {',
      'CFG107',
      'https://a.example',
    ],
    [
      'refuses an origin with a slash at its end',
      '"policy": {',
      '"cors": { "origins": ["https://app.example", ›"https://a.example/"] }, "policy": {',
      'CFG107',
      'https://a.example',
    ],
    [
      'refuses an origin as browsers would not write it',
      '"policy": {',
      '"cors": { "origins": ["https://app.example", ›"https://a.example:443"] }, "policy": {',
      'CFG107',
      'https://a.example',
    ],
    [
      'refuses an origin without TLS',
      '"policy": {',
      '"cors": { "origins": ["https://app.example", ›"http://a.example"] }, "policy": {',
      'CFG107',
      'https is required',
    ],
    [
      'refuses an origin of this machine outside local runs',
      '"policy": {',
      '"cors": { "origins": ["https://app.example", ›"http://localhost:5173"] }, "policy": {',
      'CFG107',
      'local runs only',
    ],
    [
      'refuses a resource with a fragment',
      '"kind": "id-jag"',
      '"resource": ›"https://api.example/#a", "kind": "id-jag"',
      'CFG107',
      'fragment',
    ],
  ],
  references: [
    [
      'refuses an identity provider that is not there',
      '"people": { "subject_tokens": ["main/gateway"]',
      '"people": { "subject_tokens": ["main/gateway", ›"mian/gateway"]',
      'CFG108',
      '"mian"',
      'did you mean "main/gateway"?',
    ],
    [
      'refuses a client of an identity provider that is not there',
      '"people": { "subject_tokens": ["main/gateway"]',
      '"people": { "subject_tokens": ["main/gateway", ›"main/gatway"]',
      'CFG108',
      'no client "gatway"',
      'did you mean "main/gateway"?',
    ],
    [
      'refuses a reference that is not one',
      '"people": { "subject_tokens": ["main/gateway"]',
      '"people": { "subject_tokens": ["main/gateway", ›"gateway"]',
      'CFG108',
      '"idp/client" is expected',
    ],
    [
      'does not find names that every object has',
      '"people": { "subject_tokens": ["main/gateway"]',
      '"people": { "subject_tokens": ["main/gateway", ›"main/toString"]',
      'CFG108',
      'no client "toString"',
    ],
    [
      'refuses an edge client that is not there',
      '"edge_client": "people"',
      '"edge_client": ›"poeple"',
      'CFG108',
      'no client "poeple"',
      'did you mean "people"?',
    ],
    [
      'refuses an edge client that may not present those ID tokens',
      '"edge_client": "people"',
      '"edge_client": "people" }, "other": { "id": "gw2", "auth": { "method": "none" }, "edge_client": ›"bot"',
      'CFG112',
      'may not present ID tokens of "main/other"',
    ],
    [
      'refuses an edge client where no ID token is exchanged',
      '"edge_client": "people" }\n      }',
      '›"edge_client": "people" }\n      }, "quirks": { "subject_token_types": ["refresh_token"] }',
      'CFG112',
      'the ID tokens they bring are not exchanged',
    ],
    [
      'refuses an edge client that may not present ID tokens at all',
      FROM_EDGE_TO_BOT,
      FROM_EDGE_TO_BOT.replace('"people" }', '›"bot" }')
        .replace('      }\n    }', '      }, "quirks": { "subject_token_types": ["id_token", "refresh_token"] }\n    }')
        .replace(/$/, ' "subject_token_types": ["refresh_token"],'),
      'CFG112',
      'may not present ID tokens, and proxied requests bring nothing else',
    ],
    [
      'refuses a kind of subject token that the client has no way to show',
      FROM_EDGE_TO_BOT,
      FROM_EDGE_TO_BOT.replace(
        '["main/gateway"] }',
        '["main/gateway"], "subject_token_types": ["id_token", ›"saml2"] }',
      ).replace('      }\n    }', '      }, "quirks": { "subject_token_types": ["id_token", "saml2"] }\n    }'),
      'CFG112',
      'are taken at the token endpoint alone, which this client cannot use',
    ],
    [
      'refuses a kind of subject token that no identity provider of the client takes',
      '"bot": { "subject_tokens": ["main/gateway"],',
      '"bot": { "subject_tokens": ["main/gateway"], "subject_token_types": ["id_token", ›"saml2"],',
      'CFG112',
      'no identity provider of this client takes subject tokens of the kind "saml2"',
    ],
    [
      'refuses a kind of subject token that does not exist',
      '"bot": { "subject_tokens": ["main/gateway"],',
      '"bot": { "subject_tokens": ["main/gateway"], "subject_token_types": [›"id-jag"],',
      'CFG104',
      '"refresh_token"',
    ],
    [
      'refuses a registration for a client that is not there',
      '"kind": "id-jag"',
      '"clients": { ›"bott": { "id": "x", "auth": { "method": "none" } } }, "kind": "id-jag"',
      'CFG108',
      'no client "bott"',
      'did you mean "bot"?',
    ],
    [
      'refuses a client that is not there in a rule',
      '"effect": "allow"',
      '"effect": "allow", "who": { "clients": ["people", ›"Bot"] }',
      'CFG108',
      'no client "Bot"',
      'did you mean "bot"?',
    ],
    [
      'refuses a resource that is not there in a rule',
      '"resources": ["tasks"]',
      '"resources": ["tasks", ›"taks"]',
      'CFG108',
      'no resource "taks"',
      'did you mean "tasks"?',
    ],
    [
      'refuses a scope that no resource of the rule has',
      '"scopes": ["read"]',
      '"scopes": ["read", ›"raed"]',
      'CFG108',
      'the scope "raed"',
      'did you mean "read"?',
    ],
    [
      'refuses a type of authorization details that no resource of the rule takes',
      '"scopes": ["read"]',
      '"scopes": ["read"], "authorization_details_types": [›"payment"]',
      'CFG108',
      'the type "payment"',
    ],
    [
      'refuses a user of an identity provider that is not there',
      '"effect": "allow"',
      '"effect": "allow", "who": { "users": [›"okta/ann"] }',
      'CFG108',
      'no identity provider "okta"',
    ],
    [
      'refuses a user without a subject',
      '"effect": "allow"',
      '"effect": "allow", "who": { "users": [›"main/"] }',
      'CFG108',
      'the subject is missing',
    ],
  ],
  'what must be unique': [
    [
      'refuses two rules with one id',
      RULE,
      `${RULE}, { "id": ›"all", "effect": "deny" }`,
      'CFG109',
      'two rules with the id "all"',
    ],
    [
      'refuses two identity providers with one issuer',
      '"main": {',
      '"other": { "issuer": "https://idp.example", "clients": { "c": { "id": "c", "auth": { "method": "none" } } } }, "main": {',
      'CFG109',
      'one issuer',
    ],
    [
      'refuses two clients of an identity provider with one id',
      '"id": "gw", "auth": { "method": "none" }',
      '"id": "gw", "auth": { "method": "none" } }, "other": { "id": ›"gw", "auth": { "method": "none" }',
      'CFG109',
      'one id',
      '"gateway" has this id',
    ],
  ],
  'places at our door': [
    ['refuses a path that is not absolute', '"/r/tasks"', '›"r/tasks"', 'CFG110', 'a path such as'],
    ['refuses the root', '"/r/tasks"', '›"/"', 'CFG110', 'a path such as'],
    ['refuses a slash at the end', '"/r/tasks"', '›"/r/tasks/"', 'CFG110', 'a path such as'],
    ['refuses a dot segment', '"/r/tasks"', '›"/r/../admin"', 'CFG110', 'a path such as'],
    ['refuses an escape', '"/r/tasks"', '›"/r/%74asks"', 'CFG110', 'a path such as'],
    ['refuses our token endpoint', '"/r/tasks"', '›"/token"', 'CFG110', 'what begins with /token is ours'],
    ['refuses our revocation endpoint', '"/r/tasks"', '›"/revoke"', 'CFG110', 'what begins with /revoke is ours'],
    ['refuses our introspection endpoint', '"/r/tasks"', '›"/introspect/x"', 'CFG110', 'is ours'],
    ['refuses a place under our well-known documents', '"/r/tasks"', '›"/.well-known/tasks"', 'CFG110', 'is ours'],
    ['refuses a place under our pages', '"/r/tasks"', '›"/admin/tasks"', 'CFG110', 'is ours'],
    ['refuses a host with a port', '"path": "/r/tasks"', '"host": ›"tasks.example:8443"', 'CFG110', 'a host name'],
    ['refuses a host in upper case', '"path": "/r/tasks"', '"host": ›"Tasks.example"', 'CFG110', 'a host name'],
    ['refuses an IP address as a host', '"path": "/r/tasks"', '"host": ›"192.0.2.7"', 'CFG110', 'a host name'],
    [
      'refuses what cannot be the name of a cookie',
      '"path": "/r/tasks"',
      '"path": "/r/tasks", "cookies": ["lb", ›"a=b"]',
      'CFG104',
      'name of a cookie',
    ],
    [
      'refuses a pattern of cookies',
      '"path": "/r/tasks"',
      '"path": "/r/tasks", "cookies": ["lb", ›"lb_ *"]',
      'CFG104',
      'name of a cookie',
    ],
    [
      'refuses the cookie of Cloudflare Access',
      '"path": "/r/tasks"',
      '"path": "/r/tasks", "cookies": ["lb", ›"CF_Authorization"]',
      'CFG104',
      'never passed on',
    ],
    [
      'refuses the cookies of the platform',
      '"path": "/r/tasks"',
      '"path": "/r/tasks", "cookies": ["lb", ›"__cf_bm"]',
      'CFG104',
      'never passed on',
    ],
    [
      'refuses a cookie of our own',
      '"path": "/r/tasks"',
      '"path": "/r/tasks", "cookies": ["lb", ›"__Host-jagway"]',
      'CFG104',
      'never passed on',
    ],
    [
      'refuses a cookie of a whole host for a resource under a path',
      '"path": "/r/tasks"',
      '"path": "/r/tasks", "cookies": ["lb", ›"__host-lb"]',
      'CFG112',
      'for a path',
    ],
    [
      'refuses a cookie named twice',
      '"path": "/r/tasks"',
      '"path": "/r/tasks", "cookies": ["lb", ›"lb"]',
      'CFG109',
      'a second time',
    ],
    ['refuses our own host', '"path": "/r/tasks"', '"host": ›"gw.example"', 'CFG110', 'the host of "public_url"'],
    [
      'refuses a path and a host together',
      '"path": "/r/tasks"',
      '"path": "/r/tasks", ›"host": "tasks.example"',
      'CFG112',
      'not both',
    ],
    ['misses the place', '"proxy": { "path": "/r/tasks", ', '›"proxy": { ', 'CFG103', '"path" or the key "host"'],
    [
      'refuses to pass the caller’s credentials on',
      PROXY,
      PROXY.replace(' }', ', "request_headers": ["x-ok", ›"Authorization"] }'),
      'CFG104',
      '"authorization" is never passed on',
    ],
    [
      'refuses to pass on what proxies vouch for',
      PROXY,
      PROXY.replace(' }', ', "request_headers": [›"X-Forwarded-User"] }'),
      'CFG104',
      'never passed on',
    ],
    [
      'refuses to pass on cookies under any of their names',
      PROXY,
      PROXY.replace(' }', ', "request_headers": [›"Set-Cookie"] }'),
      'CFG104',
      '"set-cookie" is never passed on',
    ],
    [
      'refuses a header name with an underscore',
      PROXY,
      PROXY.replace(' }', ', "request_headers": [›"x_user"] }'),
      'CFG104',
      'a header name',
    ],
  ],
  'where events go': [
    [
      'refuses a sink without its settings',
      '"policy": {',
      '"audit": { "sinks": ›["console", "queue"] }, "policy": {',
      'CFG103',
      'the sink "queue" has no queue',
      'add "queue": { "binding": "AUDIT_QUEUE" }',
    ],
    [
      'refuses the settings of a sink that is not used',
      '"policy": {',
      '"audit": { ›"queue": { "binding": "Q" } }, "policy": {',
      'CFG112',
      'the queue of a sink that is not used',
    ],
    [
      'refuses the settings of a collector that is not used',
      '"policy": {',
      '"audit": { ›"http": { "url": "https://c.example", "key": { "secret": "K" } } }, "policy": {',
      'CFG112',
      'the address of a sink that is not used',
    ],
    [
      'refuses to require what the console cannot promise',
      '"policy": {',
      '"audit": { "sinks": ["console"], "required": ›true }, "policy": {',
      'CFG112',
      'no sink here can say',
    ],
    [
      'refuses a queue by the name of a secret',
      '"policy": {',
      '"audit": { "sinks": ["queue"], "queue": { "binding": ›"JAGWAY_SEALING_KEY" } }, "policy": {',
      'CFG112',
      'the name of another binding',
    ],
    [
      'refuses a bucket by the name of the queue',
      '"policy": {',
      '"audit": { "sinks": ["queue"], "queue": { "binding": "A", "bucket": ›"A" } }, "policy": {',
      'CFG112',
      'the name of another binding',
    ],
    [
      'refuses a queue by the name of a binding that is always there',
      '"policy": {',
      '"audit": { "sinks": ["queue"], "queue": { "binding": ›"TOKENS" } }, "policy": {',
      'CFG105',
      'the name of another binding',
    ],
  ],
  keys: [
    [
      'refuses keys given twice',
      ISSUER,
      ISSUER + ', "jwks_uri": "https://idp.example/jwks", ›"jwks": { "keys": [{ "kty": "EC" }] }',
      'CFG112',
      'given twice',
    ],
    [
      'refuses a client without keys',
      BOT_AUTH,
      '›"auth": { "method": "private_key_jwt" }',
      'CFG103',
      'the public keys of this client are missing',
    ],
    ['refuses an empty key set', BOT_AUTH, PRIVATE_JWT('"jwks": { "keys": ›[] }'), 'CFG111', 'verifies nothing'],
    [
      'refuses a private key',
      BOT_AUTH,
      PRIVATE_JWT('"jwks": { "keys": [{ "kty": "EC", ›"d": "hunter2-hunter2" }] }'),
      'CFG111',
      'private member "d"',
    ],
    [
      'refuses a symmetric key',
      BOT_AUTH,
      PRIVATE_JWT('"jwks": { "keys": [{ "kty": "oct", ›"k": "hunter2-hunter2" }] }'),
      'CFG111',
      'private member "k"',
    ],
    ['refuses a key without a type', BOT_AUTH, PRIVATE_JWT('"jwks": { "keys": [›{ "kid": "a" }] }'), 'CFG111', '"kty"'],
    [
      'refuses two keys with one kid',
      BOT_AUTH,
      PRIVATE_JWT('"jwks": { "keys": [{ "kty": "EC", "kid": "a" }, { "kty": "RSA", "kid": ›"a" }] }'),
      'CFG109',
      '"kid" "a"',
    ],
    ['refuses a key set that is none', BOT_AUTH, PRIVATE_JWT('"jwks": ›"https://x.example"'), 'CFG111', 'a key set'],
  ],
  rules: [
    [
      'refuses a method in lower case',
      '"effect": "allow"',
      '"effect": "allow", "methods": ["GET", ›"post"]',
      'CFG104',
      '"post"',
      'did you mean "POST"?',
    ],
    ['refuses CONNECT', '"effect": "allow"', '"effect": "allow", "methods": [›"CONNECT"]', 'CFG104', '"CONNECT"'],
    [
      'refuses a path pattern without a slash',
      '"effect": "allow"',
      '"effect": "allow", "paths": [›"v1/*"]',
      'CFG104',
      'begins with a slash',
    ],
    [
      'refuses a path pattern with an escape',
      '"effect": "allow"',
      '"effect": "allow", "paths": [›"/a%2Fb"]',
      'CFG104',
      'no escapes',
    ],
    [
      'refuses a path pattern with a query',
      '"effect": "allow"',
      '"effect": "allow", "paths": [›"/a?b"]',
      'CFG104',
      'no query',
    ],
    [
      'refuses a path pattern with a dot segment',
      '"effect": "allow"',
      '"effect": "allow", "paths": [›"/a/../b"]',
      'CFG104',
      '".."',
    ],
    [
      'refuses a path pattern with an empty segment',
      '"effect": "allow"',
      '"effect": "allow", "paths": [›"/a//b"]',
      'CFG104',
      'empty segment',
    ],
    [
      'refuses two stars in the middle',
      '"effect": "allow"',
      '"effect": "allow", "paths": [›"/a/**/b"]',
      'CFG104',
      'at the end',
    ],
    [
      'refuses a star that is only part of a segment',
      '"effect": "allow"',
      '"effect": "allow", "paths": [›"/a/b*"]',
      'CFG104',
      'a segment of its own',
    ],
    ['refuses a claim without values', RULE, WHO('"claims": { "dept": ›[] }'), 'CFG103', 'at least one entry'],
    ['refuses claims without one', RULE, WHO('"claims": ›{}'), 'CFG103', 'at least one claim'],
    [
      'refuses a value that no claim is compared with',
      RULE,
      WHO('"claims": { "dept": ["eng", ›null] }'),
      'CFG104',
      'true or false',
    ],
    ['refuses claims as a list', RULE, WHO('"claims": ›["dept"]'), 'CFG104', 'an object'],
    ['refuses a class with a space in it', RULE, WHO('"acr": ["phr", ›"two words"]'), 'CFG104', 'one class'],
    ['refuses a login of any age', RULE, WHO('"max_auth_age": ›"0s"'), 'CFG104', 'between 1s and 30d'],
    [
      'refuses a login that is too new for a rule that denies',
      RULE,
      WHO('›"max_auth_age": "5m"').replace('"allow"', '"deny"'),
      'CFG112',
      'pass the old ones',
    ],
    [
      'refuses a day that is in no calendar',
      '"effect": "allow"',
      '"effect": "allow", "until": ›"2026-02-30"',
      'CFG104',
      'a date',
    ],
    [
      'refuses a time without an offset',
      '"effect": "allow"',
      '"effect": "allow", "until": ›"2026-12-31T18:00:00"',
      'CFG104',
      'a date or a time',
    ],
    [
      'refuses a moment in words',
      '"effect": "allow"',
      '"effect": "allow", "until": ›"Christmas"',
      'CFG104',
      'a date or a time',
    ],
  ],
  'rate limits': [
    [
      'refuses the name of another binding',
      BOT_AUTH,
      `${BOT_AUTH}, "rate_limit": { "binding": ›"LEDGERS", "limit": 5, "period": "10s" }`,
      'CFG105',
      'another binding',
    ],
    [
      'refuses what is not the name of a binding',
      BOT_AUTH,
      `${BOT_AUTH}, "rate_limit": { "binding": ›"bot limit", "limit": 5, "period": "10s" }`,
      'CFG105',
      'the name of a binding',
    ],
    [
      'refuses a period that the platform does not count',
      BOT_AUTH,
      `${BOT_AUTH}, "rate_limit": { "binding": "BOT_LIMIT", "limit": 5, "period": ›"30s" }`,
      'CFG104',
      'one of "10s", "60s"',
    ],
    [
      'refuses a limit of nothing',
      BOT_AUTH,
      `${BOT_AUTH}, "rate_limit": { "binding": "BOT_LIMIT", "limit": ›0, "period": "10s" }`,
      'CFG104',
      'at least 1',
    ],
    [
      'refuses a limit of a fraction',
      BOT_AUTH,
      `${BOT_AUTH}, "rate_limit": { "binding": "BOT_LIMIT", "limit": ›1.5, "period": "10s" }`,
      'CFG104',
      'a whole number',
    ],
    [
      'refuses one binding with two limits',
      '"people": { "subject_tokens": ["main/gateway"] },\n    "bot": { "subject_tokens": ["main/gateway"]',
      '"people": { "subject_tokens": ["main/gateway"], "rate_limit": { "binding": "L", "limit": 5, "period": "10s" } },\n' +
        '    "bot": { "subject_tokens": ["main/gateway"], "rate_limit": ›{ "binding": "L", "limit": 6, "period": "10s" }',
      'CFG112',
      'another limit or period',
      'a binding of its own',
    ],
    [
      'refuses the name of a secret',
      BOT_AUTH,
      `${BOT_AUTH}, "rate_limit": { "binding": ›"BOT", "limit": 5, "period": "10s" }`,
      'CFG112',
      'the name of a secret',
    ],
    [
      'refuses one binding with two rates',
      RULE,
      '{ "id": "one", "effect": "allow", "rate": { "binding": "L", "limit": 5, "period": "10s" } },\n' +
        '{ "id": "two", "effect": "allow", "rate": ›{ "binding": "L", "limit": 6, "period": "10s" } }',
      'CFG112',
      'another limit or period',
      'a binding of its own',
    ],
    [
      'refuses the rate of a rule that lets nothing pass',
      '"effect": "allow"',
      '"effect": "deny", ›"rate": { "binding": "L", "limit": 6, "period": "10s" }',
      'CFG112',
      'nothing pass that could be counted',
      'the rules that allow',
    ],
  ],
  'policy tests': [
    [
      'refuses a test without a question',
      RULES,
      TESTS('›{ "name": "t", "as": { "user": "ann", "client": "bot" }, "expect": "deny" }'),
      'CFG103',
      '"request" is missing',
    ],
    [
      'refuses a test of nobody',
      RULES,
      TESTS('{ "name": "t", ›"as": { "client": "bot" }, "request": "GET tasks /", "expect": "deny" }'),
      'CFG103',
      '"user" is missing',
    ],
    [
      'refuses a key it does not know in a test',
      RULES,
      TEST('', '›"expects": "deny"'),
      'CFG102',
      '"expects"',
      'did you mean "expect"?',
    ],
    [
      'refuses another answer than there is',
      RULES,
      TEST('').replace('"deny"', '›"denied"'),
      'CFG104',
      '"allow", "deny", "step_up"',
    ],
    [
      'refuses a client that is not there in a test',
      RULES,
      TEST('').replace('"bot"', '›"bto"'),
      'CFG108',
      'no client "bto"',
      'did you mean "bot"?',
    ],
    [
      'refuses an identity provider that is not there in a test',
      RULES,
      TEST('"idp": ›"mian"'),
      'CFG108',
      'no identity provider "mian"',
      'did you mean "main"?',
    ],
    [
      'refuses a resource that is not there in a test',
      RULES,
      TEST('').replace('"GET tasks /v1"', '›"GET taks /v1"'),
      'CFG108',
      'no resource "taks"',
      'did you mean "tasks"?',
    ],
    [
      'refuses a line that is no request',
      RULES,
      TEST('').replace('"GET tasks /v1"', '›"tasks /v1"'),
      'CFG104',
      'is expected here',
    ],
    [
      'refuses a method in lower case in a test',
      RULES,
      TEST('').replace('"GET tasks /v1"', '›"get tasks /v1"'),
      'CFG104',
      'is expected here',
    ],
    [
      'refuses a method that is never passed on in a test',
      RULES,
      TEST('').replace('"GET tasks /v1"', '›"TRACE tasks /v1"'),
      'CFG104',
      'TRACE is never passed on',
    ],
    [
      'refuses a path with two meanings in a test',
      RULES,
      TEST('').replace('"GET tasks /v1"', '›"GET tasks /v1/../x"'),
      'CFG104',
      'more than one way',
    ],
    [
      'refuses a path without a slash in a test',
      RULES,
      TEST('').replace('"GET tasks /v1"', '›"GET tasks v1"'),
      'CFG104',
      'begins with a slash',
    ],
    [
      'refuses two spaces between scopes',
      RULES,
      TEST('').replace('"GET tasks /v1"', '›"TOKEN tasks a  b"'),
      'CFG104',
      'single spaces',
    ],
    [
      'refuses types of details without a token',
      RULES,
      TEST('').replace('"request": ', '"authorization_details_types": ["pay"], "request": ›'),
      'CFG104',
      'with a token',
    ],
    [
      'refuses a rule that is not there in a test',
      RULES,
      TEST('', '"rule": ›"al"'),
      'CFG108',
      'no rule "al"',
      'did you mean "all"?',
    ],
    [
      'refuses a code that is not there',
      RULES,
      TEST('', '"code": ›"POL1000"'),
      'CFG108',
      'no refusal "POL1000"',
      'did you mean "POL100"?',
    ],
    [
      'refuses a code where "allow" is expected',
      RULES,
      TEST('', '›"code": "POL100"').replace('"deny"', '"allow"'),
      'CFG112',
      'nothing is refused',
    ],
    ['refuses scopes where "deny" is expected', RULES, TEST('', '›"scopes": ["read"]'), 'CFG112', 'nothing is granted'],
    [
      'refuses a time without an offset in a test',
      RULES,
      TEST('', '"at": ›"2026-12-31T10:00:00"'),
      'CFG104',
      'a date or a time',
    ],
    [
      'refuses two tests with one name',
      RULES,
      TESTS(`${ONE_TEST}, ${ONE_TEST.replace('"t"', '›"t"')}`),
      'CFG109',
      'two policy tests',
    ],
  ],
  contradictions: [
    [
      'refuses a client that is not there for administrators',
      '"policy": {',
      '"admin": { "id_token": { "clients": [›"bto"] } }, "policy": {',
      'CFG108',
      'no client "bto"',
    ],
    [
      'refuses to keep more decisions than fit',
      '"policy": {',
      '"admin": { "id_token": {}, "decisions_kept": ›1001 }, "policy": {',
      'CFG104',
      'between 0 and 1000',
    ],
    ['refuses tenants that no claim names', ISSUER, ISSUER + ', ›"tenants": ["acme"]', 'CFG112', 'no claim names them'],
    [
      'refuses to send a resource that is not named',
      '"issuer": "https://as.tasks.example"',
      '"issuer": "https://as.tasks.example", "quirks": { "send_resource": ›true }',
      'CFG112',
      'none is named',
    ],
    [
      'refuses to bind tokens that nobody could use',
      '"proxy": { "path": "/r/tasks", "upstream": "https://api.tasks.example" }',
      '"dpop": ›"require"',
      'CFG112',
      'no request passes through here',
    ],
  ],
}

for (const [family, rows] of Object.entries(cases)) {
  describe(`parseConfig(): ${family}`, () => {
    it.each(rows.map((row) => [row[0], row] as const))('%s', (_sentence, row) => {
      const [, piece, replacement, code, words, help] = row
      const { text, line, column } = broken(piece, replacement)
      const [problem, ...further] = problemsOf(text).filter((found) => found.code === code)
      expect(problem).toMatchObject({ code, severity: 'error', fileName: 'jagway.jsonc' })
      expect(problem?.message).toContain(words)
      if (help !== undefined) expect(problem?.help).toContain(help)
      if (replacement.includes('›')) expect(`${problem?.line}:${problem?.column}`).toBe(`${line}:${column}`)
      expect(further).toEqual([])
    })
  })
}

describe('parseConfig(): two faults in one file', () => {
  const rows = Object.values(cases)
    .flat()
    .filter(([, , , code]) => code !== 'CFG100')

  /** Faults after which nothing can be said of what they are in, or of what rests on them. */
  const HIDING: Readonly<Record<string, RegExp>> = {
    'refuses a file without identity providers': /./,
    'refuses a list where names belong': /./,
    'refuses a kind of resource it does not know': /./,
    'refuses __proto__ as the name of a client': /./,
    'refuses one binding with two limits': /./,
    'refuses one binding with two rates': /./,
    'refuses what is not the name of a binding': /two (limits|rates)/,
    'refuses a period that the platform does not count': /two (limits|rates)/,
    'refuses a limit of nothing': /two (limits|rates)/,
    'refuses two clients of an identity provider with one id': /edge client/,
    'refuses a resource with a fragment': /a resource that is not named/,
    'refuses an empty condition': /no resource of the rule/,
    'refuses an object where a list belongs': /no resource of the rule/,
    'refuses a list with one thing twice': /no resource of the rule/,
    'refuses a scope with a space': /no resource of the rule/,
    'refuses a public URL with a path': /our own host|document/,
    'refuses a public URL with a slash at its end': /our own host|document/,
    'refuses a public URL in upper case': /our own host|document/,
  }
  /** All of them take as long as the rest of the tests together. */
  const EVERY = 9

  it('are both told, each in its place, wherever they are', { timeout: 60_000 }, () => {
    const missed: string[] = []
    let pairs = 0
    rows.forEach(([one, piece, replacement], index) => {
      rows.forEach(([other, otherPiece, otherReplacement, code], otherIndex) => {
        if ((index + otherIndex) % EVERY !== 0 || HIDING[one]?.test(other) === true) return
        const both = twice([piece, replacement], [otherPiece, otherReplacement])
        if (both === undefined) return
        pairs++
        const found = problemsOf(both.text).map((each) => `${each.code} ${each.line}:${each.column}`)
        if (!found.includes(`${code} ${both.line}:${both.column}`)) missed.push(`${one}, and ${other}`)
      })
    })
    expect(missed).toEqual([])
    expect(pairs).toBeGreaterThan(1000)
  })
})

/** Breaks the example in two places that do not touch; the place is that of the second. */
function twice(first: readonly [string, string], second: readonly [string, string]) {
  const [piece, replacement] = first
  const [otherPiece, otherReplacement] = second
  if (!otherReplacement.includes('›')) return undefined
  const [at, otherAt] = [EXAMPLE.indexOf(piece), EXAMPLE.indexOf(otherPiece)]
  if (at < otherAt + otherPiece.length && otherAt < at + piece.length) return undefined
  const half = EXAMPLE.replace(piece, () => replacement.replace('›', ''))
  return half.split(otherPiece).length === 2 ? broken(otherPiece, otherReplacement, half) : undefined
}

describe('parseConfig(): a policy test', () => {
  it('of somebody who cannot come like this is refused', () => {
    const other =
      '"other": { "issuer": "https://other.example", "clients": { "c": { "id": "c", "auth": { "method": "none" } } } }, '
    const two = EXAMPLE.replace('"main": {', `${other}"main": {`)
    const test = TESTS(
      '{ "name": "t", "as": { "user": "other/ann", "client": ›"bot" }, "request": "TOKEN tasks", "expect": "deny" }',
    )
    const { text, line, column } = broken(RULES, test, two)
    expect(problemsOf(text)).toMatchObject([
      { code: 'CFG112', line, column, message: expect.stringContaining('presents no ID tokens of "other"') },
    ])
  })
})

describe('parseConfig(): the example', () => {
  it('has no problem, so that each case above has the one it makes', () => {
    expect(problemsOf(EXAMPLE)).toEqual([])
  })

  it('counts lines and columns from one, whatever ends the lines', () => {
    const { text } = broken('"version": 1', '"version": 2')
    for (const ended of [text, text.replaceAll('\n', '\r\n'), text.replaceAll('\n', '\r')]) {
      expect(problemsOf(ended)).toMatchObject([{ line: 2, column: 14, length: 1 }])
    }
  })
})
