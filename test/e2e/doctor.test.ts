// `jagway doctor`, `jwt` and `token` against the local world and a real gateway before it, run as people run them.

import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { startWorld, type World } from '../../dev/world.ts'
import { launchGateway, type RunningGateway } from '../../src/cli/launch.ts'

const PROGRAM = fileURLToPath(new URL('../../src/cli/jagway.ts', import.meta.url))

let folder = ''
let world: World
let gateway: RunningGateway

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jagway-e2e-'))
  vi.stubEnv('JAGWAY_STATE_DIR', folder)
  // Looks at the environment when it is loaded.
  const { leaveEvent, leaveState } = await import('../../dev/state.ts')
  world = await startWorld()
  gateway = await launchGateway({
    config: { fileName: 'jagway.dev.jsonc', text: (origin) => world.config(origin) },
    secrets: world.secrets(),
    onLog: ({ message }) => {
      if (message.startsWith('{')) leaveEvent(message)
    },
  })
  const { idp, certificate, loginClients } = world
  leaveState({ process: process.pid, issuer: idp.issuer, certificate, loginClients, secrets: world.secrets() })
  await writeFile(join(folder, 'jagway.jsonc'), world.config(gateway.url))
})

afterAll(async () => {
  await gateway.close()
  await world.close()
  await rm(folder, { recursive: true })
  vi.unstubAllEnvs()
})

beforeEach(() => {
  world.traffic.clear()
})

type Ended = { readonly code: number; readonly out: string; readonly err: string }

function jagway(args: readonly string[], input = ''): Promise<Ended> {
  const env = { PATH: process.env['PATH'], JAGWAY_STATE_DIR: folder, JAGWAY_URL: gateway.url }
  return new Promise((done) => {
    const child = execFile(process.execPath, [PROGRAM, ...args], { cwd: folder, env }, (error, out, err) => {
      done({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, out, err })
    })
    child.stdin?.end(input)
  })
}

/** Nothing that opens anything may be in what is printed. */
function expectSilence({ out, err }: Ended): void {
  for (const secret of Object.values(world.secrets())) expect(out + err).not.toContain(secret)
  expect(out + err).not.toMatch(/eyJ[\w-]+\.[\w-]+\.[\w-]+/)
}

describe('jagway doctor', () => {
  test('finds nothing wrong with the local world, and obtains nothing from it', async () => {
    const ended = await jagway(['doctor'])
    expect(ended).toMatchObject({ code: 0, err: '' })
    expect(ended.out).toMatch(/jagway\.jsonc \(local\): \d\d green, 1 amber, 0 red/)
    for (const client of ['gateway', 'assistant', 'acme-gateway', 'acme-gateway-notes'])
      expect(ended.out).toContain(`credential         ${client} is accepted`)
    expectSilence(ended)
    const answers = [...world.traffic.of('idp', '/token'), ...world.traffic.of('tasks-as', '/token')]
    expect(answers.length).toBeGreaterThan(0)
    expect(answers.filter(({ status = 0 }) => status < 400)).toEqual([])
  })

  test('goes the whole chain for a user when asked to, one ID-JAG for each resource', async () => {
    const ended = await jagway(['doctor', '--as', 'ann', '--probe', '--json'])
    expect(ended.code).toBe(0)
    const { checks }: { checks: { about: string; check: string; status: string; says: string }[] } = JSON.parse(
      ended.out,
    )
    const chains = checks.filter(({ check }) => check === 'chain')
    expect(chains).toMatchObject([
      { about: 'resources.tasks', status: 'green', says: expect.stringContaining('todos.read todos.write') },
      { about: 'resources.notes', status: 'green', says: expect.stringContaining('notes.read') },
    ])
    expectSilence(ended)
    const exchanged = world.traffic
      .of('idp', '/token')
      .filter(({ form, status }) => form?.['subject_token'] !== undefined && status === 200)
    expect(exchanged).toHaveLength(2)
  })

  test('tells a wrong client id from a wrong secret by what an independent server says of either', async () => {
    await writeFile(
      join(folder, 'id.jsonc'),
      world.config(gateway.url).replace('"id": "acme-gateway"', '"id": "acme-gatewy"'),
    )
    const wrongId = await jagway(['doctor', '--config', 'id.jsonc'])
    expect(wrongId.code).toBe(1)
    expect(wrongId.out).toMatch(
      /id\.jsonc:52:15 error DOC108 .*"acme-gatewy": it treats it like an id that does not exist/,
    )
    const secrets = { ...world.secrets(), TASKS_CLIENT_SECRET: 'CANARY', NOTES_CLIENT_SECRET: 'CANARY' }
    await writeFile(join(folder, 'secrets.json'), JSON.stringify(secrets))
    const wrongSecret = await jagway(['doctor', '--secrets', 'secrets.json'])
    expect(wrongSecret.code).toBe(1)
    expect(wrongSecret.out).toMatch(
      /jagway\.jsonc:53:52 error DOC108 .*knows the client "acme-gateway" and refuses its secret/,
    )
    expect(wrongSecret.out).toMatch(
      /jagway\.jsonc:64:52 error DOC108 .*knows the client "acme-gateway-notes" and refuses its secret/,
    )
    expect(wrongSecret.out).not.toContain('CANARY')
  })
})

