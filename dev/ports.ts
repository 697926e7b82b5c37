// Where the local world stands when nobody says otherwise; `jagway.dev.jsonc` names the same ports.

export type WorldPorts = { readonly idp: number; readonly tasks: number; readonly notes: number }

export const GATEWAY_PORT = 8787
export const WORLD_PORTS: WorldPorts = { idp: 8788, tasks: 8789, notes: 8790 }
export const DEV_CONFIG = new URL('jagway.dev.jsonc', import.meta.url)
