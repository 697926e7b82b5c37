// What every examination works with.

import { parse } from 'jsonc-parser'
import type { Config } from '../../config/config.ts'
import type { Secret } from '../../lib/secret.ts'
import type { Issuer, SecretName } from '../../parties.ts'
import { createDiscovery, type Discovery } from '../../oauth/metadata.ts'
import { systemClock } from '../../platform/memory.ts'
import type { Clock } from '../../ports.ts'
import type { Place } from './finding.ts'
import { createWitness, type Witness } from './witness.ts'

export interface Tools {
  readonly config: Config
  /** The file as plain JSON, for what is looked for wherever it stands. */
  readonly written: unknown
  /** http to this machine is possible, and its certificates are nobody's business. */
  readonly local: boolean
  readonly witness: Witness
  /** The Worker's own discovery, looking through the witness. */
  readonly discovery: Discovery
  readonly clock: Clock
  /** Undefined: this secret is not known here. */
  readonly secret: (name: SecretName) => Secret | undefined
}

export function openTools(config: Config, text: string, local: boolean, secret: Tools['secret']): Tools {
  const witness = createWitness((request) => fetch(request))
  const background = (work: Promise<unknown>): void => void work.catch(() => undefined)
  const discovery = createDiscovery({ fetch: witness.fetch, clock: systemClock, background }, { local })
  const written: unknown = parse(text)
  return { config, written, local, witness, discovery, clock: systemClock, secret }
}

/** A server that hands out tokens, with all the places of the configuration that speak of it. */
export interface Party {
  readonly kind: 'identity provider' | 'authorization server'
  readonly issuer: Issuer
  /** As configured; undefined: discovered. */
  readonly tokenEndpoint: string | undefined
  /** Whether its keys are found by its metadata. */
  readonly discoversKeys: boolean
  /** The objects that name it. */
  readonly paths: readonly [Path, ...Path[]]
}

type Path = readonly (string | number)[]

/** A key of the objects that name a server. */
export function placesOf({ paths: [first, ...more] }: Party, key: string): readonly [Place, ...Place[]] {
  const at = (path: Path): Place => ({ file: 'config', path: [...path, key] })
  return [at(first), ...more.map(at)]
}
