// `jagway explain`: the page of a code, or what would happen to a request and why, without any of it happening.

import { defineCommand } from 'citty'
import { explain, parseQuestion, type QuestionBody } from '../admin/admin.ts'
import { CONFIG_CODES, didYouMean, parseConfig, renderProblems, saysLocal, type Config } from '../config/config.ts'
import { readOffline, type OfflineReading } from '../identity/identity.ts'
import { parseJsonObject } from '../lib/strict-json.ts'
import { createPolicy } from '../policy/policy.ts'
import { describe, isRefusalCode, pageOf, REFUSAL_CODES } from '../refusal.ts'
import { createSnapshot } from '../revocation/revocation.ts'
import { openAdmin, understand } from './admin-client.ts'
import { DOCTOR_CODES } from './doctor/finding.ts'
import { EXIT, ExitError, type ExitCode } from './exit.ts'
import { answerSchema, toSituation, toText } from './explanation.ts'
import { plain, tokenOnStandardInput } from './id-token.ts'
import { isConfigCode, pageOfConfig, renderConfigPage } from './pages/configuration.ts'
import { renderPage } from './pages/pages.ts'
import { readInput } from './serve.ts'

const HINT = 'CODE | "GET tasks /v1/todos" | "TOKEN tasks todos.read"'

export default defineCommand({
  meta: {
    name: 'explain',
    description: 'Say what a code means; or what policy says to a request, why, and what follows.',
  },
  args: {
    what: { type: 'positional', required: true, valueHint: HINT, description: 'A code such as POL100, or a request' },
    as: { type: 'string', valueHint: 'USER', description: 'The subject, or idp/subject' },
    client: { type: 'string', valueHint: 'NAME', description: 'The calling client (default: of the ID token)' },
    groups: { type: 'string', valueHint: 'A,B', description: 'The groups of the user' },
    tenant: { type: 'string', valueHint: 'TENANT', description: 'The tenant of the user' },
    claims: { type: 'string', valueHint: 'JSON', description: 'Further claims of the ID token, as a JSON object' },
    acr: { type: 'string', valueHint: 'CLASS', description: 'The class of the login' },
    amr: { type: 'string', valueHint: 'A,B', description: 'The methods of the login' },
    'auth-age': { type: 'string', valueHint: 'SECONDS', description: 'How long ago the user signed in' },
    details: { type: 'string', valueHint: 'A,B', description: 'Types of authorization details that are asked for' },
    at: { type: 'string', valueHint: 'TIME', description: 'When, RFC 3339 (default: now)' },
    token: {
      type: 'string',
      valueHint: '-',
      description: 'With - read an ID token from standard input, and ask as its user',
    },
    config: { type: 'string', valueHint: 'FILE', default: 'jagway.jsonc', description: 'The configuration' },
    local: { type: 'boolean', description: 'Allow http to this machine (default: when public_url is such an address)' },
    url: { type: 'string', valueHint: 'URL', description: 'Ask this gateway, with what is revoked there, and no file' },
    by: {
      type: 'string',
      valueHint: 'USER',
      description: 'With --url: sign in to the local world as this administrator',
    },
    json: { type: 'boolean', description: 'Print the answer as JSON' },
  },
  async run({ args }) {
    if (args._.length > 1) throw new ExitError(EXIT.usage, `explain takes one argument: ${HINT}`)
    if (!args.what.includes(' ')) return explainCode(args.what, args.json === true)
    if (args.by !== undefined && args.url === undefined) throw new ExitError(EXIT.usage, '--by goes with --url')
    return args.url === undefined ? explainByFile(args) : explainByGateway(args, args.url)
  },
})

interface Args {
  readonly what: string
  readonly as?: string | undefined
  readonly client?: string | undefined
  readonly groups?: string | undefined
  readonly tenant?: string | undefined
  readonly claims?: string | undefined
  readonly acr?: string | undefined
  readonly amr?: string | undefined
  readonly 'auth-age'?: string | undefined
  readonly details?: string | undefined
  readonly at?: string | undefined
  readonly token?: string | undefined
  readonly config: string
  readonly local?: boolean | undefined
  readonly by?: string | undefined
  readonly json?: boolean | undefined
}

