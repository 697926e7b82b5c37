// Writes the published schemas: schema/jagway.v1.json, which editors read to complete and check a jagway.jsonc, and
// schema/audit-event.v1.json, which says what a reader of audit events may count on. Their sources are the schema that the Worker itself
// parses with and the one that its event types are made of, so neither can disagree with the code. `--check` only compares.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { toJsonSchema, type ConversionConfig } from '@valibot/to-json-schema'
import { auditEventSchema } from '../src/audit-event.ts'
import { configSchema } from '../src/config/schema.ts'

const conversion: ConversionConfig = {
  // The draft that editors know best.
  target: 'draft-07',
  // What is written in the file, before defaults are filled in.
  typeMode: 'input',
  // A check written as code has no word in JSON Schema: the editor is then milder than the Worker, never stricter. A
  // shape that cannot be converted is still an error.
  errorMode: 'throw',
  overrideAction: ({ errors, jsonSchema }) => (errors === undefined ? undefined : jsonSchema),
}

/** File name to text. */
function schemaTexts(): ReadonlyMap<string, string> {
  return new Map([
    ['jagway.v1.json', textOf('jagway configuration, version 1', toJsonSchema(configSchema, conversion))],
    ['audit-event.v1.json', textOf('jagway audit event, version 1', toJsonSchema(auditEventSchema, conversion))],
  ])
}

function textOf(title: string, { $schema, ...schema }: ReturnType<typeof toJsonSchema>): string {
  return `${JSON.stringify({ $schema, title, ...schema }, undefined, 2)}\n`
}

function written(file: URL): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

if (import.meta.main) {
  const folder = new URL('../schema/', import.meta.url)
  mkdirSync(fileURLToPath(folder), { recursive: true })
  for (const [name, text] of schemaTexts()) {
    const file = new URL(name, folder)
    if (written(file) === text) continue
    if (process.argv.includes('--check')) {
      console.error(`schema/${name} is not what its source in src/ says: run npm run schema`)
      process.exitCode = 1
    } else writeFileSync(file, text)
  }
}