describe('jagway token', () => {
  test('shows each step of the way of a token, and keeps the token to itself', async () => {
    const ended = await jagway(['token', 'tasks', '--as', 'ann'])
    expect(ended).toMatchObject({ code: 0, err: '' })
    expect(ended.out).toMatch(
      /^sign-in +ann +\d+ ms\nID token +ann .*\nrequest +POST .*tasks as support-bot +200 .*\n +exchange +\d+ ms +ID-JAG [\w-]+\n +redeem +\d+ ms\n +from +exchange\ntoken +Bearer +todos\.read todos\.write +for 60 min\n$/,
    )
    expectSilence(ended)
    const { out } = await jagway(['token', 'tasks', '--as', 'ann', '--raw'])
    const todos = await fetch(`${world.tasks.origin}/v1/todos`, { headers: { authorization: `Bearer ${out.trim()}` } })
    expect(todos.status).toBe(200)
  })

  test('authenticates with a key where the client has one', async () => {
    expect(await jagway(['token', 'tasks', '--as', 'ann', '--client', 'assistant'])).toMatchObject({
      code: 0,
      out: expect.stringContaining('tasks as assistant  200'),
    })
  })

  test('explains a refusal with what only the auditor is told', async () => {
    const ended = await jagway(['token', 'tasks', '--as', 'kim', '--json'])
    expect(ended.code).toBe(1)
    expect(JSON.parse(ended.out)).toMatchObject({
      ok: false,
      request: { status: 400 },
      refusal: { code: 'POL100', error: 'access_denied', page: `${gateway.url}/errors/POL100` },
    })
    const unknown = await jagway(['token', 'nothing', '--as', 'ann'])
    expect(unknown.out).toContain('refused    CLI106  invalid_target')
    expect(unknown.out).toContain('detail   unknown here, or not open to this client')
  })
})

describe('jagway jwt', () => {
  test('knows an ID token of a real identity provider from an access token of a real authorization server', async () => {
    const idToken = await jagway(['jwt', '--config', 'jagway.jsonc'], await world.login('ann'))
    expect(idToken.code).toBe(0)
    expect(idToken.out).toContain('gateway    accepts it: it says that "ann" has signed in at dev/gateway')
    const { out: accessToken } = await jagway(['token', 'tasks', '--as', 'ann', '--raw'])
    const access = await jagway(['jwt', '--config', 'jagway.jsonc'], accessToken)
    expect(access).toMatchObject({
      code: 0,
      out: expect.stringContaining('an access token (RFC 9068), because typ is at+jwt'),
    })
    expect(access.out).toContain('signature  holds')
    expectSilence(access)
  })
})
