// Whether published keys can verify what they are meant to verify: read by the Worker's own hand, and explained where that
// finds none (RFC 7517).

import type { ConfigPath } from '../../config/config.ts'
import { parseKeySet } from '../../identity/identity.ts'
import { isObject, type JsonObject } from '../../lib/strict-json.ts'
import type { KeySource, SigningAlgorithm } from '../../parties.ts'
import { callForDocument, DOCUMENT_LIMITS } from '../../oauth/counterparty.ts'
import { inConfig, toDotted, type Check, type Finding } from './finding.ts'
import type { Tools } from './tools.ts'
import { some, toProblemWords } from './words.ts'

export interface KeyOwner {
  /** The object of the configuration that the keys belong to. */
  readonly path: ConfigPath
  readonly source: KeySource
  readonly algorithms: readonly SigningAlgorithm[]
  /** Where the algorithms stand, or would. */
  readonly algorithmsPath: ConfigPath
}

/** `discovered`: where the metadata says the keys are. */
export async function examineKeys(owner: KeyOwner, discovered: string | undefined, tools: Tools): Promise<Check> {
  const { path, source } = owner
  const about = toDotted(path)
  const check = (says: string, findings: readonly Finding[]): Check => ({ about, name: 'keys', says, findings })
  if (source.kind === 'static') {
    const { says, findings } = await judgeKeys({ keys: source.jwks.keys }, owner, [...path, 'jwks'])
    return check(`${says}, in the file`, findings)
  }
  const url = source.kind === 'fetched' ? source.jwksUri : discovered
  const place = [...path, source.kind === 'fetched' ? 'jwks_uri' : 'issuer']
  if (url === undefined) return { ...check('no metadata says where they are', []), skipped: true }
  const answer = await callForDocument(tools.witness.fetch, url)
  if (!answer.ok) {
    const { kind } = answer.error
    const words = toProblemWords(url, answer.error, tools.witness)
    const help =
      kind === 'unusable' && answer.error.detail.startsWith('more than')
        ? `at most ${DOCUMENT_LIMITS.maxBytes / 1024} KB are read; write the keys that count into the file as "jwks"`
        : undefined
    if (kind === 'unusable')
      return check('cannot be used', [
        { code: 'DOC105', message: `${url} gives ${words}`, help, places: [inConfig(place)] },
      ])
    const message = `${url} cannot be reached: ${words}`
    return check('cannot be reached', [{ code: 'DOC101', message, places: [inConfig(place)], unreachable: true }])
  }
  const { status, body } = answer.value
  if (status !== 200 || body === undefined) {
    const finding: Finding = {
      code: 'DOC105',
      message: `the keys are said to be at ${url}, which answers ${status}`,
      help: 'is that a key set? It can also be written into the file: "jwks_uri" or "jwks"',
      places: [inConfig(place)],
      unreachable: status >= 500,
    }
    return check(`status ${status}`, [finding])
  }
  const { says, findings } = await judgeKeys(body, owner, place)
  return check(says, findings)
}

interface Judgement {
  readonly says: string
  readonly findings: readonly Finding[]
}

async function judgeKeys(document: JsonObject, owner: KeyOwner, place: ConfigPath): Promise<Judgement> {
  const { algorithms, algorithmsPath } = owner
  const parsed = await parseKeySet(document, algorithms)
  if (!parsed.ok) {
    const help = parsed.error.includes('private')
      ? 'a private key that has been published must be replaced at once, by its owner'
      : undefined
    return {
      says: 'cannot be used',
      findings: [
        {
          code: 'DOC105',
          message: `the key set cannot be used: it is ${parsed.error}`,
          help,
          places: [inConfig(place)],
        },
      ],
    }
  }
  const published = Array.isArray(document['keys']) ? document['keys'].filter((key) => isObject(key)) : []
  const usable = parsed.value.keys
  const says = `${usable.length} of ${published.length} usable for ${algorithms.join(', ')}`
  if (usable.length === 0) {
    const message =
      published.length === 0
        ? 'the key set is empty'
        : `none of the ${published.length} published keys verifies ${algorithms.join(' or ')}: they are ${some(published.map(toKind))}`
    const help =
      published.length === 0 ? undefined : 'allow the algorithm that is meant, or have it changed at the other side'
    return {
      says,
      findings: [
        { code: 'DOC106', message, help, places: [inConfig(published.length === 0 ? place : algorithmsPath)] },
      ],
    }
  }
  // Without a name only a key that is alone can be found, and no rotation goes unnoticed.
  const nameless = usable.length - parsed.value.byKid.size
  if (nameless > 0 && usable.length > 1) {
    const message = `${nameless} of ${usable.length} usable keys have no "kid": tokens that name none cannot be verified while there are several`
    return { says, findings: [{ code: 'DOC210', message, places: [inConfig(place)] }] }
  }
  return { says, findings: [] }
}

/** `RSA for encryption`, `EC P-521`, `OKP Ed25519 (EdDSA)` */
function toKind({ kty, crv, alg, use }: JsonObject): string {
  const word = (value: unknown): string => (typeof value === 'string' ? value : '')
  const type = [word(kty), word(crv)].filter(Boolean).join(' ')
  return `${type}${word(alg) === '' ? '' : ` (${word(alg)})`}${use === 'enc' ? ' for encryption' : ''}`
}
