// Whose ID token a command uses: from standard input, from the environment, or of a user of the local world.

import process from 'node:process'
import { text as readAll } from 'node:stream/consumers'
import type { WorldState } from '../../dev/state.ts'
import { EXIT, ExitError } from './exit.ts'

export interface TokenArgs {
  readonly token?: string | undefined
  readonly as?: string | undefined
}

/** Texts of others go to a terminal without what a terminal would obey. */
export function plain(text: string): string {
  return text.replaceAll(/\p{C}/gu, '?')
}

export function fromEnvironment(name: string): string | undefined {
  const value = process.env[name]
  return value === undefined || value === '' ? undefined : value
}

/** Undefined: nobody said whose. `signIn` is asked only for `--as`. */
export async function idTokenOf(
  { token, as }: TokenArgs,
  signIn: (user: string) => Promise<string>,
  environment?: string,
): Promise<string | undefined> {
  if (token !== undefined && as !== undefined) throw new ExitError(EXIT.usage, '--token and --as do not go together')
  if (as !== undefined) return signIn(as)
  if (token === undefined)
    return environment === undefined ? undefined : oneToken(fromEnvironment(environment), environment)
  // What stands on a command line stands in the shell's history and in the list of processes.
  if (token !== '-') throw new ExitError(EXIT.usage, '--token takes only -, and reads the token from standard input')
  return tokenOnStandardInput()
}

export async function readStandardInput(): Promise<string> {
  return readAll(process.stdin)
}

export async function tokenOnStandardInput(): Promise<string> {
  const given = oneToken(await readStandardInput(), 'standard input')
  if (given === undefined) throw new ExitError(EXIT.usage, 'there is no token on standard input')
  return given
}

function oneToken(text: string | undefined, where: string): string | undefined {
  const token = text?.trim() ?? ''
  if (token === '') return undefined
  if (!/^[\x21-\x7e]+$/.test(token)) throw new ExitError(EXIT.usage, `${where} does not hold one token`)
  return token
}

/** The local world that runs now on this machine. Only where it is the one that is meant does this process trust its certificate. */
export async function runningWorld(
  isMeant: (state: WorldState) => boolean = () => true,
): Promise<WorldState | undefined> {
  const { readState } = await import('../../dev/state.ts')
  const state = readState()
  if (state === undefined || !isMeant(state)) return undefined
  const { trustInThisProcess } = await import('../../dev/certificate.ts')
  trustInThisProcess(state.certificate)
  return state
}

/** Signs a user in as the person would; the caller sees to it that this is about the local world. */
export async function signInLocally(
  user: string,
  client: keyof WorldState['loginClients'] = 'gateway',
): Promise<string> {
  const state = await runningWorld()
  if (state === undefined)
    throw new ExitError(EXIT.unreachable, 'the local world is not running: start it with jagway dev')
  const { signIn } = await import('../../dev/sign-in.ts')
  try {
    return (await signIn(state.issuer, state.loginClients[client], user)).idToken
  } catch (error) {
    throw new ExitError(EXIT.unreachable, `cannot sign in as ${plain(user)}: ${reasonOf(error)}`)
  }
}

export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
