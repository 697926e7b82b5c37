// The door of the room: text in, a complete and linked configuration out, or everything that is wrong with it. Runs in the
// Worker's global scope, so that a wrong file fails the start or the upload and never a request; and in the CLI.
import { err, ok, type Result } from '../lib/result.ts'
import { isObject } from '../lib/strict-json.ts'
import type { AdminAccess } from '../administrator.ts'
import type { CallingClient, CertificateName, Idp, RateLimit, Resource, Rule, SecretName } from '../parties.ts'
import { renderProblems } from './frame.ts'
import { linkAdmin } from './link-admin.ts'
import { linkLimits } from './link-limits.ts'
import { claimsAskedFor, linkRules } from './link-rules.ts'
import { linkSinks, type AuditQueue, type AuditSinkConfig } from './link-audit.ts'
import { keysOfAuth, ownRegistrations, secretsOfAuth, type OwnKeyName } from './link-auth.ts'
import { linkDocuments, type ClientDocument } from './link-documents.ts'
import { linkTests, type PolicyTest } from './link-tests.ts'
import { link } from './link.ts'
import { findWarnings } from './lint.ts'
import type { ConfigPath, ConfigProblem, Finding, Span } from './problem.ts'
import { readShape } from './shape.ts'
import { locate, place, readSource } from './source.ts'
import { toUnmetFindings, type Unmet } from './unmet.ts'
import { isLoopbackHttp } from './urls.ts'

export { renderProblems } from './frame.ts'
export type { AuditQueue, AuditSinkConfig } from './link-audit.ts'
export type { ClientDocument } from './link-documents.ts'
export type { PolicyTest } from './link-tests.ts'
export { parseAsked, type Asked, type Situation } from './question.ts'
export { pathsOfName, type Unmet } from './unmet.ts'
export {
  CONFIG_CODES,
  didYouMean,
  quote,
  type ConfigCode,
  type ConfigPath,
  type ConfigProblem,
  type Finding,
  type Remark,
  type Span,
} from './problem.ts'

export interface Config {
  /** Our own origin and issuer (RFC 8414), as written; without a slash at its end. */
  readonly publicUrl: string
  readonly idps: ReadonlyMap<string, Idp>
  readonly idpsByIssuer: ReadonlyMap<string, Idp>
  readonly clients: ReadonlyMap<string, CallingClient>
  readonly resources: ReadonlyMap<string, Resource>
  /** In the order of the file. */
  readonly rules: readonly Rule[]
  /** What rules ask of an assertion beside who it is about; nothing else of it is kept. */
  readonly policyClaims: ReadonlySet<string>
  /** For `jagway check`; the Worker only reads them. */
  readonly tests: readonly PolicyTest[]
  readonly cache: {
    readonly maxTtlSeconds: number
    readonly refreshBeforeSeconds: number
    /** The first seals, all of them open. */
    readonly sealingKeys: readonly SecretName[]
  }
  readonly revocation: { readonly maxStalenessSeconds: number }
  /** Of ID-JAGs per user, resource and calendar month; undefined: counted, but not limited. */
  readonly quota: { readonly limit: number; readonly warnAt: number } | undefined
  /** Undefined: there is no administration at all. */
  readonly admin: AdminAccess | undefined
  /** Whose pages may call us from a browser; undefined: nobody's. */
  readonly cors: { readonly origins: ReadonlySet<string> } | undefined
  /** Whether callers learn what was expected and what was got, or the code alone. */
  readonly errors: { readonly detail: 'full' | 'code' }
  readonly audit: {
    readonly sinks: readonly AuditSinkConfig[]
    readonly format: 'jagway' | 'ocsf'
    /** Of the sink `queue`. */
    readonly queue: AuditQueue | undefined
    /** Whether no token leaves before its event is accepted. */
    readonly required: boolean
  }
  /** Every counter of requests that must be bound, by its binding. */
  readonly rateLimits: ReadonlyMap<string, RateLimit>
  /** Documents about clients of ours whose ids are addresses of ours. */
  readonly clientDocuments: readonly ClientDocument[]
  /** The private keys that we authenticate with, each once. */
  readonly ownKeys: readonly OwnKeyName[]
  /** Every secret that must be present, sorted, each once. */
  readonly secretNames: readonly SecretName[]
  /** Every binding with a client certificate that must be present, likewise. */
  readonly certificateNames: readonly CertificateName[]
}

export interface ParseOptions {
  readonly fileName: string
  /** A local run: http to this machine is possible, and addresses of this machine are. */
  readonly local: boolean
}

