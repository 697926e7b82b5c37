// Policy rules with their names resolved. A rule that names something that does not exist would silently not apply; for a
// deny rule that is an open door.
import { isMethod, UNFORWARDED_METHODS } from '../lib/http-methods.ts'
import type { Rule, UserMatch } from '../parties.ts'
import { checkClient, checkResource, type Linker } from './linker.ts'
import { didYouMean, quote, type ConfigPath } from './problem.ts'
import type { RuleEntry } from './schema.ts'

export function linkRules(linker: Linker): Rule[] {
  const seen = new Set<string>()
  return linker.draft.rules.map((entry, index) => {
    const path = ['policy', 'rules', index]
    if (seen.has(entry.id)) {
      linker.report({ code: 'CFG109', path: [...path, 'id'], message: `two rules with the id ${quote(entry.id)}` })
    }
    seen.add(entry.id)
    return linkRule(linker, entry, path)
  })
}

function linkRule(linker: Linker, entry: RuleEntry, path: ConfigPath): Rule {
  const { groups, clients, tenants, claims, acr, amr, max_auth_age: maxAuthAgeSeconds } = entry.who
  clients?.forEach((name, index) => checkClient(linker, name, [...path, 'who', 'clients', index]))
  entry.resources?.forEach((name, index) => checkResource(linker, name, [...path, 'resources', index]))
  checkOwned(linker, entry, SCOPES, path)
  checkOwned(linker, entry, DETAIL_TYPES, path)
  entry.methods?.forEach((method, index) => checkMethod(linker, method, [...path, 'methods', index]))
  entry.paths?.forEach((pattern, index) => {
    const fault = patternFault(pattern)
    if (fault === undefined) return
    const help =
      '"/v1/*" is everything below /v1, "/v1/*/notes" has any one segment in the middle, "/v1/**" includes /v1 itself'
    linker.report({ code: 'CFG104', path: [...path, 'paths', index], message: fault, help })
  })
  if (entry.effect !== 'allow' && maxAuthAgeSeconds !== undefined) {
    const message = `a rule that denies would deny the logins that are new enough, and pass the old ones`
    const help = 'put "max_auth_age" into the rules that allow'
    linker.report({ code: 'CFG112', path: [...path, 'who', 'max_auth_age'], at: 'key', message, help })
  }
  if (entry.effect !== 'allow' && entry.rate !== undefined) {
    const message = 'a rule that denies lets nothing pass that could be counted'
    const help = 'put "rate" into the rules that allow'
    linker.report({ code: 'CFG112', path: [...path, 'rate'], at: 'key', message, help })
  }
  const usersPath = [...path, 'who', 'users']
  const users = entry.who.users?.map((user, index) => linkUser(linker, user, entry.effect, [...usersPath, index]))
  if (entry.effect === 'allow' && tenants === undefined) checkTenants(linker, users ?? [], usersPath, '"who"')
  return {
    id: entry.id,
    effect: entry.effect,
    users,
    groups,
    clients,
    tenants,
    claims: claims && new Map(Object.entries(claims)),
    acr,
    amr,
    maxAuthAgeSeconds,
    until: entry.until,
    resources: entry.resources,
    scopes: entry.scopes,
    detailTypes: entry.authorization_details_types,
    methods: entry.methods,
    paths: entry.paths,
    rate: entry.rate,
  }
}

/** The claims that rules look at, each once. */
export function claimsAskedFor(rules: readonly Rule[]): ReadonlySet<string> {
  return new Set(
    rules.flatMap(({ claims, acr, amr }) => [
      ...(claims?.keys() ?? []),
      ...(acr === undefined ? [] : ['acr']),
      ...(amr === undefined ? [] : ['amr']),
    ]),
  )
}

