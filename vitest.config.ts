// One run, five projects. The contract suite stands in two of them: the same files run on the memory ground in Node and on
// the real bindings in workerd, and `#ground` is the only word in it that differs.

import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

const SECOND = 1000

// The local runtime would ask the network for a sample of request.cf, and wrangler would report that it was used.
process.env['CLOUDFLARE_CF_FETCH_ENABLED'] ??= 'false'
process.env['WRANGLER_SEND_METRICS'] ??= 'false'

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url))
}

export default defineConfig({
  test: {
    // Files at once. A worker or end-to-end file starts workerd and counterparties of its own besides.
    maxWorkers: 2,
    passWithNoTests: false,
    // A test left behind `.only` would silence all others.
    allowOnly: false,
    projects: [
      {
        define: { JAGWAY_LOCAL: 'true' },
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          environment: 'node',
          testTimeout: 10 * SECOND,
        },
      },
      {
        define: { JAGWAY_LOCAL: 'true' },
        resolve: { alias: { '#ground': here('./test/contract/ground-memory.ts') } },
        test: {
          name: 'contract-memory',
          include: ['test/contract/**/*.test.ts'],
          environment: 'node',
          testTimeout: 10 * SECOND,
        },
      },
      {
        define: { JAGWAY_LOCAL: 'true' },
        resolve: { alias: { '#ground': here('./test/contract/ground-workerd.ts') } },
        plugins: [cloudflareTest({ wrangler: { configPath: './test/contract/wrangler.toml' } })],
        test: {
          name: 'contract-workerd',
          include: ['test/contract/**/*.test.ts'],
          testTimeout: 30 * SECOND,
        },
      },
      {
        test: {
          name: 'worker',
          include: ['test/worker/**/*.test.ts'],
          environment: 'node',
          testTimeout: 20 * SECOND,
          hookTimeout: 60 * SECOND,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          environment: 'node',
          testTimeout: 60 * SECOND,
          hookTimeout: 120 * SECOND,
        },
      },
    ],
  },
})
