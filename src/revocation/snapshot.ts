// What is revoked, as one isolate knows it: an immutable set of cut-offs and blocks, made for fast questions.
import type { Revocation, RevocationSelector } from '../connection.ts'

/** Whom and what a question is about. */
export interface RevocationSubject {
  readonly idp: string
  readonly user: string
  readonly client: string
  readonly resource: string
}

/** What holds for a subject. Times are milliseconds since the epoch. */
export interface Standing {
  /** The id of a block in force, if there is one. */
  readonly blockedBy: string | undefined
  /** Sign-ins up to this time are over. */
  readonly signInsUntil: number
  /** Access tokens obtained up to this time are dead. */
  readonly tokensUntil: number
}

export interface RevocationSnapshot {
  standingOf(subject: RevocationSubject, nowMs: number): Standing
}

const CLEAR: Standing = { blockedBy: undefined, signInsUntil: 0, tokensUntil: 0 }

export function createSnapshot(revocations: readonly Revocation[]): RevocationSnapshot {
  if (revocations.length === 0) return { standingOf: () => CLEAR }
  // Most revocations name a user; a question looks at those of its own user and at the few that name none.
  const byUser = new Map<string, Revocation[]>()
  const general: Revocation[] = []
  for (const revocation of revocations) {
    const { user } = revocation.selector
    if (user === undefined) general.push(revocation)
    else byUser.set(user, [...(byUser.get(user) ?? []), revocation])
  }
  return {
    standingOf(subject, nowMs) {
      const own = byUser.get(subject.user) ?? []
      if (own.length + general.length === 0) return CLEAR
      return [...own, ...general].filter(({ selector }) => matches(selector, subject)).reduce(addTo(nowMs), CLEAR)
    },
  }
}

function addTo(nowMs: number): (standing: Standing, revocation: Revocation) => Standing {
  return (standing, revocation) => {
    if (revocation.kind === 'block') {
      const inForce = revocation.until === undefined || nowMs < revocation.until
      return inForce ? { ...standing, blockedBy: standing.blockedBy ?? revocation.id } : standing
    }
    const tokensUntil = Math.max(standing.tokensUntil, revocation.before)
    // A cut-off of one resource is about its tokens; any other also ends the sign-ins it reaches, or the same ID token would
    // bring a new access token at once.
    if (revocation.selector.resource !== undefined) return { ...standing, tokensUntil }
    return { ...standing, tokensUntil, signInsUntil: Math.max(standing.signInsUntil, revocation.before) }
  }
}

/** Whether every part that the selector names is the subject's. */
export function matches(selector: RevocationSelector, subject: RevocationSubject): boolean {
  return (
    (selector.idp === undefined || selector.idp === subject.idp) &&
    (selector.user === undefined || selector.user === subject.user) &&
    (selector.client === undefined || selector.client === subject.client) &&
    (selector.resource === undefined || selector.resource === subject.resource)
  )
}
