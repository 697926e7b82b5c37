// `jagway jwt`: what kind of token this is, what is in it, whether it holds, and what is wrong with it for what it is meant
// to be. The token itself, and its signature, are shown only with --raw.

import process from 'node:process'
import { styleText } from 'node:util'
import { defineCommand } from 'citty'
import { parseConfig, renderProblems, saysLocal } from '../config/config.ts'
import { reachFault } from '../lib/reach.ts'
import { isObject, parseJsonObject, type JsonObject } from '../lib/strict-json.ts'
import { systemClock } from '../platform/memory.ts'
import { openTools } from './doctor/tools.ts'
import { toDuration } from './doctor/words.ts'
import { createWitness } from './doctor/witness.ts'
import { EXIT, ExitError, type ExitCode } from './exit.ts'
import { plain, readStandardInput, runningWorld } from './id-token.ts'
import { judge, secondsOf, TIMES, type Problem } from './jwt/judge.ts'
import { KINDS, recognise, type Recognition } from './jwt/kinds.ts'
import { readToken, type Reading } from './jwt/read.ts'
import {
  judgeAtTheDoor,
  verifyByAddress,
  verifyByConfig,
  verifyByDocument,
  verifyByItself,
  type Signature,
  type Verdict,
} from './jwt/verify.ts'
import { startProgress } from './progress.ts'
import { readInput } from './serve.ts'

export default defineCommand({
  meta: { name: 'jwt', description: 'Take a token apart: its kind, what is in it, and what is wrong with it.' },
  args: {
    token: { type: 'positional', required: false, description: 'The token; - or nothing reads it from standard input' },
    config: { type: 'string', valueHint: 'FILE', description: 'Judge it as the gateway with this configuration would' },
    jwks: { type: 'string', valueHint: 'URL|FILE', description: 'Verify the signature by these keys' },
    raw: { type: 'boolean', description: 'Show the token itself as well' },
    json: { type: 'boolean', description: 'Print JSON' },
    local: { type: 'boolean', description: 'Allow http to this machine (default: when public_url is such an address)' },
  },
  async run({ args }) {
    if (args._.length > 1) throw new ExitError(EXIT.usage, 'jwt takes one token')
    if (args.config !== undefined && args.jwks !== undefined)
      throw new ExitError(EXIT.usage, '--config and --jwks do not go together: the configuration says whose keys count')
    const input = await tokenOf(args.token)
    const reading = readToken(input)
    if (reading.form === 'none') {
      const words = `this is ${reading.words}`
      console.log(args.json === true ? JSON.stringify({ ok: false, kind: 'none', says: words }, undefined, 2) : words)
      return EXIT.problems
    }
    const examined = await examine(reading, args)
    const raw = args.raw === true ? input.trim() : undefined
    console.log(args.json === true ? toJson(examined, raw) : toText(examined, raw))
    return examined.exitCode
  },
})

async function tokenOf(argument: string | undefined): Promise<string> {
  if (argument !== undefined && argument !== '-') return argument
  if (argument === undefined && process.stdin.isTTY) throw new ExitError(EXIT.usage, 'give the token, or pipe it in')
  return readStandardInput()
}

interface Examined {
  readonly recognition: Recognition | undefined
  readonly header: JsonObject
  /** Undefined: encrypted. */
  readonly claims: JsonObject | undefined
  readonly signature: Signature | undefined
  readonly verdict: Verdict | undefined
  readonly problems: readonly Problem[]
  readonly exitCode: ExitCode
  readonly now: number
}

interface Keys {
  readonly config?: string | undefined
  readonly jwks?: string | undefined
  readonly local?: boolean | undefined
}

async function examine(reading: Exclude<Reading, { form: 'none' }>, keys: Keys): Promise<Examined> {
  const now = systemClock.now()
  const notes = reading.notes.map((message): Problem => ({ severity: 'warning', message }))
  if (reading.form === 'jwe') {
    const { header } = reading
    return {
      recognition: undefined,
      header,
      claims: undefined,
      signature: undefined,
      verdict: undefined,
      problems: notes,
      exitCode: EXIT.ok,
      now,
    }
  }
  const { token, header, claims } = reading
  const recognition = recognise(header, claims)
  const progress = startProgress('looking for keys')
  const { signature, verdict } = await progress
    .watch(verify(token, claims, recognition, keys))
    .finally(() => progress.stop())
  const problems = [
    ...notes,
    ...judge(recognition.kind, token, header, claims, now),
    ...toProblems(recognition, signature, verdict),
  ]
  const failed = problems.some(({ severity }) => severity === 'error')
  const exitCode = failed ? EXIT.problems : signature.status === 'unreachable' ? EXIT.unreachable : EXIT.ok
  return { recognition, header, claims, signature, verdict, problems, exitCode, now }
}

async function verify(
  token: string,
  claims: JsonObject,
  { kind }: Recognition,
  { config: file, jwks, local }: Keys,
): Promise<{ readonly signature: Signature; readonly verdict: Verdict | undefined }> {
  if (jwks !== undefined) return { signature: await verifyByJwks(token, jwks), verdict: undefined }
  if (file !== undefined) {
    const text = await readInput(file)
    const isLocal = local ?? saysLocal(text)
    const parsed = parseConfig(text, { fileName: file, local: isLocal })
    if (!parsed.ok) throw new ExitError(EXIT.problems, renderProblems(text, parsed.error))
    await runningWorld(({ issuer }) => parsed.value.idpsByIssuer.has(issuer))
    const tools = openTools(parsed.value, text, isLocal, () => undefined)
    const signature = await verifyByConfig(token, claims, tools)
    const stranger: Signature = {
      status: 'not checked',
      words: 'the configuration does not speak of whoever issued it',
    }
    return { signature: signature ?? stranger, verdict: await judgeAtTheDoor(token, kind, tools) }
  }
  if (kind.id === KINDS.dpopProof.id) return { signature: await verifyByItself(token), verdict: undefined }
  return { signature: { status: 'not checked', words: 'give --config FILE or --jwks URL|FILE' }, verdict: undefined }
}

