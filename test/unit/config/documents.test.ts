// The manual and the schema for editors say what the parser does.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CONFIG_CODES } from '../../../src/config/config.ts'
import { configSchema } from '../../../src/config/schema.ts'
import { configOf } from './example.ts'

const manual = readFileSync(join(import.meta.dirname, '../../../docs/configuration.md'), 'utf8')

/** Every key that can be written somewhere in the file. */
function keysOf(schema: unknown, seen = new Set<string>()): Set<string> {
  if (typeof schema !== 'object' || schema === null) return seen
  if ('entries' in schema && typeof schema.entries === 'object' && schema.entries !== null) {
    for (const [key, value] of Object.entries(schema.entries)) keysOf(value, seen.add(key))
  }
  for (const inner of ['wrapped', 'item', 'value', 'options'] as const) {
    const value: unknown = inner in schema ? Reflect.get(schema, inner) : undefined
    for (const one of Array.isArray(value) ? value : [value]) keysOf(one, seen)
  }
  return seen
}

describe('docs/configuration.md', () => {
  it('has a complete example that can be used', () => {
    const [, example = ''] = /```jsonc\n([\s\S]*?)```/.exec(manual) ?? []
    expect(configOf(example).resources.get('tasks')?.clientsByCaller.get('assistant')?.id).toBe('acme-assistant')
  })

  it('speaks of every key', () => {
    const keys = [...keysOf(configSchema)]
    expect(keys.length).toBeGreaterThan(40)
    const known = new Set([...manual.matchAll(/`[^`]*`/g)].flatMap(([code]) => code.match(/[$\w]+/g) ?? []))
    expect(keys.filter((key) => !known.has(key))).toEqual([])
  })

  it.each(Object.entries(CONFIG_CODES))('lists %s', (code, title) => {
    expect(manual.replaceAll(/ +/g, ' ')).toContain(`| ${code} | ${title} |`)
  })
})
