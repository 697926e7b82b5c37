// The note which the running local world leaves in `.jagway/`, so that `npm run login` and the program in another terminal
// find it; and the audit events of the gateway before it, one a line.

import { appendFileSync, chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import type { ClientName } from './world.ts'
import type { LoginClient } from './sign-in.ts'

export type WorldState = {
  readonly process: number
  readonly issuer: string
  readonly certificate: string
  readonly loginClients: Readonly<Record<ClientName, LoginClient>>
  /** Values of the secrets that the world's own configuration names. */
  readonly secrets: Readonly<Record<string, string>>
}

/** Worlds that run side by side, as in tests, have a folder each. */
const GIVEN = process.env['JAGWAY_STATE_DIR']
const FOLDER = GIVEN === undefined ? new URL('../.jagway/', import.meta.url) : pathToFileURL(`${GIVEN}/`)
const STATE = new URL('world.json', FOLDER)
/** For other programs: NODE_EXTRA_CA_CERTS=.jagway/ca.pem */
const AUTHORITY = new URL('ca.pem', FOLDER)
const EVENTS = new URL('audit.ndjson', FOLDER)

export function leaveState(state: WorldState): void {
  mkdirSync(FOLDER, { recursive: true, mode: 0o700 })
  writeFileSync(AUTHORITY, state.certificate)
  // It holds credentials.
  writeFileSync(STATE, JSON.stringify(state), { mode: 0o600 })
  chmodSync(STATE, 0o600)
  writeFileSync(EVENTS, '', { mode: 0o600 })
}

const MAX_KEPT_CHARACTERS = 1_000_000
let keptCharacters = 0

/** Keeps an audit event where `jagway token` looks for it. Old ones give way to new ones. */
export function leaveEvent(line: string): void {
  if (keptCharacters > MAX_KEPT_CHARACTERS) {
    writeFileSync(EVENTS, '')
    keptCharacters = 0
  }
  keptCharacters += line.length
  appendFileSync(EVENTS, `${line}\n`)
}

/** The audit events of this run so far. */
export function readEvents(): Record<string, unknown>[] {
  try {
    return readFileSync(EVENTS, 'utf8')
      .split('\n')
      .flatMap((line) => {
        const event: unknown = line === '' ? undefined : JSON.parse(line)
        return typeof event === 'object' && event !== null ? [{ ...event }] : []
      })
  } catch {
    return []
  }
}

/** Takes the note away, unless another world has replaced it. */
export function removeState(): void {
  if (readState()?.process !== process.pid) return
  rmSync(STATE, { force: true })
  rmSync(EVENTS, { force: true })
}

export function readState(): WorldState | undefined {
  try {
    const state: WorldState = JSON.parse(readFileSync(STATE, 'utf8'))
    return state
  } catch {
    return undefined
  }
}
