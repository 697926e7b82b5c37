// The local world: an identity provider and two SaaS with authorization servers of their own, all on 127.0.0.1. The
// gateway itself is not in it: it is started beside it and sees these servers as it would see real ones.

import { readFile } from 'node:fs/promises'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { localCertificate } from './certificate.ts'
import { startIdp, type Idp } from './idp.ts'
import { signIn, type LoginClient, type SignIn } from './sign-in.ts'
import { NOTES_SCOPES, startNotes, type Notes } from './notes.ts'
import { DEV_CONFIG, GATEWAY_PORT, WORLD_PORTS, type WorldPorts } from './ports.ts'
import { freePort } from './server.ts'
import { startTasks, type Tasks } from './tasks.ts'
import { TASKS_SCOPES, type AccessTokenFormat } from './tasks-as.ts'
import { Traffic } from './traffic.ts'
import { users, type User } from './users.ts'

export type ClientName = 'gateway' | 'assistant'

export type World = {
  readonly idp: Idp
  readonly tasks: Tasks
  readonly notes: Notes
  readonly users: readonly User[]
  /** PEM of the certificate authority of the identity provider, for NODE_EXTRA_CA_CERTS elsewhere. */
  readonly certificate: string
  /** What the servers received, and the way to make them fail. */
  readonly traffic: Traffic
  /** The private key with which the `assistant` agent authenticates itself: at the IdP's login and at the gateway. */
  readonly assistantKey: JWK
  /** What a program needs to sign users in: how each client authenticates. */
  readonly loginClients: Readonly<Record<ClientName, LoginClient>>
  /** The real authorization-code login with PKCE, over HTTP and without a browser. Gives the ID token. */
  readonly login: (user: string, client?: ClientName) => Promise<string>
  /** The same, with the refresh token, which is good once: a use of it brings the next. */
  readonly signIn: (user: string, client?: ClientName) => Promise<SignIn>
  /** The gateway's configuration for this world; `text` of another file may be given. */
  readonly config: (publicUrl?: string, text?: string) => string
  /** Values of the secrets which that configuration names. */
  readonly secrets: () => Record<string, string>
  readonly close: () => Promise<void>
}

// Fixed, so that the commands in the documentation can be copied. They open nothing but these loopback servers.
const SECRETS = {
  GATEWAY_IDP_SECRET: 'dev-gateway-at-idp',
  SUPPORT_BOT_SECRET: 'dev-support-bot',
  TASKS_CLIENT_SECRET: 'dev-gateway-at-tasks',
  NOTES_CLIENT_SECRET: 'dev-gateway-at-notes',
}
const TASKS_CLIENT_ID = 'acme-gateway'
const NOTES_CLIENT_ID = 'acme-gateway-notes'

/** Without ports every server takes a free one, so that worlds can live side by side. */
export async function startWorld(
  options: {
    readonly ports?: WorldPorts
    /** How long the access tokens of both SaaS live. The notes server takes 60 at least. */
    readonly accessTokenSeconds?: number
    /** What the tokens of the tasks server are; JWTs unless told otherwise. */
    readonly accessTokens?: AccessTokenFormat
    /** Whether the identity provider and the tasks server want nonces of their own in DPoP proofs. */
    readonly proofNonces?: boolean
  } = {},
): Promise<World> {
  const traffic = new Traffic()
  const closers: (() => Promise<void>)[] = []
  const close = async () => {
    await Promise.all(closers.splice(0).map((closer) => closer()))
  }
  try {
    const { accessTokenSeconds = 3600, proofNonces = false } = options
    const [certificate, assistantKey, exchangeKey, devConfig] = await Promise.all([
      localCertificate(),
      newKey('assistant-1'),
      newKey('assistant-exchange-1'),
      readFile(DEV_CONFIG, 'utf8'),
    ])
    const idp = await startIdp({
      port: options.ports?.idp ?? 0,
      certificate,
      traffic,
      proofNonces,
      clients: [
        { id: 'gateway', secret: SECRETS.GATEWAY_IDP_SECRET },
        { id: 'assistant', keys: [assistantKey, exchangeKey] },
      ],
    })
    closers.push(idp.close)
    idp.publishKeys('/assistant/jwks.json', [assistantKey])
    const shared = { traffic, trusted: idp, accessTokenSeconds }
    const startsTasks = startTasks({
      ...shared,
      accessTokens: options.accessTokens,
      proofNonces,
      port: options.ports?.tasks ?? 0,
      client: { id: TASKS_CLIENT_ID, secret: SECRETS.TASKS_CLIENT_SECRET },
    })
    const startsNotes = startNotes({
      ...shared,
      port: options.ports?.notes ?? (await freePort()),
      client: { id: NOTES_CLIENT_ID, secret: SECRETS.NOTES_CLIENT_SECRET },
    })
    for (const starting of [startsTasks, startsNotes])
      closers.push(() => starting.then((server) => server.close()).catch(() => undefined))
    const [tasks, notes] = await Promise.all([startsTasks, startsNotes])

    const toTasks = {
      audience: tasks.issuer,
      clientIdThere: TASKS_CLIENT_ID,
      resources: [tasks.resource],
      scopes: TASKS_SCOPES,
    }
    idp.connect({ ...toTasks, client: 'gateway' })
    idp.connect({ ...toTasks, client: 'assistant' })
    idp.connect({
      client: 'gateway',
      audience: notes.issuer,
      clientIdThere: NOTES_CLIENT_ID,
      resources: [notes.resource],
      scopes: NOTES_SCOPES,
    })

    const loginClients = {
      gateway: { id: 'gateway', secret: SECRETS.GATEWAY_IDP_SECRET },
      assistant: { id: 'assistant', key: assistantKey },
    }
    const signInAs = (user: string, client: ClientName = 'gateway') => signIn(idp.issuer, loginClients[client], user)
    const ports = { idp: idp.issuer, tasks: tasks.origin, notes: notes.origin }
    return {
      idp,
      tasks,
      notes,
      users,
      certificate: certificate.cert,
      traffic,
      assistantKey,
      loginClients,
      login: async (user, client) => (await signInAs(user, client)).idToken,
      signIn: signInAs,
      config: (publicUrl, text = devConfig) =>
        text
          .replaceAll(`http://127.0.0.1:${GATEWAY_PORT}`, publicUrl ?? `http://127.0.0.1:${GATEWAY_PORT}`)
          .replaceAll(`https://127.0.0.1:${WORLD_PORTS.idp}`, ports.idp)
          .replaceAll(`http://127.0.0.1:${WORLD_PORTS.tasks}`, ports.tasks)
          .replaceAll(`http://127.0.0.1:${WORLD_PORTS.notes}`, ports.notes),
      secrets: () => ({ ...SECRETS, ASSISTANT_IDP_KEY: JSON.stringify(exchangeKey) }),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function newKey(kid: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  return { ...(await exportJWK(privateKey)), kid, alg: 'ES256', use: 'sig' }
}
