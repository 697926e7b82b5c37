// As which calling client a token is asked for, and how it authenticates: by the configuration, else by a secret from the
// environment. In the local world everything is known.

import { readFile } from 'node:fs/promises'
import { importJWK, importPKCS8 } from 'jose'
import * as oauth from 'oauth4webapi'
import { DEV_CONFIG } from '../../../dev/ports.ts'
import type { WorldState } from '../../../dev/state.ts'
import { parseConfig, renderProblems, saysLocal, type Config } from '../../config/config.ts'
import { parseJsonObject } from '../../lib/strict-json.ts'
import { EXIT, ExitError } from '../exit.ts'
import { fromEnvironment, plain } from '../id-token.ts'
import { readSecrets } from '../secrets-file.ts'
import { readInput } from '../serve.ts'

export interface Caller {
  readonly name: string
  readonly authenticate: oauth.ClientAuth
  /** As which client of the identity provider a user of the local world signs in for it. */
  readonly loginClient: keyof WorldState['loginClients']
}

export interface CallerArgs {
  readonly client?: string | undefined
  readonly config?: string | undefined
  readonly secrets?: string | undefined
}

const LOCAL_CLIENT = 'support-bot'
/** The client of the local world that authenticates with a key, here and at its login. */
const LOCAL_KEY_CLIENT = 'assistant'

export async function callerOf(args: CallerArgs, world: WorldState | undefined): Promise<Caller> {
  const name = args.client ?? fromEnvironment('JAGWAY_CLIENT_ID') ?? (world === undefined ? undefined : LOCAL_CLIENT)
  if (name === undefined)
    throw new ExitError(EXIT.usage, 'nothing says which client is calling: give --client, or set JAGWAY_CLIENT_ID')
  const loginClient = world !== undefined && name === LOCAL_KEY_CLIENT ? LOCAL_KEY_CLIENT : 'gateway'
  const key = fromEnvironment('JAGWAY_CLIENT_KEY') ?? (loginClient === LOCAL_KEY_CLIENT ? keyOf(world) : undefined)
  return { name, loginClient, authenticate: key === undefined ? await bySecret(name, args, world) : await byKey(key) }
}

async function bySecret(
  name: string,
  { config: file, secrets }: CallerArgs,
  world: WorldState | undefined,
): Promise<oauth.ClientAuth> {
  const given = fromEnvironment('JAGWAY_CLIENT_SECRET')
  if (file === undefined && given !== undefined) return oauth.ClientSecretBasic(given)
  const config = await openConfig(file, world)
  if (config === undefined)
    throw new ExitError(
      EXIT.usage,
      'the client has no credential: set JAGWAY_CLIENT_SECRET or JAGWAY_CLIENT_KEY, or give --config and --secrets',
    )
  const auth = config.clients.get(name)?.auth
  if (auth === undefined) {
    const words = config.clients.has(name)
      ? 'has no "auth", so it cannot use the token endpoint'
      : 'is not in the configuration'
    throw new ExitError(EXIT.usage, `the client ${plain(name)} ${words}`)
  }
  if (auth.method === 'private_key_jwt')
    throw new ExitError(
      EXIT.usage,
      `the client ${plain(name)} authenticates with a key: set JAGWAY_CLIENT_KEY to it (JWK, or PKCS #8 PEM)`,
    )
  const values = secrets === undefined ? world?.secrets : readSecrets(secrets, await readInput(secrets))
  const [secret = ''] = auth.secrets
  const value = given ?? values?.[secret] ?? fromEnvironment(secret)
  if (value === undefined)
    throw new ExitError(EXIT.usage, `${secret} has no value here: set JAGWAY_CLIENT_SECRET, or give --secrets FILE`)
  return auth.method === 'client_secret_post' ? oauth.ClientSecretPost(value) : oauth.ClientSecretBasic(value)
}

async function openConfig(file: string | undefined, world: WorldState | undefined): Promise<Config | undefined> {
  if (file === undefined && world === undefined) return undefined
  const text = file === undefined ? await readFile(DEV_CONFIG, 'utf8') : await readInput(file)
  const parsed = parseConfig(text, { fileName: file ?? 'jagway.dev.jsonc', local: saysLocal(text) })
  if (!parsed.ok) throw new ExitError(EXIT.problems, renderProblems(text, parsed.error))
  return parsed.value
}

function keyOf(world: WorldState | undefined): string | undefined {
  const client = world?.loginClients[LOCAL_KEY_CLIENT]
  return client !== undefined && 'key' in client ? JSON.stringify(client.key) : undefined
}

async function byKey(text: string): Promise<oauth.ClientAuth> {
  const jwk = parseJsonObject(text)
  try {
    if (!jwk.ok) return oauth.PrivateKeyJwt(await importPKCS8(text, fromEnvironment('JAGWAY_CLIENT_ALG') ?? 'ES256'))
    const { alg, kid } = jwk.value
    const key = await importJWK(jwk.value, typeof alg === 'string' ? alg : 'ES256')
    if (key instanceof Uint8Array || key.type !== 'private') throw new TypeError('not a private key')
    return oauth.PrivateKeyJwt(typeof kid === 'string' ? { key, kid } : key)
  } catch {
    // What went wrong could quote the key.
    throw new ExitError(
      EXIT.usage,
      'JAGWAY_CLIENT_KEY is not a private key: a JWK, or PKCS #8 PEM (JAGWAY_CLIENT_ALG says of what kind)',
    )
  }
}
