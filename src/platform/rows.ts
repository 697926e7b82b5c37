// What the objects with tables send: rows as they are stored, as plain lists. They are read here, where the answer arrives,
// and as strictly as anything foreign: another version of this program may have written them, or may have sent them.
import { numericDate, type NumericDate } from '../lib/numeric-date.ts'
import type { Connection, Revocation, RevocationSelector, TokenRecord } from '../connection.ts'
import type { Decision, DecisionCount, Losses, Outcome, RuleHits } from '../decision.ts'
import type { Issuer } from '../parties.ts'
import type { Registry } from '../ports.ts'
import { fromRealm } from './registry-rules.ts'

/** A row in the order of the columns that were asked for. */
export type Row = readonly (string | number | null)[]

/** The columns of the revocation book, in the order of `toRevocation()`. */
export const REVOCATION_COLUMNS = 'id, kind, idp, user, client, resource, before_ms, until_ms'

/** The columns of a connection, in the order of `toConnection()`. */
export const CONNECTION_COLUMNS =
  'name, idp, issuer, user, tenant, client, resource, scopes, first_issued_at, last_issued_at, expires_at, count, id_jag_jti, token_expires_at, earlier_until'

/** The columns of a token's record, in the order of `toTokenRecord()`. */
export const TOKEN_COLUMNS =
  'digest, name, idp, user, client, resource, server, scopes, obtained_at_ms, expires_at, kept_until'

/** Throws for a row that means nothing here: to leave a revocation out would be to lift it. */
export function toRevocation(row: Row): Revocation {
  const [id, kind, idp, user, client, resource, before, until] = row
  const selector: RevocationSelector = {
    ...(idp === null ? {} : { idp: text(idp, 'idp') }),
    ...(user === null ? {} : { user: text(user, 'user') }),
    ...(client === null ? {} : { client: text(client, 'client') }),
    ...(resource === null ? {} : { resource: text(resource, 'resource') }),
  }
  const common = { id: text(id, 'id'), selector }
  if (kind === 'cutoff') return { kind, ...common, before: count(before, 'before_ms') }
  if (kind === 'block') return { kind, ...common, until: until === null ? undefined : count(until, 'until_ms') }
  throw unreadable('kind')
}

/** Throws for a row that means nothing here: a list that leaves somebody out would be believed. */
export function toConnection(row: Row): Connection {
  const [name, idp, issuer, user, tenant, client, resource, scopes, first, last, expires, times, jti, ...ends] = row
  // An earlier version has not stored the last two, and an object that still runs it does not send them.
  const [tokenExpires = null, earlier = null] = ends
  return {
    name: text(name, 'name'),
    idp: text(idp, 'idp'),
    issuer: issuerOf(issuer),
    user: text(user, 'user'),
    tenant: tenant === null ? undefined : text(tenant, 'tenant'),
    client: text(client, 'client'),
    resource: text(resource, 'resource'),
    scopes: texts(scopes),
    firstIssuedAt: date(first, 'first_issued_at'),
    lastIssuedAt: date(last, 'last_issued_at'),
    expiresAt: date(expires, 'expires_at'),
    tokenExpiresAt: date(tokenExpires ?? expires, 'token_expires_at'),
    earlierTokensUntil: earlier === null ? undefined : date(earlier, 'earlier_until'),
    count: count(times, 'count'),
    idJagJti: jti === null ? undefined : text(jti, 'id_jag_jti'),
  }
}

/** Throws for a row that means nothing here: a token whose record is left out could not be revoked by its client. */
export function toTokenRecord(row: Row): TokenRecord {
  const [digest, name, idp, user, client, resource, server, scopes, obtained, expires, kept] = row
  return {
    digest: text(digest, 'digest'),
    name: text(name, 'name'),
    idp: text(idp, 'idp'),
    user: text(user, 'user'),
    client: text(client, 'client'),
    resource: text(resource, 'resource'),
    server: issuerOf(server),
    scopes: texts(scopes),
    obtainedAt: count(obtained, 'obtained_at_ms'),
    expiresAt: date(expires, 'expires_at'),
    keptUntil: date(kept, 'kept_until'),
  }
}