/** What the Worker throws at its start; the message is the problems as a person reads them. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[]

  constructor(text: string, problems: readonly ConfigProblem[]) {
    super(`the configuration cannot be used\n\n${renderProblems(text, problems)}\n`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

export function parseConfig(text: string, options: ParseOptions): Result<Config, readonly ConfigProblem[]> {
  const { source, unreadable, problems } = readSource(text, options.fileName)
  if (unreadable.length > 0) return err(unreadable)
  const { draft, unknown, findings } = readShape(source.value)
  if (draft === undefined) return err(inOrder([...problems, ...findings.map((finding) => place(source, finding))]))
  const all: Finding[] = [...findings]
  const report = (finding: Finding): void => {
    const isJudged = !unknown.covers(finding.path) && finding.restsOn?.some((path) => unknown.touches(path)) !== true
    if (isJudged) all.push({ ...finding, path: unknown.toWritten(finding.path) })
  }
  const linker = { draft, local: options.local, report }
  const links = link(linker)
  const rules = linkRules(linker)
  const tests = linkTests(linker)
  const admin = linkAdmin(linker)
  const { settings, publicUrl } = draft
  const registrations = ownRegistrations(links)
  const ownAuths = registrations.map(({ auth }) => auth)
  const clientDocuments = linkDocuments(linker.report, publicUrl, registrations)
  const callerAuths = [...links.clients.values()].flatMap(({ auth }) => auth ?? [])
  const { http } = settings.audit
  const secrets = [
    ...settings.cache.sealing_keys,
    ...(http === undefined ? [] : [http.key]),
    ...[...ownAuths, ...callerAuths].flatMap(secretsOfAuth),
  ]
  const secretNames = [...new Set(secrets)].toSorted()
  const certificates = ownAuths.flatMap((auth) => ('certificate' in auth ? [auth.certificate] : []))
  const limited = [
    ...[...links.clients.values()].map(({ name, rateLimit }) => ({
      limit: rateLimit,
      path: ['clients', name, 'rate_limit'],
    })),
    ...rules.map(({ rate }, index) => ({ limit: rate, path: ['policy', 'rules', index, 'rate'] })),
  ]
  const rateLimits = linkLimits(linker, limited, secretNames)
  const sinks = linkSinks(linker, [...secretNames, ...certificates, ...rateLimits.keys()])
  const placed = [...problems, ...all.map((finding) => place(source, finding))]
  if (placed.length > 0) return err(inOrder(placed))
  const { cache, revocation, quota, cors, errors, audit } = settings
  return ok({
    publicUrl,
    ...links,
    rules,
    policyClaims: claimsAskedFor(rules),
    tests,
    cache: {
      maxTtlSeconds: cache.max_ttl,
      refreshBeforeSeconds: cache.refresh_before,
      sealingKeys: cache.sealing_keys,
    },
    revocation: { maxStalenessSeconds: revocation.max_staleness },
    quota: quota && { limit: quota.id_jags_per_user_resource_month, warnAt: quota.warn_at },
    admin,
    cors: cors && { origins: new Set(cors.origins) },
    errors,
    audit: {
      sinks,
      format: audit.format,
      queue: sinks.find((sink) => sink.kind === 'queue'),
      required: audit.required,
    },
    rateLimits,
    clientDocuments,
    ownKeys: [...new Map(ownAuths.flatMap(keysOfAuth).map((own) => [`${own.name} ${own.alg}`, own])).values()],
    secretNames,
    certificateNames: [...new Set(certificates)].toSorted(),
  })
}

/** What can be used but is hardly meant. For `jagway check`; the Worker does not ask. */
export function lintConfig(config: Config, text: string, fileName: string, nowMs: number): readonly ConfigProblem[] {
  return placeFindings(findWarnings(config, nowMs), text, fileName)
}

/** What a configuration that can be used needs and does not have, at the places where it says so. */
export function placeUnmet(unmet: readonly Unmet[], text: string, fileName: string): readonly ConfigProblem[] {
  const { source } = readSource(text, fileName)
  return inOrder(toUnmetFindings(source.value, unmet).map((finding) => place(source, finding)))
}

/** Findings of somebody else, with their places in the text. */
export function placeFindings(findings: readonly Finding[], text: string, fileName: string): readonly ConfigProblem[] {
  const { source } = readSource(text, fileName)
  return inOrder(findings.map((finding) => place(source, finding)))
}

/** Finds places in a JSON file, for whoever has something to say about them; also in one that is not a configuration of ours. */
export function createLocator(text: string): (path: ConfigPath, at?: 'key' | 'value') => Span {
  const { source } = readSource(text, '')
  return (path, at) => locate(source, { path, at })
}

/** Whether the file says by its `public_url` that it is for a local run. */
export function saysLocal(text: string): boolean {
  const { value } = readSource(text, '').source
  const publicUrl = isObject(value) ? value['public_url'] : undefined
  return typeof publicUrl === 'string' && isLoopbackHttp(publicUrl)
}

function inOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column)
}
