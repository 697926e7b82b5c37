// Who may look at connections and cut them. Presence is enablement: without a way to say who one is, there is no
// administration.
import type { AdminAccess, RightHolders } from '../administrator.ts'
import { checkTenants, linkUser } from './link-rules.ts'
import { checkClient, checkReach, type Linker } from './linker.ts'
import { quote, type ConfigPath } from './problem.ts'

interface AdminsEntry {
  readonly users?: readonly string[]
  readonly groups?: readonly string[]
}

export function linkAdmin(linker: Linker): AdminAccess | undefined {
  const entry = linker.draft.settings.admin
  if (entry === undefined) return undefined
  const { access, id_token: idToken } = entry
  if (access === undefined && idToken === undefined) {
    linker.report({
      code: 'CFG103',
      path: ['admin'],
      at: 'key',
      message: 'the key "access" or the key "id_token" is missing here',
      restsOn: [
        ['admin', 'access'],
        ['admin', 'id_token'],
      ],
    })
  }
  idToken?.clients?.forEach((name, index) => checkClient(linker, name, ['admin', 'id_token', 'clients', index]))
  if (access !== undefined) checkReach(linker, access.team_domain, ['admin', 'access', 'team_domain'])
  return {
    access: access && {
      teamDomain: access.team_domain,
      audience: access.audience,
      view: new Set(access.view),
      revoke: new Set(access.revoke),
    },
    idToken: idToken && {
      clients: idToken.clients && new Set(idToken.clients),
      tenants: idToken.tenants && new Set(idToken.tenants),
      view: linkHolders(linker, idToken, 'view'),
      revoke: linkHolders(linker, idToken, 'revoke'),
    },
    decisionsKept: entry.decisions_kept,
  }
}

interface IdTokenEntry {
  readonly tenants?: readonly string[]
  readonly view: AdminsEntry
  readonly revoke: AdminsEntry
}

function linkHolders(linker: Linker, entry: IdTokenEntry, right: 'view' | 'revoke'): RightHolders {
  const path = ['admin', 'id_token', right]
  const { users = [], groups = [] } = entry[right]
  const holders = {
    users: users.map((user, index) => linkUser(linker, user, 'allow', [...path, 'users', index])),
    groups: groups.map((group, index) => linkGroup(linker, group, [...path, 'groups', index])),
  }
  if (entry.tenants === undefined)
    for (const kind of ['users', 'groups'] as const)
      checkTenants(linker, holders[kind], [...path, kind], 'admin.id_token')
  return holders
}

/** A group's name alone is enough with one identity provider; with several it is written after the one that vouches for it. */
function linkGroup(
  { draft, report }: Linker,
  group: string,
  path: ConfigPath,
): { readonly idp: string | undefined; readonly name: string } {
  if (draft.idps.size <= 1) return { idp: undefined, name: group }
  const idp = [...draft.idps.keys()].find((name) => group.startsWith(`${name}/`))
  if (idp !== undefined) return { idp, name: group.slice(idp.length + 1) }
  const message = `each identity provider may have a group ${quote(group)}`
  const help = `say whose: ${[...draft.idps.keys()].map((name) => quote(`${name}/${group}`)).join(' or ')}`
  report({ code: 'CFG108', path, message, help })
  return { idp: undefined, name: group }
}
