// Registered names which the servers of the local world speak. They do not share the gateway's own list on purpose: a
// misspelt name there must meet a correct one here.

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
export const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag'
export const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'
export const REFRESH_TOKEN = 'urn:ietf:params:oauth:token-type:refresh_token'
export const ID_JAG_PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag'
export const ID_JAG_TYP = 'oauth-id-jag+jwt'
