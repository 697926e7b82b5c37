// Facts that more than one tool has to be told, and that would drift apart unseen.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')

test('every place that starts the Worker names the same compatibility date', () => {
  const dates = ['wrangler.toml', 'test/contract/wrangler.toml', 'src/cli/launch.ts'].map(
    (path) => /(?:compatibility_date|COMPATIBILITY_DATE) = ["'](\d{4}-\d{2}-\d{2})["']/.exec(read(path))?.[1],
  )
  expect(dates[0]).toBeDefined()
  expect(new Set(dates).size).toBe(1)
})

test('wrangler is the version that the test plugin for workerd pins, so that there is one workerd', () => {
  const wanted = /"wrangler": "([^"]+)"/
  const plugin = wanted.exec(read('node_modules/@cloudflare/vitest-plugin/package.json'))?.[1]
  expect(plugin).toBeDefined()
  expect(wanted.exec(read('package.json'))?.[1]).toBe(plugin)
})