async function verifyByJwks(token: string, place: string): Promise<Signature> {
  if (/^https?:\/\//i.test(place)) {
    const fault = URL.canParse(place) ? reachFault(place, true) : 'this is not a URL'
    if (fault !== undefined) throw new ExitError(EXIT.usage, `--jwks: ${fault}`)
    return verifyByAddress(
      token,
      place,
      createWitness((request) => fetch(request)),
    )
  }
  const document = parseJsonObject(await readInput(place))
  if (!document.ok) throw new ExitError(EXIT.usage, `${plain(place)} is not one JSON object`)
  return verifyByDocument(token, document.value, place)
}

function toProblems({ kind }: Recognition, signature: Signature, verdict: Verdict | undefined): Problem[] {
  const problems: Problem[] = []
  if (signature.status === 'does not hold' || signature.status === 'no key')
    problems.push({ severity: 'error', message: `the signature: ${signature.status}, ${signature.words}` })
  if (verdict?.accepted === false) {
    const words = `${verdict.words}. ${verdict.fix}`
    // Nothing is wrong with an access token because it is no ID token.
    problems.push(
      kind.id.startsWith('access_token')
        ? { severity: 'warning', message: `as a subject token the gateway refuses it: ${words}` }
        : { severity: 'error', message: `the gateway refuses it: ${words}` },
    )
  }
  return problems
}

const NESTED = /^[\w-]{10,}\.[\w-]+\.[\w-]*(?:\.[\w-]+\.[\w-]+)?$/

/** A token in a token is a token: it is not shown either. */
function withoutTokens(value: unknown): unknown {
  if (typeof value === 'string') return NESTED.test(value) && value.startsWith('ey') ? '[a token]' : value
  if (Array.isArray(value)) return value.map(withoutTokens)
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutTokens(inner)]))
}

function toJson(
  { recognition, header, claims, signature, verdict, problems, exitCode, now }: Examined,
  raw?: string,
): string {
  const document = {
    ok: exitCode === EXIT.ok,
    kind: recognition?.kind.id ?? 'encrypted',
    name: recognition?.kind.name,
    because: recognition?.because,
    purpose: recognition?.kind.purpose,
    header: withoutTokens(header),
    claims: withoutTokens(claims),
    times:
      claims === undefined
        ? undefined
        : Object.fromEntries(timesOf(claims).map(([name, at]) => [name, { at: toDate(at), in_seconds: at - now }])),
    signature: signature && { status: signature.status, words: signature.words },
    verdict,
    problems,
    raw,
  }
  return JSON.stringify(document, undefined, 2)
}

function timesOf(claims: JsonObject): [name: string, at: number][] {
  return TIMES.flatMap((name) => {
    const at = secondsOf(claims[name])
    return at === undefined ? [] : [[name, at]]
  })
}

function toDate(seconds: number): string {
  return new Date(Math.round(seconds) * 1000).toISOString().replace('.000Z', 'Z')
}

function toText({ recognition, header, claims, signature, verdict, problems, now }: Examined, raw?: string): string {
  const paint = (colour: 'red' | 'yellow' | 'green' | 'bold', words: string): string =>
    styleText(colour, words, { stream: process.stdout })
  const times = new Map(claims === undefined ? [] : timesOf(claims))
  const annotate = (name: string): string => {
    const at = times.get(name)
    if (at === undefined) return ''
    return `  ${toDate(at)}, ${at > now ? `in ${toDuration(at - now)}` : `${toDuration(now - at)} ago`}`
  }
  const rows = (object: JsonObject): string[] => {
    const width = Math.max(0, ...Object.keys(object).map((name) => name.length))
    return Object.entries(object).map(([name, value]) => {
      const shown = withoutTokens(value)
      return `  ${plain(name).padEnd(width)}  ${plain(typeof shown === 'string' ? shown : JSON.stringify(shown))}${annotate(name)}`
    })
  }
  const head =
    recognition === undefined
      ? ['an encrypted JWT (RFC 7516): only its recipient can read it']
      : [`${paint('bold', recognition.kind.name)}, because ${plain(recognition.because)}`, recognition.kind.purpose]
  return [
    ...head,
    'header',
    ...rows(header),
    ...(claims === undefined ? [] : ['claims', ...rows(claims)]),
    ...(signature === undefined
      ? []
      : [
          `signature  ${paint(signature.status === 'holds' ? 'green' : 'yellow', signature.status)}: ${plain(signature.words)}`,
        ]),
    ...(verdict?.accepted === true ? [`gateway    ${paint('green', 'accepts it')}: it ${plain(verdict.words)}`] : []),
    ...problems.map(
      ({ severity, message }) => `${paint(severity === 'error' ? 'red' : 'yellow', severity)}  ${plain(message)}`,
    ),
    ...(raw === undefined ? [] : ['raw', raw]),
  ].join('\n')
}