/** A row of (idp with tenant, resource, used). */
export function toUse(row: Row): Awaited<ReturnType<Registry['quota']>>[number] {
  const [realm, resource, used] = row
  return { ...fromRealm(text(realm, 'idp')), resource: text(resource, 'resource'), used: count(used, 'used') }
}

/** A decision as it is kept: in the order of `toDecision()`. */
export function fromDecision(decision: Decision): Row {
  const { id, time, event, outcome, code, user, client, resource, rule, ms } = decision
  const who = [user?.issuer ?? null, user?.sub ?? null, user?.tenant ?? null]
  return [id, time, event, outcome, code ?? null, ...who, client ?? null, resource ?? null, rule ?? null, ms]
}

/** Throws for a row that means nothing here. */
export function toDecision(row: Row): Decision {
  const [id, time, event, outcome, code, issuer, sub, tenant, client, resource, rule, ms] = row
  return {
    id: text(id, 'id'),
    time: text(time, 'time'),
    event: text(event, 'event'),
    outcome: outcomeOf(outcome),
    ...(code === null ? {} : { code: text(code, 'code') }),
    ...(issuer === null
      ? {}
      : {
          user: {
            issuer: text(issuer, 'issuer'),
            sub: text(sub, 'sub'),
            ...(tenant === null ? {} : { tenant: text(tenant, 'tenant') }),
          },
        }),
    ...(client === null ? {} : { client: text(client, 'client') }),
    ...(resource === null ? {} : { resource: text(resource, 'resource') }),
    ...(rule === null ? {} : { rule: text(rule, 'rule') }),
    ms: count(ms, 'ms'),
  }
}

/** A row of (hour, outcome, code, client, resource, count). */
export function toCount(row: Row): DecisionCount & { readonly hour: string } {
  const [hour, outcome, code, client, resource, times] = row
  return {
    hour: text(hour, 'hour'),
    outcome: outcomeOf(outcome),
    code: text(code, 'code'),
    client: text(client, 'client'),
    resource: text(resource, 'resource'),
    count: count(times, 'count'),
  }
}

/** A row of (rule, hits, last_hit). */
export function toHits(row: Row): RuleHits {
  const [rule, hits, lastHit] = row
  return { rule: text(rule, 'rule'), hits: count(hits, 'hits'), lastHit: text(lastHit, 'last_hit') }
}

/** A row of (hour, uncounted, events). */
export function toLosses(row: Row): Losses & { readonly hour: string } {
  const [hour, uncounted, events] = row
  return { hour: text(hour, 'hour'), uncounted: count(uncounted, 'uncounted'), events: count(events, 'events') }
}

function outcomeOf(value: unknown): Outcome {
  if (value === 'allow' || value === 'deny' || value === 'error') return value
  throw unreadable('outcome')
}

function unreadable(column: string): Error {
  return new Error(`a stored row has a ${column} that this version cannot read`)
}

function text(value: unknown, column: string): string {
  if (typeof value !== 'string') throw unreadable(column)
  return value
}

function count(value: unknown, column: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw unreadable(column)
  return value
}

function date(value: unknown, column: string): NumericDate {
  return numericDate(count(value, column))
}

function texts(value: unknown): readonly string[] {
  const scopes: unknown = JSON.parse(text(value, 'scopes'))
  if (!Array.isArray(scopes)) throw unreadable('scopes')
  return scopes.map((scope: unknown) => text(scope, 'scopes'))
}

function issuerOf(value: unknown): Issuer {
  const written = text(value, 'issuer')
  if (!isIssuer(written)) throw unreadable('issuer')
  return written
}

/** It was one when it was written: the configuration had made it. */
function isIssuer(written: string): written is Issuer {
  return written !== ''
}
