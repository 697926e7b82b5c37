// Warnings about single rules: those that can never be about anything, those that another makes superfluous, and those that
// are over, or soon will be.
import type { CallingClient, Idp, Resource, Rule, UserMatch } from '../parties.ts'
import { quote, type ConfigPath, type Finding } from './problem.ts'

interface Linted {
  readonly idps: ReadonlyMap<string, Idp>
  readonly clients: ReadonlyMap<string, CallingClient>
  readonly resources: ReadonlyMap<string, Resource>
  readonly rules: readonly Rule[]
}

const DAY_MS = 86_400_000
/** Long enough to ask whoever needs it, and to deploy. */
const SOON_DAYS = 30

export function ruleWarnings(config: Linted, nowMs: number): Finding[] {
  return config.rules.flatMap((rule, index) => {
    const path = ['policy', 'rules', index]
    const over = endWarning(rule, path, nowMs)
    if (over?.code === 'CFG208') return [over]
    const never = neverWarning(rule, path, config)
    return [
      over,
      never,
      proxyWarning(rule, path, config),
      never === undefined ? coverWarning(rule, index, config, nowMs) : undefined,
    ].filter((finding) => finding !== undefined)
  })
}

function endWarning({ id, until }: Rule, path: ConfigPath, nowMs: number): Finding | undefined {
  if (until === undefined) return undefined
  const at = 'value'
  if (until <= nowMs) {
    const message = `${quote(id)} is over: it is as if it were not there`
    return { code: 'CFG208', path: [...path, 'until'], at, message, help: 'take it out, or give it another end' }
  }
  const days = Math.ceil((until - nowMs) / DAY_MS)
  if (days > SOON_DAYS) return undefined
  const message = `${quote(id)} is over in ${days} ${days === 1 ? 'day' : 'days'}`
  return { code: 'CFG209', path: [...path, 'until'], at, message }
}

function neverWarning(rule: Rule, path: ConfigPath, { idps, clients }: Linted): Finding | undefined {
  const all = [...idps.values()]
  const never = (what: string, why: string, help: string): Finding => {
    const message = `${quote(rule.id)} can never match: ${why}`
    return { code: 'CFG204', path: [...path, 'who', what], at: 'key', message, help }
  }
  if (rule.groups !== undefined && all.every(({ claims }) => claims.groups === undefined)) {
    return never(
      'groups',
      'no identity provider says which claim holds groups',
      'give one "claims": { "groups": "..." }',
    )
  }
  if (rule.tenants?.some((tenant) => all.some((idp) => isServed(idp, tenant))) === false) {
    const help = 'an identity provider names its claim in "claims": { "tenant": "..." }, and may list "tenants"'
    return never('tenants', 'no identity provider serves any of these tenants', help)
  }
  const callers = [...clients.values()].filter(({ name }) => includes(rule.clients, name))
  const reached = new Set(callers.flatMap(({ subjectTokens }) => [...subjectTokens].map((ref) => ref.split('/')[0])))
  if (rule.users?.some(({ idp }) => idp === undefined || reached.has(idp)) === false) {
    const help = 'compare with "subject_tokens" of these clients'
    return never('users', 'its clients present no ID tokens of the identity providers of its users', help)
  }
  return undefined
}

function isServed({ claims, tenants }: Idp, tenant: string): boolean {
  return claims.tenant !== undefined && (tenants?.has(tenant) ?? true)
}

function proxyWarning(rule: Rule, path: ConfigPath, { clients }: Linted): Finding | undefined {
  const bound = rule.methods !== undefined ? 'methods' : 'paths'
  if (rule.effect !== 'allow' || rule[bound] === undefined) return undefined
  const brokered = [...clients.values()].filter(({ auth, name }) => auth !== undefined && includes(rule.clients, name))
  if (brokered.length === 0) return undefined
  const message =
    'a token handed out by the broker is limited by its scopes alone: methods and paths bind only proxied requests'
  const names = brokered.map(({ name }) => quote(name)).join(', ')
  const help = `${names} can use the token endpoint; give ${brokered.length === 1 ? 'it' : 'them'} a rule with narrower scopes`
  return { code: 'CFG203', path: [...path, bound], at: 'key', message, help }
}

/** A rule that makes no difference because another is always about the same, and more. Of two equals the second is told. */
function coverWarning(rule: Rule, index: number, config: Linted, nowMs: number): Finding | undefined {
  const live = config.rules.filter(({ until }) => until === undefined || until > nowMs)
  for (const other of live) {
    if (other === rule || !isCovered(rule, other, config)) continue
    const isBehind = config.rules.indexOf(other) > index
    if (isBehind && (isCovered(other, rule, config) || isCountedOtherwise(rule, other))) continue
    const message = `${quote(rule.id)} makes no difference: ${quote(other.id)} ${RELATION[other.effect]} all that it is about`
    return { code: 'CFG211', path: ['policy', 'rules', index, 'id'], message }
  }
  return undefined
}

