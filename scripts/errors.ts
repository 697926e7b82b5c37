// Writes docs/errors: a page for each code that jagway refuses with or says of the configuration, and a list of all of them.
// Their source is the catalogue of the Worker and src/cli/pages, so a new code needs an entry there to compile, and `npm run
// errors` after that. `--check` only compares.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import prettier from 'prettier'
import { isConfigCode, renderConfigPage } from '../src/cli/pages/configuration.ts'
import { renderPage } from '../src/cli/pages/pages.ts'
import { CONFIG_CODES } from '../src/config/config.ts'
import { pageOf, REFUSAL_CODES } from '../src/refusal.ts'

const FOLDER = new URL('../docs/errors/', import.meta.url)

const FAMILIES: Readonly<Record<string, string>> = {
  CLI: 'the calling client',
  TOK: 'the subject token',
  POL: 'policy',
  IDP: 'the identity provider (leg 1)',
  RAS: 'the authorization server of a resource (leg 2)',
  UPS: 'the API itself',
  LIM: 'limits',
  ADM: 'the administration',
  INT: 'this gateway',
}

/** File names to texts, as they must stand in the folder. */
async function pages(): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>([['README.md', renderIndex()]])
  for (const code of REFUSAL_CODES) texts.set(`${code}.md`, await renderPage(code))
  for (const code of Object.keys(CONFIG_CODES).filter(isConfigCode)) texts.set(`${code}.md`, renderConfigPage(code))
  const options = await prettier.resolveConfig(fileURLToPath(new URL('README.md', FOLDER)))
  const formatted = [...texts].map(async ([name, text]): Promise<[string, string]> => [
    name,
    await prettier.format(text, { ...options, parser: 'markdown' }),
  ])
  return new Map(await Promise.all(formatted))
}

function renderIndex(): string {
  const lines = [
    '# Refusals',
    'Every no of jagway has a code. The answer names it, with the address of its page; `jagway explain CODE` prints the same page. Where a decision was made, the answer has a request id, which is the `id` of its audit event. Of what anybody may ask (a path where nothing is, the public documents, `/authorize`) no event is written, and such an answer has no id; unless a fault of ours (INT100) is the answer.',
  ]
  for (const [family, about] of Object.entries(FAMILIES)) {
    const codes = REFUSAL_CODES.filter((code) => code.startsWith(family)).toSorted()
    const rows = codes.map((code) => `| [${code}](${code}.md) | ${pageOf(code).says} |`)
    lines.push(`## ${family}: ${about}`, ['| code | what happened |', '| --- | --- |', ...rows].join('\n'))
  }
  const rows = Object.entries(CONFIG_CODES).map(([code, title]) => `| [${code}](${code}.md) | ${title} |`)
  lines.push(
    '## CFG: the configuration file',
    'These are told by `jagway check` and at the start, with the line and column in the file and what to write instead. 1xx keep the file from being used, 2xx are warnings, 3xx errors in a file that can be used.',
    ['| code | what is wrong |', '| --- | --- |', ...rows].join('\n'),
  )
  return `${lines.join('\n\n')}\n`
}

function stale(wanted: ReadonlyMap<string, string>): readonly string[] {
  mkdirSync(FOLDER, { recursive: true })
  const present = readdirSync(FOLDER)
  const wrong = [...wanted].filter(
    ([name, text]) => !present.includes(name) || readFileSync(new URL(name, FOLDER), 'utf8') !== text,
  )
  return [...wrong.map(([name]) => name), ...present.filter((name) => !wanted.has(name))]
}

if (import.meta.main) {
  const wanted = await pages()
  const wrong = stale(wanted)
  if (process.argv.includes('--check')) {
    if (wrong.length > 0)
      console.error(`not as the catalogue has it, run npm run errors: docs/errors/ ${wrong.join(', ')}`)
    process.exitCode = wrong.length === 0 ? 0 : 1
  } else {
    for (const name of wrong) {
      const text = wanted.get(name)
      if (text === undefined) rmSync(new URL(name, FOLDER))
      else writeFileSync(new URL(name, FOLDER), text)
    }
  }
}
