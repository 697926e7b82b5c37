// The questions that two configurations are compared by: whoever and whatever the rules and policy tests of either mention, in
// every combination, and somebody and something that none of them mentions.

import type { Config, Situation } from '../config/config.ts'
import type { Action } from '../model.ts'
import type { Rule, ScopeToken } from '../parties.ts'

export interface Cell {
  readonly as: Situation
  readonly resource: string
  readonly action: Action
}

export interface Matrix {
  /** How many combinations there are. */
  readonly size: number
  /** All of them; or where there are too many, as many as allowed, evenly spread and always the same. */
  cells(limit: number): Generator<Cell>
}

type Login = Pick<Situation, 'acr' | 'amr' | 'authAgeSeconds'>

const STRANGER = 'somebody-else'
const ELSEWHERE = '/somewhere-else'
/** A prime: a sample that takes one in so many has something of everything. */
const STRIDE = 7_919

export function createMatrix(configs: readonly Config[]): Matrix {
  const rules = configs.flatMap((config) => config.rules)
  const tests = configs.flatMap((config) => config.tests)
  const clients = unique(configs.flatMap((config) => [...config.clients.keys()]))
  const mentioned = situationsOf(configs, rules)
  const whole = tests.map(({ as }) => as)
  const requests = unique(configs.flatMap((config) => [...config.resources.keys()])).flatMap((resource) =>
    actionsOn(resource, configs, rules, tests).map((action) => ({ resource, action })),
  )
  const people = mentioned.length * clients.length + whole.length
  const size = people * requests.length

  function cellAt(index: number): Cell | undefined {
    const request = requests[index % requests.length]
    const person = Math.floor(index / requests.length)
    const test = whole[person - mentioned.length * clients.length]
    const somebody = mentioned[Math.floor(person / clients.length)]
    const client = clients[person % clients.length]
    const as = test ?? (somebody === undefined || client === undefined ? undefined : { ...somebody, client })
    return as === undefined || request === undefined ? undefined : { as, ...request }
  }

  return {
    size,
    *cells(limit) {
      const stride = size <= limit ? 1 : STRIDE + Number(size % STRIDE === 0)
      for (let count = 0, index = 0; count < Math.min(size, limit); count++, index = (index + stride) % size) {
        const cell = cellAt(index)
        if (cell !== undefined) yield cell
      }
    },
  }
}

/** Everybody, but for the client they come through. */
function situationsOf(configs: readonly Config[], rules: readonly Rule[]): readonly Omit<Situation, 'client'>[] {
  const idps = unique(configs.flatMap((config) => [...config.idps.keys()]))
  const users = idps.flatMap((idp) => {
    const named = rules.flatMap((rule) => rule.users ?? []).filter((user) => (user.idp ?? idp) === idp)
    return unique([STRANGER, ...named.map(({ subject }) => subject)]).map((user) => ({ idp, user }))
  })
  const groups = unique(rules.flatMap((rule) => rule.groups ?? []))
  // Two groups at once: what one allows and the other denies.
  const pairs = groups.flatMap((one, index) => groups.slice(index + 1).map((other) => [one, other]))
  const memberships = [[], ...groups.map((group) => [group]), ...pairs]
  const tenants = [undefined, ...unique(rules.flatMap((rule) => rule.tenants ?? []))]
  const claims = [{}, ...rules.flatMap(({ claims: wanted }) => (wanted === undefined ? [] : [firstOf(wanted)]))]
  const logins = uniqueBy([NO_LOGIN, ...rules.map(loginFor)])
  return users.flatMap((user) =>
    memberships.flatMap((membership) =>
      tenants.flatMap((tenant) =>
        uniqueBy(claims).flatMap((claim) =>
          logins.map((login) => ({ ...user, groups: membership, tenant, claims: claim, ...login })),
        ),
      ),
    ),
  )
}

const NO_LOGIN: Login = { acr: undefined, amr: undefined, authAgeSeconds: undefined }

/** A login that does for the rule. */
function loginFor({ acr, amr, maxAuthAgeSeconds }: Rule): Login {
  return { acr: acr?.[0], amr: amr?.slice(0, 1), authAgeSeconds: maxAuthAgeSeconds === undefined ? undefined : 0 }
}

function firstOf(claims: NonNullable<Rule['claims']>): Readonly<Record<string, unknown>> {
  return Object.fromEntries([...claims].map(([name, [value]]) => [name, value]))
}

function actionsOn(
  resource: string,
  configs: readonly Config[],
  rules: readonly Rule[],
  tests: Config['tests'],
): readonly Action[] {
  const own = rules.filter((rule) => rule.resources?.includes(resource) ?? true)
  const asked = tests.filter((test) => test.resource === resource).map(({ action }) => action)
  const methods = unique(['GET', 'POST', ...own.flatMap((rule) => rule.methods ?? [])])
  const paths = unique([ELSEWHERE, ...own.flatMap((rule) => (rule.paths ?? []).flatMap(examplesOf))])
  const entries = configs.flatMap((config) => config.resources.get(resource) ?? [])
  const scopes = unique(entries.flatMap((entry) => entry.scopes))
  const types = unique(entries.flatMap((entry) => entry.detailTypes))
  const token = (wanted?: readonly ScopeToken[], detailTypes?: readonly string[]): Action => ({
    kind: 'token',
    scopes: wanted,
    details: detailTypes && { json: '', types: detailTypes },
  })
  return uniqueBy([
    ...asked,
    ...methods.flatMap((method) => paths.map((path): Action => ({ kind: 'http', method, path }))),
    token(),
    ...scopes.map((scope) => token([scope])),
    ...types.map((type) => token(undefined, [type])),
  ])
}

/** Paths that a pattern matches, and the one above them. */
function examplesOf(pattern: string): readonly string[] {
  const base = pattern.replace(/\/\*\*?$/, '')
  const one = pattern.replaceAll(/\*\*?/g, 'x')
  return base === pattern ? [one] : [one, base === '' ? '/' : base.replaceAll('*', 'x')]
}

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)]
}

function uniqueBy<T>(values: readonly T[]): T[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()]
}
