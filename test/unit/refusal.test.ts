import { describe, expect, test } from 'vitest'
import {
  describe as say,
  isRefusalCode,
  kindOf,
  pageOf,
  REFUSAL_CODES,
  titleOf,
  toAuditOutcome,
  toResourceVoice,
  toTokenVoice,
} from '../../src/refusal.ts'

const FAMILIES = ['CLI', 'TOK', 'POL', 'IDP', 'RAS', 'UPS', 'BRG', 'FRO', 'LIM', 'ADM', 'INT']

/** Characters that can stand in a quoted string of a header and in error_description (RFC 6749 section 5.2). */
const PLAIN = /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/

describe('the catalogue of refusals', () => {
  test('has codes of a family and a number, each once', () => {
    expect(REFUSAL_CODES.length).toBeGreaterThan(40)
    expect(new Set(REFUSAL_CODES).size).toBe(REFUSAL_CODES.length)
    for (const code of REFUSAL_CODES) {
      expect(code).toMatch(/^[A-Z]{3}[12]\d\d$/)
      expect(FAMILIES).toContain(code.slice(0, 3))
    }
  })

  test.each(REFUSAL_CODES)('%s says what happened and what to do, in plain ASCII', (code) => {
    const { says, fix } = pageOf(code)
    expect([says, fix].every((text) => PLAIN.test(text))).toBe(true)
    expect(says).not.toMatch(/\.$/)
    expect(fix).toMatch(/\.$/)
    expect([says, fix].join()).not.toMatch(/[{}]/)
  })

  test.each(REFUSAL_CODES)(
    '%s names what it is about, or speaks of "the resource", and shows no raw placeholder',
    (code) => {
      for (const refusal of [{ code }, { code, name: 'tasks' }, { code, name: 'tasks', detail: 'canary' }]) {
        const text = say(refusal, true)
        expect(text).toMatch(PLAIN)
        expect(text.startsWith(`${code}: `)).toBe(true)
        expect(text).not.toMatch(/[{}]|undefined|canary/)
        expect(titleOf(refusal)).not.toMatch(/[{}]|undefined|canary/)
      }
    },
  )

  test('what was expected and what was got is said in full, or not at all', () => {
    const refusal = { code: 'RAS101', name: 'tasks', expected: 'https://as.test/', got: 'https://as.test' } as const
    expect(say(refusal, true)).toBe(
      'RAS101: the authorization server of tasks refused the ID-JAG. Expected https://as.test/, got https://as.test. ' +
        pageOf('RAS101').fix,
    )
    expect(say({ code: 'TOK103', got: 'expired 90 s ago' }, true)).toContain('expired. Got expired 90 s ago. Get a new')
    expect(say({ code: 'POL100', expected: 'a group' }, true)).toContain('this. Expected a group. An admin')
    expect(say(refusal, false)).toBe(say({ code: 'RAS101', name: 'tasks' }, true))
  })

  test.each(REFUSAL_CODES)('%s has a voice for each audience, and the voices agree', (code) => {
    const resource = toResourceVoice(code)
    const token = toTokenVoice(code)
    expect(resource.status).toBeGreaterThanOrEqual(400)
    expect(token.status).toBeGreaterThanOrEqual(400)
    // A fault of ours or of somebody behind us is never told as the caller's, and the other way round.
    expect(resource.status >= 500).toBe(token.status >= 500)
    expect(toAuditOutcome(code)).toBe(resource.status >= 500 ? 'error' : 'deny')
    expect(resource.status === 401).toBe(
      ['bare', 'invalid_token', 'insufficient_user_authentication', 'invalid_dpop_proof', 'use_dpop_nonce'].includes(
        resource.challenge,
      ),
    )
    expect(token.status === 401).toBe(token.error === 'invalid_client')
    expect(kindOf(code)).toBeTypeOf('string')
  })

  test('knows its codes from the names of methods', () => {
    expect(['CLI100', 'INT100'].every((code) => isRefusalCode(code))).toBe(true)
    expect(
      ['', 'cli100', 'CLI999', 'toString', '__proto__', 'constructor', 'hasOwnProperty'].some((code) =>
        isRefusalCode(code),
      ),
    ).toBe(false)
  })
})

describe('what a caller of a resource and a client of the token endpoint hear', () => {
  // Architecture section 5, the table of refusals.
  test.each([
    ['TOK100', 401, 'bare', 400, 'invalid_request'],
    ['TOK103', 401, 'invalid_token', 400, 'invalid_request'],
    ['TOK110', 401, 'invalid_token', 400, 'invalid_request'],
    ['CLI114', 401, 'invalid_dpop_proof', 400, 'invalid_dpop_proof'],
    ['CLI120', 401, 'invalid_token', 400, 'invalid_request'],
    ['CLI121', 401, 'use_dpop_nonce', 400, 'use_dpop_nonce'],
    ['CLI101', 403, 'none', 401, 'invalid_client'],
    ['CLI103', 400, 'none', 400, 'unsupported_grant_type'],
    ['CLI106', 404, 'none', 400, 'invalid_target'],
    ['CLI107', 404, 'none', 400, 'invalid_target'],
    ['CLI108', 400, 'none', 400, 'invalid_scope'],
    ['CLI110', 405, 'none', 405, 'invalid_request'],
    ['POL100', 403, 'none', 400, 'access_denied'],
    ['POL101', 403, 'none', 400, 'access_denied'],
    ['POL102', 403, 'insufficient_scope', 400, 'invalid_scope'],
    ['IDP101', 401, 'invalid_token', 400, 'invalid_request'],
    ['IDP102', 403, 'none', 400, 'access_denied'],
    ['IDP103', 403, 'none', 400, 'invalid_target'],
    ['IDP104', 403, 'none', 400, 'invalid_scope'],
    ['IDP105', 401, 'insufficient_user_authentication', 400, 'insufficient_user_authentication'],
    ['IDP106', 502, 'none', 502, 'server_error'],
    ['IDP109', 502, 'none', 502, 'server_error'],
    ['IDP110', 503, 'none', 503, 'temporarily_unavailable'],
    ['IDP111', 504, 'none', 504, 'temporarily_unavailable'],
    ['RAS101', 403, 'none', 400, 'invalid_grant'],
    ['RAS105', 401, 'insufficient_user_authentication', 400, 'insufficient_user_authentication'],
    ['UPS101', 502, 'none', 502, 'server_error'],
    ['UPS102', 503, 'none', 503, 'temporarily_unavailable'],
    ['UPS103', 401, 'insufficient_user_authentication', 400, 'insufficient_user_authentication'],
    ['LIM101', 413, 'none', 413, 'invalid_request'],
    ['LIM102', 415, 'none', 400, 'invalid_request'],
    ['INT100', 500, 'none', 500, 'server_error'],
    ['INT101', 503, 'none', 503, 'temporarily_unavailable'],
  ] as const)('%s: %i %s, %i %s', (code, status, challenge, tokenStatus, error) => {
    const proven = ['TOK110', 'CLI114', 'CLI120', 'CLI121'].includes(code)
    expect(toResourceVoice(code)).toEqual({ status, challenge, ...(proven ? { scheme: 'DPoP' } : {}) })
    expect(toTokenVoice(code)).toEqual({ status: tokenStatus, error })
  })
})
