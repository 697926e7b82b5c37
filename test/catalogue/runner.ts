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

/** The identity providers, authorization servers and APIs of the catalogue, running. */
export type World = {
  readonly idps: Readonly<Record<string, { readonly issuer: string }>>
  readonly close: () => void
}

type RunOptions = {
  readonly profile: Readonly<Record<string, unknown>>
  readonly world: World
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
  readonly startWorld: () => Promise<World>
  /** A token of the world's first identity provider. */
  readonly mint: (
    token: { readonly user: string; readonly c: Readonly<Record<string, unknown>> },
    world: World,
  ) => string
}

/** Undefined: the folder is not here. */
export async function loadCatalogue(): Promise<Catalogue | undefined> {
  if (!existsSync(FOLDER)) return undefined
  const [run, world, mint, fuzz] = await Promise.all(
    ['run.mjs', 'lib/world.mjs', 'lib/mint.mjs', 'fuzz.mjs'].map((file) => load(file)),
  )
  const { cases } = JSON.parse(readFileSync(`${FOLDER}cases.json`, 'utf8'))
  return {
    cases,
    canaries: world.CANARY,
    runCases: run.runCases,
    fuzz: fuzz.build,
    startWorld: world.startWorld,
    mint: mint.mint,
  }
}

// Written in JavaScript and without declarations, so all of it is `any`; Catalogue says what it is taken for.
async function load(file: string) {
  return await import(pathToFileURL(FOLDER + file).href)
}
