// What a configuration names and its surroundings do not have: told like any other fault, at the place where it is named.
import { isObject } from '../lib/strict-json.ts'
import type { ConfigPath, Finding } from './problem.ts'

export type Unmet =
  /** `weak`: it is there, but too short to seal with. */
  | { readonly kind: 'secret'; readonly name: string; readonly weak?: boolean }
  /** A binding that the configuration names. */
  | { readonly kind: 'certificate' | 'limit' | 'queue' | 'bucket'; readonly name: string }

/** The key under which a name of each kind is written. */
const KEYS = {
  secret: 'secret',
  certificate: 'binding',
  limit: 'binding',
  queue: 'binding',
  bucket: 'bucket',
} as const

/** `written`: the configuration as it was parsed. */
export function toUnmetFindings(written: unknown, unmet: readonly Unmet[]): readonly Finding[] {
  return unmet.map((one) => {
    const key = KEYS[one.kind]
    const [path] = pathsOfName(written, key, one.name)
    // The sealing key need not be written down.
    return { path: path === undefined ? ['cache', 'sealing_keys'] : [...path, key], ...toWords(one) }
  })
}

function toWords(unmet: Unmet): Pick<Finding, 'code' | 'message' | 'help'> {
  const { kind, name } = unmet
  switch (kind) {
    case 'secret':
      return unmet.weak === true
        ? {
            code: 'CFG114',
            message: `the sealing key ${name} is too short`,
            help: 'make it of 32 random bytes: openssl rand -base64 32',
          }
        : {
            code: 'CFG113',
            message: `the secret ${name} has no value here`,
            help: `deployed: wrangler secret put ${name}; local: --secrets FILE`,
          }
    case 'certificate':
      return {
        code: 'CFG115',
        message: `no client certificate is bound as ${name}`,
        help: `deployed: [[mtls_certificates]] with binding = "${name}" in wrangler.toml; local: --certificates FILE`,
      }
    case 'limit':
      return {
        code: 'CFG115',
        message: `no rate limit is bound as ${name}`,
        help: `[[ratelimits]] with name = "${name}" in wrangler.toml`,
      }
    case 'queue':
      return {
        code: 'CFG115',
        message: `no queue is bound as ${name}`,
        help: `[[queues.producers]] with binding = "${name}" in wrangler.toml`,
      }
    case 'bucket':
      return {
        code: 'CFG115',
        message: `no bucket is bound as ${name}`,
        help: `[[r2_buckets]] with binding = "${name}" in wrangler.toml`,
      }
  }
}

/** Every object in a file that has a name under a key: `{ "secret": "NAME" }`. */
export function pathsOfName(written: unknown, key: string, name: string): readonly ConfigPath[] {
  const paths: ConfigPath[] = []
  const walk = (value: unknown, path: ConfigPath): void => {
    if (Array.isArray(value)) value.forEach((inner: unknown, index) => walk(inner, [...path, index]))
    if (!isObject(value)) return
    for (const [member, inner] of Object.entries(value)) {
      if (member === key && inner === name) paths.push(path)
      else walk(inner, [...path, member])
    }
  }
  walk(written, [])
  return paths
}
