#!/usr/bin/env node
// The `jagway` program. Each command is loaded only when it is asked for.

import { stripVTControlCharacters } from 'node:util'
import { defineCommand, renderUsage, runCommand, type ArgsDef, type CommandDef } from 'citty'
import { EXIT, ExitError } from './exit.ts'

type Run = (rawArgs: readonly string[]) => Promise<number>

const commands: Readonly<Record<string, Run>> = {
  dev: async (rawArgs) => await run((await import('./dev.ts')).default, rawArgs),
  serve: async (rawArgs) => await run((await import('./serve.ts')).default, rawArgs),
  check: async (rawArgs) => await run((await import('./check.ts')).default, rawArgs),
  explain: async (rawArgs) => await run((await import('./explain.ts')).default, rawArgs),
  diff: async (rawArgs) => await run((await import('./diff.ts')).default, rawArgs),
  doctor: async (rawArgs) => await run((await import('./doctor.ts')).default, rawArgs),
  jwt: async (rawArgs) => await run((await import('./jwt.ts')).default, rawArgs),
  token: async (rawArgs) => await run((await import('./token.ts')).default, rawArgs),
  connections: async (rawArgs) => await run((await import('./connections.ts')).default, rawArgs),
  decisions: async (rawArgs) => await run((await import('./decisions.ts')).default, rawArgs),
  rules: async (rawArgs) => await run((await import('./rules.ts')).default, rawArgs),
  revoke: async (rawArgs) => await run((await import('./revoke.ts')).default, rawArgs),
  block: async (rawArgs) => await run((await import('./block.ts')).default, rawArgs),
  unblock: async (rawArgs) => await run((await import('./unblock.ts')).default, rawArgs),
}

const program = defineCommand({
  meta: { name: 'jagway', description: 'An edge token-broker gateway, and what one needs beside it.' },
  subCommands: {
    dev: () => import('./dev.ts').then((module) => module.default),
    serve: () => import('./serve.ts').then((module) => module.default),
    check: () => import('./check.ts').then((module) => module.default),
    explain: () => import('./explain.ts').then((module) => module.default),
    diff: () => import('./diff.ts').then((module) => module.default),
    doctor: () => import('./doctor.ts').then((module) => module.default),
    jwt: () => import('./jwt.ts').then((module) => module.default),
    token: () => import('./token.ts').then((module) => module.default),
    connections: () => import('./connections.ts').then((module) => module.default),
    decisions: () => import('./decisions.ts').then((module) => module.default),
    rules: () => import('./rules.ts').then((module) => module.default),
    revoke: () => import('./revoke.ts').then((module) => module.default),
    block: () => import('./block.ts').then((module) => module.default),
    unblock: () => import('./unblock.ts').then((module) => module.default),
  },
})

async function main([name, ...rest]: readonly string[]): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    console.log(await usage(program))
    return name === undefined ? EXIT.usage : EXIT.ok
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) throw new ExitError(EXIT.usage, `there is no command ${name}; jagway --help names them`)
  return await command(rest)
}

async function run<T extends ArgsDef>(command: CommandDef<T>, rawArgs: readonly string[]): Promise<number> {
  if (rawArgs.includes('--help') || rawArgs.includes('-h')) {
    console.log(await usage(command, { meta: { name: 'jagway' } }))
    return EXIT.ok
  }
  await refuseUnknown(command, rawArgs)
  const { result } = await runCommand(command, { rawArgs: [...rawArgs] }).catch((error: unknown) => {
    throw error instanceof Error && error.name === 'CLIError' ? new ExitError(EXIT.usage, error.message) : error
  })
  return typeof result === 'number' ? result : EXIT.ok
}

/** citty colours its texts whatever they are written to. */
async function usage<T extends ArgsDef>(command: CommandDef<T>, parent?: CommandDef<T>): Promise<string> {
  const text = await renderUsage(command, parent)
  const coloured = process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === ''
  return coloured ? text : stripVTControlCharacters(text)
}

/** citty passes options it does not know on to the command, which would make a misspelt one do nothing. */
async function refuseUnknown<T extends ArgsDef>(command: CommandDef<T>, rawArgs: readonly string[]): Promise<void> {
  const args: ArgsDef = (await (typeof command.args === 'function' ? command.args() : command.args)) ?? {}
  const known = new Set(
    Object.entries(args).flatMap(([option, { type, ...more }]) => {
      if (type === 'positional') return []
      const alias = 'alias' in more ? (more.alias ?? []) : []
      return [option, `no-${option}`, ...(typeof alias === 'string' ? [alias] : alias)]
    }),
  )
  const end = rawArgs.indexOf('--')
  for (const argument of end === -1 ? rawArgs : rawArgs.slice(0, end)) {
    const option = /^--?([a-z][a-z-]*)/i.exec(argument)?.[1]
    if (option !== undefined && !known.has(option))
      throw new ExitError(EXIT.usage, `there is no option --${option} here; --help names them`)
  }
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (error instanceof ExitError) {
    console.error(error.message)
    process.exitCode = error.code
  } else {
    // Whatever was not foreseen: its message, and where it happened only on request.
    const detail = error instanceof Error ? (process.env['DEBUG'] === undefined ? error.message : error.stack) : error
    console.error(`jagway: ${String(detail)}`)
    process.exitCode = EXIT.problems
  }
}
