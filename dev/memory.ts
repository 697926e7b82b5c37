// Where the oidc-provider servers of the local world keep sessions and codes: its own store in memory. Under a name of
// ours it does not warn that it is the default, which is meant for production.

import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js'

export class Memory extends MemoryAdapter {}
