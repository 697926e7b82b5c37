// wrangler.toml (or .json, .jsonc) against what the Worker needs: bindings, classes, secrets, and settings that decide
// whether it is safe. Read here as text, so that nothing of wrangler has to be installed or run.

import { parse as parseJsonc, type ParseError } from 'jsonc-parser'
import { parse as parseToml, TomlError } from 'smol-toml'
import { createLocator, type ConfigPath, type Span } from '../../config/config.ts'
import { err, ok, type Result } from '../../lib/result.ts'
import { isObject, type JsonObject } from '../../lib/strict-json.ts'

export interface WranglerFile {
  readonly fileName: string
  readonly text: string
  readonly settings: JsonObject
  /** Where a setting stands; of one that is not written, what encloses it. */
  readonly locate: (path: ConfigPath, at?: 'key' | 'value') => Span
}

/** The problem is our own wording, with the line where it is known. */
export function readWranglerFile(fileName: string, text: string): Result<WranglerFile, Span> {
  if (/\.jsonc?$/.test(fileName)) {
    const errors: ParseError[] = []
    const settings: unknown = parseJsonc(text, errors, { allowTrailingComma: true })
    if (errors.length > 0 || !isObject(settings)) return err({ line: 1, column: 1, length: 0 })
    return ok({ fileName, text, settings, locate: createLocator(text) })
  }
  try {
    return ok({ fileName, text, settings: { ...parseToml(text) }, locate: createTomlLocator(text) })
  } catch (error) {
    if (error instanceof TomlError) return err({ line: error.line, column: error.column, length: 0 })
    throw error
  }
}

/** The parser gives no positions: headers and keys are found by their looks, which in a file that parses is enough. */
function createTomlLocator(text: string): WranglerFile['locate'] {
  const lines = text.split(/\r\n|\n|\r/)
  const keys = keysOf(lines)
  return (path, at = 'value') => {
    for (let depth = path.length; depth > 0; depth--) {
      const wanted = path.slice(0, depth).join('\u0000')
      const found = keys.find((key) => key.path === wanted)
      if (found !== undefined) return depth === path.length && at === 'value' ? found.value : found.key
    }
    return { line: 1, column: 1, length: 0 }
  }
}

interface TomlKey {
  readonly path: string
  readonly key: Span
  readonly value: Span
}

const HEADER = /^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?/
const KEY = /^(\s*)([A-Za-z0-9_."'-]+(?:\s*\.\s*[A-Za-z0-9_."'-]+)*)(\s*=\s*)(.*)$/

function keysOf(lines: readonly string[]): TomlKey[] {
  const keys: TomlKey[] = []
  const counts = new Map<string, number>()
  const note = (path: readonly (string | number)[], key: Span, value: Span): void => {
    keys.push({ path: path.join('\u0000'), key, value })
  }
  let table: readonly (string | number)[] = []
  for (const [index, text] of lines.entries()) {
    const line = index + 1
    const [, brackets, header] = HEADER.exec(text) ?? []
    if (header !== undefined) {
      const parts = partsOf(header)
      const name = parts.join('\u0000')
      const place: Span = { line, column: text.indexOf('[') + 1, length: text.trim().length }
      if (brackets === '[[') {
        const count = counts.get(name) ?? 0
        counts.set(name, count + 1)
        if (count === 0) note(parts, place, place)
        table = [...parts, count]
      } else table = parts
      note(table, place, place)
      continue
    }
    const [, indent = '', written, equals = '', value = ''] = KEY.exec(text) ?? []
    if (written === undefined) continue
    const column = indent.length + 1
    const key: Span = { line, column, length: written.length }
    const found = {
      line,
      column: column + written.length + equals.length,
      length: value.replace(/\s+#.*$/, '').trim().length,
    }
    const parts = partsOf(written)
    for (let depth = 1; depth < parts.length; depth++) note([...table, ...parts.slice(0, depth)], key, key)
    note([...table, ...parts], key, found)
  }
  return keys
}

function partsOf(dotted: string): string[] {
  return dotted.split('.').map((part) => part.trim().replaceAll(/^["']|["']$/g, ''))
}
