// Bundles the Worker for local runs, as wrangler does for a deployment. The configuration stays outside the bundle as a
// text module, so one bundle serves every gateway of a process.

import { fileURLToPath } from 'node:url'
import type { Plugin } from 'esbuild'

let bundled: Promise<string> | undefined

export async function workerBundle(): Promise<string> {
  bundled ??= bundle(fileURLToPath(new URL('../worker.ts', import.meta.url)), { JAGWAY_LOCAL: 'true' })
  return await bundled
}

export async function bundle(entry: string, define: Record<string, string> = {}): Promise<string> {
  const { build } = await import('esbuild')
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    platform: 'neutral',
    mainFields: ['browser', 'module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
    define,
    plugins: [configurationModule],
    logLevel: 'silent',
  })
  const [file] = result.outputFiles
  if (file === undefined) throw new Error(`esbuild made no output for ${entry}`)
  return file.text
}

const configurationModule: Plugin = {
  name: 'configuration',
  setup(build) {
    build.onResolve({ filter: /\/jagway\.jsonc$/ }, () => ({ path: './jagway.jsonc', external: true }))
  },
}
