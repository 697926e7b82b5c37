// Warnings about a configuration that can be used but hardly means what it says. Pure: what was linked goes in.
import type { AdminAccess } from '../administrator.ts'
import type { CallingClient, Idp, Resource, Rule } from '../parties.ts'
import { ownRegistrations } from './link-auth.ts'
import { documentWarnings } from './link-documents.ts'
import { ruleWarnings } from './lint-rules.ts'
import { quote, type Finding } from './problem.ts'

/** As much of a configuration as is looked at. */
export interface Linted {
  readonly publicUrl: string
  readonly idps: ReadonlyMap<string, Idp>
  readonly clients: ReadonlyMap<string, CallingClient>
  readonly resources: ReadonlyMap<string, Resource>
  readonly rules: readonly Rule[]
  readonly admin: AdminAccess | undefined
}

export function findWarnings(config: Linted, nowMs: number): Finding[] {
  // What is over does nothing any more.
  const live = { ...config, rules: config.rules.filter(({ until }) => until === undefined || until > nowMs) }
  return [
    ...clientWarnings(live),
    ...resourceWarnings(live),
    ...scopeWarnings(live),
    ...ruleWarnings(config, nowMs),
    ...adminWarnings(config),
    ...documentWarnings(config.publicUrl, ownRegistrations(config)),
  ]
}

function clientWarnings({ idps, clients, rules }: Linted): Finding[] {
  const findings: Finding[] = []
  const edgeClients = new Set([...idps.values()].flatMap((idp) => edgeClientsOf(idp)))
  for (const client of clients.values()) {
    const { name, auth } = client
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
    findings.push(...ambiguities(client, idps))
  }
  return findings
}

/** An ID token says whose it is; of the others nobody here can tell, so they need one place to go. */
function ambiguities({ name, subjectTokens, subjectKinds }: CallingClient, idps: Linted['idps']): Finding[] {
  const own = [...idps.values()].flatMap((idp) => [...idp.clients.values()]).filter(({ ref }) => subjectTokens.has(ref))
  return (['refresh_token', 'saml2'] as const).flatMap((kind) => {
    const takers = own.filter(({ quirks }) => quirks.subjectTokens.has(kind)).map(({ ref }) => quote(ref))
    if (!subjectKinds.has(kind) || takers.length < 2) return []
    const message = `subject tokens of the kind ${quote(kind)} are refused: ${takers.join(' and ')} take them`
    const help = 'list one of them alone, or take the kind out of "subject_token_types" of the others'
    return [{ code: 'CFG212', path: ['clients', name, 'subject_tokens'], at: 'key', message, help }]
  })
}

function resourceWarnings({ resources, rules }: Linted): Finding[] {
  return [...resources.keys()].flatMap((name) => {
    if (rules.some((rule) => rule.effect === 'allow' && covers(rule.resources, name))) return []
    const message = `no rule allows anything at the resource ${quote(name)}`
    const help = 'what no rule allows is denied: name it in "resources" of an allow rule'
    return [{ code: 'CFG202', path: ['resources', name], at: 'key', message, help }]
  })
}

/** What no rule gives, nobody gets, whatever the authorization server would grant. */
function scopeWarnings({ resources, rules }: Linted): Finding[] {
  const allowing = rules.filter(({ effect }) => effect === 'allow')
  return [...resources.values()].flatMap(({ name, scopes, detailTypes }) => {
    const own = allowing.filter((rule) => covers(rule.resources, name))
    // Then no rule speaks of it at all, which is said already.
    if (own.length === 0) return []
    const never = (key: string, words: readonly string[], given: (rule: Rule, word: string) => boolean): Finding[] =>
      words.flatMap((word, index) => {
        if (own.some((rule) => given(rule, word))) return []
        const message = `no rule ever grants ${quote(word)}`
        const help = `name it in "${key}" of an allow rule, or take it out`
        return [{ code: 'CFG207', path: ['resources', name, key, index], message, help }]
      })
    return [
      ...never('scopes', scopes, (rule, scope) => rule.scopes?.some((one) => one === scope) ?? true),
      ...never('authorization_details_types', detailTypes, (rule, type) => rule.detailTypes?.includes(type) ?? false),
    ]
  })
}

/** Whoever steals an ID token of one page should not find the administration behind it. */
function adminWarnings({ idps, admin }: Linted): Finding[] {
  const edgeClients = new Set([...idps.values()].flatMap((idp) => edgeClientsOf(idp)))
  if (admin?.idToken === undefined || admin.idToken.clients !== undefined || edgeClients.size < 2) return []
  const message = 'the ID token of an administrator opens the administration through every client'
  const help = `list in "clients" those that administrators use; there are ${[...edgeClients].map(quote).join(', ')}`
  return [{ code: 'CFG210', path: ['admin', 'id_token'], at: 'key', message, help }]
}

function edgeClientsOf({ clients }: Idp): string[] {
  return [...clients.values()].flatMap(({ edgeClient }) => (edgeClient === undefined ? [] : [edgeClient]))
}

/** An absent condition holds for everything. */
function covers(names: readonly string[] | undefined, name: string): boolean {
  return names === undefined || names.includes(name)
}
