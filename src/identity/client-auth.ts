// How a calling client proves who it is at our token endpoint (RFC 6749 section 2.3). Each client has one method, the
// registered one; a request carries one proof. Whatever fails, the answer is the same: an unknown client, a wrong secret and
// the wrong method cannot be told apart, nor by time. One thing tells: a client whose key set cannot be had hears of that (503),
// because it could not know otherwise that its assertion is good. Ids of clients are no secrets.
import { fromUtf8 } from '../lib/bytes.ts'
import { equalSecrets } from '../lib/digest.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { CallingClient, InboundAuth, SecretName } from '../parties.ts'
import type { Secrets } from '../ports.ts'
import { CLIENT_ASSERTION_TYPE } from '../oauth/vocabulary.ts'
import type { Refusal } from '../refusal.ts'
import { verifyClientAssertion, type AssertionRules } from './client-assertion.ts'
import type { PresentedProof } from './dpop-proof.ts'

export interface FormParameters {
  get(name: string): string | undefined
}

export interface TokenRequestHead {
  readonly authorization: string | undefined
  /** Parameters of the body that were sent once, strictly decoded. */
  readonly form: FormParameters
  /** Undefined: no DPoP header. */
  readonly proof?: PresentedProof | undefined
}

export interface ClientAuthRules extends AssertionRules {
  readonly callers: ReadonlyMap<string, CallingClient>
  readonly secrets: Secrets
}

export interface ProvenClient {
  readonly name: string
  readonly method: InboundAuth['method']
}

/** One way to read what was presented: who, and by which secret. */
interface Reading {
  readonly id: string
  readonly secret: string
}

type Presented =
  | { readonly method: 'client_secret_basic'; readonly readings: readonly [Reading, Reading] }
  | { readonly method: 'client_secret_post'; readonly reading: Reading }
  | { readonly method: 'private_key_jwt'; readonly assertion: string }

export async function authenticate(
  request: TokenRequestHead,
  rules: ClientAuthRules,
): Promise<Result<ProvenClient, Refusal>> {
  const presented = readPresented(request)
  if (!presented.ok) return presented
  const proven = await prove(presented.value, rules)
  if (!proven.ok) return proven
  // RFC 6749 section 3.2.1: a client may name itself beside its proof, but nobody else.
  const named = parameter(request.form, 'client_id')
  if (named !== undefined && named !== proven.value.name) return refuse('client_id names another client')
  return proven
}

async function prove(presented: Presented, rules: ClientAuthRules): Promise<Result<ProvenClient, Refusal>> {
  switch (presented.method) {
    case 'client_secret_basic': {
      // Both readings are judged whatever the first one gives.
      const [form, raw] = presented.readings
      const first = await proveSecret(form, presented.method, rules)
      const second = await proveSecret(raw, presented.method, rules)
      return first.ok ? first : second
    }
    case 'client_secret_post':
      return proveSecret(presented.reading, presented.method, rules)
    case 'private_key_jwt': {
      const client = await verifyClientAssertion(presented.assertion, rules)
      return client.ok ? ok({ name: client.value.name, method: presented.method }) : client
    }
  }
}

async function proveSecret(
  { id, secret }: Reading,
  method: 'client_secret_basic' | 'client_secret_post',
  { callers, secrets }: ClientAuthRules,
): Promise<Result<ProvenClient, Refusal>> {
  const auth = callers.get(id)?.auth
  const registered = auth !== undefined && auth.method !== 'private_key_jwt' ? auth : undefined
  // Two are compared always, the current one and the one before, even where there is none to compare with.
  const [current, previous] = registered?.secrets ?? []
  const isCurrent = await isSecret(secret, current, secrets)
  const isPrevious = await isSecret(secret, previous, secrets)
  if (registered === undefined) return refuse('no client of this name authenticates by a secret')
  if (!isCurrent && !isPrevious) return refuse('a wrong secret')
  return registered.method === method ? ok({ name: id, method }) : refuse('another method than the registered one')
}

async function isSecret(presented: string, name: SecretName | undefined, secrets: Secrets): Promise<boolean> {
  const expected = name === undefined ? '' : (await secrets(name)).reveal()
  const equal = await equalSecrets(presented, expected)
  return equal && expected !== ''
}

/** Finds the one proof in a request. RFC 6749 section 2.3: a client must not use more than one method. */
function readPresented({ authorization, form }: TokenRequestHead): Result<Presented, Refusal> {
  const secret = parameter(form, 'client_secret')
  const assertion = parameter(form, 'client_assertion')
  const assertionType = parameter(form, 'client_assertion_type')
  const asserted = assertion !== undefined || assertionType !== undefined
  const proofs = Number(authorization !== undefined) + Number(secret !== undefined) + Number(asserted)
  if (proofs > 1) return err({ code: 'CLI100', got: 'more than one client authentication' })

  if (authorization !== undefined) return readBasic(authorization)
  if (secret !== undefined) {
    const id = parameter(form, 'client_id')
    return id === undefined
      ? refuse('client_secret without client_id')
      : ok({ method: 'client_secret_post', reading: { id, secret } })
  }
  if (!asserted) return refuse('no client authentication')
  if (assertionType !== CLIENT_ASSERTION_TYPE) return refuse('a client_assertion_type other than jwt-bearer')
  return assertion === undefined ? refuse('no client_assertion') : ok({ method: 'private_key_jwt', assertion })
}

const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i

/**
 * HTTP Basic (RFC 7617). RFC 6749 section 2.3.1 wants id and secret form-urlencoded first; half of the clients in the field
 * do not do that. So the credentials are read both ways, and each reading is judged as a whole. Where decoding fails or
 * changes nothing, both readings are the same.
 */
function readBasic(authorization: string): Result<Presented, Refusal> {
  const encoded = BASIC.exec(authorization)?.[1]
  if (encoded === undefined) return refuse('an Authorization header that is not one Basic credential')
  const text = fromBase64(encoded)
  const colon = text?.indexOf(':') ?? -1
  if (text === undefined || colon < 1) return refuse('Basic credentials that are not UTF-8 text with a colon')
  const raw = { id: text.slice(0, colon), secret: text.slice(colon + 1) }
  const id = fromForm(raw.id)
  const secret = fromForm(raw.secret)
  const form = id === undefined || secret === undefined ? raw : { id, secret }
  return ok({ method: 'client_secret_basic', readings: [form, raw] })
}

/** Canonical base64 (RFC 4648 sections 3.5 and 4) of UTF-8 text. */
function fromBase64(encoded: string): string | undefined {
  try {
    const binary = atob(encoded)
    if (btoa(binary) !== encoded) return undefined
    const text = fromUtf8(Uint8Array.from(binary, (char) => char.charCodeAt(0)))
    return text.ok ? text.value : undefined
  } catch {
    return undefined
  }
}

/** One application/x-www-form-urlencoded value; undefined where the percent signs are not strict UTF-8. */
function fromForm(value: string): string | undefined {
  try {
    return decodeURIComponent(value.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

/** RFC 6749 section 3.2: a parameter without a value counts as not sent. */
function parameter(form: TokenRequestHead['form'], name: string): string | undefined {
  const value = form.get(name)
  return value === '' ? undefined : value
}

function refuse(detail: string): Result<never, Refusal> {
  return err({ code: 'CLI101', detail })
}
