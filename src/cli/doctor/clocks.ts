// Whose clock is off. A token is judged by its times, here and at the authorization server, so the clocks of identity
// provider, authorization server and gateway must agree. What is compared is the `Date` of answers (RFC 9110 section 6.6.1).

import { inConfig, toDotted, type Check, type Finding } from './finding.ts'
import { placesOf, type Party } from './tools.ts'
import { toDuration } from './words.ts'
import type { ClockReading, Witness } from './witness.ts'

/** What is tolerated in ID tokens; authorization servers tolerate no more. */
const TOLERATED_SECONDS = 60
const NOTICEABLE_SECONDS = 20

type Clocks = Pick<Witness, 'clockOf'>

interface Read {
  readonly party: Party
  readonly reading: ClockReading
}

export function examineClocks(parties: readonly Party[], { clockOf }: Clocks): Check[] {
  const read: Read[] = parties.flatMap((party) => {
    const reading = readingOf(party, clockOf)
    return reading === undefined ? [] : [{ party, reading }]
  })
  const ours = offsetOfThisMachine(read)
  const checks = read.map(({ party, reading }) => {
    const offset = reading.offsetSeconds - ours
    const certain = Math.max(0, Math.abs(offset) - reading.marginSeconds)
    const findings = certain > NOTICEABLE_SECONDS ? [toFinding(party, offset, certain > TOLERATED_SECONDS)] : []
    const says = certain > NOTICEABLE_SECONDS ? `${toDuration(offset)} ${offset > 0 ? 'ahead' : 'behind'}` : 'agrees'
    return { about: toDotted(party.paths[0]), name: 'clock', says, findings }
  })
  const silent = parties
    .filter((party) => !read.some((one) => one.party === party))
    .map((party): Check => ({
      about: toDotted(party.paths[0]),
      name: 'clock',
      says: 'its answers carry no Date',
      findings: [],
      skipped: true,
    }))
  return [...(ours === 0 ? [] : [ownClock(ours)]), ...checks, ...silent]
}

function readingOf(party: Party, clockOf: Clocks['clockOf']): ClockReading | undefined {
  const addresses = party.tokenEndpoint === undefined ? [party.issuer] : [party.tokenEndpoint, party.issuer]
  for (const address of addresses) {
    const reading = clockOf(new URL(address).origin)
    if (reading !== undefined) return reading
  }
  return undefined
}

/** Several servers that agree with each other and not with this machine are right. Positive: this machine is behind. */
function offsetOfThisMachine(read: readonly Read[]): number {
  const byOrigin = new Map(read.map(({ party, reading }) => [new URL(party.issuer).origin, reading.offsetSeconds]))
  const offsets = [...byOrigin.values()].toSorted((a, b) => a - b)
  const [first, last] = [offsets[0] ?? 0, offsets.at(-1) ?? 0]
  const agree = offsets.length > 1 && last - first < NOTICEABLE_SECONDS
  const middle = offsets[Math.floor(offsets.length / 2)] ?? 0
  return agree && Math.abs(middle) > NOTICEABLE_SECONDS ? middle : 0
}

function toFinding(party: Party, offset: number, red: boolean): Finding {
  const way = offset > 0 ? 'ahead' : 'behind'
  const message = `the clock of ${party.issuer} is ${toDuration(offset)} ${way}`
  return {
    code: red ? 'DOC107' : 'DOC205',
    message,
    help: `${consequence(party, offset)}; nothing in this file mends it, its clock has to be set (NTP)`,
    places: placesOf(party, 'issuer'),
  }
}

function consequence({ kind }: Party, offset: number): string {
  if (kind === 'identity provider') {
    return offset > 0
      ? 'what it issues is not valid yet elsewhere (TOK106; iat in the future)'
      : 'what it issues is old or expired elsewhere (TOK103, TOK106, RAS101)'
  }
  return offset > 0
    ? 'ID-JAGs, which live for minutes, have expired for it (RAS101)'
    : 'ID-JAGs are not valid yet for it (RAS101: iat in the future)'
}

function ownClock(behind: number): Check {
  const way = behind > 0 ? 'behind' : 'ahead'
  const message = `the clock of this machine is ${toDuration(behind)} ${way}: all servers agree with each other and not with it`
  const help = 'a deployed gateway has another clock; one that runs here refuses tokens for it (TOK103, TOK106)'
  return {
    about: 'this machine',
    name: 'clock',
    says: `${toDuration(behind)} ${way}`,
    findings: [{ code: 'DOC207', message, help, places: [inConfig(['public_url'])] }],
  }
}