/** `idp/sub`, or `sub` where it cannot mean somebody else (T13). */
export function linkUser({ draft, report }: Linker, user: string, effect: Rule['effect'], path: ConfigPath): UserMatch {
  const slash = user.indexOf('/')
  if (slash === -1) {
    if (effect === 'allow' && draft.idps.size > 1) {
      const message = `${quote(user)} may be somebody else at each identity provider`
      const help = `say which: ${[...draft.idps.keys()].map((name) => quote(`${name}/${user}`)).join(' or ')}`
      report({ code: 'CFG108', path, message, help })
    }
    return { idp: undefined, subject: user }
  }
  const idp = user.slice(0, slash)
  const subject = user.slice(slash + 1)
  if (!draft.idps.has(idp)) {
    const help =
      didYouMean(idp, draft.idps.keys()) ??
      'a subject with a slash in it is written after its identity provider: "idp/sub/ject"'
    const message = `there is no identity provider ${quote(idp)}`
    report({ code: 'CFG108', path, message, help, restsOn: [['idps', idp]] })
  }
  if (subject === '') report({ code: 'CFG108', path, message: 'the subject is missing after the slash' })
  return { idp, subject }
}

/** Each tenant may have somebody of that name: whoever opens something to one says of which tenant (T13). */
export function checkTenants(
  { draft, report }: Linker,
  named: readonly { readonly idp: string | undefined }[],
  path: ConfigPath,
  place: string,
): void {
  for (const [index, { idp = draft.idps.keys().next().value ?? '' }] of named.entries()) {
    const entry = draft.idps.get(idp)
    if (entry?.claims.tenant === undefined || entry.tenants?.length === 1) continue
    const message = `each tenant of ${quote(idp)} may have one of that name`
    const help = `say of which tenant, with "tenants" in ${place}, or list the only one in idps.${idp}.tenants`
    report({ code: 'CFG108', path: [...path, index], message, help, restsOn: [['idps', idp]] })
  }
}

/** Something that a resource has and a rule names. */
interface Owned {
  readonly word: string
  readonly key: 'scopes' | 'authorization_details_types'
}

const SCOPES: Owned = { word: 'scope', key: 'scopes' }
const DETAIL_TYPES: Owned = { word: 'type', key: 'authorization_details_types' }

function checkOwned({ draft, report }: Linker, entry: RuleEntry, { word, key }: Owned, rulePath: ConfigPath): void {
  const names = (entry.resources ?? [...draft.resources.keys()]).filter((name) => draft.resources.has(name))
  if (names.length === 0) return
  const known = new Set<string>(names.flatMap((name) => draft.resources.get(name)?.[key] ?? []))
  const restsOn = [[...rulePath, 'resources'], ...names.map((name) => ['resources', name, key])]
  entry[key]?.forEach((named: string, index) => {
    if (known.has(named)) return
    const whose = entry.resources === undefined ? 'no resource has' : `${names.map(quote).join(', ')} has not`
    const message = `${whose} the ${word} ${quote(named)}`
    report({ code: 'CFG108', path: [...rulePath, key, index], message, help: didYouMean(named, known), restsOn })
  })
}

function checkMethod({ report }: Linker, method: string, path: ConfigPath): void {
  if (isMethod(method) && !UNFORWARDED_METHODS.has(method)) return
  const upper = method.toUpperCase()
  const help =
    upper !== method && isMethod(upper) ? `methods are case-sensitive: did you mean ${quote(upper)}?` : undefined
  report({ code: 'CFG104', path, message: `${quote(method)} is not a method that can be allowed or denied`, help })
}

/** Patterns are compared with the decoded path, so they are written decoded and never need an escape. */
function patternFault(pattern: string): string | undefined {
  if (!pattern.startsWith('/')) return 'a path pattern begins with a slash'
  if (/[%?#\\;]/.test(pattern)) return 'a path pattern has no query, no escapes and none of ? # % ; \\'
  const segments = pattern.slice(1).split('/')
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1
    if (segment === '' && !isLast) return 'a path pattern has no empty segment'
    if (segment === '.' || segment === '..') return 'a path pattern has no "." or ".." segment'
    if (segment === '**' && !isLast) return '"**" can only stand at the end'
    if (segment.includes('*') && segment !== '*' && segment !== '**') return 'a star is a segment of its own'
  }
  return undefined
}