async function explainCode(word: string, json: boolean): Promise<ExitCode> {
  const code = word.toUpperCase()
  if (isRefusalCode(code) || isConfigCode(code)) {
    const [short, page] = isRefusalCode(code)
      ? [pageOf(code), await renderPage(code)]
      : [pageOfConfig(code), renderConfigPage(code)]
    console.log(json ? JSON.stringify({ code, ...short, page }, undefined, 2) : page.trimEnd())
    return EXIT.ok
  }
  const titles: Readonly<Record<string, string>> = DOCTOR_CODES
  const title = Object.hasOwn(titles, code) ? titles[code] : undefined
  if (title === undefined) {
    const guess = didYouMean(code, [...REFUSAL_CODES, ...Object.keys(CONFIG_CODES), ...Object.keys(titles)])
    const help = guess ?? 'a request has a method, a resource and a path'
    throw new ExitError(EXIT.problems, `there is no code ${plain(word)}: ${help}`)
  }
  const fix = 'jagway doctor shows the place and what to change; docs/doctor.md says what it looks at'
  console.log(json ? JSON.stringify({ code, says: title, fix }, undefined, 2) : `# ${code}\n\n${title}: ${fix}.`)
  return EXIT.ok
}

async function explainByFile(args: Args): Promise<ExitCode> {
  const text = await readInput(args.config)
  const parsed = parseConfig(text, { fileName: args.config, local: args.local ?? saysLocal(text) })
  if (!parsed.ok) throw new ExitError(EXIT.problems, renderProblems(text, parsed.error))
  const config = parsed.value
  const now = Date.now()
  const reading = args.token === undefined ? undefined : await readToken(args, config, now)
  const body = questionOf(args, reading)
  const question = parseQuestion(body, config, now)
  if (!question.ok) throw new ExitError(EXIT.usage, wordsOf(question.error))
  const policy = createPolicy(config.rules, config.resources.values())
  return show(args, body, reading, explain(question.value, config, policy, createSnapshot([])))
}

async function explainByGateway(args: Args, url: string): Promise<ExitCode> {
  // Whose token it is can be told only by who knows the identity providers.
  if (args.token !== undefined) throw new ExitError(EXIT.usage, '--token is read with a file, not with --url')
  const admin = await openAdmin({ url, as: args.by })
  const body = questionOf(args, undefined)
  return show(args, body, undefined, await admin.send('POST', 'explain', body))
}

function show(args: Args, body: QuestionBody, reading: OfflineReading | undefined, answer: unknown): ExitCode {
  const notes = reading === undefined ? [] : notesOf(reading)
  if (args.json === true) {
    console.log(JSON.stringify({ request: body.request, as: body.as, notes, ...Object(answer) }, undefined, 2))
    return EXIT.ok
  }
  for (const note of notes) console.error(note)
  const { user, client, groups = [] } = body.as
  console.log(toText(understand(answerSchema, answer), toSituation({ user, client, groups }), body.request))
  return EXIT.ok
}

async function readToken({ token, as }: Args, config: Config, nowMs: number): Promise<OfflineReading> {
  if (token !== '-') throw new ExitError(EXIT.usage, '--token takes only -, and reads the token from standard input')
  if (as !== undefined) throw new ExitError(EXIT.usage, '--token and --as do not go together')
  const reading = await readOffline(await tokenOnStandardInput(), config, nowMs / 1000)
  if (!reading.ok) {
    const { detail } = reading.error
    throw new ExitError(
      EXIT.problems,
      `${describe(reading.error, true)}${detail === undefined ? '' : ` (${plain(detail)})`}`,
    )
  }
  return reading.value
}

