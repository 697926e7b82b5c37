// Who may look at connections and cut them. Presence is enablement: without a way to say who one is, there is no
// administration.
import type { AdminAccess, RightHolders } from '../model.ts'
import { linkUser } from './link-rules.ts'
import { checkReach, type Linker } from './linker.ts'
import type { ConfigPath } from './problem.ts'

interface AdminsEntry {
  readonly users?: readonly string[]
  readonly groups?: readonly string[]
}

export function linkAdmin(linker: Linker): AdminAccess | undefined {
  const entry = linker.draft.settings?.admin
  if (entry === undefined) return undefined
  const { access, id_token: idToken } = entry
  if (access === undefined && idToken === undefined) {
    linker.report({
      code: 'CFG103',
      path: ['admin'],
      at: 'key',
      message: 'the key "access" or the key "id_token" is missing here',
    })
  }
  if (access !== undefined) checkReach(linker, access.team_domain, ['admin', 'access', 'team_domain'])
  return {
    access: access && {
      teamDomain: access.team_domain,
      audience: access.audience,
      view: new Set(access.view),
      revoke: new Set(access.revoke),
    },
    idToken: idToken && {
      view: linkHolders(linker, idToken.view, ['admin', 'id_token', 'view']),
      revoke: linkHolders(linker, idToken.revoke, ['admin', 'id_token', 'revoke']),
    },
  }
}

function linkHolders(linker: Linker, entry: AdminsEntry, path: ConfigPath): RightHolders {
  return {
    users: (entry.users ?? []).map((user, index) => linkUser(linker, user, 'allow', [...path, 'users', index])),
    groups: entry.groups ?? [],
  }
}
