// `npm run test:interop`: against programs that come from the distribution and not from npm. Each file says what it needs, and
// skips with a word where that is not installed.

import process from 'node:process'
import { defineConfig } from 'vitest/config'

const SECOND = 1000

process.env['CLOUDFLARE_CF_FETCH_ENABLED'] ??= 'false'

export default defineConfig({
  test: {
    name: 'interop',
    include: ['test/interop/**/*.test.ts'],
    environment: 'node',
    passWithNoTests: false,
    allowOnly: false,
    testTimeout: 30 * SECOND,
    hookTimeout: 60 * SECOND,
  },
})
