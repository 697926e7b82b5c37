// DPoP proofs of callers (RFC 9449 section 4.3): that whoever sends a request has the private key it names, for this method,
// this URL, this token and this moment, once.
import { sha256 } from '../lib/digest.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { JsonObject } from '../lib/strict-json.ts'
import type { ProvenKey } from '../model.ts'
import { JWT_TYPE, PROOF_ALGORITHMS } from '../oauth/vocabulary.ts'
import type { Clock, ReplayGuard } from '../ports.ts'
import type { Refusal } from '../refusal.ts'
import { isText, SKEW_SECONDS, timeOf } from './claims.ts'
import { parseSignedJwt } from './compact-jwt.ts'
import type { Nonces } from './dpop-nonce.ts'
import { importProofKey } from './key-set.ts'
import { isFirstUse } from './once.ts'
import { isSignedBy } from './signature.ts'

/** The DPoP header of a request, and the request it is to be about. */
export interface PresentedProof {
  /** All headers of that name, as the platform joins them. */
  readonly proof: string
  readonly method: string
  /** As the caller knows it, without query. */
  readonly url: string
}

export interface ProofDemand {
  /** Whether a nonce of ours must be in it. */
  readonly nonce: boolean
  /** The token it is shown with, and the key that token is bound to; undefined: it is shown with none. */
  readonly token: { readonly text: string; readonly thumbprint: string } | undefined
}

export interface ProofRules {
  readonly clock: Clock
  readonly replay: ReplayGuard
  readonly nonces: Nonces
}

/** RSA keys of 8192 bits, which are the longest that are taken, fit in. */
const MAX_PROOF_CHARS = 8 * 1024
const MAX_JTI_CHARS = 256
/**
 * How far `iat` may be from now where a nonce of ours is in the proof: then the nonce says when it was made, and a caller
 * whose clock is wrong gets through all the same (section 11.1). Without one it is the skew that all clocks are allowed.
 */
const MAX_AGE_WITH_NONCE_SECONDS = 300

/** Refuses with CLI114, CLI121 or TOK110. The `jti` is used up only after everything else was found good. */
export async function verifyProof(
  presented: PresentedProof,
  demand: ProofDemand,
  rules: ProofRules,
): Promise<Result<ProvenKey, Refusal>> {
  const { proof } = presented
  if (proof.length > MAX_PROOF_CHARS) return refuse(`longer than ${MAX_PROOF_CHARS} characters`)
  const jwt = parseSignedJwt(proof, 'proof')
  if (!jwt.ok) return refuse(jwt.error)
  const { typ, jwk, claims } = jwt.value
  if (typ !== JWT_TYPE.dpopProof) return refuse('typ is not dpop+jwt')
  const alg = PROOF_ALGORITHMS.find((allowed) => allowed === jwt.value.alg)
  if (alg === undefined) return refuse('an algorithm that is not accepted')
  const embedded = await importProofKey(jwk, alg)
  if (embedded === undefined) return refuse('jwk is not a public key for this algorithm')
  if (!(await isSignedBy(proof, embedded.key, alg))) return refuse('a signature that does not hold')

  const read = await readClaims(claims, presented, demand)
  if (!read.ok) return read
  const { jti, iat, nonce } = read.value
  const asked = await checkNonce(nonce, demand, rules.nonces)
  if (!asked.ok) return asked
  const tolerance = nonce === undefined ? SKEW_SECONDS : MAX_AGE_WITH_NONCE_SECONDS
  const age = rules.clock.now() - iat
  if (Math.abs(age) > tolerance) return refuse(`iat is ${Math.abs(Math.round(age))} s ${age > 0 ? 'ago' : 'ahead'}`)

  const { thumbprint } = embedded
  if (demand.token !== undefined && demand.token.thumbprint !== thumbprint) {
    return err({ code: 'TOK110', detail: 'the proof is of another key than the one the token is bound to' })
  }
  const fresh = await isFirstUse(rules.replay, ['dpop-proof', thumbprint, jti], iat + tolerance)
  if (!fresh.ok) return fresh
  return fresh.value ? ok({ thumbprint, nextNonce: asked.value }) : refuse('jti was used before')
}

interface ProofClaims {
  readonly jti: string
  readonly iat: number
  readonly nonce: string | undefined
}

async function readClaims(
  claims: JsonObject,
  { method, url }: PresentedProof,
  { token }: ProofDemand,
): Promise<Result<ProofClaims, Refusal>> {
  const { jti, htm, htu, ath, nonce } = claims
  if (!isText(jti) || jti.length > MAX_JTI_CHARS) return refuse('jti is missing or odd')
  if (htm !== method) return refuse('htm is another method')
  const meant = typeof htu === 'string' ? normalUrl(htu) : undefined
  if (meant === undefined || meant !== normalUrl(url)) return refuse('htu is not the URL of the request')
  const iat = timeOf(claims['iat'])
  if (iat === undefined) return refuse('iat is missing or not a NumericDate')
  if (nonce !== undefined && typeof nonce !== 'string') return refuse('nonce is not a string')
  if (token !== undefined && ath !== (await sha256(token.text))) return refuse('ath is not the digest of the token')
  return ok({ jti, iat, nonce })
}

/**
 * What the next nonce is, where one is demanded. One that is sent without being demanded must be ours as well: it would
 * stretch the time in which the proof is good.
 */
async function checkNonce(
  nonce: string | undefined,
  demand: ProofDemand,
  nonces: Nonces,
): Promise<Result<string | undefined, Refusal>> {
  const isGood = nonce === undefined ? !demand.nonce : await nonces.accepts(nonce)
  if (!isGood) {
    const detail = nonce === undefined ? 'no nonce' : 'a nonce that is not ours, or too old'
    return err({ code: 'CLI121', detail, dpopNonce: await nonces.current() })
  }
  return ok(demand.nonce ? await nonces.current() : undefined)
}

/** Nothing that a URL parser would drop or turn into something else on its way. */
const PLAIN_URL = /^https?:\/\/[\x21\x23-\x5B\x5D-\x7E]+$/i

/**
 * For comparison: without query and fragment, and in the normal form of RFC 3986 sections 6.2.2 and 6.2.3 (section 4.3,
 * point 9). Undefined: not the URL of an HTTP request.
 */
function normalUrl(text: string): string | undefined {
  if (!PLAIN_URL.test(text) || !URL.canParse(text)) return undefined
  const { origin, pathname, username, password } = new URL(text)
  if (username !== '' || password !== '') return undefined
  return origin + pathname.replaceAll(/%[0-9a-f]{2}/gi, normalEscape)
}

function normalEscape(escape: string): string {
  const char = String.fromCharCode(Number.parseInt(escape.slice(1), 16))
  return /[A-Za-z0-9\-._~]/.test(char) ? char : escape.toUpperCase()
}

function refuse(detail: string): Result<never, Refusal> {
  return err({ code: 'CLI114', detail: `DPoP proof: ${detail}` })
}
