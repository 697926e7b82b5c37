// Whether a server takes us as its client, and if not, what of id, secret, method and encoding is wrong.

import { quote, type ConfigPath } from '../../config/config.ts'
import { Secret } from '../../lib/secret.ts'
import type { JsonObject } from '../../lib/strict-json.ts'
import type { ClientId, OutboundAuth, SecretName } from '../../parties.ts'
import type { Secrets } from '../../ports.ts'
import { attempt, attemptAsNobody, gradeOf, type Attempt, type Desk } from './attempt.ts'
import { inConfig, toDotted, type Check, type Finding, type Place } from './finding.ts'
import { acquaintanceOf } from './known-client.ts'
import type { Tools } from './tools.ts'
import { some, textsOf, toProblemWords } from './words.ts'

/** One of our registrations at a server. */
export interface Registration {
  /** The object with "id" and "auth". */
  readonly path: ConfigPath
  readonly id: ClientId
  readonly auth: OutboundAuth
}

type Answered = Extract<Attempt, { kind: 'answer' }>

export async function examineCredential(
  registration: Registration,
  desk: Desk | undefined,
  metadata: JsonObject | undefined,
  tools: Tools,
): Promise<Check> {
  const { path, id, auth } = registration
  const check = (says: string, ...findings: readonly Finding[]): Check => ({
    about: toDotted(path),
    name: 'credential',
    says,
    findings,
  })
  const skip = (says: string): Check => ({ ...check(says), skipped: true })
  if ('certificate' in auth) return skip(`not tried: only the Worker has the client certificate ${auth.certificate}`)
  const names = secretsOf(auth)
  const unknown = names.find((name) => tools.secret(name) === undefined)
  if (unknown !== undefined) return skip(`not tried: ${unknown} has no value here`)
  if (desk === undefined) return skip('not tried: no token endpoint is known')
  const secrets: Secrets = (name) => Promise.resolve(tools.secret(name) ?? new Secret(''))
  const [own, nobody] = await Promise.all([
    attempt(tools.witness.fetch, desk, id, auth, secrets),
    attemptAsNobody(tools.witness.fetch, desk, auth),
  ])
  if (own.kind === 'useless') {
    const help = `a private key as JWK or as PKCS #8 PEM, of the kind that ${'alg' in auth ? auth.alg : 'the method'} takes`
    return check('no key', { code: 'DOC115', message: own.detail, help, places: [inConfig([...path, 'auth', 'key'])] })
  }
  if (own.kind === 'silence') return check('no answer', toSilence(desk, own.problem, registration, tools))
  const grade = gradeOf(own)
  const places: Finding['places'] = [inConfig([...path, 'id']), ...secretPlaces(registration)]
  if (grade === 'busy') {
    const message = `${desk.tokenEndpoint} answers ${own.status}: whether it takes the client ${quote(id)} cannot be told`
    return check(`status ${own.status}`, { code: 'DOC204', message, help: 'try again later', places })
  }
  if (grade === 'alarm') {
    const message = `${desk.tokenEndpoint} answers ${own.status} to something that is no token`
    const help = 'it accepts anything: do not rely on this server, and tell whoever runs it'
    return check('accepts anything', { code: 'DOC110', message, help, places })
  }
  if (grade === 'no such place') {
    const message = `${desk.tokenEndpoint} answers ${own.status}: that is no token endpoint`
    return check(`status ${own.status}`, { code: 'DOC109', message, places })
  }
  const control = nobody.kind === 'answer' ? nobody : undefined
  const asNobody = control !== undefined && control.print === own.print
  if (grade === 'unsupported') return check('grant refused', toUnsupported(desk, path, metadata))
  if (grade === 'refused' || (grade === 'not allowed' && asNobody)) {
    const older = await findOlder(registration, desk, secrets, tools)
    if (older !== undefined) return check(`${id} is accepted with the previous secret only`, older)
    return check('refused', await diagnose(registration, desk, own, metadata, secrets, tools))
  }
  if (grade === 'not allowed') {
    const message = `the client ${quote(id)} is known, but may not use this grant (unauthorized_client)`
    const help = `have ${desk.grant === 'exchange' ? 'token exchange' : 'the jwt-bearer grant'} allowed for it there`
    return check('may not use the grant', { code: 'DOC217', message, help, places })
  }
  const encoding = await findEncoding(registration, desk, own, secrets, tools)
  if (encoding !== undefined) return check('cannot be read', encoding)
  if (asNobody) {
    const message = `the server answers the client ${quote(id)} as it answers one that does not exist: it looks at the token first`
    const help = 'only a real token can tell: --probe with --token -'
    return check('cannot be told', { code: 'DOC204', message, help, places })
  }
  return check(`${id} is accepted`)
}