function notesOf({ signature, age }: OfflineReading): readonly string[] {
  return [
    ...(signature === 'holds'
      ? []
      : ['the signature was not checked: the keys of the identity provider are not in the file']),
    ...(age === undefined ? [] : [`a gateway would refuse this token: ${describe(age, true)}`]),
  ]
}

function questionOf(args: Args, reading: OfflineReading | undefined): QuestionBody {
  const { at } = args
  const details = listOf(args.details)
  return {
    request: args.what,
    ...(details === undefined ? {} : { authorization_details_types: details }),
    as: reading === undefined ? situationOf(args) : situationOfToken(args, reading),
    ...(at === undefined ? {} : { at }),
  }
}

function situationOf(args: Args): QuestionBody['as'] {
  const { as, client, tenant, acr } = args
  if (as === undefined) throw new ExitError(EXIT.usage, 'say who asks: --as USER, or --token -')
  if (client === undefined) throw new ExitError(EXIT.usage, 'say through which client: --client NAME')
  const slash = as.indexOf('/')
  const [groups, amr, age] = [listOf(args.groups), listOf(args.amr), args['auth-age']]
  if (age !== undefined && !/^\d{1,9}$/.test(age)) throw new ExitError(EXIT.usage, '--auth-age wants whole seconds')
  return {
    user: as.slice(slash + 1),
    ...(slash === -1 ? {} : { idp: as.slice(0, slash) }),
    client,
    ...(groups === undefined ? {} : { groups }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(args.claims === undefined ? {} : { claims: claimsOf(args.claims) }),
    ...(acr === undefined ? {} : { acr }),
    ...(amr === undefined ? {} : { amr }),
    ...(age === undefined ? {} : { auth_age: Number(age) }),
  }
}

/** What the token says goes; only the caller may have to be named, where its audience makes nobody. */
function situationOfToken(args: Args, { principal, idpClient }: OfflineReading): QuestionBody['as'] {
  for (const option of ['groups', 'tenant', 'claims', 'acr', 'amr', 'auth-age'] as const) {
    if (args[option] !== undefined) throw new ExitError(EXIT.usage, `--${option} and --token do not go together`)
  }
  const client = args.client ?? idpClient.edgeClient
  if (client === undefined)
    throw new ExitError(EXIT.usage, `${idpClient.ref} has no edge_client: say through which client with --client NAME`)
  const { idp, subject, tenant, act, groups = [], claims, acr, authTime } = principal
  const written: Record<string, unknown> = {}
  for (const [name, reading] of claims) written[name] = reading === 'unreadable' ? {} : reading
  if (act !== undefined) written['act'] = JSON.parse(act.json)
  if (acr !== undefined) written['acr'] = JSON.parse(acr)
  return {
    user: subject,
    idp,
    client,
    idp_client: idpClient.name,
    groups: [...groups],
    ...(tenant === undefined ? {} : { tenant }),
    claims: written,
    ...(authTime === undefined ? {} : { auth_age: Math.floor(Date.now() / 1000 - authTime) }),
  }
}

function claimsOf(text: string): Readonly<Record<string, unknown>> {
  const claims = parseJsonObject(text)
  if (!claims.ok) throw new ExitError(EXIT.usage, '--claims wants a JSON object such as {"department":"eng"}')
  return claims.value
}

function listOf(text: string | undefined): string[] | undefined {
  return text?.split(',').filter((each) => each !== '')
}

/** As the administration says it, in the words of the command line. */
function wordsOf({ name = '', detail, code }: { name?: string; detail?: string; code: string }): string {
  if (code === 'ADM105') {
    const options: Readonly<Record<string, string>> = {
      'as.idp': 'the identity provider of --as (idp/subject) is not configured, or there are several and none is named',
      'as.client': '--client names no configured client',
      request: 'the request names no configured resource',
    }
    return options[name] ?? `${name} names nothing that is configured`
  }
  if (code === 'ADM106') return '--at wants a time such as 2026-12-31T18:00:00Z'
  return detail ?? `${name} is malformed`
}
