// What is done in the objects that fly: put together once per isolate, so that both kinds of work know of the same outages.
import type { Config } from '../config/config.ts'
import type { Identity } from '../identity/identity.ts'
import type { SubjectWork, TokenWork } from '../ports.ts'
import { createTools, type WorkPorts } from './hops.ts'
import { createSubjectWork } from './introduction-work.ts'
import type { KeyRing } from './key-ring.ts'
import { createTokenWork } from './sources.ts'

export type { WorkPorts }

export function createWork(
  config: Config,
  ports: WorkPorts,
  ring: KeyRing,
  identity: Pick<Identity, 'readIdJag'>,
): { readonly token: TokenWork; readonly subject: SubjectWork } {
  const tools = createTools(config, ports, ring)
  return { token: createTokenWork(tools), subject: createSubjectWork(tools, identity) }
}