function toSilence(
  desk: Desk,
  problem: Extract<Attempt, { kind: 'silence' }>['problem'],
  registration: Registration,
  { witness }: Tools,
): Finding {
  const words = toProblemWords(desk.tokenEndpoint, problem, witness)
  const places: Finding['places'] = [inConfig([...registration.path, 'id'])]
  if (problem.kind === 'unusable')
    return {
      code: 'DOC109',
      message: `the token endpoint ${desk.tokenEndpoint} gives ${words}`,
      help: 'is it the token endpoint?',
      places,
    }
  return {
    code: 'DOC101',
    message: `the token endpoint ${desk.tokenEndpoint} cannot be reached: ${words}`,
    places,
    unreachable: true,
  }
}

function toUnsupported(desk: Desk, path: ConfigPath, metadata: JsonObject | undefined): Finding {
  const grant = desk.grant === 'exchange' ? 'token exchange' : 'the jwt-bearer grant'
  const listed = textsOf(metadata?.['grant_types_supported'])
  const list = listed === undefined ? '' : `; its metadata lists ${some(listed)}`
  return {
    code: 'DOC109',
    message: `the server does not support ${grant} (unsupported_grant_type)${list}`,
    help: `have it switched on there, for the server and for this client`,
    places: [inConfig([...path, 'id'])],
  }
}

/** Tries what would mend it; where nothing does, compares with what a client that does not exist is told. */
async function diagnose(
  { path, id, auth }: Registration,
  desk: Desk,
  own: Answered,
  metadata: JsonObject | undefined,
  secrets: Secrets,
  tools: Tools,
): Promise<Finding> {
  const server = desk.grant === 'exchange' ? 'the identity provider' : 'the authorization server'
  for (const alternative of alternativesOf(auth)) {
    const other = await attempt(tools.witness.fetch, desk, id, alternative.auth, secrets)
    if (other.kind !== 'answer' || !isWelcome(other)) continue
    return {
      code: 'DOC108',
      message: `${server} refuses the client ${quote(id)} as the file has it, and accepts it with ${alternative.words}`,
      help: `write ${alternative.words}`,
      places: [inConfig([...path, 'auth', alternative.key])],
    }
  }
  const idPlace = inConfig([...path, 'id'])
  const secretAt = secretPlaces({ path, id, auth })
  const methods = textsOf(metadata?.['token_endpoint_auth_methods_supported'])
  if (methods !== undefined && !methods.includes(auth.method)) {
    const message = `${server} refuses the client ${quote(id)}; it takes ${some(methods)}, and the file says ${quote(auth.method)}`
    return { code: 'DOC108', message, places: [inConfig([...path, 'auth', 'method']), idPlace, ...secretAt] }
  }
  const stranger = registeredElsewhere(id, path, tools)
  const hint = stranger === undefined ? '' : `; this id is the one at ${stranger}, and each server registers its own`
  const standing = await acquaintanceOf({ desk, id, auth, answer: own }, metadata, tools)
  const [first] = secretAt
  const what = auth.method === 'private_key_jwt' ? 'key' : 'secret'
  if (standing === 'known' && first !== undefined) {
    const message = `${server} knows the client ${quote(id)} and refuses its ${what}`
    const help =
      auth.method === 'private_key_jwt'
        ? 'register the public half of this key there (its "kid" too), or put the registered one into the secret'
        : 'put the secret that is registered there into the Worker (wrangler secret put); a new one may have to be made'
    return { code: 'DOC108', message, help, places: [first, idPlace] }
  }
  const doubt =
    standing === 'stranger'
      ? ': it treats it like an id that does not exist'
      : first === undefined
        ? ''
        : `: either it does not know this id, or the ${what} is wrong; it tells nobody which`
  return {
    code: 'DOC108',
    message: `${server} refuses the client ${quote(id)}${doubt}${hint}`,
    help: `compare "id" with the client id registered at ${desk.issuer}${first === undefined ? '' : `, then the ${what}`}`,
    places: [idPlace, ...secretAt],
  }
}

/** While a secret is being replaced there are two, and the gateway tries both. */
async function findOlder(
  { path, id, auth }: Registration,
  desk: Desk,
  secrets: Secrets,
  { witness }: Tools,
): Promise<Finding | undefined> {
  const [current, previous] = secretsOf(auth)
  if (previous === undefined) return undefined
  const answer = await attempt(witness.fetch, desk, id, withSecret(auth, previous), secrets)
  if (answer.kind !== 'answer' || !isWelcome(answer)) return undefined
  return {
    code: 'DOC218',
    message: `the server does not take ${current} of the client ${quote(id)} yet, and takes ${previous}`,
    help: `register ${current} there before ${previous} is taken out; until then every new token costs a request more`,
    places: [inConfig([...path, 'auth', auth.method === 'private_key_jwt' ? 'key' : 'secret', 0])],
  }
}

function withSecret(auth: OutboundAuth, name: SecretName): OutboundAuth {
  switch (auth.method) {
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
    case 'none':
      return auth
    case 'private_key_jwt':
      return { ...auth, keys: [name] }
    case 'client_secret_basic':
    case 'client_secret_post':
      return { ...auth, secrets: [name] }
  }
}

