// A small configuration that can be used, and a way to break it in one place: the mark › in a replacement stands where the
// fault must be shown.
import { expect } from 'vitest'
import { parseConfig, type Config, type ConfigProblem } from '../../../src/config/config.ts'

export const EXAMPLE = `{
  "version": 1,
  "public_url": "https://gw.example",
  "idps": {
    "main": {
      "issuer": "https://idp.example",
      "clients": {
        "gateway": { "id": "gw", "auth": { "method": "none" }, "edge_client": "people" }
      }
    }
  },
  "clients": {
    "people": { "subject_tokens": ["main/gateway"] },
    "bot": { "subject_tokens": ["main/gateway"], "auth": { "method": "client_secret_basic", "secret": { "secret": "BOT" } } }
  },
  "resources": {
    "tasks": {
      "kind": "id-jag",
      "authorization_server": { "issuer": "https://as.tasks.example" },
      "client": { "id": "gw-at-tasks", "auth": { "method": "none" } },
      "scopes": ["read", "write"],
      "proxy": { "path": "/r/tasks", "upstream": "https://api.tasks.example" }
    }
  },
  "policy": {
    "rules": [
      { "id": "all", "effect": "allow", "resources": ["tasks"], "scopes": ["read"] }
    ]
  }
}
`

const MARK = '›'

export interface Broken {
  readonly text: string
  readonly line: number
  readonly column: number
}

/** Replaces one piece of the example, which must be there once. The mark is taken out and remembered. */
export function broken(piece: string, replacement: string, example = EXAMPLE): Broken {
  expect(example.split(piece), `the example has ${piece} once`).toHaveLength(2)
  const marked = example.replace(piece, () => replacement)
  const lines = marked.slice(0, marked.indexOf(MARK)).split('\n')
  return { text: marked.replace(MARK, ''), line: lines.length, column: (lines.at(-1) ?? '').length + 1 }
}

export function problemsOf(text: string, local = false): readonly ConfigProblem[] {
  const parsed = parseConfig(text, { fileName: 'jagway.jsonc', local })
  return parsed.ok ? [] : parsed.error
}

export function configOf(text: string, local = false): Config {
  const parsed = parseConfig(text, { fileName: 'jagway.jsonc', local })
  if (!parsed.ok) throw new Error(parsed.error.map(({ line, message }) => `${line}: ${message}`).join('\n'))
  return parsed.value
}
