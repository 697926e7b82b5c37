// Warnings about a configuration that can be used but hardly means what it says. Pure: what was linked goes in.
import type { CallingClient, Idp, Resource, Rule } from '../model.ts'
import { ownRegistrations } from './link-auth.ts'
import { documentWarnings } from './link-documents.ts'
import { quote, type Finding } from './problem.ts'

/** As much of a configuration as is looked at. */
interface Linted {
  readonly publicUrl: string
  readonly idps: ReadonlyMap<string, Idp>
  readonly clients: ReadonlyMap<string, CallingClient>
  readonly resources: ReadonlyMap<string, Resource>
  readonly rules: readonly Rule[]
}

export function findWarnings(config: Linted): Finding[] {
  return [
    ...clientWarnings(config),
    ...resourceWarnings(config),
    ...ruleWarnings(config),
    ...documentWarnings(config.publicUrl, ownRegistrations(config)),
  ]
}

function clientWarnings({ idps, clients, rules }: Linted): Finding[] {
  const findings: Finding[] = []
  const edgeClients = new Set(
    [...idps.values()].flatMap((idp) => [...idp.clients.values()].map((own) => own.edgeClient)),
  )
  for (const { name, auth } of clients.values()) {
    const path = ['clients', name]
    if (!rules.some((rule) => rule.effect === 'allow' && covers(rule.clients, name))) {
      const message = `no rule allows the client ${quote(name)} anything`
      const help = 'what no rule allows is denied: name it in "who.clients" of an allow rule, or take it out'
      findings.push({ code: 'CFG201', path, at: 'key', message, help })
    }
    if (auth === undefined && !edgeClients.has(name)) {
      const message = `nobody can call as ${quote(name)}`
      const help = 'give it "auth", or make it the "edge_client" of a client of an identity provider'
      findings.push({ code: 'CFG201', path, at: 'key', message, help })
    }
    if (auth !== undefined && edgeClients.has(name)) {
      const message = `${quote(name)} authenticates at the token endpoint, but a proxied request becomes it without that`
      const help = 'rules cannot tell the two apart; an edge client of its own, without "auth", can be'
      findings.push({ code: 'CFG205', path, at: 'key', message, help })
    }
  }
  return findings
}

function resourceWarnings({ resources, rules }: Linted): Finding[] {
  return [...resources.keys()].flatMap((name) => {
    if (rules.some((rule) => rule.effect === 'allow' && covers(rule.resources, name))) return []
    const message = `no rule allows anything at the resource ${quote(name)}`
    const help = 'what no rule allows is denied: name it in "resources" of an allow rule'
    return [{ code: 'CFG202', path: ['resources', name], at: 'key', message, help }]
  })
}

function ruleWarnings({ idps, clients, rules }: Linted): Finding[] {
  const findings: Finding[] = []
  const knowsGroups = [...idps.values()].some((idp) => idp.claims.groups !== undefined)
  const callers = [...clients.values()].filter(({ auth }) => auth !== undefined)
  for (const [index, rule] of rules.entries()) {
    const path = ['policy', 'rules', index]
    if (rule.groups !== undefined && !knowsGroups) {
      const message = `${quote(rule.id)} can never match: no identity provider says which claim holds groups`
      const help = 'give one "claims": { "groups": "..." }'
      findings.push({ code: 'CFG204', path: [...path, 'who', 'groups'], at: 'key', message, help })
    }
    const bound = rule.methods !== undefined ? 'methods' : 'paths'
    const brokered = callers.filter(({ name }) => covers(rule.clients, name)).map(({ name }) => quote(name))
    if (rule.effect === 'allow' && rule[bound] !== undefined && brokered.length > 0) {
      const message =
        'a token handed out by the broker is limited by its scopes alone: methods and paths bind only proxied requests'
      const help = `${brokered.join(', ')} can use the token endpoint; give ${brokered.length === 1 ? 'it' : 'them'} a rule with narrower scopes`
      findings.push({ code: 'CFG203', path: [...path, bound], at: 'key', message, help })
    }
  }
  return findings
}

/** An absent condition holds for everything. */
function covers(names: readonly string[] | undefined, name: string): boolean {
  return names === undefined || names.includes(name)
}
