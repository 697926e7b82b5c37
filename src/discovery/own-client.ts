// What servers behind us may know of us as their client: the public halves of the keys that we authenticate with (RFC 7517
// section 5), and for a client whose id is an address of ours the document that stands there
// (draft-ietf-oauth-client-id-metadata-document).
import type { JWK } from 'jose'
import type { ClientDocument, Config } from '../config/config.ts'
import { toJson } from '../oauth/answers.ts'
import { importOwnKey } from '../oauth/own-key.ts'
import { GRANT_PROFILE, GRANT_TYPE } from '../oauth/vocabulary.ts'
import type { Secrets } from '../ports.ts'

/**
 * Apart from `/jwks`: whoever trusts our signature as an issuer must not take that of a client assertion for it.
 */
export const CLIENT_KEYS_PATH = '/.well-known/jwks.json'

/** A key that was added is there for every server some minutes later; the manual tells to wait that long. */
const KEYS = { 'cache-control': 'public, max-age=300' }
const DOCUMENT = { 'cache-control': 'public, max-age=3600' }

/** Undefined: we have no keys as a client. */
export function createClientKeys(
  { ownKeys }: Pick<Config, 'ownKeys'>,
  secrets: Secrets,
): (() => Promise<Response>) | undefined {
  if (ownKeys.length === 0) return undefined
  // A secret cannot change while an isolate lives; what one request was waiting for, another must not wait for.
  let keys: readonly JWK[] | undefined
  return async () => {
    keys ??= await publicKeys(ownKeys, secrets)
    return toJson({ keys }, 200, KEYS)
  }
}

/** A secret that holds no key is left out; whoever needs it is told so (IDP106, RAS106). */
async function publicKeys(ownKeys: Config['ownKeys'], secrets: Secrets): Promise<readonly JWK[]> {
  const keys = new Map<string, JWK>()
  for (const { name, alg } of ownKeys) {
    const own = await importOwnKey((await secrets(name)).reveal(), alg)
    if (own === undefined) continue
    const { alg: first, ...jwk } = own.publicJwk
    const same = JSON.stringify(jwk)
    const known = keys.get(same)
    // One key that signs by two algorithms is published once, for both.
    keys.set(same, known === undefined || known.alg === first ? own.publicJwk : jwk)
  }
  return [...keys.values()]
}

/** Draft section 4, and section 8 of the ID-JAG draft. */
export function toClientDocument(
  { publicUrl }: Pick<Config, 'publicUrl'>,
  { id, name, method, algorithms }: ClientDocument,
): Response {
  const document = {
    client_id: id,
    client_name: name,
    client_uri: publicUrl,
    // No grant type of ours leads here. MCP wants one named all the same, and so do servers made for it.
    redirect_uris: [id],
    grant_types: [GRANT_TYPE.tokenExchange, GRANT_TYPE.jwtBearer],
    response_types: [],
    token_endpoint_auth_method: method,
    ...(method === 'none' ? {} : { jwks_uri: `${publicUrl}${CLIENT_KEYS_PATH}` }),
    ...(algorithms.length === 1 ? { token_endpoint_auth_signing_alg: algorithms[0] } : {}),
    authorization_grant_profiles_supported: [GRANT_PROFILE.idJag],
  }
  return toJson(document, 200, DOCUMENT)
}
