// Reads a file of secrets for local runs: a JSON object of strings, or the NAME=value lines of wrangler's `.dev.vars`; and the
// file that says where client certificates are.

import { parseEnv } from 'node:util'
import { isObject } from '../lib/strict-json.ts'
import { EXIT, ExitError } from './exit.ts'
import type { KeyPair } from './launch.ts'

export function readSecrets(fileName: string, text: string): Record<string, string> {
  const values = text.trimStart().startsWith('{') ? parseObject(fileName, text) : parseEnv(text)
  const secrets: Record<string, string> = {}
  for (const [name, value] of Object.entries(values)) {
    if (typeof value !== 'string') throw new ExitError(EXIT.usage, `${fileName}: the value of ${name} must be a string`)
    secrets[name] = value
  }
  return secrets
}

/** `{ "BINDING": { "cert": "FILE", "key": "FILE" } }`. */
export function parseKeyPairs(fileName: string, text: string): Record<string, KeyPair> {
  const pairs: Record<string, KeyPair> = {}
  for (const [name, value] of Object.entries(parseObject(fileName, text))) {
    const { cert, key } = isObject(value) ? value : {}
    if (typeof cert !== 'string' || typeof key !== 'string')
      throw new ExitError(EXIT.usage, `${fileName}: ${name} must be { "cert": FILE, "key": FILE }`)
    pairs[name] = { cert, key }
  }
  return pairs
}

function parseObject(fileName: string, text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // The parser's own message could quote a secret.
  }
  throw new ExitError(EXIT.usage, `${fileName} is not a JSON object`)
}
