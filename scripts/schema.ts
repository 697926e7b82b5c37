// Writes schema/jagway.v1.json, which editors read to complete and check a jagway.jsonc. Its source is the schema the
// Worker itself parses with, so the two cannot disagree. `--check` only compares.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { toJsonSchema, type ConversionConfig } from '@valibot/to-json-schema'
import { configSchema } from '../src/config/schema.ts'

const FILE = new URL('../schema/jagway.v1.json', import.meta.url)

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

export function schemaText(): string {
  const { $schema, ...schema } = toJsonSchema(configSchema, conversion)
  const document = { $schema, title: 'jagway configuration, version 1', ...schema }
  return `${JSON.stringify(document, undefined, 2)}\n`
}

function written(): string | undefined {
  try {
    return readFileSync(FILE, 'utf8')
  } catch {
    return undefined
  }
}

if (import.meta.main) {
  const fresh = written() === schemaText()
  if (process.argv.includes('--check')) {
    if (!fresh) console.error('schema/jagway.v1.json is not what src/config/schema.ts says: run npm run schema')
    process.exitCode = fresh ? 0 : 1
  } else {
    mkdirSync(fileURLToPath(new URL('.', FILE)), { recursive: true })
    writeFileSync(FILE, schemaText())
  }
}
