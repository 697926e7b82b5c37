// Replaced at build time, so that code for the local world is absent from a production bundle and not merely switched off.

/** True only in the bundle `jagway dev` and the tests run; `wrangler deploy` replaces it by false (wrangler.toml, [define]). */
declare const JAGWAY_LOCAL: boolean
