// The bad-input catalogue lives beside this repository, in ../shared/security/catalogue. It is loaded at run time and may be
// absent; here stands what is expected of it.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Fault } from '../support/disturbed.ts'

const FOLDER = fileURLToPath(new URL('../../../shared/security/catalogue/', import.meta.url))

export type Step = Readonly<Record<string, unknown>>

export type Case = {
  readonly id: string
  readonly title: string
  readonly needs?: readonly string[]
  readonly slow?: boolean
  readonly steps: readonly Step[]
}

export type Verdict = {
  readonly id: string
  readonly title: string
  readonly skipped?: string
  readonly v: readonly { readonly sev: string; readonly code: string; readonly msg: string }[]
}

export type Adapter = {
  readonly cold?: () => Promise<void>
  readonly kvFault?: (fault: Fault | null) => Promise<void>
  readonly kv?: {
    readonly list: () => Promise<readonly { readonly name: string; readonly metadata: unknown }[]>
    readonly get: (name: string) => Promise<Buffer>
    readonly put: (name: string, value: Buffer | string) => Promise<void>
  }
}

type RunOptions = {
  readonly profile: Readonly<Record<string, unknown>>
  readonly cases: readonly Case[]
  readonly adapter: Adapter
  readonly only?: RegExp | undefined
  readonly skip?: RegExp | undefined
  readonly slow: boolean
  readonly log: (line: string) => void
}

export type Catalogue = {
  readonly cases: readonly Case[]
  readonly canaries: Readonly<Record<string, string>>
  readonly runCases: (options: RunOptions) => Promise<{ readonly results: readonly Verdict[] }>
  readonly fuzz: (seed: number, count: number) => readonly Case[]
}

/** Undefined: the folder is not here. */
export async function loadCatalogue(): Promise<Catalogue | undefined> {
  if (!existsSync(FOLDER)) return undefined
  const [run, world, fuzz] = await Promise.all([load('run.mjs'), load('lib/world.mjs'), load('fuzz.mjs')])
  const { cases } = JSON.parse(readFileSync(`${FOLDER}cases.json`, 'utf8'))
  return { cases, canaries: world.CANARY, runCases: run.runCases, fuzz: fuzz.build }
}

// Written in JavaScript and without declarations, so all of it is `any`; Catalogue says what it is taken for.
async function load(file: string) {
  return await import(pathToFileURL(FOLDER + file).href)
}
