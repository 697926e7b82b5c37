// The note which the running local world leaves in `.jagway/`, so that `npm run login` in another terminal finds it.

import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ClientName } from './world.ts'
import type { LoginClient } from './sign-in.ts'

export type WorldState = {
  readonly process: number
  readonly issuer: string
  readonly certificate: string
  readonly loginClients: Readonly<Record<ClientName, LoginClient>>
}

const FOLDER = new URL('../.jagway/', import.meta.url)
const STATE = new URL('world.json', FOLDER)
/** For other programs: NODE_EXTRA_CA_CERTS=.jagway/ca.pem */
const AUTHORITY = new URL('ca.pem', FOLDER)

export function leaveState(state: WorldState): void {
  mkdirSync(FOLDER, { recursive: true, mode: 0o700 })
  writeFileSync(AUTHORITY, state.certificate)
  // It holds the clients' credentials.
  writeFileSync(STATE, JSON.stringify(state), { mode: 0o600 })
  chmodSync(STATE, 0o600)
}

/** Takes the note away, unless another world has replaced it. */
export function removeState(): void {
  if (readState()?.process === process.pid) rmSync(STATE, { force: true })
}

export function readState(): WorldState | undefined {
  try {
    const state: WorldState = JSON.parse(readFileSync(STATE, 'utf8'))
    return state
  } catch {
    return undefined
  }
}