/** Of several rules that allow, the rate of the first counts, or that it has none. */
function isCountedOtherwise({ rate }: Rule, { effect, rate: other }: Rule): boolean {
  return effect === 'allow' && (rate !== undefined || other !== undefined)
}

const RELATION = { allow: 'allows', deny: 'denies', 'shadow-deny': 'watches' } as const

function isCovered(narrow: Rule, wide: Rule, config: Linted): boolean {
  return hasEffectOf(narrow, wide, config) && isWithin(narrow, wide, config)
}

/** Whether nothing of what the narrow one does is left where the wide one is about the same. */
function hasEffectOf(narrow: Rule, wide: Rule, { resources }: Linted): boolean {
  const all = [...resources.values()].filter(({ name }) => includes(narrow.resources, name))
  const scopes = narrow.scopes ?? all.flatMap((resource) => resource.scopes)
  const isTotal = wide.scopes === undefined && wide.detailTypes === undefined
  switch (wide.effect) {
    case 'deny':
      if (isTotal) return true
      if (narrow.effect === 'allow')
        return narrow.detailTypes === undefined && isSubset(scopes, wide.scopes) && scopes.length > 0
      // Of rules that deny, one without scopes and types denies everything.
      if (narrow.scopes === undefined && narrow.detailTypes === undefined) return false
      return (
        isSubset(narrow.scopes ?? [], wide.scopes ?? []) && isSubset(narrow.detailTypes ?? [], wide.detailTypes ?? [])
      )
    case 'allow':
      return (
        narrow.effect === 'allow' &&
        (wide.scopes === undefined || (narrow.scopes !== undefined && isSubset(narrow.scopes, wide.scopes))) &&
        isSubset(narrow.detailTypes ?? [], wide.detailTypes ?? [])
      )
    case 'shadow-deny':
      return (
        narrow.effect === 'shadow-deny' &&
        (isTotal || (narrow.scopes !== undefined && isSubset(narrow.scopes, wide.scopes)))
      )
  }
}

/** Whether every question that the narrow one is about is one that the wide one is about. */
function isWithin(narrow: Rule, wide: Rule, { clients, resources }: Linted): boolean {
  return (
    isSubset(narrow.resources ?? [...resources.keys()], wide.resources) &&
    isSubset(narrow.clients ?? [...clients.keys()], wide.clients) &&
    implies(narrow.groups, wide.groups) &&
    implies(narrow.tenants, wide.tenants) &&
    implies(narrow.acr, wide.acr) &&
    implies(narrow.amr, wide.amr) &&
    implies(narrow.methods, wide.methods) &&
    (wide.users === undefined || (narrow.users?.every((user) => isAmong(user, wide.users ?? [])) ?? false)) &&
    [...(wide.claims ?? [])].every(([name, values]) => implies(narrow.claims?.get(name), values)) &&
    (wide.paths === undefined ||
      (narrow.paths?.every((path) => wide.paths?.some((other) => isBeneath(path, other))) ?? false)) &&
    (narrow.maxAuthAgeSeconds ?? Infinity) <= (wide.maxAuthAgeSeconds ?? Infinity) &&
    (narrow.until ?? Infinity) <= (wide.until ?? Infinity)
  )
}

function includes(names: readonly string[] | undefined, name: string): boolean {
  return names === undefined || names.includes(name)
}

function isSubset<T>(part: readonly T[], whole: readonly T[] | undefined): boolean {
  return whole === undefined || part.every((one) => whole.includes(one))
}

/** A condition that is absent holds for everything. */
function implies<T>(narrow: readonly T[] | undefined, wide: readonly T[] | undefined): boolean {
  return wide === undefined || (narrow !== undefined && isSubset(narrow, wide))
}

function isAmong({ idp, subject }: UserMatch, users: readonly UserMatch[]): boolean {
  return users.some((user) => user.subject === subject && (user.idp === undefined || user.idp === idp))
}

/** Whether one pattern of paths matches nothing but what the other does; where it is hard to tell, not. */
export function isBeneath(pattern: string, wide: string): boolean {
  if (pattern === wide) return true
  const narrow = pattern.replace(/\/$/, '')
  const base = /^(.*)\/\*\*?$/.exec(wide)?.[1]
  if (base === undefined) return false
  const isBase = narrow === base || narrow === `${base}/**`
  return narrow.startsWith(`${base}/`) ? !isBase || wide.endsWith('/**') : isBase && wide.endsWith('/**')
}
