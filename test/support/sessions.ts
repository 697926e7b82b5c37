// What an identity provider knows of its sign-ins: refresh tokens, some of which rotate and are watched for reuse, and SAML
// assertions. Everything it is shown stands for a user or for nobody.
import { toBase64Url, toUtf8 } from '../../src/lib/bytes.ts'
import type { Claims } from './keys.ts'

interface Session {
  readonly sub: string
  readonly rotates: boolean
  /** What its ID-JAGs say besides. */
  readonly claims: Claims
  alive: boolean
  /** The refresh token that is good now. */
  current: string
}

export interface SessionOptions {
  readonly sub?: string
  readonly rotates?: boolean
  readonly claims?: Claims
}

export interface Shown {
  readonly sub: string
  readonly claims: Claims
  /** Of a session that rotates. */
  readonly successor: string | undefined
}

export class Sessions {
  readonly #byToken = new Map<string, Session>()
  readonly #assertions = new Map<string, Session>()
  #count = 0
  /** How often a refresh token was shown that had been replaced already. */
  reuses = 0

  refreshToken(options: SessionOptions = {}): string {
    return this.#open(options).current
  }

  /** In base64url, as RFC 8693 section 3 has it. */
  assertion(options: SessionOptions = {}): string {
    const session = this.#open(options)
    const text = toBase64Url(toUtf8(`<saml:Assertion><saml:NameID>${session.sub}</saml:NameID>${this.#count}?>~ü`))
    this.#assertions.set(text, session)
    return text
  }

  /** Ends the session of a token, as a log-out or an administrator would. */
  end(token: string): void {
    const session = this.#byToken.get(token) ?? this.#assertions.get(token)
    if (session === undefined) throw new Error('no such session')
    session.alive = false
  }

  /** The refresh token that is good now in the session of a token. */
  currentOf(token: string): string {
    return this.#byToken.get(token)?.current ?? ''
  }

  /** Shows a token: undefined, the identity provider does not take it. */
  show(type: string, token: string): Shown | undefined {
    const base64url = token.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
    const session = type.endsWith(':saml2') ? this.#assertions.get(base64url) : this.#byToken.get(token)
    if (session === undefined || !session.alive) return undefined
    const { sub, claims, rotates } = session
    if (type.endsWith(':saml2') || !rotates) return { sub, claims, successor: undefined }
    if (token !== session.current) {
      // RFC 9700 section 4.14.2: one of the two who hold it has stolen it.
      this.reuses++
      session.alive = false
      return undefined
    }
    session.current = this.#next(session)
    return { sub, claims, successor: session.current }
  }

  /** Draft section 4.5: an assertion becomes a refresh token of its session. */
  toRefreshToken(assertion: string): string | undefined {
    const base64url = assertion.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
    const session = this.#assertions.get(base64url)
    return session?.alive === true ? session.current : undefined
  }

  #open({ sub = 'alice', rotates = false, claims = {} }: SessionOptions): Session {
    const session: Session = { sub, rotates, claims, alive: true, current: '' }
    session.current = this.#next(session)
    return session
  }

  #next(session: Session): string {
    this.#count++
    const token = `canary-refresh.${this.#count}.${crypto.randomUUID()}`
    this.#byToken.set(token, session)
    return token
  }
}