function isWelcome(answer: Answered): boolean {
  const grade = gradeOf(answer)
  return grade === 'accepted' || grade === 'unsupported' || grade === 'not allowed'
}

interface Alternative {
  readonly auth: OutboundAuth
  readonly words: string
  /** The key of `auth` that would change. */
  readonly key: string
}

function alternativesOf(auth: OutboundAuth): Alternative[] {
  switch (auth.method) {
    case 'client_secret_basic': {
      const encoding = auth.encoding === 'form' ? 'raw' : 'form'
      return [
        { auth: { ...auth, encoding }, words: `"encoding": ${quote(encoding)}`, key: 'encoding' },
        {
          auth: { method: 'client_secret_post', secrets: auth.secrets },
          words: '"method": "client_secret_post"',
          key: 'method',
        },
      ]
    }
    case 'client_secret_post':
      return [
        {
          auth: { method: 'client_secret_basic', secrets: auth.secrets, encoding: 'form' },
          words: '"method": "client_secret_basic"',
          key: 'method',
        },
      ]
    case 'private_key_jwt': {
      const audience = auth.audience === 'issuer' ? 'token_endpoint' : 'issuer'
      const audienceWords = `"audience": ${quote(audience)}`
      const typ = auth.typ === 'JWT' ? 'client-authentication+jwt' : 'JWT'
      const typWords = `"typ": ${quote(typ)}`
      return [
        { auth: { ...auth, audience }, words: audienceWords, key: 'audience' },
        { auth: { ...auth, typ }, words: typWords, key: 'typ' },
        { auth: { ...auth, audience, typ }, words: `${audienceWords} and ${typWords}`, key: 'audience' },
      ]
    }
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
    case 'none':
      return []
  }
}

/** Some servers call Basic credentials that are encoded in another way than theirs malformed: an invalid_request. */
async function findEncoding(
  { path, id, auth }: Registration,
  desk: Desk,
  own: Answered,
  secrets: Secrets,
  { witness }: Tools,
): Promise<Finding | undefined> {
  if (own.word !== 'invalid_request' || auth.method !== 'client_secret_basic') return undefined
  const encoding = auth.encoding === 'form' ? 'raw' : 'form'
  const [name] = auth.secrets
  const secret = name === undefined ? '' : (await secrets(name)).reveal()
  if (new URLSearchParams({ secret }).toString() === `secret=${secret}`) return undefined
  const other = await attempt(witness.fetch, desk, id, { ...auth, encoding }, secrets)
  if (other.kind !== 'answer' || other.word === own.word || !isWelcome(other)) return undefined
  return {
    code: 'DOC108',
    message: `the server cannot read the credential of ${quote(id)}, and can with "encoding": ${quote(encoding)}`,
    help: `write "encoding": ${quote(encoding)}`,
    places: [inConfig([...path, 'auth', 'encoding'])],
  }
}

/** Another registration of ours with this id; whoever copies an id into the wrong place copies it from there. */
function registeredElsewhere(id: string, path: ConfigPath, { config }: Tools): string | undefined {
  const [section] = path
  if (section === 'resources') {
    for (const idp of config.idps.values())
      for (const client of idp.clients.values()) if (client.id === id) return `the identity provider ${quote(idp.name)}`
    return undefined
  }
  for (const { name, client } of config.resources.values())
    if (client.id === id) return `the authorization server of ${quote(name)}`
  return undefined
}

/** The current one first. */
export function secretsOf(auth: OutboundAuth): readonly SecretName[] {
  if ('secrets' in auth) return auth.secrets
  return 'keys' in auth ? auth.keys : []
}

function secretPlaces({ path, auth }: Registration): Place[] {
  if (auth.method === 'none') return []
  return [inConfig([...path, 'auth', auth.method === 'private_key_jwt' ? 'key' : 'secret'], 'key')]
}

/** Whether the server says that it takes us in the way that is configured. */
export function examineMethod({ path, auth }: Registration, metadata: JsonObject): Finding | undefined {
  const methods = textsOf(metadata['token_endpoint_auth_methods_supported'])
  if (methods !== undefined && !methods.includes(auth.method)) {
    const message = `the metadata lists ${some(methods)} as ways to authenticate, not ${quote(auth.method)}`
    return { code: 'DOC202', message, places: [inConfig([...path, 'auth', 'method'])] }
  }
  if (auth.method !== 'private_key_jwt') return undefined
  const algorithms = textsOf(metadata['token_endpoint_auth_signing_alg_values_supported'])
  if (algorithms === undefined || algorithms.includes(auth.alg)) return undefined
  const message = `the metadata lists ${some(algorithms)} as algorithms of client assertions, not ${quote(auth.alg)}`
  return { code: 'DOC202', message, places: [inConfig([...path, 'auth', 'alg'])] }
}
