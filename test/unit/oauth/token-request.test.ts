import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseForm } from '../../../src/oauth/form.ts'
import { parseTokenRequest } from '../../../src/oauth/token-request.ts'
import { GRANT_TYPE, isAccessToken, isScopeToken, parseScope, TOKEN_TYPE } from '../../../src/oauth/vocabulary.ts'

const GOOD = {
  grant_type: GRANT_TYPE.tokenExchange,
  subject_token: 'e30.e30.sig',
  subject_token_type: TOKEN_TYPE.idToken,
  resource: 'https://api.test/v1',
}

type Parameters = Readonly<Record<string, string | readonly string[] | undefined>>

function parse(changes: Parameters): ReturnType<typeof parseTokenRequest> {
  const text = new URLSearchParams()
  const all: Parameters = { ...GOOD, ...changes }
  for (const [name, value] of Object.entries(all)) {
    for (const one of value === undefined ? [] : [value].flat()) text.append(name, one)
  }
  const form = parseForm(text.toString())
  return form.ok ? parseTokenRequest(form.value) : form
}

function codeOf(changes: Parameters): string {
  const request = parse(changes)
  return request.ok ? 'ok' : request.error.code
}

describe('parseTokenRequest()', () => {
  test('reads a token exchange for one resource', () => {
    const request = parse({ scope: 'write read', unknown: 'ignored' })
    if (!request.ok) throw new Error(request.error.code)
    const { subject, ...rest } = request.value
    expect(rest).toEqual({
      grant: 'token-exchange',
      resource: 'https://api.test/v1',
      audience: undefined,
      scopes: ['read', 'write'],
    })
    expect([subject.kind, subject.token.reveal()]).toEqual(['id_token', GOOD.subject_token])
    expect(JSON.stringify(request)).not.toContain('e30')
  })

  test('does not touch what names the target: no case, no slash, no escape is changed', () => {
    for (const target of ['HTTPS://API.test', 'https://api.test/', 'https://api.test//x/../%7E', 'urn:x:y', 'a b']) {
      expect(parse({ resource: target, audience: target })).toMatchObject({
        value: { resource: target, audience: target },
      })
    }
  })

  test('says undefined where no scope is asked, not the empty list', () => {
    for (const scope of [undefined, '']) {
      const request = parse({ scope })
      expect(request.ok && request.value.scopes).toBeUndefined()
    }
  })

  test.each<[string, Parameters]>([
    ['CLI100', { grant_type: undefined }],
    ['CLI100', { grant_type: '' }],
    ['CLI103', { grant_type: 'authorization_code' }],
    ['CLI103', { grant_type: GRANT_TYPE.jwtBearer }],
    ['CLI103', { grant_type: `${GRANT_TYPE.tokenExchange} ` }],
    ['CLI103', { grant_type: GRANT_TYPE.tokenExchange.toUpperCase() }],
    ['CLI103', { grant_type: '__proto__' }],
    ['CLI100', { subject_token: undefined }],
    ['CLI100', { subject_token: '' }],
    ['CLI100', { subject_token_type: undefined }],
    ['CLI104', { subject_token_type: TOKEN_TYPE.accessToken }],
    ['CLI104', { subject_token_type: TOKEN_TYPE.idJag }],
    ['CLI104', { subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' }],
    ['CLI104', { subject_token_type: 'urn:ietf:params:oauth:token-type:id-token' }],
    ['CLI104', { subject_token_type: 'id_token' }],
    ['CLI104', { subject_token_type: `${TOKEN_TYPE.idToken} ` }],
    ['CLI105', { requested_token_type: TOKEN_TYPE.idJag }],
    ['CLI105', { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }],
    ['CLI105', { requested_token_type: 'access_token' }],
    ['ok', { requested_token_type: TOKEN_TYPE.accessToken }],
    ['ok', { requested_token_type: '' }],
    ['ok', { actor_token: 'x', actor_token_type: TOKEN_TYPE.idToken }],
    ['ok', { actor_token: '', actor_token_type: '' }],
    ['CLI100', { actor_token: 'x' }],
    ['CLI100', { actor_token: 'x', actor_token_type: '' }],
    ['CLI100', { actor_token_type: TOKEN_TYPE.idToken }],
    ['CLI100', { actor_token: 'a b', actor_token_type: TOKEN_TYPE.idToken }],
    ['CLI100', { actor_token: 'x'.repeat(16 * 1024 + 1), actor_token_type: TOKEN_TYPE.idToken }],
    ['CLI100', { actor_token: 'x', actor_token_type: 'jwt' }],
    ['CLI100', { actor_token: 'x', actor_token_type: 'urn:a b' }],
    ['CLI100', { actor_token: 'x', actor_token_type: `urn:${'x'.repeat(300)}` }],
    ['CLI100', { actor_token: ['x', 'x'], actor_token_type: TOKEN_TYPE.idToken }],
    ['CLI107', { resource: undefined }],
    ['CLI107', { resource: '' }],
    ['CLI107', { resource: ['https://a.test', 'https://b.test'] }],
    ['CLI107', { audience: ['a', 'b'] }],
    ['ok', { resource: ['https://a.test', 'https://a.test'] }],
    ['ok', { resource: undefined, audience: 'tasks' }],
    ['ok', { audience: 'tasks' }],
    ['CLI108', { scope: ' ' }],
    ['CLI108', { scope: 'read  write' }],
    ['CLI108', { scope: ' read' }],
    ['CLI108', { scope: 'read"' }],
    ['CLI108', { scope: 'ré' }],
    ['CLI100', { subject_token: ['a', 'a'] }],
  ])('answers %s to %j', (code, changes) => {
    expect(codeOf(changes)).toBe(code)
  })

  test('names no value of the request in what it refuses', () => {
    for (const changes of [
      { grant_type: 'canary' },
      { subject_token_type: 'canary' },
      { resource: ['canary1', 'canary2'] },
    ]) {
      expect(JSON.stringify(parse(changes))).not.toContain('canary')
    }
  })
})

describe('parseScope()', () => {
  test('sorts, and counts each scope once', () => {
    expect(parseScope('b a b A')).toEqual({ ok: true, value: ['A', 'a', 'b'] })
    expect(parseScope('')).toEqual({ ok: true, value: [] })
  })

  test.each([' ', 'a ', ' a', 'a  b', 'a\tb', 'a\nb', 'a"', 'a\\b', 'é', 'a\u0000', 'a\u007f', 'a\u00a0b'])(
    'refuses %j',
    (text) => {
      expect(parseScope(text)).toEqual({ ok: false, error: 'malformed' })
    },
  )

  test('refuses more than 4096 characters', () => {
    expect(parseScope('a'.repeat(4096)).ok).toBe(true)
    expect(parseScope('a'.repeat(4097)).ok).toBe(false)
  })

  test('takes exactly the characters of RFC 6749 section 3.3', () => {
    for (let code = 0; code < 0x180; code++) {
      const inGrammar = code === 0x21 || (code >= 0x23 && code <= 0x5b) || (code >= 0x5d && code <= 0x7e)
      expect(isScopeToken(String.fromCharCode(code))).toBe(inGrammar)
    }
    expect(isScopeToken('')).toBe(false)
  })

  test('gives what it was given, whatever order and repetition', () => {
    const token = fc.string({ unit: fc.constantFrom('a', 'B', ':', '/', '.', '*', '~'), minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(fc.array(token, { minLength: 1 }), (tokens) => {
        expect(parseScope(tokens.join(' '))).toEqual({ ok: true, value: [...new Set(tokens)].toSorted() })
      }),
    )
  })
})

describe('isAccessToken()', () => {
  test.each(['a', 'user:grant:secret', 'x'.repeat(16 * 1024), 'eyJ.eyJ.sig==', '!~'])('takes %.30s', (token) => {
    expect(isAccessToken(token)).toBe(true)
  })

  test.each([
    '',
    ' ',
    'a b',
    'a\r\nX-Injected: y',
    'a\u0000',
    'tökén',
    'x'.repeat(16 * 1024 + 1),
    5,
    null,
    undefined,
    true,
    ['x'],
    {},
  ])('does not take %j', (token) => {
    expect(isAccessToken(token)).toBe(false)
  })
})
