// Who stands behind a subject token that only its identity provider can read: known for a while by what that has answered. Looked
// for as access tokens are: isolate memory, then KV, then the one place everywhere where the identity provider is asked.
import { BoundedMap } from '../lib/bounded-map.ts'
import type { Secret } from '../lib/secret.ts'
import { err, ok, type Result } from '../lib/result.ts'
import type { CredentialOrigin, Introduction, Prospect } from '../model.ts'
import type { Idp, IdpClient } from '../parties.ts'
import type { Clock, Introductions, LegTimes, QuotaUse, TokenStore } from '../ports.ts'
import type { OpaqueKind } from '../quirks.ts'
import type { Refusal } from '../refusal.ts'
import {
  decodeIntroduction,
  introductionIdentity,
  toIntroduction,
  type IntroductionEntry,
} from './introduction-entry.ts'
import type { KeyRing, SubjectNames } from './key-ring.ts'
import { placeFor, rasClientFor, subjectParts } from './token-key.ts'

export interface IntroducerPorts {
  readonly store: TokenStore
  readonly introductions: Introductions
  readonly clock: Clock
}

/** A subject token as a caller has presented it, and the client of the identity provider as which it would be exchanged. */
export interface OpaqueSubject {
  readonly kind: OpaqueKind
  readonly token: Secret
  readonly idp: Idp
  readonly idpClient: IdpClient
}

export interface Introduced {
  readonly introduction: Introduction
  readonly origin: CredentialOrigin
  readonly ms: LegTimes
  /** Only where an ID-JAG was obtained for this request. */
  readonly quota: QuotaUse | undefined
}

export interface Introducer {
  /**
   * What the identity provider says of a subject token, for what policy does not rule out. `insteadOf`: an introduction that
   * could not be verified any more. Refuses with IDP1xx, TOK1xx, POL110, LIM201 or INT101.
   */
  introduce(prospect: Prospect, subject: OpaqueSubject, insteadOf?: Introduction): Promise<Result<Introduced, Refusal>>
}

const MAX_IN_MEMORY = 1_000

/** `maxTtlSeconds`: nobody is known for longer by one introduction. */
export function createIntroducer(ports: IntroducerPorts, ring: KeyRing, maxTtlSeconds: number): Introducer {
  const memory = new BoundedMap<string, IntroductionEntry>(MAX_IN_MEMORY)

  const isAlive = (entry: IntroductionEntry): boolean =>
    ports.clock.now() < entry.until && ports.clock.epochMillis() < entry.obtainedAt + maxTtlSeconds * 1000

  async function unseal(name: string, sealed: Uint8Array<ArrayBuffer>, identity: string) {
    const plain = await ring.open(name, sealed)
    const entry = plain && decodeIntroduction(plain)
    return entry?.identity === identity && isAlive(entry) ? entry : undefined
  }

  /** KV, under the name of every key. Whatever is wrong there is a miss. */
  async function look(names: readonly SubjectNames[], identity: string): Promise<IntroductionEntry | undefined> {
    for (const { entry: name } of names) {
      const sealed = await ports.store.get(name).catch(() => undefined)
      const entry = sealed && (await unseal(name, sealed, identity))
      if (entry !== undefined) return entry
    }
    return undefined
  }

  return {
    async introduce(prospect, { kind, token, idp, idpClient }, insteadOf) {
      const { client, resource, scopes, details, actor } = prospect
      const place = placeFor(idp.issuer, idpClient, resource, client.name)
      const identity = introductionIdentity(place, kind, { scopes, details, actor })
      const names = await ring.subjectNames(subjectParts(client.name, idpClient, kind, token.reveal(), identity))
      const [current, ...older] = names
      const rasClientId = rasClientFor(resource, client.name).id
      const introduced = (entry: IntroductionEntry, origin: CredentialOrigin): Introduced => ({
        introduction: toIntroduction(entry, { prospect, kind, token, idpClient, rasClientId }),
        origin,
        ms: {},
        quota: undefined,
      })

      if (insteadOf === undefined) {
        const remembered = memory.get(current.entry)
        if (remembered !== undefined && isAlive(remembered)) return ok(introduced(remembered, 'memory'))
        const stored = await look(names, identity)
        if (stored !== undefined) {
          memory.set(current.entry, stored)
          return ok(introduced(stored, 'kv'))
        }
      }
      const landing = await ports.introductions
        .introduce(current.subject, {
          name: current.subject,
          olderNames: older.map(({ subject }) => subject),
          entryName: current.entry,
          idp: idpClient.idpName,
          idpClient: idpClient.name,
          resource: resource.name,
          caller: client.name,
          scopes,
          details,
          actor: actor && { ...actor, token: actor.token.reveal() },
          place,
          kind,
          token: token.reveal(),
          identity,
          insteadOf: insteadOf?.id,
          tokensUntil: 0,
        })
        .catch(() => undefined)
      if (landing === undefined) return failed('the object of the subject token failed')
      if (!landing.landed) return err(landing.refusal)
      const entry = await unseal(current.entry, landing.sealed, identity)
      if (entry === undefined) return failed('the object of the subject token brought something foreign')
      memory.set(current.entry, entry)
      const { ms, quota } = landing
      return ok({ ...introduced(entry, landing.fresh ? 'exchange' : 'flight'), ms, quota })
    },
  }
}

function failed(detail: string): Result<never, Refusal> {
  return err({ code: 'INT101', detail, retryAfterSeconds: 1 })
}
