// What a client asks of a token endpoint by RFC 8693 section 2.1, parsed to one complete value.
import { fromBase64Url } from '../lib/bytes.ts'
import { err, ok, type Result } from '../lib/result.ts'
import { Secret } from '../lib/secret.ts'
import type { AuthorizationDetails } from '../model.ts'
import type { ScopeToken } from '../parties.ts'
import type { Refusal } from '../refusal.ts'
import { parseAuthorizationDetails } from './authorization-details.ts'
import type { Form } from './form.ts'
import type { SubjectToken } from './legs.ts'
import { GRANT_TYPE, isAccessToken, parseScope, TOKEN_TYPE } from './vocabulary.ts'

/** A token exchange that asks for an access token in return for a token that says who the user is. */
export interface TokenRequest {
  readonly grant: 'token-exchange'
  readonly subject: SubjectToken
  /** RFC 8707 section 2 resource indicator, verbatim. */
  readonly resource: string | undefined
  /** RFC 8693 section 2.1 logical name or issuer of the target, verbatim. */
  readonly audience: string | undefined
  /** Undefined: whatever policy gives. */
  readonly scopes: readonly ScopeToken[] | undefined
  readonly details: AuthorizationDetails | undefined
  readonly actor: { readonly token: Secret; readonly type: string } | undefined
}

/** Refuses with CLI100, CLI103 to CLI108, CLI117 or TOK112. */
export function parseTokenRequest(form: Form): Result<TokenRequest, Refusal> {
  const grantType = form.get('grant_type')
  if (grantType === undefined) return err({ code: 'CLI100', got: 'grant_type is missing' })
  if (grantType !== GRANT_TYPE.tokenExchange) return err({ code: 'CLI103' })

  const subjectToken = form.get('subject_token')
  const subjectTokenType = form.get('subject_token_type')
  if (subjectToken === undefined || subjectTokenType === undefined) {
    return err({ code: 'CLI100', got: 'subject_token or subject_token_type is missing' })
  }
  const subject = parseSubject(subjectToken, subjectTokenType)
  if (!subject.ok) return subject
  const requested = form.get('requested_token_type')
  if (requested !== undefined && requested !== TOKEN_TYPE.accessToken) return err({ code: 'CLI105' })
  const actor = parseActor(form)
  if (!actor.ok) return actor

  // F-4: one token must not be good for several resources (RFC 9700 section 2.3).
  const resources = new Set(form.all('resource'))
  const audiences = new Set(form.all('audience'))
  if (resources.size > 1 || audiences.size > 1 || resources.size + audiences.size === 0) return err({ code: 'CLI107' })
  const [resource] = resources
  const [audience] = audiences

  const scope = parseScope(form.get('scope') ?? '')
  if (!scope.ok) return err({ code: 'CLI108' })
  const details = form.get('authorization_details')
  const parsed = details === undefined ? ok(undefined) : parseAuthorizationDetails(details)
  if (!parsed.ok) return err({ code: 'CLI117', got: parsed.error })
  return ok({
    grant: 'token-exchange',
    subject: subject.value,
    resource,
    audience,
    scopes: scope.value.length === 0 ? undefined : scope.value,
    // An empty array asks for nothing.
    details: parsed.value?.types.length === 0 ? undefined : parsed.value,
    actor: actor.value,
  })
}

const MAX_SAML_LENGTH = 32 * 1024

/** The kinds that can be configured, each in the one form in which it is kept and compared; what is inside is not read here. */
function parseSubject(token: string, type: string): Result<SubjectToken, Refusal> {
  switch (type) {
    case TOKEN_TYPE.idToken:
      return ok({ kind: 'id_token', token: new Secret(token) })
    case TOKEN_TYPE.refreshToken:
      return isAccessToken(token)
        ? ok({ kind: 'refresh_token', token: new Secret(token) })
        : malformed('a refresh token')
    case TOKEN_TYPE.saml2: {
      // RFC 8693 section 3 wants base64url; base64 is what SAML itself has.
      const text = token.length % 4 === 0 ? token.replace(/={1,2}$/, '') : token
      const base64url = text.replaceAll('+', '-').replaceAll('/', '_')
      if (token.length > MAX_SAML_LENGTH || !fromBase64Url(base64url).ok) return malformed('a base64url text')
      return ok({ kind: 'saml2', token: new Secret(base64url) })
    }
    default:
      return err({ code: 'CLI104' })
  }
}

function malformed(expected: string): Result<never, Refusal> {
  return err({ code: 'TOK112', expected })
}

/** An absolute URI, as token types are (RFC 8693 section 3). */
const TOKEN_TYPE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:[\x21\x23-\x5B\x5D-\x7E]{1,255}$/

/** RFC 8693 section 2.1: neither without the other. */
function parseActor(form: Form): Result<TokenRequest['actor'], Refusal> {
  const token = form.get('actor_token')
  const type = form.get('actor_token_type')
  if (token === undefined && type === undefined) return ok(undefined)
  if (token === undefined || type === undefined)
    return err({ code: 'CLI100', detail: 'actor_token and actor_token_type come together' })
  if (!isAccessToken(token) || !TOKEN_TYPE_URI.test(type))
    return err({ code: 'CLI100', detail: 'actor_token or actor_token_type is malformed' })
  return ok({ token: new Secret(token), type })
}
