// `npm run -s login -- ann [--client gateway]`: signs a user in at the running local world and prints the ID token, nothing else.

import { parseArgs } from 'node:util'
import { trustInThisProcess } from './certificate.ts'
import { signIn } from './sign-in.ts'
import { readState } from './state.ts'
import { findUser, users } from './users.ts'

const EXIT_PROBLEM = 1
const EXIT_USAGE = 2
const EXIT_UNREACHABLE = 3

const USAGE = `usage: npm run -s login -- USER [--client gateway|assistant]
users: ${users.map(({ name }) => name).join(', ')}`

type Request = { readonly user: string; readonly client: 'gateway' | 'assistant' }

function parseRequest(): Request | string {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { client: { type: 'string', default: 'gateway' } },
    })
    const [user] = positionals
    if (user === undefined || positionals.length > 1) return 'name one user'
    if (findUser(user) === undefined) return `there is no user ${user}`
    const { client } = values
    if (client !== 'gateway' && client !== 'assistant') return `there is no client ${client}`
    return { user, client }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function main(): Promise<number> {
  const request = parseRequest()
  if (typeof request === 'string') {
    console.error(`${request}\n${USAGE}`)
    return EXIT_USAGE
  }
  const state = readState()
  if (state === undefined || !(await answers(state.issuer, state.certificate))) {
    console.error('The local world is not running. Start it with: npm start')
    return EXIT_UNREACHABLE
  }
  try {
    console.log((await signIn(state.issuer, state.loginClients[request.client], request.user)).idToken)
    return 0
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return EXIT_PROBLEM
  }
}

async function answers(issuer: string, certificate: string): Promise<boolean> {
  trustInThisProcess(certificate)
  try {
    const response = await fetch(`${issuer}/.well-known/openid-configuration`, { redirect: 'manual' })
    await response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}

process.exitCode = await main()
